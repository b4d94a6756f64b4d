//! What a recipe says to this client (`settings`): the request of each function, and what its reply means.
use dsfuzz_client::{CallError, FAILURES, settings};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The port's name in the recipe.
    #[serde(default = "client_port")]
    pub(crate) port: String,
    /// Headers of every request.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// The request of each function.
    pub(crate) functions: BTreeMap<String, Function>,
}

/// How a function is called.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Function {
    /// The method; GET if left out.
    pub(crate) method: Option<String>,
    /// The path with its query, with placeholders.
    pub(crate) path: String,
    /// The body: a text, or an object or list that is sent as JSON; with placeholders.
    pub(crate) body: Option<Value>,
    /// Where the value stands in the reply: a JSON pointer; the empty one is the whole body. Left out: there is none.
    pub(crate) value: Option<String>,
    /// Statuses that mean that the call took effect. Left out: 200 to 299.
    pub(crate) ok: Option<Vec<u16>>,
    /// Statuses that mean: there is nothing (null).
    pub(crate) absent: Vec<u16>,
    /// Statuses that mean: somebody else holds it (false).
    pub(crate) held: Vec<u16>,
    /// Statuses of each code that mean that the call certainly had no effect.
    pub(crate) fail: BTreeMap<String, Vec<u16>>,
    /// Instead of a request: call this function until there is nothing, and reply with a list.
    pub(crate) repeat: Option<String>,
}

/// What a status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Ok,
    Absent,
    Held,
    Fail(&'static str),
    Unknown,
}

fn client_port() -> String {
    "client".to_owned()
}

impl Settings {
    pub(crate) fn of(said: &Value) -> Result<Settings, CallError> {
        let settings: Settings = settings::of(said)?;
        for (name, function) in &settings.functions {
            let wrong = |key: &str, text: String| Err(settings::mistake(&["functions", name, key], text));
            if let Some(code) = function.fail.keys().find(|code| !FAILURES.contains(&code.as_str())) {
                let known = FAILURES.join(", ");
                return wrong("fail", format!("{code} is no code of a failure; there are {known}"));
            }
            if let Some(value) = function.value.as_ref().filter(|value| !value.is_empty() && !value.starts_with('/')) {
                let text = format!(
                    "`{value}` is no JSON pointer: `/{value}` is the entry of this name, and `\"\"` the whole body"
                );
                return wrong("value", text);
            }
            let lists = [("absent", &function.absent), ("held", &function.held)];
            let given = function.ok.iter().map(|ok| ("ok", ok)).chain(lists);
            let given = given.chain(function.fail.values().map(|statuses| ("fail", statuses)));
            for (key, statuses) in given {
                if let Some(status) = statuses.iter().find(|status| !(100..=599).contains(*status)) {
                    return wrong(key, format!("{status} is no status from 100 to 599"));
                }
            }
            match &function.repeat {
                Some(repeated) if !settings.functions.contains_key(repeated) => {
                    return wrong("repeat", format!("there is no function {repeated}"));
                }
                None if !function.path.starts_with('/') => {
                    return wrong("path", format!("`{}` does not begin with /", function.path));
                }
                _ => {}
            }
        }
        Ok(settings)
    }
}

impl Function {
    pub(crate) fn meaning(&self, status: u16) -> Meaning {
        let failure = || {
            let code = self.fail.iter().find(|(_, statuses)| statuses.contains(&status))?.0;
            FAILURES.iter().find(|known| *known == code)
        };
        let is_ok = self.ok.as_ref().map_or((200..300).contains(&status), |ok| ok.contains(&status));
        match failure() {
            Some(code) => Meaning::Fail(code),
            None if self.absent.contains(&status) => Meaning::Absent,
            None if self.held.contains(&status) => Meaning::Held,
            None if is_ok => Meaning::Ok,
            None => Meaning::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_can_never_be_true_is_refused() {
        for (function, says) in [
            (json!({"path": "/x", "value": "v"}), "`settings.functions.read.value`: `v` is no JSON pointer: `/v`"),
            (json!({"path": "/x", "absent": [40]}), "`settings.functions.read.absent`: 40 is no status"),
            (
                json!({"path": "/x", "fail": {"precondition": [4090]}}),
                "`settings.functions.read.fail`: 4090 is no status",
            ),
        ] {
            let refused = Settings::of(&json!({"functions": {"read": function}})).expect_err("refused");
            assert!(refused.text.contains(says), "{}", refused.text);
        }
        for value in ["", "/v", "/0/v"] {
            assert!(Settings::of(&json!({"functions": {"read": {"path": "/x", "value": value}}})).is_ok(), "{value}");
        }
    }

    #[test]
    fn a_status_means_what_the_recipe_says_and_else_nothing() {
        let read = json!({"path": "/x", "absent": [204], "held": [423], "fail": {"precondition": [409, 412]}});
        let settings = Settings::of(&json!({"functions": {"read": read}})).expect("settings");
        let meanings =
            [200, 204, 423, 409, 412, 400, 500, 301].map(|status| settings.functions["read"].meaning(status));
        let precondition = Meaning::Fail("precondition");
        let unknown = Meaning::Unknown;
        assert_eq!(
            meanings,
            [Meaning::Ok, Meaning::Absent, Meaning::Held, precondition, precondition, unknown, unknown, unknown]
        );
        let only = Settings::of(&json!({"functions": {"f": {"path": "/x", "ok": [201]}}})).expect("settings");
        assert_eq!([200, 201].map(|status| only.functions["f"].meaning(status)), [unknown, Meaning::Ok]);
    }

    #[test]
    fn mistakes_are_named() {
        for (functions, said) in [
            (
                json!({"f": {"path": "/x", "fail": {"timeout": [504]}}}),
                "`settings.functions.f.fail`: timeout is no code of a failure",
            ),
            (json!({"f": {"path": "x"}}), "does not begin with /"),
            (json!({"f": {"repeat": "g"}}), "no function g"),
            (
                json!({"f": {"path": "/x", "absnt": [404]}}),
                "unknown key `absnt` in `settings.functions.f`; there are method, path",
            ),
        ] {
            let error = Settings::of(&json!({"functions": functions})).expect_err("a mistake");
            assert!(error.text.contains(said), "{error:?}");
        }
        let none = Settings::of(&json!({})).expect_err("a mistake");
        assert_eq!(none.text, "`settings.functions` is missing");
    }
}
