#![allow(clippy::unwrap_used)]
use std::path::Path;

use super::{parse, schema};

const SOUND: &str = r#"
title = "Rivers"
[license]
id = "CC0-1.0"
url = "https://example.org/terms"
redistribution = "open"

[[table]]
name = "rivers"
source = { url = "https://example.org/rivers.csv" }
format = { type = "csv", header = 2, null = ["NA", ""] }
primary_key = ["id"]

[[table.column]]
name = "id"
type = "int64"

[[table.column]]
name = "length"
type = "float64"
"#;

fn faults(text: &str) -> Vec<String> {
    match parse(text, "dataset.toml", Path::new(".")) {
        Ok(_) => vec![],
        Err(faults) => faults.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_sound_definition_is_read() {
    assert_eq!(faults(SOUND), Vec::<String>::new());
}

#[test]
fn every_fault_is_reported_at_once_with_its_line_and_the_nearest_word() {
    let text = SOUND
        .replace("redistribution = \"open\"", "redistribution = \"opne\"")
        .replace("type = \"csv\", header", "type = \"csv\", hedaer")
        .replace("name = \"length\"", "name = \"length\"\nunits = \"km\"")
        .replace("title = \"Rivers\"", "title = 3");
    insta::assert_snapshot!(faults(&text).join("\n"));
}

#[test]
fn meaning_is_checked_too() {
    let text = SOUND
        .replace("primary_key = [\"id\"]", "primary_key = [\"idd\"]\nsort_key = [\"length\"]")
        .replace("type = \"int64\"", "type = \"int46\"")
        .replace("rivers.csv\"", "rivers-{year}.csv\"")
        .replace("rivers-{year}.csv\" }", "rivers-{year}.csv\", checksum = { sha256 = \"zz\" } }")
        .replace(
            "name = \"length\"",
            "name = \"day\"\ntype = \"date\"\nparse = \"%Q\"\n\n[[table.column]]\nname = \"length\"",
        )
        .replace("type = \"float64\"", "type = \"float64\"\nsplit = \",\"\nfrom = \"$yaer\"");
    insta::assert_snapshot!(faults(&text).join("\n"));
}

#[test]
fn faults_of_structure_do_not_hide_those_of_meaning() {
    let text = SOUND
        .replace("title = \"Rivers\"\n", "titel = \"Rivers\"\n")
        .replace("type = \"csv\", header = 2", "type = \"cvs\", delimiter = \";;\"")
        .replace("[\"id\"]", "[\"idd\"]\non_duplicate = \"frist\"")
        .replace("type = \"int64\"", "type = \"int46\"")
        .replace("rivers.csv\"", "rivers.csv\", match = 3");
    insta::assert_snapshot!(faults(&text).join("\n"));
}

#[test]
fn any_value_in_any_place_is_a_fault_and_no_more() {
    let values = ["3", "\"x\"", "true", "1.5", "[]", "[1, \"a\"]", "{}", "{ a = 1 }", "2024-01-01", "-1"];
    for line in SOUND.lines().filter(|line| line.contains(" = ")) {
        let key = line.split(" = ").next().unwrap();
        for value in values {
            let changed = SOUND.replacen(line, &format!("{key} = {value}"), 1);
            let found = faults(&changed);
            assert!(found.iter().all(|fault| fault.starts_with("dataset.toml:")), "{found:?}");
            assert!(found.len() < 5, "{key} = {value}: {found:#?}");
        }
    }
}

#[test]
fn words_kept_for_later_are_refused_as_not_built_yet() {
    let text = SOUND.replace("primary_key = [\"id\"]", "mode = \"append\"\nsorted_copies = [\"id\"]");
    insta::assert_snapshot!(faults(&text).join("\n"));
    let text = SOUND.replace("type = \"csv\", header = 2, null = [\"NA\", \"\"]", "type = \"sqlite\"");
    insta::assert_snapshot!(faults(&text).join("\n"));
}

#[test]
fn a_table_is_partitioned_by_columns_of_few_exact_values_and_sorted_by_them_first() {
    let text =
        |by: &str| SOUND.replace("primary_key = [\"id\"]", &format!("primary_key = [\"id\"]\npartition_by = {by}"));
    insta::assert_snapshot!(faults(&text("[\"lenght\", \"length\", \"id\", \"id\"]")).join("\n"));
    // What a table does not say is no part of its digest: else an upgrade made every table's files anew.
    let silent = serde_json::to_string(&parse(SOUND, "dataset.toml", Path::new(".")).unwrap().tables[0]).unwrap();
    assert!(!silent.contains("partition_by"), "{silent}");
    let order = |keys: &str| {
        let text = SOUND.replace("primary_key = [\"id\"]", keys).replace("type = \"float64\"", "type = \"int32\"");
        parse(&text, "dataset.toml", Path::new(".")).unwrap().tables[0].order().join(" ")
    };
    assert_eq!(order("primary_key = [\"id\"]"), "id");
    assert_eq!(order("primary_key = [\"id\"]\npartition_by = [\"length\"]"), "length id");
    assert_eq!(order("sort_key = [\"id\", \"length\"]\npartition_by = [\"length\"]"), "length id");
    assert_eq!(order("partition_by = [\"length\"]"), "length");
}

#[test]
fn broken_toml_names_its_line() {
    insta::assert_snapshot!(faults("title = \"a\nlicense = [").join("\n"));
}

#[test]
fn a_missing_required_key_names_its_place() {
    let text = SOUND.replace("name = \"rivers\"\n", "").replace("id = \"CC0-1.0\"\n", "");
    insta::assert_snapshot!(faults(&text).join("\n"));
}

#[test]
fn the_schema_knows_every_format() {
    let text = schema().to_string();
    for word in [
        "csv",
        "ndjson",
        "json",
        "mediawiki-xml",
        "xml",
        "mysqldump",
        "pgcopy",
        "fixed-width",
        "parquet",
        "arrow",
        "script",
    ] {
        assert!(text.contains(&format!("\"const\":\"{word}\"")), "{word}");
    }
}
