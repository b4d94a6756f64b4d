//! Random logs, judged by the checker and message by message from the definitions.
mod oracle;

use super::{Isolation, KINDS, Kafka};
use crate::history::{History, Outcome};
use crate::oracles::cases::{CheckerCases, Long, call};
use crate::random::random_history::{self, Answer, RandomHistory};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the tests of all checkers ask of `kafka`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(
        &[],
        "1 send null [[\"send\",\"a\",1]] -> ok [[\"send\",\"a\",[0,1]]]\n 2 poll null [[\"poll\"]] -> ok [[\"poll\",{}]]",
    )]),
    right_and_wrong: Ok(&[(
        &[],
        r#"1 send null [["send","a",1]] -> ok [["send","a",[0,1]]]
               2 poll null [["poll"]] -> ok [["poll",{"a":[[0,1]]}]]"#,
        r#"1 send null [["send","a",1]] -> ok [["send","a",[0,1]]]
               1 send null [["send","a",2]] -> ok [["send","a",[0,2]]]
               2 poll null [["poll"]] -> ok [["poll",{"a":[[0,1]]}]]"#,
    )]),
    long: Ok(Long::of(|n| {
        let pair = |at: u64| {
            let send = call(0, "send", Null, json!([["send", "k", at]]), json!([["send", "k", [at, at]]]));
            [send, call(1, "poll", Null, json!([["poll"]]), json!([["poll", {"k": [[at, at]]}]]))]
        };
        (0..n).flat_map(pair).collect()
    })),
    comparisons: Ok(&[("kafka", differ)]),
};

/// Judges random histories twice: a third each without an isolation, with the one, and with the other.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let isolations = [None, Some(Isolation::ReadCommitted), Some(Isolation::ReadUncommitted)];
    let mut stats = Stats::default();
    for (at, isolation) in isolations.into_iter().enumerate() {
        let (from, to) = (count * at as u64 / 3, count * (at as u64 + 1) / 3);
        let fast = |history: &History| fast(isolation, history);
        let slow = |history: &History| oracle::defined(isolation, history);
        let part = random_history::differ(seed.wrapping_add(from), to - from, history, fast, slow);
        let part = part.map_err(|difference| format!("isolation {isolation:?}, {difference}"))?;
        stats.histories += part.histories;
        stats.invalid += part.invalid;
    }
    Ok(stats)
}

fn fast(isolation: Option<Isolation>, history: &History) -> Answer {
    let checker = Kafka { isolation };
    let verdict = crate::random::shown(history, checker.check(history, &Budget::unlimited()));
    let mut answer = Answer::read(&verdict, &["unseen", "missing"]);
    for kind in KINDS {
        let count = verdict.numbers.get(&kind.replace('-', "_")).and_then(serde_json::Value::as_u64);
        // Circles are counted by component there, and only found here.
        let most = if kind == "G1c" { 1 } else { u64::MAX };
        answer.facts.push((kind, count.unwrap_or(0).min(most)));
    }
    answer
}

/// Two logs, appended to at the replies; each process polls from a place of its own; and some lies.
struct World {
    logs: [Vec<(i64, i64)>; 2],
    places: BTreeMap<(u64, usize), usize>,
    next: i64,
    lies: u64,
}

fn history(rng: &mut Rng) -> RandomHistory {
    let mut random = RandomHistory::new(1 + rng.below(3));
    let lies = *rng.pick(&[0, 0, 0, 0, 4, 10]);
    let transactions_only = rng.percent(10);
    let mut world = World { logs: [Vec::new(), Vec::new()], places: BTreeMap::new(), next: 0, lies };
    for _ in 0..6 + rng.below(30) {
        let worker = rng.below(random.workers());
        match random.open(worker) {
            None => {
                let (f, input) = world.call(rng, transactions_only);
                random.call(worker, f, Value::Nil, input, false);
            }
            Some((f, input)) => {
                let mut flying: Vec<(i64, i64)> = Vec::new();
                for (_, input) in
                    (0..random.workers()).filter(|other| *other != worker).filter_map(|at| random.open(at))
                {
                    flying.extend(sends(&input));
                }
                let (outcome, reply) = match f {
                    "send" | "poll" | "txn" => world.answer(rng, worker, f, &input, &flying),
                    _ => world.moved(rng, worker, f, &input),
                };
                random.reply(worker, outcome, reply);
            }
        }
    }
    random
}

/// Keys and values of the sends in an argument.
fn sends(input: &Value) -> Vec<(i64, i64)> {
    let pair = |item: &Value| match item.as_list() {
        Some([_, key, value]) => Some((key.as_int()?, value.as_int()?)),
        _ => None,
    };
    input.as_list().unwrap_or_default().iter().filter_map(pair).collect()
}

impl World {
    fn send(&mut self, rng: &mut Rng) -> Value {
        self.next += 1;
        let value = if rng.percent(self.lies) { 1 + rng.below(6) as i64 } else { self.next };
        Value::list([Value::text("send"), Value::Int(rng.below(2) as i64), Value::Int(value)])
    }

    fn call(&mut self, rng: &mut Rng, transactions_only: bool) -> (&'static str, Value) {
        let poll = || Value::list([Value::text("poll")]);
        let f = *rng.pick(&["send", "send", "poll", "poll", "poll", "txn", "txn", "moved"]);
        match f {
            _ if transactions_only => {}
            "send" => return (f, Value::list((0..1 + rng.below(2)).map(|_| self.send(rng)).collect::<Vec<_>>())),
            "poll" => return (f, Value::list([poll()])),
            "moved" => {
                let f = *rng.pick(&["assign", "subscribe", "crash", "rebalance", "assign", "subscribe", "seek"]);
                let keys = rng.pick(&[&[0][..], &[1], &[0, 1], &[0, 1], &[]]).iter().map(|key| Value::Int(*key));
                let keys = Value::list(keys.collect::<Vec<_>>());
                if !rng.percent(20) {
                    return (f, keys);
                }
                let flag = Value::Bool(rng.percent(50));
                let map = [(Arc::from("keys"), keys), (Arc::from("seek-to-beginning?"), flag)];
                return (f, Value::Map(map.into()));
            }
            _ => {}
        }
        let count = 1 + rng.below(3);
        let part = |_| if rng.percent(60) { self.send(rng) } else { poll() };
        ("txn", Value::list((0..count).map(part).collect::<Vec<_>>()))
    }

    /// A consumer is moved. Logs that it goes on polling stay where they were.
    fn moved(&mut self, rng: &mut Rng, worker: u64, f: &str, input: &Value) -> (Outcome, Value) {
        let outcome = if rng.percent(10) { Outcome::Fail } else { Outcome::Ok };
        for (key, log) in self.logs.iter().enumerate() {
            let kept = keeps(f, input, &key.to_string()) && outcome == Outcome::Ok && !rng.percent(self.lies);
            let at = if rng.percent(50) { 0 } else { rng.below(log.len() as u64 + 1) as usize };
            if !kept {
                self.places.insert((worker, key), at);
            }
        }
        (outcome, Value::Nil)
    }

    fn answer(
        &mut self,
        rng: &mut Rng,
        worker: u64,
        f: &str,
        input: &Value,
        flying: &[(i64, i64)],
    ) -> (Outcome, Value) {
        let ends = [Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Fail, Outcome::Info];
        let outcome = *rng.pick(&ends);
        let happens = if outcome == Outcome::Info { rng.percent(50) } else { outcome == Outcome::Ok };
        let happens = happens != rng.percent(self.lies);
        // Messages of transactions that are not over, also its own: a poll of one of them reads what is not there yet.
        let mut flying = flying.to_vec();
        flying.extend(sends(input));
        let dirty = 4 * self.lies;
        flying.retain(|_| rng.percent(dirty));
        let before = self.places.clone();
        let mut sent: Vec<(usize, (i64, i64))> = Vec::new();
        let mut answers = Vec::new();
        for item in input.as_list().unwrap_or_default() {
            answers.push(match item.as_list() {
                Some([_, key, value]) => {
                    let log = key.as_int().unwrap_or(0) as usize;
                    let last = sent.iter().rev().find(|(other, _)| *other == log).map(|(_, message)| message);
                    let gap = 1 + i64::from(rng.percent(20));
                    let mut offset = last.or(self.logs[log].last()).map_or(0, |(offset, _)| offset + gap);
                    if rng.percent(self.lies) {
                        offset = rng.below(5) as i64;
                    }
                    sent.push((log, (offset, value.as_int().unwrap_or(0))));
                    let message = if rng.percent(1) { Value::text("?") } else { value.clone() };
                    match rng.below(20) {
                        0 => item.clone(),
                        1 => Value::list([Value::text("send"), key.clone(), Value::list([Value::Nil, message])]),
                        _ => {
                            Value::list([Value::text("send"), key.clone(), Value::list([Value::Int(offset), message])])
                        }
                    }
                }
                _ => Value::list([Value::text("poll"), self.polled(rng, &flying, worker)]),
            });
        }
        if happens {
            sent.into_iter().for_each(|(log, message)| self.logs[log].push(message));
        }
        if outcome != Outcome::Ok && rng.percent(70) {
            self.places = before;
        }
        if outcome != Outcome::Ok && rng.percent(20) {
            // The last part was never answered.
            answers.pop();
            answers.extend(input.as_list().and_then(<[Value]>::last).cloned());
        }
        if rng.percent(1) {
            answers.pop();
        }
        let nothing = match outcome {
            Outcome::Ok => f == "send" && rng.percent(5),
            Outcome::Fail | Outcome::Info => rng.percent(30),
        };
        (outcome, if nothing { Value::Nil } else { Value::list(answers) })
    }

    fn polled(&mut self, rng: &mut Rng, flying: &[(i64, i64)], worker: u64) -> Value {
        let mut entries: Vec<(Arc<str>, Value)> = Vec::new();
        for (key, log) in self.logs.iter().enumerate() {
            let place = self.places.entry((worker, key)).or_default();
            let mut list = Vec::new();
            for _ in 0..rng.below(4) {
                if rng.percent(self.lies) {
                    *place = rng.below(log.len() as u64 + 1) as usize;
                }
                let Some((offset, value)) = log.get(*place) else { break };
                let value = if rng.percent(self.lies / 2) { 1 + rng.below(12) as i64 } else { *value };
                list.push(Value::list([Value::Int(*offset), Value::Int(value)]));
                *place += 1;
            }
            let dirty = flying.iter().filter(|(other, _)| *other == key as i64).map(|(_, value)| *value);
            let next = log.last().map_or(0, |(offset, _)| offset + 1);
            list.extend(dirty.map(|value| Value::list([Value::Int(next), Value::Int(value)])));
            if rng.percent(1) {
                list.push(Value::Int(7));
            }
            entries.push((key.to_string().into(), Value::list(list)));
        }
        Value::Map(entries.into())
    }
}

/// Whether a move leaves a log where it was.
fn keeps(f: &str, input: &Value, key: &str) -> bool {
    let names = |list: &Value| list.as_list().unwrap_or_default().iter().any(|one| one.to_string() == key);
    let covers = match input {
        Value::Map(entries) => {
            let field = |name: &str| entries.iter().find(|(other, _)| &**other == name).map(|(_, value)| value);
            field("seek-to-beginning?") == Some(&Value::Bool(false)) && field("keys").is_some_and(names)
        }
        list => names(list),
    };
    matches!(f, "assign" | "subscribe") && covers
}
