//! Descriptors: the target's processes on some nodes may open few further files and sockets. The heal lifts the limit and starts
//! again what ended.
use crate::aim::Aim;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::options::{FaultOptions, SymbolicFault};
use crate::protocol::{Injection, ResourceLimit, ability};
use crate::services::{NodePlace, ServiceEffect, ServiceFault, ServiceOptions, named_or_default};
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// The facts of every limit of descriptors.
pub const FACTS: FaultFacts = FaultFacts {
    name: "descriptors",
    doc: "Limits the files and sockets that the target's processes on some nodes may open.",
    needs: NodeNeeds::everywhere(&[ability::ROOT, ability::LIMITS]),
    verified_by: VerifiedBy::State,
    leaves: Leaves::OtherNodes,
    // A leader serves over the connections that it has.
    may_move_leader: false,
    ends_processes: false,
    samples_clocks: false,
    colour: ColourFamily::Devices,
};

/// Options of the limit of descriptors. Without `limit` and `spare`: `spare: 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DescriptorsOptions {
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
    /// The recipe's process that is meant. Left out: each process of the recipe.
    pub process: Option<String>,
    /// The soft limit of open files (`RLIMIT_NOFILE`) of each process, or several to draw from. What is open beyond it stays open.
    pub limit: Option<Choice<u64>>,
    /// How many files and sockets each process can still open, or several numbers to draw from.
    pub spare: Option<Choice<u64>>,
}

impl Default for DescriptorsOptions {
    fn default() -> DescriptorsOptions {
        let nodes = Choice::one(DescriptorsFaultEffect::AIM);
        DescriptorsOptions { nodes, lasts: None, process: None, limit: None, spare: None }
    }
}

/// How few descriptors the target may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DescriptorsEffect {
    /// This soft limit.
    Limit(u64),
    /// This number beyond those that are open.
    Spare(u64),
}

/// What a limit of descriptors does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorsFaultEffect {
    /// The process of the recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The effect.
    pub descriptors: DescriptorsEffect,
}

impl Default for DescriptorsEffect {
    fn default() -> DescriptorsEffect {
        DescriptorsEffect::Spare(0)
    }
}

/// One limit of descriptors with its draws made.
pub type DescriptorsFault = ServiceFault<DescriptorsFaultEffect>;

/// Beyond this no process of today reaches its limit.
const NUMBER_MAX: u64 = 1 << 20;

impl ServiceOptions for DescriptorsOptions {
    type Effect = DescriptorsFaultEffect;

    fn nodes_mut(&mut self) -> &mut Choice<Aim> {
        &mut self.nodes
    }

    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn effects(self) -> Vec<DescriptorsFaultEffect> {
        let limits = self.limit.iter().flat_map(|limit| limit.items()).map(|count| DescriptorsEffect::Limit(*count));
        let spares = self.spare.iter().flat_map(|spare| spare.items()).map(|count| DescriptorsEffect::Spare(*count));
        let effects = named_or_default(limits.chain(spares)).into_iter();
        effects.map(|descriptors| DescriptorsFaultEffect { process: self.process.clone(), descriptors }).collect()
    }
}

impl ServiceEffect for DescriptorsFaultEffect {
    const FACTS: FaultFacts = FACTS;
    const AIM: Aim = Aim::One;

    fn process(&self) -> Option<&str> {
        self.process.as_deref()
    }

    fn describe(&self) -> String {
        let effect = match self.descriptors {
            DescriptorsEffect::Limit(count) => format!("limit {count}"),
            DescriptorsEffect::Spare(count) => format!("spare {count}"),
        };
        self.process.iter().cloned().chain([effect]).collect::<Vec<_>>().join(" ")
    }

    fn mistakes(&self, _: Span) -> Vec<String> {
        match self.descriptors {
            DescriptorsEffect::Limit(0) => vec!["limit: 0; 1 or more open files are possible".to_owned()],
            DescriptorsEffect::Limit(count) if count > NUMBER_MAX => {
                vec![format!("limit: {count} open files limit no process; at most {NUMBER_MAX}")]
            }
            DescriptorsEffect::Spare(count) if count > NUMBER_MAX => {
                vec![format!("spare: {count} further files limit no process; at most {NUMBER_MAX}")]
            }
            _ => Vec::new(),
        }
    }

    fn injection(&self, services: Vec<String>, _: &NodePlace) -> Injection {
        let limit = match self.descriptors {
            DescriptorsEffect::Limit(count) => ResourceLimit::Descriptors(count),
            DescriptorsEffect::Spare(count) => ResourceLimit::SpareDescriptors(count),
        };
        Injection::LimitResource { services, limit, picked: Vec::new(), groups: Vec::new() }
    }

    fn symbolic(fault: DescriptorsFault) -> SymbolicFault {
        SymbolicFault::Descriptors(fault)
    }

    fn options(&self, nodes: Choice<Aim>) -> FaultOptions {
        let (limit, spare) = match self.descriptors {
            DescriptorsEffect::Limit(count) => (Some(Choice::one(count)), None),
            DescriptorsEffect::Spare(count) => (None, Some(Choice::one(count))),
        };
        FaultOptions::Descriptors(DescriptorsOptions {
            nodes,
            lasts: None,
            process: self.process.clone(),
            limit,
            spare,
        })
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

    fn options(value: serde_json::Value) -> DescriptorsOptions {
        serde_json::from_value(value).expect("options")
    }

    #[test]
    fn a_plan_draws_what_it_names_and_nothing_else() {
        let drawn = |value: serde_json::Value| drawn(json!({"descriptors": value}));
        assert_eq!(drawn(json!({"nodes": "n1"})), ["descriptors spare 0 n1"]);
        let all = json!({"nodes": "n1", "limit": [64, 32], "spare": 2});
        assert_eq!(drawn(all), ["descriptors limit 32 n1", "descriptors limit 64 n1", "descriptors spare 2 n1"]);
    }

    #[test]
    fn what_limits_nothing_or_cannot_be_is_refused() {
        let mistakes = |value: serde_json::Value| FaultDefinition::mistakes(&options(value), Span::seconds(5));
        assert_eq!(mistakes(json!({"limit": 0})), ["limit: 0; 1 or more open files are possible"]);
        assert_eq!(mistakes(json!({"limit": [64, 9_000_000], "spare": 9_000_000})).len(), 2);
        assert!(mistakes(json!({"spare": 0})).is_empty());
        for wrong in [json!({"spare": -1}), json!({"limit": "many"}), json!({"limit": 1.5})] {
            assert!(serde_json::from_value::<DescriptorsOptions>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
