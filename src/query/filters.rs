//! `{column}__{op}=value`: conditions for people who build URLs by hand, turned into a `where`.

use super::{
    SliceError,
    names::{self, NameFault},
};
use crate::catalog::{Column, ColumnType, TableSchema};

/// What may follow the two underscores.
pub const OPERATIONS: [&str; 10] = ["exact", "not", "gt", "gte", "lt", "lte", "in", "contains", "startswith", "isnull"];

/// The column and the operation in a parameter's name, if it has that form at all.
pub fn split(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once("__").filter(|(column, _)| !column.is_empty())
}

/// The condition as SQL.
///
/// # Errors
/// When there is no such column or operation (then `instead` is another name of the parameter), or the value does not fit.
pub fn condition(name: &str, value: &str, schema: &TableSchema) -> Result<String, SliceError> {
    let fault = |message: String| SliceError::new("filter", format!("`{name}`: {message}"));
    let Some((column, operation)) = split(name) else { return Err(fault("is no `{column}__{op}`".into())) };
    if !OPERATIONS.contains(&operation) {
        let near = names::nearest(operation, OPERATIONS.into_iter()).map(|near| format!("{column}__{near}"));
        let question = near.as_ref().map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let message = format!("there is no `__{operation}`, only {}{question}", OPERATIONS.join(", "));
        return Err(fault(message).instead(near));
    }
    let at = names::resolve(schema, column).map_err(|error| match error {
        NameFault::Unknown(Some(near)) => {
            fault(format!("no column `{column}`; did you mean `{near}`?")).instead(Some(format!("{near}__{operation}")))
        }
        NameFault::Unknown(None) => fault(format!("no column `{column}`")),
        NameFault::Ambiguous(several) => fault(format!("`{column}` may mean {}", several.join(" or "))),
    })?;
    let Some(column) = schema.columns.get(at) else { return Err(fault("no such column".into())) };
    let quoted = format!("\"{}\"", column.name.replace('"', "\"\""));
    let one = |value: &str| literal(column, value).map_err(&fault);
    Ok(match operation {
        "exact" => format!("{quoted} = {}", one(value)?),
        "not" => format!("{quoted} <> {}", one(value)?),
        "gt" => format!("{quoted} > {}", one(value)?),
        "gte" => format!("{quoted} >= {}", one(value)?),
        "lt" => format!("{quoted} < {}", one(value)?),
        "lte" => format!("{quoted} <= {}", one(value)?),
        "in" => {
            let items: Result<Vec<String>, SliceError> = value.split(',').map(one).collect();
            format!("{quoted} in ({})", items?.join(", "))
        }
        "contains" if let ColumnType::List(item) = &column.kind => {
            let item = Column::new(column.name.as_str(), item.as_ref().clone());
            format!("list_contains({quoted}, {})", literal(&item, value).map_err(&fault)?)
        }
        "contains" | "startswith" if column.kind != ColumnType::Utf8 => {
            let takes = if operation == "contains" { "texts and lists" } else { "texts" };
            return Err(fault(format!("is for {takes}, and `{}` is {}", column.name, column.kind)));
        }
        "contains" => format!("contains({quoted}, {})", text(value)),
        "startswith" => format!("starts_with({quoted}, {})", text(value)),
        _ => match value {
            "1" | "true" => format!("{quoted} is null"),
            "0" | "false" => format!("{quoted} is not null"),
            other => return Err(fault(format!("takes 1 or 0, not `{other}`"))),
        },
    })
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn literal(column: &Column, value: &str) -> Result<String, String> {
    match column.kind {
        ColumnType::Int32 | ColumnType::Int64 | ColumnType::Float32 | ColumnType::Float64 | ColumnType::Decimal(..) => {
            let digits = value.strip_prefix('-').unwrap_or(value);
            let number = digits.starts_with(|c: char| c.is_ascii_digit()) && value.parse::<f64>().is_ok();
            if number { Ok(value.to_owned()) } else { Err(format!("takes a number, not `{value}`")) }
        }
        ColumnType::Bool => match value {
            "true" | "1" => Ok("true".into()),
            "false" | "0" => Ok("false".into()),
            other => Err(format!("takes true or false, not `{other}`")),
        },
        _ => Ok(text(value)),
    }
}
