//! Names for columns that have none, or share one.

use std::collections::BTreeSet;

/// Positions as names, from 1.
pub(super) fn positions(width: usize) -> Vec<String> {
    (1..=width).map(|position| position.to_string()).collect()
}

/// Unique, non-empty names, changing as few as possible: a name that stands there once is kept.
pub(super) fn unique(names: Vec<String>) -> Vec<String> {
    let given: BTreeSet<String> = names.iter().cloned().collect();
    let mut taken = BTreeSet::new();
    let mut out = Vec::with_capacity(names.len());
    for (at, name) in names.into_iter().enumerate() {
        let base = if name.is_empty() { format!("column_{}", at + 1) } else { name.clone() };
        let free =
            |candidate: &String| !taken.contains(candidate) && (*candidate == name || !given.contains(candidate));
        let numbered = (2..).map(|n: u64| format!("{base}_{n}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(free).unwrap_or(base);
        taken.insert(name.clone());
        out.push(name);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_never_empty() {
        let names = |names: &[&str]| unique(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(names(&["a", "a", "a_2", "", "a"]), ["a", "a_3", "a_2", "column_4", "a_4"]);
        assert_eq!(names(&["", "column_1"]), ["column_1_2", "column_1"]);
    }
}
