//! Orders of a few operations: a given order is replayed; that there is none is found by trying all.
use crate::certificate::{Certificate, Op, Outcome};
use crate::history::History;
use crate::models::{Spec, spec};
use crate::{Refused, refuse};
use serde_json::Value;
use std::collections::HashSet;

/// More operations than this are not tried in all orders.
const MOST: usize = 24;

/// What an order has to respect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Respect {
    /// One that ended before another was called comes before it.
    Intervals,
    /// Of one process, the earlier call comes first.
    Processes,
}

/// The order that is claimed explains every reply, and names every acknowledged operation of its object.
pub(crate) fn replays(
    certificate: &Certificate,
    model: &str,
    order: &[u64],
    history: Option<&History>,
) -> Result<(), Refused> {
    let spec = spec(model)?;
    let first = &certificate.ops[0];
    if let Some(other) = certificate.ops.iter().find(|op| op.workload != first.workload || op.key != first.key) {
        return refuse(format!("#{} and #{} are of two objects", first.call, other.call));
    }
    let mut named = HashSet::new();
    let mut latest_call = 0;
    let mut states = vec![spec.initial.clone()];
    for call in order {
        let op = certificate.op(*call)?;
        if !named.insert(*call) {
            return refuse(format!("#{call} takes effect twice"));
        }
        if op.outcome == Outcome::Fail {
            return refuse(format!("#{call} failed and takes effect"));
        }
        latest_call = latest_call.max(op.call);
        if op.end() < latest_call {
            return refuse(format!("#{call} had ended before #{latest_call} was called, and comes after it"));
        }
        let mut next: Vec<Value> = Vec::new();
        for state in &states {
            for after in (spec.step)(state, op, false)? {
                if !next.contains(&after) {
                    next.push(after);
                }
            }
        }
        if next.is_empty() {
            return refuse(format!("#{call} cannot have had its reply where the order puts it"));
        }
        states = next;
    }
    if let Some(op) = certificate.ops.iter().find(|op| op.ok() && !named.contains(&op.call)) {
        return refuse(format!("#{} was acknowledged and is left out", op.call));
    }
    if let Some(history) = history {
        let left_out = |op: &&Op| op.ok() && !named.contains(&op.call);
        if let Some(op) = history.beside(first).find(left_out) {
            return refuse(format!("#{} was acknowledged and is not in the certificate", op.call));
        }
    }
    Ok(())
}

/// No order of the operations explains every reply. Indeterminate ones may be left out. Tells the index up to which that is
/// so: what was called later plays no role, and what ended later may have taken effect by then or not.
pub(crate) fn none_fits(
    certificate: &Certificate,
    model: &str,
    weakened: &[u64],
    respect: Respect,
) -> Result<u64, Refused> {
    let spec = spec(model)?;
    if certificate.ops.len() > MOST {
        return refuse(format!("{} operations are too many to try every order", certificate.ops.len()));
    }
    for call in weakened {
        if certificate.op(*call)?.f != "cas" {
            return refuse(format!("#{call} is no compare-and-set and cannot be taken for a write"));
        }
    }
    let first = &certificate.ops[0];
    let whole = |op: &Op| op.workload == first.workload && (respect == Respect::Processes || op.key == first.key);
    if let Some(other) = certificate.ops.iter().find(|op| !whole(op)) {
        return refuse(format!("#{} is of another object", other.call));
    }
    let ops: Vec<&Op> = certificate.ops.iter().filter(|op| op.outcome != Outcome::Fail).collect();
    let mut moments: Vec<u64> = ops.iter().filter(|op| op.ok()).map(|op| op.end()).collect();
    moments.sort_unstable();
    if respect == Respect::Processes {
        moments = vec![u64::MAX];
    }
    for until in moments {
        let ops: Vec<&Op> = ops.iter().copied().filter(|op| op.call < until).collect();
        let mut search = Search { spec: &spec, ops: &ops, weakened, respect, until, seen: HashSet::new() };
        if !search.explains(0, &initial(&spec, &ops))? {
            return Ok(until);
        }
    }
    refuse("an order of these operations explains every reply")
}

/// A state for each key.
fn initial(spec: &Spec, ops: &[&Op]) -> Vec<(Value, Value)> {
    let mut states: Vec<(Value, Value)> = Vec::new();
    for op in ops {
        if !states.iter().any(|(known, _)| *known == op.key) {
            states.push((op.key.clone(), spec.initial.clone()));
        }
    }
    states
}

struct Search<'a> {
    spec: &'a Spec,
    ops: &'a [&'a Op],
    weakened: &'a [u64],
    respect: Respect,
    until: u64,
    seen: HashSet<(u32, String)>,
}

impl Search<'_> {
    /// As deep as there are operations, which are few.
    fn explains(&mut self, done: u32, states: &[(Value, Value)]) -> Result<bool, Refused> {
        let left = |at: &usize| done & (1 << at) == 0;
        let must = |at: usize| self.ops[at].ok() && self.ops[at].end() <= self.until;
        if !(0..self.ops.len()).filter(left).any(must) {
            return Ok(true);
        }
        if !self.seen.insert((done, format!("{states:?}"))) {
            return Ok(false);
        }
        for at in (0..self.ops.len()).filter(left) {
            let op = self.ops[at];
            let before = |other: &Op| match self.respect {
                Respect::Intervals => other.end() < op.call,
                Respect::Processes => other.ok() && other.process == op.process && other.call < op.call,
            };
            if (0..self.ops.len()).filter(left).any(|other| before(self.ops[other])) {
                continue;
            }
            let place = states.iter().position(|(key, _)| *key == op.key).unwrap_or(0);
            for next in (self.spec.step)(&states[place].1, op, self.weakened.contains(&op.call))? {
                let mut states = states.to_vec();
                states[place].1 = next;
                if self.explains(done | (1 << at), &states)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
