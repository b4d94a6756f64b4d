//! Clock: skews the wall clock on some nodes, by one jump or back and forth (strobe).
//!
//! On a node that owns its kernel a jump steps the real clock. On other nodes, and for every strobe, only the target's processes
//! see the skew (in their vDSO). The resolution of the fault decides between the two.
use crate::aim::{Aim, PlannedAim};
use crate::bag::Bag;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::fault::{ClusterView, NodeView, ResolvedFault, Unresolved};
use crate::options::{AgentPaths, FaultDefinition, FaultSource, Symbolic, SymbolicFault};
use crate::protocol::{Injection, ability};
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// What holds for every clock fault.
pub const FACTS: FaultFacts = FaultFacts {
    name: "clock",
    doc: "Shifts the wall clock on some nodes: one jump forward or back, or back and forth (strobe).",
    needs: NodeNeeds {
        shared_kernel: &[ability::ROOT, ability::VDSO_CLOCK],
        own_kernel: &[ability::ROOT, ability::STEP_CLOCK],
    },
    verified_by: VerifiedBy::State,
    leaves: Leaves::AllNodes,
    // A wrong clock need not move the leadership.
    may_move_leader: false,
    ends_processes: false,
    samples_clocks: true,
    colour: ColourFamily::Clocks,
};

/// Options of the clock fault. With neither `jump` nor `strobe`: a jump of one minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClockOptions {
    /// Size of the jump, or several sizes to draw from; the direction is drawn.
    pub jump: Option<Choice<Span>>,
    /// Flip back and forth instead of one jump.
    pub strobe: Option<Strobe>,
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
}

impl Default for ClockOptions {
    fn default() -> ClockOptions {
        ClockOptions { jump: None, strobe: None, nodes: Choice::one(Aim::Minority), lasts: None }
    }
}

/// The clock flips between the true time and a shifted one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Strobe {
    /// Size of the shift; the direction is drawn.
    pub by: Span,
    /// How often it flips.
    pub period: Span,
}

impl Default for Strobe {
    fn default() -> Strobe {
        Strobe { by: Span::seconds(10), period: Span::millis(50) }
    }
}

const JUMP_DEFAULT: Span = Span::seconds(60);

impl FaultDefinition for ClockOptions {
    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn named_nodes(&self) -> Vec<String> {
        crate::aim::named(self.nodes.items())
    }

    fn silences_all(&self) -> bool {
        // Nodes serve with wrong clocks too.
        false
    }

    fn leader_words(&self) -> Vec<String> {
        crate::aim::leader_words(self.nodes.items())
    }

    fn leaderless(&mut self) {}

    fn agent_paths(&self) -> AgentPaths {
        AgentPaths::NotNeeded
    }

    fn draws(&self, nodes: usize) -> Result<Box<dyn FaultSource>, String> {
        let jumps = self.jump.as_ref().map(|jump| jump.items().to_vec()).unwrap_or_default();
        let mut skews: Vec<ClockSkew> = jumps.iter().map(|by| ClockSkew::Jump { by_ms: millis(*by) }).collect();
        if let Some(strobe) = &self.strobe {
            let period_ms = u64::try_from(strobe.period.0.as_millis()).unwrap_or(u64::MAX);
            if period_ms == 0 {
                return Err("strobe: a period below 1ms".to_owned());
            }
            skews.push(ClockSkew::Strobe { by_ms: millis(strobe.by), period_ms });
        }
        if skews.is_empty() {
            skews.push(ClockSkew::Jump { by_ms: millis(JUMP_DEFAULT) });
        }
        if skews.iter().any(|skew| skew.by_ms() == 0) {
            return Err("a clock skew of less than 1ms would change nothing".to_owned());
        }
        Ok(Box::new(ClockSource { skews: Bag::of(skews), aims: Bag::of(self.nodes.items().to_vec()), nodes }))
    }
}

/// Whole milliseconds, at most a hundred years: offsets in nanoseconds must fit 64 bits (292 years) on the wire.
fn millis(span: Span) -> i64 {
    const MILLIS_MAX: u128 = 100 * 365 * 86_400_000;
    i64::try_from(span.0.as_millis().min(MILLIS_MAX)).unwrap_or(i64::MAX)
}

struct ClockSource {
    skews: Bag<ClockSkew>,
    aims: Bag<Aim>,
    nodes: usize,
}

impl FaultSource for ClockSource {
    fn draw(&mut self, rng: &mut Rng) -> SymbolicFault {
        let skew = self.skews.draw(rng).unwrap_or(ClockSkew::Jump { by_ms: millis(JUMP_DEFAULT) });
        let back = rng.below(2) == 0;
        let aim = self.aims.draw(rng).unwrap_or(Aim::Minority);
        let skew = if back { skew.backwards() } else { skew };
        SymbolicFault::Clock(ClockFault { skew, nodes: aim.draw(rng, self.nodes) })
    }
}

/// The skew of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockSkew {
    /// A constant offset.
    Jump {
        /// Milliseconds, negative for the past.
        by_ms: i64,
    },
    /// An offset that flips on and off.
    Strobe {
        /// Milliseconds, negative for the past.
        by_ms: i64,
        /// How often it flips.
        period_ms: u64,
    },
}

impl ClockSkew {
    fn by_ms(self) -> i64 {
        match self {
            ClockSkew::Jump { by_ms } | ClockSkew::Strobe { by_ms, .. } => by_ms,
        }
    }

    fn backwards(self) -> ClockSkew {
        match self {
            ClockSkew::Jump { by_ms } => ClockSkew::Jump { by_ms: -by_ms },
            ClockSkew::Strobe { by_ms, period_ms } => ClockSkew::Strobe { by_ms: -by_ms, period_ms },
        }
    }

    fn words(self) -> String {
        let sign = if self.by_ms() < 0 { '-' } else { '+' };
        let by = Span::millis(self.by_ms().unsigned_abs());
        match self {
            ClockSkew::Jump { .. } => format!("jump {sign}{by}"),
            ClockSkew::Strobe { period_ms, .. } => format!("strobe {sign}{by} every {}", Span::millis(period_ms)),
        }
    }
}

/// One clock fault with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockFault {
    /// The skew.
    pub skew: ClockSkew,
    /// The nodes.
    pub nodes: PlannedAim,
}

impl ClockFault {
    fn injection(&self, node: &NodeView, control_boot_id: &str) -> Injection {
        let services = node.services.clone();
        let offset_ns = self.skew.by_ms() * 1_000_000;
        match self.skew {
            ClockSkew::Jump { .. } if node.own_kernel => {
                Injection::StepClock { offset_ns, control_boot_id: control_boot_id.to_owned(), own_kernel: true }
            }
            ClockSkew::Jump { .. } => Injection::ShiftClock { services, offset_ns },
            ClockSkew::Strobe { period_ms, .. } => Injection::StrobeClock { services, offset_ns, period_ms },
        }
    }
}

impl Symbolic for ClockFault {
    fn describe(&self) -> String {
        format!("clock {} {}", self.skew.words(), self.nodes.words())
    }

    fn aims_at_leader(&self) -> bool {
        self.nodes.at_leader()
    }

    fn turn_to_leader(&mut self) -> bool {
        // A wrong clock need not move the leadership, so it cannot replace a fault that does.
        false
    }

    fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved> {
        let injection = |node: &NodeView| self.injection(node, &view.control_boot_id);
        self.nodes.resolve(view, FACTS.name, &format!("{} ", self.skew.words()), injection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(own_kernel: bool) -> ClusterView {
        let node = |number: u8| NodeView {
            name: format!("n{number}"),
            address: [10, 0, 0, number].into(),
            others: Vec::new(),
            ports: Vec::new(),
            port_roles: std::collections::BTreeMap::new(),
            services: vec!["db".into(), "proxy".into()],
            own_kernel,
        };
        ClusterView { nodes: (1..=3).map(node).collect(), leaders: vec!["n2".into()], control_boot_id: "boot".into() }
    }

    fn drawn(options: &ClockOptions, seed: u64) -> SymbolicFault {
        options.draws(3).expect("draws").draw(&mut Rng::new(seed, "clock", 0))
    }

    #[test]
    fn jumps_go_both_ways_and_take_every_size() {
        let jump = Choice::several(vec![Span::seconds(1), Span::seconds(60)]);
        let options = ClockOptions { jump, nodes: Choice::one(Aim::Leader), ..ClockOptions::default() };
        let mut offsets = std::collections::BTreeSet::new();
        for seed in 0..60 {
            let fault = drawn(&options, seed).resolve(&view(false)).expect("resolved");
            assert_eq!(fault.nodes, ["n2"]);
            match &fault.injections[..] {
                [(node, Injection::ShiftClock { services, offset_ns })] if node == "n2" && services.len() == 2 => {
                    offsets.insert(offset_ns / 1_000_000_000);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(Vec::from_iter(offsets), [-60, -1, 1, 60]);
    }

    #[test]
    fn only_a_node_that_owns_its_kernel_has_its_real_clock_stepped() {
        let fault = drawn(&ClockOptions::default(), 1).resolve(&view(true)).expect("resolved");
        assert!(fault.injections.iter().all(|(_, injection)| matches!(injection,
            Injection::StepClock { control_boot_id, own_kernel: true, .. } if control_boot_id == "boot")));
        let strobe = ClockOptions { strobe: Some(Strobe::default()), ..ClockOptions::default() };
        let fault = drawn(&strobe, 1).resolve(&view(true)).expect("resolved");
        assert!(
            fault
                .injections
                .iter()
                .all(|(_, injection)| matches!(injection, Injection::StrobeClock { period_ms: 50, .. }))
        );
        assert!(fault.what.starts_with("clock strobe ") && fault.what.contains(" every 50ms "), "{}", fault.what);
    }

    #[test]
    fn lies_of_nothing_are_refused() {
        let nothing = ClockOptions { jump: Some(Choice::one(Span::seconds(0))), ..ClockOptions::default() };
        assert!(nothing.draws(3).is_err());
        let still = Strobe { period: Span::seconds(0), ..Strobe::default() };
        assert!(ClockOptions { strobe: Some(still), ..ClockOptions::default() }.draws(3).is_err());
    }
}
