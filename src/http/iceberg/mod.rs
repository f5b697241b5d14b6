//! The Iceberg REST catalog under `/iceberg`, read-only: namespaces are datasets, tables are tables, and what they consist
//! of is rendered by [`crate::iceberg`]. The objects that the metadata leads to are answered in the bucket ([`objects`]).
//!
//! Unknown arguments and credentials are ignored, as these clients expect; problems take Iceberg's form ([`error`]).

pub(super) mod config;
pub(super) mod error;
pub(super) mod namespaces;
pub(super) mod objects;
pub(super) mod tables;

use std::sync::Arc;

use super::{
    gate,
    problem::{Kind, Problem},
    state::AppState,
};
use crate::{
    catalog::{DatasetId, Manifest, TableId, TableSnapshot},
    iceberg::IcebergError,
};

/// The dataset that a namespace means, with its newest snapshot. SQL has no `-` in names, so `_` stands for it, too.
///
/// # Errors
/// 404.
async fn namespace(state: &AppState, name: &str) -> Result<(DatasetId, Arc<Manifest>), Problem> {
    let id = name.to_lowercase().replace('_', "-").parse::<DatasetId>().ok();
    if let Some(id) = id
        && let Some(head) = state.store.head(&id).await?
    {
        return Ok((id, head));
    }
    let name = name.replace('\u{1f}', ".");
    Err(Problem::new(Kind::DatasetNotFound, format!("There is no namespace `{name}`."))
        .hint(state.url("/iceberg/v1/namespaces")))
}

/// A table that may be read here, as the newest snapshot has it.
struct Found {
    dataset: DatasetId,
    id: TableId,
    head: Arc<Manifest>,
}

impl Found {
    fn table(&self) -> Option<&TableSnapshot> {
        self.head.table(self.id.as_str())
    }
}

/// The table that a namespace and a name mean.
///
/// # Errors
/// 404 for a table, whatever it is that is missing: clients look for metadata tables by asking for namespaces that are
/// none. 451 where the license allows no public copy.
async fn table(state: &AppState, in_namespace: &str, name: &str) -> Result<Found, Problem> {
    let missing = |hint: String| {
        let namespace = in_namespace.replace('\u{1f}', ".");
        Problem::new(Kind::TableNotFound, format!("There is no table `{namespace}.{name}`.")).hint(state.url(&hint))
    };
    let (dataset, head) = namespace(state, in_namespace).await.map_err(|problem| match problem.kind() {
        Kind::DatasetNotFound => missing("/iceberg/v1/namespaces".to_owned()),
        _ => problem,
    })?;
    let id = name.to_lowercase().parse::<TableId>().ok();
    let found = id.and_then(|id| Some((head.table(id.as_str())?, id)));
    let Some((table, id)) = found else { return Err(missing(format!("/iceberg/v1/namespaces/{dataset}/tables"))) };
    gate::pass(state, &head, table)?;
    Ok(Found { dataset, id, head })
}

/// What to say of an object that could not be made.
fn unmade(state: &AppState, found: &Found, error: IcebergError) -> Problem {
    match error {
        IcebergError::NotFound(what) => {
            let hint = state.url(&format!("/iceberg/v1/namespaces/{}/tables/{}", found.dataset, found.id));
            Problem::new(Kind::FileNotFound, format!("There is no {what}, or no longer.")).hint(hint)
        }
        IcebergError::Store(error) => error.into(),
        error @ IcebergError::Unwritable(_) => Problem::internal(error),
    }
}
