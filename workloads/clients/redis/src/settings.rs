//! [`Settings`]: what a recipe says to this client.
use dsfuzz_client::settings::{self, ReplicaReads};
use dsfuzz_client::{CallError, Init};
use serde::Deserialize;

/// The recipe's `settings`. Values of templates are texts, so numbers and truth values are accepted as texts too.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// How many replicas must have a write before it counts as acknowledged (`WAIT`); 0: none is asked for.
    #[serde(deserialize_with = "settings::number")]
    pub(crate) wait: u64,
    /// How long `WAIT` waits, in milliseconds; 0: half the deadline of the call.
    #[serde(deserialize_with = "settings::number")]
    pub(crate) wait_timeout_ms: u64,
    /// The server is a node of a Redis Cluster: one redirect of a call is followed.
    #[serde(deserialize_with = "settings::truth")]
    pub(crate) cluster: bool,
    /// Which reads are answered by replicas too. A replica refuses the others.
    read_from_replica: ReplicaReads,
    /// Whether this client is one of those whose reads replicas answer.
    #[serde(skip)]
    pub(crate) reads_replicas: bool,
    /// The hash tag of all keys, so that transactions of a cluster may touch several.
    pub(crate) hash_tag: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    #[serde(deserialize_with = "settings::number")]
    pub(crate) db: u64,
    /// The name of the port, as the recipe names it.
    pub(crate) port: String,
    pub(crate) queue: QueueMethod,
    pub(crate) bank: BankMethod,
    /// After how many milliseconds a lock or permit is free again that was not released; 0: never. With a time a lock is a lease,
    /// and a holder that outlives it is a finding of the client's own making. Leases say their time themselves.
    #[serde(deserialize_with = "settings::number")]
    pub(crate) lock_ttl_ms: u64,
    /// A granted lock or lease replies with a number that grows with each grant.
    #[serde(deserialize_with = "settings::truth")]
    pub(crate) fencing: bool,
}

/// How an element leaves a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum QueueMethod {
    /// It is popped.
    Pop,
    /// It is moved to a second list and removed from there.
    Move,
}

/// How money is transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BankMethod {
    /// By one script.
    Script,
    /// By WATCH, MULTI and EXEC.
    Watch,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            wait: 0,
            wait_timeout_ms: 0,
            cluster: false,
            read_from_replica: ReplicaReads::None,
            reads_replicas: false,
            hash_tag: None,
            user: None,
            password: None,
            db: 0,
            port: "client".to_owned(),
            queue: QueueMethod::Pop,
            bank: BankMethod::Script,
            lock_ttl_ms: 0,
            fencing: false,
        }
    }
}

impl Settings {
    /// Those of a recipe.
    pub(crate) fn read(init: &Init) -> Result<Settings, CallError> {
        let mut settings: Settings = settings::read(init)?;
        settings.reads_replicas = match settings.read_from_replica {
            ReplicaReads::None => false,
            ReplicaReads::Final => init.is_final,
            ReplicaReads::All => true,
        };
        if settings.cluster && settings.db != 0 {
            return Err(settings::mistake(&["db"], "a Redis Cluster has none but 0"));
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(settings: Value) -> Result<Settings, String> {
        let init = json!({"version": 1, "node": "n1", "address": "a", "ports": {}, "process": 0, "workload": "set", "settings": settings});
        Settings::read(&serde_json::from_value(init).map_err(|error| error.to_string())?).map_err(|error| error.text)
    }

    #[test]
    fn texts_of_templates_are_numbers_and_truth_values() {
        let settings = read(json!({"wait": "1", "cluster": "true", "queue": "move", "password": ""}));
        let expected = Settings { wait: 1, cluster: true, queue: QueueMethod::Move, ..Settings::default() };
        assert_eq!(settings, Ok(expected));
        assert_eq!(read(json!({})), Ok(Settings::default()));
    }

    #[test]
    fn replicas_answer_final_reads_alone_if_the_settings_say_so() {
        let of = |replicas: Value| read(json!({"read_from_replica": replicas})).map(|settings| settings.reads_replicas);
        let load = [json!("true"), json!(false), json!("final")].map(of);
        assert_eq!(load, [Ok(true), Ok(false), Ok(false)]);
        assert!(of(json!("often")).is_err());
    }

    #[test]
    fn mistakes_are_named() {
        for (settings, named) in [
            (json!({"wait": "few"}), "`settings.wait`: \"few\" is not a whole number from 0 up"),
            (json!({"cluster": 2}), "`settings.cluster`: 2 is not true or false"),
            (json!({"weight": 1}), "unknown key `weight` in `settings`"),
            (json!({"cluster": true, "db": 1}), "`settings.db`: a Redis Cluster has none but 0"),
        ] {
            let error = read(settings.clone()).expect_err("a mistake");
            assert!(error.contains(named), "{settings}: {error}");
        }
    }
}
