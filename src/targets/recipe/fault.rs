//! [`OwnFault`]: a fault that a recipe defines.
use super::Argv;
use dsfuzz_nemesis::Span;
use dsfuzz_nemesis::own::{DEADLINE_DEFAULT, DEADLINE_MAX, OwnOptions};
use dsfuzz_nemesis::protocol::OwnProcesses;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most nodes that a custom fault may take at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodesAtOnce {
    /// One.
    One,
    /// All but one.
    AllButOne,
    /// All.
    #[default]
    All,
}

impl NodesAtOnce {
    /// The number of nodes, of this many.
    pub fn most(self, nodes: usize) -> usize {
        match self {
            NodesAtOnce::One => 1,
            NodesAtOnce::AllButOne => nodes.saturating_sub(1),
            NodesAtOnce::All => nodes,
        }
    }
}

/// A custom fault. Its commands run on each node that the plan aims it at. None of the four may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnFault {
    /// Its name: letters, digits, `-`, `_`.
    pub name: String,
    /// A sentence for listings.
    #[serde(default)]
    pub doc: String,
    /// A text that may use options: where it turns out empty or `false`, there is no such fault.
    #[serde(default)]
    pub when: Option<String>,
    /// The command that begins it.
    pub begin: Argv,
    /// The command that ends with 0 while it is in force, and only then.
    pub prove: Argv,
    /// The command that undoes it. Safe to repeat, and after a `begin` that failed half-way.
    pub heal: Argv,
    /// The command that ends with 0 when it is gone. It is repeated until then, or until its deadline.
    pub healed: Argv,
    /// The most nodes that it may take at the same time. A plan that aims it at more is refused, unless the fault is rolling.
    #[serde(default)]
    pub at_once: NodesAtOnce,
    /// What becomes of the target's processes on the node.
    #[serde(default)]
    pub processes: OwnProcesses,
    /// User of the commands. Left out: root.
    #[serde(default)]
    pub user: String,
    /// Deadline of each command.
    #[serde(default = "default_deadline")]
    pub deadline: Span,
}

impl OwnFault {
    /// One that a plan defines.
    pub fn of_plan(own: &OwnOptions) -> Option<OwnFault> {
        let argv = |words: &Option<dsfuzz_nemesis::Choice<String>>| Some(Argv(words.as_ref()?.items().to_vec()));
        Some(OwnFault {
            name: own.name.clone(),
            doc: String::new(),
            when: None,
            begin: argv(&own.begin)?,
            prove: argv(&own.prove)?,
            heal: argv(&own.heal)?,
            healed: argv(&own.healed)?,
            at_once: NodesAtOnce::All,
            processes: own.processes.unwrap_or_default(),
            user: own.user.clone().unwrap_or_default(),
            deadline: own.deadline.unwrap_or(DEADLINE_DEFAULT),
        })
    }

    /// Its commands with their keys.
    pub fn commands(&self) -> [(&'static str, &Argv); 4] {
        [("begin", &self.begin), ("prove", &self.prove), ("heal", &self.heal), ("healed", &self.healed)]
    }

    /// Rules that the types do not express.
    pub(super) fn mistake(&self) -> Option<String> {
        if let Some((key, _)) = self.commands().iter().find(|(_, argv)| argv.0.is_empty()) {
            return Some(format!("{key}: empty: name the program"));
        }
        let wrong = self.deadline.0.is_zero() || self.deadline > DEADLINE_MAX;
        wrong.then(|| format!("deadline: {} is not between 1ms and {DEADLINE_MAX}", self.deadline))
    }
}

fn default_deadline() -> Span {
    DEADLINE_DEFAULT
}
