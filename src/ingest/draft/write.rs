//! The text of a definition.

use std::fmt::Write as _;

use crate::{
    catalog::DatasetId,
    ingest::definition::grammar::{ColumnDefinition, Csv, FixedWidth, Format, Header, OneOrMany, Scalar},
};

/// A table to be written.
#[derive(Debug)]
pub(super) struct TableText {
    pub(super) name: String,
    pub(super) format: Format,
    /// Members of the archive; none if the file is no archive.
    pub(super) members: Vec<String>,
    pub(super) columns: Vec<ColumnDefinition>,
    pub(super) primary_key: Option<String>,
    pub(super) rows: u64,
    pub(super) notes: Vec<String>,
}

/// The definition of tables that are read from one file. `origin` is `url` or `path` and its value.
pub(super) fn definition(dataset: &DatasetId, origin: (&str, &str), tables: &[TableText]) -> String {
    let (key, address) = origin;
    let title = dataset.as_str().replace('-', " ");
    let mut letters = title.chars();
    let title: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    let terms = if key == "url" { address } else { "https://example.org/terms" };
    let mut text = format!(
        "# A draft by `openshelf new`, from the bytes alone. Look through it, say what things are, and run\n\
         # `openshelf check {dataset}`. `datasets/README.md` explains every key.\n\
         title = {}\n\
         description = \"\"\n",
        quoted(&title)
    );
    if key == "url" {
        text.push_str(
            "# How often upstream has something new; without it, only `openshelf ingest` asks.\n# refresh = \"1d\"\n",
        );
    }
    let _ = write!(
        text,
        "\n[license]\n\
         # Nobody has read upstream's terms yet. Until then this is the safe class: never served to the public.\n\
         # Write down the SPDX id, where the terms are, and `open`, `share-alike` or `personal`.\n\
         id = \"LicenseRef-unknown\"\n\
         url = {}\n\
         redistribution = \"personal\"\n",
        quoted(terms)
    );
    let shared = tables.len() > 1;
    if shared {
        let _ = write!(text, "\n[[source]]\nname = \"file\"\n{key} = {}\n", quoted(address));
    }
    for table in tables {
        let source = match (shared, table.members.as_slice()) {
            (true, []) => "\"file\"".to_owned(),
            (true, members) => format!("{{ name = \"file\", member = {} }}", list(members)),
            (false, []) => format!("{{ {key} = {} }}", quoted(address)),
            (false, members) => format!("{{ {key} = {}, member = {} }}", quoted(address), list(members)),
        };
        write_table(&mut text, table, &source);
    }
    text
}

fn write_table(text: &mut String, table: &TableText, source: &str) {
    text.push('\n');
    for note in &table.notes {
        let _ = writeln!(text, "# {}", note.replace(['\n', '\r'], " "));
    }
    let _ = write!(
        text,
        "[[table]]\nname = {}\ndescription = \"\"\nsource = {source}\nformat = {}\n",
        quoted(&table.name),
        format_text(&table.format)
    );
    match &table.primary_key {
        Some(key) => {
            let _ = write!(
                text,
                "# Unique and never null in the {} rows that were read.\nprimary_key = [{}]\n",
                table.rows,
                quoted(key)
            );
        }
        None => text.push_str("# primary_key = [\"…\"]\n"),
    }
    for column in &table.columns {
        write_column(text, column);
    }
}

fn write_column(text: &mut String, column: &ColumnDefinition) {
    let _ = write!(text, "\n[[table.column]]\nname = {}\n", quoted(&column.name));
    match &column.from {
        Some(OneOrMany::One(Scalar::Text(from))) => {
            let _ = writeln!(text, "from = {}", quoted(from));
        }
        Some(OneOrMany::One(Scalar::Number(from))) => {
            let _ = writeln!(text, "from = {from}");
        }
        _ => {}
    }
    if let Some(at) = &column.at {
        let _ = writeln!(text, "at = {}", quoted(at));
    }
    let _ = writeln!(text, "type = {}", quoted(column.kind.as_deref().unwrap_or("utf8")));
    if let Some(null) = &column.null {
        let _ = writeln!(text, "null = {}", list(null.as_slice()));
    }
    if column.optional {
        text.push_str("optional = true\n");
    }
}

/// An inline table; keys at their default are left out.
fn format_text(format: &Format) -> String {
    let kind = |kind: &str| format!("{{ type = \"{kind}\" }}");
    match format {
        Format::Csv(csv) => csv_text(csv),
        Format::Ndjson {} => kind("ndjson"),
        Format::Json(json) => match &json.pointer {
            Some(pointer) => format!("{{ type = \"json\", pointer = {} }}", quoted(pointer)),
            None => kind("json"),
        },
        Format::MediawikiXml {} => kind("mediawiki-xml"),
        Format::Xml(xml) => format!("{{ type = \"xml\", row = {} }}", quoted(&xml.row)),
        Format::Mysqldump(dump) => match &dump.table {
            Some(table) => format!("{{ type = \"mysqldump\", table = {} }}", quoted(table)),
            None => kind("mysqldump"),
        },
        Format::Pgcopy {} => kind("pgcopy"),
        Format::FixedWidth(fixed) => fixed_width_text(fixed),
        Format::Parquet {} => kind("parquet"),
        Format::Arrow {} => kind("arrow"),
        Format::Script(_) => kind("script"),
    }
}

fn csv_text(csv: &Csv) -> String {
    let plain = Csv::default();
    let mut keys = vec!["type = \"csv\"".to_owned()];
    if csv.delimiter != plain.delimiter {
        keys.push(format!("delimiter = {}", quoted(&csv.delimiter)));
    }
    if csv.quote != plain.quote {
        keys.push(format!("quote = {}", quoted(&csv.quote)));
    }
    match csv.header {
        Header::Flag(true) => {}
        Header::Flag(false) => keys.push("header = false".into()),
        Header::Rows(rows) => keys.push(format!("header = {rows}")),
    }
    if let Some(comment) = &csv.comment {
        keys.push(format!("comment = {}", quoted(comment)));
    }
    if let Some(null) = &csv.null {
        keys.push(format!("null = {}", list(null.as_slice())));
    }
    if let Some(encoding) = &csv.encoding {
        keys.push(format!("encoding = {}", quoted(encoding)));
    }
    format!("{{ {} }}", keys.join(", "))
}

fn fixed_width_text(fixed: &FixedWidth) -> String {
    let mut keys = vec!["type = \"fixed-width\"".to_owned()];
    if fixed.skip > 0 {
        keys.push(format!("skip = {}", fixed.skip));
    }
    for (key, value) in [("comment", &fixed.comment), ("encoding", &fixed.encoding)] {
        keys.extend(value.as_ref().map(|value| format!("{key} = {}", quoted(value))));
    }
    format!("{{ {} }}", keys.join(", "))
}

/// One text, or an array of them.
fn list(texts: &[String]) -> String {
    match texts {
        [one] => quoted(one),
        many => format!("[{}]", many.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")),
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
