//! Files: the list, and everything range readers ask of `/data`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::Duration;
use openshelf::catalog::Redistribution;
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::shelf::{TestShelf, TestSnapshot, TestTable, films, header, now, s3_error, shelf};

const FILES: &str = "/v1/datasets/films/tables/titles/files";

async fn first(shelf: &TestShelf) -> (String, usize) {
    let list = shelf.json(FILES).await;
    let file = &list["files"][0];
    (file["url"].as_str().unwrap().to_owned(), file["bytes"].as_u64().unwrap() as usize)
}

#[tokio::test]
async fn the_list_names_every_file_with_what_readers_need() {
    let shelf = shelf().await;
    let list = shelf.json(FILES).await;
    assert_eq!((list["snapshot"].clone(), list["rows"].clone()), (json!(1), json!(250)));
    let files = list["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    for file in files {
        let url = file["url"].as_str().unwrap();
        assert_eq!(file["s3"].as_str().unwrap(), format!("s3:/{url}"));
        assert_eq!(file["added_in"], 1);
        assert!(file["columns"]["id"]["min"].is_number());
        let bytes = shelf.get(url).await.bytes().await.unwrap();
        assert_eq!(bytes.len() as u64, file["bytes"].as_u64().unwrap());
        assert_eq!(hex::encode(Sha256::digest(&bytes)), file["sha256"].as_str().unwrap());
    }
}

#[tokio::test]
async fn a_whole_file_comes_with_exact_headers() {
    let shelf = shelf().await;
    let (url, size) = first(&shelf).await;
    // Encodings and unknown arguments are not for files.
    let get = shelf.get_with(&format!("{url}?x-id=GetObject"), &[("accept-encoding", "gzip, br, zstd")]).await;
    assert_eq!(get.status(), 200);
    let head = shelf.send(Method::HEAD, &url, &[]).await;
    for response in [&get, &head] {
        assert_eq!(header(response, "content-length"), Some(size.to_string()));
        assert_eq!(header(response, "accept-ranges").as_deref(), Some("bytes"));
        assert_eq!(header(response, "content-type").as_deref(), Some("application/vnd.apache.parquet"));
        assert_eq!(header(response, "cache-control").as_deref(), Some("public, max-age=31536000, immutable"));
        assert_eq!(header(response, "content-range"), None);
        assert_eq!(header(response, "content-encoding"), None);
        assert!(header(response, "last-modified").is_some());
    }
    let (tag, digest) = (header(&get, "etag").unwrap(), header(&get, "repr-digest").unwrap());
    assert_eq!(head.text().await.unwrap(), "");
    let bytes = get.bytes().await.unwrap();
    let sum = Sha256::digest(&bytes);
    // Without the dash it would be taken for an MD5.
    assert_eq!(tag, format!("\"{}-1\"", hex::encode(sum)));
    assert_eq!(digest, format!("sha-256=:{}:", STANDARD.encode(sum)));
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}

#[tokio::test]
async fn ranges_are_served_as_asked() {
    let shelf = shelf().await;
    let (url, size) = first(&shelf).await;
    let whole = shelf.get(&url).await.bytes().await.unwrap();
    for (range, from, to) in [
        ("bytes=0-3".to_owned(), 0, 4),
        ("bytes=-8".to_owned(), size - 8, size),
        (format!("bytes={}-", size - 5), size - 5, size),
        (format!("bytes=10-{}", size * 2), 10, size),
        (format!("bytes=-{}", size * 2), 0, size),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let part = shelf.send(method.clone(), &url, &[("range", &range)]).await;
            assert_eq!(part.status(), 206, "{range}");
            assert_eq!(header(&part, "content-range"), Some(format!("bytes {from}-{}/{size}", to - 1)));
            assert_eq!(header(&part, "content-length"), Some((to - from).to_string()));
            if method == Method::GET {
                assert_eq!(part.bytes().await.unwrap(), whole.slice(from..to), "{range}");
            }
        }
    }
    for range in [format!("bytes={size}-"), format!("bytes={}-{}", size + 1, size + 2), "bytes=-0".to_owned()] {
        let outside = shelf.get_with(&url, &[("range", &range)]).await;
        assert_eq!(header(&outside, "content-range"), Some(format!("bytes */{size}")));
        let (status, code, _) = s3_error(outside).await;
        assert_eq!((status, code.as_str()), (416, "InvalidRange"), "{range}");
    }
    for range in ["bytes=5-4", "bytes=0-1,4-5", "items=0-1", "bytes=x-"] {
        let ignored = shelf.get_with(&url, &[("range", range)]).await;
        assert_eq!((ignored.status().as_u16(), header(&ignored, "content-range")), (200, None), "{range}");
    }
}

#[tokio::test]
async fn conditions_hold_with_and_without_quotes() {
    let shelf = shelf().await;
    let (url, _) = first(&shelf).await;
    let get = shelf.get(&url).await;
    let (tag, modified) = (header(&get, "etag").unwrap(), header(&get, "last-modified").unwrap());
    let bare = tag.trim_matches('"').to_owned();
    let old = "Sat, 01 Jan 2000 00:00:00 GMT";
    for (headers, status) in [
        (vec![("if-match", tag.as_str())], 200),
        (vec![("if-match", bare.as_str()), ("range", "bytes=0-3")], 206),
        (vec![("if-match", "*")], 200),
        (vec![("if-match", "\"other\"")], 412),
        (vec![("if-match", "other")], 412),
        (vec![("if-unmodified-since", old)], 412),
        (vec![("if-unmodified-since", modified.as_str())], 200),
        (vec![("if-none-match", tag.as_str())], 304),
        (vec![("if-none-match", "\"a\", *")], 304),
        (vec![("if-none-match", "\"other\"")], 200),
        (vec![("if-modified-since", modified.as_str())], 304),
        (vec![("if-modified-since", old)], 200),
        (vec![("if-none-match", "\"other\""), ("if-modified-since", modified.as_str())], 200),
        (vec![("if-range", tag.as_str()), ("range", "bytes=0-3")], 206),
        (vec![("if-range", modified.as_str()), ("range", "bytes=0-3")], 206),
        (vec![("if-range", "\"other\""), ("range", "bytes=0-3")], 200),
        (vec![("if-range", old), ("range", "bytes=0-3")], 200),
        (vec![("range", "bytes=0-3"), ("authorization", "AWS4-HMAC-SHA256 Credential=x"), ("x-amz-y", "z")], 206),
    ] {
        let response = shelf.get_with(&url, &headers).await;
        assert_eq!(response.status(), status, "{headers:?}");
    }
}

#[tokio::test]
async fn files_of_older_snapshots_stay_readable_and_changes_are_listed() {
    let shelf = shelf().await;
    let (old, _) = first(&shelf).await;
    let table = TestTable::new("titles", &[("id", "int64")]).file(&[json!({"id": 1})]);
    TestSnapshot::new("films", vec![table]).at(now() + Duration::days(1)).publish(&shelf.store).await;
    assert_eq!(shelf.get(&old).await.status(), 200);
    let (new, _) = first(&shelf).await;
    let name = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    assert_eq!(shelf.get(&format!("/data/films@1/titles/{}", name(&old))).await.status(), 200);
    assert_eq!(shelf.get(&format!("/data/films@2/titles/{}", name(&new))).await.status(), 200);
    for missing in [
        format!("/data/films@2/titles/{}", name(&old)),
        format!("/data/films@1/titles/{}", name(&new)),
        "/data/films/titles/none.parquet".to_owned(),
        "/data/films/titles/..%2f..%2fmanifests%2f00000000000000000001.json".to_owned(),
        "/data/films/other/none.parquet".to_owned(),
    ] {
        let (status, code, message) = s3_error(shelf.get(&missing).await).await;
        assert_eq!((status, code.as_str()), (404, "NoSuchKey"), "{missing}");
        assert!(message.contains("/v1/datasets/films/tables/"), "{message}");
    }
    let pinned = shelf.json(&format!("{FILES}?snapshot=1")).await;
    assert_eq!(pinned["files"].as_array().unwrap().len(), 2);
    let changes = shelf.json(&format!("{FILES}?since=1")).await;
    assert_eq!((changes["added"].as_array().unwrap().len(), changes["removed"].as_array().unwrap().len()), (1, 2));
    assert_eq!(shelf.problem(&format!("{FILES}?since=3")).await.0, 404);
}

#[tokio::test]
async fn a_file_that_no_manifest_names_is_not_served() {
    let shelf = shelf().await;
    let folder = tempfile::tempdir().unwrap();
    let stray = folder.path().join("stray");
    std::fs::write(&stray, b"PAR1 not published PAR1").unwrap();
    let key = openshelf::store::Key::Data {
        area: openshelf::store::Area::Open,
        dataset: "films".parse().unwrap(),
        table: "titles".parse().unwrap(),
        file: "stray.parquet".into(),
    };
    shelf.store.put_file(&key, &stray).await.unwrap();
    assert_eq!(shelf.get("/data/films/titles/stray.parquet").await.status(), 404);
}

#[tokio::test]
async fn personal_data_is_served_on_ones_own_machine_only() {
    let snapshot = || TestSnapshot::new("films", vec![films()]).class(Redistribution::Personal);
    let own = TestShelf::builder().snapshot(snapshot()).serve().await;
    let (file, _) = first(&own).await;
    let rows = own.get("/v1/datasets/films/tables/titles/rows?snapshot=1").await;
    assert!(header(&rows, "cache-control").unwrap().starts_with("private"));
    let everywhere = |settings: &mut openshelf::config::ServeSettings| settings.listen = ([0, 0, 0, 0], 0).into();
    let public = TestShelf::builder().snapshot(snapshot()).settings(everywhere).serve().await;
    let list = public.json("/v1/datasets").await;
    assert_eq!(list["datasets"][0]["access"], "metadata-only");
    let table = public.json("/v1/datasets/films/tables/titles").await;
    assert_eq!(
        (table["access"].clone(), table["columns"][0]["statistics"].clone()),
        (json!("metadata-only"), json!(null))
    );
    assert_eq!(table["statistics_state"], "withheld");
    for path in [
        "/v1/datasets/films/tables/titles/rows",
        "/v1/datasets/films/tables/titles/rows?snapshot=1&format=csv",
        "/v1/datasets/films/tables/titles/rejects",
        FILES,
        file.as_str(),
        "/data/films/titles/none.parquet",
    ] {
        assert_eq!(
            own.get(path).await.status().as_u16(),
            if path.ends_with("none.parquet") { 404 } else { 200 },
            "{path}"
        );
        if path.starts_with("/data/") {
            let (status, code, message) = s3_error(public.get(path).await).await;
            assert_eq!((status, code.as_str()), (403, "AccessDenied"), "{path}");
            assert!(message.ends_with("openshelf ingest films &amp;&amp; openshelf serve"), "{message}");
            continue;
        }
        let (status, body) = public.problem(path).await;
        assert_eq!((status, body["type"].as_str().unwrap()), (451, "/problems/personal-use-only"), "{path}");
        assert_eq!(body["hint"], "openshelf ingest films && openshelf serve");
    }
    let page = public.get("/datasets/films").await.text().await.unwrap();
    assert!(!page.contains("Film 00") && page.contains("openshelf ingest films"), "{page}");
    let allowed = TestShelf::builder().snapshot(snapshot()).settings(everywhere).settings(|s| s.allow_personal = true);
    assert_eq!(allowed.serve().await.get(&file).await.status(), 200);
    // Behind a proxy, loopback is how the whole world connects.
    let proxied = TestShelf::builder()
        .snapshot(snapshot())
        .settings(|settings| settings.trusted_proxies = vec!["127.0.0.1".parse().unwrap()])
        .serve()
        .await;
    assert_eq!(proxied.get(&file).await.status(), 403);
}

#[tokio::test]
async fn a_tables_own_license_counts_and_so_does_the_current_one() {
    let mixed = TestSnapshot::new(
        "films",
        vec![
            films(),
            TestTable::new("ratings", &[("id", "int64")]).file(&[json!({"id": 1})]).license(Redistribution::Personal),
        ],
    );
    let public = TestShelf::builder()
        .snapshot(mixed)
        .settings(|settings| settings.listen = ([0, 0, 0, 0], 0).into())
        .serve()
        .await;
    assert_eq!(public.get("/v1/datasets/films/tables/titles/rows").await.status(), 200);
    assert_eq!(public.get("/v1/datasets/films/tables/ratings/rows").await.status(), 451);
    let (file, _) = first(&public).await;
    // When the license closes, what was published under the old one closes, too.
    TestSnapshot::new("films", vec![films()]).class(Redistribution::Personal).publish(&public.store).await;
    assert_eq!(public.get(&file).await.status(), 403);
}
