//! Status documents (Wikimedia's `dumpstatus.json`): which run is complete, and which files it has, with size and
//! checksum. A run that is still being written is never taken.

use serde_json::Value as Json;
use url::Url;

use super::{
    listing::{bind, compile},
    order::natural,
    template::{Bindings, Template},
};
use crate::ingest::{
    Failure,
    definition::grammar::{ChecksumKind, Status},
    fetch::{Fetcher, Found, RemoteFile},
};

/// Most candidates asked for their status.
const MOST_CANDIDATES: usize = 50;

/// The run that was taken.
#[derive(Debug)]
pub(super) struct Picked {
    /// The candidate's variables.
    pub(super) bindings: Bindings,
    /// Its files in natural order, with what `match` binds.
    pub(super) files: Vec<(RemoteFile, Bindings)>,
    /// Newer runs that were not ready, and why.
    pub(super) passed_over: Vec<String>,
}

/// Takes the newest candidate that is ready. An error string says why none is.
pub(super) async fn pick(
    fetcher: &Fetcher,
    status: &Status,
    candidates: Vec<Bindings>,
) -> Result<Result<Picked, String>, Failure> {
    let template = Template::parse(&status.url).map_err(Failure::definition)?;
    let mut addressed: Vec<(String, Bindings)> = Vec::with_capacity(candidates.len());
    for bindings in candidates {
        addressed.push((template.fill(&bindings).map_err(Failure::definition)?, bindings));
    }
    addressed.sort_by(|(a, _), (b, _)| natural(b, a));
    addressed.dedup_by(|(a, _), (b, _)| a == b);
    let mut passed_over = Vec::new();
    for (url, bindings) in addressed.into_iter().take(MOST_CANDIDATES) {
        let document = match fetcher.document(&url).await? {
            Found::Document(document) => document,
            Found::Missing { reason } => {
                passed_over.push(reason);
                continue;
            }
        };
        if document.is_html() {
            return Err(Failure::upstream(format!("{url}: an HTML page came in place of a status document")));
        }
        match ready_files(&document.text, status) {
            Ok(files) => {
                let files = select(files, status, &url)?;
                return Ok(Ok(Picked { bindings, files, passed_over }));
            }
            Err(reason) => passed_over.push(format!("{url}: {reason}")),
        }
    }
    Ok(Err(format!("no run is complete: {}", passed_over.join("; "))))
}

/// The files of a document that says it is ready, by name; else the reason.
fn ready_files(text: &str, status: &Status) -> Result<Vec<(String, Json)>, String> {
    let document: Json = serde_json::from_str(text).map_err(|error| format!("no JSON (yet): {error}"))?;
    if let Some(ready) = &status.ready {
        let found = match document.pointer(&ready.pointer) {
            Some(Json::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => return Err(format!("not ready, `{}` is not there", ready.pointer)),
        };
        if found != ready.equals {
            return Err(format!("not ready, `{}` is `{found}`", ready.pointer));
        }
    }
    match document.pointer(&status.files) {
        Some(Json::Object(files)) if !files.is_empty() => {
            Ok(files.iter().map(|(name, file)| (name.clone(), file.clone())).collect())
        }
        Some(Json::Object(_)) | None => Err(format!("no files at `{}`", status.files)),
        Some(_) => Err(format!("`{}` is no object of files", status.files)),
    }
}

/// The files whose names match, resolved and checked.
fn select(files: Vec<(String, Json)>, status: &Status, url: &str) -> Result<Vec<(RemoteFile, Bindings)>, Failure> {
    let pattern = status.pattern.as_deref().map(compile).transpose()?;
    let seen = files.len();
    let mut selected = Vec::new();
    for (name, entry) in files {
        let captures = match &pattern {
            None => Bindings::new(),
            Some(pattern) => match bind(pattern, &name) {
                Some(captures) => captures,
                None => continue,
            },
        };
        let file = remote(&name, &entry, status, url)
            .map_err(|message| Failure::upstream(format!("{url}: file `{name}`: {message}")))?;
        selected.push((name, file, captures));
    }
    if selected.is_empty() {
        let pattern = status.pattern.as_deref().unwrap_or_default();
        return Err(Failure::definition(format!("{url}: none of its {seen} file names matches `{pattern}`")));
    }
    selected.sort_by(|(a, ..), (b, ..)| natural(a, b));
    Ok(selected.into_iter().map(|(_, file, captures)| (file, captures)).collect())
}

fn remote(name: &str, entry: &Json, status: &Status, url: &str) -> Result<RemoteFile, String> {
    let document = Url::parse(url).map_err(|error| error.to_string())?;
    let written = entry.get("url").and_then(Json::as_str).unwrap_or(name);
    // A document speaks for its own folder only: whoever can change it cannot send us anywhere else.
    let own = document.join(".").and_then(|folder| Ok((folder, document.join(written)?)));
    let (folder, below) = own.map_err(|error| format!("`{written}` is no address: {error}"))?;
    let base = match &status.base {
        // A file without an address lies beside the document, wherever the others are resolved.
        Some(base) if entry.get("url").is_some() => {
            Url::parse(base).map_err(|error| format!("base `{base}` is no address: {error}"))?
        }
        _ => document.clone(),
    };
    let resolved = base.join(written).map_err(|error| format!("`{written}` is no address: {error}"))?;
    let inside = |file: &Url| file.path().starts_with(folder.path()) && file.path() != folder.path();
    let at_home = resolved.origin() == document.origin() && inside(&resolved);
    let on_mirror = base.origin() != document.origin() && resolved.origin() == base.origin();
    let at_base = on_mirror && below.origin() == document.origin() && inside(&below);
    if !at_home && !at_base {
        return Err(format!("`{written}` does not lie below {folder}"));
    }
    let bytes = entry.get("size").and_then(|size| size.as_u64().or_else(|| size.as_str()?.parse().ok()));
    let sum = |kind, key| Some((kind, entry.get(key)?.as_str()?.to_ascii_lowercase()));
    let checksum = sum(ChecksumKind::Sha256, "sha256")
        .or_else(|| sum(ChecksumKind::Sha1, "sha1"))
        .or_else(|| sum(ChecksumKind::Md5, "md5"));
    Ok(RemoteFile { url: resolved.into(), bytes, checksum, local: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::{definition::grammar::Ready, source::value::Value};

    const URL: &str = "https://dumps.example.org/wiki/20240101/dumpstatus.json";

    fn status() -> Status {
        Status {
            url: URL.into(),
            files: "/jobs/a/files".into(),
            ready: Some(Ready { pointer: "/jobs/a/status".into(), equals: "done".into() }),
            base: Some("https://dumps.example.org".into()),
            pattern: Some(r"-part(?<part>\d+)\.bz2$".into()),
        }
    }

    fn text(status: &str, files: &str) -> String {
        format!(r#"{{"jobs":{{"a":{{"status":"{status}","files":{files}}}}}}}"#)
    }

    #[test]
    fn files_come_with_size_and_checksum_in_natural_order() {
        let files = r#"{"w-part10.bz2":{"url":"/wiki/20240101/w-part10.bz2","size":12,"md5":"AB","sha1":"CD"},
            "w-part2.bz2":{"size":"7"},"other.txt":{"url":"http://evil.example/x"}}"#;
        let files =
            select(ready_files(&text("done", files), &status()).expect("ready"), &status(), URL).expect("files");
        let found: Vec<_> =
            files.iter().map(|(file, _)| (file.url.as_str(), file.bytes, file.checksum.clone())).collect();
        assert_eq!(
            found,
            [
                ("https://dumps.example.org/wiki/20240101/w-part2.bz2", None.or(Some(7)), None),
                (
                    "https://dumps.example.org/wiki/20240101/w-part10.bz2",
                    Some(12),
                    Some((ChecksumKind::Sha1, "cd".into()))
                ),
            ]
        );
        assert_eq!(
            files.first().map(|(_, captures)| captures.values().map(Value::text).collect()),
            Some(vec!["2".to_owned()])
        );
    }

    #[test]
    fn files_outside_the_documents_folder_are_refused() {
        for written in [
            "/wiki/20231201/w-part1.bz2",
            "../w-part1.bz2",
            "/wiki/20240101/%2e%2e/x",
            "http://evil.example/wiki/20240101/w-part1.bz2",
            "//evil.example/wiki/20240101/x",
            "file:///wiki/20240101/x",
            "/wiki/20240101/",
        ] {
            let entry = serde_json::json!({ "url": written });
            let message = remote("w-part1.bz2", &entry, &status(), URL).expect_err(written);
            assert!(message.contains("does not lie below"), "{message}");
        }
        let mirror = Status { base: Some("https://mirror.example/".into()), ..status() };
        let entry = serde_json::json!({ "url": "/wiki/20240101/w.bz2" });
        assert_eq!(
            remote("w", &entry, &mirror, URL).expect("a mirror").url,
            "https://mirror.example/wiki/20240101/w.bz2"
        );
        let none = Status { base: None, ..status() };
        assert_eq!(
            remote("w", &entry, &none, URL).expect("itself").url,
            "https://dumps.example.org/wiki/20240101/w.bz2"
        );
    }

    #[test]
    fn what_is_not_ready_says_so() {
        let reason = |text: &str| ready_files(text, &status()).expect_err("not ready");
        assert!(reason(&text("in-progress", "{}")).contains("is `in-progress`"));
        assert!(reason("{}").contains("`/jobs/a/status` is not there"));
        assert!(reason(&text("done", "{}")).contains("no files"));
        assert!(reason("{\"jobs\":").contains("no JSON"));
        assert!(reason(&text("done", "[1]")).contains("no object"));
    }
}
