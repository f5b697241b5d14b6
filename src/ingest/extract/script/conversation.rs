//! Talking with a running script: standard input is fed, standard output read and standard error kept at the same time,
//! each by a thread of its own, so that none waits for another; the caller's thread reads the member and hands on the
//! batches, because neither may leave it.

use std::{
    io::{BufReader, ErrorKind, Read, Write},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use crate::ingest::{
    Failure,
    extract::{Extraction, RawBatch, Sink, arrow, ndjson, read_failure},
};

/// Bytes of standard error that are kept.
const STDERR_TAIL: usize = 64 << 10;
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks on their way to standard input.
const CHUNKS: usize = 2;
/// How long a script whose output is unreadable may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// What an Arrow IPC stream begins with.
const ARROW_STREAM: [u8; 4] = [0xff; 4];

/// How a script ended.
pub(super) struct Outcome {
    pub(super) status: std::io::Result<ExitStatus>,
    /// What stopped us: the member, the sink.
    pub(super) ours: Option<Failure>,
    /// What is wrong with its output.
    pub(super) output: Result<(), Failure>,
    pub(super) timed_out: Option<Duration>,
    pub(super) stderr: String,
}

/// What the threads tell the caller's.
enum Event {
    /// Rows.
    Batch(RawBatch),
    /// Standard input took a chunk.
    Fed,
    /// Standard input takes no more.
    FeedOver,
    /// Standard output was read to its end, or could not be.
    Read(Result<(), Failure>),
}

/// Feeds, reads and waits for the script.
pub(super) fn converse(
    extraction: &Extraction<'_>,
    child: &mut Child,
    member: &mut dyn Read,
    name: &str,
    sink: &mut Sink<'_>,
) -> Outcome {
    let group = child.id();
    let timed_out = AtomicBool::new(false);
    let limit = extraction.caps.script_time;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (events, heard) = sync_channel(CHUNKS + 2);
    let (over, waits) = channel();
    thread::scope(|scope| {
        let is_late = &timed_out;
        let timer = scope.spawn(move || watch(&waits, limit, group, is_late));
        let said = scope.spawn(|| stderr.map(tail).unwrap_or_default());
        let output = stdout.map(|stdout| (stdout, events.clone()));
        scope.spawn(|| {
            if let Some((stdout, events)) = output {
                let mut hand_on =
                    |batch| events.send(Event::Batch(batch)).map_err(|_| Failure::internal("the run is over"));
                let read = read_output(extraction, stdout, name, &mut hand_on);
                let _ = events.send(Event::Read(read));
            }
        });
        let chunks = stdin.map(|stdin| {
            let (chunks, taken) = sync_channel(CHUNKS);
            let events = events.clone();
            scope.spawn(move || feed(stdin, &taken, &events));
            chunks
        });
        drop(events);
        let (ours, output) = direct(extraction, member, chunks, &heard, child, sink);
        let status = child.wait();
        let _ = over.send(());
        let _ = timer.join();
        let stderr = said.join().unwrap_or_default();
        let timed_out = timed_out.load(Ordering::SeqCst).then_some(limit);
        Outcome { status, ours, output, timed_out, stderr }
    })
}

/// The caller's thread: reads the member as fast as the script takes it, hands on the batches as they come.
fn direct(
    extraction: &Extraction<'_>,
    member: &mut dyn Read,
    mut chunks: Option<SyncSender<Vec<u8>>>,
    heard: &Receiver<Event>,
    child: &mut Child,
    sink: &mut Sink<'_>,
) -> (Option<Failure>, Result<(), Failure>) {
    let group = child.id();
    let (mut ours, mut output, mut credit) = (None, Ok(()), CHUNKS);
    loop {
        while credit > 0 && chunks.is_some() && ours.is_none() {
            match next_chunk(member) {
                Ok(chunk) if chunk.is_empty() => chunks = None,
                Ok(chunk) => {
                    credit -= 1;
                    if chunks.as_ref().is_some_and(|chunks| chunks.send(chunk).is_err()) {
                        chunks = None;
                    }
                }
                Err(error) => ours = Some(read_failure(error, &extraction.place())),
            }
        }
        if ours.is_some() && chunks.take().is_some() {
            kill(group);
        }
        match heard.recv() {
            Ok(Event::Batch(batch)) => {
                if ours.is_none()
                    && let Err(failure) = sink(batch)
                {
                    ours = Some(failure);
                    kill(group);
                }
            }
            Ok(Event::Fed) => credit += 1,
            Ok(Event::FeedOver) => chunks = None,
            Ok(Event::Read(read)) => {
                output = read;
                if output.is_err() {
                    // Nothing more comes of it; its output is closed, which ends most programs by themselves.
                    chunks = None;
                    wait_a_little(child);
                }
            }
            // Every thread is done.
            Err(_) => return (ours, output),
        }
    }
}

fn next_chunk(member: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    member.take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

/// Writes chunks to standard input; a script need not read them all.
fn feed(mut stdin: ChildStdin, taken: &Receiver<Vec<u8>>, events: &SyncSender<Event>) {
    while let Ok(chunk) = taken.recv() {
        if stdin.write_all(&chunk).is_err() || events.send(Event::Fed).is_err() {
            break;
        }
    }
    drop(stdin);
    let _ = events.send(Event::FeedOver);
}

/// Reads standard output as what its first bytes say it is.
fn read_output(extraction: &Extraction<'_>, stdout: impl Read, name: &str, sink: &mut Sink<'_>) -> Result<(), Failure> {
    let place = format!("{}: output of `{name}`", extraction.place());
    let capped =
        Capped { inner: stdout, left: extraction.caps.script_output, most: extraction.caps.script_output, name };
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, capped);
    let mut head = Vec::new();
    (&mut reader).take(4).read_to_end(&mut head).map_err(|error| read_failure(error, &place))?;
    let is_arrow = head == ARROW_STREAM;
    let mut whole = head.chain(reader);
    let read = if is_arrow {
        arrow::stream(extraction, &mut whole, sink)
    } else {
        ndjson::read(&mut whole, &place, extraction.wanted, extraction.caps, sink)
    };
    // Whatever is wrong with it, it is the script's doing.
    read.map_err(|failure| Failure::definition(failure.message))
}

/// Lets so many bytes through.
struct Capped<'a, R> {
    inner: R,
    left: u64,
    most: u64,
    name: &'a str,
}

impl<R: Read> Read for Capped<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.inner.read(buffer)?;
        match self.left.checked_sub(got as u64) {
            Some(left) => {
                self.left = left;
                Ok(got)
            }
            None => Err(std::io::Error::other(Failure::definition(format!(
                "the script `{}` wrote more than {} bytes (cap `script_output`) and was ended",
                self.name, self.most
            )))),
        }
    }
}

/// The end of standard error.
fn tail(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    let mut chunk = vec![0; 8 << 10];
    loop {
        match stderr.read(&mut chunk) {
            Ok(0) => break,
            Ok(got) => {
                kept.extend_from_slice(chunk.get(..got).unwrap_or_default());
                if kept.len() > 2 * STDERR_TAIL {
                    kept.drain(..kept.len() - STDERR_TAIL);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    kept.drain(..kept.len().saturating_sub(STDERR_TAIL));
    String::from_utf8_lossy(&kept).into_owned()
}

/// Ends the script when its time is up.
fn watch(waits: &Receiver<()>, limit: Duration, group: u32, timed_out: &AtomicBool) {
    if waits.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
        timed_out.store(true, Ordering::SeqCst);
        kill(group);
    }
}

fn wait_a_little(child: &mut Child) {
    let step = Duration::from_millis(20);
    for _ in 0..GRACE.as_millis() / step.as_millis() {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(step);
    }
    kill(child.id());
}

/// Ends the whole process group; with `unshare --kill-child` that ends the whole namespace.
fn kill(group: u32) {
    let kill = format!("kill -KILL -{group}");
    let _ = Command::new("sh").args(["-c", &kill]).stdin(Stdio::null()).stderr(Stdio::null()).status();
}
