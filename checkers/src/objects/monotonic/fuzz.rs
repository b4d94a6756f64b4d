//! Random tables with timestamps, judged by the checker and row by row.
use super::Monotonic;
use crate::history::{History, Op, Outcome};
use crate::oracles::cases::{CheckerCases, Long, call, finally, rounds};
use crate::random::random_history::{self, Answer, RandomHistory};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::BTreeSet;

/// What the tests of all checkers ask of `monotonic`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[], "1 read 0 null -> ok []\n 1 add 0 1 -> ok")]),
    right_and_wrong: Ok(&[(
        &[],
        "1 add 0 1 -> ok 10\n 2 add 0 2 -> ok 11\n settle 3 read 0 null -> ok [[1,10],[2,11]]",
        "1 add 0 1 -> ok 11\n 2 add 0 2 -> ok 10\n settle 3 read 0 null -> ok [[1,11],[2,10]]",
    )]),
    long: Ok(Long::of(|n| {
        let rows: Vec<[u64; 2]> = (0..n).map(|at| [at, at + 1]).collect();
        finally(rounds(n, |at| call(at % 3, "add", Null, json!(at), Null)), "read", &json!(rows))
    })),
    comparisons: Ok(&[("monotonic", differ)]),
};

const FACTS: [&str; 5] = ["out_of_order", "out_of_order_process", "lost", "duplicated", "unexpected"];

/// Judges random histories twice, half of them with the option `per_process`.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let fast = |per_process: bool, history: &History| {
        let checker = Monotonic { per_process };
        let verdict = crate::random::shown(history, checker.check(history, &Budget::unlimited()));
        Answer::read(&verdict, &FACTS)
    };
    random_history::differ_both(seed, count, history, fast, |per_process, history| defined(history, per_process))
}

/// A table in which rows get their timestamps when they are inserted, and some lies.
fn history(rng: &mut Rng) -> RandomHistory {
    let mut random = RandomHistory::new(1 + rng.below(3));
    let lies = *rng.pick(&[0, 0, 2, 8]);
    let chosen = rng.percent(40);
    let fractions = rng.percent(30);
    let mut table: Vec<(i64, u64)> = Vec::new();
    let (mut next, mut clock) = (0, 10);
    let (steps, settle) = (4 + rng.below(26), rng.percent(50));
    for step in 0..steps {
        let worker = rng.below(random.workers());
        let Some((f, input)) = random.open(worker) else {
            if step + 6 > steps || rng.percent(20) {
                random.call(worker, "read", Value::Nil, Value::Nil, settle && step + 6 > steps);
            } else {
                next += 1;
                let value = if rng.percent(lies) { rng.below(8) as i64 } else { next };
                random.call(worker, "add", Value::Nil, if chosen { Value::Nil } else { Value::Int(value) }, false);
            }
            continue;
        };
        let outcome = *rng.pick(&[Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Info]);
        let outcome = if rng.percent(5) { Outcome::Fail } else { outcome };
        if f == "read" {
            let row = |(value, stamp): &(i64, u64)| {
                let stamp = match fractions {
                    true => Value::text(&format!("{}.{:02}", stamp / 4, 5 + stamp % 4 * 10)),
                    false => Value::Int(*stamp as i64),
                };
                Value::list([Value::Int(*value), stamp])
            };
            let mut rows: Vec<Value> = table.iter().filter(|_| !rng.percent(lies)).map(row).collect();
            if rng.percent(lies) {
                rows.push(row(&(rng.below(9) as i64, rng.below(30))));
            }
            if rng.percent(1) {
                rows.push(Value::Nil);
            }
            if rng.percent(40) {
                rows.reverse();
            }
            random.reply(worker, outcome, if outcome == Outcome::Ok { Value::list(rows) } else { Value::Nil });
            continue;
        }
        let happens = if outcome == Outcome::Info { rng.percent(50) } else { outcome == Outcome::Ok };
        let largest = table.iter().map(|(value, _)| *value).max().unwrap_or(0);
        let wrong = i64::from(rng.percent(lies)) * 2;
        let value = input.as_int().unwrap_or(largest + 1 - wrong);
        if happens != rng.percent(lies) {
            clock += rng.below(3);
            let behind = if rng.percent(lies) { rng.below(6) } else { 0 };
            table.push((value, clock - behind));
        }
        let reply = if outcome == Outcome::Ok && chosen { Value::Int(value) } else { Value::Nil };
        random.reply(worker, outcome, reply);
    }
    random
}

/// A timestamp in hundredths: two digits are all that the generator makes.
fn hundredths(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(number * 100),
        Value::Text(text) => text.replace('.', "").parse().ok(),
        _ => None,
    }
}

fn row(item: &Value) -> Option<(Value, i64)> {
    let [value, stamp] = item.as_list()? else { return None };
    Some((value.clone(), hundredths(stamp)?)).filter(|(value, _)| !value.is_nil())
}

fn defined(history: &History, per_process: bool) -> Answer {
    let of = |name: &'static str| {
        history.ops().iter().filter(move |op| history.name(op.function) == name).collect::<Vec<Op<'_>>>()
    };
    let value_of = |op: &Op<'_>| if op.input.is_nil() { op.output.to_value() } else { op.input.to_value() };
    let adds: Vec<(Value, Op<'_>)> = of("add").into_iter().map(|op| (value_of(&op), op)).collect();
    let nameless = |add: &&(Value, Op<'_>)| add.0.is_nil() && add.1.outcome == Outcome::Info;
    let maybe: Vec<&(Value, Op<'_>)> =
        adds.iter().filter(|(value, op)| !value.is_nil() && op.outcome != Outcome::Fail).collect();
    let ambiguous = |value: &Value| maybe.iter().filter(|(other, _)| other == value).count() > 1;
    let add_of = |value: &Value| maybe.iter().find(|(other, _)| other == value && !ambiguous(value)).map(|(_, op)| op);
    let reads: Vec<Op<'_>> = of("read").into_iter().filter(|op| op.outcome == Outcome::Ok).collect();
    let rows: Vec<Vec<(Value, i64)>> = reads
        .iter()
        .map(|read| read.output.to_value().as_list().unwrap_or_default().iter().filter_map(row).collect())
        .collect();
    let malformed = |at: usize| reads[at].output.as_list().unwrap_or_default().len() > rows[at].len();
    let (mut global, mut local) = (0, 0);
    let (mut duplicated, mut unexpected) = (BTreeSet::new(), BTreeSet::new());
    for (read, rows) in reads.iter().zip(&rows) {
        for (value, stamp) in rows {
            if rows.iter().filter(|(other, _)| other == value).count() > 1 {
                duplicated.insert(value.clone());
            }
            let Some(late) = add_of(value) else {
                let other = adds.iter().filter(nameless).any(|(_, op)| op.call < read.reply);
                if !other && !ambiguous(value) {
                    unexpected.insert(value.clone());
                }
                continue;
            };
            if late.call > read.reply {
                unexpected.insert(value.clone());
            }
            let earlier: Vec<(&Value, &Op<'_>)> = rows
                .iter()
                .filter(|(_, other)| other < stamp)
                .filter_map(|(value, _)| add_of(value).map(|op| (value, op)))
                .collect();
            let over = |early: &Op<'_>| late.outcome == Outcome::Ok && late.reply < early.call;
            let larger = |other: &Value, early: &Op<'_>| {
                late.input.is_nil() && early.input.is_nil() && other.as_int() > value.as_int()
            };
            if earlier.iter().any(|(_, early)| over(early) && early.process == late.process) {
                local += 1;
            } else if earlier.iter().any(|(other, early)| over(early) || larger(other, early)) {
                global += 1;
            }
        }
    }
    let settled = reads.iter().any(|read| read.settle);
    let last: Vec<usize> =
        (0..reads.len()).filter(|at| if settled { reads[*at].settle } else { at + 1 == reads.len() }).collect();
    let (mut lost, mut late) = (0, 0);
    for (value, add) in maybe.iter().filter(|(value, op)| op.outcome == Outcome::Ok && !ambiguous(value)) {
        if last.iter().any(|at| rows[*at].iter().any(|(other, _)| other == value)) {
            continue;
        }
        let after = !last.is_empty() && last.iter().all(|at| reads[*at].call > add.reply && !malformed(*at));
        if after { lost += 1 } else { late += 1 }
    }
    let facts = [global, local, lost, duplicated.len() as u64, unexpected.len() as u64];
    let names = ["out-of-order", "out-of-order-process", "lost-row", "duplicate-row", "unexpected-row"];
    let counted = names.iter().zip(facts).enumerate();
    let kinds = counted.filter(|(at, (_, count))| *count > 0 && !(per_process && *at == 0));
    let kinds: BTreeSet<String> = kinds.map(|(_, (name, _))| (*name).to_owned()).collect();
    let doubt = !maybe.iter().any(|(_, op)| op.outcome == Outcome::Ok)
        || reads.is_empty()
        || late > 0
        || adds.iter().any(|add| nameless(&add))
        || maybe.iter().any(|(value, _)| ambiguous(value))
        || (0..reads.len()).any(malformed);
    // Without a single add the workload is not this one.
    let facts = if adds.is_empty() { [0; 5] } else { facts };
    let kinds = if adds.is_empty() { BTreeSet::new() } else { kinds };
    Answer::of(kinds, doubt, FACTS.into_iter().zip(facts).collect())
}
