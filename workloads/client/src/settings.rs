//! What a recipe says to a client (`settings`), read into the client's own type. Every mistake names the setting and what it takes.
//!
//! Templates of a recipe write texts, so numbers and truth values may be texts, and an empty text means that nothing is set.
use crate::tree::{self, Mistake, PathStep, Problem};
use crate::{CallError, Init};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde_json::Value;

/// Those of a recipe.
///
/// # Errors
/// The first mistake.
pub fn read<T: DeserializeOwned>(init: &Init) -> Result<T, CallError> {
    of(&init.settings)
}

/// Those of a value, such as `init.settings`.
///
/// # Errors
/// The first mistake.
pub fn of<T: DeserializeOwned>(said: &Value) -> Result<T, CallError> {
    let mut said = said.clone();
    if let Some(settings) = said.as_object_mut() {
        settings.retain(|_, value| value.as_str().is_none_or(|text| !text.trim().is_empty()));
    }
    tree::read(&said).map_err(wrong)
}

/// The mistake of a setting that its type does not express: its keys below `settings`, and a sentence.
pub fn mistake(path: &[&str], message: impl Into<String>) -> CallError {
    let path = path.iter().map(|key| PathStep::Key((*key).to_owned())).collect();
    wrong(Mistake { path, what: Problem::Other { message: message.into(), help: None } })
}

fn wrong(mistake: Mistake) -> CallError {
    CallError::fail("malformed", mistake.under(PathStep::Key("settings".to_owned())))
}

/// The port of this name; an error names those that there are.
///
/// # Errors
/// No port has the name.
pub fn port(init: &Init, name: &str) -> Result<u16, CallError> {
    init.ports.get(name).copied().ok_or_else(|| {
        let known: Vec<&str> = init.ports.keys().map(String::as_str).collect();
        mistake(&["port"], format!("no port of {} is named {name}; there are {}", init.node, known.join(", ")))
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

/// For `deserialize_with`: a whole number of this type, or a text of one.
///
/// # Errors
/// It is none, or the type does not hold it.
pub fn number<'de, D: Deserializer<'de>, N: WholeNumber>(from: D) -> Result<N, D::Error> {
    let value = Value::deserialize(from)?;
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    let held = number.and_then(|number| N::try_from(number).ok());
    held.ok_or_else(|| match N::MOST {
        None => D::Error::custom(format!("{value} is not a whole number from 0 up")),
        Some(most) => D::Error::custom(format!("{value} is not a whole number from 0 to {most}")),
    })
}

/// A type of whole numbers in settings.
pub trait WholeNumber: TryFrom<u64> {
    /// The greatest, where it is worth saying.
    const MOST: Option<u64>;
}

impl WholeNumber for u16 {
    const MOST: Option<u64> = Some(u16::MAX as u64);
}

impl WholeNumber for u32 {
    const MOST: Option<u64> = Some(u32::MAX as u64);
}

impl WholeNumber for u64 {
    const MOST: Option<u64> = None;
}

/// For `deserialize_with`: a truth value, or a text of one.
///
/// # Errors
/// It is none.
pub fn truth<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(from)?;
    as_truth(&value).ok_or_else(|| D::Error::custom(format!("{value} is not true or false")))
}

/// The truth value in a value, if it is one or a text of one, in small or large letters.
pub fn as_truth(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.trim().to_ascii_lowercase().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Storage {
        File,
        Memory,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        storage: Storage,
        #[serde(deserialize_with = "number")]
        heartbeat: u16,
        #[serde(deserialize_with = "number")]
        wait: u64,
        #[serde(deserialize_with = "truth")]
        confirm: bool,
        replicas: ReplicaReads,
        user: Option<String>,
        requests: Vec<Request>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Request {
        path: String,
    }

    impl Default for Settings {
        fn default() -> Settings {
            Settings {
                storage: Storage::File,
                heartbeat: 5,
                wait: 0,
                confirm: true,
                replicas: ReplicaReads::None,
                user: None,
                requests: Vec::new(),
            }
        }
    }

    #[test]
    fn texts_of_templates_are_numbers_and_truth_values_and_empty_ones_are_left_out() {
        let said =
            json!({"heartbeat": "7", "wait": 2, "confirm": "False", "replicas": "final", "user": "", "storage": " "});
        let settings: Settings = of(&said).expect("settings");
        let expected =
            Settings { heartbeat: 7, wait: 2, confirm: false, replicas: ReplicaReads::Final, ..Settings::default() };
        assert_eq!(settings, expected);
        assert_eq!(of::<Settings>(&Value::Null).expect("none"), Settings::default());
    }

    #[test]
    fn a_mistake_names_the_setting_and_what_it_takes() {
        for (said, expected) in [
            (
                json!({"raed": 1}),
                "unknown key `raed` in `settings`; there are storage, heartbeat, wait, confirm, replicas, user, requests",
            ),
            (json!({"storage": "disk"}), "`settings.storage`: unknown name `disk`; there are file, memory"),
            (json!({"heartbeat": 70000}), "`settings.heartbeat`: 70000 is not a whole number from 0 to 65535"),
            (json!({"wait": -1}), "`settings.wait`: -1 is not a whole number from 0 up"),
            (json!({"confirm": "perhaps"}), "`settings.confirm`: \"perhaps\" is not true or false"),
            (json!({"replicas": "often"}), "`settings.replicas`: \"often\" is not true, false or final"),
            (json!({"user": 7}), "`settings.user`: a string is expected, not 7; write it in quotes"),
            (json!({"requests": [{}]}), "`settings.requests[0].path` is missing"),
            (json!({"requests": {}}), "`settings.requests`: a list is expected, not a map"),
            (json!([1]), "`settings`: a map of keys and values is expected, not a list"),
        ] {
            let error = of::<Settings>(&said).expect_err("a mistake");
            assert!(error.certain && error.code == "malformed", "{error:?}");
            assert_eq!(error.text, expected, "{said}");
        }
        assert_eq!(mistake(&["errors", "40001"], "no code").text, "`settings.errors.40001`: no code");
    }
}
