//! Rows by an order, by a cursor, by chance, and what they would cost: what the answers say around the rows.

use openshelf::config::ScanCaps;
use serde_json::{Value, json};

use crate::shelf::{TestShelf, TestSnapshot, TestTable, header, problem, shelf};

const ROWS: &str = "/v1/datasets/films/tables/titles/rows";

fn ids(answer: &Value) -> Vec<i64> {
    answer["rows"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

async fn body(response: reqwest::Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn an_order_leads_on_by_cursor_and_survives_a_refresh() {
    let shelf = shelf().await;
    let whole = shelf.json(&format!("{ROWS}?select=id&order_by=-year,title&limit=10000")).await;
    let mut next = Some(format!("{ROWS}?select=id&order_by=-year,Title&limit=60"));
    let mut seen = Vec::new();
    let mut pages = 0;
    while let Some(address) = next {
        let answer = shelf.json(&address).await;
        assert_eq!(answer["snapshot"], 1);
        assert_eq!(answer["offset"], seen.len());
        seen.extend(ids(&answer));
        next = answer["next"].as_str().map(str::to_owned);
        if pages == 0 {
            assert!(next.as_ref().is_some_and(|next| next.contains("cursor=") && !next.contains("offset")), "{next:?}");
            let other = TestTable::new("titles", &[("id", "int64")]).file(&[json!({"id": -1})]);
            TestSnapshot::new("films", vec![other]).publish(&shelf.store).await;
        }
        pages += 1;
    }
    assert_eq!(seen, ids(&whole));
    assert_eq!(pages, 5);
}

#[tokio::test]
async fn a_cursor_belongs_to_its_request() {
    let shelf = shelf().await;
    let first = shelf.json(&format!("{ROWS}?where=id%3E10&limit=5")).await;
    let next = first["next"].as_str().unwrap().to_owned();
    let cursor = next.split("cursor=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let answer = shelf.get(&next).await;
    assert!(header(&answer, "cache-control").unwrap().contains("immutable"));
    assert_eq!(ids(&body(answer).await), [16, 17, 18, 19, 20]);
    // What is shown of the rows may change on the way.
    let other = shelf.json(&format!("{ROWS}?where=id%3E10&cursor={cursor}&limit=2&select=id,year&count=exact")).await;
    assert_eq!(ids(&other), [16, 17]);
    assert_eq!(other["row_count"], json!({"value": 239, "kind": "exact"}));
    for (query, status) in [
        (format!("where=id%3E11&cursor={cursor}"), 400),
        (format!("cursor={cursor}"), 400),
        (format!("where=id%3E10&order_by=id&cursor={cursor}"), 400),
        (format!("where=id%3E10&offset=3&cursor={cursor}"), 400),
        (format!("where=id%3E10&sample=3&cursor={cursor}"), 400),
        (format!("where=id%3E10&snapshot=9&cursor={cursor}"), 404),
        (format!("where=id%3E10&cursor={cursor}x"), 400),
        ("cursor=".to_owned(), 400),
    ] {
        let (told, body) = shelf.problem(&format!("{ROWS}?{query}")).await;
        assert_eq!(told, status, "{query}: {body}");
        let hint = body["hint"].as_str().unwrap();
        assert_eq!(shelf.get(hint).await.status(), 200, "{query}: {hint}");
    }
    let (told, body) =
        problem(shelf.get(&format!("/v1/datasets/films/tables/titles/rejects?cursor={cursor}")).await).await;
    assert_eq!((told, body["type"].as_str()), (400, Some("/problems/invalid-cursor")));
}

#[tokio::test]
async fn a_sample_is_the_same_for_its_seed_and_says_it() {
    let shelf = shelf().await;
    let drawn = shelf.json(&format!("{ROWS}?sample=20&seed=7&select=id")).await;
    assert_eq!(drawn["seed"], 7);
    assert_eq!(drawn["next"], Value::Null);
    let drawn = ids(&drawn);
    assert_eq!(drawn.len(), 20);
    assert_eq!(ids(&shelf.json(&format!("{ROWS}?sample=20&seed=7&select=id,year")).await), drawn);
    assert_ne!(ids(&shelf.json(&format!("{ROWS}?sample=20&seed=8&select=id")).await), drawn);
    let sorted = ids(&shelf.json(&format!("{ROWS}?sample=20&seed=7&order_by=id")).await);
    let mut expected = drawn.clone();
    expected.sort_unstable();
    assert_eq!(sorted, expected);

    let csv = shelf.get(&format!("{ROWS}?sample=20&format=csv&select=id")).await;
    let seed = header(&csv, "openshelf-seed").unwrap();
    assert_eq!(header(&csv, "cache-control").as_deref(), Some("no-store"));
    let rows: Vec<i64> = csv.text().await.unwrap().lines().skip(1).map(|line| line.parse().unwrap()).collect();
    assert_eq!(ids(&shelf.json(&format!("{ROWS}?sample=20&seed={seed}&select=id")).await), rows);
}

#[tokio::test]
async fn a_sample_without_a_condition_reads_only_the_pages_it_shows() {
    let rows: Vec<Value> = (0..20_000).map(|id| json!({"id": id})).collect();
    let table = TestTable::new("t", &[("id", "int64")]).pages(100, 1_000_000).file(&rows);
    let shelf = TestShelf::builder().publish("d", table).serve().await;
    let address = "/v1/datasets/d/tables/t/rows";
    let all = shelf.get(&format!("{address}?format=csv")).await;
    let cost = |response: &reqwest::Response| -> u64 {
        header(response, "openshelf-scanned-bytes").map_or(0, |bytes| bytes.parse().unwrap())
    };
    let (all, one) = (cost(&all), cost(&shelf.get(&format!("{address}?sample=1&seed=3")).await));
    assert!(one > 0 && one * 10 < all, "{one} of {all}");
    // The first of an order that is that of the file are found without the rest.
    let first = shelf.get(&format!("{address}?order_by=id&limit=3")).await;
    assert!(cost(&first) * 2 < all, "{} of {all}", cost(&first));
    assert_eq!(ids(&body(first).await), [0, 1, 2]);
    let last = shelf.get(&format!("{address}?order_by=-id&limit=3")).await;
    assert!(cost(&last) * 2 < all, "{} of {all}", cost(&last));
    assert_eq!(ids(&body(last).await), [19_999, 19_998, 19_997]);
}

#[tokio::test]
async fn a_page_by_cursor_does_not_read_again_what_came_before() {
    let rows: Vec<Value> = (0..20_000).map(|id| json!({"id": id, "odd": id % 7})).collect();
    let table = TestTable::new("t", &[("id", "int64"), ("odd", "int64")]).pages(100, 5000).file(&rows);
    let shelf = TestShelf::builder().publish("d", table).serve().await;
    let address = "/v1/datasets/d/tables/t/rows?where=odd%3D3&limit=1000";
    let mut next = Some(address.to_owned());
    let mut scanned = Vec::new();
    let mut seen = Vec::new();
    while let Some(address) = next {
        let response = shelf.get(&address).await;
        scanned.push(header(&response, "openshelf-scanned-bytes").unwrap().parse::<u64>().unwrap());
        let answer = body(response).await;
        seen.extend(ids(&answer));
        next = answer["next"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, (0..20_000).filter(|id| id % 7 == 3).collect::<Vec<i64>>());
    let by_offset = shelf.get(&format!("{address}&offset=2000")).await;
    let by_offset: u64 = header(&by_offset, "openshelf-scanned-bytes").unwrap().parse().unwrap();
    assert!(scanned[2] < by_offset, "{scanned:?}, {by_offset}");
}

#[tokio::test]
async fn counts_are_estimated_from_a_part_and_say_so() {
    let rows: Vec<Value> = (0..150_000).map(|id| json!({"id": id, "odd": id % 4})).collect();
    let table = TestTable::new("t", &[("id", "int64"), ("odd", "int64")]).pages(2000, 50_000).file(&rows);
    let shelf = TestShelf::builder().publish("d", table).serve().await;
    let address = "/v1/datasets/d/tables/t/rows?limit=1&count=estimate";
    let answer = shelf.json(&format!("{address}&where=odd%3D3")).await;
    assert_eq!(answer["row_count"]["kind"], "estimate");
    let value = answer["row_count"]["value"].as_u64().unwrap();
    assert!((36_000..39_000).contains(&value), "{value}");
    // Where few rows are left to look at it is exact, and every format says what it is.
    let csv = shelf.get(&format!("{address}&where=id%3C5000+and+odd%3D3&format=csv")).await;
    assert_eq!(header(&csv, "openshelf-row-count").as_deref(), Some("1250;kind=exact"));
    assert_eq!(shelf.json(address).await["row_count"], json!({"value": 150_000, "kind": "exact"}));
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_take() {
    let rows: Vec<Value> = (0..10_000_u64)
        .map(|id| json!({"id": id, "text": format!("{:x}", u128::from(id + 1).wrapping_mul(u128::MAX / 98_765_432_101))}))
        .collect();
    let table = TestTable::new("t", &[("id", "int64"), ("text", "utf8")]).pages(100, 2000);
    let table = table.file(&rows[..5000]).file(&rows[5000..]);
    let shelf = TestShelf::builder().publish("d", table.clone()).serve().await;
    let rows = "/v1/datasets/d/tables/t/rows";
    let dry = |query: &str| format!("{rows}?dry_run=1&{query}");
    let page = shelf.json(&dry("offset=4950&limit=100")).await;
    assert_eq!(page["dry_run"], true);
    assert_eq!(page["cost"]["files"], 2);
    assert_eq!(page["cost"]["rows"], 100);
    assert_eq!(page["cost"]["pages"], 4);
    assert_eq!(page["allowed"], true);
    let narrow = shelf.json(&dry("where=id%3C150")).await;
    assert_eq!((&narrow["cost"]["files"], &narrow["cost"]["rows"]), (&json!(1), &json!(200)));
    let wide = shelf.json(&dry("where=text+like+'%25x'")).await;
    assert_eq!(wide["cost"]["rows"], 10_000);
    // It is as good as its word.
    let real = shelf.get(&format!("{rows}?where=id%3C150&limit=200")).await;
    let scanned: u64 = header(&real, "openshelf-scanned-bytes").unwrap().parse().unwrap();
    assert!(scanned <= narrow["cost"]["bytes"].as_u64().unwrap(), "{scanned}, {narrow}");
    for query in ["order_by=-text&limit=5", "sample=5", "format=parquet", "where=false", "count=exact"] {
        let said = shelf.json(&dry(query)).await;
        assert!(said["cost"]["bytes"].is_u64(), "{query}: {said}");
    }
    // What would be refused is said not to be allowed.
    let all = shelf.json(&dry("format=csv")).await;
    assert_eq!(all["allowed"], true);
    let few = ScanCaps { bytes: all["cost"]["bytes"].as_u64().unwrap() - 1, ..ScanCaps::default() };
    let tight = TestShelf::builder().publish("d", table).settings(|settings| settings.scan = few).serve().await;
    assert_eq!(tight.json(&dry("format=csv")).await["allowed"], false);
    assert_eq!(tight.get(&format!("{rows}?format=csv")).await.status(), 422);
    assert_eq!(tight.json(&dry("format=csv&limit=10")).await["allowed"], true);
}

#[tokio::test]
async fn every_row_comes_in_order_where_there_is_no_limit() {
    let rows: Vec<Value> = (0..30_000_u64).map(|id| json!({"id": id, "mixed": id.wrapping_mul(7919) % 1000})).collect();
    let table = TestTable::new("t", &[("id", "int64"), ("mixed", "int64")]).pages(1000, 10_000);
    let table = table.file(&rows[..20_000]).file(&rows[20_000..]);
    let shelf = TestShelf::builder().publish("d", table).serve().await;
    let address = "/v1/datasets/d/tables/t/rows?format=csv&select=id&order_by=-mixed";
    let shown = |text: String| -> Vec<u64> { text.lines().skip(1).map(|line| line.parse().unwrap()).collect() };
    let mut expected: Vec<u64> = (0..30_000).collect();
    expected.sort_by_key(|id| std::cmp::Reverse(id.wrapping_mul(7919) % 1000));
    assert_eq!(shown(shelf.get(address).await.text().await.unwrap()), expected);
    let some = shelf.get(&format!("{address}&offset=5&limit=25000")).await;
    assert_eq!(shown(some.text().await.unwrap()), expected[5..25_005]);
    let wrong = shelf.get(&format!("{address}&where=1/(id-10)+%3E+0")).await;
    assert_eq!(problem(wrong).await.0, 400);
    assert_eq!(shelf.send(reqwest::Method::HEAD, address, &[]).await.status(), 200);
}
