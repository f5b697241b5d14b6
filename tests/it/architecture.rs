//! The map in `src/lib.rs` against the tree: modules exist and are named, arrows point down only, paths and status codes
//! stay where they belong. One crate means that the compiler does not check this; so this does.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with its top-level module and its text, without what follows `#[cfg(test)]`.
fn modules() -> Vec<(String, PathBuf, String)> {
    let src = root().join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&src).expect("below src");
            let first = inside.iter().next().expect("a name").to_string_lossy();
            let module = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).expect("a source file");
            (module, inside.to_path_buf(), text)
        })
        .collect()
}

/// Which module may use which: the arrows of the map.
const ARROWS: [(&str, &[&str]); 8] = [
    ("catalog", &[]),
    ("config", &[]),
    ("store", &["catalog", "config"]),
    ("query", &["store", "catalog", "config"]),
    ("ingest", &["store", "catalog", "config"]),
    ("iceberg", &["store", "catalog"]),
    ("http", &["query", "iceberg", "catalog", "store", "config"]),
    ("commands", &["ingest", "http", "query", "iceberg", "store", "catalog", "config"]),
];

#[test]
fn arrows_point_down_only() {
    for (module, path, text) in modules() {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else { continue };
        let prefix = if module == "commands" { "openshelf::" } else { "crate::" };
        for (at, line) in text.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            for (name, _) in ARROWS.iter().filter(|(name, _)| *name != module) {
                let direct = line.contains(&format!("{prefix}{name}::")) || line.contains(&format!("{prefix}{name};"));
                assert!(!direct || allowed.contains(name), "{}:{}: `{module}` uses `{name}`", path.display(), at + 1);
            }
        }
        // `use crate::{catalog::…, store::…}` over several lines.
        for block in text.split(&format!("use {prefix}{{")).skip(1) {
            let block = block.split(';').next().unwrap_or_default();
            let mut depth = 0;
            let mut top = String::new();
            for c in block.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    c if depth == 0 => top.push(c),
                    _ => {}
                }
            }
            for item in top.split(',').map(str::trim) {
                let used = item.split("::").next().unwrap_or_default();
                let known = ARROWS.iter().any(|(name, _)| *name == used);
                let fine = !known || used == module || allowed.contains(&used);
                assert!(fine, "{}: `{module}` uses `{used}`", path.display());
            }
        }
    }
}

#[test]
fn every_top_level_module_is_on_the_map_and_the_map_names_nothing_else() {
    let map = fs::read_to_string(root().join("src/lib.rs")).expect("the map");
    let there: BTreeSet<String> = modules()
        .into_iter()
        .map(|(module, ..)| module)
        .filter(|name| !["lib", "main"].contains(&name.as_str()))
        .collect();
    let named: BTreeSet<String> = map
        .lines()
        .filter_map(|line| line.strip_prefix("//! - `")?.split('`').next())
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .collect();
    assert_eq!(there, named, "src/lib.rs lists the modules of src/");
}

#[test]
fn every_module_says_what_it_owns() {
    for (_, path, text) in modules() {
        let is_test = path.to_string_lossy().contains("tests");
        assert!(is_test || text.starts_with("//!"), "{} begins with no `//!`", path.display());
    }
}

#[test]
fn only_http_names_axum_and_only_the_fetcher_calls_out() {
    for (module, path, text) in modules() {
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
        let uses = |name: &str| code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"));
        assert!(module == "http" || !uses("axum"), "{} names axum", path.display());
        assert!(
            module == "http" || !code.contains("StatusCode::") || path.starts_with("ingest/fetch"),
            "{} names a status code",
            path.display()
        );
        let fetches = path.starts_with("ingest/fetch");
        assert!(fetches || !uses("reqwest"), "{} calls out", path.display());
    }
}

#[test]
fn time_is_an_argument() {
    for (module, path, text) in modules() {
        let reads = text.contains("Utc::now()") || text.contains("SystemTime::now()");
        let may =
            ["main", "commands"].contains(&module.as_str()) || path.ends_with("tests.rs") || path.starts_with("http");
        assert!(!reads || may, "{} reads the clock", path.display());
    }
}

#[test]
fn no_dataset_is_named_in_the_code() {
    let datasets: Vec<String> = fs::read_dir(root().join("datasets"))
        .expect("the definitions")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| root().join("datasets").join(name).join("dataset.toml").is_file())
        .collect();
    assert!(!datasets.is_empty(), "no definitions");
    for (_, path, text) in modules() {
        let code: String = text
            .split("#[cfg(test)]")
            .next()
            .unwrap_or_default()
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        if path.to_string_lossy().contains("tests") {
            continue;
        }
        for name in &datasets {
            assert!(!code.contains(&format!("\"{name}\"")), "{} names the dataset {name}", path.display());
        }
    }
}
