//! Memory is bounded by the settings, not by the rows. Measured in a process of its own, where nothing else runs.

use std::process::Command;

use super::*;

/// Set in the process that is measured.
const MEASURED: &str = "OPENSHELF_TEST_ENCODE_MEMORY";
/// About 120 MB of rows, fifteen times what the settings allow the sort, and twice what it may grow by.
const ROWS: i64 = 120_000;

/// Most memory this process has had, in MiB.
fn peak() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse::<i64>().ok().map(|kib| kib / 1024)
}

/// Not a test of its own: what the process below does.
#[test]
fn measured() {
    if std::env::var_os(MEASURED).is_none() {
        return;
    }
    let settings = EncodeSettings {
        sort_memory: 8 << 20,
        row_group_bytes: 4 << 20,
        file_bytes: 2 << 20,
        ..EncodeSettings::default()
    };
    let (table, sort_key, primary_key) = (table(), names(&["b"]), names(&["a"]));
    let shape = TableShape {
        schema: &table,
        primary_key: &primary_key,
        sort_key: &sort_key,
        partition_by: &[],
        on_duplicate: OnDuplicate::Last,
        metadata: Vec::new(),
    };
    let mut encoder = Encoder::new(shape, &settings, &std::env::temp_dir()).unwrap();
    let before = peak().unwrap();
    for from in (0..ROWS).step_by(500) {
        let rows: Vec<Row> = (from..from + 500)
            .map(|n| {
                let mixed = n.wrapping_mul(0x5851_F42D_4C95_7F2D);
                let text = (0..60).map(|at| format!("{:016x}", mixed.rotate_left(at))).collect();
                // One row in a hundred is there twice.
                Row { a: Some(n - n % 100 / 99), b: Some(format!("{mixed:x}")), text: Some(text), n }
            })
            .collect();
        let positions: Vec<u64> = rows.iter().map(|row| row.n as u64).collect();
        encoder.push(batch(&rows), &positions, "line", "x").unwrap();
    }
    let encoded = encoder.finish().unwrap();
    assert_eq!((encoded.rows as i64, encoded.duplicate_rows as i64), (ROWS - ROWS / 100, ROWS / 100));
    let grown = peak().unwrap() - before;
    // What an allocator holds back differs from run to run.
    assert!(grown < 64, "{grown} MiB");
}

#[test]
fn memory_is_bounded() {
    if peak().is_none() {
        // Only Linux tells.
        return;
    }
    let measured = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ingest::encode::tests::memory::measured", "--nocapture"])
        .env(MEASURED, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&measured.stdout) + String::from_utf8_lossy(&measured.stderr);
    assert!(measured.status.success() && said.contains("1 passed"), "{said}");
}
