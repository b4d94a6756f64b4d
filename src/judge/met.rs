//! What each fault met: how long it was certainly in force, what it left of the cluster, and how far the load of each
//! node fell. Pure.
use crate::store::{FaultLoad, NodeLoad, Rates};
use dsfuzz_checkers::{Fault, History, Outcome, components};
use dsfuzz_nemesis::facts::Leaves;
use dsfuzz_nemesis::{IN_FORCE_MIN, facts};
use std::time::Duration;

/// Before and after a fault the load is measured for so long at the most.
const AROUND_NS: u64 = 5_000_000_000;

/// A fault that was in force for long enough to be evidence.
pub(super) struct Met<'h> {
    pub(super) fault: &'h Fault,
    /// How long it was certainly in force.
    pub(super) lasted: Duration,
    /// Calls that were made and Ok while it was certainly in force.
    pub(super) ok_during: u64,
    /// Calls that were Ok between the heal of the fault before and its begin.
    pub(super) ok_before: u64,
    /// Calls that were made after its heal and Ok, until the next fault or the end.
    pub(super) ok_after: u64,
    /// The node with a client that was asked the least while it was certainly in force, and the calls begun there a second.
    pub(super) asked_least: Option<(&'h str, f64)>,
}

/// Every fault that was proven to be in force for [`IN_FORCE_MIN`] or longer. `bound`: the nodes to which the plan binds
/// clients.
pub(super) fn met<'h>(history: &'h History, bound: &'h [String]) -> Vec<Met<'h>> {
    let begins = |fault: &Fault| fault.begun.map(|mark| mark.time);
    let one = |fault| {
        let (from, to) = Fault::certain(fault)?;
        let lasted = Duration::from_nanos(to.time.saturating_sub(from.time));
        if lasted < IN_FORCE_MIN {
            return None;
        }
        let begun = begins(fault)?;
        let gone = fault.possible().map_or(u64::MAX, |(_, to)| to);
        let others = || history.faults.iter().filter(|other| other.id != fault.id);
        let before = others().filter_map(Fault::possible).map(|(_, to)| to).filter(|end| *end <= begun).max();
        let next = others().filter_map(begins).filter(|begin| *begin >= gone).min();
        let asked = bound.iter().map(|node| (node.as_str(), rates(history, node, from.time, to.time).asked));
        Some(Met {
            fault,
            lasted,
            ok_during: ok_between(history, from.time, to.time),
            ok_before: ok_between(history, before.unwrap_or(0), begun),
            ok_after: ok_between(history, gone, next.unwrap_or(u64::MAX)),
            asked_least: asked.min_by(|one, other| one.1.total_cmp(&other.1)),
        })
    };
    history.faults.iter().filter_map(one).collect()
}

/// Calls made and Ok after `from` and before `to`.
fn ok_between(history: &History, from: u64, to: u64) -> u64 {
    let first = history.ops().partition_point(|op| op.call_time <= from);
    let within = history.ops().skip(first).iter().take_while(|op| op.call_time < to);
    within.filter(|op| op.outcome == Outcome::Ok && op.reply_time < to).count() as u64
}

/// Whether a fault leaves more than half of the nodes, running and all in reach of each other over links that work both
/// ways.
pub(super) fn leaves_majority(nodes: &[String], fault: &Fault) -> bool {
    // Of a kind that this release does not know, the cut is what the history says.
    let left = match facts(&fault.kind).map_or(Leaves::ConnectedNodes, |facts| facts.leaves) {
        Leaves::AllNodes => nodes.len(),
        Leaves::OtherNodes => nodes.iter().filter(|node| !fault.nodes.contains(node)).count(),
        Leaves::ConnectedNodes => components(nodes, &fault.cut).iter().map(Vec::len).max().unwrap_or(0),
    };
    2 * left > nodes.len()
}

/// The load of each node around each fault that began.
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

/// Calls of the load begun on a node between two times, and those of them that were Ok, a second.
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
