//! How long reading and judging take, by size: a table from 1e3 to 1e6 operations. Figures, not tests.
mod rng;

use dsfuzz_checkers::history::{Completion, HISTORY_VERSION, HistoryBuilder, Invoke, Record, read_jsonl, write_record};
use dsfuzz_checkers::{Budget, CHECKERS, History, Validity, Value, judge_one};
use rng::Rng;
use std::time::{Duration, Instant};

/// One row: this many operations are judged within this time.
const AIM_SIZE: usize = 100_000;
const AIM: Duration = Duration::from_secs(1);
/// Clients that call at the same time.
const CLIENTS: usize = 10;

/// What a generated history is like.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    keys: u64,
    /// 0: every written value is unique.
    values: u64,
    info_percent: u64,
    /// One read near the end returns what nobody wrote.
    broken: bool,
}

struct Client {
    process: u64,
    call: Option<(u64, &'static str, Value)>,
}

/// A correct register store under `CLIENTS` clients: each call takes effect at its reply.
fn records(count: usize, shape: Shape) -> Vec<Record> {
    let mut rng = Rng(7);
    let mut records = vec![Record::Start {
        index: 0,
        time: 0,
        version: HISTORY_VERSION,
        nodes: vec!["n1".into(), "n2".into(), "n3".into()],
        wall: String::new(),
    }];
    let mut clients: Vec<Client> = (0..CLIENTS as u64).map(|process| Client { process, call: None }).collect();
    let mut store: Vec<Value> = vec![Value::Nil; shape.keys as usize];
    let names: Vec<std::sync::Arc<str>> = ["n1", "n2", "n3"].map(Into::into).to_vec();
    let (mut fresh, mut next_process, mut calls, mut broken) = (0, CLIENTS as u64, 0, false);
    while calls < count || clients.iter().any(|client| client.call.is_some()) {
        let at = rng.below(CLIENTS as u64) as usize;
        let index = records.len() as u64;
        let (time, process) = (index * 100_000, clients[at].process);
        let mut value = |rng: &mut Rng| match shape.values {
            0 => {
                fresh += 1;
                Value::Int(fresh)
            }
            limit => Value::Int(rng.below(limit) as i64),
        };
        let Some((key, f, input)) = clients[at].call.take() else {
            if calls == count {
                continue;
            }
            calls += 1;
            let key = rng.below(shape.keys);
            let (f, input) = match rng.below(10) {
                0..5 => ("read", Value::Nil),
                5..8 => ("write", value(&mut rng)),
                _ => ("cas", Value::list([store[key as usize].clone(), value(&mut rng)])),
            };
            clients[at].call = Some((key, f, input.clone()));
            records.push(Record::Invoke(Invoke {
                index,
                time,
                worker: at as u32,
                process,
                node: names[at % 3].clone(),
                workload: "register".into(),
                f: f.into(),
                key: Value::Int(key as i64),
                value: input,
                settle: false,
            }));
            continue;
        };
        let held = &mut store[key as usize];
        let reply = |value: Value| Completion { index, time, process, value, error: None, node: None };
        if f != "read" && rng.below(100) < shape.info_percent {
            records.push(Record::Info(reply(Value::Nil)));
            clients[at].process = next_process;
            next_process += 1;
            continue;
        }
        records.push(match f {
            "read" if shape.broken && !broken && calls > count * 9 / 10 => {
                broken = true;
                Record::Ok(reply(Value::Int(-1)))
            }
            "read" => Record::Ok(reply(held.clone())),
            "write" => {
                *held = input;
                Record::Ok(reply(Value::Nil))
            }
            _ => match input.as_list() {
                Some([from, to]) if from == held => {
                    *held = to.clone();
                    Record::Ok(reply(Value::Nil))
                }
                _ => Record::Fail(reply(Value::Nil)),
            },
        });
    }
    records
}

fn built(records: Vec<Record>) -> History {
    let mut builder = HistoryBuilder::new();
    for record in records {
        builder.push(record).expect("a sound recording");
    }
    builder.finish().expect("a sound recording")
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return; // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    let shapes = [
        Shape { name: "unique, 1 key, 2% info", keys: 1, values: 0, info_percent: 2, broken: false },
        Shape { name: "unique, 100 keys, 2% info", keys: 100, values: 0, info_percent: 2, broken: false },
        Shape { name: "unique, 100 keys, phantom", keys: 100, values: 0, info_percent: 2, broken: true },
        Shape { name: "5 values, 100 keys, no info", keys: 100, values: 5, info_percent: 0, broken: false },
        Shape { name: "5 values, 1 key, no info", keys: 1, values: 5, info_percent: 0, broken: false },
    ];
    let mut aims = Vec::new();
    println!(
        "{:<30} {:>8} {:>9} {:>9} {:>13} {:>11} {:>13}",
        "history", "ops", "build s", "parse s", "linearizable", "split-brain", "availability"
    );
    for shape in shapes {
        for size in [1_000, 10_000, 100_000, 1_000_000] {
            let records = records(size, shape);
            let mut text = Vec::new();
            for record in &records {
                write_record(&mut text, record).expect("written to memory");
            }
            let start = Instant::now();
            let history = built(records);
            let build = start.elapsed();
            let start = Instant::now();
            let read = read_jsonl(&text[..]).expect("a sound recording");
            let parse = start.elapsed();
            assert_eq!(read.ops().len(), history.ops().len());
            let took = |name: &str| {
                let doc = CHECKERS.iter().find(|doc| doc.name == name).expect("in the list");
                let start = Instant::now();
                let deadline = start + Duration::from_secs(20);
                let expired = std::sync::Arc::new(move || Instant::now() > deadline);
                let budget = Budget { expired, ..Budget::unlimited() };
                let verdict = judge_one(&*dsfuzz_checkers::checker(doc.name).expect("it is listed"), &read, &budget);
                let took = start.elapsed();
                let cell = format!("{:.4} {}", took.as_secs_f64(), &format!("{:?}", verdict.validity)[..3]);
                (took, verdict.validity != Validity::Unknown, cell)
            };
            let (linear, decided, linearizable) = took("linearizable");
            if size == AIM_SIZE {
                aims.push((shape.name, linear, decided));
            }
            println!(
                "{:<30} {:>8} {:>9.4} {:>9.4} {:>13} {:>11} {:>13}",
                shape.name,
                size,
                build.as_secs_f64(),
                parse.as_secs_f64(),
                linearizable,
                took("split-brain").2,
                took("availability").2
            );
        }
    }
    println!("\nlinearizable, {AIM_SIZE} register operations: measured, aim, verdict");
    for (name, took, decided) in aims {
        let word = if decided && took < AIM { "met" } else { "missed" };
        let undecided = if decided { "" } else { " (undecided)" };
        println!("{name:<30} {:>9.4} s{undecided}  < {} s  {word}", took.as_secs_f64(), AIM.as_secs());
    }
}
