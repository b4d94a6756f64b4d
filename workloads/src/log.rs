//! Logs of messages, as Kafka has them: send to a log, poll the logs that the consumer is assigned, both in one transaction.
//!
//! A consumer is a process. It is assigned logs before its first poll, from their beginnings; after a failed call, too, since its
//! client may be another one by now. Never: sends a value twice, or polls without an assignment.
use crate::client::{Call, CallResult};
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{FinalReads, Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "log",
    object: "log",
    doc: "Logs of messages with offsets: send, poll, transactions of both, consumers that are moved or crash, every log polled to its end at the end; judged by kafka.",
    reads: Reads::Anything,
    checkers: &["kafka"],
};

/// A consumer is moved to other logs once in so many calls, as Jepsen's are.
const MOVED_EVERY: u64 = 64;
/// Most micro-operations of a transaction.
const LENGTH_MAX: u32 = 1_000;
/// How errors begin that say that a transaction was rolled back: the client's place in its logs stays where it was.
const ROLLED_BACK: [&str; 2] = ["conflict", "aborted"];
/// Fails in a row after which the client may be replaced by another one.
const REPLACED_AFTER: u32 = 16;

/// Options of the log workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LogWorkload")]
pub struct LogOptions {
    /// How many logs (keys) are in use.
    pub keys: u32,
    /// How often each function comes, relative to the other; in transactions, how often each micro-operation does.
    pub mix: LogMix,
    /// Sends and polls come in transactions.
    pub txn: bool,
    /// Most micro-operations of a transaction.
    pub max_length: u32,
    /// How consumers get their logs.
    pub sub_via: SubVia,
    /// How many of 1000 calls crash a consumer: its client ends, and another process goes on.
    pub crash: u32,
}

/// Relative weights of the functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogMix {
    /// Sends.
    pub send: u32,
    /// Polls.
    pub poll: u32,
}

impl Default for LogMix {
    fn default() -> LogMix {
        LogMix { send: 1, poll: 1 }
    }
}

/// How consumers get their logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubVia {
    /// Each names its logs and keeps its place in them.
    Assign,
    /// A consumer group shares the logs out. What it moves may be delivered again, so that less can be judged.
    Subscribe,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { keys: 4, mix: LogMix::default(), txn: false, max_length: 4, sub_via: SubVia::Assign, crash: 2 }
    }
}

impl WorkloadSpec for LogOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        let via = match self.sub_via {
            SubVia::Assign => "assign",
            SubVia::Subscribe => "subscribe",
        };
        let names = Names {
            workload: Arc::from(DOC.name),
            send: Arc::from("send"),
            poll: Arc::from("poll"),
            txn: Arc::from("txn"),
            via: Arc::from(via),
            crash: Arc::from("crash"),
        };
        Box::new(Logs { options: self.clone(), names })
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        let mistake = |option, message: String| Some((option, message));
        match self {
            _ if self.mix.send == 0 => {
                mistake("mix", "without sends no log would hold a message; at least 1".to_owned())
            }
            _ if self.max_length == 0 => {
                mistake("max_length", "a transaction of nothing shows nothing; at least 1".to_owned())
            }
            _ if self.max_length > LENGTH_MAX => {
                mistake("max_length", format!("{} micro-operations; at most {LENGTH_MAX}", self.max_length))
            }
            _ if self.crash > 500 => mistake("crash", format!("{} of 1000 calls; at most 500", self.crash)),
            _ => keys_mistake("keys", self.keys),
        }
    }
}

/// The names that calls carry. Calls share them, so that no call allocates one.
#[derive(Clone)]
struct Names {
    workload: Arc<str>,
    send: Arc<str>,
    poll: Arc<str>,
    txn: Arc<str>,
    /// `assign` or `subscribe`.
    via: Arc<str>,
    crash: Arc<str>,
}

impl Names {
    fn call(&self, f: &Arc<str>, value: Value) -> Call {
        Call { workload: self.workload.clone(), f: f.clone(), key: Value::Nil, value }
    }

    /// Moves the consumer to these logs; `anew`: to their beginnings.
    fn moved(&self, logs: &[i64], anew: bool) -> Call {
        let keys = Value::list(logs.iter().map(|log| Value::Int(*log)));
        let value = match anew {
            false => keys,
            true => {
                Value::Map([(Arc::from("keys"), keys), (Arc::from("seek-to-beginning?"), Value::Bool(true))].into())
            }
        };
        self.call(&self.via, value)
    }
}

#[derive(Clone)]
struct Logs {
    options: LogOptions,
    names: Names,
}

fn poll() -> Value {
    Value::list([Value::text("poll")])
}

impl Workload for Logs {
    fn name(&self) -> Arc<str> {
        self.names.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        let Names { send, poll, txn, via, crash, .. } = &self.names;
        let calls = if self.options.txn { vec![txn, poll] } else { vec![send, poll] };
        let crash = Some(crash).filter(|_| self.options.crash > 0);
        calls.into_iter().chain([via]).chain(crash).cloned().collect()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        let mut rng = Rng::new(seed, "worker", u64::from(worker));
        let logs = some_logs(&mut rng, self.options.keys);
        Box::new(LogCalls {
            rng,
            options: self.options.clone(),
            names: self.names.clone(),
            fresh: i64::from(worker) + 1,
            step: i64::from(workers.max(1)),
            logs,
            assigned: false,
            fails: 0,
            choice: None,
            moving: false,
        })
    }

    /// Every node's consumer polls all logs from their beginnings to their ends.
    fn settle(&self) -> Vec<FinalCall> {
        let all: Vec<i64> = (0..i64::from(self.options.keys)).collect();
        let poll = self.names.call(&self.names.poll, Value::list([poll()]));
        let mut last = FinalCall::from(poll);
        last.mode = Some(FinalReads::UntilEmpty);
        last.before = Some(self.names.moved(&all, true));
        vec![last]
    }

    fn params(&self) -> Value {
        let logs = Value::list((0..i64::from(self.options.keys)).map(Value::Int));
        Value::Map([(Arc::from("logs"), logs)].into())
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["kafka"]
    }
}

/// At least one of the logs.
fn some_logs(rng: &mut Rng, keys: u32) -> Vec<i64> {
    let mut all: Vec<i64> = (0..i64::from(keys)).collect();
    rng.shuffle(&mut all);
    all.truncate(rng.between(1, u64::from(keys)) as usize);
    all.sort_unstable();
    all
}

/// What a worker drew.
#[derive(Clone, PartialEq)]
enum Choice {
    /// The logs that messages go to in turn; none stands for a poll.
    Calls(Vec<Option<i64>>),
    /// Other logs from now on.
    Move(Vec<i64>),
    Crash,
}

impl Choice {
    fn polls(&self) -> bool {
        matches!(self, Choice::Calls(calls) if calls.contains(&None))
    }
}

/// The calls of one worker. Its messages are worker + 1, worker + 1 + workers, and so on: unique in the run.
struct LogCalls {
    rng: Rng,
    options: LogOptions,
    names: Names,
    fresh: i64,
    step: i64,
    /// The logs that its consumer polls.
    logs: Vec<i64>,
    /// Whether its consumer certainly has them, and its place in them.
    assigned: bool,
    /// Fails in a row.
    fails: u32,
    choice: Option<Choice>,
    /// Whether `next` showed an assignment in place of the choice, which needs it.
    moving: bool,
}

impl LogCalls {
    fn draw(&mut self) -> Choice {
        if self.rng.below(1000) < u64::from(self.options.crash) {
            return Choice::Crash;
        }
        if self.options.mix.poll > 0 && self.rng.below(MOVED_EVERY) == 0 {
            return Choice::Move(some_logs(&mut self.rng, self.options.keys));
        }
        let length = if self.options.txn { self.rng.between(1, u64::from(self.options.max_length)) } else { 1 };
        let weights = [self.options.mix.send, self.options.mix.poll].map(u64::from);
        let keys = u64::from(self.options.keys);
        let one = |_| match self.rng.weighted(&weights) {
            Some(0) => Some(self.rng.below(keys) as i64),
            _ => None,
        };
        Choice::Calls((0..length).map(one).collect())
    }

    fn call(&self, calls: &[Option<i64>]) -> Call {
        let mut fresh = self.fresh;
        let micro_operation = |log: &Option<i64>| match log {
            None => poll(),
            Some(log) => {
                let message = Value::Int(fresh);
                fresh += self.step;
                Value::list([Value::text("send"), Value::Int(*log), message])
            }
        };
        let value = Value::list(calls.iter().map(micro_operation).collect::<Vec<_>>());
        let f = match calls {
            _ if self.options.txn => &self.names.txn,
            [None] => &self.names.poll,
            _ => &self.names.send,
        };
        self.names.call(f, value)
    }
}

impl Generator for LogCalls {
    fn next(&mut self) -> Next {
        let choice = self.choice.take().unwrap_or_else(|| self.draw());
        self.moving = choice.polls() && !self.assigned;
        let call = match &choice {
            _ if self.moving => self.names.moved(&self.logs, true),
            Choice::Calls(calls) => self.call(calls),
            Choice::Move(logs) => self.names.moved(logs, !self.assigned),
            Choice::Crash => self.names.call(&self.names.crash, Value::Nil),
        };
        self.choice = Some(choice);
        Next::Call(call)
    }

    fn taken(&mut self) {
        if self.moving {
            return;
        }
        match self.choice.take() {
            Some(Choice::Calls(calls)) => self.fresh += self.step * calls.iter().flatten().count() as i64,
            Some(Choice::Move(logs)) => self.logs = logs,
            Some(Choice::Crash) | None => {}
        }
    }

    fn replaced(&mut self) {
        self.assigned = false;
    }

    fn observe(&mut self, call: &Call, answer: &CallResult) {
        let moves = call.f == self.names.via;
        self.fails = if let CallResult::Fail(_) = answer { self.fails + 1 } else { 0 };
        match answer {
            CallResult::Ok(_) if moves => self.assigned = true,
            CallResult::Ok(_) => {}
            CallResult::Fail(why) => {
                let stays = !moves && ROLLED_BACK.iter().any(|code| why.starts_with(code));
                self.assigned &= stays && self.fails < REPLACED_AFTER;
            }
            CallResult::Info(_) => self.assigned = false,
        }
    }
}

#[cfg(test)]
mod tests;
