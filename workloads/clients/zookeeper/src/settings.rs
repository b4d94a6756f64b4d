//! What a recipe says to this client (`settings`). Templates write texts, so numbers and truths may be texts.
use dsfuzz_client::CallError;
use serde_json::{Map, Value};
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
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) before_read: BeforeRead,
    /// What the client asks for; servers allow 2 to 20 of their ticks.
    pub(crate) session_timeout: Duration,
    /// The znode below which everything stands.
    pub(crate) root: String,
    /// Scheme and credential, such as `digest` and `user:password`. Only this user may then use the znodes.
    pub(crate) auth: Option<(String, String)>,
    /// Whether replies about registers have their version.
    pub(crate) versions: bool,
}

impl Settings {
    pub(crate) fn of(said: &Value) -> Result<Settings, CallError> {
        let mut settings = Settings {
            before_read: BeforeRead::Nothing,
            session_timeout: Duration::from_secs(6),
            root: "/dsfuzz".to_owned(),
            auth: None,
            versions: false,
        };
        let none = Map::new();
        for (name, value) in said.as_object().unwrap_or(&none) {
            let wrong =
                |expected: &str| CallError::fail("malformed", format!("settings: {name}: {value} is not {expected}"));
            match name.as_str() {
                "sync" => settings.before_read = before_read(value).ok_or_else(|| wrong("none, sync or write"))?,
                "session_timeout_ms" => {
                    let time = milliseconds(value).ok_or_else(|| wrong("a number of milliseconds"))?;
                    settings.session_timeout = time;
                }
                "root" => {
                    let root = value.as_str().filter(|root| root.len() > 1 && root.starts_with('/'));
                    settings.root = root.ok_or_else(|| wrong("the path of a znode, such as /dsfuzz"))?.to_owned();
                }
                "auth" => settings.auth = Some(auth(value).ok_or_else(|| wrong("an object of scheme and credential"))?),
                "versions" => settings.versions = truth(value).ok_or_else(|| wrong("true or false"))?,
                _ => {
                    let known = "sync, session_timeout_ms, root, auth, versions";
                    return Err(CallError::fail(
                        "malformed",
                        format!("settings: {name} is unknown; there are {known}"),
                    ));
                }
            }
        }
        Ok(settings)
    }
}

fn truth(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.to_ascii_lowercase().parse().ok())
}

fn before_read(value: &Value) -> Option<BeforeRead> {
    match (truth(value), value.as_str()) {
        (Some(true), _) | (_, Some("sync")) => Some(BeforeRead::Sync),
        (Some(false), _) | (_, Some("none")) => Some(BeforeRead::Nothing),
        (_, Some("write")) => Some(BeforeRead::Write),
        _ => None,
    }
}

fn milliseconds(value: &Value) -> Option<Duration> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    (1..=u64::from(u32::MAX / 2)).contains(&number).then(|| Duration::from_millis(number))
}

fn auth(value: &Value) -> Option<(String, String)> {
    Some((value["scheme"].as_str()?.to_owned(), value["credential"].as_str()?.to_owned()))
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
        assert!(refused.certain && refused.text.contains("syncs is unknown"), "{refused:?}");
        for wrong in
            [json!({"sync": "perhaps"}), json!({"session_timeout_ms": 0}), json!({"root": "/"}), json!({"auth": "x"})]
        {
            assert!(Settings::of(&wrong).is_err(), "{wrong}");
        }
    }
}
