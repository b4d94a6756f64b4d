//! [`Settings`]: what a recipe says to this client (`settings`).
use dsfuzz_client::{CallError, settings};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;
use std::time::Duration;

/// What comes before a read, which the client's own server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BeforeRead {
    /// Nothing: the read may be stale.
    Nothing,
    /// `sync`: the server catches up with its leader. A leader that was deposed and does not know it yet may answer.
    Sync,
    /// A write, which needs a majority: the server then has everything that was written before.
    Write,
}

/// The settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(rename = "sync")]
    pub(crate) before_read: BeforeRead,
    /// What the client asks for; servers allow 2 to 20 of their ticks.
    #[serde(rename = "session_timeout_ms", deserialize_with = "timeout")]
    pub(crate) session_timeout: Duration,
    /// The znode below which everything stands.
    #[serde(deserialize_with = "path")]
    pub(crate) root: String,
    /// Only this user may then use the znodes.
    pub(crate) auth: Option<Auth>,
    /// Whether replies about registers have their version.
    #[serde(deserialize_with = "settings::truth")]
    pub(crate) versions: bool,
}

/// A user.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    /// Such as `digest`.
    pub(crate) scheme: String,
    /// Such as `user:password`.
    pub(crate) credential: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            before_read: BeforeRead::Nothing,
            session_timeout: Duration::from_secs(6),
            root: "/dsfuzz".to_owned(),
            auth: None,
            versions: false,
        }
    }
}

impl Settings {
    /// Those of a recipe.
    pub(crate) fn of(said: &Value) -> Result<Settings, CallError> {
        settings::of(said)
    }
}

impl<'de> Deserialize<'de> for BeforeRead {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<BeforeRead, D::Error> {
        let value = Value::deserialize(from)?;
        match (settings::as_truth(&value), value.as_str()) {
            (Some(true), _) | (_, Some("sync")) => Ok(BeforeRead::Sync),
            (Some(false), _) | (_, Some("none")) => Ok(BeforeRead::Nothing),
            (_, Some("write")) => Ok(BeforeRead::Write),
            _ => Err(D::Error::custom(format!("{value} is not none, sync or write"))),
        }
    }
}

/// A time in milliseconds, not zero, that the protocol can say.
fn timeout<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    const MOST: u64 = i32::MAX as u64;
    let number: u64 = settings::number(from)?;
    match number {
        1..=MOST => Ok(Duration::from_millis(number)),
        _ => Err(D::Error::custom(format!("{number} is not a whole number from 1 to {MOST}"))),
    }
}

/// The path of a znode.
fn path<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let path = String::deserialize(from)?;
    match path.len() > 1 && path.starts_with('/') {
        true => Ok(path),
        false => Err(D::Error::custom(format!("`{path}` is not the path of a znode, such as /dsfuzz"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_of_templates_are_texts_and_an_unknown_one_is_named() {
        let settings = Settings::of(&json!({"sync": "True", "session_timeout_ms": "4000"})).expect("settings");
        assert_eq!((settings.before_read, settings.session_timeout), (BeforeRead::Sync, Duration::from_secs(4)));
        assert_eq!(Settings::of(&json!({"sync": "none"})).expect("settings").before_read, BeforeRead::Nothing);
        assert_eq!(Settings::of(&json!({"sync": "write"})).expect("settings").before_read, BeforeRead::Write);
        let refused = Settings::of(&json!({"syncs": true})).expect_err("unknown");
        assert!(
            refused.certain
                && refused.text.contains("unknown key `syncs` in `settings`; there are sync, session_timeout_ms"),
            "{refused:?}"
        );
        for (wrong, said) in [
            (json!({"sync": "perhaps"}), "`settings.sync`: \"perhaps\" is not none, sync or write"),
            (json!({"session_timeout_ms": 0}), "`settings.session_timeout_ms`: 0 is not a whole number from 1 to"),
            (json!({"root": "/"}), "`settings.root`: `/` is not the path of a znode"),
            (json!({"auth": "x"}), "`settings.auth`: a map of keys and values is expected"),
            (json!({"auth": {"scheme": "digest"}}), "`settings.auth.credential` is missing"),
        ] {
            let refused = Settings::of(&wrong).expect_err("a mistake");
            assert!(refused.text.contains(said), "{refused:?}");
        }
    }
}
