//! The JSON Schema (draft-07) made from the types: for editors, for the checker, and for the
//! reference.
//!
//! Two keywords of ours tell the checker and the merger what JSON Schema has no word for:
//! `x-holdfast-merge-key` on an array of tables names the key that tells its entries apart, and
//! `format` names a row of [`FORMATS`](super::types::FORMATS).

use std::sync::LazyLock;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::schema::Profile;

/// Names the key by which the entries of an array of tables are merged.
pub(crate) const MERGE_KEY: &str = "x-holdfast-merge-key";

/// The key by which an entry drops the one it inherits.
pub(crate) const REMOVE: &str = "remove";

/// As it is committed, which a test holds to what the types say: to read it costs each command a fraction of what it costs
/// to make it.
const COMMITTED: &str = include_str!("../../docs/profile.schema.json");

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    // Tests make it, or they would hold what is committed to itself.
    let committed = if cfg!(test) { None } else { serde_json::from_str(COMMITTED).ok() };
    committed.unwrap_or_else(|| schema_of::<Profile>("holdfast profile"))
});

/// The schema as a value.
pub(crate) fn schema() -> &'static Value {
    &SCHEMA
}

/// The schema as text, as it is committed in `docs/profile.schema.json`.
pub fn schema_json() -> String {
    format!("{:#}\n", *SCHEMA)
}

/// The schema of any type of document.
pub(crate) fn schema_of<T: JsonSchema>(title: &str) -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let mut schema: Value = settings.into_generator().into_root_schema_for::<T>().into();
    tidy(&mut schema);
    if let Value::Object(root) = &mut schema {
        root.insert("title".into(), title.into());
    }
    sort(&mut schema);
    schema
}

/// Keys in one order, whether or not some crate of this build asks `serde_json` to keep theirs.
fn sort(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(sort);
            let mut entries: Vec<_> = std::mem::take(map).into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            *map = entries.into_iter().collect();
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        _ => {}
    }
}

fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            drop_null(map);
            bound_integers(map);
            unwrap_doc_lines(map);
            map.values_mut().for_each(tidy);
            allow_removal(map);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// TOML has no null: an `Option` is a key that may be absent, nothing more.
fn drop_null(map: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            map.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(any)) = map.get_mut("anyOf") {
        any.retain(|each| each.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = &any[..] {
            let only = only.clone();
            map.remove("anyOf");
            for (key, value) in only {
                map.entry(key).or_insert(value);
            }
        }
    }
    if map.get("default").is_some_and(Value::is_null) {
        map.remove("default");
    }
}

/// schemars leaves the upper bound of a `u32` to its `format`.
fn bound_integers(map: &mut Map<String, Value>) {
    if map.get("format").is_some_and(|format| format == "uint32") {
        map.remove("format");
        map.entry("maximum").or_insert_with(|| u32::MAX.into());
    }
}

/// Line breaks of doc comments mean nothing; paragraphs do.
fn unwrap_doc_lines(map: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = map.get_mut("description") {
        let paragraphs: Vec<_> = text.split("\n\n").map(|each| each.replace('\n', " ")).collect();
        *text = paragraphs.join("\n\n");
    }
}

/// Lets an entry of a merged array say `remove = true` instead of what is otherwise required.
fn allow_removal(map: &mut Map<String, Value>) {
    let Some(Value::String(key)) = map.get(MERGE_KEY).cloned() else {
        return;
    };
    let Some(Value::Object(items)) = map.get_mut("items") else {
        return;
    };
    if let Some(Value::Object(properties)) = items.get_mut("properties") {
        properties.insert(
            REMOVE.into(),
            json!({
                "type": "boolean",
                "default": false,
                "description": format!("`true` drops the entry of the same `{key}` that is inherited through `extends`; nothing else but `{key}` is said then."),
            }),
        );
    }
    let required = items.insert("required".into(), json!([key])).unwrap_or_else(|| json!([]));
    items.insert(
        "if".into(),
        json!({"properties": {REMOVE: {"const": true}}, "required": [REMOVE]}),
    );
    items.insert("then".into(), json!({}));
    items.insert("else".into(), json!({"required": required}));
}

/// The keys a table must have.
pub(crate) fn required(schema: &Value) -> impl Iterator<Item = &str> {
    // For entries that may be removed, all of them stand under `else`.
    let list = schema.pointer("/else/required").or_else(|| schema.get("required"));
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The words a value may be, with what each means.
pub(crate) fn choices(schema: &Value) -> Vec<(&str, Option<&str>)> {
    let plain = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let mut out: Vec<_> = plain.filter_map(Value::as_str).map(|word| (word, None)).collect();
    for each in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        let description = each.get("description").and_then(Value::as_str);
        if let Some(word) = each.get("const").and_then(Value::as_str) {
            out.push((word, description));
        }
        let words = each.get("enum").and_then(Value::as_array).into_iter().flatten();
        out.extend(words.filter_map(Value::as_str).map(|word| (word, description)));
    }
    out
}

/// The schema of the values of a table whose keys are free.
pub(crate) fn free_values(schema: &Value) -> Option<&Value> {
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    schema
        .get("additionalProperties")
        .filter(|values| values.is_object())
        .or_else(|| patterns.and_then(|patterns| patterns.values().next()))
}

/// The format of the keys of a table whose keys are free.
pub(crate) fn key_format(schema: &Value) -> Option<&str> {
    schema.pointer("/propertyNames/format").and_then(Value::as_str)
}
