//! The plan's JSON schema, and the tables of keys in `docs/plan.md` drawn from it.
use super::Plan;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// The JSON schema of a plan.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Plan).to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".into(), "A plan of dsfuzz".into());
    }
    schema
}

/// One Markdown table of keys for each map of a plan, the whole plan first.
pub fn markdown() -> String {
    let schema = schema();
    let mut text = String::new();
    table(&mut text, "The whole plan", &schema);
    let definitions = schema.get("$defs").and_then(Value::as_object);
    values(&mut text, definitions);
    for (name, definition) in definitions.into_iter().flatten() {
        if definition.get("properties").is_some() {
            table(&mut text, &title(name, definition), definition);
        } else if let Some(variants) = definition.get("oneOf").and_then(Value::as_array) {
            names(&mut text, &title(name, definition), variants);
        }
    }
    text
}

/// The written form of a type that is neither a map nor a choice of names.
fn values(text: &mut String, definitions: Option<&Map<String, Value>>) {
    let _ = writeln!(text, "### Values\n\n| value | is | |\n|---|---|---|");
    for (name, definition) in definitions.into_iter().flatten() {
        if definition.get("properties").is_none() && definition.get("oneOf").is_none() {
            let _ = writeln!(text, "| {name} | {} | {} |", kind(definition), doc(definition));
        }
    }
    text.push('\n');
}

fn title(name: &str, definition: &Value) -> String {
    format!("{name}: {}", doc(definition))
}

/// The first paragraph of a description, on one line.
fn doc(schema: &Value) -> String {
    let doc = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    doc.split("\n\n").next().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

fn table(text: &mut String, title: &str, schema: &Value) {
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let _ = writeln!(text, "### {title}\n\n| key | is | default | |\n|---|---|---|---|");
    for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let default = match property.get("default") {
            _ if required.contains(&key.as_str()) => "must be given".to_owned(),
            None | Some(Value::Null) => "left out".to_owned(),
            Some(Value::String(text)) if text.is_empty() => "left out".to_owned(),
            Some(Value::String(text)) => format!("`{text}`"),
            Some(Value::Object(map)) if !map.is_empty() => "see its own table".to_owned(),
            Some(other) => format!("`{other}`"),
        };
        let _ = writeln!(text, "| `{key}` | {} | {default} | {} |", kind(property), doc(property));
    }
    text.push('\n');
}

/// The variants of a one-key map.
fn names(text: &mut String, title: &str, variants: &[Value]) {
    let _ = writeln!(text, "### {title}\n\n| name | options | |\n|---|---|---|");
    for variant in variants {
        if let Some(properties) = variant.get("properties").and_then(Value::as_object) {
            for (name, options) in properties {
                let _ = writeln!(text, "| `{name}` | {} | {} |", kind(options), doc(variant));
            }
        } else {
            let plain = variant
                .get("const")
                .into_iter()
                .chain(variant.get("enum").and_then(Value::as_array).into_iter().flatten());
            for name in plain.filter_map(Value::as_str) {
                let _ = writeln!(text, "| `{name}` | none | {} |", doc(variant));
            }
        }
    }
    text.push('\n');
}

/// The type in a word or two.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        if let Some(kinds) = schema.get(several).and_then(Value::as_array) {
            let kinds: Vec<String> = kinds.iter().map(kind).filter(|kind| kind != "null").collect();
            return kinds.join(" or ");
        }
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
        _ => vec!["anything"],
    };
    let word = |kind: &&str| match *kind {
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => format!("list of {}", schema.get("items").map_or("anything".into(), self::kind)),
        "object" => schema
            .get("additionalProperties")
            .filter(|value| value.is_object())
            .map_or("map".into(), |value| format!("map to {}", self::kind(value))),
        other => other.to_owned(),
    };
    kinds.iter().map(word).collect::<Vec<_>>().join(" or ")
}
