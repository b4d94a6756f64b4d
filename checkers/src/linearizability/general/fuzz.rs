//! Every engine for models against every order, on one small history.
use super::super::decide::Terms;
use super::super::limits::{Limits, Stop};
use super::configurations::Configurations;
use super::outlook::Outlook;
use super::search::Search;
use super::shrink::shrink;
use super::space::{Plan, Space};
use super::{Answer, Decision, Stuck, decide, exact, in_turns, steps};
use crate::history::Op;
use crate::linearizability::containers::fuzz::explained;
use crate::models::Model;
use crate::random::Draw;
use crate::verdict::Budget;
use std::collections::HashSet;

pub use super::Deed;

/// Whether some order explains the operations, if everybody agrees. An error says who does not.
pub(crate) fn compare<M: Model>(draw: &mut Draw, model: &M, all: &[Deed<M::Act>]) -> Result<bool, String> {
    let truth = some_order(model, all);
    let says = |deed: &&Deed<M::Act>| deed.end != Op::OPEN || !model.observes_only(&deed.act);
    let deeds: Vec<Deed<M::Act>> = all.iter().filter(says).cloned().collect();
    let differs = |who: &str, said: &dyn std::fmt::Debug| Err(format!("{who} says {said:?}, by every order {truth}"));
    let budget = Budget::unlimited();
    let terms = Terms { witness: draw.percent(30), ..Terms::of(&budget) };
    let mut space = Space::new(model);
    let numbered = steps(&mut space, &deeds);
    let mut limits = Limits::new(&budget, u64::MAX);
    let depth = Search::new(Plan::new(&numbered)).run(&mut space, &mut limits, 0);
    match &depth {
        Ok(Answer::Linearizable(Some(order))) if truth => replays(model, &deeds, order)?,
        Ok(Answer::Refuted(_)) if !truth => {}
        other => return differs("depth", other),
    }
    let breadth = Configurations::new(Plan::new(&numbered), false).run(&mut space, &mut limits, 0);
    match (&depth, &breadth) {
        (Ok(Answer::Linearizable(_)), Ok(Answer::Linearizable(_))) => {}
        (Ok(Answer::Refuted(one)), Ok(Answer::Refuted(two))) if one == two => {}
        (_, other) => return differs("breadth", other),
    }
    let plan = Plan::new(&numbered);
    let outlook = Outlook::new(&plan, &mut space);
    let mut ahead = Search::ahead(plan, outlook);
    match (ahead.run(&mut space, &mut limits, 0), &depth) {
        (Ok(Answer::Linearizable(Some(order))), Ok(Answer::Linearizable(_))) => replays(model, &deeds, &order)?,
        (Ok(Answer::Refuted(until)), Ok(Answer::Refuted(first))) if (ahead.reached()..=until).contains(first) => {
            let stuck = exact(model, &deeds, Stuck { until, reached: ahead.reached(), among: None }, terms);
            if stuck.until != *first {
                return differs("the first reply that does not fit", &stuck);
            }
        }
        (other, _) => return differs("depth, looking ahead,", &other),
    }
    // What may happen again and again makes longer and longer states: a short run of it is nearly as good as a long one.
    let quota = if draw.percent(10) { 300 } else { 60 };
    match Configurations::new(Plan::new(&numbered), true).run(&mut space, &mut Limits::new(&budget, quota), 0) {
        Ok(Answer::Refuted(_)) if !truth => {}
        Err(Stop::Width | Stop::Quota) => {}
        other => return differs("relaxed", &other),
    }
    match in_turns(model, &deeds, terms) {
        Decision::Linearizable(_) if truth => {}
        Decision::Refuted(_) if !truth => {}
        other => return differs("in turns", &other),
    }
    let decision = decide(model, &deeds, terms);
    match &decision {
        Decision::Linearizable(order) if truth => order.iter().try_for_each(|order| replays(model, &deeds, order))?,
        Decision::Refuted(_) if !truth => {}
        other => return differs("the decision", other),
    }
    if let Decision::Refuted(stuck) = &decision {
        let small = shrink(model, &deeds, stuck, &budget);
        if some_order(model, &small) || some_order(model, &whole(&deeds, &small)) {
            return Err(format!("the counterexample {small:?} can be explained"));
        }
    }
    removable(draw, model, all, truth)?;
    Ok(truth)
}

fn some_order<M: Model>(model: &M, deeds: &[Deed<M::Act>]) -> bool {
    let ops: Vec<_> = deeds.iter().map(|deed| (deed.call, deed.end, deed.act.clone())).collect();
    explained(model, &ops)
}

fn whole<A: Clone>(deeds: &[Deed<A>], small: &[Deed<A>]) -> Vec<Deed<A>> {
    let calls: HashSet<u64> = small.iter().map(|deed| deed.call).collect();
    deeds.iter().filter(|deed| calls.contains(&deed.call)).cloned().collect()
}

/// What the model says may be removed from a history that can be explained leaves one that can be explained.
fn removable<M: Model>(draw: &mut Draw, model: &M, deeds: &[Deed<M::Act>], truth: bool) -> Result<(), String> {
    let acts: Vec<&M::Act> = deeds.iter().map(|deed| &deed.act).collect();
    let groups = model.removable(&acts);
    if !truth || groups.is_empty() {
        return Ok(());
    }
    let mut gone: HashSet<usize> = HashSet::new();
    for group in &groups {
        if draw.percent(50) {
            gone.extend(group);
        }
    }
    let rest: Vec<Deed<M::Act>> =
        deeds.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, deed)| deed.clone()).collect();
    if some_order(model, &rest) { Ok(()) } else { Err(format!("without {gone:?} no order explains the rest")) }
}

/// The order contains everything that certainly happened, respects the intervals, and the model takes it.
fn replays<M: Model>(model: &M, deeds: &[Deed<M::Act>], order: &[u64]) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("the order {order:?} {why}"));
    let mut state = model.initial();
    let mut latest_call = 0;
    for call in order {
        let Some(deed) = deeds.iter().find(|deed| deed.call == *call) else { return wrong("names a stranger") };
        latest_call = latest_call.max(deed.call);
        if deed.end < latest_call {
            return wrong("breaks an interval");
        }
        match model.step(&state, &deed.act) {
            Some(next) => state = next,
            None => return wrong("is impossible"),
        }
    }
    let distinct: HashSet<u64> = order.iter().copied().collect();
    if distinct.len() != order.len() {
        return wrong("names one twice");
    }
    let missing = deeds.iter().find(|deed| deed.end != Op::OPEN && !distinct.contains(&deed.call));
    if missing.is_some() { wrong("leaves something out") } else { Ok(()) }
}
