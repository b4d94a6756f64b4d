//! Memory: the target's processes on some nodes get no more than a limit, or the one with the most is killed, as the kernel does
//! for want of memory. The heal lifts the limit and starts again what ended.
use crate::aim::Aim;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::options::{FaultOptions, SymbolicFault};
use crate::protocol::ability::{self, NodeSize};
use crate::protocol::{Injection, ProcessSelection, ResourceLimit};
pub use crate::quantity::ByteSize;
use crate::services::{NodePlace, ServiceEffect, ServiceFault, ServiceOptions, named_or_default};
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// The facts of every fault of memory.
pub const FACTS: FaultFacts = FaultFacts {
    name: "memory",
    doc: "Limits the memory of the target's processes on some nodes, or kills the one with the most, as the kernel does for want \
          of memory.",
    needs: NodeNeeds::everywhere(&[ability::ROOT]),
    verified_by: VerifiedBy::State,
    leaves: Leaves::OtherNodes,
    // A process that needs no more memory goes on.
    may_move_leader: false,
    ends_processes: false,
    samples_clocks: false,
    colour: ColourFamily::Processes,
};

/// Options of the fault of memory. Without `limit`, `headroom` and `oom`: an out-of-memory kill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryOptions {
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
    /// The recipe's process that is meant. Left out: each process of the recipe.
    pub process: Option<String>,
    /// The memory that may be had, or several sizes to draw from: by all processes of a recipe's process together where the node's
    /// control groups can limit it, else by each process (its data, as `VmData` counts it).
    pub limit: Option<Choice<ByteSize>>,
    /// The same as a limit that is this much above what is used at the begin of the fault. 0: each further allocation fails.
    pub headroom: Option<Choice<ByteSize>>,
    /// Kill the process with the most resident memory.
    // Stored plans may say `false` beside the others.
    pub oom: Option<bool>,
}

impl Default for MemoryOptions {
    fn default() -> MemoryOptions {
        let nodes = Choice::one(MemoryFaultEffect::AIM);
        MemoryOptions { nodes, lasts: None, process: None, limit: None, headroom: None, oom: None }
    }
}

/// What happens to the target's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryEffect {
    /// No more than this may be had.
    Limit(ByteSize),
    /// No more than this beyond what is used at the begin.
    Headroom(ByteSize),
    /// The process with the most is killed.
    #[default]
    Oom,
}

/// What a fault of memory does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFaultEffect {
    /// The process of the recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The effect.
    pub memory: MemoryEffect,
}

/// One fault of memory with its draws made.
pub type MemoryFault = ServiceFault<MemoryFaultEffect>;

/// A limit below this ends every program at once.
const LIMIT_MIN: u64 = 1 << 20;
/// SIGKILL.
const KILL: i32 = 9;

impl ServiceOptions for MemoryOptions {
    type Effect = MemoryFaultEffect;

    fn nodes_mut(&mut self) -> &mut Choice<Aim> {
        &mut self.nodes
    }

    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn contradiction(&self) -> Option<String> {
        let nothing = self.oom == Some(false) && self.limit.is_none() && self.headroom.is_none();
        nothing.then(|| "oom: false leaves nothing to do: name `limit` or `headroom`, or leave `oom` out".to_owned())
    }

    fn effects(self) -> Vec<MemoryFaultEffect> {
        let limits = self.limit.iter().flat_map(|limit| limit.items()).map(|size| MemoryEffect::Limit(*size));
        let rooms = self.headroom.iter().flat_map(|room| room.items()).map(|size| MemoryEffect::Headroom(*size));
        let ooms = self.oom.filter(|oom| *oom).map(|_| MemoryEffect::Oom);
        let effects = named_or_default(limits.chain(rooms).chain(ooms)).into_iter();
        effects.map(|memory| MemoryFaultEffect { process: self.process.clone(), memory }).collect()
    }
}

impl ServiceEffect for MemoryFaultEffect {
    const FACTS: FaultFacts = FACTS;
    const AIM: Aim = Aim::One;

    fn process(&self) -> Option<&str> {
        self.process.as_deref()
    }

    fn describe(&self) -> String {
        let effect = match self.memory {
            MemoryEffect::Limit(size) => format!("limit {size}"),
            MemoryEffect::Headroom(size) => format!("headroom {size}"),
            MemoryEffect::Oom => "out-of-memory kill".to_owned(),
        };
        self.process.iter().cloned().chain([effect]).collect::<Vec<_>>().join(" ")
    }

    fn mistakes(&self, _: Span) -> Vec<String> {
        match self.memory {
            MemoryEffect::Limit(size) if size.as_bytes() < LIMIT_MIN => {
                vec![format!("limit: {size} is less than any program needs: at least {}", ByteSize::bytes(LIMIT_MIN))]
            }
            _ => Vec::new(),
        }
    }

    fn beyond(&self, size: &NodeSize) -> Option<(&'static str, String)> {
        let (MemoryEffect::Limit(room) | MemoryEffect::Headroom(room)) = self.memory else { return None };
        size.too_roomy(room.as_bytes()).map(|why| (ability::MEMORY_BYTES, why))
    }

    fn injection(&self, services: Vec<String>, _: &NodePlace) -> Injection {
        let limit = match self.memory {
            MemoryEffect::Limit(size) => ResourceLimit::Memory(size.as_bytes()),
            MemoryEffect::Headroom(size) => ResourceLimit::MemoryHeadroom(size.as_bytes()),
            MemoryEffect::Oom => {
                return Injection::EndProcesses {
                    services,
                    processes: ProcessSelection { largest: true, ..ProcessSelection::default() },
                    signal: KILL,
                    grace_ms: 0,
                    start_after_ms: 0,
                    picked: Vec::new(),
                };
            }
        };
        Injection::LimitResource { services, limit, picked: Vec::new(), groups: Vec::new() }
    }

    fn symbolic(fault: MemoryFault) -> SymbolicFault {
        SymbolicFault::Memory(fault)
    }

    fn options(&self, nodes: Choice<Aim>) -> FaultOptions {
        let mut options = MemoryOptions { nodes, process: self.process.clone(), ..MemoryOptions::default() };
        match self.memory {
            MemoryEffect::Limit(size) => options.limit = Some(Choice::one(size)),
            MemoryEffect::Headroom(size) => options.headroom = Some(Choice::one(size)),
            MemoryEffect::Oom => options.oom = Some(true),
        }
        FaultOptions::Memory(options)
    }

    fn needs(&self) -> &'static [&'static str] {
        if self.memory == MemoryEffect::Oom { &[] } else { &[ability::LIMITS] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::FaultDefinition;
    use crate::services::testing::drawn;
    use serde_json::json;

    fn options(value: serde_json::Value) -> MemoryOptions {
        serde_json::from_value(value).expect("options")
    }

    #[test]
    fn a_plan_draws_what_it_names_and_nothing_else() {
        let drawn = |value: serde_json::Value| drawn(json!({"memory": value}));
        assert_eq!(drawn(json!({"nodes": "n1"})), ["memory out-of-memory kill n1"]);
        assert_eq!(drawn(json!({"nodes": "n1", "limit": "200MB"})), ["memory limit 200MB n1"]);
        let all = json!({"nodes": "n1", "limit": "64MiB", "headroom": 0, "oom": true});
        assert_eq!(drawn(all), ["memory headroom 0B n1", "memory limit 64MiB n1", "memory out-of-memory kill n1"]);
    }

    #[test]
    fn limits_need_an_ability_and_room_for_a_program() {
        assert_eq!(options(json!({"headroom": "1MB"})).more_needs(), [ability::LIMITS]);
        assert!(options(json!({"oom": true})).more_needs().is_empty());
        let mistakes = |value: serde_json::Value| FaultDefinition::mistakes(&options(value), Span::seconds(5));
        assert_eq!(mistakes(json!({"limit": "0"})), ["limit: 0B is less than any program needs: at least 1MiB"]);
        assert!(mistakes(json!({"limit": "1MiB", "headroom": 0})).is_empty());
        for wrong in [json!({"limit": "-1MB"}), json!({"headroom": "much"}), json!({"oom": 3})] {
            assert!(serde_json::from_value::<MemoryOptions>(wrong.clone()).is_err(), "{wrong}");
        }
        for stored in [json!({"limit": "200MB", "oom": false}), json!({"headroom": 0, "oom": false})] {
            let read = options(stored.clone());
            assert!(
                read.contradiction().is_none()
                    && read.effects().iter().all(|effect| effect.memory != MemoryEffect::Oom),
                "{stored}"
            );
        }
        assert!(options(json!({"oom": false})).contradiction().is_some());
    }
}
