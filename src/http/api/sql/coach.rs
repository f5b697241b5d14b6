//! What to say of a query that read very much to say very little.

use super::names::Named;
use crate::{
    http::{
        api::coach::{hint, sort_key, sorted_by},
        incoming::Incoming,
        params::query_string,
        problem::Instead,
        produce::Coach,
    },
    query::sql::Query,
};

/// The same query within bounds of the column its table is sorted by; else what it reads, column by column, for one that
/// takes all; else the files of its largest table.
pub(super) fn coach(request: &Incoming, query: &Query, named: &Named) -> Coach {
    let state = request.state.clone();
    let (params, query) = (request.params.clone(), query.clone());
    let (read, sources) = (named.read.clone(), named.sources());
    Box::new(move |scanned, returned| {
        let here = state.url("/v1/sql");
        let rewritten = |change: Instead| format!("{here}{}", query_string(params.clone().changed(&change).iter()));
        hint(scanned, returned, || {
            let tables = read.iter().zip(&sources).filter_map(|((published, _, name), source)| {
                Some((published, published.manifest.table(name)?, source))
            });
            let tables: Vec<_> = tables.collect();
            if let [(_, table, source)] = tables.as_slice()
                && let Some((_, key, bounds)) = sort_key(table, &source.table)
                && let Some(narrowed) = query.narrowed(&key, &bounds)
            {
                return (sorted_by(&key), rewritten(Instead::Value("query", narrowed)));
            }
            if query.takes_all() {
                let said = "`*` takes every column, and fewer take less: `dry_run=1` says what each scan reads";
                return (said.to_owned(), rewritten(Instead::Value("dry_run", "1".to_owned())));
            }
            let Some((published, table, _)) = tables.iter().max_by_key(|(_, table, _)| table.bytes) else {
                return (
                    "`dry_run=1` says what each scan reads".to_owned(),
                    rewritten(Instead::Value("dry_run", "1".to_owned())),
                );
            };
            let manifest = &published.manifest;
            let said = format!(
                "for work over the whole of `{}.{}` its files hold the same rows, and DuckDB or polars keep them at hand for the next question",
                manifest.dataset, table.name
            );
            let files =
                format!("/v1/datasets/{}/tables/{}/files?snapshot={}", manifest.dataset, table.name, manifest.snapshot);
            (said, state.url(&files))
        })
    })
}
