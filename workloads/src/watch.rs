//! A store of keys with revisions that is watched: some clients put and delete, the others watch from the revision after the last
//! one that they were shown, whatever connection they have by now.
//!
//! Keys are texts, `prefix/number`. A watcher watches one key, one prefix or everything; now and then it goes back to an older
//! revision. Never: puts a value twice.
use crate::client::{Call, CallResult};
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "watch",
    object: "kv",
    doc: "Keys with revisions: put and delete, and watch from a revision over reconnects; judged by watch (events that are missing, twice, out of order or not what was written).",
    reads: Reads::Anything,
    checkers: &["watch"],
};

/// Longest watch of one call.
const FOR_MAX_MS: u32 = 60_000;
/// One watch in this number begins at an older revision.
const BACK_EVERY: u64 = 8;
/// Most revisions that it goes back.
const BACK_MAX: u64 = 1_000;

/// Options of the watch workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "WatchWorkload")]
pub struct WatchOptions {
    /// How many prefixes there are.
    pub prefixes: u32,
    /// How many keys each prefix has.
    pub keys: u32,
    /// The share of deletes among the changes, in percent.
    pub delete: u32,
    /// How many of the clients watch. Left out: a third of them.
    pub watchers: Option<u32>,
    /// How long one watch collects events, in milliseconds. Shorter than the deadline of a call.
    pub for_ms: u32,
}

impl Default for WatchOptions {
    fn default() -> WatchOptions {
        WatchOptions { prefixes: 2, keys: 4, delete: 20, watchers: None, for_ms: 500 }
    }
}

impl WorkloadSpec for WatchOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        let functions = ["put", "delete", "watch"].map(Arc::from);
        Box::new(Watches { options: self.clone(), workload: Arc::from(DOC.name), functions })
    }

    fn blind(&self) -> Option<&'static str> {
        let alone = self.watchers == Some(0);
        alone.then_some("no client watches during the load, so that only the watches at the end could contradict it")
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        match self.for_ms {
            0 => return Some(("for_ms", "a watch of no time would show nothing; at least 1".to_owned())),
            time if time > FOR_MAX_MS => return Some(("for_ms", format!("{time} ms; at most {FOR_MAX_MS}"))),
            _ => {}
        }
        if self.delete > 99 {
            return Some(("delete", format!("{} percent leave nothing to delete; at most 99", self.delete)));
        }
        let all = self.prefixes.saturating_mul(self.keys);
        keys_mistake("prefixes", self.prefixes).or_else(|| keys_mistake("keys", if self.keys == 0 { 0 } else { all }))
    }
}

/// Positions in [`Watches::functions`].
const PUT: usize = 0;
const DELETE: usize = 1;
const WATCH: usize = 2;

#[derive(Clone)]
struct Watches {
    options: WatchOptions,
    workload: Arc<str>,
    /// By [`PUT`], [`DELETE`] and [`WATCH`].
    functions: [Arc<str>; 3],
}

impl Watches {
    fn call(&self, function: usize, key: Value, value: Value) -> Call {
        Call { workload: self.workload.clone(), f: self.functions[function].clone(), key, value }
    }

    fn key(prefix: u64, number: u64) -> Value {
        Value::text(&format!("{prefix}/{number}"))
    }

    /// A watch of what the filter names, from this revision on.
    fn watch(&self, filter: Option<&(&'static str, Value)>, revision: i64) -> Call {
        let entry = |name: &str, value: Value| (Arc::from(name), value);
        let filter = filter.map(|(name, value)| entry(name, value.clone()));
        let from = entry("revision", Value::Int(revision));
        let time = entry("for_ms", Value::Int(i64::from(self.options.for_ms)));
        self.call(WATCH, Value::Nil, Value::Map(filter.into_iter().chain([from, time]).collect()))
    }

    /// How many of this number of workers watch; one that is alone does both.
    fn watchers(&self, workers: u32) -> u32 {
        self.options.watchers.unwrap_or_else(|| workers.div_ceil(3)).min(workers.saturating_sub(1))
    }
}

impl Workload for Watches {
    fn name(&self) -> Arc<str> {
        self.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        let needed = |function: &usize| *function != DELETE || self.options.delete > 0;
        [PUT, DELETE, WATCH].iter().filter(|f| needed(f)).map(|f| self.functions[*f].clone()).collect()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        let mut rng = Rng::new(seed, "worker", u64::from(worker));
        let (prefix, number) = (rng.below(u64::from(self.options.prefixes)), rng.below(u64::from(self.options.keys)));
        let filter = match rng.below(3) {
            0 => None,
            1 => Some(("prefix", Value::text(&format!("{prefix}/")))),
            _ => Some(("key", Watches::key(prefix, number))),
        };
        let share = match (worker < self.watchers(workers), self.options.watchers) {
            (true, _) => 100,
            (false, None) if workers < 2 => 25,
            (false, _) => 0,
        };
        Box::new(WatchCalls {
            rng,
            watches: self.clone(),
            filter,
            share,
            fresh: i64::from(worker) + 1,
            step: i64::from(workers.max(1)),
            from: 1,
            choice: None,
        })
    }

    /// Every node is asked for everything that happened.
    fn settle(&self) -> Vec<FinalCall> {
        vec![self.watch(None, 1).into()]
    }

    fn params(&self) -> Value {
        let WatchOptions { prefixes, keys, .. } = self.options;
        let all = (0..u64::from(prefixes)).flat_map(|prefix| (0..u64::from(keys)).map(move |one| (prefix, one)));
        let keys = Value::list(all.map(|(prefix, one)| Watches::key(prefix, one)));
        Value::Map([(Arc::from("keys"), keys)].into())
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["watch"]
    }
}

/// What a worker drew.
#[derive(Clone, Copy)]
enum Choice {
    Put(u64, u64),
    Delete(u64, u64),
    /// Goes back this number of revisions.
    Watch(u64),
}

/// The calls of one worker. Its values are worker + 1, worker + 1 + workers, and so on: unique in the run.
struct WatchCalls {
    rng: Rng,
    watches: Watches,
    /// What it watches; none: everything.
    filter: Option<(&'static str, Value)>,
    /// The share of watches among its calls, in percent.
    share: u64,
    fresh: i64,
    step: i64,
    /// The revision after the last one that it was shown.
    from: i64,
    choice: Option<Choice>,
}

impl WatchCalls {
    fn draw(&mut self) -> Choice {
        if self.share == 100 || (self.share > 0 && self.rng.below(100) < self.share) {
            let back = self.rng.below(BACK_EVERY) == 0;
            return Choice::Watch(if back { self.rng.between(1, BACK_MAX) } else { 0 });
        }
        let WatchOptions { prefixes, keys, delete, .. } = self.watches.options;
        let (prefix, number) = (self.rng.below(u64::from(prefixes)), self.rng.below(u64::from(keys)));
        let deletes = self.rng.below(100) < u64::from(delete);
        if deletes { Choice::Delete(prefix, number) } else { Choice::Put(prefix, number) }
    }
}

impl Generator for WatchCalls {
    fn next(&mut self) -> Next {
        let choice = self.choice.unwrap_or_else(|| self.draw());
        self.choice = Some(choice);
        Next::Call(match choice {
            Choice::Put(prefix, number) => self.watches.call(PUT, Watches::key(prefix, number), Value::Int(self.fresh)),
            Choice::Delete(prefix, number) => self.watches.call(DELETE, Watches::key(prefix, number), Value::Nil),
            Choice::Watch(back) => {
                self.watches.watch(self.filter.as_ref(), self.from.saturating_sub_unsigned(back).max(1))
            }
        })
    }

    fn taken(&mut self) {
        if let Some(Choice::Put(..)) = self.choice.take() {
            self.fresh += self.step;
        }
    }

    fn observe(&mut self, call: &Call, answer: &CallResult) {
        let (CallResult::Ok(responses), "watch") = (answer, &*call.f) else { return };
        for response in responses.as_list().unwrap_or_default() {
            for event in response.as_list().unwrap_or(std::slice::from_ref(response)) {
                let Value::Map(entries) = event else { continue };
                let revision = entries.iter().find(|(name, _)| &**name == "revision").and_then(|(_, at)| at.as_int());
                self.from = self.from.max(revision.map_or(0, |revision| revision.saturating_add(1)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn calls(options: &WatchOptions, worker: u32, workers: u32, count: usize, reply: &CallResult) -> Vec<Call> {
        let mut generator = options.build().generator(7, worker, workers);
        let call = |_| {
            let next = generator.next();
            assert_eq!(generator.next(), next, "asking consumes nothing");
            generator.taken();
            let Next::Call(call) = next else { panic!("{next:?}") };
            generator.observe(&call, reply);
            call
        };
        (0..count).map(call).collect()
    }

    fn event(revision: i64) -> Value {
        Value::Map([(Arc::from("revision"), Value::Int(revision))].into())
    }

    const DONE: CallResult = CallResult::Ok(Value::Nil);

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let said = |call: &Call| format!("{} {} {}", call.f, call.key, call.value);
        let made: Vec<String> = calls(&WatchOptions::default(), 1, 3, 8, &DONE).iter().map(said).collect();
        assert_eq!(made, GOLDEN);
        let watched: Vec<String> = calls(&WatchOptions::default(), 0, 3, 4, &DONE).iter().map(said).collect();
        assert_eq!(watched, WATCHED);
    }

    #[test]
    fn a_third_of_the_clients_watch_unless_the_plan_says_how_many() {
        let watching = |watchers, workers| {
            let options = WatchOptions { watchers, ..WatchOptions::default() };
            let watches = |worker: &u32| calls(&options, *worker, workers, 20, &DONE).iter().all(|c| &*c.f == "watch");
            (0..workers).filter(watches).count()
        };
        assert_eq!([3, 5, 10].map(|workers| watching(None, workers)), [1, 2, 4]);
        assert_eq!([(Some(0), 4), (Some(2), 4), (Some(9), 4)].map(|(some, all)| watching(some, all)), [0, 2, 3]);
        let alone = calls(&WatchOptions::default(), 0, 1, 100, &DONE);
        let functions: HashSet<&str> = alone.iter().map(|call| &*call.f).collect();
        assert_eq!(functions.len(), 3, "a client that is alone puts, deletes and watches");
    }

    #[test]
    fn a_watch_goes_on_behind_the_last_revision_that_was_shown() {
        let shown = CallResult::Ok(Value::list([Value::list([event(40), event(41)]), event(5000)]));
        let made = calls(&WatchOptions::default(), 0, 3, 40, &shown);
        let from = |call: &Call| {
            let Value::Map(entries) = &call.value else { panic!("{call:?}") };
            entries.iter().find(|(name, _)| &**name == "revision").and_then(|(_, from)| from.as_int()).expect("a start")
        };
        let starts: Vec<i64> = made.iter().skip(1).map(from).collect();
        assert_eq!(from(&made[0]), 1);
        assert!(starts.iter().filter(|start| **start == 5001).count() > 25, "{starts:?}");
        assert!(starts.iter().any(|start| (4001..5001).contains(start)), "some go back: {starts:?}");
        let refused = calls(&WatchOptions::default(), 0, 3, 40, &CallResult::fail("gone"));
        assert!(refused.iter().all(|call| from(call) == 1));
    }

    #[test]
    fn no_value_is_put_twice_and_every_node_is_watched_at_the_end() {
        let all = (0..5).flat_map(|worker| calls(&WatchOptions::default(), worker, 5, 100, &DONE));
        let mut seen = HashSet::new();
        assert!(all.filter(|call| &*call.f == "put").all(|call| seen.insert(call.value)));
        let workload = WatchOptions { prefixes: 1, keys: 2, delete: 0, ..WatchOptions::default() }.build();
        assert_eq!(workload.settle()[0].call.value.to_string(), "{revision: 1, for_ms: 500}");
        assert_eq!(workload.params().to_string(), "{keys: [\"0/0\", \"0/1\"]}");
        assert_eq!(workload.functions(), ["put", "watch"].map(Arc::from));
    }

    #[test]
    fn watches_of_no_time_and_deletes_alone_are_mistakes() {
        let option = |options: WatchOptions| options.mistake().map(|(option, _)| option);
        let options = WatchOptions::default;
        assert_eq!(option(WatchOptions { for_ms: 0, ..options() }), Some("for_ms"));
        assert_eq!(option(WatchOptions { for_ms: FOR_MAX_MS + 1, ..options() }), Some("for_ms"));
        assert_eq!(option(WatchOptions { delete: 100, ..options() }), Some("delete"));
        assert_eq!(option(WatchOptions { prefixes: 0, ..options() }), Some("prefixes"));
        assert_eq!(option(WatchOptions { keys: 0, ..options() }), Some("keys"));
        assert_eq!(option(WatchOptions { prefixes: 1000, keys: 1000, ..options() }), Some("keys"));
        assert_eq!(option(options()), None);
        assert!(WatchOptions { watchers: Some(0), ..options() }.blind().is_some() && options().blind().is_none());
    }

    const GOLDEN: [&str; 8] = [
        "put \"0/1\" 2",
        "put \"1/0\" 5",
        "put \"0/1\" 8",
        "put \"1/1\" 11",
        "delete \"0/3\" nil",
        "delete \"1/2\" nil",
        "put \"1/0\" 14",
        "put \"0/3\" 17",
    ];
    const WATCHED: [&str; 4] = [
        "watch nil {revision: 1, for_ms: 500}",
        "watch nil {revision: 1, for_ms: 500}",
        "watch nil {revision: 1, for_ms: 500}",
        "watch nil {revision: 1, for_ms: 500}",
    ];
}
