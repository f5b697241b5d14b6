//! Addresses of further pages: the same question in its normal form, and where the page begins.

use crate::http::params::query_string;

/// Makes the addresses of one answer's pages.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    here: String,
    own: Vec<(String, String)>,
}

impl Pages {
    /// Pages at an address, all of them with these parameters.
    pub(super) fn new<'a>(here: String, own: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { here, own }
    }

    /// The page that these parameters begin.
    pub(super) fn at<const N: usize>(&self, begin: [(&str, &str); N]) -> String {
        let own = self.own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        format!("{}{}", self.here, query_string(own.chain(begin)))
    }
}
