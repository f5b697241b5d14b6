//! What costly answers say: how the same is had for less, in JSON and in headers, at an address that works.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use reqwest::Response;
use serde_json::{Value, json};

use crate::shelf::{TestShelf, TestSnapshot, TestTable, header};

const ROWS: u64 = 24_000;

/// Text that does not compress, so that 16 MiB are read for one row; one word in a thousand is `rare`.
fn table() -> TestTable {
    let mut random = fastrand::Rng::with_seed(1);
    let mut text = || (0..1000).map(|_| random.char('!'..'~')).filter(|c| *c != '%').collect::<String>();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..ROWS as i64)),
        Arc::new((0..ROWS).map(|n| Some(if n % 1000 == 7 { "rare" } else { "usual" })).collect::<StringArray>()),
        Arc::new((0..ROWS).map(|_| Some(text())).collect::<StringArray>()),
    ];
    let mut table = TestTable::new("t", &[("id", "int64"), ("word", "utf8"), ("text", "utf8")]);
    table.schema.columns[1].search = true;
    let batch = RecordBatch::try_new(table.schema.to_arrow(), columns).unwrap();
    let reject = |n: u64| json!({"source": "s", "position": format!("line {n}"), "reason": "r", "row": text()});
    let rejects: Vec<Value> = (0..ROWS).map(reject).collect();
    table.pages(2000, 8000).batch(batch).reject(&rejects).sort_key(&["id"]).primary_key(&["id"])
}

/// A server that keeps no page in memory, so that the same text is read again.
async fn shelf() -> TestShelf {
    let other = TestTable::new("other", &[("id", "int64")]).file(&[json!({"id": 1})]);
    let snapshot = TestSnapshot::new("d", vec![table(), other]);
    TestShelf::builder().settings(|settings| settings.page_cache = 0).snapshot(snapshot).serve().await
}

/// The answer and its hint, which is the same in JSON, in `Link` and in `Openshelf-Hint`.
async fn hinted(response: Response) -> (Value, String, String) {
    assert_eq!(response.status(), 200);
    let said = header(&response, "openshelf-hint").expect("a hint");
    let links: Vec<String> =
        response.headers().get_all("link").iter().map(|link| link.to_str().unwrap().to_owned()).collect();
    let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let url = answer["hint"]["url"].as_str().expect("an address").to_owned();
    assert_eq!(answer["hint"]["message"].as_str(), Some(said.as_str()));
    let link = links.iter().find(|link| link.contains("rel=\"alternate\"")).expect("a link");
    assert!(link.starts_with(&format!("<{url}>")), "{link}");
    assert!(said.starts_with(|c: char| c.is_ascii_digit()) && said.contains(" MB were read for "), "{said}");
    (answer, said, url)
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn costly_answers_say_how_they_are_had_for_less() {
    let shelf = shelf().await;
    of_rows(&shelf).await;
    of_rejects(&shelf).await;
    of_sql(&shelf).await;
    of_search(&shelf).await;
}

async fn of_rows(shelf: &TestShelf) {
    let address = "/v1/datasets/d/tables/t/rows?select=id";
    let (costly, said, url) = hinted(shelf.get(&format!("{address}&where=text+like+'%2541234567%25'")).await).await;
    assert!(said.contains("sorted by `id`"), "{said}");
    // What is advised is the same request.
    assert_eq!(shelf.json(&url).await["rows"], costly["rows"]);

    let counted = shelf.get(&format!("{address}&limit=1&count=exact&where=text+like+'%25zzzz%25'")).await;
    assert!(header(&counted, "openshelf-scanned-bytes").unwrap().parse::<u64>().unwrap() > 16_000_000);
    let (_, _, url) = hinted(counted).await;
    assert!(url.contains("count=estimate"), "{url}");
    assert_eq!(shelf.get(&url).await.status(), 200);
    // Who asks with care is left alone.
    let cheap = shelf.get(&format!("{address}&where=id+%3C+10")).await;
    assert_eq!(header(&cheap, "openshelf-hint"), None);
    let cheap: Value = serde_json::from_slice(&cheap.bytes().await.unwrap()).unwrap();
    assert_eq!(cheap.get("hint"), None);
}

async fn of_rejects(shelf: &TestShelf) {
    let address = "/v1/datasets/d/tables/t/rejects";
    let body = json!({"select": ["position"], "where": "\"row\" like '%41234567%'"});
    for response in [
        shelf.get(&format!("{address}?select=position&where=%22row%22+like+'%2541234567%25'")).await,
        shelf.post(address, &body).await,
    ] {
        let (_, said, url) = hinted(response).await;
        assert!(said.contains("one Parquet file"), "{said}");
        // The table's files are of other rows.
        assert_eq!(url, format!("{address}?format=parquet&snapshot=1"));
        assert!(shelf.get(&url).await.bytes().await.unwrap().starts_with(b"PAR1"));
    }
}

async fn of_sql(shelf: &TestShelf) {
    let query = "select id from d.t where text like '%41234567%'";
    for response in [
        shelf.get(&format!("/v1/sql?query={}", encoded(query))).await,
        shelf.post("/v1/sql", &json!({"query": query, "snapshots": {"d": 1}})).await,
    ] {
        let (costly, said, url) = hinted(response).await;
        assert!(said.contains("sorted by `id`"), "{said}");
        assert!(url.contains("BETWEEN"), "{url}");
        assert_eq!(shelf.json(&url).await["rows"], costly["rows"]);
    }
    let all = "select * from d.t where id < 1 or text like '%41234567%'";
    let (_, said, url) = hinted(shelf.get(&format!("/v1/sql?query={}", encoded(all))).await).await;
    assert!(said.contains("dry_run=1"), "{said}");
    assert_eq!(shelf.json(&url).await["dry_run"], true);
    let joined = "select max(text) < 'a' as a from d.t cross join d.other";
    let (_, said, url) = hinted(shelf.get(&format!("/v1/sql?query={}", encoded(joined))).await).await;
    assert!(said.contains("`d.t`"), "{said}");
    assert_eq!(url, "/v1/datasets/d/tables/t/files?snapshot=1");
    assert_eq!(shelf.json(&url).await["files"].as_array().unwrap().len(), 1);
    let cheap = shelf.get(&format!("/v1/sql?query={}", encoded("select count(*) from d.t where id < 100"))).await;
    assert_eq!(header(&cheap, "openshelf-hint"), None);
    // What streams says it beforehand, if at all; what is empty says it, too.
    let csv = shelf.get(&format!("/v1/sql?format=csv&query={}", encoded(query))).await;
    assert!(header(&csv, "openshelf-hint").is_some());
}

async fn of_search(shelf: &TestShelf) {
    let address = "/v1/datasets/d/tables/t/search";
    while shelf.get(&format!("{address}?q=rare")).await.status() == 202 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let condition = "where=text+like+'%2541234567%25'";
    let (costly, said, url) = hinted(shelf.get(&format!("{address}?q=usual&select=id&{condition}")).await).await;
    assert!(said.contains("sorted by `id`"), "{said}");
    assert_eq!(shelf.json(&url).await["rows"], costly["rows"]);
    let body = json!({"q": "usual", "select": "id", "where": "text like '%41234567%'", "count": "exact"});
    let (_, said, url) = hinted(shelf.post(address, &body).await).await;
    assert!(said.contains("without `count`"), "{said}");
    assert!(!url.contains("count=") && url.contains("q=usual"), "{url}");
    assert_eq!(shelf.get(&url).await.status(), 200);
    // Each row that is found stands in a page of its own.
    let (_, said, url) = hinted(shelf.get(&format!("{address}?q=rare&truncate=0")).await).await;
    assert!(said.contains("`select`"), "{said}");
    assert!(url.contains("select=id"), "{url}");
    let cheap = shelf.get(&url).await;
    assert_eq!(header(&cheap, "openshelf-hint"), None);
}
