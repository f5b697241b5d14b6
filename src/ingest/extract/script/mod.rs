//! Transform scripts: a program beside the definition turns a member's bytes into NDJSON or an Arrow IPC stream.
//!
//! It gets the decompressed bytes on standard input, or a read-only file whose path is in `OPENSHELF_FILE`; `OPENSHELF_URL`
//! and `OPENSHELF_MEMBER` say what they are. It runs confined ([`sandbox`]), with limits on time, memory and output.
//!
//! What it writes to standard error is kept (its end), whatever came of it.

use std::{
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use super::{Extraction, Member, Sink, spool::Spooled};
use crate::ingest::{
    Failure,
    definition::grammar::{Script, ScriptInput},
};

mod conversation;
mod sandbox;

use conversation::{Outcome, converse};
use sandbox::{Confinement, Protection, SETUP_FAILED};

/// Bytes of it that go into a message.
const STDERR_SHOWN: usize = 2 << 10;

/// Runs the script over one member.
///
/// # Errors
/// A script that is missing, fails, breaks a limit or writes what is neither NDJSON nor Arrow (definition); a member that
/// cannot be read; or the sink's.
pub(super) fn extract(
    extraction: &mut Extraction<'_>,
    script: &Script,
    input: Member<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    let protection = Protection::of_this_machine(extraction.scratch);
    run(extraction, script, input, protection, sink)
}

fn run(
    extraction: &mut Extraction<'_>,
    script: &Script,
    mut input: Member<'_>,
    protection: Protection,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    check_program(script, extraction.folder)?;
    let spooled = match script.input {
        ScriptInput::File => Some(Spooled::new(extraction, &mut input)?),
        ScriptInput::Stream => None,
    };
    let confinement = Confinement {
        command: &script.command,
        folder: extraction.folder,
        scratch: extraction.scratch,
        input: spooled.as_ref().map(|spooled| (spooled.path(), inside_name(extraction, spooled.path()))),
        environment: vec![
            ("OPENSHELF_URL", extraction.url.to_owned()),
            ("OPENSHELF_MEMBER", extraction.member.unwrap_or_default().to_owned()),
        ],
        memory: extraction.caps.script_memory,
    };
    let mut confined = confinement.with(protection)?;
    if let Some(missing) = confined.missing {
        extraction.stderr.push(missing.to_owned());
    }
    let stdin = if spooled.is_some() { Stdio::null() } else { Stdio::piped() };
    let name = script.command.join(" ");
    let mut child = start(confined.command.stdin(stdin), &name)?;
    let outcome = converse(extraction, &mut child, input.reader, &name, sink);
    let place = extraction.place();
    if !outcome.stderr.is_empty() {
        extraction.stderr.push(outcome.stderr.clone());
    }
    outcome.verdict(&place, &name)
}

fn start(command: &mut Command, name: &str) -> Result<Child, Failure> {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| Failure::internal(format!("cannot start `{name}`: {error}")))
}

fn check_program(script: &Script, folder: &Path) -> Result<(), Failure> {
    let Some(program) = script.command.first() else {
        return Err(Failure::definition("format key `command` is empty: it is the program and its arguments"));
    };
    let Some(name) = program.strip_prefix("./") else { return Ok(()) };
    let path = folder.join(name);
    match path.metadata() {
        Err(error) => Err(Failure::definition(format!("format key `command`: {}: {error}", path.display()))),
        Ok(found) if !found.is_file() => {
            Err(Failure::definition(format!("format key `command`: {} is no file", path.display())))
        }
        Ok(found) if found.permissions().mode() & 0o111 == 0 => Err(Failure::definition(format!(
            "format key `command`: {} is not executable: `chmod +x` it",
            path.display()
        ))),
        Ok(_) => Ok(()),
    }
}

/// What the input is called inside: upstream's name, as far as it is a plain one.
fn inside_name(extraction: &Extraction<'_>, path: &Path) -> String {
    let name = match extraction.member {
        Some(member) => member.rsplit('/').next().unwrap_or_default().to_owned(),
        None => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(100).collect();
    if name.trim_matches('.').is_empty() { "input".into() } else { name }
}

impl Outcome {
    fn verdict(self, place: &str, name: &str) -> Result<(), Failure> {
        if let Some(failure) = self.ours {
            return Err(failure);
        }
        let mut said = String::new();
        if !self.stderr.trim().is_empty() {
            let skipped = self.stderr.char_indices().rev().nth(STDERR_SHOWN).map_or(0, |(at, _)| at);
            said = format!("; its standard error ends: {}", self.stderr.get(skipped..).unwrap_or_default().trim());
        }
        if let Some(limit) = self.timed_out {
            return Err(Failure::definition(format!(
                "{place}: the script `{name}` ran longer than {} seconds (cap `script_time`) and was ended{said}",
                limit.as_secs_f64()
            )));
        }
        let status = self.status.map_err(|error| Failure::internal(format!("{place}: `{name}`: {error}")))?;
        match (status.code(), self.output) {
            (Some(0), output) => output,
            (Some(SETUP_FAILED), _) if self.stderr.contains("the sandbox could not be set up") => {
                Err(Failure::internal(format!("{place}: the script `{name}` could not be confined{said}")))
            }
            // The cap on output is why it ended, whatever it made of that.
            (_, Err(failure)) if failure.message.contains("`script_output`") => Err(failure),
            (_, output) => {
                let unread = output.err().map(|failure| format!("; {}", failure.message)).unwrap_or_default();
                Err(Failure::definition(format!(
                    "{place}: the script `{name}` failed: {}{unread}{said}",
                    ended(status)
                )))
            }
        }
    }
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code @ 129..=159) => format!("ended by signal {}", code - 128),
        Some(126) => "it cannot be executed (exit code 126)".into(),
        Some(127) => "it, or the interpreter in its first line, is not found (exit code 127)".into(),
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests;
