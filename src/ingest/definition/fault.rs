//! What is wrong with a definition: every fault at once, each with file, line and the nearest valid word.

use std::{collections::BTreeSet, fmt, ops::Range};

/// One fault, at a place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// File name, for the reader.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong and what was probably meant.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// All faults of one definition, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// Collects faults while a file is checked.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    file: &'a str,
    text: &'a str,
    faults: Vec<(usize, Fault)>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, faults: Vec::new() }
    }

    /// A fault at a span of bytes of the text.
    pub(super) fn add(&mut self, span: Range<usize>, message: impl Into<String>) {
        let before = self.text.get(..span.start.min(self.text.len())).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let fault = Fault { file: self.file.to_owned(), line, column, message: message.into() };
        if !self.faults.iter().any(|(_, other)| *other == fault) {
            self.faults.push((span.start, fault));
        }
    }

    /// Adds what another check of the same text found, except where this one has a fault already: that one may follow
    /// from it.
    pub(super) fn add_elsewhere(&mut self, other: Collector<'_>) {
        let known: BTreeSet<usize> = self.faults.iter().map(|(at, _)| *at).collect();
        self.faults.extend(other.faults.into_iter().filter(|(at, _)| !known.contains(at)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// `Err` with all faults, sorted by place, if there are any.
    pub(super) fn finish(mut self) -> Result<(), Faults> {
        self.faults.sort_by_key(|(at, _)| *at);
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(Faults(self.faults.into_iter().map(|(_, fault)| fault).collect()))
        }
    }
}

/// `; did you mean …?` with the nearest of the words, or the list of them where none is near.
pub(super) fn did_you_mean<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> String {
    let valid: Vec<&str> = valid.into_iter().collect();
    match nearest(word, valid.iter().copied()) {
        Some(candidate) => format!("; did you mean `{candidate}`?"),
        _ if valid.is_empty() => String::new(),
        _ => format!("; valid here: {}", valid.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// The word that was probably meant, if one is near.
pub(super) fn nearest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let near = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        // Two letters the wrong way round are one slip, in short words too.
        let slip = word.len() > 2 && strsim::osa_distance(&word, &candidate) < 2;
        strsim::jaro_winkler(&word, &candidate).max(if slip { 0.9 } else { 0.0 })
    };
    let scored = valid.into_iter().map(|candidate| (near(candidate), candidate));
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.75).map(|(_, candidate)| candidate)
}
