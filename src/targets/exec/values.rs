//! Values in the lines of a client: from JSON, and their types in words. Pure.
//!
//! JSON has one type of numbers: `2`, `2.0` and `2e0` are the same integer. A number with a decimal point counts as an integer
//! only below 2^53, where no digit can be lost.
use dsfuzz_checkers::Value;
use serde_json::Value as Json;
use std::sync::Arc;

/// From here on, two integers may share a form with a decimal point.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The value of a JSON text.
pub(super) fn from_json(json: &Json) -> Value {
    match json {
        Json::Array(items) => Value::list(items.iter().map(from_json)),
        Json::Object(entries) => {
            Value::Map(entries.iter().map(|(name, value)| (Arc::from(name.as_str()), from_json(value))).collect())
        }
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Int(integer),
            (None, Some(real)) if real.fract() == 0.0 && real.abs() < EXACT_MAX => Value::Int(real as i64),
            // Not an integer of 64 bits: kept in its written form for the error.
            _ => Value::text(&number.to_string()),
        },
        _ => plain(json),
    }
}

fn plain(json: &Json) -> Value {
    serde_json::from_value(json.clone()).unwrap_or_default()
}

/// A value that is not an integer, with its type, as the end of a sentence.
pub(super) fn mistyped(value: &Value, verb: &str) -> String {
    let kind = match value {
        Value::Nil => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Int(_) => "an integer",
        Value::Text(text) if text.parse::<f64>().is_ok() && text.contains(['.', 'e', 'E']) => {
            return format!("{text}, a number with a fraction, and only integers were {verb}");
        }
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "an object",
    };
    format!("{}, {kind}, and only integers were {verb}", super::super::node_commands::head(&value.to_string()))
}
