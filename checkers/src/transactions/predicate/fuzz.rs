//! Random inserts under a predicate, judged by the checker and key by key.
use super::G2;
use crate::history::{History, Outcome};
use crate::oracles::cases::{Call, CheckerCases, Long, call, rounds};
use crate::random::random_history::{self, Answer, RandomHistory};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::BTreeSet;

/// What the tests of all checkers ask of `g2`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[(&[], "1 insert 1 [1,null] -> ok\n 1 insert 2 [2,null] -> fail\n 2 insert 2 [null,3] -> fail")]),
    right_and_wrong: Ok(&[(
        &[],
        "1 insert 1 [1,null] -> ok\n 2 insert 1 [null,2] -> fail",
        "1 insert 1 [1,null] -> ok\n 2 insert 1 [null,2] -> ok",
    )]),
    long: Ok(Long::of(|n| {
        let insert = |at: u64| Call {
            outcome: if at.is_multiple_of(2) { "ok" } else { "fail" },
            ..call(at % 3, "insert", json!(at / 2), json!([at, null]), Null)
        };
        rounds(n, insert)
    })),
    comparisons: Ok(&[("g2", differ)]),
};

/// Judges random histories twice.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let fast = |history: &History| {
        let verdict = crate::random::shown(history, G2.check(history, &Budget::unlimited()));
        Answer::read(&verdict, &["keys", "broken_keys"])
    };
    random_history::differ(seed, count, history, fast, defined)
}

/// Inserts under a few keys, most of which miss no row.
fn history(rng: &mut Rng) -> RandomHistory {
    let mut random = RandomHistory::new(1 + rng.below(3));
    let keys = 1 + rng.below(4);
    let lost = *rng.pick(&[5, 30, 60]);
    let mut taken = BTreeSet::new();
    for id in 0..rng.below(16) as i64 {
        let worker = rng.below(random.workers());
        let key = rng.below(keys) as i64;
        let ids = if rng.percent(50) { [Value::Int(id), Value::Nil] } else { [Value::Nil, Value::Int(id)] };
        // The key stands beside the ids or before them.
        match rng.percent(50) {
            true => random.call(worker, "insert", Value::Int(key), Value::list(ids), false),
            false => {
                let pair = Value::list([Value::Int(key), Value::list(ids)]);
                random.call(worker, "insert", Value::Nil, pair, false);
            }
        }
        let outcome = match taken.contains(&key) && !rng.percent(lost) {
            true => Outcome::Fail,
            false => *rng.pick(&[Outcome::Ok, Outcome::Ok, Outcome::Info, Outcome::Fail]),
        };
        if outcome == Outcome::Ok {
            taken.insert(key);
        }
        random.reply(worker, outcome, Value::Nil);
    }
    random
}

/// The key of each insert and whether it was acknowledged; then every pair of inserts.
fn defined(history: &History) -> Answer {
    let insert = |op: crate::history::Op<'_>| {
        let key = if op.key.is_nil() { op.input.as_list().map(|pair| pair.at(0).to_value()) } else { None };
        (key.unwrap_or_else(|| op.key.to_value()), op.outcome == Outcome::Ok)
    };
    let inserts: Vec<(Value, bool)> = history.ops().iter().map(insert).collect();
    let pairs = || inserts.iter().enumerate().flat_map(|(at, one)| inserts[at + 1..].iter().map(move |two| (one, two)));
    let same = |(one, two): &(&(Value, bool), &(Value, bool))| one.0 == two.0;
    let broken: BTreeSet<&Value> =
        pairs().filter(|pair| same(pair) && pair.0.1 && pair.1.1).map(|(one, _)| &one.0).collect();
    let contested = pairs().any(|pair| same(&pair) && (pair.0.1 || pair.1.1));
    let keys: BTreeSet<&Value> = inserts.iter().map(|(key, _)| key).collect();
    let kinds = broken.iter().map(|_| "G2".to_owned()).collect();
    Answer::of(kinds, !contested, vec![("keys", keys.len() as u64), ("broken_keys", broken.len() as u64)])
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_pair_of_inserts_agrees() {
        crate::random::random_history::agrees(super::differ);
    }
}
