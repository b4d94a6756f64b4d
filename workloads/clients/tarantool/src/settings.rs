//! [`Settings`]: what a recipe says to this client.
use dsfuzz_client::settings::{self, ReplicaReads};
use dsfuzz_client::{CallError, Init};
use serde::Deserialize;

/// The recipe's `settings`. Values of templates are texts, so truth values are accepted as texts too.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Without a password: the user `guest`.
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// The name of the port, as the recipe names it.
    pub(crate) port: String,
    /// Spaces that `setup` makes are synchronous.
    #[serde(deserialize_with = "settings::truth")]
    pub(crate) sync: bool,
    /// The engine of the spaces.
    pub(crate) engine: Engine,
    /// What comes before the answer to a read.
    pub(crate) reads: Reads,
    /// Which reads are answered by read-only instances too. They refuse the others.
    read_from_replica: ReplicaReads,
    /// Whether this client is one of those whose reads read-only instances answer.
    #[serde(skip)]
    pub(crate) reads_replicas: bool,
    /// What is true of a transaction that an instance rolled back because too few others had it in time.
    pub(crate) quorum_timeout: QuorumTimeout,
}

/// The engine of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Engine {
    Memtx,
    Vinyl,
}

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Memtx => "memtx",
            Engine::Vinyl => "vinyl",
        }
    }
}

/// What comes before the answer to a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reads {
    /// Nothing: the instance answers what it has, transactions that are not committed yet included.
    Local,
    /// A write in the same transaction, which is committed after all that the read has seen.
    Commit,
}

/// What is true of a transaction that an instance rolled back because too few others had it in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum QuorumTimeout {
    /// It never takes effect: what the documentation says, as long as no other instance becomes the leader.
    Fail,
    /// It may take effect: another instance that has it may become the leader before it hears of the rollback.
    Info,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            user: None,
            password: None,
            port: "client".to_owned(),
            sync: false,
            engine: Engine::Memtx,
            reads: Reads::Local,
            read_from_replica: ReplicaReads::None,
            reads_replicas: false,
            quorum_timeout: QuorumTimeout::Info,
        }
    }
}

impl Settings {
    /// Those of a recipe.
    pub(crate) fn read(init: &Init) -> Result<Settings, CallError> {
        let mut settings: Settings = settings::read(init)?;
        settings.reads_replicas = match settings.read_from_replica {
            ReplicaReads::None => false,
            // Of sets alone. A replica may hold what will be rolled back: of a set that is one element more, of anything else a value
            // that never was.
            ReplicaReads::Final => init.is_final && init.object == "set",
            ReplicaReads::All => true,
        };
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_client::testing::init;
    use serde_json::{Value, json};

    #[test]
    fn values_of_templates_are_texts() {
        let read = |settings: Value| Settings::read(&init("set", 1, settings, json!(null))).map_err(|error| error.text);
        let settings = read(json!({"sync": "true", "read_from_replica": "true", "user": ""})).expect("read");
        assert_eq!((settings.sync, settings.reads_replicas, settings.user), (true, true, None));
        let settings = read(json!({"sync": false, "read_from_replica": "final"})).expect("read");
        assert_eq!((settings.sync, settings.reads_replicas), (false, false));
        for wrong in [json!({"sync": "perhaps"}), json!({"read_from_replica": "last"}), json!({"engine": "sophia"})] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
