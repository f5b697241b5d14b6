//! The same service on S3: processes that share nothing but a bucket, over a network where requests get lost.

pub(crate) mod exports;
mod proxy;
mod seaweed;

use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::{
    proxy::{Asked, Fault, Proxy},
    seaweed::{KEY, SECRET, Seaweed},
};
use crate::{
    origin::Origin,
    shop::{Server, Shop},
};

/// A bucket, the way to it, and shops that share nothing else.
struct Cloud {
    store: String,
    proxy: Proxy,
    seaweed: Arc<Seaweed>,
}

impl Cloud {
    #[expect(clippy::print_stderr, reason = "a test that was not run says so")]
    fn new(bucket: &str) -> Option<Self> {
        let Some(seaweed) = Seaweed::shared() else {
            eprintln!("{bucket}: not run, OPENSHELF_TEST_FAST=1 is set");
            return None;
        };
        seaweed.bucket(bucket);
        let proxy = Proxy::before(&seaweed.address);
        Some(Self { store: format!("s3://{bucket}/a/shelf"), proxy, seaweed })
    }

    /// A machine of its own: no file in common with the others.
    fn shop(&self) -> Shop {
        let endpoint = format!("http://{}", self.proxy.address);
        Shop::new()
            .env("OPENSHELF_STORE", Some(&self.store))
            .env("AWS_ENDPOINT_URL", Some(&endpoint))
            .env("AWS_ACCESS_KEY_ID", Some(KEY))
            .env("AWS_SECRET_ACCESS_KEY", Some(SECRET))
            .env("AWS_REGION", Some("us-east-1"))
            .env("OPENSHELF_CACHE", Some("cache"))
    }
}

fn define(shop: &Shop, origin: &Origin) {
    shop.define(
        "f",
        &format!(
            "retention = \"0s\"\n[[table]]\nname = \"t\"\nsource = {{ url = \"{}\", each = {{ part = {{ from = 0, to = 1 }} }} }}\nformat = {{ type = \"csv\" }}\nprimary_key = [\"id\"]\ncolumn = [{{ name = \"id\", type = \"int64\" }}, {{ name = \"version\", type = \"int64\" }}, {{ name = \"title\", search = true }}]\n",
            origin.url("/{part}.csv")
        ),
    );
}

const ROWS: u64 = 2000;

/// Two parts; the second one is the same in all versions.
fn put(origin: &Origin, version: u64) {
    for part in 0..2 {
        let version = if part == 1 { 0 } else { version };
        let mut text = String::from("id,version,title\n");
        for row in 0..ROWS {
            let id = part * ROWS + row;
            let rare = if id % 1000 == 7 { " needle" } else { "" };
            text.push_str(&format!("{id},{version},title {id}{rare} {:x}\n", id.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        }
        origin.put(&format!("/{part}.csv"), text);
    }
}

#[track_caller]
fn holds(server: &Server, version: u64) {
    let rows = server.rows("f", "t");
    assert_eq!(rows.len() as u64, 2 * ROWS);
    for (at, row) in rows.iter().enumerate() {
        let expected = if at as u64 >= ROWS { 0 } else { version };
        assert!(row["id"] == at && row["version"] == expected, "{row}, not version {version}");
    }
}

#[track_caller]
fn until(what: &str, longest: Duration, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < longest, "{what}: not done after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn processes_that_share_nothing_but_a_bucket() {
    let Some(cloud) = Cloud::new("whole") else { return };
    let origin = Origin::start();
    let (ingests, serves) = (cloud.shop(), cloud.shop());
    define(&ingests, &origin);
    put(&origin, 1);
    ingests.ingest("f").published_whole();
    let server = serves.serve();
    holds(&server, 1);
    cloud.proxy.take();
    ingests.ingest("f").unchanged();
    assert_eq!(cloud.proxy.count("UploadPart") + cloud.proxy.count("CreateMultipartUpload"), 0);
    assert!(cloud.proxy.count("PutObject") <= 1, "only the run's record: {:?}", cloud.proxy.take());
    for version in 2..=4 {
        put(&origin, version);
        ingests.ingest("f").published_whole();
        holds(&server, version);
    }

    // Everything that is asked of a server.
    let sum = server.json("/v1/sql?query=select+sum(version)+s,count(*)+n+from+f.t");
    assert_eq!(sum["rows"], json!([{"s": 4 * ROWS, "n": 2 * ROWS}]));
    let slice = server.json("/v1/datasets/f/tables/t/rows?where=id=1007&select=title");
    assert!(slice["rows"][0]["title"].as_str().unwrap().contains("needle"), "{slice}");
    until("statistics", Duration::from_secs(60), || {
        let about = server.json("/v1/datasets/f/tables/t");
        about["statistics_state"] == "complete" && about["columns"][0]["statistics"]["max"] == 2 * ROWS - 1
    });
    let search = "/v1/datasets/f/tables/t/search?q=needle&count=exact";
    until("a search index", Duration::from_secs(60), || server.get(search).status == 200);
    assert_eq!(server.json(search)["row_count"]["value"], 4);
    let changes = server.json("/v1/datasets/f/tables/t/changes?from=3&count=exact");
    assert_eq!(changes["changes"]["changed"], ROWS, "{changes}");
    let posted = server.post("/v1/extracts", &json!({"query": "select id from f.t where id < 100"}));
    let told: Value = serde_json::from_slice(&posted.body).unwrap();
    let address = format!("/v1/extracts/{}", told["id"].as_str().unwrap());
    until("an extract", Duration::from_secs(60), || server.json(&address)["state"] == "done");
    let done = server.json(&address);
    let file = done["files"][0]["url"].as_str().unwrap();
    let body = server.body(file.strip_prefix(&server.url).unwrap_or(file));
    assert_eq!(json!(hex::encode(Sha256::digest(&body))), done["files"][0]["sha256"]);
    let files = server.files("f", "t");
    assert_eq!(files.len(), 2);
    for file in &files {
        let body = server.body(file["url"].as_str().unwrap());
        assert_eq!(json!(hex::encode(Sha256::digest(&body))), file["sha256"]);
    }
    // Another one finds what the first one made.
    let other = cloud.shop();
    let second = other.serve();
    until("the same index", Duration::from_secs(60), || second.get(search).status == 200);
    assert_eq!(second.json(search)["row_count"]["value"], 4);
    drop(second);

    // Back, and away with what is old.
    let back = ingests.run(&["rollback", "f", "2"]);
    assert_eq!(back.code, Some(0), "{back}");
    holds(&server, 2);
    let said = ingests.run(&["gc", "f", "--grace", "0s", "--dry-run", "--list", "--json"]);
    assert_eq!(said.code, Some(0), "{said}");
    let did = ingests.run(&["gc", "f", "--grace", "0s", "--list", "--json"]);
    let objects = |text: &str| -> Vec<Value> {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| !line["key"].is_null()).collect()
    };
    assert!(!objects(&said.stdout).is_empty(), "{said}");
    assert_eq!(objects(&said.stdout), objects(&did.stdout));
    let line: Value = serde_json::from_str(did.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&line["newly_collected"], &line["snapshot"]), (&json!([1, 2]), &json!(5)), "{line}");
    assert_eq!(server.get("/v1/datasets/f/tables/t/rows?snapshot=1&format=csv").status, 410);
    holds(&server, 2);
    for snapshot in 3..=5 {
        let rows = server.slice("f", "t", &format!("&snapshot={snapshot}"));
        assert_eq!(rows.len() as u64, 2 * ROWS, "snapshot {snapshot}");
    }
    let refused = ingests.run(&["rollback", "f", "1"]);
    refused.refused(&["snapshot 1", "no longer kept"]);
}

#[test]
fn of_two_ingests_one_publishes() {
    let Some(cloud) = Cloud::new("races") else { return };
    let origin = Origin::start();
    let (one, two) = (cloud.shop(), cloud.shop());
    for shop in [&one, &two] {
        define(shop, &origin);
    }
    // Both stand before the same number until both are there.
    let waiting = Arc::new(AtomicUsize::new(0));
    for version in 1..=3 {
        put(&origin, version);
        waiting.store(0, Ordering::SeqCst);
        let count = Arc::clone(&waiting);
        cloud.proxy.plan(move |asked| {
            let creates = asked.operation() == "PutObject" && asked.path.contains("/manifests/");
            (creates && count.fetch_add(1, Ordering::SeqCst) == 0).then_some(Fault::Slow(1500))
        });
        let (a, b) = (one.start(&["ingest", "f", "--json"]), two.start(&["ingest", "f", "--json"]));
        let (a, b) = (a.wait(), b.wait());
        let codes = [a.code, b.code];
        assert!(codes.contains(&Some(0)), "{a}\n{b}");
        let published = [&a, &b].iter().filter(|ran| ran.record()["outcome"] == "published").count();
        assert_eq!(published, 1, "{a}\n{b}");
        for ran in [&a, &b].iter().filter(|ran| ran.code != Some(0)) {
            assert_eq!(ran.code, Some(4), "{ran}");
        }
        cloud.proxy.plan(|_| None);
        let server = two.serve();
        assert_eq!(server.snapshot("f"), version);
        holds(&server, version);
    }
}

/// A file of several parts of an upload.
fn large(origin: &Origin, shop: &Shop) {
    let mut text = String::from("id,noise\n");
    let mut random = fastrand::Rng::with_seed(7);
    for at in 0..700_000_u64 {
        text.push_str(&format!("{at},{:016x}{:016x}{:016x}\n", random.u64(..), random.u64(..), random.u64(..)));
    }
    origin.put("/large.csv", text);
    shop.define("l", &crate::shop::table("t", &origin.url("/large.csv"), "{ type = \"csv\" }"));
}

/// The body of an answer, taken at about two megabytes a second, with nearly none of it on its way.
fn slowly(server: &Server, path: &str) -> Vec<u8> {
    let address = server.url.strip_prefix("http://").unwrap().trim_end_matches('/');
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connected = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 << 10).unwrap();
        socket.connect(address.parse().unwrap()).await.unwrap()
    });
    let mut stream = connected.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while (&mut stream).take(128 << 10).read_to_end(&mut answer).unwrap() > 0 {
        std::thread::sleep(Duration::from_millis(60));
    }
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    answer.split_off(head + 4)
}

#[test]
fn a_large_file_goes_in_parts_and_what_is_left_of_one_is_collected() {
    let Some(cloud) = Cloud::new("large") else { return };
    let (origin, shop) = (Origin::start(), cloud.shop());
    large(&origin, &shop);
    // Killed between two parts.
    cloud.proxy.plan(|asked| asked.path.contains("partNumber=2").then_some(Fault::Hang));
    let run = shop.start(&["ingest", "l", "--json"]);
    until("the second part", Duration::from_secs(120), || {
        cloud.proxy.take().iter().any(|asked| asked.fault == Some(Fault::Hang))
    });
    assert!(run.kill(), "it had ended already");
    cloud.proxy.plan(|_| None);
    let uploads = |text: &str| text.matches("unfinished upload").count();
    let said = shop.run(&["gc", "--dry-run", "--grace", "1h"]);
    assert_eq!((said.code, uploads(&said.stdout)), (Some(0), 0), "one that is new may be at work: {said}");
    let said = shop.run(&["gc", "--dry-run", "--grace", "0s"]);
    assert_eq!((said.code, uploads(&said.stdout)), (Some(0), 1), "{said}");
    let did = shop.run(&["gc", "--grace", "0s"]);
    assert_eq!((did.code, uploads(&did.stdout)), (Some(0), 1), "{did}");
    let after = shop.run(&["gc", "--dry-run", "--grace", "0s"]);
    assert_eq!((after.code, uploads(&after.stdout)), (Some(0), 0), "{after}");

    // Its first try of a part is refused, its first try of the end is answered into the void.
    cloud.proxy.take();
    let (mut refused, mut lost) = (false, false);
    cloud.proxy.plan(move |asked| match asked.operation() {
        "UploadPart" if !std::mem::replace(&mut refused, true) => Some(Fault::Status(503)),
        "CreateMultipartUpload" if !std::mem::replace(&mut lost, true) => Some(Fault::Slow(300)),
        _ => None,
    });
    let record = shop.ingest("l").published_whole();
    assert_eq!(record["tables"][0]["published"], 700_000);
    assert!(cloud.proxy.count("UploadPart") > 2 && cloud.proxy.count("CompleteMultipartUpload") == 1);
    cloud.proxy.plan(|_| None);
    let server = shop.serve();
    let files = server.files("l", "t");
    let bytes = files[0]["bytes"].as_u64().unwrap();
    assert!(files.len() == 1 && bytes > 17 << 20, "{bytes} bytes");
    cloud.proxy.take();
    let body = server.body(files[0]["url"].as_str().unwrap());
    assert_eq!(json!(hex::encode(Sha256::digest(&body))), files[0]["sha256"]);
    // In pieces, so that none of them has to last as long as the slowest client reads.
    let gets = cloud.proxy.count("GetObject");
    assert!(gets > 3 && gets < 20, "{gets} requests");

    // Whoever reads slowly gets all of it from a storage that waits for nobody, and from one that breaks off as well.
    let mut count = 0;
    cloud.proxy.plan(move |asked| {
        count += usize::from(asked.operation() == "GetObject");
        Some(if count % 3 == 2 { Fault::Cut } else { Fault::Impatient(1000) })
    });
    cloud.proxy.take();
    let begun = Instant::now();
    let body = slowly(&server, files[0]["url"].as_str().unwrap());
    assert!(begun.elapsed() > Duration::from_secs(6), "{:?} is not slow", begun.elapsed());
    assert_eq!(body.len() as u64, bytes, "cut short");
    assert_eq!(json!(hex::encode(Sha256::digest(&body))), files[0]["sha256"]);
    let cut = cloud.proxy.take().iter().filter(|asked| asked.fault == Some(Fault::Cut)).count();
    assert!(cut > 0, "nothing was broken off");
    // It is not kept waiting by who reads slowly: what is asked for again later than the retries last is not had.
    let given_up = cloud.proxy.given_up();
    assert!(given_up <= 2, "the storage gave up {given_up} times");
    cloud.proxy.plan(|_| None);

    // A few pages of a large file: few requests, few bytes.
    drop(server);
    let server = shop.serve();
    cloud.proxy.take();
    let rows = server.json("/v1/datasets/l/tables/t/rows?offset=345678&limit=50");
    assert_eq!(rows["rows"][49]["id"], 345_727);
    let reads: Vec<Asked> = cloud
        .proxy
        .take()
        .into_iter()
        .filter(|asked| asked.operation() == "GetObject" && asked.path.contains("/data/"))
        .collect();
    let read: u64 = reads.iter().map(|asked| asked.bytes).sum();
    assert!(reads.iter().all(|asked| asked.headers.contains_key("range")));
    assert!(reads.len() <= 6 && read < bytes / 10, "{} requests, {read} of {bytes} bytes", reads.len());
    // What is asked for again is kept.
    for _ in 0..2 {
        cloud.proxy.take();
        assert_eq!(server.json("/v1/datasets/l/tables/t/rows?offset=345678&limit=50"), rows);
    }
    let mut more = cloud.proxy.take();
    more.retain(|asked| asked.path.contains("/data/"));
    assert!(more.is_empty(), "asked for what was just read: {more:?}");
}

#[test]
fn requests_that_go_wrong_are_made_again() {
    let Some(cloud) = Cloud::new("faults") else { return };
    let (origin, shop) = (Origin::start(), cloud.shop());
    define(&shop, &origin);
    let faults = [Fault::Status(500), Fault::Status(503), Fault::Reset, Fault::Cut, Fault::Slow(400), Fault::Lost];
    for (nth, version) in [(3, 1), (4, 2), (5, 3)] {
        let mut count = 0;
        cloud.proxy.plan(move |_| {
            count += 1;
            (count % nth == 0).then(|| faults[count / nth % faults.len()])
        });
        put(&origin, version);
        cloud.proxy.take();
        let ran = shop.ingest("f");
        assert_eq!(ran.code, Some(0), "{ran}");
        let server = shop.serve();
        assert_eq!(server.snapshot("f"), version);
        holds(&server, version);
        for _ in 0..5 {
            let sum = server.json("/v1/sql?query=select+sum(version)+s+from+f.t");
            assert_eq!(sum["rows"][0]["s"], version * ROWS);
            for file in server.files("f", "t") {
                let body = server.body(file["url"].as_str().unwrap());
                assert_eq!(json!(hex::encode(Sha256::digest(&body))), file["sha256"]);
            }
        }
        let hit = cloud.proxy.take().iter().filter(|asked| asked.fault.is_some()).count();
        assert!(hit >= 5, "{hit} faults");
    }
    // Where nothing helps, a server says so in time, and is well again when the storage is.
    let server = shop.serve();
    cloud.proxy.plan(|_| Some(Fault::Status(503)));
    let begun = Instant::now();
    let answer = server.get("/v1/datasets/f/tables/t/rows?limit=1");
    assert!(matches!(answer.status, 500 | 503), "{}", answer.status);
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
    cloud.proxy.plan(|_| None);
    holds(&server, 3);
}
