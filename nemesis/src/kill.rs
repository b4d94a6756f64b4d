//! Kill: ends the target's processes on some nodes by a signal; the heal starts them again.
use crate::aim::Aim;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::options::{FaultOptions, SymbolicFault};
use crate::protocol::{Injection, Only};
use crate::services::{CommandPattern, NodePlace, ServiceEffect, ServiceFault, ServiceOptions, TakenProcesses};
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// The facts of every kill.
pub const FACTS: FaultFacts = FaultFacts {
    name: "kill",
    doc: "Ends the target's processes on some nodes, by SIGKILL or another signal, and starts them again at the end.",
    needs: NodeNeeds::everywhere(&[]),
    verified_by: VerifiedBy::State,
    leaves: Leaves::OtherNodes,
    may_move_leader: true,
    ends_processes: true,
    samples_clocks: false,
    colour: ColourFamily::Processes,
};

/// Options of the kill fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KillOptions {
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
    /// The recipe's process that is killed. Left out: all processes of the recipe.
    pub process: Option<String>,
    /// The process that the recipe starts (`first`, such as a supervisor), or the others (`children`). Left out: both.
    pub only: Option<Only>,
    /// A regular expression: only processes with such a command line.
    #[serde(rename = "match")]
    pub command: Option<CommandPattern>,
    /// The signal. A process that does not end by it makes the fault unproven.
    pub signal: Signal,
    /// How long processes may take to end by another signal than `kill`; shorter than the duration.
    pub grace: Span,
    /// How they are started again on several nodes.
    pub start: StartAgain,
}

impl Default for KillOptions {
    fn default() -> KillOptions {
        let Killing { taken: TakenProcesses { process, only, command }, signal, grace, start } = Killing::default();
        KillOptions { nodes: Choice::one(Killing::AIM), lasts: None, process, only, command, signal, grace, start }
    }
}

/// A signal that ends processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// SIGKILL: at once.
    #[default]
    Kill,
    /// SIGTERM: most servers shut down in order.
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
}

impl Signal {
    /// Its number, the same on every Linux.
    pub fn number(self) -> i32 {
        match self {
            Signal::Hup => 1,
            Signal::Int => 2,
            Signal::Quit => 3,
            Signal::Kill => 9,
            Signal::Term => 15,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Hup => "SIGHUP",
            Signal::Int => "SIGINT",
            Signal::Quit => "SIGQUIT",
            Signal::Kill => "SIGKILL",
            Signal::Term => "SIGTERM",
        }
    }

    /// Behind the processes that it ends: `by SIGTERM`. Empty for SIGKILL.
    pub(crate) fn describe(self) -> String {
        if self == Signal::Kill { String::new() } else { format!("by {}", self.name()) }
    }

    /// How long an agent waits for processes to end by it: nothing survives SIGKILL.
    pub(crate) fn grace_ms(self, grace: Span) -> u64 {
        if self == Signal::Kill { 0 } else { grace.as_millis() }
    }

    /// The mistake of a grace that is longer than the fault.
    pub(crate) fn grace_mistake(self, grace: Span, lasts: Span) -> Option<String> {
        let long = self != Signal::Kill && grace >= lasts;
        long.then(|| {
            format!(
                "grace: {grace} is not shorter than the duration {lasts}: the fault would end before it is in force"
            )
        })
    }
}

/// How killed processes are started again on several nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StartAgain {
    /// Time between the starts of two nodes. 0: all at once.
    pub stagger: Span,
    /// The order of the nodes.
    pub order: StartOrder,
}

/// The order in which nodes are started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StartOrder {
    /// As the plan has them.
    #[default]
    Plan,
    /// The last one first.
    Reverse,
    /// Drawn from the seed.
    Drawn,
}

impl StartAgain {
    /// The delay of a node's start from the begin of the heal.
    fn delay_ms(&self, at: &NodePlace) -> u64 {
        let turn = match self.order {
            StartOrder::Plan => at.in_plan,
            StartOrder::Reverse => at.of.saturating_sub(at.in_plan + 1),
            StartOrder::Drawn => at.drawn,
        };
        self.stagger.as_millis().saturating_mul(turn as u64)
    }
}

/// What a kill does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Killing {
    /// The processes.
    #[serde(flatten)]
    pub taken: TakenProcesses,
    /// The signal.
    pub signal: Signal,
    /// How long they may take to end.
    pub grace: Span,
    /// How they are started again.
    pub start: StartAgain,
}

impl Default for Killing {
    fn default() -> Killing {
        Killing {
            taken: TakenProcesses::default(),
            signal: Signal::Kill,
            grace: Span::seconds(5),
            start: StartAgain::default(),
        }
    }
}

/// One kill with its draws made.
pub type KillFault = ServiceFault<Killing>;

impl ServiceOptions for KillOptions {
    type Effect = Killing;

    fn nodes_mut(&mut self) -> &mut Choice<Aim> {
        &mut self.nodes
    }

    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn effects(self) -> Vec<Killing> {
        let KillOptions { process, only, command, signal, grace, start, .. } = self;
        vec![Killing { taken: TakenProcesses { process, only, command }, signal, grace, start }]
    }
}

impl ServiceEffect for Killing {
    const FACTS: FaultFacts = FACTS;
    const AIM: Aim = Aim::Minority;

    fn process(&self) -> Option<&str> {
        self.taken.process.as_deref()
    }

    fn describe(&self) -> String {
        let words = [self.taken.describe(), self.signal.describe()];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    fn mistakes(&self, lasts: Span) -> Vec<String> {
        self.signal.grace_mistake(self.grace, lasts).into_iter().collect()
    }

    fn injection(&self, services: Vec<String>, at: &NodePlace) -> Injection {
        let processes = self.taken.selection();
        let start_after_ms = self.start.delay_ms(at);
        if processes.is_all() && self.signal == Signal::Kill && start_after_ms == 0 {
            return Injection::Kill { services };
        }
        let grace_ms = self.signal.grace_ms(self.grace);
        let signal = self.signal.number();
        Injection::EndProcesses { services, processes, signal, grace_ms, start_after_ms, picked: Vec::new() }
    }

    fn symbolic(fault: KillFault) -> SymbolicFault {
        SymbolicFault::Kill(fault)
    }

    fn is_drawn(&self) -> bool {
        self.start.order == StartOrder::Drawn && !self.start.stagger.0.is_zero()
    }

    fn options(&self, nodes: Choice<Aim>) -> FaultOptions {
        let Killing { taken: TakenProcesses { process, only, command }, signal, grace, start } = self.clone();
        FaultOptions::Kill(KillOptions { nodes, lasts: None, process, only, command, signal, grace, start })
    }
}
