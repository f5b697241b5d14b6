//! Where the columns of a fixed-width file are, as far as its first lines tell.

use std::{collections::VecDeque, ops::Range};

use super::Cutter;
use crate::ingest::extract::names::{positions, unique};

/// Where a column begins or ends, in characters from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edge {
    /// Here.
    At(usize),
    /// Where the line is blank in this stretch.
    Within(Range<usize>),
}

/// The characters of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: Edge,
    pub(super) end: Edge,
}

impl From<Range<usize>> for Span {
    fn from(span: Range<usize>) -> Self {
        Self { start: Edge::At(span.start), end: Edge::At(span.end) }
    }
}

/// Columns by name and characters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) names: Vec<String>,
    pub(super) spans: Vec<Span>,
}

/// Finds the columns: stretches of characters between those that are blank in every line. A first line of words over
/// numbers, or over a ruler of dashes, is a header and names them; header and ruler are taken off `lines`.
pub(super) fn infer(lines: &mut VecDeque<(u64, Vec<u8>)>) -> Layout {
    let ruled = lines.get(1).is_some_and(|(_, line)| is_ruler(line));
    if ruled {
        lines.remove(1);
    }
    let cores = cores(lines);
    let spans = spread(&cores, lines);
    let cells = |line: &[u8]| -> Vec<String> {
        let mut cutter = Cutter::default();
        cutter.read(line);
        spans.iter().map(|span| String::from_utf8_lossy(cutter.span(line, span).trim_ascii()).into_owned()).collect()
    };
    let names = lines.front().map(|(_, line)| cells(line)).unwrap_or_default();
    let words = !names.is_empty() && names.iter().all(|name| !name.is_empty() && !is_number(name));
    let over_numbers = || {
        let mut numeric = vec![None; spans.len()];
        for (_, line) in lines.iter().skip(1) {
            for (column, cell) in numeric.iter_mut().zip(cells(line)).filter(|(_, cell)| !cell.is_empty()) {
                *column = Some(column.unwrap_or(true) && is_number(&cell));
            }
        }
        numeric.contains(&Some(true))
    };
    if ruled || (words && over_numbers()) {
        lines.pop_front();
        return Layout { names: unique(names), spans };
    }
    Layout { names: positions(spans.len()), spans }
}

/// A line of dashes under a header.
fn is_ruler(line: &[u8]) -> bool {
    let mark = |byte: &u8| matches!(byte, b'-' | b'=');
    line.iter().any(mark) && line.iter().all(|byte| mark(byte) || matches!(byte, b' ' | b'+' | b'|'))
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
        && text.replace(['.', ',', '-', '/', ':'], "").parse::<f64>().is_ok()
}

/// Runs of characters between those that are blank in every line.
fn cores(lines: &VecDeque<(u64, Vec<u8>)>) -> Vec<Range<usize>> {
    let mut used: Vec<bool> = Vec::new();
    for (_, line) in lines {
        let characters = line.iter().filter(|byte| *byte & 0xc0 != 0x80);
        for (at, byte) in characters.enumerate() {
            if at >= used.len() {
                used.push(false);
            }
            if let Some(used) = used.get_mut(at) {
                *used |= !byte.is_ascii_whitespace();
            }
        }
    }
    let mut cores: Vec<Range<usize>> = Vec::new();
    for (at, _) in used.iter().enumerate().filter(|(_, used)| **used) {
        match cores.last_mut() {
            Some(core) if core.end == at => core.end = at + 1,
            _ => cores.push(at..at + 1),
        }
    }
    cores
}

/// Gives the blank characters between two columns to the one that may still grow into them: a column of which every value
/// begins at its first character grows to the right, any other one to the left. Where both may, each line decides.
fn spread(cores: &[Range<usize>], lines: &VecDeque<(u64, Vec<u8>)>) -> Vec<Span> {
    let mut cutter = Cutter::default();
    let mut left_aligned = vec![true; cores.len()];
    for (_, line) in lines {
        cutter.read(line);
        for (left, core) in left_aligned.iter_mut().zip(cores) {
            let field = cutter.field(line, core);
            *left &= field.trim_ascii().is_empty() || !field.starts_with(b" ");
        }
    }
    let mut spans = Vec::with_capacity(cores.len());
    let mut start = Edge::At(0);
    for (at, core) in cores.iter().enumerate() {
        let (grows, next) = (left_aligned.get(at) == Some(&true), cores.get(at + 1).map(|next| next.start));
        let end = match (next, left_aligned.get(at + 1)) {
            (Some(next), Some(false)) if grows => Edge::Within(core.end..next),
            (Some(_), Some(false)) => Edge::At(core.end),
            (Some(next), _) => Edge::At(next),
            (None, _) => Edge::At(usize::MAX),
        };
        spans.push(Span { start: std::mem::replace(&mut start, end.clone()), end });
    }
    spans
}
