//! Columns at fixed positions, counted in characters, to raw rows.
//!
//! Fields are trimmed; a blank field, or one that the line is too short for, is null; blank lines are no rows. Where no
//! column says `at`, the columns are where the first lines have something in common: see [`layout`].

use std::{collections::VecDeque, io::Read, ops::Range};

use super::{CellKind, Extraction, RawBatchBuilder, Sink, encoding, line::Lines, names::unique, nulls::Nulls};
use crate::ingest::{
    Failure,
    definition::grammar::{ColumnDefinition, FixedWidth, OneOrMany, Scalar},
};
use layout::{Edge, Layout, Span};

mod layout;

/// Lines looked at to find the columns.
const LOOKED_AT: usize = 1000;
/// The last character of a column that takes the rest of the line.
const OPEN_END: usize = 9999;
/// Bytes of them.
const LOOKED_AT_BYTES: usize = 4 << 20;

/// Reads lines of fields at fixed positions.
///
/// # Errors
/// Read errors; an `at` that is no span, an unknown encoding (definition); a line beyond the cap; the sink's.
pub(super) fn extract(
    extraction: &Extraction<'_>,
    format: &FixedWidth,
    reader: &mut dyn Read,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    let place = extraction.place();
    let text = encoding::decoded(reader, format.encoding.as_deref(), &place)?;
    let mut lines = Lines::new(text, place.as_str(), extraction.caps.record_bytes);
    let mut source = Source { lines: &mut lines, skip: format.skip, comment: format.comment.as_deref().unwrap_or("") };

    let mut waiting = VecDeque::new();
    let layout = match declared(extraction.columns)? {
        layout if !layout.names.is_empty() => layout,
        _ => {
            let mut bytes = 0;
            while waiting.len() < LOOKED_AT && bytes < LOOKED_AT_BYTES {
                let Some((number, line)) = source.next()? else { break };
                bytes += line.len();
                waiting.push_back((number, line.to_vec()));
            }
            layout::infer(&mut waiting)
        }
    };
    if layout.names.is_empty() {
        return Ok(());
    }
    let nulls = Nulls::new(format.null.as_ref(), extraction.columns, &layout.names, false);
    let mut builder = RawBatchBuilder::new(layout.names, CellKind::Text, "line");
    let mut cutter = Cutter::default();
    let mut row = |number: u64, line: &[u8]| {
        cutter.read(line);
        for (column, span) in layout.spans.iter().enumerate() {
            let field = cutter.span(line, span).trim_ascii();
            let null = field.is_empty() || nulls.contains(column, field);
            builder.cell(column, if null { None } else { Some(field) });
        }
        builder.end_row(number);
        builder.flush_if_full(sink)
    };
    for (number, line) in waiting {
        row(number, &line)?;
    }
    while let Some((number, line)) = source.next()? {
        row(number, line)?;
    }
    builder.finish(sink)
}

/// A column that a file's beginning shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ingest) struct Found {
    /// As the header has it, or by its number.
    pub(in crate::ingest) name: String,
    /// Its characters as a definition writes them, `1-11`.
    pub(in crate::ingest) at: String,
}

/// The columns that the lines of a file's beginning show, and how many of the lines are header.
pub(in crate::ingest) fn found(text: &str, comment: Option<&str>) -> (Vec<Found>, u64) {
    let is_row = |line: &str| !line.trim().is_empty() && comment.is_none_or(|comment| !line.starts_with(comment));
    let numbered = (1..).zip(text.lines()).filter(|(_, line)| is_row(line));
    let mut lines: VecDeque<(u64, Vec<u8>)> =
        numbered.take(LOOKED_AT).map(|(number, line)| (number, line.as_bytes().to_vec())).collect();
    let Layout { names, spans } = layout::infer(&mut lines);
    let width = |line: &[u8]| String::from_utf8_lossy(line).chars().count();
    let widest = lines.iter().map(|(_, line)| width(line)).max().unwrap_or_default();
    // Lines of one length end with their last column; where they do not, a later line may be longer.
    let end = if lines.iter().all(|(_, line)| width(line) == widest) { widest } else { OPEN_END };
    let edge = |edge: &Edge| match edge {
        Edge::At(at) => (*at).min(end),
        Edge::Within(gap) => gap.start.midpoint(gap.end),
    };
    let columns = names.into_iter().zip(&spans);
    let columns =
        columns.map(|(name, span)| Found { name, at: format!("{}-{}", edge(&span.start) + 1, edge(&span.end)) });
    (columns.collect(), lines.front().map_or(0, |(number, _)| number - 1))
}

/// Lines that are rows.
struct Source<'s, 'a> {
    lines: &'s mut Lines<'a>,
    skip: u64,
    comment: &'s str,
}

impl Source<'_, '_> {
    fn next(&mut self) -> Result<Option<(u64, &[u8])>, Failure> {
        loop {
            let wanted = match self.lines.next_line()? {
                None => return Ok(None),
                Some((number, _)) if number <= self.skip => false,
                Some((_, line)) if !self.comment.is_empty() && line.starts_with(self.comment.as_bytes()) => false,
                Some((_, line)) => !line.trim_ascii().is_empty(),
            };
            if wanted {
                return Ok(Some(self.lines.current()));
            }
        }
    }
}

/// The columns that say `at`.
fn declared(columns: &[ColumnDefinition]) -> Result<Layout, Failure> {
    let mut layout = Layout::default();
    for column in columns {
        let Some(at) = &column.at else { continue };
        let span = span(at).ok_or_else(|| {
            Failure::definition(format!(
                "column `{}`: `at = \"{at}\"` is no span such as `1-11`, counted from 1",
                column.name
            ))
        })?;
        let name = match column.from.as_ref().map(OneOrMany::as_slice).and_then(<[Scalar]>::first) {
            Some(Scalar::Text(from)) => from.clone(),
            Some(Scalar::Number(from)) => from.to_string(),
            None => column.name.clone(),
        };
        layout.names.push(name);
        layout.spans.push(span.into());
    }
    layout.names = unique(layout.names);
    Ok(layout)
}

/// `1-11`, or `5` alone: characters from 1, both ends included.
pub(in crate::ingest) fn span(at: &str) -> Option<Range<usize>> {
    let (first, last) = at.split_once('-').unwrap_or((at, at));
    let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first >= 1 && last >= first).then(|| first - 1..last)
}

/// Cuts fields out of a line by characters.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// Where each character begins, unless each is one byte.
    starts: Vec<usize>,
    ascii: bool,
}

impl Cutter {
    /// Takes a line up. A byte that continues a UTF-8 character counts as part of it, whether it is valid or not.
    pub(super) fn read(&mut self, line: &[u8]) {
        self.starts.clear();
        self.ascii = line.is_ascii();
        if !self.ascii {
            self.starts.extend(line.iter().enumerate().filter(|(_, byte)| *byte & 0xc0 != 0x80).map(|(at, _)| at));
        }
    }

    /// The characters of the line in `span`, as far as there are any.
    pub(super) fn field<'l>(&self, line: &'l [u8], span: &Range<usize>) -> &'l [u8] {
        let at = |character: usize| {
            let at = if self.ascii { Some(&character) } else { self.starts.get(character) };
            at.map_or(line.len(), |at| (*at).min(line.len()))
        };
        line.get(at(span.start)..at(span.end)).unwrap_or_default()
    }

    /// The characters of the line in a column.
    fn span<'l>(&self, line: &'l [u8], span: &Span) -> &'l [u8] {
        let edge = |edge: &Edge| match edge {
            Edge::At(at) => *at,
            Edge::Within(gap) => self.cut(line, gap),
        };
        self.field(line, &(edge(&span.start)..edge(&span.end)))
    }

    /// The end of the last of the longest blank stretches in `gap`; its middle if nothing is blank.
    fn cut(&self, line: &[u8], gap: &Range<usize>) -> usize {
        let (mut longest, mut blank, mut cut) = (0, 0, gap.start.midpoint(gap.end));
        for at in gap.clone() {
            let field = self.field(line, &(at..at + 1));
            blank = if field.trim_ascii().is_empty() { blank + 1 } else { 0 };
            if blank > 0 && blank >= longest {
                (longest, cut) = (blank, at + 1);
            }
        }
        cut
    }
}

#[cfg(test)]
mod tests;
