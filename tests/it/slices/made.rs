//! Tables, conditions and orders made up from a seed.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
        StructArray, new_null_array,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{DataType, Schema},
};
use fastrand::Rng;

use super::naive::{Cell, Expr, Row};
use crate::shelf::{TestTable, schema};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Small,
    Float,
    Text,
    Bool,
    Day,
    List,
    Struct,
}

const KINDS: [Kind; 8] =
    [Kind::Int, Kind::Small, Kind::Float, Kind::Text, Kind::Bool, Kind::Day, Kind::List, Kind::Struct];
const NAMES: [&str; 8] = ["id", "Odd name", "a\"b", "größe", "x,y", "Tail", "-minus", "select"];
const TEXTS: [&str; 10] = ["", "a", "A", "ab", "aB%", "b_", "zebra", "éa", "日本", "it's"];

pub(super) struct Made {
    pub(super) names: Vec<String>,
    pub(super) kinds: Vec<Kind>,
    pub(super) rows: Vec<Row>,
    pub(super) table: TestTable,
}

fn cell(kind: Kind, rng: &mut Rng) -> Cell {
    if rng.u8(..5) == 0 {
        return Cell::Null;
    }
    match kind {
        Kind::Int => Cell::Int(match rng.u8(..6) {
            0 => i64::MAX,
            1 => i64::MIN,
            2 => (1 << 53) + rng.i64(-2..3),
            _ => rng.i64(-20..20),
        }),
        Kind::Small => Cell::Int(rng.i64(-5..6)),
        Kind::Float => Cell::Float(match rng.u8(..8) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => -0.0,
            4 => 0.0,
            5 => 1e300,
            _ => f64::from(rng.i32(-4..5)) / 2.0,
        }),
        Kind::Text if rng.u8(..20) == 0 => Cell::Text("long ".repeat(50) + TEXTS[rng.usize(..TEXTS.len())]),
        Kind::Text => Cell::Text(TEXTS[rng.usize(..TEXTS.len())].into()),
        Kind::Bool => Cell::Bool(rng.bool()),
        Kind::Day => Cell::Day(rng.i32(-400..20_000)),
        Kind::List => Cell::List((0..rng.usize(..4)).map(|_| cell(Kind::Text, rng)).collect()),
        Kind::Struct => Cell::Struct(vec![("n".into(), cell(Kind::Small, rng)), ("t".into(), cell(Kind::Text, rng))]),
    }
}

fn spelled(kind: Kind) -> &'static str {
    match kind {
        Kind::Int | Kind::Small => "int64",
        Kind::Float => "float64",
        Kind::Text => "utf8",
        Kind::Bool => "bool",
        Kind::Day => "date",
        Kind::List => "list<utf8>",
        Kind::Struct => "struct<n: int64, t: utf8>",
    }
}

fn array(kind: &DataType, cells: &[Cell]) -> ArrayRef {
    match kind {
        DataType::Int64 => Arc::new(Int64Array::from_iter(
            cells.iter().map(|cell| if let Cell::Int(value) = cell { Some(*value) } else { None }),
        )),
        DataType::Float64 => Arc::new(Float64Array::from_iter(
            cells.iter().map(|cell| if let Cell::Float(value) = cell { Some(*value) } else { None }),
        )),
        DataType::Utf8 => Arc::new(StringArray::from_iter(
            cells.iter().map(|cell| if let Cell::Text(text) = cell { Some(text.as_str()) } else { None }),
        )),
        DataType::Boolean => Arc::new(BooleanArray::from_iter(
            cells.iter().map(|cell| if let Cell::Bool(value) = cell { Some(*value) } else { None }),
        )),
        DataType::Date32 => Arc::new(Date32Array::from_iter(
            cells.iter().map(|cell| if let Cell::Day(days) = cell { Some(*days) } else { None }),
        )),
        DataType::List(item) => {
            let lists: Vec<&[Cell]> =
                cells.iter().map(|cell| if let Cell::List(items) = cell { items.as_slice() } else { &[] }).collect();
            let all: Vec<Cell> = lists.iter().flat_map(|items| items.iter().cloned()).collect();
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(|items| items.len()));
            let nulls = NullBuffer::from_iter(cells.iter().map(|cell| *cell != Cell::Null));
            Arc::new(ListArray::new(item.clone(), offsets, array(item.data_type(), &all), Some(nulls)))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().enumerate().map(|(at, field)| {
                let inner: Vec<Cell> = cells
                    .iter()
                    .map(|cell| if let Cell::Struct(values) = cell { values[at].1.clone() } else { Cell::Null })
                    .collect();
                array(field.data_type(), &inner)
            });
            let nulls = NullBuffer::from_iter(cells.iter().map(|cell| *cell != Cell::Null));
            Arc::new(StructArray::new(fields.clone(), columns.collect(), Some(nulls)))
        }
        other => new_null_array(other, cells.len()),
    }
}

impl Made {
    pub(super) fn new(rng: &mut Rng, count: usize) -> Self {
        let mut names: Vec<String> = NAMES.map(str::to_owned).to_vec();
        rng.shuffle(&mut names);
        names.truncate(rng.usize(1..=NAMES.len()));
        let mut kinds: Vec<Kind> = names.iter().map(|_| KINDS[rng.usize(..KINDS.len())]).collect();
        let mut rows: Vec<Row> = (0..count).map(|_| kinds.iter().map(|kind| cell(*kind, rng)).collect()).collect();
        // Half of the tables are sorted by a column, so that pages and files can be left out.
        if rng.bool()
            && let Some(at) = kinds.iter().position(|kind| !matches!(kind, Kind::List | Kind::Struct))
        {
            let order = super::naive::slice(&rows, None, &[(at, false)]);
            rows = order.into_iter().map(|row| rows[row].clone()).collect();
        }
        // One column tells rows apart that look alike.
        names.push("row".into());
        kinds.push(Kind::Small);
        for (number, row) in (0..).zip(&mut rows) {
            row.push(Cell::Int(number));
        }
        let columns: Vec<(&str, &str)> =
            names.iter().zip(&kinds).map(|(name, kind)| (name.as_str(), spelled(*kind))).collect();
        let mut table = TestTable::new("t", &columns).pages(rng.usize(1..12), rng.usize(5..60));
        let arrow = schema(&columns).to_arrow();
        let mut rest = rows.as_slice();
        while !rest.is_empty() {
            let (file, further) = rest.split_at(rng.usize(1..=rest.len()));
            table = table.batch(batch(&arrow, file));
            rest = further;
        }
        Self { names, kinds, rows, table }
    }

    /// Columns that have an order.
    pub(super) fn plain(&self) -> Vec<usize> {
        (0..self.kinds.len()).filter(|at| !matches!(self.kinds[*at], Kind::List | Kind::Struct)).collect()
    }

    pub(super) fn condition(&self, rng: &mut Rng, depth: u8) -> Expr {
        let inner = |rng: &mut Rng| Box::new(self.condition(rng, depth - 1));
        match rng.u8(..if depth == 0 { 1 } else { 4 }) {
            0 => self.leaf(rng),
            1 => Expr::And(inner(rng), inner(rng)),
            2 => Expr::Or(inner(rng), inner(rng)),
            _ => Expr::Not(inner(rng)),
        }
    }

    fn leaf(&self, rng: &mut Rng) -> Expr {
        const OPS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];
        let at = rng.usize(..self.kinds.len());
        let kind = self.kinds[at];
        let column = || Box::new(Expr::Column(at));
        let op = OPS[rng.usize(..OPS.len())];
        let value = |rng: &mut Rng| {
            loop {
                let made = cell(kind, rng);
                // The smallest integer has no literal of its own.
                if made != Cell::Null && made != Cell::Int(i64::MIN) {
                    break Box::new(Expr::Value(made));
                }
            }
        };
        let text = |rng: &mut Rng| TEXTS[rng.usize(..TEXTS.len())];
        match (kind, rng.u8(..6)) {
            (_, 0) => Expr::IsNull(rng.bool(), column()),
            (Kind::List, 1 | 2) => Expr::Compare(
                op,
                Box::new(Expr::Item(column(), rng.usize(1..3))),
                Box::new(Expr::Value(Cell::Text(text(rng).into()))),
            ),
            (Kind::List, _) => Expr::Contains(column(), ["a", "A", "b_", "zebra"][rng.usize(..4)].into()),
            (Kind::Struct, 1 | 2) => Expr::Compare(
                op,
                Box::new(Expr::Field(column(), "t".into())),
                Box::new(Expr::Value(Cell::Text(text(rng).into()))),
            ),
            (Kind::Struct, _) => Expr::Compare(
                op,
                Box::new(Expr::Field(column(), "n".into())),
                Box::new(Expr::Value(Cell::Int(rng.i64(-5..6)))),
            ),
            (Kind::Bool, 1) => Expr::Compare("=", column(), Box::new(Expr::Value(Cell::Bool(true)))),
            (_, 1) => Expr::Between(column(), value(rng), value(rng)),
            (_, 2) => {
                let mut items: Vec<Expr> = (0..rng.usize(1..5)).map(|_| *value(rng)).collect();
                if rng.u8(..4) == 0 {
                    items.push(Expr::Value(Cell::Null));
                }
                let others: Vec<usize> = (0..self.kinds.len()).filter(|other| self.kinds[*other] == kind).collect();
                for _ in 0..rng.usize(..4) {
                    items.push(Expr::Column(others[rng.usize(..others.len())]));
                }
                Expr::In(rng.bool(), column(), items)
            }
            (Kind::Text, 3) => {
                let pattern = ["a%", "%b%", "_", "%", "z_b%a", "%'s", "日%"][rng.usize(..7)];
                Expr::Like(rng.bool(), column(), pattern.into())
            }
            (Kind::Text, 4) if rng.bool() => Expr::Compare(
                op,
                Box::new(Expr::Length(column())),
                Box::new(Expr::Value(Cell::Int(rng.i64(..5).abs()))),
            ),
            (Kind::Text, 4) => Expr::Compare(op, Box::new(Expr::Lower(column())), value(rng)),
            (Kind::Small, 3) => {
                let sum = Expr::Plus(column(), rng.i64(-3..4));
                Expr::Compare(op, Box::new(sum), Box::new(Expr::Value(Cell::Int(rng.i64(-5..6)))))
            }
            (_, 3) => Expr::Compare(op, Box::new(Expr::Coalesce(column(), value(rng))), value(rng)),
            (_, 4) => {
                let others: Vec<usize> = (0..self.kinds.len()).filter(|other| self.kinds[*other] == kind).collect();
                Expr::Compare(op, column(), Box::new(Expr::Column(others[rng.usize(..others.len())])))
            }
            _ => Expr::Compare(op, column(), value(rng)),
        }
    }
}

fn batch(arrow: &Arc<Schema>, rows: &[Row]) -> RecordBatch {
    let columns = arrow.fields().iter().enumerate().map(|(at, field)| {
        let cells: Vec<Cell> = rows.iter().map(|row| row[at].clone()).collect();
        array(field.data_type(), &cells)
    });
    RecordBatch::try_new(Arc::clone(arrow), columns.collect()).unwrap()
}
