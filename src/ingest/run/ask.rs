//! Asking upstream for the parts of a source: which are as the parent snapshot has them, which are new, which are missing.

use chrono::{DateTime, Utc};

use super::super::{
    Failure,
    definition::{self, grammar::Missing},
    fetch::{Fetched, FetchedFile, Fetcher, Validators},
    part::PartFiles,
    plan::SourcePlan,
    source::Part,
};
use crate::catalog::{Gap, SourceRecord};

/// A part on its way.
pub(super) enum Arrived {
    /// Still as the parent has it.
    Kept,
    /// New, with its files on disk; the downloads are ours until they are discarded.
    New(PartFiles, Vec<FetchedFile>),
    /// New, and through the pipeline.
    Done,
}

/// One part after asking upstream.
pub(super) struct Asked {
    pub(super) part: Part,
    pub(super) records: Vec<SourceRecord>,
    pub(super) arrived: Arrived,
}

impl Asked {
    /// The downloads have been read: they are no longer needed.
    pub(super) fn discard(&mut self) {
        if let Arrived::New(_, downloads) = std::mem::replace(&mut self.arrived, Arrived::Done) {
            downloads.into_iter().for_each(FetchedFile::discard);
        }
    }
}

/// Asks on behalf of one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) plan: &'a SourcePlan<'a>,
    pub(super) fetcher: &'a Fetcher,
    pub(super) now: DateTime<Utc>,
}

impl Asker<'_> {
    /// Asks upstream for one part. `known` are its files as the parent snapshot has them; none: all are needed. `None`: it
    /// is not there, and that is a gap.
    pub(super) async fn ask(
        &self,
        part: Part,
        known: Vec<SourceRecord>,
        gaps: &mut Vec<Gap>,
    ) -> Result<Option<Asked>, Failure> {
        let Self { plan, fetcher, now } = *self;
        let complete = known.len() == part.files.len()
            && part.files.iter().zip(&known).all(|(file, record)| file.url == record.url);
        let settled = plan.source.recheck.as_deref().and_then(definition::duration).is_some_and(|recheck| {
            let young = part.time.or_else(|| known.iter().map(|record| record.fetched).min());
            young.is_some_and(|time| (now - time).to_std().is_ok_and(|age| age > recheck))
        });
        if complete && settled {
            return Ok(Some(Asked { part, records: known, arrived: Arrived::Kept }));
        }
        let mut fetched = Vec::with_capacity(part.files.len());
        let mut unchanged = complete;
        for (at, file) in part.files.iter().enumerate() {
            let record = known.get(at).filter(|_| unchanged);
            let validators = record
                .map(|record| Validators { etag: record.etag.clone(), last_modified: record.last_modified.clone() });
            let answer = fetcher.fetch(file, validators.as_ref(), now).await?;
            match answer {
                Fetched::NotModified => fetched.push(None),
                Fetched::File(found) => {
                    unchanged &= record.is_some_and(|record| record.sha256 == found.sha256);
                    fetched.push(Some(found));
                }
                Fetched::Missing { reason } => {
                    if plan.source.missing == Missing::Fail {
                        return Err(Failure::upstream(format!(
                            "{} is not there ({reason}); if upstream may leave parts out, say `missing = \"gap\"`",
                            file.url
                        )));
                    }
                    gaps.push(Gap { source: plan.id.clone(), url: file.url.clone(), reason });
                    // What upstream has lost we keep.
                    return Ok(complete.then(|| Asked { part, records: known, arrived: Arrived::Kept }));
                }
            }
        }
        if unchanged {
            fetched.into_iter().flatten().for_each(FetchedFile::discard);
            return Ok(Some(Asked { part, records: known, arrived: Arrived::Kept }));
        }
        // One file of several is new: the others are needed as well.
        let (mut files, mut records, mut downloads) = (Vec::new(), Vec::new(), Vec::new());
        for (file, found) in part.files.iter().zip(fetched) {
            let found = match found {
                Some(found) => found,
                None => match fetcher.fetch(file, None, now).await? {
                    Fetched::File(found) => found,
                    _ => return Err(Failure::upstream(format!("{} vanished between two requests", file.url))),
                },
            };
            if found.bytes == 0 {
                return Err(Failure::upstream(format!("{} is empty: 0 bytes", file.url)));
            }
            files.push((file.url.clone(), found.path.clone()));
            records.push(SourceRecord {
                source: plan.id.clone(),
                url: file.url.clone(),
                part: part.name.clone(),
                variables: part.variables.clone(),
                etag: found.etag.clone(),
                last_modified: found.last_modified.clone(),
                bytes: found.bytes,
                sha256: found.sha256.clone(),
                fetched: found.fetched,
            });
            downloads.push(found);
        }
        let found = PartFiles { name: part.name.clone(), variables: part.variables.clone(), files };
        Ok(Some(Asked { part, records, arrived: Arrived::New(found, downloads) }))
    }
}
