//! Random small sets with final reads of every kind, judged by the checker and by the definitions, element by element.
use super::SetChecker;
use crate::contract::tape::{self, Answer, Tape};
use crate::final_reads::FinalReads;
use crate::fuzz::{Draw, Stats};
use crate::history::{History, NameId, Op, Outcome};
use crate::value::Value;
use crate::verdict::{Budget, Checker, Validity};
use std::collections::BTreeSet;

const FACTS: [&str; 5] = ["lost", "missing", "unexpected", "duplicated", "vanished"];

/// Judges random histories twice, some for each way to make final reads.
pub fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut stats = Stats::default();
    let modes = FinalReads::ALL.len() as u64;
    for (share, mode) in (0..).zip(FinalReads::ALL) {
        let checker = SetChecker { mode, ..SetChecker::new() };
        let fast = |history: &History| {
            let verdict = crate::fuzz::shown(history, checker.check(history, &Budget::unlimited()));
            Answer::read(&verdict, &FACTS)
        };
        let count = count / modes + u64::from(share < count % modes);
        let seed = seed.wrapping_mul(modes).wrapping_add(share);
        let one = tape::differ(seed, count, |draw| history(draw, mode), fast, |history| defined(history, mode))?;
        stats.histories += one.histories;
        stats.invalid += one.invalid;
    }
    Ok(stats)
}

/// Adds, then final reads of up to three nodes that may each hold something else.
fn history(draw: &mut Draw, mode: FinalReads) -> Tape {
    let mut tape = Tape::new(1 + draw.below(3));
    let lies = *draw.pick(&[0, 0, 5, 15]);
    let mut store: Vec<Value> = Vec::new();
    let (steps, mut next) = (6 + draw.below(16), 0);
    let settle_from = 2 + draw.below(steps - 2);
    for step in 0..steps {
        let worker = draw.below(tape.workers());
        let settle = step >= settle_from;
        let Some((f, input)) = tape.open(worker) else {
            if draw.percent(if settle { 80 } else { 20 }) {
                tape.call(worker, "read", Value::Nil, Value::Nil, settle);
            } else {
                next += 1;
                tape.call(worker, "add", Value::Nil, Value::Int(next), false);
            }
            continue;
        };
        let outcome = *draw.pick(&[Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Fail, Outcome::Info]);
        if f == "add" {
            let happens = if outcome == Outcome::Info { draw.percent(50) } else { outcome == Outcome::Ok };
            if happens != draw.percent(lies) {
                store.push(input);
            }
            tape.reply(worker, outcome, Value::Nil);
            continue;
        }
        let mut seen = store.clone();
        seen.retain(|_| !draw.percent(lies));
        if mode == FinalReads::UntilEmpty && outcome != Outcome::Fail {
            store.clear();
        }
        if draw.percent(lies) && !seen.is_empty() {
            seen.push(draw.pick(&seen).clone());
        }
        match outcome {
            Outcome::Ok if draw.percent(3) => tape.reply(worker, outcome, Value::Nil),
            Outcome::Ok => tape.reply(worker, outcome, Value::list(seen)),
            _ if draw.percent(25) => {
                tape.fail(worker, outcome, draw.pick::<&str>(&["absent: x", "absent: x", "absent"]))
            }
            _ => tape.reply(worker, outcome, Value::Nil),
        }
    }
    tape
}

/// A final read with its place: its node, or none.
struct Read<'h> {
    op: Op<'h>,
    node: NameId,
    elements: Vec<Value>,
}

/// The definitions of the module, word by word.
fn defined(history: &History, mode: FinalReads) -> Answer {
    let ops: Vec<Op<'_>> = history.ops().iter().collect();
    let named = |name: &str, op: &Op<'_>| history.name(op.function) == name;
    let adds: Vec<&Op<'_>> = ops.iter().filter(|op| named("add", op)).collect();
    let list = |op: &Op<'_>| op.output.as_list().map(|list| list.iter().map(|item| item.to_value()).collect());
    let nothing_there = |op: &Op<'_>| {
        let error = op.error.map_or("", |error| history.name(error));
        op.outcome == Outcome::Fail && error.starts_with("absent: ")
    };
    let read = |op: &Op<'_>| -> Option<Vec<Value>> {
        match op.outcome {
            Outcome::Ok => list(op),
            _ => (nothing_there(op) && op.settle).then(Vec::new),
        }
    };
    let marked = ops.iter().any(|op| op.settle);
    let reads: Vec<Read<'_>> = ops
        .iter()
        .filter(|op| named("read", op))
        .filter_map(|op| Some(Read { op: *op, node: op.node, elements: read(op)? }))
        .collect();
    let last_call = reads.iter().map(|read| read.op.call).max();
    let is_final = |read: &Read<'_>| if marked { read.op.settle } else { Some(read.op.call) == last_call };
    let finals: Vec<&Read<'_>> = reads.iter().filter(|read| is_final(read)).collect();
    let others: Vec<&Read<'_>> = reads.iter().filter(|read| !is_final(read)).collect();
    let followed = |one: &Read<'_>| finals.iter().any(|two| two.node == one.node && one.op.reply < two.op.call);
    let ends: Vec<&&Read<'_>> =
        finals.iter().filter(|read| mode == FinalReads::UntilEmpty || !followed(read)).collect();
    let has = |read: &Read<'_>, element: &Value| read.elements.contains(element);
    let everything: Vec<&Read<'_>> = finals.iter().chain(&others).copied().collect();
    let at_the_end = |element: &Value| {
        ends.iter().any(|read| has(read, element))
            || (mode.takes_away() && others.iter().any(|read| has(read, element)))
    };
    let last_end = ends.iter().map(|read| read.op.call).max();
    let asked: BTreeSet<NameId> = ops.iter().filter(|op| named("read", op) && op.settle).map(|op| op.node).collect();
    let answered = |node: &NameId| finals.iter().any(|read| read.node == *node);
    let acknowledges = |add: &&&Op<'_>| add.outcome == Outcome::Ok && !asked.contains(&add.node);
    let unasked = adds.iter().filter(acknowledges).any(|add| !answered(&add.node));
    let someone = !finals.is_empty() || !asked.is_empty();
    let silent = asked.iter().any(|node| !answered(node)) || (someone && unasked);
    let open = ops.iter().any(|op| named("read", op) && op.outcome == Outcome::Info);
    let unfinished = finals.iter().any(|read| !followed(read) && !read.elements.is_empty());
    let perhaps = match mode {
        FinalReads::EachNode => silent,
        FinalReads::AnyNode | FinalReads::Leader => false,
        FinalReads::Once => open,
        FinalReads::UntilEmpty => open || unfinished,
    };
    let nodes: BTreeSet<NameId> = ends.iter().map(|read| read.node).collect();
    let of = |node: NameId| ends.iter().filter(move |read| read.node == node);
    let mut facts = FACTS.map(|name| (name, 0));
    let mut kinds = BTreeSet::new();
    let mut differ = false;
    for add in &adds {
        let element = add.input.to_value();
        let at_end = at_the_end(&element);
        let gone = |node: &NameId| {
            let had = |read: &&&Read<'_>| read.node == *node && has(read, &element);
            of(*node).all(|read| !has(read, &element)) && finals.iter().any(|read| had(&read))
        };
        let dropped = !mode.takes_away() && nodes.iter().any(gone);
        let nowhere = !at_end && last_end.is_some_and(|last| last > add.reply);
        if add.outcome == Outcome::Ok && nowhere && perhaps && !dropped {
            facts[1].1 += 1;
        } else if add.outcome == Outcome::Ok && (nowhere || (at_end && dropped)) {
            facts[0].1 += 1;
            kinds.insert("lost-write".to_owned());
        }
        let seen = everything.iter().filter(|read| has(read, &element)).map(|read| read.op.reply).min();
        if add.outcome == Outcome::Info && !at_end && seen.is_some_and(|seen| last_end.is_some_and(|last| last > seen))
        {
            facts[4].1 += 1;
        }
        for node in &nodes {
            let lacks = of(*node).all(|read| !has(read, &element)) && ends.iter().any(|read| has(read, &element));
            let asked = |after: u64| of(*node).any(|read| read.op.call > after);
            let late = of(*node).max_by_key(|read| read.op.call).map_or(0, |read| read.op.reply);
            differ |= lacks
                && match add.outcome {
                    Outcome::Ok => asked(add.reply),
                    Outcome::Info => add.call < late,
                    Outcome::Fail => false,
                };
        }
    }
    let mut elements: BTreeSet<&Value> = BTreeSet::new();
    reads.iter().for_each(|read| elements.extend(&read.elements));
    for element in elements {
        let tried = adds.iter().any(|add| add.outcome != Outcome::Fail && add.input == *element);
        if !tried && finals.iter().any(|read| has(read, element)) {
            facts[2].1 += 1;
            kinds.insert("unexpected-element".to_owned());
        }
        let twice = |read: &Read<'_>| read.elements.iter().filter(|one| *one == element).count() > 1;
        if reads.iter().any(twice) {
            facts[3].1 += 1;
            kinds.insert("duplicated-element".to_owned());
        }
    }
    let acknowledged: Vec<&&Op<'_>> = adds.iter().filter(|add| add.outcome == Outcome::Ok).collect();
    let unread = |add: &&&&Op<'_>| !at_the_end(&add.input.to_value()) && last_end.is_none_or(|last| last < add.reply);
    let judged_by_nodes = matches!(mode, FinalReads::EachNode | FinalReads::AnyNode | FinalReads::Once);
    let doubt = acknowledged.is_empty()
        || finals.is_empty()
        || facts[1].1 > 0
        || acknowledged.iter().filter(unread).count() > 0
        || (judged_by_nodes && differ)
        || (mode == FinalReads::EachNode && silent);
    let answer = Answer::of(kinds, doubt, facts.to_vec());
    // No add at all: no set.
    if adds.is_empty() {
        Answer { validity: Validity::Unknown, kinds: BTreeSet::new(), facts: FACTS.map(|name| (name, 0)).to_vec() }
    } else {
        answer
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn agrees_with_the_definitions() {
        crate::contract::tape::agrees(super::differ);
    }
}
