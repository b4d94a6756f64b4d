//! Random small sets, judged by the checker and by the definitions, read by read and element by element.
use super::SetFull;
use crate::history::{History, NameId, Op, Outcome};
use crate::oracles::cases::{CheckerCases, Long, adds};
use crate::random::random_history::{self, Answer, RandomHistory};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use std::collections::BTreeSet;

/// What the tests of all checkers ask of `set-full`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[], "1 read 0 null -> ok []\n 1 add 0 1 -> ok")]),
    right_and_wrong: Ok(&[(
        &[],
        "1 add 0 5 -> ok\n 2 read 0 null -> ok [5]\n 3 read 0 null -> ok [5]",
        "1 add 0 5 -> ok\n 2 read 0 null -> ok [5]\n 3 read 0 null -> ok []",
    )]),
    long: Ok(Long::of(adds)),
    comparisons: Ok(&[("set-full", differ)]),
};

const FACTS: [&str; 8] = ["stable", "stale", "lost", "missing", "unsettled", "never_read", "unexpected", "duplicated"];

/// Judges random histories twice, each with and without the option `linearizable`.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let fast = |linearizable: bool, history: &History| {
        let checker = SetFull { linearizable, ..SetFull::default() };
        let verdict = crate::random::shown(history, checker.check(history, &Budget::unlimited()));
        Answer::read(&verdict, &FACTS)
    };
    random_history::differ_both(seed, count, history, fast, |linearizable, history| defined(history, linearizable))
}

/// A set with calls that take effect at their replies, and some lies.
fn history(rng: &mut Rng) -> RandomHistory {
    let mut random = RandomHistory::new(1 + rng.below(3));
    let mut store: Vec<Value> = Vec::new();
    let lies = *rng.pick(&[0, 0, 3, 10]);
    let unique = rng.percent(70);
    // Elements far apart and close together are numbered in different ways.
    let scale = *rng.pick(&[1, 1, 40, -7]);
    let (steps, mut next) = (4 + rng.below(26), 0);
    let settle_from = if rng.percent(50) { steps.saturating_sub(8) } else { u64::MAX };
    for step in 0..steps {
        let worker = rng.below(random.workers());
        let Some((f, input)) = random.open(worker) else {
            let settle = step >= settle_from;
            if settle || rng.percent(45) {
                random.call(worker, "read", Value::Nil, Value::Nil, settle);
            } else {
                next += 1;
                let element = if unique { next } else { rng.below(4) as i64 };
                let element = if element == 2 { Value::list([Value::Int(2)]) } else { Value::Int(scale * element) };
                random.call(worker, "add", Value::Nil, element, false);
            }
            continue;
        };
        let outcome = *rng.pick(&[Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Fail, Outcome::Info]);
        if f == "add" {
            let happens = if outcome == Outcome::Info { rng.percent(50) } else { outcome == Outcome::Ok };
            if happens != rng.percent(lies) && !store.contains(&input) {
                store.push(input);
            }
            random.reply(worker, outcome, Value::Nil);
            continue;
        }
        let mut seen = store.clone();
        seen.retain(|_| !rng.percent(lies));
        if rng.percent(20) {
            seen.reverse();
        }
        if rng.percent(lies) && !seen.is_empty() {
            let twice = rng.pick(&seen).clone();
            seen.insert(rng.below(seen.len() as u64 + 1) as usize, twice);
        }
        if rng.percent(lies) {
            seen.push(Value::Int(scale * rng.below(12) as i64));
        }
        match outcome {
            Outcome::Ok if !rng.percent(2) => random.reply(worker, outcome, Value::list(seen)),
            Outcome::Fail | Outcome::Info if rng.percent(15) => {
                random.fail(worker, outcome, rng.pick::<&str>(&["absent: x", "absent"]))
            }
            _ => random.reply(worker, outcome, Value::Nil),
        }
    }
    random
}

fn has(read: &Op<'_>, element: &Value) -> bool {
    read.output.as_list().is_some_and(|list| list.iter().any(|item| item == *element))
}

/// The definitions of the module, word by word.
fn defined(history: &History, linearizable: bool) -> Answer {
    let named = |name: &'static str| {
        let ops = history.ops().iter();
        ops.filter(move |op| history.name(op.function) == name).collect::<Vec<_>>()
    };
    let (adds, asked) = (named("add"), named("read"));
    if adds.is_empty() {
        return Answer::of(BTreeSet::new(), true, FACTS.map(|name| (name, 0)).to_vec());
    }
    let ok = |op: &&Op<'_>| op.outcome == Outcome::Ok;
    let nothing_there = |op: &Op<'_>| {
        let error = op.error.map_or("", |error| history.name(error));
        op.settle && op.outcome == Outcome::Fail && error.starts_with("absent: ")
    };
    let malformed = asked.iter().filter(ok).any(|op| op.output.as_list().is_none());
    let says = |op: &&Op<'_>| if ok(op) { op.output.as_list().is_some() } else { nothing_there(op) };
    let reads: Vec<Op<'_>> = asked.iter().filter(says).copied().collect();
    let settled = |node: NameId| reads.iter().any(|read| read.settle && read.node == node);
    let final_asked = |node: NameId| asked.iter().any(|op| op.settle && op.node == node);
    let marked = asked.iter().any(|op| op.settle);
    let unasked = adds.iter().filter(ok).any(|add| !final_asked(add.node));
    let silent = asked.iter().any(|op| op.settle && !settled(op.node)) || (marked && unasked);
    let last = reads.iter().max_by_key(|read| read.call);
    let first_last = reads.iter().filter(|read| read.settle).map(|read| read.call).min().or(last.map(|read| read.call));
    let late: Vec<&Op<'_>> = reads.iter().filter(|read| first_last.is_some_and(|first| read.reply > first)).collect();
    let followed = |one: &Op<'_>| late.iter().any(|two| two.node == one.node && one.reply < two.call);
    // The last reads of each node, and what overlaps them; those called in the end are its last words.
    let tail: Vec<&Op<'_>> = late.iter().filter(|read| !followed(read)).copied().collect();
    let words: Vec<&&Op<'_>> = tail.iter().filter(|read| Some(read.call) >= first_last).collect();

    let mut elements: BTreeSet<Value> = adds.iter().map(|add| add.input.to_value()).collect();
    for read in &reads {
        elements.extend(read.output.as_list().unwrap_or_default().iter().map(|item| item.to_value()));
    }
    let mut facts = FACTS.map(|name| (name, 0));
    let mut kinds = BTreeSet::new();
    let mut note = |at: usize, kind: Option<&str>| {
        facts[at].1 += 1;
        kinds.extend(kind.map(str::to_owned));
    };
    for element in &elements {
        let ours = || adds.iter().filter(|add| add.input == *element);
        let tried = ours().filter(|add| add.outcome != Outcome::Fail).map(|add| add.call).min();
        let added = ours().filter(ok).map(|add| add.reply).min();
        let seen = reads.iter().filter(|read| has(read, element)).map(|read| read.reply).min();
        let twice = |read: &Op<'_>| {
            read.output.as_list().unwrap_or_default().iter().filter(|item| *item == *element).count() > 1
        };
        if reads.iter().any(twice) {
            note(7, Some("duplicated-element"));
        }
        if seen.is_some_and(|seen| tried.is_none_or(|tried| seen < tried)) {
            note(6, Some("unexpected-element"));
            continue;
        }
        let Some(known) = added.into_iter().chain(seen).min().filter(|_| tried.is_some()) else { continue };
        let absent = reads.iter().any(|read| read.call > known && !has(read, element));
        let violation = |kind| Some(kind).filter(|_| linearizable);
        let asked_after = last.is_some_and(|last| last.call > known);
        let lacking = words.iter().any(|read| read.call > known && !has(read, element));
        let gone = |word: &Op<'_>| {
            let had =
                |read: &Op<'_>| read.settle && read.node == word.node && read.reply < word.call && has(read, element);
            reads.iter().any(had) && !has(word, element)
        };
        let dropped = words.iter().any(|word| gone(word));
        let somewhere = words.iter().any(|read| has(read, element));
        if somewhere && !lacking {
            note(0, None);
            if absent && asked_after && last.is_some_and(|last| has(last, element)) {
                note(1, violation("stale-element"));
            }
        } else if !asked_after {
            note(5, None);
        } else if tail.iter().any(|read| has(read, element)) {
            note(4, violation("stale-element"));
        } else if silent && !dropped {
            note(3, violation("stale-element"));
        } else {
            note(2, Some("lost-element"));
        }
    }
    let count = |at: usize| facts[at].1;
    let acknowledged = adds.iter().any(|add| add.outcome == Outcome::Ok);
    let doubt = !acknowledged || silent || reads.is_empty() || malformed || count(3) + count(4) + count(5) > 0;
    Answer::of(kinds, doubt, facts.to_vec())
}
