//! Types from values, for tables that name no columns: over all values, by widening. Keeps a little state per column and
//! nothing per row; knows nothing about formats and files.

mod shape;
mod widen;
pub(crate) mod words;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::datatypes::DataType;

use self::shape::Shape;
use super::{
    definition::grammar::{ColumnDefinition, Format, OneOrMany, Scalar},
    extract::{RawBatch, RawColumn},
    normalize::bind::by_order,
};
use crate::catalog::{Column, ColumnType, TableSchema};

pub use widen::widen;

/// Infers the columns of a table from all its raw batches, whatever their order.
///
/// Columns keep upstream's names, in the order in which they are first seen; all may be null and absent. A name that
/// occurs twice in one file gets `_2` and is bound by its position; columns without names are `column_1`, `column_2`, ….
#[derive(Debug, Default)]
pub struct Inference {
    columns: Vec<Inferred>,
    index: HashMap<String, usize>,
    /// The names of the batch before and their columns: batches of one file share them.
    bound: Option<(Arc<Vec<String>>, Vec<usize>)>,
    by_order: bool,
    xml: bool,
    mediawiki: bool,
}

/// The types of a MediaWiki export's fields, which its schema fixes.
fn of_mediawiki(name: &str) -> ColumnType {
    match name {
        "page_id" | "rev_id" | "parent_id" | "contributor_id" | "wikitext_bytes" => ColumnType::Int64,
        "ns" => ColumnType::Int32,
        "minor" => ColumnType::Bool,
        "timestamp" => ColumnType::Timestamp,
        _ => ColumnType::Utf8,
    }
}

#[derive(Debug)]
struct Inferred {
    name: String,
    position: Option<i64>,
    previous: Option<Column>,
    shape: Shape,
    budget: usize,
}

impl Inference {
    /// Begins with what the previous snapshot has: types only widen, and no column goes away.
    pub fn new(previous: Option<&TableSchema>, format: &Format) -> Self {
        let mut inference = Self {
            by_order: by_order(format),
            xml: matches!(format, Format::Xml(_)),
            mediawiki: matches!(format, Format::MediawikiXml {}),
            ..Self::default()
        };
        for column in previous.into_iter().flat_map(|schema| &schema.columns) {
            let at = inference.column(&column.name, None);
            if let Some(inferred) = inference.columns.get_mut(at) {
                inferred.previous = Some(column.clone());
            }
        }
        inference
    }

    /// Takes the values of a batch into account.
    pub fn push(&mut self, raw: &RawBatch) {
        for (at, column) in self.bind(raw).into_iter().zip(&raw.columns) {
            let Some(inferred) = self.columns.get_mut(at) else { continue };
            match column {
                _ if self.mediawiki => inferred.shape.typed(of_mediawiki(&inferred.name)),
                RawColumn::Text(cells) => cells.iter().flatten().for_each(|text| inferred.shape.text(text)),
                RawColumn::Json(cells) if self.xml => {
                    cells.iter().flatten().for_each(|value| inferred.shape.xml(value));
                }
                RawColumn::Json(cells) => {
                    for json in cells.iter().flatten() {
                        inferred.shape.json(json, 0, &mut inferred.budget);
                    }
                }
                RawColumn::Typed(array) if array.data_type() == &DataType::Null => {}
                RawColumn::Typed(array) => {
                    inferred.shape.typed(ColumnType::from_arrow(array.data_type()).unwrap_or(ColumnType::Utf8));
                }
            }
        }
    }

    fn bind(&mut self, raw: &RawBatch) -> Vec<usize> {
        if let Some((names, columns)) = &self.bound
            && (Arc::ptr_eq(names, &raw.names) || *names == raw.names)
        {
            return columns.clone();
        }
        let mut taken: HashSet<String> = HashSet::new();
        let mut columns = Vec::with_capacity(raw.names.len());
        for (name, position) in raw.names.iter().zip(1_i64..) {
            let plain = if name.is_empty() || self.by_order { format!("column_{position}") } else { name.clone() };
            let mut unique = plain.clone();
            let mut copy = 2;
            // A later column may really be called so: upstream's own names go first.
            while taken.contains(&unique) || (unique != *name && raw.names.contains(&unique)) {
                unique = format!("{plain}_{copy}");
                copy += 1;
            }
            columns.push(self.column(&unique, (unique != *name).then_some(position)));
            taken.insert(unique);
        }
        self.bound = Some((raw.names.clone(), columns.clone()));
        columns
    }

    fn column(&mut self, name: &str, position: Option<i64>) -> usize {
        let at = *self.index.entry(name.to_owned()).or_insert(self.columns.len());
        match self.columns.get_mut(at) {
            Some(column) => column.position = position.or(column.position),
            None => self.columns.push(Inferred {
                name: name.to_owned(),
                position,
                previous: None,
                shape: Shape::default(),
                budget: shape::MOST_SHAPES,
            }),
        }
        at
    }

    /// The columns: as a definition would name them, and as a schema. Equal to the previous schema if nothing had to widen.
    pub fn finish(self) -> (Vec<ColumnDefinition>, TableSchema) {
        let mut definitions = Vec::with_capacity(self.columns.len());
        let mut columns = Vec::with_capacity(self.columns.len());
        for inferred in self.columns {
            let seen = inferred.shape.kind();
            let column = match (inferred.previous, seen) {
                (Some(previous), None) => previous,
                (Some(previous), Some(seen)) => {
                    Column { kind: widen(&previous.kind, &seen, inferred.shape.is_json()), ..previous }
                }
                (None, seen) => Column::new(inferred.name, seen.unwrap_or(ColumnType::Utf8)),
            };
            definitions.push(ColumnDefinition {
                name: column.name.clone(),
                from: inferred.position.map(|position| OneOrMany::One(Scalar::Number(position))),
                kind: Some(column.kind.to_string()),
                description: column.description.clone(),
                unit: column.unit.clone(),
                split: None,
                parse: None,
                timezone: None,
                null: None,
                optional: true,
                search: column.search,
                bloom: None,
                at: None,
            });
            columns.push(column);
        }
        (definitions, TableSchema { columns })
    }
}
