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
mod tests;
