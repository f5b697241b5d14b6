use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{Float64Type, Int64Type},
};
use datafusion::{
    functions_aggregate::expr_fn::{count, sum},
    prelude::{DataFrame, col, lit},
};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use serde_json::json;

use super::{Engine, Running, Work, output::Output};
use crate::{
    catalog::{Column, DataFile, TableSchema, snapshot::ColumnBounds},
    config::{ScanCaps, SqlCaps, SqlSettings},
    query::{
        QueryError,
        budget::OverCap,
        table::{Table, TableSource},
    },
    store::{Area, Key, Store},
};

/// Rows of a file.
const ROWS: i64 = 5_000;

fn batch(schema: &TableSchema, file: i64) -> RecordBatch {
    let ids = file * ROWS..(file + 1) * ROWS;
    let names: StringArray = ids.clone().map(|id| Some(format!("name {}", id % 7))).collect();
    let floats: Float64Array = ids.clone().map(|id| if id % 1000 == 0 { f64::NAN } else { (id % 10) as f64 }).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(ids)), Arc::new(names), Arc::new(floats)];
    RecordBatch::try_new(schema.to_arrow(), columns).expect("a batch")
}

/// A table of `files` files: `id` rises by one, `name` is one of seven, `x` is a digit or NaN.
async fn source(files: i64) -> TableSource {
    let store = Store::in_memory();
    let kinds = [("id", "int64"), ("name", "utf8"), ("x", "float64")];
    let schema =
        TableSchema { columns: kinds.map(|(name, kind)| Column::new(name, kind.parse().expect("a type"))).into() };
    let mut listed = Vec::new();
    for file in 0..files {
        let local = tempfile::NamedTempFile::new().expect("a file");
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(1_000))
            .set_data_page_row_count_limit(100)
            .set_write_batch_size(100)
            .build();
        let mut writer = ArrowWriter::try_new(&local, schema.to_arrow(), Some(properties)).expect("a writer");
        writer.write(&batch(&schema, file)).expect("rows");
        writer.close().expect("an end");
        let key = Key::Data {
            area: Area::Open,
            dataset: "films".parse().expect("a name"),
            table: "titles".parse().expect("a name"),
            file: format!("{file}.parquet"),
        };
        store.put_file(&key, local.path()).await.expect("put");
        let bounds =
            ColumnBounds { min: Some(json!(file * ROWS)), max: Some(json!((file + 1) * ROWS - 1)), nulls: Some(0) };
        listed.push(DataFile {
            key: key.to_string(),
            bytes: local.path().metadata().expect("a size").len(),
            rows: ROWS as u64,
            added_in: 1,
            columns: BTreeMap::from([("id".to_owned(), bounds)]),
            ..DataFile::default()
        });
    }
    TableSource {
        store,
        table: Arc::new(Table::new(Arc::new(listed), Arc::new(schema))),
        footers: Arc::default(),
        caps: ScanCaps::default(),
    }
}

fn engine() -> Engine {
    Engine::new(&SqlSettings::new(std::env::temp_dir().join("openshelf-engine-tests"))).expect("an engine")
}

fn frame(work: &Work<'_>, source: &TableSource) -> DataFrame {
    work.context().expect("a context").read_table(work.table(source.clone())).expect("a table")
}

async fn all(mut running: Running) -> Result<Vec<RecordBatch>, QueryError> {
    let output = Output::new(running.schema())?;
    let mut batches = Vec::new();
    while let Some(batch) = running.next().await? {
        batches.push(output.convert(&batch)?);
    }
    Ok(batches)
}

async fn run(work: Work<'_>, frame: DataFrame) -> Result<Vec<RecordBatch>, QueryError> {
    all(work.run(frame.into_unoptimized_plan()).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_grouped_over_all_its_files() {
    let (engine, source) = (engine(), source(3).await);
    let work = engine.begin(&SqlCaps::anonymous());
    let budget = work.budget().clone();
    let grouped = frame(&work, &source)
        .aggregate(vec![col("name")], vec![count(lit(1)), sum(col("id"))])
        .and_then(|frame| frame.sort_by(vec![col("name")]))
        .expect("a plan");
    let batches = run(work, grouped).await.expect("rows");
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 7);
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "name 0");
    let total: i64 = batches.iter().flat_map(|b| b.column(1).as_primitive::<Int64Type>().values().to_vec()).sum();
    assert_eq!(total, 3 * ROWS);
    let sum: i64 = batches.iter().flat_map(|b| b.column(2).as_primitive::<Int64Type>().values().to_vec()).sum();
    assert_eq!(sum, (0..3 * ROWS).sum::<i64>());
    assert!(budget.read() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_pages_that_cannot_match_are_not_read() {
    let (engine, source) = (engine(), source(4).await);
    let mut read = Vec::new();
    for wanted in [col("id").gt_eq(lit(0_i64)), col("id").eq(lit(7_777_i64)), col("id").eq(lit(-1_i64))] {
        let work = engine.begin(&SqlCaps::anonymous());
        let budget = work.budget().clone();
        let found = frame(&work, &source).filter(wanted).expect("a plan");
        let rows: usize = run(work, found).await.expect("rows").iter().map(RecordBatch::num_rows).sum();
        read.push((rows, budget.read()));
    }
    assert_eq!(read[0].0, 4 * ROWS as usize);
    assert_eq!(read[1].0, 1);
    assert!(read[1].1 * 10 < read[0].1, "{read:?}");
    assert_eq!(read[2], (0, 0), "no file has that id");
}

#[tokio::test(flavor = "multi_thread")]
async fn nan_is_above_every_number_and_never_pruned() {
    let (engine, source) = (engine(), source(2).await);
    let work = engine.begin(&SqlCaps::anonymous());
    let found = frame(&work, &source).filter(col("x").gt(lit(9.0))).expect("a plan");
    let rows: usize = run(work, found).await.expect("rows").iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 10);

    let work = engine.begin(&SqlCaps::anonymous());
    let top = frame(&work, &source)
        .sort(vec![col("x").sort(false, false)])
        .and_then(|frame| frame.limit(0, Some(12)))
        .expect("a plan");
    let batches = run(work, top).await.expect("rows");
    let values: Vec<f64> =
        batches.iter().flat_map(|b| b.column(2).as_primitive::<Float64Type>().values().to_vec()).collect();
    assert_eq!(values.iter().filter(|value| value.is_nan()).count(), 10);
    assert_eq!(values.last(), Some(&9.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cap_ends_a_query() {
    let (engine, source) = (engine(), source(3).await);
    let caps = SqlCaps::anonymous();
    let crossed = |work: &Work<'_>| {
        let (left, right) = (frame(work, &source), frame(work, &source));
        let right = right.select(vec![col("id").alias("other")]).expect("a column");
        left.join_on(right, datafusion::common::JoinType::Inner, [col("id").not_eq(col("other"))])
            .and_then(|frame| frame.aggregate(vec![], vec![sum(col("other"))]))
            .expect("a plan")
    };
    let over = |result: Result<Vec<RecordBatch>, QueryError>| match result {
        Err(QueryError::OverCap(over)) => over,
        other => panic!("{other:?}"),
    };

    let time = Duration::from_millis(150);
    let work = engine.begin(&SqlCaps { time, ..caps });
    let plan = crossed(&work);
    let begun = std::time::Instant::now();
    assert_eq!(over(run(work, plan).await), OverCap::Time(time));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());

    let work = engine.begin(&SqlCaps { bytes: 10_000, ..caps });
    let plan = frame(&work, &source);
    assert_eq!(over(run(work, plan).await), OverCap::Bytes(10_000));

    let work = engine.begin(&SqlCaps { rows: 100, ..caps });
    let plan = frame(&work, &source);
    assert_eq!(over(run(work, plan).await), OverCap::Rows(100));

    let work = engine.begin(&SqlCaps { memory: 100_000, spill: 0, ..caps });
    let plan = frame(&work, &source).aggregate(vec![col("id")], vec![count(lit(1))]).expect("a plan");
    assert!(matches!(over(run(work, plan).await), OverCap::Memory(_) | OverCap::Spill(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_computed_is_the_querys_fault() {
    let (engine, source) = (engine(), source(1).await);
    let work = engine.begin(&SqlCaps::anonymous());
    let plan = frame(&work, &source).select(vec![lit(1_i64) / (col("id") - col("id"))]).expect("a plan");
    match run(work, plan).await {
        Err(QueryError::Slice(error)) => assert!(error.message.to_lowercase().contains("divide by zero"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_stops_when_nobody_waits_for_it() {
    let (engine, source) = (engine(), source(8).await);
    let work = engine.begin(&SqlCaps::anonymous());
    let budget = work.budget().clone();
    let (left, right) = (frame(&work, &source), frame(&work, &source));
    let right = right.select(vec![col("id").alias("other")]).expect("a column");
    let plan = left
        .join_on(right, datafusion::common::JoinType::Inner, [(col("id") * col("other")).not_eq(lit(1_i64))])
        .and_then(|frame| frame.aggregate(vec![], vec![sum(col("other"))]))
        .expect("a plan");
    let running = work.run(plan.into_unoptimized_plan()).await.expect("a plan");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(budget.holders() > 2, "it is at work");
    drop(running);
    let begun = std::time::Instant::now();
    while budget.holders() > 1 && begun.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(begun.elapsed() < Duration::from_millis(200), "{:?} after nobody waited", begun.elapsed());
}
