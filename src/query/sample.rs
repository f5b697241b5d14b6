//! Rows at random: those whose hash of seed and primary key is smallest, or of seed and row number where there is no
//! key. The same for the same seed and snapshot, and no row more likely than another.
//!
//! Row numbers are not hashed but permuted (a Feistel network over them, with xxh64 as its function): which rows come
//! first is then known without a look at the others, however large the table is.

use std::{collections::BinaryHeap, hash::Hasher};

use arrow::row::{RowConverter, SortField};
use twox_hash::XxHash64;

use super::{QueryError, Slice, budget::Budget, predicate::Predicate, scan::Scan, table::TableSource, top::numbered};

/// Most rows of a sample.
pub const MOST: u64 = 100_000;
/// Rounds of the network.
const ROUNDS: u64 = 6;

/// What is drawn from.
#[derive(Debug)]
pub(super) struct Draw<'a> {
    pub(super) source: &'a TableSource,
    pub(super) predicate: Option<&'a Predicate>,
    /// Positions of the primary key's columns; none: row numbers.
    pub(super) key: &'a [usize],
    pub(super) seed: u64,
    pub(super) rows: usize,
    pub(super) budget: &'a Budget,
}

impl Draw<'_> {
    /// The physical numbers of the rows drawn, by hash.
    ///
    /// # Errors
    /// When a file cannot be read, the predicate cannot be computed, or it takes more than one answer may.
    pub(super) async fn draw(&self) -> Result<Vec<u64>, QueryError> {
        let total = self.source.table.rows();
        let permutation = Permutation::new(total, self.seed);
        let constant = self.predicate.map(Predicate::constant);
        if self.key.is_empty() && matches!(constant, None | Some(Some(true))) {
            return Ok((0..total.min(self.rows as u64)).map(|place| permutation.row(place)).collect());
        }
        let schema = &self.source.table.arrow;
        let fields = self.key.iter().map(|at| SortField::new(schema.field(*at).data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        let slice = Slice { columns: self.key.to_vec(), predicate: self.predicate.cloned(), offset: 0, limit: None };
        let mut scan = Scan::paid(self.source.clone(), slice, self.budget).numbered();
        let mut drawn: BinaryHeap<(u64, u64)> = BinaryHeap::new();
        while let Some(batch) = scan.step().await? {
            let Some((numbers, columns)) = numbered(&batch) else { continue };
            let hashes: Vec<u64> = if columns.is_empty() {
                numbers.values().iter().map(|row| permutation.place(*row)).collect()
            } else {
                converter.convert_columns(columns)?.iter().map(|key| hash(self.seed, key.data())).collect()
            };
            for (hash, number) in hashes.into_iter().zip(numbers.values()) {
                let candidate = (hash, *number);
                if drawn.len() < self.rows {
                    drawn.push(candidate);
                } else if drawn.peek().is_some_and(|worst| candidate < *worst) {
                    drawn.pop();
                    drawn.push(candidate);
                }
            }
        }
        Ok(drawn.into_sorted_vec().into_iter().map(|(_, number)| number).collect())
    }
}

fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut hasher = XxHash64::with_seed(seed);
    hasher.write(bytes);
    hasher.finish()
}

/// The numbers below some number in an order that looks random, and depends on a seed.
#[derive(Debug, Clone, Copy)]
struct Permutation {
    below: u64,
    /// Bits of each half of a number in the network, whose numbers may be larger than wanted.
    half: u32,
    seed: u64,
}

impl Permutation {
    fn new(below: u64, seed: u64) -> Self {
        let bits = u64::BITS - below.saturating_sub(1).leading_zeros();
        Self { below, half: bits.div_ceil(2).max(1), seed }
    }

    fn mixed(self, round: u64, half: u64) -> u64 {
        let mut bytes = [0; 16];
        let (first, last) = bytes.split_at_mut(8);
        first.copy_from_slice(&round.to_le_bytes());
        last.copy_from_slice(&half.to_le_bytes());
        hash(self.seed, &bytes) & ((1 << self.half) - 1)
    }

    /// The row at a place, for places below the number.
    fn row(self, place: u64) -> u64 {
        let mut number = place;
        loop {
            let (mut left, mut right) = (number >> self.half, number & ((1 << self.half) - 1));
            for round in 0..ROUNDS {
                (left, right) = (right, left ^ self.mixed(round, right));
            }
            number = (left << self.half) | right;
            // Every walk from below the number comes back below it: the network is a permutation of its own numbers.
            if number < self.below || self.below == 0 {
                return number;
            }
        }
    }

    /// The place of a row: the way back.
    fn place(self, row: u64) -> u64 {
        let mut number = row;
        loop {
            let (mut left, mut right) = (number >> self.half, number & ((1 << self.half) - 1));
            for round in (0..ROUNDS).rev() {
                (left, right) = (right ^ self.mixed(round, left), left);
            }
            number = (left << self.half) | right;
            if number < self.below || self.below == 0 {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_has_every_row_once_and_leads_back() {
        for below in [1_u64, 2, 3, 17, 64, 1000, 1025] {
            for seed in [0, 7, u64::MAX] {
                let permutation = Permutation::new(below, seed);
                let mut rows: Vec<u64> = (0..below).map(|place| permutation.row(place)).collect();
                assert!(rows.iter().zip(0..).all(|(row, place)| permutation.place(*row) == place));
                rows.sort_unstable();
                assert_eq!(rows, (0..below).collect::<Vec<_>>());
            }
        }
        let large = Permutation::new(1 << 40, 3);
        assert_eq!(large.place(large.row(12345)), 12345);
    }

    #[test]
    fn every_row_is_as_likely_as_another() {
        let mut drawn = [0_u32; 50];
        for seed in 0..4000 {
            for place in 0..5 {
                drawn[usize::try_from(Permutation::new(50, seed).row(place)).expect("small")] += 1;
            }
        }
        // 400 expected each; six standard deviations are 114.
        assert!(drawn.iter().all(|count| (286..=514).contains(count)), "{drawn:?}");
    }
}
