//! Confines a program: no network, nothing of the machine's files but its programs and the dataset's folder, all
//! read-only, no rights, a bare environment, limits. With the programs `unshare`, `setpriv` and `prlimit` (util-linux),
//! because code of ours that runs between fork and exec would be unsafe. Where the machine has no user namespaces the
//! program runs with less, and the answer says with how much less.

use std::{
    io::ErrorKind,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::ingest::Failure;

const SETUP: &str = include_str!("sandbox.sh");
/// What the sandbox exits with when it cannot be set up.
pub(super) const SETUP_FAILED: i32 = 97;
/// Where a script finds programs.
const PATH: &str = "PATH=/usr/local/bin:/usr/bin:/bin";
/// Processes and threads at a time.
const MOST_PROCESSES: u32 = 1024;

/// What is to be confined, and with what.
#[derive(Debug)]
pub(super) struct Confinement<'a> {
    /// Program and arguments, relative to `folder`.
    pub(super) command: &'a [String],
    /// The dataset's folder: the working directory, read-only.
    pub(super) folder: &'a Path,
    /// Disposable local space.
    pub(super) scratch: &'a Path,
    /// A file it may read, and the name it has inside.
    pub(super) input: Option<(&'a Path, String)>,
    /// Variables beside `PATH`, `LANG` and `TZ`.
    pub(super) environment: Vec<(&'static str, String)>,
    /// Bytes of memory of each process, and of its /tmp.
    pub(super) memory: u64,
}

/// A command ready to be started.
pub(super) struct Confined {
    /// It; standard streams are the caller's to set.
    pub(super) command: Command,
    /// What protection is missing on this machine.
    pub(super) missing: Option<&'static str>,
    /// Keep until the command has ended.
    pub(super) _root: TempDir,
}

/// What this machine can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    /// Everything.
    Full,
    /// Limits only.
    Limits,
    /// Nothing but the bare environment.
    Environment,
}

const WITHOUT_NAMESPACES: &str = "this machine does not let us make user namespaces (`unshare --user`): the script was \
     not kept from the network, nor from reading and writing what this process may, nor from leaving processes behind; \
     only its environment, memory, time and output are limited";
const WITHOUT_LIMITS: &str = "this machine has neither user namespaces (`unshare --user`) nor `prlimit`: the script was \
     not kept from the network, nor from reading and writing what this process may, nor from leaving processes behind, \
     and its memory is not limited; only its environment, time and output are";

impl Protection {
    /// Found out once a process, by trying.
    pub(super) fn of_this_machine(scratch: &Path) -> Self {
        static FOUND: OnceLock<Protection> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let works = |protection| {
                let trial = Confinement {
                    command: &["true".to_owned()],
                    folder: scratch,
                    scratch,
                    input: None,
                    environment: Vec::new(),
                    memory: 1 << 30,
                };
                let Ok(mut confined) = trial.with(protection) else { return false };
                let silent = confined.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                silent.status().is_ok_and(|status| status.success())
            };
            let found = [Self::Full, Self::Limits].into_iter().find(|protection| works(*protection));
            let found = found.unwrap_or(Self::Environment);
            if let Some(missing) = found.missing() {
                tracing::warn!("transform scripts: {missing}");
            }
            found
        })
    }

    fn missing(self) -> Option<&'static str> {
        match self {
            Self::Full => None,
            Self::Limits => Some(WITHOUT_NAMESPACES),
            Self::Environment => Some(WITHOUT_LIMITS),
        }
    }
}

impl Confinement<'_> {
    /// The command that runs the program with this protection.
    ///
    /// # Errors
    /// Scratch cannot be written.
    pub(super) fn with(self, protection: Protection) -> Result<Confined, Failure> {
        let root = TempDir::new_in(self.scratch)
            .map_err(|error| Failure::internal(format!("cannot write to {}: {error}", self.scratch.display())))?;
        let folder = absolute(self.folder)?;
        let mut environment: Vec<_> = [PATH, "LANG=C.UTF-8", "TZ=UTC"].map(str::to_owned).into();
        environment.extend(self.environment.iter().map(|(name, value)| format!("{name}={value}")));
        let input = match &self.input {
            Some((path, name)) => Some((absolute(path)?, name.clone())),
            None => None,
        };
        if let Some((path, name)) = &input {
            let inside = match protection {
                Protection::Full => format!("/input/{name}"),
                _ => path.display().to_string(),
            };
            environment.push(format!("OPENSHELF_FILE={inside}"));
        }
        let limits = [
            "prlimit".to_owned(),
            format!("--as={}", self.memory),
            "--core=0".to_owned(),
            format!("--nproc={MOST_PROCESSES}"),
            "--".to_owned(),
        ];
        let mut command = match protection {
            Protection::Full => {
                let mut command = Command::new("unshare");
                command
                    .args(["--user", "--map-root-user", "--net", "--mount", "--pid", "--ipc", "--uts"])
                    .args(["--fork", "--kill-child", "--propagation", "private", "--"])
                    .args(["sh", "-c", SETUP, "sandbox"])
                    .arg(root.path())
                    .arg(&folder);
                let (path, name) = input.unwrap_or_default();
                command.arg(path).arg(name).arg(self.memory.to_string()).args(&limits).args(["env", "-i"]);
                command
            }
            Protection::Limits => {
                let mut command = Command::new("prlimit");
                // Processes are counted by user here, and the user has others.
                command.args([&limits[1], &limits[2]]).args(["--", "env", "-i"]);
                command
            }
            Protection::Environment => {
                let mut command = Command::new("env");
                command.arg("-i");
                command
            }
        };
        command.args(environment).args(self.command).current_dir(&folder).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        Ok(Confined { command, missing: protection.missing(), _root: root })
    }
}

fn absolute(path: &Path) -> Result<std::path::PathBuf, Failure> {
    path.canonicalize().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::definition(format!("{}: not found", path.display())),
        _ => Failure::internal(format!("{}: {error}", path.display())),
    })
}
