//! What a column's values are like, in a table cell: a small histogram and a line of words.

use maud::{Markup, html};
use serde_json::Value;

use super::count;
use crate::query::statistics::{ColumnStatistics, Distinct, Exactness, Histogram};

/// Most frequent values shown.
const FREQUENT: usize = 3;
/// Characters of a value.
const LONGEST: usize = 24;
/// Size of the histogram, in its own units.
const WIDTH: usize = 120;
const HEIGHT: u64 = 24;

/// A column's values, in a table of so many rows.
pub(super) fn shown(statistics: &ColumnStatistics, rows: u64) -> Markup {
    let inner = statistics.elements.as_deref();
    let of = inner.unwrap_or(statistics);
    let told: Vec<String> = of
        .most_frequent
        .iter()
        .flat_map(|most| &most.values)
        .take(FREQUENT)
        .map(|value| format!("{} ({})", text(&value.value), count(value.count)))
        .collect();
    html! {
        @if let Some(histogram) = statistics.histogram.as_ref().filter(|histogram| histogram.counts.len() > 1) {
            (bars(histogram))
        }
        span .soft { (line(statistics, of, rows)) }
        @if !told.is_empty() { br; span { @if inner.is_some() { "elements: " } (told.join(", ")) } }
    }
}

/// Range, different values and nulls, in words.
fn line(statistics: &ColumnStatistics, of: &ColumnStatistics, rows: u64) -> String {
    let mut parts = Vec::new();
    if let (Some(min), Some(max)) = (&statistics.min, &statistics.max)
        && !min.is_boolean()
    {
        parts.push(if min == max {
            format!("always {}", text(min))
        } else {
            format!("{} to {}", text(min), text(max))
        });
    }
    if let Some(lengths) = statistics.lengths.as_ref().filter(|_| statistics.elements.is_some()) {
        parts.push(format!("{} to {} {}", count(lengths.min), count(lengths.max), lengths.unit));
    }
    match of.distinct {
        Some(Distinct { value, kind: Exactness::Exact }) if value == rows && rows > 1 => {
            parts.push("all different".into());
        }
        Some(Distinct { value, kind: Exactness::Exact }) => parts.push(format!("{} different", count(value))),
        Some(Distinct { value, kind: Exactness::Estimate }) => parts.push(format!("about {} different", count(value))),
        None => {}
    }
    for (number, name) in [(statistics.nulls, "null"), (statistics.nan, "NaN"), (statistics.infinite, "infinite")] {
        if let Some(number) = number.filter(|number| *number > 0) {
            parts.push(format!("{} {name}", count(number)));
        }
    }
    parts.join(" · ")
}

/// A value as text, cut short.
fn text(value: &Value) -> String {
    let text = match value {
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Bars; what they say is said in words, too.
fn bars(histogram: &Histogram) -> Markup {
    let most = histogram.counts.iter().max().copied().unwrap_or(0).max(1);
    let width = WIDTH / histogram.counts.len().max(1);
    let fullest = histogram.counts.iter().position(|count| *count == most).unwrap_or(0);
    let edge = |at: usize| histogram.edges.get(at).map(text).unwrap_or_default();
    let words = format!(
        "Histogram of {} ranges; most values, {}, lie from {} to {}",
        histogram.counts.len(),
        count(most),
        edge(fullest),
        edge(fullest + 1)
    );
    html! {
        svg role="img" aria-label=(words) width=(WIDTH) height=(HEIGHT) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } fill="currentColor" {
            title { (words) }
            @for (at, count) in histogram.counts.iter().enumerate() {
                // A range with values is never without a bar.
                @let bar = if *count == 0 { 0 } else { (u128::from(*count) * u128::from(HEIGHT) / u128::from(most)).max(1) as u64 };
                rect x=(at * width) y=(HEIGHT - bar) width=(width.saturating_sub(1).max(1)) height=(bar) {}
            }
        }
        br;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::query::statistics::{Frequent, MostFrequent};

    #[test]
    fn values_are_told_in_words_and_bars() {
        let statistics = ColumnStatistics {
            min: Some(json!(1)),
            max: Some(json!(5)),
            nulls: Some(2),
            distinct: Some(Distinct { value: 3, kind: Exactness::Exact }),
            histogram: Some(Histogram { edges: vec![json!(1), json!(3), json!(5)], counts: vec![1, 1000] }),
            most_frequent: Some(MostFrequent {
                values: vec![Frequent { value: json!("<b>"), count: 1000, bytes: None }],
                others_at_most: 1,
            }),
            ..ColumnStatistics::default()
        };
        let page = shown(&statistics, 1003).into_string();
        assert!(page.contains("1 to 5 · 3 different · 2 null"), "{page}");
        assert!(page.contains("most values, 1 000, lie from 3 to 5") || page.contains("lie from 3 to 5"), "{page}");
        assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"), "{page}");
        assert_eq!(page.matches("<rect").count(), 2);
        assert!(!page.contains("height=\"0\""), "a range with values has a bar: {page}");
    }
}
