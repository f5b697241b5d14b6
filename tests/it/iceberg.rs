//! The Iceberg REST catalog and the objects its metadata leads to, as a reader finds them.

use std::collections::{BTreeMap, BTreeSet};

use apache_avro::{Reader, types::Value as Avro};
use openshelf::{
    catalog::{DataFile, DatasetId, Redistribution},
    store::Store,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::shelf::{TestShelf, TestSnapshot, TestTable, films, header, now, schema};

/// Where what this version of the program renders lies.
const META: &str = concat!("metadata/", env!("CARGO_PKG_VERSION"));
const TITLES: &str = "/iceberg/v1/namespaces/films/tables/titles";

/// What an address of the bucket is here.
pub(crate) fn object(address: &Value) -> String {
    let address = address.as_str().unwrap();
    format!("/data/{}", address.strip_prefix("s3://data/").unwrap())
}

async fn bytes(shelf: &TestShelf, address: &str) -> Vec<u8> {
    let response = shelf.get(address).await;
    let status = response.status();
    let body = response.bytes().await.unwrap();
    assert_eq!(status, 200, "{address}: {}", String::from_utf8_lossy(&body));
    body.into()
}

/// The records of an Avro file as JSON; bytes as hex.
pub(crate) fn records(file: &[u8]) -> Vec<Value> {
    Reader::new(file).unwrap().map(|record| plain(&record.unwrap())).collect()
}

fn plain(value: &Avro) -> Value {
    match value {
        Avro::Union(_, inner) => plain(inner),
        Avro::Record(fields) => fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        Avro::Array(items) => items.iter().map(plain).collect(),
        Avro::Bytes(bytes) => hex::encode(bytes).into(),
        Avro::Int(number) | Avro::Date(number) => (*number).into(),
        Avro::Long(number) => (*number).into(),
        Avro::String(text) => text.as_str().into(),
        Avro::Boolean(value) => (*value).into(),
        Avro::Null => Value::Null,
        other => panic!("{other:?}"),
    }
}

/// A snapshot as a reader sees it: the status and the snapshot of each file, by address.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    live: BTreeMap<String, i64>,
    added: BTreeSet<String>,
    deleted: BTreeSet<String>,
    objects: Vec<String>,
}

async fn read(shelf: &TestShelf, snapshot: &Value) -> Seen {
    let mut seen = Seen::default();
    let number = snapshot["snapshot-id"].as_i64().unwrap();
    let list = object(&snapshot["manifest-list"]);
    for manifest in records(&bytes(shelf, &list).await) {
        let address = object(&manifest["manifest_path"]);
        let file = bytes(shelf, &address).await;
        assert_eq!(manifest["manifest_length"], json!(file.len()), "{address}");
        let mut counts = [(0, 0); 3];
        let mut oldest = manifest["sequence_number"].as_i64().unwrap();
        for entry in records(&file) {
            let data = &entry["data_file"];
            let (status, path) = (entry["status"].as_u64().unwrap(), data["file_path"].as_str().unwrap().to_owned());
            let rows = data["record_count"].as_i64().unwrap();
            let count = &mut counts[status as usize];
            *count = (count.0 + 1, count.1 + rows);
            let sequence = entry["sequence_number"].as_i64();
            assert_eq!(sequence.is_none(), status == 1, "{entry}");
            assert_eq!(entry["file_sequence_number"], entry["sequence_number"]);
            oldest = oldest.min(sequence.unwrap_or(oldest));
            assert!(sequence.is_none_or(|sequence| sequence <= number), "{entry}");
            match status {
                2 => assert!(seen.deleted.insert(path)),
                _ => {
                    if status == 1 && entry["snapshot_id"] == json!(number) {
                        seen.added.insert(path.clone());
                    }
                    assert!(seen.live.insert(path, rows).is_none(), "a file stands twice in snapshot {number}");
                }
            }
        }
        assert_eq!(manifest["min_sequence_number"], json!(oldest), "{address}");
        for (at, name) in ["existing", "added", "deleted"].into_iter().enumerate() {
            assert_eq!(manifest[format!("{name}_files_count")], json!(counts[at].0), "{address}");
            assert_eq!(manifest[format!("{name}_rows_count")], json!(counts[at].1), "{address}");
        }
        seen.objects.push(address);
    }
    let summary = &snapshot["summary"];
    assert_eq!(summary["total-data-files"], json!(seen.live.len().to_string()));
    assert_eq!(summary["total-records"], json!(seen.live.values().sum::<i64>().to_string()));
    seen
}

async fn files(store: &Store, dataset: &str, snapshot: u64) -> Vec<DataFile> {
    let id: DatasetId = dataset.parse().unwrap();
    let manifest = store.manifest(&id, snapshot).await.unwrap().unwrap();
    store.files(&manifest, &manifest.tables[0]).await.unwrap().to_vec()
}

fn row(n: i64) -> Value {
    json!({"id": n, "name": format!("n{n}")})
}

fn small() -> TestTable {
    TestTable::new("t", &[("id", "int64"), ("name", "utf8")]).sort_key(&["id"])
}

/// What the files of a store are called in the metadata.
fn addresses(files: &[DataFile]) -> BTreeSet<String> {
    files.iter().map(|file| format!("s3://data/d/t/{}", file.name())).collect()
}

#[tokio::test]
async fn the_metadata_of_a_table_is_golden() {
    let mut table = films().primary_key(&["id"]).sort_key(&["id", "Title"]);
    table.schema.columns[0].nullable = false;
    table.schema.columns[2].unit = Some("year".into());
    table.schema.columns.extend(
        schema(&[
            ("at", "timestamp"),
            ("local", "datetime"),
            ("raw", "binary"),
            ("extra", "json"),
            ("tags", "map<utf8, struct<a: int32, b: list<float32>>>"),
        ])
        .columns,
    );
    table.batches.clear();
    let table = table.file(&[json!({
        "id": 1, "Title": "One", "year": 1999, "rating": 0.5, "released": "2024-02-29", "genres": ["a"], "budget": "-1.28",
        "at": "2024-02-29T12:00:00.5Z", "local": "1969-12-31T23:59:59", "raw": "00ff", "extra": "{}", "tags": {}
    })]);
    let shelf = TestShelf::builder().publish("films", table).serve().await;
    let loaded = shelf.json(TITLES).await;
    assert_eq!(loaded["metadata-location"], format!("s3://data/films/titles/{META}/00001-00001.metadata.json"));
    let read = bytes(&shelf, &format!("/data/films/titles/{META}/00001-00001.metadata.json")).await;
    assert_eq!(serde_json::from_slice::<Value>(&read).unwrap(), loaded["metadata"]);
    let mut metadata = loaded["metadata"].clone();
    let list = metadata["snapshots"][0]["manifest-list"].take();
    assert_eq!(list, format!("s3://data/films/titles/{META}/snap-00001.avro"));
    metadata["snapshots"][0]["summary"]["total-files-size"] = json!("[bytes]");
    insta::assert_json_snapshot!("iceberg_metadata", metadata);

    let list = records(&bytes(&shelf, &object(&list)).await);
    let entries = records(&bytes(&shelf, &object(&list[0]["manifest_path"])).await);
    let mut data = entries[0]["data_file"].clone();
    data["file_size_in_bytes"] = json!("[bytes]");
    insta::assert_json_snapshot!("iceberg_data_file", data);
}

#[tokio::test]
async fn a_file_of_several_row_groups_says_where_each_begins() {
    let store = Store::in_memory();
    let rows: Vec<Value> = (0..250).map(row).collect();
    TestSnapshot::new("d", vec![small().file(&rows).file(&rows[..100])]).publish(&store).await;
    let known = files(&store, "d", 1).await;
    assert_eq!((known[0].row_groups.len(), known[0].row_groups[0], known[1].row_groups.len()), (3, 4, 0));
    // A list that is older than this does not say it.
    let mut old = known[0].clone();
    old.row_groups.clear();
    TestSnapshot::new("d", vec![small().keep(&known[1..]).keep(&[old])]).publish(&store).await;
    let shelf = TestShelf::builder().store(store).serve().await;
    let metadata = shelf.json("/iceberg/v1/namespaces/d/tables/t").await["metadata"].clone();
    let mut found = Vec::new();
    for snapshot in metadata["snapshots"].as_array().unwrap() {
        let list = records(&bytes(&shelf, &object(&snapshot["manifest-list"])).await);
        let manifest = records(&bytes(&shelf, &object(&list[0]["manifest_path"])).await);
        found.push(manifest.iter().map(|entry| entry["data_file"]["split_offsets"].clone()).collect::<Vec<_>>());
    }
    assert_eq!(found, [vec![json!(known[0].row_groups), json!(null)], vec![json!(null), json!(null)]]);
}

#[tokio::test]
async fn each_snapshot_is_the_files_it_had_with_what_came_and_what_went() {
    let store = Store::in_memory();
    let publish = async |table: TestTable| TestSnapshot::new("d", vec![table]).publish(&store).await;
    // New; one more; replaced; the same again; one less; nothing at all.
    publish(small().file(&[row(1)]).file(&[row(2)])).await;
    let first = files(&store, "d", 1).await;
    publish(small().keep(&first).file(&[row(3)])).await;
    publish(small().file(&[row(4)])).await;
    let third = files(&store, "d", 3).await;
    publish(small().keep(&third)).await;
    publish(small().keep(&first).keep(&third)).await;
    publish(small()).await;

    let shelf = TestShelf::builder().store(store.clone()).serve().await;
    let loaded = shelf.json("/iceberg/v1/namespaces/d/tables/t").await;
    let snapshots = loaded["metadata"]["snapshots"].as_array().unwrap().clone();
    assert_eq!(loaded["metadata"]["current-snapshot-id"], 6);
    let operations: Vec<_> =
        snapshots.iter().map(|snapshot| snapshot["summary"]["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["append", "append", "overwrite", "append", "append", "overwrite"]);
    let mut before = BTreeSet::new();
    for (number, snapshot) in (1..).zip(&snapshots) {
        assert_eq!(snapshot["snapshot-id"], json!(number));
        assert_eq!(snapshot.get("parent-snapshot-id"), (number > 1).then(|| json!(number - 1)).as_ref());
        let expected = addresses(&files(&store, "d", number).await);
        let seen = read(&shelf, snapshot).await;
        let live: BTreeSet<String> = seen.live.keys().cloned().collect();
        assert_eq!(live, expected, "snapshot {number}");
        assert_eq!(seen.deleted, before.difference(&expected).cloned().collect(), "snapshot {number}");
        assert_eq!(snapshot["summary"]["operation"] == "append", seen.deleted.is_empty(), "snapshot {number}");
        // A file that is back is no news that this snapshot made: only what it made itself.
        if number != 5 {
            assert_eq!(seen.added, expected.difference(&before).cloned().collect(), "snapshot {number}");
        }
        for address in seen.live.keys() {
            assert_eq!(shelf.get(&object(&json!(address))).await.status(), 200, "{address}");
        }
        before = expected;
    }
}

#[tokio::test]
async fn the_same_snapshot_gives_the_same_bytes_in_every_process_and_is_shared_by_later_ones() {
    let store = Store::in_memory();
    TestSnapshot::new("d", vec![small().file(&[row(1)]).file(&[row(2)])]).publish(&store).await;
    let kept = files(&store, "d", 1).await;
    for n in 2..=100 {
        let table = if n % 3 == 0 { small().file(&[row(n)]).keep(&kept) } else { small().keep(&kept) };
        TestSnapshot::new("d", vec![table]).at(now() + chrono::Duration::hours(n)).publish(&store).await;
    }
    let shelves = [
        TestShelf::builder().store(store.clone()).serve().await,
        TestShelf::builder()
            .store(store.clone())
            .settings(|s| s.public_url = Some("https://x.example".into()))
            .serve()
            .await,
    ];
    let mut seen = BTreeMap::new();
    for shelf in &shelves {
        let loaded = shelf.json("/iceberg/v1/namespaces/d/tables/t").await;
        let metadata = object(&loaded["metadata-location"]);
        let mut addresses = vec![metadata];
        let snapshots = loaded["metadata"]["snapshots"].as_array().unwrap();
        assert_eq!(snapshots.len(), 100);
        for snapshot in snapshots.iter().rev() {
            addresses.push(object(&snapshot["manifest-list"]));
            addresses.extend(read(shelf, snapshot).await.objects);
        }
        for address in addresses {
            let made = bytes(shelf, &address).await;
            let known = seen.entry(address.clone()).or_insert_with(|| made.clone());
            assert!(*known == made, "{address}");
        }
    }
    let shared = seen.keys().filter(|address| address.contains("/kept-")).count();
    // A list that comes back has a name of its own each time (what was collected must not be named again): the first one,
    // and those of the snapshots 4, 7 … 97, each shared with the snapshot after it.
    assert_eq!(shared, 33, "a segment that stays is one manifest");

    // A snapshot later, the history has grown and nothing in it has changed.
    TestSnapshot::new("d", vec![small().file(&[row(0)])]).at(now() + chrono::Duration::days(9)).publish(&store).await;
    let loaded = shelves[0].json("/iceberg/v1/namespaces/d/tables/t").await;
    let (old, new) = (&shelves[1].json("/iceberg/v1/namespaces/d/tables/t").await["metadata"], &loaded["metadata"]);
    assert_eq!(old, new);
    assert_eq!(new["current-snapshot-id"], 101);
    let times = new["snapshot-log"].as_array().unwrap().iter().map(|entry| entry["timestamp-ms"].as_i64().unwrap());
    assert!(times.is_sorted());
}

#[tokio::test]
async fn a_schema_that_changes_leaves_each_snapshot_its_own() {
    let store = Store::in_memory();
    let publish = async |table: TestTable| TestSnapshot::new("d", vec![table]).publish(&store).await;
    publish(small().file(&[row(1)])).await;
    let wider = TestTable::new("t", &[("id", "int64"), ("name", "utf8"), ("more", "list<int32>")]);
    publish(wider.file(&[json!({"id": 2, "name": "b", "more": [1]})])).await;
    let shelf = TestShelf::builder().store(store.clone()).serve().await;
    let metadata = shelf.json("/iceberg/v1/namespaces/d/tables/t").await["metadata"].clone();
    let schemas = metadata["schemas"].as_array().unwrap();
    assert_eq!(schemas.len(), 2);
    assert_eq!(metadata["current-schema-id"], schemas[1]["schema-id"]);
    for at in [0, 1] {
        assert_eq!(metadata["snapshots"][at]["schema-id"], schemas[at]["schema-id"]);
    }
    assert_eq!(schemas[1]["fields"].as_array().unwrap().len(), 3);
    assert_eq!(metadata["last-column-id"], 4);
    assert_eq!(metadata["default-sort-order-id"], 0, "the newest snapshot has no order");
    assert_eq!(metadata["sort-orders"].as_array().unwrap().len(), 2);
}

/// The metadata of an Avro file that manifests have.
fn avro_metadata(file: &[u8]) -> BTreeMap<String, String> {
    let reader = Reader::new(file).unwrap();
    let text = |(key, value): (&String, &Vec<u8>)| (key.clone(), String::from_utf8(value.clone()).unwrap());
    reader.user_metadata().iter().map(text).collect()
}

/// Partitioned by columns of every type that makes partitions; one is called as Avro calls nothing.
fn parted(by: &[&str]) -> TestTable {
    let columns =
        [("id", "int64"), ("year", "int32"), ("day", "date"), ("is it", "bool"), ("code", "utf8"), ("large", "int64")];
    TestTable::new("t", &columns).sort_key(by).partition_by(by)
}

#[tokio::test]
async fn a_partitioned_table_says_so_in_every_object() {
    let by = ["year", "day", "is it", "code", "large"];
    let long = "é".repeat(60);
    let row = |year: Value, code: &str, id: i64| json!({"id": id, "year": year, "day": "1969-12-31", "is it": true, "code": code, "large": 1_i64 << 60});
    let rows =
        [row(json!(1999), "b", 1), row(json!(1999), &long, 2), row(json!(null), "b", 3), row(json!(2001), "b", 4)];
    let shelf = TestShelf::builder().publish("d", parted(&by).file(&rows)).serve().await;
    let metadata = shelf.json("/iceberg/v1/namespaces/d/tables/t").await["metadata"].clone();
    let list = records(&bytes(&shelf, &object(&metadata["snapshots"][0]["manifest-list"])).await);
    let manifest = bytes(&shelf, &object(&list[0]["manifest_path"])).await;
    let of_manifest = avro_metadata(&manifest);
    let fields: Value = serde_json::from_str(&of_manifest["partition-spec"]).unwrap();
    assert_eq!(of_manifest["partition-spec-id"], metadata["default-spec-id"].to_string());
    assert_eq!(metadata["partition-specs"], json!([{"spec-id": metadata["default-spec-id"], "fields": fields}]));
    assert_eq!(list[0]["partition_spec_id"], metadata["default-spec-id"]);
    let files: Vec<Value> = records(&manifest).iter().map(|entry| entry["data_file"]["partition"].clone()).collect();
    let at = manifest.windows(30).position(|text| text.starts_with(br#"{"type":"record""#)).unwrap();
    let schema: Value = serde_json::Deserializer::from_slice(&manifest[at..]).into_iter().next().unwrap().unwrap();
    let partition = schema["fields"][4]["type"]["fields"].as_array().unwrap();
    let partition = partition.iter().find(|field| field["name"] == "partition").unwrap();
    insta::assert_json_snapshot!(
        "iceberg_partitions",
        json!({
            "last-partition-id": metadata["last-partition-id"],
            "partition-specs": metadata["partition-specs"],
            "partition": partition,
            "files": files,
            "summaries": list[0]["partitions"],
        })
    );
}

#[tokio::test]
async fn each_snapshot_keeps_the_partitions_it_was_made_with() {
    let store = Store::in_memory();
    let publish = async |table: TestTable| TestSnapshot::new("d", vec![table]).publish(&store).await;
    let row = |id: i64| json!({"id": id, "year": 2000 + id % 3, "day": "2024-01-01", "is it": false, "code": format!("c{}", id % 2), "large": 1});
    let rows: Vec<Value> = (0..12).map(row).collect();
    // By year; a file more; by year and code; by nothing; by year again.
    publish(parted(&["year"]).file(&rows)).await;
    let first = files(&store, "d", 1).await;
    publish(parted(&["year"]).keep(&first).file(&rows[..1])).await;
    publish(parted(&["code", "year"]).file(&rows)).await;
    publish(parted(&[]).file(&rows)).await;
    publish(parted(&["year"]).file(&rows)).await;
    let shelf = TestShelf::builder().store(store.clone()).serve().await;
    let metadata = shelf.json("/iceberg/v1/namespaces/d/tables/t").await["metadata"].clone();
    let specs = metadata["partition-specs"].as_array().unwrap();
    let ids: Vec<i64> = specs.iter().map(|spec| spec["spec-id"].as_i64().unwrap()).collect();
    assert_eq!(specs.len(), 3);
    assert_eq!((metadata["default-spec-id"].as_i64(), ids[2]), (Some(ids[0]), 0));
    // The same column by the same transform is the same partition field in every spec.
    assert_eq!(
        specs[0]["fields"],
        json!([{"source-id": 2, "field-id": 1002, "name": "year", "transform": "identity"}])
    );
    assert_eq!(specs[1]["fields"][1], specs[0]["fields"][0]);
    assert_eq!(metadata["last-partition-id"], 1005);

    let mut found = Vec::new();
    for snapshot in metadata["snapshots"].as_array().unwrap() {
        read(&shelf, snapshot).await;
        let mut manifests = Vec::new();
        for manifest in records(&bytes(&shelf, &object(&snapshot["manifest-list"])).await) {
            let file = bytes(&shelf, &object(&manifest["manifest_path"])).await;
            let spec = ids.iter().position(|id| manifest["partition_spec_id"] == json!(id)).unwrap();
            let of_manifest = avro_metadata(&file);
            assert_eq!(of_manifest["partition-spec-id"], ids[spec].to_string());
            assert_eq!(serde_json::from_str::<Value>(&of_manifest["partition-spec"]).unwrap(), specs[spec]["fields"]);
            let fields = specs[spec]["fields"].as_array().unwrap();
            assert_eq!(manifest["partitions"].as_array().unwrap().len(), fields.len());
            for entry in records(&file) {
                let data = &entry["data_file"];
                let partition = data["partition"].as_object().unwrap();
                assert_eq!(partition.len(), fields.len());
                // Its value is in its own bounds, and in those the list has of the manifest.
                for (at, field) in fields.iter().enumerate().filter(|(_, field)| field["name"] == "year") {
                    let binary = hex::encode((partition["year"].as_i64().unwrap() as i32).to_le_bytes());
                    for side in ["lower_bounds", "upper_bounds"] {
                        let bounds = data[side].as_array().unwrap();
                        let bound = bounds.iter().find(|bound| bound["key"] == field["source-id"]).unwrap();
                        assert_eq!(bound["value"], json!(binary));
                    }
                    let summary = &manifest["partitions"][at];
                    assert!(
                        summary["lower_bound"].as_str() <= Some(&binary)
                            && summary["upper_bound"].as_str() >= Some(&binary)
                    );
                }
            }
            manifests.push(spec);
        }
        found.push(manifests);
    }
    // What a snapshot removes is partitioned as the snapshot before.
    assert_eq!(found, [vec![0], vec![0], vec![1, 0], vec![2, 1], vec![0, 2]]);

    // A history that begins later has the specs that are left in it, under the ids they had.
    let schema = metadata["current-schema-id"].clone();
    publish(parted(&["code", "year"]).file(&rows)).await;
    let later = shelf.json("/iceberg/v1/namespaces/d/tables/t").await["metadata"].clone();
    assert_eq!((&later["partition-specs"], &later["current-schema-id"]), (&metadata["partition-specs"], &schema));
    assert_eq!(later["default-spec-id"], json!(ids[1]));
}

#[tokio::test]
async fn the_catalog_lists_and_finds_tables() {
    let shelf =
        TestShelf::builder().publish("films", films()).publish("two-words", small().file(&[row(1)])).serve().await;
    for path in ["/iceberg/v1/config", "/iceberg/v1/config?warehouse=any&other=1"] {
        let config = shelf.json(path).await;
        assert_eq!(config["overrides"], json!({}));
        assert!(config["endpoints"].as_array().unwrap().contains(&json!("GET /v1/{prefix}/namespaces")));
    }
    assert_eq!(shelf.json("/iceberg/v1/namespaces").await["namespaces"], json!([["films"], ["two-words"]]));
    assert_eq!(shelf.json("/iceberg/v1/namespaces?parent=films").await["namespaces"], json!([]));
    assert_eq!(shelf.json("/iceberg/v1/namespaces/films").await["namespace"], json!(["films"]));
    for namespace in ["two-words", "two_words", "TWO_WORDS"] {
        let tables = shelf.json(&format!("/iceberg/v1/namespaces/{namespace}/tables?pageToken=")).await;
        assert_eq!(tables["identifiers"], json!([{"namespace": ["two-words"], "name": "t"}]));
        let head = shelf.send(Method::HEAD, &format!("/iceberg/v1/namespaces/{namespace}/tables/t"), &[]).await;
        assert_eq!(head.status(), 204);
    }
    assert_eq!(shelf.send(Method::HEAD, "/iceberg/v1/namespaces/films", &[]).await.status(), 204);

    let loaded = shelf.json(&format!("{TITLES}?snapshots=all")).await;
    let config = loaded["config"].as_object().unwrap();
    assert_eq!(config["s3.endpoint"], json!(shelf.url("")));
    assert_eq!(config["s3.path-style-access"], "true");
    assert_eq!(config["s3.access-key-id"], "anonymous");
    assert!(!config.contains_key("s3.anonymous"));
    let again = shelf.get(TITLES).await;
    let tag = header(&again, "etag").unwrap();
    assert_eq!(header(&again, "openshelf-snapshot").as_deref(), Some("1"));
    assert_eq!(shelf.get_with(TITLES, &[("if-none-match", &tag)]).await.status(), 304);

    let public = TestShelf::builder()
        .publish("films", films())
        .settings(|settings| settings.public_url = Some("https://data.example.org/".into()))
        .serve()
        .await;
    assert_eq!(public.json(TITLES).await["config"]["s3.endpoint"], "https://data.example.org");
}

#[tokio::test]
async fn objects_answer_as_files_do() {
    let shelf = TestShelf::builder().publish("films", films()).serve().await;
    let list = &format!("/data/films/titles/{META}/snap-00001.avro");
    let whole = bytes(&shelf, list).await;
    let head = shelf.send(Method::HEAD, list, &[("authorization", "AWS4-HMAC-SHA256 Credential=anonymous/…")]).await;
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, Some(whole.len().to_string())));
    let tag = header(&head, "etag").unwrap();
    for (range, expected) in
        [("bytes=0-3", &whole[..4]), ("bytes=-16", &whole[whole.len() - 16..]), ("bytes=4-", &whole[4..])]
    {
        let part = shelf.get_with(list, &[("range", range), ("if-match", tag.trim_matches('"'))]).await;
        assert_eq!(part.status(), 206);
        assert_eq!(part.bytes().await.unwrap(), expected, "{range}");
    }
    assert_eq!(shelf.get_with(list, &[("range", "bytes=9999999-")]).await.status(), 416);
    assert_eq!(shelf.get_with(list, &[("if-match", "\"other\"")]).await.status(), 412);
    assert_eq!(shelf.get_with(list, &[("if-none-match", &tag)]).await.status(), 304);
    let cached = |of: &reqwest::Response| header(of, "cache-control").unwrap();
    assert!(cached(&head).contains("immutable"));
    // What another version of the program named is had, but it may be other bytes.
    let other = shelf.get("/data/films/titles/metadata/0.0.7/snap-00001.avro").await;
    assert_eq!((other.status().as_u16(), cached(&other).as_str()), (200, "no-store"));
    assert_eq!(other.bytes().await.unwrap(), whole);
    for rendering in ["x", "..", "0.1.0%2f", "%00", "0.1.0%20"] {
        let address = format!("/data/films/titles/metadata/{rendering}/snap-00001.avro");
        assert_eq!(shelf.get(&address).await.status(), 404, "{address}");
    }
    let segment = "0".repeat(64);
    for name in [
        "snap-00002.avro",
        "snap-1.avro",
        "00002-00001.metadata.json",
        "00001-00001.metadata.json.gz",
        "version-hint.text",
        &format!("kept-00001-{segment}.avro"),
        &format!("added-00001-{segment}.avro"),
        &format!("removed-00001-{segment}.avro"),
        &format!("added-99999-{segment}.avro"),
    ] {
        assert_eq!(shelf.get(&format!("/data/films/titles/{META}/{name}")).await.status(), 404, "{name}");
    }
}

#[tokio::test]
async fn segments_of_another_table_are_not_shown_as_this_ones() {
    let store = Store::in_memory();
    let mut other = small().file(&[row(2)]);
    other.name = "other".into();
    TestSnapshot::new("d", vec![small().file(&[row(1)]), other]).publish(&store).await;
    let shelf = TestShelf::builder().store(store.clone()).serve().await;
    let manifest = store.manifest(&"d".parse().unwrap(), 1).await.unwrap().unwrap();
    let segment = &manifest.table("other").unwrap().segments[0].hash;
    for kind in ["kept", "added"] {
        let of = |table: &str| format!("/data/d/{table}/{META}/{kind}-00001-{segment}.avro");
        assert_eq!(shelf.get(&of("other")).await.status(), 200);
        assert_eq!(shelf.get(&of("t")).await.status(), 404);
    }
}

async fn error(shelf: &TestShelf, method: Method, path: &str) -> (u16, String, String) {
    let response = shelf.send(method, path, &[]).await;
    let status = response.status().as_u16();
    assert_eq!(header(&response, "content-type").as_deref(), Some("application/json"), "{path}");
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(body["error"]["code"], json!(status), "{body}");
    let text = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (status, text("type"), text("message"))
}

#[tokio::test]
async fn errors_have_icebergs_form() {
    let shelf = TestShelf::builder().publish("films", films()).serve().await;
    for (method, path, status, kind) in [
        (Method::GET, "/iceberg/v1/namespaces/nope", 404, "NoSuchNamespaceException"),
        (Method::GET, "/iceberg/v1/namespaces?parent=nope", 404, "NoSuchNamespaceException"),
        (Method::GET, "/iceberg/v1/namespaces/nope/tables", 404, "NoSuchNamespaceException"),
        (Method::GET, "/iceberg/v1/namespaces/films/tables/nope", 404, "NoSuchTableException"),
        (Method::GET, "/iceberg/v1/namespaces/nope/tables/nope", 404, "NoSuchTableException"),
        (Method::GET, "/iceberg/v1/namespaces/films%1Ftitles/tables/snapshots", 404, "NoSuchTableException"),
        (Method::GET, "/iceberg/v1/nothing", 404, "NotFoundException"),
        (Method::POST, "/iceberg/v1/namespaces", 403, "ForbiddenException"),
        (Method::DELETE, TITLES, 403, "ForbiddenException"),
        (Method::POST, TITLES, 403, "ForbiddenException"),
        (Method::POST, "/iceberg/v1/transactions/commit", 403, "ForbiddenException"),
        (Method::PUT, "/iceberg/v1/nothing", 403, "ForbiddenException"),
    ] {
        let (found, name, message) = error(&shelf, method.clone(), path).await;
        assert_eq!((found, name.as_str()), (status, kind), "{method} {path}");
        assert!(!message.is_empty());
    }
    let head = shelf.send(Method::HEAD, "/iceberg/v1/namespaces/films/tables/nope", &[]).await;
    assert_eq!(head.status(), 404);
    let metrics = shelf.post(&format!("{TITLES}/metrics"), &json!({"report-type": "scan-report"})).await;
    assert_eq!(metrics.status(), 204);
}

#[tokio::test]
async fn personal_datasets_are_refused_with_the_way_to_ones_own_copy() {
    let store = Store::in_memory();
    let of = |class| TestSnapshot::new("d", vec![small().file(&[row(1)])]).class(class);
    of(Redistribution::Personal).publish(&store).await;
    let public = |settings: &mut openshelf::config::ServeSettings| {
        settings.trusted_proxies = vec!["127.0.0.9".parse().unwrap()];
    };
    let shelf = TestShelf::builder().store(store.clone()).settings(public).serve().await;
    assert_eq!(shelf.json("/iceberg/v1/namespaces").await["namespaces"], json!([]));
    let (status, kind, message) = error(&shelf, Method::GET, "/iceberg/v1/namespaces/d/tables/t").await;
    assert_eq!((status, kind.as_str()), (403, "ForbiddenException"));
    assert!(message.contains("openshelf ingest d"), "{message}");
    for name in ["00001-00001.metadata.json", "snap-00001.avro"] {
        let status = shelf.get(&format!("/data/d/t/{META}/{name}")).await.status();
        assert!([403, 451].contains(&status.as_u16()), "{status}");
    }
    // Later it is open: what was personal stays so, and is in no history.
    of(Redistribution::Open).publish(&store).await;
    let metadata = shelf.json("/iceberg/v1/namespaces/d/tables/t").await["metadata"].clone();
    assert_eq!(metadata["snapshots"].as_array().unwrap().len(), 1);
    let seen = read(&shelf, &metadata["snapshots"][0]).await;
    assert!(seen.deleted.is_empty() && seen.live.len() == 1);
    assert!([403, 451].contains(&shelf.get(&format!("/data/d/t/{META}/snap-00001.avro")).await.status().as_u16()));
    // On one's own machine all of it is there.
    let own = TestShelf::builder().store(store).serve().await;
    assert_eq!(own.json("/iceberg/v1/namespaces").await["namespaces"], json!([["d"]]));
}
