//! A server over a store in memory with what a test publishes, on a free loopback port.
//!
//! ```ignore
//! let shelf = TestShelf::builder().publish("films", TestTable::new("titles", &[("id", "int64")]).row(json!({"id": 1}))).serve().await;
//! let answer = shelf.json("/v1/datasets/films/tables/titles/rows").await;
//! ```
#![allow(dead_code, reason = "what one test module has no use for, the next one has")]

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use arrow::{array::RecordBatch, json::ReaderBuilder};
use chrono::{DateTime, TimeZone, Utc};
use openshelf::{
    catalog::{
        Column, DataFile, DatasetId, DatasetInfo, License, Manifest, Redistribution, TableId, TableSchema,
        TableSnapshot, rejects,
    },
    config::{DerivedSettings, EncodeSettings, ServeSettings},
    ingest::{
        definition::grammar::OnDuplicate,
        encode::{Encoder, TableShape},
    },
    store::{Area, Key, Store},
};
use reqwest::{Method, Response};
use serde_json::{Value, json};

/// The time of the test server's clock, and of the first snapshot.
pub(crate) fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 12, 0, 0).unwrap()
}

/// A table with rows to publish.
#[derive(Debug, Clone)]
pub(crate) struct TestTable {
    pub(crate) name: String,
    pub(crate) schema: TableSchema,
    pub(crate) batches: Vec<RecordBatch>,
    rejects: Vec<RecordBatch>,
    license: Option<Redistribution>,
    settings: EncodeSettings,
    primary_key: Vec<String>,
    sort_key: Vec<String>,
    partition_by: Vec<String>,
    /// Files of an earlier snapshot that this one has, too.
    kept: Vec<DataFile>,
}

pub(crate) fn schema(columns: &[(&str, &str)]) -> TableSchema {
    let column = |(name, kind): &(&str, &str)| Column {
        description: format!("The {name}."),
        ..Column::new(*name, kind.parse().unwrap())
    };
    TableSchema { columns: columns.iter().map(column).collect() }
}

fn batch_of(schema: &TableSchema, rows: &[Value]) -> RecordBatch {
    let mut decoder = ReaderBuilder::new(schema.to_arrow()).build_decoder().unwrap();
    decoder.serialize(rows).unwrap();
    decoder.flush().unwrap().unwrap_or_else(|| RecordBatch::new_empty(schema.to_arrow()))
}

impl TestTable {
    pub(crate) fn new(name: &str, columns: &[(&str, &str)]) -> Self {
        // Small pages and row groups, so that little data has many of them.
        let settings = EncodeSettings { page_rows: 20, row_group_rows: 100, ..EncodeSettings::default() };
        Self {
            name: name.into(),
            schema: schema(columns),
            batches: Vec::new(),
            rejects: Vec::new(),
            license: None,
            settings,
            primary_key: Vec::new(),
            sort_key: Vec::new(),
            partition_by: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Another shape of files than small pages and row groups.
    pub(crate) fn settings(mut self, settings: EncodeSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Columns whose values are unique together.
    pub(crate) fn primary_key(mut self, columns: &[&str]) -> Self {
        self.primary_key = columns.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Columns that the rows of each file are sorted by.
    pub(crate) fn sort_key(mut self, columns: &[&str]) -> Self {
        self.sort_key = columns.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Columns of which no file holds two values: the first of the sort key.
    pub(crate) fn partition_by(mut self, columns: &[&str]) -> Self {
        self.partition_by = columns.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Files of an earlier snapshot that this one has, too.
    pub(crate) fn keep(mut self, files: &[DataFile]) -> Self {
        self.kept.extend_from_slice(files);
        self
    }

    /// Rows that become one file.
    pub(crate) fn file(mut self, rows: &[Value]) -> Self {
        self.batches.push(batch_of(&self.schema, rows));
        self
    }

    /// Rows of a page and of a row group.
    pub(crate) fn pages(mut self, page_rows: usize, row_group_rows: usize) -> Self {
        self.settings = EncodeSettings { page_rows, row_group_rows, ..self.settings };
        self
    }

    /// A batch that becomes one file.
    pub(crate) fn batch(mut self, batch: RecordBatch) -> Self {
        self.batches.push(batch);
        self
    }

    pub(crate) fn reject(mut self, rows: &[Value]) -> Self {
        self.rejects.push(batch_of(&rejects::schema(), rows));
        self
    }

    pub(crate) fn license(mut self, class: Redistribution) -> Self {
        self.license = Some(class);
        self
    }
}

fn license(class: Redistribution) -> License {
    License {
        id: "CC0-1.0".into(),
        url: "https://example.org/license".into(),
        redistribution: class,
        attribution: Some("Courtesy of <b>Example</b>.".into()),
    }
}

/// A snapshot to publish.
#[derive(Debug, Clone)]
pub(crate) struct TestSnapshot {
    pub(crate) dataset: String,
    pub(crate) tables: Vec<TestTable>,
    pub(crate) class: Redistribution,
    pub(crate) created: DateTime<Utc>,
    pub(crate) title: String,
}

impl TestSnapshot {
    pub(crate) fn new(dataset: &str, tables: Vec<TestTable>) -> Self {
        Self {
            dataset: dataset.into(),
            tables,
            class: Redistribution::Open,
            created: now(),
            title: format!("The {dataset} dataset"),
        }
    }

    pub(crate) fn class(mut self, class: Redistribution) -> Self {
        self.class = class;
        self
    }

    pub(crate) fn at(mut self, created: DateTime<Utc>) -> Self {
        self.created = created;
        self
    }

    pub(crate) fn title(mut self, title: &str) -> Self {
        self.title = title.into();
        self
    }

    /// Publishes it as the next number and gives the number.
    pub(crate) async fn publish(&self, store: &Store) -> u64 {
        let id: DatasetId = self.dataset.parse().unwrap();
        let head = store.head(&id).await.unwrap();
        let number = head.as_ref().map_or(1, |head| head.snapshot + 1);
        let mut tables = Vec::new();
        for table in &self.tables {
            tables.push(self.table(store, &id, table, number, head.as_deref()).await);
        }
        let manifest = Manifest {
            format: openshelf::store::MANIFEST_FORMAT,
            dataset: self.dataset.clone(),
            snapshot: number,
            parent: (number > 1).then(|| number - 1),
            run: ulid::Ulid::from_parts(number, u128::from(number)).to_string(),
            created: self.created,
            upstream_version: Some(format!("v{number}")),
            definition: "0".repeat(64),
            software: "test".into(),
            sample: false,
            rollback_to: None,
            info: DatasetInfo {
                title: self.title.clone(),
                description: "Made by a test.".into(),
                homepage: Some("https://example.org/".into()),
                contact: None,
                tags: vec!["test".into(), self.dataset.clone()],
                refresh: Some("1d".into()),
                citation: Some("Example, 2026".into()),
                retention: "90d".into(),
            },
            license: license(self.class),
            source_segments: Vec::new(),
            source_bytes: 0,
            gap_segments: Vec::new(),
            tables,
        };
        store.publish(&manifest).await.unwrap();
        number
    }

    async fn table(
        &self,
        store: &Store,
        id: &DatasetId,
        table: &TestTable,
        number: u64,
        parent: Option<&Manifest>,
    ) -> TableSnapshot {
        let own = table.license.map(license);
        let area = Area::of(own.as_ref().unwrap_or(&license(self.class)));
        let mut files = table.kept.clone();
        files.extend(put(store, area, id, table, &table.schema, &table.batches, number, false).await);
        // Lists are shared with the parent, as by an ingest.
        let before =
            parent.and_then(|parent| parent.table(&table.name).filter(|before| Area::of_table(parent, before) == area));
        let (lists, reject_lists, listed) = before.map_or((&[][..], &[][..], &[][..]), |before| {
            (&before.segments[..], &before.reject_segments[..], &before.listed_segments[..])
        });
        let rejects = put(store, area, id, table, &rejects::schema(), &table.rejects, number, true).await;
        TableSnapshot {
            name: table.name.clone(),
            description: format!("Rows of {}.", table.name),
            license: own,
            definition: "0".repeat(64),
            source: "test".into(),
            schema: table.schema.clone(),
            last_field_id: 0,
            primary_key: table.primary_key.clone(),
            sort_key: table.sort_key.clone(),
            partition_by: table.partition_by.clone(),
            rows: files.iter().map(|file| file.rows).sum(),
            rejected: rejects.iter().map(|file| file.rows).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            added_files: Some(files.iter().filter(|file| file.added_in == number).count() as u64),
            segments: store.put_segments_after(area, id, lists, &files).await.unwrap(),
            reject_segments: store.put_segments_after(area, id, reject_lists, &rejects).await.unwrap(),
            listed_segments: store.put_listed_after(area, id, listed, &files).await.unwrap(),
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "one place in a test fixture")]
async fn put(
    store: &Store,
    area: Area,
    dataset: &DatasetId,
    table: &TestTable,
    schema: &TableSchema,
    batches: &[RecordBatch],
    number: u64,
    rejects: bool,
) -> Vec<DataFile> {
    let mut files = Vec::new();
    for (at, batch) in batches.iter().enumerate() {
        let scratch = tempfile::tempdir().unwrap();
        let shape = TableShape {
            schema,
            primary_key: &[],
            sort_key: if rejects { &[] } else { &table.sort_key },
            partition_by: if rejects { &[] } else { &table.partition_by },
            on_duplicate: OnDuplicate::First,
            metadata: Vec::new(),
        };
        let mut encoder = Encoder::new(shape, &table.settings, scratch.path()).unwrap();
        let positions: Vec<u64> = (1..=batch.num_rows() as u64).collect();
        encoder.push(batch.clone(), &positions, "row", "test").unwrap();
        for (part, encoded) in encoder.finish().unwrap().files.into_iter().enumerate() {
            let file = format!("n{number}-{at}-{part}.parquet");
            let table: TableId = table.name.parse().unwrap();
            let key = match rejects {
                false => Key::Data { area, dataset: dataset.clone(), table, file },
                true => Key::Rejects { area, dataset: dataset.clone(), table, file },
            };
            store.put_file(&key, &encoded.path).await.unwrap();
            files.push(DataFile {
                key: key.to_string(),
                bytes: encoded.bytes,
                rows: encoded.rows,
                sha256: encoded.sha256,
                part: format!("test-{number}-{at}"),
                added_in: number,
                partition: encoded.partition,
                row_groups: encoded.row_groups,
                columns: encoded.columns,
            });
        }
    }
    files
}

/// What to serve and how.
pub(crate) struct Builder {
    snapshots: Vec<TestSnapshot>,
    settings: ServeSettings,
    store: Store,
    cache: tempfile::TempDir,
    clock: openshelf::http::Clock,
}

impl Builder {
    /// A dataset of one table.
    pub(crate) fn publish(self, dataset: &str, table: TestTable) -> Self {
        self.snapshot(TestSnapshot::new(dataset, vec![table]))
    }

    pub(crate) fn snapshot(mut self, snapshot: TestSnapshot) -> Self {
        self.snapshots.push(snapshot);
        self
    }

    pub(crate) fn settings(mut self, change: impl FnOnce(&mut ServeSettings)) -> Self {
        change(&mut self.settings);
        self
    }

    pub(crate) fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// Another clock than [`now`].
    pub(crate) fn clock(mut self, clock: openshelf::http::Clock) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) async fn serve(self) -> TestShelf {
        for snapshot in &self.snapshots {
            snapshot.publish(&self.store).await;
        }
        let listener = tokio::net::TcpListener::bind(self.settings.listen).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let store = self.store.clone();
        let (settings, clock) = (self.settings, self.clock);
        let server = tokio::spawn(async move {
            let shutdown = async move {
                // Dropping the shelf stops the server, too.
                let _ended = stopped.await;
            };
            openshelf::http::serve(listener, store, settings, clock, shutdown).await.unwrap();
        });
        TestShelf {
            store: self.store,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            stop: Some(stop),
            server,
            _cache: self.cache,
        }
    }
}

/// A running server.
pub(crate) struct TestShelf {
    pub(crate) store: Store,
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    server: tokio::task::JoinHandle<()>,
    _cache: tempfile::TempDir,
}

impl TestShelf {
    pub(crate) fn builder() -> Builder {
        let cache = tempfile::tempdir().unwrap();
        Builder {
            snapshots: Vec::new(),
            settings: ServeSettings {
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                public_url: None,
                allow_personal: false,
                limits: false,
                trusted_proxies: Vec::new(),
                scan: openshelf::config::ScanCaps::default(),
                page_cache: 16 << 20,
                extracts: openshelf::config::ExtractSettings {
                    look_every: std::time::Duration::from_millis(50),
                    ..openshelf::config::ExtractSettings::new(std::env::temp_dir().join("openshelf-test-extracts"))
                },
                sql: openshelf::config::SqlSettings::new(std::env::temp_dir().join("openshelf-tests")),
                // Long enough that what is derived from little data is in the first answer.
                derived: DerivedSettings {
                    patience: Duration::from_secs(30),
                    ..DerivedSettings::new(cache.path().into())
                },
            },
            store: Store::in_memory(),
            clock: now,
            cache,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send(Method::GET, path, headers).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.client.request(method, self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// A 200 as JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        let request = self.client.post(self.url(path)).header("content-type", "application/json");
        request.body(body.to_string()).send().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A problem: its status and body, in the form every problem has.
    pub(crate) async fn problem(&self, path: &str) -> (u16, Value) {
        problem(self.get(path).await).await
    }

    /// Asks the server to end, and waits until it has.
    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).unwrap();
        }
        self.server.await.unwrap();
    }

    pub(crate) fn ask_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).unwrap();
        }
    }
}

/// A header as text.
pub(crate) fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

pub(crate) async fn problem(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(header(&response, "content-type").as_deref(), Some("application/problem+json"), "status {status}");
    let id = header(&response, "x-request-id").unwrap();
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(body["status"], json!(status));
    assert_eq!(body["instance"], json!(id));
    for key in ["type", "title", "detail", "hint"] {
        assert!(body[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {body}");
    }
    (status, body)
}

/// An error in S3's form: its status, code and message.
pub(crate) async fn s3_error(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    assert_eq!(header(&response, "content-type").as_deref(), Some("application/xml"), "status {status}");
    let id = header(&response, "x-amz-request-id").unwrap();
    let body = response.text().await.unwrap();
    let one = |name: &str| elements(&body, name).pop().unwrap_or_else(|| panic!("no {name} in {body}"));
    assert_eq!(one("RequestId"), id);
    let message = one("Message");
    assert!(message.contains(" What works: "), "{message}");
    (status, one("Code"), message)
}

/// The texts of all elements of that name, as they are written.
pub(crate) fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned())).collect()
}

/// 250 rows in two files: many pages and row groups, nulls, and a column that is sorted.
pub(crate) fn films() -> TestTable {
    let row = |n: u64| {
        let mut row = BTreeMap::from([
            ("id", json!(n)),
            ("Title", json!(format!("Film {n:03}, \"the\" best"))),
            ("year", json!(1900 + n % 50)),
            ("rating", json!((n % 10) as f64 / 2.0)),
            ("released", json!(format!("20{:02}-0{}-01", n % 25, 1 + n % 9))),
            ("genres", json!(["drama", if n.is_multiple_of(2) { "comedy" } else { "crime" }])),
            ("budget", json!(format!("{n}.50"))),
        ]);
        if n.is_multiple_of(7) {
            row.insert("year", Value::Null);
        }
        json!(row)
    };
    let rows: Vec<Value> = (0..250).map(row).collect();
    let mut table = TestTable::new(
        "titles",
        &[
            ("id", "int64"),
            ("Title", "utf8"),
            ("year", "int32"),
            ("rating", "float64"),
            ("released", "date"),
            ("genres", "list<utf8>"),
            ("budget", "decimal(10,2)"),
        ],
    );
    table.schema.columns[1].search = true;
    table
        .file(&rows[..130])
        .file(&rows[130..])
        .reject(&[json!({"source": "u", "position": "line 3", "column": "year", "value": "abc", "reason": "no int32"})])
}

/// A shelf with [`films`] as `films.titles`.
pub(crate) async fn shelf() -> TestShelf {
    TestShelf::builder().publish("films", films()).serve().await
}

/// Shared by tests that only need a reader of Arrow.
pub(crate) fn arrow_rows(bytes: &[u8]) -> Vec<Arc<RecordBatch>> {
    let reader = arrow::ipc::reader::StreamReader::try_new(bytes, None).unwrap();
    reader.map(|batch| Arc::new(batch.unwrap())).collect()
}
