//! An HTML page where data should be: an error page, a log-in or a captcha that came with status 200.

/// What a body begins with, as far as it is looked at.
pub(super) const LOOKED_AT: usize = 512;

/// Whether an answer is an HTML page, by its media type or by how it begins.
pub(super) fn is_html(content_type: Option<&str>, beginning: &[u8]) -> bool {
    says_html(content_type) || begins_as_html(beginning)
}

/// Whether a media type is one of HTML's.
pub(super) fn says_html(content_type: Option<&str>) -> bool {
    let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("text/html") || essence.eq_ignore_ascii_case("application/xhtml+xml")
}

/// Whether bytes begin as an HTML page does.
pub(super) fn begins_as_html(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let begins = |with: &[u8]| bytes.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let page = begins(b"<html") && bytes.get(5).is_none_or(|next| next.is_ascii_whitespace() || *next == b'>');
    begins(b"<!doctype html") || page
}

/// Whether a file of this name is meant to be HTML.
pub(super) fn promises_html(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".html", ".htm", ".xhtml"].iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_from_data() {
        assert!(is_html(Some("text/html; charset=utf-8"), b"id,name\n"));
        assert!(is_html(Some("text/csv"), b"\xef\xbb\xbf\n <!DOCTYPE HTML PUBLIC"));
        assert!(is_html(None, b"<HTML lang=en>"));
        assert!(is_html(None, b"<html>"));
        assert!(!is_html(Some("application/xml"), b"<htmlstats><row/></htmlstats>"));
        assert!(!is_html(Some("text/html-sandboxed"), b"\x1f\x8b"));
        assert!(!is_html(None, b""));
        assert!(promises_html("Index.HTML") && !promises_html("html.csv"));
    }
}
