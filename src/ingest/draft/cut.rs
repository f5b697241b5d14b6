//! The beginning of a file as a smaller file of the same form.

use arrow::array::{ArrayRef, RecordBatch};
use quick_xml::events::Event;

use super::{json_walk, sniff::Head};
use crate::ingest::{
    definition::grammar::Format,
    extract::{RawBatch, RawColumn},
};

/// Rows of a sample.
pub(super) const ROWS: usize = 100;
/// Bytes of a sample, about.
pub(super) const BYTES: usize = 512 << 10;

/// The first rows of a file; `None` if it cannot be cut or is no larger anyway. `first` is its first batch.
pub(super) fn cut(head: Head<'_>, format: &Format, first: Option<&RawBatch>) -> Option<Vec<u8>> {
    let bytes = head.bytes;
    match format {
        Format::Csv(csv) => {
            // In UTF-16 a line end is two bytes.
            if csv.encoding.as_deref().is_some_and(|label| label.starts_with("utf-16")) {
                return None;
            }
            let quote = csv.quote.as_bytes().first().filter(|_| csv.quote.len() == 1).copied();
            lines(head, ROWS + csv.header.rows() + csv.skip as usize, quote)
        }
        Format::Ndjson {} | Format::Pgcopy {} | Format::FixedWidth(_) => lines(head, ROWS, None),
        Format::Json(_) => {
            let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
            json_walk::cut(bytes.get(mark..)?.trim_ascii_start(), ROWS, BYTES)
        }
        Format::MediawikiXml {} => elements(bytes, "mediawiki/page"),
        Format::Xml(xml) => elements(bytes, &xml.row),
        Format::Mysqldump(_) => Some(statements(bytes, head.whole)),
        Format::Parquet {} => parquet(&typed(first?)?),
        Format::Arrow {} => arrow_file(&typed(first?)?),
        Format::Script(_) => None,
    }
}

/// The first `count` lines; line ends inside quotes are none.
fn lines(head: Head<'_>, count: usize, quote: Option<u8>) -> Option<Vec<u8>> {
    let (mut seen, mut inside, mut last) = (0, false, 0);
    for (at, byte) in head.bytes.iter().enumerate() {
        if Some(*byte) == quote {
            inside = !inside;
        } else if *byte == b'\n' && !inside {
            if seen > 1 && at > BYTES {
                break;
            }
            seen += 1;
            last = at + 1;
            if seen >= count {
                break;
            }
        }
    }
    if seen < count && head.whole && head.bytes.len() <= BYTES {
        return None;
    }
    (last > 0).then(|| head.bytes.get(..last).unwrap_or_default().to_vec())
}

/// The document up to the last of the first row elements, and the end tags of what is open there.
fn elements(text: &[u8], row: &str) -> Option<Vec<u8>> {
    let row: Vec<&str> = row.split('/').collect();
    let mut reader = quick_xml::Reader::from_reader(text);
    let mut path: Vec<String> = Vec::new();
    let (mut rows, mut end, mut open) = (0, None, Vec::new());
    let mut buffer = Vec::new();
    while rows < ROWS {
        buffer.clear();
        let is_row = |path: &[String]| path.len() == row.len() && path.iter().zip(&row).all(|(name, row)| name == row);
        let ended = match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(element)) => {
                path.push(String::from_utf8_lossy(element.name().as_ref()).into_owned());
                false
            }
            Ok(Event::Empty(element)) => {
                path.push(String::from_utf8_lossy(element.name().as_ref()).into_owned());
                let ended = is_row(&path);
                path.pop();
                ended
            }
            Ok(Event::End(_)) => {
                let ended = is_row(&path);
                path.pop();
                ended
            }
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => false,
        };
        if ended {
            let at = usize::try_from(reader.buffer_position()).ok()?;
            if rows > 0 && at > BYTES {
                break;
            }
            rows += 1;
            end = Some(at);
            open.clone_from(&path);
        }
    }
    let mut sample = text.get(..end?)?.to_vec();
    sample.push(b'\n');
    for name in open.iter().rev() {
        sample.extend_from_slice(format!("</{name}>\n").as_bytes());
    }
    Some(sample)
}

/// A MySQL dump with the first rows of the first INSERT statement of each table.
fn statements(text: &[u8], whole: bool) -> Vec<u8> {
    let mut sample = Vec::new();
    let mut filled: Vec<&[u8]> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => rest.split_at(end + 1),
            None => (rest, &[][..]),
        };
        rest = after;
        let cut_off = after.is_empty() && !whole;
        let Some(insert) = line.strip_prefix(b"INSERT INTO `") else {
            if !cut_off {
                sample.extend_from_slice(line);
            }
            continue;
        };
        let table = insert.split(|byte| *byte == b'`').next().unwrap_or_default();
        if filled.contains(&table) {
            continue;
        }
        filled.push(table);
        if let Some(end) = tuples_end(line) {
            sample.extend_from_slice(line.get(..end).unwrap_or_default());
            sample.extend_from_slice(b";\n");
        }
    }
    sample
}

/// Where the first tuples of an INSERT statement end.
fn tuples_end(line: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped, mut rows, mut end) = (0_usize, false, false, 0, None);
    let values = line.windows(7).position(|window| window.eq_ignore_ascii_case(b"VALUES "))?;
    for (at, byte) in line.iter().enumerate().skip(values) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'\'' => quoted = !quoted,
            _ if quoted => {}
            b'(' => depth += 1,
            b')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    if rows > 0 && at > BYTES {
                        break;
                    }
                    rows += 1;
                    end = Some(at + 1);
                    if rows >= ROWS {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    end
}

fn typed(first: &RawBatch) -> Option<RecordBatch> {
    let columns = first.names.iter().zip(&first.columns).map(|(name, column)| match column {
        RawColumn::Typed(array) => Some((name.clone(), array.clone(), true)),
        RawColumn::Text(_) | RawColumn::Json(_) => None,
    });
    let columns: Option<Vec<(String, ArrayRef, bool)>> = columns.collect();
    let batch = RecordBatch::try_from_iter_with_nullable(columns?).ok()?;
    Some(batch.slice(0, batch.num_rows().min(ROWS)))
}

fn parquet(batch: &RecordBatch) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).ok()?;
    writer.write(batch).ok()?;
    writer.close().ok()?;
    Some(bytes)
}

fn arrow_file(batch: &RecordBatch) -> Option<Vec<u8>> {
    let mut writer = arrow::ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).ok()?;
    writer.write(batch).ok()?;
    writer.finish().ok()?;
    writer.into_inner().ok()
}
