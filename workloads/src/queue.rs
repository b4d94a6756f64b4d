//! Queues: enqueue unique elements, dequeue, and drain every queue at the end on every node.
//!
//! Never: enqueues an element twice, or drains during the load. The order of elements is not part of the promise.
use crate::client::{Call, CallResult};
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::keys::Keys;
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{FinalReads, Options, Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "queue",
    object: "queue",
    doc: "Queues: enqueue unique elements, dequeue, drain every node at the end; judged by total-queue (lost, unexpected) and queue (duplicated).",
    reads: Reads::Anything,
    checkers: &["total-queue", "queue"],
};

/// Options of the queue workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "QueueWorkload")]
pub struct QueueOptions {
    /// How many queues (keys) are in use; calls are spread over them. Left out: one without a name.
    pub keys: Option<u32>,
    /// How often each function comes, relative to the other.
    pub mix: QueueMix,
    /// Nothing may come out twice. Left out: a message that is delivered again is evidence, and breaks no promise.
    pub exactly_once: bool,
}

/// Relative weights of the functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueMix {
    /// Enqueues.
    pub enqueue: u32,
    /// Dequeues.
    pub dequeue: u32,
}

impl Default for QueueMix {
    fn default() -> QueueMix {
        QueueMix { enqueue: 1, dequeue: 1 }
    }
}

impl WorkloadSpec for QueueOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        build(self)
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        if self.mix.enqueue == 0 {
            return Some(("mix", "without enqueues no queue would ever hold a message; at least 1".to_owned()));
        }
        self.keys.and_then(|keys| keys_mistake("keys", keys))
    }
}

/// The workload with these options.
fn build(options: &QueueOptions) -> Box<dyn Workload> {
    let functions = ["enqueue", "dequeue", "drain"].map(Arc::from);
    Box::new(Queues { options: options.clone(), workload: Arc::from(DOC.name), functions })
}

/// Positions in [`Queues::functions`] and in weights.
const ENQUEUE: usize = 0;
const DEQUEUE: usize = 1;
const DRAIN: usize = 2;

#[derive(Clone)]
struct Queues {
    options: QueueOptions,
    workload: Arc<str>,
    /// By [`ENQUEUE`], [`DEQUEUE`] and [`DRAIN`].
    functions: [Arc<str>; 3],
}

impl Queues {
    fn call(&self, function: usize, queue: u64, value: Value) -> Call {
        let key = Keys(self.options.keys).key(queue);
        Call { workload: self.workload.clone(), f: self.functions[function].clone(), key, value }
    }

    fn count(&self) -> u64 {
        Keys(self.options.keys).count()
    }

    fn weights(&self) -> [u64; 2] {
        [self.options.mix.enqueue, self.options.mix.dequeue].map(u64::from)
    }
}

impl Workload for Queues {
    fn name(&self) -> Arc<str> {
        self.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        let needed = |function: &usize| self.weights().get(*function).is_none_or(|weight| *weight > 0);
        [ENQUEUE, DEQUEUE, DRAIN].iter().filter(|f| needed(f)).map(|f| self.functions[*f].clone()).collect()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        Box::new(QueueCalls {
            rng: Rng::new(seed, "worker", u64::from(worker)),
            queues: self.clone(),
            fresh: i64::from(worker) + 1,
            step: i64::from(workers.max(1)),
            choice: None,
        })
    }

    fn settle(&self) -> Vec<FinalCall> {
        let drain = |queue| FinalCall {
            mode: Some(FinalReads::UntilEmpty),
            ..FinalCall::from(self.call(DRAIN, queue, Value::Nil))
        };
        (0..self.count()).map(drain).collect()
    }

    fn params(&self) -> Value {
        match self.options.keys {
            None => Value::Nil,
            Some(keys) => {
                let queues = Value::list((0..i64::from(keys)).map(Value::Int));
                Value::Map([(Arc::from("queues"), queues)].into())
            }
        }
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["total-queue", "queue"]
    }

    fn checker_options(&self, checker: &str) -> Options {
        let exactly_once = self.options.exactly_once;
        match checker {
            "total-queue" if exactly_once => Options([("exactly_once".to_owned(), Value::Bool(true))].into()),
            "queue" if !exactly_once => Options([("at_least_once".to_owned(), Value::Bool(true))].into()),
            _ => Options::default(),
        }
    }
}

/// The calls of one worker. Its elements are worker + 1, worker + 1 + workers, and so on: unique in the run.
struct QueueCalls {
    rng: Rng,
    queues: Queues,
    fresh: i64,
    step: i64,
    /// The next function and queue, until `taken` consumes them.
    choice: Option<(usize, u64)>,
}

impl Generator for QueueCalls {
    fn next(&mut self) -> Next {
        if self.choice.is_none() {
            let function = self.rng.weighted(&self.queues.weights());
            self.choice = function.map(|function| (function, self.rng.below(self.queues.count())));
        }
        let Some((function, queue)) = self.choice else { return Next::Done };
        let value = if function == ENQUEUE { Value::Int(self.fresh) } else { Value::Nil };
        Next::Call(self.queues.call(function, queue, value))
    }

    fn taken(&mut self) {
        if let Some((ENQUEUE, _)) = self.choice.take() {
            self.fresh += self.step;
        }
    }

    fn observe(&mut self, _: &Call, _: &CallResult) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn calls(options: &QueueOptions, worker: u32, count: usize) -> Vec<Call> {
        let mut generator = build(options).generator(7, worker, 3);
        let call = |_| {
            let next = generator.next();
            assert_eq!(generator.next(), next, "asking consumes nothing");
            generator.taken();
            match next {
                Next::Call(call) => call,
                other => panic!("{other:?}"),
            }
        };
        (0..count).map(call).collect()
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let options = QueueOptions { keys: Some(4), ..QueueOptions::default() };
        let said = |call: &Call| format!("{} {} {}", call.f, call.key, call.value);
        let first: Vec<String> = calls(&options, 1, 8).iter().map(said).collect();
        assert_eq!(first, GOLDEN);
    }

    #[test]
    fn elements_are_unique_in_the_run() {
        let mut seen = HashSet::new();
        for call in (0..3).flat_map(|worker| calls(&QueueOptions::default(), worker, 200)) {
            assert_eq!((&call.key, call.value.is_nil()), (&Value::Nil, &*call.f == "dequeue"));
            assert!(call.value.is_nil() || seen.insert(call.value), "an element was enqueued twice");
        }
        assert!((200..400).contains(&seen.len()), "{} of 600 calls enqueue", seen.len());
    }

    #[test]
    fn every_queue_is_drained_to_its_end() {
        let workload = build(&QueueOptions { keys: Some(3), ..QueueOptions::default() });
        let drains = workload.settle();
        assert!(drains.iter().all(|drain| &*drain.call.f == "drain" && drain.mode == Some(FinalReads::UntilEmpty)));
        let keys: Vec<&Value> = drains.iter().map(|drain| &drain.call.key).collect();
        assert_eq!(keys, [&Value::Int(0), &Value::Int(1), &Value::Int(2)]);
        assert_eq!(workload.params().to_string(), "{queues: [0, 1, 2]}");
    }

    #[test]
    fn once_is_a_promise_if_it_is_asked_for() {
        let lax = build(&QueueOptions::default());
        let strict = build(&QueueOptions { exactly_once: true, ..QueueOptions::default() });
        let options = |workload: &dyn Workload| {
            let names = |checker| workload.checker_options(checker).0.into_keys().collect::<Vec<String>>();
            (names("total-queue"), names("queue"))
        };
        assert_eq!(options(&*lax), (vec![], vec!["at_least_once".to_owned()]));
        assert_eq!(options(&*strict), (vec!["exactly_once".to_owned()], vec![]));
    }

    #[test]
    fn a_load_without_enqueues_is_a_mistake_and_one_without_dequeues_needs_none() {
        let mix = |enqueue, dequeue| QueueOptions { mix: QueueMix { enqueue, dequeue }, ..QueueOptions::default() };
        assert_eq!(mix(0, 1).mistake().map(|(option, _)| option), Some("mix"));
        assert_eq!(mix(1, 0).mistake(), None);
        assert!(build(&mix(1, 0)).functions().iter().all(|function| &**function != "dequeue"));
        assert_eq!(QueueOptions { keys: Some(0), ..mix(1, 1) }.mistake().map(|(option, _)| option), Some("keys"));
    }

    const GOLDEN: [&str; 8] = [
        "enqueue 0 2",
        "dequeue 1 nil",
        "enqueue 3 5",
        "dequeue 0 nil",
        "dequeue 1 nil",
        "enqueue 2 8",
        "dequeue 1 nil",
        "enqueue 1 11",
    ];
}
