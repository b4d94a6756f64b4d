//! Decides one object of any model but a register: chooses the algorithm, or searches for an order.
//!
//! An object that consists of independent registers, such as a set read element by element, is decided register by register
//! ([`super::decide`]). Containers and sets that only grow have algorithms without a search ([`containers`]). Everything else
//! is searched for an order, depth first ([`Search`]) and breadth first (`configurations`) in turns; the first answer counts.
//! A new algorithm is tried in `without_order`. An order may contain an operation of unknown outcome or leave it out,
//! whatever its action is.
//!
//! [`finding`] makes the finding of a refutation. Of containers: `phantom-value` (taken, never put before),
//! `duplicate-value`, `future-value`, `lost-value`, `fifo-violation`, `lifo-violation`, `priority-violation`, `false-empty`;
//! of sets that only grow: `phantom-read`, `duplicate-element`, `incompatible-reads`, `future-read`, `stale-read`; of
//! everything else `nonlinearizable`, with the states that were possible before the reply that does not fit.
mod configurations;
mod explain;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod shrink;

#[cfg(test)]
mod tests;

pub(crate) use explain::{certificate, violation};

use super::decide::{self as registers, DecisionOptions};
use super::limits::{EngineAnswer, Limits, Stop};
use super::outlook::Outlook;
use super::register::{RegOp, Values};
use super::search::Search;
use super::shrink as register_shrink;
use super::space::{Plan, PlannedOperation, Space};
use crate::history::Op;
use crate::linearizability::containers::{self, ContainerDecision, GrowOp, ItemOp};
use crate::models::{Container, ContainerAction, GrowingAction, Model};
use crate::value::Value;
use configurations::Configurations;
use std::collections::{HashMap, HashSet};

/// The answer about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Some order explains all replies; the calls in that order, where it is known.
    Linearizable(Option<Vec<u64>>),
    /// No order does.
    Refuted(Refutation),
    /// No engine could say: what ran out, and the last return that could be explained.
    GaveUp(Stop, u64),
}

/// Where a contradiction shows, by indices of replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refutation {
    /// No order explains the replies up to this index.
    pub(crate) until: u64,
    /// Some order explains those before this index.
    pub(crate) reached: u64,
    /// Calls of operations that contradict each other by themselves, where an algorithm named them.
    pub(crate) among: Option<Vec<u64>>,
}

/// One operation with its action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation<A> {
    /// Index of the call.
    pub(crate) call: u64,
    /// Index of the reply; [`Op::OPEN`] for an operation that may take effect at any later time, or never.
    pub(crate) end: u64,
    /// What it did.
    pub(crate) action: A,
}

/// The least number of steps of an engine's first turn; each further turn is twice as long.
const FIRST_TURN: u64 = 10_000;

/// Steps of one search in `exact`, which looks for the first reply that no order explains.
const EXACT_STEPS: u64 = 20_000;

/// The most operations of which a witness is searched for where an algorithm without a search says that one exists.
const MAX_WITNESS_OPERATIONS: usize = 20_000;

/// Decides one object. The caller has left out observations without a reply.
pub(crate) fn decide<M: Model>(
    model: &M,
    operations: &[Operation<M::Action>],
    options: DecisionOptions<'_>,
) -> Decision {
    let mut decision = match without_order(model, operations, options) {
        Decision::Refuted(refutation) => Decision::Refuted(exact(model, operations, refutation, options)),
        decision => decision,
    };
    if decision == Decision::Linearizable(None) && options.witness && operations.len() <= MAX_WITNESS_OPERATIONS {
        let steps = options.steps.min(20 * operations.len() as u64 + 1000);
        if let found @ Decision::Linearizable(_) = in_turns(model, operations, DecisionOptions { steps, ..options }) {
            decision = found;
        }
    }
    match decision {
        Decision::Linearizable(Some(order)) if options.witness => {
            Decision::Linearizable(Some(without_idle_takers(model, operations, order)))
        }
        decision => decision,
    }
}

/// The most takes of unknown outcome of which `without_idle_takers` tries each by itself.
const MAX_TAKERS: usize = 64;

/// Whether the action takes an element out of a container without a reply that says which, if any.
fn takes_unknown<M: Model>(model: &M, action: &M::Action) -> bool {
    matches!(model.container_action(action), Some((_, ContainerAction::TakeUnknown)))
}

/// The order without those takes of unknown outcome that it can do without. They may never have taken anything, so a witness
/// need not name them.
fn without_idle_takers<M: Model>(model: &M, operations: &[Operation<M::Action>], order: Vec<u64>) -> Vec<u64> {
    if !operations.iter().any(|operation| takes_unknown(model, &operation.action)) {
        return order;
    }
    let actions: HashMap<u64, &M::Action> =
        operations.iter().map(|operation| (operation.call, &operation.action)).collect();
    let takes = |call: &u64| actions.get(call).is_some_and(|action| takes_unknown(model, action));
    let takers: Vec<u64> = order.iter().copied().filter(|call| takes(call)).collect();
    let replays = |left_out: &dyn Fn(&u64) -> bool| {
        let mut kept = order.iter().filter(|call| !left_out(call)).filter_map(|call| actions.get(call));
        kept.try_fold(model.initial(), |state, action| model.step(&state, action)).is_some()
    };
    let idle: HashSet<u64> = if replays(&takes) {
        takers.into_iter().collect()
    } else {
        let mut idle: HashSet<u64> = HashSet::new();
        for taker in takers.into_iter().take(MAX_TAKERS) {
            if replays(&|call| *call == taker || idle.contains(call)) {
                idle.insert(taker);
            }
        }
        idle
    };
    order.into_iter().filter(|call| !idle.contains(call)).collect()
}

/// Moves a refutation to the first reply that no order explains: a search that looks ahead may name a later reply.
pub(super) fn exact<M: Model>(
    model: &M,
    operations: &[Operation<M::Action>],
    refutation: Refutation,
    options: DecisionOptions<'_>,
) -> Refutation {
    let mut ends: Vec<u64> = operations.iter().map(|operation| operation.end).collect();
    ends.retain(|end| (refutation.reached..=refutation.until).contains(end));
    ends.sort_unstable();
    let refuted = |end: u64| {
        let beginning = shrink::until(model, operations, end);
        let mut space = Space::new(model);
        let plan = Plan::new(&steps(&mut space, &beginning));
        let outlook = Outlook::new(&plan, &mut space);
        let mut limits = Limits::new(options.budget, EXACT_STEPS).holding(options.memory_bytes);
        let answer = Search::ahead(plan, outlook).run(&mut space, &mut limits, 0);
        matches!(answer, Ok(EngineAnswer::Refuted(_)))
    };
    let (mut low, mut high) = (0, ends.len().saturating_sub(1));
    while low < high {
        let middle = low.midpoint(high);
        if refuted(ends[middle]) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let until = ends.get(high).copied().unwrap_or(refutation.until);
    Refutation { until, reached: until, among: refutation.among }
}

/// Decides one object, by an algorithm that need not find the order. A refutation may name a later reply than the first that
/// no order explains.
fn without_order<M: Model>(model: &M, operations: &[Operation<M::Action>], options: DecisionOptions<'_>) -> Decision {
    if let Some(decision) = cells(model, operations, options) {
        return decision;
    }
    if let Some(decision) = growing(model, operations) {
        return decision;
    }
    if let Some((container, items)) = items(model, operations) {
        return match containers::decide(container, &items) {
            ContainerDecision::Linearizable => Decision::Linearizable(None),
            ContainerDecision::Conflict(places) => Decision::Refuted(among(operations, places)),
            ContainerDecision::CannotTell => in_turns(model, &without_removable(model, operations), options),
        };
    }
    in_turns(model, operations, options)
}

/// The refutation by operations at these places, which contradict each other.
fn among<A>(operations: &[Operation<A>], places: Vec<usize>) -> Refutation {
    let ends = places.iter().map(|&at| operations[at].end).filter(|&end| end != Op::OPEN);
    let mut calls: Vec<u64> = places.iter().map(|&at| operations[at].call).collect();
    calls.sort_unstable();
    calls.dedup();
    let until = ends.max().unwrap_or(Op::OPEN);
    Refutation { until, reached: until, among: Some(calls) }
}

/// Decides register by register, if each action concerns one of several independent registers ([`Model::cell_action`]).
fn cells<M: Model>(model: &M, operations: &[Operation<M::Action>], options: DecisionOptions<'_>) -> Option<Decision> {
    let mut places: HashMap<Value, usize> = HashMap::new();
    let mut cells: Vec<(Values, Vec<RegOp>)> = Vec::new();
    for operation in operations {
        let (cell, action) = model.cell_action(&operation.action)?;
        let place = *places.entry(cell).or_insert_with_key(|cell| {
            cells.push((Values::beginning(model.begins(cell)), Vec::new()));
            cells.len() - 1
        });
        let (values, ops) = &mut cells[place];
        let Some(action) = values.action(&action) else { continue };
        if operation.end != Op::OPEN || action.writes().is_some() {
            ops.push(RegOp { call: operation.call, end: operation.end, action, weakened: false });
        }
    }
    let mut gave_up = None;
    for (_, ops) in &cells {
        match registers::decide(ops, DecisionOptions { witness: false, ..options }) {
            registers::RegisterDecision::Linearizable(_) => {}
            registers::RegisterDecision::GaveUp(stop, furthest) => {
                gave_up = gave_up.or(Some(Decision::GaveUp(stop, furthest)))
            }
            decision => {
                let small = register_shrink::shrink(ops, &decision, options.budget);
                let until = small.iter().map(|op| op.end).filter(|&end| end != Op::OPEN).max().unwrap_or(Op::OPEN);
                // A compare-and-set that counts as a write only depends on what was left out.
                let whole = small.iter().any(|op| op.weakened);
                let calls = if whole {
                    ops.iter().map(|op| op.call).collect()
                } else {
                    small.iter().map(|op| op.call).collect()
                };
                return Some(Decision::Refuted(Refutation { until, reached: until, among: Some(calls) }));
            }
        }
    }
    Some(gave_up.unwrap_or(Decision::Linearizable(None)))
}

/// Decides a set that only grows, if the object is one.
fn growing<M: Model>(model: &M, operations: &[Operation<M::Action>]) -> Option<Decision> {
    let ops = grow_ops(model, operations)?;
    let Err(conflict) = containers::growing(&ops) else { return Some(Decision::Linearizable(None)) };
    // Reads say something together with the adds of what they returned.
    let mut seen: HashSet<&Value> = HashSet::new();
    for &place in &conflict.places {
        if let GrowOp::Read(values, ..) = &ops[place] {
            seen.extend(values);
        }
    }
    let belongs = |op: &GrowOp| matches!(op, GrowOp::Add(value, ..) if seen.contains(value));
    let adds = (0..ops.len()).filter(|&at| belongs(&ops[at]));
    Some(Decision::Refuted(among(operations, adds.chain(conflict.places.iter().copied()).collect())))
}

/// The operations of a growing set, if the object is one.
fn grow_ops<M: Model>(model: &M, operations: &[Operation<M::Action>]) -> Option<Vec<GrowOp>> {
    let op = |operation: &Operation<M::Action>| {
        Some(match model.growing_action(&operation.action)? {
            GrowingAction::Add(value) => GrowOp::Add(value, operation.call, operation.end),
            GrowingAction::Read(values) => GrowOp::Read(values, operation.call, operation.end),
        })
    };
    operations.iter().map(op).collect()
}

/// The operations of a container, if the object is one.
fn items<M: Model>(model: &M, operations: &[Operation<M::Action>]) -> Option<(Container, Vec<ItemOp>)> {
    let (container, _) = model.container_action(&operations.first()?.action)?;
    let item = |operation: &Operation<M::Action>| {
        let (_, action) = model.container_action(&operation.action)?;
        // `shrink::until` opens operations whose replies are known. The algorithms of containers cannot use such a reply.
        if operation.end == Op::OPEN && matches!(action, ContainerAction::Take(_) | ContainerAction::TakeNothing) {
            return None;
        }
        Some(ItemOp { call: operation.call, end: operation.end, action })
    };
    Some((container, operations.iter().map(item).collect::<Option<_>>()?))
}

/// The operations without the groups of [`Model::removable`] that are of unknown outcome throughout: a search does not need
/// them.
fn without_removable<M: Model>(model: &M, operations: &[Operation<M::Action>]) -> Vec<Operation<M::Action>> {
    let actions: Vec<&M::Action> = operations.iter().map(|operation| &operation.action).collect();
    let mut kept = vec![true; operations.len()];
    for group in model.removable(&actions) {
        if group.iter().all(|&at| operations[at].end == Op::OPEN) {
            group.iter().for_each(|&at| kept[at] = false);
        }
    }
    operations.iter().zip(kept).filter(|(_, kept)| *kept).map(|(operation, _)| operation.clone()).collect()
}

/// The operations with their actions as numbers.
fn steps<M: Model>(space: &mut Space<'_, M>, operations: &[Operation<M::Action>]) -> Vec<PlannedOperation> {
    let step = |operation: &Operation<M::Action>| {
        let observes = space.model().observes_only(&operation.action);
        PlannedOperation {
            call: operation.call,
            end: operation.end,
            action: space.action_id(operation.action.clone()),
            observes,
        }
    };
    operations.iter().map(step).collect()
}

/// One engine that takes turns with the others.
enum Engine {
    Depth(Box<Search>),
    Breadth(Box<Configurations>),
}

impl Engine {
    fn run<M: Model>(
        &mut self,
        space: &mut Space<'_, M>,
        limits: &mut Limits<'_>,
        others: u64,
    ) -> Result<EngineAnswer, Stop> {
        match self {
            Engine::Depth(search) => search.run(space, limits, others),
            Engine::Breadth(configurations) => configurations.run(space, limits, others),
        }
    }

    /// The index before which some order explains all replies, once the replies up to `refuted` are refuted.
    fn reached(&self, refuted: u64) -> u64 {
        match self {
            Engine::Depth(search) => search.reached(),
            Engine::Breadth(_) => refuted,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Engine::Depth(search) => search.bytes(),
            Engine::Breadth(configurations) => configurations.bytes(),
        }
    }
}

/// Searches for an order, with about `options.steps` steps at most. Each engine gets a turn; then turns are twice as long.
pub(crate) fn in_turns<M: Model>(
    model: &M,
    operations: &[Operation<M::Action>],
    options: DecisionOptions<'_>,
) -> Decision {
    let quota = options.steps;
    let mut space = Space::new(model);
    let steps = steps(&mut space, operations);
    let plan = Plan::new(&steps);
    let outlook = Outlook::new(&plan, &mut space);
    let mut engines = vec![Some(Engine::Depth(Box::new(Search::ahead(plan, outlook))))];
    // The relaxed form repeats operations of unknown outcome. In a container it could put without end, so it is not used there.
    let bounded = operations.first().is_some_and(|operation| model.container_action(&operation.action).is_none());
    let mut breadths = vec![false];
    if bounded && steps.iter().any(|step| !step.definite()) {
        breadths.insert(0, true);
    }
    let mut turn = FIRST_TURN.max(2 * steps.len() as u64).min(quota);
    let (mut spent, mut furthest) = (0u64, 0);
    let mut stopped = Stop::Width;
    loop {
        let mut at = 0;
        while at < engines.len() + breadths.len() {
            // The others are made when the first, which decides nearly all, has had its turn.
            if at == engines.len() {
                let breadth =
                    |relaxed| Some(Engine::Breadth(Box::new(Configurations::new(Plan::new(&steps), relaxed))));
                engines.extend(breadths.drain(..).map(breadth));
            }
            let others: u64 = (0..engines.len())
                .filter(|&other| other != at)
                .filter_map(|at| engines[at].as_ref())
                .map(Engine::bytes)
                .sum();
            let Some(engine) = &mut engines[at] else {
                at += 1;
                continue;
            };
            let mut limits = Limits::new(options.budget, turn)
                .holding(options.memory_bytes)
                .about(options.what, operations.len() as u64);
            let result = engine.run(&mut space, &mut limits, others);
            furthest = limits.furthest.max(furthest);
            match result {
                Ok(EngineAnswer::Linearizable(order)) => return Decision::Linearizable(order),
                Ok(EngineAnswer::Refuted(until)) => {
                    let reached = engine.reached(until);
                    return Decision::Refuted(Refutation { until, reached, among: None });
                }
                Err(Stop::Quota) => {}
                Err(Stop::Time) => return Decision::GaveUp(Stop::Time, furthest),
                Err(stop) => {
                    // What it held is free for the others.
                    engines[at] = None;
                    if stop == Stop::Memory {
                        stopped = stop;
                    }
                }
            }
            at += 1;
        }
        spent = spent.saturating_add(turn);
        if engines.iter().all(Option::is_none) {
            return Decision::GaveUp(stopped, furthest);
        }
        if spent >= quota {
            return Decision::GaveUp(Stop::Quota, furthest);
        }
        turn = turn.saturating_mul(2);
    }
}
