//! Real readers over the published files: pyarrow, polars, DuckDB and pandas read every table of every dataset by URL from a
//! running server and agree on rows and types; a hundred random slices are the same in DuckDB over the same files.

use std::{path::Path, process::Command};

use crate::shop::{Shop, ours};

#[test]
#[expect(clippy::print_stderr, reason = "a test that was not run says so")]
fn real_readers_agree_on_rows_and_types() {
    let Some(python) = std::env::var_os("OPENSHELF_TEST_PYTHON") else {
        if std::env::var_os("OPENSHELF_TEST_FAST").is_some_and(|value| value == "1") {
            eprintln!("clients: not run, OPENSHELF_TEST_FAST=1 is set");
            return;
        }
        panic!(
            "OPENSHELF_TEST_PYTHON is not set: run scripts/tools first, then OPENSHELF_TEST_PYTHON=$PWD/.venv/bin/python cargo test \
             (scripts/test does both); OPENSHELF_TEST_FAST=1 leaves this test out"
        );
    };
    let shop = Shop::new().env("OPENSHELF_DATASETS", ours().to_str());
    let ran = shop.run(&["ingest", "--all", "--sample", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    let server = shop.serve();
    for (script, said) in [("read.py", "tables agree"), ("slices.py", "tables agree")] {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
        let output = Command::new(&python)
            .arg(script)
            .arg(&server.url)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("no_proxy", "127.0.0.1,localhost")
            .env("HOME", shop.path(""))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains(said), "{text}");
    }
}
