//! S3's XML, written: elements one after the other, text that cannot break out of them.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::Response,
};

use super::REGION;

/// The media type of every answer.
pub(super) const MEDIA_TYPE: &str = "application/xml";
/// The namespace of everything but errors.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document being written.
#[derive(Debug)]
pub(super) struct Xml(String);

impl Xml {
    /// With its declaration.
    pub(super) fn new() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    /// The root of everything but errors.
    pub(super) fn root(mut self, name: &str) -> Self {
        self.0.push_str(&format!("<{name} xmlns=\"{NAMESPACE}\">"));
        self
    }

    pub(super) fn open(&mut self, name: &str) {
        self.0.push_str(&format!("<{name}>"));
    }

    pub(super) fn close(&mut self, name: &str) {
        self.0.push_str(&format!("</{name}>"));
    }

    /// An element with text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        escape(text, &mut self.0);
        self.close(name);
    }

    /// Its bytes.
    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    /// As an answer that holds for this moment only.
    pub(super) fn answer(self) -> Response {
        let mut response = Response::new(Body::from(self.0));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(HeaderName::from_static("x-amz-bucket-region"), HeaderValue::from_static(REGION));
        response
    }
}

/// What XML 1.0 cannot hold at all is shown as U+FFFD; `encoding-type=url` is for whoever needs it exactly.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", u32::from(c))),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let mut xml = Xml::new().root("A");
        xml.text("B", "<C a=\"1\">&\n\u{1}é");
        xml.close("A");
        let text = String::from_utf8(xml.bytes()).expect("text");
        assert!(text.ends_with("<B>&lt;C a=&quot;1&quot;&gt;&amp;&#10;\u{fffd}é</B></A>"), "{text}");
    }
}
