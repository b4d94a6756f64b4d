//! Replies of a server as values of the client protocol: every element is an integer.
use dsfuzz_client::CallError;
use redis::Value;
use serde_json::Value as Json;

/// An integer, which the server may return as a text; nothing is null.
pub(crate) fn integer_or_null(reply: &Value) -> Result<Json, CallError> {
    match reply {
        Value::Nil => Ok(Json::Null),
        reply => integer(reply).map(Json::from),
    }
}

/// An integer, which the server may return as a text.
pub(crate) fn integer(reply: &Value) -> Result<i64, CallError> {
    let number = match reply {
        Value::Int(number) => Some(*number),
        reply => text(reply).and_then(|text| text.parse().ok()),
    };
    number.ok_or_else(|| unexpected(reply, "an integer"))
}

/// All integers of a list.
pub(crate) fn integers(reply: &Value) -> Result<Vec<i64>, CallError> {
    list(reply)?.iter().map(integer).collect()
}

/// The entries of a list.
pub(crate) fn list(reply: &Value) -> Result<&[Value], CallError> {
    match reply {
        Value::Array(entries) | Value::Set(entries) => Ok(entries),
        reply => Err(unexpected(reply, "a list")),
    }
}

/// A text.
pub(crate) fn text(reply: &Value) -> Option<&str> {
    match reply {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        Value::Okay => Some("OK"),
        _ => None,
    }
}

/// A reply of another form than the command has. The command was carried out.
pub(crate) fn unexpected(reply: &Value, expected: &str) -> CallError {
    CallError::info("unknown", format!("{expected} was expected, and this came: {reply:?}"))
}

/// An integer of a call.
pub(crate) fn argument(value: &Json) -> Result<i64, CallError> {
    value.as_i64().ok_or_else(|| CallError::fail("malformed", format!("{value} is not an integer")))
}
