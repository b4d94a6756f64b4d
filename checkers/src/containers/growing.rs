//! Sets that only grow, read as a whole.
//!
//! Reads have to be in the order of their sets: each a part of the next. In that order every read happens as early as it can:
//! after its call, after all reads before it, and after some add of each of its elements was called. Earlier is never
//! worse, so if that is too late for a read's end, or for the end of an add whose element the read before lacks, no order
//! exists.
use crate::history::Op;
use crate::value::Value;
use std::collections::HashMap;

/// One operation on a growing set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GrowOp {
    /// An add of this element, from its call to its reply; [`Op::OPEN`] where none came.
    Add(Value, u64, u64),
    /// A read of these elements in ascending order.
    Read(Vec<Value>, u64, u64),
}

struct Element {
    /// The first call of an add of it, and its place.
    call: (u64, usize),
    /// The first end of one.
    end: (u64, usize),
}

/// The places of a few operations that no order explains, if there is none for all.
pub(crate) fn growing(ops: &[GrowOp]) -> Result<(), Vec<usize>> {
    let mut ids: HashMap<&Value, u32> = HashMap::new();
    let mut elements: Vec<Element> = Vec::new();
    for (place, op) in ops.iter().enumerate() {
        if let GrowOp::Add(value, call, end) = op {
            let id = *ids.entry(value).or_insert(elements.len() as u32);
            if id as usize == elements.len() {
                elements.push(Element { call: (*call, place), end: (*end, place) });
            }
            let element = &mut elements[id as usize];
            element.call = element.call.min((*call, place));
            element.end = element.end.min((*end, place));
        }
    }
    let mut reads: Vec<(usize, Vec<u32>)> = Vec::new();
    for (place, op) in ops.iter().enumerate() {
        if let GrowOp::Read(values, ..) = op {
            let known: Option<Vec<u32>> = values.iter().map(|value| ids.get(value).copied()).collect();
            // Something that nobody added, or the same twice.
            if known.is_none() || values.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(vec![place]);
            }
            reads.extend(known.map(|known| (place, known)));
        }
    }
    let span = |place: usize| match &ops[place] {
        GrowOp::Add(_, call, end) | GrowOp::Read(_, call, end) => (*call, *end),
    };
    reads.sort_by_key(|(place, values)| (values.len(), span(*place)));
    sweep(&reads, &elements, span)
}

fn sweep(
    reads: &[(usize, Vec<u32>)],
    elements: &[Element],
    span: impl Fn(usize) -> (u64, u64),
) -> Result<(), Vec<usize>> {
    let mut seen = vec![false; elements.len()];
    let mut count = 0;
    // The latest of the instants that have to come before, and which operation begins there.
    let mut now: Option<(u64, usize)> = None;
    let mut last: Option<usize> = None;
    for (place, values) in reads {
        let fresh: Vec<u32> = values.iter().copied().filter(|&id| !seen[id as usize]).collect();
        if values.len() - fresh.len() != count {
            return Err(last.into_iter().chain([*place]).collect());
        }
        // What is new was not there in the read before, which has happened by `now`.
        for &id in &fresh {
            seen[id as usize] = true;
            count += 1;
            let element = &elements[id as usize];
            if let Some((late, why)) = now.filter(|now| element.end.0 < now.0) {
                let _ = late;
                return Err(last.into_iter().chain([*place, why, element.end.1]).collect());
            }
        }
        let begins = fresh.iter().map(|&id| elements[id as usize].call).chain([(span(*place).0, *place)]);
        now = begins.chain(now).max();
        if let Some((_, why)) = now.filter(|now| span(*place).1 < now.0) {
            return Err(last.into_iter().chain([*place, why]).collect());
        }
        last = Some(*place);
    }
    for (id, element) in elements.iter().enumerate().filter(|(id, _)| !seen[*id]) {
        let _ = id;
        if let Some((_, why)) = now.filter(|now| element.end.0 != Op::OPEN && element.end.0 < now.0) {
            return Err(last.into_iter().chain([why, element.end.1]).collect());
        }
    }
    Ok(())
}
