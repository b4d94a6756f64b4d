//! Restart: restarts the target's processes on some nodes again and again, or once on one node after the other (rolling).
use crate::aim::Aim;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::kill::Signal;
use crate::options::{FaultOptions, SymbolicFault};
use crate::protocol::{Injection, ProcessSelection};
use crate::services::{NodePlace, ServiceEffect, ServiceFault, ServiceOptions};
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// The facts of every restart.
pub const FACTS: FaultFacts = FaultFacts {
    name: "restart",
    doc: "Restarts the target's processes on some nodes again and again, or on one node after the other (rolling).",
    needs: NodeNeeds::everywhere(&[]),
    verified_by: VerifiedBy::State,
    leaves: Leaves::OtherNodes,
    may_move_leader: true,
    ends_processes: true,
    samples_clocks: false,
    colour: ColourFamily::Processes,
};

/// Options of the restart fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestartOptions {
    /// Which nodes, or several choices to draw from. Left out: one, and all of them if `rolling`.
    pub nodes: Option<Choice<Aim>>,
    /// Duration; of a rolling restart the most that it may take. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
    /// The recipe's process that is restarted. Left out: all processes of the recipe.
    pub process: Option<String>,
    /// Time between two restarts of a node, from begin to begin.
    pub every: Span,
    /// One restart of each node, in the plan's order: the next node is restarted when the one before is ready again.
    pub rolling: bool,
    /// The signal that ends the processes.
    pub signal: Signal,
    /// How long processes may take to end by another signal than `kill` before they are killed.
    pub grace: Span,
}

impl Default for RestartOptions {
    fn default() -> RestartOptions {
        let Restarting { process, every, rolling, signal, grace } = Restarting::default();
        RestartOptions { nodes: None, lasts: None, process, every, rolling, signal, grace }
    }
}

/// What a restart does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Restarting {
    /// The process of the recipe.
    pub process: Option<String>,
    /// Time between two restarts.
    pub every: Span,
    /// One node after the other.
    pub rolling: bool,
    /// The signal.
    pub signal: Signal,
    /// How long processes may take to end by it.
    pub grace: Span,
}

impl Default for Restarting {
    fn default() -> Restarting {
        Restarting {
            process: None,
            every: Span::seconds(2),
            rolling: false,
            signal: Signal::Kill,
            grace: Span::seconds(5),
        }
    }
}

/// One restart with its draws made.
pub type RestartFault = ServiceFault<Restarting>;

impl ServiceOptions for RestartOptions {
    type Effect = Restarting;

    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn effects(self) -> Vec<Restarting> {
        let RestartOptions { process, every, rolling, signal, grace, .. } = self;
        vec![Restarting { process, every, rolling, signal, grace }]
    }

    fn nodes_mut(&mut self) -> &mut Choice<Aim> {
        let left_out = if self.rolling { Aim::All } else { Restarting::AIM };
        self.nodes.get_or_insert(Choice::one(left_out))
    }
}

impl ServiceEffect for Restarting {
    const FACTS: FaultFacts = FACTS;
    const AIM: Aim = Aim::One;

    fn process(&self) -> Option<&str> {
        self.process.as_deref()
    }

    fn rolling(&self) -> bool {
        self.rolling
    }

    fn describe(&self) -> String {
        let process = self.process.clone().unwrap_or_default();
        let signal = self.signal.describe();
        let how = if self.rolling { "rolling".to_owned() } else { format!("every {}", self.every) };
        [process, signal, how].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    fn mistakes(&self, lasts: Span) -> Vec<String> {
        let mut mistakes = Vec::new();
        if !self.rolling && self.every.0 < SHORTEST {
            mistakes.push(format!(
                "every: {} is too short to start a process: at least {}",
                self.every,
                Span(SHORTEST)
            ));
        }
        if !self.rolling && self.every >= lasts {
            mistakes.push(format!(
                "every: {} is not shorter than the duration {lasts}: there would be one restart, which is a kill",
                self.every
            ));
        }
        mistakes.extend(self.signal.grace_mistake(self.grace, lasts));
        mistakes
    }

    fn injection(&self, services: Vec<String>, _: &NodePlace) -> Injection {
        let grace_ms = self.signal.grace_ms(self.grace);
        let signal = self.signal.number();
        if self.rolling {
            let processes = ProcessSelection::default();
            return Injection::EndProcesses {
                services,
                processes,
                signal,
                grace_ms,
                start_after_ms: 0,
                picked: Vec::new(),
            };
        }
        Injection::RestartLoop { services, signal, grace_ms, every_ms: self.every.as_millis() }
    }

    fn symbolic(fault: RestartFault) -> SymbolicFault {
        SymbolicFault::Restart(fault)
    }

    fn options(&self, nodes: Choice<Aim>) -> FaultOptions {
        let Restarting { process, every, rolling, signal, grace } = self.clone();
        FaultOptions::Restart(RestartOptions {
            nodes: Some(nodes),
            lasts: None,
            process,
            every,
            rolling,
            signal,
            grace,
        })
    }
}

/// The shortest time between two restarts.
const SHORTEST: std::time::Duration = std::time::Duration::from_millis(200);
