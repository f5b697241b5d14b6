//! Rows that were found by an order, a sample or a ranking, read by their numbers a piece at a time.

use std::{ops::Range, sync::Arc};

use futures::{future::BoxFuture, stream};

use super::{
    QueryError, Slice, SliceError,
    batches::Batches,
    budget::Budget,
    order::{Keys, Order},
    sample::Draw,
    scan::LastRow,
    table::TableSource,
    take::take,
    top::Top,
};

/// Rows of a piece at most.
const PIECE: usize = 10_001;
/// Decoded bytes of a piece, about.
const PIECE_BYTES: u64 = 32 << 20;
/// Decoded bytes for one of a file, about.
const EXPANSION: u64 = 4;

/// How rows are chosen when it is not their physical order that says which come first.
#[derive(Debug, Clone)]
pub enum Choice {
    /// The first of an order.
    Ordered {
        /// Which order.
        order: Order,
        /// Only rows after this one.
        after: Option<u64>,
    },
    /// Some at random.
    Sampled {
        /// Says which.
        seed: u64,
        /// How many.
        rows: u64,
        /// Positions of the primary key's columns; none: row numbers are drawn.
        key: Vec<usize>,
        /// How the sample is put in order; by hash without.
        order: Option<Order>,
    },
}

/// The rows of a slice that a choice picks, as they are asked for: `shown`, and one more if `further`, to say that there
/// is one. The slice's offset counts chosen rows. Besides, the last one shown.
pub fn chosen(source: TableSource, slice: Slice, choice: Choice, shown: u64, further: bool) -> (Batches, LastRow) {
    let budget = Budget::new(source.caps);
    let columns = slice.columns.clone();
    let last = LastRow::default();
    let (mark, own, account) = (last.clone(), source.clone(), budget.clone());
    let find = async move {
        let rows = find(own, slice, choice, shown.saturating_add(u64::from(further)), account).await?;
        let shown = usize::try_from(shown).unwrap_or(usize::MAX);
        if let Some(row) = rows.get(..rows.len().min(shown)).and_then(<[u64]>::last) {
            mark.set(*row);
        }
        Ok(rows)
    };
    (by_number(source, columns, Box::pin(find), budget), last)
}

/// The rows whose numbers some work finds, in the order found; nothing is done before they are asked for.
pub fn by_number(
    source: TableSource,
    columns: Vec<usize>,
    find: BoxFuture<'static, Result<Vec<u64>, QueryError>>,
    budget: Budget,
) -> Batches {
    enum State {
        Find(BoxFuture<'static, Result<Vec<u64>, QueryError>>),
        Read(Vec<u64>, usize),
    }
    let table = Arc::clone(&source.table);
    let schema = table.arrow.project(&columns).map_or_else(|_| Arc::clone(&table.arrow), Arc::new);
    let own = budget.clone();
    let piece = piece(&source);
    let stream = stream::try_unfold(State::Find(find), move |state| {
        let (source, columns, budget) = (source.clone(), columns.clone(), own.clone());
        async move {
            let (rows, at) = match state {
                State::Find(find) => (find.await?, 0),
                State::Read(rows, at) => (rows, at),
            };
            let next = rows.get(at..rows.len().min(at + piece)).unwrap_or_default();
            if next.is_empty() {
                return Ok::<_, QueryError>(None);
            }
            let batch = take(&source, &columns, next, &budget).await?;
            let at = at + next.len();
            Ok(Some((batch, State::Read(rows, at))))
        }
    });
    Batches::new(schema, budget, stream)
}

/// Rows of a piece, by the averages of the files.
fn piece(source: &TableSource) -> usize {
    let bytes: u64 = source.table.files.iter().take(100).map(|file| file.bytes).sum();
    let rows: u64 = source.table.files.iter().take(100).map(|file| file.rows).sum();
    let each = (bytes.saturating_mul(EXPANSION) / rows.max(1)).max(1);
    usize::try_from(PIECE_BYTES / each).unwrap_or(PIECE).clamp(64, PIECE)
}

async fn find(
    source: TableSource,
    slice: Slice,
    choice: Choice,
    limit: u64,
    budget: Budget,
) -> Result<Vec<u64>, QueryError> {
    let predicate = slice.predicate.as_ref();
    if predicate.and_then(super::predicate::Predicate::constant) == Some(false) {
        return Ok(Vec::new());
    }
    let constant = predicate.and_then(super::predicate::Predicate::constant);
    let predicate = predicate.filter(|_| constant != Some(true));
    let total = source.table.rows();
    match choice {
        Choice::Ordered { order, after } => {
            let wanted = slice.offset.saturating_add(limit).min(total);
            let rows = usize::try_from(wanted).unwrap_or(usize::MAX);
            if slice.offset >= total {
                return Ok(Vec::new());
            }
            let top = Top { source: &source, predicate, order: &order, after, rows, budget: &budget };
            let found = top.find().await.map_err(|error| too_deep(error, slice.offset))?;
            let range: Range<usize> = usize::try_from(slice.offset).unwrap_or(usize::MAX).min(found.len())..found.len();
            Ok(found.get(range).unwrap_or_default().to_vec())
        }
        Choice::Sampled { seed, rows, key, order } => {
            let rows = usize::try_from(rows.min(total)).unwrap_or(usize::MAX);
            let draw = Draw { source: &source, predicate, key: &key, seed, rows, budget: &budget };
            let mut drawn = draw.draw().await?;
            if let Some(order) = order {
                drawn = sorted(&source, drawn, &order, &budget).await?;
            }
            drawn.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(drawn)
        }
    }
}

/// Candidates beyond what memory holds have a way around them.
fn too_deep(error: QueryError, offset: u64) -> QueryError {
    match error {
        QueryError::OverCap(super::budget::OverCap::Memory(_)) if offset > 0 => SliceError::new(
            "offset",
            format!(
                "{offset} is deeper in this order than memory holds; `cursor` goes on from the page before at any depth"
            ),
        )
        .into(),
        other => other,
    }
}

/// Puts rows in order by their keys.
async fn sorted(
    source: &TableSource,
    mut rows: Vec<u64>,
    order: &Order,
    budget: &Budget,
) -> Result<Vec<u64>, QueryError> {
    rows.sort_unstable();
    let keys = Keys::new(order.keys(), &source.table.arrow)?;
    let batch = take(source, &order.columns(), &rows, budget).await?;
    let converted = keys.convert(batch.columns())?;
    let mut keyed: Vec<_> = converted.iter().zip(rows).collect();
    keyed.sort_unstable();
    Ok(keyed.into_iter().map(|(_, row)| row).collect())
}
