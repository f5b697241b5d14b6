use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, Date32Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder},
    datatypes::{DataType, Field},
};

use super::Predicate;
use crate::catalog::{Column, TableSchema};

fn schema() -> TableSchema {
    let column = |(name, kind): (&str, &str)| Column::new(name, kind.parse().expect("a type"));
    TableSchema {
        columns: [("id", "int64"), ("Title", "utf8"), ("day", "date"), ("tags", "list<utf8>"), ("odd name", "utf8")]
            .map(column)
            .to_vec(),
    }
}

fn rows() -> RecordBatch {
    let mut tags =
        ListBuilder::new(StringBuilder::new()).with_field(schema().to_arrow().field(3).data_type().clone().pipe_item());
    for row in [Some(vec!["a", "b"]), Some(vec![]), None] {
        match row {
            Some(items) => {
                for item in items {
                    tags.values().append_value(item);
                }
                tags.append(true);
            }
            None => tags.append(false),
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(1), Some(2), None])),
        Arc::new(StringArray::from(vec![Some("Alpha"), None, Some("beta")])),
        Arc::new(Date32Array::from(vec![Some(19723), Some(19724), None])),
        Arc::new(tags.finish()),
        Arc::new(StringArray::from(vec!["x", "y", "z"])),
    ];
    RecordBatch::try_new(schema().to_arrow(), columns).expect("a batch")
}

trait PipeItem {
    fn pipe_item(self) -> Arc<Field>;
}

impl PipeItem for DataType {
    fn pipe_item(self) -> Arc<Field> {
        match self {
            DataType::List(item) => item,
            other => panic!("{other} is no list"),
        }
    }
}

fn matching(text: &str) -> Vec<usize> {
    let predicate = Predicate::parse(text, &schema()).unwrap_or_else(|error| panic!("{error}"));
    let narrow = rows().project(predicate.columns()).expect("columns");
    let mask = predicate.evaluate(&narrow).unwrap_or_else(|error| panic!("{text}: {error}"));
    (0..mask.len()).filter(|at| mask.is_valid(*at) && mask.value(*at)).collect()
}

fn fault(text: &str) -> String {
    Predicate::parse(text, &schema()).expect_err(text).to_string()
}

#[test]
fn expressions_of_the_contract_work() {
    for (text, expected) in [
        ("id = 1", vec![0]),
        ("ID >= 1 and not (id = 2)", vec![0]),
        ("\"Title\" is null", vec![1]),
        ("title ilike 'A%'", vec![0]),
        ("title like 'A%' or lower(title) = 'beta'", vec![0, 2]),
        ("day >= '2024-01-02'", vec![1]),
        ("day between '2024-01-01' and date '2024-01-01'", vec![0]),
        ("date_trunc('month', day) = '2024-01-01'", vec![0, 1]),
        ("extract(day from day) = 2", vec![1]),
        ("id in (2, 3)", vec![1]),
        ("id + 1 = 2", vec![0]),
        ("list_contains(tags, 'a')", vec![0]),
        ("tags[1] = 'a'", vec![0]),
        ("array_length(tags) = 2", vec![0]),
        ("coalesce(id, 7) = 7", vec![2]),
        ("regexp_like(title, '^[aA]l')", vec![0]),
        ("title ~ '^b'", vec![2]),
        ("\"odd name\" = 'y'", vec![1]),
        ("case when id = 1 then true else false end", vec![0]),
        ("cast(id as varchar) = '2'", vec![1]),
        ("id = '2'", vec![1]),
        ("true", vec![0, 1, 2]),
        ("1 = 2", vec![]),
        ("null", vec![]),
        ("length(title) > 4", vec![0]),
        ("title || 'x' = 'betax'", vec![2]),
        ("LOWER(title) = 'alpha'", vec![0]),
    ] {
        assert_eq!(matching(text), expected, "{text}");
    }
}

#[test]
fn faults_point_at_the_character_and_name_the_nearest() {
    assert_eq!(fault("id = 1 and titel = 'x'"), "where: no column `titel`; did you mean `Title`? (character 12)");
    assert_eq!(fault("lowr(title) = 'x'"), "where: no function `lowr` here; did you mean `lower`? (character 1)");
    assert!(fault("id =").contains("character 5"), "{}", fault("id ="));
    assert!(fault("id = 1 2").ends_with("(character 8)"), "{}", fault("id = 1 2"));
    assert!(fault("title = 'x").contains("character 9"), "{}", fault("title = 'x"));
    let error = Predicate::parse("titel = 'x'", &schema()).expect_err("unknown column");
    assert_eq!(error.instead.as_deref(), Some("Title = 'x'"));
}

#[test]
fn what_is_not_listed_is_refused() {
    for text in [
        "",
        "id",
        "id in (select 1)",
        "exists (select 1)",
        "(select 1) = 1",
        "count(id) > 1",
        "sum(id) over () > 1",
        "row_number() over (order by id) = 1",
        "id = $1",
        "id = ?",
        "repeat(title, 1000000000) = 'x'",
        "random() > 0.5",
        "now() > day",
        "current_date > day",
        "version() = 'x'",
        "id = 1; drop table x",
        "id = 1 -- and",
        "*",
        "title",
        "array_length(range(0, 1000000000000)) > 1",
        "id = (1, 2)",
        "transform(tags, x -> x)[1] = 'a'",
    ] {
        if text == "id = 1 -- and" {
            assert_eq!(matching(text), vec![0]);
            continue;
        }
        assert!(Predicate::parse(text, &schema()).is_err(), "{text}");
    }
}

#[test]
fn long_chains_are_refused_not_overflowed() {
    let chain = vec!["id = 1"; 5000].join(" or ");
    assert!(Predicate::parse(&chain, &schema()).is_err());
}

#[test]
fn deep_nesting_is_refused_not_overflowed() {
    let nested = format!("{}id = 1{}", "(".repeat(20_000), ")".repeat(20_000));
    assert!(Predicate::parse(&nested, &schema()).is_err());
    assert_eq!(matching(&format!("{}id = 1{}", "(".repeat(12), ")".repeat(12))), vec![0]);
    let calls = format!("{}title{} = 'x'", "lower(".repeat(5000), ")".repeat(5000));
    assert!(Predicate::parse(&calls, &schema()).is_err());
    let nots = format!("{}id = 1", "not ".repeat(5000));
    assert!(Predicate::parse(&nots, &schema()).is_err());
}

#[test]
fn the_deepest_that_is_admitted_fits_the_stack() {
    let terms: Vec<String> = (0..100).map(|n| format!("lower(title) = 'x{n}' and id + {n} > 1")).collect();
    assert!(matching(&format!("id = 1 or {}", terms.get(..40).expect("terms").join(" or "))).contains(&0));
    let fine: Vec<String> = (0..120).map(|n| format!("id = {n}")).collect();
    assert_eq!(matching(&fine.join(" or ")), vec![0, 1]);
}

#[test]
fn a_long_list_is_one_step() {
    let list = format!("id in ({})", (0..5000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    assert_eq!(matching(&list), vec![0, 1]);
}
