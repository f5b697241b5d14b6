//! Files, S3 and Iceberg on the page of docs: what is where, with commands that work as they stand.

use axum::http::HeaderMap;
use maud::{Markup, html};

use super::{snippets, start};
use crate::http::{
    gate::{self, Access},
    problem::Problem,
    state::AppState,
};

/// The section, with a table of this server as example.
pub(super) async fn section(state: &AppState, headers: &HeaderMap) -> Result<Markup, Problem> {
    let base = start::base(state, headers);
    let heads = state.listing.heads(&state.store).await?;
    let open = heads.iter().find_map(|head| {
        let table = head.tables.iter().find(|table| gate::access(state, head.license_of(table)) == Access::Open)?;
        Some((head.dataset.as_str(), table.name.as_str(), head.snapshot))
    });
    let (dataset, table, snapshot) = open.unwrap_or(("{dataset}", "{table}", 1));
    Ok(html! {
        h2 id="files" { "Files" }
        p {
            code { "GET /v1/datasets/{dataset}/tables/{table}/files" }
            " lists the whole table in one call, with size, rows, sha256 and bounds of every file; "
            code { "?since=n" } " adds what changed after snapshot n. "
            code { "/data/{dataset}/{table}/{file}" }
            " serves them with ranges, conditions and HEAD, so that pandas, polars, DuckDB and Spark read only what they need, \
             and a download that broke off is resumed."
        }
        (lines(&[format!("curl -s '{base}/v1/datasets/{dataset}/tables/{table}/files'")]))
        h2 id="s3" { "S3" }
        p {
            "The same files are the public S3 bucket " code { "data" } " with this address as its endpoint, path-style: "
            code { "s3://data/{dataset}/{table}/" } " is the current snapshot, " code { "s3://data/{dataset}@{n}/{table}/" }
            " snapshot n. It is listed and read anonymously or with any signature (region " code { "us-east-1" }
            "); nothing is written. Errors under " code { "/data" } " are S3's XML."
        }
        (lines(&[
            format!("aws s3 ls --no-sign-request --endpoint-url {base} s3://data/"),
            snippets::sync(&base, dataset, table),
            format!("rclone copy \":s3,provider=Other,endpoint='{base}':data/{dataset}/{table}\" {table}/"),
        ]))
        h2 id="iceberg" { "Iceberg" }
        p {
            "The same tables are an Apache Iceberg catalog at " code { "/iceberg" } " (REST, read-only, no credentials, any warehouse): "
            "a namespace per dataset (" code { "_" } " may stand for " code { "-" } "), an Iceberg snapshot per snapshot, with its number. "
            "Engines leave out the files that a filter cannot match, and travel in time. "
            "What its metadata leads to lies beside the files, at " code { "/data/{dataset}/{table}/metadata/…" }
            ", and is the same bytes each time."
        }
        (lines(&[
            "# Python, pyiceberg".to_owned(),
            snippets::catalog(&base),
            format!("catalog.load_table('{dataset}.{table}').scan(limit=10, snapshot_id={snapshot}).to_arrow()"),
        ]))
        (lines(&[
            "-- DuckDB".to_owned(),
            format!("ATTACH 'openshelf' AS shelf (TYPE iceberg, ENDPOINT '{base}/iceberg', AUTHORIZATION_TYPE 'none');"),
            format!("SELECT count(*) FROM shelf.{}.{table};", dataset.replace('-', "_")),
        ]))
        h2 id="retention" { "How long snapshots are kept" }
        p {
            "A snapshot that was replaced stays readable, in every one of these ways, for the " code { "retention" }
            " of its dataset (" code { "/v1/datasets/{dataset}" } " says how long), and the last three always. "
            "A job that takes long names its snapshot, then it reads one version to its end; "
            code { "/v1/datasets/{dataset}/snapshots" } " lists them. One that is no longer kept is answered 410, with where it \
             came from and the current one."
        }
    })
}

fn lines(lines: &[String]) -> Markup {
    html! { pre tabindex="0" { code { (lines.join("\n")) } } }
}
