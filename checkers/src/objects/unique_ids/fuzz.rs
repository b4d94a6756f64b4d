//! Random ids, compared by the checker and each with each.
use super::UniqueIds;
use crate::history::{History, Op, Outcome};
use crate::oracles::cases::{CheckerCases, Long, call, rounds};
use crate::random::random_history::{self, Answer, RandomHistory};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::BTreeSet;

/// What the tests of all checkers ask of `unique-ids`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[(&[], "1 generate 0 null -> ok 1")]),
    right_and_wrong: Ok(&[(
        &[],
        "1 generate 0 null -> ok 1\n 2 generate 0 null -> ok 2",
        "1 generate 0 null -> ok 1\n 2 generate 0 null -> ok 1",
    )]),
    long: Ok(Long::of(|n| rounds(n, |at| call(at % 3, "generate", Null, Null, json!(at))))),
    comparisons: Ok(&[("unique-ids", differ)]),
};

/// Judges random histories twice.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let fast = |history: &History| {
        Answer::read(
            &crate::random::shown(history, UniqueIds.check(history, &Budget::unlimited())),
            &["received", "duplicated"],
        )
    };
    random_history::differ(seed, count, history, fast, defined)
}

fn history(rng: &mut Rng) -> RandomHistory {
    let mut random = RandomHistory::new(1 + rng.below(3));
    let ids = *rng.pick(&[3, 12, 60, 500]);
    for _ in 0..rng.below(24) {
        let worker = rng.below(random.workers());
        if random.open(worker).is_none() {
            random.call(worker, "generate", Value::Int(rng.below(2) as i64), Value::Nil, false);
            continue;
        }
        let outcome = *rng.pick(&[Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Fail, Outcome::Info]);
        let number = rng.below(ids) as i64;
        let id = match number % 5 {
            0 => Value::text(&number.to_string()),
            1 => Value::list([Value::Int(number)]),
            2 => Value::Int(-number),
            _ => Value::Int(number),
        };
        random.reply(worker, outcome, if rng.percent(1) { Value::Nil } else { id });
    }
    random
}

fn defined(history: &History) -> Answer {
    let ok = history.ops().iter().filter(|op| op.outcome == Outcome::Ok);
    let (received, nil): (Vec<Op<'_>>, Vec<Op<'_>>) = ok.partition(|op| !op.output.is_nil());
    let same = |one: &Op<'_>, two: &Op<'_>| one.key == two.key && one.output.to_value() == two.output.to_value();
    let mut kinds = BTreeSet::new();
    let mut duplicated = 0;
    for (at, op) in received.iter().enumerate() {
        let before = received[..at].iter().filter(|other| same(other, op)).count();
        if before == 1 {
            duplicated += 1;
            kinds.insert("duplicate-id".to_owned());
        }
    }
    let pair = |op: &Op<'_>| received.iter().any(|other| other.call != op.call && other.key == op.key);
    let doubt = !received.iter().any(pair) || !nil.is_empty();
    Answer::of(kinds, doubt, vec![("received", received.len() as u64), ("duplicated", duplicated)])
}
