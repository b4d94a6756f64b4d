//! Clients of a target: their workloads and the meanings of their error codes.
use super::Argv;
use crate::targets::clients;
use dsfuzz_checkers::ABSENT;
use dsfuzz_nemesis::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A client for one interface of the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientDoc {
    /// The interface, e.g. `http`, `resp`.
    pub interface: String,
    /// Objects whose functions it carries out: `register`, `set`, `bank`. It can carry every workload on them. Left out, with
    /// `workloads` left out, too: all that a built-in client knows.
    #[serde(default)]
    pub objects: Vec<String>,
    /// Further workloads that it can carry, by their names.
    #[serde(default)]
    pub workloads: Vec<String>,
    /// A client that comes with dsfuzz, such as `etcd`. Exactly one of `builtin` and `command`.
    #[serde(default)]
    pub builtin: Option<String>,
    /// What it must know beside the options: a database, a user, statements. Texts may have `{{ }}`.
    #[serde(default)]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// A program on the control node, started in the recipe's folder, that speaks the client protocol.
    #[serde(default)]
    pub command: Option<Argv>,
    /// Further files and folders on the control node that the program needs, relative to the recipe's folder. They are stored
    /// with each run, as the files are that the command names and those of the same kind beside them.
    #[serde(default)]
    pub files: Vec<String>,
    /// Extra environment of the program.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What the client's own error codes mean; adds to and overrides the protocol's table.
    #[serde(default)]
    pub errors: BTreeMap<String, Certainty>,
    /// How many clients one program serves at the most. Left out: 1, or what suits the built-in client. From 2 on, every line has the
    /// field `client`, and the program answers one client while another waits.
    #[serde(default)]
    pub clients_per_program: Option<u32>,
    /// Deadline for the program to start and answer `init`.
    #[serde(default = "default_init_deadline")]
    pub init_deadline: Span,
}

/// What an error says about the effect of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// Certainly no effect, now or later.
    Fail,
    /// Unknown.
    Info,
    /// As `fail`, and the node refuses to be read at all: a final read is not asked of it again where another node may
    /// answer. The codes `not-leader` and `read-only` always mean this.
    Refuses,
    /// Of a read: the object itself (stream, table, key space) is certainly not there, so that nothing is left in it.
    /// The read is recorded as Fail with the error `absent: CODE: TEXT`, which `set` takes for an empty final read
    /// ([`dsfuzz_checkers::ABSENT`]). Of other functions the code says nothing.
    Absent,
}

/// Most clients of one program.
const CLIENTS_PER_PROGRAM_MAX: u32 = 1_000;

fn default_init_deadline() -> Span {
    Span::seconds(10)
}

impl ClientDoc {
    /// Whether it can carry the workload of this name, whose calls act on this object.
    pub fn carries(&self, workload: &str, object: &str) -> bool {
        let plain = self.objects.is_empty() && self.workloads.is_empty();
        let known = self.builtin.as_deref().filter(|_| plain).and_then(|name| clients::find(name).ok());
        self.workloads.iter().any(|name| name == workload)
            || self.objects.iter().any(|name| name == object)
            || known.is_some_and(|client| client.objects.contains(&object))
    }

    /// How many clients one program serves at the most.
    pub fn clients_per_program(&self) -> u32 {
        let built_in = self.builtin.as_deref().and_then(|name| clients::find(name).ok());
        self.clients_per_program.or(built_in.map(|client| client.clients_per_program)).unwrap_or(1)
    }

    /// Rules that the types do not express: the key and its mistake.
    pub(super) fn mistake(&self) -> Option<(&'static str, String)> {
        if self.builtin.is_some() == self.command.is_some() {
            return Some(("", "give exactly one of `builtin` and `command`".to_owned()));
        }
        if let Some(Err(unknown)) = self.builtin.as_deref().map(clients::find) {
            return Some((".builtin", unknown));
        }
        let clients = self.clients_per_program();
        if !(1..=CLIENTS_PER_PROGRAM_MAX).contains(&clients) {
            return Some((".clients_per_program", format!("{clients}: between 1 and {CLIENTS_PER_PROGRAM_MAX}")));
        }
        let reserved = self.errors.iter().find(|(code, _)| ABSENT.starts_with(&format!("{}:", code.trim())));
        reserved
            .filter(|(_, certainty)| **certainty != Certainty::Absent)
            .map(|_| (".errors.absent", "this word is reserved: as a code it can only mean `absent`".to_owned()))
    }
}
