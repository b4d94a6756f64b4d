//! Sets that only grow, read as a whole.
//!
//! Reads have to be in the order of their sets: each a part of the next. In that order every read happens as early as it can:
//! after its call, after all reads before it, and after some add of each of its elements was called. Earlier is never
//! worse, so if that is too late for a read's end, or for the end of an add whose element the read before lacks, no order
//! exists.
use crate::value::Value;
use std::collections::{HashMap, HashSet};

/// One operation on a growing set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GrowOp {
    /// An add of this element, from its call to its reply; [`crate::history::Op::OPEN`] where none came.
    Add(Value, u64, u64),
    /// A read of these elements in ascending order.
    Read(Vec<Value>, u64, u64),
}

/// What is wrong, with the places of the operations that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrowConflict {
    pub(crate) kind: Grown,
    pub(crate) places: Vec<usize>,
    /// The element it is about, or the first one.
    pub(crate) element: Value,
}

/// How reads of a growing set go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grown {
    /// A read returned an element that was never added.
    Phantom,
    /// A read returned something twice.
    Twice,
    /// Two reads each lack something that the other returned.
    Disagree,
    /// A read returned what was added after it.
    Future,
    /// A read lacks what was there before it.
    Stale,
}

struct Element {
    /// The first call of an add of it, and its place.
    call: (u64, usize),
    /// The first end of one.
    end: (u64, usize),
}

/// Why no order explains them, if none does.
pub(crate) fn growing(ops: &[GrowOp]) -> Result<(), GrowConflict> {
    let mut ids: HashMap<&Value, u32> = HashMap::new();
    let mut elements: Vec<Element> = Vec::new();
    let mut names: Vec<&Value> = Vec::new();
    for (place, op) in ops.iter().enumerate() {
        if let GrowOp::Add(value, call, end) = op {
            let id = *ids.entry(value).or_insert(elements.len() as u32);
            if id as usize == elements.len() {
                elements.push(Element { call: (*call, place), end: (*end, place) });
                names.push(value);
            }
            let element = &mut elements[id as usize];
            element.call = element.call.min((*call, place));
            element.end = element.end.min((*end, place));
        }
    }
    let mut reads: Vec<Read> = Vec::new();
    for (place, op) in ops.iter().enumerate() {
        if let GrowOp::Read(values, from, to) = op {
            let wrong = |kind, value: &Value| GrowConflict { kind, places: vec![place], element: value.clone() };
            if let Some(pair) = values.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(wrong(Grown::Twice, &pair[0]));
            }
            let id = |value: &Value| ids.get(value).copied().ok_or_else(|| wrong(Grown::Phantom, value));
            let values = values.iter().map(id).collect::<Result<Vec<u32>, _>>()?;
            reads.push(Read { place, from: *from, to: *to, values });
        }
    }
    reads.sort_by_key(|read| (read.values.len(), read.from));
    sweep(&reads, &elements).map_err(|(kind, places, id)| {
        let element = names.get(id as usize).map_or(Value::Nil, |name| (*name).clone());
        GrowConflict { kind, places, element }
    })
}

struct Read {
    place: usize,
    from: u64,
    to: u64,
    /// Elements by number.
    values: Vec<u32>,
}

fn sweep(reads: &[Read], elements: &[Element]) -> Result<(), (Grown, Vec<usize>, u32)> {
    let mut seen = vec![false; elements.len()];
    let mut count = 0;
    // The latest of the instants that have to come before, and which operation begins there.
    let mut now: Option<(u64, usize)> = None;
    let mut last: Option<&Read> = None;
    for read in reads {
        let fresh: Vec<u32> = read.values.iter().copied().filter(|&id| !seen[id as usize]).collect();
        let before = last.iter().map(|last| last.place);
        if read.values.len() - fresh.len() != count {
            let lacks = last.and_then(|last| lacking(read, last));
            let places = before.chain([read.place]).collect();
            return Err((Grown::Disagree, places, lacks.unwrap_or(0)));
        }
        // What is new was not there in the read before, which has happened by `now`.
        for &id in &fresh {
            seen[id as usize] = true;
            count += 1;
            let end = elements[id as usize].end;
            if let Some((_, why)) = now.filter(|now| end.0 < now.0) {
                return Err((Grown::Stale, stale(last, why, end.1), id));
            }
        }
        let added = fresh.iter().map(|&id| elements[id as usize].call).max();
        now = added.into_iter().chain([(read.from, read.place)]).chain(now).max();
        if let Some((_, why)) = now.filter(|now| read.to < now.0) {
            // Either an element that it returned was not added yet, or a read that began later returned less.
            if let Some(id) = (0..elements.len() as u32).find(|&id| elements[id as usize].call.1 == why) {
                return Err((Grown::Future, vec![read.place, why], id));
            }
            let less = reads.iter().find(|other| other.place == why);
            let lacks = less.and_then(|less| lacking(less, read));
            return Err((Grown::Stale, vec![why, read.place], lacks.unwrap_or(0)));
        }
        last = Some(read);
    }
    for (id, element) in (0..).zip(elements).filter(|(id, _)| !seen[*id as usize]) {
        if let Some((_, why)) = now.filter(|now| element.end.0 < now.0) {
            return Err((Grown::Stale, stale(last, why, element.end.1), id));
        }
    }
    Ok(())
}

/// A read that lacks what an add brought that ended before something began that the read comes after.
fn stale(read: Option<&Read>, began: usize, add: usize) -> Vec<usize> {
    let mut places: Vec<usize> = read.map(|read| read.place).into_iter().chain([began]).collect();
    places.dedup();
    places.push(add);
    places
}

/// Some element that the first read lacks and the second returned.
fn lacking(less: &Read, more: &Read) -> Option<u32> {
    let there: HashSet<u32> = less.values.iter().copied().collect();
    more.values.iter().copied().find(|id| !there.contains(id))
}
