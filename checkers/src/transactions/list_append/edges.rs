//! The dependency graph of list-append transactions, and the reason for each edge.
use super::super::cycles::CycleEdge;
use super::super::dependencies::{Builder, DependencyGraph};
use super::super::txn::{Mop, MopKind, Transactions};
use super::versions::Versions;
use crate::graph::NONE;
use crate::history::Outcome;
use crate::value::Word;
use crate::verdict::certificate::EdgeKind;

/// An order in which appends that were never read might have taken effect, by transaction: one of several that are tried.
pub(super) type Guess<'g> = &'g dyn Fn(u32) -> u32;

/// The graph of the known dependencies, or with a guessed order of the appends that were never read.
pub(super) struct Built {
    pub(super) graph: DependencyGraph,
    /// Acknowledged appends that no other transaction read.
    pub(super) unread: u64,
    /// Keys with several of them, in an order that is not known.
    pub(super) open_keys: u64,
}

/// Builds the graph.
///
/// An append that was never read comes after everything that was read of its key, since lists only grow: whoever read the longest list
/// did not observe it, and the last known writer wrote before it.
pub(super) fn graph(txns: &Transactions<'_>, versions: &Versions, guess: Option<Guess<'_>>) -> Built {
    let mut builder = Builder::new(versions.committed.clone());
    let (mut unread_count, mut open_keys) = (0, 0);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut unread: Vec<u32> = Vec::new();
    let mut readers: Vec<u32> = Vec::new();
    for key in 0..txns.keys() as u32 {
        let order = versions.order(key);
        known(order, &mut before, &mut after);
        let mut last = NONE;
        for &writer in order.iter().filter(|&&writer| writer != NONE) {
            if last != NONE {
                builder.add(last, writer, EdgeKind::Ww);
            }
            last = writer;
        }
        unread.clear();
        readers.clear();
        for &at in txns.key_mops(key) {
            let mop = txns.all_mops()[at as usize];
            let (txn, read) = (mop.txn(), versions.base[at as usize]);
            if mop.kind() == MopKind::Append {
                let missing = !versions.seen[at as usize] && versions.committed[txn as usize];
                if missing && unread.last() != Some(&txn) {
                    unread.push(txn);
                }
                unread_count += u64::from(missing && txns.txn(txn).outcome == Outcome::Ok);
                continue;
            }
            if read == NONE {
                continue;
            }
            let read = read as usize;
            if read > 0 && before[read - 1] != NONE {
                builder.add(order[before[read - 1] as usize], txn, EdgeKind::Wr);
            }
            match after.get(read).filter(|&&next| next != NONE) {
                Some(&next) => builder.add(txn, order[next as usize], EdgeKind::Rw),
                None => readers.push(txn),
            }
        }
        if !unread.is_empty() {
            for &writer in unread.iter().filter(|_| last != NONE) {
                builder.add(last, writer, EdgeKind::Ww);
            }
            tails(&mut builder, &mut readers, &unread);
            open_keys += u64::from(unread.len() > 1);
            if let Some(rank) = guess {
                unread.sort_by_key(|&txn| rank(txn));
            }
            for pair in unread.windows(2).filter(|_| guess.is_some()) {
                builder.add(pair[0], pair[1], EdgeKind::Ww);
            }
        }
    }
    for &(writer, reader) in &versions.loose {
        builder.add(writer, reader, EdgeKind::Wr);
    }
    for &(one, other) in &versions.pairs {
        builder.add(one, other, EdgeKind::Ww);
    }
    Built { graph: builder.finish(txns), unread: unread_count, open_keys }
}

/// For each place the nearest one at it or before it, and at it or after it, whose writer is known.
fn known(order: &[u32], before: &mut Vec<u32>, after: &mut Vec<u32>) {
    before.clear();
    let mut last = NONE;
    for (place, &writer) in order.iter().enumerate() {
        if writer != NONE {
            last = place as u32;
        }
        before.push(last);
    }
    after.clear();
    after.resize(order.len(), NONE);
    let mut next = NONE;
    for (place, &writer) in order.iter().enumerate().rev() {
        if writer != NONE {
            next = place as u32;
        }
        after[place] = next;
    }
}

/// Every reader of the longest list precedes every transaction whose append was never read, but not itself.
fn tails(builder: &mut Builder, readers: &mut Vec<u32>, unread: &[u32]) {
    readers.sort_unstable();
    readers.dedup();
    let (both, pure): (Vec<u32>, Vec<u32>) = readers.iter().partition(|reader| unread.binary_search(reader).is_ok());
    if let [reader] = pure[..] {
        unread.iter().for_each(|&writer| builder.add(reader, writer, EdgeKind::Rw));
    } else if !pure.is_empty() {
        let tail = builder.tail();
        unread.iter().for_each(|&writer| builder.add(tail, writer, EdgeKind::Ww));
        pure.iter().for_each(|&reader| builder.add(reader, tail, EdgeKind::Rw));
    }
    // Those that read the longest list and appended to it unseen precede each other: a ring says so.
    for (at, &reader) in both.iter().enumerate().filter(|_| both.len() > 1) {
        builder.add(reader, both[(at + 1) % both.len()], EdgeKind::Rw);
    }
    let others: Vec<u32> = unread.iter().copied().filter(|writer| both.binary_search(writer).is_err()).collect();
    if let [reader] = both[..] {
        others.iter().for_each(|&writer| builder.add(reader, writer, EdgeKind::Rw));
    } else if !both.is_empty() && !others.is_empty() {
        let tail = builder.tail();
        others.iter().for_each(|&writer| builder.add(tail, writer, EdgeKind::Ww));
        both.iter().for_each(|&reader| builder.add(reader, tail, EdgeKind::Rw));
    }
}

/// Why an edge is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) key: u32,
    /// The element at `from`: appended last (ww), read last (wr, rw). None of rw: the list read was empty.
    pub(super) before: Option<Word>,
    /// The element that follows it, at `to`; of wr the same.
    pub(super) after: Word,
    /// The read that shows a ww edge: its place among all micro-operations; [`NONE`] where the second element was never read.
    pub(super) witness: u32,
}

/// Finds the reason of an edge between two transactions: the first key on which there is one.
pub(super) fn reason(txns: &Transactions<'_>, versions: &Versions, step: &CycleEdge) -> Option<Reason> {
    let mut keys: Vec<u32> = txns.mops(step.from).iter().map(|mop| mop.key).collect();
    keys.dedup();
    let known = keys.iter().find_map(|&key| reason_at(txns, versions, step, key));
    known.or_else(|| keys.iter().filter(|_| step.kind == EdgeKind::Ww).find_map(|&key| read_in_order(txns, step, key)))
}

/// The reason of an edge on this key, by its longest list.
pub(super) fn reason_at(txns: &Transactions<'_>, versions: &Versions, step: &CycleEdge, key: u32) -> Option<Reason> {
    let appended = |txn: u32| {
        let here = |mop: &&Mop| mop.key == key && mop.kind() == MopKind::Append;
        txns.mops(txn).iter().filter(here).map(|mop| mop.value)
    };
    // Where its elements stand. Appends that were never read come after all that is known.
    let places = |txn: u32| {
        txns.mop_range(txn).filter_map(move |at| {
            let mop = txns.all_mops()[at as usize];
            let known = versions.place[at as usize] != NONE || !versions.seen[at as usize];
            (mop.key == key && mop.kind() == MopKind::Append && known).then(|| (versions.place[at as usize], mop.value))
        })
    };
    // How much of the longest list its reads show.
    let reads = |txn: u32| {
        txns.mop_range(txn).filter_map(move |at| {
            let base = versions.base[at as usize];
            (txns.all_mops()[at as usize].key == key && base != NONE).then_some(base)
        })
    };
    match step.kind {
        EdgeKind::Ww => {
            let pairs = places(step.from).filter(|(at, _)| *at != NONE).filter_map(|(at, one)| {
                let (to, other) = places(step.to).filter(|(to, _)| *to > at).min()?;
                Some((to - at, one, other, to))
            });
            let (_, one, other, to) = pairs.min()?;
            let witness = if to == NONE { NONE } else { versions.longest[key as usize].0 };
            Some(Reason { key, before: Some(one), after: other, witness })
        }
        EdgeKind::Wr => {
            let shown = |read: u32| places(step.from).filter(|(at, _)| *at < read).max();
            let found = reads(step.to).filter_map(shown).max().map(|(_, element)| element);
            let element = found.or_else(|| {
                let written: Vec<Word> = appended(step.from).collect();
                let read = |mop: &&Mop| mop.key == key && mop.kind() == MopKind::Read;
                let lists = txns.mops(step.to).iter().filter(read).map(|mop| txns.elements(mop.value));
                lists.filter_map(|list| list.iter().rev().find(|element| written.contains(element)).copied()).next()
            })?;
            Some(Reason { key, before: Some(element), after: element, witness: NONE })
        }
        EdgeKind::Rw => {
            let own: Vec<Word> = appended(step.from).collect();
            reads(step.from).find_map(|read| {
                let missed = places(step.to).filter(|(at, element)| *at >= read && !own.contains(element)).min();
                let before = (read as usize).checked_sub(1).map(|last| versions.list(txns, key)[last]);
                missed.map(|(_, after)| Reason { key, before, after, witness: NONE })
            })
        }
        EdgeKind::Process | EdgeKind::Realtime => None,
    }
}

/// Some read that shows an element of the one before an element of the other.
fn read_in_order(txns: &Transactions<'_>, step: &CycleEdge, key: u32) -> Option<Reason> {
    let by = |txn: u32, element: Word| {
        txns.mops(txn).iter().any(|mop| mop.kind() == MopKind::Append && mop.key == key && mop.value == element)
    };
    txns.key_mops(key).iter().find_map(|&at| {
        let mop = txns.all_mops()[at as usize];
        let list = if mop.kind() == MopKind::Read { txns.elements(mop.value) } else { &[] };
        let one = list.iter().position(|&element| by(step.from, element))?;
        let other = one + list[one..].iter().position(|&element| by(step.to, element))?;
        Some(Reason { key, before: Some(list[one]), after: list[other], witness: at })
    })
}
