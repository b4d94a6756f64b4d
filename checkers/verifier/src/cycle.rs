//! Cycles of dependencies between transactions: each edge is derived again from the operations, and the kinds of edges fit
//! the anomaly's name (Adya 1999; Kingsbury and Alvaro, VLDB 2020).
use crate::certificate::{Certificate, Edge, EdgeKind, Op, Outcome};
use crate::{Refused, refuse};
use serde_json::Value;

/// Whether the edges follow from the operations and are the cycle that the anomaly names.
pub(crate) fn holds(certificate: &Certificate, anomaly: &str, edges: &[Edge]) -> Result<(), Refused> {
    let Some(last) = edges.last() else { return refuse("a cycle has edges") };
    let mut at = last.to;
    for edge in edges {
        if edge.from != at {
            return refuse(format!("the edge from #{} does not begin where the one before ends, #{at}", edge.from));
        }
        at = edge.to;
        let (from, to) = (certificate.op(edge.from)?, certificate.op(edge.to)?);
        for op in [from, to] {
            if op.outcome == Outcome::Fail {
                return refuse(format!("#{} failed and depends on nothing", op.call));
            }
        }
        if from.call == to.call {
            return refuse(format!("#{} cannot depend on itself", from.call));
        }
        derived(certificate, edge, from, to)?;
    }
    for (place, edge) in edges.iter().enumerate() {
        if edges[..place].iter().any(|other| other.from == edge.from) {
            return refuse(format!("the cycle passes #{} twice", edge.from));
        }
    }
    for op in &certificate.ops {
        if op.outcome == Outcome::Fail {
            return refuse(format!("#{} failed and shows nothing", op.call));
        }
    }
    named(anomaly, edges)
}

/// Whether the kinds of edges are those of the anomaly.
fn named(anomaly: &str, edges: &[Edge]) -> Result<(), Refused> {
    let count = |kind: EdgeKind| edges.iter().filter(|edge| edge.kind == kind).count();
    let (wr, rw) = (count(EdgeKind::Wr), count(EdgeKind::Rw));
    let (process, realtime) = (count(EdgeKind::Process), count(EdgeKind::Realtime));
    let kinds: Vec<EdgeKind> = edges.iter().map(|edge| edge.kind).collect();
    let adjacent = (0..kinds.len())
        .any(|at| kinds.len() > 1 && kinds[at] == EdgeKind::Rw && kinds[(at + 1) % kinds.len()] == EdgeKind::Rw);
    let (base, asked) = match anomaly {
        name if name.ends_with("-realtime") => (name.trim_end_matches("-realtime"), realtime > 0),
        name if name.ends_with("-process") => (name.trim_end_matches("-process"), realtime == 0 && process > 0),
        name => (name, realtime == 0 && process == 0),
    };
    let fits = match base.trim_end_matches("-item") {
        "G0" => rw == 0 && wr == 0,
        "G1c" => rw == 0 && wr > 0,
        "G-single" => rw == 1,
        "G-nonadjacent" => rw > 1 && !adjacent,
        "G2" => rw > 1 && adjacent,
        _ => return refuse(format!("no cycle is called {anomaly}")),
    };
    if fits && asked { Ok(()) } else { refuse(format!("these edges are not {anomaly}")) }
}

/// Whether the operations show the edge.
fn derived(certificate: &Certificate, edge: &Edge, from: &Op, to: &Op) -> Result<(), Refused> {
    let bare = edge.key.is_null() && edge.before.is_null() && edge.after.is_null();
    let shown = match edge.kind {
        EdgeKind::Process => bare && from.process == to.process && from.call < to.call,
        EdgeKind::Realtime => bare && from.end() < to.call,
        EdgeKind::Wr => {
            edge.before == edge.after && wrote(from, edge, &edge.before) && found(to, edge, &edge.after, true)
        }
        EdgeKind::Ww => {
            wrote(from, edge, &edge.before)
                && wrote(to, edge, &edge.after)
                && follows(certificate, edge, &edge.before, &edge.after)
        }
        EdgeKind::Rw => {
            found(from, edge, &edge.before, false)
                && wrote(to, edge, &edge.after)
                && follows(certificate, edge, &edge.before, &edge.after)
        }
    };
    if shown {
        return Ok(());
    }
    refuse(format!("the operations do not show the {:?} edge from #{} to #{}", edge.kind, edge.from, edge.to))
}

/// A step of a transaction: function, key, argument or what was read.
struct Mop<'a> {
    f: &'a str,
    key: &'a Value,
    value: &'a Value,
}

fn mops<'a>(op: &'a Op) -> Vec<Mop<'a>> {
    // Of an indeterminate transaction, reads are unknown and writes are as they were asked for.
    let list = if op.ok() && op.output.is_array() { &op.output } else { &op.input };
    let entries = list.as_array().into_iter().flatten();
    if op.f != "txn" {
        let value = if op.ok() && !op.output.is_null() { &op.output } else { &op.input };
        return vec![Mop { f: &op.f, key: &op.key, value }];
    }
    let mop = |entry: &'a Value| match entry.as_array().map(Vec::as_slice) {
        Some([Value::String(f), key, value]) => Some(Mop { f, key, value }),
        _ => None,
    };
    entries.filter_map(mop).collect()
}

fn writes(f: &str) -> bool {
    matches!(f, "append" | "w" | "write")
}

fn reads(f: &str) -> bool {
    matches!(f, "r" | "read")
}

/// Whether the operation wrote this version of the edge's key.
fn wrote(op: &Op, edge: &Edge, version: &Value) -> bool {
    !version.is_null() && mops(op).iter().any(|mop| writes(mop.f) && *mop.key == edge.key && mop.value == version)
}

/// Whether the operation read this version, before it wrote the key itself. For a list, its last element is the
/// version; where `within`, an element in it will do.
fn found(op: &Op, edge: &Edge, version: &Value, within: bool) -> bool {
    if !op.ok() {
        return false;
    }
    let mut own = false;
    for mop in mops(op).iter().filter(|mop| *mop.key == edge.key) {
        if reads(mop.f) && !own {
            let shown = match mop.value {
                Value::Array(items) if within => items.contains(version),
                Value::Array(items) => items.last().unwrap_or(&Value::Null) == version,
                value => value == version,
            };
            if shown {
                return true;
            }
        }
        own |= writes(mop.f);
    }
    false
}

/// Whether some operation shows that one version came right after the other, or, for lists, that it came later.
fn follows(certificate: &Certificate, edge: &Edge, before: &Value, after: &Value) -> bool {
    let ok = certificate.ops.iter().filter(|op| op.ok());
    let mut shown = false;
    for op in ok {
        let mut last_read: Option<&Value> = None;
        for mop in mops(op).iter().filter(|mop| *mop.key == edge.key) {
            match mop.value {
                Value::Array(items) if reads(mop.f) => {
                    let place = |version: &Value| items.iter().position(|item| item == version);
                    let later = match (before.is_null(), place(before), place(after)) {
                        (true, _, Some(_)) => true,
                        (false, Some(one), Some(two)) => one < two,
                        // A list that ends without an element that was certainly appended comes before it.
                        (_, _, None) => {
                            items.last().unwrap_or(&Value::Null) == before
                                && op.call == edge.from
                                && certain(certificate, edge, after)
                        }
                        _ => false,
                    };
                    shown |= later;
                }
                value if reads(mop.f) => {
                    last_read = Some(value);
                    // Every version comes after the initial one.
                    shown |= value == before && before.is_null();
                }
                value if mop.f != "append" && writes(mop.f) => {
                    // Read, then overwritten by the same transaction.
                    shown |= value == after && last_read == Some(before);
                    last_read = Some(value);
                }
                _ => {}
            }
        }
    }
    shown
}

/// Whether the appended element is certainly there in the end: it was acknowledged, or somebody saw it.
fn certain(certificate: &Certificate, edge: &Edge, element: &Value) -> bool {
    let acknowledged = |op: &&Op| op.call == edge.to && op.ok();
    let saw = |op: &&Op| {
        let seen = |mop: &Mop<'_>| {
            reads(mop.f) && *mop.key == edge.key && mop.value.as_array().is_some_and(|items| items.contains(element))
        };
        op.ok() && mops(op).iter().any(seen)
    };
    certificate.ops.iter().any(|op| acknowledged(&op) || saw(&op))
}
