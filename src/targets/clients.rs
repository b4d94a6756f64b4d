//! The built-in clients, by their names in recipes (`builtin: NAME`): one inside this program, the others programs of their own.
use super::etcd;
use dsfuzz_workloads::{ClientWorkload, Connect};
use std::path::PathBuf;
use std::sync::Arc;

/// Opens a client that is part of this program.
type ConnectInside = fn(&ClientWorkload) -> Arc<dyn Connect>;

/// A client that comes with dsfuzz.
#[derive(Debug)]
pub(super) struct BuiltInClient {
    /// Its name in recipes.
    pub(super) name: &'static str,
    /// The objects whose functions it carries out. A recipe may name fewer.
    pub(super) objects: &'static [&'static str],
    /// Whether its registers have versions (`versions` of `sessions`).
    pub(super) versions: bool,
    /// How many clients one program serves, if a recipe does not say. 1 where the library offers no way to cut a connection: the
    /// end of the program cuts it.
    pub(super) clients_per_program: u32,
    /// Opens it, if it is part of this program; else it is the program `dsfuzz-client-NAME`.
    pub(super) inside: Option<ConnectInside>,
}

/// Every built-in client. A new one is its crate and its entry here.
const BUILT_IN: &[BuiltInClient] = &[
    BuiltInClient {
        name: etcd::NAME,
        objects: etcd::OBJECTS,
        versions: true,
        clients_per_program: 1,
        inside: Some(|workload| Arc::new(etcd::EtcdConnect::of(workload))),
    },
    BuiltInClient { name: "amqp", objects: AMQP, versions: false, clients_per_program: 1, inside: None },
    BuiltInClient { name: "http", objects: HTTP, versions: false, clients_per_program: 16, inside: None },
    BuiltInClient { name: "zookeeper", objects: ZOOKEEPER, versions: true, clients_per_program: 1, inside: None },
    BuiltInClient { name: "nats", objects: NATS, versions: true, clients_per_program: 16, inside: None },
    BuiltInClient { name: "redis", objects: REDIS, versions: false, clients_per_program: 16, inside: None },
    BuiltInClient { name: "specimen", objects: SPECIMEN, versions: true, clients_per_program: 16, inside: None },
    BuiltInClient { name: "tarantool", objects: TARANTOOL, versions: true, clients_per_program: 16, inside: None },
    BuiltInClient { name: "postgres", objects: SQL, versions: true, clients_per_program: 16, inside: None },
    BuiltInClient { name: "mysql", objects: SQL, versions: true, clients_per_program: 16, inside: None },
];

const SPECIMEN: &[&str] = &[
    "register",
    "set",
    "rows",
    "transactions",
    "bank",
    "crdt",
    "queue",
    "counter",
    "ids",
    "lock",
    "lease",
    "guarded",
    "election",
    "log",
    "commit",
    "saga",
    "members",
];

const AMQP: &[&str] = &["queue", "lock", "semaphore"];

const NATS: &[&str] = &["register", "set", "crdt", "ids", "queue", "log"];

const HTTP: &[&str] =
    &["register", "set", "counter", "ids", "queue", "bank", "transactions", "lock", "lease", "semaphore"];

const ZOOKEEPER: &[&str] = &[
    "register",
    "set",
    "counter",
    "ids",
    "queue",
    "transactions",
    "bank",
    "predicate",
    "lock",
    "semaphore",
    "guarded",
    "election",
];

const REDIS: &[&str] =
    &["register", "set", "rows", "transactions", "bank", "queue", "counter", "ids", "lock", "lease", "semaphore"];

const TARANTOOL: &[&str] = &["register", "set", "rows", "transactions", "bank", "predicate", "queue", "counter", "ids"];

const SQL: &[&str] = &[
    "register",
    "set",
    "rows",
    "transactions",
    "table",
    "bank",
    "predicate",
    "queue",
    "counter",
    "ids",
    "lock",
    "guarded",
    "commit",
    "saga",
];

/// The client of this name.
pub(super) fn find(name: &str) -> Result<&'static BuiltInClient, String> {
    let known = || BUILT_IN.iter().map(|client| client.name).collect::<Vec<_>>().join(", ");
    BUILT_IN.iter().find(|client| client.name == name).ok_or_else(|| format!("unknown; built in is: {}", known()))
}

/// The program of a client that is not part of this one.
pub(super) fn program_name(client: &str) -> String {
    format!("dsfuzz-client-{client}")
}

impl BuiltInClient {
    /// The file of its program, or what to do about its absence.
    pub(super) fn program(&self) -> Result<PathBuf, String> {
        crate::folders::beside(&program_name(self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The sources of a client program.
    fn sources(folder: &Path) -> String {
        let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        files.filter(|file| file.is_file()).map(|file| std::fs::read_to_string(file).expect("a text")).collect()
    }

    /// The programs are crates of their own, which this one does not know.
    #[test]
    fn the_list_says_which_programs_have_versions() {
        for client in BUILT_IN.iter().filter(|client| client.inside.is_none()) {
            let name = if client.objects == SQL { "sql" } else { client.name };
            let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("workloads/clients/{name}/src")));
            assert!(sources.contains("impl Client for") || sources.contains("> Client for"), "{name}");
            let says = sources.contains("const VERSIONS: bool = true;");
            assert_eq!(client.versions, says, "{}", client.name);
        }
    }
}
