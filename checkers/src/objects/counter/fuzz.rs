//! Random counters, judged by the checker and by adding up for each read.
use super::Counter;
use crate::history::{History, Op, Outcome};
use crate::oracles::cases::{CheckerCases, Long, call};
use crate::random::random_history::{self, Answer, RandomHistory};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::BTreeSet;

/// What the tests of all checkers ask of `counter`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[
        (&[], "1 read 0 null -> ok 0\n 1 add 0 5 -> ok"),
        (&[], "1 read 0 null -> ok 0\n 1 add 1 5 -> ok"),
    ]),
    right_and_wrong: Ok(&[(
        &[("initial", "0")],
        "1 add 0 2 -> ok\n 2 read 0 null -> ok 2",
        "1 add 0 2 -> ok\n 2 read 0 null -> ok 3",
    )]),
    long: Ok(Long::of(|n| {
        let pair = |at: u64| [call(0, "add", Null, json!(1), Null), call(1, "read", Null, Null, json!(at + 1))];
        (0..n).flat_map(pair).collect()
    })),
    comparisons: Ok(&[("counter", differ)]),
};

/// Judges random histories twice; the operations of each certificate alone have to be judged alike.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let fast = |history: &History| {
        let verdict = crate::random::shown(history, Counter { initial: 1 }.check(history, &Budget::unlimited()));
        let mut answer = Answer::read(&verdict, &["below", "above"]);
        for finding in &verdict.findings {
            let ops: Vec<Op<'_>> = finding.ops.iter().filter_map(|call| history.op(*call)).collect();
            let alone = ops.iter().filter_map(|op| bounds(history, &ops, op).map(|kind| kind.to_owned()));
            answer
                .kinds
                .extend(Some("no-proof".to_owned()).filter(|_| !alone.collect::<Vec<_>>().contains(&finding.kind)));
        }
        answer
    };
    random_history::differ(seed, count, history, fast, defined)
}

fn history(rng: &mut Rng) -> RandomHistory {
    let mut random = RandomHistory::new(1 + rng.below(4));
    let lies = *rng.pick(&[0, 0, 5, 20]);
    let mut value = 1;
    for _ in 0..4 + rng.below(26) {
        let worker = rng.below(random.workers());
        let Some((f, input)) = random.open(worker) else {
            let f = *rng.pick(&["add", "add", "increment", "decrement", "inc", "dec", "read", "read", "read", "read"]);
            let amount = Value::Int(rng.below(9) as i64 - 3);
            let input = match f {
                "read" => Value::Nil,
                "add" if rng.percent(1) => Value::text("five"),
                "add" => amount,
                _ if rng.percent(50) => Value::Nil,
                _ => amount,
            };
            random.call(worker, f, Value::Nil, input, false);
            continue;
        };
        let outcome = *rng.pick(&[Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Fail, Outcome::Info]);
        let happens = if outcome == Outcome::Info { rng.percent(50) } else { outcome == Outcome::Ok };
        let amount = input.as_int().unwrap_or(1);
        if happens && !rng.percent(lies) {
            value += match f {
                "read" => 0,
                "decrement" | "dec" => -amount,
                _ => amount,
            };
        }
        let seen = if rng.percent(lies) { value + rng.below(7) as i64 - 3 } else { value };
        random.reply(worker, outcome, if f == "read" { Value::Int(seen) } else { Value::Nil });
    }
    random
}

fn amount(history: &History, op: &Op<'_>) -> Option<i64> {
    match history.name(op.function) {
        "read" => None,
        "add" => op.input.as_int(),
        "increment" | "inc" => Some(op.input.as_int().unwrap_or(1)),
        _ => Some(-op.input.as_int().unwrap_or(1)),
    }
}

/// Which bound a read breaks among these operations.
fn bounds(history: &History, ops: &[Op<'_>], read: &Op<'_>) -> Option<&'static str> {
    if history.name(read.function) != "read" || read.outcome != Outcome::Ok {
        return None;
    }
    let value = read.output.as_int()?;
    let (mut least, mut most) = (1, 1);
    for op in ops.iter().filter(|op| op.outcome != Outcome::Fail && op.call < read.reply) {
        let amount = amount(history, op).unwrap_or(0);
        if op.outcome == Outcome::Ok && op.reply < read.call {
            least += amount;
            most += amount;
        } else {
            least += amount.min(0);
            most += amount.max(0);
        }
    }
    if value < least { Some("read-below-bound") } else { Some("read-above-bound").filter(|_| value > most) }
}

fn defined(history: &History) -> Answer {
    let ops: Vec<Op<'_>> = history.ops().iter().collect();
    let malformed = |op: &Op<'_>| history.name(op.function) == "add" && op.input.as_int().is_none();
    let malformed = ops.iter().any(|op| op.outcome != Outcome::Fail && malformed(op));
    let broken: Vec<&str> = ops.iter().filter(|_| !malformed).filter_map(|read| bounds(history, &ops, read)).collect();
    let is_read = |op: &&Op<'_>| history.name(op.function) == "read";
    let ok = |op: &&Op<'_>| op.outcome == Outcome::Ok;
    let added = ops.iter().filter(ok).any(|op| amount(history, op).is_some());
    let after = |read: &Op<'_>| ops.iter().filter(ok).any(|op| amount(history, op).is_some() && op.reply < read.call);
    let doubt = !added
        || malformed
        || !ops.iter().filter(ok).any(|op| is_read(&op) && op.output.as_int().is_some() && after(op));
    let count = |kind: &str| broken.iter().filter(|other| **other == kind).count() as u64;
    let facts = vec![("below", count("read-below-bound")), ("above", count("read-above-bound"))];
    Answer::of(broken.iter().map(|&kind| kind.to_owned()).collect::<BTreeSet<_>>(), doubt, facts)
}
