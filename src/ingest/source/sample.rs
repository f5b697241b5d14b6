//! The sample in place of upstream: each source's files found in `sample/` by name, variables bound from those names.
//! Addresses stay those of upstream, so that a sample's rows look like a crawl's.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use regex::Regex;
use url::Url;

use super::{
    Listed, Part, each,
    listing::{bind, compile},
    order::natural,
    part,
    template::{Bindings, Template},
    value::Value,
};
use crate::ingest::{
    Failure,
    definition::grammar::{Each, EachRange, Scalar, Source},
    fetch::{RemoteFile, file_name},
};

/// What stands for a variable that no file name tells.
const SAMPLE: &str = "sample";

/// Deepest folders in `sample/`.
const DEPTH: usize = 8;

/// The files of `sample/`.
struct Sample {
    folder: PathBuf,
    /// Paths below it with `/` between, in natural order.
    names: Vec<String>,
}

/// Maps a source to files in `<folder>/sample/`.
pub fn list_sample(source: &Source, id: &str, folder: &Path, now: DateTime<Utc>) -> Result<Listed, Failure> {
    let sample = Sample::read(folder.join("sample"))?;
    let fallback = fallback(source, now)?;
    let mut parts = if let Some(path) = &source.path {
        let local = sample.path_of(&file_name(path)).unwrap_or_else(|| folder.join(path));
        vec![part(id, Bindings::new(), vec![file(path, local)])]
    } else if let Some(urls) = &source.urls {
        let files: Result<Vec<RemoteFile>, Failure> = urls
            .iter()
            .map(|url| {
                let template = Template::parse(url).map_err(Failure::definition)?;
                let address = template.fill(&fallback).unwrap_or_else(|_| url.clone());
                let name = file_name(&address);
                let local = sample.path_of(&name).ok_or_else(|| sample.lacks(&name))?;
                Ok(file(&address, local))
            })
            .collect();
        vec![part(id, fallback, files?)]
    } else if let Some(status) = &source.status {
        sample.by_status(source, status, id, &fallback)?
    } else if let Some(url) = &source.url {
        sample.by_template(source, url, id, &fallback)?
    } else {
        sample.by_listing(source, id, &fallback)?
    };
    parts.iter_mut().for_each(|part| part.time = None);
    let upstream_version = source.latest.as_ref().map(|_| SAMPLE.to_owned());
    Ok(Listed { parts, gaps: Vec::new(), upstream_version, notes: Vec::new() })
}

impl Sample {
    fn read(folder: PathBuf) -> Result<Self, Failure> {
        let mut names = Vec::new();
        walk(&folder, "", DEPTH, &mut names)
            .map_err(|error| Failure::definition(format!("{}: {error}; the sample lies there", folder.display())))?;
        names.sort_by(|a, b| natural(a, b));
        Ok(Self { folder, names })
    }

    fn path_of(&self, name: &str) -> Option<PathBuf> {
        self.names.iter().any(|there| there == name).then(|| self.folder.join(name))
    }

    fn lacks(&self, name: &str) -> Failure {
        let name = if name.is_empty() { "(the address ends in `/`)" } else { name };
        Failure::definition(format!(
            "{}: there is no `{name}`; a sample has the name of the file it stands for. There are: {}",
            self.folder.display(),
            if self.names.is_empty() { "no files".into() } else { self.names.join(", ") }
        ))
    }

    fn by_template(&self, source: &Source, url: &str, id: &str, fallback: &Bindings) -> Result<Vec<Part>, Failure> {
        let template = Template::parse(url).map_err(Failure::definition)?;
        let name = template.file_name();
        let times = super::time_variables(source)?;
        let mut parts = Vec::new();
        for there in &self.names {
            let Some(bound) = name.matches(there) else { continue };
            if !bound.iter().all(|(variable, value)| may_be(source, variable, value)) {
                continue;
            }
            let mut bindings = fallback.clone();
            bindings.extend(bound);
            super::as_times(&mut bindings, &times);
            let address = template.fill(&bindings).unwrap_or_else(|_| url.to_owned());
            parts.push(part(id, bindings, vec![file(&address, self.folder.join(there))]));
        }
        if parts.is_empty() { Err(self.lacks(&name.to_string())) } else { Ok(parts) }
    }

    fn by_listing(&self, source: &Source, id: &str, fallback: &Bindings) -> Result<Vec<Part>, Failure> {
        let (listing, pattern) =
            (source.listing.as_deref().unwrap_or_default(), source.pattern.as_deref().unwrap_or_default());
        let regex = compile(pattern)?;
        let listing = fill(listing, fallback);
        let mut parts = Vec::new();
        for there in &self.names {
            let last = file_name(there);
            let Some(captures) = bind(&regex, there).or_else(|| bind(&regex, &last)).or_else(|| {
                // The expression may be about whole addresses.
                Url::parse(&listing).and_then(|at| at.join(there)).ok().and_then(|url| bind(&regex, url.as_str()))
            }) else {
                continue;
            };
            let mut bindings = fallback.clone();
            bindings.extend(captures);
            parts.push(part(id, bindings, vec![file(&beside(&listing, there), self.folder.join(there))]));
        }
        if parts.is_empty() { Err(self.lacks(pattern)) } else { Ok(parts) }
    }

    fn by_status(
        &self,
        source: &Source,
        status: &crate::ingest::definition::grammar::Status,
        id: &str,
        fallback: &Bindings,
    ) -> Result<Vec<Part>, Failure> {
        let pattern = status.pattern.as_deref().map(compile).transpose()?;
        let mut parts = Vec::new();
        for there in &self.names {
            let name = file_name(there);
            let captures = match &pattern {
                None => Bindings::new(),
                Some(pattern) => match bind(pattern, &name) {
                    Some(captures) => captures,
                    None => continue,
                },
            };
            let mut bindings = fallback.clone();
            bindings
                .extend(source.pattern.as_deref().map(|pattern| captures_alone(pattern, &name)).unwrap_or_default());
            bindings.extend(captures);
            let address = beside(&fill(&status.url, &bindings), &name);
            parts.push(part(id, bindings, vec![file(&address, self.folder.join(there))]));
        }
        if parts.is_empty() {
            return Err(self.lacks(status.pattern.as_deref().unwrap_or_default()));
        }
        Ok(parts)
    }
}

fn walk(folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        if !entry.path().is_dir() {
            names.push(format!("{prefix}{name}"));
        } else if depth > 0 {
            walk(&entry.path(), &format!("{prefix}{name}/"), depth - 1, names)?;
        }
    }
    Ok(())
}

fn file(url: &str, local: PathBuf) -> RemoteFile {
    RemoteFile { url: url.to_owned(), bytes: None, checksum: None, local: Some(local) }
}

/// A file's address in the folder of a document.
fn beside(document: &str, name: &str) -> String {
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{name}")
}

fn fill(template: &str, bindings: &Bindings) -> String {
    Template::parse(template).and_then(|parsed| parsed.fill(bindings)).unwrap_or_else(|_| template.to_owned())
}

/// Values of variables that a file name does not tell: the first of `each`, else `sample`.
fn fallback(source: &Source, now: DateTime<Utc>) -> Result<Bindings, Failure> {
    let mut bindings = Bindings::new();
    for pattern in source.pattern.iter().chain(source.status.iter().filter_map(|status| status.pattern.as_ref())) {
        let names = compile(pattern)?;
        bindings.extend(names.capture_names().flatten().map(|name| (name.to_owned(), Value::Text(SAMPLE.into()))));
    }
    if source.latest.is_some() {
        bindings.insert("latest".into(), Value::Text(SAMPLE.into()));
    }
    let each = source.each.clone().unwrap_or_default();
    let first = each::combinations(&each, &[], now).map_err(Failure::definition)?.into_iter().next();
    bindings.extend(first.unwrap_or_default());
    super::as_times(&mut bindings, &super::time_variables(source)?);
    Ok(bindings)
}

/// Whether a text from a file name can be a value of its variable: one of its list, a number of its range.
fn may_be(source: &Source, variable: &str, value: &Value) -> bool {
    let Value::Text(text) = value else { return true };
    match source.each.as_ref().and_then(|each| each.get(variable)) {
        None => true,
        Some(Each::List(values)) => values.iter().any(|value| match value {
            Scalar::Text(value) => value == text,
            Scalar::Number(value) => value.to_string() == *text,
        }),
        Some(Each::Range(EachRange { from: Scalar::Number(_), to: Scalar::Number(_), .. })) => {
            text.parse::<i64>().is_ok()
        }
        Some(Each::Range(_)) => value.time().is_some(),
    }
}

/// Named groups of an expression searched for each on its own: `(?<date>\d{8})/` is about a folder, and the date stands
/// in the file's name as well.
fn captures_alone(pattern: &str, name: &str) -> Bindings {
    let mut bindings = Bindings::new();
    for opening in ["(?<", "(?P<"] {
        let mut rest = pattern;
        while let Some((_, after)) = rest.split_once(opening) {
            rest = after;
            let Some((variable, body)) = after.split_once('>') else { break };
            let Some(body) = group_body(body) else { continue };
            if let Ok(regex) = Regex::new(body)
                && let Some(found) = regex.find(name)
            {
                bindings.insert(variable.to_owned(), Value::Text(found.as_str().to_owned()));
            }
        }
    }
    bindings
}

/// What stands before the parenthesis that closes a group.
fn group_body(text: &str) -> Option<&str> {
    let (mut depth, mut escaped, mut class) = (0_u32, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '(' if !class => depth += 1,
            ')' if !class && depth == 0 => return text.get(..at),
            ')' if !class => depth -= 1,
            _ => {}
        }
    }
    None
}
