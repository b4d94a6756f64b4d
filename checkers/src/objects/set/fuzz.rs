//! Random small sets with final reads of every kind, judged by the checker and by the definitions, element by element.
use super::SetChecker;
use crate::history::{History, NameId, Op, Outcome};
use crate::objects::final_reads::FinalReads;
use crate::oracles::cases::{CheckerCases, Long, adds};
use crate::random::random_history::{self, Answer, RandomHistory};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker, Validity};
use std::collections::BTreeSet;

/// A right history and a wrong one of a set.
pub(crate) const ADDS: (&str, &str) = (
    "n1: 1 add 0 5 -> ok\n settle n1: 8 read 0 null -> ok [5]\n settle n2: 9 read 0 null -> ok [5]",
    "n1: 1 add 0 5 -> ok\n settle n1: 8 read 0 null -> ok []\n settle n2: 9 read 0 null -> ok []",
);

/// What the tests of all checkers ask of `set`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[
        (&[], "1 add 0 1 -> info\n settle 2 read 0 null -> ok []"),
        (&[], "settle 2 read 0 null -> ok []\n 1 add 0 1 -> ok"),
    ]),
    right_and_wrong: Ok(&[(&[], ADDS.0, ADDS.1)]),
    long: Ok(Long::of(adds)),
    comparisons: Ok(&[("set", differ)]),
};

const FACTS: [&str; 5] = ["lost", "missing", "unexpected", "duplicated", "vanished"];

/// Judges random histories twice, some for each way to make final reads.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut stats = Stats::default();
    let modes = FinalReads::ALL.len() as u64;
    for (share, mode) in (0..).zip(FinalReads::ALL) {
        let checker = SetChecker { final_reads: mode, ..SetChecker::default() };
        let fast = |history: &History| {
            let verdict = crate::random::shown(history, checker.check(history, &Budget::unlimited()));
            Answer::read(&verdict, &FACTS)
        };
        let count = count / modes + u64::from(share < count % modes);
        let seed = seed.wrapping_mul(modes).wrapping_add(share);
        let one =
            random_history::differ(seed, count, |rng| history(rng, mode), fast, |history| defined(history, mode))?;
        stats.histories += one.histories;
        stats.invalid += one.invalid;
    }
    Ok(stats)
}

/// Adds, then final reads of up to three nodes that may each hold something else.
fn history(rng: &mut Rng, mode: FinalReads) -> RandomHistory {
    let mut random = RandomHistory::new(1 + rng.below(3));
    let lies = *rng.pick(&[0, 0, 5, 15]);
    let mut store: Vec<Value> = Vec::new();
    let (steps, mut next) = (6 + rng.below(16), 0);
    let settle_from = 2 + rng.below(steps - 2);
    for step in 0..steps {
        let worker = rng.below(random.workers());
        let settle = step >= settle_from;
        let Some((f, input)) = random.open(worker) else {
            if rng.percent(if settle { 80 } else { 20 }) {
                random.call(worker, "read", Value::Nil, Value::Nil, settle);
            } else {
                next += 1;
                random.call(worker, "add", Value::Nil, Value::Int(next), false);
            }
            continue;
        };
        let outcome = *rng.pick(&[Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Fail, Outcome::Info]);
        if f == "add" {
            let happens = if outcome == Outcome::Info { rng.percent(50) } else { outcome == Outcome::Ok };
            if happens != rng.percent(lies) {
                store.push(input);
            }
            random.reply(worker, outcome, Value::Nil);
            continue;
        }
        let mut seen = store.clone();
        seen.retain(|_| !rng.percent(lies));
        if mode == FinalReads::UntilEmpty && outcome != Outcome::Fail {
            store.clear();
        }
        if rng.percent(lies) && !seen.is_empty() {
            seen.push(rng.pick(&seen).clone());
        }
        match outcome {
            Outcome::Ok if rng.percent(3) => random.reply(worker, outcome, Value::Nil),
            Outcome::Ok => random.reply(worker, outcome, Value::list(seen)),
            _ if rng.percent(25) => {
                random.fail(worker, outcome, rng.pick::<&str>(&["absent: x", "absent: x", "absent"]))
            }
            _ => random.reply(worker, outcome, Value::Nil),
        }
    }
    random
}

/// A final read with its place: its node, or none.
struct Read<'h> {
    op: Op<'h>,
    node: NameId,
    elements: Vec<Value>,
}

/// The final reads (of the settle phase, or without one the very last) and the others.
fn reads<'h>(history: &'h History, ops: &[Op<'h>]) -> (Vec<Read<'h>>, Vec<Read<'h>>) {
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
        .filter(|op| history.name(op.function) == "read")
        .filter_map(|op| Some(Read { op: *op, node: op.node, elements: read(op)? }))
        .collect();
    let last_call = reads.iter().map(|read| read.op.call).max();
    let is_final = |read: &Read<'_>| if marked { read.op.settle } else { Some(read.op.call) == last_call };
    reads.into_iter().partition(is_final)
}

/// Reads, the final ones apart, and of those the ones at the end of their node.
struct Ends<'r, 'h> {
    mode: FinalReads,
    finals: &'r [Read<'h>],
    others: &'r [Read<'h>],
    ends: Vec<&'r Read<'h>>,
    /// Whether a node was asked for a final read and gave none, or acknowledged adds and was not asked.
    silent: bool,
    /// Whether an element that is missing may be in a read that nobody saw.
    perhaps: bool,
}

/// What the elements of a history show.
struct Shown {
    facts: [(&'static str, u64); FACTS.len()],
    kinds: BTreeSet<String>,
    /// Whether two nodes show different sets at the end.
    differ: bool,
}

fn has(read: &Read<'_>, element: &Value) -> bool {
    read.elements.contains(element)
}

impl<'r, 'h> Ends<'r, 'h> {
    fn new(
        history: &History,
        ops: &[Op<'h>],
        mode: FinalReads,
        (finals, others): (&'r [Read<'h>], &'r [Read<'h>]),
    ) -> Ends<'r, 'h> {
        let followed = |one: &Read<'_>| finals.iter().any(|two| two.node == one.node && one.op.reply < two.op.call);
        let ends = finals.iter().filter(|read| mode == FinalReads::UntilEmpty || !followed(read)).collect();
        let asked = || ops.iter().filter(|op| history.name(op.function) == "read");
        let nodes: BTreeSet<NameId> = asked().filter(|op| op.settle).map(|op| op.node).collect();
        let answered = |node: &NameId| finals.iter().any(|read| read.node == *node);
        let adds = ops.iter().filter(|op| history.name(op.function) == "add" && op.outcome == Outcome::Ok);
        let unasked = adds.map(|add| add.node).any(|node| !nodes.contains(&node) && !answered(&node));
        let someone = !finals.is_empty() || !nodes.is_empty();
        let silent = nodes.iter().any(|node| !answered(node)) || (someone && unasked);
        let open = asked().any(|op| op.outcome == Outcome::Info);
        let unfinished = finals.iter().any(|read| !followed(read) && !read.elements.is_empty());
        let perhaps = match mode {
            FinalReads::EachNode => silent,
            FinalReads::AnyNode | FinalReads::Leader => false,
            FinalReads::Once => open,
            FinalReads::UntilEmpty => open || unfinished,
        };
        Ends { mode, finals, others, ends, silent, perhaps }
    }

    fn all(&self) -> impl Iterator<Item = &'r Read<'h>> {
        self.finals.iter().chain(self.others)
    }

    fn have(&self, element: &Value) -> bool {
        self.ends.iter().any(|read| has(read, element))
            || (self.mode.takes_away() && self.others.iter().any(|read| has(read, element)))
    }

    fn last(&self) -> Option<u64> {
        self.ends.iter().map(|read| read.op.call).max()
    }

    fn of(&self, node: NameId) -> impl Iterator<Item = &&'r Read<'h>> {
        self.ends.iter().filter(move |read| read.node == node)
    }

    /// What becomes of one element that was added.
    fn added(&self, add: &Op<'_>, shown: &mut Shown) {
        let element = add.input.to_value();
        let (at_end, last_end) = (self.have(&element), self.last());
        let nodes: BTreeSet<NameId> = self.ends.iter().map(|read| read.node).collect();
        let gone = |node: &NameId| {
            let had = |read: &Read<'_>| read.node == *node && has(read, &element);
            self.of(*node).all(|read| !has(read, &element)) && self.finals.iter().any(had)
        };
        let dropped = !self.mode.takes_away() && nodes.iter().any(gone);
        let nowhere = !at_end && last_end.is_some_and(|last| last > add.reply);
        if add.outcome == Outcome::Ok && nowhere && self.perhaps && !dropped {
            shown.facts[1].1 += 1;
        } else if add.outcome == Outcome::Ok && (nowhere || (at_end && dropped)) {
            shown.facts[0].1 += 1;
            shown.kinds.insert("lost-write".to_owned());
        }
        let seen = self.all().filter(|read| has(read, &element)).map(|read| read.op.reply).min();
        if add.outcome == Outcome::Info && !at_end && seen.is_some_and(|seen| last_end.is_some_and(|last| last > seen))
        {
            shown.facts[4].1 += 1;
        }
        for node in &nodes {
            let lacks =
                self.of(*node).all(|read| !has(read, &element)) && self.ends.iter().any(|read| has(read, &element));
            let asked = |after: u64| self.of(*node).any(|read| read.op.call > after);
            let late = self.of(*node).max_by_key(|read| read.op.call).map_or(0, |read| read.op.reply);
            shown.differ |= lacks
                && match add.outcome {
                    Outcome::Ok => asked(add.reply),
                    Outcome::Info => add.call < late,
                    Outcome::Fail => false,
                };
        }
    }

    /// What the reads have that nobody added, or more than once.
    fn read(&self, adds: &[&Op<'_>], shown: &mut Shown) {
        let elements: BTreeSet<&Value> = self.all().flat_map(|read| &read.elements).collect();
        for element in elements {
            let tried = adds.iter().any(|add| add.outcome != Outcome::Fail && add.input == *element);
            if !tried && self.finals.iter().any(|read| has(read, element)) {
                shown.facts[2].1 += 1;
                shown.kinds.insert("unexpected-element".to_owned());
            }
            let twice = |read: &Read<'_>| read.elements.iter().filter(|one| *one == element).count() > 1;
            if self.all().any(twice) {
                shown.facts[3].1 += 1;
                shown.kinds.insert("duplicated-element".to_owned());
            }
        }
    }
}

/// The definitions of the module, word by word.
fn defined(history: &History, mode: FinalReads) -> Answer {
    let ops: Vec<Op<'_>> = history.ops().iter().collect();
    let adds: Vec<&Op<'_>> = ops.iter().filter(|op| history.name(op.function) == "add").collect();
    // No add at all: no set.
    if adds.is_empty() {
        let facts = FACTS.map(|name| (name, 0)).to_vec();
        return Answer { validity: Validity::Unknown, kinds: BTreeSet::new(), facts };
    }
    let (finals, others) = reads(history, &ops);
    let ends = Ends::new(history, &ops, mode, (&finals, &others));
    let mut shown = Shown { facts: FACTS.map(|name| (name, 0)), kinds: BTreeSet::new(), differ: false };
    adds.iter().for_each(|add| ends.added(add, &mut shown));
    ends.read(&adds, &mut shown);
    let acknowledged: Vec<&&Op<'_>> = adds.iter().filter(|add| add.outcome == Outcome::Ok).collect();
    let last = ends.last();
    let unread = |add: &&&Op<'_>| !ends.have(&add.input.to_value()) && last.is_none_or(|last| last < add.reply);
    let judged_by_nodes = matches!(mode, FinalReads::EachNode | FinalReads::AnyNode | FinalReads::Once);
    let doubt = acknowledged.is_empty()
        || finals.is_empty()
        || shown.facts[1].1 > 0
        || acknowledged.into_iter().any(|add| unread(&add))
        || (judged_by_nodes && shown.differ)
        || (mode == FinalReads::EachNode && ends.silent);
    Answer::of(shown.kinds, doubt, shown.facts.to_vec())
}

#[cfg(test)]
mod tests {
    #[test]
    fn agrees_with_the_definitions() {
        crate::random::random_history::agrees(super::differ);
    }
}
