//! Addresses with variables in them: `{x}` as it stands, `{x:%Y-%m-%d}` written by a strftime pattern. Filled for a
//! crawl; turned into a pattern over file names for the sample.

use std::collections::BTreeMap;

use chrono::{
    NaiveDate, Utc,
    format::{Fixed, Item, Numeric, Pad, Parsed, StrftimeItems, parse},
};
use regex::Regex;

use super::value::Value;

/// Variables by name.
pub(super) type Bindings = BTreeMap<String, Value>;

/// An address with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable { name: String, format: Option<String> },
}

impl Template {
    /// Reads a template; the message says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((inside, behind)) = after.split_once('}') else {
                return Err(format!("`{text}`: a `{{` without its `}}`"));
            };
            let (name, format) = match inside.split_once(':') {
                Some((name, format)) => (name, Some(format)),
                None => (inside, None),
            };
            if !is_name(name) {
                return Err(format!(
                    "`{text}`: `{{{inside}}}` is no variable; write `{{name}}` or `{{name:%Y-%m-%d}}`"
                ));
            }
            if let Some(format) = format
                && (!format.contains('%') || StrftimeItems::new(format).any(|item| item == Item::Error))
            {
                return Err(format!("`{text}`: `{format}` is no strftime pattern such as `%Y-%m-%d`"));
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Variable { name: name.to_owned(), format: format.map(str::to_owned) });
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { pieces })
    }

    /// The variables in it, in order of appearance, each once.
    pub fn variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for piece in &self.pieces {
            if let Piece::Variable { name, .. } = piece
                && !names.contains(&name.as_str())
            {
                names.push(name);
            }
        }
        names
    }

    /// The variables that are written as times.
    pub(super) fn times(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { name, format: Some(_) } => Some(name.as_str()),
            _ => None,
        })
    }

    /// Fills it; the message names a variable that has no value, or none that is a time.
    pub(super) fn fill(&self, bindings: &Bindings) -> Result<String, String> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Variable { name, format } => {
                    let value = bindings.get(name).ok_or_else(|| unbound(name))?;
                    match format {
                        None => filled.push_str(&value.plain()),
                        Some(format) => {
                            let time = value.time().ok_or_else(|| {
                                format!("`{{{name}:{format}}}` writes a time, and `{}` is none", value.plain())
                            })?;
                            filled.push_str(&time.at.format(format).to_string());
                        }
                    }
                }
            }
        }
        Ok(filled)
    }

    /// What comes behind the last `/` of the path: the file's name, as a template.
    pub(super) fn file_name(&self) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Variable { .. } => pieces.push(piece.clone()),
                Piece::Text(text) => {
                    let (path, query) = match text.split_once(['?', '#']) {
                        Some((path, _)) => (path, true),
                        None => (text.as_str(), false),
                    };
                    let last = match path.rsplit_once('/') {
                        Some((_, last)) => {
                            pieces.clear();
                            last
                        }
                        None => path,
                    };
                    let last = percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned();
                    if !last.is_empty() {
                        pieces.push(Piece::Text(last));
                    }
                    if query {
                        break;
                    }
                }
            }
        }
        Self { pieces }
    }

    /// Binds the variables so that the filled template would be `name`.
    pub(super) fn matches(&self, name: &str) -> Option<Bindings> {
        let captures = self.pattern().ok()?;
        let captures = captures.captures(name)?;
        let mut texts: BTreeMap<&str, String> = BTreeMap::new();
        let mut times: BTreeMap<&str, Parsed> = BTreeMap::new();
        let variables = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { name, format } => Some((name.as_str(), format.as_deref())),
            Piece::Text(_) => None,
        });
        for (i, (variable, format)) in variables.enumerate() {
            let text = captures.get(i + 1)?.as_str();
            match format {
                Some(format) => parse(times.entry(variable).or_default(), text, StrftimeItems::new(format)).ok()?,
                None => {
                    if texts.entry(variable).or_insert_with(|| text.to_owned()) != text {
                        return None;
                    }
                }
            }
        }
        let mut bindings = Bindings::new();
        bindings.extend(texts.into_iter().map(|(variable, text)| (variable.to_owned(), Value::Text(text))));
        for (variable, parsed) in times {
            bindings.insert(variable.to_owned(), Value::of_time(instant(&parsed)?));
        }
        Some(bindings)
    }

    fn pattern(&self) -> Result<Regex, regex::Error> {
        let mut pattern = String::from("^");
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => pattern.push_str(&regex::escape(text)),
                Piece::Variable { format: None, .. } => pattern.push_str("(.+?)"),
                Piece::Variable { format: Some(format), .. } => {
                    pattern.push('(');
                    StrftimeItems::new(format).for_each(|item| push_pattern(&mut pattern, &item));
                    pattern.push(')');
                }
            }
        }
        pattern.push('$');
        Regex::new(&pattern)
    }
}

impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Variable { name, format: None } => write!(f, "{{{name}}}")?,
                Piece::Variable { name, format: Some(format) } => write!(f, "{{{name}:{format}}}")?,
            }
        }
        Ok(())
    }
}

fn unbound(name: &str) -> String {
    format!("`{{{name}}}` has no values: give them with `each.{name}`, or a capture `(?<{name}>…)` in `match`")
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// The texts that one item of a strftime pattern writes.
fn push_pattern(pattern: &mut String, item: &Item<'_>) {
    match item {
        Item::Literal(text) | Item::Space(text) => pattern.push_str(&regex::escape(text)),
        Item::OwnedLiteral(text) | Item::OwnedSpace(text) => pattern.push_str(&regex::escape(text)),
        Item::Numeric(number, pad) => {
            let digits = match number {
                Numeric::Year | Numeric::IsoYear => 4,
                Numeric::Ordinal => 3,
                Numeric::Nanosecond => 9,
                Numeric::Timestamp => 12,
                _ => 2,
            };
            match pad {
                Pad::Zero if !matches!(number, Numeric::Timestamp) => pattern.push_str(&format!(r"\d{{{digits}}}")),
                Pad::Space => pattern.push_str(&format!(r"[ \d]{{{digits}}}")),
                _ => pattern.push_str(&format!(r"\d{{1,{digits}}}")),
            }
        }
        Item::Fixed(
            Fixed::ShortMonthName | Fixed::LongMonthName | Fixed::ShortWeekdayName | Fixed::LongWeekdayName,
        ) => pattern.push_str("[A-Za-z]+"),
        _ => pattern.push_str(".+?"),
    }
}

/// The instant that parsed fields mean; what they leave open is the first of its kind.
fn instant(parsed: &Parsed) -> Option<chrono::DateTime<Utc>> {
    let mut parsed = parsed.clone();
    if parsed.timestamp().is_none() && parsed.to_naive_date().is_err() {
        let year = parsed.year()?;
        if parsed.month().is_none() {
            parsed.set_month(1).ok()?;
        }
        if parsed.day().is_none() {
            parsed.set_day(1).ok()?;
        }
        NaiveDate::from_ymd_opt(year, 1, 1)?;
    }
    if parsed.hour_div_12().is_none() {
        parsed.set_hour(0).ok()?;
    }
    if parsed.minute().is_none() {
        parsed.set_minute(0).ok()?;
    }
    parsed.to_naive_datetime_with_offset(0).ok().map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_filled_binds_again(text in "[a-z]{1,4}", seconds in 0_i64..4_000_000_000, noise in "[{}:%a-zA-Z]{0,9}") {
            let template = Template::parse("https://x.org/y/{name}-{at:%Y%m%d}T{at:%H%M%S}.gz").expect("a template");
            let at = Value::of_time(chrono::DateTime::from_timestamp(seconds, 0).expect("a time"));
            let bindings = Bindings::from([("name".into(), Value::Text(text)), ("at".into(), at)]);
            let filled = template.fill(&bindings).expect("filled");
            let name = filled.rsplit('/').next().expect("a name");
            prop_assert_eq!(template.file_name().matches(name), Some(bindings));
            // Whatever it is, it is read or refused.
            if let Ok(template) = Template::parse(&noise) {
                prop_assert_eq!(template.to_string(), noise);
                template.matches("name");
            }
        }
    }

    fn bound(template: &str, name: &str) -> Option<Vec<(String, String)>> {
        let bindings = Template::parse(template).expect("a template").file_name().matches(name)?;
        Some(bindings.into_iter().map(|(name, value)| (name, value.text())).collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_template_is_filled() {
        let template = Template::parse("https://x.org/{wiki}/{hour:%Y/%Y-%m}/f-{hour:%Y-%m-%d-%-H}.gz").expect("one");
        assert_eq!(template.variables(), ["wiki", "hour"]);
        let hour = Value::of_time("2024-01-02T03:00:00Z".parse().expect("a time"));
        let bindings = Bindings::from([("wiki".into(), Value::Text("de".into())), ("hour".into(), hour)]);
        assert_eq!(template.fill(&bindings).expect("filled"), "https://x.org/de/2024/2024-01/f-2024-01-02-3.gz");
        let message = template.fill(&Bindings::new()).expect_err("nothing bound");
        assert!(message.contains("each.wiki"), "{message}");
        let text = Bindings::from([("x".into(), Value::Text("noon".into()))]);
        assert!(Template::parse("{x:%Y}").expect("one").fill(&text).expect_err("no time").contains("`noon` is none"));
    }

    #[test]
    fn bad_templates_are_named() {
        for bad in ["a{b", "a{}", "a{1x}", "a{x:}", "a{x:yyyy}", "a{x:%}", "a{x y}"] {
            let message = Template::parse(bad).expect_err(bad);
            assert!(message.contains(bad), "{message}");
        }
    }

    #[test]
    fn file_names_bind_variables() {
        assert_eq!(
            bound("https://x.org/{hour:%Y}/pageviews-{hour:%Y%m%d-%H}0000.gz?a={b}", "pageviews-20240102-030000.gz"),
            Some(vec![pair("hour", "2024-01-02T03:00:00Z")])
        );
        assert_eq!(
            bound("x/On_Time_{m:%Y}_{m:%-m}.zip", "On_Time_2024_11.zip"),
            Some(vec![pair("m", "2024-11-01T00:00:00Z")])
        );
        assert_eq!(bound("x/{a}.tsv.{b}", "A.tsv.c"), Some(vec![pair("a", "A"), pair("b", "c")]));
        assert_eq!(bound("x/{a}-{a}.csv", "1-2.csv"), None);
        assert_eq!(bound("x/{d:%Y%m%d}.csv", "20241399.csv"), None);
        assert_eq!(bound("x/{d:%Y}/data.csv", "data.csv"), Some(vec![]));
        assert_eq!(bound("x/{d:%d%b%Y}.csv", "07Nov2025.csv"), Some(vec![pair("d", "2025-11-07T00:00:00Z")]));
    }
}
