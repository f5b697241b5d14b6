//! Drafts of small files of every form: the definition must be valid, and its sample must come through it without rejects.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, path::PathBuf};

use super::*;
use crate::ingest::{
    definition::{
        Definition,
        grammar::{Source, SourceRef, Table},
    },
    normalize::{Normalizer, Origin, schema_of, wanted},
};

/// Rows of each table of the sample, as the definition reads them.
fn sample_rows(draft: &Draft, origin: &str) -> BTreeMap<String, (usize, String)> {
    let folder = tempfile::tempdir().unwrap();
    draft.write(folder.path()).expect("a folder");
    assert!(draft.write(folder.path()).is_err(), "a second draft must not overwrite the first");
    let definition = definition::parse(&draft.definition, "dataset.toml", folder.path()).expect(&draft.definition);
    let file: PathBuf = folder.path().join("sample").join(&draft.sample[0].0);
    definition
        .tables
        .iter()
        .map(|table| (table.name.clone(), read(&definition, table, &file, folder.path(), origin)))
        .collect()
}

fn read(definition: &Definition, table: &Table, file: &Path, folder: &Path, origin: &str) -> (usize, String) {
    let schema = schema_of(table).unwrap();
    let source: &Source = match &table.source {
        SourceRef::Inline(source) => source,
        SourceRef::Name(name) => definition.sources.iter().find(|source| source.name.as_ref() == Some(name)).unwrap(),
    };
    let listed = source.member.as_ref().map(OneOrMany::as_slice).unwrap_or_default();
    let (mut rows, mut first) = (0, String::new());
    let needed = wanted(&table.columns, &table.format);
    members(file, origin, &|name| listed.iter().any(|member| member == name), &Caps::default(), &mut |member| {
        let mut normalizer = Normalizer::new(&table.columns, &schema, &table.format, Origin::default())?;
        let name = member.name.clone();
        let extraction = Extraction {
            format: &table.format,
            columns: &table.columns,
            folder,
            scratch: folder,
            caps: &Caps::default(),
            url: origin,
            member: name.as_deref(),
            wanted: needed.as_ref(),
            stderr: &mut Vec::new(),
        };
        extract(extraction, member, &mut |raw| {
            let out = normalizer.push(&raw)?;
            assert!(out.rejects.is_none(), "{:?}", out.rejects);
            if rows == 0 && out.rows.num_rows() > 0 {
                first = out
                    .rows
                    .columns()
                    .iter()
                    .map(|column| arrow::util::display::array_value_to_string(column, 0).unwrap())
                    .collect::<Vec<_>>()
                    .join("|");
            }
            rows += out.rows.num_rows();
            Ok(())
        })?;
        normalizer.seen().check(&table.columns)
    })
    .expect("the sample is read");
    (rows, first)
}

fn drafted(name: &str, bytes: &[u8]) -> Result<(Draft, String), Failure> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let origin = format!("https://example.org/data/{name}");
    let draft = draft(&path, &origin, &"my-data".parse().unwrap(), &Caps::default())?;
    Ok((draft, origin))
}

/// Drafts a file with one table: the definition, the number of rows in the sample, the first row.
fn one(name: &str, bytes: &[u8]) -> (String, usize, String) {
    let (draft, origin) = drafted(name, bytes).expect(name);
    assert_eq!(draft.sample[0].0, name);
    let rows = sample_rows(&draft, &origin);
    assert_eq!(rows.len(), 1, "{}", draft.definition);
    let (rows, first) = rows.into_values().next().unwrap();
    (draft.definition, rows, first)
}

#[track_caller]
fn has(definition: &str, lines: &[&str]) {
    for line in lines {
        assert!(definition.lines().any(|own| own == *line), "no line {line} in\n{definition}");
    }
}

#[test]
fn csv_with_its_dialect_is_told_from_the_bytes() {
    let mut text = String::from("id;startYear;Rating;Name\r\n");
    for row in 0..300 {
        text.push_str(&format!("{row};{};{}.5;\"a;\"\"{row}\"\"\r\n\"\r\n", 1900 + row, row % 10));
    }
    text.push_str("300;NA;1;x\r\n");
    let (definition, rows, first) = one("a.csv", text.as_bytes());
    has(
        &definition,
        &[
            "title = \"My data\"",
            "redistribution = \"personal\"",
            "id = \"LicenseRef-unknown\"",
            "source = { url = \"https://example.org/data/a.csv\" }",
            "format = { type = \"csv\", delimiter = \";\" }",
            "primary_key = [\"id\"]",
            "name = \"start_year\"",
            "from = \"startYear\"",
            "null = \"NA\"",
            "type = \"float64\"",
        ],
    );
    assert_eq!((rows, first.as_str()), (100, "0|1900|0.5|a;\"0\"\r\n"));
}

#[test]
fn tab_separated_text_without_quotes_and_with_nulls_is_known() {
    let mut text = String::from("tconst\tprimaryTitle\tstartYear\n");
    for row in 0..200 {
        text.push_str(&format!("tt{row}\t\"Quoted\" {row}\t{}\n", if row % 3 == 0 { "\\N" } else { "1999" }));
    }
    let compressed = pack::compress(text.as_bytes(), Compression::Gzip).unwrap();
    let (definition, rows, first) = one("title.basics.tsv.gz", &compressed);
    has(
        &definition,
        &["format = { type = \"csv\", delimiter = \"\\t\", quote = \"none\", null = \"\\\\N\" }", "type = \"int64\""],
    );
    assert_eq!((rows, first.as_str()), (100, "tt0|\"Quoted\" 0|"));
}

#[test]
fn text_without_a_header_binds_by_order() {
    let text: String = (0..150).map(|row| format!("{row}\ta\\\\b\\t{row}\t\\N\t2014-06-06 12:43:54.27+00\n")).collect();
    let (definition, rows, first) = one("artist", text.as_bytes());
    has(&definition, &["format = { type = \"pgcopy\" }", "name = \"column_4\"", "type = \"timestamp\""]);
    assert_eq!((rows, first.as_str()), (100, "0|a\\b\t0||2014-06-06T12:43:54.270Z"));

    let text: String = (0..150).map(|row| format!("en,Main_{row},{row},0\n")).collect();
    let (definition, rows, first) = one("views.csv", text.as_bytes());
    has(&definition, &["format = { type = \"csv\", header = false }"]);
    assert_eq!((rows, first.as_str()), (100, "en|Main_0|0|0"));
    let text: String = (0..150).map(|row| format!("en Main_{row} {row} 0\n")).collect();
    let (definition, rows, _) = one("views.txt", text.as_bytes());
    has(&definition, &["format = { type = \"csv\", delimiter = \" \", header = false }"]);
    assert_eq!(rows, 100);
}

#[test]
fn text_in_old_encodings_is_named() {
    let (definition, rows, first) = one("a.csv", b"name,n\nM\xfcller,1\nMaier,2\n");
    has(&definition, &["format = { type = \"csv\", encoding = \"windows-1252\" }"]);
    assert_eq!((rows, first.as_str()), (2, "Müller|1"));
    let utf16: Vec<u8> = "\u{feff}name,n\nMüller,1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (_, rows, first) = one("a.csv", &utf16);
    assert_eq!((rows, first.as_str()), (1, "Müller|1"));
}

#[test]
fn columns_at_fixed_places_are_seen() {
    let mut text = String::new();
    for row in 0..300 {
        text.push_str(&format!("ACW{row:08}  {:8.4} {:6.1} Ötz {:<10}\r\n", f64::from(row) / 7.0, 0.5, row * 37));
    }
    let (definition, rows, first) = one("stations.txt", text.as_bytes());
    has(
        &definition,
        &["format = { type = \"fixed-width\" }", "name = \"column_1\"", "at = \"26-29\"", "type = \"float64\""],
    );
    assert_eq!((rows, first.as_str()), (100, "ACW00000000|0.0|0.5|Ötz|0"));

    let text = "Name       Height\n---------- ------\nBroad Peak   8051\nK2           8611\nEverest      8849\n";
    let (definition, rows, first) = one("peaks.txt", text.as_bytes());
    has(&definition, &["format = { type = \"fixed-width\", skip = 2 }", "name = \"height\"", "type = \"int64\""]);
    assert_eq!((rows, first.as_str()), (3, "Broad Peak|8051"));

    // Words that happen to stand below each other are none.
    let (definition, _, _) = one("names.txt", b"San Marino\nNew Zealand\nSri Lanka\nEast Timor\n");
    assert!(definition.contains("type = \"csv\""), "{definition}");
}

#[test]
fn json_rows_are_found() {
    let lines: String = (0..150).map(|row| format!("{{\"id\":{row},\"actor\":{{\"login\":\"x\"}}}}\n")).collect();
    let (definition, rows, first) = one("a.json.gz", &pack::compress(lines.as_bytes(), Compression::Gzip).unwrap());
    has(&definition, &["format = { type = \"ndjson\" }", "type = \"struct<login: utf8>\"", "primary_key = [\"id\"]"]);
    assert_eq!((rows, first.as_str()), (100, "0|{login: x}"));

    let items: Vec<String> = (0..150).map(|row| format!("{{\"lat\": \"{row}\", \"t\": 1}}")).collect();
    let (definition, rows, _) = one("a.json", format!("[{}]", items.join(",\n")).as_bytes());
    has(&definition, &["format = { type = \"json\" }", "type = \"utf8\""]);
    assert_eq!(rows, 100);
    let (definition, rows, _) =
        one("b.json", format!("{{\"n\":1,\"d\":{{\"rows\":[{}]}}}}", items.join(",")).as_bytes());
    has(&definition, &["format = { type = \"json\", pointer = \"/d/rows\" }"]);
    assert_eq!(rows, 100);

    let features: Vec<String> = (0..120)
        .map(|row| format!("{{\"type\":\"Feature\",\"id\":\"q{row}\",\"properties\":{{\"mag\":{row}.5}},\"geometry\":{{\"type\":\"Point\",\"coordinates\":[1.5,2.5,3.5]}}}}"))
        .collect();
    let text = format!("{{\"type\":\"FeatureCollection\",\"features\":[{}],\"bbox\":[1]}}", features.join(","));
    let (definition, rows, _) = one("all_week.geojson", text.as_bytes());
    has(&definition, &["format = { type = \"json\" }", "name = \"mag\"", "name = \"depth\"", "primary_key = [\"id\"]"]);
    assert_eq!(rows, 100);
}

#[test]
fn xml_rows_are_the_elements_that_repeat() {
    let books: String = (0..120)
        .map(|row| format!("<book id=\"b{row}\"><author>A</author><author>B</author><year>{row}</year></book>"))
        .collect();
    let (definition, rows, first) =
        one("a.xml", format!("<?xml version=\"1.0\"?><catalog><title/>{books}</catalog>").as_bytes());
    has(
        &definition,
        &[
            "format = { type = \"xml\", row = \"catalog/book\" }",
            "from = \"@id\"",
            "type = \"list<utf8>\"",
            "type = \"int64\"",
        ],
    );
    assert_eq!(rows, 100);
    assert!(first.contains("b0") && first.contains("[A, B]"), "{first}");
    let page = "<page><title>T</title><ns>0</ns><id>1</id><revision><id>2</id><timestamp>2020-01-01T00:00:00Z</timestamp><contributor><ip>::1</ip></contributor><model>wikitext</model><format>text/x-wiki</format><text bytes=\"1\">x</text><sha1>a</sha1></revision></page>";
    let text =
        format!("<mediawiki xmlns=\"http://www.mediawiki.org/xml/export-0.11/\">{}</mediawiki>", page.repeat(110));
    let (definition, rows, _) = one("pages.xml.bz2", &pack::compress(text.as_bytes(), Compression::Bzip2).unwrap());
    has(&definition, &["format = { type = \"mediawiki-xml\" }", "type = \"timestamp\""]);
    assert_eq!(rows, 100);
}

#[test]
fn archives_hold_a_table_for_each_kind_of_member() {
    let csv = |head: &str, rows: usize| {
        format!("{head}\n{}", (0..rows).map(|row| format!("{row},{row}\n")).collect::<String>()).into_bytes()
    };
    let files = vec![
        ("README.txt".to_owned(), b"Some words about it.".to_vec()),
        ("data/2020.csv".to_owned(), csv("id,n", 150)),
        ("data/2021.csv".to_owned(), csv("id,n", 20)),
        ("places.csv".to_owned(), csv("code,x", 5)),
    ];
    for (name, bytes) in [
        ("a.zip", pack::zip(&files).unwrap()),
        ("a.tar.xz", pack::compress(&pack::tar(&files).unwrap(), Compression::Xz).unwrap()),
        ("a.tar.zst", pack::compress(&pack::tar(&files).unwrap(), Compression::Zstd).unwrap()),
    ] {
        let (draft, origin) = drafted(name, &bytes).unwrap();
        has(
            &draft.definition,
            &["[[source]]", "source = { name = \"file\", member = [\"data/2020.csv\", \"data/2021.csv\"] }"],
        );
        assert!(draft.notes.iter().any(|note| note.starts_with("README.txt is left out")), "{:?}", draft.notes);
        assert_eq!(draft.sample[0].0, name);
        let rows = sample_rows(&draft, &origin);
        let counts: Vec<(&str, usize)> = rows.iter().map(|(name, (rows, _))| (name.as_str(), *rows)).collect();
        assert_eq!(counts, [("my_data", 120), ("places", 5)]);
    }
}

#[test]
fn typed_files_and_dumps_keep_their_types() {
    let ids: arrow::array::ArrayRef = std::sync::Arc::new((0..300).collect::<arrow::array::Int32Array>());
    let names: arrow::array::ArrayRef =
        std::sync::Arc::new((0..300).map(|row| Some(format!("n{row}"))).collect::<arrow::array::StringArray>());
    let batch = arrow::array::RecordBatch::try_from_iter([("ID", ids), ("fullName", names)]).unwrap();
    let mut parquet = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut parquet, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut file = arrow::ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    file.write(&batch).unwrap();
    file.finish().unwrap();
    let mut stream = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    stream.write(&batch).unwrap();
    stream.finish().unwrap();
    for (name, bytes, kind) in [
        ("a.parquet", parquet, "parquet"),
        ("a.arrow", file.into_inner().unwrap(), "arrow"),
        ("a.arrows", stream.into_inner().unwrap(), "arrow"),
    ] {
        let (definition, rows, first) = one(name, &bytes);
        let format = format!("format = {{ type = \"{kind}\" }}");
        has(&definition, &[&format, "type = \"int32\"", "from = \"fullName\"", "primary_key = [\"id\"]"]);
        assert_eq!((rows, first.as_str()), (100, "0|n0"), "{name}");
    }
    let tuples =
        |rows: usize| (0..rows).map(|row| format!("({row},'it\\'s; (x)\\n',NULL)")).collect::<Vec<_>>().join(",");
    let table = |name: &str| {
        format!(
            "CREATE TABLE `{name}` (\n  `page_id` int(8) unsigned NOT NULL,\n  `t` varbinary(255) NOT NULL,\n  `r` double DEFAULT NULL,\n  PRIMARY KEY (`page_id`)\n) ENGINE=InnoDB;\nINSERT INTO `{name}` VALUES {};\nINSERT INTO `{name}` VALUES {};\n",
            tuples(150),
            tuples(3)
        )
    };
    let dump = format!("-- MySQL dump 10.19\n{}-- Dump completed\n", table("page"));
    let (definition, rows, _) = one("page.sql.gz", &pack::compress(dump.as_bytes(), Compression::Gzip).unwrap());
    has(
        &definition,
        &["format = { type = \"mysqldump\" }", "name = \"page\"", "type = \"float64\"", "type = \"int64\""],
    );
    assert_eq!(rows, 100);
    let (draft, origin) = drafted("all.sql", format!("{}{}", table("page"), table("links")).as_bytes()).unwrap();
    let rows = sample_rows(&draft, &origin);
    let counts: Vec<(&str, usize)> = rows.iter().map(|(name, (rows, _))| (name.as_str(), *rows)).collect();
    assert_eq!(counts, [("links", 100), ("page", 100)]);
}

#[test]
fn quotes_that_come_late_are_seen() {
    let mut text: String = (0..5000).map(|row| format!("{row},plain\n")).collect();
    text.insert_str(0, "n,name\n");
    text.push_str("5000,\"a, b\"\n");
    let (definition, ..) = one("a.csv", text.as_bytes());
    has(&definition, &["format = { type = \"csv\" }"]);
}

#[test]
fn what_has_no_known_form_is_refused() {
    for (bytes, blame) in [
        (&b"<!DOCTYPE html><html><body>503</body></html>"[..], crate::catalog::Blame::Upstream),
        (b"", crate::catalog::Blame::Upstream),
        (b"\x00\x01\x02\x03binary", crate::catalog::Blame::Definition),
        (b"Just one line of words.", crate::catalog::Blame::Definition),
    ] {
        assert_eq!(drafted("x", bytes).expect_err("no data").blame, blame, "{bytes:?}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), text in "[\\[\\]{}\",:a1<>/\n\t\\\\;|]{0,200}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            let _ = drafted("x", bytes);
        }
    }
}
