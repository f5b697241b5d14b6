//! The README is true: every setting and every command is in it, and it names no others.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect(name)
}

fn settings(text: &str) -> BTreeSet<String> {
    let pattern = regex::Regex::new("OPENSHELF_[A-Z_]+").expect("a pattern");
    pattern.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn every_setting_is_in_the_readme() {
    let commands = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands")).expect("the commands");
    let code: String = commands.map(|entry| fs::read_to_string(entry.expect("a file").path()).expect("text")).collect();
    let code: String = code.lines().filter(|line| line.contains("env = ")).collect();
    let (read, told) = (settings(&code), settings(&file("README.md")));
    assert!(read.len() > 8, "{read:?}");
    let missing: Vec<_> = read.difference(&told).collect();
    assert!(missing.is_empty(), "README.md says nothing of {missing:?}");
    // Read by scripts/start, not by the program.
    let others: Vec<_> = told.difference(&read).filter(|name| *name != "OPENSHELF_PROFILE").collect();
    assert!(others.is_empty(), "README.md names {others:?}, which nothing reads");
}

#[test]
fn every_command_is_in_the_readme() {
    let help = Command::new(env!("CARGO_BIN_EXE_openshelf")).arg("--help").output().expect("the program").stdout;
    let help = String::from_utf8(help).expect("text");
    let list =
        help.split("Commands:").nth(1).and_then(|rest| rest.split("Options:").next()).expect("a list of commands");
    let readme = file("README.md");
    let mut seen = 0;
    for line in list.lines() {
        let word = line.trim_start().split(' ').next().unwrap_or_default();
        if line.starts_with("  ") && !line.starts_with("   ") && !word.is_empty() && word != "help" {
            seen += 1;
            assert!(readme.contains(&format!("openshelf {word}")), "README.md says nothing of `openshelf {word}`");
        }
    }
    assert!(seen >= 8, "{help}");
}
