//! `causal-reverse` against its definition.
use super::CausalReverse;
use crate::history::{History, Op, Outcome};
use crate::oracles::cases::{CheckerCases, Long, call, finally, numbers, rounds};
use crate::random::scripted::{Step, compare, interleave};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::BTreeSet;

/// What the tests of all checkers ask of `causal-reverse`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[], "1 write 0 1 -> ok\n 1 write 0 2 -> ok\n 3 read 0 null -> ok [1]")]),
    right_and_wrong: Ok(&[(
        &[],
        "1 write 0 1 -> ok\n 2 write 0 2 -> ok\n 3 read 0 null -> ok [2,1]",
        "1 write 0 1 -> ok\n 2 write 0 2 -> ok\n 3 read 0 null -> ok [2]",
    )]),
    long: Ok(Long::of(|n| finally(rounds(n, |at| call(at % 3, "write", Null, json!(at), Null)), "read", &numbers(n)))),
    comparisons: Ok(&[("causal-reverse", differ)]),
};

/// Compares the checker with its definition on `count` random histories. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let check = |history: &History| crate::random::shown(history, CausalReverse.check(history, &Budget::unlimited()));
    compare(seed, count, make, check, define)
}

/// Two keys of elements, some written twice; some reads lack what they should have.
fn make(rng: &mut Rng) -> History {
    let broken = if rng.percent(60) { rng.below(60) } else { 0 };
    let repeat = rng.percent(30);
    let mut scripts: Vec<Vec<Step>> = vec![Vec::new(); 3];
    for fresh in 0..4 + rng.below(8) {
        let key = Value::Int(i64::from(rng.percent(20)));
        let element = if repeat { rng.below(4) as i64 } else { fresh as i64 };
        let read = rng.percent(40);
        let step = if read { Step::new("read", key, Value::Nil) } else { Step::new("write", key, element.into()) };
        let client = rng.below(3) as usize;
        scripts[client].push(step);
    }
    let mut store: Vec<(Value, Value)> = Vec::new();
    interleave(rng, scripts, 15, &mut |rng, _, step| {
        if step.f == "write" {
            if rng.percent(10) {
                return None;
            }
            store.push((step.key.clone(), step.input.clone()));
            return Some(Value::Nil);
        }
        let seen = store.iter().filter(|(key, _)| *key == step.key).map(|(_, element)| element.clone());
        Some(Value::list(seen.filter(|_| rng.below(100) >= broken).collect::<Vec<_>>()))
    })
}

/// Directly from the definition: every read with every pair of writes.
fn define(history: &History) -> BTreeSet<&'static str> {
    let ops: Vec<Op<'_>> = history.ops().iter().collect();
    let of = |f: &str, key: &Op<'_>| {
        let mine = |op: &&Op<'_>| history.name(op.function) == f && op.key == key.key && op.outcome != Outcome::Fail;
        ops.iter().filter(mine).copied().collect::<Vec<_>>()
    };
    for read in ops.iter().filter(|op| history.name(op.function) == "read" && op.outcome == Outcome::Ok) {
        let seen: Vec<Value> = read.output.to_value().as_list().unwrap_or(&[]).to_vec();
        let writes = of("write", read);
        for earlier in writes.iter().filter(|op| op.outcome == Outcome::Ok && !seen.contains(&op.input.to_value())) {
            for later in writes.iter().filter(|op| seen.contains(&op.input.to_value())) {
                let first = writes.iter().filter(|op| op.input == later.input).all(|op| op.call >= later.call);
                if first && earlier.reply < later.call {
                    return BTreeSet::from(["causal-reverse"]);
                }
            }
        }
    }
    BTreeSet::new()
}

#[cfg(test)]
mod tests {
    #[test]
    fn random_logs() {
        let stats = super::differ(1, crate::random::scripted::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 20 > stats.histories && stats.invalid * 2 < stats.histories, "{stats:?}");
    }
}
