//! [`RoleProbe`], [`Converged`], [`Copies`], [`Authority`]: how nodes are asked for their roles and for what their replicas hold.
use super::super::probe::{Condition, Pick, Question};
use dsfuzz_checkers::history::leads_by_name;
use dsfuzz_nemesis::Span;
use dsfuzz_workloads::WorkloadOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a node is asked for its role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleProbe {
    /// The question.
    pub ask: Question,
    /// Roles with what makes them out; the first that fits counts.
    pub roles: Vec<RoleRule>,
    /// How many nodes lead at once by the target's design: `one`; `several`, of which each leads a shard of the data; or one for
    /// each stream, queue or the like that a plan uses.
    #[serde(default)]
    pub leaders: AtOnce,
    /// Where the term stands in the answer.
    #[serde(default)]
    pub term: Option<Pick>,
    /// Whether the node reads term and role at one moment, so that the pair may be trusted.
    #[serde(default)]
    pub term_with_role: bool,
    /// Time between two questions to a node. A command costs more than a request: one that takes a second of CPU takes a
    /// whole core if it is asked four times a second.
    #[serde(default = "default_role_every")]
    pub every: Span,
    /// Deadline of one question.
    #[serde(default = "default_role_deadline")]
    pub deadline: Span,
}

/// How many nodes lead at once by design.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AtOnce {
    /// At most one.
    #[default]
    One,
    /// Several: shards.
    Several,
    /// One for each workload of the plan, whose data is one stream, table or the like.
    ForEachWorkload,
    /// One for each key of each workload, whose data is one queue or the like for each key.
    ForEachKey,
}

impl AtOnce {
    /// Whether a plan with these workloads has several leaders.
    pub fn several(self, workloads: &[&WorkloadOptions]) -> bool {
        let keys = |workload: &&&WorkloadOptions| {
            let options = serde_json::to_value(workload).unwrap_or_default();
            options.pointer(&format!("/{}/keys", workload.name())).and_then(serde_json::Value::as_u64) > Some(1)
        };
        match self {
            AtOnce::One => false,
            AtOnce::Several => true,
            AtOnce::ForEachWorkload => workloads.len() > 1,
            AtOnce::ForEachKey => workloads.len() > 1 || workloads.iter().any(|workload| keys(&workload)),
        }
    }
}

/// What makes out a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleRule {
    /// `leader`, `follower`, `candidate`, or the target's own word.
    pub name: String,
    /// All must hold; none: what is left.
    #[serde(default, rename = "where")]
    pub conditions: Vec<Condition>,
    /// Whether a node in this role leads. Left out: where it is named `leader`, `primary` or `master`.
    #[serde(default)]
    pub leads: Option<bool>,
    /// A template of options: the role is there unless it is empty or `false`.
    #[serde(default)]
    pub when: Option<String>,
}

impl RoleRule {
    /// Whether a node in this role leads.
    pub fn leads(&self) -> bool {
        self.leads.unwrap_or_else(|| leads_by_name(&self.name))
    }
}

/// When replicas have converged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Converged {
    /// Asked of every node.
    pub ask: Question,
    /// Must hold on every node.
    #[serde(default, rename = "where")]
    pub conditions: Vec<Condition>,
    /// Must hold on exactly one node.
    #[serde(default)]
    pub one: Vec<Condition>,
    /// Must be the same on all nodes.
    #[serde(default)]
    pub agree: Vec<Pick>,
    /// What an answer lists and only some nodes hold, such as streams or shards.
    #[serde(default)]
    pub copies: Option<Copies>,
    /// Other rules. Replicas have also converged if these hold.
    #[serde(default)]
    pub or: Option<Box<Converged>>,
    /// Time between two questions.
    #[serde(default = "default_converged_every")]
    pub every: Span,
    /// Deadline of one question.
    #[serde(default = "default_converged_deadline")]
    pub deadline: Span,
}

/// Objects that a node lists in its answer, a JSON document, with a copy of each on some nodes. Nodes without a copy are not
/// compared. At least one object must be there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copies {
    /// Where they stand: a JSON pointer in which `*` stands for every entry of a list or an object. The parts below are parts of
    /// the entry.
    pub each: String,
    /// The object's name, the same in each copy.
    pub name: Pick,
    /// How many nodes must have a copy; each copy says the same number. Left out: any number.
    #[serde(default)]
    pub count: Option<Pick>,
    /// Must hold for exactly one copy.
    #[serde(default)]
    pub one: Vec<Condition>,
    /// Must be the same in all copies.
    #[serde(default)]
    pub agree: Vec<Pick>,
}

/// Which node speaks with authority in final reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Authority {
    /// Any: a read is as good on one node as on another.
    #[default]
    Any,
    /// The one whose role probe says so, e.g. `role: leader`.
    Role(String),
}

fn default_role_every() -> Span {
    Span(Duration::from_millis(250))
}

fn default_role_deadline() -> Span {
    Span::seconds(1)
}

fn default_converged_every() -> Span {
    Span(Duration::from_millis(100))
}

fn default_converged_deadline() -> Span {
    Span::seconds(2)
}
