//! [`OptionDoc`]: an option of a recipe, and the values that it takes.
use regex_lite::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Number, Value, json};
use std::borrow::Cow;

/// An option of the target or its clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptionDoc {
    /// What it is where the plan says nothing; a plan's value must be of the same type.
    pub default: Value,
    /// One sentence.
    pub doc: String,
    /// The only values allowed, if given.
    #[serde(default)]
    pub choices: Vec<Value>,
    /// The least number that it takes: a number, a text that may use options and nodes, or a list of them, all of which hold.
    #[serde(default, skip_serializing_if = "Bounds::is_empty")]
    pub at_least: Bounds,
    /// The greatest number that it takes, such as `"{{ nodes | length }}"`.
    #[serde(default, skip_serializing_if = "Bounds::is_empty")]
    pub at_most: Bounds,
    /// A regular expression that fits somewhere in the texts that it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
    /// Its value is a secret: it is redacted in everything that a run leaves behind.
    #[serde(default)]
    pub secret: bool,
}

/// Limits of a number on one side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds(Vec<Bound>);

/// A limit of a number.
#[derive(Clone, Debug, PartialEq)]
enum Bound {
    /// The same in every plan.
    Fixed(Number),
    /// A text that is a number once options and nodes are filled in.
    OfPlan(String),
}

impl Bounds {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that are the same in every plan.
    fn fixed(&self) -> impl Iterator<Item = f64> {
        self.0.iter().filter_map(|bound| match bound {
            Bound::Fixed(number) => number.as_f64(),
            Bound::OfPlan(_) => None,
        })
    }

    /// Those that depend on the plan, as the recipe has them.
    fn of_plan(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|bound| match bound {
            Bound::Fixed(_) => None,
            Bound::OfPlan(text) => Some(text.as_str()),
        })
    }

    fn of(value: &Value) -> Option<Bounds> {
        let one = |value: &Value| match value {
            Value::Number(number) => Some(Bound::Fixed(number.clone())),
            Value::String(text) => Some(Bound::OfPlan(text.clone())),
            _ => None,
        };
        match value {
            Value::Array(all) => all.iter().map(one).collect::<Option<_>>().map(Bounds),
            single => one(single).map(|bound| Bounds(vec![bound])),
        }
    }
}

impl Serialize for Bounds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let one = |bound: &Bound| match bound {
            Bound::Fixed(number) => Value::Number(number.clone()),
            Bound::OfPlan(text) => Value::String(text.clone()),
        };
        match self.0.as_slice() {
            [single] => one(single).serialize(serializer),
            all => serializer.collect_seq(all.iter().map(one)),
        }
    }
}

impl<'de> Deserialize<'de> for Bounds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bounds, D::Error> {
        let expected = "a number, a text such as \"{{ nodes | length }}\" or a list of them is expected";
        Bounds::of(&Value::deserialize(deserializer)?).ok_or_else(|| D::Error::custom(expected))
    }
}

impl JsonSchema for Bounds {
    fn schema_name() -> Cow<'static, str> {
        "Bounds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["number", "string", "array"], "items": {"type": ["number", "string"]}})
    }
}

/// A text of a bound in words: `{{ options.tick_ms * 2 }}` is `tick_ms * 2`.
fn in_words(template: &str) -> String {
    let inner = template.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
    let nodes = "the number of nodes";
    inner.replace("options.", "").replace("(nodes | length)", nodes).replace("nodes | length", nodes)
}

impl OptionDoc {
    /// The values that it takes, in words.
    pub fn takes(&self) -> String {
        match self.choices.split_last() {
            Some((last, [])) => value_text(last),
            Some((last, others)) => {
                format!("{} or {}", others.iter().map(value_text).collect::<Vec<_>>().join(", "), value_text(last))
            }
            None => match &self.default {
                Value::Bool(_) => "true or false".to_owned(),
                Value::Number(number) => self.numbers(if number.is_f64() { "a number" } else { "a whole number" }),
                _ => match &self.matches {
                    Some(pattern) => format!("a text that matches `{pattern}`"),
                    None => "a text".to_owned(),
                },
            },
        }
    }

    /// The numbers that it takes.
    fn numbers(&self, kind: &str) -> String {
        let mut words = match (self.least(), self.most()) {
            (Some(least), Some(most)) => format!("{kind} from {least} to {most}"),
            (Some(least), None) => format!("{kind} of at least {least}"),
            (None, Some(most)) => format!("{kind} of at most {most}"),
            (None, None) => kind.to_owned(),
        };
        for (side, bounds) in [("at least", &self.at_least), ("at most", &self.at_most)] {
            bounds.of_plan().for_each(|text| words += &format!(", {side} {}", in_words(text)));
        }
        words
    }

    /// The least number that any plan may have.
    fn least(&self) -> Option<f64> {
        self.at_least.fixed().reduce(f64::max)
    }

    /// The greatest number that any plan may have.
    fn most(&self) -> Option<f64> {
        self.at_most.fixed().reduce(f64::min)
    }

    /// Whether it takes this value, whatever else the plan says ([`OptionDoc::beyond`]).
    pub fn accepts(&self, value: &Value) -> bool {
        let same_type = match (&self.default, value) {
            (Value::Number(default), Value::Number(number)) => default.is_f64() || !number.is_f64(),
            (default, value) => std::mem::discriminant(default) == std::mem::discriminant(value),
        };
        let fits = match value {
            Value::Number(number) => number.as_f64().is_none_or(|number| {
                self.least().is_none_or(|least| number >= least) && self.most().is_none_or(|most| number <= most)
            }),
            Value::String(text) => self.matches.as_deref().is_none_or(|pattern| {
                // `mistake` has refused other patterns.
                Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
            }),
            _ => true,
        };
        same_type && fits && (self.choices.is_empty() || self.choices.contains(value))
    }

    /// The bound of the plan that a number is beyond, in words. `fill` fills options and nodes into a text.
    pub fn beyond<E>(&self, value: &Value, fill: impl Fn(&str, &str) -> Result<f64, E>) -> Result<Option<String>, E> {
        let Some(number) = value.as_f64() else { return Ok(None) };
        for text in self.at_least.of_plan() {
            let least = fill("at_least", text)?;
            if number < least {
                return Ok(Some(format!("less than {least} ({})", in_words(text))));
            }
        }
        for text in self.at_most.of_plan() {
            let most = fill("at_most", text)?;
            if number > most {
                return Ok(Some(format!("more than {most} ({})", in_words(text))));
            }
        }
        Ok(None)
    }

    /// Rules that the types do not express: the key and its mistake.
    pub(super) fn mistake(&self) -> Option<(&'static str, String)> {
        let wrong = |key, message: &str| Some((key, message.to_owned()));
        if self.default.is_object() || self.default.is_array() || self.default.is_null() {
            return wrong("default", "must be a text, a number or a boolean");
        }
        for (key, bounds) in [("at_least", &self.at_least), ("at_most", &self.at_most)] {
            if !bounds.is_empty() && !self.default.is_number() {
                return wrong(key, "only a number has bounds, and the default is none");
            }
        }
        if let Some(pattern) = &self.matches {
            if !self.default.is_string() {
                return wrong("matches", "only a text has a pattern, and the default is none");
            }
            if let Err(error) = Regex::new(pattern) {
                return Some(("matches", error.to_string()));
            }
        }
        (!self.accepts(&self.default)).then(|| ("default", format!("{} is not {}", self.default, self.takes())))
    }

    /// Its JSON schema.
    pub fn schema(&self) -> Value {
        let mut schema = json!({"description": self.doc.trim(), "default": self.default});
        if !self.choices.is_empty() {
            schema["enum"] = self.choices.clone().into();
            return schema;
        }
        schema["type"] = match &self.default {
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            _ => "string",
        }
        .into();
        // A whole number without a fraction.
        let plain = |number: f64| if number.fract() == 0.0 { json!(number as i64) } else { json!(number) };
        let bounds = [("minimum", self.least().map(plain)), ("maximum", self.most().map(plain))];
        let bounds = bounds.into_iter().chain([("pattern", self.matches.clone().map(Value::from))]);
        bounds.for_each(|(key, bound)| {
            if let Some(bound) = bound {
                schema[key] = bound;
            }
        });
        schema
    }

    /// The value of a text on the command line: of the type of the default, if the text is one.
    pub fn read(&self, text: &str) -> Value {
        let plain = || text.to_owned().into();
        match self.default {
            Value::Bool(_) | Value::Number(_) => serde_json::from_str(text).unwrap_or_else(|_| plain()),
            _ => plain(),
        }
    }

    /// Its default as it stands in a plan; none for an empty text.
    pub fn default_text(&self) -> Option<String> {
        Some(value_text(&self.default)).filter(|text| !text.is_empty())
    }
}

/// A value of an option as it stands in a plan.
fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(text: &str) -> OptionDoc {
        crate::document::read_yaml("option", text).expect("an option")
    }

    #[test]
    fn the_values_that_an_option_takes_are_said_in_words_and_in_its_schema() {
        for (text, takes) in [
            ("{default: 7, doc: d}", "a whole number"),
            ("{default: 7, doc: d, at_least: 1}", "a whole number of at least 1"),
            ("{default: 7, doc: d, at_most: 9}", "a whole number of at most 9"),
            ("{default: 0.5, doc: d, at_least: 0, at_most: 1.5}", "a number from 0 to 1.5"),
            (
                "{default: 3, doc: d, at_least: 1, at_most: [5, '{{ nodes | length }}']}",
                "a whole number from 1 to 5, at most the number of nodes",
            ),
            ("{default: 3, doc: d, at_least: '{{ options.tick_ms * 2 }}'}", "a whole number, at least tick_ms * 2"),
            ("{default: x, doc: d, matches: '^.+$'}", "a text that matches `^.+$`"),
            ("{default: x, doc: d, choices: [x, y]}", "x or y"),
        ] {
            assert_eq!(option(text).takes(), takes, "{text}");
        }
        let schema = option("{default: 3, doc: d, at_least: 1, at_most: [5, '{{ nodes | length }}']}").schema();
        assert_eq!((&schema["minimum"], &schema["maximum"]), (&json!(1), &json!(5)));
        assert_eq!(option("{default: x, doc: d, matches: '^.+$'}").schema()["pattern"], "^.+$");
    }

    #[test]
    fn a_value_beyond_a_bound_is_refused_and_the_bound_itself_is_taken() {
        let port = option("{default: 7, doc: d, at_least: 1, at_most: 9}");
        let taken = [-5, 0, 1, 9, 10].map(|number| port.accepts(&json!(number)));
        assert_eq!(taken, [false, false, true, true, false]);
        let name = option("{default: x, doc: d, matches: '^[a-z]+$'}");
        assert!(name.accepts(&json!("abc")) && !name.accepts(&json!("")) && !name.accepts(&json!("a b")));
        let replicas = option("{default: 1, doc: d, at_least: '{{ options.x }}', at_most: '{{ nodes | length }}'}");
        let fill = |key: &str, _: &str| Ok::<f64, ()>(if key == "at_least" { 1.0 } else { 3.0 });
        assert_eq!(replicas.beyond(&json!(3), fill), Ok(None));
        assert_eq!(replicas.beyond(&json!(4), fill), Ok(Some("more than 3 (the number of nodes)".to_owned())));
        assert_eq!(replicas.beyond(&json!(0), fill), Ok(Some("less than 1 (x)".to_owned())));
    }
}
