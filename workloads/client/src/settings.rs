//! What the settings of clients have in common. Templates of a recipe write texts, so numbers and truth values may be texts, and an
//! empty text means that nothing is set.
use crate::{CallError, Init};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde_json::Value;

/// Those of a recipe; an error names what is wrong with them.
pub fn read<T: DeserializeOwned>(init: &Init) -> Result<T, CallError> {
    serde_json::from_value(init.settings.clone())
        .map_err(|error| CallError::fail("malformed", format!("settings: {error}")))
}

/// The port of this name; an error names those that there are.
pub fn port(init: &Init, name: &str) -> Result<u16, CallError> {
    init.ports.get(name).copied().ok_or_else(|| {
        let known: Vec<&str> = init.ports.keys().map(String::as_str).collect();
        let text = format!("settings: no port `{name}` of {}; there are {}", init.node, known.join(", "));
        CallError::fail("malformed", text)
    })
}

/// Which reads are answered by replicas too: `false`, `true`, or `final`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaReads {
    /// None.
    None,
    /// Those after the load, when the replicas are in step.
    Final,
    /// All.
    All,
}

impl<'de> Deserialize<'de> for ReplicaReads {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<ReplicaReads, D::Error> {
        let value = Value::deserialize(from)?;
        match as_truth(&value) {
            Some(true) => Ok(ReplicaReads::All),
            Some(false) => Ok(ReplicaReads::None),
            None if value == "final" => Ok(ReplicaReads::Final),
            None => Err(D::Error::custom(format!("{value} is not true, false or final"))),
        }
    }
}

/// For `deserialize_with`: a number from 0 on, or a text of one.
pub fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(from)?;
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    number.ok_or_else(|| D::Error::custom(format!("{value} is not a number from 0 on")))
}

/// For `deserialize_with`: a truth value, or a text of one.
pub fn truth<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(from)?;
    as_truth(&value).ok_or_else(|| D::Error::custom(format!("{value} is not true or false")))
}

/// For `deserialize_with`: a text; none if it is empty.
pub fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

fn as_truth(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.trim().parse().ok())
}
