//! Words that other databases know and this one does not, and what is written here instead.

/// What to write instead of a function that is known elsewhere.
pub(in crate::query) fn instead_of(function: &str) -> Option<&'static str> {
    Some(match function {
        "now" | "today" | "current_date" | "current_timestamp" | "current_time" | "localtimestamp" | "getdate"
        | "sysdate" => "answers are the same tomorrow; write the day itself, such as '2026-11-21'",
        "random" | "rand" | "uuid" | "newid" => {
            "answers are the same each time; `sample` of `rows` draws rows at random"
        }
        "count" | "sum" | "avg" | "min" | "max" | "median" | "stddev" | "group_concat" | "string_agg" | "array_agg" => {
            "a `where` sees one row at a time; `/v1/sql` counts and adds up"
        }
        "if" | "iif" | "iff" | "decode" => "write `case when … then … else … end`",
        "any" | "some" | "all" | "unnest" | "explode" => "`list_contains(list, value)` looks into a list",
        "isnull" | "is_null" | "isnotnull" => "write `column is null` or `column is not null`",
        "year" | "month" | "day" | "hour" | "minute" | "second" | "quarter" | "week" | "dayofweek" | "dayofyear" => {
            "write `extract(year from column)`, or month, day, hour, dow and so on"
        }
        "strftime" | "date_format" | "format" => "`to_char(column, '%Y-%m')` writes dates",
        "datediff" | "date_diff" | "timestampdiff" => "dates are subtracted: `later - earlier > interval '1 day'`",
        "instr" | "charindex" | "locate" => "`strpos(text, part)` finds the place of a part",
        "repeat" | "lpad" | "rpad" | "space" | "range" | "generate_series" => {
            "what makes texts and lists of any length is left out"
        }
        _ => return None,
    })
}

/// What to say of a word that stands where an expression has ended.
pub(super) fn after_an_expression(word: &str) -> Option<&'static str> {
    Some(match word.to_lowercase().as_str() {
        "order" => "`order_by` is a parameter of its own",
        "limit" | "offset" | "fetch" => "`limit` and `offset` are parameters of their own",
        "group" | "having" => "a `where` sees one row at a time; `/v1/sql` groups them",
        "contains" => "write `contains(text, 'part')`, or `list_contains(list, value)`",
        "startswith" | "starts_with" => "write `starts_with(text, 'beginning')`",
        "endswith" | "ends_with" => "write `ends_with(text, 'end')`",
        "glob" | "matches" => "write `like 'a%'`, or `~ 'pattern'`",
        ";" => "a `where` ends without it",
        _ => return None,
    })
}

/// What to say of an operator that other languages have.
pub(super) fn operator(written: &str) -> Option<&'static str> {
    Some(match written {
        "&&" => "conditions are joined by `and`",
        "^" => "`power(a, b)` is the power",
        "->" | "->>" => "`column['key']` looks into a struct or a map",
        "@>" => "`list_has_all(list, other)` compares lists",
        "<@" => "`list_has_all(other, list)` compares lists",
        _ => return None,
    })
}

/// The text with straight quotes for typographic ones, if it has any.
pub(super) fn straight_quotes(text: &str) -> Option<String> {
    let straight = |c: char| match c {
        '‘' | '’' | '‚' | '´' => '\'',
        '“' | '”' | '„' => '\'',
        other => other,
    };
    let straightened: String = text.chars().map(straight).collect();
    (straightened != text).then_some(straightened)
}
