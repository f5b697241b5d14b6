//! Arrow IPC, file or stream, told apart by the first bytes.
//!
//! Both are a sequence of messages; a file adds a footer, of which only the presence matters here (without it the file is
//! cut off). Messages are framed here and decoded by the library: every length a message claims is checked before anything
//! is allocated for it, because a refused allocation ends the process.
//! <https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc>

use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};

use arrow::{
    buffer::Buffer,
    datatypes::Schema,
    ipc::{
        Message, MessageHeader, RecordBatch as BatchHeader, convert::fb_to_schema, reader::StreamDecoder,
        root_as_message,
    },
};

use super::{
    Extraction, Member, Sink, read_failure,
    spool::Spooled,
    typed::{TypedRows, guarded},
};
use crate::ingest::Failure;

const READ_BYTES: usize = 256 << 10;
const MAGIC: &[u8] = b"ARROW1";
/// Magic and padding at the beginning of a file.
const FILE_HEAD: u64 = 8;
/// Footer length and magic at the end of a file.
const FILE_TAIL: u64 = 10;
/// Zeros behind the head of a file at most.
const MOST_PADDING: u64 = 4096;
const CONTINUATION: [u8; 4] = [0xff; 4];
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
/// Metadata of a message at most.
const MOST_METADATA: u64 = 64 << 20;
/// Bytes of a record batch at most, compressed or not: upstream decides how big its batches are.
const MOST_BODY: u64 = 4 << 30;
/// Bytes set aside at once for a length that is only claimed.
const BELIEVED: u64 = 16 << 20;

/// Reads all record batches.
///
/// # Errors
/// Malformed or cut-off data (upstream), a column of a type we have none for (definition), or the sink's.
pub(super) fn extract(extraction: &Extraction<'_>, mut input: Member<'_>, sink: &mut Sink<'_>) -> Result<(), Failure> {
    let mut head = Vec::new();
    let place = extraction.place();
    input.reader.take(FILE_HEAD).read_to_end(&mut head).map_err(|error| read_failure(error, &place))?;
    if !head.starts_with(MAGIC) {
        return stream(extraction, &mut head.chain(input.reader), sink);
    }
    let mut whole = head.chain(&mut *input.reader);
    let mut input = Member { name: input.name.take(), reader: &mut whole, plain: input.plain };
    let spooled = Spooled::new(extraction, &mut input)?;
    let mut file = spooled.open()?;
    let messages = messages(&mut file).map_err(|error| read_failure(error, &place))?;
    let Some(length) = messages else {
        return Err(Failure::upstream(format!("{place}: the Arrow file has no footer: it is cut off")));
    };
    stream(extraction, &mut file.take(length), sink)
}

/// Moves behind the magic; how long the messages are, none without a footer.
fn messages(file: &mut std::fs::File) -> std::io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let Some(tail_start) = length.checked_sub(FILE_TAIL).filter(|start| *start >= FILE_HEAD) else { return Ok(None) };
    file.seek(SeekFrom::Start(tail_start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let Some((footer, MAGIC)) = tail.split_first_chunk::<4>() else { return Ok(None) };
    let footer = u64::from(u32::from_le_bytes(*footer));
    let Some(end) = tail_start.checked_sub(footer) else { return Ok(None) };
    // Writers pad the magic to 8 bytes, as the format says, or to 64.
    let mut padding = Vec::new();
    file.seek(SeekFrom::Start(FILE_HEAD))?;
    file.take(MOST_PADDING).read_to_end(&mut padding)?;
    let padded = padding.chunks_exact(4).take_while(|word| **word == [0; 4]).count() as u64 * 4;
    let begin = FILE_HEAD + padded;
    file.seek(SeekFrom::Start(begin))?;
    Ok(end.checked_sub(begin))
}

/// Reads a stream of messages.
pub(super) fn stream(extraction: &Extraction<'_>, reader: &mut dyn Read, sink: &mut Sink<'_>) -> Result<(), Failure> {
    let place = extraction.place();
    let fault = |what: &dyn std::fmt::Display| Failure::upstream(format!("{place}: Arrow: {what}"));
    let mut reader = BufReader::with_capacity(READ_BYTES, reader);
    let mut decoder = StreamDecoder::new();
    let mut rows: Option<TypedRows> = None;
    let mut any = false;
    let mut schema = Schema::empty();
    loop {
        let message = next_message(&mut reader).map_err(|error| match error.kind() {
            ErrorKind::InvalidData => fault(&error),
            _ => read_failure(error, &place),
        })?;
        let parts = match message {
            Some((metadata, body)) => {
                let header = guarded(&place, || header(&metadata, &body))?.map_err(|error| fault(&error))?;
                if let Some(found) = header {
                    rows = Some(TypedRows::new(&found, extraction)?);
                    schema = found;
                }
                let length = (metadata.len() as u32).to_le_bytes();
                vec![Buffer::from(&CONTINUATION), Buffer::from(&length), Buffer::from(metadata), Buffer::from(body)]
            }
            None => vec![Buffer::from(&END_OF_STREAM)],
        };
        let at_end = parts.len() == 1;
        let Some(rows) = &mut rows else { return Err(fault(&"it does not begin with a schema")) };
        for mut part in parts {
            while !part.is_empty() {
                let batch = guarded(&place, || decoder.decode(&mut part))?.map_err(|error| fault(&error))?;
                if let Some(batch) = batch {
                    rows.push(&batch, sink)?;
                    any = true;
                }
            }
        }
        if at_end {
            if !any {
                rows.push(&arrow::array::RecordBatch::new_empty(schema.into()), sink)?;
            }
            return Ok(());
        }
    }
}

/// The metadata and body of the next message; none at the end.
fn next_message(reader: &mut dyn Read) -> std::io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut length = [0; 4];
    if !fill(reader, &mut length, true)? {
        return Ok(None);
    }
    if length == CONTINUATION {
        fill(reader, &mut length, false)?;
    }
    let length = u64::from(u32::from_le_bytes(length));
    if length == 0 {
        return Ok(None);
    }
    let metadata = bytes(reader, length, MOST_METADATA)?;
    let length = root_as_message(&metadata).map_err(|error| malformed(&error))?.bodyLength();
    let length = u64::try_from(length).map_err(|error| malformed(&error))?;
    let body = bytes(reader, length, MOST_BODY)?;
    Ok(Some((metadata, body)))
}

fn malformed(what: &dyn std::fmt::Display) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, what.to_string())
}

/// Fills the buffer; false when the stream ends before its first byte and may.
fn fill(reader: &mut dyn Read, buffer: &mut [u8; 4], may_end: bool) -> std::io::Result<bool> {
    let mut filled = Vec::new();
    reader.take(4).read_to_end(&mut filled)?;
    match <[u8; 4]>::try_from(filled.as_slice()) {
        Ok(read) => *buffer = read,
        Err(_) if filled.is_empty() && may_end => return Ok(false),
        Err(_) => return Err(malformed(&"it ends in the middle of a message: it is cut off")),
    }
    Ok(true)
}

fn bytes(reader: &mut dyn Read, length: u64, most: u64) -> std::io::Result<Vec<u8>> {
    if length > most {
        return Err(malformed(&format!("a message claims {length} bytes, the most that is read is {most}")));
    }
    let mut bytes = Vec::with_capacity(length.min(BELIEVED) as usize);
    reader.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(malformed(&"it ends in the middle of a message: it is cut off"));
    }
    Ok(bytes)
}

/// Checks what a message claims; its schema, if that is what it is.
fn header(metadata: &[u8], body: &[u8]) -> Result<Option<Schema>, String> {
    let message: Message<'_> = root_as_message(metadata).map_err(|error| error.to_string())?;
    match message.header_type() {
        MessageHeader::Schema => Ok(message.header_as_schema().map(fb_to_schema)),
        MessageHeader::RecordBatch => check_batch(message.header_as_record_batch(), body).map(|()| None),
        MessageHeader::DictionaryBatch => {
            check_batch(message.header_as_dictionary_batch().and_then(|batch| batch.data()), body).map(|()| None)
        }
        _ => Ok(None),
    }
}

/// Compressed buffers begin with the length they decompress to.
fn check_batch(batch: Option<BatchHeader<'_>>, body: &[u8]) -> Result<(), String> {
    let Some(batch) = batch else { return Err("a message without its header".into()) };
    let Some(buffers) = batch.buffers().filter(|_| batch.compression().is_some()) else { return Ok(()) };
    let mut claimed = 0_u64;
    for buffer in buffers {
        let start = usize::try_from(buffer.offset()).map_err(|error| error.to_string())?;
        let length =
            body.get(start..).and_then(|rest| rest.first_chunk::<8>()).map(|length| i64::from_le_bytes(*length));
        // -1 is a buffer that is not compressed after all; others below zero the library refuses.
        claimed = claimed.saturating_add(length.and_then(|length| u64::try_from(length).ok()).unwrap_or_default());
    }
    if claimed > MOST_BODY {
        return Err(format!("a batch claims to decompress to {claimed} bytes, the most that is read is {MOST_BODY}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray},
        datatypes::{DataType, Field, Int32Type},
        ipc::{
            CompressionType,
            writer::{FileWriter, IpcWriteOptions, StreamWriter},
        },
    };
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        catalog::Blame,
        ingest::extract::{
            Format, RawColumn,
            gathered::{Setting, run},
        },
    };

    const FORMAT: Format = Format::Arrow {};

    fn batch(from: i64, rows: i64) -> RecordBatch {
        let words: DictionaryArray<Int32Type> = (from..from + rows).map(|i| Some(["a", "b"][i as usize % 2])).collect();
        let columns: [(&str, ArrayRef); 3] = [
            ("n", Arc::new(Int64Array::from_iter_values(from..from + rows))),
            ("word", Arc::new(words)),
            ("text", Arc::new(StringArray::from_iter((0..rows).map(|i| (i % 3 > 0).then(|| format!("t{i}")))))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch")
    }

    fn file(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
        let options = IpcWriteOptions::default().try_with_compression(compression).expect("options");
        let mut out = Vec::new();
        let mut writer = FileWriter::try_new_with_options(&mut out, &batches[0].schema(), options).expect("a writer");
        batches.iter().for_each(|batch| writer.write(batch).expect("a batch"));
        writer.finish().expect("a file");
        drop(writer);
        out
    }

    fn stream(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
        let options = IpcWriteOptions::default().try_with_compression(compression).expect("options");
        let mut out = Vec::new();
        let mut writer = StreamWriter::try_new_with_options(&mut out, &batches[0].schema(), options).expect("a writer");
        batches.iter().for_each(|batch| writer.write(batch).expect("a batch"));
        writer.finish().expect("a stream");
        drop(writer);
        out
    }

    #[test]
    fn files_and_streams_compressed_or_not_give_the_same_rows() {
        let batches = [batch(0, 4), batch(4, 20_000)];
        for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            for bytes in [file(&batches, compression), stream(&batches, compression)] {
                let gathered = run(&FORMAT, &bytes).expect("rows");
                assert_eq!(
                    gathered.rows()[..3],
                    [
                        json!({"n": "0", "word": "a"}),
                        json!({"n": "1", "word": "b", "text": "t1"}),
                        json!({"n": "2", "word": "a", "text": "t2"}),
                    ]
                );
                assert_eq!(gathered.positions(), (1..=20_004).collect::<Vec<_>>());
                assert!(gathered.batches.iter().all(|batch| batch.rows <= 8192 && !batch.sparse));
                let RawColumn::Typed(words) = &gathered.batches[0].columns[1] else { panic!("typed") };
                assert_eq!(*words.data_type(), DataType::Utf8);
            }
        }
    }

    #[test]
    fn only_wanted_columns_and_no_rows_at_all() {
        let bytes = file(&[batch(0, 2)], None);
        let gathered = Setting::default().wanted(&["text", "n", "zzz"]).run(&FORMAT, &bytes).expect("rows");
        assert_eq!(*gathered.batches[0].names, ["n", "text"]);
        for bytes in [file(&[batch(0, 0)], None), stream(&[batch(0, 0)], None)] {
            let gathered = run(&FORMAT, &bytes).expect("rows");
            assert_eq!((gathered.count(), gathered.batches[0].names.len()), (0, 3));
        }
    }

    #[test]
    fn types_we_do_not_have_and_names_twice_are_the_definitions() {
        let intervals = arrow::array::DurationSecondArray::from(vec![1]);
        let unknown = RecordBatch::try_from_iter([
            ("wait", Arc::new(intervals) as ArrayRef),
            ("n", Arc::new(Int64Array::from(vec![1]))),
        ]);
        let bytes = stream(&[unknown.expect("a batch")], None);
        let failure = run(&FORMAT, &bytes).expect_err("no type");
        assert!(failure.blame == Blame::Definition && failure.message.contains("`wait`"), "{failure}");
        assert_eq!(Setting::default().wanted(&["n"]).run(&FORMAT, &bytes).expect("rows").count(), 1);
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("n", DataType::Int64, true)]);
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let twice = RecordBatch::try_new(schema.into(), vec![column.clone(), column]).expect("a batch");
        assert!(
            run(&FORMAT, &stream(&[twice], None)).expect_err("twice").message.contains("two columns are called `n`")
        );
    }

    #[test]
    fn cut_off_files_are_upstreams() {
        let bytes = file(&[batch(0, 10)], None);
        for cut in 0..bytes.len() {
            let failure = run(&FORMAT, &bytes[..cut]).expect_err("cut off");
            assert_eq!(failure.blame, Blame::Upstream, "{cut}: {failure}");
        }
        let bytes = stream(&[batch(0, 10)], None);
        assert!(run(&FORMAT, &bytes[..bytes.len() - 20]).expect_err("cut off").message.contains("cut off"));
        assert!(run(&FORMAT, b"{\"a\": 1}\n").is_err());
    }

    #[test]
    fn claimed_lengths_are_not_believed() {
        let mut bytes = stream(&[batch(0, 100)], Some(CompressionType::ZSTD));
        let claim = bytes.windows(8).rposition(|window| window == 800_i64.to_le_bytes()).expect("a compressed buffer");
        bytes[claim..claim + 8].copy_from_slice(&(1_i64 << 45).to_le_bytes());
        let failure = run(&FORMAT, &bytes).expect_err("a bomb");
        assert!(failure.message.contains("claims to decompress"), "{failure}");
        let huge = [&CONTINUATION[..], &u32::MAX.to_le_bytes()].concat();
        assert!(run(&FORMAT, &huge).expect_err("huge").message.contains("claims"));
    }

    proptest! {
        #[test]
        fn mutations_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), zstd in any::<bool>()) {
            let compression = zstd.then_some(CompressionType::ZSTD);
            for mut bytes in [file(&[batch(0, 10)], compression), stream(&[batch(0, 10)], compression)] {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                let _ = run(&FORMAT, &bytes);
            }
        }
    }
}
