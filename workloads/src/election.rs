//! Elections: campaign, act as the leader for a while, resign; the others ask who leads. The candidate is a number of the process.
//!
//! `elect` replies with who leads now and in which term: the caller, if it won. The leader writes with its term as a fencing token.
//! Never: writes or resigns without having been elected.
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::holding::{self, Held, HoldFunctions, Holding};
use crate::lock_set::token_and_value;
use crate::workload::{FinalCall, Generator, Part, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "election",
    object: "election",
    doc: "Elections: campaign, write as the leader with the term as token, resign, ask who leads; judged by leadership (two leaders of a term), fencing (a write of an old term after one of a newer) and split-brain.",
    reads: Reads::Anything,
    checkers: &["leadership", "fencing", "split-brain"],
};

/// Options of the election workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ElectionWorkload")]
pub struct ElectionOptions {
    /// How many offices (keys) there are, each with a leader of its own. Left out: one without a name.
    pub keys: Option<u32>,
    /// Most calls that the other workers make before a leader writes, and before it resigns; each term draws from 0 up to this.
    pub hold: u32,
    /// Most writes of one term; each draws from 1 up to this.
    pub writes: u32,
    /// How often a worker that does not lead asks who leads, in percent of its calls.
    pub ask: u32,
}

impl Default for ElectionOptions {
    fn default() -> ElectionOptions {
        ElectionOptions { keys: None, hold: holding::HOLD, writes: 3, ask: 50 }
    }
}

impl WorkloadSpec for ElectionOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        let mut shared = Holding::new(DOC.name, self.keys, self.hold);
        shared.uses = (1, self.writes);
        shared.functions = HoldFunctions::election().looking("leader", self.ask);
        shared.held = Box::new(Office);
        Box::new(Elections { holding: Arc::new(shared), log: Arc::from("log") })
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        match self {
            _ if self.writes == 0 => {
                Some(("writes", "a leader that does nothing could harm nothing; at least 1".to_owned()))
            }
            _ if self.ask > 99 => Some(("ask", format!("{} percent leave no call to campaign; at most 99", self.ask))),
            _ => self.keys.and_then(|keys| keys_mistake("keys", keys)),
        }
    }
}

/// An office with a leader for each term.
struct Office;

impl Held for Office {
    fn acquire(&self, candidate: i64) -> Value {
        Value::Int(candidate)
    }

    fn granted(&self, reply: &Value, candidate: i64) -> Option<Value> {
        let Value::Map(entries) = reply else { return None };
        let entry =
            |name: &str| entries.iter().find(|(known, _)| &**known == name).and_then(|(_, value)| value.as_int());
        (entry("leader") == Some(candidate)).then(|| entry("term").map(Value::Int)).flatten()
    }

    fn usage(&self, term: &Value, fresh: i64) -> Value {
        token_and_value(term, fresh)
    }

    fn release(&self, term: &Value) -> Value {
        term.clone()
    }
}

struct Elections {
    holding: Arc<Holding>,
    log: Arc<str>,
}

impl Workload for Elections {
    fn name(&self) -> Arc<str> {
        self.holding.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        self.holding.functions.names().into_iter().chain([self.log.clone()]).collect()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        holding::generator(&self.holding, seed, worker, workers)
    }

    /// None: the client of a joining worker is closed when it is idle, and its office would go with it.
    fn part(&self, _: Part, _: u64, _: u32, _: u32) -> Option<Box<dyn Generator>> {
        None
    }

    fn settle(&self) -> Vec<FinalCall> {
        self.holding.calls_of_all(&self.log).into_iter().map(FinalCall::from).collect()
    }

    fn params(&self) -> Value {
        self.holding.named_keys("offices").map_or(Value::Nil, |keys| Value::Map([keys].into()))
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["leadership", "fencing", "split-brain"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Call, CallResult};
    use crate::workload::Next;

    fn leads(leader: i64, term: i64) -> CallResult {
        let entries = [(Arc::from("leader"), Value::Int(leader)), (Arc::from("term"), Value::Int(term))];
        CallResult::Ok(Value::Map(entries.into()))
    }

    fn run(options: &ElectionOptions, mut reply: impl FnMut(&Call) -> CallResult) -> Vec<String> {
        let mut generator = options.build().generator(7, 1, 3);
        let mut made = Vec::new();
        while made.len() < 10 {
            let next = generator.next();
            assert_eq!(generator.next(), next, "asking consumes nothing");
            let Next::Call(call) = next else { panic!("{next:?}") };
            generator.taken();
            generator.observe(&call, &reply(&call));
            made.push(format!("{} {} {}", call.f, call.key, call.value));
        }
        made
    }

    fn options() -> ElectionOptions {
        ElectionOptions { hold: 0, ..ElectionOptions::default() }
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let mut term = 10;
        let won = |call: &Call| {
            term += i64::from(&*call.f == "elect");
            leads(2, term)
        };
        assert_eq!(run(&options(), won), GOLDEN);
    }

    #[test]
    fn a_candidate_that_lost_does_nothing_in_the_office() {
        let made = run(&options(), |_| leads(1, 10));
        assert!(made.iter().all(|call| call == "elect nil 2" || call == "leader nil nil"), "{made:?}");
    }

    #[test]
    fn a_deposed_leader_does_not_resign_and_a_retired_process_is_another_candidate() {
        let deposed = run(&options(), |call| match &*call.f {
            "write" => CallResult::fail("fenced: term 11 is over"),
            _ => leads(2, 11),
        });
        assert!(deposed.iter().any(|call| call.starts_with("write")), "{deposed:?}");
        assert!(deposed.iter().all(|call| !call.starts_with("resign")), "{deposed:?}");
        let retired = run(&ElectionOptions { ask: 0, ..options() }, |_| CallResult::info("timeout"));
        let candidates = (0..10).map(|number| format!("elect nil {}", 2 + 3 * number));
        assert_eq!(retired, candidates.collect::<Vec<_>>());
        let workload = ElectionOptions { ask: 0, ..options() }.build();
        let mut replaced = workload.generator(7, 1, 3);
        replaced.replaced();
        let Next::Call(call) = replaced.next() else { panic!("a call") };
        assert_eq!(call.value, Value::Int(5));
    }

    #[test]
    fn the_log_of_every_office_is_read_at_the_end() {
        let workload = ElectionOptions { keys: Some(2), ..options() }.build();
        assert_eq!(workload.functions(), ["elect", "write", "resign", "leader", "log"].map(Arc::from));
        assert!(workload.settle().iter().all(|last| &*last.call.f == "log"));
        assert_eq!((workload.settle().len(), workload.params().to_string()), (2, "{offices: [0, 1]}".to_owned()));
        assert!(Part::ALL.iter().all(|part| workload.part(*part, 7, 0, 1).is_none()));
    }

    #[test]
    fn idle_leaders_and_workers_that_only_ask_are_mistakes() {
        let option = |options: ElectionOptions| options.mistake().map(|(option, _)| option);
        assert_eq!(option(ElectionOptions { writes: 0, ..options() }), Some("writes"));
        assert_eq!(option(ElectionOptions { ask: 100, ..options() }), Some("ask"));
        assert_eq!(option(options()), None);
    }

    const GOLDEN: [&str; 10] = [
        "leader nil nil",
        "leader nil nil",
        "elect nil 2",
        "write nil {token: 11, value: 2}",
        "write nil {token: 11, value: 5}",
        "resign nil 11",
        "leader nil nil",
        "elect nil 2",
        "write nil {token: 12, value: 8}",
        "write nil {token: 12, value: 11}",
    ];
}
