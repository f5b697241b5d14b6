//! What the grammar's types cannot say: names that must exist, patterns that must compile, keys that need each other.

mod columns;
mod source;

use std::{collections::BTreeSet, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

pub(in crate::ingest) use columns::no_partition;

use super::{
    duration,
    fault::{Collector, did_you_mean},
    grammar::{Csv, Definition, Format},
};
use crate::catalog::TableId;

/// Variables that every part has.
pub(super) const BUILT_IN: [&str; 4] = ["url", "file", "member", "key"];

pub(super) fn check(definition: &Definition, root: &Spanned<DeTable<'_>>, folder: &Path, faults: &mut Collector<'_>) {
    Meaning { root: root.get_ref(), folder, faults }.definition(definition);
}

struct Meaning<'a, 'f> {
    root: &'a DeTable<'a>,
    folder: &'a Path,
    faults: &'a mut Collector<'f>,
}

/// A step on the way to a value: a key or a position.
enum Step<'s> {
    Key(&'s str),
    At(usize),
}
use Step::{At, Key};

impl Meaning<'_, '_> {
    fn definition(&mut self, definition: &Definition) {
        for (at, tag) in definition.tags.iter().enumerate() {
            if tag.is_empty() || !tag.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
                self.fault(&[Key("tags"), At(at)], format!("tag `{tag}`: lower-case letters, digits and `-` only"));
            }
        }
        if let Some(refresh) = &definition.refresh
            && duration(refresh).is_none()
            && refresh.parse::<croner::Cron>().is_err()
        {
            self.fault(&[Key("refresh")], format!("`{refresh}` is neither a time such as `1h`, `1d` nor a cron line"));
        }
        if duration(&definition.retention).is_none() {
            self.fault(&[Key("retention")], format!("`{}` is no time such as `90d`", definition.retention));
        }
        if let Some(time) = definition.limits.time.as_deref().filter(|time| duration(time).is_none()) {
            self.fault(&[Key("limits"), Key("time")], format!("`{time}` is no time such as `6h`"));
        }
        if !(0.0..=1.0).contains(&definition.reject_threshold) {
            self.fault(&[Key("reject_threshold")], "`reject_threshold` is a share between 0 and 1".into());
        }
        for key in ["id", "url"] {
            let value = if key == "id" { &definition.license.id } else { &definition.license.url };
            if value.trim().is_empty() {
                self.fault(&[Key("license"), Key(key)], format!("the license's `{key}` is empty"));
            }
        }
        let mut names = BTreeSet::new();
        for (at, source) in definition.sources.iter().enumerate() {
            let path = [Key("source"), At(at)];
            match &source.name {
                None => self.fault(&path, "a [[source]] needs a `name`".into()),
                Some(name) if !names.insert(name.as_str()) => {
                    self.fault(&[Key("source"), At(at), Key("name")], format!("two sources are called `{name}`"));
                }
                Some(_) => {}
            }
            self.source(source, &path);
        }
        if definition.tables.is_empty() {
            self.fault(&[], "a dataset has at least one [[table]]".into());
        }
        let mut tables = BTreeSet::new();
        for (at, table) in definition.tables.iter().enumerate() {
            if let Err(invalid) = table.name.parse::<TableId>() {
                self.fault(&[Key("table"), At(at), Key("name")], invalid.to_string());
            } else if !tables.insert(table.name.as_str()) {
                self.fault(&[Key("table"), At(at), Key("name")], format!("two tables are called `{}`", table.name));
            }
            let variables = self.table_source(definition, table, at);
            self.format(&table.format, at);
            self.columns(table, at, variables.as_ref());
        }
    }

    fn format(&mut self, format: &Format, at: usize) {
        let path = [Key("table"), At(at), Key("format")];
        match format {
            Format::Csv(csv) => self.csv(csv, &path),
            Format::FixedWidth(format) => self.encoding(format.encoding.as_deref(), &path),
            Format::Script(script) => match script.command.first() {
                None => self.fault_in(&path, "command", "the command is empty"),
                Some(program) => {
                    if let Some(name) = program.strip_prefix("./")
                        && !self.folder.join(name).is_file()
                    {
                        self.fault_in(&path, "command", &format!("there is no file `{name}` beside the definition"));
                    }
                }
            },
            Format::Json(json) => {
                if json.pointer.as_deref().is_some_and(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
                    self.fault_in(&path, "pointer", "a JSON pointer begins with `/`");
                }
            }
            _ => {}
        }
    }

    fn csv(&mut self, csv: &Csv, path: &[Step<'_>]) {
        let one = |text: &str| text.chars().count() == 1 && text.is_ascii();
        if !one(&csv.delimiter) {
            self.fault_in(path, "delimiter", "the delimiter is one ASCII character");
        }
        if csv.quote != "none" && !one(&csv.quote) {
            self.fault_in(path, "quote", "the quote is one ASCII character, or \"none\"");
        }
        if csv.escape.as_deref().is_some_and(|escape| !one(escape)) {
            self.fault_in(path, "escape", "the escape is one ASCII character");
        }
        self.encoding(csv.encoding.as_deref(), path);
    }

    fn encoding(&mut self, label: Option<&str>, path: &[Step<'_>]) {
        if let Some(label) = label
            && encoding_rs::Encoding::for_label(label.as_bytes()).is_none()
        {
            let hint = did_you_mean(
                label,
                ["utf-8", "latin-1", "utf-16", "utf-16le", "utf-16be", "windows-1252", "shift_jis", "gbk"],
            );
            if label != "latin-1" {
                self.fault_in(path, "encoding", &format!("`{label}` is no known encoding{hint}"));
            }
        }
    }

    fn fault_in(&mut self, path: &[Step<'_>], key: &str, message: &str) {
        let span = self.locate(path, Some(key));
        self.faults.add(span, message);
    }

    fn fault(&mut self, path: &[Step<'_>], message: String) {
        let span = self.locate(path, None);
        self.faults.add(span, message);
    }

    /// Where a value stands in the text; the nearest place around it where it is not there.
    fn locate(&self, path: &[Step<'_>], key: Option<&str>) -> Range<usize> {
        let mut span = 0..0;
        let mut value: Option<&Spanned<DeValue<'_>>> = None;
        let last = key.map(Key);
        for step in path.iter().chain(last.as_ref()) {
            let table = match value {
                None => Some(self.root),
                Some(value) => value.get_ref().as_table(),
            };
            let next = match step {
                Key(name) => table
                    .and_then(|table| table.iter().find(|(key, _)| key.get_ref().as_ref() as &str == *name))
                    .map(|(_, value)| value),
                At(index) => value.and_then(|value| value.get_ref().as_array()).and_then(|items| items.get(*index)),
            };
            let Some(next) = next else { break };
            span = next.span();
            value = Some(next);
        }
        span
    }
}
