//! Makes a counterexample small. Only what cannot create a violation is removed: observations, writes that none of the
//! remaining observations can have seen, whole values with every operation that saw them; a compare-and-set may be taken for a write.
//! Every step is checked exactly.
use super::decide::{DecisionOptions, RegisterDecision, counted};
use super::register::{NIL, RegAction, RegOp, value_count};
use super::zones::{self, Conflict};
use crate::history::Op;
use crate::verdict::Budget;
use std::collections::HashMap;

/// The most operations of which every subset is tried.
const POOL: usize = 16;
/// The size of the largest subset that is tried.
const SMALL: usize = 8;
/// Steps that one check of a candidate may take, and all of them together.
const STEPS: u64 = 60_000;
const ALL_STEPS: u64 = 4_000_000;
/// Operations of the first, smallest stretch at the end that is tried alone, and steps that each may take: much is won.
const STRETCH: usize = 16;
const STRETCH_STEPS: u64 = 400_000;

/// The smallest counterexample found for a decision that refuted these operations, in the order of their calls.
pub(crate) fn shrink(ops: &[RegOp], decision: &RegisterDecision, budget: &Budget) -> Vec<RegOp> {
    match decision {
        RegisterDecision::Conflict(conflict) => from_conflict(ops, conflict, budget),
        RegisterDecision::Refuted(index) => {
            let before = compact(&until(ops, *index));
            let mut shrinker = Shrinker { hiding: Hiding::new(&before), ops: before, budget, attempts: 0, steps: 0 };
            shrinker.run();
            let small = shrinker.ops;
            let smaller = match zones::applies(&small).then(|| zones::check(&small)) {
                Some(Err(conflict)) => from_conflict(&small, &conflict, budget),
                _ => small,
            };
            restore(&smaller, ops)
        }
        RegisterDecision::Linearizable(_) | RegisterDecision::GaveUp(..) => Vec::new(),
    }
}

/// Delta debugging (Zeller and Hildebrandt, IEEE TSE 28, 2002): tries to remove everything that may go, then halves of it,
/// quarters, single parts. `parts` lists what may go of the present state, and `remove` removes some of it where the rest is
/// still a contradiction.
pub(crate) fn remove_pieces<S, T>(
    state: &mut S,
    tired: impl Fn(&S) -> bool,
    parts: impl Fn(&S) -> Vec<T>,
    remove: impl Fn(&mut S, &[T]) -> bool,
) {
    let mut present = parts(state);
    let mut piece = present.len();
    while piece > 0 && !tired(state) {
        let mut at = 0;
        while at < present.len() && !tired(state) {
            if remove(state, &present[at..present.len().min(at + piece)]) {
                // What may go depends on what is there.
                present = parts(state);
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
}

/// The same with values that count from 1, so that work depends on the number of operations alone.
fn compact(ops: &[RegOp]) -> Vec<RegOp> {
    let mut numbers = HashMap::from([(NIL, NIL)]);
    let mut number = |value: u32| {
        let next = numbers.len() as u32;
        *numbers.entry(value).or_insert(next)
    };
    let mut renumber = |op: &RegOp| {
        let action = match op.action {
            RegAction::Read(value) => RegAction::Read(number(value)),
            RegAction::Differs(value) => RegAction::Differs(number(value)),
            RegAction::Write(value) => RegAction::Write(number(value)),
            RegAction::Cas(from, to) => RegAction::Cas(number(from), number(to)),
        };
        RegOp { action, ..*op }
    };
    ops.iter().map(&mut renumber).collect()
}

/// The compacted operations with the values that they had.
fn restore(small: &[RegOp], ops: &[RegOp]) -> Vec<RegOp> {
    let value = |op: &RegOp| {
        let original = ops.binary_search_by_key(&op.call, |original| original.call).ok().map(|at| ops[at])?;
        let same = if op.weakened { original.weaken() } else { original };
        Some(RegOp { end: op.end, ..same })
    };
    small.iter().filter_map(value).collect()
}

/// The history up to this return: later calls never happened, what is open then may or may not happen.
fn until(ops: &[RegOp], index: u64) -> Vec<RegOp> {
    let open = |op: &RegOp| if op.end > index { RegOp { end: Op::OPEN, ..*op } } else { *op };
    let says_something = |op: &RegOp| op.definite() || op.action.writes().is_some();
    ops.iter().filter(|op| op.call < index).map(open).filter(says_something).collect()
}

/// The smallest contradiction among the operations that a conflict names, where every written value is unique.
fn from_conflict(ops: &[RegOp], conflict: &Conflict, budget: &Budget) -> Vec<RegOp> {
    let mut pool = match conflict {
        Conflict::Phantom { observer } => {
            let mut pool = vec![*observer];
            complete(ops, &mut pool);
            pool.sort_unstable();
            return pool.into_iter().map(|at| ops[at]).collect();
        }
        Conflict::TwoReplaced { cas } => cas.to_vec(),
        Conflict::Ring { cas } => cas.clone(),
        Conflict::Backwards { first, second, links } => [&[*first, *second], &links[..]].concat(),
        Conflict::Overlap { outer, inner, links } => [&outer[..], &inner[..], &links[..]].concat(),
    };
    complete(ops, &mut pool);
    pool.sort_unstable_by_key(|&at| (ops[at].action.writes().is_none(), at));
    pool.dedup();
    let mut few = compact(&pool.iter().map(|&at| ops[at]).collect::<Vec<RegOp>>());
    let mut rest: Vec<usize> = (0..few.len()).collect();
    if contradiction(&few, &rest).is_none() {
        // What the conflict names does not stand alone: begin with everything.
        few = compact(ops);
        rest = (0..few.len()).collect();
    }
    // So that a long chain costs little.
    remove_pieces(
        &mut rest,
        |rest| rest.len() <= POOL || (budget.expired)(),
        |rest| rest.clone(),
        |rest, part| {
            let from = rest.iter().position(|at| part.first() == Some(at)).unwrap_or(rest.len());
            let fewer = [&rest[..from], &rest[rest.len().min(from + part.len())..]].concat();
            let found = contradiction(&few, &fewer).is_some();
            if found {
                *rest = fewer;
            }
            found
        },
    );
    if rest.len() <= POOL {
        for size in 1..=SMALL.min(rest.len()) {
            if let Some(found) = subset(&few, &rest, 0, size, &mut Vec::with_capacity(size)) {
                return restore(&found, ops);
            }
        }
        for at in rest.clone() {
            let fewer: Vec<usize> = rest.iter().copied().filter(|&other| other != at).collect();
            if contradiction(&few, &fewer).is_some() {
                rest = fewer;
            }
        }
    }
    let found = contradiction(&few, &rest).unwrap_or_else(|| {
        let mut all: Vec<RegOp> = rest.iter().map(|&at| few[at]).collect();
        all.sort_unstable_by_key(|op| op.call);
        all
    });
    restore(&found, ops)
}

/// Adds the writer of each observed value, and for each indeterminate operation an observer that shows that it happened.
fn complete(ops: &[RegOp], pool: &mut Vec<usize>) {
    let mut writer = vec![None; value_count(ops)];
    for (at, op) in ops.iter().enumerate() {
        if let Some(value) = op.action.writes() {
            writer[value as usize] = Some(at);
        }
    }
    // By value: the observer that ended first, of those that certainly happened.
    let mut observer: Vec<Option<usize>> = vec![None; writer.len()];
    let mut happened: Vec<bool> = ops.iter().map(RegOp::definite).collect();
    let mut work: Vec<usize> = (0..ops.len()).filter(|&at| happened[at]).collect();
    while let Some(at) = work.pop() {
        let Some(value) = ops[at].action.needs() else { continue };
        let seen = &mut observer[value as usize];
        if seen.is_none_or(|known| ops[at].end < ops[known].end) {
            *seen = Some(at);
        }
        if let Some(writer) = writer[value as usize].filter(|&writer| !happened[writer]) {
            happened[writer] = true;
            work.push(writer);
        }
    }
    for at in 0..pool.len() {
        pool.extend(ops[pool[at]].action.needs().and_then(|value| writer[value as usize]));
    }
    let mut at = 0;
    while at < pool.len() {
        let op = ops[pool[at]];
        let seen = op.action.writes().filter(|_| !op.definite()).and_then(|value| observer[value as usize]);
        pool.extend(seen.filter(|seen| !pool.contains(seen)));
        at += 1;
    }
}

fn subset(ops: &[RegOp], pool: &[usize], from: usize, size: usize, chosen: &mut Vec<usize>) -> Option<Vec<RegOp>> {
    if chosen.len() == size {
        return contradiction(ops, chosen);
    }
    for at in from..pool.len() {
        chosen.push(pool[at]);
        let found = subset(ops, pool, at + 1, size, chosen);
        chosen.pop();
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The chosen operations by call, when they contradict each other with no read left without its write. A compare-and-set
/// from a value whose write was not chosen is taken for a write.
fn contradiction(ops: &[RegOp], chosen: &[usize]) -> Option<Vec<RegOp>> {
    let mut written = vec![false; value_count(ops)];
    written[NIL as usize] = true;
    chosen.iter().filter_map(|&at| ops[at].action.writes()).for_each(|value| written[value as usize] = true);
    let writes = |value: u32| written[value as usize];
    let orphan = |at: &usize| matches!(ops[*at].action, RegAction::Read(value) if !writes(value));
    if chosen.iter().any(orphan) {
        return None;
    }
    let weaken = |&at: &usize| match ops[at].action {
        RegAction::Cas(from, _) if !writes(from) => ops[at].weaken(),
        _ => ops[at],
    };
    let mut found: Vec<RegOp> = chosen.iter().map(weaken).collect();
    found.sort_unstable_by_key(|op| op.call);
    match zones::check(&found) {
        Ok(()) | Err(Conflict::Phantom { .. }) => None,
        Err(_) => Some(found),
    }
}

struct Shrinker<'a> {
    ops: Vec<RegOp>,
    hiding: Hiding,
    budget: &'a Budget,
    attempts: u32,
    steps: u64,
}

impl Shrinker<'_> {
    fn run(&mut self) {
        self.stretch();
        self.ops = compact(&self.ops);
        loop {
            let before = (self.ops.len(), self.ops.iter().filter(|op| op.weakened).count());
            self.observations();
            if !self.ops.iter().any(|op| matches!(op.action, RegAction::Differs(_))) {
                self.values();
                self.weaken();
                self.unseen_writes();
            }
            let after = (self.ops.len(), self.ops.iter().filter(|op| op.weakened).count());
            if before == after || self.tired() {
                return;
            }
        }
    }

    fn tired(&self) -> bool {
        self.attempts > 4000 || self.steps > ALL_STEPS || (self.budget.expired)()
    }

    /// Takes the candidate when it is certainly a contradiction too.
    fn accept(&mut self, candidate: Vec<RegOp>) -> bool {
        let steps = STEPS.max(4 * candidate.len() as u64);
        self.accept_within(candidate, steps)
    }

    fn accept_within(&mut self, candidate: Vec<RegOp>, steps: u64) -> bool {
        self.attempts += 1;
        if orphans(&candidate) > orphans(&self.ops) {
            return false;
        }
        let options = DecisionOptions { steps, ..DecisionOptions::of(self.budget) };
        let (decision, steps) = counted(&candidate, options);
        self.steps += steps + candidate.len() as u64;
        let refuted = matches!(decision, RegisterDecision::Conflict(_) | RegisterDecision::Refuted(_));
        if refuted {
            self.ops = candidate;
        }
        refuted
    }

    /// The smallest stretch at the end that contradicts itself. Of what was before it, only the writes count that
    /// an operation in it can have seen.
    fn stretch(&mut self) {
        let mut size = STRETCH;
        while size < self.ops.len() && !self.tired() {
            let from = self.ops[self.ops.len() - size].call;
            let mut needed = vec![false; value_count(&self.ops)];
            let late = self.ops.iter().filter(|op| op.call >= from);
            late.filter_map(|op| op.action.needs()).for_each(|value| needed[value as usize] = true);
            let differs = self.ops.iter().any(|op| op.call >= from && matches!(op.action, RegAction::Differs(_)));
            let seen = |op: &RegOp| {
                let value = op.action.writes().is_some_and(|value| needed[value as usize]);
                (value || differs) && self.hiding.from(op.end) > from
            };
            let keep = |op: &RegOp| match op.action {
                _ if op.call >= from => Some(*op),
                RegAction::Read(_) | RegAction::Differs(_) => None,
                RegAction::Write(_) | RegAction::Cas(..) => Some(op.weaken()).filter(seen),
            };
            let candidate = self.ops.iter().filter_map(keep).collect();
            if self.accept_within(candidate, STRETCH_STEPS) {
                return;
            }
            size *= 2;
        }
    }

    /// Tries to change pieces of what `pick` picks.
    fn pieces(&mut self, pick: impl Fn(&[RegOp]) -> Vec<u64>, change: impl Fn(&[RegOp], &[u64]) -> Vec<RegOp>) {
        let accept = |shrinker: &mut Self, part: &[u64]| shrinker.accept(change(&shrinker.ops, part));
        remove_pieces(self, Self::tired, |shrinker| pick(&shrinker.ops), accept);
    }

    fn observations(&mut self) {
        let pick = |ops: &[RegOp]| ops.iter().filter(|op| op.action.writes().is_none()).map(|op| op.call).collect();
        self.pieces(pick, without);
    }

    fn weaken(&mut self) {
        let pick = |ops: &[RegOp]| {
            ops.iter().filter(|op| matches!(op.action, RegAction::Cas(..))).map(|op| op.call).collect::<Vec<u64>>()
        };
        let change = |ops: &[RegOp], part: &[u64]| {
            ops.iter().map(|op| if part.binary_search(&op.call).is_ok() { op.weaken() } else { *op }).collect()
        };
        self.pieces(pick, change);
    }

    /// Whole values, with all writes and reads of them. A compare-and-set that replaced one counts as a write.
    fn values(&mut self) {
        let pick = |ops: &[RegOp]| {
            let mut values: Vec<u64> = ops.iter().filter_map(|op| op.action.writes()).map(u64::from).collect();
            values.retain(|&value| value != u64::from(NIL));
            values.sort_unstable();
            values.dedup();
            values
        };
        let change = |ops: &[RegOp], part: &[u64]| {
            let gone = |value: u32| part.binary_search(&u64::from(value)).is_ok();
            let keep = |op: &RegOp| match op.action {
                RegAction::Read(value) | RegAction::Write(value) | RegAction::Cas(_, value) if gone(value) => None,
                RegAction::Cas(from, _) if gone(from) => Some(op.weaken()),
                _ => Some(*op),
            };
            ops.iter().filter_map(keep).collect()
        };
        self.pieces(pick, change);
    }

    /// Writes that no remaining observation can have seen: each observation of the value ended before the write began,
    /// or another write lies wholly between the two. That write counts even when it was removed: whatever order explains
    /// the whole has it there, so what the observation saw is a later write, and that one remains.
    fn unseen_writes(&mut self) {
        let hiding = self.hiding.clone();
        let pick = |ops: &[RegOp]| {
            let unseen = |op: &&RegOp| {
                let RegAction::Write(value) = op.action else { return false };
                let hidden = hiding.from(op.end);
                !ops.iter()
                    .any(|other| other.action.needs() == Some(value) && other.end > op.call && other.call < hidden)
            };
            ops.iter().filter(unseen).map(|op| op.call).collect()
        };
        self.pieces(pick, without);
    }
}

/// Definite writes by call; each with the smallest end of itself and all later ones.
#[derive(Clone)]
struct Hiding(Vec<(u64, u64)>);

impl Hiding {
    fn new(ops: &[RegOp]) -> Hiding {
        let definite = ops.iter().filter(|op| op.definite() && op.action.writes().is_some());
        let mut writes: Vec<(u64, u64)> = definite.map(|op| (op.call, op.end)).collect();
        writes.sort_unstable();
        for at in (1..writes.len()).rev() {
            writes[at - 1].1 = writes[at - 1].1.min(writes[at].1);
        }
        Hiding(writes)
    }

    /// The index from which on a write that ended at `end` is certainly overwritten.
    fn from(&self, end: u64) -> u64 {
        let later = self.0.partition_point(|(call, _)| *call <= end);
        self.0.get(later).map_or(Op::OPEN, |(_, end)| *end)
    }
}

/// How many observations are of a value that no operation here writes. A counterexample in which a value seems never to
/// have been written, because its writes were removed, would mislead.
fn orphans(ops: &[RegOp]) -> usize {
    let mut written = vec![false; value_count(ops)];
    written[NIL as usize] = true;
    for value in ops.iter().filter_map(|op| op.action.writes()) {
        written[value as usize] = true;
    }
    ops.iter().filter_map(|op| op.action.needs()).filter(|&value| !written[value as usize]).count()
}

fn without(ops: &[RegOp], part: &[u64]) -> Vec<RegOp> {
    ops.iter().filter(|op| part.binary_search(&op.call).is_err()).copied().collect()
}
