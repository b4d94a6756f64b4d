//! How far each read was behind, and tables of it. Measures only.
use super::accesses::{NONE, Run};
use crate::history::{Fault, History, Op};
use crate::verdict::messages;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// How far a read was behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind {
    /// The read.
    pub(crate) read: u32,
    /// Its position in the history.
    pub(crate) op: u32,
    /// Writes certainly newer than what it returned, and certainly done before it.
    pub(crate) k: u64,
    /// Nanoseconds from the first certain effect of one of them to the call of the read.
    pub(crate) delta: u64,
    /// The write whose effect was certain first.
    newer: u32,
    /// When what was read had certainly taken effect, by index.
    since: u64,
}

/// All reads of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) reads: Vec<Behind>,
}

/// Writes of one key: call, certain effect, access. Or its reads: call, certain effect of what was read, access. By
/// call.
type Intervals = Vec<(u64, u64, u32)>;

/// Measures every read.
pub(crate) fn measure(history: &History, run: &Run) -> Table {
    let mut effect: Vec<(u64, u32)> = vec![(Op::OPEN, NONE); run.len()];
    for at in 0..run.len() as u32 {
        let access = run.at(at);
        let source = run.source(at);
        for write in [Some(at).filter(|_| access.writes != NONE), Some(source).filter(|one| *one != NONE)] {
            let Some(write) = write else { continue };
            let known = &mut effect[write as usize];
            *known = (*known).min((access.end, at));
        }
    }
    let mut keys: Vec<(Intervals, Intervals)> = vec![(Vec::new(), Vec::new()); run.keys as usize];
    for at in 0..run.len() as u32 {
        let access = run.at(at);
        let (writes, reads) = &mut keys[access.key as usize];
        if access.writes != NONE {
            writes.push((access.call, effect[at as usize].0, at));
        } else if access.reads != NONE {
            let source = run.source(at);
            // The initial value was there before anything: index 0 is the start of the record.
            let since = if source == NONE { 0 } else { effect[source as usize].0 };
            reads.push((access.call, since, at));
        }
    }
    let shown: Vec<u32> = effect.iter().map(|(_, by)| *by).collect();
    let mut reads = Vec::new();
    for (writes, asked) in keys {
        one_key(history, run, &writes, &asked, &shown, &mut reads);
    }
    reads.sort_unstable_by_key(|read| read.read);
    Table { reads }
}

/// Reads by call against writes by certain effect; writes counted by call in a Fenwick tree.
fn one_key(history: &History, run: &Run, writes: &Intervals, asked: &Intervals, shown: &[u32], out: &mut Vec<Behind>) {
    let time = |at: u32| history.ops().at(run.at(at).op as usize);
    let mut by_effect: Vec<usize> = (0..writes.len()).collect();
    by_effect.sort_unstable_by_key(|&at| writes[at].1);
    // From this write on by call, the one whose effect was certain first.
    let mut first: Vec<usize> = (0..writes.len()).collect();
    for at in (0..writes.len().saturating_sub(1)).rev() {
        if writes[first[at + 1]].1 < writes[at].1 {
            first[at] = first[at + 1];
        }
    }
    let mut tree = vec![0u64; writes.len() + 1];
    let mut next = 0;
    let mut done = 0;
    for &(call, since, read) in asked {
        while next < by_effect.len() && writes[by_effect[next]].1 < call {
            let mut at = by_effect[next] + 1;
            while at < tree.len() {
                tree[at] += 1;
                at += at & at.wrapping_neg();
            }
            next += 1;
            done += 1;
        }
        let from = writes.partition_point(|(call, ..)| *call <= since && since > 0);
        let mut older = 0;
        let mut at = from;
        while at > 0 {
            older += tree[at];
            at &= at - 1;
        }
        let k = done - older;
        let newest = first.get(from).copied().filter(|_| k > 0);
        let (newer, delta) = newest.map_or((NONE, 0), |newer| {
            let newer = writes[newer].2;
            let end = time(shown[newer as usize]).reply_time;
            (newer, time(read).call_time.saturating_sub(end))
        });
        out.push(Behind { read, op: run.at(read).op, k, delta, newer, since });
    }
}

impl Behind {
    /// The read, its value's write, `writes` certainly newer writes, and the operations that show that all of these took effect.
    pub(crate) fn support(&self, run: &Run, writes: usize) -> Vec<u32> {
        let read = run.at(self.read);
        let mut support = vec![self.read];
        let source = run.source(self.read);
        let mut wanted: Vec<u32> = Vec::new();
        if source != NONE {
            wanted.push(source);
        }
        if self.newer != NONE {
            wanted.push(self.newer);
        }
        let late = |at: &u32| {
            let access = run.at(*at);
            access.key == read.key && access.writes != NONE && (self.since == 0 || access.call > self.since)
        };
        let newer: Vec<u32> = (0..run.len() as u32).filter(late).collect();
        let mut shows: BTreeMap<u32, u32> = BTreeMap::new();
        for at in 0..run.len() as u32 {
            let source = run.source(at);
            for write in [source, at].into_iter().filter(|&one| one != NONE && run.at(one).writes != NONE) {
                let best = shows.entry(write).or_insert(at);
                if run.at(at).end < run.at(*best).end {
                    *best = at;
                }
            }
        }
        let done = |at: &u32| shows.get(at).is_some_and(|by| run.at(*by).end < read.call);
        let more: Vec<u32> = newer.into_iter().filter(done).filter(|at| !wanted.contains(at)).collect();
        wanted.extend(more.into_iter().take(writes.saturating_sub(1)));
        for write in wanted {
            support.push(write);
            support.extend(shows.get(&write));
        }
        support.sort_unstable();
        support.dedup();
        support
    }
}

/// The smallest, the middle one, the one that 99 of 100 do not exceed, the largest.
fn quantiles(mut values: Vec<u64>, scale: f64) -> Json {
    values.sort_unstable();
    let at = |percent: usize| {
        let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
        values.get(place).map(|value| *value as f64 / scale)
    };
    json!({ "min": at(0), "median": at(50), "p99": at(99), "max": at(100) })
}

fn row(reads: &[&Behind]) -> Json {
    let stale = reads.iter().filter(|read| read.k > 0).count();
    json!({
        "reads": reads.len(),
        "stale_reads": stale,
        "delta_ms": quantiles(reads.iter().map(|read| read.delta).collect(), 1e6),
        "k": quantiles(reads.iter().map(|read| read.k).collect(), 1.0),
    })
}

impl Table {
    /// The numbers of these reads: all, by node, and by kind of the faults that may have been in force at their call.
    pub(crate) fn numbers(history: &History, reads: &[&Behind]) -> BTreeMap<String, Json> {
        let op = |read: &Behind| history.ops().at(read.op as usize);
        let mut nodes: BTreeMap<&str, Vec<&Behind>> = BTreeMap::new();
        for read in reads.iter().filter(|read| messages::placed(history, &op(read))) {
            nodes.entry(history.name(op(read).node)).or_default().push(read);
        }
        let faults = history.faults.iter().filter_map(|fault: &Fault| Some((fault, fault.possible()?)));
        let mut by_fault: Vec<Json> = Vec::new();
        for (fault, (from, to)) in faults {
            let during: Vec<&Behind> =
                reads.iter().filter(|read| (from..=to).contains(&op(read).call_time)).copied().collect();
            let mut figures = row(&during);
            figures["fault"] = json!(fault.id);
            figures["what"] = json!(messages::fault(fault));
            by_fault.push(figures);
        }
        let nodes: BTreeMap<&str, Json> = nodes.into_iter().map(|(node, reads)| (node, row(&reads))).collect();
        BTreeMap::from([
            ("reads".to_owned(), row(reads)),
            ("by_node".to_owned(), json!(nodes)),
            ("by_fault".to_owned(), json!(by_fault)),
        ])
    }
}
