//! Makes a pattern small and tells it: operations, then one sentence for each step of the cycle.
use super::accesses::{NONE, Run};
use super::order::Step;
use super::patterns::Bad;
use crate::history::{History, Op};
use crate::value::Value;
use crate::verdict::certificate::{Certificate, Claim, Edge, EdgeKind};
use crate::verdict::messages;
use crate::verdict::{Severity, Violation};

/// How many smaller counterexamples are tried.
const TRIES: usize = 2000;

/// The accesses that still show what `find` looks for, none of which can be spared. Who wrote what somebody saw stays.
pub(crate) fn shrink(run: &Run, support: &[u32], find: &dyn Fn(&Run) -> Option<Bad>) -> Option<(Run, Bad)> {
    let mut keep = support.to_vec();
    let mut kept = vec![false; run.len()];
    keep.iter().for_each(|at| kept[*at as usize] = true);
    let mut next = 0;
    while let Some(&at) = keep.get(next) {
        next += 1;
        let source = run.source(at);
        if source != NONE && !std::mem::replace(&mut kept[source as usize], true) {
            keep.push(source);
        }
        // What was never acknowledged happened because somebody saw it, in the end somebody who certainly happened.
        let witness = |other: &u32| *other != at && run.source(*other) == at;
        let certain = |other: &u32| witness(other) && run.at(*other).end != Op::OPEN;
        if run.at(at).end == Op::OPEN && !keep.iter().any(certain) {
            let all = 0..run.len() as u32;
            let found = all.clone().find(certain).or_else(|| all.clone().find(witness));
            keep.extend(found.filter(|other| !std::mem::replace(&mut kept[*other as usize], true)));
        }
    }
    keep.sort_unstable();
    keep.dedup();
    let mut best = (run.subset(&keep), find(&run.subset(&keep))?);
    let mut tries = 0;
    let mut chunk = keep.len();
    let mut spared = true;
    // Halves first, then quarters, at last one by one until none can be spared.
    while (chunk > 1 || spared) && tries < TRIES {
        chunk = (chunk / 2).max(1);
        spared = false;
        let mut end = keep.len();
        while end > 0 && tries < TRIES {
            let rest = without(run, &keep, &keep[end.saturating_sub(chunk)..end]);
            end = end.saturating_sub(chunk);
            if rest.is_empty() {
                continue;
            }
            tries += 1;
            let smaller = run.subset(&rest);
            if let Some(bad) = find(&smaller) {
                best = (smaller, bad);
                keep = rest;
                end = end.min(keep.len());
                spared = true;
            }
        }
    }
    Some(best)
}

/// Without these accesses, everybody who saw what they wrote, and what was never acknowledged and nobody saw any more.
fn without(run: &Run, keep: &[u32], gone: &[u32]) -> Vec<u32> {
    let mut rest: Vec<u32> = keep.iter().copied().filter(|at| gone.binary_search(at).is_err()).collect();
    loop {
        let before = rest.clone();
        let place = |at: u32| before.binary_search(&at).ok();
        let mut seen = vec![false; before.len()];
        let certain = before.iter().filter(|at| run.at(**at).end != Op::OPEN);
        let mut todo: Vec<u32> = certain.map(|at| run.source(*at)).collect();
        while let Some(place) = todo.pop().map(place) {
            if let Some(place) = place.filter(|&place| !std::mem::replace(&mut seen[place], true)) {
                todo.push(run.source(before[place]));
            }
        }
        rest.retain(|at| {
            let source = run.source(*at);
            let happened = run.at(*at).end != Op::OPEN || place(*at).is_some_and(|place| seen[place]);
            happened && (source == NONE || place(source).is_some())
        });
        if rest.len() == before.len() {
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
    /// Whether reads answer `[version, value]`.
    pub(crate) versions: bool,
}

/// The violation that a shrunk run shows.
pub(crate) fn violation<'h>(history: &'h History, run: &Run, bad: &Bad, words: &Words) -> Violation<'h> {
    let op = |at: u32| history.ops().at(run.at(at).op as usize);
    let ops: Vec<Op<'_>> = (0..run.len() as u32).map(op).collect();
    let mut keys: Vec<Value> = ops.iter().map(|op| op.key.to_value()).collect();
    keys.sort();
    keys.dedup();
    let cycle: Vec<Edge> = bad.cycle.iter().map(|step| edge(history, run, words.versions, *step)).collect();
    let calls: Vec<u64> = ops.iter().map(|op| op.call).collect();
    let names: Vec<String> = calls.iter().take(6).map(|call| format!("#{call}")).collect();
    let title = format!("{} ({})", (words.reason)(bad.kind), names.join(", "));
    let mut sentences: Vec<String> = ops.iter().map(|op| messages::operation(history, op)).collect();
    sentences.extend(cycle.iter().map(say));
    if bad.kind == "thin-air-read" {
        let reader = run.phantom().map(|reader| history.ops().at(run.at(reader).op as usize));
        sentences.extend(reader.map(|op| never_written(history, &op)));
    }
    let key = if let [key] = &keys[..] { key.clone() } else { Value::Nil };
    // A causal order that comes back to itself needs nobody beside those on it; what a read shows is told by its writer.
    let on_it = |call: &u64| bad.kind != "cyclic-co" || cycle.iter().any(|edge| edge.from == *call || edge.to == *call);
    let certified: Vec<u64> = calls.iter().copied().filter(on_it).collect();
    let certificate = Certificate::new(history, (words.claim)(bad, cycle.clone()), &certified);
    let violation = Violation::explained((bad.kind, Severity::Violation), title, sentences, ops);
    Violation { key, cycle, ..violation }.with_certificate(Some(certificate))
}

/// The refused writes of what a read saw.
fn never_written(history: &History, read: &Op<'_>) -> String {
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

fn edge(history: &History, run: &Run, versions: bool, (from, to, step): (u32, u32, Step)) -> Edge {
    let op = |at: u32| history.ops().at(run.at(at).op as usize);
    let written = |at: u32| {
        let op = op(at);
        let pair = op.input.as_list().filter(|list| list.len() == 2 && history.name(op.function) == "cas");
        pair.map_or(op.input, |pair| pair.at(1)).to_value()
    };
    let seen = |at: u32| {
        let op = op(at);
        let pair = op.input.as_list().filter(|list| list.len() == 2 && history.name(op.function) == "cas");
        let versioned = op.output.as_list().filter(|list| versions && list.len() == 2);
        match (pair, versioned) {
            (Some(pair), _) => pair.at(0).to_value(),
            (None, Some(versioned)) => versioned.at(1).to_value(),
            (None, None) => op.output.to_value(),
        }
    };
    let key = if matches!(step, Step::Process | Step::Realtime) { Value::Nil } else { op(to).key.to_value() };
    let (kind, before, after) = match step {
        Step::Process => (EdgeKind::Process, Value::Nil, Value::Nil),
        Step::Realtime => (EdgeKind::Realtime, Value::Nil, Value::Nil),
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
            "What was seen only makes sense if {} of #{from} is older than {} of #{to}.",
            edge.before, edge.after
        ),
        EdgeKind::Realtime => format!("#{from} had ended before #{to} was called."),
    }
}
