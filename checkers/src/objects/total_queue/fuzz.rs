//! Random queues, judged by the checker and by pairing every acknowledged enqueue with what came out.
use super::TotalQueue;
use crate::history::{History, Op, Outcome};
use crate::objects::queue::fuzz::MESSAGES;
use crate::objects::queue::fuzz::{history, taken};
use crate::oracles::cases::{CheckerCases, Long, call, numbers, rounds};
use crate::random::Stats;
use crate::random::random_history::{self, Answer};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::BTreeSet;

/// What the tests of all checkers ask of `total-queue`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[], "1 drain 0 null -> ok []\n 1 enqueue 0 1 -> ok")]),
    right_and_wrong: Ok(&[(
        &[],
        MESSAGES.0,
        "1 enqueue 0 5 -> ok\n 1 enqueue 0 6 -> ok\n 2 dequeue 0 null -> ok 6\n 2 drain 0 null -> ok []",
    )]),
    long: Ok(Long::of(|n| {
        let mut calls = rounds(n, |at| call(at % 3, "enqueue", Null, json!(at), Null));
        calls.push(call(0, "drain", Null, Null, numbers(n)));
        calls
    })),
    comparisons: Ok(&[("total-queue", differ)]),
};

/// Judges random histories twice, half of them with the option `exactly_once`.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let fast = |once: bool| {
        move |history: &History| {
            let verdict =
                crate::random::shown(history, TotalQueue { exactly_once: once }.check(history, &Budget::unlimited()));
            Answer::read(&verdict, &["lost", "unexpected", "duplicated"])
        }
    };
    let half = count / 2;
    let one = random_history::differ(seed, count - half, history, fast(false), |history| defined(history, false))?;
    let from = seed.wrapping_add(count - half);
    let two = random_history::differ(from, half, history, fast(true), |history| defined(history, true))?;
    Ok(Stats { histories: one.histories + two.histories, invalid: one.invalid + two.invalid })
}

fn defined(history: &History, once: bool) -> Answer {
    let ops = |name: &'static str| {
        let all = history.ops().iter();
        all.filter(move |op| history.name(op.function) == name).collect::<Vec<Op<'_>>>()
    };
    let ok = |op: &&Op<'_>| op.outcome == Outcome::Ok;
    let enqueues = ops("enqueue");
    let taken: Vec<Value> = taken(history).into_iter().map(|(element, _)| element).collect();
    let mut elements: BTreeSet<Value> = taken.iter().cloned().collect();
    elements.extend(enqueues.iter().map(|op| op.input.to_value()));
    let drain_list = ops("drain");
    let drains: Vec<&Op<'_>> = drain_list.iter().filter(ok).filter(|op| op.output.as_list().is_some()).collect();
    let unsure = |op: &&Op<'_>| op.outcome == Outcome::Info && !op.completion_value.is_nil();
    let named: Vec<Value> = ops("dequeue").iter().filter(unsure).map(|op| op.completion_value.to_value()).collect();
    let (mut missing, mut unexpected, mut duplicated, mut late) = (0, 0, 0, 0);
    for element in &elements {
        let ours: Vec<&Op<'_>> = enqueues.iter().filter(|op| op.input == *element).collect();
        let tried = ours.iter().filter(|op| op.outcome != Outcome::Fail).count();
        let acknowledged: Vec<&&Op<'_>> = ours.iter().filter(|op| op.outcome == Outcome::Ok).collect();
        let due = acknowledged.iter().filter(|op| drains.iter().any(|drain| op.reply < drain.call)).count();
        let out = taken.iter().filter(|other| *other == element).count();
        let gone = out + named.iter().filter(|other| *other == element).count();
        missing += due.saturating_sub(gone) as u64;
        late += (acknowledged.len().saturating_sub(gone) - due.saturating_sub(gone)) as u64;
        unexpected += u64::from(tried == 0 && out > 0);
        duplicated += u64::from(tried > 0 && out > tried);
    }
    let in_doubt = |ops: &[Op<'_>]| ops.iter().filter(|op| op.outcome == Outcome::Info).count() as u64;
    let malformed = drain_list.iter().filter(ok).count() > drains.len();
    let doubtful = in_doubt(&ops("dequeue")) - named.len() as u64;
    let unbounded = in_doubt(&drain_list) > 0 || malformed;
    let lost = if unbounded { 0 } else { missing.saturating_sub(doubtful) };
    let mut kinds = BTreeSet::new();
    let mut broken = |kind: &str, count: u64| kinds.extend(Some(kind.to_owned()).filter(|_| count > 0));
    broken("lost-message", lost);
    broken("unexpected-message", unexpected);
    broken("duplicated-message", if once { duplicated } else { 0 });
    let acknowledged = enqueues.iter().any(|op| op.outcome == Outcome::Ok);
    let doubt = !acknowledged || drains.is_empty() || malformed || missing > 0 || late > 0;
    Answer::of(kinds, doubt, vec![("lost", lost), ("unexpected", unexpected), ("duplicated", duplicated)])
}
