//! The algorithms for containers against every order of small random histories.
use super::{ContainerDecision, GrowOp, ItemOp, decide, growing};
use crate::history::Op;
use crate::models::{Container, ContainerAction, Model, OrderedContainer, UnorderedQueue};
use crate::random::{Rng, Stats};
use crate::value::Value;

/// What can be compared.
pub(crate) const NAMES: &[&str] = &["queue", "stack", "smallest", "largest", "bag", "growing-set"];

/// Compares the algorithm of one container with every order on `count` random histories. The error describes the first difference.
pub(crate) fn differ(name: &str, seed: u64, count: u64) -> Result<Stats, String> {
    counted(name, seed, count).map(|(stats, _)| stats)
}

/// As [`differ`], and how many of them only a search can tell.
fn counted(name: &str, seed: u64, count: u64) -> Result<(Stats, u64), String> {
    let mut rng = Rng::new(seed);
    let mut stats = Stats::default();
    let mut untold = 0;
    for _ in 0..count {
        let (judged, truth, story) = match name {
            "growing-set" => grown(&mut rng),
            "queue" => items(&mut rng, Container::Queue, &OrderedContainer::FIFO_QUEUE),
            "bag" => items(&mut rng, Container::Bag, &UnorderedQueue),
            "stack" => items(&mut rng, Container::Stack, &OrderedContainer::STACK),
            "smallest" => items(&mut rng, Container::Smallest, &OrderedContainer::SMALLEST_FIRST),
            "largest" => items(&mut rng, Container::Largest, &OrderedContainer::LARGEST_FIRST),
            _ => return Err(format!("no container {name} (there are: {})", NAMES.join(", "))),
        };
        stats.histories += 1;
        stats.invalid += u64::from(!truth);
        match judged {
            None => untold += 1,
            Some(judged) if judged != truth => {
                return Err(format!("{name}: judged {judged}, by every order {truth}: {story}"));
            }
            Some(_) => {}
        }
    }
    Ok((stats, untold))
}

/// Random intervals, each with the instant at which its operation takes effect; in the order of calls.
pub(crate) fn intervals(rng: &mut Rng, count: usize) -> Vec<(u64, u64, u64)> {
    let mut places: Vec<u64> = (0..2 * count as u64).collect();
    let reach = 2 + rng.below(2 * count as u64) as usize;
    for at in 0..places.len() {
        let other = at + rng.below((places.len() - at).min(reach) as u64) as usize;
        places.swap(at, other);
    }
    let span = |at: usize| (places[2 * at].min(places[2 * at + 1]), places[2 * at].max(places[2 * at + 1]));
    let mut spans: Vec<(u64, u64, u64)> =
        (0..count).map(span).map(|(call, end)| (call, end, call * 10 + 1 + rng.below((end - call) * 10 - 1))).collect();
    spans.sort_unstable();
    spans
}

/// Whether some order of the operations is possible, by trying every one: the model's actions with their intervals.
pub(crate) fn explained<M: Model>(model: &M, ops: &[(u64, u64, M::Action)]) -> bool {
    fn from<M: Model>(model: &M, ops: &[(u64, u64, M::Action)], taken: u32, state: &M::State) -> bool {
        let open: Vec<usize> = (0..ops.len()).filter(|at| taken & (1 << at) == 0).collect();
        if open.iter().all(|&at| ops[at].1 == Op::OPEN) {
            return true;
        }
        let bound = open.iter().map(|&at| ops[at].1).min().unwrap_or(Op::OPEN);
        open.iter()
            .filter(|&&at| ops[at].0 < bound)
            .any(|&at| model.step(state, &ops[at].2).is_some_and(|state| from(model, ops, taken | (1 << at), &state)))
    }
    from(model, ops, 0, &model.initial())
}

/// A container that works, and then, mostly, a reply or two that are changed.
fn container_ops<M: Model<Action = ContainerAction>>(rng: &mut Rng, model: &M) -> Vec<ItemOp> {
    let count = 1 + rng.below(7) as usize;
    let spans = intervals(rng, count);
    let (puts, unknown) = (30 + rng.below(40), [0, 0, 15, 40][rng.below(4) as usize]);
    let mut fresh: Vec<i64> = (1..=count as i64).collect();
    for at in 0..fresh.len() {
        let other = at + rng.below((fresh.len() - at) as u64) as usize;
        fresh.swap(at, other);
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_unstable_by_key(|&at| spans[at].2);
    let mut ops: Vec<Option<ItemOp>> = vec![None; count];
    let mut state = model.initial();
    for at in order {
        let info = rng.percent(unknown);
        let action = if rng.percent(puts) {
            ContainerAction::Put(Value::Int(fresh.pop().unwrap_or(0)))
        } else {
            let replies = (1..=count as i64).map(|value| ContainerAction::Take(Value::Int(value)));
            let fitting: Vec<ContainerAction> = replies
                .chain([ContainerAction::TakeNothing])
                .filter(|action| model.step(&state, action).is_some())
                .collect();
            if info || fitting.is_empty() { ContainerAction::TakeUnknown } else { rng.pick(&fitting).clone() }
        };
        let info = info || action == ContainerAction::TakeUnknown;
        if !info || rng.percent(60) {
            state = model.step(&state, &action).unwrap_or(state);
        }
        let (call, end, _) = spans[at];
        ops[at] = Some(ItemOp { call, end: if info { Op::OPEN } else { end }, action });
    }
    let mut ops: Vec<ItemOp> = ops.into_iter().flatten().collect();
    for _ in 0..rng.below(3) {
        let at = rng.below(count as u64) as usize;
        if matches!(ops[at].action, ContainerAction::Take(_) | ContainerAction::TakeNothing) {
            ops[at].action = match rng.below(count as u64 + 1) as i64 {
                0 => ContainerAction::TakeNothing,
                value => ContainerAction::Take(Value::Int(value)),
            };
        }
    }
    ops
}

fn items<M: Model<Action = ContainerAction>>(
    rng: &mut Rng,
    container: Container,
    model: &M,
) -> (Option<bool>, bool, String) {
    let ops = container_ops(rng, model);
    let judged = match decide(container, &ops) {
        ContainerDecision::Linearizable => Some(true),
        ContainerDecision::CannotTell => None,
        ContainerDecision::Conflict(places) => {
            // What is said to contradict itself has to.
            let some: Vec<_> = places.iter().map(|&at| (ops[at].call, ops[at].end, ops[at].action.clone())).collect();
            if explained(model, &some) {
                return (Some(false), true, format!("{ops:?}, where {places:?} alone are explained"));
            }
            Some(false)
        }
    };
    let actions: Vec<(u64, u64, ContainerAction)> = ops.iter().map(|op| (op.call, op.end, op.action.clone())).collect();
    (judged, explained(model, &actions), format!("{ops:?} {:?}", decide(container, &ops)))
}

fn grown(rng: &mut Rng) -> (Option<bool>, bool, String) {
    let count = 1 + rng.below(7) as usize;
    let spans = intervals(rng, count);
    let (adds, unknown, values) = (30 + rng.below(40), [0, 30][rng.below(2) as usize], 2 + rng.below(4));
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_unstable_by_key(|&at| spans[at].2);
    let mut ops: Vec<GrowOp> = vec![GrowOp::Read(Vec::new(), 0, 0); count];
    let mut state: Vec<Value> = Vec::new();
    for at in order {
        let (call, end, _) = spans[at];
        ops[at] = if rng.percent(adds) {
            let value = Value::Int(rng.below(values) as i64);
            let info = rng.percent(unknown);
            if !info || rng.percent(50) {
                state.push(value.clone());
                state.sort();
                state.dedup();
            }
            GrowOp::Add(value, call, if info { Op::OPEN } else { end })
        } else {
            GrowOp::Read(state.clone(), call, end)
        };
    }
    for _ in 0..rng.below(3) {
        let at = rng.below(count as u64) as usize;
        if let GrowOp::Read(seen, ..) = &mut ops[at] {
            let value = Value::Int(rng.below(values) as i64);
            match seen.binary_search(&value) {
                Ok(place) => drop(seen.remove(place)),
                Err(place) => seen.insert(place, value),
            }
        }
    }
    let action = |op: &GrowOp| match op {
        GrowOp::Add(value, call, end) => (*call, *end, crate::models::SetAction::Add(value.clone(), None)),
        GrowOp::Read(values, call, end) => (*call, *end, crate::models::SetAction::Read(Some(values.clone()))),
    };
    let actions: Vec<_> = ops.iter().map(action).collect();
    let truth = explained(&crate::models::Set, &actions);
    (Some(growing(&ops).is_ok()), truth, format!("{ops:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_container_agrees_with_every_order() {
        let count = std::env::var("DSFUZZ_FUZZ").ok().and_then(|count| count.parse().ok()).unwrap_or(8_000);
        for name in NAMES {
            let (stats, untold) = counted(name, 7, count).unwrap_or_else(|difference| panic!("{difference}"));
            println!("{name}: {} histories, {} invalid, {untold} for a search", stats.histories, stats.invalid);
            assert!(stats.invalid * 10 > count && stats.invalid * 10 < 9 * count, "{name}: {stats:?}");
            assert!(untold * 8 < count, "{name}: {untold} of {count} are not decided");
        }
    }
}
