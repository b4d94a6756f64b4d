//! [`Step`] and [`File`]: what is run and written on nodes, and on which of them.
use super::Argv;
use dsfuzz_nemesis::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which nodes something is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// Every node.
    #[default]
    All,
    /// The first node of the plan.
    First,
    /// All but the first.
    Others,
    /// The node that leads, by the role probe: steps of `form` only.
    Leader,
    /// The node from which the greatest number was gathered: steps of `recovery` only.
    Max(Gathered),
}

/// What the outputs of a `gather` step are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gathered {
    /// The outputs of the last `gather` step.
    Gathered,
}

impl On {
    /// Whether the node at this position, counted from 0, may be meant. One that is chosen later (`leader`, `max`) may be any.
    pub fn covers(self, position: usize) -> bool {
        match self {
            On::All | On::Leader | On::Max(_) => true,
            On::First => position == 0,
            On::Others => position > 0,
        }
    }
}

/// A file on a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// Its text.
    #[serde(default)]
    pub content: Option<String>,
    /// Instead of `content`: a file in the recipe's folder, which is copied as it is.
    #[serde(default)]
    pub from: Option<String>,
    /// Permission bits in octal, e.g. `"0644"`.
    #[serde(default = "default_mode")]
    pub mode: String,
    /// Owner. Left out: the agent's user.
    #[serde(default)]
    pub owner: Option<String>,
    /// On which nodes.
    #[serde(default)]
    pub on: On,
}

/// A command run on nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The command. Exactly one of `run` and `gather`.
    #[serde(default)]
    pub run: Option<Argv>,
    /// In `recovery` only: a command whose first line of output later steps know as `{{ gathered.NODE }}`.
    #[serde(default)]
    pub gather: Option<Argv>,
    /// On which nodes.
    #[serde(default)]
    pub on: On,
    /// User. Left out: root.
    #[serde(default)]
    pub user: String,
    /// Deadline.
    #[serde(default = "default_step_deadline")]
    pub deadline: Span,
}

impl Step {
    /// Its command, whatever becomes of the output.
    pub fn command(&self) -> &Argv {
        const NONE: &Argv = &Argv(Vec::new());
        self.run.as_ref().or(self.gather.as_ref()).unwrap_or(NONE)
    }

    /// Rules that the types do not express, for a step of this key.
    pub(super) fn mistake(&self, key: &str, gathered: bool) -> Option<String> {
        if self.run.is_some() == self.gather.is_some() {
            return Some("give exactly one of `run` and `gather`".to_owned());
        }
        if self.gather.is_some() && (key != "recovery" || self.on != On::All) {
            return Some("`gather` is a step of `recovery`, on all nodes".to_owned());
        }
        match self.on {
            On::Leader if key != "form" => Some("`on: leader` is for steps of `form`, when processes run".to_owned()),
            On::Max(_) if !gathered => {
                Some("`on: {max: gathered}` needs a `gather` step of `recovery` before it".to_owned())
            }
            _ => None,
        }
    }
}

impl File {
    /// Permission bits, if they are well written.
    pub(in crate::targets) fn mode_bits(&self) -> Option<u32> {
        u32::from_str_radix(self.mode.trim_start_matches("0o"), 8).ok().filter(|mode| *mode <= 0o7777)
    }
}

fn default_mode() -> String {
    "0644".to_owned()
}

fn default_step_deadline() -> Span {
    Span::seconds(60)
}
