//! Random queues, judged by the checker and dequeue by dequeue. Also makes those for `total-queue`.
use super::Queue;
use crate::history::{History, Op, Outcome};
use crate::oracles::cases::{CheckerCases, Long, call};
use crate::random::random_history::{self, Answer, RandomHistory};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::BTreeSet;

/// A right history and a wrong one of a queue.
pub(crate) const MESSAGES: (&str, &str) = (
    "1 enqueue 0 5 -> ok\n 2 dequeue 0 null -> ok 5\n 2 drain 0 null -> ok []",
    "1 enqueue 0 5 -> ok\n 2 dequeue 0 null -> ok 5\n 3 dequeue 0 null -> ok 5\n 2 drain 0 null -> ok []",
);

/// What the tests of all checkers ask of `queue`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[], "1 enqueue 0 1 -> ok\n 2 dequeue 0 null -> ok")]),
    right_and_wrong: Ok(&[(&[], MESSAGES.0, MESSAGES.1)]),
    long: Ok(Long::of(|n| {
        let pair = |at| [call(0, "enqueue", Null, json!(at), Null), call(1, "dequeue", Null, Null, json!(at))];
        (0..n).flat_map(pair).collect()
    })),
    comparisons: Ok(&[("queue", differ)]),
};

/// Judges random histories twice.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let fast = |history: &History| {
        Answer::read(
            &crate::random::shown(history, Queue::default().check(history, &Budget::unlimited())),
            &["unexpected", "duplicated"],
        )
    };
    random_history::differ(seed, count, history, fast, defined)
}

/// A queue whose calls take effect at their replies, and some lies.
pub(crate) fn history(rng: &mut Rng) -> RandomHistory {
    let mut random = RandomHistory::new(1 + rng.below(3));
    let lies = *rng.pick(&[0, 0, 3, 10]);
    let doubts = *rng.pick(&[0, 5, 25]);
    let unique = rng.percent(60);
    let mut store: Vec<Value> = Vec::new();
    let (steps, mut next) = (4 + rng.below(26), 0);
    for step in 0..steps {
        let worker = rng.below(random.workers());
        let Some((f, input)) = random.open(worker) else {
            let f = if step + 8 > steps { "drain" } else { *rng.pick(&["enqueue", "enqueue", "dequeue"]) };
            next += 1;
            let element = if unique { next } else { rng.below(3) as i64 };
            random.call(worker, f, Value::Nil, if f == "enqueue" { Value::Int(element) } else { Value::Nil }, false);
            continue;
        };
        let outcome = match rng.below(100) {
            drawn if drawn < doubts => Outcome::Info,
            drawn if drawn < doubts + 5 => Outcome::Fail,
            _ => Outcome::Ok,
        };
        let happens = if outcome == Outcome::Info { rng.percent(50) } else { outcome == Outcome::Ok };
        let happens = happens != rng.percent(lies);
        let mut reply = Value::Nil;
        match f {
            "enqueue" if happens => store.push(input),
            "dequeue" if !store.is_empty() => {
                let at = rng.below(store.len() as u64) as usize;
                reply = store[at].clone();
                if happens {
                    store.remove(at);
                }
            }
            "drain" => {
                let left = std::mem::take(&mut store);
                reply = Value::list(left.into_iter().filter(|_| !rng.percent(lies)));
            }
            _ => {}
        }
        if f == "dequeue" && rng.percent(lies) {
            reply = Value::Int(rng.below(8) as i64);
        }
        if f == "drain" && rng.percent(1) {
            reply = Value::Nil;
        }
        // A dequeue in doubt may name what it may have taken.
        let shows = outcome == Outcome::Ok || (outcome == Outcome::Info && f == "dequeue" && rng.percent(50));
        random.reply(worker, outcome, if shows { reply } else { Value::Nil });
    }
    random
}

/// Every element that came out, with the operation: a drain gives several.
pub(crate) fn taken<'h>(history: &'h History) -> Vec<(Value, Op<'h>)> {
    let mut taken = Vec::new();
    for op in history.ops().iter().filter(|op| op.outcome == Outcome::Ok) {
        match history.name(op.function) {
            "dequeue" if !op.output.is_nil() => taken.push((op.output.to_value(), op)),
            "drain" => taken.extend(op.output.as_list().unwrap_or_default().iter().map(|item| (item.to_value(), op))),
            _ => {}
        }
    }
    taken
}

fn defined(history: &History) -> Answer {
    let taken = taken(history);
    let enqueue = |op: &Op<'_>| history.name(op.function) == "enqueue" && op.outcome != Outcome::Fail;
    let enqueues: Vec<Op<'_>> = history.ops().iter().filter(enqueue).collect();
    let (mut kinds, mut unexpected, mut duplicated) = (BTreeSet::new(), 0, 0);
    for (at, (element, op)) in taken.iter().enumerate() {
        // In one drain, the elements count in the order of the list.
        let earlier = |(other_at, (other, before)): (usize, &(Value, Op<'_>))| {
            other == element && (before.reply, other_at) <= (op.reply, at)
        };
        let rank = taken.iter().enumerate().filter(|taken| earlier(*taken)).count();
        let called = enqueues.iter().filter(|enqueue| enqueue.input == *element && enqueue.call < op.reply).count();
        if rank > called && called == 0 {
            unexpected += 1;
            kinds.insert("unexpected-message".to_owned());
        } else if rank > called {
            duplicated += 1;
            kinds.insert("duplicated-message".to_owned());
        }
    }
    let malformed = |op: &Op<'_>| {
        op.outcome == Outcome::Ok && history.name(op.function) == "drain" && op.output.as_list().is_none()
    };
    let doubt = taken.is_empty() || history.ops().iter().any(|op| malformed(&op));
    Answer::of(kinds, doubt, vec![("unexpected", unexpected), ("duplicated", duplicated)])
}
