//! Extremes, mean, deviation and histogram of numbers: integers exactly (times and decimals are integers here), floats in
//! double precision.

/// Ranges of a histogram, about.
const RANGES: u32 = 20;

/// Mean and squared deviations, as they come (Welford).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    fn std(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.squares / self.count as f64).sqrt())
    }
}

/// Integers.
#[derive(Debug, Clone, Default)]
pub(super) struct Integers {
    extremes: Option<(i128, i128)>,
    /// Deviations are taken from the first value, so that far-off zeros cost no digits.
    first: i128,
    moments: Moments,
    ranges: Option<IntegerRanges>,
}

/// Ranges `from + n * width` and what falls into each.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IntegerRanges {
    pub(super) from: i128,
    pub(super) width: i128,
    /// The greatest value: the last edge, where the ranges reach beyond it.
    pub(super) to: i128,
    pub(super) counts: Vec<u64>,
}

impl IntegerRanges {
    fn over(from: i128, to: i128) -> Self {
        // A difference that no i128 holds is not reached: decimals have 38 digits, their differences 39.
        let span = to.saturating_sub(from).saturating_add(1);
        let width = (span.saturating_add(i128::from(RANGES) - 1) / i128::from(RANGES)).max(1);
        let ranges = span.saturating_add(width - 1) / width;
        Self { from, width, to, counts: vec![0; usize::try_from(ranges).unwrap_or(1).clamp(1, RANGES as usize)] }
    }

    fn add(&mut self, value: i128, times: u64) {
        let at = usize::try_from(value.saturating_sub(self.from) / self.width).unwrap_or(0);
        let last = self.counts.len() - 1;
        if let Some(count) = self.counts.get_mut(at.min(last)) {
            *count += times;
        }
    }

    /// The ends of the ranges; the last is the greatest value itself.
    pub(super) fn edges(&self) -> Vec<i128> {
        let ranges = i128::try_from(self.counts.len()).unwrap_or(1);
        let inner = (0..ranges).map(|n| self.from.saturating_add(self.width.saturating_mul(n)));
        inner.chain([self.to]).collect()
    }
}

impl Integers {
    pub(super) fn add(&mut self, value: i128) {
        let (min, max) = self.extremes.unwrap_or_else(|| {
            self.first = value;
            (value, value)
        });
        self.extremes = Some((min.min(value), max.max(value)));
        self.moments.add(value.saturating_sub(self.first) as f64);
    }

    pub(super) fn extremes(&self) -> Option<(i128, i128)> {
        self.extremes
    }

    /// The mean, as the first value and what is to be added to it.
    pub(super) fn mean(&self) -> Option<(i128, f64)> {
        (self.moments.count > 0).then_some((self.first, self.moments.mean))
    }

    pub(super) fn std(&self) -> Option<f64> {
        self.moments.std()
    }

    /// Makes the ranges; they are filled by [`Self::range`].
    pub(super) fn make_ranges(&mut self) {
        self.ranges = self.extremes.map(|(min, max)| IntegerRanges::over(min, max));
    }

    pub(super) fn range(&mut self, value: i128, times: u64) {
        if let Some(ranges) = &mut self.ranges {
            ranges.add(value, times);
        }
    }

    pub(super) fn ranges(&self) -> Option<&IntegerRanges> {
        self.ranges.as_ref()
    }
}

/// Finite floats.
#[derive(Debug, Clone, Default)]
pub(super) struct Floats {
    extremes: Option<(f64, f64)>,
    moments: Moments,
    ranges: Option<Vec<u64>>,
}

impl Floats {
    pub(super) fn add(&mut self, value: f64) {
        let (min, max) = self.extremes.unwrap_or((value, value));
        self.extremes = Some((min.min(value), max.max(value)));
        self.moments.add(value);
    }

    pub(super) fn extremes(&self) -> Option<(f64, f64)> {
        self.extremes
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.moments.count > 0).then_some(self.moments.mean)
    }

    pub(super) fn std(&self) -> Option<f64> {
        self.moments.std()
    }

    pub(super) fn make_ranges(&mut self) {
        self.ranges = self.extremes.map(|(min, max)| vec![0; if min < max { RANGES as usize } else { 1 }]);
    }

    pub(super) fn range(&mut self, value: f64, times: u64) {
        let edges = self.edges();
        if let Some(ranges) = &mut self.ranges {
            // The edges as they are told decide, not a quotient that rounds otherwise.
            let inner = edges.get(1..ranges.len()).unwrap_or_default();
            let at = inner.partition_point(|edge| *edge <= value);
            if let Some(count) = ranges.get_mut(at) {
                *count += times;
            }
        }
    }

    /// The ends of the ranges.
    pub(super) fn edges(&self) -> Vec<f64> {
        let (Some((min, max)), Some(ranges)) = (self.extremes, &self.ranges) else { return Vec::new() };
        let count = ranges.len() as f64;
        // Each end by itself, since the difference of two doubles may be none.
        let inner = (1..ranges.len()).map(|n| min * (1.0 - n as f64 / count) + max * (n as f64 / count));
        [min].into_iter().chain(inner).chain([max]).collect()
    }

    pub(super) fn counts(&self) -> Option<&[u64]> {
        self.ranges.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_at_the_ends_of_their_type_have_ranges() {
        for values in [vec![i128::from(i64::MIN), 0, i128::from(i64::MAX)], vec![5], vec![1, 2, 3], (0..1000).collect()]
        {
            let mut integers = Integers::default();
            values.iter().for_each(|value| integers.add(*value));
            integers.make_ranges();
            values.iter().for_each(|value| integers.range(*value, 1));
            let ranges = integers.ranges().expect("ranges");
            assert_eq!(ranges.counts.iter().sum::<u64>(), values.len() as u64);
            let edges = ranges.edges();
            assert_eq!(edges.len(), ranges.counts.len() + 1);
            assert!(edges.windows(2).all(|pair| pair[0] <= pair[1]), "{edges:?}");
            assert_eq!(edges.last(), values.iter().max());
        }
    }

    #[test]
    fn floats_of_any_size_have_finite_edges() {
        let mut floats = Floats::default();
        let values = [-f64::MAX, -1.0, 0.0, 0.5, f64::MAX];
        values.iter().for_each(|value| floats.add(*value));
        floats.make_ranges();
        values.iter().for_each(|value| floats.range(*value, 1));
        assert!(floats.edges().iter().all(|edge| edge.is_finite()));
        assert_eq!(floats.counts().expect("ranges").iter().sum::<u64>(), 5);
    }
}
