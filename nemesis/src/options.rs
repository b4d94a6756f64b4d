//! [`NemesisOptions`]: the `nemesis:` part of a plan, and [`FaultOptions`], the one list of faults.
mod mistakes;

use crate::aim::{Aim, PlannedAim};
use crate::budget::{Budget, Taken};
use crate::choice::Choice;
use crate::facts::{FaultFacts, Leaves, VerifiedBy};
use crate::fault::{ClusterView, ResolvedFault, Unresolved};
use crate::protocol::ability::NodeSize;
use crate::quiet::{GAP_MS, QuietStretches};
use crate::schedule::{ScheduledFault, ScheduledKind};
use crate::swarm::Swarm;
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The `nemesis:` part of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NemesisOptions {
    /// Mean time from the begin of one fault to the begin of the next.
    pub every: Span,
    /// Duration of a fault that has no `for`.
    #[serde(rename = "for")]
    pub lasts: Span,
    /// Time of the load before the first fault.
    pub quiet_start: Span,
    /// Time at the end of the load without a fault. Left out: the recipe's `quiet_after_heal`, or `recovery.within` and 3s if that is
    /// longer.
    pub quiet_end: Option<Span>,
    /// How soon every node must answer again after a heal, such as `{within: 10s}`. Left out: it is measured and not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryDemand>,
    /// Leave out faults that a node lacks an ability for. Each kind that is left out is missing evidence, so that the run is unknown
    /// at best. Without it such a run ends before its load.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_unable: bool,
    /// Most drawn faults that are in force at the same time, up to 8, never two of one kind. Left out: 1.
    #[serde(skip_serializing_if = "is_one", deserialize_with = "crate::overlap::read")]
    #[schemars(with = "u32")]
    pub overlap: u32,
    /// What drawn faults leave of the cluster together: a `quorum`, or `none` for whatever the draws give. Left out: `quorum`.
    #[serde(skip_serializing_if = "is_default")]
    pub budget: Budget,
    /// Stretches of the load without a drawn fault, such as `{every: 60s, for: 10s}`: the last 10s of each 60s of the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<QuietStretches>,
    /// Each run draws from its seed which of `faults` it has, and how often: `true`, or options. Left out: all of them.
    #[serde(skip_serializing_if = "Swarm::is_off")]
    pub swarm: Swarm,
    /// The faults to draw from.
    pub faults: Vec<FaultOptions>,
    /// Instead of `faults`: single faults, each with its begin. They may overlap.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<ScheduledFault>,
}

/// The demanded recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoveryDemand {
    /// The longest time from a heal to a call on each node that is Ok.
    pub within: Span,
}

impl RecoveryDemand {
    /// Time without faults after a fault that shows whether it was met: the heal takes some of it. After the last heal a load goes on
    /// until it is known.
    pub fn needs(&self) -> Span {
        Span(self.within.0 + HEALS_WITHIN)
    }
}

/// Time for a heal, up to its proof, that a timetable leaves.
const HEALS_WITHIN: Duration = Duration::from_secs(3);

// Plans that are stored or shown do not name what they leave as it is.
fn is_one(count: &u32) -> bool {
    *count == 1
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for NemesisOptions {
    fn default() -> NemesisOptions {
        NemesisOptions {
            every: Span::seconds(10),
            lasts: Span::seconds(6),
            quiet_start: Span::seconds(5),
            quiet_end: None,
            recovery: None,
            skip_unable: false,
            overlap: 1,
            budget: Budget::Quorum,
            quiet: None,
            swarm: Swarm::Off,
            faults: Vec::new(),
            schedule: Vec::new(),
        }
    }
}

impl NemesisOptions {
    /// Milliseconds without a fault after each drawn fault: room for its heal, and for the demanded recovery. Faults that overlap leave
    /// no such room.
    pub(crate) fn room_after_ms(&self) -> u64 {
        let demanded = self.recovery.filter(|_| self.overlap <= 1).map_or(0, |demand| demand.needs().as_millis());
        demanded.max(GAP_MS)
    }

    /// The kinds of every fault, drawn or scheduled.
    pub fn kinds(&self) -> impl Iterator<Item = &'static FaultFacts> {
        let scheduled = self.schedule.iter().map(|entry| entry.fault.facts());
        self.faults.iter().map(FaultOptions::facts).chain(scheduled)
    }

    /// Whether a fault cuts whole links between nodes.
    pub fn cuts_links(&self) -> bool {
        let exact = self.schedule.iter().filter(|entry| entry.fault.options().is_none());
        let mut exact = exact.map(|entry| entry.fault.facts().leaves);
        self.all_faults().any(|(fault, _)| fault.cuts_links()) || exact.any(|leaves| leaves == Leaves::ConnectedNodes)
    }

    /// The drawn faults that cut links, as evidence counts them.
    pub fn cut_kinds(&self) -> Vec<String> {
        self.faults.iter().filter(|fault| fault.cuts_links()).map(FaultOptions::counted_as).collect()
    }

    /// The options of every fault, drawn or scheduled, each with its duration. A fault that stands `exactly` in a schedule has no
    /// options.
    pub fn all_faults(&self) -> impl Iterator<Item = (&FaultOptions, Span)> {
        let drawn = self.faults.iter().map(|fault| (fault, fault.lasts().unwrap_or(self.lasts)));
        let scheduled = self.schedule.iter();
        drawn.chain(scheduled.filter_map(|entry| Some((entry.fault.options()?, entry.duration(self.lasts)))))
    }

    /// How agents must hear each other, so that every fault can be verified.
    pub fn agent_paths(&self) -> AgentPaths {
        let of = |facts: &FaultFacts| match facts.verified_by {
            VerifiedBy::Links => AgentPaths::BothWays,
            VerifiedBy::Packets => AgentPaths::OneWay,
            VerifiedBy::State => AgentPaths::NotNeeded,
        };
        let exact = self.schedule.iter().filter(|entry| entry.fault.options().is_none());
        let exact = exact.map(|entry| of(entry.fault.facts()));
        self.all_faults().map(|(fault, _)| fault.agent_paths()).chain(exact).max().unwrap_or(AgentPaths::NotNeeded)
    }
}

impl NemesisOptions {
    /// The options for a target without a leading role: open choices take no leader.
    pub fn leaderless(&self) -> NemesisOptions {
        let mut options = self.clone();
        options.faults.iter_mut().for_each(FaultOptions::leaderless);
        for entry in &mut options.schedule {
            if let ScheduledKind::Options(fault) = &mut entry.fault {
                fault.leaderless();
            }
        }
        options
    }
}

/// How the agents of two nodes must hear each other, so that a fault can be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentPaths {
    /// Not at all: each agent verifies on its own node.
    NotNeeded,
    /// By packets in both directions, such as TCP handshakes.
    BothWays,
    /// In each direction separately, which only datagrams show.
    OneWay,
}

/// A kind of fault's options in a plan, and the source that its faults are drawn from.
pub(crate) trait FaultDefinition {
    /// The duration, if the plan sets it for this fault.
    fn lasts(&self) -> Option<Span>;
    /// The choices of nodes in the options.
    fn aims(&self) -> Vec<Aim>;
    /// The option `nodes`, to be changed; none if it is left out.
    fn nodes_mut(&mut self) -> Option<&mut Choice<Aim>>;
    /// Names of nodes in the options.
    fn named_nodes(&self) -> Vec<String> {
        crate::aim::named(&self.aims())
    }
    /// The process of the recipe in the options.
    fn named_process(&self) -> Option<String> {
        None
    }
    /// The mistakes of the options for a fault of this duration, one sentence each.
    fn mistakes(&self, _lasts: Span) -> Vec<String> {
        Vec::new()
    }
    /// Whether it may silence every node at once.
    fn silences_all(&self) -> bool {
        self.aims().iter().any(Aim::may_be_all)
    }
    /// The plan's words for the leader in the options.
    fn leader_words(&self) -> Vec<String> {
        crate::aim::leader_words(&self.aims())
    }
    /// Removes open choices that need a leader, if others are left.
    fn leaderless(&mut self) {}
    /// The faults of the schedule whose nodes it takes, as `same_as` names them: `b`, `b.leader`.
    fn named_faults(&self) -> Vec<String> {
        crate::aim::named_faults(&self.aims())
    }
    /// Makes one choice of a list of nodes: all of them together, as a schedule means it.
    fn together(&mut self) -> Result<(), String> {
        self.nodes_mut().map_or(Ok(()), crate::aim::take_together)
    }
    /// How agents must hear each other to verify it.
    fn agent_paths(&self) -> AgentPaths {
        AgentPaths::NotNeeded
    }
    /// Port roles of the recipe in the options, each with the option that names it.
    fn port_roles(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    /// The name of a custom fault.
    fn custom_name(&self) -> Option<&str> {
        None
    }
    /// Abilities of a node that these options need, beside those of the kind.
    fn more_needs(&self) -> Vec<&'static str> {
        Vec::new()
    }
    /// What a node of this size cannot do for these options: the ability that carries the size, and a sentence.
    fn beyond(&self, _: &NodeSize) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    /// Options that do not fit each other, one sentence each.
    fn contradictions(&self) -> Vec<String> {
        Vec::new()
    }
    /// The source of its faults on this number of nodes, or the reason why there is none: a value that is out of range, or too few
    /// nodes.
    fn draws(&self, nodes: usize) -> Result<Box<dyn FaultSource>, String>;
}

/// A source of faults. It remembers its draws, so that every choice comes.
pub(crate) trait FaultSource {
    /// The next fault.
    fn draw(&mut self, rng: &mut Rng) -> SymbolicFault;
}

/// A fault in symbols.
pub(crate) trait Symbolic {
    /// In symbols, the fault's name first.
    fn describe(&self) -> String;
    /// The nodes that it takes.
    fn aims(&self) -> Vec<&PlannedAim>;
    /// Whether it takes the leader of the moment.
    fn aims_at_leader(&self) -> bool {
        self.aims().into_iter().any(PlannedAim::at_leader)
    }
    /// Whether only the roles of the moment say which nodes it takes.
    fn needs_leader(&self) -> bool {
        self.aims().into_iter().any(PlannedAim::needs_leader)
    }
    /// Whether its nodes are taken one after the other, each when the one before is ready again.
    fn rolling(&self) -> bool {
        false
    }
    /// The name of a custom fault.
    fn custom_name(&self) -> Option<&str> {
        None
    }
    /// Abilities of a node that it needs, beside those of its kind.
    fn more_needs(&self) -> Vec<&'static str> {
        Vec::new()
    }
    /// What a node of this size cannot do for it: the ability that carries the size, and a sentence.
    fn beyond(&self, _: &NodeSize) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    /// The mistakes of its values for a fault of this duration, one sentence each: those of the options that name it.
    fn mistakes(&self, resolved: &ResolvedFault, lasts: Span) -> Vec<String> {
        let Some(options) = self.written(Written::Bound(resolved)) else { return Vec::new() };
        let drawn = options.draws(mistakes::NODES_ENOUGH).err();
        options.mistakes(lasts).into_iter().chain(options.contradictions()).chain(drawn).collect()
    }
    /// Aims it at the leader, if it may move the leadership and the plan left the choice of nodes open. Returns whether it did.
    fn turn_to_leader(&mut self) -> bool {
        false
    }
    /// The nodes that it takes of this view, and the links that it cuts.
    fn takes(&self, view: &ClusterView) -> Result<Taken, Unresolved> {
        let bound = self.aims().into_iter().map(|aim| Ok(aim.bind(view)?.positions));
        Ok(Taken::of(bound.collect::<Result<Vec<_>, Unresolved>>()?.concat()))
    }
    /// Binds it to nodes.
    fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved>;
    /// The options that draw nothing else than this fault; none if no options do.
    fn written(&self, _: Written<'_>) -> Option<FaultOptions> {
        None
    }
}

/// The nodes of a fault that is written back into options.
#[derive(Clone, Copy)]
pub(crate) enum Written<'a> {
    /// As planned, in symbols; the names of all nodes in the plan's order.
    Planned(&'a [String]),
    /// As bound.
    Bound(&'a ResolvedFault),
}

/// What evidence counts a fault of this kind as: of a custom fault, with its name.
fn counted_as(facts: &FaultFacts, name: Option<&str>) -> String {
    name.map_or_else(|| facts.name.to_owned(), |name| format!("{}: {name}", facts.name))
}

macro_rules! faults {
    ($($(#[$meta:meta])* $variant:ident = $module:ident($options:ident, $symbolic:ident),)*) => {
        /// A fault as a plan writes it: its name with its options, e.g. `kill: {nodes: minority}`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum FaultOptions {
            $($(#[$meta])* $variant(crate::$module::$options),)*
        }

        /// A fault with every draw made; only the roles of the moment are left to be bound.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum SymbolicFault {
            $($(#[$meta])* $variant(crate::$module::$symbolic),)*
        }

        /// Every kind of fault.
        pub const FAULTS: &[FaultFacts] = &[$(crate::$module::FACTS,)*];

        impl FaultOptions {
            /// The facts of its kind.
            pub fn facts(&self) -> &'static FaultFacts {
                match self { $(FaultOptions::$variant(_) => &crate::$module::FACTS,)* }
            }

            /// What evidence counts its faults as.
            pub fn counted_as(&self) -> String {
                let name = match self { $(FaultOptions::$variant(options) => options.custom_name(),)* };
                counted_as(self.facts(), name)
            }

            /// The duration, if the plan sets it for this fault.
            pub fn lasts(&self) -> Option<Span> {
                match self { $(FaultOptions::$variant(options) => FaultDefinition::lasts(options),)* }
            }

            /// Names of nodes in its options.
            pub fn named_nodes(&self) -> Vec<String> {
                match self { $(FaultOptions::$variant(options) => options.named_nodes(),)* }
            }

            /// The choices of nodes in its options.
            pub(crate) fn aims(&self) -> Vec<Aim> {
                match self { $(FaultOptions::$variant(options) => options.aims(),)* }
            }

            /// The process of the recipe in its options.
            pub fn named_process(&self) -> Option<String> {
                match self { $(FaultOptions::$variant(options) => options.named_process(),)* }
            }

            pub(crate) fn mistakes(&self, lasts: Span) -> Vec<String> {
                match self { $(FaultOptions::$variant(options) => FaultDefinition::mistakes(options, lasts),)* }
            }

            /// Whether it may silence every node at once.
            pub fn silences_all(&self) -> bool {
                match self { $(FaultOptions::$variant(options) => options.silences_all(),)* }
            }

            /// How agents must hear each other to verify it.
            pub fn agent_paths(&self) -> AgentPaths {
                match self { $(FaultOptions::$variant(options) => options.agent_paths(),)* }
            }

            /// Port roles of the recipe in its options, each with the option that names it.
            pub fn port_roles(&self) -> Vec<(&'static str, String)> {
                match self { $(FaultOptions::$variant(options) => options.port_roles(),)* }
            }

            /// Abilities of a node that its options need, beside those of its kind.
            pub fn more_needs(&self) -> Vec<&'static str> {
                match self { $(FaultOptions::$variant(options) => options.more_needs(),)* }
            }

            /// Whether its faults cut whole links between nodes, not only some ports.
            pub fn cuts_links(&self) -> bool {
                let connected = self.facts().leaves == Leaves::ConnectedNodes;
                connected && !self.port_roles().iter().any(|(option, _)| *option == "ports")
            }

            fn beyond(&self, size: &NodeSize) -> Vec<(&'static str, String)> {
                match self { $(FaultOptions::$variant(options) => options.beyond(size),)* }
            }

            fn contradictions(&self) -> Vec<String> {
                match self { $(FaultOptions::$variant(options) => options.contradictions(),)* }
            }

            fn leaderless(&mut self) {
                match self { $(FaultOptions::$variant(options) => options.leaderless(),)* }
            }

            /// The faults of the schedule whose nodes it takes, as `same_as` names them: `b`, `b.leader`.
            pub fn named_faults(&self) -> Vec<String> {
                match self { $(FaultOptions::$variant(options) => options.named_faults(),)* }
            }

            /// With a list of nodes as one choice: all of them.
            pub(crate) fn together(&self) -> Result<FaultOptions, String> {
                let mut together = self.clone();
                match &mut together { $(FaultOptions::$variant(options) => options.together(),)* }?;
                Ok(together)
            }

            /// Reads the value of a map's key: the options of the fault of this name. None: there is no such fault.
            pub(crate) fn of_key<'de, A: serde::de::MapAccess<'de>>(
                name: &str,
                map: &mut A,
            ) -> Result<Option<FaultOptions>, A::Error> {
                $(if name == crate::$module::FACTS.name {
                    return map.next_value().map(|options| Some(FaultOptions::$variant(options)));
                })*
                Ok(None)
            }

            /// The names with the schemas of the options.
            pub(crate) fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, schemars::Schema)> {
                vec![$((crate::$module::FACTS.name, generator.subschema_for::<crate::$module::$options>()),)*]
            }

            fn leader_words(&self) -> Vec<String> {
                match self { $(FaultOptions::$variant(options) => options.leader_words(),)* }
            }

            pub(crate) fn draws(&self, nodes: usize) -> Result<Box<dyn FaultSource>, String> {
                match self { $(FaultOptions::$variant(options) => options.draws(nodes),)* }
            }
        }

        impl SymbolicFault {
            /// The facts of its kind.
            pub fn facts(&self) -> &'static FaultFacts {
                match self { $(SymbolicFault::$variant(_) => &crate::$module::FACTS,)* }
            }

            /// What evidence counts it as.
            pub fn counted_as(&self) -> String {
                let name = match self { $(SymbolicFault::$variant(fault) => fault.custom_name(),)* };
                counted_as(self.facts(), name)
            }

            fn more_needs(&self) -> Vec<&'static str> {
                match self { $(SymbolicFault::$variant(fault) => fault.more_needs(),)* }
            }

            fn beyond(&self, size: &NodeSize) -> Vec<(&'static str, String)> {
                match self { $(SymbolicFault::$variant(fault) => fault.beyond(size),)* }
            }

            fn may_take(&self, node: &str) -> bool {
                match self { $(SymbolicFault::$variant(fault) => fault.aims().iter().any(|aim| aim.aim.may_take(node)),)* }
            }

            pub(crate) fn mistakes(&self, resolved: &ResolvedFault, lasts: Span) -> Vec<String> {
                match self { $(SymbolicFault::$variant(fault) => fault.mistakes(resolved, lasts),)* }
            }

            /// In symbols, the fault's name first.
            pub fn describe(&self) -> String {
                match self { $(SymbolicFault::$variant(fault) => fault.describe(),)* }
            }

            /// Whether it takes the leader of the moment.
            pub fn aims_at_leader(&self) -> bool {
                match self { $(SymbolicFault::$variant(fault) => fault.aims_at_leader(),)* }
            }

            /// Whether only the roles of the moment say which nodes it takes.
            pub fn needs_leader(&self) -> bool {
                match self { $(SymbolicFault::$variant(fault) => fault.needs_leader(),)* }
            }

            /// Whether its nodes are taken one after the other, each when the one before is ready again.
            pub fn rolling(&self) -> bool {
                match self { $(SymbolicFault::$variant(fault) => fault.rolling(),)* }
            }

            pub(crate) fn written(&self, of: Written<'_>) -> Option<FaultOptions> {
                match self { $(SymbolicFault::$variant(fault) => fault.written(of),)* }
            }

            pub(crate) fn takes(&self, view: &ClusterView) -> Result<Taken, Unresolved> {
                match self { $(SymbolicFault::$variant(fault) => fault.takes(view),)* }
            }

            pub(crate) fn turn_to_leader(&mut self) -> bool {
                match self { $(SymbolicFault::$variant(fault) => fault.turn_to_leader(),)* }
            }

            pub(crate) fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved> {
                match self { $(SymbolicFault::$variant(fault) => fault.resolve(view),)* }
            }
        }
    };
}

impl SymbolicFault {
    /// Whether it damages files of the target, which its heal does not mend.
    pub fn damages_files(&self) -> bool {
        matches!(self, SymbolicFault::Disk(fault) if fault.kind.damages_files())
    }

    /// The same fault on these nodes, where it stands with its nodes under the key `nodes`; else as it is.
    pub(crate) fn bound_to(&self, nodes: &[String]) -> SymbolicFault {
        let bound = || {
            let mut fault = serde_json::to_value(self).ok()?;
            let written = fault.as_object_mut()?.values_mut().next()?.get_mut("nodes")?;
            let planned: PlannedAim = serde_json::from_value(written.clone()).ok()?;
            *written = serde_json::to_value(planned.bound_to(nodes)).ok()?;
            serde_json::from_value(fault).ok()
        };
        bound().unwrap_or_else(|| self.clone())
    }
}

// The one list of faults: a new one is its file and its line here.
faults! {
    /// Cuts links between nodes; never those to the control node.
    Partition = partition(PartitionOptions, PartitionFault),
    /// Ends the target's processes by SIGKILL or another signal; they are started again at the end.
    Kill = kill(KillOptions, KillFault),
    /// Freezes the target's processes; they resume at the end.
    Pause = pause(PauseOptions, PauseFault),
    /// Restarts the target's processes again and again, or on one node after the other.
    Restart = restart(RestartOptions, RestartFault),
    /// Disturbs packets between nodes: loss, delay, duplicates and more; never those of the control node.
    Packet = packet(PacketOptions, PacketFault),
    /// Makes a disk full, slow, read-only or faulty, or damages files of the target.
    Disk = disk(DiskOptions, DiskFault),
    /// Kills the target's processes and loses what they had not synced to disk; they are started again at the end.
    PowerLoss = power_loss(PowerLossOptions, PowerLossFault),
    /// Skews the wall clock: one jump, back and forth, too fast or slow, or standing still.
    Clock = clock(ClockOptions, ClockFault),
    /// Gives the target's processes little CPU time, or runs busy processes beside them.
    Cpu = cpu(CpuOptions, CpuFault),
    /// Limits the memory of the target's processes, or kills the one with the most, as the kernel does for want of memory.
    Memory = memory(MemoryOptions, MemoryFault),
    /// Limits the files and sockets that the target's processes may open.
    Descriptors = descriptors(DescriptorsOptions, DescriptorsFault),
    /// A custom fault, which the recipe or the plan defines by commands.
    Own = own(OwnOptions, OwnFault),
}

#[cfg(test)]
mod tests;
