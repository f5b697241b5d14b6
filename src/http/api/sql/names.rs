//! The tables a query names: found, pinned to a snapshot, permitted.

use std::collections::BTreeMap;

use crate::{
    catalog::{DatasetId, License},
    http::{
        params::Params,
        problem::{Instead, Kind, Problem},
        published::{self, Published},
        state::AppState,
    },
    query::{
        names,
        sql::{Query, TableName},
        table::{Rows, TableSource},
    },
};

/// Snapshots asked for, by the dataset's name as written.
#[derive(Debug, Default)]
pub(in crate::http::api) struct Pins(Vec<(String, String)>);

impl Pins {
    /// `snapshots=imdb=7,geonames=2026-11-21`.
    pub(in crate::http::api) fn read(params: &Params) -> Result<Self, Problem> {
        let Some(text) = params.get("snapshots") else { return Ok(Self::default()) };
        let mut pins: Vec<(String, String)> = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let Some((dataset, wanted)) = pair.split_once(['=', ':']) else {
                let detail = format!("`snapshots` is `{text}`; it takes `dataset=number`, separated by commas.");
                return Err(Problem::new(Kind::InvalidParameter, detail));
            };
            if pins.iter().any(|(known, _)| known == dataset) {
                let detail = format!("`snapshots` names `{dataset}` more than once.");
                return Err(Problem::new(Kind::RepeatedParameter, detail));
            }
            pins.push((dataset.trim().to_owned(), wanted.trim().to_owned()));
        }
        Ok(Self(pins))
    }
}

/// What the names of a query mean.
pub(in crate::http::api) struct Named {
    /// A source for each of the query's names, in their order.
    sources: Vec<TableSource>,
    /// The snapshot of each dataset, and whether the request named it by its number.
    pub(in crate::http::api) snapshots: BTreeMap<String, (u64, bool)>,
    /// Each table that is read: its snapshot, its license, its name.
    pub(in crate::http::api) read: Vec<(Published, License, String)>,
}

impl Named {
    pub(in crate::http::api) fn sources(&self) -> Vec<TableSource> {
        self.sources.clone()
    }
}

/// Finds the tables of a query. One dataset is read from one snapshot, however often it is named.
///
/// # Errors
/// 400 with the place and the nearest name, 451 where the license allows no public copy.
pub(in crate::http::api) async fn find(state: &AppState, query: &Query, pins: &Pins) -> Result<Named, Problem> {
    let mut named = Named { sources: Vec::new(), snapshots: BTreeMap::new(), read: Vec::new() };
    let mut known: BTreeMap<String, Published> = BTreeMap::new();
    let mut used = vec![false; pins.0.len()];
    for name in query.tables() {
        if name.dataset.is_empty() {
            return Err(alone(state, query, name).await?);
        }
        let id = dataset(state, name).await?;
        let published = match known.get(&id) {
            Some(published) => published.clone(),
            None => {
                let pin = pins.0.iter().position(|(dataset, _)| is_name_of(dataset, &id));
                if let Some(used) = pin.and_then(|at| used.get_mut(at)) {
                    *used = true;
                }
                let wanted = pin.and_then(|at| pins.0.get(at)).map(|(_, wanted)| wanted.as_str());
                let published = published::snapshot_by("snapshots", state, &id, wanted).await?;
                known.insert(id.clone(), published.clone());
                published
            }
        };
        let table = published.data_table(state, &name.table).map_err(|problem| match problem.kind() {
            Kind::TableNotFound => unknown_table(name, &published),
            _ => problem,
        })?;
        named.sources.push(published.source(state, table, Rows::Published).await?);
        named.snapshots.insert(id, (published.manifest.snapshot, published.pinned));
        let license = published.manifest.license_of(table).clone();
        named.read.push((published.clone(), license, table.name.clone()));
    }
    if let Some((dataset, _)) = pins.0.iter().zip(&used).find(|(_, used)| !**used).map(|(pin, _)| pin) {
        let detail = format!("`snapshots` names `{dataset}`, which the query does not read.");
        return Err(Problem::new(Kind::InvalidParameter, detail));
    }
    Ok(named)
}

/// Whether `name` may be written for a dataset: itself, in any case, with `_` for `-`.
fn is_name_of(name: &str, id: &str) -> bool {
    let folded = |text: &str| text.to_lowercase().replace('_', "-");
    folded(name) == folded(id)
}

async fn dataset(state: &AppState, name: &TableName) -> Result<String, Problem> {
    match published::dataset(state, &name.dataset).await {
        Ok(id) => return Ok(id.as_str().to_owned()),
        Err(problem) if problem.kind() != Kind::DatasetNotFound => return Err(problem),
        Err(_) => {}
    }
    let all = state.listing.names(&state.store).await?;
    let alike: Vec<&str> = all.iter().map(DatasetId::as_str).filter(|id| is_name_of(&name.dataset, id)).collect();
    match alike.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => {
            let near = names::nearest(&name.dataset, all.iter().map(DatasetId::as_str));
            Err(unknown("dataset", &name.dataset, near, name.character))
        }
        several => {
            let detail = format!("`{}` may mean {}: write one of them exactly.", name.dataset, several.join(" or "));
            Err(Problem::new(Kind::InvalidSql, detail))
        }
    }
}

/// What to say of a table without its dataset: which datasets have one of that name.
async fn alone(state: &AppState, query: &Query, name: &TableName) -> Result<Problem, Problem> {
    let heads = state.listing.heads(&state.store).await?;
    let wanted = name.table.to_lowercase();
    let having = heads.iter().filter_map(|head| {
        let table = head.tables.iter().find(|table| table.name.to_lowercase() == wanted)?;
        Some((head.dataset.replace('-', "_"), table.name.as_str()))
    });
    let having: Vec<(String, &str)> = having.collect();
    let called: Vec<String> = having.iter().map(|(dataset, table)| format!("`{dataset}.{table}`")).collect();
    let instead = match called.as_slice() {
        [] => "; `/v1/datasets` lists what there is".to_owned(),
        [one] => format!("; did you mean {one}?"),
        several => format!("; there are {}", several.join(", ")),
    };
    let detail = format!("`{}` names no table: write `dataset.table`{}{instead}", name.table, place(name.character));
    let problem = Problem::new(Kind::InvalidSql, detail);
    let at = name.character.and_then(|at| query.text().char_indices().nth(at.checked_sub(1)?)).map(|(at, _)| at);
    let right = having.first().zip(at).and_then(|((dataset, _), at)| {
        Some(format!("{}{dataset}.{}", query.text().get(..at)?, query.text().get(at..)?))
    });
    Ok(problem.instead(right.filter(|_| having.len() == 1).map(|right| Instead::Value("query", right))))
}

fn unknown_table(name: &TableName, published: &Published) -> Problem {
    let tables: Vec<&str> = published.manifest.tables.iter().map(|table| table.name.as_str()).collect();
    match names::nearest(&name.table, tables.iter().copied()) {
        Some(near) => unknown("table", &name.table, Some(near), name.character),
        None => {
            let detail = format!(
                "`{}` has no table `{}`{}; it has {}.",
                published.manifest.dataset,
                name.table,
                place(name.character),
                tables.join(", ")
            );
            Problem::new(Kind::InvalidSql, detail)
        }
    }
}

fn place(character: Option<usize>) -> String {
    character.map_or_else(String::new, |at| format!(" (character {at})"))
}

fn unknown(what: &str, name: &str, near: Option<String>, character: Option<usize>) -> Problem {
    let question = near
        .as_ref()
        .map_or_else(|| "; `/v1/datasets` lists what there is".to_owned(), |near| format!("; did you mean `{near}`?"));
    let problem = Problem::new(Kind::InvalidSql, format!("There is no {what} `{name}`{}{question}", place(character)));
    match near {
        Some(near) => problem.instead(Some(Instead::Word("query", names::quoted(name), names::quoted(&near)))),
        None => problem,
    }
}
