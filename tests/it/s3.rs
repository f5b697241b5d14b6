//! The public bucket over plain requests: listings, what continues them, and what is refused. Objects themselves are in
//! `api_files`; the cases of ceph's suite in `s3_cases`.

use chrono::Duration;
use openshelf::{
    catalog::{DataFile, DatasetId, Manifest, Redistribution},
    store::{Area, Store},
};
use reqwest::Method;
use serde_json::json;

use crate::shelf::{TestShelf, TestSnapshot, TestTable, elements, films, header, now, s3_error};

const LIST: &str = "/data?list-type=2";

fn ids(name: &str, files: u64) -> TestTable {
    (0..files).fold(TestTable::new(name, &[("id", "int64")]), |table, n| table.file(&[json!({"id": n})]))
}

/// Three datasets, one name of which begins another's; `films` has two snapshots.
async fn shelf() -> TestShelf {
    let shelf = TestShelf::builder()
        .publish("films", ids("titles", 4))
        .publish("a", ids("t", 1))
        .snapshot(TestSnapshot::new("a-b", vec![ids("u", 1), ids("t_1", 2), ids("t", 1)]))
        .serve()
        .await;
    let second = TestSnapshot::new("films", vec![ids("titles", 3), ids("people", 2)]).at(now() + Duration::days(1));
    second.publish(&shelf.store).await;
    shelf
}

async fn text(shelf: &TestShelf, path: &str) -> String {
    let response = shelf.get(path).await;
    let (status, kind) = (response.status(), header(&response, "content-type"));
    let text = response.text().await.unwrap();
    assert_eq!((status.as_u16(), kind.as_deref()), (200, Some("application/xml")), "{path}: {text}");
    text
}

async fn keys(shelf: &TestShelf, path: &str) -> Vec<String> {
    elements(&text(shelf, path).await, "Key")
}

fn prefixes(text: &str) -> Vec<String> {
    elements(text, "CommonPrefixes").iter().flat_map(|one| elements(one, "Prefix")).collect()
}

fn one(text: &str, name: &str) -> String {
    elements(text, name).into_iter().next().unwrap_or_else(|| panic!("no {name} in {text}"))
}

const EVERYTHING: [&str; 10] = [
    "a-b/t/n1-0-0.parquet",
    "a-b/t_1/n1-0-0.parquet",
    "a-b/t_1/n1-1-0.parquet",
    "a-b/u/n1-0-0.parquet",
    "a/t/n1-0-0.parquet",
    "films/people/n2-0-0.parquet",
    "films/people/n2-1-0.parquet",
    "films/titles/n2-0-0.parquet",
    "films/titles/n2-1-0.parquet",
    "films/titles/n2-2-0.parquet",
];

#[tokio::test]
async fn a_listing_shows_the_current_snapshot_in_the_order_of_keys() {
    let shelf = shelf().await;
    for path in
        [LIST, "/data/?list-type=2", "/data/?list-type=2&delimiter=", "/data", "/data?list-type=2&x-id=ListObjectsV2"]
    {
        assert_eq!(keys(&shelf, path).await, EVERYTHING, "{path}");
    }
    let sorted = {
        let mut keys = EVERYTHING;
        keys.sort_unstable();
        keys
    };
    assert_eq!(sorted, EVERYTHING);
    let page = text(&shelf, "/data?list-type=2&prefix=films/titles/").await;
    assert_eq!(
        (one(&page, "Name"), one(&page, "KeyCount"), one(&page, "IsTruncated")),
        ("data".into(), "3".into(), "false".into())
    );
    // What is listed of an object is what the object says of itself.
    for object in elements(&page, "Contents") {
        let response = shelf.send(Method::HEAD, &format!("/data/{}", one(&object, "Key")), &[]).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "etag").unwrap().replace('"', "&quot;"), one(&object, "ETag"));
        assert_eq!(header(&response, "content-length").unwrap(), one(&object, "Size"));
        let listed = chrono::DateTime::parse_from_rfc3339(&one(&object, "LastModified")).unwrap();
        let said = chrono::DateTime::parse_from_rfc2822(&header(&response, "last-modified").unwrap()).unwrap();
        assert_eq!(listed, said);
    }
}

#[tokio::test]
async fn prefixes_and_delimiters_make_folders() {
    let shelf = shelf().await;
    for (query, folders, objects) in [
        ("delimiter=/", vec!["a-b/", "a/", "films/"], 0),
        ("delimiter=/&prefix=films", vec!["films/"], 0),
        ("delimiter=/&prefix=films/", vec!["films/people/", "films/titles/"], 0),
        ("delimiter=/&prefix=films/titles", vec!["films/titles/"], 0),
        ("delimiter=/&prefix=films/titles/", vec![], 3),
        ("delimiter=/&prefix=films/titles/n2-1", vec![], 1),
        ("delimiter=/&prefix=films@1", vec!["films@1/"], 0),
        ("delimiter=/&prefix=films@1/", vec!["films@1/titles/"], 0),
        ("prefix=films@1/titles/", vec![], 4),
        ("prefix=films@2/", vec![], 5),
        ("prefix=a", vec![], 5),
        ("prefix=a/", vec![], 1),
        ("prefix=a-b/t", vec![], 3),
        (
            "delimiter=t",
            vec![
                "a-b/t",
                "a-b/u/n1-0-0.parquet",
                "a/t",
                "films/people/n2-0-0.parquet",
                "films/people/n2-1-0.parquet",
                "films/t",
            ],
            0,
        ),
        ("delimiter=.par&prefix=films/people/", vec!["films/people/n2-0-0.par", "films/people/n2-1-0.par"], 0),
        ("delimiter=titles/n2-", vec!["films/titles/n2-"], 7),
        ("prefix=films@3/", vec![], 0),
        ("prefix=films@x/", vec![], 0),
        ("prefix=films/none/", vec![], 0),
        ("prefix=none/", vec![], 0),
        ("prefix=FILMS/", vec![], 0),
        ("prefix=/", vec![], 0),
        ("prefix=films/titles/n2-1-0.parquet/", vec![], 0),
        ("prefix=%0a", vec![], 0),
    ] {
        let page = text(&shelf, &format!("{LIST}&{query}")).await;
        assert_eq!(prefixes(&page), folders, "{query}");
        assert_eq!(elements(&page, "Key").len(), objects, "{query}: {page}");
    }
}

/// Follows a listing to its end; every page is as long as it may be.
async fn all_pages(shelf: &TestShelf, query: &str, size: usize) -> Vec<String> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = text(shelf, &format!("{LIST}&{query}&max-keys={size}{token}")).await;
        let mut here = elements(&page, "Key");
        here.extend(prefixes(&page));
        assert_eq!(one(&page, "KeyCount"), here.len().to_string());
        found.extend(here.iter().cloned());
        if one(&page, "IsTruncated") == "false" {
            assert!(elements(&page, "NextContinuationToken").is_empty());
            return found;
        }
        assert_eq!(here.len(), size);
        token = format!("&continuation-token={}", one(&page, "NextContinuationToken"));
    }
}

#[tokio::test]
async fn pages_of_any_size_join_to_the_whole() {
    let shelf = shelf().await;
    for size in 1..=11 {
        assert_eq!(all_pages(&shelf, "", size).await, EVERYTHING, "{size}");
        assert_eq!(all_pages(&shelf, "delimiter=/", size).await, ["a-b/", "a/", "films/"], "{size}");
        assert_eq!(all_pages(&shelf, "delimiter=/&prefix=films/", size).await, ["films/people/", "films/titles/"]);
        assert_eq!(all_pages(&shelf, "prefix=films@1/", size).await.len(), 4);
    }
    for (at, key) in EVERYTHING.iter().enumerate() {
        assert_eq!(keys(&shelf, &format!("{LIST}&start-after={key}")).await, EVERYTHING[at + 1..], "{key}");
        assert_eq!(keys(&shelf, &format!("/data?marker={key}")).await, EVERYTHING[at + 1..], "{key}");
        assert_eq!(keys(&shelf, &format!("{LIST}&start-after={key}0")).await, EVERYTHING[at + 1..], "{key}");
    }
    let nothing = text(&shelf, &format!("{LIST}&max-keys=0")).await;
    assert_eq!((one(&nothing, "IsTruncated"), one(&nothing, "KeyCount")), ("false".into(), "0".into()));
    assert_eq!(one(&text(&shelf, &format!("{LIST}&max-keys=5000")).await, "MaxKeys"), "1000");
}

#[tokio::test]
async fn a_listing_stays_in_the_snapshot_it_began_in() {
    let shelf = shelf().await;
    let first = text(&shelf, &format!("{LIST}&prefix=films/titles/&max-keys=1")).await;
    let token = one(&first, "NextContinuationToken");
    TestSnapshot::new("films", vec![ids("titles", 1)]).publish(&shelf.store).await;
    let rest = text(&shelf, &format!("{LIST}&prefix=films/titles/&continuation-token={token}")).await;
    assert_eq!(elements(&rest, "Key"), ["films/titles/n2-1-0.parquet", "films/titles/n2-2-0.parquet"]);
    for key in elements(&rest, "Key") {
        assert_eq!(shelf.get(&format!("/data/{key}")).await.status(), 200, "{key} of a listing that is under way");
    }
    assert_eq!(keys(&shelf, &format!("{LIST}&prefix=films/")).await, ["films/titles/n3-0-0.parquet"]);
}

#[tokio::test]
async fn names_come_as_they_are_asked_for() {
    let shelf = shelf().await;
    let plain = text(&shelf, &format!("{LIST}&prefix=%3C%26%0A&start-after=%3C%26%0A")).await;
    assert_eq!((one(&plain, "Prefix"), one(&plain, "StartAfter")), ("&lt;&amp;&#10;".into(), "&lt;&amp;&#10;".into()));
    let encoded = text(&shelf, &format!("{LIST}&prefix=%3C%26%0A%2B%20/&encoding-type=url&delimiter=%25")).await;
    assert_eq!((one(&encoded, "Prefix"), one(&encoded, "Delimiter")), ("%3C%26%0A%2B%20/".into(), "%25".into()));
    assert_eq!(one(&encoded, "EncodingType"), "url");
    let owned = text(&shelf, &format!("{LIST}&fetch-owner=true")).await;
    assert_eq!(elements(&owned, "Owner").len(), 10);
    assert!(elements(&text(&shelf, &format!("{LIST}&fetch-owner=false")).await, "Owner").is_empty());
}

#[tokio::test]
async fn whoever_signs_is_answered_and_whatever_is_unknown_is_ignored() {
    let shelf = shelf().await;
    let signed = [
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=anonymous/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
        ),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-checksum-mode", "enabled"),
        ("content-type", "application/xml"),
    ];
    for path in [
        LIST,
        "/data/films/titles/n2-0-0.parquet",
        "/data/films/titles/n2-0-0.parquet?X-Amz-Signature=0&X-Amz-Expires=9&foo=1&foo=2",
    ] {
        assert_eq!(shelf.get_with(path, &signed).await.status(), 200, "{path}");
    }
    let location = text(&shelf, "/data?location").await;
    assert!(location.contains("<LocationConstraint xmlns="), "{location}");
    assert!(text(&shelf, "/data/?versioning").await.contains("VersioningConfiguration"));
    for path in ["/data", "/data/"] {
        let head = shelf.send(Method::HEAD, path, &signed).await;
        assert_eq!((head.status().as_u16(), header(&head, "x-amz-bucket-region").as_deref()), (200, Some("us-east-1")));
    }
    let (status, code, message) = {
        let response = shelf.get_with("/other?list-type=2", &signed).await;
        let (status, body) = (response.status().as_u16(), response.text().await.unwrap());
        (status, one(&body, "Code"), one(&body, "Message"))
    };
    assert_eq!((status, code.as_str()), (404, "NoSuchBucket"), "{message}");
    assert_eq!(shelf.problem("/other").await.0, 404);
    // Only the address decides under /v1.
    let problem = shelf.get_with("/v1/datasets/none", &signed).await;
    assert_eq!(crate::shelf::problem(problem).await.0, 404);
}

#[tokio::test]
async fn who_does_not_know_the_bucket_is_told_its_name() {
    let shelf = shelf().await;
    let authorization =
        "AWS4-HMAC-SHA256 Credential=anonymous/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    for (path, name, value) in [
        ("/", "authorization", authorization),
        ("/", "authorization", "AWS a:b"),
        ("/", "amz-sdk-invocation-id", "x"),
        ("/", "x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("/", "user-agent", "aws-sdk-go/1.44.256 (go1.20; linux; amd64)"),
        ("/", "user-agent", "rclone/v1.60.1-DEV"),
        ("/?x-id=ListBuckets", "x-y", "z"),
        ("/?max-buckets=9&prefix=da", "amz-sdk-invocation-id", "x"),
    ] {
        let response = shelf.get_with(path, &[(name, value)]).await;
        let (kind, text) = (header(&response, "content-type"), response.text().await.unwrap());
        assert_eq!((kind.as_deref(), one(&text, "Name").as_str()), (Some("application/xml"), "data"), "{value}");
        let begun = chrono::DateTime::parse_from_rfc3339(&one(&text, "CreationDate")).unwrap();
        assert_eq!(begun, now());
        // A bucket that they made up, and one that they want to make.
        let other = shelf.get_with("/films/titles/x.parquet", &[(name, value), ("x-amz-y", "z")]).await;
        let (status, code, message) = told(other).await;
        assert_eq!((status, code.as_str()), (404, "NoSuchBucket"));
        assert!(message.contains("`films`") && message.contains("s3://data/"), "{message}");
        let made = shelf.send(Method::PUT, "/mine", &[(name, value), ("x-amz-y", "z")]).await;
        let (status, code, message) = told(made).await;
        assert_eq!((status, code.as_str()), (405, "MethodNotAllowed"));
        assert!(message.contains("read-only") && message.contains("openshelf ingest"), "{message}");
    }
    let none = shelf.get_with("/?prefix=x", &[("amz-sdk-invocation-id", "x")]).await.text().await.unwrap();
    assert!(none.contains("<Buckets></Buckets>"), "{none}");
    // People get the page, and other interfaces their own errors.
    for headers in
        [vec![], vec![("authorization", "Bearer x")], vec![("accept", "text/html")], vec![("x-amz-cf-id", "x")]]
    {
        let page = shelf.get_with("/", &headers).await;
        assert!(header(&page, "content-type").unwrap().starts_with("text/html"));
    }
    let signed = [("authorization", authorization)];
    let iceberg = shelf.get_with("/iceberg/v1/none", &signed).await;
    assert_eq!(header(&iceberg, "content-type").as_deref(), Some("application/json"));
    assert_eq!(crate::shelf::problem(shelf.get_with("/v1/none", &signed).await).await.0, 404);
}

async fn told(response: reqwest::Response) -> (u16, String, String) {
    let (status, body) = (response.status().as_u16(), response.text().await.unwrap());
    (status, one(&body, "Code"), one(&body, "Message"))
}

#[tokio::test]
async fn what_is_no_object_is_not_there_and_nothing_is_written() {
    let shelf = shelf().await;
    for key in [
        "films",
        "films/",
        "films/titles",
        "films/titles/",
        "films/titles/n2-0-0.parquet/",
        "films/titles/_spark_metadata",
        "films/titles/a/b",
        "nobody/x/y.parquet",
        &format!("films/titles/{}", "x".repeat(256)),
        &format!("films/titles/{}", "x".repeat(5000)),
        "films/titles/%00",
        "films/titles/..%2f..",
        "films@0/titles/x",
    ] {
        let head = shelf.send(Method::HEAD, &format!("/data/{key}"), &[]).await;
        assert_eq!(head.status(), 404, "{key}");
        assert_eq!(head.bytes().await.unwrap().len(), 0);
        let (status, code, _) = s3_error(shelf.get(&format!("/data/{key}")).await).await;
        assert_eq!((status, code.as_str()), (404, "NoSuchKey"), "{key}");
    }
    // Who asks for a folder is shown what is in it.
    for (key, held) in [("films", 2), ("films/", 2), ("films/titles", 3), ("films/titles/", 3), ("films@1/titles", 4)] {
        let (_, _, message) = s3_error(shelf.get(&format!("/data/{key}")).await).await;
        let listing = message.rsplit("What works: ").next().unwrap().replace("&amp;", "&");
        let page = text(&shelf, &listing).await;
        assert_eq!(elements(&page, "Key").len() + prefixes(&page).len(), held, "{message}");
    }
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        for path in [
            "/data",
            "/data/",
            "/data/films",
            "/data/films/titles/x.parquet",
            "/data/films/titles/n2-0-0.parquet",
            "/data/films/a/b/c",
        ] {
            let response = shelf.send(method.clone(), path, &[]).await;
            assert!(header(&response, "allow").unwrap().contains("GET"), "{method} {path}");
            let (status, code, message) = s3_error(response).await;
            assert_eq!((status, code.as_str()), (405, "MethodNotAllowed"), "{method} {path}");
            assert!(message.contains("read-only"), "{method} {path}: {message}");
        }
    }
    for (path, status, code) in [
        ("/data?list-type=2&max-keys=x", 400, "InvalidArgument"),
        ("/data?list-type=2&max-keys=-1", 400, "InvalidArgument"),
        ("/data?list-type=2&max-keys=2147483648", 400, "InvalidArgument"),
        ("/data?list-type=2&max-keys=", 400, "InvalidArgument"),
        ("/data?list-type=2&max-keys=%2B5", 400, "InvalidArgument"),
        ("/data?list-type=2&encoding-type=base64", 400, "InvalidArgument"),
        ("/data?list-type=2&continuation-token=abc", 400, "InvalidArgument"),
        ("/data?list-type=2&prefix=%ff", 400, "InvalidArgument"),
        ("/data?acl", 501, "NotImplemented"),
        ("/data?versions", 501, "NotImplemented"),
        ("/data?uploads=", 501, "NotImplemented"),
        ("/data/films/titles/n2-0-0.parquet?tagging", 501, "NotImplemented"),
    ] {
        let (told, told_code, message) = s3_error(shelf.get(path).await).await;
        assert_eq!((told, told_code.as_str()), (status, code), "{path}: {message}");
    }
}

#[tokio::test]
async fn what_is_personal_is_not_listed_and_named_only_to_be_refused() {
    let snapshot = |name, class| TestSnapshot::new(name, vec![ids("t", 1)]).class(class);
    let mixed = vec![ids("open", 1), ids("own", 1).license(Redistribution::Personal)];
    let builder = || {
        TestShelf::builder()
            .snapshot(snapshot("free", Redistribution::Open))
            .snapshot(snapshot("mine", Redistribution::Personal))
            .snapshot(TestSnapshot::new("mixed", mixed.clone()))
    };
    let public = builder().settings(|settings| settings.listen = ([0, 0, 0, 0], 0).into()).serve().await;
    assert_eq!(keys(&public, LIST).await, ["free/t/n1-0-0.parquet", "mixed/open/n1-0-0.parquet"]);
    assert_eq!(prefixes(&text(&public, &format!("{LIST}&delimiter=/")).await), ["free/", "mixed/"]);
    assert_eq!(keys(&public, &format!("{LIST}&prefix=mixed/")).await.len(), 1);
    for prefix in ["mine/", "mine/t/", "mine@1/", "mixed/own/"] {
        let (status, code, message) = s3_error(public.get(&format!("{LIST}&prefix={prefix}")).await).await;
        assert_eq!((status, code.as_str()), (403, "AccessDenied"), "{prefix}");
        assert!(message.contains("openshelf ingest mi"), "{message}");
    }
    assert_eq!(public.send(Method::HEAD, "/data/mine/t/n1-0-0.parquet", &[]).await.status(), 403);
    let own = builder().serve().await;
    assert_eq!(keys(&own, LIST).await.len(), 4);
}

/// Files that are only on the list.
fn many(count: u64) -> Vec<DataFile> {
    let file = |n: u64| DataFile {
        // In the order of rows, not of names.
        key: format!("big/data/t/{:06}.parquet", n * 7919 % count),
        bytes: n,
        rows: 1,
        sha256: format!("{n:064x}"),
        part: n.to_string(),
        added_in: 1,
        ..DataFile::default()
    };
    (0..count).map(file).collect()
}

async fn publish_many(store: &Store, count: u64, with_list: bool) {
    TestSnapshot::new("big", vec![films()]).publish(store).await;
    let id: DatasetId = "big".parse().unwrap();
    let mut manifest: Manifest = (*store.head(&id).await.unwrap().unwrap()).clone();
    let (files, table) = (many(count), &mut manifest.tables[0]);
    table.name = "t".into();
    table.segments = store.put_segments(Area::Open, &id, &files).await.unwrap();
    table.listed_segments.clear();
    if with_list {
        table.listed_segments = store.put_listed(Area::Open, &id, &files).await.unwrap();
    }
    (manifest.snapshot, manifest.parent, manifest.run) = (2, Some(1), "01ARZ3NDEKTSV4RRFFQ69G5FAV".into());
    store.publish(&manifest).await.unwrap();
}

#[tokio::test]
async fn a_hundred_thousand_objects_are_listed_page_by_page() {
    let shelf = TestShelf::builder().serve().await;
    publish_many(&shelf.store, 100_000, true).await;
    let all = all_pages(&shelf, "prefix=big/t/", 1000).await;
    let expected: Vec<String> = (0..100_000).map(|n| format!("big/t/{n:06}.parquet")).collect();
    assert!(all == expected, "{} keys", all.len());
    let folders = all_pages(&shelf, "prefix=big/t/&delimiter=00.", 1000).await;
    assert_eq!(folders.len(), 100_000, "99 000 keys and 1 000 prefixes of one key each");
    assert_eq!(keys(&shelf, &format!("{LIST}&prefix=big/t/09999")).await.len(), 10);
}

#[tokio::test]
async fn manifests_without_a_list_by_name_are_listed_as_well() {
    let shelf = TestShelf::builder().serve().await;
    publish_many(&shelf.store, 3_000, false).await;
    let expected: Vec<String> = (0..3_000).map(|n| format!("big/t/{n:06}.parquet")).collect();
    assert!(all_pages(&shelf, "", 700).await == expected);
}

/// While snapshots are replaced, whoever lists page by page sees one of them, and every file of it is there, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_one_snapshot_while_others_are_published() {
    const SNAPSHOTS: u64 = 40;
    let shelf = std::sync::Arc::new(TestShelf::builder().publish("films", ids("titles", 5)).serve().await);
    let published = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (shelf, published) = (std::sync::Arc::clone(&shelf), std::sync::Arc::clone(&published));
            tokio::spawn(async move {
                let mut seen = std::collections::BTreeSet::new();
                loop {
                    let last = published.load(std::sync::atomic::Ordering::SeqCst);
                    let keys = all_pages(&shelf, "prefix=films/titles/", 2).await;
                    assert_eq!(keys.len(), 5, "{keys:?}");
                    let numbers: std::collections::BTreeSet<&str> =
                        keys.iter().filter_map(|key| key.split(['/', '-']).nth(2)).collect();
                    assert_eq!(numbers.len(), 1, "a mixture of snapshots: {keys:?}");
                    seen.extend(numbers.into_iter().map(str::to_owned));
                    for key in &keys {
                        let file = shelf.get(&format!("/data/{key}")).await;
                        let (status, size) = (file.status(), header(&file, "content-length").unwrap());
                        let bytes = file.bytes().await.unwrap();
                        assert_eq!((status.as_u16(), size), (200, bytes.len().to_string()), "{key}");
                        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{key}");
                    }
                    if last {
                        return seen;
                    }
                }
            })
        })
        .collect();
    for _ in 1..SNAPSHOTS {
        TestSnapshot::new("films", vec![ids("titles", 5)]).publish(&shelf.store).await;
    }
    published.store(true, std::sync::atomic::Ordering::SeqCst);
    for reader in readers {
        let seen = reader.await.unwrap();
        assert!(seen.contains(&format!("n{SNAPSHOTS}")) && seen.len() > 1, "{seen:?}");
    }
}
