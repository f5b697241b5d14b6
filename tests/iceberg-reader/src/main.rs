//! Answers questions about tables of an Iceberg REST catalog with the `iceberg` crate, knowing nothing but the catalog's address.
//! What is printed is JSON; tests/clients/engines/read_iceberg.py asks and compares.
//!
//!     iceberg-reader CATALOG tables
//!     iceberg-reader CATALOG snapshots NAMESPACE TABLE
//!     iceberg-reader CATALOG count|few|stations NAMESPACE TABLE [SNAPSHOT]

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    sync::Arc,
};

use arrow_array::{Array, Int32Array, RecordBatch, StringArray};
use futures::TryStreamExt;
use iceberg::{
    Catalog, CatalogBuilder, NamespaceIdent, TableIdent,
    expr::{Predicate, Reference},
    spec::Datum,
    table::Table,
};
use iceberg_catalog_rest::{REST_CATALOG_PROP_URI, RestCatalogBuilder};
use iceberg_storage_opendal::OpenDalStorageFactory;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [address, question, rest @ ..] = arguments.as_slice() else {
        return Err("which catalog, and what of it?".into());
    };
    // Files are read as the catalog says.
    let catalog = RestCatalogBuilder::default()
        .with_storage_factory(Arc::new(OpenDalStorageFactory::S3 { customized_credential_load: None }))
        .load("openshelf", HashMap::from([(REST_CATALOG_PROP_URI.to_owned(), (*address).to_owned())]))
        .await?;
    let answer = match rest {
        [] => tables(&catalog).await?,
        [namespace, table, snapshot @ ..] => {
            let name = TableIdent::new(NamespaceIdent::new((*namespace).to_owned()), (*table).to_owned());
            let table = catalog.load_table(&name).await?;
            let snapshot = snapshot.first().map(|number| number.parse()).transpose()?;
            match *question {
                "snapshots" => snapshots(&table),
                "count" => json!(count(&table, snapshot).await?),
                "few" => few(&table, snapshot).await?,
                "stations" => stations(&table, snapshot).await?,
                other => return Err(format!("what is {other}?").into()),
            }
        }
        _ => return Err("a table has a namespace and a name".into()),
    };
    println!("{answer}");
    Ok(())
}

async fn tables(catalog: &impl Catalog) -> Outcome<Value> {
    let mut names = Vec::new();
    for namespace in catalog.list_namespaces(None).await? {
        for table in catalog.list_tables(&namespace).await? {
            assert!(catalog.table_exists(&table).await?);
            let other = TableIdent::new(namespace.clone(), format!("not-{}", table.name));
            assert!(!catalog.table_exists(&other).await?);
            names.push(json!([namespace.as_ref().join("."), table.name]));
        }
    }
    Ok(names.into())
}

fn snapshots(table: &Table) -> Value {
    table.metadata().history().iter().map(|line| line.snapshot_id).collect()
}

async fn count(table: &Table, snapshot: Option<i64>) -> Outcome<usize> {
    let batches = read(table, snapshot, &["id"], None).await?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}

async fn few(table: &Table, snapshot: Option<i64>) -> Outcome<Value> {
    let below = Reference::new("id").less_than(Datum::long(1000));
    let (mut rows, mut sum) = (0, 0);
    for batch in read(table, snapshot, &["degrees"], Some(below)).await? {
        rows += batch.num_rows();
        sum += column::<Int32Array>(&batch, 0)?.iter().flatten().map(i64::from).sum::<i64>();
    }
    Ok(json!([rows, sum]))
}

async fn stations(table: &Table, snapshot: Option<i64>) -> Outcome<Value> {
    let mut found = BTreeMap::<String, (u64, i64)>::new();
    for batch in read(table, snapshot, &["station", "degrees"], None).await? {
        let (names, degrees) = (column::<StringArray>(&batch, 0)?, column::<Int32Array>(&batch, 1)?);
        for (name, degrees) in names.iter().flatten().zip(degrees.iter().flatten()) {
            if !found.contains_key(name) {
                found.insert(name.to_owned(), (0, 0));
            }
            if let Some((rows, sum)) = found.get_mut(name) {
                *rows += 1;
                *sum += i64::from(degrees);
            }
        }
    }
    Ok(json!(found))
}

async fn read(
    table: &Table,
    snapshot: Option<i64>,
    columns: &[&str],
    filter: Option<Predicate>,
) -> Outcome<Vec<RecordBatch>> {
    let mut scan = table.scan().select(columns.iter().copied());
    if let Some(snapshot) = snapshot {
        scan = scan.snapshot_id(snapshot);
    }
    if let Some(filter) = filter {
        scan = scan.with_filter(filter);
    }
    Ok(scan.build()?.to_arrow().await?.try_collect().await?)
}

fn column<A: Array + 'static>(batch: &RecordBatch, at: usize) -> Outcome<&A> {
    let column = batch.column(at).as_any().downcast_ref::<A>();
    column.ok_or_else(|| format!("column {at} is {}", batch.column(at).data_type()).into())
}
