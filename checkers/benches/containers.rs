//! How long judging containers takes, by size: a table from 1e3 to 1e6 operations. Figures, not tests.
mod rng;

use dsfuzz_checkers::history::{Completion, HistoryBuilder, Invoke, Record};

use dsfuzz_checkers::{Budget, History, Options, Value, checker_with, judge_one};
use rng::Rng;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Clients that call at the same time.
const CLIENTS: u64 = 10;

/// What a container does.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Queue,
    Stack,
    Priority,
    Set,
}

/// Values inside; each kind takes the next one from elsewhere.
#[derive(Default)]
struct Store {
    values: VecDeque<i64>,
    sorted: std::collections::BTreeSet<i64>,
}

impl Store {
    fn put(&mut self, kind: Kind, value: i64) {
        match kind {
            Kind::Queue | Kind::Stack => self.values.push_back(value),
            Kind::Priority | Kind::Set => drop(self.sorted.insert(value)),
        }
    }

    fn take(&mut self, kind: Kind) -> Option<i64> {
        match kind {
            Kind::Queue => self.values.pop_front(),
            Kind::Stack => self.values.pop_back(),
            Kind::Priority | Kind::Set => self.sorted.pop_first(),
        }
    }
}

/// A container under `CLIENTS` clients: each call takes effect at its reply; 1 % of the puts are never answered. `broken`:
/// near the end two replies are exchanged.
fn history(kind: Kind, count: usize, broken: bool) -> History {
    let mut rng = Rng(11);
    let mut builder = HistoryBuilder::new();
    let mut store = Store::default();
    let mut open: Vec<Option<(&'static str, i64)>> = vec![None; CLIENTS as usize];
    let mut processes: Vec<u64> = (0..CLIENTS).collect();
    let (mut index, mut calls, mut fresh, mut next_process) = (0u64, 0, 0i64, CLIENTS);
    let mut kept: Option<i64> = None;
    let (put, take) = match kind {
        Kind::Queue => ("enqueue", "dequeue"),
        Kind::Stack => ("push", "pop"),
        Kind::Priority => ("insert", "extract"),
        Kind::Set => ("add", "contains"),
    };
    while calls < count || open.iter().any(Option::is_some) {
        let at = rng.below(CLIENTS) as usize;
        let (time, process) = (index * 1000, processes[at]);
        let record = match open[at].take() {
            None if calls == count => continue,
            None => {
                calls += 1;
                let (f, value) = if rng.below(2) == 0 {
                    fresh += 1;
                    (put, if kind == Kind::Priority { (fresh * 7_919) % 1_000_003 } else { fresh })
                } else if kind == Kind::Set {
                    (take, 1 + rng.below(fresh.max(1) as u64) as i64)
                } else {
                    (take, 0)
                };
                open[at] = Some((f, value));
                let input = if f == "dequeue" || f == "pop" || f == "extract" { Value::Nil } else { Value::Int(value) };
                Record::Invoke(Invoke {
                    index,
                    time,
                    worker: at as u32,
                    process,
                    node: "n1".into(),
                    workload: "container".into(),
                    f: f.into(),
                    key: Value::Nil,
                    value: input,
                    settle: false,
                })
            }
            Some((f, value)) => {
                let reply = |value: Value| Completion { index, time, process, value, error: None, node: None };
                if f == put {
                    if rng.below(100) == 0 {
                        processes[at] = next_process;
                        next_process += 1;
                        Record::Info(reply(Value::Nil))
                    } else {
                        store.put(kind, value);
                        Record::Ok(reply(Value::Nil))
                    }
                } else if kind == Kind::Set {
                    let there =
                        store.sorted.contains(&value) != (broken && calls > count - count / 20 && value % 64 == 0);
                    Record::Ok(reply(Value::Bool(there)))
                } else {
                    let mut taken = store.take(kind);
                    if broken && calls > count - count / 20 && kept.is_none() {
                        kept = taken;
                        taken = store.take(kind);
                    } else if let Some(value) = kept.filter(|kept| *kept >= 0 && calls > count - count / 40) {
                        store.put(kind, taken.unwrap_or(0));
                        (taken, kept) = (Some(value), Some(-1));
                    }
                    Record::Ok(reply(taken.map_or(Value::Nil, Value::Int)))
                }
            }
        };
        builder.push(record).expect("a sound recording");
        index += 1;
    }
    builder.finish().expect("a sound recording")
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return; // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    println!("{:<18} {:>8} {:>12} {:>22} {:>10}", "container", "ops", "valid s", "two replies exchanged", "found ops");
    let kinds =
        [(Kind::Queue, "fifo-queue"), (Kind::Stack, "stack"), (Kind::Priority, "priority-queue"), (Kind::Set, "set")];
    for (kind, model) in kinds {
        let options = Options([("model".to_owned(), Value::text(model))].into());
        let checker = checker_with("linearizable", &options).expect("it is listed");
        for size in [1_000, 10_000, 100_000, 1_000_000] {
            let took = |broken: bool| {
                let history = history(kind, size, broken);
                let start = Instant::now();
                let deadline = start + Duration::from_secs(60);
                let expired = std::sync::Arc::new(move || Instant::now() > deadline);
                let verdict = judge_one(&*checker, &history, &Budget { expired, ..Budget::unlimited() });
                let cell = format!("{:.4} {}", start.elapsed().as_secs_f64(), &format!("{:?}", verdict.validity)[..3]);
                (cell, verdict.findings.first().map_or(0, |finding| finding.ops.len()))
            };
            let (valid, _) = took(false);
            let (invalid, ops) = took(true);
            println!("{model:<18} {size:>8} {valid:>12} {invalid:>22} {ops:>10}");
        }
    }
}
