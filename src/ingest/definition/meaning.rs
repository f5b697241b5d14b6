//! What the grammar's types cannot say: names that must exist, patterns that must compile, keys that need each other.

use std::{collections::BTreeSet, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    duration,
    fault::{Collector, did_you_mean},
    grammar::{Checksum, ColumnDefinition, Csv, Definition, Format, Scalar, Source, SourceRef, Table},
};
use crate::catalog::{ColumnType, TableId, schema::TYPE_WORDS};

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

    /// The variables a table's source binds; `None` where the source is at fault already.
    fn table_source(&mut self, definition: &Definition, table: &Table, at: usize) -> Option<BTreeSet<String>> {
        let path = [Key("table"), At(at), Key("source")];
        let name = match &table.source {
            SourceRef::Name(name) => name,
            SourceRef::Inline(source) => match &source.name {
                Some(name) => {
                    if has_origin(source) {
                        self.fault(
                            &path,
                            "a source names another (`name`) or says where its bytes are, not both".into(),
                        );
                        return None;
                    }
                    name
                }
                None => {
                    self.source(source, &path);
                    return Some(variables_of(source));
                }
            },
        };
        let found = definition.sources.iter().find(|source| source.name.as_ref() == Some(name));
        if found.is_none() {
            let known = definition.sources.iter().filter_map(|source| source.name.as_deref());
            let hint = did_you_mean(name, known);
            self.fault(&path, format!("there is no [[source]] called `{name}`{hint}"));
        }
        found.map(variables_of)
    }

    fn source(&mut self, source: &Source, path: &[Step<'_>]) {
        let origins =
            [source.url.is_some(), source.urls.is_some(), source.path.is_some()].into_iter().filter(|is| *is).count();
        let lists = source.listing.is_some() || source.status.is_some();
        if origins > 1 || (origins == 0 && !lists) {
            self.fault(path, "a source has one of `url`, `urls`, `path`, `listing` or `status`".into());
        }
        if source.listing.is_some() && source.pattern.is_none() {
            self.fault(path, "`listing` needs `match`: the regular expression its links are held against".into());
        }
        if source.pattern.is_some() && source.listing.is_none() {
            self.fault_in(
                path,
                "match",
                "`match` goes with `listing`; file names of a status document are matched by `status.match`",
            );
        }
        let patterns = [
            ("match", source.pattern.as_deref()),
            ("status", source.status.as_ref().and_then(|s| s.pattern.as_deref())),
        ];
        for (key, pattern) in patterns {
            if let Some(error) = pattern.and_then(|pattern| regex::Regex::new(pattern).err()) {
                self.fault_in(path, key, &format!("this is no regular expression: {error}"));
            }
        }
        if let Some(recheck) = source.recheck.as_deref().filter(|time| duration(time).is_none()) {
            self.fault_in(path, "recheck", &format!("`{recheck}` is no time such as `2d`"));
        }
        let bound = variables_of(source);
        let addresses = source
            .url
            .iter()
            .map(|url| ("url", url))
            .chain(source.urls.iter().flatten().map(|url| ("urls", url)))
            .chain(source.listing.iter().map(|url| ("listing", url)))
            .chain(source.latest.iter().map(|url| ("latest", url)))
            .chain(source.status.iter().map(|status| ("status", &status.url)))
            .chain(source.checksum.iter().filter_map(|checksum| match checksum {
                Checksum::File(file) => Some(("checksum", &file.url)),
                Checksum::Literal(_) => None,
            }));
        for (key, url) in addresses {
            self.address(path, key, url, &bound);
        }
        if let (Some(each), Some(url)) = (&source.each, &source.url) {
            let used: BTreeSet<String> = placeholders(url).into_iter().collect();
            for name in each.keys().filter(|name| !used.contains(*name)) {
                self.fault_in(path, "each", &format!("`each.{name}` is not used: `url` has no `{{{name}}}`"));
            }
        }
    }

    fn address(&mut self, path: &[Step<'_>], key: &str, url: &str, bound: &BTreeSet<String>) {
        if !(url.starts_with("http://") || url.starts_with("https://") || url.starts_with("file://")) {
            self.fault_in(
                path,
                key,
                &format!("`{url}` is no http(s) address; a file beside the definition is named by `path`"),
            );
        }
        for name in placeholders(url).into_iter().filter(|name| !bound.contains(name)) {
            let hint = did_you_mean(&name, bound.iter().map(String::as_str));
            self.fault_in(
                path,
                key,
                &format!("`{{{name}}}` is bound by neither `each`, `latest` nor a capture of `match`{hint}"),
            );
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

    fn columns(&mut self, table: &Table, at: usize, variables: Option<&BTreeSet<String>>) {
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
        let keys = [("primary_key", Some(&table.primary_key)), ("sort_key", table.sort_key.as_ref())];
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
                    Some(_) => {}
                }
            }
        }
    }

    fn column(
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
            for scalar in column.from.iter().flat_map(super::grammar::OneOrMany::as_slice) {
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

fn has_origin(source: &Source) -> bool {
    source.url.is_some()
        || source.urls.is_some()
        || source.path.is_some()
        || source.listing.is_some()
        || source.status.is_some()
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
pub(super) fn span_of(at: &str) -> Option<Range<usize>> {
    let (first, last) = at.split_once('-').unwrap_or((at, at));
    let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first >= 1 && last >= first).then(|| first - 1..last)
}

/// The variables a source binds: `each`, `latest`, named captures.
fn variables_of(source: &Source) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = source.each.iter().flat_map(|each| each.keys().cloned()).collect();
    if source.latest.is_some() {
        names.insert("latest".into());
    }
    let patterns = source.pattern.iter().chain(source.status.iter().filter_map(|status| status.pattern.as_ref()));
    for pattern in patterns.filter_map(|pattern| regex::Regex::new(pattern).ok()) {
        names.extend(pattern.capture_names().flatten().map(str::to_owned));
    }
    names
}

/// The variables in a template such as `…/{day:%Y}/{day:%m}.gz`.
fn placeholders(url: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = url;
    while let Some((_, tail)) = rest.split_once('{') {
        let Some((inside, after)) = tail.split_once('}') else { break };
        found.push(inside.split(':').next().unwrap_or(inside).to_owned());
        rest = after;
    }
    found
}
