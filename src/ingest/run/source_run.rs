//! One source on its way through a run: its parts asked for, taken through the pipeline, put together as tables.

use std::collections::{BTreeMap, HashMap};

use super::{
    super::{
        Failure,
        definition::{
            self, Loaded,
            grammar::{ColumnDefinition, Table},
        },
        encode,
        fetch::Fetcher,
        infer::Inference,
        normalize::Seen,
        part::{self, PartFiles, PartTable, Pipeline, TableColumns},
        plan::{self, SourcePlan, TablePlan},
        publish::{self, Findings, ReadyTable, Shelf},
        source::{self, Listed},
    },
    Ingest, KnownParts,
    ask::{Arrived, Asked, Asker},
    blocking,
};
use crate::{
    catalog::{DataFile, Manifest, TableId, TableSchema, TableSnapshot, run::TableCount},
    store::Area,
};

/// A source in a run.
pub(super) struct SourceRun<'a> {
    pub(super) ingest: Ingest<'a>,
    pub(super) loaded: &'a Loaded,
    pub(super) pipeline: &'a Pipeline,
    pub(super) plan: &'a SourcePlan<'a>,
    pub(super) fetcher: &'a Fetcher,
    /// The snapshot whose files of unchanged parts are kept; `None`: everything is made anew.
    pub(super) basis: Option<&'a Manifest>,
    /// The snapshot before, whatever it was made from: what its columns are numbered, these are.
    head: Option<&'a Manifest>,
    /// The number of the snapshot being made.
    pub(super) snapshot: u64,
    /// Upstream's files as the basis has them, by part; those of a part are taken out when it is asked for.
    known: KnownParts,
    columns: BTreeMap<usize, TableColumns>,
    asked: Vec<Asked>,
    /// What this run has uploaded, by table and part.
    made: BTreeMap<(usize, String), Made>,
    totals: BTreeMap<usize, Totals>,
}

/// The files of one part of one table.
#[derive(Debug, Default)]
struct Made {
    data: Vec<DataFile>,
    rejects: Vec<DataFile>,
}

/// Rows of one table in this run, over all parts.
#[derive(Debug, Default)]
struct Totals {
    read: u64,
    misfits: u64,
    reasons: Vec<String>,
    seen: Seen,
    /// Files there are only because the table is partitioned.
    partition_files: usize,
}

/// Rows read before a table of which none fits ends the run early.
const ENOUGH_MISFITS: u64 = 1000;

impl<'a> SourceRun<'a> {
    /// `known` are the files of this source in `parent`, by part.
    #[allow(clippy::too_many_arguments, reason = "what a run is made of")]
    pub(super) fn new(
        ingest: Ingest<'a>,
        loaded: &'a Loaded,
        pipeline: &'a Pipeline,
        plan: &'a SourcePlan<'a>,
        fetcher: &'a Fetcher,
        parent: Option<&'a Manifest>,
        head: Option<&'a Manifest>,
        known: KnownParts,
        snapshot: u64,
    ) -> Self {
        let kept = plan.tables.iter().all(|table| table_in(parent, table).is_some());
        let named = plan.tables.iter().filter_map(|table| Some((table, table.schema.clone()?)));
        let columns = named
            .map(|(table, schema)| {
                let (definitions, metadata) = (table.table.columns.clone(), metadata(loaded, table));
                let schema = numbered(head, table, schema);
                (table.index, TableColumns { definitions, schema, metadata })
            })
            .collect();
        Self {
            ingest,
            loaded,
            pipeline,
            plan,
            fetcher,
            basis: parent.filter(|_| kept),
            head,
            snapshot,
            known: if kept { known } else { KnownParts::new() },
            columns,
            asked: Vec::new(),
            made: BTreeMap::new(),
            totals: BTreeMap::new(),
        }
    }

    /// Takes the source through the pipeline; true when it has anything new.
    pub(super) async fn go(
        &mut self,
        findings: &mut Findings,
        counts: &mut BTreeMap<usize, TableCount>,
    ) -> Result<bool, Failure> {
        let (plan, now, folder) = (self.plan, self.ingest.now, &self.loaded.folder);
        let Listed { parts, gaps, upstream_version, .. } = if self.ingest.sample {
            source::list_sample(&plan.source, &plan.id, folder, now)?
        } else {
            source::list(&plan.source, &plan.id, folder, self.fetcher, now).await?
        };
        findings.upstream_version = findings.upstream_version.take().or(upstream_version);
        findings.gaps.extend(gaps);

        // Where columns are taken from the data, all parts are looked through before the first is written.
        let infers = plan.tables.iter().any(|table| table.schema.is_none());
        let asker = Asker { plan, fetcher: self.fetcher, now };
        let mut any_new = self.basis.is_none();
        for part in parts {
            let known = self.known.remove(&part.name).unwrap_or_default();
            let was_there = !known.is_empty();
            let Some(mut one) = asker.ask(part, known, &mut findings.gaps).await? else {
                any_new |= was_there;
                continue;
            };
            if let Arrived::New(found, _) = &one.arrived {
                any_new = true;
                if let Some(expect) = &plan.source.expect {
                    let (expect, found, pipeline) = (expect.clone(), found.clone(), self.pipeline.clone());
                    blocking(move || part::check_expectation(&expect, &found, &pipeline)).await?;
                }
                if !infers {
                    let found = found.clone();
                    self.process(&found, counts).await?;
                    one.discard();
                }
            }
            self.asked.push(one);
        }
        // A part that upstream no longer lists is a change too.
        any_new |= !self.known.is_empty();
        if infers && any_new {
            self.infer_all().await?;
            self.process_all(counts).await?;
        }
        for (index, total) in &self.totals {
            self.check_rejects(*index, total)?;
            self.check_seen(*index, total)?;
        }
        Ok(any_new)
    }

    /// Learns the columns of tables that name none. Where they have become wider than those of the files we keep, the
    /// parts of those are asked for again, so that all files of a table have the same columns.
    async fn infer_all(&mut self) -> Result<(), Failure> {
        if !self.infer(self.basis).await? || !self.asked.iter().any(|one| matches!(one.arrived, Arrived::Kept)) {
            return Ok(());
        }
        let asker = Asker { plan: self.plan, fetcher: self.fetcher, now: self.ingest.now };
        for one in self.asked.iter_mut().filter(|one| matches!(one.arrived, Arrived::Kept)) {
            let again = asker.ask(one.part.clone(), vec![], &mut Vec::new()).await?;
            *one = again.ok_or_else(|| {
                Failure::upstream(format!(
                    "{} is needed again because the columns have changed, and upstream no longer has it",
                    one.part.name
                ))
            })?;
        }
        self.infer(None).await.map(|_| ())
    }

    /// Infers from the new parts, beginning with the columns of `before`; true when they differ from those.
    async fn infer(&mut self, before: Option<&Manifest>) -> Result<bool, Failure> {
        let unnamed = self.plan.tables.iter().filter(|table| table.schema.is_none());
        let mut inferences: BTreeMap<usize, Inference> = unnamed
            .clone()
            .map(|table| {
                (table.index, Inference::new(table_in(before, table).map(|before| &before.schema), &table.table.format))
            })
            .collect();
        let parts: Vec<PartFiles> = self
            .asked
            .iter()
            .filter_map(|one| match &one.arrived {
                Arrived::New(found, _) => Some(found.clone()),
                Arrived::Kept | Arrived::Done => None,
            })
            .collect();
        let (loaded, pipeline, id) = (self.loaded.clone(), self.pipeline.clone(), self.plan.id.clone());
        let inferred: BTreeMap<usize, (Vec<ColumnDefinition>, TableSchema)> = blocking(move || {
            let plans = plan::plan(&loaded)?;
            let tables = plans.iter().filter(|plan| plan.id == id).flat_map(|plan| &plan.tables);
            let tables: Vec<&TablePlan<'_>> = tables.filter(|table| table.schema.is_none()).collect();
            for part in &parts {
                part::infer(&tables, &mut inferences, part, &pipeline)?;
            }
            Ok(inferences.into_iter().map(|(index, inference)| (index, inference.finish())).collect())
        })
        .await?;
        let mut widened = false;
        for table in unnamed {
            let Some((definitions, schema)) = inferred.get(&table.index).cloned() else { continue };
            let schema = numbered(self.head, table, keyed(table.table, &definitions, schema)?);
            widened |= table_in(before, table).is_some_and(|before| before.schema != schema);
            self.columns
                .insert(table.index, TableColumns { definitions, schema, metadata: metadata(self.loaded, table) });
        }
        Ok(widened)
    }

    async fn process_all(&mut self, counts: &mut BTreeMap<usize, TableCount>) -> Result<(), Failure> {
        let mut asked = std::mem::take(&mut self.asked);
        for one in &mut asked {
            if let Arrived::New(found, _) = &one.arrived {
                let found = found.clone();
                self.process(&found, counts).await?;
                one.discard();
            }
        }
        self.asked = asked;
        Ok(())
    }

    /// Takes one part through the pipeline and uploads what it gives.
    async fn process(&mut self, found: &PartFiles, counts: &mut BTreeMap<usize, TableCount>) -> Result<(), Failure> {
        let (loaded, pipeline, id) = (self.loaded.clone(), self.pipeline.clone(), self.plan.id.clone());
        let (columns, part) = (self.columns.clone(), found.clone());
        let done: Vec<(usize, PartTable)> = blocking(move || {
            let plans = plan::plan(&loaded)?;
            let Some(plan) = plans.iter().find(|plan| plan.id == id) else { return Ok(vec![]) };
            part::process(&plan.tables, &columns, &part, &pipeline)
        })
        .await?;
        for (index, table) in done {
            let Some(plan) = self.plan.tables.iter().find(|plan| plan.index == index) else { continue };
            let rejected = table.misfits + table.encoded.duplicate_rows;
            let count = counts.entry(index).or_default();
            count.table.clone_from(&plan.table.name);
            count.read += table.read;
            count.rejected += rejected;
            count.published += table.encoded.rows;
            if table.read != table.encoded.rows + rejected {
                return Err(Failure::internal(format!(
                    "table `{}`, {}: {} rows read, {} to publish, {rejected} rejected: rows have vanished",
                    plan.table.name, found.name, table.read, table.encoded.rows
                )));
            }
            let total = self.totals.entry(index).or_default();
            total.read += table.read;
            total.misfits += table.misfits;
            total.reasons.extend(table.reasons);
            total.reasons.truncate(part::SHOWN_REASONS);
            total.seen.join(&table.seen);
            let cuts =
                table.encoded.files.windows(2).filter(|pair| matches!(pair, [a, b] if a.partition != b.partition));
            total.partition_files += cuts.count();
            check_partitions(plan.table, total.partition_files, self.pipeline.settings.encode.partition_files)?;
            // No number of good rows to come is likely to save a table of which nothing fits.
            if total.misfits == total.read && total.read > ENOUGH_MISFITS {
                self.check_rejects(index, self.totals.get(&index).unwrap_or(&Totals::default()))?;
            }
            let name: TableId = plan.table.name.parse().map_err(|error| Failure::definition(format!("{error}")))?;
            let (store, dataset, snapshot) = (self.ingest.store, &self.loaded.id, self.snapshot);
            let shelf = Shelf { store, dataset, table: &name, area: plan.area, snapshot };
            let data = shelf.upload(&found.name, table.encoded.files, false).await?;
            let rejects = match table.rejects {
                Some(rejects) => shelf.upload(&found.name, rejects.files, true).await?,
                None => vec![],
            };
            self.made.insert((index, found.name.clone()), Made { data, rejects });
        }
        Ok(())
    }

    fn check_rejects(&self, index: usize, total: &Totals) -> Result<(), Failure> {
        let name = self.plan.tables.iter().find(|table| table.index == index).map_or("", |table| &table.table.name);
        let threshold = self.loaded.definition.reject_threshold;
        let share = total.misfits as f64 / total.read.max(1) as f64;
        if share <= threshold {
            return Ok(());
        }
        let first: Vec<&str> = total.reasons.iter().take(3).map(String::as_str).collect();
        Err(Failure::definition(format!(
            "table `{name}`: {} of {} rows do not fit ({:.2} %, at most {:.2} % may): {}; fix the columns, or raise `reject_threshold`",
            total.misfits,
            total.read,
            100.0 * share,
            100.0 * threshold,
            first.join("; ")
        )))
    }

    /// A column that no row of this run had is a misspelled `from`, or upstream has dropped it.
    fn check_seen(&self, index: usize, total: &Totals) -> Result<(), Failure> {
        let (Some(table), Some(columns)) =
            (self.plan.tables.iter().find(|table| table.index == index), self.columns.get(&index))
        else {
            return Ok(());
        };
        let seen = total.seen.check(&columns.definitions);
        seen.map_err(|failure| failure.context(format_args!("table `{}`", table.table.name)))
    }

    /// The tables as they will be published: files of kept parts from the parent, of new parts from this run, in the
    /// order of the parts.
    pub(super) async fn assemble(
        mut self,
        findings: &mut Findings,
        ready: &mut BTreeMap<usize, ReadyTable>,
    ) -> Result<(), Failure> {
        for table in &self.plan.tables {
            ready.insert(table.index, self.assemble_table(table).await?);
        }
        findings.sources.extend(self.asked.into_iter().flat_map(|one| one.records));
        Ok(())
    }

    async fn assemble_table(&mut self, table: &TablePlan<'_>) -> Result<ReadyTable, Failure> {
        let (store, dataset) = (self.ingest.store, &self.loaded.id);
        let before = table_in(self.basis, table);
        let (mut kept, mut kept_rejects) = (HashMap::new(), HashMap::new());
        if let (Some(basis), Some(before)) = (self.basis, before) {
            let area = Area::of_table(basis, before);
            kept = publish::by_part(store.get_segments(area, dataset, &before.segments).await?);
            kept_rejects = publish::by_part(store.get_segments(area, dataset, &before.reject_segments).await?);
        }
        let (mut files, mut rejects) = (Vec::new(), Vec::new());
        for one in &self.asked {
            let name = &one.part.name;
            if matches!(one.arrived, Arrived::Kept) {
                files.extend(kept.remove(name).into_iter().flatten());
                rejects.extend(kept_rejects.remove(name).into_iter().flatten());
            } else if let Some(made) = self.made.remove(&(table.index, name.clone())) {
                files.extend(made.data);
                rejects.extend(made.rejects);
            }
        }
        let definition = table.table;
        let cuts =
            files.windows(2).filter(|pair| matches!(pair, [a, b] if a.part == b.part && a.partition != b.partition));
        check_partitions(definition, cuts.count(), self.pipeline.settings.encode.partition_files)?;
        let schema = self.columns.get(&table.index).map(|columns| columns.schema.clone());
        let schema = schema.or_else(|| before.map(|before| before.schema.clone())).unwrap_or_default();
        let last = self.head.and_then(|head| head.table(&definition.name)).map_or(0, TableSnapshot::last_field);
        let snapshot = TableSnapshot {
            name: definition.name.clone(),
            description: definition.description.clone(),
            license: definition.license.clone(),
            definition: table.definition.clone(),
            source: self.plan.id.clone(),
            last_field_id: if last > schema.last_field() { last } else { 0 },
            schema,
            primary_key: definition.primary_key.clone(),
            sort_key: definition.order(),
            partition_by: definition.partition_by.clone(),
            rows: files.iter().map(|file| file.rows).sum(),
            rejected: rejects.iter().map(|file| file.rows).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            added_files: None,
            segments: vec![],
            reject_segments: vec![],
            listed_segments: vec![],
        };
        Ok(ReadyTable { snapshot, area: table.area, files, rejects })
    }
}

/// The inferred columns as the table's keys make them: a primary key is never null and has a bloom filter.
fn keyed(table: &Table, definitions: &[ColumnDefinition], schema: TableSchema) -> Result<TableSchema, Failure> {
    let keys = table.primary_key.iter().chain(table.sort_key.iter().flatten()).chain(&table.partition_by);
    for key in keys {
        let Some((_, column)) = schema.column(key) else {
            let known: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
            return Err(Failure::definition(format!(
                "table `{}`: its key names `{key}`, and the data has only {}",
                table.name,
                known.join(", ")
            )));
        };
        if table.partition_by.contains(key) && !column.kind.is_partition() {
            let message = definition::no_partition(key, &column.kind);
            return Err(Failure::definition(format!("table `{}`: `partition_by`: {message}", table.name)));
        }
    }
    let mut schema = schema;
    for column in schema.columns.iter_mut().filter(|column| table.primary_key.contains(&column.name)) {
        column.nullable = false;
        column.bloom = definitions
            .iter()
            .find(|definition| definition.name == column.name)
            .is_none_or(|definition| definition.bloom.unwrap_or(true));
    }
    Ok(schema)
}

/// `files`: those there are only because the table is partitioned.
fn check_partitions(table: &Table, files: usize, most: usize) -> Result<(), Failure> {
    if files <= most {
        return Ok(());
    }
    let what = format!("the table falls into more than {most} partitions beyond one for each part");
    Err(encode::too_many(&table.partition_by, &what).context(format_args!("table `{}`", table.name)))
}

/// The columns with the Iceberg field ids they have had, and new ones for what is new.
fn numbered(head: Option<&Manifest>, table: &TablePlan<'_>, schema: TableSchema) -> TableSchema {
    match head.and_then(|head| head.table(&table.table.name)) {
        Some(before) => schema.numbered_after(&before.schema, before.last_field()),
        None => schema,
    }
}

/// A table as a snapshot has it, if nothing that shapes it has changed since.
fn table_in<'m>(manifest: Option<&'m Manifest>, table: &TablePlan<'_>) -> Option<&'m TableSnapshot> {
    manifest?.tables.iter().find(|before| before.name == table.table.name && before.definition == table.definition)
}

/// License and provenance, carried by each file.
fn metadata(loaded: &Loaded, table: &TablePlan<'_>) -> Vec<(String, String)> {
    let license = table.license;
    let mut metadata = vec![
        ("openshelf.dataset".to_owned(), loaded.id.to_string()),
        ("openshelf.table".to_owned(), table.table.name.clone()),
        ("openshelf.definition".to_owned(), loaded.sha256.clone()),
        ("license".to_owned(), license.id.clone()),
        ("license_url".to_owned(), license.url.clone()),
    ];
    metadata.extend(license.attribution.clone().map(|attribution| ("attribution".to_owned(), attribution)));
    metadata.extend(loaded.definition.homepage.clone().map(|homepage| ("homepage".to_owned(), homepage)));
    metadata
}
