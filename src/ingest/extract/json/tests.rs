use proptest::prelude::*;
use serde_json::json;

use crate::{
    catalog::Blame,
    ingest::{
        definition::grammar::{Format, Json},
        extract::gathered::{Gathered, Setting, run},
    },
};

fn format(pointer: Option<&str>) -> Format {
    Format::Json(Json { pointer: pointer.map(Into::into) })
}

fn read(text: &str) -> Gathered {
    run(&format(None), text.as_bytes()).expect("rows")
}

fn fault(pointer: Option<&str>, text: &str) -> (Blame, String) {
    let failure = run(&format(pointer), text.as_bytes()).expect_err("a failure");
    (failure.blame, failure.message)
}

#[test]
fn arrays_objects_and_single_rows() {
    let gathered = read("\u{feff} [ {\"a\": 1.0}, 7 , \"x\",null, [1], {\"a\":{\"]\":\"}\\\"\"}} ] ");
    assert_eq!(
        gathered.rows(),
        [
            json!({"a": 1.0}),
            json!({"value": 7}),
            json!({"value": "x"}),
            json!({}),
            json!({"value": [1]}),
            json!({"a": {"]": "}\""}})
        ]
    );
    assert_eq!(gathered.positions(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(read("[]").count(), 0);
    assert_eq!(read("{}").count(), 0);
    assert_eq!(
        read(r#"{"x y": {"a": 1}, "é\"": {"a": 2}}"#).rows(),
        [json!({"$key": "x y", "a": 1}), json!({"$key": "é\"", "a": 2})]
    );
    assert_eq!(read(r#"{"a": 1.50, "b": {"c": 2}}"#).rows(), [json!({"a": 1.5, "b": {"c": 2}})]);
    assert_eq!(read(r#"{"a": 1.50, "b": {"c": 2}}"#).texts("a"), [Some("1.50".into())]);
}

#[test]
fn broken_elements_do_not_break_the_document() {
    let gathered = read(r#"[{"a":1},{"a":nul},{"a" 1},NaN,{"a":2}]"#);
    assert_eq!(gathered.rows(), [json!({"a": 1}), json!({"a": 2})]);
    assert_eq!(gathered.broken().iter().map(|row| row.position).collect::<Vec<_>>(), [2, 3, 4]);
    let many =
        format!("{{{}\"last\":5}}", "\"k\":{\"a\":\"0123456789012345678901234567890123456789\"},".repeat(30_000));
    let gathered = read(&many);
    assert_eq!((gathered.count(), gathered.broken().len()), (30_000, 1));
}

#[test]
fn pointers_find_rows_and_say_where_they_do_not() {
    let text = r#"{"meta":{"n":[1,{"x":"}"}]},"data":{"a/b":[{"i":1},{"i":2}],"rest":[9]},"tail":true}"#;
    assert_eq!(run(&format(Some("/data/a~1b")), text.as_bytes()).expect("rows").count(), 2);
    let gathered = run(&format(Some("/meta/n/1")), text.as_bytes()).expect("rows");
    assert_eq!(gathered.rows(), [json!({"x": "}"})]);
    let (blame, message) = fault(Some("/data/rows"), text);
    assert_eq!(blame, Blame::Definition);
    assert!(message.contains("`/data` has no `rows`; it has `rest`, `a/b`"), "{message}");
    assert!(fault(Some("data"), text).1.contains("`/data`"));
    assert!(fault(Some("/tail/x"), text).1.contains("`/tail` is neither"));
    assert!(fault(Some("/tail"), text).1.contains("leads to true"));
    assert!(fault(Some("/meta/n/7"), text).1.contains("only 2 elements"));
    assert!(fault(Some("/meta/n/x"), text).1.contains("no index"));
}

#[test]
fn a_truncated_document_is_upstreams_wherever_it_breaks() {
    let text = r#"{"data":[{"a":"x"},{"a":[1,2]}],"tail":{"b":null}}"#;
    for cut in 1..text.len() {
        let (blame, message) = fault(Some("/data"), text.get(..cut).expect("ASCII"));
        assert!(message.contains(&format!("ends at byte {cut},")), "{cut}: {message}");
        assert_eq!(blame, Blame::Upstream);
        assert!(message.starts_with("https://example.org/data: "), "{message}");
    }
    assert!(fault(None, "{\"a\":1}\n{\"a\":2}").1.contains("ndjson"));
    assert!(fault(None, "").1.contains("empty"));
    assert!(fault(None, "[1 2]").1.contains("expected `,` or `]`"));
    assert!(fault(None, "[1,]").1.contains("expected a value"));
    assert!(fault(None, "<rows>").1.contains("leads to <rows>"));
}

#[test]
fn one_value_beyond_the_cap_is_refused() {
    let mut setting = Setting::default();
    setting.caps.record_bytes = 1000;
    let text = format!(r#"{{"n":1,"data":[{}1]}}"#, "1,".repeat(2000));
    let failure = setting.run(&format(None), text.as_bytes()).expect_err("too long");
    assert!(failure.message.contains("pointer") && failure.message.contains("byte 14"), "{failure}");
    assert_eq!(setting.run(&format(Some("/data")), text.as_bytes()).expect("rows").count(), 2001);
}

#[test]
fn deep_nesting_is_a_broken_row_and_nothing_overflows() {
    let text = format!("[{}{},1]", "[".repeat(500_000), "]".repeat(500_000));
    let gathered = read(&text);
    assert_eq!((gathered.count(), gathered.broken().len()), (1, 1));
    assert_eq!(fault(None, &"[".repeat(1_000_000)).0, Blame::Upstream);
    assert_eq!(fault(None, &"{\"a\":".repeat(1_000_000)).0, Blame::Upstream);
}

const FEATURES: &str = r#"[
  {"type":"Feature","id":"a1","properties":{"mag":1.30,"place":null},"geometry":{"type":"Point","coordinates":[-116.5,33.10,2.0]}},
  {"type":"Feature","properties":{"mag":2},"geometry":{"coordinates":[1,2],"type":"Point"}},
  {"type":"Feature","id":7,"properties":null,"geometry":{"type":"LineString","coordinates":[[1,2],[3,4]]}},
  {"type":"Feature","properties":{},"geometry":null}]"#;

#[test]
fn geojson_gives_id_properties_and_coordinates() {
    let line = json!({"type": "LineString", "coordinates": [[1, 2], [3, 4]]});
    let expected = [
        json!({"id": "a1", "mag": 1.3, "longitude": -116.5, "latitude": 33.1, "depth": 2.0}),
        json!({"mag": 2, "longitude": 1, "latitude": 2}),
        json!({"id": 7, "geometry": line}),
        json!({}),
    ];
    for text in [
        format!(r#"{{"type":"FeatureCollection","metadata":{{"n":4}},"features":{FEATURES},"bbox":[1]}}"#),
        format!(r#"{{"bbox":[1],"features":{FEATURES},"type":"FeatureCollection"}}"#),
    ] {
        let gathered = read(&text);
        assert_eq!(gathered.rows(), expected);
        assert_eq!(gathered.texts("latitude")[0].as_deref(), Some("33.10"));
    }
    let text = format!(r#"{{"type":"FeatureCollection","features":{FEATURES}}}"#);
    let gathered =
        Setting::default().wanted(&["geometry", "latitude"]).run(&format(None), text.as_bytes()).expect("rows");
    let point = json!({"type": "Point", "coordinates": [-116.5, 33.1, 2.0]});
    assert_eq!(gathered.rows()[0], json!({"geometry": point, "latitude": 33.1}));
    assert_eq!(read(r#"{"type":"FeatureCollection","features":[]}"#).count(), 0);
    assert_eq!(
        run(&format(Some("/features")), format!("{{\"features\":{FEATURES}}}").as_bytes()).expect("rows").count(),
        4
    );
    assert!(fault(None, r#"{"type":"FeatureCollection","n":1}"#).1.contains("without `features`"));
    assert_eq!(read(r#"{"features":["fast","small"],"n":1}"#).rows(), [json!({"features": ["fast", "small"], "n": 1})]);
}

#[test]
fn a_property_keeps_its_name_and_ours_steps_aside() {
    let text = r#"{"type":"FeatureCollection","features":[
      {"type":"Feature","id":1,"properties":{"x":1},"geometry":{"type":"Point","coordinates":[1,2,3]}},
      {"type":"Feature","id":2,"properties":{"id":"p","depth":"deep","feature_depth":0},"geometry":{"type":"Point","coordinates":[1,2,3]}}]}"#;
    assert_eq!(
        read(text).rows(),
        [
            json!({"feature_id": 1, "x": 1, "longitude": 1, "latitude": 2, "feature_feature_depth": 3}),
            json!({"feature_id": 2, "id": "p", "depth": "deep", "feature_depth": 0, "longitude": 1, "latitude": 2,
                   "feature_feature_depth": 3})
        ]
    );
    let feature = |id: usize, name: &str| format!(r#"{{"type":"Feature","id":{id},"properties":{{"{name}":1}}}}"#);
    let mut features: Vec<_> = (1..=9000).map(|id| feature(id, "x")).collect();
    features.push(feature(9001, "id"));
    let gathered = read(&format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(",")));
    assert_eq!(gathered.count(), 9000);
    assert_eq!(gathered.broken()[0].position, 9001);
    assert!(gathered.broken()[0].reason.contains("`id` first appears here"), "{}", gathered.broken()[0].reason);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = run(&format(None), &bytes);
    }

    #[test]
    fn arbitrary_json_like_text_never_panics(text in "[\\[\\]{}\",:a01\\\\ ]{0,60}", pointer in "(/[a01]){0,2}") {
        let _ = run(&format(Some(&pointer)), text.as_bytes());
    }

    #[test]
    fn mutated_geojson_never_panics(at in 0..700_usize, byte in any::<u8>(), cut in 0..700_usize) {
        let mut bytes = format!(r#"{{"type":"FeatureCollection","features":{FEATURES}}}"#).into_bytes();
        let (at, cut) = (at % bytes.len(), cut % bytes.len());
        bytes[at] = byte;
        let _ = run(&format(None), &bytes);
        let _ = run(&format(None), &bytes[..cut]);
    }
}
