//! What has to be observed before a promise counts as kept: something that could have contradicted it.
use super::accesses::{Access, NONE, Parsed};
use super::sessions::Promise;
use crate::history::Op;
use std::collections::{HashMap, HashSet};

/// All that is understood, where values repeat, and else what can be used.
fn accesses(parsed: &Parsed) -> &[Access] {
    if parsed.raw.is_empty() { &parsed.run.accesses } else { &parsed.raw }
}

/// Whether the access was acknowledged and saw a value, if only the initial one.
fn saw(access: &Access) -> bool {
    access.reads != NONE && access.end != Op::OPEN
}

fn saw_written(parsed: &Parsed, access: &Access) -> bool {
    saw(access) && !parsed.run.initial(access.reads)
}

/// A written value was seen.
pub(super) fn written_seen(parsed: &Parsed) -> bool {
    accesses(parsed).iter().any(|access| saw_written(parsed, access))
}

/// The same; or the initial value, by a process that had written, of a key that was written: so one of the two came first.
pub(super) fn order_seen(parsed: &Parsed) -> bool {
    let all = accesses(parsed);
    let written: HashSet<u32> = acknowledged(all).map(|access| access.key).collect();
    let mut wrote: HashSet<u32> = HashSet::new();
    for access in all {
        if saw_written(parsed, access) {
            return true;
        }
        if saw(access) && wrote.contains(&access.session) && written.contains(&access.key) {
            return true;
        }
        if access.writes != NONE && access.end != Op::OPEN {
            wrote.insert(access.session);
        }
    }
    false
}

/// A key was read that was written.
pub(super) fn key_seen(parsed: &Parsed) -> bool {
    let all = accesses(parsed);
    let written: HashSet<u32> = acknowledged(all).map(|access| access.key).collect();
    let read = |access: &Access| saw(access) && access.writes == NONE;
    all.iter().any(|access| saw_written(parsed, access) || read(access) && written.contains(&access.key))
}

fn acknowledged(all: &[Access]) -> impl Iterator<Item = &Access> {
    all.iter().filter(|access| access.writes != NONE && access.end != Op::OPEN)
}

/// What a session did with a key.
#[derive(Default)]
struct Observation {
    /// A written value that it saw, and whether it saw another one.
    saw: Option<(u32, bool)>,
    writes: u32,
    /// It wrote after it had seen a written value.
    followed: bool,
}

/// Some session did what this promise is about, and the order of what it did was seen.
pub(super) fn session_seen(parsed: &Parsed, promise: Promise) -> bool {
    let all = accesses(parsed);
    let mut met: HashMap<(u32, u32), Observation> = HashMap::new();
    // Keys of which some session saw an order of versions, and those where a session wrote in an order.
    let (mut ordered, mut due): (HashSet<u32>, HashSet<u32>) = (HashSet::new(), HashSet::new());
    let mut numbered: HashMap<u32, u32> = HashMap::new();
    for access in all {
        let one = met.entry((access.session, access.key)).or_default();
        if saw(access) {
            match promise {
                Promise::ReadYourWrites if one.writes > 0 => return true,
                Promise::MonotonicReads if one.saw.is_some() => return true,
                _ => {}
            }
            if saw_written(parsed, access) {
                let other = one.saw.is_some_and(|(first, _)| first != access.reads);
                let saw = one.saw.get_or_insert((access.reads, false));
                saw.1 |= other;
                if saw.1 || access.writes != NONE {
                    ordered.insert(access.key);
                }
            }
        }
        if parsed.versions.contains_key(&access.op) {
            let versions = numbered.entry(access.key).or_default();
            *versions += 1;
            if *versions > 1 {
                ordered.insert(access.key);
            }
        }
        if access.writes != NONE {
            one.writes += 1;
            one.followed |= one.saw.is_some();
            let met = match promise {
                Promise::MonotonicWrites => one.writes > 1,
                _ => one.followed,
            };
            if met {
                due.insert(access.key);
            }
        }
    }
    matches!(promise, Promise::MonotonicWrites | Promise::WritesFollowReads) && !ordered.is_disjoint(&due)
}
