//! Where a source's bytes are: each key of the grammar's `source` turned into parts, with their variables, sizes and
//! checksums. Asks upstream only for the documents that say so (listings, status, pointer and checksum files); the data
//! itself is [`super::fetch`]'s.

mod each;
mod links;
mod listing;
mod order;
mod sample;
mod status;
mod sums;
mod template;
mod value;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
};

use chrono::{DateTime, Datelike, Utc};
use url::Url;

pub use self::{sample::list_sample, template::Template, value::Span};
use self::{
    sums::Sums,
    template::Bindings,
    value::{Value, read_compact, read_time},
};
use super::{
    Failure,
    definition::grammar::{Checksum, Each, EachRange, Missing, Scalar, Source, Status},
    fetch::{Fetcher, Found},
};
use crate::{
    catalog::Gap,
    ingest::{definition::grammar::ChecksumKind, fetch},
};

pub use fetch::RemoteFile;

/// Longest text of a pointer file.
const LONGEST_POINTER: usize = 200;

/// A part of a source: what is asked for, read and published as one, and kept while upstream does not change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The source's id.
    pub source: String,
    /// Identity across snapshots: the address (the first one of `urls`, the path as written of `path`).
    pub name: String,
    /// What its variables hold; times in RFC 3339.
    pub variables: BTreeMap<String, String>,
    /// Its files, read in this order.
    pub files: Vec<RemoteFile>,
    /// The end of the time that its variables name (a day's part ends with the day), for `recheck`.
    pub time: Option<DateTime<Utc>>,
}

/// What a source consists of now.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Its parts, in an order that stays.
    pub parts: Vec<Part>,
    /// What upstream was found not to have.
    pub gaps: Vec<Gap>,
    /// Upstream's own name of this version: `latest`, or what the variables of the status document that was taken hold.
    pub upstream_version: Option<String>,
    /// For people: runs that were passed over because they are not complete.
    pub notes: Vec<String>,
}

/// Finds out what a source consists of now. `folder` is the definition's.
pub async fn list(
    source: &Source,
    id: &str,
    folder: &Path,
    fetcher: &Fetcher,
    now: DateTime<Utc>,
) -> Result<Listed, Failure> {
    let lister = Lister { source, id, fetcher, times: time_variables(source)? };
    let listed = lister.list(folder, now).await?;
    for note in &listed.notes {
        fetcher.progress().say(note);
    }
    Ok(listed)
}

/// What was found so far.
#[derive(Default)]
struct Gathered {
    listed: Listed,
    names: HashSet<String>,
    sums: HashMap<String, Sums>,
}

struct Lister<'a> {
    source: &'a Source,
    id: &'a str,
    fetcher: &'a Fetcher,
    times: BTreeSet<String>,
}

impl Lister<'_> {
    async fn list(&self, folder: &Path, now: DateTime<Utc>) -> Result<Listed, Failure> {
        let source = self.source;
        let mut gathered = Gathered::default();
        if let Some(path) = &source.path {
            let file = RemoteFile { local: Some(folder.join(path)), ..remote(path.clone()) };
            self.add(&mut gathered, Bindings::new(), vec![file]).await?;
            return Ok(gathered.listed);
        }
        let mut base = Bindings::new();
        if let Some(latest) = &source.latest {
            let text = self.latest(latest).await?;
            base.insert("latest".into(), Value::Text(text.clone()));
            gathered.listed.upstream_version = Some(text);
        }
        let order = source.url.as_deref().map(Template::parse).transpose().map_err(Failure::definition)?;
        let order = order.as_ref().map(Template::variables).unwrap_or_default();
        let each = source.each.clone().unwrap_or_default();
        let combinations = each::combinations(&each, &order, now).map_err(Failure::definition)?;
        let single = combinations.len() == 1;
        for combination in combinations {
            let mut bindings = base.clone();
            bindings.extend(combination);
            as_times(&mut bindings, &self.times);
            self.combination(bindings, single, &mut gathered).await?;
        }
        Ok(gathered.listed)
    }

    /// The parts of one combination of `each`.
    async fn combination(&self, bindings: Bindings, single: bool, gathered: &mut Gathered) -> Result<(), Failure> {
        let source = self.source;
        let Some(listing) = &source.listing else {
            return match &source.status {
                Some(status) => self.by_status(status, vec![bindings], single, gathered).await,
                None => self.by_address(bindings, gathered).await,
            };
        };
        let address = fill(listing, &bindings)?;
        let pattern = source.pattern.as_deref().unwrap_or_default();
        let matched = match listing::read(self.fetcher, &address, pattern).await? {
            Ok(matched) => matched,
            Err(reason) => return self.absent(gathered, address, reason),
        };
        let bound = |captures: Bindings| {
            let mut all = bindings.clone();
            all.extend(captures);
            as_times(&mut all, &self.times);
            all
        };
        if let Some(status) = &source.status {
            let candidates = matched.into_iter().map(|matched| bound(matched.captures)).collect();
            return self.by_status(status, candidates, single, gathered).await;
        }
        if source.url.is_some() || source.urls.is_some() {
            for matched in matched {
                self.by_address(bound(matched.captures), gathered).await?;
            }
            return Ok(());
        }
        for matched in matched {
            let link = matched.link;
            let file = RemoteFile { url: link.url.into(), bytes: link.bytes, checksum: link.checksum, local: None };
            self.add(gathered, bound(matched.captures), vec![file]).await?;
        }
        Ok(())
    }

    /// `url` or `urls`, filled.
    async fn by_address(&self, bindings: Bindings, gathered: &mut Gathered) -> Result<(), Failure> {
        let addresses = self.source.url.iter().chain(self.source.urls.iter().flatten());
        let files: Result<Vec<RemoteFile>, Failure> =
            addresses.map(|address| Ok(remote(fill(address, &bindings)?))).collect();
        self.add(gathered, bindings, files?).await
    }

    async fn by_status(
        &self,
        status: &Status,
        candidates: Vec<Bindings>,
        single: bool,
        gathered: &mut Gathered,
    ) -> Result<(), Failure> {
        let picked = match status::pick(self.fetcher, status, candidates).await? {
            Ok(picked) => picked,
            Err(reason) => return self.absent(gathered, status.url.clone(), reason),
        };
        gathered.listed.notes.extend(picked.passed_over);
        let version = Template::parse(&status.url).map_err(Failure::definition)?;
        let version: Vec<String> =
            version.variables().iter().filter_map(|name| picked.bindings.get(*name)).map(Value::plain).collect();
        if single && !version.is_empty() {
            gathered.listed.upstream_version.get_or_insert(version.join(" "));
        }
        for (file, captures) in picked.files {
            let mut bindings = picked.bindings.clone();
            bindings.extend(captures);
            self.add(gathered, bindings, vec![file]).await?;
        }
        Ok(())
    }

    /// Adds a part with its checksums, unless its address is there already.
    async fn add(
        &self,
        gathered: &mut Gathered,
        bindings: Bindings,
        mut files: Vec<RemoteFile>,
    ) -> Result<(), Failure> {
        match &self.source.checksum {
            None => {}
            Some(Checksum::Literal(literal)) => {
                let sum = (ChecksumKind::Sha256, literal.sha256.clone());
                files.iter_mut().for_each(|file| file.checksum = Some(sum.clone()));
            }
            Some(Checksum::File(sums)) => {
                let address = fill(&sums.url, &bindings)?;
                if !gathered.sums.contains_key(&address) {
                    match self.fetcher.document(&address).await? {
                        Found::Document(document) if document.is_html() => {
                            return Err(Failure::upstream(format!(
                                "{address}: an HTML page came in place of checksums"
                            )));
                        }
                        Found::Document(document) => {
                            gathered.sums.insert(address.clone(), Sums::read(&document.text, sums.kind));
                        }
                        Found::Missing { reason } => return self.absent(gathered, address, reason),
                    }
                }
                let known = gathered.sums.get(&address);
                for file in &mut files {
                    let path = below(&address, &file.url);
                    let hash = known.and_then(|known| known.find(&path)).ok_or_else(|| {
                        Failure::upstream(format!("{address}: has no {} of `{path}`", kind_name(sums.kind)))
                    })?;
                    file.checksum = Some((sums.kind, hash.to_owned()));
                }
            }
        }
        let part = part(self.id, bindings, files);
        if gathered.names.insert(part.name.clone()) {
            gathered.listed.parts.push(part);
        }
        Ok(())
    }

    /// Something that says where parts are is not there itself.
    fn absent(&self, gathered: &mut Gathered, url: String, reason: String) -> Result<(), Failure> {
        match self.source.missing {
            Missing::Fail => Err(Failure::upstream(reason)),
            Missing::Gap => {
                gathered.listed.gaps.push(Gap { source: self.id.to_owned(), url, reason });
                Ok(())
            }
        }
    }

    /// The text of a pointer file: one word.
    async fn latest(&self, url: &str) -> Result<String, Failure> {
        let document = self.fetcher.text(url).await?;
        let text = document.text.trim_start_matches('\u{feff}').trim();
        let one_word = !text.is_empty() && text.len() <= LONGEST_POINTER && !text.contains(char::is_whitespace);
        // It becomes a piece of an address: it must not lead out of its place there.
        let tame =
            !text.split('/').any(|piece| piece == "..") && !text.contains(['?', '#', '\\']) && !text.contains("//");
        if document.is_html() || !one_word || !tame {
            let shown: String = text.chars().take(80).collect();
            return Err(Failure::upstream(format!("{url}: a pointer file holds one word, this one `{shown}`")));
        }
        Ok(text.to_owned())
    }
}

fn remote(url: String) -> RemoteFile {
    RemoteFile { url, bytes: None, checksum: None, local: None }
}

fn part(id: &str, bindings: Bindings, files: Vec<RemoteFile>) -> Part {
    let time = bindings.iter().filter(|(name, _)| *name != "latest").filter_map(|(_, value)| ends(value)).max();
    Part {
        source: id.to_owned(),
        name: files.first().map(|file| file.url.clone()).unwrap_or_default(),
        variables: bindings.into_iter().map(|(name, value)| (name, value.text())).collect(),
        files,
        time,
    }
}

/// When the stretch that a value names is over. Four digits may be anything; longer ones that are a date are one.
fn ends(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::Time(time) => Some(time.until),
        Value::Text(text) if text.len() >= 6 && (read_time(text).is_some() || read_compact(text).is_some()) => {
            value.time().map(|time| time.until).filter(|until| (1900..2100).contains(&until.year()))
        }
        Value::Text(_) => None,
    }
}

fn fill(template: &str, bindings: &Bindings) -> Result<String, Failure> {
    Template::parse(template).and_then(|template| template.fill(bindings)).map_err(Failure::definition)
}

/// A file's path below the folder of a document, decoded; its name, when it lies elsewhere.
fn below(document: &str, file: &str) -> String {
    let folder = Url::parse(document).and_then(|document| document.join(".")).ok();
    match folder.as_ref().and_then(|folder| file.strip_prefix(folder.as_str())) {
        Some(path) => percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned(),
        None => fetch::file_name(file),
    }
}

fn kind_name(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::Sha256 => "sha256",
        ChecksumKind::Sha1 => "sha1",
        ChecksumKind::Md5 => "md5",
    }
}

/// The variables that are times: a range of times, or written as one in any address.
fn time_variables(source: &Source) -> Result<BTreeSet<String>, Failure> {
    let ranges = source.each.iter().flatten().filter(|(_, each)| match each {
        Each::List(_) => false,
        Each::Range(EachRange { from, to, .. }) => !matches!((from, to), (Scalar::Number(_), Scalar::Number(_))),
    });
    let mut times: BTreeSet<String> = ranges.map(|(name, _)| name.clone()).collect();
    let sums = source.checksum.iter().filter_map(|checksum| match checksum {
        Checksum::File(file) => Some(&file.url),
        Checksum::Literal(_) => None,
    });
    let addresses = source.url.iter().chain(source.urls.iter().flatten()).chain(&source.listing).chain(sums);
    for address in addresses.chain(source.status.iter().map(|status| &status.url)) {
        let template = Template::parse(address).map_err(Failure::definition)?;
        times.extend(template.times().map(str::to_owned));
    }
    Ok(times)
}

/// Texts of variables that are times become times.
fn as_times(bindings: &mut Bindings, times: &BTreeSet<String>) {
    for (_, value) in bindings.iter_mut().filter(|(name, _)| times.contains(*name)) {
        *value = value.clone().into_time();
    }
}
