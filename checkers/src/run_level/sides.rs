//! Which nodes still reach each other under a cut, and what was acknowledged on each side while it was certainly in force.
use crate::calls::took;
use crate::functions::may_change;
use crate::history::{Fault, History, NameId, Op, Outcome};
use std::collections::{BTreeMap, HashSet};

/// Whether the operation was acknowledged and may have changed something: a function that the table does not know may.
pub fn wrote(history: &History, op: &Op<'_>) -> bool {
    took(op) && may_change(history, op)
}

/// Connected components of the links that survive, each in the order of the nodes. A pair counts as cut only when both
/// directions are.
pub fn components(nodes: &[String], cut: &[(String, String)]) -> Vec<Vec<String>> {
    let cut: HashSet<(&str, &str)> = cut.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    let linked = |a: &str, b: &str| !(cut.contains(&(a, b)) && cut.contains(&(b, a)));
    let mut component: Vec<Option<usize>> = vec![None; nodes.len()];
    let mut sides: Vec<Vec<usize>> = Vec::new();
    for start in 0..nodes.len() {
        if component[start].is_some() {
            continue;
        }
        component[start] = Some(sides.len());
        let mut members = vec![start];
        let mut next = 0;
        while let Some(&at) = members.get(next) {
            next += 1;
            for other in 0..nodes.len() {
                if component[other].is_none() && linked(&nodes[at], &nodes[other]) {
                    component[other] = Some(sides.len());
                    members.push(other);
                }
            }
        }
        members.sort_unstable();
        sides.push(members);
    }
    sides.iter().map(|side| side.iter().map(|&at| nodes[at].clone()).collect()).collect()
}

/// One side of a cut.
pub(crate) struct Side<'h> {
    /// Its nodes.
    pub(crate) nodes: Vec<String>,
    /// Calls that may have changed something, acknowledged by its nodes, called after the proof and answered before the last
    /// proof.
    pub(crate) writes: Vec<Op<'h>>,
}

impl Side<'_> {
    /// Its nodes as one text.
    pub(crate) fn name(&self) -> String {
        self.nodes.join(" ")
    }
}

/// The sides of a fault that certainly cut the cluster in two or more parts; empty otherwise.
pub(crate) fn sides<'h>(history: &'h History, fault: &Fault) -> Vec<Side<'h>> {
    let Some((from, to)) = fault.certain().filter(|_| !fault.cut.is_empty()) else { return Vec::new() };
    let components = components(&history.nodes, &fault.cut);
    if components.len() < 2 {
        return Vec::new();
    }
    let mut sides: Vec<Side<'_>> = components.into_iter().map(|nodes| Side { nodes, writes: Vec::new() }).collect();
    let side_of = SideOf::new(history, &sides);
    let first = history.ops().partition_point(|op| op.call <= from.index);
    for op in history.ops().skip(first).iter().take_while(|op| op.call < to.index) {
        let inside = op.reply < to.index && wrote(history, &op);
        if let Some(side) = side_of.get(op.node).filter(|_| inside) {
            sides[side].writes.push(op);
        }
    }
    sides
}

/// Calls on one side of a cut while the cut was certainly in force: called after its proof, answered before its last proof.
/// A call counts as called on the side of the node that it was made to, and as acknowledged on the side of the node that answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SideCalls {
    /// The side's nodes, in the order of the plan.
    pub nodes: Vec<String>,
    /// Calls that may change something. Those without a known outcome count too.
    pub writes_called: u64,
    /// Those of them that were acknowledged.
    pub writes_ok: u64,
    /// Calls that change nothing.
    pub reads_called: u64,
    /// Those of them that were answered.
    pub reads_ok: u64,
}

/// The calls on each side of a fault that certainly cut the cluster in two or more parts; empty otherwise.
pub fn calls_by_side(history: &History, fault: &Fault) -> Vec<SideCalls> {
    let Some((from, to)) = fault.certain() else { return Vec::new() };
    let sides = sides(history, fault);
    let side_of = SideOf::new(history, &sides);
    let mut calls: Vec<SideCalls> =
        sides.into_iter().map(|side| SideCalls { nodes: side.nodes, ..SideCalls::default() }).collect();
    let first = history.ops().partition_point(|op| op.call <= from.index);
    for op in history.ops().skip(first).iter().take_while(|op| op.call < to.index) {
        let writes = may_change(history, &op);
        if let Some(side) = side_of.get(history.bound_node(&op)) {
            calls[side].writes_called += u64::from(writes);
            calls[side].reads_called += u64::from(!writes);
        }
        if let Some(side) = side_of.get(op.node).filter(|_| op.reply < to.index) {
            calls[side].writes_ok += u64::from(wrote(history, &op));
            calls[side].reads_ok += u64::from(!writes && op.outcome == Outcome::Ok);
        }
    }
    calls
}

/// The side of each node, by the node's name.
pub(crate) struct SideOf(BTreeMap<NameId, usize>);

impl SideOf {
    /// Of these sides.
    pub(crate) fn new(history: &History, sides: &[Side<'_>]) -> SideOf {
        let places = sides.iter().enumerate().flat_map(|(at, side)| side.nodes.iter().map(move |node| (node, at)));
        SideOf(places.filter_map(|(node, at)| Some((history.find_name(node)?, at))).collect())
    }

    /// The side of this node; None where it is on none.
    pub(crate) fn get(&self, node: NameId) -> Option<usize> {
        self.0.get(&node).copied()
    }
}
