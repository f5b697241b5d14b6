//! What holds for every answer: ids, tags, caching, compression, limits, problems, and a server that ends well.

use std::{collections::BTreeSet, time::Duration};

use openshelf::{
    catalog::{Gap, SourceRecord},
    store::Area,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::shelf::{TestShelf, TestSnapshot, TestTable, films, header, now, problem, shelf};

const ROWS: &str = "/v1/datasets/films/tables/titles/rows";

#[tokio::test]
async fn tags_are_strong_and_differ_by_query_format_and_snapshot() {
    let shelf = shelf().await;
    let mut tags = BTreeSet::new();
    for query in ["", "?limit=5", "?limit=6", "?offset=1", "?format=csv", "?select=id", "?where=id%3D1", "?truncate=0"]
    {
        let response = shelf.get(&format!("{ROWS}{query}")).await;
        let tag = header(&response, "etag").unwrap();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        assert!(tags.insert(tag.clone()), "{query} has a tag of its own");
        for value in [tag.clone(), format!("\"x\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
            let again = shelf.get_with(&format!("{ROWS}{query}"), &[("if-none-match", &value)]).await;
            assert_eq!(again.status(), 304, "{query} {value}");
            assert_eq!(header(&again, "etag"), Some(tag.clone()));
            assert!(header(&again, "cache-control").is_some());
            assert_eq!(again.text().await.unwrap(), "");
        }
    }
    // The same rows asked for in another spelling are the same answer.
    let spelled = shelf.get(&format!("{ROWS}?where=ID+%3D++1&limit=100")).await;
    assert!(tags.contains(&header(&spelled, "etag").unwrap()));
    TestSnapshot::new("films", vec![films()]).publish(&shelf.store).await;
    let newer = shelf.get(ROWS).await;
    assert_eq!(header(&newer, "openshelf-snapshot").unwrap(), "2");
    assert!(!tags.contains(&header(&newer, "etag").unwrap()));
}

#[tokio::test]
async fn pinned_answers_are_immutable_and_current_ones_are_not() {
    let shelf = shelf().await;
    for (path, policy) in [
        (format!("{ROWS}?snapshot=1"), "public, max-age=31536000, immutable"),
        (ROWS.to_owned(), "public, max-age=0, s-maxage=30, must-revalidate"),
        ("/v1/datasets".to_owned(), "public, max-age=0, s-maxage=30, must-revalidate"),
        ("/v1/datasets/films/snapshots/1".to_owned(), "public, max-age=31536000, immutable"),
        (format!("{ROWS}?snapshot={}", now().date_naive()), "public, max-age=0, s-maxage=30, must-revalidate"),
    ] {
        let response = shelf.get(&path).await;
        assert_eq!(header(&response, "cache-control").unwrap(), policy, "{path}");
    }
}

#[tokio::test]
async fn a_new_snapshot_is_served_without_a_restart() {
    let shelf = shelf().await;
    assert_eq!(shelf.json("/v1/datasets/films").await["snapshot"], 1);
    let table = TestTable::new("titles", &[("id", "int64")]).file(&[json!({"id": 7})]);
    TestSnapshot::new("films", vec![table]).at(now() + chrono::Duration::days(1)).publish(&shelf.store).await;
    let answer = shelf.json(ROWS).await;
    assert_eq!((answer["snapshot"].clone(), answer["rows"].clone()), (json!(2), json!([{"id": 7}])));
    assert_eq!(shelf.json(&format!("{ROWS}?snapshot=1&limit=1")).await["columns"].as_array().unwrap().len(), 7);
    assert_eq!(shelf.json(&format!("{ROWS}?snapshot=2026-11-21&limit=1")).await["snapshot"], 1);
    assert_eq!(shelf.json(&format!("{ROWS}?snapshot=2026-11-22&limit=1")).await["snapshot"], 2);
    for (snapshot, detail) in [("3", "newest is 2"), ("0", "newest is 2"), ("2026-11-20", "2026-11-20")] {
        let (status, body) = shelf.problem(&format!("{ROWS}?snapshot={snapshot}")).await;
        assert_eq!((status, body["type"].as_str().unwrap()), (404, "/problems/snapshot-not-found"));
        assert!(body["detail"].as_str().unwrap().contains(detail), "{body}");
    }
    // A dataset that is published for the first time is there, too.
    let table = TestTable::new("t", &[("id", "int64")]).file(&[json!({"id": 1})]);
    TestSnapshot::new("another", vec![table]).publish(&shelf.store).await;
    assert_eq!(shelf.json("/v1/datasets").await["datasets"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn many_datasets_are_listed_fast_and_a_new_one_soon() {
    let mut many = TestShelf::builder();
    for number in 0..60 {
        let table = TestTable::new("t", &[("id", "int64")]).file(&[json!({"id": number})]);
        many = many.publish(&format!("set-{number}"), table);
    }
    let shelf = many.serve().await;
    let count = async || shelf.json("/v1/datasets").await["datasets"].as_array().unwrap().len();
    assert_eq!(count().await, 60);
    let table = || TestTable::new("t", &[("id", "int64")]).file(&[json!({"id": 1})]);
    TestSnapshot::new("brand-new", vec![table()]).publish(&shelf.store).await;
    TestSnapshot::new("set-7", vec![table()]).publish(&shelf.store).await;
    // Its own address at once, and a new snapshot in the list, too; its name in the list within a second.
    assert_eq!(shelf.json("/v1/datasets/brand-new/tables/t/rows").await["rows"], json!([{"id": 1}]));
    let list = shelf.json("/v1/datasets").await;
    let seven = list["datasets"].as_array().unwrap().iter().find(|one| one["id"] == "set-7").unwrap();
    assert_eq!(seven["snapshot"], 2);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(count().await, 61);
}

#[tokio::test]
async fn compressed_variants_have_their_own_tag() {
    let shelf = shelf().await;
    let plain = shelf.get(ROWS).await;
    let tag = header(&plain, "etag").unwrap();
    assert!(header(&plain, "vary").unwrap().to_lowercase().contains("accept"));
    for encoding in ["gzip", "zstd", "br"] {
        let response = shelf.get_with(ROWS, &[("accept-encoding", encoding)]).await;
        assert_eq!(header(&response, "content-encoding").as_deref(), Some(encoding));
        let vary: Vec<String> =
            response.headers().get_all("vary").iter().map(|v| v.to_str().unwrap().to_lowercase()).collect();
        assert!(vary.join(",").contains("accept-encoding"), "{vary:?}");
        let own = header(&response, "etag").unwrap();
        assert_eq!(own, format!("{}-{encoding}\"", tag.trim_end_matches('"')));
        let again = shelf.get_with(ROWS, &[("accept-encoding", encoding), ("if-none-match", &own)]).await;
        assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, Some(own)));
    }
    let response = shelf.get_with(ROWS, &[("accept-encoding", "zstd")]).await;
    let text = zstd::bulk::decompress(&response.bytes().await.unwrap(), 10_000_000).unwrap();
    assert!(serde_json::from_slice::<Value>(&text).is_ok());
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let shelf = shelf().await;
    for path in ["/", "/docs", "/v1/datasets", "/v1/datasets/films", ROWS, "/healthz", "/openapi.json"] {
        let get = shelf.get(path).await;
        let head = shelf.send(Method::HEAD, path, &[]).await;
        let length = head.headers().get("content-length").map(|length| length.to_str().unwrap().to_owned());
        assert_ne!(length.as_deref(), Some("0"), "{path}: HEAD tells a length that GET does not have");
        assert_eq!(head.status(), get.status(), "{path}");
        for name in ["content-type", "etag", "cache-control"] {
            assert_eq!(header(&head, name), header(&get, name), "{path} {name}");
        }
        assert_eq!(head.text().await.unwrap(), "");
    }
    let missing = shelf.send(Method::HEAD, "/v1/datasets/none", &[]).await;
    assert_eq!(missing.status(), 404);
}

#[tokio::test]
async fn every_answer_has_an_id_and_open_doors_for_pages() {
    let shelf = shelf().await;
    let mut ids = BTreeSet::new();
    for path in ["/", "/v1/datasets", ROWS, "/nothing", "/metrics"] {
        let response = shelf.get_with(path, &[("origin", "https://example.org")]).await;
        assert!(ids.insert(header(&response, "x-request-id").unwrap()));
        assert_eq!(header(&response, "access-control-allow-origin").as_deref(), Some("*"), "{path}");
        let exposed = header(&response, "access-control-expose-headers").unwrap().to_lowercase();
        for name in ["etag", "openshelf-snapshot", "ratelimit", "link", "x-request-id", "content-range"] {
            assert!(exposed.contains(name), "{name}: {exposed}");
        }
    }
    let preflight = shelf
        .send(
            Method::OPTIONS,
            ROWS,
            &[
                ("origin", "https://example.org"),
                ("access-control-request-method", "GET"),
                (
                    "access-control-request-headers",
                    "range, if-match, if-none-match, authorization, x-amz-date, amz-sdk-request",
                ),
            ],
        )
        .await;
    assert_eq!(preflight.status(), 200);
    let allowed = header(&preflight, "access-control-allow-headers").unwrap().to_lowercase();
    for name in ["range", "if-match", "if-none-match", "authorization", "x-amz-date", "amz-sdk-request"] {
        assert!(allowed.contains(name), "{allowed}");
    }
    let response = shelf.get(&format!("{ROWS}?limit=5")).await;
    let links: Vec<String> =
        response.headers().get_all("link").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    for relation in ["next", "license", "describedby", "cite-as"] {
        assert!(links.iter().any(|link| link.contains(&format!("rel=\"{relation}\""))), "{relation}: {links:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_with_the_nearest() {
    let shelf = shelf().await;
    for (path, status, kind, word) in [
        ("/v1/datasets/flims", 404, "dataset-not-found", "films"),
        ("/v1/datasets/..%2f..%2fetc", 404, "dataset-not-found", "etc"),
        ("/v1/datasets/films/tables/title/rows", 404, "table-not-found", "titles"),
        ("/v1/datasets/films/tables/x%00", 404, "table-not-found", "titles"),
        ("/v1/datsets", 404, "route-not-found", "/v1/datsets"),
        ("/v1/datasets/%ff", 404, "route-not-found", "UTF-8"),
        ("/problems/none", 404, "route-not-found", "none"),
        ("/v1/datasets?qq=1", 400, "unknown-parameter", "`q`"),
        ("/v1/datasets?q=%ff", 400, "invalid-parameter", "UTF-8"),
        ("/v1/datasets/films/runs?limit=0", 400, "invalid-parameter", "limit"),
        ("/v1/datasets/films/snapshots?limit=101", 400, "invalid-parameter", "100"),
    ] {
        let (given, body) = shelf.problem(path).await;
        assert_eq!((given, body["type"].as_str().unwrap()), (status, format!("/problems/{kind}").as_str()), "{path}");
        assert!(body["detail"].as_str().unwrap().contains(word), "{path}: {body}");
        let page = shelf.get(body["type"].as_str().unwrap()).await;
        assert_eq!((page.status().as_u16(), header(&page, "content-type").unwrap().contains("html")), (200, true));
        assert_eq!(shelf.get(body["hint"].as_str().unwrap()).await.status(), 200, "{path}: {body}");
    }
    let response = shelf.send(Method::DELETE, ROWS, &[]).await;
    assert!(header(&response, "allow").unwrap().contains("GET"));
    assert_eq!(problem(response).await.0, 405);
    // A dataset is found without regard to case.
    assert_eq!(shelf.json("/v1/datasets/FILMS").await["id"], "films");
}

#[tokio::test]
async fn public_urls_are_absolute_everywhere() {
    let shelf = TestShelf::builder()
        .publish("films", films())
        .settings(|settings| settings.public_url = Some("https://shelf.example.org/".into()))
        .serve()
        .await;
    let list = shelf.json("/v1/datasets").await;
    assert_eq!(list["datasets"][0]["url"], "https://shelf.example.org/v1/datasets/films");
    let rows = shelf.json(ROWS).await;
    assert!(rows["next"].as_str().unwrap().starts_with("https://shelf.example.org/v1/datasets/films/"));
    let files = shelf.json("/v1/datasets/films/tables/titles/files").await;
    assert!(files["files"][0]["url"].as_str().unwrap().starts_with("https://shelf.example.org/data/films/titles/"));
    let (_, body) = shelf.problem("/v1/datasets/none").await;
    assert_eq!(body["type"], "https://shelf.example.org/problems/dataset-not-found");
}

#[tokio::test]
async fn requests_are_limited_by_address_with_the_headers_of_the_draft() {
    let shelf = TestShelf::builder().publish("films", films()).settings(|s| s.limits = true).serve().await;
    let first = shelf.get("/v1/datasets").await;
    assert_eq!(header(&first, "ratelimit-policy").unwrap(), "\"queries\";q=500;w=300");
    assert_eq!(header(&first, "ratelimit").unwrap(), "\"queries\";r=499;t=1");
    assert!(header(&first, "x-ratelimit-limit").is_none());
    let mut refused = None;
    for _ in 0..600 {
        // A header a client can choose is no key.
        let response = shelf.get_with("/v1/datasets?tag=none", &[("x-forwarded-for", "203.0.113.9")]).await;
        if response.status() == 429 {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("the limit holds");
    let wait: u64 = header(&refused, "retry-after").unwrap().parse().unwrap();
    assert!(wait >= 1);
    assert!(header(&refused, "ratelimit").unwrap().starts_with("\"queries\";r=0;t="), "{refused:?}");
    let (_, body) = problem(refused).await;
    assert_eq!(body["type"], "/problems/too-many-requests");
    // Files have a lane of their own, and health is not limited.
    let files = shelf.get("/v1/datasets/films/tables/titles/files").await;
    assert_eq!(files.status(), 200);
    assert!(header(&files, "ratelimit-policy").unwrap().starts_with("\"files\";q=100000"));
    assert_eq!(shelf.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn what_is_left_is_told() {
    let shelf = TestShelf::builder().publish("films", films()).settings(|s| s.limits = true).serve().await;
    for _ in 0..10 {
        shelf.get("/v1/datasets").await;
    }
    let said = shelf.json("/v1/limits").await;
    assert_eq!((&said["limits"], &said["tier"]), (&json!("on"), &json!("anonymous")));
    let lane = |at: usize| &said["allowances"][at];
    assert_eq!(
        (&lane(0)["lane"], &lane(0)["requests"], &lane(0)["seconds"]),
        (&json!("queries"), &json!(500), &json!(300))
    );
    // Ten, and one for asking.
    assert!((489..=490).contains(&lane(0)["left"].as_u64().unwrap()), "{said}");
    assert!((6..=7).contains(&lane(0)["reset"].as_u64().unwrap()), "{said}");
    assert_eq!((&lane(1)["lane"], &lane(1)["left"]), (&json!("files"), &json!(99_999)));
    assert_eq!(said["per_query"]["sql"]["seconds"], 10.0);
    assert_eq!(said["per_query"]["rows"]["bytes"], 4_000_000_000_u64);
    // With nothing left it still answers, and says when there is something again.
    while shelf.get("/v1/datasets?tag=none").await.status() != 429 {}
    let said = shelf.json("/v1/limits").await;
    assert!(said["allowances"][0]["left"].as_u64().unwrap() <= 1, "{said}");
    assert!(said["allowances"][0]["reset"].as_u64().unwrap() >= 1, "{said}");
    let response = shelf.get("/v1/limits").await;
    assert_eq!(header(&response, "cache-control").as_deref(), Some("no-store"));
    let off = TestShelf::builder().publish("films", films()).serve().await.json("/v1/limits").await;
    assert_eq!((&off["limits"], &off["allowances"]), (&json!("off"), &json!([])));
}

#[tokio::test]
async fn limits_can_be_off_and_proxies_trusted() {
    let off = shelf().await;
    assert!(header(&off.get("/v1/datasets").await, "ratelimit").is_none());
    let proxied = TestShelf::builder()
        .publish("films", films())
        .settings(|settings| {
            settings.limits = true;
            settings.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        })
        .serve()
        .await;
    for client in ["203.0.113.1", "203.0.113.2"] {
        let response = proxied.get_with("/v1/datasets", &[("x-forwarded-for", client)]).await;
        assert_eq!(header(&response, "ratelimit").unwrap(), "\"queries\";r=499;t=1", "{client}");
    }
}

#[tokio::test]
async fn the_server_describes_and_counts_itself() {
    let shelf = shelf().await;
    assert_eq!(shelf.json("/healthz").await["status"], "alive");
    assert_eq!(shelf.json("/readyz").await["status"], "ready");
    shelf.json(ROWS).await;
    shelf.get("/nowhere").await;
    let metrics = shelf.get("/metrics").await;
    assert!(header(&metrics, "content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = metrics.text().await.unwrap();
    for line in [
        "openshelf_requests_total{method=\"GET\",route=\"/v1/datasets/{dataset}/tables/{table}/rows\",status=\"200\"} 1",
        "openshelf_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "openshelf_rows_total 100",
        "openshelf_scanned_bytes_total",
        "openshelf_request_duration_seconds_bucket",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn every_documented_route_is_there() {
    let shelf = shelf().await;
    let document = shelf.json("/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 17, "{:?}", paths.keys());
    let file = shelf.json("/v1/datasets/films/tables/titles/files").await["files"][0]["url"].clone();
    let name = file.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let loaded = shelf.json("/iceberg/v1/namespaces/films/tables/titles").await;
    let (_, object) = loaded["metadata-location"].as_str().unwrap().split_once("/metadata/").unwrap();
    let extract = json!({"dataset": "films", "table": "titles"});
    let done = loop {
        let asked = post(&shelf, "/v1/extracts", &extract).await;
        let detail: Value = serde_json::from_str(&asked.text().await.unwrap()).unwrap();
        if detail["state"] == "done" {
            break detail;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    for (path, item) in paths {
        let address = path
            .replace("/v1/extracts/{id}/{file}", done["files"][0]["url"].as_str().unwrap())
            .replace("/v1/extracts/{id}", done["url"].as_str().unwrap())
            .replace("{dataset}", "films")
            .replace("{table}", "titles")
            .replace("{snapshot}", "1")
            .replace("{code}", "internal")
            .replace("{rendering}/{object}", object)
            .replace("{namespace}", "films")
            .replace("{file}", &name);
        // What cannot do without parameters.
        let (query, body) = match path.rsplit('/').next().unwrap() {
            "changes" => ("?from=0", json!({"from": 0})),
            "extracts" => ("", extract.clone()),
            "search" => ("?q=film", json!({"q": "film"})),
            "sql" => ("?query=select+1", json!({"query": "select 1"})),
            _ => ("", json!({})),
        };
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["responses"].is_object(), "{path}");
            let response = match method.as_str() {
                "get" => shelf.get(&format!("{address}{query}")).await,
                "post" => post(&shelf, &address, &body).await,
                other => panic!("{other} {path}"),
            };
            assert!(response.status().is_success(), "{method} {address}: {}", response.status());
        }
    }
}

async fn post(shelf: &TestShelf, address: &str, body: &Value) -> reqwest::Response {
    let request = shelf.client.post(shelf.url(address)).header("content-type", "application/json");
    request.body(body.to_string()).send().await.unwrap()
}

#[tokio::test]
async fn catalog_answers_have_the_keys_of_the_contract() {
    let shelf = shelf().await;
    let list = shelf.json("/v1/datasets").await;
    let one = &list["datasets"][0];
    assert_eq!(
        (one["id"].clone(), one["access"].clone(), one["rows"].clone()),
        (json!("films"), json!("open"), json!(250))
    );
    assert_eq!(one["tables"], json!(["titles"]));
    for key in ["title", "description", "license", "tags", "snapshot", "updated", "bytes"] {
        assert!(!one[key].is_null(), "{key}");
    }
    for (query, found) in
        [("q=made+films", 1), ("q=nothing", 0), ("tag=test", 1), ("tag=tes", 0), ("q=TITLES&tag=test", 1)]
    {
        assert_eq!(
            shelf.json(&format!("/v1/datasets?{query}")).await["datasets"].as_array().unwrap().len(),
            found,
            "{query}"
        );
    }
    let detail = shelf.json("/v1/datasets/films").await;
    for key in ["homepage", "citation", "refresh", "freshness", "gaps", "tables", "retention"] {
        assert!(!detail[key].is_null(), "{key}");
    }
    assert_eq!(detail["freshness"]["promised"], "1d");
    assert_eq!(detail["tables"][0]["name"], "titles");
    let table = shelf.json("/v1/datasets/films/tables/titles").await;
    assert_eq!(
        (table["rows"].clone(), table["rejected"].clone(), table["snapshot"].clone()),
        (json!(250), json!(1), json!(1))
    );
    let year = &table["columns"][2];
    assert_eq!((year["name"].clone(), year["type"].clone()), (json!("year"), json!("int32")));
    let statistics = &year["statistics"];
    assert_eq!(
        (&statistics["min"], &statistics["max"], &statistics["nulls"]),
        (&json!(1900), &json!(1949), &json!(36))
    );
    assert_eq!(table["statistics_state"], "complete");
    let provenance = shelf.json("/v1/datasets/films/snapshots/1").await;
    assert!(provenance["cite_as"].as_str().unwrap().contains("snapshot 1 of films"));
    assert!(provenance["bibtex"].as_str().unwrap().starts_with("@misc{films-1,"));
    assert_eq!(shelf.json("/v1/datasets/films/runs").await, json!({"runs": []}));
    for _ in 0..3 {
        TestSnapshot::new("films", vec![films()]).publish(&shelf.store).await;
    }
    let snapshots = shelf.json("/v1/datasets/films/snapshots?limit=3").await;
    let numbers: Vec<i64> =
        snapshots["snapshots"].as_array().unwrap().iter().map(|s| s["snapshot"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [4, 3, 2]);
    let rest = shelf.json(snapshots["next"].as_str().unwrap()).await;
    assert_eq!((rest["snapshots"][0]["snapshot"].clone(), rest["next"].clone()), (json!(1), Value::Null));
}

/// Publishes the films again, made from so many upstream files and lacking so many.
async fn made_from(shelf: &TestShelf, sources: usize, gaps: usize) {
    let id = "films".parse().unwrap();
    let mut manifest = (*shelf.store.head(&id).await.unwrap().unwrap()).clone();
    let url = |n| format!("https://example.org/{n}.csv");
    let source = |n| SourceRecord {
        source: "films".into(),
        url: url(n),
        part: url(n),
        variables: [].into(),
        etag: None,
        last_modified: None,
        bytes: 3,
        sha256: "0".repeat(64),
        fetched: manifest.created,
    };
    let gap = |n| Gap { source: "films".into(), url: url(n), reason: "404 Not Found".into() };
    let (sources, gaps): (Vec<_>, Vec<_>) = ((0..sources).map(source).collect(), (0..gaps).map(gap).collect());
    manifest.source_bytes = sources.iter().map(|source| source.bytes).sum();
    manifest.source_segments = shelf.store.put_segments(Area::Open, &id, &sources).await.unwrap();
    manifest.gap_segments = shelf.store.put_segments(Area::Open, &id, &gaps).await.unwrap();
    (manifest.snapshot, manifest.parent) = (manifest.snapshot + 1, Some(manifest.snapshot));
    manifest.run = format!("run {}", manifest.snapshot);
    shelf.store.publish(&manifest).await.unwrap();
}

#[tokio::test]
async fn where_a_snapshot_came_from_is_told_by_page() {
    let shelf = shelf().await;
    made_from(&shelf, 2300, 1001).await;
    let (mut next, mut sources, mut gaps) = ("/v1/datasets/films/snapshots/2".to_owned(), Vec::new(), Vec::new());
    for page in 0.. {
        let answer = shelf.json(&next).await;
        assert_eq!((&answer["source_count"], &answer["source_bytes"]), (&json!(2300), &json!(6900)));
        assert_eq!((&answer["gap_count"], &answer["offset"]), (&json!(1001), &json!(1000 * page)));
        sources.extend(answer["sources"].as_array().unwrap().iter().map(|source| source["url"].clone()));
        gaps.extend(answer["gaps"].as_array().unwrap().iter().map(|gap| gap["url"].clone()));
        let Some(more) = answer["next"].as_str() else { break };
        next = more.to_owned();
    }
    let expected = |count| (0..count).map(|n| json!(format!("https://example.org/{n}.csv"))).collect::<Vec<_>>();
    assert!(sources == expected(2300) && gaps == expected(1001), "{} {}", sources.len(), gaps.len());
    let some = shelf.json("/v1/datasets/films/snapshots/2?offset=2299&limit=5").await;
    assert_eq!((some["sources"].as_array().unwrap().len(), &some["next"]), (1, &Value::Null));
    let dataset = shelf.json("/v1/datasets/films").await;
    assert_eq!((dataset["gaps"].as_array().unwrap().len(), &dataset["gap_count"]), (1000, &json!(1001)));
    let page = shelf.get("/datasets/films").await.text().await.unwrap();
    assert!(page.contains("1001 parts are missing upstream") && page.contains("https://example.org/99.csv"));
    let refused = shelf.get("/v1/datasets/films/snapshots/2?limit=1001").await;
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn answers_that_have_begun_finish_when_the_server_ends() {
    let rows: Vec<Value> =
        (0..60_000).map(|id| json!({"id": id, "text": format!("{id} {}", "x".repeat(80))})).collect();
    let table = TestTable::new("t", &[("id", "int64"), ("text", "utf8")]).file(&rows);
    let mut shelf = TestShelf::builder().publish("big", table).serve().await;
    let response = shelf.get("/v1/datasets/big/tables/t/rows?format=ndjson").await;
    assert_eq!(response.status(), 200);
    shelf.ask_to_stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(shelf.client.get(shelf.url("/healthz")).send().await.is_err(), "no new connections");
    assert_eq!(response.text().await.unwrap().lines().count(), 60_000);
    tokio::time::timeout(Duration::from_secs(10), shelf.stop()).await.expect("the server ends");
}

/// Sends bytes as they are and reads until the server ends the connection.
async fn raw(shelf: &TestShelf, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(shelf.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut all = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut all)).await.expect("an end").unwrap();
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn addresses_work_as_they_are_typed() {
    let shelf = shelf().await;
    let close = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (query, rows) in [
        ("where=id>247&select=id", 2),
        ("where=id > 247 and id <> 248&select=id", 1),
        ("where=\"Title\" = 'Film 003, \"the\" best'", 1),
        ("where=\"Title\" like '%\u{e9}{}|\\^`#'", 0),
        ("where=id%3E247", 2),
    ] {
        let answer = raw(&shelf, format!("GET {ROWS}?{query} {close}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{query}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["rows"].as_array().unwrap().len(), rows, "{query}: {body}");
    }
    // Several requests in one go, a body among them: what follows it is taken as it comes.
    let body = r#"{"where":"id<3","limit":1}"#;
    let post =
        format!("POST {ROWS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
    let get = format!("GET {ROWS}?where=id<2 HTTP/1.1\r\nHost: x\r\n\r\n");
    let answers = raw(&shelf, format!("{get}{get}{post}\r\n\r\n{body}GET /healthz {close}").as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 4, "{answers}");
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_with_what_can() {
    let shelf = shelf().await;
    let long = format!("GET /?q={} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    for (text, status, kind) in [
        ("nonsense\r\n\r\n", 400, "unreadable-request"),
        ("GET / HTTP/1.1\r\nno header\r\n\r\n", 400, "unreadable-request"),
        ("G(T / HTTP/1.1\r\n\r\n", 400, "unreadable-request"),
        (&long, 414, "address-too-long"),
        (&many, 431, "headers-too-large"),
    ] {
        let answer = raw(&shelf, text.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{kind}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert!(head.contains("content-type: application/problem+json"), "{head}");
        assert!(head.contains(&format!("x-request-id: {}", body["instance"].as_str().unwrap())), "{head}");
        assert_eq!(body["type"], format!("/problems/{kind}"));
        assert!(body["hint"].as_str().unwrap().contains(&format!("http://{}/", shelf.address)), "{body}");
        assert_eq!(shelf.get(body["type"].as_str().unwrap()).await.status(), 200);
    }
    let metrics = shelf.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("route=\"unreadable\",status=\"414\"} 1"), "{metrics}");
}

#[tokio::test]
async fn odd_requests_get_an_answer_or_a_closed_door() {
    let shelf = shelf().await;
    for (text, expected) in [
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200"),
        ("BREW /v1/datasets HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405"),
        ("nonsense\r\n\r\n", "HTTP/1.1 400"),
    ] {
        let mut stream = TcpStream::connect(shelf.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut begun = vec![0; 12];
        stream.read_exact(&mut begun).await.unwrap();
        assert_eq!(String::from_utf8(begun).unwrap(), expected, "{text}");
    }
}
