//! Where rows end: in files, or among the duplicates.

use std::{collections::VecDeque, path::PathBuf, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use super::{
    duplicates::{Duplicates, Marked, part},
    files::{FileShape, Files},
    merge::Source,
    project,
    reread::Reread,
    sort::{BATCH_ROWS, Sorter},
    spill::{SpillWriter, failed},
};
use crate::ingest::{Failure, progress::Stage};

/// Where rows end: in files, or among the duplicates.
pub(super) struct Output {
    shape: FileShape,
    pub(super) files: Files,
    /// The table's own columns.
    pub(super) columns: Vec<usize>,
    pub(super) losers: Option<SpillWriter>,
    losers_path: PathBuf,
    losers_schema: SchemaRef,
    pub(super) losers_count: u64,
    /// Is told of the rows.
    pub(super) stage: Option<Arc<Stage>>,
}

impl Output {
    /// Files of that shape. `losers` is the schema of a loser: the table's columns, position and origin.
    pub(super) fn new(shape: FileShape, losers: SchemaRef) -> Self {
        Self {
            files: Files::new(shape.clone()),
            columns: (0..shape.schema.fields().len()).collect(),
            losers: None,
            losers_path: shape.folder.path().join("duplicates.arrow"),
            losers_schema: losers,
            losers_count: 0,
            stage: None,
            shape,
        }
    }

    /// Writes the rows that stay, and puts the losers aside.
    pub(super) fn write(&mut self, marked: Marked) -> Result<(), Failure> {
        let (stay, lose) = part(marked)?;
        self.write_parted(&stay, lose)
    }

    pub(super) fn write_parted(&mut self, stay: &RecordBatch, lose: Option<RecordBatch>) -> Result<(), Failure> {
        if let Some(stage) = &self.stage {
            stage.advance((stay.num_rows() + lose.as_ref().map_or(0, RecordBatch::num_rows)) as u64);
        }
        if let Some(lose) = lose {
            let columns: Vec<usize> = (0..self.losers_schema.fields().len()).collect();
            let lose = project(&lose, &columns)?;
            self.losers_count += lose.num_rows() as u64;
            let losers = match &mut self.losers {
                Some(losers) => losers,
                none => none.insert(SpillWriter::create(self.losers_path.clone(), &self.losers_schema)?),
            };
            // Their JSON texts are made a batch at a time.
            for from in (0..lose.num_rows()).step_by(BATCH_ROWS) {
                losers.write(&lose.slice(from, BATCH_ROWS.min(lose.num_rows() - from)))?;
            }
        }
        self.files.write(&project(stay, &self.columns)?)
    }

    /// Writes all rows of a sort.
    pub(super) fn write_sorted(&mut self, sorter: Sorter, duplicates: Option<Duplicates>) -> Result<(), Failure> {
        let Some(mut duplicates) = duplicates else {
            return sorter.finish()?.try_for_each(|batch| self.write((batch?, None)));
        };
        for batch in sorter.finish()? {
            if let Some(marked) = duplicates.push(batch?)? {
                self.write(marked)?;
            }
        }
        duplicates.finish().into_iter().try_for_each(|marked| self.write(marked))
    }

    /// The rows written so far as a sorted run; nothing is written afterwards.
    pub(super) fn take_written(
        &mut self,
        carried: Option<SpillWriter>,
        schema: &SchemaRef,
    ) -> Result<Option<Source>, Failure> {
        let files = std::mem::replace(&mut self.files, Files::new(self.shape.clone()));
        let bytes = files.bytes();
        if bytes == 0 {
            return Ok(None);
        }
        let files = files.finish()?;
        // The new files take the same names: move the old ones out of their way.
        let mut moved = VecDeque::new();
        for mut file in files {
            let path = file.path.with_extension("run");
            std::fs::rename(&file.path, &path).map_err(|error| failed(&path, "write", &error))?;
            file.path = path;
            moved.push_back(file);
        }
        let rows: u64 = moved.iter().map(|file| file.rows).sum();
        let row = (bytes / rows.max(1)).max(1) as usize;
        let batch_rows = (self.shape.settings.sort_memory / 128 / row).clamp(1, BATCH_ROWS);
        let carried = carried.map(SpillWriter::finish).transpose()?;
        let schema = Arc::clone(schema);
        Ok(Some(Source::Written(Box::new(Reread { schema, files: moved, carried, bytes, batch_rows }))))
    }

    /// The duplicates so far as a sorted run.
    pub(super) fn take_losers(&mut self) -> Result<Option<Source>, Failure> {
        self.losers_count = 0;
        let losers = self.losers.take().map(SpillWriter::finish).transpose()?;
        self.losers_path.set_extension("again");
        Ok(losers.map(Source::Spill))
    }
}
