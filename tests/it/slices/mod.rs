//! Slices of made-up tables, through HTTP, are the same slices computed naively over all rows: conditions, orders, offsets,
//! limits, columns, pages by cursor and samples, for every type, with nulls, NaN, infinities and negative zero.

mod made;
mod naive;

use fastrand::Rng;
use proptest::{
    prelude::{any, prop_assert_eq},
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::{Value, json};

use self::{
    made::{Kind, Made},
    naive::Cell,
};
use crate::shelf::TestShelf;

const ROWS: &str = "/v1/datasets/d/tables/t/rows";

fn query(parameters: &[(&str, String)]) -> String {
    let pairs = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    format!("{ROWS}?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The rows of these numbers, as an answer shows these columns.
fn shown(made: &Made, rows: &[usize], select: &[usize]) -> Value {
    let wide = |at: usize| {
        made.kinds[at] == Kind::Int
            && made.rows.iter().any(|row| matches!(row[at], Cell::Int(value) if value.unsigned_abs() > 1 << 53))
    };
    let row = |row: &usize| -> Value {
        select.iter().map(|at| (made.names[*at].clone(), naive::shown(&made.rows[*row][*at], wide(*at)))).collect()
    };
    rows.iter().map(row).collect()
}

/// All pages from an address on, as far as `next` leads.
async fn pages(shelf: &TestShelf, address: String) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut next = Some(address);
    while let Some(address) = next {
        let answer = shelf.json(&address).await;
        assert_eq!(answer["offset"], rows.len(), "{address}");
        rows.extend(answer["rows"].as_array().unwrap().iter().cloned());
        next = answer["next"].as_str().map(str::to_owned);
    }
    rows
}

async fn case(seed: u64, count: usize) -> Result<(), TestCaseError> {
    let mut rng = Rng::with_seed(seed);
    let made = Made::new(&mut rng, count);
    let shelf = TestShelf::builder().publish("d", made.table.clone()).serve().await;
    for _ in 0..6 {
        let condition = (rng.u8(..4) > 0).then(|| made.condition(&mut rng, 2));
        let mut keys: Vec<(usize, bool)> = made.plain().into_iter().map(|at| (at, rng.bool())).collect();
        rng.shuffle(&mut keys);
        keys.truncate(rng.usize(..3));
        let mut select: Vec<usize> = (0..made.names.len()).collect();
        rng.shuffle(&mut select);
        select.truncate(rng.usize(1..=select.len()));

        let mut parameters =
            vec![("select", select.iter().map(|at| quoted(&made.names[*at])).collect::<Vec<_>>().join(","))];
        if let Some(condition) = &condition {
            parameters.push(("where", condition.text(&made.names)));
        }
        let order = keys
            .iter()
            .map(|(at, descending)| format!("{}{}", if *descending { "-" } else { "" }, quoted(&made.names[*at])));
        let order = order.collect::<Vec<_>>().join(",");
        if !keys.is_empty() {
            parameters.push(("order_by", order.clone()));
        }
        let found = naive::slice(&made.rows, condition.as_ref(), &keys);

        // A slice.
        let (offset, limit) = (rng.usize(..count + 3), rng.usize(1..count + 3));
        let mut slice = parameters.clone();
        slice.extend([("offset", offset.to_string()), ("limit", limit.to_string()), ("count", "exact".into())]);
        let answer = shelf.json(&query(&slice)).await;
        let expected: Vec<usize> = found.iter().skip(offset).take(limit).copied().collect();
        prop_assert_eq!(&answer["rows"], &shown(&made, &expected, &select), "{:?}", slice);
        prop_assert_eq!(&answer["row_count"], &json!({"value": found.len(), "kind": "exact"}), "{:?}", slice);

        // All of it, page by page.
        let mut first = parameters.clone();
        first.push(("limit", rng.usize(1..40).to_string()));
        let all = json!(pages(&shelf, query(&first)).await);
        prop_assert_eq!(&all, &shown(&made, &found, &select), "{:?}", first);

        // All of it at once, in a format that streams.
        let mut whole = parameters.clone();
        whole.push(("format", "ndjson".into()));
        let text = shelf.get(&query(&whole)).await.text().await.unwrap();
        let lines: Value = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
        prop_assert_eq!(&lines, &shown(&made, &found, &select), "{:?}", whole);

        // A sample: of all rows drawn with the seed, the first that match.
        let drawn_with = rng.u32(..).to_string();
        let everything = [("sample", "10000".to_owned()), ("seed", drawn_with.clone())];
        let permuted = permuted(&shelf, &made, &everything).await;
        let size = rng.usize(1..count + 2);
        let mut sampled: Vec<usize> = permuted.into_iter().filter(|row| found.contains(row)).take(size).collect();
        if !keys.is_empty() {
            sampled = found.iter().copied().filter(|row| sampled.contains(row)).collect();
        }
        let mut sample = parameters.clone();
        sample.extend([("sample", size.to_string()), ("seed", drawn_with)]);
        let answer = shelf.json(&query(&sample)).await;
        prop_assert_eq!(&answer["rows"], &shown(&made, &sampled, &select), "{:?}", sample);
    }
    Ok(())
}

/// The numbers of all rows in the order a seed draws them.
async fn permuted(shelf: &TestShelf, made: &Made, parameters: &[(&str, String)]) -> Vec<usize> {
    let answer = shelf.json(&query(parameters)).await;
    let rows = answer["rows"].as_array().unwrap();
    let rows: Vec<usize> = rows.iter().map(|row| row["row"].as_u64().unwrap() as usize).collect();
    let mut all = rows.clone();
    all.sort_unstable();
    assert_eq!(all, (0..made.rows.len()).collect::<Vec<_>>());
    rows
}

#[test]
fn a_slice_is_what_is_computed_naively_over_all_rows() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
    let cases = std::env::var("OPENSHELF_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let strategy = (any::<u64>(), 0..160_usize);
    runner
        .run(&strategy, |(seed, count)| runtime.block_on(case(seed, count)))
        .unwrap_or_else(|error| panic!("{error}"));
}
