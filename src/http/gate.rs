//! The license gate: what may not be redistributed is not served to the public.

use axum::http::header;

use super::{
    problem::{Kind, Problem},
    state::AppState,
};
use crate::catalog::{License, Manifest, Redistribution, TableSnapshot};

/// What a caller may have of a dataset or table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everything.
    Open,
    /// What it is, not what is in it.
    MetadataOnly,
}

impl Access {
    /// Its name in answers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::MetadataOnly => "metadata-only",
        }
    }
}

/// What this server gives of something under a license.
pub(super) fn access(state: &AppState, license: &License) -> Access {
    match license.redistribution {
        Redistribution::Personal if !state.serves_personal => Access::MetadataOnly,
        _ => Access::Open,
    }
}

/// Whether caches shared by several people must not keep it.
pub(super) fn is_personal(license: &License) -> bool {
    license.redistribution == Redistribution::Personal
}

/// Lets the data of a table pass, or says how to get it elsewhere.
///
/// # Errors
/// 451 with the command that fetches the dataset onto one's own machine.
pub(super) fn pass(state: &AppState, manifest: &Manifest, table: &TableSnapshot) -> Result<(), Problem> {
    let license = manifest.license_of(table);
    match access(state, license) {
        Access::Open => Ok(()),
        Access::MetadataOnly => Err(Problem::new(
            Kind::PersonalUseOnly,
            format!(
                "`{}.{}` is published under {} ({}), which allows personal use but no public copy. \
                 This server shows what it is; your own machine may hold it.",
                manifest.dataset, table.name, license.id, license.url
            ),
        )
        .hint(format!("openshelf ingest {0} && openshelf serve", manifest.dataset))
        .header(header::LINK, format!("<{}>; rel=\"blocked-by\"", license.url))),
    }
}
