//! Tables whose Iceberg metadata lies in the bucket are read from there, by readers that know no server of ours.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use super::{Cloud, ROWS, seaweed};
use crate::origin::Origin;

/// Four snapshots of `f.t`: new, one part more, another one more, one part replaced. What is true of each: its number, its rows,
/// the sum of `version`; and of the rows that were appended after the first one.
fn published(cloud: &Cloud) -> (Value, Value) {
    let (origin, shop) = (Origin::start(), cloud.shop());
    let source = origin.url("/{part}.csv");
    shop.define(
        "f",
        &format!(
            r#"[[table]]
name = "t"
source = {{ url = "{source}", each = {{ part = {{ from = 0, to = 3 }} }}, missing = "gap" }}
format = {{ type = "csv" }}
primary_key = ["id"]
column = [{{ name = "id", type = "int64" }}, {{ name = "version", type = "int64" }}]
"#
        ),
    );
    let mut versions = [0; 4];
    let mut publish = |snapshot: u64, parts: &[usize]| {
        for part in parts {
            let rows: String = (0..ROWS).map(|row| format!("{},{snapshot}\n", *part as u64 * ROWS + row)).collect();
            origin.put(&format!("/{part}.csv"), format!("id,version\n{rows}"));
            versions[*part] = snapshot;
        }
        shop.ingest("f").published();
        let there = versions.iter().filter(|version| **version > 0);
        json!([snapshot, there.clone().count() as u64 * ROWS, there.sum::<u64>() * ROWS])
    };
    let truth = json!([publish(1, &[0, 1]), publish(2, &[2]), publish(3, &[3]), publish(4, &[0])]);
    (truth, json!([1, 3, 2 * ROWS, (2 + 3) * ROWS]))
}

/// Writes the metadata of `f` into the bucket; `base` spells the store's address. The table's folder.
fn export(cloud: &Cloud, base: &str) -> String {
    let given: &[&str] = if base == cloud.store { &[] } else { &["--base", base] };
    let exported = cloud.shop().run(&[&["export-iceberg", "f"], given].concat());
    assert_eq!(exported.code, Some(0), "{exported}");
    let folder = format!("{base}/f/iceberg/t");
    assert!(exported.stdout.contains(&folder), "{exported}");
    folder
}

/// What a reader needs to know of an exported table in a bucket of its own, for the script of a reader.
pub(crate) struct Exported {
    pub(crate) about: Value,
    _cloud: Cloud,
}

impl Exported {
    /// `None` where tests that need tools are left out.
    pub(crate) fn in_bucket(bucket: &str, scheme: &str) -> Option<Self> {
        let cloud = Cloud::new(bucket)?;
        let (truth, appended) = published(&cloud);
        let folder = export(&cloud, &cloud.store.replace("s3://", &format!("{scheme}://")));
        let mut about = access(&cloud);
        about["bucket"] = bucket.into();
        about["folder"] = folder.into();
        about["truth"] = truth;
        about["appended"] = appended;
        Some(Self { about, _cloud: cloud })
    }
}

fn access(cloud: &Cloud) -> Value {
    json!({"endpoint": format!("http://{}", cloud.seaweed.address), "key": seaweed::KEY, "secret": seaweed::SECRET})
}

#[test]
fn what_was_exported_is_read_from_the_bucket_alone() {
    let Some(cloud) = Cloud::new("exports") else { return };
    let python = std::env::var_os("OPENSHELF_TEST_ICEBERG_PYTHON")
        .expect("OPENSHELF_TEST_ICEBERG_PYTHON is not set: run `scripts/tools iceberg` first (scripts/test does both)");
    let (truth, appended) = published(&cloud);
    // The store's own address, and another way to spell it, which replaces what was there.
    for base in [cloud.store.clone(), cloud.store.replace("s3://", "s3a://")] {
        let folder = export(&cloud, &base);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/iceberg/exported.py");
        let mut command = Command::new(&python);
        command.arg(script).args([&access(&cloud).to_string(), &folder, &truth.to_string(), &appended.to_string()]);
        command.env("NO_PROXY", "127.0.0.1,localhost").env("no_proxy", "127.0.0.1,localhost");
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("DAFT_ANALYTICS_ENABLED", "0");
        let output = command.env("HOME", cloud.shop().path("")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("4 readers agree on 4 snapshots"), "{text}");
    }
}
