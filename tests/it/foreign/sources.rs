//! Where bytes come from: templates, listings, pointer files, checksums, several files as one table.

use serde_json::json;

use super::Foreign;
use crate::{
    origin::Behavior,
    pack::{gz, sha256},
};

const HOURLY: &str = r#"
[[table]]
name = "events"
source = { url = "ORIGIN/{hour:%Y-%m-%d-%-H}.json.gz", each = { hour = { from = "2024-01-01T08", to = "2024-01-01T11", step = "1h" } }, missing = "gap" }
format = { type = "ndjson" }
column = [
    { name = "hour", from = "$hour", type = "timestamp" },
    { name = "id", type = "int64" },
    { name = "file", from = "$file" },
]
"#;

#[test]
fn hourly_json_with_the_hour_from_the_file_name_and_one_hour_missing() {
    let foreign = Foreign::new(&[
        ("/2024-01-01-8.json.gz", &gz("{\"id\": 1}\n{\"id\": 2}\n")),
        ("/2024-01-01-9.json.gz", &gz("{\"id\": 3}\n")),
        ("/2024-01-01-11.json.gz", &gz("{\"id\": 5}\n")),
    ]);
    foreign.define(HOURLY);
    let taken = foreign.taken();
    assert_eq!(
        taken.rows("events"),
        [
            json!({"hour": "2024-01-01T08:00:00Z", "id": 1, "file": "2024-01-01-8.json.gz"}),
            json!({"hour": "2024-01-01T08:00:00Z", "id": 2, "file": "2024-01-01-8.json.gz"}),
            json!({"hour": "2024-01-01T09:00:00Z", "id": 3, "file": "2024-01-01-9.json.gz"}),
            json!({"hour": "2024-01-01T11:00:00Z", "id": 5, "file": "2024-01-01-11.json.gz"}),
        ]
    );
    let about = taken.server.json("/v1/datasets/f");
    let gaps = about["gaps"].to_string();
    assert!(gaps.contains("2024-01-01-10.json.gz"), "the gap is not shown: {about}");

    // Nothing new: the gap is asked for again, and nothing is published.
    taken.foreign.ingest().unchanged();
    assert_eq!(taken.server.snapshot("f"), 1);
    // The gap is filled: only that hour is read, and the others' files stay.
    let before = taken.server.files("f", "events");
    taken.foreign.origin.put("/2024-01-01-10.json.gz", gz("{\"id\": 4}\n"));
    taken.foreign.origin.forget_requests();
    let record = taken.foreign.ingest().published();
    assert_eq!(record["tables"][0]["read"], 1);
    assert_eq!(taken.foreign.origin.statuses("/2024-01-01-8.json.gz"), [304]);
    let ids: Vec<_> = taken.rows("events").iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    let after = taken.server.files("f", "events");
    assert_eq!((before.len(), after.len()), (3, 4));
    assert!(
        before.iter().all(|old| after.iter().any(|new| new["sha256"] == old["sha256"] && new["url"] == old["url"]))
    );
}

#[test]
fn a_missing_part_fails_the_run_unless_the_definition_says_otherwise() {
    let foreign = Foreign::new(&[("/2024-01-01-8.json.gz", &gz("{\"id\": 1}\n"))]);
    foreign.define(&HOURLY.replace(", missing = \"gap\"", ""));
    foreign.ingest().failed(3, "upstream", &["2024-01-01-9.json.gz", "missing = \"gap\""]);
}

#[test]
fn a_listing_with_a_capture_that_becomes_a_column() {
    let foreign = Foreign::new(&[
        ("/data/2024/day-20240101.csv", b"id\n1\n"),
        ("/data/2024/day-20240102.csv", b"id\n2\n3\n"),
        ("/data/2024/readme.txt", b"hello\n"),
    ]);
    foreign.define(
        r#"
[[table]]
name = "days"
source = { listing = "ORIGIN/data/2024/", match = "day-(?<day>\\d{8})\\.csv$" }
format = { type = "csv" }
column = [{ name = "day", from = "$day", type = "date", parse = "%Y%m%d" }, { name = "id", type = "int64" }]
"#,
    );
    let taken = foreign.taken();
    assert_eq!(
        taken.rows("days"),
        [
            json!({"day": "2024-01-01", "id": 1}),
            json!({"day": "2024-01-02", "id": 2}),
            json!({"day": "2024-01-02", "id": 3}),
        ]
    );
    assert_eq!(taken.foreign.origin.count("/data/2024/readme.txt"), 0);
    taken.foreign.ingest().unchanged();
}

#[test]
fn several_files_are_one_table_and_several_tables_use_one_source() {
    let foreign = Foreign::new(&[("/a.csv", b"id,kind\n1,x\n"), ("/b.csv", b"id,kind\n2,y\n")]);
    foreign.define(
        r#"
[[source]]
name = "both"
urls = ["ORIGIN/a.csv", "ORIGIN/b.csv"]

[[table]]
name = "ids"
source = "both"
format = { type = "csv" }
column = [{ name = "id", type = "int64" }, { name = "url", from = "$url" }]

[[table]]
name = "kinds"
source = "both"
format = { type = "csv" }
column = [{ name = "kind" }]
"#,
    );
    let taken = foreign.taken();
    let origin = &taken.foreign.origin;
    assert_eq!(
        taken.rows("ids"),
        [json!({"id": 1, "url": origin.url("/a.csv")}), json!({"id": 2, "url": origin.url("/b.csv")})]
    );
    assert_eq!(taken.rows("kinds"), [json!({"kind": "x"}), json!({"kind": "y"})]);
    assert_eq!((origin.count("/a.csv"), origin.count("/b.csv")), (1, 1), "one fetch for both tables");
}

#[test]
fn a_file_beside_the_definition() {
    let foreign = Foreign::new(&[]);
    foreign.shop.beside("f", "data/codes.csv", "code,name\nA,Alpha\n");
    foreign
        .define("[[table]]\nname = \"codes\"\nsource = { path = \"data/codes.csv\" }\nformat = { type = \"csv\" }\n");
    let taken = foreign.taken();
    assert_eq!(taken.rows("codes"), [json!({"code": "A", "name": "Alpha"})]);
    taken.foreign.ingest().unchanged();
}

#[test]
fn a_pointer_file_and_its_checksums() {
    let body = gz("id\n1\n");
    let sums = format!("{}  other.csv.gz\n{} *data.csv.gz\n", sha256(b"other"), sha256(&body));
    let foreign = Foreign::new(&[
        ("/LATEST", b"20240131-001\n"),
        ("/20240131-001/data.csv.gz", &body),
        ("/20240131-001/SUMS", sums.as_bytes()),
    ]);
    foreign.define(
        r#"
[[table]]
name = "data"
source = { latest = "ORIGIN/LATEST", url = "ORIGIN/{latest}/data.csv.gz", checksum = { url = "ORIGIN/{latest}/SUMS", type = "sha256" } }
format = { type = "csv" }
"#,
    );
    let taken = foreign.taken();
    assert_eq!(taken.rows("data"), [json!({"id": 1})]);
    let snapshots = taken.server.json("/v1/datasets/f/snapshots");
    assert_eq!(snapshots["snapshots"][0]["upstream_version"], "20240131-001");
    taken.foreign.ingest().unchanged();

    // Another version whose file is not what its sums say: the old one stays.
    let origin = &taken.foreign.origin;
    origin.put("/20240207-002/data.csv.gz", gz("id\n2\n"));
    origin.put("/20240207-002/SUMS", sums);
    origin.put("/LATEST", "20240207-002\n");
    taken.foreign.ingest().failed(3, "upstream", &["data.csv.gz", "sha256"]);
    assert_eq!(taken.rows("data"), [json!({"id": 1})]);
}

#[test]
fn a_checksum_written_in_the_definition() {
    let (good, evil) = (b"id\n1\n", b"id\n9\n");
    let foreign = Foreign::new(&[("/a.csv", good)]);
    let text = format!(
        "[[table]]\nname = \"a\"\nsource = {{ url = \"ORIGIN/a.csv\", checksum = {{ sha256 = \"{}\" }} }}\nformat = {{ type = \"csv\" }}\n",
        sha256(good)
    );
    foreign.define(&text);
    let taken = foreign.taken();
    assert_eq!(taken.rows("a"), [json!({"id": 1})]);
    taken.foreign.origin.put("/a.csv", evil.to_vec());
    taken.foreign.ingest().failed(3, "upstream", &["a.csv", "sha256"]);
    assert_eq!(taken.rows("a"), [json!({"id": 1})]);
}

#[test]
fn settled_parts_are_not_asked_for_again() {
    let foreign = Foreign::new(&[("/2001.csv", b"id\n1\n"), ("/2002.csv", b"id\n2\n")]);
    foreign.define(
        r#"
[[table]]
name = "years"
source = { url = "ORIGIN/{year:%Y}.csv", each = { year = { from = "2001-01-01", to = "2002-01-01", step = "1y" } }, recheck = "30d" }
format = { type = "csv" }
"#,
    );
    let taken = foreign.taken();
    taken.foreign.origin.forget_requests();
    taken.foreign.ingest().unchanged();
    assert_eq!(taken.foreign.origin.count("/2001.csv"), 0);
    assert_eq!(taken.foreign.origin.count("/2002.csv"), 0);
}

#[test]
fn redirects_and_servers_without_validators_are_fine() {
    let foreign = Foreign::new(&[]);
    let origin = &foreign.origin;
    origin.put_with("/a.csv", Behavior::redirect(origin.url("/real/a.csv")));
    origin.put_with("/real/a.csv", Behavior::file("id\n1\n").no_validators().no_ranges().unconditional().chunked());
    foreign.define("[[table]]\nname = \"a\"\nsource = { url = \"ORIGIN/a.csv\" }\nformat = { type = \"csv\" }\n");
    let taken = foreign.taken();
    assert_eq!(taken.rows("a"), [json!({"id": 1})]);
    // Fetched again for want of a validator, found to be the same bytes: nothing new.
    taken.foreign.ingest().unchanged();
    assert_eq!(taken.server.snapshot("f"), 1);
}

#[test]
fn times_are_moved_to_utc() {
    let foreign = Foreign::new(&[(
        "/times.csv",
        b"local,epoch,american,offset,plain\n2024-07-01 12:00:00,1700000000,07/04/2024 16:05,2024-01-01T00:00:00-05:00,2024-07-01 12:00:00\n",
    )]);
    foreign.define(
        r#"
[[table]]
name = "times"
source = { url = "ORIGIN/times.csv" }
format = { type = "csv" }
column = [
    { name = "vienna", from = "local", type = "timestamp", timezone = "Europe/Vienna" },
    { name = "epoch", type = "timestamp", parse = "epoch_s" },
    { name = "american", type = "timestamp", parse = "%m/%d/%Y %H:%M", timezone = "America/New_York" },
    { name = "offset", type = "timestamp" },
    { name = "plain", type = "datetime" },
]
"#,
    );
    assert_eq!(
        foreign.taken().rows("times"),
        [json!({
            "vienna": "2024-07-01T10:00:00Z",
            "epoch": "2023-11-14T22:13:20Z",
            "american": "2024-07-04T20:05:00Z",
            "offset": "2024-01-01T05:00:00Z",
            "plain": "2024-07-01T12:00:00",
        })]
    );
}
