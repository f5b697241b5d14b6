//! Rows: what a slice holds, in every format, and what is refused.

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{Int64Array, RecordBatch, StringArray},
    datatypes::DataType,
};
use openshelf::config::ScanCaps;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::shelf::{TestShelf, TestSnapshot, TestTable, arrow_rows, films, header, problem, schema, shelf};

const ROWS: &str = "/v1/datasets/films/tables/titles/rows";

fn ids(answer: &Value) -> Vec<i64> {
    answer["rows"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn a_json_answer_has_the_shape_of_the_contract() {
    let shelf = shelf().await;
    let answer = shelf.json(&format!("{ROWS}?offset=128&limit=4&count=exact")).await;
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["dataset", "table", "snapshot", "columns", "rows", "offset", "row_count", "next", "truncated", "seed"]
    );
    assert_eq!(answer["dataset"], "films");
    assert_eq!(answer["table"], "titles");
    assert_eq!(answer["snapshot"], 1);
    assert_eq!(answer["columns"][0], json!({"name": "id", "type": "int64"}));
    assert_eq!(answer["columns"][5]["type"], "list<utf8>");
    // The slice lies over the boundary of two files.
    assert_eq!(ids(&answer), [128, 129, 130, 131]);
    assert_eq!(answer["row_count"], json!({"value": 250, "kind": "exact"}));
    assert_eq!(answer["truncated"], json!([]));
    assert_eq!(answer["seed"], Value::Null);
    assert_eq!(
        answer["rows"][2],
        json!({
            "id": 130, "Title": "Film 130, \"the\" best", "year": 1930, "rating": 0.0, "released": "2005-05-01",
            "genres": ["drama", "comedy"], "budget": "130.50"
        })
    );
}

#[tokio::test]
async fn pages_lead_on_and_never_mix_snapshots() {
    let shelf = shelf().await;
    let mut address = format!("{ROWS}?select=id&limit=90");
    let mut seen = Vec::new();
    let mut snapshots = 0;
    loop {
        let answer = shelf.json(&address).await;
        seen.extend(ids(&answer));
        let Some(next) = answer["next"].as_str() else { break };
        assert!(next.contains("snapshot=1"), "{next}");
        address = next.to_owned();
        if snapshots == 0 {
            // A new snapshot in between changes nothing for pages that began before it.
            let other = TestTable::new("titles", &[("id", "int64")]).file(&[json!({"id": -1})]);
            snapshots = TestSnapshot::new("films", vec![other]).publish(&shelf.store).await;
        }
    }
    assert_eq!(seen, (0..250).collect::<Vec<i64>>());
    assert_eq!(snapshots, 2);
    let filtered = shelf.json(&format!("{ROWS}?where=id%3C25&limit=10&snapshot=1")).await;
    let last = filtered["next"].as_str().unwrap();
    let second = shelf.json(last).await;
    assert_eq!(ids(&second), (10..20).collect::<Vec<_>>());
    let third = shelf.json(second["next"].as_str().unwrap()).await;
    assert_eq!(ids(&third), (20..25).collect::<Vec<_>>());
    assert_eq!(third["next"], Value::Null);
}

#[tokio::test]
async fn a_slice_is_the_filter_over_everything() {
    let shelf = shelf().await;
    let everything = shelf.json(&format!("{ROWS}?limit=10000")).await["rows"].as_array().unwrap().clone();
    assert_eq!(everything.len(), 250);
    type Keep = fn(&Value) -> bool;
    let conditions: Vec<(&str, Keep)> = vec![
        ("", |_| true),
        ("id >= 40 and id < 77", |row| (40..77).contains(&row["id"].as_i64().unwrap())),
        ("id = 201", |row| row["id"] == 201),
        ("year is null", |row| row["year"].is_null()),
        ("year > 1945 or rating = 4.5", |row| {
            row["year"].as_i64().is_some_and(|year| year > 1945) || row["rating"] == 4.5
        }),
        ("not (year > 1910)", |row| row["year"].as_i64().is_some_and(|year| year <= 1910)),
        ("released >= '2020-01-01'", |row| row["released"].as_str().unwrap() >= "2020-01-01"),
        ("list_contains(genres, 'crime') and id > 100", |row| {
            row["genres"].as_array().unwrap().contains(&json!("crime")) && row["id"].as_i64().unwrap() > 100
        }),
        ("title like 'Film 1%'", |row| row["Title"].as_str().unwrap().starts_with("Film 1")),
        ("budget > 200", |row| row["budget"].as_str().unwrap().parse::<f64>().unwrap() > 200.0),
        ("id in (3, 140, 999)", |row| [3, 140].contains(&row["id"].as_i64().unwrap())),
        ("1 = 2", |_| false),
    ];
    let columns = ["id", "Title", "year", "rating", "released", "genres", "budget"];
    let mut cases = Vec::new();
    let strategy =
        (0..conditions.len(), 0_u64..270, 1_u64..270, proptest::sample::subsequence(columns.to_vec(), 1..=7));
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    for _ in 0..120 {
        cases.push(strategy.new_tree(&mut runner).unwrap().current());
    }
    for (condition, offset, limit, select) in cases {
        let (text, keep) = conditions[condition];
        let mut address = format!("{ROWS}?offset={offset}&limit={limit}&select={}", select.join(","));
        if !text.is_empty() {
            address += &format!("&where={}", encoded(text));
        }
        let expected: Vec<Value> = everything
            .iter()
            .filter(|row| keep(row))
            .skip(offset as usize)
            .take(limit as usize)
            .map(|row| select.iter().map(|name| ((*name).to_owned(), row[*name].clone())).collect::<Value>())
            .collect();
        assert_eq!(shelf.json(&address).await["rows"], json!(expected), "{address}");
    }
}

#[tokio::test]
async fn every_format_holds_the_same_rows() {
    let shelf = shelf().await;
    let query = "where=id%3E%3D125+and+id%3C135&select=id,title";
    let ndjson = shelf.get(&format!("{ROWS}?{query}&format=ndjson")).await;
    assert_eq!(header(&ndjson, "content-type").unwrap(), "application/x-ndjson");
    let text = ndjson.text().await.unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[0], json!({"id": 125, "Title": "Film 125, \"the\" best"}));

    let csv = shelf.get_with(&format!("{ROWS}?{query}"), &[("accept", "text/csv")]).await;
    assert_eq!(header(&csv, "content-type").unwrap(), "text/csv; charset=utf-8; header=present");
    let text = csv.text().await.unwrap();
    assert!(text.starts_with("id,Title\r\n125,\"Film 125, \"\"the\"\" best\"\r\n"), "{text}");
    assert_eq!(text.lines().count(), 11);

    let arrow = shelf.get(&format!("{ROWS}?{query}&format=arrow")).await.bytes().await.unwrap();
    let rows: usize = arrow_rows(&arrow).iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, 10);
    let first = &arrow_rows(&arrow)[0];
    assert_eq!(first.schema().field(0).data_type(), &DataType::Int64);

    let parquet = shelf.get(&format!("{ROWS}?{query}&format=parquet")).await.bytes().await.unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
    assert_eq!(batches[0].schema().field(1).name(), "Title");
}

#[tokio::test]
async fn without_a_limit_other_formats_hold_every_row() {
    let shelf = shelf().await;
    assert_eq!(ids(&shelf.json(ROWS).await).len(), 100);
    let all = shelf.get(&format!("{ROWS}?format=ndjson&select=id")).await.text().await.unwrap();
    assert_eq!(all.lines().count(), 250);
    let (status, body) = shelf.problem(&format!("{ROWS}?limit=10001")).await;
    assert_eq!(status, 400);
    assert_eq!(body["type"], "/problems/limit-too-large");
    assert_eq!(body["hint"], format!("{ROWS}?limit=10001&format=ndjson"));
    let past = shelf.json(&format!("{ROWS}?offset=9223372036854775807")).await;
    assert_eq!((&past["rows"], &past["next"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn wrong_parameters_are_refused_with_the_nearest() {
    let shelf = shelf().await;
    for (query, kind, word) in [
        ("limt=5", "unknown-parameter", "`limit`"),
        ("limit=5&limit=6", "repeated-parameter", "`limit`"),
        ("limit=0", "invalid-parameter", "from 1"),
        ("limit=-1", "invalid-parameter", "`limit`"),
        ("limit=ten", "invalid-parameter", "`limit`"),
        ("offset=9223372036854775808", "invalid-parameter", "`offset`"),
        ("offset=1.5", "invalid-parameter", "`offset`"),
        ("select=titel", "invalid-select", "`Title`"),
        ("select=", "invalid-select", "missing"),
        ("where=yeer%3E1", "invalid-where", "`year`? (character 1)"),
        ("where=year+%3E", "invalid-where", "character"),
        ("where=", "invalid-where", "empty"),
        ("where=id", "invalid-where", "true or false"),
        ("count=exat", "invalid-parameter", "`exact`"),
        ("truncate=2", "invalid-parameter", "`truncate`"),
        ("order_by=idd", "invalid-order-by", "`id`"),
        ("order_by=genres", "invalid-order-by", "no order"),
        ("cursor=x", "invalid-cursor", "`next`"),
        ("sample=5&offset=1", "invalid-parameter", "`offset`"),
        ("sample=0", "invalid-parameter", "from 1"),
        ("sample=20000", "limit-too-large", "10000"),
        ("seed=5", "invalid-parameter", "`sample`"),
        ("dry_run=yes", "invalid-parameter", "0, 1"),
        ("snapshot=abc", "invalid-parameter", "date"),
        ("yeer__gt=1", "invalid-parameter", "`year`"),
        ("year__gtt=1", "invalid-parameter", "year__gt"),
        ("year__gt=x", "invalid-parameter", "number"),
    ] {
        let (status, body) = shelf.problem(&format!("{ROWS}?{query}")).await;
        assert_eq!(status, 400, "{query}: {body}");
        assert_eq!(body["type"], format!("/problems/{kind}"), "{query}: {body}");
        assert!(body["detail"].as_str().unwrap().contains(word), "{query}: {body}");
        let hint = body["hint"].as_str().unwrap();
        assert_eq!(shelf.get(hint).await.status(), 200, "the hint of {query} works: {hint}");
    }
    // What was probably meant is the hint, with everything else that was asked for.
    for (query, meant) in [
        ("wher=id>3&limit=2", "where=id%3E3&limit=2"),
        ("where=yeer>1901&limit=2", "limit=2&where=year%3E1901"),
        ("select=titel", "select=Title"),
        ("format=csvs&limit=2", "limit=2&format=csv"),
        ("count=exat&where=id=1", "where=id%3D1&count=exact"),
    ] {
        let (_, body) = shelf.problem(&format!("{ROWS}?{query}")).await;
        assert_eq!(body["hint"], format!("{ROWS}?{meant}"), "{body}");
    }
    let (status, body) = shelf.problem(&format!("{ROWS}?format=jsno")).await;
    assert_eq!((status, body["type"].as_str().unwrap()), (406, "/problems/not-acceptable"));
    assert!(body["detail"].as_str().unwrap().contains("`json`"), "{body}");
    let (status, _) = problem(shelf.get_with(ROWS, &[("accept", "image/png")]).await).await;
    assert_eq!(status, 406);
    let browser = shelf.get_with(ROWS, &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")]).await;
    assert_eq!(header(&browser, "content-type").unwrap(), "application/json");
}

#[tokio::test]
async fn a_condition_that_fails_on_a_row_is_the_requests_fault() {
    let shelf = shelf().await;
    let (status, body) = shelf.problem(&format!("{ROWS}?where=10/(id-id)%3E1")).await;
    assert_eq!((status, body["type"].as_str().unwrap()), (400, "/problems/invalid-where"), "{body}");
    let (status, body) = shelf.problem(&format!("{ROWS}?where={}", encoded("cast(title as int) = 1"))).await;
    assert_eq!((status, body["type"].as_str().unwrap()), (400, "/problems/invalid-where"), "{body}");
}

#[tokio::test]
async fn conditions_by_hand_join_the_where() {
    let shelf = shelf().await;
    for (query, expected) in [
        ("id__gte=10&id__lt=13", vec![10, 11, 12]),
        ("ID__exact=10", vec![10]),
        ("id__in=1,5,240", vec![1, 5, 240]),
        ("Title__startswith=Film+00&id__gt=7", vec![8, 9]),
        ("Title__contains=%22the%22&id__lte=1", vec![0, 1]),
        ("year__isnull=1&id__lt=15", vec![0, 7, 14]),
        ("genres__contains=crime&id__lt=4", vec![1, 3]),
        ("released__exact=2005-05-01&where=id%3C200", vec![130]),
        ("where=id%3D1+or+id%3D2&id__not=1", vec![2]),
        ("budget__gt=248.6", vec![249]),
    ] {
        assert_eq!(ids(&shelf.json(&format!("{ROWS}?{query}")).await), expected, "{query}");
    }
}

#[tokio::test]
async fn wrong_conditions_by_hand_are_told_the_right_ones() {
    let shelf = shelf().await;
    for (query, said, hint) in [
        ("id__gtt=3", "did you mean `id__gt`?", "id__gt=3"),
        ("yaer__gt=3", "did you mean `year`?", "year__gt=3"),
        ("id__gt=many", "takes a number, not `many`", "limit=10"),
        ("id__contains=3", "is for texts and lists, and `id` is int64", "limit=10"),
        ("year__startswith=3", "is for texts, and `year` is int32", "limit=10"),
        ("year__isnull=yes", "takes 1 or 0, not `yes`", "limit=10"),
        ("select=*", "`*` (character 1) is not needed", ""),
        ("select=*,-id&limit=1", "`*` (character 1) is not needed", "limit=1&select=-id"),
        ("where=+&limit=1", "is empty", "limit=1"),
        ("where=Title+%3D+Film&limit=1", "Text goes in single quotes", "limit=1&where=Title+%3D+%27Film%27"),
    ] {
        let (status, told) = shelf.problem(&format!("{ROWS}?{query}")).await;
        assert_eq!(status, 400, "{query}");
        assert!(told["detail"].as_str().unwrap().contains(said), "{query}: {told}");
        let address = if hint.is_empty() { ROWS.to_owned() } else { format!("{ROWS}?{hint}") };
        assert_eq!(told["hint"], address, "{query}");
        assert_eq!(shelf.get(&address).await.status(), 200, "{address}");
    }
    let lists = TestTable::new("t", &[("nums", "list<int64>")]).file(&[json!({"nums": [1, 2]}), json!({"nums": [3]})]);
    let shelf = TestShelf::builder().publish("d", lists).serve().await;
    let rows = "/v1/datasets/d/tables/t/rows?nums__contains=";
    assert_eq!(shelf.json(&format!("{rows}2")).await["rows"], json!([{"nums": [1, 2]}]));
    assert_eq!(shelf.problem(&format!("{rows}x")).await.0, 400);
}

#[tokio::test]
async fn post_takes_the_same_names() {
    let shelf = shelf().await;
    let post = |body: &'static str, kind: &'static str| {
        shelf.client.post(shelf.url(ROWS)).header("content-type", kind).body(body).send()
    };
    let answer = post(r#"{"select":["id","-Title"],"where":"id > 247","limit":5}"#, "application/json").await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(answer["rows"], json!([{"id": 248}, {"id": 249}]));
    for (body, kind, status) in [
        ("{", "application/json", 400),
        ("[]", "application/json", 400),
        (r#"{"limt":1}"#, "application/json", 400),
        (r#"{"limit":{}}"#, "application/json", 400),
        (r#"{"limit":"5","select":["id"],"dry_run":true}"#, "application/json", 400),
        (r#"{"where":5}"#, "application/json", 400),
        (r#"{"snapshot":"1"}"#, "application/json", 400),
        ("limit=1", "application/x-www-form-urlencoded", 415),
    ] {
        let (given, told) = problem(post(body, kind).await.unwrap()).await;
        assert_eq!(given, status, "{body}");
        let hint = told["hint"].as_str().unwrap();
        match hint.strip_prefix("curl -X POST ") {
            Some(_) => assert!(hint.ends_with(r#"-d '{"limit": 10}'"#), "{hint}"),
            // The same in an address is what was meant, or is told what would be.
            None => {
                let answered = shelf.get(hint).await;
                assert!(answered.status() == 200 || body.contains("where"), "{body}: {hint}");
            }
        }
    }
    let (_, told) = problem(post(r#"{"limit":"5","select":["id"]}"#, "application/json").await.unwrap()).await;
    assert!(told["detail"].as_str().unwrap().ends_with(r#"write `"limit": 5`."#), "{told}");
    assert_eq!(told["hint"], format!("{ROWS}?limit=5&select=id"));
    let large = format!("{{\"where\":\"{}\"}}", "x".repeat(1 << 20));
    let response = shelf.client.post(shelf.url(ROWS)).header("content-type", "application/json").body(large).send();
    assert_eq!(problem(response.await.unwrap()).await.0, 413);
}

#[tokio::test]
async fn wide_integers_and_nonfinite_numbers_are_said_in_columns() {
    let wide = TestTable::new("wide", &[("n", "int64"), ("x", "float64")])
        .file(&[json!({"n": 1, "x": 0.5})])
        .file(&[json!({"n": 9_007_199_254_740_993_i64})]);
    let nan = RecordBatch::try_new(
        schema(&[("n", "int64"), ("x", "float64")]).to_arrow(),
        vec![Arc::new(Int64Array::from(vec![2])), Arc::new(arrow::array::Float64Array::from(vec![f64::NAN]))],
    )
    .unwrap();
    let shelf = TestShelf::builder().publish("numbers", wide.batch(nan)).serve().await;
    let answer = shelf.json("/v1/datasets/numbers/tables/wide/rows").await;
    assert_eq!(
        answer["rows"],
        json!([{"n": "1", "x": 0.5}, {"n": "9007199254740993", "x": null}, {"n": "2", "x": null}])
    );
    assert_eq!(answer["columns"][0], json!({"name": "n", "type": "int64", "encoding": "string"}));
    assert_eq!(answer["columns"][1], json!({"name": "x", "type": "float64", "non_finite": "null"}));
    // NaN sorts above every number, also where statistics leave it out.
    let above = shelf.json("/v1/datasets/numbers/tables/wide/rows?where=x%3E100").await;
    assert_eq!(above["rows"], json!([{"n": "2", "x": null}]));
}

#[tokio::test]
async fn huge_cells_are_cut_and_said_unless_asked_whole() {
    let long = "ä".repeat(100_000);
    let text = RecordBatch::try_new(
        schema(&[("id", "int64"), ("text", "utf8")]).to_arrow(),
        vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(StringArray::from(vec!["short", long.as_str()]))],
    )
    .unwrap();
    let shelf = TestShelf::builder()
        .publish("pages", TestTable::new("pages", &[("id", "int64"), ("text", "utf8")]).batch(text))
        .serve()
        .await;
    let cut = shelf.json("/v1/datasets/pages/tables/pages/rows").await;
    assert_eq!(cut["truncated"], json!([{"row": 1, "column": "text", "bytes": 200_000, "kept": 65_536}]));
    assert_eq!(cut["rows"][1]["text"].as_str().unwrap().len(), 65_536);
    let whole = shelf.json("/v1/datasets/pages/tables/pages/rows?truncate=0").await;
    assert_eq!(whole["rows"][1]["text"], json!(long));
    let lines = shelf.get("/v1/datasets/pages/tables/pages/rows?format=ndjson").await.text().await.unwrap();
    assert!(lines.contains(&long));
}

#[tokio::test]
async fn counts_are_exact_when_asked() {
    let shelf = shelf().await;
    let answer = shelf.json(&format!("{ROWS}?where=id%3E%3D100&count=exact&limit=1")).await;
    assert_eq!(answer["row_count"], json!({"value": 150, "kind": "exact"}));
    assert_eq!(shelf.json(ROWS).await["row_count"], Value::Null);
}

#[tokio::test]
async fn rejects_are_rows() {
    let shelf = shelf().await;
    let rejects = "/v1/datasets/films/tables/titles/rejects";
    let answer = shelf.json(&format!("{rejects}?select=-row")).await;
    assert_eq!(
        answer["rows"],
        json!([{"source": "u", "position": "line 3", "column": "year", "value": "abc", "reason": "no int32"}])
    );
    assert_eq!(shelf.json(&format!("{rejects}?where=reason%3D'other'")).await["rows"], json!([]));
    let none = TestShelf::builder()
        .publish("tidy", TestTable::new("t", &[("id", "int64")]).file(&[json!({"id": 1})]))
        .serve()
        .await;
    let answer = none.json("/v1/datasets/tidy/tables/t/rejects").await;
    assert_eq!((answer["rows"].clone(), answer["columns"][0]["name"].clone()), (json!([]), json!("source")));
}

/// Rows with text that does not compress, so that bytes say something.
fn noise() -> Vec<Value> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    };
    (0..20_000)
        .map(|id| json!({"id": id, "text": std::iter::repeat_with(&mut noise).take(8).collect::<String>()}))
        .collect()
}

#[tokio::test]
async fn a_slice_reads_only_the_pages_it_needs() {
    let rows = noise();
    let table = TestTable::new("t", &[("id", "int64"), ("text", "utf8")]).file(&rows);
    let shelf = TestShelf::builder().publish("big", table).serve().await;
    let rows = "/v1/datasets/big/tables/t/rows";
    let scanned =
        |response: reqwest::Response| header(&response, "openshelf-scanned-bytes").unwrap().parse::<u64>().unwrap();
    // The first one reads the footer, too.
    shelf.json(&format!("{rows}?limit=1")).await;
    let whole = shelf.json("/v1/datasets/big/tables/t").await["bytes"].as_u64().unwrap();
    let deep = scanned(shelf.get(&format!("{rows}?offset=15000&limit=10")).await);
    let key = scanned(shelf.get(&format!("{rows}?where=id%3D15000")).await);
    assert!(deep > 0 && deep < whole / 50, "a deep slice read {deep} of {whole} bytes");
    assert!(key > 0 && key < whole / 50, "a key look-up read {key} of {whole} bytes");
}

#[tokio::test]
async fn a_long_answer_streams_and_is_whole() {
    let rows: Vec<Value> =
        (0..30_000).map(|id| json!({"id": id, "text": format!("row {id} {}", "x".repeat(80))})).collect();
    let table = TestTable::new("t", &[("id", "int64"), ("text", "utf8")]).file(&rows);
    let shelf = TestShelf::builder().publish("big", table).serve().await;
    let response = shelf.get("/v1/datasets/big/tables/t/rows?format=ndjson").await;
    assert_eq!(header(&response, "content-length"), None, "too long to be held");
    let text = response.text().await.unwrap();
    assert_eq!(text.lines().count(), 30_000);
    assert!(text.ends_with("}\n"));
    let answer = shelf.json("/v1/datasets/big/tables/t/rows?limit=10000&offset=100").await;
    assert_eq!(answer["rows"].as_array().unwrap().len(), 10_000);
}

#[tokio::test]
async fn a_damaged_file_aborts_or_fails_and_says_nothing_of_the_inside() {
    let shelf = TestShelf::builder().publish("films", films()).serve().await;
    // A manifest that promises more than there is: the object of the first file cannot be found any more.
    let id = "films".parse().unwrap();
    let head = shelf.store.head(&id).await.unwrap().unwrap();
    let mut broken = (*head).clone();
    let mut files = (*shelf.store.files(&head, &head.tables[0]).await.unwrap()).clone();
    files[1].key = "films/data/titles/gone.parquet".into();
    let area = openshelf::store::Area::Open;
    broken.tables[0].segments = shelf.store.put_segments(area, &id, &files).await.unwrap();
    broken.snapshot = 2;
    broken.parent = Some(1);
    broken.run = "another".into();
    shelf.store.publish(&broken).await.unwrap();
    let (status, body) = shelf.problem(&format!("{ROWS}?offset=200")).await;
    assert_eq!((status, body["type"].as_str().unwrap()), (500, "/problems/internal"));
    assert!(!body.to_string().contains("gone.parquet"), "{body}");
    // The other file is still served.
    assert_eq!(ids(&shelf.json(&format!("{ROWS}?limit=2")).await), [0, 1]);
}

#[tokio::test]
async fn an_error_after_the_first_byte_aborts_the_answer() {
    let rows: Vec<Value> =
        (0..30_000).map(|id| json!({"id": id, "text": format!("row {id} {}", "x".repeat(80))})).collect();
    let table = TestTable::new("t", &[("id", "int64"), ("text", "utf8")]).file(&rows).file(&rows[..1]);
    let shelf = TestShelf::builder().publish("big", table).serve().await;
    let id = "big".parse().unwrap();
    let head = shelf.store.head(&id).await.unwrap().unwrap();
    let mut broken = (*head).clone();
    let mut files = (*shelf.store.files(&head, &head.tables[0]).await.unwrap()).clone();
    files.last_mut().unwrap().key = "big/data/t/gone.parquet".into();
    let area = openshelf::store::Area::Open;
    broken.tables[0].segments = shelf.store.put_segments(area, &id, &files).await.unwrap();
    (broken.snapshot, broken.parent, broken.run) = (2, Some(1), "another".into());
    shelf.store.publish(&broken).await.unwrap();
    for format in ["ndjson", "csv", "arrow", "parquet"] {
        for encoding in ["identity", "gzip"] {
            let address = format!("/v1/datasets/big/tables/t/rows?format={format}&snapshot=2");
            let response = shelf.get_with(&address, &[("accept-encoding", encoding)]).await;
            // Parquet of this size is made whole before its first byte.
            if response.status() == 200 {
                assert!(response.bytes().await.is_err(), "{format} {encoding} ends as if it were whole");
            } else {
                assert_eq!((problem(response).await.0, format), (500, "parquet"));
            }
        }
    }
    let metrics = shelf.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("openshelf_broken_answers_total 6"), "{metrics}");
}

#[tokio::test]
async fn a_query_that_takes_too_much_is_told_the_files() {
    let rows = noise();
    let table = TestTable::new("t", &[("id", "int64"), ("text", "utf8")]).file(&rows).file(&rows);
    let capped =
        |caps: ScanCaps| TestShelf::builder().publish("big", table.clone()).settings(move |s| s.scan = caps).serve();
    let address = "/v1/datasets/big/tables/t/rows";
    let too_much = async |shelf: &TestShelf, query: &str, word: &str| {
        let (status, body) = shelf.problem(&format!("{address}{query}")).await;
        assert_eq!((status, body["type"].as_str().unwrap()), (422, "/problems/too-much-to-scan"), "{query}");
        assert!(body["detail"].as_str().unwrap().contains(word), "{query}: {body}");
        assert_eq!(body["hint"], "/v1/datasets/big/tables/t/files?snapshot=1");
        assert_eq!(shelf.json(body["hint"].as_str().unwrap()).await["files"].as_array().unwrap().len(), 2);
    };

    // Bytes: about half of one of the two files.
    let open = capped(ScanCaps::default()).await;
    let bytes = open.json("/v1/datasets/big/tables/t").await["bytes"].as_u64().unwrap() / 4;
    let few = capped(ScanCaps { bytes, ..ScanCaps::default() }).await;
    for query in ["?where=text+like+'%25zz'", "?where=text+like+'%25zz'&count=exact", "?format=csv"] {
        too_much(&few, query, "kB").await;
    }
    // What is small of a big table is given.
    assert_eq!(few.json(&format!("{address}?offset=15000&limit=10")).await["rows"].as_array().unwrap().len(), 10);
    let column = few.get(&format!("{address}?select=id&format=csv")).await;
    assert_eq!((column.status().as_u16(), column.text().await.unwrap().lines().count()), (200, 40_001));
    assert_eq!(few.json(&format!("{address}?where=id+between+500+and+502")).await["rows"].as_array().unwrap().len(), 6);

    // Time: none at all.
    let fast = capped(ScanCaps { time: Duration::ZERO, ..ScanCaps::default() }).await;
    too_much(&fast, "?where=text+like+'%25zz'", "0 s").await;
    too_much(&fast, "", "0 s").await;
}

#[tokio::test]
async fn a_stream_that_takes_too_much_is_cut_off_and_never_looks_whole() {
    let rows: Vec<Value> =
        (0..30_000).map(|id| json!({"id": id, "text": format!("row {id} {}", "x".repeat(80))})).collect();
    let table = TestTable::new("t", &[("id", "int64"), ("text", "utf8")]).file(&rows);
    let caps = ScanCaps { stream_time: Duration::ZERO, ..ScanCaps::default() };
    let shelf = TestShelf::builder().publish("big", table).settings(|s| s.scan = caps).serve().await;
    for format in ["ndjson", "csv", "arrow"] {
        let response = shelf.get(&format!("/v1/datasets/big/tables/t/rows?format={format}&where=id>=0")).await;
        assert_eq!(response.status(), 200);
        assert!(response.bytes().await.is_err(), "{format} ends as if it were whole");
    }
    // One JSON object keeps the time it was given in the beginning.
    let answer = shelf.json("/v1/datasets/big/tables/t/rows?limit=10000&where=id>=0").await;
    assert_eq!(answer["rows"].as_array().unwrap().len(), 10_000);
}
