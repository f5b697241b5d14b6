//! Rows as ranges of their numbers: ascending, apart from each other, none of them empty.

use std::{collections::VecDeque, ops::Range};

/// Rows in ranges.
pub(super) fn count(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// Adds rows behind all others; what touches the last range becomes part of it.
pub(super) fn push(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        _ if range.is_empty() => {}
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// These numbers, which ascend, as ranges.
pub(super) fn of(rows: impl Iterator<Item = u64>) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    for row in rows {
        push(&mut ranges, row..row.saturating_add(1));
    }
    ranges
}

/// The rows that are in both.
pub(super) fn intersect(left: &[Range<u64>], right: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    let mut both = Vec::new();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        push(&mut both, a.start.max(b.start)..a.end.min(b.end));
        if a.end < b.end {
            left.next()
        } else {
            right.next()
        };
    }
    both
}

/// The rows of `ranges` that lie in `span`, counted from its beginning.
pub(super) fn inside(ranges: &[Range<u64>], span: &Range<u64>) -> Vec<Range<u64>> {
    let first = ranges.partition_point(|range| range.end <= span.start);
    let here = ranges.iter().skip(first).take_while(|range| range.start < span.end);
    let here = here.map(|range| range.start.max(span.start) - span.start..range.end.min(span.end) - span.start);
    here.filter(|range| !range.is_empty()).collect()
}

/// Of the rows in `ranges`, `limit` after the first `offset`.
pub(super) fn slice(ranges: &[Range<u64>], offset: u64, limit: Option<u64>) -> Vec<Range<u64>> {
    let mut rest = VecDeque::from(ranges.to_vec());
    split(&mut rest, offset);
    match limit {
        Some(limit) => split(&mut rest, limit),
        None => rest.into(),
    }
}

/// Takes the first `most` rows off.
pub(super) fn split(ranges: &mut VecDeque<Range<u64>>, most: u64) -> Vec<Range<u64>> {
    let (mut taken, mut left) = (Vec::new(), most);
    while left > 0
        && let Some(range) = ranges.pop_front()
    {
        let upto = range.end.min(range.start.saturating_add(left));
        left -= upto - range.start;
        taken.push(range.start..upto);
        if upto < range.end {
            ranges.push_front(upto..range.end);
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn rows(ranges: &[Range<u64>]) -> Vec<u64> {
        assert!(ranges.iter().all(|range| !range.is_empty()) && ranges.windows(2).all(|two| two[0].end < two[1].start));
        ranges.iter().cloned().flatten().collect()
    }

    fn some() -> impl Strategy<Value = BTreeSet<u64>> {
        proptest::collection::btree_set(0_u64..60, 0..40)
    }

    proptest! {
        #[test]
        fn ranges_are_sets_of_rows(a in some(), b in some(), from in 0_u64..60, length in 0_u64..60, most in 0_u64..50) {
            let (left, right) = (of(a.iter().copied()), of(b.iter().copied()));
            prop_assert_eq!(rows(&left), a.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(count(&left), a.len() as u64);
            prop_assert_eq!(rows(&intersect(&left, &right)), a.intersection(&b).copied().collect::<Vec<_>>());
            let here = a.range(from..from + length).map(|row| row - from).collect::<Vec<_>>();
            prop_assert_eq!(rows(&inside(&left, &(from..from + length))), here);
            let (skip, take) = (from as usize, most as usize);
            let sliced = a.iter().copied().skip(skip).take(take).collect::<Vec<_>>();
            prop_assert_eq!(rows(&slice(&left, from, Some(most))), sliced);
            prop_assert_eq!(rows(&slice(&left, from, None)), a.iter().copied().skip(skip).collect::<Vec<_>>());
        }
    }
}
