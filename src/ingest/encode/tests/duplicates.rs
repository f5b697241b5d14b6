//! One row per primary key, against a model with a map.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

type Key = (Option<i64>, Option<String>);

/// What stays, in upstream's order, and what loses.
fn model(rows: &[Row], key: impl Fn(&Row) -> Option<Key>, policy: OnDuplicate) -> (Vec<Row>, Vec<Row>) {
    let mut groups: HashMap<Key, Vec<i64>> = HashMap::new();
    for row in rows {
        if let Some(key) = key(row) {
            groups.entry(key).or_default().push(row.n);
        }
    }
    let stays = |row: &Row| {
        let Some(key) = key(row) else { return true };
        let group = &groups[&key];
        match policy {
            OnDuplicate::First => group.first() == Some(&row.n),
            OnDuplicate::Last => group.last() == Some(&row.n),
            OnDuplicate::Reject => group.len() == 1,
        }
    };
    rows.iter().cloned().partition(stays)
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (proptest::option::weighted(0.9, 0..60_i64), proptest::option::weighted(0.9, "[ab]{1,2}"));
    (proptest::collection::vec(row, 0..300), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(rows, cut, sorted)| {
            let mut rows: Vec<Row> = rows.into_iter().map(|(a, b)| Row { a, text: b.clone(), b, n: 0 }).collect();
            let sorted_until = if sorted && !rows.is_empty() { cut.index(rows.len()) + 1 } else { 0 };
            rows[..sorted_until].sort_by_key(|row| (row.a.is_none(), row.a, row.b.is_none(), row.b.clone()));
            for (row, n) in rows.iter_mut().zip(0..) {
                row.n = n;
            }
            rows
        },
    )
}

fn policy() -> impl Strategy<Value = OnDuplicate> {
    prop_oneof![Just(OnDuplicate::First), Just(OnDuplicate::Last), Just(OnDuplicate::Reject)]
}

fn memory() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), Just(6_000), Just(10_000_000)]
}

fn check(rows: &[Row], keys: &Keys<'_>, lengths: &[usize], memory: usize, key: impl Fn(&Row) -> Option<Key>) {
    let encoded = encode(rows, lengths, keys, &settings(memory));
    let (mut stay, lose) = model(rows, key, keys.on_duplicate);
    match keys.sort {
        ["a", "b"] => stay.sort_by_key(|row| (row.a.is_none(), row.a, row.b.is_none(), row.b.clone())),
        ["b"] => stay.sort_by_key(|row| (row.b.is_none(), row.b.clone())),
        ["a"] => stay.sort_by_key(|row| (row.a.is_none(), row.a)),
        _ => {}
    }
    assert_rows(&encoded, &stay);
    assert_eq!(encoded.duplicate_rows, lose.len() as u64);
    let mut positions: Vec<String> = Vec::new();
    for rejects in encoded.duplicates {
        let rejects = rejects.unwrap();
        assert_eq!(rejects.schema(), crate::ingest::rejects::schema().to_arrow());
        positions.extend(rejects.column(1).as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    positions.sort();
    let mut expected: Vec<String> = lose.iter().map(|row| format!("line {}", row.n)).collect();
    expected.sort();
    assert_eq!(positions, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sorted_by_the_key(
        rows in rows(), policy in policy(), memory in memory(),
        lengths in proptest::collection::vec(1..50_usize, 1..4),
    ) {
        let keys = Keys { primary: &["b", "a"], sort: &["a", "b"], on_duplicate: policy };
        check(&rows, &keys, &lengths, memory, |row| Some((Some(row.a?), Some(row.b.clone()?))));
        let keys = Keys { primary: &["a"], sort: &["a"], on_duplicate: policy };
        check(&rows, &keys, &lengths, memory, |row| Some((Some(row.a?), None)));
    }

    #[test]
    fn sorted_by_something_else(
        rows in rows(), policy in policy(), memory in memory(),
        lengths in proptest::collection::vec(1..50_usize, 1..4),
    ) {
        for sort in [&["b"] as &[&str], &["a", "b"], &[]] {
            let keys = Keys { primary: &["a"], sort, on_duplicate: policy };
            check(&rows, &keys, &lengths, memory, |row| Some((Some(row.a?), None)));
        }
    }
}

#[test]
fn a_reject_says_where_and_what() {
    let row = |a, b: &str, n| Row { a: Some(a), b: Some(b.into()), text: None, n };
    let rows = [row(1, "x", 6), row(1, "x", 7), row(2, "x", 8)];
    let keys = Keys { primary: &["a", "b"], sort: &["a", "b"], on_duplicate: OnDuplicate::First };
    let mut encoded = encode(&rows, &[3], &keys, &settings(1));
    let rejects = encoded.duplicates.next().unwrap().unwrap();
    assert!(encoded.duplicates.next().is_none());
    let cell = |at: usize| rejects.column(at).as_string::<i32>().value(0);
    assert_eq!([0, 1, 2, 3, 4].map(cell), ["even", "line 7", "a, b", "1, x", "duplicate-key"]);
    let json: serde_json::Value = serde_json::from_str(cell(5)).unwrap();
    assert_eq!(json["n"], 7);
    assert_eq!(json["text"], serde_json::Value::Null);
    assert_eq!(json["pair"]["x"], 3.5);
}
