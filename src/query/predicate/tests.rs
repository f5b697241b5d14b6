use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, Date32Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder},
    datatypes::{DataType, Field},
};

use super::{Predicate, SHORT, SHORT_STACK};
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
fn the_deepest_short_text_fits_the_stack_that_short_texts_are_given() {
    let upto = |unit: &str, tail: &str| unit.repeat((SHORT - tail.len()) / unit.len()) + tail;
    let closed = |open: &str, middle: &str, close: &str| {
        let times = (SHORT - middle.len()) / (open.len() + close.len());
        open.repeat(times) + middle + &close.repeat(times)
    };
    let texts = [
        closed("(", "id=1", ")"),
        closed("lower(", "title", ")='x'"),
        closed("f(", "id", ")"),
        closed("case when id=1 then ", "id", " end"),
        closed("[", "id", "]"),
        upto("not ", "id=1"),
        upto("- ", "id=1"),
        upto("id=1 or ", "id=1"),
        upto("id+", "id=1"),
        upto("id=1 and not(", "id=1"),
    ];
    let small = std::thread::Builder::new().stack_size(SHORT_STACK + (256 << 10));
    let read = small.spawn(move || texts.map(|text| Predicate::parse(&text, &schema()).is_ok())).expect("a thread");
    assert!(read.join().expect("no overflow").contains(&true));
}

#[test]
fn a_long_list_is_one_step() {
    let list = format!("id in ({})", (0..5000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    assert_eq!(matching(&list), vec![0, 1]);
}

/// A table with a column of every kind, and names that are awkward.
fn every_kind() -> TableSchema {
    let column = |(name, kind): (&str, &str)| Column::new(name, kind.parse().expect("a type"));
    let columns = [
        ("id", "int64"),
        ("Year", "int32"),
        ("year", "int64"),
        ("date", "date"),
        ("timestamp", "timestamp"),
        ("order", "utf8"),
        ("x", "float64"),
        ("ok", "bool"),
        ("price", "decimal(10,2)"),
        ("tags", "list<utf8>"),
        ("nums", "list<int64>"),
        ("s", "struct<a: int64, b: utf8>"),
        ("m", "map<utf8, utf8>"),
        ("blob", "binary"),
        ("größe", "int64"),
    ];
    TableSchema { columns: columns.map(column).to_vec() }
}

#[test]
fn whatever_the_contract_lists_is_taken_over_every_kind_of_column() {
    for text in [
        // Comparison.
        "id = 1 and id <> 1 and id != 1 and id < 1 and id <= 1 and id > 1 and id >= 1",
        "date > '2020-01-01' and date <= date '2020-01-01' and timestamp >= '2020-01-01T00:00:00Z' and timestamp < '2020-01-01'",
        "ok and ok = true and ok is not false and ok is not unknown",
        "price > 1.5 and price = 3 and x > -0.5 and x = 1e3 and x = 'nan' and blob = x'00ff'",
        "(id is distinct from null) and id is not distinct from 3",
        // And, or, not; in, between, like, is null.
        "not (id = 1 or not ok) and id not in (1, 2) and \"order\" in ('a', 'it''s') and price in (1, 2.5)",
        "id between 1 and 2 and id not between 3 and 4 and date between '2020-01-01' and '2020-02-01'",
        "\"order\" like 'a%' and \"order\" not like '_b' and \"order\" ilike 'A\\%'",
        "id is null and tags is not null and s is null and m is not null and blob is null",
        // Arithmetic.
        "id + 1 - 2 * 3 / 4 % 5 = -id and -x < 0 and (id + 1) * 2 > 3 and id & 1 = 1",
        "date + interval '1 day' > '2020-01-01' and timestamp - interval '1 hour' < '2020-01-01'",
        // Functions of each theme.
        "lower(\"order\") = 'a' and \"order\" || 'x' = 'ax' and substring(\"order\" from 1 for 2) = 'ab' and trim(both 'x' from \"order\") = ''",
        "regexp_like(\"order\", '^a') and \"order\" ~ 'a' and \"order\" !~* 'B'",
        "round(x, 1) = 1 and ceil(x) = 1 and abs(id) = 1 and not isnan(x)",
        "coalesce(id, 0) = 0 and nullif(id, 1) is null and case when ok then id else 2 end = 2",
        "date_trunc('month', date) = '2020-01-01' and extract(year from timestamp) = 2020 and date_part('dow', date) = 1",
        "list_contains(tags, 'a') and list_contains(nums, 1) and array_length(tags) > 1 and tags[1] = 'a' and tags[-1] = 'a'",
        "s.a = 1 and s['b'] = 'x' and m['k'] = 'v' and nums = [1, 2]",
        "cast(id as varchar) = '1' and id::int = 1 and try_cast(\"order\" as int) is null",
        // Names: exactly, else by case if that is unique; quotes admit any; words of SQL are names, too.
        "ID = 1 and Year = 1 and year = 1 and order = 'x' and \"größe\" = 1 and größe = 1 and `id` = 1",
        // However it is written.
        "  ID\n=\t1 -- the first\n AND /* or the second */ Id = 2",
    ] {
        let parsed = Predicate::parse(text, &every_kind()).unwrap_or_else(|error| panic!("{text}: {error}"));
        // The normal spelling means the same, and is normal already.
        let again = Predicate::parse(parsed.text(), &every_kind()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(again.text(), parsed.text());
        assert_eq!(again.columns(), parsed.columns());
    }
}

#[test]
fn each_fault_says_what_to_write() {
    for (text, said) in [
        ("x = 'abc'", "'abc' cannot be read as float64; it takes a number"),
        ("date = '2020-13-01'", "'2020-13-01' cannot be read as date; a date is written '2026-11-21'"),
        ("ok = 1", "bool and int64 cannot be compared by `=`; write `true` or `false`"),
        ("tags = 'a'", "list<utf8> and utf8 cannot be compared by `=`; `list_contains(list, value)` looks into a list"),
        ("1 < id < 3", "bool and int64 cannot be compared by `<`; a range is `column between low and high`"),
        ("id = 1 and id", "`and` joins conditions, and one side of it is int64"),
        ("id = 1 || ok", "`||` joins texts, not int64 and bool; conditions are joined by `or`"),
        ("id = 1 && ok", "the operator `&&` is not available; conditions are joined by `and` (character 6)"),
        ("regexp_like(order, '(')", "the regular expression cannot be read: unclosed group"),
        ("lower(id) = '1'", "`lower` takes text, not int64"),
        (
            "date > now()",
            "no function `now` here: answers are the same tomorrow; write the day itself, such as '2026-11-21' (character 8)",
        ),
        (
            "count(id) > 1",
            "no function `count` here: a `where` sees one row at a time; `/v1/sql` counts and adds up (character 1)",
        ),
        (
            "year(date) = 2020",
            "no function `year` here: write `extract(year from column)`, or month, day, hour, dow and so on (character 1)",
        ),
        ("'a' = any(tags)", "write `column in (…)`, or `list_contains(list, value)` to look into a list"),
        (
            "id = 1 order by id",
            "`order` does not continue the expression; `order_by` is a parameter of its own (character 8)",
        ),
        (
            "order contains 'a'",
            "`contains` does not continue the expression; write `contains(text, 'part')`, or `list_contains(list, value)` (character 7)",
        ),
        ("YEAR = 3", "`YEAR` may mean Year or year: write one of them exactly (character 1)"),
        ("id = \"odrer\"", "no column `odrer`; did you mean `order`? Text goes in single quotes (character 6)"),
        (
            "id is distinct from 1 and ok",
            "`is distinct from` goes in parentheses before `and` and `or`: `(a is distinct from b) and …`",
        ),
        ("id", "gives a value of type int64, not true or false"),
        ("id = 'ä' and nothing_at_all = 1", "no column `nothing_at_all`"),
    ] {
        let error = Predicate::parse(text, &every_kind()).expect_err(text);
        assert!(error.message.starts_with(said), "{text}: {}", error.message);
    }
}

#[test]
fn a_repaired_text_can_be_asked() {
    for (text, meant) in [
        ("größer > 1", "\"größe\" > 1"),
        ("ok and daet = '2020-01-01'", "ok and date = '2020-01-01'"),
        ("lower(odrer) = 'odrer'", "lower(order) = 'odrer'"),
        ("films.id = 1", "id = 1"),
        ("order = Quito", "order = 'Quito'"),
        ("order = \"Quito\" or ok", "order = 'Quito' or ok"),
        ("Films.\"id\" = 1 and ok", "id = 1 and ok"),
        ("where id = 1", "id = 1"),
        ("order = ‘x’", "order = 'x'"),
        ("order = “x”", "order = 'x'"),
        ("lenght(order) = 1", "length(order) = 1"),
    ] {
        let error = Predicate::parse(text, &every_kind()).expect_err(text);
        assert_eq!(error.instead.as_deref(), Some(meant), "{text}: {error}");
        assert!(Predicate::parse(meant, &every_kind()).is_ok(), "{meant}");
    }
}

#[test]
fn what_is_advised_instead_of_a_function_works() {
    for text in [
        "case when ok then true else false end",
        "list_contains(tags, 'a')",
        "extract(dow from date) = 1 and extract(hour from timestamp) = 1",
        "to_char(date, '%Y-%m') = '2026-11'",
        "timestamp - timestamp > interval '1 day'",
        "strpos(order, 'a') = 1",
        "power(id, 2) = 4",
        "list_has_all(tags, ['a', 'b'])",
        "starts_with(order, 'a') and ends_with(order, 'b') and contains(order, 'c')",
    ] {
        assert!(
            Predicate::parse(text, &every_kind()).is_ok(),
            "{text}: {:?}",
            Predicate::parse(text, &every_kind()).err()
        );
    }
}
