//! How long the weaker promises take to judge, by size: a table from 1e3 to 1e6 operations. Figures, not tests.
mod rng;

use dsfuzz_checkers::history::{Completion, HISTORY_VERSION, HistoryBuilder, Invoke, Record};
use dsfuzz_checkers::{Budget, History, Options, Validity, Value, checker_with, judge_one};
use rng::Rng;
use std::time::{Duration, Instant};

/// Clients that call at the same time.
const CLIENTS: usize = 10;

#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    keys: u64,
    /// Writes of a thousand that are never acknowledged: each of them ends its process.
    info: u64,
    /// Whether nodes hand writes on late, the last writer winning; otherwise there is one store.
    replicas: bool,
}

/// Three nodes with ten clients. Every written value is unique.
fn history(count: usize, shape: Shape) -> History {
    let mut rng = Rng(7);
    let mut builder = HistoryBuilder::new();
    let nodes: Vec<String> = ["n1", "n2", "n3"].map(String::from).to_vec();
    let start = Record::Start { index: 0, time: 0, version: HISTORY_VERSION, nodes, wall: String::new() };
    builder.push(start).expect("a sound recording");
    let names: Vec<std::sync::Arc<str>> = ["n1", "n2", "n3"].map(Into::into).to_vec();
    let mut stores = vec![vec![0i64; shape.keys as usize]; 3];
    let mut late: std::collections::VecDeque<(usize, usize, i64)> = std::collections::VecDeque::new();
    let mut open: Vec<Option<(usize, Option<i64>)>> = vec![None; CLIENTS];
    let mut processes: Vec<u64> = (0..CLIENTS as u64).collect();
    let (mut fresh, mut next, mut calls, mut index) = (0, CLIENTS as u64, 0, 1u64);
    while calls < count || open.iter().any(Option::is_some) {
        if late.len() > 20 {
            let (node, key, value) = late.pop_front().expect("not empty");
            stores[node][key] = stores[node][key].max(value);
        }
        let at = rng.below(CLIENTS as u64) as usize;
        let node = if shape.replicas { at % 3 } else { 0 };
        let (time, process) = (index * 100_000, processes[at]);
        let Some((key, written)) = open[at].take() else {
            if calls == count {
                continue;
            }
            calls += 1;
            let key = rng.below(shape.keys) as usize;
            let written = (rng.below(2) == 0).then(|| {
                fresh += 1;
                fresh
            });
            open[at] = Some((key, written));
            let call = Invoke {
                index,
                time,
                worker: at as u32,
                process,
                node: names[at % 3].clone(),
                workload: "register".into(),
                f: if written.is_some() { "write" } else { "read" }.into(),
                key: Value::Int(key as i64),
                value: written.map_or(Value::Nil, Value::Int),
                settle: false,
            };
            builder.push(Record::Invoke(call)).expect("a sound recording");
            index += 1;
            continue;
        };
        let value = match written {
            Some(value) => {
                stores[node][key] = if shape.replicas { stores[node][key].max(value) } else { value };
                if shape.replicas {
                    late.extend((0..3).filter(|&other| other != node).map(|other| (other, key, value)));
                }
                Value::Nil
            }
            None => Some(stores[node][key]).filter(|value| *value > 0).map_or(Value::Nil, Value::Int),
        };
        let done = Completion { index, time, process, value, error: None, node: None };
        let lost = written.is_some() && rng.below(1000) < shape.info;
        if lost {
            processes[at] = next;
            next += 1;
        }
        let record = if lost { Record::Info(Completion { value: Value::Nil, ..done }) } else { Record::Ok(done) };
        builder.push(record).expect("a sound recording");
        index += 1;
    }
    builder.finish().expect("a sound recording")
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return; // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    let shapes = [
        Shape { name: "one store, 1 key", keys: 1, info: 0, replicas: false },
        Shape { name: "one store, 100 keys, 2% info", keys: 100, info: 20, replicas: false },
        Shape { name: "replicas, 100 keys", keys: 100, info: 0, replicas: true },
        Shape { name: "replicas, 100 keys, 2% info", keys: 100, info: 20, replicas: true },
    ];
    let option = |name: &str, value: Value| Options([(name.to_owned(), value)].into_iter().collect());
    let checkers = [
        ("cc", "causal", option("variant", Value::text("cc"))),
        ("ccv", "causal", option("variant", Value::text("ccv"))),
        ("cm", "causal", option("variant", Value::text("cm"))),
        ("pram", "pram", Options::default()),
        ("sequential", "sequential", Options::default()),
        ("ryw", "read-your-writes", Options::default()),
        ("mr", "monotonic-reads", option("order", Value::text("realtime"))),
        ("stale", "staleness", Options::default()),
        ("k=2", "staleness", option("k_max", Value::Int(2))),
    ];
    print!("{:<30} {:>8}", "history, seconds", "ops");
    checkers.iter().for_each(|(name, ..)| print!(" {name:>12}"));
    println!();
    for shape in shapes {
        for size in [1_000, 10_000, 100_000, 1_000_000] {
            let history = history(size, shape);
            print!("{:<30} {:>8}", shape.name, size);
            for (_, name, options) in &checkers {
                let checker = checker_with(name, options).expect("it is listed");
                let start = Instant::now();
                let deadline = start + Duration::from_secs(20);
                let expired = std::sync::Arc::new(move || Instant::now() > deadline);
                let verdict = judge_one(&*checker, &history, &Budget { expired, ..Budget::unlimited() });
                let answer = match verdict.validity {
                    Validity::Valid => "val",
                    Validity::Unknown => "unk",
                    Validity::Invalid => "inv",
                };
                print!(" {:>12}", format!("{:.4} {answer}", start.elapsed().as_secs_f64()));
            }
            println!();
        }
    }
}
