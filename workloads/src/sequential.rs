//! Sequential: a worker writes the keys of a group one after the other, and others read the group in the opposite order. A read that
//! finds a key means that the keys that were written before it are there too.
//!
//! Whether a worker writes or reads, and which of the recent groups it reads, comes from its own stream; there are as many recent
//! groups as workers. The number of a group is bound when the first of its keys is called. Never: writes a key twice.
use crate::client::{Call, CallResult};
use crate::doc::WorkloadDoc;
use crate::names::CallNames;
use crate::sessions::ReadWriteMix;
use crate::workload::{FinalCall, Generator, Next, Part, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "sequential",
    object: "register",
    doc: "A process writes keys one after the other, and others read them in the opposite order; judged by sequential, causal and pram (a later write without an earlier one).",
    reads: Reads::Value,
    checkers: &["sequential", "causal", "pram"],
};

/// Most keys of a group.
const GROUP_MAX: u32 = 1_000;

/// Options of the sequential workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SequentialOptions {
    /// How many keys are written one after the other.
    pub group_size: u32,
    /// How often a worker begins each, relative to the other: to write a group, or to read one.
    pub mix: ReadWriteMix,
}

impl Default for SequentialOptions {
    fn default() -> SequentialOptions {
        SequentialOptions { group_size: 5, mix: ReadWriteMix { read: 1, write: 1 } }
    }
}

impl WorkloadSpec for SequentialOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        Box::new(Chains {
            weights: [self.mix.read, self.mix.write].map(u64::from),
            group_size: u64::from(self.group_size.max(1)),
            names: CallNames::new(DOC.name, ["read", "write"]),
            begun: Arc::new(AtomicU64::new(0)),
        })
    }

    fn blind(&self) -> Option<&'static str> {
        match self.mix.read {
            0 => Some("the mix has writes only, so that no read would see their order"),
            _ => self.mix.blind(),
        }
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        match self.group_size {
            size @ (0 | 1) => Some(("group_size", format!("{size} in a group have no order; at least 2"))),
            size if size > GROUP_MAX => Some(("group_size", format!("{size} keys; at most {GROUP_MAX}"))),
            _ => self.mix.mistake(),
        }
    }
}

/// Position in [`CallNames::functions`] and in weights; a read is the other.
const WRITE: usize = 1;

#[derive(Clone)]
struct Chains {
    /// Of reads and writes.
    weights: [u64; 2],
    group_size: u64,
    names: CallNames<2>,
    /// Groups that some worker has begun to write.
    begun: Arc<AtomicU64>,
}

impl Chains {
    fn calls(&self, weights: [u64; 2], seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        let rng = Rng::new(seed, "worker", u64::from(worker));
        let recent = u64::from(workers.max(1));
        Box::new(ChainCalls { rng, chains: Chains { weights, ..self.clone() }, recent, chain: None })
    }
}

impl Workload for Chains {
    fn name(&self) -> Arc<str> {
        self.names.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        self.names.functions.to_vec()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        self.calls(self.weights, seed, worker, workers)
    }

    fn part(&self, part: Part, seed: u64, worker: u32, workers: u32) -> Option<Box<dyn Generator>> {
        let [read, write] = self.weights;
        let weights = match part {
            Part::Reads => [read, 0],
            Part::Others => [0, write],
        };
        (weights != [0, 0]).then(|| self.calls(weights, seed, worker, workers))
    }

    /// None: what a read of the load showed is all that is judged.
    fn settle(&self) -> Vec<FinalCall> {
        Vec::new()
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["sequential", "causal", "pram"]
    }
}

/// The group that a worker goes through.
#[derive(Clone, Copy)]
struct Chain {
    function: usize,
    group: u64,
    /// Calls made.
    made: u64,
}

struct ChainCalls {
    rng: Rng,
    chains: Chains,
    /// How many of the newest groups are read.
    recent: u64,
    chain: Option<Chain>,
}

impl ChainCalls {
    /// Draws what to do, and binds the group: a writer begins one of its own.
    fn begin(&mut self) -> Option<Chain> {
        let function = self.rng.weighted(&self.chains.weights)?;
        let begun = &self.chains.begun;
        let group = match function {
            WRITE => begun.fetch_add(1, Ordering::Relaxed),
            _ => begun.load(Ordering::Relaxed).saturating_sub(1 + self.rng.below(self.recent)),
        };
        Some(Chain { function, group, made: 0 })
    }
}

impl Generator for ChainCalls {
    fn next(&mut self) -> Next {
        self.chain = self.chain.or_else(|| self.begin());
        let Some(chain) = self.chain else { return Next::Done };
        let size = self.chains.group_size;
        let (place, value) = match chain.function {
            WRITE => (chain.made, Value::Int(1)),
            _ => (size - 1 - chain.made, Value::Nil),
        };
        let key = Value::Int((chain.group * size + place) as i64);
        Next::Call(self.chains.names.call(chain.function, key, value))
    }

    fn taken(&mut self) {
        let size = self.chains.group_size;
        self.chain = self.chain.map(|chain| Chain { made: chain.made + 1, ..chain }).filter(|chain| chain.made < size);
    }

    /// A chain shows an order only if one process makes it whole.
    fn replaced(&mut self) {
        self.chain = None;
    }

    fn observe(&mut self, _call: &Call, answer: &CallResult) {
        // The process ends, and with it the order of its calls.
        if matches!(answer, CallResult::Info(_)) {
            self.chain = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::next_call;

    fn said(call: &Call) -> String {
        format!("{}{}", if &*call.f == "write" { "w" } else { "r" }, call.key)
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let workload = SequentialOptions { group_size: 3, ..SequentialOptions::default() }.build();
        let mut generators: Vec<_> = (0..2).map(|worker| workload.generator(7, worker, 2)).collect();
        let calls: Vec<String> = (0..18).map(|turn| said(&next_call(&mut *generators[turn % 2]))).collect();
        assert_eq!(calls.join(" "), GOLDEN);
    }

    const GOLDEN: &str = "w0 r2 w1 r1 w2 r0 w3 w6 w4 w7 w5 w8 r5 r8 r4 r7 r3 r6";

    #[test]
    fn groups_are_written_forwards_and_read_backwards_and_no_key_is_written_twice() {
        let workload = SequentialOptions { group_size: 4, ..SequentialOptions::default() }.build();
        let mut writers: Vec<_> =
            (0..3).map(|worker| workload.part(Part::Others, 7, worker, 3).expect("writes")).collect();
        let mut written = Vec::new();
        for turn in 0..120 {
            let call = next_call(&mut *writers[turn % 3]);
            assert_eq!((&*call.f, &call.value), ("write", &Value::Int(1)));
            written.push(call.key.as_int().expect("an integer"));
        }
        for worker in 0..3 {
            let own: Vec<i64> = written.iter().skip(worker).step_by(3).copied().collect();
            assert!(own.chunks(4).all(|group| group.windows(2).all(|pair| pair[1] == pair[0] + 1)), "{own:?}");
        }
        written.sort_unstable();
        assert_eq!(written, (0..120).collect::<Vec<i64>>());
        let mut reads = workload.part(Part::Reads, 7, 0, 3).expect("reads");
        let read: Vec<i64> = (0..40).filter_map(|_| next_call(&mut *reads).key.as_int()).collect();
        assert!(read.chunks(4).all(|group| group[0] % 4 == 3 && group.windows(2).all(|pair| pair[1] == pair[0] - 1)));
        assert!(read.iter().all(|key| (108..120).contains(key)), "one of the three newest groups: {read:?}");
    }

    #[test]
    fn a_process_that_ends_leaves_its_group() {
        let workload = SequentialOptions::default().build();
        let mut writer = workload.part(Part::Others, 7, 0, 1).expect("writes");
        let first = next_call(&mut *writer);
        writer.observe(&first, &CallResult::info("timeout"));
        assert_eq!(next_call(&mut *writer).key, Value::Int(5));
        writer.replaced();
        assert_eq!(next_call(&mut *writer).key, Value::Int(10));
    }

    #[test]
    fn mistakes_and_blind_loads_are_named() {
        let default = SequentialOptions::default;
        let mix = |read, write| SequentialOptions { mix: ReadWriteMix { read, write }, ..default() };
        let size = |group_size| SequentialOptions { group_size, ..default() }.mistake().map(|(option, _)| option);
        assert_eq!([1, 2, 1000, 1001].map(size), [Some("group_size"), None, None, Some("group_size")]);
        assert_eq!(mix(0, 0).mistake().map(|(option, _)| option), Some("mix"));
        assert!(mix(1, 0).blind().is_some() && mix(0, 1).blind().is_some() && default().blind().is_none());
    }
}
