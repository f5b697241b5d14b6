//! The keys of the bucket in order, read as far as they are asked for: datasets one by one, of each the manifest, of its
//! tables the stretch of their files' names where the listing stands.
//!
//! A walk reads one snapshot of each dataset. What may not be served is not there, unless it is all that was asked for.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::token::Token;
use crate::{
    catalog::{DatasetId, Manifest, TableSnapshot},
    http::{
        api::data,
        collected,
        gate::{self, Access},
        problem::Problem,
        state::AppState,
    },
    store::Listed,
};

/// The least key after all that begin so.
pub(super) fn past(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        // Bytes of UTF-8 are below 0xff.
        *last = last.saturating_add(1);
    }
    bytes
}

/// Whether keys that begin with one may begin with the other.
fn meet(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// A dataset as keys name it.
#[derive(Debug, Clone)]
struct Label {
    /// With its slash: `films/`, `films@3/`.
    base: String,
    id: DatasetId,
    number: Option<u64>,
}

/// The dataset that the walk is in.
#[derive(Debug)]
struct Current {
    manifest: Arc<Manifest>,
    /// Its tables by the order of keys, with what their keys begin with.
    tables: Vec<(String, usize)>,
    /// Whether its files are known to be there.
    kept: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    state: &'a AppState,
    prefix: &'a str,
    pin: Option<&'a Token>,
    labels: Vec<Label>,
    at: usize,
    current: Option<Current>,
    stretch: Option<(usize, Listed)>,
}

/// A key, and where it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: String,
    table: usize,
    /// Bytes of the key before the file's name.
    base: usize,
}

/// What a listing says of an object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) modified: DateTime<Utc>,
}

impl<'a> Walk<'a> {
    /// Over the keys that begin with `prefix`; the dataset that a token names is read as of the token's snapshot.
    pub(super) async fn new(state: &'a AppState, prefix: &'a str, pin: Option<&'a Token>) -> Result<Self, Problem> {
        let labels = labels(state, prefix).await?;
        Ok(Self { state, prefix, pin, labels, at: 0, current: None, stretch: None })
    }

    /// The dataset it is in, and its snapshot.
    pub(super) fn place(&self) -> Option<(&str, u64)> {
        let label = self.labels.get(self.at)?;
        Some((label.base.trim_end_matches('/'), self.current.as_ref()?.manifest.snapshot))
    }

    /// The first key that is not below `from`, which never goes back.
    pub(super) async fn seek(&mut self, from: &[u8]) -> Result<Option<Found>, Problem> {
        while let Some(label) = self.labels.get(self.at) {
            if past(&label.base).as_slice() > from {
                if self.current.is_none() {
                    self.current = self.open(label).await?;
                }
                if let Some(found) = self.seek_here(from).await? {
                    return Ok(Some(found));
                }
            }
            self.at += 1;
            (self.current, self.stretch) = (None, None);
        }
        Ok(None)
    }

    async fn seek_here(&mut self, from: &[u8]) -> Result<Option<Found>, Problem> {
        let Some(current) = &self.current else { return Ok(None) };
        for (base, index) in &current.tables {
            if past(base).as_slice() <= from {
                continue;
            }
            let Some(table) = current.manifest.tables.get(*index) else { continue };
            let name = from.strip_prefix(base.as_bytes()).unwrap_or_default();
            let found = |name: &str| Found { key: format!("{base}{name}"), table: *index, base: base.len() };
            // What begins a list is known without reading it, which is enough for a common prefix.
            let first = table.listed_segments.first().and_then(|segment| segment.first.as_deref());
            if let Some(first) = first.filter(|first| name <= first.as_bytes()) {
                return Ok(Some(found(first)));
            }
            let near = self.stretch.as_ref().filter(|(of, _)| of == index).and_then(|(_, files)| files.seek(name));
            let files = match near {
                Some(files) => files,
                None => listed(self.state, &current.manifest, table, name).await?,
            };
            if let Some(file) = files.files().first() {
                let found = found(file.name());
                self.stretch = Some((*index, files));
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The object of a key that was found last.
    pub(super) async fn object(&mut self, found: &Found) -> Result<Option<Object>, Problem> {
        let Some(current) = &mut self.current else { return Ok(None) };
        let Some(table) = current.manifest.tables.get(found.table) else { return Ok(None) };
        let name = found.key.as_bytes().get(found.base..).unwrap_or_default();
        let near = self.stretch.as_ref().filter(|(of, _)| *of == found.table).and_then(|(_, files)| files.seek(name));
        let files = match near {
            Some(files) => files,
            None => listed(self.state, &current.manifest, table, name).await?,
        };
        let Some(file) = files.files().first() else { return Ok(None) };
        if !current.kept {
            data::still_kept(self.state, &current.manifest, &file.key).await?;
            current.kept = true;
        }
        let modified = data::modified(self.state, &current.manifest, file).await?;
        let object = Object { bytes: file.bytes, sha256: file.sha256.clone(), modified };
        self.stretch = Some((found.table, files));
        Ok(Some(object))
    }

    async fn open(&self, label: &Label) -> Result<Option<Current>, Problem> {
        let pinned = self.pin.filter(|token| token.dataset == label.base.trim_end_matches('/'));
        let number = label.number.or(pinned.map(|token| token.snapshot));
        let Some(head) = self.state.store.head(&label.id).await? else { return Ok(None) };
        let manifest = match number.filter(|number| *number != head.snapshot) {
            Some(number) => self.state.store.manifest(&label.id, number).await?,
            None => Some(Arc::clone(&head)),
        };
        let Some(manifest) = manifest else { return Ok(None) };
        // What the current snapshot names is there; of another one the first file says whether they all are.
        let kept = manifest.snapshot == head.snapshot;
        let wanted = |(index, table): (usize, &TableSnapshot)| {
            let base = format!("{}{}/", label.base, table.name);
            meet(&base, self.prefix).then_some((base, index))
        };
        let mut tables: Vec<(String, usize)> = manifest.tables.iter().enumerate().filter_map(wanted).collect();
        tables.sort_unstable();
        let named = self.prefix.starts_with(&label.base);
        let mut closed = None;
        tables.retain(|(_, index)| {
            let Some(table) = manifest.tables.get(*index) else { return false };
            let open = gate::access(self.state, manifest.license_of(table)) == Access::Open;
            if !open {
                closed = Some(table);
            }
            open
        });
        // Who names what is closed is told so.
        if let (true, true, Some(closed)) = (named, tables.is_empty(), closed) {
            gate::pass(self.state, &manifest, closed)?;
        }
        Ok(Some(Current { manifest, tables, kept }))
    }
}

/// Datasets with keys that may begin with `prefix`, in the order of their keys.
async fn labels(state: &AppState, prefix: &str) -> Result<Vec<Label>, Problem> {
    let exact = prefix.split_once('/').map(|(name, _)| name).or(prefix.contains('@').then_some(prefix));
    if let Some(name) = exact {
        let (id, number) = match name.split_once('@') {
            Some((id, number)) => (id, Some(number.parse::<u64>())),
            None => (name, None),
        };
        let (Ok(id), Ok(number)) = (id.parse::<DatasetId>(), number.transpose()) else { return Ok(Vec::new()) };
        return Ok(vec![Label { base: format!("{name}/"), id, number }]);
    }
    let names = state.listing.names(&state.store).await?;
    let begins = names.iter().filter(|id| id.as_str().starts_with(prefix));
    let mut labels: Vec<Label> =
        begins.map(|id| Label { base: format!("{id}/"), id: id.clone(), number: None }).collect();
    labels.sort_unstable_by(|a, b| a.base.cmp(&b.base));
    Ok(labels)
}

async fn listed(state: &AppState, manifest: &Manifest, table: &TableSnapshot, from: &[u8]) -> Result<Listed, Problem> {
    match state.store.listed(manifest, table, from).await {
        Ok(listed) => Ok(listed),
        Err(error) => Err(collected::or_gone(state, manifest, error.into()).await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_past_a_prefix_is_past_all_its_keys() {
        for (prefix, below, above) in [("a/", "a/zzz", "a0"), ("é", "éx", "ê"), ("a", "a\u{10ffff}", "b")] {
            let past = past(prefix);
            assert!(below.as_bytes() < past.as_slice() && above.as_bytes() >= past.as_slice(), "{prefix}");
        }
    }
}
