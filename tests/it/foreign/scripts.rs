//! Transform scripts: any executable, source bytes in, rows out.

use serde_json::json;

use super::Foreign;
use crate::pack::{bz2, tar};

const SHELL: &str = r#"#!/bin/sh
# key: value blocks become one object each
set -eu
while IFS=: read -r key value; do
    printf '{"key": "%s", "value": %s}\n' "$key" "$value"
done
echo "read everything" >&2
"#;

#[test]
fn a_shell_script_over_a_stream() {
    let foreign = Foreign::new(&[("/pairs.txt.bz2", &bz2("a:1\nb:2\n"))]);
    foreign.shop.script("f", "transform", SHELL);
    foreign.define(
        r#"
[[table]]
name = "named"
source = { url = "ORIGIN/pairs.txt.bz2" }
format = { type = "script", command = ["./transform"] }
primary_key = ["key"]
column = [{ name = "key" }, { name = "value", type = "int32" }]

[[table]]
name = "bare"
source = { url = "ORIGIN/pairs.txt.bz2" }
format = { type = "script", command = ["./transform"] }
"#,
    );
    let taken = foreign.taken();
    assert_eq!(taken.rows("named"), [json!({"key": "a", "value": 1}), json!({"key": "b", "value": 2})]);
    assert_eq!(taken.columns("bare"), "key: utf8, value: int64");
    let said = taken.record["script_output"].to_string();
    assert!(said.contains("read everything"), "standard error is not in the run record: {said}");
}

const PYTHON: &str = r#"#!/usr/bin/env python3
import json, os, sys
with open(os.environ["OPENSHELF_FILE"], encoding="utf-8") as lines:
    for line in lines:
        name, size = line.split()
        row = {"name": name, "size": int(size), "member": os.environ.get("OPENSHELF_MEMBER"), "url": os.environ["OPENSHELF_URL"]}
        print(json.dumps(row))
"#;

#[test]
fn a_python_script_over_each_member_of_an_archive() {
    let archive = tar(&[("d/a.txt", b"x 1\ny 2\n"), ("d/b.txt", b"z 3\n"), ("README", b"not for us\n")]);
    let foreign = Foreign::new(&[("/all.tar", &archive)]);
    foreign.shop.script("f", "rows.py", PYTHON);
    foreign.define(
        r#"
[[table]]
name = "files"
source = { url = "ORIGIN/all.tar", member = "d/*.txt" }
format = { type = "script", command = ["./rows.py"], input = "file" }
column = [{ name = "name" }, { name = "size", type = "int64" }, { name = "member" }, { name = "url" }]
"#,
    );
    let taken = foreign.taken();
    let url = taken.foreign.origin.url("/all.tar");
    assert_eq!(
        taken.rows("files"),
        [
            json!({"name": "x", "size": 1, "member": "d/a.txt", "url": url}),
            json!({"name": "y", "size": 2, "member": "d/a.txt", "url": url}),
            json!({"name": "z", "size": 3, "member": "d/b.txt", "url": url}),
        ]
    );
}

#[test]
fn a_script_sees_a_bare_environment() {
    let mut foreign = Foreign::new(&[("/a.txt", b"a\n")]);
    foreign.shop =
        std::mem::replace(&mut foreign.shop, crate::shop::Shop::new()).env("AWS_SECRET_ACCESS_KEY", Some("hush"));
    foreign.shop.script(
        "f",
        "show",
        "#!/bin/sh\ncat >/dev/null\nenv | while IFS= read -r line; do printf '{\"line\": \"%s\"}\\n' \"$line\"; done\n",
    );
    foreign.define("[[table]]\nname = \"env\"\nsource = { url = \"ORIGIN/a.txt\" }\nformat = { type = \"script\", command = [\"./show\"] }\ncolumn = [{ name = \"line\" }]\n");
    let taken = foreign.taken();
    let lines: Vec<String> = taken.rows("env").iter().map(|row| row["line"].as_str().unwrap().to_owned()).collect();
    assert!(lines.iter().any(|line| line.starts_with("OPENSHELF_URL=")), "{lines:?}");
    for secret in ["AWS_", "OPENSHELF_STORE", "OPENSHELF_CONTACT", "hush", "CARGO"] {
        assert!(lines.iter().all(|line| !line.contains(secret)), "{secret} reached the script: {lines:?}");
    }
}

#[test]
fn a_script_may_answer_in_arrow() {
    use std::sync::Arc;
    let column = Arc::new(arrow::array::Int64Array::from(vec![1, 2])) as arrow::array::ArrayRef;
    let batch = arrow::array::RecordBatch::try_from_iter([("id", column)]).unwrap();
    let mut stream = Vec::new();
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut stream, &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let foreign = Foreign::new(&[("/a.txt", b"a\n")]);
    foreign.shop.beside("f", "rows.arrows", &stream);
    // The definition's folder can be read from within.
    foreign.shop.script("f", "show", "#!/bin/sh\ncat >/dev/null\ncat \"$(dirname \"$0\")/rows.arrows\"\n");
    foreign.define("[[table]]\nname = \"t\"\nsource = { url = \"ORIGIN/a.txt\" }\nformat = { type = \"script\", command = [\"./show\"] }\nprimary_key = [\"id\"]\ncolumn = [{ name = \"id\", type = \"int64\" }]\n");
    assert_eq!(foreign.taken().rows("t"), [json!({"id": 1}), json!({"id": 2})]);
}
