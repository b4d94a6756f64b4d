//! Which engine decides: zones where they apply, otherwise the beam and the depth-first search, in turns or in a race.
//!
//! A race is run in rounds. Where both have an answer, the beam's counts: the same operations give the same answer, however fast
//! each engine was.
use super::beam::{BeamSettings, Pass, beam};
use super::limits::{EngineAnswer, Limits, Stop};
use super::register::{NIL, RegAction, RegOp, value_count};
use super::search::Search;
use super::space::{Plan, PlannedOperation, Space};
use super::timeline::Timeline;
use super::witness;
use super::zones::{self, Conflict};
use crate::models::{CasRegister, RegisterAction};
use crate::value::Value;
use crate::verdict::Budget;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of one register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RegisterDecision {
    /// Some order explains it: this one, by calls, where it was asked for.
    Linearizable(Option<Vec<u64>>),
    /// None does; zones say why.
    Conflict(Conflict),
    /// None explains the returns up to this index.
    Refuted(u64),
    /// No engine could say: what ran out, and the last return that could be explained.
    GaveUp(Stop, u64),
}

/// How one register is decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecisionOptions<'a> {
    /// What may be used.
    pub(crate) budget: &'a Budget,
    /// Of the budget's memory, what this decision may hold.
    pub(crate) memory_bytes: u64,
    /// Whether an order is asked for.
    pub(crate) witness: bool,
    /// Whether both engines may work at the same time.
    pub(crate) race: bool,
    /// The steps after which it gives up, about.
    pub(crate) steps: u64,
    /// What is decided, for reports of progress.
    pub(crate) what: &'a str,
}

impl<'a> DecisionOptions<'a> {
    /// The whole budget, one engine at a time, no order.
    pub(crate) fn of(budget: &'a Budget) -> DecisionOptions<'a> {
        let memory_bytes = budget.memory_bytes;
        DecisionOptions { budget, memory_bytes, witness: false, race: false, steps: u64::MAX, what: "" }
    }
}

/// Least steps of an engine's first turn, which grows with the history; each further turn is twice as long.
const FIRST_TURN: u64 = 20_000;

/// Decides one register. The operations are in the order of their calls.
pub(crate) fn decide(ops: &[RegOp], options: DecisionOptions<'_>) -> RegisterDecision {
    counted(ops, options).0
}

/// As [`decide`], with how many steps the engines took.
pub(crate) fn counted(ops: &[RegOp], options: DecisionOptions<'_>) -> (RegisterDecision, u64) {
    if zones::applies(ops) {
        return (by_zones(ops, options), 0);
    }
    if let Some(observer) = phantom(ops) {
        return (RegisterDecision::Conflict(Conflict::Phantom { observer }), 0);
    }
    by_engines(ops, options)
}

/// As [`decide`], by zones, which apply.
fn by_zones(ops: &[RegOp], options: DecisionOptions<'_>) -> RegisterDecision {
    let mut limits = Limits::new(options.budget, u64::MAX).holding(options.memory_bytes);
    match zones::decide(ops, options.witness, &mut limits) {
        Ok(Ok(order)) => RegisterDecision::Linearizable(order),
        Ok(Err(conflict)) => RegisterDecision::Conflict(conflict),
        Err(stop) => RegisterDecision::GaveUp(stop, 0),
    }
}

/// An operation that certainly observed a value that no operation wrote: this needs no engine.
fn phantom(ops: &[RegOp]) -> Option<usize> {
    let mut written = vec![false; value_count(ops)];
    written[NIL as usize] = true;
    for value in ops.iter().filter_map(|op| op.action.writes()) {
        written[value as usize] = true;
    }
    ops.iter().position(|op| op.definite() && op.action.needs().is_some_and(|value| !written[value as usize]))
}

/// Why no order explains these operations, if a sentence can say it.
pub(crate) fn conflict(ops: &[RegOp]) -> Option<Conflict> {
    if zones::applies(ops) {
        return zones::check(ops).err();
    }
    phantom(ops).map(|observer| Conflict::Phantom { observer })
}

/// As [`counted`], by the engines for repeated values.
pub(crate) fn by_engines(ops: &[RegOp], options: DecisionOptions<'_>) -> (RegisterDecision, u64) {
    let time = Timeline::new(ops);
    let mut race = Race::new(&time, options);
    let decision = race.run();
    (decision, race.steps)
}

/// Both engines from the first step on.
pub(crate) fn raced(ops: &[RegOp], options: DecisionOptions<'_>) -> Option<RegisterDecision> {
    Race::new(&Timeline::new(ops), options).round(options.steps)
}

/// A register of interned values, for the search.
static REGISTER: CasRegister = CasRegister { initial: Value::Int(NIL as i64) };

/// A depth-first search over one register.
pub(crate) struct RegisterSearch {
    space: Space<'static, CasRegister>,
    search: Search,
}

impl RegisterSearch {
    /// At its beginning.
    pub(crate) fn new(ops: &[RegOp]) -> RegisterSearch {
        let mut space = Space::new(&REGISTER);
        let value = |number: u32| Value::Int(i64::from(number));
        let mut operation = |op: &RegOp| {
            let action = match op.action {
                RegAction::Read(seen) => RegisterAction::Read(Some(value(seen))),
                RegAction::Differs(other) => RegisterAction::Differs(value(other)),
                RegAction::Write(new) => RegisterAction::Write(value(new)),
                RegAction::Cas(from, to) => RegisterAction::Cas(value(from), value(to)),
            };
            let observes = op.action.writes().is_none();
            PlannedOperation { call: op.call, end: op.end, action: space.action_id(action), observes }
        };
        let operations: Vec<PlannedOperation> = ops.iter().map(&mut operation).collect();
        RegisterSearch { space, search: Search::new(Plan::new(&operations)) }
    }

    /// Goes on until there is an answer or the turn is over.
    pub(crate) fn run(&mut self, limits: &mut Limits<'_>) -> Result<EngineAnswer, Stop> {
        self.search.run(&mut self.space, limits, 0)
    }
}

struct Race<'t> {
    time: &'t Timeline<'t>,
    options: DecisionOptions<'t>,
    beam: Box<dyn Pass + 't>,
    search: Option<RegisterSearch>,
    beam_stop: Option<Stop>,
    search_stop: Option<Stop>,
    furthest: u64,
    steps: u64,
}

impl<'t> Race<'t> {
    fn new(time: &'t Timeline<'t>, options: DecisionOptions<'t>) -> Race<'t> {
        Race {
            time,
            options,
            beam: beam(time, options.witness, BeamSettings::USUAL),
            search: None,
            beam_stop: None,
            search_stop: None,
            furthest: 0,
            steps: 0,
        }
    }

    fn run(&mut self) -> RegisterDecision {
        let options = self.options;
        let mut turn = FIRST_TURN.max(8 * self.time.ops.len() as u64).min(options.steps);
        // The beam alone decides nearly all of them.
        if let Some(decision) = self.beam_turn(turn) {
            return decision;
        }
        loop {
            if let Some(decision) = if options.race { self.round(turn) } else { self.turns(turn) } {
                return decision;
            }
            match (self.beam_stop, self.search_stop) {
                (Some(Stop::Time), _) | (_, Some(Stop::Time)) => {
                    return RegisterDecision::GaveUp(Stop::Time, self.furthest);
                }
                (Some(stop), Some(_)) => return RegisterDecision::GaveUp(stop, self.furthest),
                _ if self.steps >= options.steps => return RegisterDecision::GaveUp(Stop::Quota, self.furthest),
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
        Limits::new(self.options.budget, turn).holding(self.options.memory_bytes / 2).about(self.options.what, of)
    }

    fn beam_turn(&mut self, turn: u64) -> Option<RegisterDecision> {
        if self.beam_stop.is_some() {
            return None;
        }
        let mut limits = self.limits(turn);
        let answer = self.beam.run(&mut limits);
        self.account(&limits);
        self.settle_beam(answer)
    }

    fn settle_beam(&mut self, answer: Result<EngineAnswer, Stop>) -> Option<RegisterDecision> {
        match answer {
            Ok(EngineAnswer::Linearizable(_)) => {
                let steps = self.beam.steps().filter(|_| self.options.witness);
                Some(RegisterDecision::Linearizable(steps.and_then(|steps| witness::order(self.time, &steps))))
            }
            Ok(EngineAnswer::Refuted(index)) => Some(RegisterDecision::Refuted(index)),
            Err(stop) => {
                self.beam_stop = Some(stop).filter(|stop| *stop != Stop::Quota);
                None
            }
        }
    }

    fn settle_search(&mut self, answer: Result<EngineAnswer, Stop>) -> Option<RegisterDecision> {
        match answer {
            Ok(EngineAnswer::Linearizable(order)) => {
                Some(RegisterDecision::Linearizable(order.filter(|_| self.options.witness)))
            }
            Ok(EngineAnswer::Refuted(index)) => Some(RegisterDecision::Refuted(index)),
            Err(stop) => {
                self.search_stop = Some(stop).filter(|stop| *stop != Stop::Quota);
                None
            }
        }
    }

    /// One after the other.
    fn turns(&mut self, turn: u64) -> Option<RegisterDecision> {
        if let Some(decision) = self.beam_turn(turn) {
            return Some(decision);
        }
        if self.search_stop.is_some() {
            return None;
        }
        let mut limits = self.limits(turn);
        let answer = self.search.get_or_insert_with(|| RegisterSearch::new(self.time.ops)).run(&mut limits);
        self.account(&limits);
        self.settle_search(answer)
    }

    /// Both at the same time. The search's answer counts only where the beam has none of its own in this round, or where
    /// both must be the same.
    fn round(&mut self, turn: u64) -> Option<RegisterDecision> {
        if self.beam_stop.is_some() || self.search_stop.is_some() {
            return self.turns(turn);
        }
        let (stop_beam, stop_search) = (AtomicBool::new(false), AtomicBool::new(false));
        let (mut beam_limits, mut search_limits) =
            (self.limits(turn).until(&stop_beam), self.limits(turn).until(&stop_search));
        let witness = self.options.witness;
        let ops = self.time.ops;
        let (beam, searching) = (&mut self.beam, &mut self.search);
        let (by_beam, by_search) = std::thread::scope(|scope| {
            let searcher = scope.spawn(|| {
                let answer = searching.get_or_insert_with(|| RegisterSearch::new(ops)).run(&mut search_limits);
                stop_beam.store(matches!(answer, Ok(EngineAnswer::Linearizable(_))) && !witness, Ordering::Relaxed);
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
