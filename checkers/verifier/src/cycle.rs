//! Cycles of dependencies between transactions: each edge is derived again from the operations, and the kinds of edges fit
//! the anomaly's name (Adya 1999; Kingsbury and Alvaro, VLDB 2020; Bouajjani et al., POPL 2017; Biswas and Enea, OOPSLA 2019).
use crate::certificate::{Certificate, Edge, EdgeKind, Op, Outcome};
use crate::history::History;
use crate::mops::{Deed, Mop, base, happened, mops, own_before, reads, wrote};
use crate::{Refused, refuse};
use serde_json::Value;

/// What a claim may assume of the store beside isolation: that each process sees each key only grow, and that each key alone
/// is linearizable.
const ASSUMPTIONS: [&str; 2] = ["sequential-keys", "linearizable-keys"];

/// Whether the edges follow from the operations and are the cycle that the anomaly names.
pub(crate) fn holds(
    certificate: &Certificate,
    anomaly: &str,
    edges: &[Edge],
    assumes: &[String],
    history: Option<&History>,
) -> Result<(), Refused> {
    closed(certificate, edges)?;
    named(anomaly, edges)?;
    sources(certificate, edges, history)?;
    let ops: Vec<&Op> = certificate.ops.iter().collect();
    shown(&ops, anomaly, edges, assumes)?;
    // What is not on the cycle is there to show something: without it, something is not shown.
    for (at, op) in ops.iter().enumerate() {
        let mut rest = ops.clone();
        rest.remove(at);
        if !edges.iter().any(|edge| edge.from == op.call) && shown(&rest, anomaly, edges, assumes).is_ok() {
            return refuse(format!("#{} shows nothing that is not shown without it", op.call));
        }
    }
    for at in 0..assumes.len() {
        let mut fewer = assumes.to_vec();
        fewer.remove(at);
        if !ASSUMPTIONS.contains(&assumes[at].as_str()) || shown(&ops, anomaly, edges, &fewer).is_ok() {
            return refuse(format!("{} is no assumption that is needed", assumes[at]));
        }
    }
    Ok(())
}

/// The edges lead from operation to operation, round, and no operation is met twice or failed.
fn closed(certificate: &Certificate, edges: &[Edge]) -> Result<(), Refused> {
    let Some(last) = edges.last() else { return refuse("a cycle has edges") };
    if edges.iter().any(|edge| edge.from < edges[0].from) {
        return refuse("a cycle begins with its smallest call");
    }
    let mut at = last.to;
    for (place, edge) in edges.iter().enumerate() {
        if edge.from != at {
            return refuse(format!("the edge from #{} does not begin where the one before ends, #{at}", edge.from));
        }
        at = edge.to;
        if edge.from == edge.to {
            return refuse(format!("#{} cannot depend on itself", edge.from));
        }
        if edges[..place].iter().any(|other| other.from == edge.from) {
            return refuse(format!("the cycle passes #{} twice", edge.from));
        }
        certificate.op(edge.from)?;
    }
    for op in &certificate.ops {
        if op.outcome == Outcome::Fail {
            return refuse(format!("#{} failed and shows nothing", op.call));
        }
        if op.workload != certificate.ops[0].workload {
            return refuse(format!("#{} is of another workload", op.call));
        }
    }
    Ok(())
}

/// Whether the kinds of edges are those of the anomaly.
fn named(anomaly: &str, edges: &[Edge]) -> Result<(), Refused> {
    let count = |kind: EdgeKind| edges.iter().filter(|edge| edge.kind == kind).count();
    let (ww, wr, rw) = (count(EdgeKind::Ww), count(EdgeKind::Wr), count(EdgeKind::Rw));
    let (process, realtime) = (count(EdgeKind::Process), count(EdgeKind::Realtime));
    let kinds: Vec<EdgeKind> = edges.iter().map(|edge| edge.kind).collect();
    let adjacent = (0..kinds.len())
        .any(|at| kinds.len() > 1 && kinds[at] == EdgeKind::Rw && kinds[(at + 1) % kinds.len()] == EdgeKind::Rw);
    let fits = match anomaly {
        // Causes in a circle: sessions and reads-from.
        "cyclic-co" => ww + rw + realtime == 0,
        // A cause that was missed: a path of causes, and the read of the initial version at its end.
        "write-co-init-read" => {
            ww + realtime == 0 && rw == 1 && edges.iter().any(|edge| edge.kind == EdgeKind::Rw && edge.before.is_null())
        }
        // What is seen is missed, or the writes that are seen cannot be put in an order.
        "non-monotonic-view" | "fractured-read" | "causal-violation" => {
            realtime == 0 && (rw == 0 && ww > 0 || rw == 1 && ww == 0)
        }
        _ => {
            let (base, asked) = if let Some(base) = anomaly.strip_suffix("-realtime") {
                (base, realtime > 0)
            } else if let Some(base) = anomaly.strip_suffix("-process") {
                (base, realtime == 0 && process > 0)
            } else {
                (anomaly, realtime == 0 && process == 0)
            };
            let base = if matches!(base, "G0" | "G1c") { base } else { base.strip_suffix("-item").unwrap_or(base) };
            asked
                && match base {
                    "G0" => rw == 0 && wr == 0,
                    "G1c" => rw == 0 && wr > 0,
                    "G-single" => rw == 1,
                    "G-nonadjacent" => rw > 1 && !adjacent,
                    "G2" => rw > 1 && adjacent,
                    _ => return refuse(format!("no cycle is called {anomaly}")),
                }
        }
    };
    if fits { Ok(()) } else { refuse(format!("these edges are not {anomaly}")) }
}

/// Every version of an edge was written by one operation only that may have taken effect: otherwise who read it read from
/// nobody in particular.
fn sources(certificate: &Certificate, edges: &[Edge], history: Option<&History>) -> Result<(), Refused> {
    let workload = &certificate.ops[0].workload;
    let all: Vec<&Op> = match history {
        Some(history) => history.ops.values().filter(|op| op.workload == *workload).collect(),
        None => certificate.ops.iter().collect(),
    };
    let written: Vec<(u64, Mop)> = all
        .iter()
        .filter(|op| op.outcome != Outcome::Fail)
        .flat_map(|op| mops(op).into_iter().filter(Mop::writes).map(|mop| (op.call, mop)))
        .collect();
    for edge in edges {
        // That the initial version comes first holds of any other.
        let first = edge.kind == EdgeKind::Rw && edge.before.is_null();
        let both = [&edge.before, &edge.after].into_iter().filter(|version| !version.is_null() && !first);
        // A transaction's earlier writes of the key count for its version.
        let own = written.iter().filter(|(call, mop)| {
            mop.writes() && (*call == edge.from || *call == edge.to) && mop.key == edge.key && !first
        });
        for version in both.chain(own.map(|(_, mop)| &mop.value)) {
            let mut writers = written.iter().filter(|(_, mop)| mop.key == edge.key && mop.value == *version);
            let first = writers.next().map(|(call, _)| *call);
            if writers.any(|(call, _)| Some(*call) != first) {
                return refuse(format!("{version} of key {} was written by several operations", edge.key));
            }
        }
    }
    Ok(())
}

/// The operations with what they did.
struct Scene<'a> {
    ops: &'a [&'a Op],
    steps: Vec<Vec<Mop>>,
    happened: Vec<bool>,
    anomaly: &'a str,
    assumes: &'a [String],
    /// Versions are elements of lists, not values of registers.
    lists: bool,
}

fn shown(ops: &[&Op], anomaly: &str, edges: &[Edge], assumes: &[String]) -> Result<(), Refused> {
    let steps: Vec<Vec<Mop>> = ops.iter().map(|op| mops(op)).collect();
    let list = |mop: &Mop| mop.deed == Deed::Append || mop.deed == Deed::Read && mop.value.is_array();
    let lists = steps.iter().flatten().any(list);
    let scene = Scene { ops, steps, happened: happened(ops), anomaly, assumes, lists };
    for edge in edges {
        let Some((from, to)) = scene.place(edge.from).zip(scene.place(edge.to)) else {
            return refuse("an operation of the cycle is not shown");
        };
        if !scene.happened[from] {
            return refuse(format!("nothing shows that #{} took effect", edge.from));
        }
        if !scene.derived(edge, from, to) {
            let Edge { kind, from, to, .. } = edge;
            return refuse(format!("the operations do not show the {kind:?} edge from #{from} to #{to}"));
        }
    }
    if let Some((reader, writer)) = scene.missed(edges) {
        return match scene.sees(writer, reader, edges) {
            true => Ok(()),
            false => refuse("the operations do not show that what was missed had been seen"),
        };
    }
    Ok(())
}

impl Scene<'_> {
    fn place(&self, call: u64) -> Option<usize> {
        self.ops.iter().position(|op| op.call == call)
    }

    /// Whether the operations show the edge.
    fn derived(&self, edge: &Edge, from: usize, to: usize) -> bool {
        let (one, other) = (self.ops[from], self.ops[to]);
        let bare = edge.key.is_null() && edge.before.is_null() && edge.after.is_null();
        let version = |op: &Op, version: &Value| !version.is_null() && wrote(op, &edge.key, version);
        match edge.kind {
            EdgeKind::Process => bare && one.process == other.process && one.call < other.call,
            EdgeKind::Realtime => bare && one.end() < other.call,
            EdgeKind::Wr => {
                edge.before == edge.after && version(one, &edge.before) && self.found(to, edge).next().is_some()
            }
            EdgeKind::Ww => {
                version(one, &edge.before)
                    && version(other, &edge.after)
                    && (self.ordered(edge) || self.forced(edge, from))
            }
            EdgeKind::Rw => version(other, &edge.after) && self.read_before(from, edge),
        }
    }

    /// Steps in which the operation found the version `before` of the edge's key, as others left it. In a list every
    /// element was found.
    fn found<'s>(&'s self, at: usize, edge: &'s Edge) -> impl Iterator<Item = usize> + 's {
        let steps = &self.steps[at];
        reads(steps, &edge.key).filter(move |&step| match self.lists {
            true => base(steps, step).iter().any(|element| self.same(&edge.key, element, &edge.before)),
            false => !own_before(steps, step) && self.same(&edge.key, &steps[step].value, &edge.before),
        })
    }

    /// Whether both are versions of one transaction: what it overwrote itself counts for what it left.
    fn same(&self, key: &Value, one: &Value, other: &Value) -> bool {
        one == other || self.ops.iter().any(|op| wrote(op, key, one) && wrote(op, key, other))
    }

    /// Whether the operation read a version that comes before the edge's other one.
    fn read_before(&self, at: usize, edge: &Edge) -> bool {
        let steps = &self.steps[at];
        if self.lists {
            // Lists only grow, so what a read lacks comes after all that it has.
            let lacks = |step: usize| {
                let list = base(steps, step);
                list.last().unwrap_or(&Value::Null) == &edge.before && !list.contains(&edge.after)
            };
            return reads(steps, &edge.key).any(lacks);
        }
        let read = self.found(at, edge).next().is_some();
        read && (edge.before.is_null() || self.ordered(edge))
    }

    /// Whether an operation shows that the one version came before the other.
    fn ordered(&self, edge: &Edge) -> bool {
        let shows = |at: usize| {
            let steps = &self.steps[at];
            reads(steps, &edge.key).any(|read| {
                if self.lists {
                    let list = base(steps, read);
                    let place = |version: &Value| list.iter().position(|element| element == version);
                    return match (place(&edge.before), place(&edge.after)) {
                        (Some(one), Some(other)) => one < other,
                        // Its writer took effect, and so it is there by now.
                        (Some(_), None) => true,
                        _ => false,
                    };
                }
                let later = |mop: &Mop| mop.writes() && mop.key == edge.key && mop.value == edge.after;
                let before = self.same(&edge.key, &steps[read].value, &edge.before);
                !own_before(steps, read) && before && steps[read..].iter().any(later)
            })
        };
        let assumed = |name: &str| self.assumes.iter().any(|assumed| assumed == name);
        (0..self.ops.len()).filter(|&at| self.happened[at]).any(shows)
            || !self.lists && (assumed(ASSUMPTIONS[0]) || assumed(ASSUMPTIONS[1])) && self.touched(edge)
    }

    /// Whether the one version was touched, by the same process or at all, before the other was.
    fn touched(&self, edge: &Edge) -> bool {
        let assumed = |name: &str| self.assumes.iter().any(|assumed| assumed == name);
        let touches = |at: usize, version: &Value| {
            let steps = &self.steps[at];
            let touch = |step: &usize| {
                steps[*step].key == edge.key
                    && self.same(&edge.key, &steps[*step].value, version)
                    && (steps[*step].writes() || !own_before(steps, *step))
            };
            (0..steps.len()).find(touch)
        };
        let certain = || (0..self.ops.len()).filter(|&at| self.happened[at]);
        certain().any(|one| {
            certain().any(|other| {
                let Some((first, then)) = touches(one, &edge.before).zip(touches(other, &edge.after)) else {
                    return false;
                };
                let (early, late) = (self.ops[one], self.ops[other]);
                one == other && first < then
                    || assumed(ASSUMPTIONS[0]) && early.process == late.process && early.call < late.call
                    || assumed(ASSUMPTIONS[1]) && early.end() < late.call
            })
        })
    }

    /// Whether a transaction saw the first writer, by the level that the anomaly names, and still read what the second wrote.
    fn forced(&self, edge: &Edge, writer: usize) -> bool {
        if !matches!(self.anomaly, "non-monotonic-view" | "fractured-read" | "causal-violation") {
            return false;
        }
        (0..self.ops.len()).filter(|&at| self.ops[at].ok() && at != writer).any(|reader| {
            let steps = &self.steps[reader];
            let mut stale = reads(steps, &edge.key).filter(|&step| match self.lists {
                true => base(steps, step).last() == Some(&edge.after),
                false => !own_before(steps, step) && self.same(&edge.key, &steps[step].value, &edge.after),
            });
            stale.any(|step| self.saw(writer, reader, step))
        })
    }

    /// The reader and the writer of a cycle in which what was seen is missed.
    fn missed(&self, edges: &[Edge]) -> Option<(usize, usize)> {
        let levels = ["non-monotonic-view", "fractured-read", "causal-violation"];
        let edge = edges.iter().find(|edge| edge.kind == EdgeKind::Rw && levels.contains(&self.anomaly))?;
        self.place(edge.from).zip(self.place(edge.to))
    }

    fn sees(&self, writer: usize, reader: usize, edges: &[Edge]) -> bool {
        let Some(edge) = edges.iter().find(|edge| edge.kind == EdgeKind::Rw) else { return false };
        let steps = &self.steps[reader];
        let mut stale = reads(steps, &edge.key).filter(|&step| match self.lists {
            true => !base(steps, step).contains(&edge.after),
            false => !own_before(steps, step) && steps[step].value == edge.before,
        });
        stale.any(|step| self.saw(writer, reader, step))
    }

    /// Whether the reader had seen the writer when it made this step. At read committed, by an earlier step; at read atomic,
    /// by any, or because its own session came before; causally, also through others.
    fn saw(&self, writer: usize, reader: usize, step: usize) -> bool {
        match self.anomaly {
            "non-monotonic-view" => self.reads_from(writer, reader, step),
            "fractured-read" => self.reads_from(writer, reader, usize::MAX) || self.session(writer, reader),
            _ => {
                let mut reached = vec![false; self.ops.len()];
                reached[writer] = true;
                loop {
                    let next = (0..self.ops.len()).filter(|&at| !reached[at]).find(|&at| {
                        let from = |&one: &usize| reached[one];
                        let step = |one: usize| self.session(one, at) || self.reads_from(one, at, usize::MAX);
                        (0..self.ops.len()).filter(from).any(step)
                    });
                    let Some(at) = next else { return reached[reader] };
                    reached[at] = true;
                }
            }
        }
    }

    fn session(&self, one: usize, other: usize) -> bool {
        self.ops[one].process == self.ops[other].process && self.ops[one].call < self.ops[other].call
    }

    /// Whether one read what the other wrote, in a step before this one.
    fn reads_from(&self, writer: usize, reader: usize, before: usize) -> bool {
        let steps = &self.steps[reader];
        let all = self.anomaly == "causal-violation";
        let read = |step: usize| {
            let written = self.steps[writer].iter().filter(|mop| mop.writes() && mop.key == steps[step].key);
            written.into_iter().any(|write| match self.lists {
                true if all => base(steps, step).contains(&write.value),
                true => base(steps, step).last() == Some(&write.value),
                false => !own_before(steps, step) && steps[step].value == write.value,
            })
        };
        writer != reader && (0..steps.len().min(before)).filter(|&at| steps[at].deed == Deed::Read).any(read)
    }
}
