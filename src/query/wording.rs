//! What the engine says of a query that cannot be, in this project's words: our names of types, and what to write instead.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Arrow's names of types, and ours.
const TYPES: [(&str, &str); 12] = [
    ("LargeUtf8", "utf8"),
    ("Utf8View", "utf8"),
    ("Utf8", "utf8"),
    ("Int64", "int64"),
    ("Int32", "int32"),
    ("Float64", "float64"),
    ("Float32", "float32"),
    ("Boolean", "bool"),
    ("Date32", "date"),
    ("Binary", "binary"),
    ("BinaryView", "binary"),
    ("Null", "null"),
];

fn regex(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

/// A pattern that is made once; none if it is no pattern, which a test would see.
macro_rules! pattern {
    ($name:ident, $pattern:literal) => {
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| regex($pattern));
    };
}

pattern!(OF_FIELD, r#", (field: '[^']*'|metadata: \{[^}]*\}|nullable)"#);
pattern!(TIMESTAMP, r#"Timestamp\([^()]*\)"#);
pattern!(DECIMAL, r"Decimal(?:32|64|128|256)\((\d+), (\d+)\)");
pattern!(WORD, r"\b[A-Z][A-Za-z]+[0-9]*\b");
pattern!(LIST, r"(?:Large)?List\(([^()]+)\)");
pattern!(CAST, r"^Cast error: Cannot cast (?:string )?('.*'|.*) to value of (.+) type$");
pattern!(COMPARED, r"^Cannot infer common argument type for comparison operation (.+) (=|!=|<>|<|<=|>|>=) (.+)$");
pattern!(JOINED, r"^Cannot infer common argument type for logical boolean operation (.+) (AND|OR) (.+)$");
pattern!(CONCATENATED, r"^Cannot infer common string type for string concat operation (.+) \|\| (.+)$");
pattern!(GROUPED, r#"[Cc]olumn "([^"]+)" must appear in the GROUP BY clause"#);
pattern!(OF_TEXT, r"^Function '(\w+)' requires String, but received (\S+) ");
pattern!(CALLED, r"^(.*?)\.*\s*No function matches the given name and argument types.*$");

/// The text in our words. `text` may have several lines.
pub(super) fn said(text: &str) -> String {
    if text.contains("regex parse error") {
        let why = text.lines().find_map(|line| line.trim().strip_prefix("error: ")).unwrap_or("it is not understood");
        return format!("the regular expression cannot be read: {why}");
    }
    let line = text.lines().next().unwrap_or_default().trim_end_matches('.');
    let text = types(line);
    if let Some(found) = captures(&CAST, &text) {
        let (value, kind) = (part(&found, 1), part(&found, 2));
        return format!("{value} cannot be read as {kind}{}", example(kind));
    }
    if let Some(found) = captures(&COMPARED, &text) {
        let (left, op, right) = (part(&found, 1), part(&found, 2), part(&found, 3));
        let advice = match (left, right) {
            _ if left.starts_with("list<") || right.starts_with("list<") => {
                "; `list_contains(list, value)` looks into a list"
            }
            ("bool", _) if op != "=" && op != "!=" => "; a range is `column between low and high`",
            ("bool", "int64") | ("int64", "bool") => "; write `true` or `false`",
            _ => "",
        };
        return format!("{left} and {right} cannot be compared by `{op}`{advice}");
    }
    if let Some(found) = captures(&JOINED, &text) {
        let (left, op, right) = (part(&found, 1), part(&found, 2).to_lowercase(), part(&found, 3));
        let wrong = if left == "bool" { right } else { left };
        return format!("`{op}` joins conditions, and one side of it is {wrong}");
    }
    if let Some(found) = captures(&CONCATENATED, &text) {
        let (left, right) = (part(&found, 1), part(&found, 2));
        return format!("`||` joins texts, not {left} and {right}; conditions are joined by `or`");
    }
    if let Some(found) = captures(&GROUPED, &text) {
        let column = part(&found, 1);
        return format!("`{column}` is neither in GROUP BY nor in an aggregate, such as `max({column})`");
    }
    if let Some(found) = captures(&OF_TEXT, &text) {
        return format!("`{}` takes text, not {}", part(&found, 1), part(&found, 2));
    }
    match captures(&CALLED, &text) {
        Some(found) if !part(&found, 1).is_empty() => part(&found, 1).to_owned(),
        _ => text,
    }
}

fn captures<'t>(pattern: &LazyLock<Option<Regex>>, text: &'t str) -> Option<Captures<'t>> {
    pattern.as_ref()?.captures(text)
}

fn part<'t>(found: &Captures<'t>, at: usize) -> &'t str {
    found.get(at).map_or("", |part| part.as_str())
}

/// How values of a type are written, where that is not plain.
fn example(kind: &str) -> &'static str {
    match kind {
        "date" => "; a date is written '2026-11-21'",
        "timestamp" => "; a time is written '2026-11-21T12:00:00Z'",
        "int32" | "int64" => "; it takes a whole number",
        "float32" | "float64" => "; it takes a number",
        _ => "",
    }
}

/// The text with our names of types.
fn types(text: &str) -> String {
    let replaced = |pattern: &LazyLock<Option<Regex>>, text: String, by: &str| match pattern.as_ref() {
        Some(pattern) => pattern.replace_all(&text, by).into_owned(),
        None => text,
    };
    let text = replaced(&OF_FIELD, text.to_owned(), "");
    let text = replaced(&TIMESTAMP, text, "timestamp");
    let mut text = replaced(&DECIMAL, text, "decimal($1,$2)");
    if let Some(pattern) = WORD.as_ref() {
        let ours = |found: &Captures<'_>| {
            let word = part(found, 0);
            TYPES.iter().find(|(theirs, _)| *theirs == word).map_or(word, |(_, ours)| ours).to_owned()
        };
        text = pattern.replace_all(&text, ours).into_owned();
    }
    // From the inside out.
    for _ in 0..4 {
        text = replaced(&LIST, text, "list<$1>");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_one() {
        let all = [
            &OF_FIELD,
            &TIMESTAMP,
            &DECIMAL,
            &WORD,
            &LIST,
            &CAST,
            &COMPARED,
            &JOINED,
            &CONCATENATED,
            &GROUPED,
            &OF_TEXT,
            &CALLED,
        ];
        assert!(all.into_iter().all(|pattern| pattern.is_some()));
    }

    #[test]
    fn types_have_our_names() {
        for (theirs, ours) in [
            ("List(Utf8, field: 'element', metadata: {\"PARQUET:field_id\": \"24\"})", "list<utf8>"),
            ("List(List(Int64))", "list<list<int64>>"),
            ("Timestamp(µs, \"UTC\") and Decimal128(10, 2)", "timestamp and decimal(10,2)"),
            ("The Date of a Nullable thing", "The Date of a Nullable thing"),
        ] {
            assert_eq!(types(theirs), ours);
        }
    }
}
