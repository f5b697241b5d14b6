//! Every route, and the layers around them.

use std::{sync::LazyLock, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderName, Method, Uri, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
};
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, DefaultPredicate, Predicate, predicate::NotForContentType},
    cors::{AllowHeaders, Any, CorsLayer},
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    api, iceberg, limits,
    observe::observe,
    problem::{Kind, Problem},
    s3,
    state::AppState,
    web,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Openshelf",
        description = "Public datasets as immutable snapshots of Parquet files, served as slices. \
                       Errors are RFC 9457 problems with a hint that works.",
        license(name = "MIT OR Apache-2.0")
    ),
    // Reached through itself, which utoipa does not follow.
    components(schemas(crate::query::statistics::FieldStatistics)),
    tags(
        (name = "datasets", description = "What there is"),
        (name = "rows", description = "Slices of tables"),
        (name = "extracts", description = "Queries too big for one answer, as jobs"),
        (name = "files", description = "Whole files, for programs that read Parquet"),
        (name = "iceberg", description = "The same tables as a read-only Apache Iceberg REST catalog"),
        (name = "server", description = "The server itself"),
        (name = "pages", description = "Pages for people")
    )
)]
struct Document;

fn queries() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(api::datasets::list))
        .routes(routes!(api::datasets::one))
        .routes(routes!(api::runs::list))
        .routes(routes!(api::tables::one))
        .routes(routes!(api::rows::get, api::rows::post))
        .routes(routes!(api::rejects::get, api::rejects::post))
        .routes(routes!(api::changes::get, api::changes::post))
        .routes(routes!(api::sql::get, api::sql::post))
        .routes(routes!(api::search::get, api::search::post))
        .routes(routes!(api::extracts::post))
        .routes(routes!(api::extracts::get))
}

fn lists() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(api::snapshots::list))
        .routes(routes!(api::snapshots::one))
        .routes(routes!(api::files::list))
}

fn catalog() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(iceberg::config::get))
        .routes(routes!(iceberg::namespaces::list))
        .routes(routes!(iceberg::namespaces::one))
        .routes(routes!(iceberg::tables::list))
        .routes(routes!(iceberg::tables::load))
        .routes(routes!(iceberg::tables::metrics))
}

fn pages() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(web::start::page))
        .routes(routes!(web::dataset::page))
        .routes(routes!(web::docs::page))
        .routes(routes!(web::problems::page))
        .routes(routes!(api::server::openapi))
}

fn data() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(s3::bucket::list))
        .routes(routes!(s3::bucket::list_slash))
        .routes(routes!(api::data::get))
        .routes(routes!(iceberg::objects::get))
        .routes(routes!(api::extracts::file))
}

fn health() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(api::server::healthz))
        .routes(routes!(api::server::readyz))
        .routes(routes!(api::server::metrics))
        .routes(routes!(api::limits::get))
}

/// The OpenAPI document of every route.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    OpenApiRouter::with_openapi(document)
        .merge(queries())
        .merge(lists())
        .merge(catalog())
        .merge(pages())
        .merge(data())
        .merge(health())
        .into_openapi()
}

/// The whole application.
pub(super) fn build(state: &AppState) -> Router {
    let plain = |router: OpenApiRouter<AppState>| -> Router<AppState> { router.split_for_parts().0 };
    let listed = plain(lists().merge(catalog()).merge(pages()));
    // Never under /data: a compressed file has no ranges.
    let compressed = limits::limited(plain(queries()), limits::QUERIES, state)
        .merge(limits::limited(listed, limits::FILES, state))
        .merge(plain(health()))
        .layer(compression());
    compressed
        .merge(limits::limited(plain(data()), limits::FILES, state))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(DefaultBodyLimit::disable())
        .layer(cors())
        .layer(from_fn_with_state(state.clone(), observe))
        .with_state(state.clone())
}

fn compression() -> CompressionLayer<impl Predicate> {
    let worthwhile = DefaultPredicate::new()
        .and(NotForContentType::const_new("application/vnd.apache.parquet"))
        .and(NotForContentType::const_new("application/openmetrics-text"));
    CompressionLayer::new().quality(CompressionLevel::Precise(4)).compress_when(worthwhile)
}

/// Keyless reads are open to every page on the web.
fn cors() -> CorsLayer {
    let ours = [
        "x-request-id",
        "openshelf-snapshot",
        "openshelf-scanned-bytes",
        "openshelf-row-count",
        "openshelf-seed",
        "openshelf-hint",
        "ratelimit",
        "ratelimit-policy",
        "repr-digest",
        "x-amz-request-id",
        "x-amz-bucket-region",
        "x-amz-checksum-sha256",
        "x-amz-checksum-type",
    ];
    let exposed = [
        header::ETAG,
        header::CACHE_CONTROL,
        header::LINK,
        header::RETRY_AFTER,
        header::ACCEPT_RANGES,
        header::CONTENT_RANGE,
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::CONTENT_DISPOSITION,
        header::LAST_MODIFIED,
    ];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::OPTIONS])
        // Those of S3's clients have no end of names, and none of them opens what is not open.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ours.map(HeaderName::from_static).into_iter().chain(exposed).collect::<Vec<_>>())
        // Any origin gets the same answer, so caches need not tell origins apart.
        .vary(Vec::<HeaderName>::new())
        .max_age(Duration::from_secs(86_400))
}

/// Every address: what a mistyped one may have meant.
static ROUTES: LazyLock<Vec<String>> = LazyLock::new(|| document().paths.paths.into_keys().collect());

async fn nothing_here(State(state): State<AppState>, method: Method, uri: Uri, headers: HeaderMap) -> Problem {
    if method != Method::GET && method != Method::HEAD && s3::is_client(&uri, &headers) {
        return s3::bucket::read_only(&state);
    }
    if let Some(key) = uri.path().strip_prefix("/data/") {
        return s3::bucket::nothing(&state, &method, key);
    }
    let problem = Problem::new(Kind::RouteNotFound, format!("There is nothing at `{}`.", uri.path()));
    let near = near(uri.path()).unwrap_or_else(|| "/openapi.json".to_owned());
    // An address that cannot do without parameters is shown with them.
    let parameters = match near.rsplit('/').next() {
        Some("sql") => "?query=SELECT+1",
        Some("search") => "?q=one+OR+two",
        Some("changes") => "?from=0",
        _ => "",
    };
    problem.hint(format!("{}{parameters}", state.url(&near)))
}

/// The address that may have been meant: one with as many parts, of which one is a little different, else a plain one.
fn near(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let of_route = |route: &String| -> Option<(f64, String)> {
        let wanted: Vec<&str> = route.split('/').collect();
        if wanted.len() != parts.len() || !route.contains('{') {
            return None;
        }
        let (mut likeness, mut filled) = (1.0_f64, Vec::new());
        for (wanted, given) in wanted.into_iter().zip(&parts) {
            if wanted.starts_with('{') {
                filled.push(*given);
            } else {
                likeness = likeness.min(strsim::jaro_winkler(wanted, &given.to_lowercase()));
                filled.push(wanted);
            }
        }
        (likeness > 0.7).then(|| (likeness, filled.join("/")))
    };
    let deep = ROUTES.iter().filter_map(of_route).max_by(|a, b| a.0.total_cmp(&b.0));
    let plain = || crate::query::names::nearest(path, ROUTES.iter().map(String::as_str).filter(|r| !r.contains('{')));
    deep.map(|(_, path)| path).or_else(plain)
}

async fn wrong_method(State(state): State<AppState>, request: Request) -> Response {
    if s3::Form::of(&request).is_some() {
        return s3::bucket::read_only(&state).into_response();
    }
    let detail = format!("`{}` does not take {}.", request.uri().path(), request.method());
    let hint = state.url(request.uri().path());
    Problem::new(Kind::MethodNotAllowed, detail).hint(format!("GET {hint}")).into_response()
}

/// The panic itself is in the log already, with its place; the client gets the id to ask about.
#[allow(clippy::needless_pass_by_value, reason = "the form the layer asks for")]
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Problem::internal(format!("panic: {}", text.unwrap_or("of unknown kind"))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_address_is_told_the_one_meant() {
        for (typed, meant) in [
            ("/v1/datasets/a/tables/b/row", "/v1/datasets/a/tables/b/rows"),
            ("/v1/datasets/a/tables/b/rows/", "/v1/datasets/a/tables/b/rows"),
            ("/v1/dataset/a/table/b/Search", "/v1/datasets/a/tables/b/search"),
            ("/v1/datasets/a/snapshot/3", "/v1/datasets/a/snapshots/3"),
            ("/v1/dataset", "/v1/datasets"),
            ("/v1/sq", "/v1/sql"),
        ] {
            assert_eq!(near(typed).as_deref(), Some(meant), "{typed}");
        }
    }

    #[test]
    fn every_route_of_the_router_is_in_the_document() {
        // Routes are only ever added by `routes!`, which takes them from the document's own annotations.
        let source = include_str!("router.rs");
        let added = source.matches(".routes(routes!(").count();
        assert_eq!(added - 1, document().paths.paths.len());
        assert!(!source.contains(concat!(".route", "(\"")));
    }
}
