//! Definitions that are not among ours, written from the grammar's page alone, over an HTTP origin and through the real
//! program: every format, with and without named columns, and every kind of source.

mod archives;
mod changes;
mod csv;
mod documents;
mod dumps;
mod rejects;
mod scripts;
mod sources;
mod typed;

use serde_json::Value;

use crate::{
    origin::Origin,
    shop::{Ran, Server, Shop},
};

/// A dataset `f` over an origin.
pub(crate) struct Foreign {
    pub(crate) origin: Origin,
    pub(crate) shop: Shop,
}

impl Foreign {
    /// An origin with these files.
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        let origin = Origin::start();
        for (path, body) in files {
            origin.put(path, body.to_vec());
        }
        Self { origin, shop: Shop::new() }
    }

    /// Writes the definition; `ORIGIN` in it stands for the origin's address.
    pub(crate) fn define(&self, text: &str) -> &Self {
        let address = self.origin.url("");
        self.shop.define("f", &text.replace("ORIGIN", &address));
        self
    }

    pub(crate) fn ingest(&self) -> Ran {
        self.shop.ingest("f")
    }

    /// Ingests it, no row rejected, and serves it.
    #[track_caller]
    pub(crate) fn taken(self) -> Taken {
        let record = self.ingest().published_whole();
        let server = self.shop.serve();
        Taken { foreign: self, server, record }
    }
}

/// An ingested dataset `f`, served.
pub(crate) struct Taken {
    pub(crate) foreign: Foreign,
    pub(crate) server: Server,
    pub(crate) record: Value,
}

impl Taken {
    #[track_caller]
    pub(crate) fn rows(&self, table: &str) -> Vec<Value> {
        self.server.rows("f", table)
    }

    /// `name: type` of each column, joined by `, `.
    #[track_caller]
    pub(crate) fn columns(&self, table: &str) -> String {
        let columns = self.server.columns("f", table);
        columns.iter().map(|(name, kind)| format!("{name}: {kind}")).collect::<Vec<_>>().join(", ")
    }
}

/// One file as two tables of one source: `named` with these columns, `bare` with none.
#[track_caller]
pub(crate) fn both(path: &str, body: &[u8], format: &str, columns: &str) -> Taken {
    let foreign = Foreign::new(&[(path, body)]);
    let table = |name: &str, columns: &str| {
        format!("[[table]]\nname = \"{name}\"\nsource = {{ url = \"ORIGIN{path}\" }}\nformat = {format}\n{columns}\n")
    };
    foreign.define(&(table("named", columns) + &table("bare", "")));
    let taken = foreign.taken();
    assert_eq!(taken.foreign.origin.count(path), 1, "one source of two tables is fetched once");
    taken
}
