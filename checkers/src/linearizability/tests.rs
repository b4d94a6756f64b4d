//! Every engine against brute force on random small histories, histories with known verdicts, and told findings.
mod budget;
mod corpora;
mod keys;
mod random;
mod stories;
mod witnesses;

use crate::history::{Completion, History, HistoryBuilder, Invoke, Record};
use crate::random::Rng;
use crate::value::Value;
use std::collections::HashMap;

/// A register of five values under this many clients; see [`history_of`].
fn register_history(seed: u64, ops: u64, clients: u64, keys: u64, broken: bool) -> History {
    history_of(seed, ops, clients, keys, 5, broken)
}

/// Registers under a number of clients that call all the time; each call takes effect somewhere between its call and its
/// reply, two in a hundred have no reply. `values` 0: every written value is new. `broken`: near the end reads
/// are answered from long ago.
fn history_of(seed: u64, ops: u64, clients: u64, keys: u64, values: u64, broken: bool) -> History {
    struct Call {
        key: u64,
        f: &'static str,
        input: (i64, i64),
        done: Option<(bool, Value)>,
    }
    let mut rng = Rng::new(seed);
    let mut builder = HistoryBuilder::new();
    let mut open: Vec<Option<Call>> = (0..clients).map(|_| None).collect();
    let mut process: Vec<u64> = (0..clients).collect();
    let mut store: HashMap<u64, Vec<Value>> = HashMap::new();
    let (mut index, mut calls, mut fresh) = (0, 0, 0);
    while calls < ops || open.iter().any(Option::is_some) {
        let at = rng.below(clients) as usize;
        let mut record = None;
        let time = calls * 1_000_000;
        match &mut open[at] {
            None if calls == ops => {}
            None => {
                calls += 1;
                fresh += 1;
                let key = rng.below(keys);
                let mut value = || if values == 0 { fresh } else { rng.below(values) as i64 };
                let to = value();
                let from = if values > 0 { rng.below(values) as i64 } else { fresh - 1 };
                let f = *rng.pick(&["read", "write", "cas"]);
                let input = match f {
                    "read" => Value::Nil,
                    "write" => Value::Int(to),
                    _ => Value::list([Value::Int(from), Value::Int(to)]),
                };
                open[at] = Some(Call { key, f, input: (from, to), done: None });
                record = Some(Record::Invoke(Invoke {
                    index,
                    time,
                    worker: at as u32,
                    process: process[at],
                    node: "n1".into(),
                    workload: "register".into(),
                    f: f.into(),
                    key: Value::Int(key as i64),
                    value: input,
                    settle: false,
                }));
            }
            Some(call) if call.done.is_none() => {
                let held = store.entry(call.key).or_insert_with(|| vec![Value::Nil]);
                let now = held.last().cloned().unwrap_or_default();
                let stale = broken && calls * 10 > ops * 9 && rng.below(4) == 0;
                let seen = if stale { held[held.len() / 2].clone() } else { now.clone() };
                let fits = call.f == "write" || call.f == "cas" && now == Value::Int(call.input.0);
                if fits {
                    held.push(Value::Int(call.input.1));
                }
                call.done = Some((call.f == "cas" && !fits, if call.f == "read" { seen } else { Value::Nil }));
            }
            Some(call) => {
                let (refused, value) = call.done.clone().unwrap_or_default();
                let reply = |value| Completion { index, time, process: process[at], value, error: None, node: None };
                if call.f != "read" && rng.percent(2) {
                    record = Some(Record::Info(reply(Value::Nil)));
                    process[at] += clients;
                } else if refused {
                    record = Some(Record::Fail(reply(Value::Nil)));
                } else {
                    record = Some(Record::Ok(reply(value)));
                }
                open[at] = None;
            }
        }
        if let Some(record) = record {
            builder.push(record).expect("a sound recording");
            index += 1;
        }
    }
    builder.finish().expect("a sound recording")
}
