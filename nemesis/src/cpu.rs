//! CPU: the target's processes on some nodes get little CPU time, or busy processes of the agent run beside them.
use crate::aim::Aim;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::options::{FaultOptions, SymbolicFault};
use crate::protocol::Injection;
use crate::protocol::ability::{self, NodeSize};
pub use crate::quantity::CpuShare;
use crate::services::{NodePlace, ServiceEffect, ServiceFault, ServiceOptions, named_or_default};
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// The facts of every fault of the CPU.
pub const FACTS: FaultFacts = FaultFacts {
    name: "cpu",
    doc: "Gives the target's processes on some nodes little CPU time, or runs busy processes beside them.",
    needs: NodeNeeds::everywhere(&[ability::ROOT]),
    verified_by: VerifiedBy::State,
    leaves: Leaves::OtherNodes,
    // A leader that is only slow need not lose its leadership.
    may_move_leader: false,
    ends_processes: false,
    samples_clocks: false,
    colour: ColourFamily::Stalls,
};

/// Options of the fault of the CPU. Without `limit` and `burn`: a limit of 20%.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CpuOptions {
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
    /// The recipe's process that is meant. Left out: each process of the recipe.
    pub process: Option<String>,
    /// The share of one CPU that all processes of a recipe's process get together, 1% to 99%, or several to draw from.
    pub limit: Option<Choice<CpuShare>>,
    /// The number of busy processes beside the target, at most four for each CPU of the node, or several to draw from.
    pub burn: Option<Choice<u32>>,
}

impl Default for CpuOptions {
    fn default() -> CpuOptions {
        CpuOptions { nodes: Choice::one(CpuFaultEffect::AIM), lasts: None, process: None, limit: None, burn: None }
    }
}

/// What happens to the target's CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CpuEffect {
    /// It gets at most this share of one CPU.
    Limit(CpuShare),
    /// This number of busy processes run beside it.
    Burn(u32),
}

/// What a fault of the CPU does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuFaultEffect {
    /// The process of the recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The effect.
    pub cpu: CpuEffect,
}

impl Default for CpuEffect {
    fn default() -> CpuEffect {
        CpuEffect::Limit(CpuShare::percent(20))
    }
}

/// One fault of the CPU with its draws made.
pub type CpuFault = ServiceFault<CpuFaultEffect>;

/// More busy processes than any node can be asked for.
const BURN_MAX: u32 = 1024;

impl ServiceOptions for CpuOptions {
    type Effect = CpuFaultEffect;

    fn nodes_mut(&mut self) -> &mut Choice<Aim> {
        &mut self.nodes
    }

    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn effects(self) -> Vec<CpuFaultEffect> {
        let limits = self.limit.iter().flat_map(|limit| limit.items()).map(|share| CpuEffect::Limit(*share));
        let burns = self.burn.iter().flat_map(|burn| burn.items()).map(|count| CpuEffect::Burn(*count));
        let effects = named_or_default(limits.chain(burns)).into_iter();
        effects.map(|cpu| CpuFaultEffect { process: self.process.clone(), cpu }).collect()
    }
}

impl ServiceEffect for CpuFaultEffect {
    const FACTS: FaultFacts = FACTS;
    const AIM: Aim = Aim::One;

    fn process(&self) -> Option<&str> {
        self.process.as_deref()
    }

    fn describe(&self) -> String {
        let effect = match self.cpu {
            CpuEffect::Limit(share) => format!("limit {share}"),
            CpuEffect::Burn(1) => "burn by one process".to_owned(),
            CpuEffect::Burn(count) => format!("burn by {count} processes"),
        };
        self.process.iter().cloned().chain([effect]).collect::<Vec<_>>().join(" ")
    }

    fn mistakes(&self, _: Span) -> Vec<String> {
        match self.cpu {
            CpuEffect::Burn(0) => vec!["burn: 0 processes would change nothing".to_owned()],
            CpuEffect::Burn(count) if count > BURN_MAX => {
                vec![format!("burn: {count} processes; at most four for each CPU of the node are possible")]
            }
            _ => Vec::new(),
        }
    }

    fn beyond(&self, size: &NodeSize) -> Option<(&'static str, String)> {
        let CpuEffect::Burn(processes) = self.cpu else { return None };
        size.too_busy(processes).map(|why| (ability::CPUS, why))
    }

    fn injection(&self, services: Vec<String>, _: &NodePlace) -> Injection {
        match self.cpu {
            CpuEffect::Limit(share) => Injection::LimitCpu { services, percent: share.as_percent() },
            CpuEffect::Burn(processes) => Injection::BurnCpu { services, processes },
        }
    }

    fn symbolic(fault: CpuFault) -> SymbolicFault {
        SymbolicFault::Cpu(fault)
    }

    fn options(&self, nodes: Choice<Aim>) -> FaultOptions {
        let (limit, burn) = match self.cpu {
            CpuEffect::Limit(share) => (Some(Choice::one(share)), None),
            CpuEffect::Burn(count) => (None, Some(Choice::one(count))),
        };
        FaultOptions::Cpu(CpuOptions { nodes, lasts: None, process: self.process.clone(), limit, burn })
    }

    fn silences(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::FaultDefinition;
    use crate::services::testing::drawn;
    use serde_json::json;

    fn options(value: serde_json::Value) -> CpuOptions {
        serde_json::from_value(value).expect("options")
    }

    #[test]
    fn a_plan_draws_what_it_names_and_nothing_else() {
        let drawn = |value: serde_json::Value| drawn(json!({"cpu": value}));
        assert_eq!(drawn(json!({"nodes": "n1"})), ["cpu limit 20% n1"]);
        assert_eq!(drawn(json!({"nodes": "n1", "burn": 1})), ["cpu burn by one process n1"]);
        let both = json!({"nodes": "n1", "process": "db", "limit": ["5%", "50%"], "burn": 2});
        assert_eq!(drawn(both), ["cpu db burn by 2 processes n1", "cpu db limit 5% n1", "cpu db limit 50% n1"]);
    }

    #[test]
    fn what_changes_nothing_or_cannot_be_is_refused() {
        let mistakes = |value: serde_json::Value| FaultDefinition::mistakes(&options(value), Span::seconds(5));
        assert_eq!(mistakes(json!({"burn": 0})), ["burn: 0 processes would change nothing"]);
        assert_eq!(mistakes(json!({"limit": "20%", "burn": [1, 5000]})).len(), 1);
        assert!(mistakes(json!({})).is_empty());
        for wrong in [json!({"limit": "0%"}), json!({"limit": "150%"}), json!({"burn": -1}), json!({"limit": []})] {
            assert!(serde_json::from_value::<CpuOptions>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
