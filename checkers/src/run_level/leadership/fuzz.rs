//! Random elections, judged by the checker and by every pair of replies.
use super::Leadership;
use crate::history::{History, Op, Outcome};
use crate::oracles::cases::{CheckerCases, Long, call, rounds};
use crate::random::random_history::{self, Answer, RandomHistory};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the tests of all checkers ask of `leadership`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[], "1 leader null null -> ok {\"leader\":\"n1\",\"term\":3}")]),
    right_and_wrong: Err("it judges the run as a whole"),
    long: Ok(Long::of(|n| rounds(n, |at| call(at % 3, "leader", Null, Null, json!({"leader": "n1", "term": at}))))),
    comparisons: Ok(&[("leadership", differ)]),
};

/// Judges random histories twice.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let fast = |history: &History| {
        let verdict = crate::random::shown(history, Leadership.check(history, &Budget::unlimited()));
        Answer::read(&verdict, &["replies"])
    };
    random_history::differ(seed, count, history, fast, defined)
}

/// Replies that name the leader of a term, mostly the same one; some name no leader or no term.
fn history(rng: &mut Rng) -> RandomHistory {
    let mut random = RandomHistory::new(1 + rng.below(3));
    let (keys, terms, wrong) = (1 + rng.below(2), 1 + rng.below(6), *rng.pick(&[0, 3, 20]));
    for _ in 0..rng.below(12) {
        let worker = rng.below(random.workers());
        let f = if rng.percent(50) { "leader" } else { "elect" };
        let (key, term) = (rng.below(keys) as i64, rng.below(terms) as i64);
        random.call(worker, f, Value::Int(key), Value::Nil, false);
        let leader = if rng.percent(wrong) { 99 } else { term % 3 };
        let leader = if rng.percent(5) { Value::Nil } else { Value::text(&format!("n{leader}")) };
        let term = if rng.percent(5) { Value::Nil } else { Value::Int(term) };
        let reply: [(Arc<str>, Value); 2] = [("leader".into(), leader), ("term".into(), term)];
        let outcome = *rng.pick(&[Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Info, Outcome::Fail]);
        random.reply(worker, outcome, if outcome == Outcome::Ok { Value::Map(reply.into()) } else { Value::Nil });
    }
    random
}

fn defined(history: &History) -> Answer {
    let named = |op: Op<'_>| {
        let part = |name| op.output.as_map().and_then(|map| map.get(name)).map(|value| value.to_value());
        let (leader, term) = (part("leader")?, part("term")?);
        let says = op.outcome == Outcome::Ok && leader != Value::Nil && term != Value::Nil;
        says.then(|| (op.key.to_value(), term, leader))
    };
    let named: Vec<(Value, Value, Value)> = history.ops().iter().filter_map(named).collect();
    let two = |(at, (key, term, leader)): (usize, &(Value, Value, Value))| {
        named[at + 1..].iter().any(|other| other.0 == *key && other.1 == *term && other.2 != *leader)
    };
    let broken = named.iter().enumerate().any(two);
    let kinds: BTreeSet<String> = broken.then(|| "two-leaders-in-one-term".to_owned()).into_iter().collect();
    Answer::of(kinds, named.len() < 2, vec![("replies", named.len() as u64)])
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_pair_of_replies_agrees() {
        crate::random::random_history::agrees(super::differ);
    }
}
