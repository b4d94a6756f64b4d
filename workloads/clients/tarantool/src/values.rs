//! Values of the client protocol (JSON) and of Tarantool (MessagePack). Every element is an integer.
use dsfuzz_client::CallError;
use rmpv::Value;
use serde_json::Value as Json;

/// A value of a call, for a script.
pub(crate) fn to_script(value: &Json) -> Value {
    match value {
        Json::Null => Value::Nil,
        Json::Bool(truth) => Value::Boolean(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            _ => Value::F64(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(entries) => Value::Array(entries.iter().map(to_script).collect()),
        Json::Object(fields) => {
            Value::Map(fields.iter().map(|(name, value)| (name.as_str().into(), to_script(value))).collect())
        }
    }
}

/// A value that a script returned.
pub(crate) fn from_script(value: &Value) -> Result<Json, CallError> {
    let unexpected = || CallError::info("unknown", format!("a reply of no known form: {value}"));
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Boolean(truth) => Json::Bool(*truth),
        Value::Integer(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            _ => return Err(unexpected()),
        },
        Value::String(text) => text.as_str().ok_or_else(unexpected)?.into(),
        Value::Array(entries) => entries.iter().map(from_script).collect::<Result<Vec<_>, _>>()?.into(),
        _ => return Err(unexpected()),
    })
}

/// An integer of a call.
pub(crate) fn integer(value: &Json) -> Result<i64, CallError> {
    value.as_i64().ok_or_else(|| CallError::fail("malformed", format!("{value} is not an integer")))
}
