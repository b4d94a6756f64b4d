//! Every engine for models against every order, on one small history.
use super::super::decide::DecisionOptions;
use super::super::limits::{EngineAnswer, Limits, Stop};
use super::super::outlook::Outlook;
use super::super::search::Search;
use super::super::space::{Plan, Space};
use super::configurations::Configurations;
use super::shrink::shrink;
use super::{Decision, Refutation, decide, exact, in_turns, steps};
use crate::history::Op;
use crate::linearizability::containers::fuzz::explained;
use crate::models::Model;
use crate::random::Rng;
use crate::verdict::Budget;
use std::collections::HashSet;

pub use super::Operation;

/// Whether some order explains the operations, if everybody agrees. An error says who does not.
pub(crate) fn compare<M: Model>(rng: &mut Rng, model: &M, all: &[Operation<M::Action>]) -> Result<bool, String> {
    let truth = some_order(model, all);
    let says = |operation: &&Operation<M::Action>| operation.end != Op::OPEN || !model.observes_only(&operation.action);
    let operations: Vec<Operation<M::Action>> = all.iter().filter(says).cloned().collect();
    let differs = |who: &str, said: &dyn std::fmt::Debug| Err(format!("{who} says {said:?}, by every order {truth}"));
    let budget = Budget::unlimited();
    let options = DecisionOptions { witness: rng.percent(30), ..DecisionOptions::of(&budget) };
    let mut space = Space::new(model);
    let numbered = steps(&mut space, &operations);
    let mut limits = Limits::new(&budget, u64::MAX);
    let depth = Search::new(Plan::new(&numbered)).run(&mut space, &mut limits, 0);
    match &depth {
        Ok(EngineAnswer::Linearizable(Some(order))) if truth => replays(model, &operations, order)?,
        Ok(EngineAnswer::Refuted(_)) if !truth => {}
        other => return differs("depth", other),
    }
    let breadth = Configurations::new(Plan::new(&numbered), false).run(&mut space, &mut limits, 0);
    match (&depth, &breadth) {
        (Ok(EngineAnswer::Linearizable(_)), Ok(EngineAnswer::Linearizable(_))) => {}
        (Ok(EngineAnswer::Refuted(one)), Ok(EngineAnswer::Refuted(two))) if one == two => {}
        (_, other) => return differs("breadth", other),
    }
    let plan = Plan::new(&numbered);
    let outlook = Outlook::new(&plan, &mut space);
    let mut ahead = Search::ahead(plan, outlook);
    match (ahead.run(&mut space, &mut limits, 0), &depth) {
        (Ok(EngineAnswer::Linearizable(Some(order))), Ok(EngineAnswer::Linearizable(_))) => {
            replays(model, &operations, &order)?
        }
        (Ok(EngineAnswer::Refuted(until)), Ok(EngineAnswer::Refuted(first)))
            if (ahead.reached()..=until).contains(first) =>
        {
            let refutation =
                exact(model, &operations, Refutation { until, reached: ahead.reached(), among: None }, options);
            if refutation.until != *first {
                return differs("the first reply that does not fit", &refutation);
            }
        }
        (other, _) => return differs("depth, looking ahead,", &other),
    }
    // What may happen again and again makes longer and longer states: a short run of it is nearly as good as a long one.
    let quota = if rng.percent(10) { 300 } else { 60 };
    match Configurations::new(Plan::new(&numbered), true).run(&mut space, &mut Limits::new(&budget, quota), 0) {
        Ok(EngineAnswer::Refuted(_)) if !truth => {}
        Err(Stop::Width | Stop::Quota) => {}
        other => return differs("relaxed", &other),
    }
    match in_turns(model, &operations, options) {
        Decision::Linearizable(_) if truth => {}
        Decision::Refuted(_) if !truth => {}
        other => return differs("in turns", &other),
    }
    let decision = decide(model, &operations, options);
    match &decision {
        Decision::Linearizable(order) if truth => {
            order.iter().try_for_each(|order| replays(model, &operations, order))?
        }
        Decision::Refuted(_) if !truth => {}
        other => return differs("the decision", other),
    }
    if let Decision::Refuted(refutation) = &decision {
        let small = shrink(model, &operations, refutation, &budget);
        if some_order(model, &small) || some_order(model, &whole(&operations, &small)) {
            return Err(format!("the counterexample {small:?} can be explained"));
        }
    }
    removable(rng, model, all, truth)?;
    Ok(truth)
}

fn some_order<M: Model>(model: &M, operations: &[Operation<M::Action>]) -> bool {
    let ops: Vec<_> =
        operations.iter().map(|operation| (operation.call, operation.end, operation.action.clone())).collect();
    explained(model, &ops)
}

fn whole<A: Clone>(operations: &[Operation<A>], small: &[Operation<A>]) -> Vec<Operation<A>> {
    let calls: HashSet<u64> = small.iter().map(|operation| operation.call).collect();
    operations.iter().filter(|operation| calls.contains(&operation.call)).cloned().collect()
}

/// What the model says may be removed from a history that can be explained leaves one that can be explained.
fn removable<M: Model>(
    rng: &mut Rng,
    model: &M,
    operations: &[Operation<M::Action>],
    truth: bool,
) -> Result<(), String> {
    let actions: Vec<&M::Action> = operations.iter().map(|operation| &operation.action).collect();
    let groups = model.removable(&actions);
    if !truth || groups.is_empty() {
        return Ok(());
    }
    let mut gone: HashSet<usize> = HashSet::new();
    for group in &groups {
        if rng.percent(50) {
            gone.extend(group);
        }
    }
    let rest: Vec<Operation<M::Action>> = operations
        .iter()
        .enumerate()
        .filter(|(at, _)| !gone.contains(at))
        .map(|(_, operation)| operation.clone())
        .collect();
    if some_order(model, &rest) { Ok(()) } else { Err(format!("without {gone:?} no order explains the rest")) }
}

/// The order contains everything that certainly happened, respects the intervals, and the model takes it.
fn replays<M: Model>(model: &M, operations: &[Operation<M::Action>], order: &[u64]) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("the order {order:?} {why}"));
    let mut state = model.initial();
    let mut latest_call = 0;
    for call in order {
        let Some(operation) = operations.iter().find(|operation| operation.call == *call) else {
            return wrong("names a stranger");
        };
        latest_call = latest_call.max(operation.call);
        if operation.end < latest_call {
            return wrong("breaks an interval");
        }
        match model.step(&state, &operation.action) {
            Some(next) => state = next,
            None => return wrong("is impossible"),
        }
    }
    let distinct: HashSet<u64> = order.iter().copied().collect();
    if distinct.len() != order.len() {
        return wrong("names one twice");
    }
    let missing = operations.iter().find(|operation| operation.end != Op::OPEN && !distinct.contains(&operation.call));
    if missing.is_some() { wrong("leaves something out") } else { Ok(()) }
}
