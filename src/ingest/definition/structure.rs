//! Checks a definition's structure against the JSON Schema generated from the grammar's types, so that the grammar is
//! written down once. Unlike serde it does not stop at the first fault, and it gives the definition as it would be
//! without its faults, so that what the sound parts mean can be checked too.

use std::ops::Range;

use serde_json::Value as Json;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::fault::{Collector, did_you_mean, nearest};

/// Words of the grammar that are reserved but not built.
const LATER_KEYS: [&str; 4] = ["pages", "sorted_copies", "unpivot", "explode"];
const LATER_VALUES: [&str; 3] = ["sqlite", "append", "merge"];

/// Adds the faults of the structure. The answer is the definition with each faulty value left out, or replaced by one that
/// says nothing where the grammar needs a value.
pub(super) fn check(schema: &Json, root: &Spanned<DeTable<'_>>, faults: &mut Collector<'_>) -> Json {
    Checker { schema, faults }.table(schema, root.get_ref(), root.span(), "the definition")
}

struct Checker<'a, 'f> {
    schema: &'a Json,
    faults: &'a mut Collector<'f>,
}

impl<'a> Checker<'a, '_> {
    fn value(&mut self, schema: &'a Json, value: &Spanned<DeValue<'_>>, place: &str) -> Json {
        let Some(chosen) = self.choose(schema, value.get_ref()) else {
            self.wrong_kind(schema, value, place);
            return self.nothing(schema);
        };
        match value.get_ref() {
            DeValue::Table(table) => self.table(chosen, table, value.span(), place),
            DeValue::Array(items) => {
                let schema = chosen.get("items").unwrap_or(&Json::Null);
                Json::Array(items.iter().map(|item| self.value(schema, item, place)).collect())
            }
            DeValue::String(text) => self.text(chosen, text, value.span(), place).into(),
            DeValue::Integer(number) => {
                if chosen.get("minimum").is_some() && number.as_str().starts_with('-') {
                    self.faults.add(value.span(), format!("`{place}` can't be negative"));
                    return self.nothing(schema);
                }
                i64::from_str_radix(number.as_str(), number.radix()).unwrap_or_default().into()
            }
            DeValue::Float(number) => number.as_str().parse::<f64>().unwrap_or_default().into(),
            DeValue::Boolean(is) => (*is).into(),
            DeValue::Datetime(_) => Json::Null,
        }
    }

    fn table(&mut self, schema: &'a Json, table: &DeTable<'_>, span: Range<usize>, place: &str) -> Json {
        let Some(schema) = self.variant(schema, table, &span) else { return self.nothing(schema) };
        let mut sound = serde_json::Map::new();
        let properties = schema.get("properties").and_then(Json::as_object);
        for (key, value) in table {
            let name: &str = key.get_ref().as_ref();
            if let Some(property) = properties.and_then(|properties| properties.get(name)) {
                let constant = property.get("const");
                let value = self.value(property, value, name);
                sound.insert(name.to_owned(), constant.cloned().unwrap_or(value));
            } else if let Some(any @ Json::Object(_)) = schema.get("additionalProperties") {
                sound.insert(name.to_owned(), self.value(any, value, name));
            } else if LATER_KEYS.contains(&name) {
                self.faults.add(key.span(), format!("`{name}` is reserved for later: it is not built yet"));
            } else {
                let valid = properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str));
                let hint = did_you_mean(name, valid);
                self.faults.add(key.span(), format!("unknown key `{name}` in {}{hint}", of(place)));
            }
        }
        for required in schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            if !sound.contains_key(required) {
                self.faults.add(span.clone(), format!("`{required}` is missing in {}", of(place)));
                let property = properties.and_then(|properties| properties.get(required));
                sound.insert(required.to_owned(), property.map_or(Json::Null, |property| self.nothing(property)));
            }
        }
        // Null stands for a key that is not there, and not every optional key takes it.
        sound.retain(|_, value| !value.is_null());
        Json::Object(sound)
    }

    /// A value of this schema that says nothing; null where nothing need be said.
    fn nothing(&self, schema: &'a Json) -> Json {
        let schema = self.follow(schema);
        if let Some(constant) = schema.get("const").or_else(|| schema.get("default")) {
            return constant.clone();
        }
        if let Some(Json::Array(words)) = schema.get("enum") {
            return words.first().cloned().unwrap_or_default();
        }
        if let Some(Json::Array(alternatives)) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
            return alternatives.first().map(|alternative| self.nothing(alternative)).unwrap_or_default();
        }
        match schema.get("type") {
            Some(Json::String(kind)) if kind == "string" => "".into(),
            Some(Json::String(kind)) if kind == "array" => Json::Array(vec![]),
            Some(Json::String(kind)) if kind == "object" => {
                let properties = schema.get("properties").and_then(Json::as_object);
                let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
                required
                    .filter_map(Json::as_str)
                    .filter_map(|key| Some((key.to_owned(), self.nothing(properties?.get(key)?))))
                    .collect()
            }
            _ => Json::Null,
        }
    }

    /// A tagged enum's variant, by its `type`; any other object schema as it is.
    fn variant(&mut self, schema: &'a Json, table: &DeTable<'_>, span: &Range<usize>) -> Option<&'a Json> {
        let Some(variants) = schema.get("oneOf").and_then(Json::as_array) else { return Some(schema) };
        let tag = |variant: &'a Json| variant.pointer("/properties/type/const").and_then(Json::as_str);
        let Some((_, value)) = table.iter().find(|(key, _)| key.get_ref().as_ref() as &str == "type") else {
            let valid: Vec<&str> = variants.iter().filter_map(tag).collect();
            self.faults.add(span.clone(), format!("`type` is missing; one of {}", valid.join(", ")));
            return None;
        };
        let name = value.get_ref().as_str().unwrap_or_default();
        let found = variants.iter().find(|variant| tag(variant) == Some(name));
        if found.is_none() {
            self.unknown_word(name, variants.iter().filter_map(tag), value.span(), "type");
            let meant = nearest(name, variants.iter().filter_map(tag));
            return variants.iter().find(|variant| tag(variant) == meant);
        }
        found
    }

    /// The text itself, or the word that was probably meant.
    fn text(&mut self, schema: &'a Json, text: &str, span: Range<usize>, place: &str) -> String {
        let words: Vec<&str> = match (schema.get("enum"), schema.get("oneOf")) {
            (Some(Json::Array(words)), _) => words.iter().filter_map(Json::as_str).collect(),
            (_, Some(Json::Array(variants))) => {
                variants.iter().filter_map(|variant| variant.get("const").and_then(Json::as_str)).collect()
            }
            _ => return text.to_owned(),
        };
        if words.contains(&text) {
            return text.to_owned();
        }
        let meant = nearest(text, words.iter().copied()).or(words.first().copied()).unwrap_or_default().to_owned();
        self.unknown_word(text, words, span, place);
        meant
    }

    fn unknown_word<'w>(
        &mut self,
        word: &str,
        valid: impl IntoIterator<Item = &'w str>,
        span: Range<usize>,
        place: &str,
    ) {
        if LATER_VALUES.contains(&word) {
            self.faults.add(span, format!("{place} `{word}` is reserved for later: it is not built yet"));
        } else {
            self.faults.add(span, format!("`{word}` is no {place}{}", did_you_mean(word, valid)));
        }
    }

    /// The schema that speaks of values of this kind: references followed, alternatives chosen. `None`: wrong kind.
    fn choose(&self, schema: &'a Json, value: &DeValue<'_>) -> Option<&'a Json> {
        let schema = self.follow(schema);
        if let Some(alternatives) = schema.get("anyOf").and_then(Json::as_array) {
            let fitting = alternatives.iter().filter_map(|alternative| self.choose(alternative, value));
            let DeValue::Table(table) = value else { return fitting.into_iter().next() };
            // Several shapes of object: the one that knows most of the keys.
            return fitting.max_by_key(|schema| {
                let known = schema.get("properties").and_then(Json::as_object);
                table
                    .iter()
                    .filter(|(key, _)| known.is_some_and(|known| known.contains_key(key.get_ref().as_ref() as &str)))
                    .count()
            });
        }
        if let Some(variants) = schema.get("oneOf").and_then(Json::as_array) {
            return variants.iter().any(|variant| fits(variant, value)).then_some(schema);
        }
        fits(schema, value).then_some(schema)
    }

    fn follow(&self, schema: &'a Json) -> &'a Json {
        let target = schema.get("$ref").and_then(Json::as_str).and_then(|path| path.strip_prefix('#'));
        match target.and_then(|path| self.schema.pointer(path)) {
            Some(target) => self.follow(target),
            None => schema,
        }
    }

    fn wrong_kind(&mut self, schema: &'a Json, value: &Spanned<DeValue<'_>>, place: &str) {
        let mut wanted = Vec::new();
        self.kinds(schema, &mut wanted);
        let message = format!("`{place}` is {}, not {}", wanted.join(" or "), article(value.get_ref().type_str()));
        self.faults.add(value.span(), message);
    }

    fn kinds(&self, schema: &'a Json, kinds: &mut Vec<String>) {
        let schema = self.follow(schema);
        let alternatives = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Json::as_array);
        for alternative in alternatives.into_iter().flatten() {
            self.kinds(alternative, kinds);
        }
        let types = match schema.get("type") {
            Some(Json::String(kind)) => vec![kind.as_str()],
            Some(Json::Array(types)) => types.iter().filter_map(Json::as_str).collect(),
            _ => vec![],
        };
        for kind in types.into_iter().filter(|kind| *kind != "null") {
            let kind = article(kind);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
}

fn fits(schema: &Json, value: &DeValue<'_>) -> bool {
    let kind = match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "datetime",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    };
    let allows = |allowed: &str| allowed == kind || (allowed == "number" && kind == "integer");
    match schema.get("type") {
        Some(Json::String(allowed)) => allows(allowed),
        Some(Json::Array(types)) => types.iter().filter_map(Json::as_str).any(allows),
        _ => true,
    }
}

fn article(kind: &str) -> String {
    match kind {
        "string" => "text".into(),
        "integer" => "a whole number".into(),
        "number" | "float" => "a number".into(),
        "boolean" => "true or false".into(),
        "array" => "a list".into(),
        "object" | "table" => "a table".into(),
        other => format!("a {other}"),
    }
}

fn of(place: &str) -> String {
    if place.contains(' ') { place.to_owned() } else { format!("`{place}`") }
}
