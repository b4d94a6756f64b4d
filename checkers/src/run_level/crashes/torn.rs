//! When a line about corrupt data may tell of the torn end of a file, which recovery after a kill cuts off.
//!
//! A line is excused only within a recovery: from an abrupt end of a process of the node until [`RECOVERY_NS`] after the next start.
//! A planned kill excuses from its beginning, because no line caused it. An end by itself excuses only lines that are
//! certainly after it: one before it may tell what ended the process.
use super::ending::ends_processes;
use crate::history::{Fault, History, ProcessEvent, ProcessStep};

/// A process that was started again reads what was half written within this time.
const RECOVERY_NS: u64 = 30_000_000_000;

type Interval = (u64, u64);

/// Whether these lines may tell of the torn end of a file.
pub(super) fn may_be_torn(event: &ProcessEvent, history: &History) -> bool {
    let node = &*event.node;
    let kills = kills(node, history);
    let Some((first, last)) = event.between else {
        // Lines without a time: of some recovery, if the harness started a process of this node again.
        return !kills.is_empty() || restarts(node, history).next().is_some();
    };
    // A clock that jumps misdates lines: they may have been written at any time of the fault.
    let jumps: Vec<Interval> = faults(node, "clock", history).filter_map(Fault::possible).collect();
    let misdated = jumps.iter().any(|jump| kills.iter().any(|kill| overlap(*jump, *kill)));
    let certainly_after = |end: u64| end <= first && jumps.iter().all(|(begin, _)| end <= *begin);
    let ends: Vec<Interval> = ends(node, history).into_iter().filter(|(end, _)| certainly_after(*end)).collect();
    let misdated = misdated || jumps.iter().any(|jump| ends.iter().any(|end| overlap(*jump, *end)));
    misdated || within(first, last, kills.into_iter().chain(ends).collect())
}

/// Recoveries from planned kills: from the begin of each until some time after the processes were started again.
fn kills(node: &str, history: &History) -> Vec<Interval> {
    let possible = kills_of(node, history).filter_map(Fault::possible);
    possible.map(|(begin, healed)| (begin, healed.saturating_add(RECOVERY_NS))).collect()
}

/// Recoveries from ends that the harness did not ask for, from the time at which each end was certain. Where the harness did not
/// start the process again, something else may have done so at once.
fn ends(node: &str, history: &History) -> Vec<Interval> {
    let abrupt = |event: &&ProcessEvent| {
        matches!(event.step, ProcessStep::Ended | ProcessStep::OutOfMemory) && &*event.node == node
    };
    let ended = history.processes.iter().filter(abrupt).filter_map(|event| Some(event.between?.1));
    ended
        .map(|end| {
            let healed = kills_of(node, history).filter_map(Fault::possible).map(|(_, healed)| healed);
            let started = restarts(node, history).chain(healed).filter(|start| *start >= end).min();
            (end, started.unwrap_or(end).saturating_add(RECOVERY_NS))
        })
        .collect()
}

/// When the harness started a process of this node again after the last heal.
fn restarts<'h>(node: &'h str, history: &'h History) -> impl Iterator<Item = u64> + 'h {
    let restarted = move |event: &&ProcessEvent| event.step == ProcessStep::Restarted && &*event.node == node;
    history.processes.iter().filter(restarted).map(|event| event.time)
}

/// Faults that end processes of a node, those of memory among them: the kernel, or a kill in its stead, ends what has too much.
fn kills_of<'h>(node: &'h str, history: &'h History) -> impl Iterator<Item = &'h Fault> + 'h {
    let aimed = move |fault: &&Fault| fault.nodes.iter().any(|aimed| aimed == node);
    let ends = |fault: &&Fault| ends_processes(&fault.kind) || fault.kind == "memory";
    history.faults.iter().filter(ends).filter(aimed)
}

fn faults<'h>(node: &'h str, kind: &'static str, history: &'h History) -> impl Iterator<Item = &'h Fault> + 'h {
    history.faults.iter().filter(move |fault| fault.kind == kind && fault.nodes.iter().any(|aimed| aimed == node))
}

fn overlap(one: Interval, other: Interval) -> bool {
    one.0 <= other.1 && other.0 <= one.1
}

/// Whether the intervals cover all from `first` to `last`.
fn within(first: u64, last: u64, mut intervals: Vec<Interval>) -> bool {
    intervals.sort_unstable();
    let mut covered: Option<u64> = None;
    for (begin, end) in intervals {
        if begin <= covered.unwrap_or(first) && end >= first {
            covered = Some(covered.map_or(end, |covered| covered.max(end)));
        }
    }
    covered.is_some_and(|covered| covered >= last)
}
