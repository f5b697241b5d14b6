use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    catalog::Blame,
    ingest::extract::{
        Format,
        gathered::{Gathered, Setting, run},
    },
};

const FORMAT: Format = Format::MediawikiXml {};

const EXPORT: &str = r#"<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">
  <siteinfo><sitename>Wiki</sitename><namespaces><namespace key="0" case="first-letter" /></namespaces></siteinfo>
  <page>
    <title>A &amp; B</title>
    <ns>0</ns>
    <id>12</id>
    <redirect title="C &quot;D&quot;" />
    <restrictions>edit=sysop</restrictions>
    <revision>
      <id>100</id>
      <timestamp>2001-01-21T02:12:21Z</timestamp>
      <contributor><username>Ann</username><id>7</id></contributor>
      <comment>first &#8211; &lt;ref></comment>
      <origin>100</origin>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="999" sha1="fromattribute" xml:space="preserve"> '''x'''
&lt;ref&gt;y&lt;/ref&gt;<![CDATA[<z>]]> </text>
      <content><role>other</role><text>not this</text><sha1>nor this</sha1></content>
      <sha1>abc</sha1>
    </revision>
    <revision>
      <id>101</id>
      <parentid>100</parentid>
      <timestamp>2002-01-21T02:12:21Z</timestamp>
      <contributor><ip>1.2.3.4</ip></contributor>
      <minor/>
      <comment deleted="deleted" />
      <text bytes="0" />
      <sha1 />
    </revision>
    <revision>
      <id>102</id>
      <contributor deleted="deleted" />
      <comment />
      <text deleted="deleted" bytes="17" />
    </revision>
    <revision><id>103</id><text id="5" bytes="17" location="tt:5" /></revision>
    <revision><id>104</id><text xml:space="preserve">né</text></revision>
  </page>
  <logitem><id>1</id></logitem>
</mediawiki>
"#;

fn rows(gathered: &Gathered) -> Vec<Value> {
    gathered.rows()
}

#[test]
fn revisions_are_rows_and_what_is_deleted_is_null() {
    let gathered = run(&FORMAT, EXPORT.as_bytes()).expect("rows");
    assert_eq!(*gathered.batches[0].names, COLUMNS);
    let page = json!({"page_id": "12", "ns": "0", "title": "A & B", "redirect_title": "C \"D\"", "minor": "false"});
    let row = |own: Value| {
        let mut row = page.clone();
        row.as_object_mut().expect("object").extend(own.as_object().expect("object").clone());
        row
    };
    assert_eq!(
        rows(&gathered),
        [
            row(json!({"rev_id": "100", "timestamp": "2001-01-21T02:12:21Z", "contributor_name": "Ann",
                "contributor_id": "7", "comment": "first – <ref>", "model": "wikitext", "format": "text/x-wiki",
                "wikitext": " '''x'''\n<ref>y</ref><z> ", "wikitext_bytes": "999", "sha1": "abc"})),
            row(json!({"rev_id": "101", "parent_id": "100", "timestamp": "2002-01-21T02:12:21Z", "minor": "true",
                "contributor_ip": "1.2.3.4", "wikitext": "", "wikitext_bytes": "0"})),
            row(json!({"rev_id": "102", "comment": "", "wikitext_bytes": "17"})),
            row(json!({"rev_id": "103", "wikitext_bytes": "17"})),
            row(json!({"rev_id": "104", "wikitext": "né", "wikitext_bytes": "3"})),
        ]
    );
    assert_eq!(gathered.positions(), [1, 2, 3, 4, 5]);
}

#[test]
fn only_wanted_columns_are_built() {
    let gathered = Setting::default().wanted(&["title", "wikitext_bytes", "x"]).run(&FORMAT, EXPORT.as_bytes());
    assert_eq!(*gathered.expect("rows").batches[0].names, ["title", "wikitext_bytes"]);
}

#[test]
fn an_unknown_entity_breaks_its_row_and_one_in_the_title_all_of_the_page() {
    let text = EXPORT.replace("first &#8211;", "first &ndash;");
    let gathered = run(&FORMAT, text.as_bytes()).expect("rows");
    assert_eq!(gathered.positions(), [2, 3, 4, 5]);
    assert!(gathered.broken()[0].reason.contains("`&ndash;`"), "{:?}", gathered.broken());
    assert_eq!(gathered.broken()[0].text, "A & B\t100");
    let text = EXPORT.replace("A &amp; B", "A &nbsp; B");
    let gathered = run(&FORMAT, text.as_bytes()).expect("rows");
    assert_eq!((gathered.count(), gathered.broken().len()), (0, 5));
}

#[test]
fn what_is_cut_off_malformed_or_something_else_fails() {
    let end = EXPORT.rfind("</mediawiki>").expect("an end");
    for cut in 0..end + "</mediawiki>".len() {
        let Some(text) = EXPORT.get(..cut) else { continue };
        let failure = run(&FORMAT, text.as_bytes()).expect_err("cut off");
        assert_eq!(failure.blame, Blame::Upstream, "{cut}: {failure}");
    }
    let failure = run(&FORMAT, b"<feed><entry/></feed>").expect_err("a feed");
    assert!(failure.blame == Blame::Definition && failure.message.contains("<feed>"), "{failure}");
    let bomb = format!("<!DOCTYPE m [<!ENTITY a \"aaaa\">]>{EXPORT}");
    assert!(run(&FORMAT, bomb.as_bytes()).expect_err("a DTD").message.contains("DOCTYPE"));
    let mut setting = Setting::default();
    setting.caps.record_bytes = 400;
    let long = EXPORT.replace("né", &"x".repeat(500));
    assert!(setting.run(&FORMAT, long.as_bytes()).expect_err("too long").message.contains("400 bytes"));
    let long = EXPORT.replace("né", &"x&amp;".repeat(500));
    assert!(setting.run(&FORMAT, long.as_bytes()).expect_err("too long").message.contains("400 bytes"));
}

proptest! {
    #[test]
    fn mutations_never_panic(at in 0..EXPORT.len(), byte in any::<u8>(), other in 0..EXPORT.len(), more in any::<u8>()) {
        let mut bytes = EXPORT.as_bytes().to_vec();
        bytes[at] = byte;
        bytes[other] = more;
        let _ = run(&FORMAT, &bytes);
    }

    #[test]
    fn texts_come_out_as_they_went_in(text in "\\PC{0,40}") {
        let escaped = quick_xml::escape::escape(&text);
        let export = format!("<mediawiki><page><id>1</id><revision><text>{escaped}</text></revision></page></mediawiki>");
        let gathered = run(&FORMAT, export.as_bytes()).expect("rows");
        prop_assert_eq!(gathered.texts("wikitext"), [Some(text)]);
    }
}
