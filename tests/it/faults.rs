//! Everything that goes wrong upstream, in a definition or between two runs: it never becomes data, the snapshot there is
//! stays, and the run says what it was and who must act.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    origin::{Behavior, Origin},
    pack::{gz, sha256, tar, zst},
    shop::{Server, Shop, table},
};

/// One published snapshot of one row, and a server over it.
struct Fine {
    origin: Origin,
    shop: Shop,
    server: Server,
}

const GOOD: &str = "id,name\n1,good\n";

impl Fine {
    fn new() -> Self {
        let (origin, shop) = (Origin::start(), Shop::new());
        origin.put("/data", gz(GOOD));
        let columns = "primary_key = [\"id\"]\ncolumn = [{ name = \"id\", type = \"int64\" }, { name = \"name\" }]\n";
        shop.define("f", &(table("t", &origin.url("/data"), "{ type = \"csv\" }") + columns));
        shop.ingest("f").published_whole();
        let server = shop.serve();
        Self { origin, shop, server }
    }

    /// Upstream goes wrong; the run must name it, blame upstream and leave the snapshot alone.
    #[track_caller]
    fn upstream(&self, behavior: Behavior, words: &[&str]) -> Value {
        self.origin.put_with("/data", behavior);
        let record = self.shop.ingest("f").failed(3, "upstream", words);
        self.stays();
        let runs = self.server.runs("f");
        assert_eq!((&runs[0]["outcome"], &runs[0]["blame"]), (&json!("failed"), &json!("upstream")));
        assert_eq!(runs[0]["message"], record["message"]);
        record
    }

    #[track_caller]
    fn stays(&self) {
        assert_eq!(self.server.snapshot("f"), 1, "something was published");
        assert_eq!(self.server.rows("f", "t"), [json!({"id": 1, "name": "good"})]);
    }

    /// Upstream recovers: the next run takes it.
    #[track_caller]
    fn recovers(&self) {
        self.origin.put("/data", gz("id,name\n1,good\n2,new\n"));
        self.shop.ingest("f").published_whole();
        assert_eq!(self.server.snapshot("f"), 2);
        assert_eq!(self.server.rows("f", "t").len(), 2);
    }
}

#[test]
fn answers_that_are_no_data() {
    let fine = Fine::new();
    let page = "<!DOCTYPE html><html><body>id,name</body></html>";
    let url = fine.origin.url("/data");
    fine.upstream(Behavior::status(500), &[&url, "500"]);
    assert!(fine.origin.count("/data") >= 3, "a 500 is tried again");
    fine.upstream(Behavior::status(503), &[&url, "503"]);
    fine.upstream(Behavior::status(403), &[&url, "403"]);
    fine.upstream(Behavior::status(404), &[&url, "404"]);
    fine.upstream(Behavior::html(page), &[&url, "HTML"]);
    fine.upstream(Behavior::file(page).content_type("text/csv"), &[&url, "HTML"]);
    fine.upstream(Behavior::file(gz(page)), &[&url]);
    fine.upstream(Behavior::file(""), &[&url, "empty"]);
    fine.upstream(Behavior::file(gz("")), &["t"]);
    fine.upstream(Behavior::file(gz("id,name\n")), &["t", "empty"]);
    fine.recovers();
}

#[test]
fn bodies_that_end_too_soon() {
    let fine = Fine::new();
    let url = fine.origin.url("/data");
    let body: String = (0..5000).map(|at| format!("{at},row {at}\n")).collect();
    let body = gz(format!("id,name\n{body}"));
    let cut = || Behavior::file(body.clone()).no_ranges();
    fine.upstream(cut().cut(1000, 50), &[&url]);
    fine.upstream(cut().declare(body.len() as u64 + 10), &[&url]);
    fine.upstream(cut().chunked().cut(1000, 50), &[&url]);
    // Whole as HTTP goes, yet upstream's own file is cut short.
    fine.upstream(Behavior::file(body[..body.len() / 2].to_vec()), &[&url]);
    fine.upstream(Behavior::file(body[..body.len() - 4].to_vec()), &[&url]);
    let mut flipped = body.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 0xff;
    fine.upstream(Behavior::file(flipped), &[&url]);
    fine.recovers();
}

#[test]
fn a_cut_that_heals_is_resumed_and_429_waits_as_long_as_asked() {
    let fine = Fine::new();
    let body =
        gz((0..5000).map(|at| format!("{at},row {at}\n")).fold("id,name\n".to_owned(), |text, line| text + &line));
    fine.origin.forget_requests();
    fine.origin.put_with("/data", Behavior::file(body.clone()).cut(2000, 1));
    fine.shop.ingest("f").published_whole();
    assert_eq!(fine.server.rows("f", "t").len(), 5000);
    let requests = fine.origin.requests_to("/data");
    assert!(
        requests.iter().any(|request| request.status == 206 && request.header("if-range").is_some()),
        "{requests:?}"
    );

    fine.origin.put_with("/data", Behavior::file(gz(GOOD)).too_many("1", 1));
    let began = Instant::now();
    fine.shop.ingest("f").published_whole();
    assert!(began.elapsed() >= Duration::from_secs(1), "Retry-After was not heeded");

    fine.origin.put_with("/data", Behavior::file(gz(GOOD)).header("x", "y").etag("\"other\"").too_many("0", 50));
    fine.shop.ingest("f").failed(3, "upstream", &["429"]);
}

#[test]
fn wrong_checksums_and_sizes() {
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/a.csv", "id\n1\n");
    origin.put("/SUMS", format!("{}  a.csv\n", sha256(b"id\n1\n")));
    let text = format!(
        "[[table]]\nname = \"t\"\nsource = {{ url = \"{}\", checksum = {{ url = \"{}\", type = \"sha256\" }} }}\nformat = {{ type = \"csv\" }}\n",
        origin.url("/a.csv"),
        origin.url("/SUMS")
    );
    shop.define("f", &text);
    shop.ingest("f").published_whole();
    origin.put("/a.csv", "id\n666\n");
    shop.ingest("f").failed(3, "upstream", &["a.csv", "sha256"]);
    // The sums file itself is gone, or does not name the file.
    origin.put("/SUMS", format!("{}  b.csv\n", sha256(b"x")));
    shop.ingest("f").failed(3, "upstream", &["a.csv"]);
    origin.remove("/SUMS");
    shop.ingest("f").failed(3, "upstream", &["SUMS"]);
    let server = shop.serve();
    assert_eq!((server.snapshot("f"), server.rows("f", "t")), (1, vec![json!({"id": 1})]));
}

#[test]
fn bombs_are_refused() {
    let fine = Fine::new();
    let mut line = vec![b'a'; 1 << 20];
    line.push(b'\n');
    let mut text = b"id,name\n".to_vec();
    for _ in 0..200 {
        text.extend_from_slice(&line);
    }
    let bomb = zst(&text);
    assert!(bomb.len() < 100_000);
    let record = fine.shop_with_upstream(bomb.clone());
    assert!(record["message"].as_str().unwrap().contains("1000"), "the cap is not named: {record}");
    let inside = tar(&[("a.csv", &text)]);
    fine.shop_with_upstream(zst(inside));
    fine.recovers();
}

impl Fine {
    /// Upstream serves this; whoever is blamed, the snapshot stays.
    #[track_caller]
    fn shop_with_upstream(&self, body: Vec<u8>) -> Value {
        self.origin.put("/data", body);
        let ran = self.shop.ingest("f");
        assert!(matches!(ran.code, Some(2 | 3)), "{ran}");
        self.stays();
        ran.record()
    }
}

#[test]
fn an_archive_cannot_reach_out_of_its_place() {
    let fine = Fine::new();
    let mut archive = tar(&[("0000/escape.csv", b"id,name\n1,good\n")]);
    // The name's bytes, and the header's checksum with them.
    archive[..15].copy_from_slice(b"../.escaped.csv");
    let sum: u32 = archive[..512]
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    fine.origin.put("/data", archive);
    let ran = fine.shop.ingest("f");
    assert!(ran.code.is_some(), "{ran}");
    assert!(!fine.shop.path(".escaped.csv").exists() && !fine.shop.path("scratch/.escaped.csv").exists());
}

#[test]
fn faults_of_a_definition_are_all_said_at_once() {
    let shop = Shop::new();
    shop.define_whole(
        "f",
        "titel = \"F\"\ntitle = \"F\"\nlicense = { id = \"CC0-1.0\", url = \"https://example.org\", redistribution = \"free\" }\n\n[[table]]\nname = \"t\"\nsource = { url = \"https://example.org/a.csv\" }\nformat = { type = \"cvs\" }\n",
    );
    let ran = shop.ingest("f");
    ran.refused(&[
        "3 faults",
        "dataset.toml:1:",
        "titel",
        "title",
        "dataset.toml:3:",
        "free",
        "dataset.toml:8:",
        "cvs",
        "csv",
    ]);
    assert!(!shop.path("store/f").exists());
    // One that cannot be followed, though it is well-formed.
    shop.define("g", "[[table]]\nname = \"t\"\nsource = { url = \"https://example.org/a.csv\", pages = { next = \"/next\" } }\nformat = { type = \"csv\" }\n");
    shop.ingest("g").refused(&["pages", "not built yet"]);
}

#[test]
fn what_a_script_does_wrong_is_said() {
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/data", "x\n");
    let text = table("t", &origin.url("/data"), "{ type = \"script\", command = [\"./rows\"] }")
        + "column = [{ name = \"id\", type = \"int64\" }]\n";
    shop.define("f", &text);
    let script = |body: &str| shop.script("f", "rows", &format!("#!/bin/sh\n{body}\n"));
    script("cat >/dev/null; echo '{\"id\": 1}'");
    shop.define("f", &text);
    shop.ingest("f").published_whole();
    // From here on upstream has something new each time, so that the script runs.
    let upstream = |at: usize| origin.put("/data", format!("{at}\n"));

    upstream(1);
    script("cat >/dev/null; echo '{\"id\": 2}'; echo 'no such luck' >&2; exit 3");
    let ran = shop.ingest("f");
    let record = ran.failed(2, "definition", &["3"]);
    let said = record["script_output"].to_string();
    assert!(said.contains("no such luck"), "its standard error is not in the run record: {record}");

    upstream(2);
    script("cat >/dev/null; echo 'this is no JSON'");
    let ran = shop.ingest("f");
    assert_eq!(ran.code, Some(2), "{ran}");

    upstream(3);
    script("cat >/dev/null; kill -9 $$");
    let ran = shop.ingest("f");
    assert_eq!(ran.code, Some(2), "{ran}");

    let server = shop.serve();
    assert_eq!((server.snapshot("f"), server.rows("f", "t")), (1, vec![json!({"id": 1})]));
}

#[test]
fn a_script_writes_nowhere() {
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/data", "x\n");
    let target = shop.path("datasets/f/written");
    let home = shop.path("written");
    shop.script(
        "f",
        "rows",
        &format!(
            "#!/bin/sh\ncat >/dev/null\nfor file in '{}' '{}'; do if (echo x >\"$file\") 2>/dev/null; then echo '{{\"written\": true}}'; else echo '{{\"written\": false}}'; fi; done\n",
            target.display(),
            home.display()
        ),
    );
    shop.define(
        "f",
        &(table("t", &origin.url("/data"), "{ type = \"script\", command = [\"./rows\"] }")
            + "column = [{ name = \"written\", type = \"bool\" }]\n"),
    );
    shop.ingest("f").published_whole();
    assert!(!target.exists() && !home.exists(), "a script wrote outside of its place");
    assert_eq!(shop.rows("f", "t"), vec![json!({"written": false}); 2]);
}

#[test]
fn a_script_has_no_network() {
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/data", "x\n");
    origin.put("/secret", "secret\n");
    shop.script(
        "f",
        "rows.py",
        "#!/usr/bin/env python3\nimport json, os, sys, urllib.request\nsys.stdin.buffer.read()\ntry:\n    urllib.request.urlopen(os.environ['OPENSHELF_URL'].replace('/data', '/secret'), timeout=5).read()\n    print(json.dumps({'network': True}))\nexcept OSError as error:\n    print(json.dumps({'network': False}))\n",
    );
    shop.define(
        "f",
        &(table("t", &origin.url("/data"), "{ type = \"script\", command = [\"./rows.py\"] }")
            + "column = [{ name = \"network\", type = \"bool\" }]\n"),
    );
    shop.ingest("f").published_whole();
    assert_eq!(shop.rows("f", "t"), [json!({"network": false})]);
    assert_eq!(origin.count("/secret"), 0);
}

#[test]
fn two_ingests_at_once_tear_nothing() {
    let (origin, shop) = (Origin::start(), Shop::new());
    let body: String = (0..2000).map(|at| format!("{at},row {at}\n")).collect();
    let body = format!("id,name\n{body}");
    origin.put_with("/data", Behavior::file(body.clone()).drip(body.len() / 10, Duration::from_millis(30)));
    shop.define("f", &table("t", &origin.url("/data"), "{ type = \"csv\" }"));
    let runs: Vec<_> = (0..3).map(|_| shop.start(&["ingest", "f", "--json"])).collect();
    let ended: Vec<_> = runs.into_iter().map(crate::shop::Started::wait).collect();
    let codes: Vec<_> = ended.iter().map(|ran| ran.code.unwrap()).collect();
    assert!(codes.contains(&0), "nobody won: {codes:?}");
    for ran in &ended {
        match ran.code.unwrap() {
            0 => {}
            4 => {
                assert!(ran.record()["message"].as_str().unwrap().contains("another run"), "{ran}");
            }
            _ => panic!("{ran}"),
        }
    }
    let published = ended.iter().filter(|ran| ran.code == Some(0) && ran.record()["outcome"] == "published").count();
    let server = shop.serve();
    assert_eq!(server.snapshot("f") as usize, published, "a snapshot for each winner");
    let rows = server.rows("f", "t");
    assert_eq!(rows.len(), 2000);
    assert!(rows.iter().enumerate().all(|(at, row)| row["id"] == at && row["name"] == format!("row {at}")));
    assert_eq!(server.runs("f").len(), 3, "each has its run record");
    shop.ingest("f").unchanged();
}

#[test]
fn who_comes_second_says_so_and_publishes_nothing() {
    let (origin, shop) = (Origin::start(), Shop::new());
    let slow = "id,name\n".to_owned() + &"1,slow\n".repeat(100);
    origin.put_with("/slow", Behavior::file(slow.clone()).drip(slow.len() / 20, Duration::from_millis(150)));
    origin.put("/fast", "id,name\n2,fast\n");
    shop.define("f", &table("t", &origin.url("/slow"), "{ type = \"csv\" }"));
    let late = shop.start(&["ingest", "f", "--json"]);
    // The first has read its definition and the number of the current snapshot once it asks upstream.
    let began = std::time::Instant::now();
    while origin.requests_to("/slow").is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "the first run never asked upstream");
        std::thread::sleep(Duration::from_millis(10));
    }
    shop.define("f", &table("t", &origin.url("/fast"), "{ type = \"csv\" }"));
    shop.ingest("f").published();
    let late = late.wait();
    late.failed(4, "internal", &["another run"]);
    let server = shop.serve();
    assert_eq!(server.snapshot("f"), 1);
    assert_eq!(server.rows("f", "t")[0]["name"], "fast");
}

#[test]
fn an_address_that_definitions_may_not_name() {
    let origin = Origin::start();
    origin.put("/data", GOOD);
    let shop = Shop::new().env("OPENSHELF_ALLOW_PRIVATE_SOURCES", None);
    shop.define("f", &table("t", &origin.url("/data"), "{ type = \"csv\" }"));
    let ran = shop.ingest("f");
    ran.failed(2, "definition", &["127.0.0.1", "OPENSHELF_ALLOW_PRIVATE_SOURCES"]);
    assert_eq!(origin.requests().len(), 0, "it was asked all the same");
}
