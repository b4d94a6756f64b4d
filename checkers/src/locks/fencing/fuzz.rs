//! `fencing` against its definition.
use super::Fencing;
use crate::history::{History, Op, Outcome};
use crate::oracles::cases::{CheckerCases, Long, held};
use crate::random::scripted::{Step, compare, interleave};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::json;
use std::collections::BTreeSet;

/// What the tests of all checkers ask of `fencing`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(
        &[],
        "1 acquire 0 null -> ok 1\n 2 acquire 1 null -> ok 2\n 1 write 2 [1,0] -> ok\n 2 write 3 [2,0] -> ok",
    )]),
    right_and_wrong: Ok(&[(
        &[],
        "1 acquire 0 null -> ok 5\n 2 acquire 0 null -> ok 6",
        "1 acquire 0 null -> ok 5\n 2 acquire 0 null -> ok 5",
    )]),
    long: Ok(Long::of(|n| held(n, |at| json!(at)))),
    comparisons: Ok(&[("fencing", differ)]),
};

/// Compares the checker with its definition on `count` random histories. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    compare(
        seed,
        count,
        make,
        |history| crate::random::shown(history, Fencing::default().check(history, &Budget::unlimited())),
        define,
    )
}

/// A lock and what it guards. Clients write with the tokens that they know of.
fn make(rng: &mut Rng) -> History {
    let broken = if rng.percent(50) { rng.below(30) } else { 0 };
    let scripts = (0..2 + rng.below(2)).map(|_| {
        let step = |rng: &mut Rng| {
            let token = Value::Int(1 + rng.below(4) as i64);
            let input = if rng.percent(50) {
                Value::list([token, 7.into()])
            } else {
                crate::calls::object(&[("token", token), ("value", 7.into())])
            };
            match rng.below(6) {
                0 | 1 => Step::new("write", 1.into(), input),
                2 => Step::new("log", 1.into(), Value::Nil),
                3 => Step::new("release", Value::Nil, Value::Nil),
                _ => Step::new("acquire", Value::Nil, Value::Nil),
            }
        };
        (0..1 + rng.below(4)).map(|_| step(rng)).collect()
    });
    let mut scripts: Vec<Vec<Step>> = scripts.collect();
    scripts.push(vec![Step::new("acquire", Value::Nil, Value::Nil)]);
    let (mut granted, mut newest, mut log) = (0, 0, Vec::new());
    let mut holder = None;
    interleave(rng, scripts, 8, &mut |rng, process, step| {
        let broken = rng.below(100) < broken;
        match step.f {
            "acquire" => {
                granted += i64::from(!broken && holder != Some(process));
                holder = Some(process);
                let object = crate::calls::object(&[("token", granted.into())]);
                Some(if rng.percent(50) { granted.into() } else { object })
            }
            "write" => {
                let token = match &step.input {
                    Value::Map(entries) => entries[0].1.as_int(),
                    other => other.as_list().and_then(|list| list[0].as_int()),
                };
                if token? < newest && !broken {
                    return None;
                }
                newest = newest.max(token?);
                log.push(Value::list([token?.into(), 7.into()]));
                Some(Value::Nil)
            }
            "log" => Some(Value::list(log.iter().cloned())),
            _ => {
                holder = holder.filter(|one| *one != process);
                Some(Value::Nil)
            }
        }
    })
}

/// The only integer of a token in whatever shape.
fn token(value: &Value) -> i64 {
    match value {
        Value::Int(token) => *token,
        Value::List(list) => list[0].as_int().unwrap_or(0),
        Value::Map(entries) => entries[0].1.as_int().unwrap_or(0),
        _ => 0,
    }
}

/// Directly from the definition: every pair of grants, of writes and of entries of a log.
fn define(history: &History) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    let ops: Vec<Op<'_>> = history.ops().iter().collect();
    let named = |f: &'static str| move |op: &&Op<'_>| history.name(op.function) == f && op.outcome == Outcome::Ok;
    let granted = |op: &Op<'_>| token(&op.output.to_value());
    // A holder that asked again before it tried to release: the last acquire before has the same token.
    let again = |op: &Op<'_>| {
        let own = ops.iter().filter(|other| other.process == op.process && other.call < op.call);
        let mut last = own.filter(|one| match history.name(one.function) {
            "acquire" => one.outcome == Outcome::Ok,
            name => name == "release" && one.outcome == Outcome::Ok,
        });
        last.next_back().is_some_and(|last| history.name(last.function) == "acquire" && granted(last) == granted(op))
    };
    let grants: Vec<&Op<'_>> = ops.iter().filter(named("acquire")).filter(|op| !again(op)).collect();
    for one in &grants {
        for two in grants.iter().filter(|two| two.call != one.call) {
            if one.reply < two.call && granted(two) <= granted(one) {
                kinds.insert("token-not-increasing");
            }
            if granted(one) == granted(two) {
                kinds.insert("token-granted-twice");
            }
        }
    }
    let carried = |op: &Op<'_>| token(&op.input.to_value());
    for one in ops.iter().filter(named("write")) {
        for two in ops.iter().filter(named("write")) {
            if one.reply < two.call && carried(two) < carried(one) {
                kinds.insert("stale-token-accepted");
            }
        }
    }
    for read in ops.iter().filter(named("log")) {
        let entries: Vec<i64> = read.output.to_value().as_list().unwrap_or(&[]).iter().map(token).collect();
        let stale = |at: usize| entries[at + 1..].iter().any(|later| *later < entries[at]);
        if (0..entries.len()).any(stale) {
            kinds.insert("stale-token-in-log");
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    #[test]
    fn random_tokens() {
        let stats = super::differ(1, crate::random::scripted::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 20 > stats.histories && stats.invalid * 2 < stats.histories, "{stats:?}");
    }
}
