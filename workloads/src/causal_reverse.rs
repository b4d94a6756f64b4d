//! Causal reverse: adds to sets and reads of them, many at the same time. A read that shows an element shows everything that was
//! acknowledged before that element was added; serializable databases without the order of real time break this.
//!
//! A set is read whole, so that a fresh one takes its place after a number of calls.
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::set::{SetMix, Sets, SetsInUse};
use crate::slots::Slots;
use crate::workload::{Workload, WorkloadSpec};
use dsfuzz_checkers::Reads;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "causal-reverse",
    object: "set",
    doc: "Adds to sets and reads of them at the same time; judged by causal-reverse (a read shows an element without an earlier one).",
    reads: Reads::Elements,
    checkers: &["causal-reverse"],
};

/// Options of the causal-reverse workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CausalReverseOptions {
    /// How many sets (keys) are in use at a time.
    pub keys: u32,
    /// How many calls a set gets before a fresh set takes its place.
    pub ops_per_key: u32,
    /// How often each function comes, relative to the other.
    pub mix: CausalReverseMix,
}

/// Relative weights of the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CausalReverseMix {
    /// Adds.
    pub add: u32,
    /// Reads of all elements.
    pub read: u32,
}

impl Default for CausalReverseMix {
    fn default() -> CausalReverseMix {
        CausalReverseMix { add: 1, read: 1 }
    }
}

impl Default for CausalReverseOptions {
    fn default() -> CausalReverseOptions {
        CausalReverseOptions { keys: 2, ops_per_key: 500, mix: CausalReverseMix::default() }
    }
}

impl WorkloadSpec for CausalReverseOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        let CausalReverseMix { add, read } = self.mix;
        let sets = SetsInUse::Rotated(Arc::new(Slots::new(self.keys, self.ops_per_key)));
        Box::new(Sets::new(&DOC, SetMix { add, read }, sets, &["causal-reverse"]))
    }

    fn blind(&self) -> Option<&'static str> {
        (self.mix.read == 0).then_some("the mix has adds only, so that nothing would be seen before its set is full")
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        let CausalReverseMix { add, read } = self.mix;
        match self.ops_per_key {
            0 => Some(("ops_per_key", "no set would get a call; at least 1".to_owned())),
            _ => SetMix { add, read }.mistake().or_else(|| keys_mistake("keys", self.keys)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::next_call;
    use crate::workload::FinalCall;

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let mut generator = CausalReverseOptions::default().build().generator(7, 1, 3);
        let call = |_| next_call(&mut *generator);
        let calls: Vec<String> = (0..10).map(call).map(|call| format!("{}:{}", call.key, call.value)).collect();
        assert_eq!(calls.join(" "), GOLDEN);
    }

    const GOLDEN: &str = "0:2 0:nil 1:5 0:nil 0:nil 1:8 0:nil 0:11 0:nil 1:nil";

    #[test]
    fn a_full_set_is_replaced_and_read_at_the_end() {
        let options = CausalReverseOptions { keys: 1, ops_per_key: 10, ..CausalReverseOptions::default() };
        let workload = options.build();
        let mut generator = workload.generator(7, 0, 1);
        let keys: Vec<Option<i64>> = (0..25).map(|_| next_call(&mut *generator).key.as_int()).collect();
        let expected: Vec<Option<i64>> = (0..25).map(|at| Some(at / 10)).collect();
        assert_eq!(keys, expected);
        let last: Vec<Option<i64>> = workload.settle().iter().map(|FinalCall { call, .. }| call.key.as_int()).collect();
        assert_eq!(last, [Some(2), Some(1)]);
    }

    #[test]
    fn mistakes_and_blind_loads_are_named() {
        let default = CausalReverseOptions::default;
        let mix = |add, read| CausalReverseOptions { mix: CausalReverseMix { add, read }, ..default() };
        let named = |options: CausalReverseOptions| options.mistake().map(|(option, _)| option);
        assert_eq!(named(mix(0, 1)), Some("mix"));
        assert_eq!(named(CausalReverseOptions { ops_per_key: 0, ..default() }), Some("ops_per_key"));
        assert_eq!(named(CausalReverseOptions { keys: 0, ..default() }), Some("keys"));
        assert_eq!(named(default()), None);
        assert!(mix(1, 0).blind().is_some() && default().blind().is_none());
    }
}
