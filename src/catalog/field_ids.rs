//! Iceberg field ids: what tells a column from another across the snapshots of a table, whatever its place.
//!
//! The first columns of a table are numbered by their place: top-level ones first, then what is inside them. A snapshot's
//! columns keep the ids that the snapshot before has for the same name and a type that Iceberg may widen to theirs;
//! everything else gets an id that was never used. Each file of a snapshot carries the snapshot's ids.

use std::collections::HashSet;

use super::{Column, ColumnType, TableSchema};

impl TableSchema {
    /// The ids of each column: its own, then those inside it in the order of its Arrow type.
    pub fn field_ids(&self) -> Vec<Vec<i32>> {
        let given = |column: &&Column| column.field_ids.len() == 1 + count(&column.kind);
        let mut last =
            self.columns.iter().filter(given).flat_map(|column| &column.field_ids).copied().max().unwrap_or(0);
        let own = self.columns.iter().map(|column| given(&column).then(|| column.field_ids.iter().copied().map(Some)));
        let sparse = own.zip(&self.columns).map(|(ids, column)| match ids {
            Some(ids) => ids.collect(),
            None => vec![None; 1 + count(&column.kind)],
        });
        fill(sparse.collect(), &mut last)
    }

    /// The highest of them.
    pub fn last_field(&self) -> i32 {
        self.field_ids().into_iter().flatten().max().unwrap_or(0)
    }

    /// These columns, numbered as those of the snapshot before. `last`: the highest id so far.
    #[must_use]
    pub fn numbered_after(mut self, before: &Self, last: i32) -> Self {
        let mut used = HashSet::new();
        let old: Vec<Field<'_>> = before
            .columns
            .iter()
            .zip(before.field_ids())
            .map(|(column, ids)| {
                let mut ids = ids.into_iter();
                let id = ids.next().unwrap_or_default();
                Field { name: &column.name, kind: &column.kind, id, inside: fields(&column.kind, &mut ids) }
            })
            .collect();
        let sparse = self
            .columns
            .iter()
            .map(|column| {
                let known = same(&old, &column.name, &column.kind, &mut used);
                let mut ids = vec![known.map(|field| field.id)];
                inherit(&column.kind, known, &mut used, &mut ids);
                ids
            })
            .collect();
        let ids = fill(sparse, &mut last.max(0));
        self.columns.iter_mut().for_each(|column| column.field_ids.clear());
        // By place is how they are numbered when nothing is said.
        if ids != self.field_ids() {
            self.columns.iter_mut().zip(ids).for_each(|(column, ids)| column.field_ids = ids);
        }
        self
    }
}

/// Fields inside a type, at any depth.
fn count(kind: &ColumnType) -> usize {
    kind.inside().into_iter().map(|(_, kind)| 1 + count(kind)).sum()
}

/// Gives ids above `last` where there are none: to columns first, then to what is inside them.
fn fill(mut sparse: Vec<Vec<Option<i32>>>, last: &mut i32) -> Vec<Vec<i32>> {
    let mut next = |id: &mut Option<i32>| {
        id.get_or_insert_with(|| {
            *last += 1;
            *last
        });
    };
    sparse.iter_mut().filter_map(|ids| ids.first_mut()).for_each(&mut next);
    sparse.iter_mut().flatten().for_each(&mut next);
    sparse.into_iter().map(|ids| ids.into_iter().flatten().collect()).collect()
}

/// A field of the snapshot before.
struct Field<'a> {
    name: &'a str,
    kind: &'a ColumnType,
    id: i32,
    inside: Vec<Field<'a>>,
}

fn fields<'a>(kind: &'a ColumnType, ids: &mut dyn Iterator<Item = i32>) -> Vec<Field<'a>> {
    let inside = kind.inside().into_iter();
    let mut fields: Vec<Field<'_>> = inside
        .map(|(name, kind)| Field { name, kind, id: ids.next().unwrap_or_default(), inside: Vec::new() })
        .collect();
    for field in &mut fields {
        field.inside = self::fields(field.kind, ids);
    }
    fields
}

/// The field of that name, if values of its type are read as values of the new one.
fn same<'f, 'a>(old: &'f [Field<'a>], name: &str, kind: &ColumnType, used: &mut HashSet<i32>) -> Option<&'f Field<'a>> {
    old.iter().find(|field| field.name == name && widens(field.kind, kind)).filter(|field| used.insert(field.id))
}

fn inherit(kind: &ColumnType, old: Option<&Field<'_>>, used: &mut HashSet<i32>, ids: &mut Vec<Option<i32>>) {
    let old = old.map_or(&[][..], |field| field.inside.as_slice());
    let inside = kind.inside();
    let known: Vec<Option<&Field<'_>>> = inside.iter().map(|(name, kind)| same(old, name, kind, used)).collect();
    ids.extend(known.iter().map(|field| field.map(|field| field.id)));
    for ((_, kind), known) in inside.into_iter().zip(known) {
        inherit(kind, known, used, ids);
    }
}

/// Whether a column of the old type may have become one of the new type (specification, "Schema Evolution").
fn widens(old: &ColumnType, new: &ColumnType) -> bool {
    use ColumnType::{Decimal, Float32, Float64, Int32, Int64, Json, List, Map, Struct, Utf8};
    match (old, new) {
        (Int32, Int64) | (Float32, Float64) | (Utf8 | Json, Utf8 | Json) => true,
        (List(_), List(_)) | (Struct(_), Struct(_)) | (Map(_), Map(_)) => true,
        (Decimal(old, scale), Decimal(new, same)) => scale == same && new >= old,
        _ => old == new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[(&str, &str)]) -> TableSchema {
        let column = |(name, kind): &(&str, &str)| Column::new(*name, kind.parse().expect("a type"));
        TableSchema { columns: columns.iter().map(column).collect() }
    }

    #[test]
    fn ids_stay_with_their_names_and_never_come_back() {
        let first = schema(&[("a", "int32"), ("b", "list<utf8>"), ("c", "utf8")]);
        assert_eq!(first.field_ids(), [vec![1], vec![2, 4], vec![3]]);
        let same = first.clone().numbered_after(&first, first.last_field());
        assert_eq!(same, first, "by place: nothing is said");
        // One more in the middle, one wider, one gone.
        let second = schema(&[("a", "int64"), ("new", "map<utf8, date>"), ("b", "list<utf8>")]);
        let second = second.numbered_after(&first, 4);
        assert_eq!(second.field_ids(), [vec![1], vec![5, 6, 7], vec![2, 4]]);
        // It comes back as another one: so does a column whose type is another.
        let third = schema(&[("c", "utf8"), ("a", "utf8"), ("b", "list<utf8>")]).numbered_after(&second, 7);
        assert_eq!(third.field_ids(), [vec![8], vec![9], vec![2, 4]]);
        let read: TableSchema = serde_json::from_str(&serde_json::to_string(&third).expect("JSON")).expect("a schema");
        assert_eq!(read, third);
    }

    #[test]
    fn fields_inside_keep_their_ids_too() {
        let first = schema(&[("s", "struct<x: int32, y: list<struct<z: float32>>>")]);
        assert_eq!(first.field_ids(), [vec![1, 2, 3, 4, 5]]);
        let second = schema(&[("s", "struct<w: bool, y: list<struct<z: float64, v: date>>, x: utf8>")]);
        let second = second.numbered_after(&first, 5);
        // s; w, y, x; the element; z, v.
        assert_eq!(second.field_ids(), [vec![1, 6, 3, 7, 4, 5, 8]]);
        let arrow = second.to_arrow();
        assert_eq!(arrow.field(0).metadata()[super::super::schema::FIELD_ID], "1");
        // A column that is put beside numbered ones gets an id that none of them has.
        let mut wider = second;
        wider.columns.push(Column::new("more", ColumnType::Int32));
        assert_eq!(wider.field_ids()[1], [9]);
    }
}
