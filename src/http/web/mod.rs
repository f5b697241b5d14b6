//! Pages for people: rendered here, one inline stylesheet, no script, nothing loaded from elsewhere.
//!
//! Everything shown is escaped by the templates; addresses of others become links only when they are http(s).

pub(super) mod dataset;
pub(super) mod docs;
pub(super) mod problems;
mod readers;
mod snippets;
pub(super) mod start;
mod style;
mod values;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::state::AppState;

/// A whole page.
fn layout(state: &AppState, title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) @if title != "Openshelf" { " · Openshelf" } }
                link rel="icon" href="data:,";
                style { (PreEscaped(style::STYLE)) }
            }
            body {
                a .skip href="#main" { "Skip to content" }
                header {
                    nav aria-label="Site" {
                        a .brand href=(state.url("/")) { "Openshelf" }
                        a href=(state.url("/")) { "Datasets" }
                        a href=(state.url("/docs")) { "Docs" }
                        a href=(state.url("/openapi.json")) { "OpenAPI" }
                    }
                }
                main #main { (body) }
                footer {
                    p {
                        "Openshelf " (env!("CARGO_PKG_VERSION"))
                        ". Every answer names the snapshot it is from; every error says what works instead."
                    }
                }
            }
        }
    }
    .into_string()
}

/// A link, if the address is one that may be linked.
fn outside(url: &str, text: &str) -> Markup {
    let safe = url.starts_with("https://") || url.starts_with("http://");
    html! { @if safe { a href=(url) rel="noopener noreferrer" { (text) } } @else { (text) } }
}

/// `12 345 678`.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// `12.3 MB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let name = UNITS.get(unit).unwrap_or(&"B");
    if unit == 0 || value >= 99.5 { format!("{value:.0} {name}") } else { format!("{value:.1} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(999), "999");
        assert_eq!(
            [0, 999, 1000, 12_345, 123_456, 999_950, 5_000_000_000].map(size),
            ["0 B", "999 B", "1.0 kB", "12.3 kB", "123 kB", "1.0 MB", "5.0 GB"]
        );
    }

    #[test]
    fn only_web_addresses_become_links() {
        assert!(!outside("javascript:alert(1)", "x").into_string().contains("href"));
        assert!(outside("https://example.org/\"><b>", "x").into_string().contains("&quot;&gt;&lt;b&gt;"));
    }
}
