//! Whether every read of one key returns one of the last two values: 2-atomicity, decided exactly for unique values. Golab,
//! Hurwitz, Li, "On the k-atomicity-verification problem", ICDCS 2013, section III (LBT, limited backtracking); for k of three
//! and more no such algorithm is known.
//!
//! The order is built from its end. If a write is the last one, whatever began after an operation of its cluster had ended
//! comes after it, so that may only be reads of it and of one other write, which is then the next to last, and so on, until
//! nothing is forced any more: an epoch. An epoch that works out is never taken back, because what is left, whole
//! clusters, is 2-atomic exactly if all of it is. Order is by index.
use super::accesses::{NONE, Run};
use super::patterns::Stop;
use crate::history::Op;
use crate::verdict::Budget;
use std::collections::HashMap;

/// One operation of the key. The initial value is written by a cluster of its own, before everything.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// From 1; the write of the initial value has 0.
    start: u64,
    end: u64,
    cluster: u32,
    write: bool,
}

struct Epochs {
    parts: Vec<Part>,
    /// For each cluster its parts.
    clusters: Vec<Vec<u32>>,
    /// Parts by start, as a list whose parts can be taken out and put back.
    previous: Vec<u32>,
    next: Vec<u32>,
    here: Vec<bool>,
    taken: Vec<u32>,
    /// Writes by start: the last two that are left decide who may come last.
    writes: Vec<u32>,
}

/// Whether the accesses of this key (by position, in the order of calls) are 2-atomic. A compare-and-set counts as a write.
pub(crate) fn two_atomic(run: &Run, accesses: &[u32], budget: &Budget) -> Result<bool, Stop> {
    let mut epochs = Epochs::new(run, accesses);
    loop {
        let left = epochs.writes.iter().any(|&write| epochs.here[write as usize]);
        if !left {
            return Ok(true);
        }
        let mut found = false;
        for write in epochs.candidates() {
            if (budget.expired)() {
                return Err(Stop::Time);
            }
            let mark = epochs.taken.len();
            if epochs.epoch(epochs.parts[write as usize].cluster) {
                found = true;
                break;
            }
            epochs.put_back(mark);
        }
        if !found {
            return Ok(false);
        }
    }
}

impl Epochs {
    fn new(run: &Run, accesses: &[u32]) -> Epochs {
        // By access, because a value that nobody can have read for certain may have been written twice.
        let mut cluster_of: HashMap<u32, u32> = HashMap::new();
        let mut parts = vec![Part { start: 0, end: 0, cluster: 0, write: true }];
        let mut clusters = vec![vec![0]];
        for &at in accesses {
            let access = run.at(at);
            if access.writes != NONE {
                cluster_of.insert(at, clusters.len() as u32);
                clusters.push(Vec::new());
            }
        }
        for &at in accesses {
            let access = run.at(at);
            let write = access.writes != NONE;
            let source = if write { at } else { run.source(at) };
            let cluster = cluster_of.get(&source).copied().unwrap_or(0);
            let end = if access.end == Op::OPEN { Op::OPEN } else { access.end + 1 };
            clusters[cluster as usize].push(parts.len() as u32);
            parts.push(Part { start: access.call + 1, end, cluster, write });
        }
        let count = parts.len() as u32;
        // Accesses come by call, so parts are sorted by start already. The list begins and ends at `count`.
        let previous = (0..=count).map(|at| if at == 0 { count } else { at - 1 }).collect();
        let next = (0..=count).map(|at| if at == count { 0 } else { at + 1 }).collect();
        let writes = (0..count).filter(|&at| parts[at as usize].write).collect();
        Epochs { here: vec![true; count as usize], parts, clusters, previous, next, taken: Vec::new(), writes }
    }

    fn take(&mut self, at: u32) {
        if std::mem::replace(&mut self.here[at as usize], false) {
            let (previous, next) = (self.previous[at as usize], self.next[at as usize]);
            self.next[previous as usize] = next;
            self.previous[next as usize] = previous;
            self.taken.push(at);
        }
    }

    fn put_back(&mut self, mark: usize) {
        while self.taken.len() > mark
            && let Some(at) = self.taken.pop()
        {
            let (previous, next) = (self.previous[at as usize], self.next[at as usize]);
            self.next[previous as usize] = at;
            self.previous[next as usize] = at;
            self.here[at as usize] = true;
        }
    }

    /// The earliest end of what is left of a cluster.
    fn first_end(&self, cluster: u32) -> u64 {
        let left = self.clusters[cluster as usize].iter().filter(|at| self.here[**at as usize]);
        left.map(|at| self.parts[*at as usize].end).min().unwrap_or(0)
    }

    /// Writes after whose clusters no other write had to begin, the latest first.
    fn candidates(&mut self) -> Vec<u32> {
        while self.writes.last().is_some_and(|&write| !self.here[write as usize]) {
            self.writes.pop();
        }
        let left = || self.writes.iter().rev().copied().filter(|&write| self.here[write as usize]);
        let mut latest = left();
        let first = latest.next().map_or(0, |write| self.parts[write as usize].start);
        let second = latest.next().map_or(0, |write| self.parts[write as usize].start);
        let mut found = Vec::new();
        for write in left() {
            let part = self.parts[write as usize];
            let others = if part.start == first { second } else { first };
            if self.first_end(part.cluster) >= others {
                found.push(write);
            }
        }
        found
    }

    /// Takes this cluster out as the last one, and those that are forced before it.
    fn epoch(&mut self, last: u32) -> bool {
        let end_of_list = self.parts.len();
        let mut cluster = last;
        loop {
            let first_end = self.first_end(cluster);
            let write = self.clusters[cluster as usize].iter().copied().find(|at| self.parts[*at as usize].write);
            let Some(write) = write.filter(|&write| self.here[write as usize]) else { return false };
            if first_end < self.parts[write as usize].start {
                return false;
            }
            let mut forced = NONE;
            let mut at = self.previous[end_of_list];
            while at as usize != end_of_list && self.parts[at as usize].start > first_end {
                let part = self.parts[at as usize];
                let before = self.previous[at as usize];
                if part.cluster != cluster {
                    if part.write || (forced != NONE && forced != part.cluster) {
                        return false;
                    }
                    forced = part.cluster;
                }
                self.take(at);
                at = before;
            }
            for own in 0..self.clusters[cluster as usize].len() {
                self.take(self.clusters[cluster as usize][own]);
            }
            if forced == NONE {
                return true;
            }
            cluster = forced;
        }
    }
}
