//! A newcomer's folder: definitions, a store and scratch space in a temporary place, and the real program run over them.
//!
//! ```ignore
//! let (origin, shop) = (Origin::start(), Shop::new());
//! origin.put("/a.csv", "id\n1\n");
//! shop.define("a", &table("a", &origin.url("/a.csv"), r#"{ type = "csv" }"#));
//! shop.ingest("a").published();
//! assert_eq!(shop.serve().rows("a", "a"), [json!({"id": 1})]);
//! ```
#![allow(dead_code, reason = "what one test module has no use for, the next one has")]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Longest that one run of the program may take before the test gives up on it.
const LONGEST_RUN: Duration = Duration::from_secs(120);
/// Longest that a server may take to say where it listens.
const LONGEST_START: Duration = Duration::from_secs(60);

/// Definitions, store and scratch of one test; gone when dropped.
pub(crate) struct Shop {
    home: TempDir,
    variables: Vec<(String, Option<String>)>,
}

impl Shop {
    /// Empty.
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for folder in ["datasets", "store", "scratch"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        Self { home, variables: Vec::new() }
    }

    /// Sets or removes an environment variable of the program.
    pub(crate) fn env(mut self, name: &str, value: Option<&str>) -> Self {
        self.variables.push((name.to_owned(), value.map(str::to_owned)));
        self
    }

    /// A path below the shop.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.home.path().join(inside)
    }

    /// Writes a definition: a head with title and license, then `text`, which may begin with top-level keys.
    pub(crate) fn define(&self, slug: &str, text: &str) {
        let head = format!(
            "title = \"{slug}\"\nlicense = {{ id = \"CC0-1.0\", url = \"https://creativecommons.org/publicdomain/zero/1.0/\", redistribution = \"open\" }}\n"
        );
        self.define_whole(slug, &(head + text));
    }

    /// Writes a definition as it is.
    pub(crate) fn define_whole(&self, slug: &str, text: &str) {
        self.beside(slug, "dataset.toml", text);
    }

    /// Puts a file beside a definition.
    pub(crate) fn beside(&self, slug: &str, name: &str, body: impl AsRef<[u8]>) {
        let path = self.path("datasets").join(slug).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, body).unwrap();
    }

    /// Puts an executable beside a definition.
    pub(crate) fn script(&self, slug: &str, name: &str, text: &str) {
        self.beside(slug, name, text);
        let path = self.path("datasets").join(slug).join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Copies a dataset of ours with everything beside its definition; `edit` changes the definition's text.
    pub(crate) fn ours(&self, slug: &str, edit: impl FnOnce(String) -> String) {
        let from = ours().join(slug);
        copy(&from, &self.path("datasets").join(slug));
        let text = fs::read_to_string(from.join("dataset.toml")).unwrap();
        self.define_whole(slug, &edit(text));
    }

    /// The program with these arguments and nothing of this process's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openshelf"));
        command.args(arguments).current_dir(self.home.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("OPENSHELF_") || name.starts_with("AWS_") || name.to_lowercase().ends_with("_proxy") {
                command.env_remove(&*name);
            }
        }
        command
            .env("OPENSHELF_STORE", self.path("store"))
            .env("OPENSHELF_DATASETS", self.path("datasets"))
            .env("OPENSHELF_SCRATCH", self.path("scratch"))
            .env("OPENSHELF_CONTACT", "tests@example.org")
            .env("OPENSHELF_ALLOW_PRIVATE_SOURCES", "1")
            .env("OPENSHELF_PAUSE_MS", "0")
            .env("OPENSHELF_BACKOFF_MS", "5");
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.start(arguments).wait()
    }

    /// Starts the program; its output goes to files so that nothing can fill up.
    pub(crate) fn start(&self, arguments: &[&str]) -> Started {
        let output = tempfile::tempdir_in(self.home.path()).unwrap();
        let file = |name| File::create(output.path().join(name)).unwrap();
        let child = self.command(arguments).stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
        Started { child, output, said: format!("openshelf {}", arguments.join(" ")) }
    }

    /// `openshelf ingest <slug> --json`.
    pub(crate) fn ingest(&self, slug: &str) -> Ran {
        self.run(&["ingest", slug, "--json"])
    }

    /// A server over the store, on a free port.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&["--listen", "127.0.0.1:0", "--limits", "off"])
    }

    /// A server with flags of one's own.
    pub(crate) fn serve_with(&self, flags: &[&str]) -> Server {
        let log = self.path("serve.log");
        let mut command = self.command(&["serve"]);
        let mut child = command.args(flags).stdout(Stdio::piped()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let (said, hear) = mpsc::channel();
        // Reads on, so that a server that keeps talking never waits for us.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("listening on ") {
                    said.send(url.trim().trim_end_matches('/').to_owned()).unwrap_or_default();
                }
            }
        });
        match hear.recv_timeout(LONGEST_START) {
            Ok(url) => Server { child, url, runtime: runtime(), client: client() },
            Err(_) => {
                child.kill().unwrap_or_default();
                panic!("the server did not say where it listens: {}", fs::read_to_string(log).unwrap_or_default());
            }
        }
    }

    /// The rows of a table, through a server of its own.
    pub(crate) fn rows(&self, dataset: &str, table: &str) -> Vec<Value> {
        self.serve().rows(dataset, table)
    }
}

/// The folder of our own definitions.
pub(crate) fn ours() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets")
}

/// `[[table]]` with its source's address and format; columns may follow.
pub(crate) fn table(name: &str, url: &str, format: &str) -> String {
    format!("[[table]]\nname = \"{name}\"\nsource = {{ url = \"{url}\" }}\nformat = {format}\n")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The program at work.
pub(crate) struct Started {
    child: Child,
    output: TempDir,
    said: String,
}

impl Started {
    /// Kills it (SIGKILL); true if it was still at work.
    pub(crate) fn kill(mut self) -> bool {
        let at_work = self.child.try_wait().unwrap().is_none();
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
        at_work
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ran {
        let deadline = Instant::now() + LONGEST_RUN;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap_or_default();
                panic!("{} did not end:\n{}", self.said, self.read("stderr"));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Ran { said: self.said.clone(), code: status.code(), stdout: self.read("stdout"), stderr: self.read("stderr") }
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.output.path().join(name)).unwrap_or_default()).into_owned()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().ok();
    }
}

/// A run of the program that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    said: String,
    /// `None`: killed by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The run record that `ingest --json` printed.
    #[track_caller]
    pub(crate) fn record(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_else(|| panic!("no run record: {self}"));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// Asserts that it published, and that no row vanished; the record.
    #[track_caller]
    pub(crate) fn published(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self}");
        let record = self.record();
        assert_eq!(record["outcome"], "published", "{self}");
        for table in record["tables"].as_array().unwrap() {
            let count = |key: &str| table[key].as_u64().unwrap();
            assert_eq!(count("read"), count("published") + count("rejected"), "rows have vanished: {table}");
        }
        record
    }

    /// Asserts that every row of every table read was published.
    #[track_caller]
    pub(crate) fn published_whole(&self) -> Value {
        let record = self.published();
        for table in record["tables"].as_array().unwrap() {
            assert_eq!(table["rejected"], 0, "{table}: {self}");
        }
        record
    }

    /// Asserts that upstream had nothing new.
    #[track_caller]
    pub(crate) fn unchanged(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self}");
        let record = self.record();
        assert_eq!(record["outcome"], "unchanged", "{self}");
        record
    }

    /// Asserts that the run failed with this exit code and blame, and that its message has these words.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, blame: &str, words: &[&str]) -> Value {
        assert_eq!(self.code, Some(code), "{self}");
        let record = self.record();
        assert_eq!(record["outcome"], "failed", "{self}");
        assert_eq!(record["blame"], blame, "{self}");
        let message = record["message"].as_str().unwrap();
        for word in words {
            assert!(message.contains(word), "`{word}` is missing from: {message}");
        }
        record
    }

    /// Asserts that the command was refused before it began.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[&str]) {
        assert_eq!(self.code, Some(2), "{self}");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is missing from: {self}");
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} → {:?}\nstdout: {}\nstderr: {}", self.said, self.code, self.stdout, self.stderr)
    }
}

/// A server; stops when dropped.
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:port`
    pub(crate) url: String,
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Server {
    /// GET of a path with query.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        let url = format!("{}{path}", self.url);
        self.runtime
            .block_on(async {
                let answer = self.client.get(&url).send().await?;
                let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
                Ok::<_, reqwest::Error>(Answer { status, headers, body: answer.bytes().await?.to_vec() })
            })
            .unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    /// POST of a JSON body.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let url = format!("{}{path}", self.url);
        self.runtime
            .block_on(async {
                let request = self.client.post(&url).header("content-type", "application/json");
                let answer = request.body(body.to_string()).send().await?;
                let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
                Ok::<_, reqwest::Error>(Answer { status, headers, body: answer.bytes().await?.to_vec() })
            })
            .unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    /// A JSON answer with status 200.
    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.body(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The body of an answer with status 200.
    #[track_caller]
    pub(crate) fn body(&self, path: &str) -> Vec<u8> {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.body
    }

    /// Every row of a table.
    #[track_caller]
    pub(crate) fn rows(&self, dataset: &str, table: &str) -> Vec<Value> {
        self.slice(dataset, table, "")
    }

    /// Rows of a table with further parameters, such as `&limit=3`.
    #[track_caller]
    pub(crate) fn slice(&self, dataset: &str, table: &str, more: &str) -> Vec<Value> {
        self.lines(&format!("/v1/datasets/{dataset}/tables/{table}/rows?format=ndjson{more}"))
    }

    /// The rejects of a table.
    #[track_caller]
    pub(crate) fn rejects(&self, dataset: &str, table: &str) -> Vec<Value> {
        self.lines(&format!("/v1/datasets/{dataset}/tables/{table}/rejects?format=ndjson"))
    }

    #[track_caller]
    fn lines(&self, path: &str) -> Vec<Value> {
        let body = self.body(path);
        let text = std::str::from_utf8(&body).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Name and type of each column.
    #[track_caller]
    pub(crate) fn columns(&self, dataset: &str, table: &str) -> Vec<(String, String)> {
        let about = self.json(&format!("/v1/datasets/{dataset}/tables/{table}"));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        about["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| (text(&column["name"]), text(&column["type"])))
            .collect()
    }

    /// The files of a table's current snapshot.
    #[track_caller]
    pub(crate) fn files(&self, dataset: &str, table: &str) -> Vec<Value> {
        let files = self.json(&format!("/v1/datasets/{dataset}/tables/{table}/files"));
        files["files"].as_array().unwrap().clone()
    }

    /// The number of the current snapshot.
    #[track_caller]
    pub(crate) fn snapshot(&self, dataset: &str) -> u64 {
        self.json(&format!("/v1/datasets/{dataset}"))["snapshot"].as_u64().unwrap()
    }

    /// The runs of a dataset, newest first.
    #[track_caller]
    pub(crate) fn runs(&self, dataset: &str) -> Vec<Value> {
        self.json(&format!("/v1/datasets/{dataset}/runs"))["runs"].as_array().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().ok();
    }
}

/// Waits for something that is asynchronous, on a thread that is not.
pub(crate) fn blocking<T>(work: impl Future<Output = T>) -> T {
    runtime().block_on(work)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}
