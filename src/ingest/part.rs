//! One part of a source, from files on disk to Parquet files in scratch: decompress, extract, normalize, sort, encode.
//!
//! Everything here is synchronous and runs on a blocking thread, so that its memory is that of one pipeline.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Failure,
    definition::grammar::{ColumnDefinition, Expect, Format},
    encode::{Encoded, Encoder, TableShape},
    extract::{Extraction, Member, RawBatch, extract, member_text, members_told, whole},
    infer::Inference,
    normalize::{self, Normalizer, Origin, Seen},
    plan::{self, TablePlan},
    progress::{Progress, Stage, Unit},
    rejects,
};
use crate::{catalog::TableSchema, config::IngestSettings};

/// A part whose files are on disk.
#[derive(Debug, Clone)]
pub(super) struct PartFiles {
    /// The part's name in messages and manifests.
    pub(super) name: String,
    pub(super) variables: BTreeMap<String, String>,
    /// Upstream address and local path of each file, in order.
    pub(super) files: Vec<(String, PathBuf)>,
}

/// What the pipeline needs beside the part.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub(super) settings: IngestSettings,
    pub(super) folder: PathBuf,
    pub(super) scratch: PathBuf,
    pub(super) progress: Progress,
    /// Set when the run has ended: the pipeline stops at the next batch.
    pub(super) cancelled: Arc<AtomicBool>,
    /// What scripts write to standard error, for the run record.
    pub(super) script_output: ScriptOutput,
}

/// What the scripts of a run say: the end of it.
#[derive(Debug, Clone, Default)]
pub(super) struct ScriptOutput(Arc<Mutex<Vec<String>>>);

/// Bytes and pieces of script output kept in a run record.
const MOST_SAID: (usize, usize) = (256 << 10, 1000);

impl ScriptOutput {
    fn add(&self, pieces: Vec<String>) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend(pieces);
        let (mut left, most) = MOST_SAID;
        let fits = |text: &&String| {
            let fits = text.len() <= left;
            left = left.saturating_sub(text.len());
            fits
        };
        let kept = said.iter().rev().take(most).take_while(fits).count();
        let beyond = said.len() - kept;
        said.drain(..beyond);
    }

    /// All that is kept, oldest first.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The columns of a table as this run publishes them.
#[derive(Debug, Clone)]
pub(super) struct TableColumns {
    pub(super) definitions: Vec<ColumnDefinition>,
    pub(super) schema: TableSchema,
    /// Key-value metadata of the files.
    pub(super) metadata: Vec<(String, String)>,
}

/// What one part gave for one table.
#[derive(Debug)]
pub(super) struct PartTable {
    pub(super) encoded: Encoded,
    pub(super) rejects: Option<Encoded>,
    /// Rows in the part.
    pub(super) read: u64,
    /// Rows that did not fit, those with a duplicate key not among them.
    pub(super) misfits: u64,
    /// The first few reasons, for the run's message.
    pub(super) reasons: Vec<String>,
    /// Which columns its rows had, where rows name their own.
    pub(super) seen: Seen,
}

/// Reasons kept for the run's message.
pub(super) const SHOWN_REASONS: usize = 3;

/// Checks `expect` on the first file of a part.
pub(super) fn check_expectation(expect: &Expect, part: &PartFiles, pipeline: &Pipeline) -> Result<(), Failure> {
    for (url, path) in &part.files {
        let text =
            member_text(path, &expect.member, &pipeline.settings.caps).map_err(|failure| failure.context(url))?;
        let found = text.as_deref().map(str::trim);
        if found != Some(expect.equals.trim()) {
            let is = found.map_or("is missing".to_owned(), |found| {
                format!("is `{}`", found.chars().take(80).collect::<String>())
            });
            return Err(Failure::definition(format!(
                "{url}: `{}` {is}, but this definition is written for `{}`; upstream's layout has changed: compare the columns, then change `expect`",
                expect.member, expect.equals
            )));
        }
    }
    Ok(())
}

/// Looks through a part to learn the columns of tables that name none.
pub(super) fn infer(
    tables: &[&TablePlan<'_>],
    inferences: &mut BTreeMap<usize, Inference>,
    part: &PartFiles,
    pipeline: &Pipeline,
) -> Result<(), Failure> {
    for table in tables {
        let Some(inference) = inferences.get_mut(&table.index) else { continue };
        let stage = pipeline.progress.stage(format!("infer {}", table.table.name), Unit::Rows, None);
        walk(&[table], part, pipeline, None, &mut |_, _, raw| {
            stage.advance(raw.rows as u64);
            inference.push(&raw);
            Ok(())
        })?;
    }
    Ok(())
}

/// Takes a part through the whole pipeline, for all tables of its source.
pub(super) fn process(
    tables: &[TablePlan<'_>],
    columns: &BTreeMap<usize, TableColumns>,
    part: &PartFiles,
    pipeline: &Pipeline,
) -> Result<Vec<(usize, PartTable)>, Failure> {
    let mut done = Vec::new();
    for round in plan::rounds(tables) {
        let mut lines: BTreeMap<usize, Line<'_>> = BTreeMap::new();
        for table in &round {
            let columns = columns.get(&table.index).ok_or_else(|| Failure::internal("a table without columns"))?;
            lines.insert(table.index, Line::new(table, columns, pipeline)?);
        }
        let wanted: BTreeMap<usize, Option<BTreeSet<String>>> = round
            .iter()
            .map(|table| (table.index, normalize::wanted(&table.table.columns, &table.table.format)))
            .collect();
        walk(&round, part, pipeline, Some(&wanted), &mut |table, origin, raw| {
            lines.get_mut(&table.index).map_or(Ok(()), |line| line.push(origin, &raw))
        })?;
        for (index, line) in lines {
            done.push((index, line.finish()?));
        }
    }
    Ok(done)
}

/// The way of one table's rows through normalize and encode.
struct Line<'a> {
    table: &'a TablePlan<'a>,
    columns: &'a TableColumns,
    encoder: Encoder,
    rejects: Encoder,
    normalizer: Option<(String, Normalizer)>,
    seen: Seen,
    read: u64,
    misfits: u64,
    reasons: Vec<String>,
    progress: Progress,
    stage: Arc<Stage>,
}

impl<'a> Line<'a> {
    fn new(table: &'a TablePlan<'a>, columns: &'a TableColumns, pipeline: &Pipeline) -> Result<Self, Failure> {
        let definition = table.table;
        let sort_key = definition.order();
        let shape = TableShape {
            schema: &columns.schema,
            primary_key: &definition.primary_key,
            sort_key: &sort_key,
            partition_by: &definition.partition_by,
            on_duplicate: definition.on_duplicate,
            metadata: columns.metadata.clone(),
        };
        let reject_schema = rejects::schema();
        let reject_shape = TableShape {
            schema: &reject_schema,
            primary_key: &[],
            sort_key: &[],
            partition_by: &[],
            on_duplicate: definition.on_duplicate,
            metadata: columns.metadata.clone(),
        };
        Ok(Self {
            table,
            columns,
            encoder: Encoder::new(shape, &pipeline.settings.encode, &pipeline.scratch)?,
            rejects: Encoder::new(reject_shape, &pipeline.settings.encode, &pipeline.scratch)?,
            normalizer: None,
            seen: Seen::default(),
            read: 0,
            misfits: 0,
            reasons: Vec::new(),
            progress: pipeline.progress.clone(),
            stage: pipeline.progress.stage(format!("extract {}", definition.name), Unit::Rows, None),
        })
    }

    fn push(&mut self, origin: &Origin, raw: &RawBatch) -> Result<(), Failure> {
        if self.normalizer.as_ref().is_none_or(|(source, _)| *source != origin.source) {
            self.note_seen();
            let normalizer = Normalizer::new(
                &self.columns.definitions,
                &self.columns.schema,
                &self.table.table.format,
                origin.clone(),
            )?;
            self.normalizer = Some((origin.source.clone(), normalizer));
        }
        let Some((_, normalizer)) = &mut self.normalizer else { return Ok(()) };
        let normalized = normalizer.push(raw)?;
        self.read += normalized.read;
        self.stage.advance(normalized.read);
        if let Some(rejects) = normalized.rejects {
            self.misfits += rejects.num_rows() as u64;
            self.show_reasons(&rejects);
            let positions: Vec<u64> = vec![0; rejects.num_rows()];
            self.rejects.push(rejects, &positions, "", "")?;
        }
        self.encoder.push(normalized.rows, &normalized.positions, normalized.unit, &origin.source)
    }

    fn show_reasons(&mut self, rejects: &arrow::array::RecordBatch) {
        use arrow::array::AsArray;
        let text = |column: &str, row: usize| {
            let array = rejects.column_by_name(column)?.as_string_opt::<i32>()?;
            arrow::array::Array::is_valid(array, row).then(|| array.value(row).chars().take(120).collect::<String>())
        };
        for row in 0..rejects.num_rows().min(SHOWN_REASONS.saturating_sub(self.reasons.len())) {
            let place = text("position", row).unwrap_or_default();
            let column = text("column", row).map(|column| format!(", {column}")).unwrap_or_default();
            let value = text("value", row).map(|value| format!(" `{value}`")).unwrap_or_default();
            self.reasons.push(format!("{place}{column}{value}: {}", text("reason", row).unwrap_or_default()));
        }
    }

    fn note_seen(&mut self) {
        if let Some((_, normalizer)) = self.normalizer.take() {
            self.seen.join(normalizer.seen());
        }
    }

    fn finish(mut self) -> Result<PartTable, Failure> {
        self.note_seen();
        drop(self.stage);
        let (waiting, name) = (self.encoder.waiting(), &self.table.table.name);
        if waiting > 0 {
            self.encoder.tell(self.progress.stage(format!("sort {name}"), Unit::Rows, Some(waiting)));
        }
        let encoded = self.encoder.finish();
        let mut encoded = encoded.map_err(|failure| failure.context(format_args!("table `{name}`")))?;
        let mut any_rejects = self.misfits > 0;
        for batch in &mut encoded.duplicates {
            let batch = batch?;
            any_rejects = true;
            let positions: Vec<u64> = vec![0; batch.num_rows()];
            self.rejects.push(batch, &positions, "", "")?;
        }
        let rejects = if any_rejects { Some(self.rejects.finish()?) } else { None };
        Ok(PartTable {
            encoded,
            rejects,
            read: self.read,
            misfits: self.misfits,
            reasons: self.reasons,
            seen: self.seen,
        })
    }
}

/// Extracts every row of a part for the tables of a round and hands the batches over, with where they come from.
fn walk<'t, 'a>(
    round: &[&'t TablePlan<'a>],
    part: &PartFiles,
    pipeline: &Pipeline,
    wanted: Option<&BTreeMap<usize, Option<BTreeSet<String>>>>,
    each: &mut dyn FnMut(&'t TablePlan<'a>, &Origin, RawBatch) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for (url, path) in &part.files {
        let reading = reading(round, url, path, pipeline);
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        let mut one = |table: &'t TablePlan<'a>, member: Member<'_>, url: &str| -> Result<(), Failure> {
            taken.insert(table.index);
            let origin = origin_of(part, url, member.name.as_deref());
            let name = member.name.clone();
            let mut said = Vec::new();
            let extraction = Extraction {
                format: &table.table.format,
                columns: &table.table.columns,
                folder: &pipeline.folder,
                scratch: &pipeline.scratch,
                caps: &pipeline.settings.caps,
                url,
                member: name.as_deref(),
                wanted: wanted.and_then(|wanted| wanted.get(&table.index)).and_then(Option::as_ref),
                stderr: &mut said,
            };
            let extracted = extract(extraction, member, &mut |raw| {
                if pipeline.cancelled.load(Ordering::Relaxed) {
                    return Err(Failure::internal("the run was ended"));
                }
                each(table, &origin, raw)
            });
            // What a script says is worth most when it fails.
            pipeline.script_output.add(said);
            extracted
                .map_err(|failure| failure.context(format_args!("table `{}`, {}", table.table.name, origin.source)))
        };
        if let [table] = round
            && table.reads_whole_file()
        {
            whole(path, url, reading.as_ref(), &pipeline.settings.caps, &mut |member: Member<'_>| {
                one(table, member, url)
            })?;
            continue;
        }
        let there = members_told(
            path,
            url,
            reading.as_ref(),
            &|member| round.iter().any(|table| table.wants(member)),
            &pipeline.settings.caps,
            &mut |member: Member<'_>| {
                let table = round.iter().find(|table| member.name.as_deref().is_none_or(|name| table.wants(name)));
                table.map_or(Ok(()), |table| one(table, member, url))
            },
        )?;
        if let Some(table) = round.iter().find(|table| !taken.contains(&table.index)) {
            let has = if there.names.is_empty() { "nothing".to_owned() } else { there.names.join(", ") };
            return Err(Failure::definition(format!(
                "table `{}`: {url} has no member that matches {}; it has {has}",
                table.table.name,
                table.members_text()
            )));
        }
    }
    Ok(())
}

/// How far a file is read, which Parquet, read by its columns, does not tell.
fn reading(round: &[&TablePlan<'_>], url: &str, path: &Path, pipeline: &Pipeline) -> Option<Arc<Stage>> {
    let streamed = round.iter().any(|table| !matches!(table.table.format, Format::Parquet {}));
    let bytes = std::fs::metadata(path).ok().filter(|_| streamed)?.len();
    Some(pipeline.progress.reading(file_of(url), bytes))
}

/// The last segment of an address.
fn file_of(url: &str) -> &str {
    let address = url.split(['?', '#']).next().unwrap_or(url);
    Path::new(address).file_name().and_then(|name| name.to_str()).unwrap_or(url)
}

fn origin_of(part: &PartFiles, url: &str, member: Option<&str>) -> Origin {
    let mut variables = part.variables.clone();
    variables.insert("url".into(), url.to_owned());
    variables.insert("file".into(), file_of(url).to_owned());
    if let Some(member) = member {
        variables.insert("member".into(), member.to_owned());
    }
    let source = member.map_or_else(|| url.to_owned(), |member| format!("{url}#{member}"));
    Origin { source, variables }
}
