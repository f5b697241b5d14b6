//! A request as handlers see it: names out of the path, parameters out of the query or the body, checked on the way.
//!
//! Every handler begins with one of the questions here, so that what is asked for is found, permitted and refused in one
//! way: parameters → dataset → snapshot → table → license → files.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, Method},
    response::Response,
};
use serde::Serialize;

use super::{
    answer,
    api::{data_links, name_snapshot},
    body,
    cache::CachePolicy,
    gate,
    params::{Params, PathParams, query_string},
    problem::{Instead, Kind, Problem},
    published::{self, Published},
    state::AppState,
    subject::Subject,
};
use crate::{
    catalog::{DatasetId, TableSnapshot},
    query::{cursor::Cursor, table::Rows},
};

/// A request. A POST has its parameters in its JSON body, every other one in its query string.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) state: AppState,
    pub(super) path: PathParams,
    pub(super) params: Params,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
}

impl FromRequest<AppState> for Incoming {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let (mut parts, sent) = request.into_parts();
        let path = PathParams::from_request_parts(&mut parts, state).await?;
        let (method, headers) = (parts.method.clone(), parts.headers.clone());
        let params = match method {
            Method::POST => body::params(Request::from_parts(parts, sent), state).await?,
            _ => Params::from_request_parts(&mut parts, state).await?,
        };
        Ok(Self { state: state.clone(), path, params, method, headers })
    }
}

impl Incoming {
    /// Refuses parameters that are not among `known`, and any that is given twice.
    ///
    /// # Errors
    /// 400 with the nearest name.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Problem> {
        self.params.only(known)
    }

    /// The dataset its path names.
    ///
    /// # Errors
    /// 404 with the nearest name.
    pub(super) async fn dataset(&self) -> Result<DatasetId, Problem> {
        published::dataset(&self.state, self.path.get("dataset")).await
    }

    /// The snapshot of that dataset that `snapshot=` means, else the current one.
    ///
    /// # Errors
    /// 404 and 400 with what there is.
    pub(super) async fn published(&self) -> Result<Published, Problem> {
        published::snapshot(&self.state, self.path.get("dataset"), self.params.get("snapshot")).await
    }

    /// The rows, or the rejects, of the table its path names, ready to be read. `what`: the last part of the address.
    ///
    /// # Errors
    /// 404 with the nearest name, 451 where the license allows no public copy.
    pub(super) async fn subject(&self, what: &'static str, rows: Rows) -> Result<Subject, Problem> {
        let published = match self.params.get("cursor") {
            Some(text) => self.of_cursor(text).await.map_err(|problem| {
                let without = self.params.clone().changed(&Instead::Without("cursor"));
                let here =
                    format!("/v1/datasets/{}/tables/{}/{what}", self.path.get("dataset"), self.path.get("table"));
                problem.or_hint(|| format!("{}{}", self.state.url(&here), query_string(without.iter())))
            })?,
            None => self.published().await?,
        };
        let table = published.data_table(&self.state, self.path.get("table"))?;
        Ok(Subject {
            source: published.source(&self.state, table, rows).await?,
            license: published.manifest.license_of(table).clone(),
            table: table.name.clone(),
            what,
            rows,
            published,
        })
    }

    /// The snapshot a cursor goes on in, which no other parameter may contradict.
    async fn of_cursor(&self, text: &str) -> Result<Published, Problem> {
        let cursor = Cursor::decode(text)?;
        let number = cursor.snapshot.to_string();
        let published = published::snapshot(&self.state, self.path.get("dataset"), Some(&number)).await?;
        if self.params.get("snapshot").is_some() && self.published().await?.manifest.snapshot != cursor.snapshot {
            let detail = format!("`cursor` goes on in snapshot {number}, and `snapshot` names another one.");
            return Err(Problem::new(Kind::InvalidCursor, detail).instead(Some(Instead::Without("snapshot"))));
        }
        Ok(published)
    }

    /// A small JSON answer about a dataset as a whole.
    ///
    /// # Errors
    /// When it cannot be written, which is ours.
    pub(super) fn json<T: Serialize>(&self, value: &T, policy: CachePolicy) -> Result<Response, Problem> {
        match self.method {
            // Answers to POST are not kept.
            Method::POST => answer::json(value, policy, &HeaderMap::new()),
            _ => answer::json(value, policy, &self.headers),
        }
    }

    /// A small JSON answer about a table of a snapshot, with the headers and links of its data. `described`: the address
    /// that says what the answer means.
    ///
    /// # Errors
    /// When it cannot be written, which is ours.
    pub(super) fn json_of_table<T: Serialize>(
        &self,
        value: &T,
        published: &Published,
        table: &TableSnapshot,
        described: &str,
    ) -> Result<Response, Problem> {
        let manifest = &published.manifest;
        let license = manifest.license_of(table);
        let policy = CachePolicy::of(published.pinned, gate::is_personal(license));
        let mut response = answer::json(value, policy, &self.headers)?;
        name_snapshot(&mut response, manifest);
        data_links(&mut response, &self.state, manifest, license, described);
        Ok(response)
    }
}
