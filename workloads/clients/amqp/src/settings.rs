//! What a recipe says to this client (`settings`). Templates write texts, so numbers and truths may be texts.
use dsfuzz_client::CallError;
use lapin::types::{AMQPValue, FieldTable};
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

impl Settings {
    pub(crate) fn of(said: &Value) -> Result<Settings, CallError> {
        let mut settings = Settings {
            queue: "dsfuzz".to_owned(),
            arguments: FieldTable::default(),
            vhost: "/".to_owned(),
            user: "guest".to_owned(),
            password: "guest".to_owned(),
            confirm: true,
            heartbeat: 5,
        };
        let mut queue_type = "quorum".to_owned();
        let none = Map::new();
        for (name, value) in said.as_object().unwrap_or(&none) {
            let wrong =
                |expected: &str| CallError::fail("malformed", format!("settings: {name}: {value} is not {expected}"));
            let text = || value.as_str().map(str::to_owned).ok_or_else(|| wrong("a text"));
            match name.as_str() {
                "queue" => settings.queue = text()?,
                "queue_type" => queue_type = text()?,
                "vhost" => settings.vhost = text()?,
                "user" => settings.user = text()?,
                "password" => settings.password = text()?,
                "confirm" => settings.confirm = truth(value).ok_or_else(|| wrong("true or false"))?,
                "heartbeat" => settings.heartbeat = seconds(value).ok_or_else(|| wrong("a number of seconds"))?,
                "arguments" => settings.arguments = table(value.as_object().ok_or_else(|| wrong("an object"))?),
                _ => return Err(unknown(name)),
            }
        }
        settings.arguments.insert("x-queue-type".into(), AMQPValue::LongString(queue_type.into()));
        Ok(settings)
    }
}

fn unknown(name: &str) -> CallError {
    let known = "queue, queue_type, arguments, vhost, user, password, confirm, heartbeat";
    CallError::fail("malformed", format!("settings: {name} is unknown; there are {known}"))
}

fn truth(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.to_ascii_lowercase().parse().ok())
}

fn seconds(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|number| number.try_into().ok()).or_else(|| value.as_str()?.parse().ok())
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
        assert!(refused.certain && refused.text.contains("confirms is unknown"), "{refused:?}");
        assert!(Settings::of(&json!({"confirm": "maybe"})).is_err());
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
