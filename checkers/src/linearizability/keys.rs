//! The keys of a history, and how they are judged one by one, several at the same time.
use super::decide::DecisionOptions;
use crate::calls::{took, was_lost};
use crate::history::{History, NameId, Op, Outcome};
use crate::initial::Basis;
use crate::value::{Value, ValueRef};
use crate::verdict::{Budget, Progress};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Operations of one key, without those that failed.
pub(crate) struct Part<'h> {
    pub(crate) workload: NameId,
    pub(crate) key: ValueRef<'h>,
    /// How many of them were acknowledged.
    pub(crate) ok: usize,
    positions: Vec<u32>,
    /// Positions among them of releases that failed because the holder had lost what it held. At the reply the process certainly
    /// holds it no more: they count as releases that were answered, as `lock` and `semaphore` take them.
    lost: HashSet<u32>,
    /// Positions of those that failed: where a value may come from that should not be there.
    failed: Vec<u32>,
    /// Replies after this index are passed over: [`Part::before`].
    until: u64,
}

impl Part<'_> {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether it has releases that failed and count as Ok.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Those that failed, in the order of their calls.
    pub(crate) fn failed<'a>(&'a self, history: &'a History) -> impl Iterator<Item = Op<'a>> {
        self.failed.iter().map(|&position| history.ops().at(position as usize))
    }

    /// In the order of their calls.
    pub(crate) fn ops<'a>(&'a self, history: &'a History) -> impl Iterator<Item = Op<'a>> + Clone {
        self.positions.iter().map(|&position| {
            let op = history.ops().at(position as usize);
            let late = op.end() != Op::OPEN && op.end() > self.until;
            match self.lost.contains(&position) {
                _ if late => history.unanswered(op),
                true => history.acknowledged(op),
                false => op,
            }
        })
    }

    /// What was called before this index, without the replies that came after it.
    pub(crate) fn before(&self, history: &History, until: u64) -> Self {
        let called = |position: &&u32| history.ops().at(**position as usize).call < until;
        let mut part = Part {
            positions: self.positions.iter().filter(called).copied().collect(),
            failed: self.failed.iter().filter(called).copied().collect(),
            lost: self.lost.clone(),
            until,
            ..*self
        };
        part.ok = part.ops(history).filter(|op| op.outcome == Outcome::Ok).count();
        part
    }
}

/// How many locks each process certainly holds of each key, as far as its own calls say.
struct Holds<'h> {
    acquire: Option<NameId>,
    release: Option<NameId>,
    held: HashMap<(NameId, ValueRef<'h>, u64), u64>,
}

impl<'h> Holds<'h> {
    fn of(history: &'h History) -> Holds<'h> {
        let name = |name| history.find_name(name);
        Holds { acquire: name("acquire"), release: name("release"), held: HashMap::new() }
    }

    /// Takes an operation in, and says whether it is a release by a holder that failed because what it held was lost. A process has
    /// one call at a time, so that its calls come here in order.
    fn lost(&mut self, history: &History, op: &Op<'h>) -> bool {
        let (acquires, releases) = (Some(op.function) == self.acquire, Some(op.function) == self.release);
        if !acquires && !releases {
            return false;
        }
        let lost = releases && was_lost(history, op);
        let held = self.held.entry((op.workload, op.key, op.process)).or_default();
        let had = *held > 0;
        match took(op) {
            true if acquires => *held += 1,
            true => *held = held.saturating_sub(1),
            false if lost => *held = held.saturating_sub(1),
            false => {}
        }
        lost && had
    }
}

/// The keys of these workloads, in the order of their first calls.
pub(crate) fn parts<'h>(history: &'h History, workloads: &[NameId]) -> Vec<Part<'h>> {
    let mut places: HashMap<(NameId, ValueRef<'_>), usize> = HashMap::new();
    let mut parts: Vec<Part<'h>> = Vec::new();
    let mut last = None;
    let mut failed: Vec<(NameId, ValueRef<'_>, u32)> = Vec::new();
    let mut holds = Holds::of(history);
    for op in history.ops().iter().filter(|op| workloads.contains(&op.workload)) {
        let lost = holds.lost(history, &op);
        if op.outcome == Outcome::Fail && !lost {
            failed.push((op.workload, op.key, op.position));
            continue;
        }
        let name = (op.workload, op.key);
        let place = match last {
            Some((known, place)) if known == name => place,
            _ => *places.entry(name).or_insert_with(|| {
                parts.push(Part {
                    workload: op.workload,
                    key: op.key,
                    ok: 0,
                    positions: Vec::new(),
                    lost: HashSet::new(),
                    failed: Vec::new(),
                    until: Op::OPEN,
                });
                parts.len() - 1
            }),
        };
        last = Some((name, place));
        parts[place].ok += usize::from(op.outcome == Outcome::Ok || lost);
        parts[place].positions.push(op.position);
        if lost {
            parts[place].lost.insert(op.position);
        }
    }
    for (workload, key, position) in failed {
        if let Some(&place) = places.get(&(workload, key)) {
            parts[place].failed.push(position);
        }
    }
    parts
}

/// What came out for one key.
pub(crate) enum KeyDecision<E> {
    /// Valid, with an order by calls where it was asked for.
    Fine(Option<Vec<u64>>),
    /// With the index that shows it, and how to tell it.
    Bad(u64, E),
    /// Why.
    GaveUp(String),
    /// Not with so few steps.
    Again,
    /// Valid if these registers began with these values, which were read before anything was written; no option says so.
    DependsOnInitial(Vec<(Value, Value)>, Basis),
    /// Not decided, because another key was refuted first.
    Left,
}

impl<E> KeyDecision<E> {
    /// The same answer; a contradiction counts as undecided here, because the caller reports it.
    pub(crate) fn without_bad<F>(self) -> KeyDecision<F> {
        match self {
            KeyDecision::Fine(order) => KeyDecision::Fine(order),
            KeyDecision::Bad(..) | KeyDecision::Again => KeyDecision::Again,
            KeyDecision::GaveUp(why) => KeyDecision::GaveUp(why),
            KeyDecision::DependsOnInitial(begins, shown) => KeyDecision::DependsOnInitial(begins, shown),
            KeyDecision::Left => KeyDecision::Left,
        }
    }
}

/// Steps that a key is given in the first round, and as many for each of its operations; each further round gives
/// [`GROWTH`] times as many.
const FIRST_STEPS: u64 = 60_000;
const STEPS_EACH: u64 = 20;
const GROWTH: u64 = 8;
/// A key that needs more is decided alone, with everything there is.
const LAST_STEPS: u64 = 2_000_000;
/// Fewer operations than this are not worth a thread.
const WORTH_A_THREAD: usize = 4_000;

/// Judges all keys, in their order: in rounds of growing budgets, in each the keys that are still open, several at the same
/// time. Once a round has refuted a key, the keys that are open then are left as [`KeyDecision::Left`]: one broken key settles the
/// verdict. What is open after the last round is decided one key after the other with everything there is. What comes out
/// does not depend on how many work at the same time.
pub(crate) fn judge_all<'h, E: Send>(
    parts: &[Part<'h>],
    budget: &Budget,
    witness: bool,
    name: impl Fn(&Part<'h>) -> String + Sync,
    judge: impl Fn(&Part<'h>, DecisionOptions<'_>) -> KeyDecision<E> + Sync,
) -> Vec<KeyDecision<E>> {
    let size: usize = parts.iter().map(Part::len).sum();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let all = |part: &Part<'h>| {
        let what = name(part);
        judge(part, DecisionOptions { witness, race: threads > 1, what: &what, ..DecisionOptions::of(budget) })
    };
    if parts.len() < 2 {
        return parts.iter().map(all).collect();
    }
    let workers = if size < WORTH_A_THREAD { 1 } else { threads.min(parts.len()) };
    let memory_bytes = budget.memory_bytes / workers as u64;
    let mut judged: Vec<KeyDecision<E>> = parts.iter().map(|_| KeyDecision::Again).collect();
    let mut factor = 1;
    loop {
        let open: Vec<usize> = (0..parts.len()).filter(|&at| matches!(judged[at], KeyDecision::Again)).collect();
        let steps = |part: &Part<'h>| {
            let first = FIRST_STEPS.max(STEPS_EACH * part.len() as u64);
            first.saturating_mul(factor).min(LAST_STEPS)
        };
        let one = |part: &Part<'h>| {
            let what = name(part);
            judge(
                part,
                DecisionOptions {
                    witness,
                    memory_bytes,
                    steps: steps(part),
                    what: &what,
                    ..DecisionOptions::of(budget)
                },
            )
        };
        let round = in_parallel(&open, workers, budget, |at| one(&parts[at]));
        for (&at, answer) in open.iter().zip(round) {
            judged[at] = answer;
        }
        let broken = judged.iter().any(|one| matches!(one, KeyDecision::Bad(..)));
        let open = |one: &KeyDecision<E>| matches!(one, KeyDecision::Again);
        if broken {
            judged.iter_mut().filter(|one| open(one)).for_each(|one| *one = KeyDecision::Left);
        }
        let last = parts.iter().zip(&judged).filter(|(_, one)| open(one)).all(|(part, _)| steps(part) == LAST_STEPS);
        if last || (budget.expired)() {
            break;
        }
        factor *= GROWTH;
    }
    let mut broken = judged.iter().any(|one| matches!(one, KeyDecision::Bad(..)));
    for (one, part) in judged.iter_mut().zip(parts) {
        // Whether the memory ran out depended on the others.
        if !matches!(one, KeyDecision::Again | KeyDecision::GaveUp(_)) {
            continue;
        }
        *one = if broken { KeyDecision::Left } else { all(part) };
        broken |= matches!(one, KeyDecision::Bad(..));
    }
    judged
}

/// The answers for these keys, in their order, by this many workers.
fn in_parallel<T: Send>(keys: &[usize], workers: usize, budget: &Budget, answer: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let answers: Mutex<Vec<Option<T>>> = Mutex::new(keys.iter().map(|_| None).collect());
    let work = || {
        while let Some((at, &key)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, keys.get(at)?)))
        {
            let one = answer(key);
            answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[at] = Some(one);
            if at % 256 == 255 {
                let (done, of) = (at as u64 + 1, keys.len() as u64);
                (budget.progress)(Progress { checker: "linearizable", what: "keys", done, of });
            }
        }
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..workers.min(keys.len())).map(|_| scope.spawn(work)).collect();
        work();
        for helper in helpers {
            // A panic of theirs is the check's own, with its words.
            helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    let answers = answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Every place was taken by some worker.
    answers.into_iter().flatten().collect()
}
