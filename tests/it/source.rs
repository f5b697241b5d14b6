//! Sources listed against origins laid out as real upstreams are.

use std::{path::Path, time::Duration};

use chrono::{DateTime, Utc};
use md5::Md5;
use openshelf::{
    catalog::Blame,
    config::IngestSettings,
    ingest::{
        Failure,
        definition::{self, grammar::ChecksumKind, grammar::Source},
        fetch::{Fetched, Fetcher},
        progress::Progress,
        source::{self, Listed, Part},
    },
};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::origin::{Behavior, Origin};

struct Bench {
    origin: Origin,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { origin: Origin::start(), folder: tempfile::tempdir().unwrap() }
    }

    fn fetcher(&self) -> Fetcher {
        let mut settings = IngestSettings::new(self.folder.path().join("scratch"));
        settings.allow_private_sources = true;
        settings.fetch.pause = Duration::ZERO;
        settings.fetch.backoff = Duration::from_millis(2);
        Fetcher::new(&settings, Progress::silent()).unwrap()
    }

    /// A source written in TOML, `ORIGIN` in place of the origin's address.
    fn source(&self, text: &str) -> Source {
        toml::from_str(&text.replace("ORIGIN", &self.origin.url(""))).unwrap()
    }

    async fn list(&self, text: &str) -> Result<Listed, Failure> {
        source::list(&self.source(text), "it", self.folder.path(), &self.fetcher(), now()).await
    }

    fn list_sample(&self, text: &str, names: &[&str]) -> Result<Listed, Failure> {
        let sample = self.folder.path().join("sample");
        std::fs::remove_dir_all(&sample).unwrap_or_default();
        for name in names {
            let path = sample.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        source::list_sample(&self.source(text), "it", self.folder.path(), now())
    }

    /// Addresses of the parts, without the origin's.
    fn addresses(&self, listed: &Listed) -> Vec<String> {
        listed.parts.iter().map(|part| part.name.replace(&self.origin.url(""), "")).collect()
    }
}

fn now() -> DateTime<Utc> {
    "2026-11-03T04:30:00Z".parse().unwrap()
}

fn variables(part: &Part) -> Vec<(&str, &str)> {
    part.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[track_caller]
fn assert_says<T: std::fmt::Debug>(result: Result<T, Failure>, blame: Blame, words: &[&str]) {
    let failure = result.unwrap_err();
    assert_eq!(failure.blame, blame, "{failure}");
    for word in words {
        assert!(failure.message.contains(word), "`{word}` is missing from: {failure}");
    }
}

const WIKI: &str = r#"
    listing = "ORIGIN/simplewiki/"
    match = "(?<date>\\d{8})/"
    status = { url = "ORIGIN/simplewiki/{date}/dumpstatus.json", files = "/jobs/articlesmultistreamdump/files", ready = { pointer = "/jobs/articlesmultistreamdump/status", equals = "done" }, base = "ORIGIN", match = "multistream\\d*\\.xml.*\\.bz2$" }
"#;

fn dump_status(date: &str, status: &str, parts: &[(&str, &[u8])]) -> String {
    let files: Vec<String> = parts
        .iter()
        .map(|(name, body)| {
            let (size, sha1) = (body.len(), hex::encode(Sha1::digest(body)));
            format!(r#""{name}":{{"url":"/simplewiki/{date}/{name}","size":{size},"sha1":"{sha1}"}}"#)
        })
        .collect();
    let files = files.join(",");
    format!(r#"{{"version":"0.8","jobs":{{"articlesmultistreamdump":{{"status":"{status}","files":{{{files}}}}}}}}}"#)
}

#[tokio::test]
async fn a_wiki_dump_is_taken_when_its_status_says_done() {
    let bench = Bench::new();
    let parts: [(&str, &[u8]); 3] = [
        ("w-multistream10.xml-p9p10.bz2", b"ten"),
        ("w-multistream2.xml-p1p8.bz2", b"two"),
        ("w-multistream-index2.txt-p1p8.bz2", b"index"),
    ];
    for (date, status) in [("20261001", "done"), ("20261101", "in-progress")] {
        let path = format!("/simplewiki/{date}/");
        bench.origin.put(&format!("{path}dumpstatus.json"), dump_status(date, status, &parts));
        for (name, body) in parts {
            bench.origin.put(&format!("{path}{name}"), body);
        }
    }
    bench.origin.put("/simplewiki/20261103/still-empty", "");

    let listed = bench.list(WIKI).await.unwrap();
    assert_eq!(
        bench.addresses(&listed),
        ["/simplewiki/20261001/w-multistream2.xml-p1p8.bz2", "/simplewiki/20261001/w-multistream10.xml-p9p10.bz2"]
    );
    assert_eq!(listed.upstream_version.as_deref(), Some("20261001"));
    let [two, _] = listed.parts.as_slice() else { panic!("two parts") };
    assert_eq!(variables(two), [("date", "20261001")]);
    assert_eq!(two.time, Some("2026-10-02T00:00:00Z".parse().unwrap()));
    assert_eq!(two.files[0].bytes, Some(3));
    assert_eq!(two.files[0].checksum, Some((ChecksumKind::Sha1, hex::encode(Sha1::digest(b"two")))));
    let [empty, unfinished] = listed.notes.as_slice() else { panic!("two notes: {:?}", listed.notes) };
    assert!(empty.contains("20261103") && empty.contains("404"), "{empty}");
    assert!(unfinished.contains("20261101") && unfinished.contains("`in-progress`"), "{unfinished}");
    assert!(matches!(bench.fetcher().fetch(&two.files[0], None, now()).await.unwrap(), Fetched::File(_)));

    // A file that is not what the status document says never becomes data.
    bench.origin.put("/simplewiki/20261001/w-multistream2.xml-p1p8.bz2", "owt");
    let damaged = bench.fetcher().fetch(&two.files[0], None, now()).await;
    assert_says(damaged, Blame::Upstream, &["w-multistream2", "sha1"]);

    bench.origin.put("/simplewiki/20261101/dumpstatus.json", dump_status("20261101", "done", &parts));
    assert_eq!(bench.list(WIKI).await.unwrap().upstream_version.as_deref(), Some("20261101"));

    for date in ["20261001", "20261101"] {
        let waiting = dump_status(date, "waiting", &[]);
        bench.origin.put(&format!("/simplewiki/{date}/dumpstatus.json"), waiting);
    }
    assert_says(bench.list(WIKI).await, Blame::Upstream, &["no run is complete", "20261001", "20261101", "`waiting`"]);
    bench.origin.put_with("/simplewiki/20261101/dumpstatus.json", Behavior::html("<html>sorry"));
    bench.origin.remove("/simplewiki/20261103/still-empty");
    assert_says(bench.list(WIKI).await, Blame::Upstream, &["20261101/dumpstatus.json", "HTML page"]);
}

#[tokio::test]
async fn a_wiki_sample_binds_the_date_of_its_file_names() {
    let bench = Bench::new();
    let names = ["simplewiki-20260920-multistream-index.txt.bz2", "simplewiki-20260920-multistream.xml.bz2"];
    let listed = bench.list_sample(WIKI, &names).unwrap();
    let [part] = listed.parts.as_slice() else { panic!("{listed:?}") };
    assert!(part.name.ends_with("/simplewiki/20260920/simplewiki-20260920-multistream.xml.bz2"), "{}", part.name);
    assert_eq!(variables(part), [("date", "20260920")]);
    assert_eq!(part.files[0].local, Some(bench.folder.path().join("sample").join(names[1])));
}

const MUSIC: &str = r#"
    latest = "ORIGIN/fullexport/LATEST"
    url = "ORIGIN/fullexport/{latest}/mbdump.tar.bz2"
    checksum = { url = "ORIGIN/fullexport/{latest}/SHA256SUMS" }
"#;

#[tokio::test]
async fn a_pointer_file_names_the_run_and_its_checksums() {
    let bench = Bench::new();
    let sum = hex::encode(Sha256::digest("tar"));
    bench.origin.put("/fullexport/LATEST", "20261031-002137\n");
    bench.origin.put("/fullexport/20261031-002137/mbdump.tar.bz2", "tar");
    bench.origin.put("/fullexport/20261031-002137/SHA256SUMS", format!("{sum} *mbdump.tar.bz2\n{sum} *other\n"));
    let listed = bench.list(MUSIC).await.unwrap();
    assert_eq!(listed.upstream_version.as_deref(), Some("20261031-002137"));
    assert_eq!(bench.addresses(&listed), ["/fullexport/20261031-002137/mbdump.tar.bz2"]);
    assert_eq!(variables(&listed.parts[0]), [("latest", "20261031-002137")]);
    assert_eq!(listed.parts[0].files[0].checksum, Some((ChecksumKind::Sha256, sum)));

    bench.origin.put("/fullexport/20261031-002137/SHA256SUMS", "nothing of ours\n");
    assert_says(bench.list(MUSIC).await, Blame::Upstream, &["SHA256SUMS", "sha256", "mbdump.tar.bz2"]);
    bench.origin.remove("/fullexport/20261031-002137/SHA256SUMS");
    assert_says(bench.list(MUSIC).await, Blame::Upstream, &["SHA256SUMS", "404"]);
    for (text, shown) in
        [("<html>sorry</html>", "<html>"), ("../../etc", "../../etc"), ("two words", "two words"), ("", "``")]
    {
        bench.origin.put("/fullexport/LATEST", text);
        assert_says(bench.list(MUSIC).await, Blame::Upstream, &["LATEST", "one word", shown]);
    }

    let sample = bench.list_sample(MUSIC, &["mbdump.tar.bz2"]).unwrap();
    assert_eq!(variables(&sample.parts[0]), [("latest", "sample")]);
    assert_eq!(bench.addresses(&sample), ["/fullexport/sample/mbdump.tar.bz2"]);
    assert_eq!(sample.parts[0].files[0].checksum, None);
}

const HOURS: &str = r#"
    url = "ORIGIN/{hour:%Y}/{hour:%Y-%m}/views-{hour:%Y%m%d-%H}0000.gz"
    each.hour = { from = "2026-11-03T02", to = "now", step = "1h" }
    missing = "gap"
"#;

#[tokio::test]
async fn hours_are_parts_with_their_time() {
    let bench = Bench::new();
    let listed = bench.list(HOURS).await.unwrap();
    assert_eq!(
        bench.addresses(&listed),
        ["02", "03", "04"].map(|hour| format!("/2026/2026-11/views-20261103-{hour}0000.gz"))
    );
    assert_eq!(variables(&listed.parts[0]), [("hour", "2026-11-03T02:00:00Z")]);
    assert_eq!(listed.parts[0].time, Some("2026-11-03T03:00:00Z".parse().unwrap()));
    assert_eq!(bench.origin.requests().len(), 0, "nothing is asked before a part is fetched");

    let sample =
        bench.list_sample(HOURS, &["views-20261101-010000.gz", "views-20250101-230000.gz", "notes.txt"]).unwrap();
    assert_eq!(variables(&sample.parts[1]), [("hour", "2026-11-01T01:00:00Z")]);
    assert_eq!(
        bench.addresses(&sample),
        ["/2025/2025-01/views-20250101-230000.gz", "/2026/2026-11/views-20261101-010000.gz"]
    );
    let none = bench.list_sample(HOURS, &["other.gz"]);
    assert_says(none, Blame::Definition, &["views-{hour:%Y%m%d-%H}0000.gz", "other.gz"]);
}

#[tokio::test]
async fn lists_combine_and_written_times_become_times() {
    let bench = Bench::new();
    let text = r#"
        url = "ORIGIN/{wiki}/{day:%Y%m%d}-{n}.csv"
        each = { wiki = ["simple", "de"], day = ["2026-01-01"], n = { from = 9, to = 10 } }
    "#;
    let listed = bench.list(text).await.unwrap();
    assert_eq!(
        bench.addresses(&listed),
        ["/simple/20260101-9.csv", "/simple/20260101-10.csv", "/de/20260101-9.csv", "/de/20260101-10.csv"]
    );
    assert_eq!(variables(&listed.parts[0]), [("day", "2026-01-01T00:00:00Z"), ("n", "9"), ("wiki", "simple")]);
    let sample = bench.list_sample(text, &["20260101-10.csv", "20260101-x.csv", "20260101-9.csv"]).unwrap();
    assert_eq!(bench.addresses(&sample), ["/simple/20260101-9.csv", "/simple/20260101-10.csv"]);
    let listed_letters = r#"
        url = "ORIGIN/{part}.tsv.{letter}"
        each = { part = ["A", "B"], letter = ["a", "b"] }
    "#;
    let sample = bench.list_sample(listed_letters, &["A.tsv.b", "B.tsv.c"]).unwrap();
    assert_eq!(variables(&sample.parts[0]), [("letter", "b"), ("part", "A")]);
    assert_eq!(sample.parts.len(), 1, "c is not in the list");
}

#[tokio::test]
async fn a_page_of_links_becomes_parts() {
    let bench = Bench::new();
    for name in ["data-10.csv", "data-9.csv", "readme.txt", "old/data-1.csv"] {
        bench.origin.put(&format!("/files/{name}"), "x");
    }
    let text = r#"
        listing = "ORIGIN/files/"
        match = "^data-(?<n>\\d+)\\.csv$"
    "#;
    let listed = bench.list(text).await.unwrap();
    assert_eq!(bench.addresses(&listed), ["/files/data-9.csv", "/files/data-10.csv"]);
    assert_eq!(variables(&listed.parts[1]), [("n", "10")]);
    let sample = bench.list_sample(text, &["data-3.csv", "x.csv"]).unwrap();
    assert_eq!(
        (bench.addresses(&sample), variables(&sample.parts[0])),
        (vec!["/files/data-3.csv".into()], vec![("n", "3")])
    );

    let none = text.replace("data-", "nothing-");
    assert_says(bench.list(&none).await, Blame::Definition, &["/files/", "none of its 4 links", "nothing-"]);
    let gone = text.replace("/files/", "/gone/");
    assert_says(bench.list(&gone).await, Blame::Upstream, &["/gone/", "404"]);
    let listed = bench.list(&format!("missing = \"gap\"\n{gone}")).await.unwrap();
    assert_eq!((listed.parts.len(), listed.gaps.len()), (0, 1));
    assert!(listed.gaps[0].url.ends_with("/gone/") && listed.gaps[0].source == "it");

    // Folders found in a listing fill an address.
    let folders = r#"
        listing = "ORIGIN/files/"
        match = "(?<folder>[a-z]+)/$"
        url = "ORIGIN/files/{folder}/data-1.csv"
    "#;
    assert_eq!(bench.addresses(&bench.list(folders).await.unwrap()), ["/files/old/data-1.csv"]);

    // A listing for each year.
    bench.origin.put("/2024/a.csv", "x");
    bench.origin.put("/2025/a.csv", "x");
    let years = r#"
        listing = "ORIGIN/{year}/"
        match = "\\.csv$"
        each.year = { from = 2024, to = 2025 }
    "#;
    let listed = bench.list(years).await.unwrap();
    assert_eq!(bench.addresses(&listed), ["/2024/a.csv", "/2025/a.csv"]);
    assert_eq!(variables(&listed.parts[1]), [("year", "2025")]);
}

#[tokio::test]
async fn a_bucket_is_listed_to_its_end_and_checksum_files_bring_checksums() {
    let bench = Bench::new();
    let page = |keys: &[&str], rest: &str| {
        let keys: String =
            keys.iter().map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>")).collect();
        format!("<?xml version=\"1.0\"?>\n<ListBucketResult><Name>b</Name>{keys}{rest}</ListBucketResult>")
    };
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t/2</NextContinuationToken>";
    bench.origin.put("/?list-type=2", page(&["y/a-2.csv", "y/b.txt"], more));
    bench
        .origin
        .put("/?list-type=2&continuation-token=t%2F2", page(&["y/a-10.csv"], "<IsTruncated>false</IsTruncated>"));
    let listed = bench.list("listing = \"ORIGIN/?list-type=2\"\nmatch = 'a-(?<n>\\d+)\\.csv$'").await.unwrap();
    assert_eq!(bench.addresses(&listed), ["/y/a-2.csv", "/y/a-10.csv"]);
    assert_eq!(listed.parts[0].files[0].bytes, Some(1));

    let md5 = hex::encode(Md5::digest("x"));
    bench.origin.put("/d/MD5SUMS", format!("{md5}  a.csv\n{md5}  sub/b.csv\n"));
    let listed = bench.list("listing = \"ORIGIN/d/MD5SUMS\"\nmatch = '\\.csv$'").await.unwrap();
    assert_eq!(bench.addresses(&listed), ["/d/a.csv", "/d/sub/b.csv"]);
    assert_eq!(listed.parts[0].files[0].checksum, Some((ChecksumKind::Md5, md5)));
}

#[tokio::test]
async fn one_file_several_files_and_local_files() {
    let bench = Bench::new();
    let one = bench.list("url = 'ORIGIN/a.csv'\nchecksum = { sha256 = '00ff' }").await.unwrap();
    assert_eq!(bench.addresses(&one), ["/a.csv"]);
    assert_eq!(one.parts[0].files[0].checksum, Some((ChecksumKind::Sha256, "00ff".into())));
    assert_eq!(one.parts[0].source, "it");

    let several = bench.list("urls = ['ORIGIN/b.csv', 'ORIGIN/a.csv']").await.unwrap();
    assert_eq!((bench.addresses(&several), several.parts[0].files.len()), (vec!["/b.csv".to_owned()], 2));
    let sample = bench.list_sample("urls = ['ORIGIN/x/b.csv', 'ORIGIN/a%20b.csv?x=1']", &["a b.csv", "b.csv"]).unwrap();
    assert_eq!(sample.parts[0].files[1].local, Some(bench.folder.path().join("sample/a b.csv")));
    assert_says(bench.list_sample("url = 'ORIGIN/x/b.csv'", &["a.csv"]), Blame::Definition, &["`b.csv`", "a.csv"]);

    std::fs::write(bench.folder.path().join("local.csv"), "x").unwrap();
    let local = bench.list("path = 'local.csv'").await.unwrap();
    assert_eq!(local.parts[0].name, "local.csv");
    assert!(matches!(bench.fetcher().fetch(&local.parts[0].files[0], None, now()).await.unwrap(), Fetched::File(_)));
    let sample = bench.list_sample("path = 'data/local.csv'", &["local.csv"]).unwrap();
    assert_eq!(sample.parts[0].files[0].local, Some(bench.folder.path().join("sample/local.csv")));
}

#[test]
fn every_shipped_sample_is_found_by_its_source() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets");
    for id in definition::list(&folder).unwrap() {
        let loaded = definition::load(&folder, &id).unwrap();
        let inline = loaded.definition.tables.iter().filter_map(|table| match &table.source {
            openshelf::ingest::definition::grammar::SourceRef::Inline(source) if source.name.is_none() => {
                Some(&**source)
            }
            _ => None,
        });
        for source in loaded.definition.sources.iter().chain(inline) {
            let listed = source::list_sample(source, "it", &folder.join(id.as_str()), now())
                .unwrap_or_else(|failure| panic!("{id}: {failure}"));
            for part in &listed.parts {
                let file = part.files.first().unwrap();
                assert!(file.local.as_ref().unwrap().is_file(), "{id}: {file:?}");
                assert!(!part.name.contains(['{', '}']), "{id}: {}", part.name);
            }
        }
    }
}
