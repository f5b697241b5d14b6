//! How often values occur: all of them while they are few, then only those that may be among the most frequent.
//!
//! Beyond [`TRACKED`] different values it is a Misra-Gries summary: a value that is not in it occurs at most as often as
//! the summary was cut down. What is in it is counted exactly when the rows flow a second time. Values are told apart by
//! 64-bit hashes, without collisions for what fits 64 bits, else one in some 10^11 tables.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use super::distinct::Sketch;

/// Different values of which each is counted.
pub(super) const TRACKED: usize = 10_000;
/// Bytes of text kept for them.
const TRACKED_BYTES: usize = 1 << 20;
/// Most frequent values that are told.
pub(super) const TOLD: usize = 20;
/// Bytes of a text that are kept.
pub(super) const KEPT: usize = 1 << 10;

/// A value as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    /// Integers, times and decimals by their unscaled integer; booleans as 0 and 1.
    Integer(i128),
    /// Finite floats.
    Float(f64),
    /// The beginning of a text or of bytes, and its whole length.
    Bytes(Box<[u8]>, u64),
}

impl Seen {
    fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes, _) => bytes.len(),
            _ => 0,
        }
    }

    fn order(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Bytes(a, _), Self::Bytes(b, _)) => a.cmp(b),
            _ => std::cmp::Ordering::Equal,
        }
    }
}

/// Mixes the bits of an integer, one to one.
pub(super) fn mixed(value: u64) -> u64 {
    // The finalizer of SplitMix64.
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Keys are hashes already.
#[derive(Debug, Clone, Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type ByHash<V> = HashMap<u64, V, BuildHasherDefault<AsIs>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tally {
    state: State,
    sketch: Sketch,
}

#[derive(Debug)]
enum State {
    /// Every value there was.
    All { values: ByHash<(u64, Seen)>, bytes: usize },
    /// Counts too low by at most `cut`.
    Summary { counts: ByHash<u64>, cut: u64 },
    /// Exact counts of the values that may be among the most frequent; no other occurs more than `others` times.
    Again { values: ByHash<(u64, Option<Seen>)>, cut: u64, others: u64 },
}

impl Default for State {
    fn default() -> Self {
        Self::All { values: ByHash::default(), bytes: 0 }
    }
}

/// What a tally comes to.
pub(super) struct Counted {
    pub(super) distinct: u64,
    /// Whether that is counted and not estimated.
    pub(super) exact: bool,
    /// The most frequent values.
    pub(super) most: Vec<(Seen, u64)>,
    /// No other value occurs more often.
    pub(super) others_at_most: u64,
}

impl Tally {
    /// Counts a value.
    pub(super) fn add(&mut self, hash: u64, seen: impl FnOnce() -> Seen) {
        self.sketch.add(hash);
        match &mut self.state {
            State::All { values, bytes } => {
                if let Some((count, _)) = values.get_mut(&hash) {
                    *count += 1;
                    return;
                }
                let seen = seen();
                *bytes += seen.size();
                values.insert(hash, (1, seen));
                if values.len() > TRACKED || *bytes > TRACKED_BYTES {
                    let counts = values.iter().map(|(hash, (count, _))| (*hash, *count)).collect();
                    self.state = State::Summary { counts, cut: 0 };
                }
            }
            State::Summary { counts, cut } => {
                if let Some(count) = counts.get_mut(&hash) {
                    *count += 1;
                } else if counts.len() < TRACKED {
                    counts.insert(hash, 1);
                } else {
                    *cut += 1;
                    counts.retain(|_, count| {
                        *count -= 1;
                        *count > 0
                    });
                }
            }
            State::Again { .. } => {}
        }
    }

    /// Every value with its count, while all are known.
    pub(super) fn all(&self) -> Option<impl Iterator<Item = (&Seen, u64)>> {
        match &self.state {
            State::All { values, .. } => Some(values.values().map(|(count, seen)| (seen, *count))),
            _ => None,
        }
    }

    /// Gets ready for the rows to flow a second time; false when there is no need.
    pub(super) fn prepare_again(&mut self) -> bool {
        let State::Summary { counts, cut } = &self.state else { return false };
        let (cut, mut ranked): (u64, Vec<u64>) = (*cut, counts.values().copied().collect());
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        // What cannot reach the last place told need not be counted again.
        let least = ranked.get(TOLD - 1).copied().unwrap_or(0);
        let may = |count: &u64| count.saturating_add(cut) > least;
        let others = if ranked.iter().all(may) { 0 } else { least };
        let values = counts.iter().filter(|(_, count)| may(count)).map(|(hash, _)| (*hash, (0, None))).collect();
        self.state = State::Again { values, cut, others };
        true
    }

    /// Counts a value in the second flow.
    pub(super) fn add_again(&mut self, hash: u64, seen: impl FnOnce() -> Seen) {
        if let State::Again { values, .. } = &mut self.state
            && let Some((count, known)) = values.get_mut(&hash)
        {
            *count += 1;
            known.get_or_insert_with(seen);
        }
    }

    pub(super) fn finish(self) -> Counted {
        let (mut ranked, cut, others, distinct) = match self.state {
            State::All { values, .. } => {
                let distinct = values.len() as u64;
                let ranked = values.into_values().map(|(count, seen)| (seen, count)).collect::<Vec<_>>();
                (ranked, 0, 0, Some(distinct))
            }
            State::Again { values, cut, others } => {
                let ranked = values.into_values().filter_map(|(count, seen)| Some((seen?, count))).collect();
                (ranked, cut, others, None)
            }
            State::Summary { counts, cut } => (Vec::new(), cut, counts.into_values().max().unwrap_or(0), None),
        };
        ranked.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.order(b)));
        let few = distinct.is_some_and(|distinct| distinct <= TOLD as u64);
        // What occurs no more often than a value that was lost on the way may not be among the most frequent.
        let told = ranked.iter().take(TOLD).take_while(|(_, count)| *count > cut && (few || *count > 1)).count();
        let next = ranked.get(told).map_or(0, |(_, count)| *count);
        ranked.truncate(told);
        Counted {
            // Lost values were more than are tracked.
            distinct: distinct.unwrap_or_else(|| (self.sketch.estimate().round() as u64).max(1)),
            exact: distinct.is_some(),
            others_at_most: next.max(cut).max(others),
            most: ranked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(values: &[u64]) -> Counted {
        let mut tally = Tally::default();
        for value in values {
            tally.add(mixed(*value), || Seen::Integer(i128::from(*value)));
        }
        if tally.prepare_again() {
            for value in values {
                tally.add_again(mixed(*value), || Seen::Integer(i128::from(*value)));
            }
        }
        tally.finish()
    }

    #[test]
    fn few_values_are_all_told() {
        let counted = tally(&[3, 1, 3, 3, 2, 1]);
        let expected = [(Seen::Integer(3), 3), (Seen::Integer(1), 2), (Seen::Integer(2), 1)];
        assert_eq!((counted.most.as_slice(), counted.distinct, counted.exact), (&expected[..], 3, true));
        assert_eq!(counted.others_at_most, 0);
    }

    #[test]
    fn of_very_many_values_the_frequent_ones_are_exact() {
        // 30 heavy values among 200 000 that occur once or twice, in an order that cuts the summary down often.
        let mut values = Vec::new();
        for n in 0..200_000_u64 {
            values.push(1000 + n);
            if n % 5 == 0 {
                values.push(n / 5 % 30);
            }
            if n < 700 {
                values.push(n % 7);
            }
        }
        let counted = tally(&values);
        let mut naive: HashMap<u64, u64> = HashMap::new();
        for value in &values {
            *naive.entry(*value).or_default() += 1;
        }
        let mut ranked: Vec<(u64, u64)> = naive.iter().map(|(value, count)| (*value, *count)).collect();
        ranked.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
        let expected: Vec<_> = ranked.iter().take(TOLD).map(|(v, n)| (Seen::Integer(i128::from(*v)), *n)).collect();
        assert_eq!(counted.most, expected);
        assert!(counted.others_at_most >= ranked[TOLD].1);
        assert!(!counted.exact);
        let distinct = naive.len() as f64;
        assert!((counted.distinct as f64 - distinct).abs() < 0.03 * distinct);
    }

    #[test]
    fn values_that_all_differ_have_no_frequent_ones() {
        let counted = tally(&(0..50_000).collect::<Vec<_>>());
        assert!(counted.most.is_empty() && counted.others_at_most >= 1);
        let counted = tally(&(0..500).collect::<Vec<_>>());
        assert!(counted.most.is_empty() && counted.others_at_most == 1 && counted.distinct == 500);
    }
}
