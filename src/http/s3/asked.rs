//! What a request to the bucket asks for.

use super::token::Token;
use crate::http::{
    params::Params,
    problem::{Kind, Problem},
    state::AppState,
};

/// Keys and common prefixes of a page at most, and by default.
const MOST: usize = 1000;

/// Operations of S3 that a request names by an argument, and that a public, read-only bucket without versions does not have.
const OTHERS: [&str; 28] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versions",
    "website",
];

/// An operation on the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    List(Box<ListAsked>),
    Location,
    Versioning,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListAsked {
    /// ListObjectsV2; else the first version, which clients from before 2016 send.
    pub(super) second: bool,
    pub(super) prefix: String,
    /// Never empty.
    pub(super) delimiter: Option<String>,
    pub(super) max_keys: usize,
    /// Whether names are percent-encoded in the answer.
    pub(super) encoded: bool,
    pub(super) fetch_owner: bool,
    /// `start-after`, or `marker` of the first version.
    pub(super) after: Option<String>,
    /// As it was sent.
    pub(super) continuation: Option<String>,
    pub(super) token: Option<Token>,
}

/// Refuses what a request asks for by an argument and nobody can have here. Arguments that are unknown to S3 as well are
/// ignored.
///
/// # Errors
/// 501.
pub(in crate::http) fn refuse_operation(state: &AppState, params: &Params) -> Result<(), Problem> {
    if let Some(part) = params.get("partNumber").filter(|part| *part != "1") {
        let detail = format!("The object has one part; there is no part `{part}`.");
        return Err(Problem::new(Kind::NoSuchPart, detail));
    }
    let known = |(name, _): (&str, &str)| OTHERS.into_iter().find(|other| *other == name);
    let Some(operation) = params.iter().find_map(known) else { return Ok(()) };
    let detail = format!(
        "This bucket is public, read-only and without versions: it has no `{operation}`. It is listed (ListObjectsV2) and \
         its objects are read (GetObject, HeadObject)."
    );
    Err(Problem::new(Kind::NotImplemented, detail).hint(state.url("/data?list-type=2&delimiter=/")))
}

impl Asked {
    /// # Errors
    /// 400 for numbers that are none, tokens of others and unknown encodings; 501.
    pub(super) fn of(state: &AppState, params: &Params) -> Result<Self, Problem> {
        let has = |wanted: &str| params.iter().any(|(name, _)| name == wanted);
        if has("location") {
            return Ok(Self::Location);
        }
        if has("versioning") {
            return Ok(Self::Versioning);
        }
        refuse_operation(state, params)?;
        let wrong = |detail: String| {
            Problem::new(Kind::InvalidParameter, detail).hint(state.url("/data?list-type=2&delimiter=/"))
        };
        let given = |name: &str| params.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
        let second = params.get("list-type") == Some("2");
        let max_keys = match params.get("max-keys") {
            None => MOST,
            // S3 takes what fits an integer of 32 bits.
            Some(text) => match text.parse::<i32>().map(usize::try_from) {
                Ok(Ok(number)) if text.bytes().all(|byte| byte.is_ascii_digit()) => MOST.min(number),
                _ => {
                    return Err(wrong(format!("`max-keys` is `{text}`; it takes a whole number from 0 to 1000.")));
                }
            },
        };
        let encoded = match given("encoding-type").as_deref() {
            None => false,
            Some("url") => true,
            Some(other) => return Err(wrong(format!("`encoding-type` is `{other}`; it takes `url`."))),
        };
        let continuation = params.get("continuation-token").filter(|_| second).map(str::to_owned);
        let token = match continuation.as_deref().filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(Token::decode(text).ok_or_else(|| {
                wrong("`continuation-token` is none that this server gave: begin without one.".to_owned())
            })?),
        };
        Ok(Self::List(Box::new(ListAsked {
            second,
            prefix: params.get("prefix").unwrap_or_default().to_owned(),
            delimiter: given("delimiter"),
            max_keys,
            encoded,
            fetch_owner: !second || params.get("fetch-owner") == Some("true"),
            after: given(if second { "start-after" } else { "marker" }),
            continuation,
            token,
        })))
    }
}
