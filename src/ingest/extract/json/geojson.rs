//! GeoJSON feature collections (RFC 7946): one row per feature.
//!
//! A row has `id`, every property under its own name, and of a Point `longitude`, `latitude` and (with a third coordinate)
//! `depth`; other geometries are column `geometry`, as JSON, and so is every geometry where a column asks for `geometry`. Where a property already has one of these names it keeps it
//! and ours is called `feature_id`, `feature_longitude` and so on. That is decided once a document, from its first
//! features; a feature further on that brings such a property for the first time is a broken row, because its value would
//! stand in a column that means something else.

use std::{borrow::Cow, collections::HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Extraction, Sink, scan::Scanner};
use crate::ingest::{
    Failure,
    extract::json_rows::{JsonRows, check_depth},
};

/// Features looked at before the names are chosen.
const FIRST_FEATURES: usize = 8192;
/// Bytes of them, about.
const FIRST_BYTES: usize = 8 << 20;

const OWN: [&str; 5] = ["id", "longitude", "latitude", "depth", "geometry"];

#[derive(Deserialize)]
struct Feature<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    #[serde(borrow)]
    geometry: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Geometry<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    coordinates: Option<&'a RawValue>,
}

/// What stands at the beginning of `features`.
pub(super) enum First {
    /// Nothing: the array is empty and consumed.
    Nothing,
    /// A feature; the array goes on behind it.
    Feature(Vec<u8>),
}

/// Enters the array `features` and says what is first in it; none when these are no features after all, and the array's
/// text is then in `text`.
pub(super) fn first_feature(
    scan: &mut Scanner<'_>,
    collection: bool,
    text: &mut Vec<u8>,
) -> Result<Option<First>, Failure> {
    scan.expect(b'[')?;
    if scan.take(b']')? {
        text.extend_from_slice(b"[]");
        return Ok(collection.then_some(First::Nothing));
    }
    let mut first = Vec::new();
    scan.value(Some(&mut first))?;
    let is_feature = || serde_json::from_slice::<Kind>(&first).is_ok_and(|kind| kind.kind == "Feature");
    if collection || is_feature() {
        return Ok(Some(First::Feature(first)));
    }
    text.push(b'[');
    text.append(&mut first);
    while scan.another(b']')? {
        text.push(b',');
        scan.value(Some(text))?;
    }
    text.push(b']');
    Ok(None)
}

/// Reads the features behind the first, and the end of the array.
pub(super) fn features(
    scan: &mut Scanner<'_>,
    first: First,
    rows: &mut JsonRows<'_>,
    extraction: &Extraction<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    let First::Feature(first) = first else { return Ok(()) };
    let mut bytes = first.len();
    let mut waiting = vec![first];
    let mut more = scan.another(b']')?;
    while more && waiting.len() < FIRST_FEATURES && bytes < FIRST_BYTES {
        let mut text = Vec::new();
        scan.value(Some(&mut text))?;
        bytes += text.len();
        waiting.push(text);
        more = scan.another(b']')?;
    }
    let always = extraction.wanted.is_some_and(|wanted| wanted.contains("geometry"));
    let own = Own { names: own_names(&waiting), always, deepest: extraction.caps.depth };
    let mut record = 0;
    for text in waiting {
        record += 1;
        row(record, &text, &own, rows);
        rows.flush_if_full(sink)?;
    }
    let mut text = Vec::new();
    while more {
        record += 1;
        text.clear();
        scan.value(Some(&mut text))?;
        row(record, &text, &own, rows);
        rows.flush_if_full(sink)?;
        more = scan.another(b']')?;
    }
    Ok(())
}

/// What is ours in a row.
struct Own {
    /// Names of id, longitude, latitude, depth and geometry.
    names: [String; 5],
    /// Every geometry is asked for, those of points too.
    always: bool,
    /// Deepest nesting.
    deepest: usize,
}

/// Our column names: those no property of these features has.
fn own_names(features: &[Vec<u8>]) -> [String; 5] {
    let mut taken = HashSet::new();
    for text in features {
        let properties = serde_json::from_slice::<Feature>(text).ok().and_then(|feature| feature.properties);
        if let Some(properties) = properties {
            taken.extend(keys(properties));
        }
    }
    OWN.map(|name| {
        let mut name = name.to_owned();
        while taken.contains(&name) {
            name.insert_str(0, "feature_");
        }
        name
    })
}

fn keys(properties: &RawValue) -> Vec<String> {
    serde_json::from_str::<std::collections::HashMap<String, serde::de::IgnoredAny>>(properties.get())
        .map(|members| members.into_keys().collect())
        .unwrap_or_default()
}

fn row(record: u64, text: &[u8], own: &Own, rows: &mut JsonRows<'_>) {
    match cells(text, own, rows) {
        Ok(()) => rows.end_row(record),
        Err(reason) => rows.broken_row(record, reason, text),
    }
}

fn cells(text: &[u8], own: &Own, rows: &mut JsonRows<'_>) -> Result<(), String> {
    let [id, longitude, latitude, depth, whole] = &own.names;
    check_depth(text, own.deepest)?;
    let feature: Feature<'_> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if let Some(value) = feature.id {
        rows.cell(id, value.get().as_bytes());
    }
    if let Some(properties) = feature.properties {
        if let Some(name) = own.names.iter().find(|name| has_key(properties, name)) {
            return Err(format!("property `{name}` first appears here, where that is the name of a column of ours"));
        }
        rows.object(properties.get().as_bytes()).map_err(|error| format!("properties: {error}"))?;
    }
    if let Some(geometry) = feature.geometry {
        let point = point(geometry);
        if own.always || point.is_none() {
            rows.cell(whole, geometry.get().as_bytes());
        }
        for (name, coordinate) in [longitude, latitude, depth].into_iter().zip(point.unwrap_or_default()) {
            rows.cell(name, coordinate.get().as_bytes());
        }
    }
    Ok(())
}

fn has_key(properties: &RawValue, name: &str) -> bool {
    memchr::memmem::find(properties.get().as_bytes(), name.as_bytes()).is_some()
        && keys(properties).iter().any(|key| key == name)
}

/// The two or three coordinates of a Point; none of any other geometry, nor of a Point that is not like that.
fn point(geometry: &RawValue) -> Option<Vec<&RawValue>> {
    let Geometry { kind, coordinates } = serde_json::from_str(geometry.get()).ok()?;
    let point: Vec<&RawValue> = serde_json::from_str(coordinates.filter(|_| kind == "Point")?.get()).ok()?;
    matches!(point.len(), 2 | 3).then_some(point)
}
