//! Delimited text in all its dialects to raw rows.
//!
//! A row is a record with as many fields as the header (without one: as the first record). An empty field is null, a
//! quoted empty field is empty text. Blank lines are no rows, except in a table of one column, where one is a null.

mod header;

use std::io::Read;

use super::{
    CellKind, Extraction, RawBatchBuilder, Sink,
    delimited::{Dialect, Found, Records},
    encoding,
    line::Window,
    names::{positions, unique},
    nulls::Nulls,
};
use crate::ingest::{Failure, definition::grammar::Csv};

/// Reads delimited text.
///
/// # Errors
/// Read errors; a dialect that cannot be (definition); a quote that is never closed; a record beyond the cap; the sink's.
pub(super) fn extract(
    extraction: &Extraction<'_>,
    format: &Csv,
    reader: &mut dyn Read,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    let place = extraction.place();
    let dialect = Dialect::new(format)?;
    let text = encoding::decoded(reader, format.encoding.as_deref(), &place)?;
    let mut records = Records::new(Window::new(text, place.as_str(), extraction.caps.record_bytes), dialect)?;
    records.skip(format.skip)?;

    let rows = format.header.rows();
    let mut head = Vec::with_capacity(rows);
    while head.len() < rows {
        let Some(found) = next(&mut records, 0)? else { break };
        head.push(fields(&mut records, &found, &place)?);
        records.pass(&found);
    }
    if rows > 0 && head.is_empty() {
        return Ok(());
    }
    let mut names = header::names(&head);
    if rows > 1
        && let Some(found) = next(&mut records, names.len())?
        && let Ok(row) = fields(&mut records, &found, &place)
        && row.len() == names.len()
        && header::is_index_row(&row)
    {
        if let (Some(name), Some(index)) = (names.first_mut(), row.into_iter().next()) {
            *name = index;
        }
        names = unique(names);
        records.pass(&found);
    }
    if rows == 0 {
        let Some(found) = next(&mut records, 0)? else { return Ok(()) };
        names = positions(records.split(&found, |_, _, _| {}).unwrap_or(extraction.columns.len().max(1)));
    }

    let nulls = Nulls::new(format.null.as_ref(), extraction.columns, &names, rows == 0);
    let model = if rows == 0 { "first row" } else { "header" };
    let width = names.len();
    let mut builder = RawBatchBuilder::new(names, CellKind::Text, "line");
    while let Some(found) = next(&mut records, width)? {
        let split = records.split(&found, |column, text, quoted| {
            let null = (text.is_empty() && !quoted) || nulls.contains(column, text);
            builder.cell(column, if null { None } else { Some(text) });
        });
        match split {
            Ok(count) if count == width => builder.end_row(found.line),
            Ok(count) => {
                let reason = format!("{count} field{}, the {model} has {width}", if count == 1 { "" } else { "s" });
                builder.broken_row(found.line, reason, records.bytes(&found));
            }
            Err(reason) => builder.broken_row(found.line, reason, records.bytes(&found)),
        }
        records.pass(&found);
        builder.flush_if_full(sink)?;
    }
    builder.finish(sink)
}

/// The next record that is a row of a table `width` columns wide.
#[inline]
fn next(records: &mut Records<'_>, width: usize) -> Result<Option<Found>, Failure> {
    loop {
        match records.find()? {
            Some(found) if width != 1 && records.bytes(&found).is_empty() => records.pass(&found),
            found => return Ok(found),
        }
    }
}

/// The fields of a header row as text.
fn fields(records: &mut Records<'_>, found: &Found, place: &str) -> Result<Vec<String>, Failure> {
    let mut row = Vec::new();
    records
        .split(found, |_, text, _| row.push(String::from_utf8_lossy(text).into_owned()))
        .map_err(|reason| Failure::definition(format!("{place}, line {}: the header: {reason}", found.line)))?;
    Ok(row)
}
#[cfg(test)]
mod tests;
