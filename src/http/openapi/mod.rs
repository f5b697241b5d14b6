//! The OpenAPI document: what handlers say of themselves, and what all of them have in common, said once.
//!
//! A handler's annotation names its parameters and its own answers. Added here, by rule: the bounds of parameters that
//! mean the same everywhere, the body of a POST that takes the parameters of its GET, the five formats of answers with
//! rows, conditions by hand, problems with their statuses, headers, and the names of operations. Knows no handler.

mod answers;
mod parameters;

use serde_json::{Map, Value};

/// The document of these routes, complete.
///
/// # Errors
/// When it cannot be written as JSON, which is ours.
pub(super) fn complete(routes: &utoipa::openapi::OpenApi) -> Result<Value, serde_json::Error> {
    let mut document = serde_json::to_value(routes)?;
    answers::components(&mut document);
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return Ok(document) };
    for (path, item) in paths {
        let Some(operations) = item.as_object_mut() else { continue };
        for operation in operations.values_mut().filter_map(Value::as_object_mut) {
            parameters::bound(operation);
        }
        parameters::body_of_get(operations);
        answers::rows_of_get(operations);
        for (method, operation) in operations {
            let Some(operation) = operation.as_object_mut() else { continue };
            let is_page = operation.get("tags").is_some_and(|tags| tags.get(0).is_some_and(|tag| tag == "pages"));
            let of_page = if is_page { "/page" } else { "" };
            operation.insert("operationId".to_owned(), operation_id(method, &format!("{of_page}{path}")).into());
            answers::common(path, method, operation);
        }
    }
    Ok(document)
}

/// `get_datasets_dataset_tables_table_rows`: unique, and the same as long as the address is.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(['/', '.', '-']).map(|word| word.trim_matches(['{', '}']));
    let words = words.filter(|word| !word.is_empty() && *word != "v1");
    // The same address with and without a slash at its end is two operations to S3's clients.
    let slash = (path == "/data/").then_some("slash");
    std::iter::once(method).chain(words).chain(slash).collect::<Vec<_>>().join("_")
}

/// The parameters of an operation that stand in one place: `query`, `path`.
fn in_place<'a>(operation: &'a Map<String, Value>, place: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    all.filter(move |parameter| parameter.get("in").and_then(Value::as_str) == Some(place))
}

/// The name of a parameter.
fn name_of(parameter: &Value) -> &str {
    parameter.get("name").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
