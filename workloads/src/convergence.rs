//! Convergence: registers that are written on every node, and read on every node at the end.
//!
//! Keys stay for the whole run: what a replica holds of a key at the end is all that is promised.
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::register::Registers;
use crate::sessions::ReadWriteMix;
use crate::workload::{Workload, WorkloadSpec};
use dsfuzz_checkers::{FinalReads, Reads};
use serde::{Deserialize, Serialize};

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "convergence",
    object: "register",
    doc: "Registers that are written on every node, and read on every node at the end; judged by eventual-convergence and staleness.",
    reads: Reads::Value,
    checkers: &["eventual-convergence", "staleness"],
};

/// Options of the convergence workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConvergenceOptions {
    /// How many registers (keys) are in use.
    pub keys: u32,
    /// How often each function comes, relative to the other.
    pub mix: ReadWriteMix,
}

impl Default for ConvergenceOptions {
    fn default() -> ConvergenceOptions {
        ConvergenceOptions { keys: 32, mix: ReadWriteMix { read: 1, write: 1 } }
    }
}

impl WorkloadSpec for ConvergenceOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        let (ReadWriteMix { read, write }, checkers) = (self.mix, vec!["eventual-convergence", "staleness"]);
        let mut registers = Registers::new(&DOC, [read, write, 0], self.keys, u32::MAX, checkers);
        registers.finals = Some(FinalReads::EachNode);
        Box::new(registers)
    }

    fn blind(&self) -> Option<&'static str> {
        self.mix.blind()
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        self.mix.mistake().or_else(|| keys_mistake("keys", self.keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::next_call;
    use std::fmt::Write;

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let mut generator = ConvergenceOptions::default().build().generator(7, 1, 3);
        let mut line = String::new();
        for _ in 0..10 {
            let call = next_call(&mut *generator);
            let value = call.value.as_int().map_or(String::new(), |value| format!("={value}"));
            write!(line, "{}{value} ", call.key).expect("writing to a string");
        }
        assert_eq!(line, GOLDEN);
    }

    #[test]
    fn every_key_is_read_on_each_node_at_the_end() {
        let finals = ConvergenceOptions { keys: 3, ..ConvergenceOptions::default() }.build().settle();
        assert_eq!(finals.len(), 3);
        assert!(finals.iter().all(|read| read.mode == Some(FinalReads::EachNode) && &*read.call.f == "read"));
    }

    #[test]
    fn a_load_without_writes_is_blind_and_one_without_calls_is_a_mistake() {
        let mix = |read, write| ConvergenceOptions { mix: ReadWriteMix { read, write }, keys: 1 };
        assert!(mix(1, 0).blind().is_some() && mix(0, 1).blind().is_none());
        assert_eq!(mix(0, 0).mistake().map(|(option, _)| option), Some("mix"));
        assert_eq!(ConvergenceOptions { keys: 0, ..mix(1, 1) }.mistake().map(|(option, _)| option), Some("keys"));
    }

    const GOLDEN: &str = "1 14=2 30 3=5 11=8 17 8=11 14 2=14 16=17 ";
}
