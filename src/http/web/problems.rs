//! `/problems/{code}`: what a problem's `type` leads to.

use axum::{extract::State, http::HeaderMap, response::Response};
use maud::html;

use super::{docs::marked, layout};
use crate::http::{
    answer,
    cache::CachePolicy,
    params::{Params, PathParams},
    problem::{Kind, Problem},
    state::AppState,
};

/// One kind of problem, for people.
#[utoipa::path(
    get, path = "/problems/{code}", tag = "pages",
    params(("code" = String, Path, description = "The last part of a problem's `type`")),
    responses((status = 200, description = "A page", body = String, content_type = "text/html"), (status = 404, description = "No such problem"))
)]
pub(in crate::http) async fn page(
    State(state): State<AppState>,
    path: PathParams,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    params.only(&[])?;
    let code = path.get("code");
    let Some(kind) = Kind::ALL.iter().find(|kind| kind.code() == code) else {
        return Err(Problem::new(Kind::RouteNotFound, format!("There is no problem `{code}`."))
            .hint(state.url("/docs#problems")));
    };
    let body = html! {
        h1 { (marked(kind.title())) }
        p .soft { code { (kind.code()) } ", status " (kind.status().as_u16()) }
        p { (marked(kind.explanation())) }
        p {
            "The problem's " code { "detail" } " says what was wrong with one request, its " code { "hint" }
            " what to do instead, its " code { "instance" } " is the request id (also in " code { "X-Request-Id" } ")."
        }
        p { a href=(state.url("/docs#problems")) { "All problems" } }
    };
    Ok(answer::html(layout(&state, kind.title(), &body), CachePolicy::Current, &headers))
}
