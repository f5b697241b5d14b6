//! Lines to copy: the same table with curl, pandas, polars, DuckDB, and over S3 and Iceberg.

use maud::{Markup, html};

use crate::catalog::DataFile;

/// Lines for one table; `base` is an absolute address of this server, `files` are the table's.
pub(super) fn lines(base: &str, dataset: &str, table: &str, files: &[DataFile]) -> Vec<(&'static str, String)> {
    let table_url = format!("{base}/v1/datasets/{dataset}/tables/{table}");
    let rows = format!("{table_url}/rows");
    let mut all = vec![
        ("curl", format!("curl -s '{rows}?limit=5'")),
        ("pandas", format!("import pandas as pd\ndf = pd.read_csv('{rows}?format=csv&limit=1000')")),
    ];
    if let Some(first) = files.first() {
        all.push((
            "polars",
            format!(
                "import polars as pl, requests\nfrom urllib.parse import urljoin\nlist_url = '{table_url}/files'\n\
                 files = [urljoin(list_url, f['url']) for f in requests.get(list_url).json()['files']]\n\
                 df = pl.scan_parquet(files).head(1000).collect()"
            ),
        ));
        all.push(("DuckDB", duckdb(&format!("{base}/data/{dataset}/{table}"), &table_url, first, files.len())));
    }
    all.push(("S3", sync(base, dataset, table)));
    let scan = format!("table = catalog.load_table('{dataset}.{table}').scan(limit=1000).to_arrow()");
    all.push(("Iceberg", format!("{}\n{scan}", catalog(base))));
    all
}

/// A copy of a table's files.
pub(super) fn sync(base: &str, dataset: &str, table: &str) -> String {
    format!("aws s3 sync --no-sign-request --endpoint-url {base} s3://data/{dataset}/{table}/ {table}/")
}

/// The catalog, for pyiceberg.
pub(super) fn catalog(base: &str) -> String {
    format!(
        "from pyiceberg.catalog import load_catalog\n\
         catalog = load_catalog('openshelf', type='rest', uri='{base}/iceberg')"
    )
}

/// One file is named; several are taken from the list, so that a line copied today reads the whole table tomorrow.
fn duckdb(folder: &str, table_url: &str, first: &DataFile, count: usize) -> String {
    if count == 1 {
        return format!("SELECT * FROM read_parquet('{folder}/{}') LIMIT 10;", first.name());
    }
    format!(
        "SET VARIABLE files = (\n  SELECT list('{folder}/' || regexp_extract(file.url, '[^/]+$'))\n  FROM (SELECT unnest(files) AS \
         file FROM read_json('{table_url}/files'))\n);\nSELECT * FROM read_parquet(getvariable('files')) LIMIT 10;"
    )
}

/// Those lines, each under its name.
pub(super) fn shown(lines: &[(&'static str, String)]) -> Markup {
    html! {
        @for (name, text) in lines {
            h3 { (name) }
            pre tabindex="0" { code { (text) } }
        }
    }
}

/// What to do where the license keeps this server from serving the data.
pub(super) fn own_machine(dataset: &str) -> Markup {
    html! {
        p {
            "Its license allows personal use but no public copy. This fetches it from its publisher onto your own machine "
            "and serves it there:"
        }
        pre tabindex="0" { code { "openshelf ingest " (dataset) " && openshelf serve" } }
    }
}
