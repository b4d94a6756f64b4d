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
    /// Workloads it can carry out.
    pub workloads: Vec<String>,
    /// A client built into dsfuzz: `etcd`. Exactly one of `builtin` and `command`.
    #[serde(default)]
    pub builtin: Option<String>,
    /// A program on the control node, started in the recipe's folder, that speaks the client protocol.
    #[serde(default)]
    pub command: Option<Argv>,
    /// Extra environment of the program.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What the client's own error codes mean; adds to and overrides the protocol's table.
    #[serde(default)]
    pub errors: BTreeMap<String, Certainty>,
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

fn default_init_deadline() -> Span {
    Span::seconds(10)
}

impl ClientDoc {
    /// Rules that the types do not express: the key and its mistake.
    pub(super) fn mistake(&self) -> Option<(&'static str, String)> {
        if self.builtin.is_some() == self.command.is_some() {
            return Some(("", "give exactly one of `builtin` and `command`".to_owned()));
        }
        if let Some(Err(unknown)) = self.builtin.as_deref().map(clients::find) {
            return Some((".builtin", unknown));
        }
        let reserved = self.errors.iter().find(|(code, _)| ABSENT.starts_with(&format!("{}:", code.trim())));
        reserved
            .filter(|(_, certainty)| **certainty != Certainty::Absent)
            .map(|_| (".errors.absent", "this word is reserved: as a code it can only mean `absent`".to_owned()))
    }
}
