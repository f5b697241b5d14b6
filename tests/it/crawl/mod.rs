//! The real crawl of every dataset of ours, against an origin laid out as that upstream is: taken once, found unchanged the
//! second time, and after a change upstream read again only where it changed.

mod files;
mod metabrainz;
mod series;
mod wikimedia;

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{
    origin::Origin,
    shop::{Server, Shop, ours},
};

/// Every dataset whose crawl is tested here.
const TESTED: [&str; 11] = [
    "earthquakes",
    "geonames",
    "gutenberg",
    "imdb",
    "million-song",
    "musicbrainz",
    "us-flights",
    "wikidata-films",
    "wikipedia",
    "wikipedia-pageviews",
    "world-population",
];

#[test]
fn no_dataset_is_left_out() {
    let folders = fs::read_dir(ours()).unwrap().map(|entry| entry.unwrap().path());
    let there: BTreeSet<String> = folders
        .filter(|path| path.join("dataset.toml").is_file())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(there, TESTED.map(str::to_owned).into(), "a dataset has no test of its crawl");
}

/// One dataset of ours, its upstream's host replaced by an origin.
struct Crawl {
    slug: &'static str,
    origin: Origin,
    shop: Shop,
}

impl Crawl {
    /// `host` with its scheme, as the definition names it.
    fn new(slug: &'static str, host: &str) -> Self {
        Self::edited(slug, host, |text| text)
    }

    /// With a definition that asks for less than all of upstream.
    fn edited(slug: &'static str, host: &str, edit: impl FnOnce(String) -> String) -> Self {
        let (origin, shop) = (Origin::start(), Shop::new());
        shop.ours(slug, |text| {
            assert!(text.contains(host), "{slug} does not name {host}");
            edit(text.replace(host, &origin.url("")))
        });
        Self { slug, origin, shop }
    }

    /// The bytes of a file of the sample.
    fn sample(&self, name: &str) -> Vec<u8> {
        fs::read(ours().join(self.slug).join("sample").join(name)).unwrap()
    }

    /// Takes it for the first time, then once more: nothing is new and nothing is published.
    #[track_caller]
    fn twice(&self) -> Server {
        self.shop.ingest(self.slug).published();
        let server = self.shop.serve();
        assert_eq!(server.snapshot(self.slug), 1);
        self.nothing_new(&server);
        server
    }

    /// Runs it again: upstream has nothing new, and no body is fetched.
    #[track_caller]
    fn nothing_new(&self, server: &Server) {
        let before = server.snapshot(self.slug);
        let record = self.shop.ingest(self.slug).unchanged();
        assert_eq!(record["tables"], serde_json::json!([]), "rows were read though nothing is new");
        assert_eq!(server.snapshot(self.slug), before);
        let run = server.runs(self.slug).remove(0);
        assert_eq!((&run["outcome"], &run["snapshot"]), (&"unchanged".into(), &Value::Null));
    }

    /// Asserts that a table's rows are the sample's golden ones.
    #[track_caller]
    fn is_golden(&self, server: &Server, table: &str) {
        let path = ours().join(self.slug).join("expected").join(format!("{table}.ndjson"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let golden: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!golden.is_empty());
        assert_eq!(server.rows(self.slug, table), golden, "{}.{table}", self.slug);
    }

    /// The addresses of a table's files.
    #[track_caller]
    fn files(&self, server: &Server, table: &str) -> BTreeSet<String> {
        server.files(self.slug, table).iter().map(|file| file["url"].as_str().unwrap().to_owned()).collect()
    }

    /// All tables' names.
    fn tables(&self, server: &Server) -> Vec<String> {
        let about = server.json(&format!("/v1/datasets/{}", self.slug));
        let tables = about["tables"].as_array().unwrap();
        tables.iter().map(|table| table["name"].as_str().unwrap().to_owned()).collect()
    }
}
