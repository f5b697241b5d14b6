//! Slices computed the slow and obvious way: over plain values, row by row, with none of the code that is tested.

use std::cmp::Ordering;

use serde_json::{Value, json};

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Days since 1970.
    Day(i32),
    List(Vec<Cell>),
    Struct(Vec<(String, Cell)>),
}

pub(super) type Row = Vec<Cell>;

/// The order of two values of one type, as SQL compares them: NaN is equal to itself and larger than every number.
pub(super) fn compare(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Bool(a), Cell::Bool(b)) => a.cmp(b),
        (Cell::Int(a), Cell::Int(b)) => a.cmp(b),
        (Cell::Day(a), Cell::Day(b)) => a.cmp(b),
        (Cell::Text(a), Cell::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Cell::Float(a), Cell::Float(b)) => match (a.is_nan(), b.is_nan()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => a.partial_cmp(b).unwrap(),
        },
        _ => panic!("{a:?} and {b:?} do not compare"),
    }
}

/// An expression, as text and as what it gives for a row (`None`: null).
pub(super) enum Expr {
    Column(usize),
    Value(Cell),
    Compare(&'static str, Box<Expr>, Box<Expr>),
    IsNull(bool, Box<Expr>),
    Between(Box<Expr>, Box<Expr>, Box<Expr>),
    In(bool, Box<Expr>, Vec<Expr>),
    Like(bool, Box<Expr>, String),
    Contains(Box<Expr>, String),
    Lower(Box<Expr>),
    Length(Box<Expr>),
    Coalesce(Box<Expr>, Box<Expr>),
    Plus(Box<Expr>, i64),
    Field(Box<Expr>, String),
    Item(Box<Expr>, usize),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".into(),
        Cell::Bool(value) => value.to_string(),
        Cell::Int(value) => value.to_string(),
        Cell::Float(value) if value.is_nan() => "cast('NaN' as double)".into(),
        Cell::Float(value) if value.is_infinite() => {
            format!("cast('{}' as double)", if *value > 0.0 { "Infinity" } else { "-Infinity" })
        }
        Cell::Float(value) => format!("{value:?}"),
        Cell::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Cell::Day(days) => format!("date '{}'", day(*days)),
        Cell::List(_) | Cell::Struct(_) => panic!("no literal"),
    }
}

pub(super) fn day(days: i32) -> String {
    let day = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + chrono::Duration::days(days.into());
    day.format("%Y-%m-%d").to_string()
}

impl Expr {
    /// As SQL.
    pub(super) fn text(&self, names: &[String]) -> String {
        let of = |expr: &Expr| expr.text(names);
        match self {
            Self::Column(at) => quoted(&names[*at]),
            Self::Value(cell) => literal(cell),
            Self::Compare(op, a, b) => format!("{} {op} {}", of(a), of(b)),
            Self::IsNull(null, a) => format!("{} is {}null", of(a), if *null { "" } else { "not " }),
            Self::Between(a, low, high) => format!("{} between {} and {}", of(a), of(low), of(high)),
            Self::In(is, a, items) => {
                let items: Vec<String> = items.iter().map(of).collect();
                format!("{} {}in ({})", of(a), if *is { "" } else { "not " }, items.join(", "))
            }
            Self::Like(fold, a, pattern) => {
                format!("{} {} '{}'", of(a), if *fold { "ilike" } else { "like" }, pattern.replace('\'', "''"))
            }
            Self::Contains(a, item) => format!("list_contains({}, '{item}')", of(a)),
            Self::Lower(a) => format!("lower({})", of(a)),
            Self::Length(a) => format!("length({})", of(a)),
            Self::Coalesce(a, b) => format!("coalesce({}, {})", of(a), of(b)),
            Self::Plus(a, number) => format!("({} + {number})", of(a)),
            Self::Field(a, field) => format!("{}['{field}']", of(a)),
            Self::Item(a, at) => format!("{}[{at}]", of(a)),
            Self::Not(a) => format!("not ({})", of(a)),
            Self::And(a, b) => format!("({}) and ({})", of(a), of(b)),
            Self::Or(a, b) => format!("({}) or ({})", of(a), of(b)),
        }
    }

    /// Its value for a row.
    pub(super) fn value(&self, row: &Row) -> Cell {
        let truth = |truth: Option<bool>| truth.map_or(Cell::Null, Cell::Bool);
        match self {
            Self::Column(at) => row[*at].clone(),
            Self::Value(cell) => cell.clone(),
            Self::Compare(op, a, b) => {
                let (a, b) = (a.value(row), b.value(row));
                if a == Cell::Null || b == Cell::Null {
                    return Cell::Null;
                }
                let order = compare(&a, &b);
                Cell::Bool(match *op {
                    "=" => order.is_eq(),
                    "<>" => order.is_ne(),
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    ">" => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            Self::IsNull(null, a) => Cell::Bool((a.value(row) == Cell::Null) == *null),
            Self::Between(a, low, high) => {
                let (a, low, high) = (a.value(row), low.value(row), high.value(row));
                match a {
                    Cell::Null => Cell::Null,
                    a => Cell::Bool(compare(&a, &low).is_ge() && compare(&a, &high).is_le()),
                }
            }
            Self::In(is, a, items) => {
                let a = a.value(row);
                if a == Cell::Null {
                    return Cell::Null;
                }
                let items: Vec<Cell> = items.iter().map(|item| item.value(row)).collect();
                let found = items.iter().any(|item| *item != Cell::Null && compare(&a, item).is_eq());
                match found {
                    true => Cell::Bool(*is),
                    false if items.contains(&Cell::Null) => Cell::Null,
                    false => Cell::Bool(!*is),
                }
            }
            Self::Like(fold, a, pattern) => match a.value(row) {
                Cell::Text(text) if *fold => Cell::Bool(like(&text.to_lowercase(), &pattern.to_lowercase())),
                Cell::Text(text) => Cell::Bool(like(&text, pattern)),
                _ => Cell::Null,
            },
            Self::Contains(a, item) => match a.value(row) {
                Cell::List(items) => Cell::Bool(items.contains(&Cell::Text(item.clone()))),
                _ => Cell::Null,
            },
            Self::Lower(a) => match a.value(row) {
                Cell::Text(text) => Cell::Text(text.to_lowercase()),
                _ => Cell::Null,
            },
            Self::Length(a) => match a.value(row) {
                Cell::Text(text) => Cell::Int(text.chars().count() as i64),
                _ => Cell::Null,
            },
            Self::Coalesce(a, b) => match a.value(row) {
                Cell::Null => b.value(row),
                value => value,
            },
            Self::Plus(a, number) => match a.value(row) {
                Cell::Int(value) => Cell::Int(value + number),
                _ => Cell::Null,
            },
            Self::Field(a, field) => match a.value(row) {
                Cell::Struct(fields) => fields.into_iter().find(|(name, _)| name == field).unwrap().1,
                _ => Cell::Null,
            },
            Self::Item(a, at) => match a.value(row) {
                Cell::List(items) => items.get(at - 1).cloned().unwrap_or(Cell::Null),
                _ => Cell::Null,
            },
            Self::Not(a) => truth(a.truth(row).map(|truth| !truth)),
            Self::And(a, b) => truth(match (a.truth(row), b.truth(row)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            }),
            Self::Or(a, b) => truth(match (a.truth(row), b.truth(row)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            }),
        }
    }

    /// Whether a row matches; null is neither.
    pub(super) fn truth(&self, row: &Row) -> Option<bool> {
        match self.value(row) {
            Cell::Bool(value) => Some(value),
            Cell::Null => None,
            other => panic!("{other:?} is no truth"),
        }
    }
}

fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    fn rest(text: &[char], pattern: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', after)) => (0..=text.len()).any(|at| rest(&text[at..], after)),
            Some(('_', after)) => text.split_first().is_some_and(|(_, text)| rest(text, after)),
            Some((c, after)) => text.split_first().is_some_and(|(first, text)| first == c && rest(text, after)),
        }
    }
    rest(&text, &pattern)
}

/// The numbers of the rows that match, in order; keys are columns with whether the largest comes first.
pub(super) fn slice(rows: &[Row], condition: Option<&Expr>, keys: &[(usize, bool)]) -> Vec<usize> {
    let mut found: Vec<usize> =
        (0..rows.len()).filter(|at| condition.is_none_or(|expr| expr.truth(&rows[*at]) == Some(true))).collect();
    found.sort_by(|a, b| {
        keys.iter()
            .map(|(column, descending)| by_key(&rows[*a][*column], &rows[*b][*column], *descending))
            .find(|order| order.is_ne())
            .unwrap_or(a.cmp(b))
    });
    found
}

fn by_key(a: &Cell, b: &Cell, descending: bool) -> Ordering {
    let last = |cell: &Cell| match cell {
        Cell::Null => 2,
        Cell::Float(value) if value.is_nan() => 1,
        _ => 0,
    };
    last(a).cmp(&last(b)).then_with(|| match last(a) {
        0 if descending => compare(b, a),
        0 => compare(a, b),
        _ => Ordering::Equal,
    })
}

/// A cell as a JSON answer shows it; `wide`: integers of this column are text.
pub(super) fn shown(cell: &Cell, wide: bool) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(value) => json!(value),
        Cell::Int(value) if wide => json!(value.to_string()),
        Cell::Int(value) => json!(value),
        Cell::Float(value) if value.is_finite() => json!(value),
        Cell::Float(_) => Value::Null,
        Cell::Text(text) => json!(text),
        Cell::Day(days) => json!(day(*days)),
        Cell::List(items) => items.iter().map(|item| shown(item, false)).collect(),
        Cell::Struct(fields) => fields.iter().map(|(name, cell)| (name.clone(), shown(cell, false))).collect(),
    }
}
