//! Files and archives to members: zip, tar (compressed or not), and anything else as its own single member.
//!
//! Members are streamed in the archive's order and never unpacked to paths, so their names are only ever compared.
#![expect(clippy::disallowed_types, reason = "the one place where archives are opened")]

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, Read, Seek},
    ops::ControlFlow,
    path::Path,
    rc::Rc,
    sync::Arc,
};

use super::{
    Member,
    decompress::{self, BUFFER, Counted, Guarded, Peeked, Plain},
    failure_within, read_failure,
};
use crate::{
    config::Caps,
    ingest::{Failure, progress::Stage},
};

/// Names of members kept for a message.
const NAMES_KEPT: usize = 10;
/// Longest member that is read as text.
const LONGEST_TEXT: u64 = 1 << 20;

/// What a file turned out to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Members handed on.
    pub matched: u64,
    /// The first few names there are, wanted or not; empty when the file is no archive.
    pub names: Vec<String>,
}

type Visit<'v> = dyn FnMut(Member<'_>) -> Result<ControlFlow<()>, Failure> + 'v;

/// Hands on the members of the file at `path` that are `wanted`, in the archive's order, decompressed; a file that is no
/// archive is one member without a name, wanted or not. Directories, links and `__MACOSX/` entries are passed over.
/// `label` names the file in messages.
///
/// An archive in which nothing is wanted is no error here: the count says so, and the names help to say it well.
///
/// # Errors
/// A file that cannot be read (internal); a damaged, cut-off or encrypted archive, or one beyond a cap (upstream);
/// whatever `each` returns.
pub fn members(
    path: &Path,
    label: &str,
    wanted: &dyn Fn(&str) -> bool,
    caps: &Caps,
    each: &mut dyn FnMut(Member<'_>) -> Result<(), Failure>,
) -> Result<Members, Failure> {
    walk(path, label, None, wanted, caps, &mut |member| each(member).map(ControlFlow::Continue))
}

/// [`members`], with `stage` told of the bytes of the file that are read.
///
/// # Errors
/// As [`members`].
pub fn members_told(
    path: &Path,
    label: &str,
    stage: Option<&Arc<Stage>>,
    wanted: &dyn Fn(&str) -> bool,
    caps: &Caps,
    each: &mut dyn FnMut(Member<'_>) -> Result<(), Failure>,
) -> Result<Members, Failure> {
    walk(path, label, stage, wanted, caps, &mut |member| each(member).map(ControlFlow::Continue))
}

/// Hands on the whole file at `path`, decompressed but not unpacked: for scripts that read an archive themselves. `stage` is
/// told of the bytes of the file that are read.
///
/// # Errors
/// As [`members`].
pub fn whole(
    path: &Path,
    label: &str,
    stage: Option<&Arc<Stage>>,
    caps: &Caps,
    each: &mut dyn FnMut(Member<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Plain { mut reader, compressed } = open(path, label, stage, caps)?;
    let plain = (!compressed).then_some(path);
    each(Member { name: None, reader: &mut reader, plain })
}

/// The text of one member, without reading further than it; none if there is no such member.
///
/// # Errors
/// As [`members`]; a member that is not UTF-8 or longer than 1 MiB (upstream).
pub fn member_text(path: &Path, name: &str, caps: &Caps) -> Result<Option<String>, Failure> {
    let label = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let mut text = None;
    walk(path, &label, None, &|member| member == name, caps, &mut |member| {
        if member.name.is_none() {
            return Ok(ControlFlow::Break(()));
        }
        let place = format!("{label}#{name}");
        let mut bytes = Vec::new();
        member.reader.take(LONGEST_TEXT + 1).read_to_end(&mut bytes).map_err(|error| read_failure(error, &place))?;
        if bytes.len() as u64 > LONGEST_TEXT {
            return Err(Failure::upstream(format!("{place}: longer than {LONGEST_TEXT} bytes, too long for a text")));
        }
        text = Some(String::from_utf8(bytes).map_err(|_| Failure::upstream(format!("{place}: not UTF-8")))?);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(text)
}

fn walk(
    path: &Path,
    label: &str,
    stage: Option<&Arc<Stage>>,
    wanted: &dyn Fn(&str) -> bool,
    caps: &Caps,
    visit: &mut Visit<'_>,
) -> Result<Members, Failure> {
    let unreadable = |error: io::Error| Failure::internal(format!("{}: cannot be read: {error}", path.display()));
    let mut file = File::open(path).map_err(unreadable)?;
    let mut head = Vec::new();
    (&mut file).take(4).read_to_end(&mut head).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    if is_zip(&head) {
        return zip_members(Told { file, stage: stage.cloned() }, path, label, wanted, caps, visit);
    }
    drop(file);
    let Plain { mut reader, compressed } = open(path, label, stage, caps)?;
    if is_tar(reader.head()) {
        return tar_members(reader, label, wanted, caps, visit);
    }
    if compressed && is_zip(reader.head()) {
        return Err(Failure::definition(format!("{label}: a zip archive inside a compressed file is not read")));
    }
    let plain = (!compressed).then_some(path);
    visit(Member { name: None, reader: &mut reader, plain }).map(|_| Members { matched: 1, names: Vec::new() })
}

fn open<'a>(path: &Path, label: &str, stage: Option<&Arc<Stage>>, caps: &Caps) -> Result<Plain<'a>, Failure> {
    let file =
        File::open(path).map_err(|error| Failure::internal(format!("{}: cannot be read: {error}", path.display())))?;
    let file = Told { file, stage: stage.cloned() };
    let origin = Rc::new(Cell::new(0));
    let counted = Counted { inner: Box::new(BufReader::with_capacity(BUFFER, file)), consumed: Rc::clone(&origin) };
    decompress::plain(Box::new(counted), label, &origin, caps)
}

fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// A tar header has its own checksum at bytes 148 to 155: the sum of all bytes, with that field as spaces. Older
/// archives have no magic, and text cannot have this.
fn is_tar(head: &[u8]) -> bool {
    let (Some(header), Some(written)) = (head.get(..512), head.get(148..156)) else { return false };
    let digits: Vec<u8> = written.iter().copied().skip_while(|b| *b == b' ').take_while(u8::is_ascii_digit).collect();
    let Some(written) = std::str::from_utf8(&digits).ok().and_then(|digits| u32::from_str_radix(digits, 8).ok()) else {
        return false;
    };
    let sum = header.iter().enumerate().map(|(at, b)| if (148..156).contains(&at) { 32 } else { u32::from(*b) });
    written == sum.sum::<u32>()
}

/// Whether a name belongs to what macOS adds for itself.
fn is_macos(name: &str) -> bool {
    name.split('/').any(|part| part == "__MACOSX") || name.rsplit('/').next().is_some_and(|file| file.starts_with("._"))
}

impl Members {
    /// Takes note of a name; tells whether the member is to be handed on.
    fn note(&mut self, name: &str, wanted: &dyn Fn(&str) -> bool) -> bool {
        if is_macos(name) {
            return false;
        }
        if self.names.len() < NAMES_KEPT {
            self.names.push(name.to_owned());
        }
        let wanted = wanted(name);
        self.matched += u64::from(wanted);
        wanted
    }
}

/// Hands on one member's bytes, which may be compressed themselves.
fn hand_on<'a>(
    name: String,
    bytes: Box<dyn Read + 'a>,
    place: &str,
    origin: &Rc<Cell<u64>>,
    caps: &Caps,
    visit: &mut Visit<'_>,
) -> Result<ControlFlow<()>, Failure> {
    let buffered = Box::new(BufReader::with_capacity(BUFFER, bytes));
    let mut plain = decompress::plain(buffered, place, origin, caps)?;
    visit(Member { name: Some(name), reader: &mut plain.reader, plain: None })
}

fn zip_members(
    file: Told,
    path: &Path,
    label: &str,
    wanted: &dyn Fn(&str) -> bool,
    caps: &Caps,
    visit: &mut Visit<'_>,
) -> Result<Members, Failure> {
    let mut archive =
        zip::ZipArchive::new(BufReader::with_capacity(BUFFER, file)).map_err(|error| zip_failure(error, label))?;
    // Office documents are zip archives by their bytes. Where no member is asked for by name, such a file is one document.
    if archive.file_names().any(|name| name == "[Content_Types].xml" || name == "mimetype")
        && archive.file_names().all(wanted)
    {
        let mut document = File::open(path).map_err(|error| read_failure(error, label))?;
        return visit(Member { name: None, reader: &mut document, plain: Some(path) })
            .map(|_| Members { matched: 1, names: Vec::new() });
    }
    let mut found = Members::default();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| zip_failure(error, label))?;
        // Some programs on Windows write backslashes.
        let name = if entry.name().contains('/') { entry.name().to_owned() } else { entry.name().replace('\\', "/") };
        let (is_file, encrypted, size) =
            (entry.is_file() && !name.ends_with('/'), entry.encrypted(), entry.compressed_size());
        drop(entry);
        if !is_file || !found.note(&name, wanted) {
            continue;
        }
        let place = format!("{label}#{name}");
        if encrypted {
            return Err(Failure::upstream(format!("{place}: is encrypted; a member behind a password cannot be read")));
        }
        let entry = archive.by_index(index).map_err(|error| zip_failure(error, &place))?;
        // A zip reader takes no more than the declared compressed size, so that is what the ratio is measured against.
        let origin = Rc::new(Cell::new(size));
        let guarded = Guarded::new(Box::new(entry), &place, "zip", Rc::clone(&origin), Rc::clone(&origin), caps);
        if hand_on(name, Box::new(guarded), &place, &origin, caps, visit)?.is_break() {
            break;
        }
    }
    Ok(found)
}

fn zip_failure(error: zip::result::ZipError, place: &str) -> Failure {
    match error {
        zip::result::ZipError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Failure::upstream(format!("{place}: the zip archive is cut off: {error}"))
        }
        zip::result::ZipError::Io(error) => read_failure(error, place),
        error => Failure::upstream(format!("{place}: the zip archive cannot be read, damaged or cut off: {error}")),
    }
}

fn tar_members(
    reader: Peeked<'_>,
    label: &str,
    wanted: &dyn Fn(&str) -> bool,
    caps: &Caps,
    visit: &mut Visit<'_>,
) -> Result<Members, Failure> {
    let origin = Rc::new(Cell::new(0));
    let mut archive = tar::Archive::new(Counted { inner: Box::new(reader), consumed: Rc::clone(&origin) });
    let failure = |error: io::Error| tar_failure(&error, label, origin.get());
    let mut found = Members::default();
    for entry in archive.entries().map_err(failure)? {
        let entry = entry.map_err(failure)?;
        let kind = entry.header().entry_type();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.strip_prefix("./").map_or(name.as_str(), |rest| rest).to_owned();
        let is_file = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse();
        if !is_file || name.ends_with('/') || !found.note(&name, wanted) {
            continue;
        }
        let place = format!("{label}#{name}");
        let size = entry.size();
        let whole = Whole { inner: Box::new(entry), left: size, place: place.clone() };
        // What is compressed inside is measured against the member's own size.
        if hand_on(name, Box::new(whole), &place, &Rc::new(Cell::new(size)), caps, visit)?.is_break() {
            return Ok(found);
        }
    }
    // To the end, so that the checksum behind a compressed archive is verified.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(failure)?;
    Ok(found)
}

fn tar_failure(error: &io::Error, label: &str, at: u64) -> Failure {
    // The tar reader wraps what the reader below it said.
    failure_within(error).unwrap_or_else(|| {
        Failure::upstream(format!("{label}: the tar archive is damaged or cut off at byte {at}: {error}"))
    })
}

/// A file that tells a stage how much of it is read.
struct Told {
    file: File,
    stage: Option<Arc<Stage>>,
}

impl Read for Told {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        if let Some(stage) = &self.stage {
            stage.advance(read as u64);
        }
        Ok(read)
    }
}

impl Seek for Told {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// A tar member that ends before its declared size is cut off; the tar reader alone would call that its end.
struct Whole<'a> {
    inner: Box<dyn Read + 'a>,
    left: u64,
    place: String,
}

impl Read for Whole<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(into)?;
        self.left = self.left.saturating_sub(read as u64);
        if read == 0 && self.left > 0 {
            return Err(io::Error::other(Failure::upstream(format!(
                "{}: the tar archive is cut off, {} bytes of this member are missing",
                self.place, self.left
            ))));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
