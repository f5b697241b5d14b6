//! The scalar functions a `where` may call. Left out on purpose: what grows its input without bound (`repeat`, `lpad`,
//! `range`), and what answers differently each time (`now`, `random`, `uuid`), since answers are cached by their text.

use std::sync::LazyLock;

use datafusion::execution::{SessionStateBuilder, session_state::SessionState};

/// One allowed function, as shown in `/docs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionDoc {
    /// Name.
    pub name: &'static str,
    /// How it is called.
    pub syntax: String,
    /// What it gives.
    pub description: String,
}

/// Allowed functions by theme.
pub(super) const ALLOWED: [(&str, &[&str]); 6] = [
    (
        "Text",
        &[
            "ascii",
            "bit_length",
            "btrim",
            "char_length",
            "character_length",
            "concat",
            "concat_ws",
            "contains",
            "ends_with",
            "initcap",
            "left",
            "length",
            "levenshtein",
            "lower",
            "ltrim",
            "octet_length",
            "replace",
            "reverse",
            "right",
            "rtrim",
            "split_part",
            "starts_with",
            "strpos",
            "substr",
            "substring",
            "substring_index",
            "translate",
            "trim",
            "upper",
        ],
    ),
    ("Regular expressions", &["regexp_count", "regexp_instr", "regexp_like", "regexp_match", "regexp_replace"]),
    (
        "Numbers",
        &[
            "abs",
            "acos",
            "asin",
            "atan",
            "atan2",
            "cbrt",
            "ceil",
            "cos",
            "degrees",
            "exp",
            "factorial",
            "floor",
            "gcd",
            "isnan",
            "iszero",
            "lcm",
            "ln",
            "log",
            "log10",
            "log2",
            "nanvl",
            "pi",
            "pow",
            "power",
            "radians",
            "round",
            "signum",
            "sin",
            "sqrt",
            "tan",
            "trunc",
        ],
    ),
    ("Nulls and choices", &["coalesce", "greatest", "ifnull", "least", "nullif", "nvl", "nvl2"]),
    (
        "Dates and times",
        &[
            "date_bin",
            "date_part",
            "date_trunc",
            "datepart",
            "datetrunc",
            "from_unixtime",
            "make_date",
            "to_char",
            "to_date",
            "to_timestamp",
            "to_timestamp_millis",
            "to_timestamp_seconds",
            "to_unixtime",
        ],
    ),
    (
        "Lists, maps and structs",
        &[
            "array_contains",
            "array_element",
            "array_has",
            "array_has_all",
            "array_has_any",
            "array_length",
            "array_max",
            "array_min",
            "array_position",
            "array_to_string",
            "cardinality",
            "element_at",
            "empty",
            "get_field",
            "list_contains",
            "list_element",
            "list_has",
            "list_has_all",
            "list_has_any",
            "list_length",
            "list_max",
            "list_position",
            "list_to_string",
            "make_array",
            "map_extract",
            "map_keys",
            "map_values",
        ],
    ),
];

/// DataFusion's functions and planners, built once; no catalog, no tables, no files.
pub(super) static SESSION: LazyLock<SessionState> = LazyLock::new(|| {
    let mut state = SessionStateBuilder::new().with_default_features().build();
    // Names are resolved by us, exactly as the contract says, before DataFusion sees them.
    state.config_mut().options_mut().sql_parser.enable_ident_normalization = false;
    state
});

/// Whether a function of that (lower-case) name may be called.
pub(super) fn is_allowed(name: &str) -> bool {
    names().any(|allowed| allowed == name)
}

/// All names.
pub(in crate::query) fn names() -> impl Iterator<Item = &'static str> {
    ALLOWED.iter().flat_map(|(_, names)| names.iter().copied())
}

/// Each theme with its functions, as `/docs` shows them.
pub fn documentation() -> Vec<(&'static str, Vec<FunctionDoc>)> {
    let doc = |name: &&'static str| {
        let found = SESSION.scalar_functions().get(*name).and_then(|function| function.documentation());
        FunctionDoc {
            name,
            syntax: found.map_or_else(|| format!("{name}(…)"), |doc| doc.syntax_example.clone()),
            description: found.map_or_else(String::new, |doc| first_sentence(&doc.description)),
        }
    };
    ALLOWED.iter().map(|(theme, names)| (*theme, names.iter().map(doc).collect())).collect()
}

pub(in crate::query) fn first_sentence(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => flat,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allowed_function_exists_and_does_not_vary() {
        for name in names() {
            let function = SESSION.scalar_functions().get(name).unwrap_or_else(|| panic!("{name}"));
            assert_ne!(
                function.signature().volatility,
                datafusion::logical_expr::Volatility::Volatile,
                "{name} answers differently each time"
            );
        }
    }
}
