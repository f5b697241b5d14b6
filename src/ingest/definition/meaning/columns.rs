//! What columns must say: types that are types, keys that exist, options that go with the type and the format.

use std::{collections::BTreeSet, ops::Range};

use chrono::format::{Item, StrftimeItems};

use super::{
    super::{
        fault::did_you_mean,
        grammar::{ColumnDefinition, Format, OneOrMany, Scalar, Table},
    },
    BUILT_IN, Meaning,
    Step::{self, At, Key},
};
use crate::catalog::{ColumnType, column_type::TYPE_WORDS};

impl Meaning<'_, '_> {
    pub(super) fn columns(&mut self, table: &Table, at: usize, variables: Option<&BTreeSet<String>>) {
        let mut names = BTreeSet::new();
        for (position, column) in table.columns.iter().enumerate() {
            let path = [Key("table"), At(at), Key("column"), At(position)];
            if column.name.is_empty() || column.name.chars().count() > 255 {
                self.fault_in(&path, "name", "a column's name has 1 to 255 characters");
            } else if !names.insert(column.name.as_str()) {
                self.fault_in(&path, "name", &format!("two columns are called `{}`", column.name));
            }
            self.column(column, table, &path, variables);
        }
        if table.columns.is_empty() {
            return;
        }
        let keys = [
            ("primary_key", Some(&table.primary_key)),
            ("sort_key", table.sort_key.as_ref()),
            ("partition_by", Some(&table.partition_by)),
        ];
        for (key, columns) in keys.into_iter().filter_map(|(key, columns)| Some((key, columns?))) {
            for (index, name) in columns.iter().enumerate() {
                let path = [Key("table"), At(at), Key(key), At(index)];
                match table.columns.iter().find(|column| column.name == *name) {
                    None => {
                        let hint = did_you_mean(name, names.iter().copied());
                        self.fault(&path, format!("`{key}` names `{name}`, which is no column{hint}"));
                    }
                    Some(column) if kind_of(column).is_some_and(|kind| kind.is_nested()) => {
                        self.fault(&path, format!("`{name}` is a list, struct or map: it can't be part of `{key}`"));
                    }
                    Some(column) if key == "partition_by" => {
                        if let Some(kind) = kind_of(column).filter(|kind| !kind.is_partition()) {
                            self.fault(&path, no_partition(name, &kind));
                        }
                        if columns.iter().take(index).any(|other| other == name) {
                            self.fault(&path, format!("`{key}` names `{name}` twice"));
                        }
                    }
                    Some(_) => {}
                }
            }
        }
    }

    pub(super) fn column(
        &mut self,
        column: &ColumnDefinition,
        table: &Table,
        path: &[Step<'_>],
        variables: Option<&BTreeSet<String>>,
    ) {
        let text = column.kind.as_deref().unwrap_or("utf8");
        let Some(kind) = kind_of(column) else {
            let hint = did_you_mean(text, TYPE_WORDS);
            return self.fault_in(path, "type", &format!("`{text}` is no column type{hint}"));
        };
        if column.split.is_some() && !matches!(kind, ColumnType::List(_)) {
            self.fault_in(path, "split", &format!("`split` makes a list, but `{}` is {kind}", column.name));
        }
        let inner = match &kind {
            ColumnType::List(item) => item,
            kind => kind,
        };
        let temporal = matches!(inner, ColumnType::Date | ColumnType::Timestamp | ColumnType::Datetime);
        if column.parse.is_some() && !temporal {
            self.fault_in(
                path,
                "parse",
                &format!("`parse` is for date, timestamp and datetime, but `{}` is {kind}", column.name),
            );
        }
        if let Some(pattern) = column.parse.as_deref().filter(|pattern| !matches!(*pattern, "epoch_s" | "epoch_ms"))
            && StrftimeItems::new(pattern).any(|item| item == Item::Error)
        {
            self.fault_in(
                path,
                "parse",
                &format!(
                    "`{pattern}` is no strptime pattern such as `%d.%m.%Y %H:%M`, nor is it `epoch_s` or `epoch_ms`"
                ),
            );
        }
        if let Some(zone) = &column.timezone
            && zone.parse::<chrono_tz::Tz>().is_err()
        {
            self.fault_in(path, "timezone", &format!("`{zone}` is no IANA time zone such as `Europe/Vienna`"));
        }
        let fixed = matches!(table.format, Format::FixedWidth(_));
        match &column.at {
            Some(at) if !fixed => {
                self.fault_in(path, "at", &format!("`at = \"{at}\"` is for the format `fixed-width`"));
            }
            Some(at) if span_of(at).is_none() => {
                self.fault_in(path, "at", &format!("`{at}` is no span of characters such as `1-11`, counted from 1"));
            }
            None if fixed && !from_variable(column) => {
                self.fault(
                    path,
                    format!("column `{}` of a fixed-width file needs `at`, such as `at = \"1-11\"`", column.name),
                );
            }
            _ => {}
        }
        if let Some(variables) = variables {
            for scalar in column.from.iter().flat_map(OneOrMany::as_slice) {
                if let Scalar::Text(text) = scalar
                    && let Some(name) = text.strip_prefix('$')
                    && !variables.contains(name)
                    && !BUILT_IN.contains(&name)
                {
                    let hint = did_you_mean(name, variables.iter().map(String::as_str).chain(BUILT_IN));
                    self.fault_in(path, "from", &format!("no variable `${name}` is bound by the source{hint}"));
                }
            }
        }
    }
}

/// What to say of a partition column whose type makes none.
pub(in crate::ingest) fn no_partition(name: &str, kind: &ColumnType) -> String {
    let instead = match kind {
        ColumnType::Timestamp | ColumnType::Datetime => "; a column of type date, read from the same place, may be one",
        _ => "",
    };
    format!("`{name}` is {kind}: partitions are made by utf8, bool, int32, int64 and date columns{instead}")
}

fn kind_of(column: &ColumnDefinition) -> Option<ColumnType> {
    column.kind.as_deref().unwrap_or("utf8").parse().ok()
}

fn from_variable(column: &ColumnDefinition) -> bool {
    column.from.as_ref().is_some_and(|from| {
        from.as_slice().iter().all(|scalar| matches!(scalar, Scalar::Text(text) if text.starts_with('$')))
    })
}

/// `"1-11"` as characters 0..11; `"5"` as 4..5.
fn span_of(at: &str) -> Option<Range<usize>> {
    let (first, last) = at.split_once('-').unwrap_or((at, at));
    let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first >= 1 && last >= first).then(|| first - 1..last)
}
