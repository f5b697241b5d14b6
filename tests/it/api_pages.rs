//! Pages for people: complete, escaped, and loading nothing.

use serde_json::json;

use crate::shelf::{TestShelf, TestSnapshot, TestTable, films, header, shelf};

#[tokio::test]
async fn the_start_page_lists_datasets_with_lines_to_copy() {
    let shelf = shelf().await;
    let response = shelf.get("/").await;
    assert_eq!(header(&response, "content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert!(header(&response, "content-security-policy").unwrap().contains("default-src 'none'"));
    let page = response.text().await.unwrap();
    for part in [
        "The films dataset",
        "CC0-1.0",
        "2026-11-21",
        "curl -s",
        "read_csv",
        "scan_parquet",
        "read_parquet",
        "aws s3 sync",
        "load_catalog",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<script"));
    // The curl line works as printed.
    let line = page.split("curl -s &#39;").nth(1).or_else(|| page.split("curl -s '").nth(1)).unwrap();
    let address = line.split(['\'', '&']).next().unwrap();
    assert_eq!(shelf.client.get(address).send().await.unwrap().status(), 200, "{address}");
}

#[tokio::test]
async fn a_dataset_page_shows_columns_and_first_rows() {
    let shelf = shelf().await;
    let page = shelf.get("/datasets/films").await.text().await.unwrap();
    for part in ["list&lt;utf8&gt;", "The released.", "Film 004, &quot;the&quot; best", "1 rejected", "Cite"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(shelf.problem("/datasets/flims").await.0, 404);
    // Once the statistics are there, the page shows them.
    assert_eq!(shelf.json("/v1/datasets/films/tables/titles").await["statistics_state"], "complete");
    let page = shelf.get("/datasets/films").await.text().await.unwrap();
    for part in
        ["1900 to 1949", "36 null", "all different", "elements: drama (250)", "role=\"img\" aria-label=\"Histogram"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[tokio::test]
async fn what_others_wrote_is_escaped() {
    let evil = "<script>alert(1)</script>";
    let table = TestTable::new("t", &[("a<b>", "utf8")]).file(&[json!({"a<b>": evil})]);
    let shelf = TestShelf::builder().snapshot(TestSnapshot::new("evil", vec![table]).title(evil)).serve().await;
    for path in ["/", "/datasets/evil", "/problems/internal"] {
        let page = shelf.get(path).await.text().await.unwrap();
        assert!(!page.contains("<script") && !page.contains("<b>"), "{path}: {page}");
    }
}

#[tokio::test]
async fn the_docs_name_every_parameter_function_and_problem() {
    let shelf = TestShelf::builder().publish("films", films()).serve().await;
    let page = shelf.get("/docs").await.text().await.unwrap();
    for part in [
        "select",
        "where",
        "offset",
        "limit",
        "snapshot",
        "format",
        "count",
        "truncate",
        "list_contains",
        "regexp_like",
        "date_trunc",
        "coalesce",
        "lower",
        "startswith",
        "invalid-where",
        "personal-use-only",
    ] {
        assert!(page.contains(&format!("<code>{part}</code>")), "{part}");
    }
    // Commands name this server and a table that it has.
    for part in [
        "/v1/datasets/films/tables/titles/files",
        "s3://data/films/titles/",
        "data/films/titles&quot;",
        "load_table('films.titles')",
        "shelf.films.titles;",
        "/iceberg', AUTHORIZATION_TYPE 'none'",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.matches(&format!("http://{}", shelf.address)).count() >= 5 && page.contains("retention"), "{page}");
}

#[tokio::test]
async fn an_empty_shelf_says_what_to_do() {
    let shelf = TestShelf::builder().serve().await;
    assert!(shelf.get("/").await.text().await.unwrap().contains("openshelf ingest --all --sample"));
    assert_eq!(shelf.json("/v1/datasets").await, json!({"datasets": []}));
}
