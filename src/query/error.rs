//! What can go wrong with a slice, by who must act.

use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use parquet::errors::ParquetError;

use super::{
    budget::{Budget, OverCap},
    wording,
};
use crate::{config::SqlCaps, store::StoreError};

/// DataFusion's message without its prefixes and places in its own source.
pub(super) fn plain(error: &DataFusionError) -> String {
    let root = error.find_root();
    let text = match root {
        DataFusionError::Plan(text) | DataFusionError::Execution(text) | DataFusionError::NotImplemented(text) => {
            text.clone()
        }
        DataFusionError::ArrowError(error, _) => error.to_string(),
        DataFusionError::SchemaError(error, _) => error.to_string(),
        other => other.strip_backtrace(),
    };
    let text = text.split("\n\nbacktrace:").next().unwrap_or_default();
    wording::said(text)
}

/// What a condition said that was computed while its file was read, out of what was written around it on the way.
fn of_filter(error: &ParquetError) -> Option<String> {
    let text = match error {
        ParquetError::ArrowError(message) => message.clone(),
        ParquetError::External(source) => match source.downcast_ref::<ArrowError>()? {
            ArrowError::ComputeError(message) => message.clone(),
            error @ (ArrowError::ArithmeticOverflow(_)
            | ArrowError::DivideByZero
            | ArrowError::CastError(_)
            | ArrowError::InvalidArgumentError(_)) => error.to_string(),
            _ => return None,
        },
        _ => return None,
    };
    // An error shown as code: its text is the innermost literal, and a division has none.
    let text = text.replace(", Some(\"\")", "");
    let said = match text.rsplit_once("(\"") {
        Some((_, inner)) => inner.split("\")").next().unwrap_or(inner),
        None if text.contains("DivideByZero") => "divide by zero",
        None => text.as_str(),
    };
    let said = said.replace("\\\"", "\"").replace("\\'", "'");
    let said = said.trim_start_matches("Execution error: ");
    Some(format!("cannot be computed for some row: {said}"))
}

/// A slice that was asked for wrongly; the text is for the one who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {message}")]
pub struct SliceError {
    /// The parameter at fault.
    pub parameter: &'static str,
    /// What is wrong with it, with the position where there is one.
    pub message: String,
    /// What would be right: a value for the same parameter.
    pub instead: Option<String>,
}

impl SliceError {
    /// A fault of `parameter`.
    pub fn new(parameter: &'static str, message: impl Into<String>) -> Self {
        Self { parameter, message: message.into(), instead: None }
    }

    /// With a value that would work.
    #[must_use]
    pub fn instead(mut self, value: Option<String>) -> Self {
        self.instead = value;
        self
    }
}

/// A slice that could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The request is at fault.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// The store did not give the bytes.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A published file could not be decoded.
    #[error("{file}: {source}")]
    File {
        /// Object key.
        file: String,
        /// What the reader said.
        source: ParquetError,
    },
    /// A batch could not be computed or written.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// The result could not be written as Parquet.
    #[error("encoding Parquet: {0}")]
    Parquet(#[from] ParquetError),
    /// It takes more than one scan may.
    #[error(transparent)]
    OverCap(#[from] OverCap),
    /// A task of ours ended early.
    #[error("a scan was cut short: {0}")]
    Cut(String),
    /// A search index cannot be made, opened or read.
    #[error("the search index: {0}")]
    Search(String),
    /// A result has a type that no column here can have.
    #[error("column `{column}` of the result is of type {kind}, which no format here shows: cast it")]
    Unshowable {
        /// The result's column.
        column: String,
        /// Its type.
        kind: String,
    },
    /// The engine cannot do what was asked, by a lack of its own.
    #[error("the engine gave up: {0}")]
    Engine(DataFusionError),
    /// The engine's work ended in a way it must not.
    #[error("the engine's work broke off: {0}")]
    Broken(String),
}

impl QueryError {
    /// A failure of a plan: whose fault it is. Values that cannot be computed (casts, divisions by zero) and what
    /// cannot be planned are the query's.
    pub(super) fn of_engine(error: DataFusionError, budget: &Budget, caps: &SqlCaps) -> Self {
        if let Some(over) = budget.over() {
            return over.into();
        }
        // It travels through Arrow's writer, as text.
        if error.to_string().contains("max_temp_directory_size") {
            return OverCap::Spill(caps.spill).into();
        }
        let faulty = |message: String| Self::Slice(SliceError::new("query", message));
        match error {
            DataFusionError::Context(_, inner) => Self::of_engine(*inner, budget, caps),
            DataFusionError::Diagnostic(_, inner) => Self::of_engine(*inner, budget, caps),
            DataFusionError::Collection(several) => match several.into_iter().next() {
                Some(first) => Self::of_engine(first, budget, caps),
                None => Self::Broken("no cause was given".to_owned()),
            },
            DataFusionError::Shared(shared) => match Arc::try_unwrap(shared) {
                Ok(inner) => Self::of_engine(inner, budget, caps),
                Err(shared) => match shared.find_root() {
                    DataFusionError::ResourcesExhausted(_) => OverCap::Memory(caps.memory).into(),
                    root @ (DataFusionError::Execution(_) | DataFusionError::ArrowError(..)) => faulty(plain(root)),
                    DataFusionError::ParquetError(error) => match of_filter(error) {
                        Some(message) => faulty(message),
                        None => Self::Broken(error.to_string()),
                    },
                    root => Self::Broken(root.strip_backtrace()),
                },
            },
            DataFusionError::ResourcesExhausted(_) => OverCap::Memory(caps.memory).into(),
            DataFusionError::External(source) => match source.downcast::<StoreError>() {
                Ok(store) => Self::Store(*store),
                Err(source) => match source.downcast::<DataFusionError>() {
                    Ok(inner) => Self::of_engine(*inner, budget, caps),
                    // What our own scan said of its rows.
                    Err(source) => match source.downcast::<Self>() {
                        Ok(ours) => *ours,
                        Err(other) => Self::Broken(other.to_string()),
                    },
                },
            },
            DataFusionError::ParquetError(error) if of_filter(&error).is_some() => {
                faulty(of_filter(&error).unwrap_or_default())
            }
            DataFusionError::ParquetError(error) => match *error {
                ParquetError::External(source) => match source.downcast::<StoreError>() {
                    Ok(store) => Self::Store(*store),
                    Err(source) => match source.downcast::<DataFusionError>() {
                        Ok(inner) => Self::of_engine(*inner, budget, caps),
                        Err(other) => Self::Parquet(ParquetError::External(other)),
                    },
                },
                other => Self::Parquet(other),
            },
            DataFusionError::ArrowError(error, text) => match *error {
                ArrowError::ExternalError(source) => match source.downcast::<DataFusionError>() {
                    Ok(inner) => Self::of_engine(*inner, budget, caps),
                    Err(other) => Self::Broken(other.to_string()),
                },
                ArrowError::ParquetError(message) => Self::Parquet(ParquetError::General(message)),
                error => faulty(plain(&DataFusionError::ArrowError(Box::new(error), text))),
            },
            error @ (DataFusionError::Plan(_)
            | DataFusionError::Execution(_)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::SQL(..)) => faulty(plain(&error)),
            error => Self::Engine(error),
        }
    }

    /// The request's fault inside a failure of evaluation, such as a cast or a division by zero of the predicate.
    pub fn of_evaluation(self) -> Self {
        match self {
            Self::File { source: ParquetError::ArrowError(message), .. } => {
                Self::Slice(SliceError::new("where", format!("cannot be computed for these rows: {message}")))
            }
            other => other,
        }
    }
}
