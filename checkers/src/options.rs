//! Options of checkers: [`Options`] holds what a user set; a checker reads its typed struct from them through [`Given`]. Lists,
//! help and schemas are derived from that struct ([`OptionDoc`]).
use crate::value::Value;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Map;
use std::collections::BTreeMap;
use std::fmt;

/// What a user sets of a checker, by name. Everything has a default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options(pub BTreeMap<String, Value>);

impl Options {
    /// A text, if it is set.
    pub fn text(&self, name: &str) -> Result<Option<&str>, OptionError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(OptionError::wrong(name, format!("{name} takes a text, not {other}"))),
        }
    }
}

/// An option that a checker does not take, or a value that the option does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The option's name.
    pub option: String,
    /// A sentence without its full stop: it names the option, the value and what the option takes.
    pub message: String,
    /// The options that there are, where this is none of them.
    pub known: Option<Vec<String>>,
}

impl OptionError {
    /// A value that this option does not take.
    pub(crate) fn wrong(option: &str, message: impl Into<String>) -> OptionError {
        OptionError { option: option.to_owned(), message: message.into(), known: None }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for OptionError {}

impl From<OptionError> for String {
    fn from(error: OptionError) -> String {
        error.message
    }
}

/// What a checker is built from.
#[derive(Clone, Debug)]
pub struct Given {
    checker: &'static str,
    options: Options,
    /// The one workload that is judged. A checker that looks for it itself takes it out; for all others the history is
    /// restricted to it.
    pub workload: Option<String>,
}

/// The option that every checker takes.
pub(crate) const WORKLOAD: &str = "workload";

impl Given {
    pub(crate) fn new(checker: &'static str, options: &Options) -> Result<Given, OptionError> {
        let workload = options.text(WORKLOAD)?.map(str::to_owned);
        let mut options = options.clone();
        options.0.remove(WORKLOAD);
        Ok(Given { checker, options, workload })
    }

    /// The typed options. The error names the option, the value and what it takes.
    pub(crate) fn read<O: DeserializeOwned + JsonSchema + Default>(&self) -> Result<O, OptionError> {
        if self.options.0.is_empty() {
            return Ok(O::default());
        }
        let docs = docs(schema::<O>);
        let mut given = Map::new();
        for (name, value) in &self.options.0 {
            let (option, value) = match (in_milliseconds(&docs, name), with_hyphens(&docs, name)) {
                (Some(option), _) => (option.to_owned(), milliseconds(value)),
                (None, Some(option)) => (option.to_owned(), value.clone()),
                (None, None) => (name.clone(), value.clone()),
            };
            if docs.iter().all(|doc| doc.name != option) {
                let known: Vec<String> = docs.into_iter().map(|doc| doc.name).collect();
                let message = format!("{} has no option {name} (it has: {})", self.checker, known.join(", "));
                return Err(OptionError { option: name.clone(), message, known: Some(known) });
            }
            let value = serde_json::to_value(&value).unwrap_or_default();
            if given.insert(option.clone(), value).is_some() {
                return Err(OptionError::wrong(name, format!("{option} and {name} are one option: it is set twice")));
            }
        }
        let read = |given| serde_json::from_value::<O>(serde_json::Value::Object(given));
        read(given.clone()).map_err(|error| {
            let alone = |(name, value): &(&String, &serde_json::Value)| {
                read(Map::from_iter([((*name).clone(), (*value).clone())])).is_err()
            };
            let Some((name, value)) = given.iter().find(alone) else {
                return OptionError::wrong("", format!("{}: {error}", self.checker));
            };
            let takes = docs.iter().find(|doc| doc.name == *name).map_or("something else", |doc| &doc.takes);
            let value = Value::deserialize(value).unwrap_or_default();
            OptionError::wrong(name, format!("{name} takes {takes}, not {value}"))
        })
    }
}

/// The duration that had this name while durations were integers of milliseconds: `wait` of `wait_ms`.
pub(crate) fn in_milliseconds<'d>(docs: &'d [OptionDoc], name: &str) -> Option<&'d str> {
    let stem = name.replace("_ms", "");
    let doc = docs.iter().find(|doc| stem != name && doc.name == stem && doc.takes == DURATION)?;
    Some(&doc.name)
}

/// The option that had this name while some names had hyphens: `exactly_once` of `exactly-once`.
pub(crate) fn with_hyphens<'d>(docs: &'d [OptionDoc], name: &str) -> Option<&'d str> {
    let doc = docs.iter().find(|doc| doc.name != name && doc.name == name.replace('-', "_"))?;
    Some(&doc.name)
}

/// An integer of milliseconds as a duration.
fn milliseconds(value: &Value) -> Value {
    value.as_int().map_or_else(|| value.clone(), |number| Value::text(&format!("{number}ms")))
}

/// Options of a checker that has none of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NoOptions {}

/// An option in lists.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OptionDoc {
    /// Its name in plans.
    pub name: String,
    /// What it takes, in words.
    pub takes: String,
    /// Its default, where it has one that can be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What it means, in one or two sentences.
    pub doc: String,
}

/// What a duration takes, in words, as its schema has it.
const DURATION: &str = "a duration such as 500ms, 5s or 1h30m";

impl fmt::Display for OptionDoc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.takes)?;
        let default = self.default.as_ref().map(|default| format!(", by default {default}"));
        write!(f, "{}. {}", default.unwrap_or_default(), self.doc)
    }
}

/// The schema of a checker's options: a definition of the generator, `workload` among its properties.
pub(crate) fn schema<O: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let reference = generator.subschema_for::<O>();
    let name = reference.get("$ref").and_then(|name| name.as_str()?.rsplit('/').next());
    let definition = name.and_then(|name| generator.definitions_mut().get_mut(name));
    if let Some(definition) = definition.and_then(serde_json::Value::as_object_mut) {
        let properties = definition.entry("properties").or_insert_with(|| serde_json::Value::Object(Map::new()));
        let workload = json_schema!({
            "description": "The one workload that is judged. Left out: all.",
            "type": ["string", "null"],
            "default": null
        });
        if let Some(properties) = properties.as_object_mut() {
            properties.insert(WORKLOAD.to_owned(), workload.to_value());
        }
    }
    reference
}

/// The options of a schema, in their order there.
pub(crate) fn docs(schema: fn(&mut SchemaGenerator) -> Schema) -> Vec<OptionDoc> {
    let mut generator = SchemaGenerator::default();
    let schema = schema(&mut generator).to_value();
    let definitions = generator.definitions();
    let properties = resolved(&schema, definitions).get("properties").and_then(serde_json::Value::as_object);
    let doc = |(name, property): (&String, &serde_json::Value)| {
        let description = |schema: &serde_json::Value| Some(schema.get("description")?.as_str()?.replace('\n', " "));
        let doc = description(property).or_else(|| description(resolved(property, definitions)));
        let default = property.get("default").filter(|default| !default.is_null());
        let default = default.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        OptionDoc { name: name.clone(), takes: words(property, definitions), default, doc: doc.unwrap_or_default() }
    };
    properties.into_iter().flatten().map(doc).collect()
}

/// The schema that a reference means.
fn resolved<'s>(
    schema: &'s serde_json::Value,
    definitions: &'s Map<String, serde_json::Value>,
) -> &'s serde_json::Value {
    let name = schema.get("$ref").and_then(|name| name.as_str()?.rsplit('/').next());
    name.and_then(|name| definitions.get(name)).unwrap_or(schema)
}

/// What a schema takes, in words.
fn words(schema: &serde_json::Value, definitions: &Map<String, serde_json::Value>) -> String {
    let schema = resolved(schema, definitions);
    if let Some(title) = schema.get("title").and_then(|title| title.as_str()) {
        return title.to_owned();
    }
    let list = |key: &str| schema.get(key).and_then(|list| list.as_array());
    if let Some(value) = schema.get("const").and_then(|value| value.as_str()) {
        return value.to_owned();
    }
    if let Some(names) = list("enum") {
        return either(names.iter().filter_map(|name| name.as_str()).map(str::to_owned).collect());
    }
    if let Some(kinds) = list("oneOf").or_else(|| list("anyOf")) {
        let null = |kind: &&serde_json::Value| kind.get("type").is_none_or(|kind| kind != "null");
        return either(kinds.iter().filter(null).map(|kind| words(kind, definitions)).collect());
    }
    let kind = schema.get("type");
    let kinds = kind.and_then(|kind| kind.as_array().cloned()).unwrap_or_else(|| kind.cloned().into_iter().collect());
    let kind = kinds.iter().filter_map(|kind| kind.as_str()).find(|kind| *kind != "null");
    let bound = |key: &str| schema.get(key).and_then(|bound| bound.as_i64());
    match (kind, bound("minimum"), bound("maximum")) {
        (Some("boolean"), ..) => "true or false".to_owned(),
        (Some("string"), ..) => "a text".to_owned(),
        (Some("integer"), Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
        (Some("integer"), Some(least), None) => format!("a whole number from {least} up"),
        (Some("integer"), ..) => "a whole number".to_owned(),
        _ => "any value".to_owned(),
    }
}

/// `a, b or c`.
pub(crate) fn either(mut words: Vec<String>) -> String {
    match (words.pop(), words.is_empty()) {
        (Some(last), false) => format!("{} or {last}", words.join(", ")),
        (last, _) => last.unwrap_or_default(),
    }
}
