//! Continuation tokens: where a listing goes on, and in which snapshot. Opaque to clients, and worth nothing when forged:
//! they name a place, not a permission.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The first byte: the version of this form.
const FORM: &str = "1";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// The dataset the listing stopped in, as its keys name it.
    pub(super) dataset: String,
    /// The snapshot of it that the listing began in.
    pub(super) snapshot: u64,
    /// Keys from here on were not listed yet.
    pub(super) from: Vec<u8>,
}

impl Token {
    /// As clients get it.
    pub(super) fn encode(&self) -> String {
        let mut bytes = format!("{FORM}\n{}\n{}\n", self.dataset, self.snapshot).into_bytes();
        bytes.extend_from_slice(&self.from);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` for what is none of ours.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mut parts = bytes.splitn(4, |byte| *byte == b'\n').map(<[u8]>::to_vec);
        let mut word = || String::from_utf8(parts.next()?).ok();
        let (form, dataset, snapshot) = (word()?, word()?, word()?.parse().ok()?);
        (form == FORM).then_some(())?;
        Some(Self { dataset, snapshot, from: parts.next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_others_do_not() {
        let token = Token { dataset: "films@3".into(), snapshot: 3, from: b"films@3/a\n\xffb\0".to_vec() };
        assert_eq!(Token::decode(&token.encode()), Some(token.clone()));
        for text in ["", "x", "films", token.encode().trim_start_matches('M'), &URL_SAFE_NO_PAD.encode("2\na\n1\nb")] {
            assert_eq!(Token::decode(text), None, "{text}");
        }
    }
}
