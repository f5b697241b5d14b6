//! An S3 server of one's own: SeaweedFS from PyPI on free loopback ports, over a temporary folder, killed by its id.

use std::{
    fs::{self, File},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Longest that it may take to answer.
const LONGEST_START: Duration = Duration::from_secs(90);
/// The keys it knows.
pub(crate) const KEY: &str = "openshelf-test";
pub(crate) const SECRET: &str = "not-a-secret";

/// Running; killed when the last test is done with it.
pub(crate) struct Seaweed {
    child: Child,
    /// `127.0.0.1:port`
    pub(crate) address: String,
    _home: TempDir,
}

static RUNNING: Mutex<Weak<Seaweed>> = Mutex::new(Weak::new());

impl Seaweed {
    /// The one that runs, or a new one. `None` where tests that need tools are left out.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        let Some(python) = std::env::var_os("OPENSHELF_TEST_PYTHON") else {
            if std::env::var_os("OPENSHELF_TEST_FAST").is_some_and(|value| value == "1") {
                return None;
            }
            panic!(
                "OPENSHELF_TEST_PYTHON is not set: run scripts/tools first, then OPENSHELF_TEST_PYTHON=$PWD/.venv/bin/python cargo test \
                 (scripts/test does both); OPENSHELF_TEST_FAST=1 leaves this test out"
            );
        };
        let mut running = RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(running) = running.upgrade() {
            return Some(running);
        }
        let weed = std::path::Path::new(&python).with_file_name("weed");
        let started = Arc::new(Self::start(&weed));
        *running = Arc::downgrade(&started);
        Some(started)
    }

    fn start(weed: &std::path::Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        let keys = serde_json::json!({"identities": [
            {"name": "test", "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
             "actions": ["Admin", "Read", "Write", "List", "Tagging"]},
            // Buckets are made without a signature.
            {"name": "anonymous", "actions": ["Admin"]},
        ]});
        fs::write(home.path().join("s3.json"), keys.to_string()).unwrap();
        fs::create_dir(home.path().join("data")).unwrap();
        // Held together while they are chosen, so that they differ.
        let held: Vec<TcpListener> = (0..8).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = held.iter().map(|port| port.local_addr().unwrap().port()).collect();
        drop(held);
        let names = [
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "s3.port",
            "s3.port.grpc",
        ];
        let log = home.path().join("log");
        let mut command = Command::new(weed);
        command.arg("server").arg("-ip=127.0.0.1").arg("-ip.bind=127.0.0.1").arg("-s3").arg("-filer");
        command.arg(format!("-dir={}", home.path().join("data").display()));
        command.arg(format!("-s3.config={}", home.path().join("s3.json").display()));
        command.args(["-volume.max=200", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.args(names.iter().zip(&ports).map(|(name, port)| format!("-{name}={port}")));
        command.current_dir(home.path()).stdin(Stdio::null());
        command.stdout(File::create(&log).unwrap()).stderr(File::options().append(true).open(&log).unwrap());
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}; run scripts/tools", weed.display()));
        let mut started = Self { child, address: format!("127.0.0.1:{}", ports[6]), _home: home };
        let deadline = Instant::now() + LONGEST_START;
        // It answers before it can store anything.
        while !started.try_bucket("ready") {
            let ended = started.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                panic!("SeaweedFS does not answer: {}", fs::read_to_string(log).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        started
    }

    fn try_bucket(&self, name: &str) -> bool {
        let put = |path: &str, body: &'static str| {
            let url = format!("http://{}/{path}", self.address);
            crate::shop::blocking(async move {
                let client = reqwest::Client::builder().no_proxy().build().unwrap();
                client.put(url).body(body).send().await.is_ok_and(|answer| answer.status().is_success())
            })
        };
        put(name, "") && put(&format!("{name}/first"), "x")
    }

    /// A new bucket.
    pub(crate) fn bucket(&self, name: &str) {
        assert!(self.try_bucket(name), "no bucket {name}");
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        // Asked politely it takes half a minute.
        self.child.kill().unwrap_or_default();
        self.child.wait().ok();
    }
}
