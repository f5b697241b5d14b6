//! What an answer of rows is about: a table of a snapshot, or its rejects.

use axum::{http::Method, response::Response};
use serde_json::{Map, Value, json};

use super::{
    api::{data_links, name_snapshot},
    cache::CachePolicy,
    collected,
    deliver::Validity,
    etag::ETag,
    gate,
    incoming::Incoming,
    params::{Params, query_string},
    problem::{Kind, Problem},
    published::Published,
    state::AppState,
};
use crate::{
    catalog::License,
    query::{
        encode::{Format, OutputColumn},
        table::{Rows, TableSource},
    },
};

/// Rows of a table, or of its rejects: found, permitted, ready to be read.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) published: Published,
    pub(super) table: String,
    /// `rows`, `rejects`, …: the last part of the address.
    pub(super) what: &'static str,
    pub(super) rows: Rows,
    pub(super) license: License,
    pub(super) source: TableSource,
}

impl Subject {
    /// The address that describes the table.
    pub(super) fn described(&self, state: &AppState) -> String {
        state.url(&format!("/v1/datasets/{}/tables/{}", self.published.manifest.dataset, self.table))
    }

    /// The address of these rows, without parameters.
    pub(super) fn here(&self, state: &AppState) -> String {
        format!("{}/{}", self.described(state), self.what)
    }

    /// What it is, the same under every public address: `dataset/table/rows`.
    pub(super) fn address(&self) -> String {
        format!("{}/{}/{}", self.published.manifest.dataset, self.table, self.what)
    }

    /// Positions of the primary key's columns; rejects have none.
    pub(super) fn primary_key(&self) -> Vec<usize> {
        let schema = &self.source.table.schema;
        let names = self.published.manifest.table(&self.table).filter(|_| self.rows == Rows::Published);
        let names = names.map_or(&[][..], |table| table.primary_key.as_slice());
        names.iter().filter_map(|name| schema.column(name).map(|(at, _)| at)).collect()
    }

    /// The files of just this snapshot.
    pub(super) fn files(&self, state: &AppState) -> String {
        format!("{}/files?snapshot={}", self.described(state), self.published.manifest.snapshot)
    }

    /// What decides whether a client has the answer: its address, its snapshot and `query`, the parameters in one
    /// normal form.
    pub(super) fn validity(&self, request: &Incoming, query: &[(&str, &str)]) -> Validity {
        let policy = match request.method {
            Method::POST => CachePolicy::Never,
            _ => CachePolicy::of(self.published.pinned, gate::is_personal(&self.license)),
        };
        let query = query_string(query.iter().copied());
        let snapshot = self.published.manifest.snapshot.to_be_bytes();
        Validity { tag: ETag::of(&[self.here(&request.state).as_bytes(), &snapshot, query.as_bytes()]), policy }
    }

    /// Adds what every answer about the table carries: its snapshot, and the links to license, description and citation.
    pub(super) fn describe(&self, response: &mut Response, state: &AppState) {
        name_snapshot(response, &self.published.manifest);
        data_links(response, state, &self.published.manifest, &self.license, &self.described(state));
    }

    /// 304, when the client has the answer.
    pub(super) fn not_modified(&self, request: &Incoming, validity: &Validity) -> Option<Response> {
        let mut response = validity.not_modified(request)?;
        name_snapshot(&mut response, &self.published.manifest);
        Some(response)
    }

    /// A failure to read it, or 410 with the same request over the current snapshot when this one is no longer kept.
    pub(super) async fn or_gone(&self, request: &Incoming, problem: Problem) -> Problem {
        let problem = collected::or_gone(&request.state, &self.published.manifest, problem).await;
        if problem.kind() != Kind::SnapshotCollected {
            return problem;
        }
        let current = request.params.clone().without(|name| ["snapshot", "cursor"].contains(&name));
        problem.hint(format!("{}{}", self.here(&request.state), query_string(current.iter())))
    }

    /// These columns of the table as an answer shows them.
    pub(super) fn columns(&self, positions: &[usize]) -> Vec<OutputColumn> {
        let table = &self.source.table;
        let column = |at: &usize| {
            let column = table.schema.columns.get(*at)?;
            Some(OutputColumn { wide: table.is_wide(*at), ..OutputColumn::plain(column) })
        };
        positions.iter().filter_map(column).collect()
    }

    /// What a JSON answer says first: whose rows they are, and from which snapshot.
    pub(super) fn head(&self) -> Map<String, Value> {
        let manifest = &self.published.manifest;
        let head = [
            ("dataset", json!(manifest.dataset)),
            ("table", json!(self.table)),
            ("snapshot", json!(manifest.snapshot)),
        ];
        head.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What an answer's file says about itself; only Parquet has a place for it.
    pub(super) fn metadata(&self, format: Format) -> Vec<(String, String)> {
        if format != Format::Parquet {
            return Vec::new();
        }
        let manifest = &self.published.manifest;
        vec![
            ("openshelf.dataset".to_owned(), manifest.dataset.clone()),
            ("openshelf.table".to_owned(), self.table.clone()),
            ("openshelf.snapshot".to_owned(), manifest.snapshot.to_string()),
            ("openshelf.license".to_owned(), self.license.id.clone()),
        ]
    }

    /// A faulty request is told an address that works: the request as it may have been meant, if `works` says that it
    /// would, else a plain one.
    pub(super) fn hint(&self, request: &Incoming, problem: Problem, works: impl Fn(&Params) -> bool) -> Problem {
        let here = self.here(&request.state);
        let meant = problem.meant().map(|change| request.params.clone().changed(change));
        if let Some(meant) = meant.filter(works) {
            return problem.hint(format!("{here}{}", query_string(meant.iter())));
        }
        let hint = match problem.kind() {
            Kind::LimitTooLarge => format!("{here}?format=ndjson"),
            Kind::NotAcceptable => format!("{here}?format=json"),
            Kind::InvalidSelect | Kind::InvalidWhere | Kind::InvalidOrderBy => self.described(&request.state),
            Kind::TooMuchToScan => self.files(&request.state),
            _ => format!("{here}?limit=10"),
        };
        problem.or_hint(|| hint)
    }
}
