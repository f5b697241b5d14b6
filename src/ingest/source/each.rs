//! The values of `each`: lists, ranges of times, ranges of numbers, and all combinations of several variables.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{
    template::Bindings,
    value::{Precision, Span, Time, Value, end_of, read_time},
};
use crate::ingest::definition::grammar::{Each, EachRange, Scalar};

/// Most parts one source may have: 100 years of hours fit.
const MOST_VALUES: usize = 1_000_000;

/// All combinations; the variable that appears first in the template changes slowest.
pub(super) fn combinations(
    each: &BTreeMap<String, Each>,
    order: &[&str],
    now: DateTime<Utc>,
) -> Result<Vec<Bindings>, String> {
    let mut names: Vec<&String> = each.keys().collect();
    names.sort_by_key(|name| order.iter().position(|first| first == name).unwrap_or(usize::MAX));
    let mut all = vec![Bindings::new()];
    for name in names {
        let Some(each) = each.get(name) else { continue };
        let values = values(each, now).map_err(|message| format!("each.{name}: {message}"))?;
        if all.len().saturating_mul(values.len()) > MOST_VALUES {
            return Err(format!("each.{name}: more than {MOST_VALUES} parts; narrow the range or lengthen the step"));
        }
        all = all
            .iter()
            .flat_map(|bindings| {
                values.iter().map(|value| {
                    let mut bindings = bindings.clone();
                    bindings.insert(name.clone(), value.clone());
                    bindings
                })
            })
            .collect();
    }
    Ok(all)
}

/// The values of one variable, in order.
fn values(each: &Each, now: DateTime<Utc>) -> Result<Vec<Value>, String> {
    match each {
        Each::List(values) if values.is_empty() => Err("an empty list".into()),
        Each::List(values) => Ok(values.iter().map(|value| Value::Text(plain(value))).collect()),
        Each::Range(EachRange { from: Scalar::Number(from), to: Scalar::Number(to), step }) => {
            numbers(*from, *to, step.as_ref())
        }
        Each::Range(range) => times(range, now),
    }
}

fn plain(value: &Scalar) -> String {
    match value {
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => text.clone(),
    }
}

fn numbers(from: i64, to: i64, step: Option<&Scalar>) -> Result<Vec<Value>, String> {
    let step = match step {
        None => 1,
        Some(Scalar::Number(step)) if *step > 0 => usize::try_from(*step).map_err(|error| error.to_string())?,
        Some(step) => return Err(format!("step = {}: a range of numbers takes a whole number above 0", plain(step))),
    };
    if from > to {
        return Err(format!("from = {from} comes after to = {to}"));
    }
    let values: Vec<Value> =
        (from..=to).step_by(step).take(MOST_VALUES + 1).map(|number| Value::Text(number.to_string())).collect();
    Ok(values)
}

fn times(range: &EachRange, now: DateTime<Utc>) -> Result<Vec<Value>, String> {
    let (from, from_precision) = boundary(&range.from, now).map_err(|message| format!("from = {message}"))?;
    let (to, to_precision) = boundary(&range.to, now).map_err(|message| format!("to = {message}"))?;
    let step: Span = match &range.step {
        Some(Scalar::Text(step)) => step.parse().map_err(|message| format!("step = {message}"))?,
        Some(Scalar::Number(step)) => {
            return Err(format!("step = {step}: a range of times takes a stretch of time such as `1h` or `1mo`"));
        }
        None => match from_precision {
            Precision::Year => "1y",
            Precision::Month => "1mo",
            Precision::Day | Precision::Second => "1d",
            Precision::Hour => "1h",
        }
        .parse()?,
    };
    // Both ends included: a day as the end of a range of hours is that whole day, but never what is still to come.
    let mut end = end_of(to, to_precision).ok_or_else(|| "to: past the calendar".to_owned())?;
    if matches!(&range.to, Scalar::Text(text) if is_now(text)) {
        end = end.min(end_of(now, Precision::Second).unwrap_or(now));
    }
    let precision = from_precision.max(step.precision());
    let mut values = Vec::new();
    for times in 0.. {
        let (Some(at), Some(until)) = (step.after(from, times), step.after(from, times + 1)) else { break };
        if at >= end || values.len() > MOST_VALUES {
            break;
        }
        values.push(Value::Time(Time { at, precision, until }));
    }
    if values.is_empty() {
        return Err(format!("from = {} comes after to = {}", plain(&range.from), plain(&range.to)));
    }
    Ok(values)
}

fn is_now(text: &str) -> bool {
    matches!(text, "today" | "now")
}

fn boundary(value: &Scalar, now: DateTime<Utc>) -> Result<(DateTime<Utc>, Precision), String> {
    let midnight = now.date_naive().and_hms_opt(0, 0, 0).map_or(now, |time| time.and_utc());
    match value {
        Scalar::Text(text) if text == "today" => Ok((midnight, Precision::Day)),
        Scalar::Text(text) if text == "now" => Ok((now, Precision::Second)),
        Scalar::Text(text) => read_time(text)
            .ok_or_else(|| format!("`{text}`: write a time such as `2024-01-31` or `2024-01-31T06`, `today` or `now`")),
        // A year without quotes.
        Scalar::Number(year) => read_time(&year.to_string()).ok_or_else(|| format!("{year}: is no year")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2024-03-02T05:30:00Z".parse().expect("a time")
    }

    fn range(from: &str, to: &str, step: Option<&str>) -> Result<Vec<String>, String> {
        let scalar = |text: &str| text.parse().map_or_else(|_| Scalar::Text(text.into()), Scalar::Number);
        let range = EachRange { from: scalar(from), to: scalar(to), step: step.map(scalar) };
        Ok(values(&Each::Range(range), now())?.iter().map(Value::plain).collect())
    }

    #[test]
    fn ranges_include_both_ends() {
        assert_eq!(range("2024-02-28", "2024-03-01", None).expect("days"), ["2024-02-28", "2024-02-29", "2024-03-01"]);
        assert_eq!(range("2024-02-28", "today", Some("2d")).expect("days"), ["2024-02-28", "2024-03-01"]);
        assert_eq!(range("2023-11", "2024-01", None).expect("months"), ["2023-11", "2023-12", "2024-01"]);
        assert_eq!(range("2023-11-01", "2024-01-15", Some("1mo")).expect("months").len(), 3);
        assert_eq!(
            range("1987-01-01", "1989-12-31", Some("1y")).expect("years"),
            ["1987-01-01", "1988-01-01", "1989-01-01"]
        );
        assert_eq!(range("3", "9", Some("3")).expect("numbers"), ["3", "6", "9"]);
        assert_eq!(range("2022", "2024", None).expect("numbers"), ["2022", "2023", "2024"]);
    }

    #[test]
    fn hours_end_with_the_day_but_never_in_the_future() {
        assert_eq!(range("2024-03-01", "2024-03-01", Some("1h")).expect("hours").len(), 24);
        let today = range("2024-03-02", "today", Some("1h")).expect("hours");
        assert_eq!(today.last().map(String::as_str), Some("2024-03-02T05"));
        assert_eq!(range("2024-03-02T03", "now", None).expect("hours").len(), 3);
        assert_eq!(range("2024-03-02T03", "2024-03-02T04", None).expect("hours"), ["2024-03-02T03", "2024-03-02T04"]);
    }

    #[test]
    fn what_is_no_range_is_named() {
        for (from, to, step, words) in [
            ("2024-01-02", "2024-01-01", None, "comes after"),
            ("5", "1", None, "comes after"),
            ("1", "5", Some("0"), "above 0"),
            ("2024-01-01", "2024-02-01", Some("1x"), "`1x` is no stretch of time"),
            ("2024-01-01", "later", None, "to = `later`"),
            ("31.1.2024", "today", None, "from = `31.1.2024`"),
        ] {
            let message = range(from, to, step).expect_err(words);
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn variables_combine_in_the_order_of_the_template() {
        let list = |values: &[&str]| Each::List(values.iter().map(|value| Scalar::Text((*value).into())).collect());
        let each = BTreeMap::from([("a".to_owned(), list(&["1", "2"])), ("b".to_owned(), list(&["x", "y"]))]);
        let all: Vec<String> = combinations(&each, &["b", "a"], now())
            .expect("combinations")
            .iter()
            .map(|bindings| bindings.values().map(Value::plain).collect())
            .collect();
        assert_eq!(all, ["1x", "2x", "1y", "2y"]);
        let long = Each::Range(EachRange { from: Scalar::Number(0), to: Scalar::Number(i64::MAX), step: None });
        let message = combinations(&BTreeMap::from([("n".to_owned(), long)]), &[], now()).expect_err("too many");
        assert!(message.contains("each.n: more than"), "{message}");
    }
}
