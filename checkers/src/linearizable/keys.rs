//! The keys of a history, and how they are judged one by one, several at the same time.
use super::decide::Terms;
use crate::history::{History, NameId, Op, Outcome};
use crate::value::ValueRef;
use crate::verdict::{Budget, Progress};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Operations of one key, without those that failed.
pub(crate) struct Part<'h> {
    pub(crate) workload: NameId,
    pub(crate) key: ValueRef<'h>,
    /// How many of them were acknowledged.
    pub(crate) ok: usize,
    positions: Vec<u32>,
}

impl Part<'_> {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// In the order of their calls.
    pub(crate) fn ops<'a>(&'a self, history: &'a History) -> impl Iterator<Item = Op<'a>> + Clone {
        self.positions.iter().map(|&position| history.ops().at(position as usize))
    }
}

/// The keys of these workloads, in the order of their first calls.
pub(crate) fn parts<'h>(history: &'h History, workloads: &[NameId]) -> Vec<Part<'h>> {
    let mut places: HashMap<(NameId, ValueRef<'_>), usize> = HashMap::new();
    let mut parts: Vec<Part<'h>> = Vec::new();
    let mut last = None;
    for op in history.ops().iter().filter(|op| op.outcome != Outcome::Fail && workloads.contains(&op.workload)) {
        let name = (op.workload, op.key);
        let place = match last {
            Some((known, place)) if known == name => place,
            _ => *places.entry(name).or_insert_with(|| {
                parts.push(Part { workload: op.workload, key: op.key, ok: 0, positions: Vec::new() });
                parts.len() - 1
            }),
        };
        last = Some((name, place));
        parts[place].ok += usize::from(op.outcome == Outcome::Ok);
        parts[place].positions.push(op.position);
    }
    parts
}

/// What came out for one key.
pub(crate) enum Judged<E> {
    /// Valid, with an order by calls where it was asked for.
    Fine(Option<Vec<u64>>),
    /// With the index that shows it, and how to tell it.
    Bad(u64, E),
    /// Why.
    GaveUp(String),
    /// Not with so few steps.
    Again,
}

/// Steps that a key is given at first, while others are judged beside it.
const FIRST_STEPS: u64 = 2_000_000;
/// Fewer operations than this are not worth a thread.
const WORTH_A_THREAD: usize = 4_000;

/// Judges all keys, in their order: easy ones at the same time, then those that were not decided one after the other with
/// everything there is. What comes out does not depend on how many work at the same time.
pub(crate) fn judge_all<'h, E: Send>(
    parts: &[Part<'h>],
    budget: &Budget,
    witness: bool,
    name: impl Fn(&Part<'h>) -> String + Sync,
    judge: impl Fn(&Part<'h>, Terms<'_>) -> Judged<E> + Sync,
) -> Vec<Judged<E>> {
    let size: usize = parts.iter().map(Part::len).sum();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let all = |part: &Part<'h>| {
        let what = name(part);
        judge(part, Terms { witness, race: threads > 1, what: &what, ..Terms::of(budget) })
    };
    if parts.len() < 2 {
        return parts.iter().map(all).collect();
    }
    let workers = if size < WORTH_A_THREAD { 1 } else { threads.min(parts.len()) };
    let memory_bytes = budget.memory_bytes / workers as u64;
    let easy = |part: &Part<'h>| {
        let what = name(part);
        judge(part, Terms { witness, memory_bytes, steps: FIRST_STEPS, what: &what, ..Terms::of(budget) })
    };
    let next = AtomicUsize::new(0);
    let judged: Mutex<Vec<Option<Judged<E>>>> = Mutex::new(parts.iter().map(|_| None).collect());
    let work = || {
        while let Some((at, part)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, parts.get(at)?)))
        {
            let one = easy(part);
            judged.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[at] = Some(one);
            if at % 256 == 255 {
                let (done, of) = (at as u64 + 1, parts.len() as u64);
                (budget.progress)(Progress { checker: "linearizable", what: "keys", done, of });
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(work);
        }
        work();
    });
    let judged = judged.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Whether the memory ran out depended on the others.
    let again = |one: Judged<E>, part| if matches!(one, Judged::Again | Judged::GaveUp(_)) { all(part) } else { one };
    judged.into_iter().zip(parts).map(|(one, part)| again(one.unwrap_or(Judged::Again), part)).collect()
}
