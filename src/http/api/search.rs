//! `/v1/datasets/{dataset}/tables/{table}/search`: rows by the words in them, the best first.

use std::sync::{Arc, OnceLock};

use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::{
    catalog::TableSchema,
    http::{
        api::{
            asked::{self, Asked},
            coach::coach_search,
            described::{RowsRefused, SearchAnswer, SearchQuery},
            name_snapshot,
            paging::Pages,
        },
        deliver::{Delivery, deliver_with},
        incoming::Incoming,
        params::{Params, query_string},
        problem::{Kind, Problem},
        search_index::{self, Index, NotYet},
        subject::Subject,
    },
    query::{
        encode::{Format, OutputColumn, json},
        names,
        search::{Found, Question, SCORE, Search, declared, search},
        table::Rows,
    },
};

/// Parameters of rows that a ranking has no use for, and what works instead.
const REFUSED: [(&str, &str); 5] = [
    (
        "order_by",
        "the answer is ranked by how well rows match; `rows` with `where=column ilike '%word%'` takes an order",
    ),
    ("cursor", "follow `next`, which is pinned to its snapshot"),
    ("sample", "`rows` with `where=column ilike '%word%'` takes a sample"),
    ("seed", "`rows` with `where=column ilike '%word%'` takes a sample"),
    ("dry_run", "a search reads its index and the rows it shows; `limit=1` is a cheap try"),
];

/// Rows by the words in them.
///
/// Over the columns declared for search: `search` in the table's own answer says which. All words must occur; `"…"` are
/// words in a row, `-word` must not occur, `word*` is the beginning of one, `column:word` looks in one column, `OR`
/// between two takes either. Case and accents do not matter. Ranked by BM25, `_score` first, ties in the order of rows.
#[utoipa::path(
    get, path = "/v1/datasets/{dataset}/tables/{table}/search", tag = "rows",
    params(
        ("dataset" = String, Path, description = "Dataset"),
        ("table" = String, Path, description = "Table"),
        SearchQuery
    ),
    responses(
        (status = 200, description = "Rows, the best first", body = SearchAnswer),
        (status = 202, description = "The index of this snapshot is not there yet: how far it is, and when to ask again", body = NotYet),
        (status = 503, description = "The index could not be made, or the store does not answer; `Retry-After` says when to ask again"),
        RowsRefused
    )
)]
pub(in crate::http) async fn get(request: Incoming) -> Result<Response, Problem> {
    let subject = request.subject("search", Rows::Published).await?;
    match answer(&request, &subject).await {
        Err(problem) => Err(subject.or_gone(&request, problem).await),
        answered => answered,
    }
}

/// The same, with the parameters as JSON.
#[utoipa::path(
    post, path = "/v1/datasets/{dataset}/tables/{table}/search", tag = "rows",
    params(("dataset" = String, Path, description = "Dataset"), ("table" = String, Path, description = "Table"))
)]
pub(in crate::http) async fn post(request: Incoming) -> Result<Response, Problem> {
    get(request).await
}

async fn answer(request: &Incoming, subject: &Subject) -> Result<Response, Problem> {
    let schema = &subject.source.table.schema;
    let searched = declared(schema);
    if searched.is_empty() {
        return Err(not_searchable(request, subject));
    }
    let read = |params: &Params| read(request, params, schema, &searched);
    let (question, asked) =
        read(&request.params).map_err(|problem| hint(request, subject, problem, |meant| read(meant).is_ok()))?;
    let q = request.params.get("q").unwrap_or_default();
    let offset = asked.slice.offset.to_string();
    let validity = subject.validity(request, &asked.query([("q", q), ("offset", offset.as_str())]));
    if let Some(response) = subject.not_modified(request, &validity) {
        return Ok(response);
    }
    let again = format!("{}{}", subject.here(&request.state), query_string(request.params.iter()));
    let index = match search_index::of(&request.state, subject, &again).await? {
        Index::Ready(index) => index,
        Index::NotYet(standing) => {
            let mut response = standing.into_response();
            name_snapshot(&mut response, &subject.published.manifest);
            return Ok(response);
        }
    };
    let found = Arc::new(OnceLock::new());
    let wanted = Search {
        question,
        columns: asked.slice.columns.clone(),
        predicate: asked.slice.predicate.clone(),
        offset: asked.slice.offset,
        // One more than is shown, to know whether there is a next page.
        limit: asked.limit.map(|limit| if asked.format == Format::Json { limit + 1 } else { limit }),
        count: asked.count != "none",
    };
    let failed = |problem: Problem| hint(request, subject, problem, |meant| read(meant).is_ok());
    let batches = search(subject.source.clone(), index, wanted, Arc::clone(&found)).map_err(|e| failed(e.into()))?;
    let delivery = plan(request, subject, &asked, found);
    let coach = coach_search(request, subject, &asked, identifying(subject));
    let mut response = deliver_with(request, &validity, delivery, batches, Some(coach)).await.map_err(failed)?;
    subject.describe(&mut response, &request.state);
    Ok(response)
}

/// Checks every parameter.
fn read(
    request: &Incoming,
    params: &Params,
    schema: &TableSchema,
    searched: &[usize],
) -> Result<(Question, Asked), Problem> {
    if let Some((name, instead)) = REFUSED.iter().find(|(name, _)| params.get(name).is_some()) {
        return Err(Problem::new(Kind::InvalidParameter, format!("A search takes no `{name}`: {instead}.")));
    }
    if params.iter().filter(|(name, _)| *name == "q").count() > 1 {
        return Err(Problem::new(Kind::RepeatedParameter, "`q` is given more than once."));
    }
    let Some(q) = params.get("q") else {
        return Err(Problem::new(Kind::InvalidParameter, "A search needs `q`: the words to look for."));
    };
    let question = Question::parse(q, schema, searched)?;
    let asked = asked::read(&params.clone().without(|name| name == "q"), "search", schema, &request.headers)?;
    Ok((question, asked))
}

fn plan(request: &Incoming, subject: &Subject, asked: &Asked, found: Arc<OnceLock<Found>>) -> Delivery {
    let manifest = &subject.published.manifest;
    let offset = asked.slice.offset;
    // Further pages are pinned to the snapshot, so that pages never mix two.
    let q = request.params.get("q").unwrap_or_default();
    let own = asked.canonical.iter().map(|(name, value)| (*name, value.as_str()));
    let pages = Pages::new(subject.here(&request.state), std::iter::once(("q", q)).chain(own));
    let snapshot = manifest.snapshot.to_string();
    let page = move |offset: u64| pages.at([("offset", offset.to_string().as_str()), ("snapshot", snapshot.as_str())]);
    let mut head = subject.head();
    head.insert("q".to_owned(), json!(q));
    let tail = move |rows: u64, more: bool| {
        let counted = found.get().and_then(|found| found.rows);
        json::Tail {
            offset,
            row_count: counted.map(|value| json::RowCount { value, kind: "exact" }),
            next: more.then(|| page(offset.saturating_add(rows))),
            ..json::Tail::default()
        }
    };
    let score = OutputColumn { name: SCORE.to_owned(), kind: crate::catalog::ColumnType::Float32, wide: false };
    Delivery {
        format: asked.format,
        columns: [score].into_iter().chain(subject.columns(&asked.slice.columns)).collect(),
        head,
        tail: Box::new(tail),
        limit: asked.limit,
        truncate: asked.truncate,
        file: format!("{}-{}-search", manifest.dataset, subject.table),
        metadata: subject.metadata(asked.format),
        next: None,
        counted: 0,
    }
}

/// The columns that say which row it is: the primary key, else the first one; none where that is all there are.
fn identifying(subject: &Subject) -> Option<String> {
    let columns = &subject.source.table.schema.columns;
    let key = subject.primary_key();
    let shown: Vec<usize> = if key.is_empty() { vec![0] } else { key };
    let names = shown.iter().filter_map(|at| columns.get(*at)).map(|column| names::quoted(&column.name));
    (shown.len() < columns.len()).then(|| names.collect::<Vec<_>>().join(","))
}

/// An address that works: the request as it may have been meant, else the same words without the rest.
fn hint(request: &Incoming, subject: &Subject, problem: Problem, works: impl Fn(&Params) -> bool) -> Problem {
    let here = subject.here(&request.state);
    let meant = problem.meant().map(|change| request.params.clone().changed(change));
    if let Some(meant) = meant.filter(&works) {
        return problem.hint(format!("{here}{}", query_string(meant.iter())));
    }
    let schema = &subject.source.table.schema;
    let words = request.params.get("q").filter(|q| Question::parse(q, schema, &declared(schema)).is_ok());
    let words = words.unwrap_or("one OR two");
    let hint = match problem.kind() {
        Kind::InvalidSelect | Kind::InvalidWhere => subject.described(&request.state),
        Kind::LimitTooLarge => format!("{here}{}", query_string([("q", words), ("format", "ndjson")])),
        _ => format!("{here}{}", query_string([("q", words), ("limit", "10")])),
    };
    problem.or_hint(|| hint)
}

/// Which tables can be searched, and how to look for words in one that cannot.
fn not_searchable(request: &Incoming, subject: &Subject) -> Problem {
    let manifest = &subject.published.manifest;
    let others = manifest.tables.iter().filter(|table| !declared(&table.schema).is_empty());
    let others: Vec<String> = others.map(|table| format!("`{}`", table.name)).collect();
    let others = match others.as_slice() {
        [] => format!("No table of `{}` has one", manifest.dataset),
        some => format!("Tables of `{}` that have: {}", manifest.dataset, some.join(", ")),
    };
    let schema = &subject.source.table.schema;
    let text = schema.columns.iter().find(|column| column.kind == crate::catalog::ColumnType::Utf8);
    let problem = Problem::new(
        Kind::NotSearchable,
        format!(
            "No column of `{}` is declared for search. {others}. A condition such as `where=column ilike '%word%'` works on \
             every text column.",
            subject.table
        ),
    );
    let described = subject.described(&request.state);
    match text {
        Some(column) => {
            // Quotes end a text, and % and _ stand for others.
            let words: String =
                request.params.get("q").unwrap_or("word").chars().filter(|c| !"'%_\\".contains(*c)).collect();
            let condition = format!("{} ilike '%{words}%'", names::quoted(&column.name));
            problem.hint(format!("{described}/rows{}", query_string([("where", condition.as_str()), ("limit", "10")])))
        }
        None => problem.hint(described),
    }
}
