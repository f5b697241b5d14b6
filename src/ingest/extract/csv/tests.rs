#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use crate::{
    catalog::Blame,
    config::Caps,
    ingest::{
        definition::grammar::Format,
        extract::gathered::{Gathered, Setting, run},
    },
};

fn format(keys: &str) -> Format {
    toml::from_str(&format!("type = \"csv\"\n{keys}")).unwrap()
}

/// Names and cells, nulls shown as `~`.
fn table(gathered: &Gathered) -> (Vec<String>, Vec<Vec<String>>) {
    let names = gathered.batches.first().map(|batch| batch.names.to_vec()).unwrap_or_default();
    let columns: Vec<_> = names.iter().map(|name| gathered.texts(name)).collect();
    let cell = |column: &Vec<Option<String>>, row: usize| column[row].clone().unwrap_or("~".into());
    let rows = (0..gathered.count()).map(|row| columns.iter().map(|column| cell(column, row)).collect()).collect();
    (names, rows)
}

fn read(keys: &str, bytes: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
    table(&run(&format(keys), bytes).unwrap())
}

fn rows(keys: &str, bytes: &[u8]) -> Vec<Vec<String>> {
    read(keys, bytes).1
}

#[test]
fn null_and_empty_are_not_the_same() {
    let rows = rows("null = ['NA', '-']", b"a,b,c\n,\"\",\" \"\nNA,\"-\",x\n\"\",,\n");
    assert_eq!(rows, [["~", "", " "], ["~", "~", "x"], ["", "~", "~"]]);
}

#[test]
fn a_column_with_its_own_null_keeps_the_formats_token_as_text() {
    let columns = "[[column]]\nname = 'x'\nfrom = 'b'\nnull = 'none'\n[[column]]\nname = 'y'\nfrom = 3\nnull = []\n\
                   [[column]]\nname = 'z'\nfrom = 'd#/k'\nnull = 'x'";
    let gathered = Setting::default().columns(columns).run(&format("null = '-'"), b"a,b,c,d\n-,-,-,-\n").unwrap();
    assert_eq!(table(&gathered).1, [["~", "-", "-", "-"]]);
    let by_order = "[[column]]\nname = 'x'\n[[column]]\nname = 'y'\nnull = 'none'";
    let gathered = Setting::default().columns(by_order).run(&format("null = '-'\nheader = false"), b"-,-\n").unwrap();
    assert_eq!(table(&gathered).1, [["~", "-"]]);
}

#[test]
fn quotes_newlines_and_line_numbers() {
    let text = b"a,b\r\n\"one\r\ntwo\",\"say \"\"hi\"\"\"\r\n\r\n5\" pipe,x\"y\"\r\nlast,\"z\" ";
    let gathered = run(&format(""), text).unwrap();
    assert_eq!(table(&gathered).1, [["one\r\ntwo", "say \"hi\""], ["5\" pipe", "x\"y\""], ["last", "z"]]);
    assert_eq!(gathered.positions(), [2, 5, 6]);
}

#[test]
fn quotes_may_be_data() {
    let keys = "delimiter = \"\\t\"\nquote = 'none'\nnull = '\\N'";
    let text = b"tconst\tprimaryTitle\ngenres\n\"x\t\"Crocodile\" Dundee\n\\N\t\"\n";
    let gathered = run(&format(keys), text).unwrap();
    assert_eq!(table(&gathered).1, [["\"x", "\"Crocodile\" Dundee"], ["~", "\""]]);
    assert_eq!(gathered.broken()[0].reason, "1 field, the header has 2");
}

#[test]
fn dialects() {
    assert_eq!(rows("delimiter = ';'\nquote = \"'\"", b"a;b\n'x;y';'it''s'\n"), [["x;y", "it's"]]);
    assert_eq!(rows("escape = '\\'", b"a,b\n\"x\\\"y\\\\\",\"p\"\"q\"\n"), [["x\"y\\", "p\"q"]]);
    assert_eq!(rows("quote = 'none'\nescape = '\\'\nnull = '\\N'", b"a,b\nx\\,y\\\nz,\\N\n"), [["x,y\nz", "~"]]);
    assert_eq!(rows("quote = 'none'\nescape = '\\'", b"a,b\n,\\\\"), [["~", "\\"]]);
    assert_eq!(rows("delimiter = '§'", "a§b\n\"x§y\"§\n1§§\n1§2\n".as_bytes()), [["x§y", "~"], ["1", "2"]]);
    assert_eq!(rows("delimiter = ' '\nheader = false", b"en Main_Page 7 0\n"), [["en", "Main_Page", "7", "0"]]);
    assert_eq!(rows("", b"a,b\r1,2\r3,\"4\"\r"), [["1", "2"], ["3", "4"]]);
    assert_eq!(rows("comment = '//'\nskip = 1", b"Title, of it\n// \"x\na,b\n//\n1,2\n//\n"), [["1", "2"]]);
    assert_eq!(rows("encoding = 'latin-1'", b"a\n\xe4\n"), [["ä"]]);
    let utf_16: Vec<u8> = "\u{feff}a,b\r\n\"ä\",2\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for keys in ["encoding = 'utf-16'", ""] {
        assert_eq!(read(keys, &utf_16), (vec!["a".into(), "b".into()], vec![vec!["ä".into(), "2".into()]]));
    }
    assert_eq!(read("", b"\xef\xbb\xbfa\n1").0, ["a"]);
    for bad in ["delimiter = ''", "delimiter = '||'", "quote = '««'", "encoding = 'x'"] {
        assert_eq!(run(&format(bad), b"a\n").unwrap_err().blame, Blame::Definition, "{bad}");
    }
}

#[test]
fn headers() {
    assert_eq!(read("", b"a,,a\n1,2,3\n").0, ["a", "column_2", "a_2"]);
    assert_eq!(
        read("header = false", b"a,b\n1,2\n"),
        (vec!["1".into(), "2".into()], vec![vec!["a".into(), "b".into()], vec!["1".into(), "2".into()]])
    );
    let fma = b",album,album,track\n,comments,id,\ntrack_id,,,\n2,0,1,\"a\nb\"\n";
    let (names, rows) = read("header = 2", fma);
    assert_eq!(names, ["track_id", "album_comments", "album_id", "track"]);
    assert_eq!(rows, [["2", "0", "1", "a\nb"]]);
    // No index row: the row behind the header is data.
    assert_eq!(self::rows("header = 2", b"x,y\n1,2\n3,4\n"), [["3", "4"]]);
    let empty = run(&format(""), b"a,b\n").unwrap();
    assert_eq!((empty.batches.len(), empty.count(), empty.batches[0].names.len()), (1, 0, 2));
    assert!(run(&format(""), b"").unwrap().batches.is_empty());
}

#[test]
fn one_column_has_blank_lines_as_nulls() {
    assert_eq!(rows("", b"a\n1\n\n\"\"\n"), [["1"], ["~"], [""]]);
}

#[test]
fn broken_rows_say_what_is_wrong() {
    let gathered = run(&format(""), b"a,b\n1\n1,2,3\n\"x\"y,2\n4,5\n").unwrap();
    assert_eq!(table(&gathered).1, [["4", "5"]]);
    let broken: Vec<_> = gathered.broken().iter().map(|b| (b.position, b.reason.as_str(), b.text.as_str())).collect();
    assert_eq!(
        broken,
        [
            (2, "1 field, the header has 2", "1"),
            (3, "3 fields, the header has 2", "1,2,3"),
            (4, "field 1 goes on after its closing quote; a quote inside is doubled", "\"x\"y,2"),
        ]
    );
    let failure = run(&format(""), b"a,b\n1,2\n3,\"4\n5,6\n").unwrap_err();
    assert!(failure.message.contains("begins on line 3 is never closed"), "{failure}");
}

#[test]
fn a_record_beyond_the_cap_is_refused_with_its_line() {
    let setting = Setting { caps: Caps { record_bytes: 100, ..Caps::default() }, ..Setting::default() };
    let text = format!("a\nb\n{}\n", "x".repeat(101));
    let failure = setting.run(&format(""), text.as_bytes()).unwrap_err();
    assert!(failure.message.contains("line 3: a record of more than 100 bytes"), "{failure}");
    let text = format!("a\n\"{}", "x\n".repeat(200_000));
    let failure = setting.run(&format(""), text.as_bytes()).unwrap_err();
    assert!(failure.message.contains("line 2: a record of more than 100 bytes"), "{failure}");
}

#[test]
fn records_across_windows() {
    let long = "x\"\"\n".repeat(200_000);
    let text = format!("a,b\n1,\"{long}\"\n2,y\n");
    let gathered = run(&format(""), text.as_bytes()).unwrap();
    assert_eq!(gathered.texts("b")[0].as_ref().unwrap().len(), 3 * 200_000);
    assert_eq!(gathered.positions(), [2, 200_003]);
}

/// A dialect and how a naive writer writes it.
#[derive(Debug, Clone)]
struct Written {
    keys: String,
    delimiter: char,
    quote: Option<char>,
    escape: Option<char>,
    line_end: &'static str,
}

fn dialects_written() -> impl Strategy<Value = Written> {
    let delimiter = prop::sample::select(vec![',', ';', '\t', '|', ' ', '§', '\u{1}']);
    let quote = prop::sample::select(vec![Some('"'), Some('\''), None]);
    let escape = prop::sample::select(vec![None, Some('\\')]);
    let line_end = prop::sample::select(vec!["\n", "\r\n"]);
    (delimiter, quote, escape, line_end).prop_map(|(delimiter, quote, escape, line_end)| {
        // Without quotes only an escape can save a delimiter.
        let escape = if quote.is_none() { Some('\\') } else { escape };
        let json = |c: char| serde_json::to_string(&c.to_string()).unwrap();
        let mut keys = format!("delimiter = {}\n", json(delimiter));
        keys += &match quote {
            Some(quote) => format!("quote = {}\n", json(quote)),
            None => "quote = 'none'\n".into(),
        };
        if let Some(escape) = escape {
            keys += &format!("escape = {}\n", json(escape));
        }
        Written { keys, delimiter, quote, escape, line_end }
    })
}

impl Written {
    fn cell(&self, cell: Option<&String>, quoted: bool, out: &mut String) {
        let Some(cell) = cell else { return };
        let special = |c: char| {
            c == self.delimiter || matches!(c, '\n' | '\r') || Some(c) == self.quote || Some(c) == self.escape
        };
        match self.quote {
            Some(quote) if quoted || cell.is_empty() || cell.contains(special) => {
                out.push(quote);
                for c in cell.chars() {
                    if Some(c) == self.escape || c == quote {
                        out.push(self.escape.unwrap_or(quote));
                    }
                    out.push(c);
                }
                out.push(quote);
            }
            Some(_) => out.push_str(cell),
            None => {
                for c in cell.chars() {
                    if special(c) {
                        out.push('\\');
                    }
                    out.push(c);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_a_naive_writer_writes_comes_back(
        written in dialects_written(),
        width in 1_usize..5,
        cells in prop::collection::vec((prop::option::of("[a-c\"',;\t|§\\\\ \n\rä]{0,6}"), any::<bool>()), 0..60),
        last_end in any::<bool>(),
    ) {
        let mut text = (1..=width).map(|n| format!("c{n}")).collect::<Vec<_>>().join(&written.delimiter.to_string());
        text += written.line_end;
        let mut want = Vec::new();
        for row in cells.chunks_exact(width) {
            let mut cells = Vec::new();
            for (n, (cell, quoted)) in row.iter().enumerate() {
                if n > 0 {
                    text.push(written.delimiter);
                }
                // Without quotes nothing tells the empty text from null, and no line end from one that is data.
                let cell = cell.as_ref().filter(|c| written.quote.is_some() || !(c.is_empty() || c.contains(['\r', '\n'])));
                written.cell(cell, *quoted, &mut text);
                cells.push(cell.cloned().unwrap_or("~".into()));
            }
            text += written.line_end;
            want.push(cells);
        }
        if last_end && !text.ends_with(&format!("{0}{0}", written.line_end)) {
            text.truncate(text.len() - written.line_end.len());
        }
        let gathered = run(&format(&written.keys), text.as_bytes()).unwrap();
        prop_assert!(gathered.broken().is_empty(), "{text:?}: {:?}", gathered.broken());
        prop_assert_eq!(table(&gathered).1, want, "{:?}", text);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_every_record_counts(
        written in dialects_written(),
        header in prop::sample::select(vec!["false", "true", "3"]),
        encoding in prop::sample::select(vec!["utf-8", "latin-1", "utf-16"]),
        bytes in prop::collection::vec(prop::sample::select(b"ab,;\"'\\\t\r\n\0\xff\xc2\xa7 #".to_vec()), 0..200),
    ) {
        let keys = format!("{}header = {header}\nencoding = '{encoding}'\ncomment = '#'", written.keys);
        if let Ok(gathered) = run(&format(&keys), &bytes) {
            prop_assert!(gathered.count() + gathered.broken().len() <= bytes.len());
        }
    }
}
