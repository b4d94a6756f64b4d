//! Which engine decides: zones where they apply, otherwise the beam and the depth-first search, in turns or in a race.
//!
//! A race is run in rounds, and where both have an answer the beam's counts; so the same operations give the same answer,
//! whoever was faster.
use super::beam::{Answer, Effort, Pass, beam};
use super::limits::{Limits, Stop};
use super::register::{Act, NIL, RegOp, value_count};
use super::search::{Search, Step};
use super::timeline::Timeline;
use super::witness;
use super::zones::{self, Conflict};
use crate::verdict::Budget;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of one register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Some order explains it: this one, by calls, where it was asked for.
    Linearizable(Option<Vec<u64>>),
    /// None does; zones say why.
    Conflict(Conflict),
    /// None explains the returns up to this index.
    Refuted(u64),
    /// Nobody could say: what ran out, and the last return that could be explained.
    GaveUp(Stop, u64),
}

/// How one register is decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    /// What may be used.
    pub(crate) budget: &'a Budget,
    /// Of the budget's memory, what this decision may hold.
    pub(crate) memory_bytes: u64,
    /// Whether an order is asked for.
    pub(crate) witness: bool,
    /// Whether both engines may work at the same time.
    pub(crate) race: bool,
    /// Give up after about so many steps.
    pub(crate) steps: u64,
    /// What is decided, for those who are told how far it came.
    pub(crate) what: &'a str,
}

impl<'a> Terms<'a> {
    /// The whole budget, one engine at a time, no order.
    pub(crate) fn of(budget: &'a Budget) -> Terms<'a> {
        let memory_bytes = budget.memory_bytes;
        Terms { budget, memory_bytes, witness: false, race: false, steps: u64::MAX, what: "" }
    }
}

/// Least steps of an engine's first turn, which grows with the history; each further turn is twice as long.
const FIRST_TURN: u64 = 20_000;

/// Decides one register. The operations are in the order of their calls.
pub(crate) fn decide(ops: &[RegOp], terms: Terms<'_>) -> Decision {
    counted(ops, terms).0
}

/// As [`decide`], with how many steps the engines took.
pub(crate) fn counted(ops: &[RegOp], terms: Terms<'_>) -> (Decision, u64) {
    if zones::applies(ops) {
        return (by_zones(ops, terms), 0);
    }
    if let Some(observer) = phantom(ops) {
        return (Decision::Conflict(Conflict::Phantom { observer }), 0);
    }
    by_engines(ops, terms)
}

/// As [`decide`], by zones, which apply.
fn by_zones(ops: &[RegOp], terms: Terms<'_>) -> Decision {
    let mut limits = Limits::new(terms.budget, u64::MAX).holding(terms.memory_bytes);
    match zones::decide(ops, terms.witness, &mut limits) {
        Ok(Ok(order)) => Decision::Linearizable(order),
        Ok(Err(conflict)) => Decision::Conflict(conflict),
        Err(stop) => Decision::GaveUp(stop, 0),
    }
}

/// Who certainly observed a value that nobody wrote: no engine is needed to refute that.
fn phantom(ops: &[RegOp]) -> Option<usize> {
    let mut written = vec![false; value_count(ops)];
    written[NIL as usize] = true;
    for value in ops.iter().filter_map(|op| op.act.writes()) {
        written[value as usize] = true;
    }
    ops.iter().position(|op| op.definite() && op.act.needs().is_some_and(|value| !written[value as usize]))
}

/// Why no order explains these operations, where that can be told in a sentence.
pub(crate) fn conflict(ops: &[RegOp]) -> Option<Conflict> {
    if zones::applies(ops) {
        return zones::check(ops).err();
    }
    phantom(ops).map(|observer| Conflict::Phantom { observer })
}

/// As [`counted`], by the engines for repeated values.
pub(crate) fn by_engines(ops: &[RegOp], terms: Terms<'_>) -> (Decision, u64) {
    let time = Timeline::new(ops);
    let mut race = Race::new(&time, terms);
    let decision = race.run();
    (decision, race.steps)
}

/// Both engines from the first step on.
#[cfg(feature = "oracles")]
pub(crate) fn raced(ops: &[RegOp], terms: Terms<'_>) -> Option<Decision> {
    Race::new(&Timeline::new(ops), terms).round(terms.steps)
}

type RegisterSearch = Search<u32, Act, fn(&u32, &Act) -> Option<u32>>;

struct Race<'t> {
    time: &'t Timeline<'t>,
    terms: Terms<'t>,
    beam: Box<dyn Pass + 't>,
    search: Option<RegisterSearch>,
    beam_stop: Option<Stop>,
    search_stop: Option<Stop>,
    furthest: u64,
    steps: u64,
}

impl<'t> Race<'t> {
    fn new(time: &'t Timeline<'t>, terms: Terms<'t>) -> Race<'t> {
        Race {
            time,
            terms,
            beam: beam(time, terms.witness, Effort::USUAL),
            search: None,
            beam_stop: None,
            search_stop: None,
            furthest: 0,
            steps: 0,
        }
    }

    fn run(&mut self) -> Decision {
        let terms = self.terms;
        let mut turn = FIRST_TURN.max(8 * self.time.ops.len() as u64).min(terms.steps);
        // The beam alone decides nearly all of them.
        if let Some(decision) = self.beam_turn(turn) {
            return decision;
        }
        loop {
            if let Some(decision) = if terms.race { self.round(turn) } else { self.turns(turn) } {
                return decision;
            }
            match (self.beam_stop, self.search_stop) {
                (Some(Stop::Time), _) | (_, Some(Stop::Time)) => return Decision::GaveUp(Stop::Time, self.furthest),
                (Some(stop), Some(_)) => return Decision::GaveUp(stop, self.furthest),
                _ if self.steps >= terms.steps => return Decision::GaveUp(Stop::Quota, self.furthest),
                _ => turn = turn.saturating_mul(2),
            }
        }
    }

    /// Takes over how far an engine came and how many steps it took.
    fn account(&mut self, limits: &Limits<'_>) {
        self.furthest = self.furthest.max(limits.furthest);
        self.steps += limits.steps;
    }

    fn limits(&self, turn: u64) -> Limits<'t> {
        let of = self.time.events.len() as u64 / 2;
        Limits::new(self.terms.budget, turn).holding(self.terms.memory_bytes / 2).about(self.terms.what, of)
    }

    fn beam_turn(&mut self, turn: u64) -> Option<Decision> {
        if self.beam_stop.is_some() {
            return None;
        }
        let mut limits = self.limits(turn);
        let answer = self.beam.run(&mut limits);
        self.account(&limits);
        self.settle_beam(answer)
    }

    fn settle_beam(&mut self, answer: Result<Answer, Stop>) -> Option<Decision> {
        match answer {
            Ok(Answer::Linearizable) => {
                let steps = self.beam.steps().filter(|_| self.terms.witness);
                Some(Decision::Linearizable(steps.and_then(|steps| witness::order(self.time, &steps))))
            }
            Ok(Answer::Refuted(index)) => Some(Decision::Refuted(index)),
            Err(stop) => {
                self.beam_stop = Some(stop).filter(|stop| *stop != Stop::Quota);
                None
            }
        }
    }

    fn settle_search(&mut self, answer: Result<Answer, Stop>) -> Option<Decision> {
        match answer {
            Ok(Answer::Linearizable) => {
                let order = self.search.as_ref().filter(|_| self.terms.witness).map(Search::order);
                Some(Decision::Linearizable(order))
            }
            Ok(Answer::Refuted(index)) => Some(Decision::Refuted(index)),
            Err(stop) => {
                self.search_stop = Some(stop).filter(|stop| *stop != Stop::Quota);
                None
            }
        }
    }

    /// One after the other.
    fn turns(&mut self, turn: u64) -> Option<Decision> {
        if let Some(decision) = self.beam_turn(turn) {
            return Some(decision);
        }
        if self.search_stop.is_some() {
            return None;
        }
        let mut limits = self.limits(turn);
        let answer = self.search.get_or_insert_with(|| search(self.time.ops)).run(&mut limits);
        self.account(&limits);
        self.settle_search(answer)
    }

    /// Both at the same time. The search's answer counts only where the beam has none of its own in this round, or where
    /// both must be the same.
    fn round(&mut self, turn: u64) -> Option<Decision> {
        if self.beam_stop.is_some() || self.search_stop.is_some() {
            return self.turns(turn);
        }
        let (stop_beam, stop_search) = (AtomicBool::new(false), AtomicBool::new(false));
        let (mut beam_limits, mut search_limits) =
            (self.limits(turn).until(&stop_beam), self.limits(turn).until(&stop_search));
        let witness = self.terms.witness;
        let ops = self.time.ops;
        let (beam, searching) = (&mut self.beam, &mut self.search);
        let (by_beam, by_search) = std::thread::scope(|scope| {
            let searcher = scope.spawn(|| {
                let answer = searching.get_or_insert_with(|| search(ops)).run(&mut search_limits);
                stop_beam.store(answer == Ok(Answer::Linearizable) && !witness, Ordering::Relaxed);
                answer
            });
            let by_beam = beam.run(&mut beam_limits);
            stop_search.store(by_beam.is_ok(), Ordering::Relaxed);
            // A panic of the search is the check's own.
            (by_beam, searcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        self.account(&beam_limits);
        self.account(&search_limits);
        self.settle_beam(by_beam).or_else(|| self.settle_search(by_search))
    }
}

/// A depth-first search over one register.
pub(crate) fn search(ops: &[RegOp]) -> RegisterSearch {
    let steps = ops.iter().filter(|op| op.definite() || op.act.writes().is_some()).map(|op| Step {
        call: op.call,
        end: op.end,
        act: op.act,
        observes: op.act.writes().is_none(),
    });
    Search::new(NIL, steps.collect(), |state: &u32, act: &Act| act.step(*state))
}
