//! A table's data files by name: what a listing of a bucket shows, in its order, and where a file is whose name is all
//! that is known. Segments of their own, small and in order, so that neither costs more than the part that is asked for.
//!
//! Manifests from before this list have none: then it is made from the list in row order, and kept in memory.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use super::{
    Area, Record, Store, StoreError,
    segments::{SEGMENTS_AT_ONCE, cut, id, known},
};
use crate::catalog::{DataFile, DatasetId, ListedFile, Manifest, SegmentRef, TableSnapshot};

impl Record for ListedFile {
    fn identity(&self) -> &str {
        &self.key
    }
}

/// A stretch of a list by name.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    files: Arc<Vec<ListedFile>>,
    from: usize,
}

impl Listed {
    /// Its files, by name.
    pub fn files(&self) -> &[ListedFile] {
        self.files.get(self.from..).unwrap_or_default()
    }

    /// The part of it from the first name that is not below `from`; `None` when the whole list has to be asked again.
    pub fn seek(&self, from: &[u8]) -> Option<Self> {
        let first = self.files.first()?;
        let at = self.files.partition_point(|file| file.name().as_bytes() < from);
        let within = first.name().as_bytes() <= from && at < self.files.len();
        within.then(|| Self { files: Arc::clone(&self.files), from: at })
    }
}

impl Store {
    /// Writes the list by name of a table's data files, which may come in any order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_listed(
        &self,
        area: Area,
        dataset: &DatasetId,
        files: &[DataFile],
    ) -> Result<Vec<SegmentRef>, StoreError> {
        self.put_listed_after(area, dataset, &[], files).await
    }

    /// As [`Store::put_listed`], after the parent's list in the same area: what is in that already is not written again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_listed_after(
        &self,
        area: Area,
        dataset: &DatasetId,
        before: &[SegmentRef],
        files: &[DataFile],
    ) -> Result<Vec<SegmentRef>, StoreError> {
        let known = &known(before);
        let files = by_name(files);
        let writes: Vec<_> = cut(&files)
            .into_iter()
            .map(|files| async move {
                let written = self.put_segment(area, dataset, known, files).await?;
                Ok(SegmentRef { first: files.first().map(|file| file.name().to_owned()), ..written })
            })
            .collect();
        futures::stream::iter(writes).buffered(SEGMENTS_AT_ONCE).try_collect().await
    }

    /// The files of a table from the first whose name is not below `from`, as far as one read gives them: none only when
    /// there are none.
    ///
    /// # Errors
    /// As [`Store::files`].
    pub async fn listed(&self, m: &Manifest, t: &TableSnapshot, from: &[u8]) -> Result<Listed, StoreError> {
        let segments = &t.listed_segments;
        if segments.is_empty() {
            let all = Listed { files: self.listed_anew(m, t).await?, from: 0 };
            let at = all.files.partition_point(|file| file.name().as_bytes() < from);
            return Ok(Listed { from: at, ..all });
        }
        let begins = |segment: &SegmentRef| segment.first.as_deref().unwrap_or_default().as_bytes() <= from;
        let at = segments.partition_point(begins).saturating_sub(1);
        // A name that lies between two segments belongs to the later one.
        for segment in segments.iter().skip(at).take(2) {
            let (files, _) = self.segment::<ListedFile>(Area::of_table(m, t), &id(m)?, &segment.hash).await?;
            let from = files.partition_point(|file| file.name().as_bytes() < from);
            if from < files.len() {
                return Ok(Listed { files, from });
            }
        }
        Ok(Listed::default())
    }

    /// A table's data file of that name, if it has one.
    ///
    /// # Errors
    /// As [`Store::files`].
    pub async fn listed_file(
        &self,
        m: &Manifest,
        t: &TableSnapshot,
        name: &str,
    ) -> Result<Option<ListedFile>, StoreError> {
        let listed = self.listed(m, t, name.as_bytes()).await?;
        Ok(listed.files().first().filter(|file| file.name() == name).cloned())
    }

    async fn listed_anew(&self, m: &Manifest, t: &TableSnapshot) -> Result<Arc<Vec<ListedFile>>, StoreError> {
        let area = Area::of_table(m, t);
        let hashes: String = t.segments.iter().map(|segment| segment.hash.as_str()).collect();
        let name = format!("{}{}/by name/{hashes}", area.folder().unwrap_or_default(), m.dataset);
        if let Some((files, _)) = self.cached(&name) {
            return Ok(files);
        }
        let files = Arc::new(by_name(&self.files(m, t).await?));
        let bytes = files.iter().map(|file| file.key.len() as u64 + 150).sum();
        self.0.segments.insert(name, (files.clone(), bytes));
        Ok(files)
    }
}

fn by_name(files: &[DataFile]) -> Vec<ListedFile> {
    let mut files: Vec<ListedFile> = files.iter().map(ListedFile::from).collect();
    files.sort_unstable_by(|a, b| a.name().cmp(b.name()));
    files
}
