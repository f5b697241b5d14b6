//! Files of extracts: those whose time is over, and what jobs left that did not come to their end. A server removes them
//! in time; this is for stores that no server looks after. The record of an extract stays, and says that its files are gone
//! before they are.

use object_store::{ObjectStore, path::Path};

use super::{BATCH, Collected, Collection, Doomed, Kind, Why, next};
use crate::{
    catalog::extract::{ExtractEvent, ExtractId, ExtractState},
    store::{
        Store, StoreError,
        extracts::{EXTRACTS, OPENSHELF},
        key::AREAS,
    },
};

/// What is to be done with the files of an extract.
enum Verdict {
    /// These are kept, others are an attempt's that ended early.
    Named(Vec<String>),
    /// A job is at work or waits.
    Untouched,
    /// All go.
    Over(Why),
}

impl Store {
    /// Removes the files of extracts that have expired, and of jobs that came to nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn collect_extracts(
        &self,
        run: &str,
        collection: Collection,
        witness: &mut (dyn FnMut(&Doomed) + Send),
    ) -> Result<Collected, StoreError> {
        let (mut collected, mut batch) = (Collected::default(), Vec::new());
        for area in AREAS {
            let folder: Path = area.folder().into_iter().chain([OPENSHELF, EXTRACTS]).collect();
            let mut found = self.0.objects.list(Some(&folder));
            // Files of one extract come one after the other.
            let mut known: Option<(ExtractId, Verdict)> = None;
            while let Some(object) = next(&folder, &mut found).await? {
                let mut inside = object.location.prefix_match(&folder).into_iter().flatten();
                let (Some(id), Some(name), None) = (inside.next(), inside.next(), inside.next()) else { continue };
                let Ok(id) = id.as_ref().parse::<ExtractId>() else { continue };
                if !name.as_ref().ends_with(".parquet") {
                    continue;
                }
                if known.as_ref().is_none_or(|(known, _)| *known != id) {
                    let verdict = self.verdict(&id, run, collection).await?;
                    known = Some((id, verdict));
                }
                let why = match known.as_ref().map(|(_, verdict)| verdict) {
                    Some(Verdict::Over(why)) => *why,
                    Some(Verdict::Named(kept))
                        if !kept.iter().any(|kept| kept == name.as_ref())
                            && object.last_modified < collection.orphans_before() =>
                    {
                        Why::Orphaned
                    }
                    _ => continue,
                };
                let (key, bytes) = (object.location.to_string(), object.size);
                batch.push(Doomed { key, bytes, kind: Kind::Extract, why });
                if batch.len() >= BATCH {
                    self.take(&mut batch, collection, &mut collected, witness).await?;
                }
            }
        }
        self.take(&mut batch, collection, &mut collected, witness).await?;
        Ok(collected)
    }

    async fn verdict(&self, id: &ExtractId, run: &str, collection: Collection) -> Result<Verdict, StoreError> {
        // Files come after the first record: without one there is nobody to name them.
        let Some(extract) = self.extract(id, 0).await? else { return Ok(Verdict::Untouched) };
        match extract.last.state {
            ExtractState::Done(result) if result.expires <= collection.now => {
                if !collection.dry_run {
                    let state = ExtractState::Expired(result);
                    let event = ExtractEvent { run: run.to_owned(), at: collection.now, state };
                    match self.put_extract_event(id, extract.number + 1, &event).await {
                        Ok(()) => {}
                        // A server was quicker, or somebody asked for it again.
                        Err(StoreError::Taken { .. }) => return Ok(Verdict::Untouched),
                        Err(error) => return Err(error),
                    }
                }
                Ok(Verdict::Over(Why::Expired))
            }
            ExtractState::Done(result) => Ok(Verdict::Named(result.files.into_iter().map(|file| file.name).collect())),
            ExtractState::Expired(_) => Ok(Verdict::Over(Why::Expired)),
            ExtractState::Failed { .. } => Ok(Verdict::Over(Why::Orphaned)),
            ExtractState::Requested(_) | ExtractState::Running { .. } | ExtractState::Released { .. } => {
                Ok(Verdict::Untouched)
            }
        }
    }
}
