//! Sorted output is what a stable sort in memory gives, whatever the memory.

use proptest::prelude::*;

use super::*;

/// Nulls last.
fn by_a_then_b(row: &Row) -> (bool, Option<i64>, bool, Option<String>) {
    (row.a.is_none(), row.a, row.b.is_none(), row.b.clone())
}

fn rows(sorted_share: f64) -> impl Strategy<Value = Vec<Row>> {
    let row = (proptest::option::of(-4..40_i64), proptest::option::of("[a-c]{0,12}"), proptest::option::of(".{0,60}"));
    (proptest::collection::vec(row, 0..400), proptest::bool::weighted(sorted_share), any::<prop::sample::Index>())
        .prop_map(|(rows, sorted, cut)| {
            let mut rows: Vec<Row> = rows.into_iter().map(|(a, b, text)| Row { a, b, text, n: 0 }).collect();
            // Often sorted up to some point, as upstreams are.
            let sorted_until = if sorted && !rows.is_empty() { cut.index(rows.len()) + 1 } else { 0 };
            rows[..sorted_until].sort_by_key(by_a_then_b);
            for (row, n) in rows.iter_mut().zip(0..) {
                row.n = n;
            }
            rows
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sorted_as_a_stable_sort_does(
        rows in rows(0.5),
        lengths in proptest::collection::vec(1..60_usize, 1..5),
        memory in prop_oneof![Just(1), Just(4_000), Just(20_000), Just(10_000_000)],
    ) {
        let keys = Keys { primary: &[], sort: &["a", "b"], on_duplicate: OnDuplicate::First };
        let encoded = encode(&rows, &lengths, &keys, &settings(memory));
        let mut expected = rows;
        expected.sort_by_key(by_a_then_b);
        assert_rows(&encoded, &expected);
    }

    #[test]
    fn without_keys_rows_stay_as_they_come(rows in rows(0.5), length in 1..100_usize) {
        let keys = Keys { primary: &[], sort: &[], on_duplicate: OnDuplicate::First };
        assert_rows(&encode(&rows, &[length], &keys, &settings(1)), &rows);
    }
}

#[test]
fn more_runs_than_are_merged_at_once() {
    // Each row is a run of its own: two passes.
    let rows: Vec<Row> = (0..500).map(|n| Row { a: Some((n * 7919) % 500), b: None, text: None, n }).collect();
    let keys = Keys { primary: &[], sort: &["a"], on_duplicate: OnDuplicate::First };
    let encoded = encode(&rows, &[1], &keys, &settings(1));
    let mut expected = rows;
    expected.sort_by_key(|row| row.a);
    assert_rows(&encoded, &expected);
}

#[test]
fn sorted_input_goes_straight_into_files() {
    let (table, key) = (table(), names(&["a"]));
    for primary_key in [vec![], key.clone()] {
        let shape = TableShape {
            schema: &table,
            primary_key: &primary_key,
            sort_key: &key,
            partition_by: &[],
            on_duplicate: OnDuplicate::First,
            metadata: Vec::new(),
        };
        let mut encoder = Encoder::new(shape, &settings(1), &std::env::temp_dir()).unwrap();
        for at in 0..20 {
            let rows: Vec<Row> =
                (at * 100..at * 100 + 100).map(|n| Row { a: Some(n), b: None, text: None, n }).collect();
            encoder.push(batch(&rows), &(0..100).collect::<Vec<_>>(), "line", "x").unwrap();
        }
        assert!(matches!(encoder.route, Route::Sorted(_)));
        let folder = encoder.folder.path().to_owned();
        let spilled = |name: &str| folder.join(name).exists();
        assert!(spilled("000000.parquet") && !spilled("rows-1.arrow"));
        let encoded = encoder.finish().unwrap();
        assert_eq!(encoded.rows, 2000);
        drop(encoded);
        assert!(!folder.exists(), "temporary files are removed with the last that uses them");
    }
}

#[test]
fn keys_that_have_no_order_or_are_no_columns_are_refused() {
    let table = table();
    for (key, word) in [("nope", "which is no column"), ("notes", "`notes`")] {
        let key = names(&[key]);
        let shape = TableShape {
            schema: &table,
            primary_key: &[],
            sort_key: &key,
            partition_by: &[],
            on_duplicate: OnDuplicate::First,
            metadata: Vec::new(),
        };
        match Encoder::new(shape, &settings(1), &std::env::temp_dir()) {
            Err(failure) => assert!(failure.message.contains(word), "{failure}"),
            Ok(_) => assert_eq!(key[0], "notes", "maps have an order in this version of arrow"),
        }
    }
}
