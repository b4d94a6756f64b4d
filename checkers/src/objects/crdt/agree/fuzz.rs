//! `replicas-agree` against its definition: random sets on nodes that may miss an add, be behind, or lose something.
use super::ReplicasAgree;
use crate::history::standstill::{CONVERGED, NOT_CONVERGED};
use crate::history::{History, NameId, Op, Outcome};
use crate::objects::set::fuzz::ADDS;
use crate::oracles::cases::{CheckerCases, Long, adds};
use crate::random::random_history::{self, Answer, RandomHistory};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker, Validity};
use std::collections::BTreeSet;

/// What the tests of all checkers ask of `replicas-agree`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(
        &[],
        "settle n1: 8 read 0 null -> ok []\n settle n2: 9 read 0 null -> ok []\n n1: 1 add 0 2 -> ok",
    )]),
    right_and_wrong: Ok(&[(
        &[],
        ADDS.0,
        "n1: 1 add 0 5 -> ok
             {\"type\":\"note\",\"text\":\"the replicas converged\"}
             settle n1: 8 read 0 null -> ok [5]\n settle n2: 9 read 0 null -> ok []",
    )]),
    long: Ok(Long::of(adds)),
    comparisons: Ok(&[("replicas-agree", differ)]),
};

const FACTS: [&str; 2] = ["lost_element", "final_reads"];

/// Milliseconds without a change after which replicas stand still. Records are a millisecond apart.
const STANDSTILL_MS: u64 = 6;

/// Milliseconds for which a replica may be behind, in the second half of the histories.
const CATCH_UP_MS: u64 = 9;

/// Compares the checker with its definition on `count` random histories, half of them with a bound on how long a replica may be
/// behind.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let fast = |catch_up_ms: Option<u64>| {
        let checker = ReplicasAgree { standstill_ms: STANDSTILL_MS, catch_up_ms, ..ReplicasAgree::default() };
        move |history: &History| {
            let verdict = crate::random::shown(history, checker.check(history, &Budget::unlimited()));
            Answer::read(&verdict, &FACTS)
        }
    };
    let half = count / 2;
    let one = random_history::differ(seed, count - half, history, fast(None), |history| defined(history, None))?;
    let (from, bound) = (seed.wrapping_add(count - half), Some(CATCH_UP_MS));
    let two = random_history::differ(from, half, history, fast(bound), |history| defined(history, bound))?;
    Ok(Stats { histories: one.histories + two.histories, invalid: one.invalid + two.invalid })
}

/// Two nodes of which the second gets adds later, or not at all.
fn history(rng: &mut Rng) -> RandomHistory {
    let mut random = RandomHistory::new(2 + rng.below(2));
    let lies = *rng.pick(&[0, 15, 35]);
    let stops = if rng.percent(40) { rng.below(8) } else { u64::MAX };
    let (mut one, mut two): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    let (steps, mut next, mut adds) = (16 + rng.below(20), 0, 0);
    let settle_from = steps.saturating_sub(8 + rng.below(8));
    let (noted_at, note) =
        ((settle_from + rng.below(8)).saturating_sub(2), *rng.pick(&[CONVERGED, CONVERGED, NOT_CONVERGED, ""]));
    for step in 0..steps {
        if step == noted_at && !note.is_empty() {
            random.note(note);
        }
        let worker = rng.below(random.workers());
        let settle = step >= settle_from;
        let Some((f, input)) = random.open(worker) else {
            if settle || rng.percent(10) {
                random.call(worker, "read", Value::Nil, Value::Nil, settle);
            } else {
                next += 1;
                let element = if rng.percent(15) { 1 + rng.below(next) } else { next };
                random.call(worker, "add", Value::Nil, Value::Int(element as i64), false);
            }
            continue;
        };
        let outcome = match rng.below(16) {
            0 => Outcome::Fail,
            1 => Outcome::Info,
            _ => Outcome::Ok,
        };
        if f == "add" {
            adds += 1;
            if if outcome == Outcome::Info { rng.percent(50) } else { outcome == Outcome::Ok } {
                if !rng.percent(lies) {
                    one.push(input.clone());
                }
                if adds < stops && !rng.percent(lies) {
                    two.push(input);
                }
            }
            random.reply(worker, outcome, Value::Nil);
            continue;
        }
        if rng.percent(lies) {
            // Catches up.
            two.clone_from(&one);
        }
        let mut seen = if worker.is_multiple_of(2) { one.clone() } else { two.clone() };
        if rng.percent(lies) && !seen.is_empty() {
            seen.remove(rng.below(seen.len() as u64) as usize);
        }
        match outcome {
            Outcome::Ok => random.reply(worker, outcome, Value::list(seen)),
            _ if rng.percent(25) => {
                random.fail(worker, outcome, rng.pick::<&str>(&["absent: x", "absent: x", "absent"]))
            }
            _ => random.reply(worker, outcome, Value::Nil),
        }
    }
    random
}

/// The definition, pair by pair.
fn defined(history: &History, catch_up_ms: Option<u64>) -> Answer {
    let ops: Vec<Op<'_>> = history.ops().iter().collect();
    let adds: Vec<&Op<'_>> = ops.iter().filter(|op| history.name(op.function) == "add").collect();
    let tried: Vec<&&Op<'_>> = adds.iter().filter(|add| add.outcome != Outcome::Fail).collect();
    if adds.is_empty() {
        let facts = FACTS.map(|name| (name, 0)).to_vec();
        return Answer { validity: Validity::Unknown, kinds: BTreeSet::new(), facts };
    }
    let absent = |op: &Op<'_>| {
        op.outcome == Outcome::Fail && op.error.is_some_and(|error| history.name(error).starts_with("absent: "))
    };
    let quiet = |read: &Op<'_>| adds.iter().all(|add| add.outcome == Outcome::Info || add.reply < read.call);
    let finals: Vec<&Op<'_>> = ops
        .iter()
        .filter(|op| history.name(op.function) == "read" && op.settle && quiet(op))
        .filter(|op| op.outcome == Outcome::Ok || absent(op))
        .collect();
    let list = |op: &Op<'_>| -> BTreeSet<Value> {
        op.output.as_list().unwrap_or_default().iter().map(|item| item.to_value()).collect()
    };
    let nodes: BTreeSet<NameId> = finals.iter().map(|op| op.node).collect();
    let asked = ops.iter().filter(|op| history.name(op.function) == "read" && op.settle);
    let silent = asked.map(|op| op.node).filter(|node| !nodes.contains(node)).count() > 0;
    let of = |node: NameId| finals.iter().filter(move |op| op.node == node);
    let followed = |one: &Op<'_>| of(one.node).any(|two| one.reply < two.call);
    let holds =
        |node: NameId| -> BTreeSet<Value> { of(node).filter(|op| !followed(op)).flat_map(|op| list(op)).collect() };
    let noted = |wanted: &str| history.notes.iter().find(|(_, _, text)| text == wanted).map(|(time, ..)| *time);
    // When each node was first seen to show what its last read showed.
    let since = |node: NameId| {
        let last = of(node).max_by_key(|op| op.call).map(|op| list(op));
        let other = of(node).filter(|op| Some(list(op)) != last).map(|op| op.call).max();
        let same = of(node).filter(|op| other.is_none_or(|other| op.call > other));
        same.min_by_key(|op| op.call).map_or(0, |op| op.reply_time)
    };
    let changed = nodes.iter().map(|node| since(*node)).max().unwrap_or(0);
    let mut kinds = BTreeSet::new();
    let (mut lost, mut doubt) = (0, nodes.len() < 2 || silent);
    for &node in &nodes {
        let own = holds(node);
        let others: BTreeSet<Value> = nodes.iter().flat_map(|other| holds(*other)).collect();
        let of_element = |element: &Value| tried.iter().filter(|add| add.input == *element).collect::<Vec<_>>();
        let acknowledged = |element: &Value| {
            of_element(element).iter().filter(|add| add.outcome == Outcome::Ok).map(|add| add.reply).min()
        };
        let lacking: Vec<&Value> = others.iter().filter(|element| !own.contains(*element)).collect();
        let known: Vec<u64> = lacking.iter().filter_map(|element| acknowledged(element)).collect();
        let Some(first) = known.iter().min() else {
            doubt |= lacking.iter().any(|element| !of_element(element).is_empty());
            continue;
        };
        let later = own
            .iter()
            .any(|element| of_element(element).iter().map(|add| add.call).min().is_some_and(|call| call > *first));
        let Some(last) = of(node).max_by_key(|op| op.call) else { continue };
        let gained = |op: &&&&Op<'_>| own.iter().any(|one| !list(op).contains(one) && acknowledged(one).is_some());
        let grew = of(node).filter(|op| op.reply < last.call).filter(|op| gained(&op)).count() > 0;
        let ended = adds.iter().filter(|add| add.outcome != Outcome::Info).map(|add| add.reply_time).max();
        let converged =
            noted(CONVERGED).is_some_and(|at| ended.is_none_or(|ended| ended <= at) && at <= last.call_time);
        let still = last.call_time >= changed + STANDSTILL_MS * 1_000_000;
        let since = last.call_time - ended.unwrap_or(0);
        let late = catch_up_ms.is_some_and(|bound| since > bound * 1_000_000);
        if late || (converged || (still && later)) && !grew && noted(NOT_CONVERGED).is_none() {
            kinds.extend(["diverged".to_owned(), "lost-element".to_owned()]);
            lost += known.len() as u64;
        } else {
            doubt = true;
        }
    }
    doubt |= adds.iter().all(|add| add.outcome != Outcome::Ok);
    Answer::of(kinds, doubt, vec![(FACTS[0], lost), (FACTS[1], nodes.len() as u64)])
}

#[cfg(test)]
mod tests {
    #[test]
    fn agrees_with_the_definition() {
        crate::random::random_history::agrees(super::differ);
    }
}
