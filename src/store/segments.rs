//! File lists, cut into content-addressed segments that manifests share.
//!
//! Cuts depend on the files themselves, not on their position: when hourly parts come and go at either end, or one in
//! the middle is made anew, all segments but one or two keep their hash and are not written again.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Area, Key, Store, StoreError};
use crate::catalog::{DataFile, DatasetId, Manifest, SegmentRef, TableSnapshot};

/// Files of a segment at least, unless it is the last.
const FEWEST: usize = 512;
/// Files of a segment at most.
const MOST: usize = 4096;
/// A segment ends after a file whose hash ends so: one in 1 024, give or take.
const CUT: [&str; 4] = ["000", "001", "002", "003"];
/// Segments read side by side.
const SEGMENTS_AT_ONCE: usize = 8;

#[derive(Serialize)]
struct Written<'a> {
    files: &'a [DataFile],
}

#[derive(Deserialize)]
struct Read {
    files: Vec<DataFile>,
}

impl Store {
    /// The table's data files, in row order.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when a segment was collected, [`StoreError::Corrupt`], [`StoreError::Unavailable`].
    pub async fn files(&self, m: &Manifest, t: &TableSnapshot) -> Result<Arc<Vec<DataFile>>, StoreError> {
        self.list(m, t, &t.segments).await
    }

    /// The table's reject files.
    ///
    /// # Errors
    /// As [`Store::files`].
    pub async fn reject_files(&self, m: &Manifest, t: &TableSnapshot) -> Result<Arc<Vec<DataFile>>, StoreError> {
        self.list(m, t, &t.reject_segments).await
    }

    /// Writes a file list; what is there already is not written again. `area` is the table's ([`Area::of_table`]).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_segments(
        &self,
        area: Area,
        dataset: &DatasetId,
        files: &[DataFile],
    ) -> Result<Vec<SegmentRef>, StoreError> {
        let mut segments = Vec::new();
        for files in cut(files) {
            let body = serde_json::to_vec(&Written { files }).map_err(|error| StoreError::corrupt(dataset, error))?;
            let hash = hex::encode(Sha256::digest(&body));
            let key = Key::Segment { area, dataset: dataset.clone(), hash: hash.clone() };
            if self.object(&key.to_string()).await?.is_none() {
                match self.create(&key.path()?, Bytes::from(body), key.content_type()).await {
                    // Another run has the same files.
                    Ok(()) | Err(StoreError::Exists { .. }) => {}
                    Err(other) => return Err(other),
                }
            }
            let rows = files.iter().map(|file| file.rows).sum();
            segments.push(SegmentRef { hash, files: files.len() as u64, rows });
        }
        Ok(segments)
    }

    async fn list(
        &self,
        manifest: &Manifest,
        table: &TableSnapshot,
        segments: &[SegmentRef],
    ) -> Result<Arc<Vec<DataFile>>, StoreError> {
        let dataset: DatasetId =
            manifest.dataset.parse().map_err(|error| StoreError::corrupt(&manifest.dataset, error))?;
        let area = Area::of_table(manifest, table);
        if let [only] = segments {
            return self.segment(area, &dataset, only).await.map(|(files, _)| files);
        }
        // The joined list is kept too: it is asked for with each request.
        let joined = format!(
            "{}{dataset}/{}",
            area.folder().unwrap_or_default(),
            segments.iter().map(|segment| segment.hash.as_str()).collect::<String>()
        );
        if let Some((files, _)) = self.0.segments.get(&joined) {
            return Ok(files);
        }
        // Collected first: a closure over borrowed segments inside the stream would make this future not `Send` enough
        // for callers that spawn it.
        let reads: Vec<_> = segments.iter().map(|segment| self.segment(area, &dataset, segment)).collect();
        let parts: Vec<_> = futures::stream::iter(reads).buffered(SEGMENTS_AT_ONCE).try_collect().await?;
        let bytes = parts.iter().map(|(_, bytes)| bytes).sum();
        let files = Arc::new(parts.iter().flat_map(|(files, _)| files.iter().cloned()).collect::<Vec<_>>());
        self.0.segments.insert(joined, (files.clone(), bytes));
        Ok(files)
    }

    /// One segment, and the bytes of its JSON.
    async fn segment(
        &self,
        area: Area,
        dataset: &DatasetId,
        segment: &SegmentRef,
    ) -> Result<(Arc<Vec<DataFile>>, u64), StoreError> {
        let key = Key::Segment { area, dataset: dataset.clone(), hash: segment.hash.clone() };
        let name = key.to_string();
        if let Some(cached) = self.0.segments.get(&name) {
            return Ok(cached);
        }
        let body = self.get(&key.path()?).await?;
        if hex::encode(Sha256::digest(&body)) != segment.hash {
            return Err(StoreError::corrupt(name, "its bytes do not have the sha256 in its name"));
        }
        let read: Read = serde_json::from_slice(&body)
            .map_err(|error| StoreError::corrupt(&name, format!("is no list of files: {error}")))?;
        let files = (Arc::new(read.files), body.len() as u64);
        self.0.segments.insert(name, files.clone());
        Ok(files)
    }
}

/// Cuts a list where its own files say so.
fn cut(files: &[DataFile]) -> Vec<&[DataFile]> {
    let mut segments = Vec::new();
    let mut begin = 0;
    for (at, file) in files.iter().enumerate() {
        let length = at + 1 - begin;
        let ends = length >= FEWEST && CUT.iter().any(|end| file.sha256.ends_with(end));
        if ends || length == MOST || at + 1 == files.len() {
            segments.extend(files.get(begin..=at));
            begin = at + 1;
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn file(n: usize) -> DataFile {
        let sha256 = hex::encode(Sha256::digest(n.to_le_bytes()));
        let key = format!("d/data/t/{n}.parquet");
        DataFile { key, bytes: 1, rows: 2, sha256, part: n.to_string(), added_in: 1, columns: BTreeMap::new() }
    }

    #[test]
    fn cuts_cover_the_list_and_survive_changes_at_both_ends() {
        let files: Vec<DataFile> = (0..20_000).map(file).collect();
        let before = cut(&files);
        assert_eq!(before.concat(), files);
        assert!(before.len() > 6 && before.iter().all(|segment| segment.len() <= MOST), "{}", before.len());
        let mut changed: Vec<DataFile> = files.get(100..).expect("enough").to_vec();
        changed.extend((20_000..20_050).map(file));
        let fresh = cut(&changed).iter().filter(|segment| !before.contains(segment)).count();
        assert!(fresh <= 3, "{fresh} segments of {} had to be written again", before.len());
        assert!(cut(&[]).is_empty());
    }
}
