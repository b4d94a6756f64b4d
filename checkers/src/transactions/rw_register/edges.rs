//! The dependency graph of transactions on registers: reads-from is certain, the other edges follow from what is known of
//! the orders of versions.
use super::versions::Orders;
use crate::transactions::dependencies::{Builder, DependencyGraph};
use crate::transactions::txn::Transactions;
use crate::transactions::weak::matched::Matched;
use crate::transactions::weak::view::INITIAL;
use crate::verdict::certificate::EdgeKind;

/// Pairs of readers and following writers that become edges of their own; more of them go through a vertex between.
const PAIRS_MAX: usize = 256;

/// Builds the graph. With it the numbers of ww, wr and rw edges, repeated ones included.
pub(super) fn graph(transactions: &Transactions<'_>, matched: &Matched, orders: &Orders) -> (DependencyGraph, usize) {
    let (view, txns) = (&matched.view, &matched.txns);
    let mut committed = vec![false; transactions.len()];
    txns.iter().for_each(|&txn| committed[txn as usize] = true);
    let mut builder = Builder::new(committed);
    let name = |number: u32| txns[number as usize];
    // Readers of each version, by key and writer.
    let mut reads: Vec<(u32, u32, u32)> = Vec::new();
    for reader in 0..view.len() as u32 {
        for read in view.reads(reader) {
            if read.from != INITIAL {
                builder.add(name(read.from), name(reader), EdgeKind::Wr);
            }
            reads.push((read.key, read.from, reader));
        }
    }
    for known in orders.known.iter().filter(|known| known.before != INITIAL) {
        builder.add(name(known.before), name(known.after), EdgeKind::Ww);
    }
    reads.sort_unstable();
    reads.dedup();
    let mut at = 0;
    while at < reads.len() {
        let (key, version, _) = reads[at];
        let start = at;
        while at < reads.len() && (reads[at].0, reads[at].1) == (key, version) {
            at += 1;
        }
        let readers: Vec<u32> = reads[start..at].iter().map(|read| read.2).collect();
        let next = following(orders, key, version);
        missed(&mut builder, txns, &readers, &next);
    }
    let count = builder.len();
    (builder.finish(transactions), count)
}

/// Writers of the versions that follow directly on this one, as far as is known: after the initial version, all those
/// that nothing else is known to precede.
pub(super) fn following(orders: &Orders, key: u32, version: u32) -> Vec<u32> {
    if version != INITIAL {
        return orders.after(key, version).iter().map(|known| known.after).collect();
    }
    let start = orders.known.partition_point(|known| known.key < key);
    let end = orders.known.partition_point(|known| known.key <= key);
    let inner = orders.known[start..end].iter().filter(|known| known.before != INITIAL);
    let mut later: Vec<u32> = inner.map(|known| known.after).collect();
    later.sort_unstable();
    let first = |writer: &u32| later.binary_search(writer).is_err();
    orders.writers(key).iter().copied().filter(first).collect()
}

/// Each reader of a version precedes each writer of a following one, but not itself.
fn missed(builder: &mut Builder, txns: &[u32], readers: &[u32], next: &[u32]) {
    let name = |number: u32| txns[number as usize];
    if readers.len() * next.len() <= PAIRS_MAX {
        for &reader in readers {
            next.iter().for_each(|&writer| builder.add(name(reader), name(writer), EdgeKind::Rw));
        }
        return;
    }
    let mut sorted = next.to_vec();
    sorted.sort_unstable();
    let (both, pure): (Vec<u32>, Vec<u32>) = readers.iter().partition(|reader| sorted.binary_search(reader).is_ok());
    if !pure.is_empty() {
        let tail = builder.tail();
        next.iter().for_each(|&writer| builder.add(tail, name(writer), EdgeKind::Ww));
        pure.iter().for_each(|&reader| builder.add(name(reader), tail, EdgeKind::Rw));
    }
    // Who read the version and overwrote it precedes all others who overwrote it: a ring of those, and of each edge only
    // as many as fit. That two of them exist is an anomaly by itself (lost update).
    for (at, &reader) in both.iter().enumerate() {
        if both.len() > 1 {
            builder.add(name(reader), name(both[(at + 1) % both.len()]), EdgeKind::Rw);
        }
        let others = next.iter().filter(|&&writer| writer != reader).take(PAIRS_MAX);
        others.for_each(|&writer| builder.add(name(reader), name(writer), EdgeKind::Rw));
    }
}
