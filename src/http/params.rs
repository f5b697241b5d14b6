//! Parameters by name, of paths and queries (`body`: of bodies). Whatever is not understood is refused in the house form, never ignored.

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use percent_encoding::percent_decode_str;

use super::problem::{Instead, Kind, Problem};
use crate::query::{filters, names};

/// The variables of a route's path, decoded.
#[derive(Debug, Clone)]
pub(super) struct PathParams(Vec<(String, String)>);

impl PathParams {
    /// The variable of that name; empty when the route has none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match RawPathParams::from_request_parts(parts, state).await {
            Ok(params) => Ok(Self(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())),
            Err(_) => Err(Problem::new(Kind::RouteNotFound, "The address is not UTF-8 once it is decoded.")),
        }
    }
}

/// Named parameters, from a query string or a JSON body: those with a value, and the names that a body gives as null,
/// which is as good as nothing but must be a name all the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(Vec<(String, String)>, Vec<String>);

impl Params {
    /// Parameters of a query string. `+` is a space.
    ///
    /// # Errors
    /// When it is not UTF-8 once decoded.
    pub(super) fn of_query(query: &str) -> Result<Self, Problem> {
        let decode = |text: &str| {
            percent_decode_str(&text.replace('+', " "))
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| Problem::new(Kind::InvalidParameter, format!("`{text}` is not UTF-8 once it is decoded.")))
        };
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        };
        query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(pair)
            .collect::<Result<_, _>>()
            .map(|pairs| Self(pairs, Vec::new()))
    }

    /// These names and values.
    pub(super) fn of_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect(), Vec::new())
    }

    /// Those with a value, and the names that are null.
    pub(super) fn with_nulls(given: Vec<(String, String)>, nulls: Vec<String>) -> Self {
        Self(given, nulls)
    }

    /// Refuses what is not among `known`, and what is given twice.
    ///
    /// # Errors
    /// With the nearest known name.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Problem> {
        for (at, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(unknown(name, known));
            }
            if self.0.iter().take(at).any(|(other, _)| other == name) {
                return Err(Problem::new(Kind::RepeatedParameter, format!("`{name}` is given more than once.")));
            }
        }
        let meaningless = |name: &&String| !known.contains(&name.as_str()) && filters::split(name).is_none();
        if let Some(name) = self.1.iter().find(meaningless) {
            return Err(unknown(name, known));
        }
        Ok(())
    }

    /// These without the ones that `leave_out` names.
    pub(super) fn without(mut self, leave_out: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|(name, _)| !leave_out(name));
        self
    }

    /// Adds one.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// These with a change.
    pub(super) fn changed(mut self, change: &Instead) -> Self {
        match change {
            Instead::Value(name, value) => {
                self.0.retain(|(known, _)| known != name);
                self.0.push(((*name).to_owned(), value.clone()));
            }
            Instead::Word(name, wrong, right) => {
                for (_, value) in self.0.iter_mut().filter(|(known, _)| known == name) {
                    *value = value.replacen(wrong.as_str(), right, 1);
                }
            }
            Instead::Without(name) => self.0.retain(|(known, _)| known != name),
            Instead::Name(wrong, right) => {
                for (name, _) in self.0.iter_mut().filter(|(name, _)| name == wrong) {
                    name.clone_from(right);
                }
                self.1.retain(|name| name != wrong);
            }
        }
        self
    }

    /// All of them, in the order given.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The text of one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The whole number of one.
    ///
    /// # Errors
    /// When it is no number from `least` to 2^63-1.
    pub(super) fn number(&self, name: &'static str, least: u64) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text
            .parse::<u64>()
            .ok()
            .filter(|number| *number >= least && i64::try_from(*number).is_ok() && !text.starts_with('+'));
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(Problem::new(
                Kind::InvalidParameter,
                format!("`{name}` is `{text}`; it takes a whole number from {least} to {}.", i64::MAX),
            )),
        }
    }

    /// One of the listed words.
    ///
    /// # Errors
    /// When it is another, with the nearest.
    pub(super) fn word(&self, name: &'static str, words: &[&'static str]) -> Result<Option<&'static str>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        if let Some(word) = words.iter().find(|word| **word == text) {
            return Ok(Some(word));
        }
        let near = names::nearest(text, words.iter().copied());
        let question = near.as_ref().map_or_else(String::new, |near| format!(" Did you mean `{near}`?"));
        let detail = format!("`{name}` is `{text}`; it takes {}.{question}", words.join(", "));
        Err(Problem::new(Kind::InvalidParameter, detail).instead(near.map(|near| Instead::Value(name, near))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of_query(parts.uri.query().unwrap_or_default())
    }
}

fn unknown(name: &str, known: &[&str]) -> Problem {
    let near = names::nearest(name, known.iter().copied());
    let detail = match (&near, known) {
        (Some(near), _) => format!("There is no parameter `{name}`; did you mean `{near}`?"),
        (None, []) => format!("There is no parameter `{name}`: this address takes none."),
        (None, known) => format!("There is no parameter `{name}`; there are {}.", known.join(", ")),
    };
    let instead = near.map(|near| Instead::Name(name.to_owned(), near));
    Problem::new(Kind::UnknownParameter, detail).instead(instead)
}

/// A query string of these parameters, `?` included; empty without any.
pub(super) fn query_string<'a>(params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    if query.is_empty() { query } else { format!("?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_decode_strictly() {
        let params = Params::of_query("where=a+%3D+%2B1&&x=%C3%A9&flag").expect("parameters");
        let all: Vec<_> = params.iter().collect();
        assert_eq!(all, [("where", "a = +1"), ("x", "é"), ("flag", "")]);
        assert!(Params::of_query("x=%FF").is_err());
    }

    #[test]
    fn numbers_are_whole_and_bounded() {
        for text in ["-1", "1.5", "1e3", "+1", "", " 1", "9223372036854775808", "0x10", "abc"] {
            let params = Params::of_pairs([("limit".into(), text.into())]);
            assert!(params.number("limit", 1).is_err(), "{text}");
        }
        let params = Params::of_pairs([("limit".into(), "9223372036854775807".into())]);
        assert_eq!(params.number("limit", 1).expect("a number"), Some(i64::MAX as u64));
        assert!(Params::of_pairs([("limit".into(), "0".into())]).number("limit", 1).is_err());
    }
}
