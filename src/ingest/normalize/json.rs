//! Looking into raw JSON text without building values: a pointer's target, an array's elements, an object's entries, a
//! string's text. Slices of the input come back, so that digits stay as upstream wrote them.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What is wrong with the text, in words.
pub(crate) type Broken = String;

/// The kind of a JSON value, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `null`
    Null,
    /// `"…"`
    String,
    /// `true`, `false` or a number.
    Bare,
    /// `[…]`
    Array,
    /// `{…}`
    Object,
}

/// The kind of a JSON value.
pub(crate) fn kind(json: &[u8]) -> Kind {
    match json.first() {
        None | Some(b'n') => Kind::Null,
        Some(b'"') => Kind::String,
        Some(b'[') => Kind::Array,
        Some(b'{') => Kind::Object,
        Some(_) => Kind::Bare,
    }
}

/// The text of a JSON string; borrowed where it has no escapes.
pub(crate) fn unescape(json: &[u8]) -> Result<Cow<'_, str>, Broken> {
    let inner = json.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or_default();
    if inner.contains(&b'\\') {
        return serde_json::from_slice(json).map(Cow::Owned).map_err(|error| no_json(&error));
    }
    std::str::from_utf8(inner).map(Cow::Borrowed).map_err(|error| invalid_utf8(&error))
}

/// Says where text stops being UTF-8.
pub(crate) fn invalid_utf8(error: &std::str::Utf8Error) -> String {
    format!(
        "not valid UTF-8 from byte {} on; if upstream writes another encoding, name it with `encoding` in the format",
        error.valid_up_to()
    )
}

/// Says what is wrong with JSON.
pub(crate) fn no_json(error: &serde_json::Error) -> Broken {
    format!("not valid JSON: {error}")
}

/// Checks that the text is one JSON value.
pub(crate) fn validate(text: &[u8]) -> Result<(), Broken> {
    serde_json::from_slice::<&RawValue>(text).map(drop).map_err(|error| no_json(&error))
}

/// Follows pointer tokens (already unescaped) into a JSON value; a string on the way is read as JSON text itself.
/// `None`: there is nothing at that place.
pub(crate) fn point<'a>(json: &'a [u8], tokens: &[String]) -> Result<Option<Cow<'a, [u8]>>, Broken> {
    let mut at = json;
    for (depth, token) in tokens.iter().enumerate() {
        let next = match kind(at) {
            Kind::Object => member(at, token)?,
            Kind::Array => match token.parse() {
                Ok(index) => element(at, index)?,
                Err(_) => None,
            },
            Kind::String => {
                let text = unescape(at)?;
                let rest = tokens.get(depth..).unwrap_or_default();
                let inner = text.trim_ascii();
                return if inner.is_empty() {
                    Ok(None)
                } else {
                    validate(inner.as_bytes())?;
                    // A string that holds a string is no way further down.
                    if kind(inner.as_bytes()) == Kind::String {
                        return Ok(None);
                    }
                    Ok(point(inner.as_bytes(), rest)?.map(|found| Cow::Owned(found.into_owned())))
                };
            }
            Kind::Null | Kind::Bare => None,
        };
        match next {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(Cow::Borrowed(at)))
}

fn member<'a>(json: &'a [u8], key: &str) -> Result<Option<&'a [u8]>, Broken> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_map(Member(key)).map_err(|error| no_json(&error))
}

struct Member<'k>(&'k str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(same) = map.next_key_seed(SameKey(self.0))? {
            if same {
                found = Some(map.next_value::<&RawValue>()?.get().as_bytes());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a key without copying it.
struct SameKey<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for SameKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for SameKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

fn element(json: &[u8], index: usize) -> Result<Option<&[u8]>, Broken> {
    let (mut at, mut found) = (0, None);
    elements(json, &mut |element| {
        if at == index {
            found = Some(element);
        }
        at += 1;
    })?;
    Ok(found)
}

/// Calls `each` with every element of a JSON array.
pub(crate) fn elements<'a>(json: &'a [u8], each: &mut dyn FnMut(&'a [u8])) -> Result<(), Broken> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_seq(Elements(each)).and_then(|()| deserializer.end()).map_err(|error| no_json(&error))
}

struct Elements<'f, 'a>(&'f mut dyn FnMut(&'a [u8]));

impl<'de> Visitor<'de> for Elements<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while let Some(element) = sequence.next_element::<&'de RawValue>()? {
            (self.0)(element.get().as_bytes());
        }
        Ok(())
    }
}

/// Calls `each` with every key and value of a JSON object, in order.
pub(crate) fn entries<'a>(json: &'a [u8], each: &mut dyn FnMut(Cow<'a, str>, &'a [u8])) -> Result<(), Broken> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_map(Entries(each)).and_then(|()| deserializer.end()).map_err(|error| no_json(&error))
}

struct Entries<'f, 'a>(&'f mut dyn FnMut(Cow<'a, str>, &'a [u8]));

impl<'de> Visitor<'de> for Entries<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            let value: &'de RawValue = map.next_value()?;
            (self.0)(key, value.get().as_bytes());
        }
        Ok(())
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}
