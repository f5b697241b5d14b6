//! Rows that do not fit: kept, counted, queryable; and the threshold above which nothing is published.

use serde_json::json;

use super::Foreign;

fn lines(bad: &[(usize, &str)], rows: usize) -> Vec<u8> {
    let mut text = String::from("id,year\n");
    for at in 1..=rows {
        match bad.iter().find(|(line, _)| *line == at) {
            Some((_, bad)) => text.push_str(&format!("{bad}\n")),
            None => text.push_str(&format!("{at},{}\n", 1900 + at % 100)),
        }
    }
    text.into_bytes()
}

const TABLE: &str = r#"
[[table]]
name = "years"
source = { url = "ORIGIN/years.csv" }
format = { type = "csv" }
primary_key = ["id"]
column = [{ name = "id", type = "int64" }, { name = "year", type = "int32" }]
"#;

#[test]
fn rejects_say_where_what_and_why() {
    let foreign = Foreign::new(&[(
        "/years.csv",
        &lines(&[(3, "3,19x3"), (5, "5,99999999999"), (7, "7,1,2,3"), (9, ",1950")], 10),
    )]);
    foreign.define(&format!("reject_threshold = 0.5\n{TABLE}"));
    let record = foreign.ingest().published();
    assert_eq!(record["tables"], json!([{"table": "years", "read": 10, "published": 6, "rejected": 4}]));
    let server = foreign.shop.serve();
    let ids: Vec<_> = server.rows("f", "years").iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, [1, 2, 4, 6, 8, 10]);
    let rejects = server.rejects("f", "years");
    assert_eq!(rejects.len(), 4);
    for (reject, line, column, value) in [
        (&rejects[0], 4, json!("year"), json!("19x3")),
        (&rejects[1], 6, json!("year"), json!("99999999999")),
        (&rejects[3], 10, json!("id"), json!(null)),
    ] {
        assert_eq!(reject["source"], foreign.origin.url("/years.csv"));
        assert_eq!(reject["position"], format!("line {line}"), "{reject}");
        assert_eq!(reject["column"], column, "{reject}");
        assert!(reject["value"] == value || (value.is_null() && reject["value"] == ""), "{reject}");
        assert!(!reject["reason"].as_str().unwrap().is_empty(), "{reject}");
    }
    assert_eq!((&rejects[2]["position"], &rejects[2]["column"]), (&json!("line 8"), &json!(null)), "{}", rejects[2]);
    let about = server.json("/v1/datasets/f/tables/years");
    assert_eq!((&about["rows"], &about["rejected"]), (&json!(6), &json!(4)));
}

#[test]
fn above_the_threshold_nothing_is_published_and_the_run_says_why() {
    let foreign = Foreign::new(&[("/years.csv", &lines(&[], 1000))]);
    foreign.define(TABLE);
    foreign.ingest().published_whole();
    let server = foreign.shop.serve();

    // One row of a thousand is the default's limit: still published.
    foreign.origin.put("/years.csv", lines(&[(500, "500,never")], 1000));
    foreign.ingest().published();
    assert_eq!((server.snapshot("f"), server.rows("f", "years").len()), (2, 999));

    foreign.origin.put("/years.csv", lines(&[(500, "500,never"), (501, "501,ever")], 1000));
    let record = foreign.ingest().failed(2, "definition", &["years", "2 of 1000", "never", "reject_threshold"]);
    assert_eq!(record["snapshot"], json!(null));
    assert_eq!((server.snapshot("f"), server.rows("f", "years").len()), (2, 999), "the old snapshot stays");
    let runs = server.runs("f");
    assert_eq!((&runs[0]["outcome"], &runs[0]["blame"]), (&json!("failed"), &json!("definition")));
    assert!(runs[0]["message"].as_str().unwrap().contains("2 of 1000"));
}

const DOUBLE: &[u8] = b"id,year\n1,1901\n2,1902\n1,1911\n3,1903\n1,1921\n";

#[test]
fn duplicates_are_told_apart_as_the_definition_says() {
    let foreign = Foreign::new(&[("/years.csv", DOUBLE)]);
    let mut text = String::new();
    for policy in ["first", "last", "reject"] {
        text += &TABLE.replace("name = \"years\"", &format!("name = \"{policy}\"\non_duplicate = \"{policy}\""));
    }
    foreign.define(&text);
    let record = foreign.ingest().published();
    let server = foreign.shop.serve();
    let years = |table: &str| -> Vec<String> {
        server.rows("f", table).iter().map(|row| format!("{}-{}", row["id"], row["year"])).collect()
    };
    assert_eq!(years("first"), ["1-1901", "2-1902", "3-1903"]);
    assert_eq!(years("last"), ["1-1921", "2-1902", "3-1903"]);
    assert_eq!(years("reject"), ["2-1902", "3-1903"]);
    for (at, table, losers) in [(0, "first", 2), (1, "last", 2), (2, "reject", 3)] {
        let rejects = server.rejects("f", table);
        assert_eq!(rejects.len(), losers, "{table}");
        assert!(rejects.iter().all(|reject| reject["reason"] == "duplicate-key"), "{table}: {rejects:?}");
        assert_eq!(record["tables"][at]["rejected"], losers, "{table}");
    }
}
