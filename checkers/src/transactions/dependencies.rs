//! [`DependencyGraph`]: which transaction must come before which, and why. Dependencies (ww, wr, rw) are stored edge by edge; the
//! orders of processes and of real time are not stored at all: a transaction knows the next one of its process, and the
//! first one that was called after it had ended. Since transactions are numbered by call, everything from there on
//! follows it in real time, so that real time costs O(n) whatever the number of clients.
use super::txn::{Transactions, Txn};
use crate::graph::NONE;
use crate::verdict::certificate::EdgeKind;

/// Which orders count beside the dependencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// None.
    Plain,
    /// The order in each process.
    Process,
    /// Real time, which includes the order in each process.
    Realtime,
}

/// A dependency graph. Its vertices are the transactions by number, and after them tails: see [`Builder::tail`].
#[derive(Clone, Debug)]
pub(crate) struct DependencyGraph {
    txns: u32,
    offsets: Vec<u32>,
    /// Vertex and kind (lowest two bits).
    targets: Vec<u32>,
    next_in_process: Vec<u32>,
    first_after: Vec<u32>,
    realtime: bool,
    committed: Vec<bool>,
}

/// Collects the edges of a graph.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    txns: u32,
    tails: u32,
    edges: Vec<(u32, u32)>,
    committed: Vec<bool>,
}

impl Builder {
    /// A graph over these transactions; the committed ones take part in the orders of process and real time.
    pub(crate) fn new(committed: Vec<bool>) -> Builder {
        Builder { txns: committed.len() as u32, tails: 0, edges: Vec::new(), committed }
    }

    /// A vertex that stands for "whoever comes next": an edge to it is an edge to every transaction that it leads to.
    /// So `r` readers and `w` writers that were never read need `r + w` edges and not `r * w`.
    pub(crate) fn tail(&mut self) -> u32 {
        self.tails += 1;
        self.txns + self.tails - 1
    }

    /// One depends on the other: `kind` is ww, wr or rw. An edge from a transaction to itself is left out.
    #[inline]
    pub(crate) fn add(&mut self, from: u32, to: u32, kind: EdgeKind) {
        if from != to {
            self.edges.push((from, to << 2 | kind as u32));
        }
    }

    /// The edges so far.
    pub(crate) fn len(&self) -> usize {
        self.edges.len()
    }

    /// The graph.
    pub(crate) fn finish(self, transactions: &Transactions<'_>) -> DependencyGraph {
        let vertices = (self.txns + self.tails) as usize;
        let mut offsets = vec![0u32; vertices + 1];
        for (from, _) in &self.edges {
            offsets[*from as usize + 1] += 1;
        }
        for at in 1..offsets.len() {
            offsets[at] += offsets[at - 1];
        }
        let mut next = offsets.clone();
        let mut targets = vec![0u32; self.edges.len()];
        for (from, target) in self.edges {
            let place = &mut next[from as usize];
            targets[*place as usize] = target;
            *place += 1;
        }
        let next_in_process = next_in_process(transactions, &self.committed);
        let realtime = transactions.history().realtime;
        let first_after = match realtime {
            true => first_after(transactions.txns()),
            false => vec![self.txns; transactions.len()],
        };
        let (txns, committed) = (self.txns, self.committed);
        DependencyGraph { txns, offsets, targets, next_in_process, first_after, realtime, committed }
    }
}

/// The next committed transaction of the same process.
fn next_in_process(transactions: &Transactions<'_>, committed: &[bool]) -> Vec<u32> {
    let mut later = vec![NONE; transactions.history().sessions()];
    let mut next = vec![NONE; transactions.len()];
    for (at, txn) in transactions.txns().iter().enumerate().rev().filter(|(at, _)| committed[*at]) {
        next[at] = std::mem::replace(&mut later[txn.session as usize], at as u32);
    }
    next
}

/// The first transaction that was called after each had ended: looked for in growing steps, since it is near.
fn first_after(txns: &[Txn]) -> Vec<u32> {
    let place = |(at, txn): (usize, &Txn)| {
        if txn.end == Txn::OPEN {
            return txns.len() as u32;
        }
        let (mut low, mut step) = (at + 1, 8);
        while low + step < txns.len() && txns[low + step].call < txn.end {
            low += step;
            step *= 2;
        }
        let high = (low + step).min(txns.len());
        let low = low.min(high);
        (low + txns[low..high].partition_point(|later| later.call < txn.end)) as u32
    };
    txns.iter().enumerate().map(place).collect()
}

impl DependencyGraph {
    /// How many transactions.
    pub(crate) fn txns(&self) -> u32 {
        self.txns
    }

    /// How many vertices: transactions and tails.
    pub(crate) fn vertices(&self) -> u32 {
        self.offsets.len() as u32 - 1
    }

    /// Whether the transaction certainly took effect, or must have since it was seen.
    pub(crate) fn committed(&self, txn: u32) -> bool {
        self.committed[txn as usize]
    }

    /// Dependencies of a vertex: to, and kind.
    pub(crate) fn edges(&self, from: u32) -> impl ExactSizeIterator<Item = (u32, EdgeKind)> + Clone {
        let (first, end) = (self.offsets[from as usize], self.offsets[from as usize + 1]);
        self.targets[first as usize..end as usize].iter().map(|target| (target >> 2, kind(*target)))
    }

    /// How many dependencies a vertex has.
    #[inline]
    pub(crate) fn degree(&self, from: u32) -> u32 {
        self.offsets[from as usize + 1] - self.offsets[from as usize]
    }

    /// One of the dependencies of a vertex: to, and kind.
    #[inline]
    pub(crate) fn edge(&self, from: u32, at: u32) -> (u32, EdgeKind) {
        let target = self.targets[(self.offsets[from as usize] + at) as usize];
        (target >> 2, kind(target))
    }

    /// The next transaction of the same process, or `u32::MAX`.
    pub(crate) fn next_in_process(&self, txn: u32) -> u32 {
        self.next_in_process[txn as usize]
    }

    /// The strictest order that is known: a history may say nothing of the order between its processes.
    pub(crate) fn strictest(&self) -> Level {
        if self.realtime { Level::Realtime } else { Level::Process }
    }

    /// All committed transactions from this one on were called after it had ended.
    pub(crate) fn first_after(&self, txn: u32) -> u32 {
        self.first_after[txn as usize]
    }
}

fn kind(target: u32) -> EdgeKind {
    match target & 3 {
        0 => EdgeKind::Ww,
        1 => EdgeKind::Wr,
        _ => EdgeKind::Rw,
    }
}
