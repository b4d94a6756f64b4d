//! The calls of each set: its adds, its final reads, those that failed, and other reads.
use crate::calls::Elements;
use crate::history::{History, NameId, Op, Outcome};
use crate::objects::final_reads::{Unread, answered, silent, unasked};
use crate::value::ValueRef;
use std::collections::{BTreeMap, BTreeSet};

/// Elements by their numbers, a bit each.
#[derive(Clone, Default)]
pub(super) struct Members(Vec<u64>);

impl Members {
    pub(super) fn has(&self, id: u32) -> bool {
        self.0.get(id as usize / 64).is_some_and(|bits| bits >> (id % 64) & 1 == 1)
    }

    /// Adds one; false where it was there.
    pub(super) fn insert(&mut self, id: u32) -> bool {
        let at = id as usize / 64;
        if self.0.len() <= at {
            self.0.resize((at + 1).max(self.0.len() * 2), 0);
        }
        let new = self.0[at] >> (id % 64) & 1 == 0;
        self.0[at] |= 1 << (id % 64);
        new
    }

    pub(super) fn unite(&mut self, other: &Members) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }
}

/// A final read that succeeded, or found that what it asked for is not there.
pub(super) struct FinalRead<'h> {
    pub(super) op: Op<'h>,
    pub(super) members: Members,
}

/// An add, by its place among the operations, and its element's number.
#[derive(Clone, Copy)]
pub(super) struct Add {
    pub(super) position: u32,
    pub(super) id: u32,
}

impl Add {
    pub(super) fn op<'h>(self, history: &'h History) -> Op<'h> {
        history.ops().at(self.position as usize)
    }
}

/// One set: its adds, its reads.
#[derive(Default)]
pub(super) struct Set<'h> {
    pub(super) elements: Elements<'h>,
    pub(super) adds: Vec<Add>,
    pub(super) finals: Vec<FinalRead<'h>>,
    /// Other reads with a list.
    pub(super) reads: Vec<Op<'h>>,
    /// Final reads that say nothing.
    pub(super) failed: Vec<Op<'h>>,
    /// Any read that never ended.
    pub(super) open: Vec<Op<'h>>,
}

impl<'h> Set<'h> {
    fn take_final(&mut self, op: Op<'h>) {
        let mut members = Members::default();
        for element in elements_of(&op) {
            members.insert(self.elements.number(element));
        }
        self.finals.push(FinalRead { op, members });
    }

    /// The last read is the final one.
    fn end(&mut self) {
        if let Some(last) = self.reads.pop() {
            self.take_final(last);
        }
    }

    /// Nodes of which no final read says what they hold.
    pub(super) fn unread<'a>(&self, history: &'a History) -> Unread<'a> {
        let finals = self.finals.iter().map(|read| &read.op);
        let adds = self.adds.iter().map(|add| add.op(history)).filter(|op| op.outcome == Outcome::Ok);
        let added = adds.map(|op| history.bound_node(&op));
        Unread::of(history, &self.silent(history), &unasked(history, added, finals.chain(&self.failed)))
    }

    /// Nodes that were asked for a final read and never answered one.
    pub(super) fn silent(&self, history: &History) -> BTreeSet<NameId> {
        silent(history, self.failed.iter(), self.finals.iter().map(|read| &read.op))
    }
}

/// The sets of these workloads.
pub(super) fn sets<'h>(history: &'h History, workloads: &[NameId]) -> BTreeMap<(NameId, ValueRef<'h>), Set<'h>> {
    let mut sets: BTreeMap<(NameId, ValueRef<'_>), Set<'_>> = BTreeMap::new();
    for op in history.ops().iter().filter(|op| workloads.contains(&op.workload)) {
        let set = sets.entry((op.workload, op.key)).or_default();
        match history.name(op.function) {
            "add" => {
                let id = set.elements.number(op.input);
                set.adds.push(Add { position: op.position, id });
            }
            "read" => {
                if op.outcome == Outcome::Info {
                    set.open.push(op);
                }
                match (answered(history, &op), op.settle) {
                    (true, true) => set.take_final(op),
                    (true, false) => set.reads.push(op),
                    (false, true) => set.failed.push(op),
                    (false, false) => {}
                }
            }
            _ => {}
        }
    }
    if knows_no_end(history) {
        sets.values_mut().for_each(Set::end);
    }
    sets
}

/// Whether nothing in the history tells a final read from another: none is marked, there are no phases, and it is no
/// recording of ours that was cut off before them.
fn knows_no_end(history: &History) -> bool {
    let whole = history.wall.is_empty() || history.complete;
    whole && history.phases.is_empty() && !history.ops().iter().any(|op| op.settle)
}

/// The elements that a read returned; none where it found nothing to read.
pub(super) fn elements_of<'h>(read: &Op<'h>) -> impl ExactSizeIterator<Item = ValueRef<'h>> + use<'h> {
    read.output.as_list().unwrap_or_default().iter()
}
