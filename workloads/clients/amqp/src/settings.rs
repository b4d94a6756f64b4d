//! [`Settings`]: what a recipe says to this client (`settings`).
use dsfuzz_client::{CallError, settings};
use lapin::types::{AMQPValue, FieldTable};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How the names of queues begin.
    pub(crate) queue: String,
    /// The arguments of every queue: `x-queue-type` and what the recipe adds.
    pub(crate) arguments: FieldTable,
    pub(crate) vhost: String,
    pub(crate) user: String,
    pub(crate) password: String,
    /// Whether a publish waits for the broker's confirmation.
    pub(crate) confirm: bool,
    /// Seconds between two heartbeats.
    pub(crate) heartbeat: u16,
}

/// What a recipe may say.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Said {
    queue: String,
    queue_type: String,
    arguments: Map<String, Value>,
    vhost: String,
    user: String,
    password: String,
    #[serde(deserialize_with = "settings::truth")]
    confirm: bool,
    #[serde(deserialize_with = "settings::number")]
    heartbeat: u16,
}

impl Default for Said {
    fn default() -> Said {
        Said {
            queue: "dsfuzz".to_owned(),
            queue_type: "quorum".to_owned(),
            arguments: Map::new(),
            vhost: "/".to_owned(),
            user: "guest".to_owned(),
            password: "guest".to_owned(),
            confirm: true,
            heartbeat: 5,
        }
    }
}

impl Settings {
    /// Those of a recipe.
    pub(crate) fn of(said: &Value) -> Result<Settings, CallError> {
        let Said { queue, queue_type, arguments, vhost, user, password, confirm, heartbeat } = settings::of(said)?;
        let mut arguments = table(&arguments);
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(queue_type.into()));
        Ok(Settings { queue, arguments, vhost, user, password, confirm, heartbeat })
    }
}

fn table(entries: &Map<String, Value>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.as_str().into(), argument(value));
    }
    table
}

/// A value of JSON as a value of AMQP. RabbitMQ takes integers of any width.
fn argument(value: &Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(truth) => AMQPValue::Boolean(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => AMQPValue::LongLongInt(integer),
            None => AMQPValue::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => AMQPValue::LongString(text.as_str().into()),
        Value::Array(elements) => AMQPValue::FieldArray(elements.iter().map(argument).collect::<Vec<_>>().into()),
        Value::Object(entries) => AMQPValue::FieldTable(table(entries)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_of_templates_are_texts_and_an_unknown_one_is_named() {
        let settings =
            Settings::of(&json!({"confirm": "False", "heartbeat": "7", "queue_type": "classic"})).expect("settings");
        assert_eq!((settings.confirm, settings.heartbeat), (false, 7));
        assert_eq!(settings.arguments.inner().get("x-queue-type"), Some(&AMQPValue::LongString("classic".into())));
        let refused = Settings::of(&json!({"confirms": true})).expect_err("unknown");
        assert!(
            refused.certain
                && refused.text.contains("unknown key `confirms` in `settings`; there are queue, queue_type,"),
            "{refused:?}"
        );
        let refused = Settings::of(&json!({"confirm": "maybe"})).expect_err("no truth value");
        assert_eq!(refused.text, "`settings.confirm`: \"maybe\" is not true or false");
        let refused = Settings::of(&json!({"heartbeat": 70000})).expect_err("too many seconds");
        assert_eq!(refused.text, "`settings.heartbeat`: 70000 is not a whole number from 0 to 65535");
    }

    #[test]
    fn arguments_keep_their_types() {
        let arguments = json!({"x-max-length": 5, "x-overflow": "reject-publish", "deep": {"list": [true, null, 0.5]}});
        let settings = Settings::of(&json!({"arguments": arguments})).expect("settings");
        let of = |name: &str| settings.arguments.inner().get(name).cloned();
        assert_eq!(of("x-max-length"), Some(AMQPValue::LongLongInt(5)));
        assert_eq!(of("x-queue-type"), Some(AMQPValue::LongString("quorum".into())));
        assert!(matches!(of("deep"), Some(AMQPValue::FieldTable(_))));
    }
}
