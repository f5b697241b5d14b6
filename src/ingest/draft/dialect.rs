//! Delimited text: its separator, quotes, header and encoding, told from the first records.

use super::sniff::Head;
use crate::ingest::{
    Failure,
    definition::grammar::{Csv, FixedWidth, Format, Header, OneOrMany},
    extract::fixed_width,
    infer::words,
};

/// Fields of the first records.
type Records = Vec<Vec<String>>;

/// Records looked at.
const RECORDS: usize = 500;
/// In order of preference where they fit equally well.
const DELIMITERS: [u8; 5] = [b'\t', b',', b';', b'|', b' '];
/// Share of records that must have the same number of fields.
const CONSISTENT: f64 = 0.9;

/// A dialect of csv, or PostgreSQL's COPY text.
pub(super) fn sniff(head: Head<'_>) -> Result<Format, Failure> {
    let (text, encoding) = decoded(head);
    if text.contains('\0') {
        return Err(unknown(head.place));
    }
    let comment = text.starts_with('#').then(|| "#".to_owned());
    let lines = text.lines().filter(|line| comment.is_none() || !line.starts_with('#'));
    let body: String = lines.flat_map(|line| [line, "\n"]).collect();
    let mut best: Option<(f64, u8, Records)> = None;
    for delimiter in DELIMITERS {
        for quoted in [true, false] {
            let records = records(&body, delimiter, quoted, head.whole);
            let Some((width, share)) = usual_width(&records) else { continue };
            let fits =
                width > 1 && if delimiter == b' ' { share == 1.0 && !is_prose(&records) } else { share >= CONSISTENT };
            let better = best.as_ref().is_none_or(|best| share > best.0 + 0.02);
            if fits && better && (quoted || !uses_quotes(&body, delimiter)) {
                best = Some((share, delimiter, records));
            }
        }
    }
    let Some((_, delimiter, records)) = best else {
        if is_fixed_width(&text, comment.as_deref()) {
            return Ok(Format::FixedWidth(FixedWidth { comment, encoding, ..FixedWidth::default() }));
        }
        return one_column(head, &body, encoding);
    };
    // Without any quote to see, csv has its usual ones and tab-separated text has none.
    let quotes = uses_quotes(&body, delimiter) || (delimiter != b'\t' && !body.contains('"'));
    let has_header = has_header(&records);
    let escapes =
        records.iter().flatten().any(|field| field == "\\N" || field.contains("\\t") || field.contains("\\\\"));
    if delimiter == b'\t' && !has_header && escapes && !quotes {
        return Ok(Format::Pgcopy {});
    }
    let null = records.iter().flatten().any(|field| field == "\\N").then(|| OneOrMany::One("\\N".to_owned()));
    Ok(Format::Csv(Csv {
        delimiter: char::from(delimiter).to_string(),
        quote: if quotes { "\"".into() } else { "none".into() },
        header: Header::Flag(has_header),
        comment,
        null,
        encoding,
        ..Csv::default()
    }))
}

fn unknown(place: &str) -> Failure {
    Failure::definition(format!(
        "{place}: this is none of the forms that can be told from the bytes (csv and its kin, NDJSON, JSON, XML, MediaWiki, \
         mysqldump, pgcopy, fixed width, Parquet, Arrow); write the definition by hand, with a script if need be"
    ))
}

/// Words are separated by spaces too; values are so in every line, with a number in the same place.
fn is_prose(records: &[Vec<String>]) -> bool {
    let is_number = |field: &String| words::word(field.as_bytes()).within(words::Words::NUMBERS) && !field.is_empty();
    let width = records.first().map_or(0, Vec::len);
    let body = records.get(1..).unwrap_or_default();
    let columns = (0..width).filter(|at| body.iter().all(|record| record.get(*at).is_some_and(is_number)));
    body.len() < 2 || columns.count() == 0
}

/// Whether characters stand below each other in columns, one of them of numbers at least.
fn is_fixed_width(text: &str, comment: Option<&str>) -> bool {
    let (columns, skip) = fixed_width::found(text, comment);
    let spans: Vec<_> = columns.iter().filter_map(|column| fixed_width::span(&column.at)).collect();
    let is_row = |line: &&str| !line.trim().is_empty() && comment.is_none_or(|comment| !line.starts_with(comment));
    let rows = || text.lines().skip(skip as usize).filter(is_row).take(RECORDS);
    let is_number = |text: &str| words::word(text.as_bytes()).within(words::Words::NUMBERS);
    let numbers = spans.iter().filter(|span| {
        let cells = rows().map(|line| line.chars().skip(span.start).take(span.len()).collect::<String>());
        let mut filled = cells.map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).peekable();
        filled.peek().is_some() && filled.all(|cell| is_number(&cell))
    });
    columns.len() > 1 && rows().count() > 2 && numbers.count() > 0
}

/// One value a line: a csv of a single column, if the lines look like values.
fn one_column(head: Head<'_>, body: &str, encoding: Option<String>) -> Result<Format, Failure> {
    let lines: Vec<&str> = body.lines().take(RECORDS).collect();
    let is_prose = lines.iter().any(|line| line.len() > 200 || line.chars().any(char::is_control));
    if is_prose || lines.len() < 2 {
        return Err(unknown(head.place));
    }
    let records: Records = lines.iter().map(|line| vec![(*line).to_owned()]).collect();
    Ok(Format::Csv(Csv { header: Header::Flag(has_header(&records)), encoding, ..Csv::default() }))
}

/// The head as text, and the label of its encoding if that must be named.
pub(super) fn decoded(head: Head<'_>) -> (String, Option<String>) {
    if let Some((encoding, mark)) = encoding_rs::Encoding::for_bom(head.bytes) {
        let text = encoding.decode_without_bom_handling(head.bytes.get(mark..).unwrap_or_default()).0;
        let label = (encoding != encoding_rs::UTF_8).then(|| "utf-16".to_owned());
        return (text.into_owned(), label);
    }
    match std::str::from_utf8(head.bytes) {
        Ok(text) => (text.to_owned(), None),
        // Cut inside a character.
        Err(error) if !head.whole && error.error_len().is_none() => {
            (String::from_utf8_lossy(head.bytes.get(..error.valid_up_to()).unwrap_or_default()).into_owned(), None)
        }
        Err(_) => {
            let text = encoding_rs::WINDOWS_1252.decode_without_bom_handling(head.bytes).0;
            (text.into_owned(), Some("windows-1252".into()))
        }
    }
}

/// The first records; the last one is left out if it may be cut off.
fn records(text: &str, delimiter: u8, quoted: bool, whole: bool) -> Records {
    let mut records = Vec::new();
    let (mut record, mut field, mut inside) = (Vec::new(), String::new(), false);
    let delimiter = char::from(delimiter);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && inside && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted && (inside || field.is_empty()) => inside = !inside,
            '\r' if !inside && chars.peek() == Some(&'\n') => {}
            '\n' if !inside => {
                record.push(std::mem::take(&mut field));
                // Blank lines are no records.
                let record = std::mem::take(&mut record);
                if record.len() > 1 || record.first().is_some_and(|field| !field.is_empty()) {
                    records.push(record);
                }
                if records.len() >= RECORDS {
                    return records;
                }
            }
            c if c == delimiter && !inside => record.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    if !whole {
        records.pop();
    }
    records
}

/// The most frequent number of fields, and the share of records that have it.
fn usual_width(records: &[Vec<String>]) -> Option<(usize, f64)> {
    let mut widths = std::collections::BTreeMap::<usize, usize>::new();
    for record in records {
        *widths.entry(record.len()).or_default() += 1;
    }
    let (width, count) = widths.into_iter().max_by_key(|(_, count)| *count)?;
    Some((width, count as f64 / records.len() as f64))
}

/// Whether fields are put in quotes; a quote that does not enclose a field is data.
fn uses_quotes(text: &str, delimiter: u8) -> bool {
    let delimiter = char::from(delimiter);
    let (mut enclosed, mut stray) = (0, 0);
    for line in text.lines() {
        for field in line.split(delimiter).filter(|field| field.contains('"')) {
            let closed = field.len() > 1 && field.starts_with('"') && field.ends_with('"');
            // A quoted field with the separator inside comes in two pieces, each with one quote at its outer end.
            let piece = field.matches('"').count() % 2 == 1 && (field.starts_with('"') || field.ends_with('"'));
            if closed || (piece && delimiter != '\t') {
                enclosed += 1;
            } else {
                stray += 1;
            }
        }
    }
    enclosed > stray
}

/// Whether the first record names the columns: words, all different, where other records have other kinds of values.
fn has_header(records: &[Vec<String>]) -> bool {
    let Some((first, rest)) = records.split_first() else { return false };
    let is_word = |field: &String| {
        let is_value = words::word(field.as_bytes()) != words::Words::TEXT;
        !is_value && !field.starts_with('\\') && field.len() <= 100
    };
    // An unnamed first column is what data frames write for their index.
    let mut names = first.iter().skip(usize::from(first.len() > 1 && first.first().is_some_and(String::is_empty)));
    if !names.all(is_word) {
        return false;
    }
    let mut different: Vec<&String> = first.iter().collect();
    different.sort();
    different.dedup();
    // Names do not come again as values, unless by chance.
    let again = first
        .iter()
        .enumerate()
        .filter(|(at, name)| rest.iter().filter(|record| record.get(*at) == Some(name)).count() > 0)
        .count();
    different.len() == first.len() && again * 2 <= first.len() && (rest.is_empty() || again < first.len())
}
