//! The rows that answer a question, the best first, with the columns asked for.
//!
//! A condition is held against the best rows first; only when too few of those match, it is computed for the whole table
//! and the ranking done over the rows where it holds. Either way the answer is exact.

use std::sync::{Arc, OnceLock};

use arrow::{
    array::{ArrayRef, Float32Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use futures::stream;
use tantivy::{
    DocAddress,
    collector::{Count, FilterCollector, TopDocs},
    columnar::Column,
};

use super::{Question, ROW, SCORE, broken, cache::Opened};
use crate::query::{
    QueryError, Slice, SliceError, SliceRequest, batches::Batches, budget::Budget, predicate::Predicate, scan::Scan,
    table::TableSource, take::take,
};

/// Rows that one answer ranks, most.
const RANKED: u64 = 100_000;
/// Rows of a batch of the answer.
const BATCH: usize = 1000;
/// Candidates a condition is held against before it is computed for the whole table.
const CANDIDATES: usize = 5000;

/// What is asked of a table.
#[derive(Debug, Clone)]
pub struct Search {
    /// The words.
    pub question: Question,
    /// Columns of the answer, after [`SCORE`].
    pub columns: Vec<usize>,
    /// Which rows may answer.
    pub predicate: Option<Predicate>,
    /// Ranks to skip.
    pub offset: u64,
    /// Most rows; none: all.
    pub limit: Option<u64>,
    /// Whether all rows that answer are counted.
    pub count: bool,
}

/// What is known when the first batch is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Rows that answer, if they were counted.
    pub rows: Option<u64>,
}

/// Rows where a condition holds, by number.
#[derive(Debug, Clone, Default)]
struct RowSet(Vec<u64>);

impl RowSet {
    fn insert(&mut self, row: u64) {
        let at = (row / 64) as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        if let Some(word) = self.0.get_mut(at) {
            *word |= 1 << (row % 64);
        }
    }

    fn contains(&self, row: u64) -> bool {
        self.0.get((row / 64) as usize).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

/// The best rows: scores and numbers.
type Ranked = Vec<(f32, u64)>;

/// Searches when the first batch is asked for. `found` is set before that batch comes.
///
/// # Errors
/// When there is no such limit: an answer has at most [`RANKED`] ranks.
pub fn search(
    source: TableSource,
    index: Arc<Opened>,
    search: Search,
    found: Arc<OnceLock<Found>>,
) -> Result<Batches, QueryError> {
    let deepest = search.offset.saturating_add(search.limit.unwrap_or(0));
    if deepest > RANKED {
        let message = format!("reaches rank {deepest}; an answer ranks at most {RANKED} rows. Narrow the question");
        return Err(SliceError::new("offset", message).instead(Some("0".to_owned())).into());
    }
    let score = Field::new(SCORE, DataType::Float32, false);
    let table = source.table.arrow.project(&search.columns)?;
    let fields = [Arc::new(score)].into_iter().chain(table.fields().iter().cloned()).collect::<Vec<_>>();
    let schema = Arc::new(Schema::new(fields));
    let budget = Budget::new(source.caps);
    let account = budget.clone();
    let output = Arc::clone(&schema);
    let begin = Step::Rank(index, found);
    let batches = stream::try_unfold(begin, move |step| {
        let (source, search, budget, output) = (source.clone(), search.clone(), account.clone(), Arc::clone(&output));
        async move {
            let rest = match step {
                Step::Rank(index, found) => {
                    let (ranked, counted) = rank(&source, &index, &search, &budget).await?;
                    found.get_or_init(|| Found { rows: counted });
                    ranked
                }
                Step::Take(rest) => rest,
            };
            if rest.is_empty() {
                return Ok::<_, QueryError>(None);
            }
            let (now, later) = rest.split_at(rest.len().min(BATCH));
            let rows: Vec<u64> = now.iter().map(|(_, row)| *row).collect();
            let read = take(&source, &search.columns, &rows, &budget).await?;
            let scores: ArrayRef = Arc::new(now.iter().map(|(score, _)| Some(*score)).collect::<Float32Array>());
            let columns = [scores].into_iter().chain(read.columns().iter().cloned()).collect();
            Ok(Some((RecordBatch::try_new(output, columns)?, Step::Take(later.to_vec()))))
        }
    });
    Ok(Batches::new(schema, budget, batches))
}

enum Step {
    Rank(Arc<Opened>, Arc<OnceLock<Found>>),
    Take(Ranked),
}

/// The rows of the answer, and how many answer in all, if that is asked.
async fn rank(
    source: &TableSource,
    index: &Opened,
    search: &Search,
    budget: &Budget,
) -> Result<(Ranked, Option<u64>), QueryError> {
    let page = |mut ranked: Ranked, counted| {
        ranked.drain(..ranked.len().min(search.offset as usize));
        (ranked, counted)
    };
    let wanted = search.limit.map(|limit| search.offset.saturating_add(limit) as usize);
    let Some(predicate) = &search.predicate else {
        let (ranked, counted) = index.best(&search.question, wanted, search.count, None)?;
        return Ok(page(ranked, counted));
    };
    if let Some(wanted) = wanted.filter(|_| !search.count) {
        let most = wanted.saturating_mul(4).clamp(100, CANDIDATES);
        let (candidates, _) = index.best(&search.question, Some(most), false, None)?;
        let all = candidates.len() < most;
        let mut matching = Vec::new();
        for some in candidates.chunks(BATCH) {
            let rows: Vec<u64> = some.iter().map(|(_, row)| *row).collect();
            let holds = holds(predicate, &take(source, predicate.columns(), &rows, budget).await?)?;
            matching.extend(some.iter().zip(holds).filter(|(_, holds)| *holds).map(|(candidate, _)| *candidate));
            if matching.len() >= wanted {
                break;
            }
        }
        if all || matching.len() >= wanted {
            matching.truncate(wanted);
            return Ok(page(matching, None));
        }
    }
    let set = Arc::new(rows_where(source, predicate, budget).await?);
    let (ranked, counted) = index.best(&search.question, wanted, search.count, Some(set))?;
    Ok(page(ranked, counted))
}

/// Whether the condition holds, for each row of a batch of its columns.
fn holds(predicate: &Predicate, batch: &RecordBatch) -> Result<Vec<bool>, QueryError> {
    let holds = predicate
        .evaluate(batch)
        .map_err(|error| SliceError::new("where", format!("cannot be computed for some row: {error}")))?;
    Ok(holds.iter().map(|value| value == Some(true)).collect())
}

/// All rows of the table where the condition holds.
async fn rows_where(source: &TableSource, predicate: &Predicate, budget: &Budget) -> Result<RowSet, QueryError> {
    let mut slice = Slice::new(&SliceRequest::default(), &source.table.schema)?;
    slice.columns = predicate.columns().to_vec();
    let scan = Scan::new(source.clone(), slice);
    let own = scan.budget();
    let mut batches = scan.batches();
    let (mut set, mut first, mut paid) = (RowSet::default(), 0_u64, 0);
    while let Some(batch) = batches.next().await? {
        for (at, holds) in holds(predicate, &batch)?.into_iter().enumerate() {
            if holds {
                set.insert(first + at as u64);
            }
        }
        first += batch.num_rows() as u64;
        budget.count(own.read() - paid);
        paid = own.read();
        budget.check(0)?;
    }
    Ok(set)
}

impl Opened {
    /// The best rows and, if `count`, how many there are; `wanted`: so many, else all there are.
    fn best(
        &self,
        question: &Question,
        wanted: Option<usize>,
        count: bool,
        among: Option<Arc<RowSet>>,
    ) -> Result<(Ranked, Option<u64>), QueryError> {
        let query = question.query(&self.fields);
        let count_all = || match &among {
            Some(set) => {
                let set = Arc::clone(set);
                self.searcher
                    .search(&query, &FilterCollector::new(ROW.into(), move |row: u64| set.contains(row), Count))
            }
            None => self.searcher.search(&query, &Count),
        };
        let counted = if count || wanted.is_none() { Some(count_all().map_err(broken)? as u64) } else { None };
        let most = match (wanted, counted) {
            (Some(wanted), _) => wanted,
            (None, Some(all)) if all > RANKED => {
                let message = format!(
                    "is answered by {all} rows, and an answer ranks at most {RANKED}: narrow it, or say how many with `limit`"
                );
                return Err(SliceError::new("q", message).into());
            }
            (None, all) => all.unwrap_or(0) as usize,
        };
        // Nothing more can be found than there is.
        let most = most.min(usize::try_from(self.searcher.num_docs()).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok((Vec::new(), counted.filter(|_| count)));
        }
        let top = TopDocs::with_limit(most).order_by_score();
        let best = match among {
            Some(set) => {
                let filtered = FilterCollector::new(ROW.into(), move |row: u64| set.contains(row), top);
                self.searcher.search(&query, &filtered)
            }
            None => self.searcher.search(&query, &top),
        };
        let rows: Vec<Column<u64>> = self
            .searcher
            .segment_readers()
            .iter()
            .map(|segment| segment.fast_fields().u64(ROW))
            .collect::<Result<_, _>>()
            .map_err(broken)?;
        let row = |at: DocAddress| rows.get(at.segment_ord as usize).and_then(|rows| rows.first(at.doc_id));
        let ranked = best.map_err(broken)?.into_iter().filter_map(|(score, at)| Some((score, row(at)?))).collect();
        Ok((ranked, counted.filter(|_| count)))
    }
}
