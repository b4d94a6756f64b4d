//! [`NemesisOptions`]: the `nemesis:` part of a plan, and [`FaultOptions`], the one list of faults.
use crate::facts::FaultFacts;
use crate::fault::{ClusterView, ResolvedFault, Unresolved};
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

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
    /// Time at the end of the load without a fault. Left out: the recipe's `quiet_after_heal`.
    pub quiet_end: Option<Span>,
    /// Leave out faults that a node lacks an ability for. Each kind that is left out is missing evidence, so that the run is unknown
    /// at best. Without it such a run ends before its load.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_unable: bool,
    /// The faults to draw from.
    pub faults: Vec<FaultOptions>,
}

impl Default for NemesisOptions {
    fn default() -> NemesisOptions {
        NemesisOptions {
            every: Span::seconds(10),
            lasts: Span::seconds(6),
            quiet_start: Span::seconds(5),
            quiet_end: None,
            skip_unable: false,
            faults: Vec::new(),
        }
    }
}

impl NemesisOptions {
    /// The mistakes of these options for nodes of these names, one sentence each: names that no node has.
    pub fn mistakes(&self, nodes: &[String]) -> Vec<String> {
        let named = self.faults.iter().flat_map(|fault| fault.named_nodes().into_iter().map(move |name| (fault, name)));
        named
            .filter(|(_, name)| !nodes.contains(name))
            .map(|(fault, name)| {
                let sentence = crate::aim::unknown_node(&name, nodes.iter().map(String::as_str));
                format!("{}: {sentence}", fault.facts().name)
            })
            .collect()
    }
}

impl NemesisOptions {
    /// The faults that the plan aims at the leader by name, such as `kill: nodes: leader`. A partition without a shape names
    /// no leader.
    pub fn aimed_at_leader(&self) -> Vec<String> {
        let words = |fault: &FaultOptions| {
            let name = fault.facts().name;
            fault.leader_words().into_iter().map(move |words| format!("{name}: {words}"))
        };
        self.faults.iter().flat_map(words).collect()
    }

    /// The options for a target without a leading role: open choices take no leader.
    pub fn leaderless(&self) -> NemesisOptions {
        let mut options = self.clone();
        options.faults.iter_mut().for_each(FaultOptions::leaderless);
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
    /// Names of nodes in the options.
    fn named_nodes(&self) -> Vec<String>;
    /// Whether it may silence every node at once.
    fn silences_all(&self) -> bool;
    /// The plan's words for the leader in the options.
    fn leader_words(&self) -> Vec<String>;
    /// Removes open choices that need a leader, if others are left.
    fn leaderless(&mut self);
    /// How agents must hear each other to verify it.
    fn agent_paths(&self) -> AgentPaths;
    /// The source of its faults on this number of nodes, or the reason why there is none.
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
    /// Whether it takes the leader of the moment.
    fn aims_at_leader(&self) -> bool;
    /// Whether only the roles of the moment say which nodes it takes.
    fn needs_leader(&self) -> bool {
        self.aims_at_leader()
    }
    /// Aims it at the leader, if the plan left the choice of nodes open. Returns whether it did.
    fn turn_to_leader(&mut self) -> bool;
    /// Binds it to nodes.
    fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved>;
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

            /// The duration, if the plan sets it for this fault.
            pub fn lasts(&self) -> Option<Span> {
                match self { $(FaultOptions::$variant(options) => options.lasts(),)* }
            }

            /// Names of nodes in its options.
            pub fn named_nodes(&self) -> Vec<String> {
                match self { $(FaultOptions::$variant(options) => options.named_nodes(),)* }
            }

            /// Whether it may silence every node at once.
            pub fn silences_all(&self) -> bool {
                match self { $(FaultOptions::$variant(options) => options.silences_all(),)* }
            }

            /// How agents must hear each other to verify it.
            pub fn agent_paths(&self) -> AgentPaths {
                match self { $(FaultOptions::$variant(options) => options.agent_paths(),)* }
            }

            fn leaderless(&mut self) {
                match self { $(FaultOptions::$variant(options) => options.leaderless(),)* }
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

            pub(crate) fn turn_to_leader(&mut self) -> bool {
                match self { $(SymbolicFault::$variant(fault) => fault.turn_to_leader(),)* }
            }

            pub(crate) fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved> {
                match self { $(SymbolicFault::$variant(fault) => fault.resolve(view),)* }
            }
        }
    };
}

// The one list of faults: a new one is its file and its line here.
faults! {
    /// Cuts links between nodes; never those to the control node.
    Partition = partition(PartitionOptions, PartitionFault),
    /// Kills the target's processes with SIGKILL; they are started again at the end.
    Kill = kill(KillOptions, KillFault),
    /// Freezes the target's processes; they resume at the end.
    Pause = pause(PauseOptions, PauseFault),
    /// Skews the wall clock: one jump, back and forth, too fast or slow, or standing still.
    Clock = clock(ClockOptions, ClockFault),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Leaves, VerifiedBy};
    use crate::fault::{NodeView, Verification};
    use serde_json::json;

    #[test]
    fn names_in_listings_are_the_names_in_plans() {
        for doc in FAULTS {
            let fault: FaultOptions =
                serde_json::from_value(json!({doc.name: {}})).expect("every option has a default");
            assert_eq!(fault.facts(), doc);
            let drawn = fault.draws(5).expect("five nodes").draw(&mut Rng::new(1, "names", 0));
            assert_eq!(drawn.facts(), doc);
            assert!(drawn.describe().starts_with(doc.name), "{}", drawn.describe());
        }
    }

    #[test]
    fn faults_are_verified_and_cut_as_their_facts_say() {
        let node = |number: u8| NodeView {
            name: format!("n{number}"),
            address: [10, 0, 0, number].into(),
            others: Vec::new(),
            ports: Vec::new(),
            services: vec!["db".to_owned()],
            own_kernel: false,
        };
        let view = ClusterView {
            nodes: (1..=5).map(node).collect(),
            leaders: vec!["n2".to_owned()],
            ..ClusterView::default()
        };
        for facts in FAULTS {
            let options: FaultOptions = serde_json::from_value(json!({facts.name: {}})).expect("defaults");
            let mut draws = options.draws(5).expect("five nodes");
            for seed in 0..20 {
                let fault = draws.draw(&mut Rng::new(seed, "facts", 0)).resolve(&view).expect("resolved");
                let links = matches!(fault.verification, Verification::Links { .. });
                assert_eq!((fault.kind, links), (facts.name, facts.verified_by == VerifiedBy::Links));
                assert_eq!(!fault.cut.is_empty(), facts.leaves == Leaves::ConnectedNodes, "{fault:?}");
                let skews = fault.injections.iter().any(|(_, injection)| injection.facts().changes_clock);
                assert_eq!(skews, facts.samples_clocks, "{fault:?}");
            }
            assert_eq!(options.agent_paths() != AgentPaths::NotNeeded, facts.verified_by == VerifiedBy::Links);
        }
    }

    #[test]
    fn options_are_read_strictly_and_written_back() {
        let written = json!({
            "every": "10s", "for": "6s", "quiet_start": "5s", "quiet_end": null,
            "faults": [
                {"partition": {"shape": ["majority", "one-way", "bridge", "isolate-leader"], "for": null}},
                {"kill": {"nodes": "minority", "for": null}},
                {"pause": {"nodes": ["leader", {"node": "n3"}], "for": "5s"}},
                {"clock": {"jump": "1m", "strobe": {"by": "10s", "period": "50ms"}, "drift": ["5%", "200ppm"], "freeze": true,
                    "per_node": true, "nodes": "all", "for": null}}
            ]
        });
        let options: NemesisOptions = serde_json::from_value(written.clone()).expect("read");
        assert_eq!(serde_json::to_value(&options).expect("written"), written);
        assert_eq!(options.faults[2].lasts(), Some(Span::seconds(5)));
        for wrong in [json!({"kill": {"node": "one"}}), json!({"partition": {"shape": "thirds"}}), json!({"burn": {}})]
        {
            assert!(serde_json::from_value::<FaultOptions>(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_that_no_node_has_is_a_mistake() {
        let options: NemesisOptions =
            serde_json::from_value(json!({"faults": [{"kill": {"nodes": "minorty"}}]})).expect("read");
        let mistakes = options.mistakes(&["n1".into(), "n2".into()]);
        assert_eq!(
            mistakes,
            [
                "kill: nodes: minorty is neither a node (n1, n2) nor one of one, minority, majority, all, leader, follower, \
              followers, ex-leader"
            ]
        );
        assert!(options.mistakes(&["minorty".into()]).is_empty());
    }

    #[test]
    fn the_schema_names_every_fault() {
        let schema = serde_json::to_string(&schemars::schema_for!(NemesisOptions)).expect("a schema");
        for doc in FAULTS {
            assert!(schema.contains(&format!("\"{}\"", doc.name)), "{schema}");
        }
    }
}
