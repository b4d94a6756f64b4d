//! Decides sets that only grow and whose reads return all elements (as `[a, b, ..]`).
//!
//! Reads are sorted by their sizes; each has to be a subset of the next. In that order every read takes effect as early as it
//! can: after its call, after the read before it, and after the first call of an add of each of its elements. A later instant
//! never helps. So no order exists if that instant is after the end of the read, or after the end of an add whose element the
//! read before lacks.
//!
//! `general.rs` calls [`growing`] for a verdict, and `general/explain.rs` calls it again for the finding and its words.
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

/// Why no order explains the operations, with the places of those that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrowConflict {
    pub(crate) kind: GrowConflictKind,
    /// In the order in which the finding's sentences name them.
    pub(crate) places: Vec<usize>,
    /// The element that it is about; one of them where there are several.
    pub(crate) element: Value,
}

/// How reads of a growing set go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrowConflictKind {
    /// A read returned an element that was never added.
    Phantom,
    /// A read returned an element twice.
    Twice,
    /// Each of two reads lacks an element that the other returned.
    Disagree,
    /// A read returned an element whose first add was called after the read had ended.
    Future,
    /// A read lacks an element that was in the set before the read.
    Stale,
}

/// One element, with all of its adds.
struct Element {
    /// The first call of an add, and the place of that add.
    call: (u64, usize),
    /// The first end of an add, and the place of that add.
    end: (u64, usize),
}

/// Decides a growing set. The error says why no order explains the operations.
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
                return Err(wrong(GrowConflictKind::Twice, &pair[0]));
            }
            let id = |value: &Value| ids.get(value).copied().ok_or_else(|| wrong(GrowConflictKind::Phantom, value));
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
    /// Places in the list of elements.
    values: Vec<u32>,
}

/// Goes through the reads, smallest first. The error: kind, places of operations, place of the element.
fn sweep(reads: &[Read], elements: &[Element]) -> Result<(), (GrowConflictKind, Vec<usize>, u32)> {
    let mut seen = vec![false; elements.len()];
    let mut count = 0;
    // The earliest instant at which the last read can take effect, and the place of the operation whose call that instant is.
    let mut now: Option<(u64, usize)> = None;
    let mut last: Option<&Read> = None;
    for read in reads {
        let fresh: Vec<u32> = read.values.iter().copied().filter(|&id| !seen[id as usize]).collect();
        let before = last.iter().map(|last| last.place);
        if read.values.len() - fresh.len() != count {
            let lacks = last.and_then(|last| lacking(read, last));
            let places = before.chain([read.place]).collect();
            return Err((GrowConflictKind::Disagree, places, lacks.unwrap_or(0)));
        }
        // The read before lacks these elements, and it takes effect at `now` at the earliest.
        for &id in &fresh {
            seen[id as usize] = true;
            count += 1;
            let end = elements[id as usize].end;
            if let Some((_, why)) = now.filter(|now| end.0 < now.0) {
                return Err((GrowConflictKind::Stale, stale(last, why, end.1), id));
            }
        }
        let added = fresh.iter().map(|&id| elements[id as usize].call).max();
        now = added.into_iter().chain([(read.from, read.place)]).chain(now).max();
        if let Some((_, why)) = now.filter(|now| read.to < now.0) {
            // Either an element that it returned was not added yet, or a read that began later returned less.
            if let Some(id) = (0..elements.len() as u32).find(|&id| elements[id as usize].call.1 == why) {
                return Err((GrowConflictKind::Future, vec![read.place, why], id));
            }
            let less = reads.iter().find(|other| other.place == why);
            let lacks = less.and_then(|less| lacking(less, read));
            return Err((GrowConflictKind::Stale, vec![why, read.place], lacks.unwrap_or(0)));
        }
        last = Some(read);
    }
    for (id, element) in (0..).zip(elements).filter(|(id, _)| !seen[*id as usize]) {
        if let Some((_, why)) = now.filter(|now| element.end.0 < now.0) {
            return Err((GrowConflictKind::Stale, stale(last, why, element.end.1), id));
        }
    }
    Ok(())
}

/// Places of a stale read: the read, then the operation whose call it cannot precede (once, if that is the read itself), then the
/// add that had ended before that call.
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
