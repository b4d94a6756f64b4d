//! The plan's JSON schema, and the tables of keys in `docs/plan.md` drawn from it.
use super::{CheckPlan, Plan};
use dsfuzz_checkers::{CHECKERS, OptionDoc};
use schemars::{JsonSchema as _, SchemaGenerator};
use serde_json::Value;
use std::collections::BTreeSet;
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
    // Options of checkers have a table of their own.
    let checkers = options_of_checkers();
    let definitions = schema.get("$defs").and_then(Value::as_object).into_iter().flatten();
    let definitions: Vec<(&String, &Value)> = definitions.filter(|(name, _)| !checkers.contains(*name)).collect();
    values(&mut text, &definitions);
    checks(&mut text);
    for (name, definition) in definitions {
        if name == &CheckPlan::schema_name() {
            continue;
        }
        if definition.get("properties").is_some() {
            table(&mut text, &title(name, definition), definition);
        } else if let Some(variants) = definition.get("oneOf").and_then(Value::as_array) {
            names(&mut text, &title(name, definition), variants);
        }
    }
    text
}

/// The names of the definitions of options of checkers.
fn options_of_checkers() -> BTreeSet<String> {
    let mut generator = SchemaGenerator::default();
    let references = CHECKERS.iter().map(|doc| (doc.options)(&mut generator).to_value());
    references.filter_map(|schema| Some(schema.get("$ref")?.as_str()?.rsplit('/').next()?.to_owned())).collect()
}

/// The options of every checker. `workload`, which all take, comes first and once.
fn checks(text: &mut String) {
    let _ = writeln!(text, "### CheckPlan: A checker: its name, or its name with its options.\n");
    let _ = writeln!(text, "| checker | option | is | default | |\n|---|---|---|---|---|");
    let mut all = None;
    for doc in CHECKERS {
        let (every, own): (Vec<OptionDoc>, Vec<OptionDoc>) =
            doc.option_docs().into_iter().partition(|option| option.name == "workload");
        let every =
            every.into_iter().filter(|_| all.replace(()).is_none()).map(|option| ("every checker".to_owned(), option));
        for (checker, option) in every.chain(own.into_iter().map(|option| (format!("`{}`", doc.name), option))) {
            let OptionDoc { name, takes, default, doc } = option;
            let default = default.map_or("left out".to_owned(), |default| format!("`{default}`"));
            let _ = writeln!(text, "| {checker} | `{name}` | {takes} | {default} | {doc} |");
        }
    }
    text.push('\n');
}

/// What is neither a map nor a choice of names: how it is written.
fn values(text: &mut String, definitions: &[(&String, &Value)]) {
    let _ = writeln!(text, "### Values\n\n| value | is | |\n|---|---|---|");
    for (name, definition) in definitions {
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
