//! A license is policy, not a label: its class decides what may be served to whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the license lets a public mirror do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Redistribution {
    /// May be served to anyone.
    Open,
    /// May be served to anyone who shares alike.
    ShareAlike,
    /// Personal use only: never served to the public.
    Personal,
}

/// The license of a dataset, or of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct License {
    /// SPDX expression, or `LicenseRef-…` for terms SPDX does not list.
    pub id: String,
    /// Where the terms are written.
    pub url: String,
    /// What they let a mirror do.
    pub redistribution: Redistribution,
    /// The credit line upstream asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<String>,
}
