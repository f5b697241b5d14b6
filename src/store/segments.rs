//! Lists of files, cut into segments that manifests share: a table's data files and reject files, the upstream files a
//! snapshot was made from, and those that upstream does not have. A manifest holds only their hashes, so it stays small
//! however many parts a dataset has.
//!
//! A snapshot shares segments with its parent and with no other: its other segments get names that were never used
//! before, even if they list what some older segment does. So what no kept snapshot names can be collected: nobody comes
//! and names it again.
//!
//! Cuts depend on the records themselves, not on their position: when hourly parts come and go at either end, or one in
//! the middle is made anew, all segments but one or two keep their hash and are not written again.

use std::{any::Any, collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{Area, Key, Store, StoreError};
use crate::catalog::{DataFile, DatasetId, Gap, Manifest, SegmentRef, SourceRecord, TableId, TableSnapshot};

/// Records of a segment at least, unless it is the last. A longer segment is written again with more bytes when its list
/// grows; shorter ones make a longer manifest.
const FEWEST: usize = 256;
/// Records of a segment at most.
const MOST: usize = 2048;
/// A segment of enough records ends after one in so many.
const ONE_IN: u64 = 512;
/// Segments read or written side by side.
pub(super) const SEGMENTS_AT_ONCE: usize = 8;

/// What segments hold.
pub trait Record: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What tells it from the others of its list: decides where the list is cut.
    fn identity(&self) -> &str;

    /// Rows in the file it is about.
    fn rows(&self) -> u64 {
        0
    }
}

impl Record for DataFile {
    fn identity(&self) -> &str {
        &self.key
    }

    fn rows(&self) -> u64 {
        self.rows
    }
}

impl Record for SourceRecord {
    fn identity(&self) -> &str {
        &self.url
    }
}

impl Record for Gap {
    fn identity(&self) -> &str {
        &self.url
    }
}

#[derive(Serialize)]
struct Written<'a, R> {
    files: &'a [R],
    /// Makes its bytes, and so its name, unlike those of any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<String>,
}

#[derive(Deserialize)]
struct Read<R> {
    files: Vec<R>,
}

impl Store {
    /// The table's data files, in row order.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when a segment was collected, [`StoreError::Corrupt`], [`StoreError::Unavailable`].
    pub async fn files(&self, m: &Manifest, t: &TableSnapshot) -> Result<Arc<Vec<DataFile>>, StoreError> {
        self.list(Area::of_table(m, t), &id(m)?, &t.segments).await
    }

    /// The data files of one segment, in row order.
    ///
    /// # Errors
    /// As [`Store::files`].
    pub async fn segment_files(
        &self,
        area: Area,
        dataset: &DatasetId,
        hash: &str,
    ) -> Result<Arc<Vec<DataFile>>, StoreError> {
        self.segment(area, dataset, hash).await.map(|(records, _)| records)
    }

    /// Whether a file is a data file of that table.
    pub fn is_data_file(&self, area: Area, dataset: &DatasetId, table: &TableId, file: &DataFile) -> bool {
        let (dataset, table) = (dataset.clone(), table.clone());
        Key::Data { area, dataset, table, file: file.name().to_owned() }.to_string() == file.key
    }

    /// The table's reject files.
    ///
    /// # Errors
    /// As [`Store::files`].
    pub async fn reject_files(&self, m: &Manifest, t: &TableSnapshot) -> Result<Arc<Vec<DataFile>>, StoreError> {
        self.list(Area::of_table(m, t), &id(m)?, &t.reject_segments).await
    }

    /// All upstream files a snapshot was made from, in the order of the parts.
    ///
    /// # Errors
    /// As [`Store::files`].
    pub async fn sources(&self, m: &Manifest) -> Result<Vec<SourceRecord>, StoreError> {
        self.get_segments(Area::of(&m.license), &id(m)?, &m.source_segments).await
    }

    /// A whole list, read anew and not kept in memory: for ingest, which needs it once a run.
    ///
    /// # Errors
    /// As [`Store::files`].
    pub async fn get_segments<R: Record>(
        &self,
        area: Area,
        dataset: &DatasetId,
        segments: &[SegmentRef],
    ) -> Result<Vec<R>, StoreError> {
        let reads: Vec<_> =
            segments.iter().map(|segment| self.read_segment::<R>(area, dataset, &segment.hash)).collect();
        let mut reads = futures::stream::iter(reads).buffered(SEGMENTS_AT_ONCE);
        let mut list = Vec::new();
        while let Some((records, _)) = reads.try_next().await? {
            list.extend(records);
        }
        Ok(list)
    }

    /// `limit` of the upstream files, from the `offset`th; fewer at the end of the list.
    ///
    /// # Errors
    /// As [`Store::files`].
    pub async fn some_sources(&self, m: &Manifest, offset: u64, limit: usize) -> Result<Vec<SourceRecord>, StoreError> {
        self.page(m, &m.source_segments, offset, limit).await
    }

    /// `limit` of the parts upstream does not have, from the `offset`th; fewer at the end of the list.
    ///
    /// # Errors
    /// As [`Store::files`].
    pub async fn some_gaps(&self, m: &Manifest, offset: u64, limit: usize) -> Result<Vec<Gap>, StoreError> {
        self.page(m, &m.gap_segments, offset, limit).await
    }

    /// Writes a list. `area` is the table's ([`Area::of_table`]) for its files, the dataset's for sources and gaps.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_segments<R: Record>(
        &self,
        area: Area,
        dataset: &DatasetId,
        records: &[R],
    ) -> Result<Vec<SegmentRef>, StoreError> {
        self.put_segments_after(area, dataset, &[], records).await
    }

    /// Writes a list that follows on `before`, the parent's in the same area: what is in that already is not written again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_segments_after<R: Record>(
        &self,
        area: Area,
        dataset: &DatasetId,
        before: &[SegmentRef],
        records: &[R],
    ) -> Result<Vec<SegmentRef>, StoreError> {
        let known = known(before);
        let writes: Vec<_> =
            cut(records).into_iter().map(|records| self.put_segment(area, dataset, &known, records)).collect();
        futures::stream::iter(writes).buffered(SEGMENTS_AT_ONCE).try_collect().await
    }

    pub(super) async fn put_segment<R: Record>(
        &self,
        area: Area,
        dataset: &DatasetId,
        known: &HashMap<&str, &SegmentRef>,
        files: &[R],
    ) -> Result<SegmentRef, StoreError> {
        let body = |made| serde_json::to_vec(&Written { files, made }).map_err(|e| StoreError::corrupt(dataset, e));
        let content = hex::encode(Sha256::digest(body(None)?));
        if let Some(known) = known.get(content.as_str()) {
            return Ok((*known).clone());
        }
        let body = body(Some(ulid::Ulid::generate().to_string()))?;
        let hash = hex::encode(Sha256::digest(&body));
        let key = Key::Segment { area, dataset: dataset.clone(), hash: hash.clone() };
        match self.create(&key.path()?, Bytes::from(body), key.content_type()).await {
            // A create whose reply was lost: nobody else has this name.
            Ok(()) | Err(StoreError::Exists { .. }) => {}
            Err(other) => return Err(other),
        }
        let rows = files.iter().map(Record::rows).sum();
        Ok(SegmentRef { hash, content: Some(content), files: files.len() as u64, rows, first: None })
    }

    async fn list<R: Record>(
        &self,
        area: Area,
        dataset: &DatasetId,
        segments: &[SegmentRef],
    ) -> Result<Arc<Vec<R>>, StoreError> {
        if let [only] = segments {
            return self.segment(area, dataset, &only.hash).await.map(|(records, _)| records);
        }
        // The joined list is kept too: it is asked for with each request.
        let joined = format!(
            "{}{dataset}/{}",
            area.folder().unwrap_or_default(),
            segments.iter().map(|segment| segment.hash.as_str()).collect::<String>()
        );
        if let Some((records, _)) = self.cached(&joined) {
            return Ok(records);
        }
        // Collected first: a closure over borrowed segments inside the stream would make this future not `Send` enough
        // for callers that spawn it.
        let reads: Vec<_> = segments.iter().map(|segment| self.segment::<R>(area, dataset, &segment.hash)).collect();
        let parts: Vec<_> = futures::stream::iter(reads).buffered(SEGMENTS_AT_ONCE).try_collect().await?;
        let bytes = parts.iter().map(|(_, bytes)| bytes).sum();
        let records = Arc::new(parts.iter().flat_map(|(records, _)| records.iter().cloned()).collect::<Vec<R>>());
        self.0.segments.insert(joined, (records.clone(), bytes));
        Ok(records)
    }

    /// Part of one of the dataset's own lists: only the segments that it touches are read.
    async fn page<R: Record>(
        &self,
        m: &Manifest,
        segments: &[SegmentRef],
        offset: u64,
        limit: usize,
    ) -> Result<Vec<R>, StoreError> {
        let (area, dataset) = (Area::of(&m.license), id(m)?);
        let (mut begin, mut page) = (0_u64, Vec::new());
        for segment in segments {
            let skip = offset.saturating_sub(begin);
            begin = begin.saturating_add(segment.files);
            if skip >= segment.files {
                continue;
            }
            if page.len() >= limit {
                break;
            }
            let (records, _) = self.segment::<R>(area, &dataset, &segment.hash).await?;
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            page.extend(records.iter().skip(skip).take(limit - page.len()).cloned());
        }
        Ok(page)
    }

    /// One segment, and the bytes of its JSON.
    pub(super) async fn segment<R: Record>(
        &self,
        area: Area,
        dataset: &DatasetId,
        hash: &str,
    ) -> Result<(Arc<Vec<R>>, u64), StoreError> {
        let name = Key::Segment { area, dataset: dataset.clone(), hash: hash.to_owned() }.to_string();
        if let Some(cached) = self.cached(&name) {
            return Ok(cached);
        }
        let (records, bytes) = self.read_segment(area, dataset, hash).await?;
        let records = Arc::new(records);
        self.0.segments.insert(name, (records.clone(), bytes));
        Ok((records, bytes))
    }

    pub(super) async fn read_segment<R: Record>(
        &self,
        area: Area,
        dataset: &DatasetId,
        hash: &str,
    ) -> Result<(Vec<R>, u64), StoreError> {
        let key = Key::Segment { area, dataset: dataset.clone(), hash: hash.to_owned() };
        let body = self.get(&key.path()?).await?;
        if hex::encode(Sha256::digest(&body)) != hash {
            return Err(StoreError::corrupt(key, "its bytes do not have the sha256 in its name"));
        }
        let read: Read<R> = serde_json::from_slice(&body)
            .map_err(|error| StoreError::corrupt(key, format!("is no list of such files: {error}")))?;
        Ok((read.files, body.len() as u64))
    }

    pub(super) fn cached<R: Record>(&self, name: &str) -> Option<(Arc<Vec<R>>, u64)> {
        let (records, bytes): (Arc<dyn Any + Send + Sync>, u64) = self.0.segments.get(name)?;
        Some((records.downcast().ok()?, bytes))
    }
}

pub(super) fn id(manifest: &Manifest) -> Result<DatasetId, StoreError> {
    manifest.dataset.parse().map_err(|error| StoreError::corrupt(&manifest.dataset, error))
}

/// The parent's segments by what they list.
pub(super) fn known(before: &[SegmentRef]) -> HashMap<&str, &SegmentRef> {
    before.iter().map(|known| (known.content.as_ref().unwrap_or(&known.hash).as_str(), known)).collect()
}

/// Cuts a list where its own records say so.
pub(super) fn cut<R: Record>(records: &[R]) -> Vec<&[R]> {
    let mut segments = Vec::new();
    let mut begin = 0;
    for (at, record) in records.iter().enumerate() {
        let length = at + 1 - begin;
        let ends = length >= FEWEST && ends_segment(record.identity());
        if ends || length == MOST || at + 1 == records.len() {
            segments.extend(records.get(begin..=at));
            begin = at + 1;
        }
    }
    segments
}

/// One in [`ONE_IN`], by a hash: the same wherever the record stands.
fn ends_segment(identity: &str) -> bool {
    let hash = Sha256::digest(identity).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    hash % ONE_IN == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(n: usize) -> DataFile {
        let sha256 = hex::encode(Sha256::digest(n.to_le_bytes()));
        let key = format!("d/data/t/{n}.parquet");
        DataFile { key, bytes: 1, rows: 2, sha256, part: n.to_string(), added_in: 1, ..DataFile::default() }
    }

    #[test]
    fn cuts_cover_the_list_and_survive_changes_at_both_ends() {
        let files: Vec<DataFile> = (0..20_000).map(file).collect();
        let before = cut(&files);
        assert_eq!(before.concat(), files);
        assert!(before.len() > 15 && before.iter().all(|segment| segment.len() <= MOST), "{}", before.len());
        let mut changed: Vec<DataFile> = files.get(100..).expect("enough").to_vec();
        changed.extend((20_000..20_050).map(file));
        let fresh = cut(&changed).iter().filter(|segment| !before.contains(segment)).count();
        assert!(fresh <= 3, "{fresh} segments of {} had to be written again", before.len());
        assert!(cut::<DataFile>(&[]).is_empty());
    }
}
