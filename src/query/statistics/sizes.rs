//! Lengths of texts and lists.

use std::collections::HashMap;

use serde_json::Value;

use super::{Histogram, Lengths, numbers::Integers, tally::TRACKED};

/// Lengths: nearly always few different ones.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    integers: Integers,
    /// Each length with its count, until there are too many different ones.
    all: Option<HashMap<u64, u64>>,
    lost: bool,
}

impl Sizes {
    pub(super) fn add(&mut self, length: usize) {
        let length = length as u64;
        self.integers.add(i128::from(length));
        if !self.lost {
            let all = self.all.get_or_insert_default();
            *all.entry(length).or_default() += 1;
            if all.len() > TRACKED {
                self.all = None;
                self.lost = true;
            }
        }
    }

    pub(super) fn prepare_again(&mut self) -> bool {
        self.integers.make_ranges();
        for (length, times) in self.all.take().unwrap_or_default() {
            self.integers.range(i128::from(length), times);
        }
        self.lost
    }

    pub(super) fn add_again(&mut self, length: usize) {
        if self.lost {
            self.integers.range(length as i128, 1);
        }
    }

    pub(super) fn finish(&self, unit: &str) -> Option<Lengths> {
        let (min, max) = self.integers.extremes()?;
        let (first, mean) = self.integers.mean()?;
        let ranges = self.integers.ranges()?;
        let number = |length: i128| u64::try_from(length).unwrap_or(0);
        Some(Lengths {
            unit: unit.to_owned(),
            min: number(min),
            max: number(max),
            mean: first as f64 + mean,
            histogram: Histogram {
                edges: ranges.edges().into_iter().map(|edge| Value::from(number(edge))).collect(),
                counts: ranges.counts.clone(),
            },
        })
    }
}
