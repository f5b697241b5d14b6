//! One dataset's folders gone through, object by object, and what is dead removed: files first, then the lists that name
//! them, so that a collection cut short can still say why the rest goes.

use object_store::{ObjectMeta, ObjectStore, path::Path};

use super::{
    BATCH, Boundary, Collected, Collection, Doomed, Kind, Why, Witness,
    named::{Keys, Named},
    next,
};
use crate::{
    catalog::DatasetId,
    store::{
        DerivedFolder, Exported, Key, ObjectName, Store, StoreError,
        key::{self, AREAS, Area},
    },
};

/// See the module.
pub(super) struct Sweep<'a> {
    store: &'a Store,
    dataset: &'a DatasetId,
    run: &'a str,
    collection: Collection,
    /// Number of the last record of the boundary's log.
    last: u64,
    named: Named,
    /// Whether the boundary stands, so that objects may go.
    stands: bool,
    collected: Collected,
    batch: Vec<Doomed>,
}

impl<'a> Sweep<'a> {
    /// Works out what is kept; `before` is the last record of the boundary's log.
    pub(super) async fn begin(
        store: &'a Store,
        dataset: &'a DatasetId,
        run: &'a str,
        collection: Collection,
        before: Option<&(u64, Boundary)>,
    ) -> Result<Self, StoreError> {
        let (last, before) = before.map_or((0, None), |(last, boundary)| (*last, Some(boundary)));
        let named = Named::read(store, dataset, collection, before).await?;
        let collected = Collected {
            head: named.head,
            collected_to: named.collected_to,
            before: before.map_or(0, |before| before.collected_to),
            retention: named.retention.clone(),
            ..Collected::default()
        };
        Ok(Self { store, dataset, run, collection, last, named, stands: false, collected, batch: Vec::new() })
    }

    /// Goes through the dataset.
    pub(super) async fn go(mut self, witness: Witness<'_>) -> Result<Collected, StoreError> {
        if self.collected.collected_to > self.collected.before {
            // Even where nothing is left to remove, what was decided is decided.
            self.stand().await?;
        }
        let (dead_lists, there) = self.lists().await?;
        let expired = self.named.expired_files(self.store, self.dataset, &there).await?;
        for area in AREAS {
            for (name, kind) in key::COLLECTED.into_iter().zip([Kind::Data, Kind::Rejects]) {
                let folder = key::named(area, self.dataset, name);
                let mut found = self.store.0.objects.list(Some(&folder));
                while let Some(object) = next(&folder, &mut found).await? {
                    let key = object.location.as_ref();
                    let why = match expired.has(key) {
                        _ if self.named.files.has(key) => None,
                        true => Some(Why::Expired),
                        false => self.orphan(&object),
                    };
                    self.take(object, kind, why, witness).await?;
                }
            }
            self.derived(area, witness).await?;
            self.exported(area, witness).await?;
        }
        self.remove(witness).await?;
        for doomed in dead_lists {
            self.push(doomed, witness).await?;
        }
        self.remove(witness).await?;
        Ok(self.collected)
    }

    /// Dead lists, and the keys of the expired ones among them.
    async fn lists(&self) -> Result<(Vec<Doomed>, Keys), StoreError> {
        let expired: Keys = self.named.expired.iter().map(|list| list.key.clone()).collect();
        let mut dead = Vec::new();
        for area in AREAS {
            let folder = key::named(area, self.dataset, "files");
            let mut found = self.store.0.objects.list(Some(&folder));
            while let Some(object) = next(&folder, &mut found).await? {
                let key = object.location.as_ref();
                let why = match expired.has(key) {
                    _ if self.named.lists.has(key) => None,
                    true => Some(Why::Expired),
                    false => self.orphan(&object),
                };
                dead.extend(why.map(|why| doomed(&object, Kind::List, why)));
            }
        }
        let there = dead.iter().filter(|list| list.why == Why::Expired).map(|list| list.key.clone()).collect();
        Ok((dead, there))
    }

    /// What was made from collected snapshots; of kept ones, what an attempt left that did not come to its end.
    async fn derived(&mut self, area: Area, witness: Witness<'_>) -> Result<(), StoreError> {
        let folder = key::named(area, self.dataset, "derived");
        let mut found = self.store.0.objects.list(Some(&folder));
        // The folder looked at last, and the attempt whose files it holds.
        let mut whole: Option<(Path, Option<String>)> = None;
        while let Some(object) = next(&folder, &mut found).await? {
            let inside = object.location.prefix_match(&folder).into_iter().flatten();
            let parts: Vec<String> = inside.map(|part| part.as_ref().to_owned()).collect();
            let Some(snapshot) = parts.first().and_then(|number| number.parse::<u64>().ok()) else { continue };
            let why = match (snapshot <= self.named.collected_to, parts.as_slice()) {
                (true, _) => Some(Why::Expired),
                (false, [number, table, thing, build, _]) => {
                    let of = folder.clone().join(number.as_str()).join(table.as_str());
                    let marker = of.join(format!("{thing}.json"));
                    if whole.as_ref().is_none_or(|(known, _)| *known != marker) {
                        let named = match self.store.get(&marker).await {
                            Ok(body) => serde_json::from_slice::<DerivedFolder>(&body).ok().map(|folder| folder.build),
                            Err(StoreError::NotFound { .. }) => None,
                            Err(error) => return Err(error),
                        };
                        whole = Some((marker, named));
                    }
                    let named = whole.as_ref().and_then(|(_, named)| named.as_deref());
                    if named == Some(build.as_str()) { None } else { self.orphan(&object) }
                }
                (false, _) => None,
            };
            self.take(object, Kind::Derived, why, witness).await?;
        }
        Ok(())
    }

    /// Iceberg metadata of collected snapshots that somebody exported. What is left may go on naming them until the next export.
    async fn exported(&mut self, area: Area, witness: Witness<'_>) -> Result<(), StoreError> {
        let folder = key::named(area, self.dataset, "iceberg");
        let mut found = self.store.0.objects.list(Some(&folder));
        while let Some(object) = next(&folder, &mut found).await? {
            let Some(Ok(name)) = object.location.filename().map(str::parse::<Exported>) else { continue };
            let dead = match &name {
                // Shared by all snapshots that name the list of files that it was made from.
                Exported::Object(ObjectName::Kept { segment, .. }) => {
                    let list = Key::Segment { area, dataset: self.dataset.clone(), hash: segment.clone() };
                    !self.named.lists.has(&list.to_string())
                }
                Exported::Object(name) => name.snapshot() <= self.named.collected_to,
                Exported::Version(snapshot) => *snapshot <= self.named.collected_to,
                // A byte or two, which an export may be writing at this moment.
                Exported::Hint => false,
            };
            self.take(object, Kind::Export, dead.then_some(Why::Expired), witness).await?;
        }
        Ok(())
    }

    fn orphan(&self, object: &ObjectMeta) -> Option<Why> {
        (object.last_modified < self.collection.orphans_before()).then_some(Why::Orphaned)
    }

    async fn take(
        &mut self,
        object: ObjectMeta,
        kind: Kind,
        why: Option<Why>,
        witness: Witness<'_>,
    ) -> Result<(), StoreError> {
        match why {
            Some(why) => self.push(doomed(&object, kind, why), witness).await,
            None => Ok(()),
        }
    }

    async fn push(&mut self, doomed: Doomed, witness: Witness<'_>) -> Result<(), StoreError> {
        self.batch.push(doomed);
        if self.batch.len() >= BATCH { self.remove(witness).await } else { Ok(()) }
    }

    async fn remove(&mut self, witness: Witness<'_>) -> Result<(), StoreError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.stand().await?;
        self.store.take(&mut self.batch, self.collection, &mut self.collected, witness).await
    }

    /// Writes down what is about to go, and makes sure that it was worked out from the newest snapshot.
    async fn stand(&mut self) -> Result<(), StoreError> {
        if self.stands || self.collection.dry_run {
            return Ok(());
        }
        let boundary = Boundary {
            run: self.run.to_owned(),
            at: self.collection.now,
            head: self.named.head,
            collected_to: self.named.collected_to,
            orphans_before: Some(self.collection.orphans_before()),
            pins: self.named.pins.clone(),
        };
        self.store.put_boundary(self.dataset, self.last + 1, &boundary).await?;
        self.last += 1;
        let head = self.store.last_number(self.dataset).await?;
        if head != self.named.head {
            let path = key::named(Area::Open, self.dataset, "manifests").to_string();
            return Err(StoreError::Taken { path, number: head, by: "a run that published meanwhile".to_owned() });
        }
        self.stands = true;
        Ok(())
    }
}

fn doomed(object: &ObjectMeta, kind: Kind, why: Why) -> Doomed {
    Doomed { key: object.location.to_string(), bytes: object.size, kind, why }
}
