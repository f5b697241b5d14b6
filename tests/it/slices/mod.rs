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

/// The same conditions as SQL: where they choose rows, and where they are values that may be null; groups and their order.
async fn in_sql(
    shelf: &TestShelf,
    made: &Made,
    condition: Option<&naive::Expr>,
    group: usize,
) -> Result<(), TestCaseError> {
    let ask = async |text: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", text).finish();
        shelf.json(&format!("/v1/sql?{query}")).await["rows"].clone()
    };
    if let Some(condition) = condition {
        let text = condition.text(&made.names);
        let chosen = format!("select \"row\" from d.t where {text} order by \"row\"");
        let expected: Value =
            naive::slice(&made.rows, Some(condition), &[]).iter().map(|row| json!({"row": row})).collect();
        prop_assert_eq!(&ask(&chosen).await, &expected, "{}", chosen);
        let values = format!("select ({text}) as c, not ({text}) as d from d.t order by \"row\"");
        let row = |row: &naive::Row| json!({"c": condition.truth(row), "d": condition.truth(row).map(|truth| !truth)});
        let expected: Value = made.rows.iter().map(row).collect();
        prop_assert_eq!(&ask(&values).await, &expected, "{}", values);
    }
    let mut cells: Vec<&Cell> = made.rows.iter().map(|row| &row[group]).filter(|cell| **cell != Cell::Null).collect();
    cells.sort_by(|a, b| naive::compare(a, b));
    let groups = cells.chunk_by(|a, b| naive::compare(a, b).is_eq()).map(<[_]>::len);
    let mut expected: Vec<Value> = groups.map(|count| json!({"n": count})).collect();
    let nulls = made.rows.len() - cells.len();
    if nulls > 0 {
        expected.push(json!({"n": nulls}));
    }
    let name = quoted(&made.names[group]);
    let grouped = format!("select count(*) as n from d.t group by {name} order by {name}");
    prop_assert_eq!(&ask(&grouped).await, &json!(expected), "{}", grouped);
    let joined = format!("select count(*) as n from d.t a join d.t b on a.{name} = b.{name}");
    let pairs: usize = cells.chunk_by(|a, b| naive::compare(a, b).is_eq()).map(|group| group.len() * group.len()).sum();
    prop_assert_eq!(&ask(&joined).await, &json!([{"n": pairs}]), "{}", joined);
    Ok(())
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

        let plain = made.plain();
        in_sql(&shelf, &made, condition.as_ref(), plain[rng.usize(..plain.len())]).await?;

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

/// Seeds and row counts that failed once.
const FAILED_BEFORE: [(u64, usize); 1] = [(4_150_399_946_571_968_834, 122)];

#[test]
fn a_slice_is_what_is_computed_naively_over_all_rows() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
    for (seed, count) in FAILED_BEFORE {
        runtime.block_on(case(seed, count)).unwrap_or_else(|error| panic!("seed {seed}, {count} rows: {error}"));
    }
    let cases = std::env::var("OPENSHELF_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let strategy = (any::<u64>(), 0..160_usize);
    runner
        .run(&strategy, |(seed, count)| runtime.block_on(case(seed, count)))
        .unwrap_or_else(|error| panic!("{error}"));
}
