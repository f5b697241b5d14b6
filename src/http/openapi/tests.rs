//! The document holds together.

use std::collections::HashSet;

use serde_json::Value;

use crate::http::router;

fn document() -> Value {
    super::complete(&router::document()).expect("a document")
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, item)| {
        let item: &Value = item;
        let path: &String = path;
        item.as_object()
            .expect("methods")
            .iter()
            .map(move |(method, operation)| (format!("{method} {path}"), operation))
    };
    paths.iter().flat_map(of_path).collect()
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 100);
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a reference into the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_says_what_it_is_and_takes_and_answers() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut names = HashSet::new();
    for (name, operation) in operations(&document) {
        let path = name.split(' ').next_back().expect("a path");
        assert!(names.insert(operation["operationId"].as_str().expect("a name")), "{name}");
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 5), "{name}");
        assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{name}");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in &parameters {
            assert!(parameter["description"].as_str().is_some_and(|text| text.len() > 3), "{name} {parameter}");
            let schema = &parameter["schema"];
            assert!(schema.get("type").or(schema.get("anyOf")).is_some(), "{name} {parameter}");
            assert!(!schema.to_string().contains("\"null\""), "{name} {parameter}");
        }
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
        let named: HashSet<String> =
            in_path.map(|parameter| format!("{{{}}}", parameter["name"].as_str().expect("a name"))).collect();
        let wanted: HashSet<String> = path.split('/').filter(|part| part.starts_with('{')).map(str::to_owned).collect();
        assert_eq!(named, wanted, "{name}");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name}");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} {status}");
            assert!(response["headers"].get("X-Request-Id").is_some(), "{name} {status}");
            match status.parse::<u16>().expect("a status") {
                400.. if path == "/data" || path.starts_with("/data/") => {
                    assert!(response.pointer("/content/application~1xml").is_some(), "{name} {status}");
                }
                204 => assert!(response.get("content").is_none(), "{name}"),
                400.. if path.starts_with("/iceberg/") => {
                    assert!(response.pointer("/content/application~1json/schema").is_some(), "{name} {status}");
                }
                400.. => {
                    let problem = "/content/application~1problem+json/schema/$ref";
                    assert_eq!(response.pointer(problem).and_then(Value::as_str), Some("#/components/schemas/Problem"));
                }
                304 => assert!(response.get("content").is_none(), "{name}"),
                _ => assert!(
                    response["content"].as_object().is_some_and(|content| !content.is_empty()),
                    "{name} {status}"
                ),
            }
        }
    }
}

#[test]
fn no_shape_takes_the_place_of_another() {
    let routes = serde_json::to_value(router::document()).expect("a document");
    for ours in [super::answers::PROBLEM, super::answers::ROWS, super::answers::PLAN] {
        assert!(routes["components"]["schemas"].get(ours).is_none(), "{ours}");
    }
    assert!(document()["components"]["schemas"]["DryRun"]["properties"]["cost"].is_object());
    assert!(document()["components"]["schemas"]["Cost"]["properties"]["row_groups"].is_object());
}

#[test]
fn a_body_has_the_parameters_of_the_address() {
    let document = document();
    let rows = &document["paths"]["/v1/datasets/{dataset}/tables/{table}/rows"];
    let body = &rows["post"]["requestBody"]["content"]["application/json"]["schema"];
    for parameter in rows["get"]["parameters"].as_array().expect("parameters") {
        if parameter["in"] == "query" && parameter["name"] != "conditions" {
            assert!(body["properties"].get(parameter["name"].as_str().expect("a name")).is_some(), "{parameter}");
        }
    }
    for item in [&rows["get"], &rows["post"]] {
        assert_eq!(item["responses"]["200"]["content"].as_object().expect("formats").len(), 5);
    }
}
