//! [`Settings`]: what a recipe says to this client.
use dsfuzz_client::{CallError, Init, settings};
use serde::Deserialize;

/// The recipe's `settings`. Values of templates are texts, so numbers are accepted as texts too.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// How many servers keep a copy of a stream; 0: all nodes of the plan, and at most 3.
    #[serde(deserialize_with = "settings::number")]
    pub(crate) replicas: u64,
    pub(crate) storage: Storage,
    pub(crate) read: ReadFrom,
    /// The name of the stream. Left out: `dsfuzz-` and the workload; that of a bucket for registers.
    pub(crate) stream: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// The name of the port, as the recipe names it.
    pub(crate) port: String,
    /// After how many milliseconds a message that was not acknowledged is delivered again.
    #[serde(deserialize_with = "settings::number")]
    pub(crate) ack_wait_ms: u64,
}

/// Where a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Storage {
    File,
    Memory,
}

/// Whose copy of a stream a read shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReadFrom {
    /// The stream's leader's, wherever it is.
    Leader,
    /// That of the server that the client is connected to.
    Replica,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            replicas: 0,
            storage: Storage::File,
            read: ReadFrom::Leader,
            stream: None,
            user: None,
            password: None,
            port: "client".to_owned(),
            ack_wait_ms: 5_000,
        }
    }
}

impl Settings {
    /// Those of a recipe.
    pub(crate) fn read(init: &Init) -> Result<Settings, CallError> {
        let mut settings: Settings = settings::read(init)?;
        if settings.replicas == 0 {
            settings.replicas = if init.nodes.len() < 3 { 1 } else { 3 };
        }
        if settings.replicas > 5 {
            let text = format!("{} is more than 5, the most that a stream has", settings.replicas);
            return Err(settings::mistake(&["replicas"], text));
        }
        let odd = |name: &&String| name.contains(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
        match settings.stream.as_ref().filter(odd) {
            Some(name) => {
                let text = format!("`{name}` has other signs than letters, digits, - and _");
                Err(settings::mistake(&["stream"], text))
            }
            None => Ok(settings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(settings: Value, nodes: usize) -> Result<Settings, String> {
        let node = |number| json!({"name": format!("n{number}"), "address": "a"});
        let nodes: Vec<Value> = (0..nodes).map(node).collect();
        let init = json!({"version": 1, "node": "n1", "address": "a", "ports": {}, "process": 0, "workload": "set",
                          "settings": settings, "nodes": nodes});
        Settings::read(&serde_json::from_value(init).map_err(|error| error.to_string())?).map_err(|error| error.text)
    }

    #[test]
    fn a_stream_has_a_replica_on_each_node_up_to_three() {
        let replicas = |settings, nodes| read(settings, nodes).map(|settings| settings.replicas);
        assert_eq!([1, 2, 3, 5].map(|nodes| replicas(json!({}), nodes)), [Ok(1), Ok(1), Ok(3), Ok(3)]);
        assert_eq!(replicas(json!({"replicas": "5"}), 5), Ok(5));
    }

    #[test]
    fn mistakes_are_named() {
        for (settings, named) in [
            (json!({"replicas": 7}), "`settings.replicas`: 7 is more than 5"),
            (json!({"storage": "disk"}), "`settings.storage`: unknown name `disk`; there are file, memory"),
            (json!({"stream": "a.b"}), "`a.b` has other signs"),
            (json!({"raed": "leader"}), "unknown key `raed` in `settings`; there are replicas, storage, read"),
        ] {
            let error = read(settings.clone(), 3).expect_err("a mistake");
            assert!(error.contains(named), "{settings}: {error}");
        }
    }
}
