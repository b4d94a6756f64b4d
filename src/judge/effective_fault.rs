//! The effect of each fault: how long it was certainly in force, which nodes it left, and how far the load of each node
//! fell. Pure.
use crate::store::{FaultLoad, NodeLoad, Rates};
use crate::targets::TargetFacts;
use dsfuzz_checkers::history::Mark;
use dsfuzz_checkers::{Fault, History, Leadership, Outcome, components};
use dsfuzz_nemesis::facts::Leaves;
use dsfuzz_nemesis::{IN_FORCE_MIN, facts};
use std::time::Duration;

/// Longest interval before and after a fault in which the load is measured.
const AROUND_NS: u64 = 5_000_000_000;

/// A fault that was in force for long enough to be evidence.
pub(super) struct EffectiveFault<'h> {
    pub(super) fault: &'h Fault,
    /// How long it was certainly in force.
    pub(super) lasted: Duration,
    /// Ok calls begun and ended while it was certainly in force.
    pub(super) ok_during: u64,
    /// Ok calls between the heal of the previous fault and its begin.
    pub(super) ok_before: u64,
    /// Ok calls begun after its heal, until the next fault or the end.
    pub(super) ok_after: u64,
    /// A fault that overlaps with it and was not verified to be gone: no call comes after it.
    pub(super) lasting: Option<&'h Fault>,
    /// Of the nodes with a client, the one with the fewest calls while the fault was certainly in force, and its calls a second.
    pub(super) asked_least: Option<(&'h str, f64)>,
}

/// Whether a fault of a schedule was certainly in force for long enough to have come: for [`IN_FORCE_MIN`], or for half of the time from
/// its begin to its end where that is shorter.
pub(super) fn came(fault: &Fault) -> bool {
    let nanos = |from: Mark, to: Mark| Duration::from_nanos(to.time.saturating_sub(from.time));
    let whole = fault.possible().map(|(from, to)| Duration::from_nanos(to.saturating_sub(from)));
    let asked = whole.map_or(IN_FORCE_MIN, |whole| IN_FORCE_MIN.min(whole / 2));
    fault.certain().is_some_and(|(from, to)| nanos(from, to) >= asked)
}

/// Every fault that was proven in force for [`IN_FORCE_MIN`] or longer. `bound`: the nodes to which the plan binds clients.
pub(super) fn met<'h>(history: &'h History, bound: &'h [String]) -> Vec<EffectiveFault<'h>> {
    let begins = |fault: &Fault| fault.begun.map(|mark| mark.time);
    let one = |fault| {
        let (from, to) = Fault::certain(fault)?;
        let lasted = Duration::from_nanos(to.time.saturating_sub(from.time));
        if lasted < IN_FORCE_MIN {
            return None;
        }
        // Calls before and after it are those around all faults that overlap with it.
        let together = together(history, fault);
        let begun = together.iter().filter_map(|fault| begins(fault)).min()?;
        let lasting = together.iter().find(|fault| fault.begun.is_some() && !fault.gone()).copied();
        let gone = together.iter().filter_map(|fault| fault.possible()).map(|(_, to)| to).max().unwrap_or(u64::MAX);
        let others = || history.faults.iter().filter(|other| together.iter().all(|fault| fault.id != other.id));
        let before = others().filter_map(Fault::possible).map(|(_, to)| to).filter(|end| *end <= begun).max();
        let next = others().filter_map(begins).filter(|begin| *begin >= gone).min();
        let asked = bound.iter().map(|node| (node.as_str(), rates(history, node, from.time, to.time).asked));
        Some(EffectiveFault {
            fault,
            lasted,
            ok_during: ok_between(history, from.time, to.time),
            ok_before: ok_between(history, before.unwrap_or(0), begun),
            ok_after: ok_between(history, gone, next.unwrap_or(u64::MAX)),
            lasting,
            asked_least: asked.min_by(|one, other| one.1.total_cmp(&other.1)),
        })
    };
    history.faults.iter().filter_map(one).collect()
}

/// Faults of a schedule that follow each other within this time are one disturbance: the plan gives the target no time between them.
const SEQUENCE_NS: u64 = 1_000_000_000;

/// A fault and all that may have been in force at the same time as it, or as one of these.
fn together<'h>(history: &'h History, fault: &'h Fault) -> Vec<&'h Fault> {
    let gap = if fault.name.is_empty() { 0 } else { SEQUENCE_NS };
    let mut together = vec![fault];
    let mut at = 0;
    while let Some((from, to)) = together.get(at).map(|fault| fault.possible().unwrap_or_default()) {
        for other in history.faults_within(from.saturating_sub(gap), to.saturating_add(gap)) {
            if together.iter().all(|known| known.id != other.id) {
                together.push(other);
            }
        }
        at += 1;
    }
    together
}

/// The faults that may have been in force while this one certainly was, this one first.
fn meanwhile<'h>(history: &'h History, fault: &'h Fault) -> Vec<&'h Fault> {
    let others = fault.certain().map(|(from, to)| history.faults_within(from.time, to.time)).unwrap_or_default();
    std::iter::once(fault).chain(others.into_iter().filter(|other| other.id != fault.id)).collect()
}

/// Ok calls between `from` and `to`.
fn ok_between(history: &History, from: u64, to: u64) -> u64 {
    let first = history.ops().partition_point(|op| op.call_time <= from);
    let within = history.ops().skip(first).iter().take_while(|op| op.call_time < to);
    within.filter(|op| op.outcome == Outcome::Ok && op.reply_time < to).count() as u64
}

/// Whether a fault, with those that overlap with it, leaves a majority: more than half of the nodes run and reach each other in
/// both directions.
pub(super) fn leaves_majority(history: &History, fault: &Fault) -> bool {
    let faults = meanwhile(history, fault);
    let taken =
        |node: &String| faults.iter().any(|fault| leaves(fault) == Leaves::OtherNodes && fault.nodes.contains(node));
    let left: Vec<String> = history.nodes.iter().filter(|node| !taken(node)).cloned().collect();
    // For an unknown kind of fault the history's cut decides.
    let cuts = faults.iter().filter(|fault| leaves(fault) == Leaves::ConnectedNodes);
    // Two nodes reach each other only if no direction is cut.
    let both_ways = |(from, to): &(String, String)| [(from.clone(), to.clone()), (to.clone(), from.clone())];
    let cut: Vec<(String, String)> = cuts.flat_map(|fault| fault.cut.iter().flat_map(both_ways)).collect();
    let reach = components(&left, &cut).iter().map(Vec::len).max().unwrap_or(0);
    2 * reach > history.nodes.len()
}

fn leaves(fault: &Fault) -> Leaves {
    facts(&fault.kind).map_or(Leaves::ConnectedNodes, |facts| facts.leaves)
}

/// Whether a fault, with those that overlap with it, leaves nodes that serve: a majority; where nothing fails over, also each node
/// that ever led, in reach of all others.
pub(super) fn leaves_service(history: &History, fault: &Fault, leaders: &[Leadership], facts: &TargetFacts) -> bool {
    let faults = meanwhile(history, fault);
    let touches = |leader: &Leadership| {
        faults.iter().any(|fault| {
            let lost = leaves(fault) != Leaves::AllNodes && fault.nodes.contains(&leader.node);
            lost || fault.cut.iter().any(|(from, to)| *from == leader.node || *to == leader.node)
        })
    };
    let leader_left = facts.failover || !(leaders.is_empty() || leaders.iter().any(touches));
    leader_left && leaves_majority(history, fault)
}

/// The load of each node before, during and after each fault that began.
pub(super) fn loads(history: &History) -> Vec<FaultLoad> {
    let one = |fault: &Fault| {
        let (from, to) = fault.possible()?;
        let to = to.min(history.end_time).max(from);
        let around = (to - from).clamp(1_000_000_000, AROUND_NS);
        let node = |node: &String| NodeLoad {
            node: node.clone(),
            before: rates(history, node, from.saturating_sub(around), from),
            during: rates(history, node, from, to),
            after: rates(history, node, to, to.saturating_add(around).min(history.end_time).max(to)),
        };
        Some(FaultLoad { fault: fault.id, nodes: history.nodes.iter().map(node).collect() })
    };
    history.faults.iter().filter_map(one).collect()
}

/// Calls a second that began on a node between two times, and the Ok calls among them.
fn rates(history: &History, node: &str, from: u64, to: u64) -> Rates {
    let first = history.ops().partition_point(|op| op.call_time < from);
    let within = history.ops().skip(first).iter().take_while(|op| op.call_time < to);
    let (mut asked, mut ok) = (0_u64, 0_u64);
    for op in within.filter(|op| !op.settle && history.name(history.bound_node(op)) == node) {
        asked += 1;
        ok += u64::from(op.outcome == Outcome::Ok);
    }
    let seconds = (to.saturating_sub(from) as f64 / 1e9).max(1e-9);
    let rate = |count: u64| (count as f64 / seconds * 10.0).round() / 10.0;
    Rates { asked: rate(asked), ok: rate(ok) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_a_schedule_came_if_it_was_in_force_for_half_a_second_or_half_of_its_time() {
        let mark = |ms: u64| Some(Mark { index: ms, time: ms * 1_000_000 });
        let fault = |begun, proven, reproven, healed| Fault {
            begun: mark(begun),
            proven: mark(proven),
            reproven: mark(reproven),
            healed: mark(healed),
            ..Fault::default()
        };
        assert!(came(&fault(1_000, 1_200, 1_700, 9_000)));
        assert!(!came(&fault(4_400, 7_395, 7_397, 7_400)), "2 ms of 3 s");
        assert!(came(&fault(1_000, 1_020, 1_050, 1_060)), "30 ms of 60 ms");
        assert!(!came(&fault(1_000, 1_030, 1_050, 1_060)), "20 ms of 60 ms");
        assert!(!came(&Fault { reproven: None, ..fault(1_000, 1_200, 0, 9_000) }));
        let unhealed = Fault { healed: None, ..fault(1_000, 1_200, 1_700, 0) };
        assert!(came(&unhealed) && !came(&Fault { reproven: mark(1_699), ..unhealed }));
    }
}
