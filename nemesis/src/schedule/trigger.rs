//! [`Trigger`]: what a fault of a schedule waits for.
use crate::aim::Aim;
use crate::mistake::{FaultMistake, FaultPlace};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a fault waits for. Each counts from the begin of the load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "TriggerOptions", into = "TriggerOptions")]
#[schemars(with = "TriggerOptions")]
pub enum Trigger {
    /// A node takes a role that it did not have.
    Role {
        /// The role: `leader` for any that leads, else as the probe names it.
        role: String,
        /// Only this node.
        node: Option<Aim>,
        /// Which occurrence, from 1.
        nth: u32,
    },
    /// A service logs a line.
    Log {
        /// A regular expression for a part of the line.
        pattern: String,
        /// Only on this node.
        node: Option<Aim>,
        /// Which line, from 1.
        nth: u32,
    },
    /// Another fault reaches a step.
    Fault {
        /// Its id.
        fault: String,
        /// The step.
        step: TriggerStep,
    },
    /// A number of calls have been answered with Ok.
    Ok {
        /// The number.
        calls: u64,
    },
}

/// A step of a fault that another one waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerStep {
    /// Its injections are about to be requested.
    Begun,
    /// It is verified to be in force.
    #[default]
    Proven,
    /// It is verified to be gone.
    Healed,
}

impl fmt::Display for TriggerStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TriggerStep::Begun => "begun",
            TriggerStep::Proven => "proven",
            TriggerStep::Healed => "healed",
        })
    }
}

/// A trigger as a plan writes it: one of `role`, `log`, `fault` and `ok`, with what narrows it down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TriggerOptions {
    /// A node takes this role, which it did not have: `leader` for any role that leads, else as the target names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// A service of the target logs a line in which this regular expression is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The fault of this id reaches a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Number of calls that have been answered with Ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ok: Option<u64>,
    /// With `role` and `log`: only on this node (a name, `leader`, `ex-leader`, or `followers`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Aim>,
    /// With `role` and `log`: which occurrence, from 1. Left out: the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
    /// With `fault`: the step. Left out: proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<TriggerStep>,
}

impl TryFrom<TriggerOptions> for Trigger {
    type Error = String;

    fn try_from(options: TriggerOptions) -> Result<Trigger, String> {
        let TriggerOptions { role, log, fault, ok, node, nth, step } = options;
        let extra = |key: &str, what: &str| Err(format!("`{key}` belongs to {what}"));
        if nth == Some(0) {
            return Err("`nth` counts from 1".to_owned());
        }
        if ok == Some(0) {
            return Err(
                "`ok` counts from 1; a fault at the begin of the load has `at: 0s` instead of `when`".to_owned()
            );
        }
        if log.as_deref() == Some("") {
            return Err("`log`: an empty pattern is found in every line".to_owned());
        }
        let of_node = node.is_some() || nth.is_some();
        match (role, log, fault, ok) {
            (Some(_), None, None, None) | (None, Some(_), None, None) if step.is_some() => {
                extra("step", "a trigger by a `fault`")
            }
            (None, None, Some(_), None) | (None, None, None, Some(_)) if of_node => {
                extra(if node.is_some() { "node" } else { "nth" }, "a trigger by `role` or `log`")
            }
            (Some(role), None, None, None) => Ok(Trigger::Role { role, node, nth: nth.unwrap_or(1) }),
            (None, Some(pattern), None, None) => Ok(Trigger::Log { pattern, node, nth: nth.unwrap_or(1) }),
            (None, None, Some(fault), None) => Ok(Trigger::Fault { fault, step: step.unwrap_or_default() }),
            (None, None, None, Some(_)) if step.is_some() => extra("step", "a trigger by a `fault`"),
            (None, None, None, Some(calls)) => Ok(Trigger::Ok { calls }),
            _ => Err("a trigger is one of `role`, `log`, `fault` and `ok`, such as {role: leader}".to_owned()),
        }
    }
}

impl From<Trigger> for TriggerOptions {
    fn from(trigger: Trigger) -> TriggerOptions {
        let nth = |nth: u32| (nth != 1).then_some(nth);
        let none = TriggerOptions::default();
        match trigger {
            Trigger::Role { role, node, nth: count } => {
                TriggerOptions { role: Some(role), node, nth: nth(count), ..none }
            }
            Trigger::Log { pattern, node, nth: count } => {
                TriggerOptions { log: Some(pattern), node, nth: nth(count), ..none }
            }
            Trigger::Fault { fault, step } => TriggerOptions { fault: Some(fault), step: Some(step), ..none },
            Trigger::Ok { calls } => TriggerOptions { ok: Some(calls), ..none },
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |node: &Option<Aim>| node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        let times = |nth: &u32| if *nth == 1 { String::new() } else { format!(" (number {nth})") };
        match self {
            Trigger::Role { role, node, nth } => write!(f, "a new {role}{}{}", of(node), times(nth)),
            Trigger::Log { pattern, node, nth } => write!(f, "log line /{pattern}/{}{}", of(node), times(nth)),
            Trigger::Fault { fault, step } => write!(f, "fault {fault} {step}"),
            Trigger::Ok { calls } => write!(f, "{calls} calls ok"),
        }
    }
}

impl Trigger {
    /// Whether it waits for a leader.
    pub fn is_leader(&self) -> bool {
        matches!(self, Trigger::Role { role, .. } if role == "leader")
    }

    /// The role that it waits for.
    pub fn role(&self) -> Option<&str> {
        if let Trigger::Role { role, .. } = self { Some(role) } else { None }
    }

    /// Whether it waits for a step of this fault.
    pub(super) fn is_fault(&self, id: &str) -> bool {
        matches!(self, Trigger::Fault { fault, .. } if fault == id)
    }

    /// The mistake of the trigger of the fault `id` in a schedule of these ids.
    pub(super) fn mistake(&self, place: &FaultPlace<'_>, id: &str, ids: &[&str]) -> Option<FaultMistake> {
        match self {
            Trigger::Fault { fault, .. } if fault == id => {
                Some(place.entry_mistake("when: fault: it waits for itself"))
            }
            Trigger::Fault { fault, .. } if !ids.contains(&fault.as_str()) => {
                let others = ids.iter().copied().filter(|other| *other != id);
                let sentence = format!("when: fault: no fault of the schedule is called {fault} ({})", ids.join(", "));
                Some(place.entry_mistake(sentence).unknown(fault, others))
            }
            Trigger::Log { node: Some(node), .. } | Trigger::Role { node: Some(node), .. }
                if node.is_drawn() || matches!(node, Aim::SameAs(_) | Aim::First(_)) =>
            {
                let sentence = format!("when: node: {node}: name nodes, leader, ex-leader or followers");
                Some(place.entry_mistake(sentence))
            }
            _ => None,
        }
    }
}
