use std::{net::TcpListener, path::Path, time::Instant};

use serde_json::json;

use super::*;
use crate::{
    catalog::Blame,
    ingest::extract::{
        Format,
        gathered::{Gathered, Setting},
    },
};

/// A dataset's folder with one script.
fn setting(name: &str, text: &str) -> Setting {
    let mut setting = Setting::default();
    setting.folder = setting.scratch.path().join("dataset");
    std::fs::create_dir(&setting.folder).expect("a folder");
    let path = setting.folder.join(name);
    std::fs::write(&path, text).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    setting
}

fn format(input: ScriptInput) -> Format {
    Format::Script(Script { command: vec!["./transform".into(), "an argument".into()], input })
}

fn python(text: &str) -> Setting {
    setting("transform", &format!("#!/usr/bin/env python3\n{text}"))
}

fn run_script(setting: &Setting, input: &[u8]) -> Result<Gathered, Failure> {
    setting.run(&format(ScriptInput::Stream), input)
}

fn fails(setting: &Setting, input: &[u8]) -> String {
    let failure = run_script(setting, input).expect_err("a failure");
    assert_eq!(failure.blame, Blame::Definition, "{failure}");
    failure.message
}

/// Tests of what only namespaces can do; says so when the machine has none.
fn is_confined(setting: &Setting) -> bool {
    let full = Protection::of_this_machine(setting.scratch.path()) == Protection::Full;
    if !full {
        tracing::warn!("not tested: this machine has no user namespaces");
    }
    full
}

#[test]
fn lines_in_lines_out_with_what_was_said_kept() {
    let setting = python(
        "import sys, json\nfor line in sys.stdin:\n  print(json.dumps({'line': line.strip(), 'arg': sys.argv[1]}))\n\
         print('nearly done', file=sys.stderr)\n",
    );
    let gathered = run_script(&setting, b"one\ntwo\n").expect("rows");
    assert_eq!(
        gathered.rows(),
        [json!({"line": "one", "arg": "an argument"}), json!({"line": "two", "arg": "an argument"})]
    );
    assert_eq!(gathered.stderr.last().map(|said| said.trim()), Some("nearly done"));
}

#[test]
fn a_large_stream_both_ways_does_not_stick() {
    let setting = setting("transform", "#!/bin/sh\ncat\ncat /dev/zero | head -c 300000 | tr '\\0' e >&2\n");
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1000));
    let gathered = run_script(&setting, line.repeat(20_000).as_bytes()).expect("rows");
    assert_eq!(gathered.count(), 20_000);
    assert_eq!(gathered.stderr.last().map(String::len), Some(64 << 10));
}

#[test]
fn a_script_need_not_read_its_input() {
    let setting = setting("transform", "#!/bin/sh\nhead -c 3 >/dev/null; echo '{\"a\":1}'\n");
    assert_eq!(run_script(&setting, &vec![b'x'; 5 << 20]).expect("rows").count(), 1);
}

#[test]
fn arrow_streams_are_known_by_their_first_bytes() {
    let rows: arrow::array::ArrayRef = std::sync::Arc::new(arrow::array::Int64Array::from_iter_values(0..10));
    let batch = arrow::array::RecordBatch::try_from_iter([("n", rows)]).expect("a batch");
    let mut bytes = Vec::new();
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut bytes, &batch.schema()).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.finish().expect("a stream");
    let setting = setting("transform", "#!/bin/sh\nexec cat\n");
    assert_eq!(run_script(&setting, &bytes).expect("rows").rows()[9], json!({"n": "9"}));
    let message = fails(&setting, &bytes[..bytes.len() - 40]);
    assert!(message.contains("cut off"), "{message}");
}

#[test]
fn a_file_is_read_only_and_named_in_the_environment() {
    let mut setting = python(
        "import os, json, sys\npath = os.environ['OPENSHELF_FILE']\n\
         try:\n  open(path, 'ab'); written = True\nexcept OSError:\n  written = False\n\
         print(json.dumps({'name': os.path.basename(path), 'text': open(path).read(), 'in': sys.stdin.read(), 'written': written}))\n",
    );
    setting.member = Some("deep/er/data set.h5".into());
    let gathered = setting.run(&format(ScriptInput::File), b"bytes").expect("rows");
    let row = json!({"name": "dataset.h5", "text": "bytes", "in": "", "written": false});
    if is_confined(&setting) {
        assert_eq!(gathered.rows(), [row]);
    }
    let plain = setting.scratch.path().join("plain.bin");
    std::fs::write(&plain, "on disk").expect("a file");
    let gathered = setting.run_file(&format(ScriptInput::File), &plain).expect("rows");
    assert_eq!(gathered.rows()[0]["text"], "on disk");
    let left: Vec<_> = std::fs::read_dir(setting.scratch.path()).expect("scratch").collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn the_environment_is_bare() {
    let mut setting = setting("transform", "#!/bin/sh\nunset PWD OLDPWD SHLVL _\nenv | sort >&2\n");
    setting.member = Some("m".into());
    let gathered = run_script(&setting, b"").expect("no rows");
    let said = gathered.stderr.last().expect("the environment");
    let expected = "LANG=C.UTF-8\nOPENSHELF_MEMBER=m\nOPENSHELF_URL=https://example.org/data\n\
                    PATH=/usr/local/bin:/usr/bin:/bin\nTZ=UTC\n";
    assert_eq!(said, expected);
}

#[test]
fn there_is_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let setting = python(&format!(
        "import socket, json\ntry:\n  socket.create_connection(('127.0.0.1', {port}), 2); got = 'connected'\n\
         except OSError as error:\n  got = 'refused'\nprint(json.dumps({{'got': got}}))\n"
    ));
    if is_confined(&setting) {
        assert_eq!(run_script(&setting, b"").expect("rows").rows(), [json!({"got": "refused"})]);
        listener.set_nonblocking(true).expect("non-blocking");
        assert!(listener.accept().is_err());
    }
}

#[test]
fn files_can_be_neither_written_nor_seen() {
    let secret = tempfile::NamedTempFile::new().expect("a file");
    let secret_path = secret.path().display().to_string();
    let setting = python(&format!(
        "import json, os\n\
         def can(path):\n  try:\n    open(path, 'w'); return True\n  except OSError:\n    return False\n\
         writes = [p for p in ['x', '/dataset/transform', '/x', '/usr/x', '/etc/passwd', '/dev/x', '/proc/sys/kernel/core_pattern', '/proc/self/oom_score_adj'] if can(p)]\n\
         try:\n  os.chmod('/dev/null', 0o666); writes.append('chmod')\nexcept OSError:\n  pass\n\
         print(json.dumps({{'writes': writes, 'tmp': can('/tmp/x'), 'null': can('/dev/null'), 'secret': os.path.exists('{secret_path}'),\n\
         'home': os.path.exists('/root') or os.path.exists('/home'), 'pids': len([p for p in os.listdir('/proc') if p.isdigit()]),\n\
         'caps': [l.split()[1] for l in open('/proc/self/status') if l.startswith('CapEff') or l.startswith('CapBnd')]}}))\n"
    ));
    if !is_confined(&setting) {
        return;
    }
    let none = "0000000000000000";
    assert_eq!(
        run_script(&setting, b"").expect("rows").rows(),
        [
            json!({"writes": [], "tmp": true, "null": true, "secret": false, "home": false, "pids": 2, "caps": [none, none]})
        ]
    );
}

#[test]
fn a_failing_script_fails_the_run_with_its_last_words() {
    let setting = python("import sys\nprint('{\"a\":1}')\nsys.exit('no such column: b')\n");
    let message = fails(&setting, b"");
    assert!(message.contains("exit code 1") && message.contains("no such column: b"), "{message}");
    assert!(message.contains("./transform an argument"), "{message}");
    let killed = setting_of("#!/bin/sh\nkill -ABRT $$\n");
    assert!(fails(&killed, b"").contains("ended by signal 6"));
    let interpreter = setting_of("#!/usr/bin/env no-such-interpreter\n");
    assert!(fails(&interpreter, b"").contains("not found"));
}

fn setting_of(text: &str) -> Setting {
    setting("transform", text)
}

#[test]
fn a_script_that_is_not_there_or_not_executable_is_named() {
    let setting = setting("other", "#!/bin/sh\n");
    assert!(fails(&setting, b"").contains("transform"));
    std::fs::write(setting.folder.join("transform"), "#!/bin/sh\n").expect("a file");
    assert!(fails(&setting, b"").contains("chmod +x"));
}

#[test]
fn memory_is_limited() {
    let mut setting = python("data = []\nwhile True:\n  data.append(bytearray(10 << 20))\n");
    setting.caps.script_memory = 256 << 20;
    let message = fails(&setting, b"");
    assert!(message.contains("MemoryError"), "{message}");
}

#[test]
fn output_is_limited() {
    let mut setting = setting_of("#!/bin/sh\nyes '{\"a\":1}'\n");
    setting.caps.script_output = 1 << 20;
    let message = fails(&setting, b"");
    assert!(message.contains("more than 1048576 bytes"), "{message}");
}

#[test]
fn time_is_limited_and_nothing_stays_behind() {
    let mark = format!("31.{}", std::process::id());
    let mut setting = setting_of(&format!("#!/bin/sh\necho '{{}}'\n(sleep {mark}) &\nsleep {mark}\n"));
    setting.caps.script_time = std::time::Duration::from_millis(1500);
    let begun = Instant::now();
    let message = fails(&setting, &vec![b'x'; 1 << 20]);
    assert!(message.contains("longer than 1.5 seconds"), "{message}");
    assert!(begun.elapsed().as_secs() < 20);
    let sleepers = || {
        let processes = std::fs::read_dir("/proc").expect("processes").flatten();
        let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        lines.filter(|line| line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes())).count()
    };
    // The namespace is taken down by the kernel, in its own time.
    for _ in 0..50 {
        if sleepers() == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{} processes stayed behind", sleepers());
}

#[test]
fn a_sink_that_fails_ends_the_script() {
    let setting = setting_of("#!/bin/sh\nyes '{\"a\":1}'\n");
    let format = format(ScriptInput::Stream);
    let extraction = Extraction {
        format: &format,
        columns: &[],
        folder: &setting.folder,
        scratch: setting.scratch.path(),
        caps: &setting.caps,
        url: "u",
        member: None,
        wanted: None,
        stderr: &mut Vec::new(),
    };
    let input = Member { name: None, reader: &mut std::io::repeat(b'x'), plain: None };
    let failure = crate::ingest::extract::extract(extraction, input, &mut |_| Err(Failure::internal("disk full")));
    assert_eq!(failure.expect_err("the sink's").message, "disk full");
}

#[test]
fn without_namespaces_it_runs_and_says_what_is_missing() {
    for (protection, missing) in [(Protection::Limits, "user namespaces"), (Protection::Environment, "prlimit")] {
        let setting =
            python("import sys, os, json\nprint(json.dumps({'n': len(sys.stdin.read()), 'e': len(os.environ)}))\n");
        let Format::Script(script) = format(ScriptInput::Stream) else { unreachable!() };
        let (mut stderr, mut rows) = (Vec::new(), 0);
        let mut extraction = Extraction {
            format: &format(ScriptInput::Stream),
            columns: &[],
            folder: Path::new(&setting.folder),
            scratch: setting.scratch.path(),
            caps: &setting.caps,
            url: "u",
            member: None,
            wanted: None,
            stderr: &mut stderr,
        };
        let input = Member { name: None, reader: &mut &b"12345"[..], plain: None };
        run(&mut extraction, &script, input, protection, &mut |batch| {
            rows += batch.rows;
            Ok(())
        })
        .expect("rows");
        assert_eq!(rows, 1);
        assert!(stderr[0].contains(missing) && stderr[0].contains("not kept from the network"), "{stderr:?}");
    }
}
