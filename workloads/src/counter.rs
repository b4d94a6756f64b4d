//! A counter: `add` a number, `read` the sum.
//!
//! A worker draws the function, the counter and the number from its own stream of the seed; nothing depends on replies.
//! Never: adds 0 or less, so that a sum that falls is a loss.
use crate::client::{Call, CallResult};
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::keys::Keys;
use crate::workload::{FinalCall, Generator, Next, Part, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "counter",
    object: "counter",
    doc: "A counter: add numbers, read the sum; judged by counter (a read below or above what the additions allow).",
    reads: Reads::Number,
    checkers: &["counter"],
};

/// Largest number of one addition. No load reaches the end of a counter of 64 bits by such additions.
const ADD_MAX: u32 = 1_000_000;

/// Options of the counter workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CounterOptions {
    /// How many counters (keys) are in use; calls are spread over them. Left out: one.
    pub keys: Option<u32>,
    /// The largest number that is added; the smallest is 1.
    pub max_add: u32,
    /// How often each function comes, relative to the other.
    pub mix: CounterMix,
}

impl Default for CounterOptions {
    fn default() -> CounterOptions {
        CounterOptions { keys: None, max_add: 5, mix: CounterMix::default() }
    }
}

/// Relative weights of the functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CounterMix {
    /// Additions.
    pub add: u32,
    /// Reads during the load. 0: only the final reads show the sum.
    pub read: u32,
}

impl Default for CounterMix {
    fn default() -> CounterMix {
        CounterMix { add: 1, read: 1 }
    }
}

impl WorkloadSpec for CounterOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        build(self)
    }

    fn blind(&self) -> Option<&'static str> {
        (self.mix.add == 0).then_some("the mix has reads only, so that nothing would be counted")
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        let mistake = |option, message: String| Some((option, message));
        match (self.max_add, &self.mix) {
            (_, CounterMix { add: 0, read: 0 }) => {
                mistake("mix", "every weight is 0: no call would be made".to_owned())
            }
            (0, _) => mistake("max_add", "nothing would be added; at least 1".to_owned()),
            (max, _) if max > ADD_MAX => mistake("max_add", format!("{max} at a time; at most {ADD_MAX}")),
            _ => self.keys.and_then(|keys| keys_mistake("keys", keys)),
        }
    }
}

/// The workload with these options.
fn build(options: &CounterOptions) -> Box<dyn Workload> {
    let (workload, add, read) = (DOC.name.into(), "add".into(), "read".into());
    Box::new(Counters { options: options.clone(), names: CallNames { workload, add, read } })
}

/// The names that calls carry. Calls share them, so that no call allocates one.
#[derive(Clone)]
struct CallNames {
    workload: Arc<str>,
    add: Arc<str>,
    read: Arc<str>,
}

struct Counters {
    options: CounterOptions,
    names: CallNames,
}

impl Counters {
    fn weights(&self) -> [u64; 2] {
        [self.options.mix.add, self.options.mix.read].map(u64::from)
    }

    /// The generator of a worker with these weights of additions and reads.
    fn calls(&self, weights: [u64; 2], seed: u64, worker: u32) -> Box<dyn Generator> {
        Box::new(CounterCalls {
            rng: Rng::new(seed, "worker", u64::from(worker)),
            weights,
            keys: Keys(self.options.keys),
            max_add: u64::from(self.options.max_add.max(1)),
            names: self.names.clone(),
            choice: None,
        })
    }
}

impl Workload for Counters {
    fn name(&self) -> Arc<str> {
        self.names.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        // The final reads need `read`, whatever its weight.
        let adds = self.options.mix.add > 0;
        [adds.then(|| self.names.add.clone()), Some(self.names.read.clone())].into_iter().flatten().collect()
    }

    fn generator(&self, seed: u64, worker: u32, _workers: u32) -> Box<dyn Generator> {
        self.calls(self.weights(), seed, worker)
    }

    fn part(&self, part: Part, seed: u64, worker: u32, _workers: u32) -> Option<Box<dyn Generator>> {
        let [add, read] = self.weights();
        let weights = match part {
            Part::Reads => [0, read],
            Part::Others => [add, 0],
        };
        (weights != [0, 0]).then(|| self.calls(weights, seed, worker))
    }

    fn settle(&self) -> Vec<FinalCall> {
        let CallNames { workload, read, .. } = &self.names;
        let read = |number| Call {
            workload: workload.clone(),
            f: read.clone(),
            key: Keys(self.options.keys).key(number),
            value: Value::Nil,
        };
        (0..Keys(self.options.keys).count()).map(read).map(FinalCall::from).collect()
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["counter"]
    }
}

#[derive(Clone, Copy)]
struct Choice {
    counter: u64,
    /// What is added; none for a read.
    amount: Option<u64>,
}

/// The calls of one worker.
struct CounterCalls {
    rng: Rng,
    /// Of additions and reads.
    weights: [u64; 2],
    keys: Keys,
    max_add: u64,
    names: CallNames,
    /// The choice that `next` shows until `taken` consumes it.
    choice: Option<Choice>,
}

impl CounterCalls {
    fn draw(&mut self) -> Option<Choice> {
        let adds = self.rng.weighted(&self.weights)? == 0;
        let counter = self.rng.below(self.keys.count());
        Some(Choice { counter, amount: adds.then(|| 1 + self.rng.below(self.max_add)) })
    }
}

impl Generator for CounterCalls {
    fn next(&mut self) -> Next {
        if self.choice.is_none() {
            self.choice = self.draw();
        }
        let Some(Choice { counter, amount }) = self.choice else { return Next::Done };
        let (f, value) = match amount {
            Some(amount) => (&self.names.add, Value::Int(amount as i64)),
            None => (&self.names.read, Value::Nil),
        };
        let workload = self.names.workload.clone();
        Next::Call(Call { workload, f: f.clone(), key: self.keys.key(counter), value })
    }

    fn taken(&mut self) {
        self.choice = None;
    }

    fn observe(&mut self, _call: &Call, _answer: &CallResult) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::next_call;
    use std::fmt::Write;

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let workload = build(&CounterOptions { keys: Some(3), ..CounterOptions::default() });
        let mut lines = String::new();
        for worker in 0..2 {
            let mut generator = workload.generator(7, worker, 2);
            for _ in 0..12 {
                let call = next_call(&mut *generator);
                let amount = call.value.as_int().map_or(String::new(), |amount| format!("+{amount}"));
                write!(lines, "{}{amount}, ", call.key).expect("writing to a string");
            }
            lines.push('\n');
        }
        assert_eq!(lines, GOLDEN);
    }

    const GOLDEN: &str = "\
2, 1+1, 2, 1, 2, 1, 1+3, 2+3, 0+5, 0, 2, 2, \n\
0+3, 1+5, 0, 1, 1+3, 0+3, 0, 1, 2+1, 1+5, 1+3, 0+2, \n";

    #[test]
    fn additions_are_positive_and_final_reads_show_every_counter() {
        let workload = build(&CounterOptions { max_add: 3, ..CounterOptions::default() });
        let mut adds = workload.part(Part::Others, 7, 0, 1).expect("additions");
        let mut amounts: Vec<Option<i64>> = (0..200).map(|_| next_call(&mut *adds).value.as_int()).collect();
        amounts.sort_unstable();
        amounts.dedup();
        assert_eq!(amounts, [Some(1), Some(2), Some(3)]);
        let mut reads = workload.part(Part::Reads, 7, 0, 1).expect("reads");
        assert!((0..50).all(|_| &*next_call(&mut *reads).f == "read"));
        let keys = |keys| -> Vec<Value> {
            let workload = build(&CounterOptions { keys, ..CounterOptions::default() });
            workload.settle().into_iter().map(|read| read.call.key).collect()
        };
        assert_eq!((keys(None), keys(Some(2))), (vec![Value::Nil], vec![Value::Int(0), Value::Int(1)]));
    }

    #[test]
    fn options_that_count_nothing_are_mistakes() {
        let default = CounterOptions::default;
        let cases = [
            (CounterOptions { max_add: 0, ..default() }, Some("max_add")),
            (CounterOptions { max_add: 1_000_001, ..default() }, Some("max_add")),
            (CounterOptions { keys: Some(0), ..default() }, Some("keys")),
            (CounterOptions { mix: CounterMix { add: 0, read: 0 }, ..default() }, Some("mix")),
            (CounterOptions { mix: CounterMix { add: 1, read: 0 }, ..default() }, None),
            (default(), None),
        ];
        for (options, expected) in cases {
            assert_eq!(options.mistake().map(|(option, _)| option), expected, "{options:?}");
        }
        let reads = CounterOptions { mix: CounterMix { add: 0, read: 1 }, ..default() };
        assert!(reads.blind().is_some() && default().blind().is_none());
    }
}
