//! A server killed while it works behind its answers: at the next start the job goes on or begins anew, nothing half-made
//! is served meanwhile, and in the end all of it is right.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    origin::Origin,
    shop::{Server, Shop},
};

const ROWS: usize = 30_000;
/// The longest a job may take here after the last start.
const LONGEST: Duration = Duration::from_secs(150);

fn shop() -> Shop {
    let (origin, shop) = (Origin::start(), Shop::new());
    let mut text = String::from("id,title,value\n");
    for row in 0..ROWS {
        let rare = if row % 10_000 == 7 { " needle" } else { "" };
        text.push_str(&format!("{row},title {row} of {}{rare} and some more words,{}\n", row % 97, (row * 31) % 1000));
    }
    origin.put("/t.csv", text);
    shop.define(
        "f",
        &format!(
            "[[table]]\nname = \"t\"\nsource = {{ url = \"{}\" }}\nformat = {{ type = \"csv\" }}\nprimary_key = [\"id\"]\ncolumn = [{{ name = \"id\", type = \"int64\" }}, {{ name = \"title\", search = true }}, {{ name = \"value\", type = \"int64\" }}]\n",
            origin.url("/t.csv")
        ),
    );
    shop.ingest("f").published_whole();
    shop
}

/// Whether statistics are whole; what there is of them is right either way.
fn statistics(server: &Server) -> bool {
    let about = server.json("/v1/datasets/f/tables/t");
    let column = |name: &str| {
        let columns = about["columns"].as_array().unwrap();
        columns.iter().find(|column| column["name"] == name).unwrap()["statistics"].clone()
    };
    let (id, value) = (column("id"), column("value"));
    assert_eq!((&id["min"], &id["max"], &id["nulls"]), (&json!(0), &json!(ROWS - 1), &json!(0)), "{id}");
    if about["statistics_state"] != "complete" {
        assert!(id["histogram"].is_null(), "half-made: {id}");
        return false;
    }
    assert_eq!(value["distinct"], json!({"value": 1000, "kind": "exact"}));
    let counted = |of: &Value| {
        of["histogram"]["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((counted(&id), counted(&value)), (ROWS as u64, ROWS as u64));
    true
}

/// Whether the search index is there; it finds what there is.
fn search(server: &Server) -> bool {
    let answer = server.get("/v1/datasets/f/tables/t/search?q=needle&select=id&count=exact");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    if answer.status == 202 {
        return false;
    }
    assert_eq!(answer.status, 200, "{body}");
    let found: BTreeSet<u64> = body["rows"].as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()).collect();
    assert_eq!(found, BTreeSet::from([7, 10_007, 20_007]));
    assert_eq!(server.json("/v1/datasets/f/tables/t/search?q=words&count=exact&limit=1")["row_count"]["value"], ROWS);
    true
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LONGEST, "{what}: not done after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn statistics_and_an_index_begin_anew() {
    let shop = shop();
    let mut at_work = 0;
    for moment in [5, 60, 200, 450, 900] {
        let server = shop.serve();
        let (counted, found) = (statistics(&server), search(&server));
        std::thread::sleep(Duration::from_millis(moment));
        at_work += usize::from(!counted || !found);
        // A server of a test ends by SIGKILL.
        drop(server);
    }
    assert!(at_work >= 1, "no server was killed at work");
    let server = shop.serve();
    until("statistics", || statistics(&server));
    until("index", || search(&server));
    drop(server);
    // What is kept is found again, at once.
    let server = shop.serve();
    assert!(statistics(&server));
    until("index", || search(&server));
}

#[test]
fn an_extract_is_taken_up_again() {
    let shop = shop();
    let server = shop.serve();
    // Long enough to be killed in, and told to be at work before.
    let query = "select a.id as x, b.id as y from f.t a cross join f.t b where a.id < 120";
    let rows = 120 * ROWS as u64;
    let posted = server.post("/v1/extracts", &json!({"query": query}));
    let standing: Value = serde_json::from_slice(&posted.body).unwrap();
    assert_eq!(posted.status, 202, "{standing}");
    let address = format!("/v1/extracts/{}", standing["id"].as_str().unwrap());
    until("work", || {
        let now = server.json(&address);
        assert_ne!(now["state"], "done", "too fast to be killed");
        now["progress"]["rows"].as_u64().is_some_and(|rows| rows > 0)
    });
    drop(server);
    assert!(below(&shop.path("scratch")).iter().any(|path| path.contains("extract-")), "its files lie there");

    let server = shop.serve();
    let left = below(&shop.path("scratch"));
    assert!(!left.iter().any(|path| path.contains("extract-")), "what the killed server left is gone: {left:?}");
    let mut half = 0;
    until("extract", || {
        let now = server.json(&address);
        assert_ne!(now["state"], "failed", "{now}");
        if now["state"] == "done" {
            return true;
        }
        half += 1;
        assert_eq!((&now["files"], &now["rows"]), (&json!([]), &Value::Null), "{now}");
        false
    });
    assert!(half > 0);
    let done = server.json(&address);
    assert_eq!(done["rows"], rows, "{done}");
    let mut counted = 0;
    let mut listed = BTreeSet::new();
    for file in done["files"].as_array().unwrap() {
        let url = file["url"].as_str().unwrap();
        let path = url.strip_prefix(&server.url).unwrap_or(url);
        let body = server.body(path);
        assert_eq!(json!(hex::encode(Sha256::digest(&body))), file["sha256"]);
        counted += file["rows"].as_u64().unwrap();
        listed.insert(path.rsplit_once('/').unwrap().1.to_owned());
    }
    assert_eq!(counted, rows);
    let stored = below(&shop.path("store"));
    let stored: BTreeSet<String> = stored
        .iter()
        .filter(|path| path.contains("extracts") && path.ends_with(".parquet"))
        .map(|path| path.rsplit_once('/').unwrap().1.to_owned())
        .collect();
    assert_eq!(stored, listed, "nothing of the first attempt is kept");
}

/// The paths of all files in a folder.
fn below(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        match entry.path().is_dir() {
            true => all.extend(below(&entry.path())),
            false => all.push(entry.path().to_string_lossy().into_owned()),
        }
    }
    all
}
