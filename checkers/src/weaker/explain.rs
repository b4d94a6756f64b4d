//! Makes a pattern small and tells it: operations, then one sentence for each step of the cycle.
use super::accesses::{NONE, Run};
use super::order::Step;
use super::patterns::Bad;
use crate::certificate::{Certificate, Claim, Edge, EdgeKind};
use crate::history::{History, Op};
use crate::value::Value;
use crate::verdict::{Finding, Severity};
use crate::wording;

/// Counterexamples above this size are shown as they were found.
const POOL: usize = 400;

/// The accesses that still show what `find` looks for, none of which can be spared. Who wrote what somebody saw stays.
pub(crate) fn shrink(run: &Run, support: &[u32], find: &dyn Fn(&Run) -> Option<Bad>) -> Option<(Run, Bad)> {
    let mut keep = support.to_vec();
    let mut next = 0;
    while let Some(&at) = keep.get(next) {
        next += 1;
        let source = run.source(at);
        if source != NONE && !keep.contains(&source) {
            keep.push(source);
        }
        // What was never acknowledged happened because somebody saw it.
        let witness = |other: &u32| *other != at && run.source(*other) == at;
        if run.at(at).end == Op::OPEN && !keep.iter().any(witness) {
            keep.extend((0..run.len() as u32).find(witness));
        }
    }
    keep.sort_unstable();
    keep.dedup();
    let mut best = (run.subset(&keep), find(&run.subset(&keep))?);
    if keep.len() > POOL {
        return Some(best);
    }
    let mut at = keep.len();
    let mut spared = false;
    loop {
        if at == 0 {
            if !spared {
                return Some(best);
            }
            (at, spared) = (keep.len(), false);
        }
        at -= 1;
        let rest = without(run, &keep, keep[at]);
        if rest.len() >= keep.len() {
            continue;
        }
        let smaller = run.subset(&rest);
        if let Some(bad) = find(&smaller) {
            best = (smaller, bad);
            keep = rest;
            spared = true;
            at = at.min(keep.len());
        }
    }
}

/// Without this access, everybody who saw what it wrote, and what was never acknowledged and nobody saw any more.
fn without(run: &Run, keep: &[u32], gone: u32) -> Vec<u32> {
    let mut rest: Vec<u32> = keep.iter().copied().filter(|at| *at != gone).collect();
    loop {
        let before = rest.len();
        let others = |at: &&u32| run.source(**at) != **at;
        let seen: Vec<u32> = rest.iter().filter(others).map(|at| run.source(*at)).collect();
        let there = rest.clone();
        rest.retain(|at| {
            let source = run.source(*at);
            (source == NONE || there.contains(&source)) && (run.at(*at).end != Op::OPEN || seen.contains(at))
        });
        if rest.len() == before {
            return rest;
        }
    }
}

/// How a checker names itself to people.
pub(crate) struct Words {
    /// One sentence why this pattern breaks the promise, by its kind.
    pub(crate) reason: fn(&str) -> &'static str,
    /// The claim that goes with it.
    pub(crate) claim: fn(&Bad, Vec<Edge>) -> Claim,
}

/// A finding of what a shrunk run shows.
pub(crate) fn finding(history: &History, run: &Run, bad: &Bad, words: &Words) -> Finding {
    let op = |at: u32| history.ops().at(run.at(at).op as usize);
    let ops: Vec<Op<'_>> = (0..run.len() as u32).map(op).collect();
    let mut keys: Vec<Value> = ops.iter().map(|op| op.key.to_value()).collect();
    keys.sort();
    keys.dedup();
    let cycle: Vec<Edge> = bad.cycle.iter().map(|step| edge(history, run, *step)).collect();
    let calls: Vec<u64> = ops.iter().map(|op| op.call).collect();
    let names: Vec<String> = calls.iter().take(6).map(|call| format!("#{call}")).collect();
    let title = format!("{} ({})", (words.reason)(bad.kind), names.join(", "));
    let mut finding = Finding::new(bad.kind, Severity::Violation, title);
    finding.sentences.extend(ops.iter().map(|op| wording::operation(history, op)));
    finding.sentences.extend(cycle.iter().map(say));
    if bad.kind == "thin-air-read" {
        finding.sentences.extend(ops.iter().map(|op| nobody(history, op)));
    }
    finding.faults = wording::faults_around(history, &ops);
    finding.sentences.extend(wording::faults(history, &finding.faults));
    finding.nodes = wording::nodes_of(history, &ops);
    finding.key = if let [key] = &keys[..] { key.clone() } else { Value::Nil };
    finding.certificate = Some(Certificate::new(history, (words.claim)(bad, cycle.clone()), &calls));
    finding.ops = calls;
    finding.cycle = cycle;
    finding
}

/// Who tried in vain to write what a read saw.
fn nobody(history: &History, read: &Op<'_>) -> String {
    let value = read.output;
    let failed = history.ops().iter().find(|op| {
        let same = op.workload == read.workload && op.key == read.key;
        same && (op.input == value || op.input.as_list().is_some_and(|pair| pair.len() == 2 && pair.at(1) == value))
    });
    match failed {
        Some(op) => format!("The only call that would have written {value} certainly failed: #{}.", op.call),
        None => format!("No call ever wrote {value} to key {}.", read.key),
    }
}

fn edge(history: &History, run: &Run, (from, to, step): (u32, u32, Step)) -> Edge {
    let op = |at: u32| history.ops().at(run.at(at).op as usize);
    let written = |at: u32| {
        let op = op(at);
        let pair = op.input.as_list().filter(|list| list.len() == 2 && history.name(op.function) == "cas");
        pair.map_or(op.input, |pair| pair.at(1)).to_value()
    };
    let seen = |at: u32| {
        let op = op(at);
        let pair = op.input.as_list().filter(|list| list.len() == 2 && history.name(op.function) == "cas");
        pair.map_or(op.output, |pair| pair.at(0)).to_value()
    };
    let key = if step == Step::Process { Value::Nil } else { op(to).key.to_value() };
    let (kind, before, after) = match step {
        Step::Process => (EdgeKind::Process, Value::Nil, Value::Nil),
        Step::Wr => (EdgeKind::Wr, written(from), written(from)),
        Step::Rw => (EdgeKind::Rw, seen(from), written(to)),
        Step::Ww => (EdgeKind::Ww, written(from), written(to)),
    };
    Edge { from: op(from).call, to: op(to).call, kind, key, before, after }
}

fn say(edge: &Edge) -> String {
    let (from, to) = (edge.from, edge.to);
    match edge.kind {
        EdgeKind::Process => format!("#{to} was called by the process of #{from}, after it."),
        EdgeKind::Wr => format!("#{to} saw {}, which #{from} wrote.", edge.before),
        EdgeKind::Rw => {
            format!("#{from} saw {}, so it must come before #{to}, whose {} comes after that.", edge.before, edge.after)
        }
        EdgeKind::Ww => format!(
            "#{from} must come before #{to}: who saw {} at #{to} had seen {} of #{from} already, or must have.",
            edge.after, edge.before
        ),
        EdgeKind::Realtime => format!("#{from} had ended before #{to} was called."),
    }
}
