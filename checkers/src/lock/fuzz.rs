//! `lock` and `semaphore` against a search for any order of the calls that a lock could have seen.
use super::Lock;
use crate::contract::scene::{Scene, Step, compare, weave_into};
use crate::fuzz::{Draw, Stats};
use crate::history::{History, Op, Outcome, Phase};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Judges so many random histories twice. The error describes the first difference.
pub fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut stats = Stats::default();
    for (share, permits) in [None, Some(2), Some(3)].into_iter().enumerate() {
        let lock = permits.map_or(Lock::mutex(), |permits| Lock::semaphore(Some(permits)));
        let seed = seed.wrapping_mul(3).wrapping_add(share as u64);
        let count = count / 3 + u64::from((share as u64) < count % 3);
        let check = |history: &History| crate::fuzz::shown(history, lock.check(history, &Budget::unlimited()));
        let one = compare(seed, count, |draw| make(draw, permits), check, |history| define(history, permits))?;
        stats.histories += one.histories;
        stats.invalid += one.invalid;
    }
    Ok(stats)
}

/// Clients that acquire and release; a lock that gives itself away now and then.
fn make(draw: &mut Draw, permits: Option<u64>) -> History {
    let broken = if draw.percent(50) { draw.below(60) } else { 0 };
    let clients = 2 + draw.below(if permits.is_some() { 3 } else { 2 });
    let scripts = (0..clients).map(|_| {
        let mut next_acquires = true;
        let mut step = |draw: &mut Draw| {
            let f = if next_acquires { "acquire" } else { "release" };
            next_acquires = if draw.percent(85) { !next_acquires } else { draw.percent(50) };
            let count =
                if permits.is_some() && draw.percent(30) { Value::Int(1 + draw.below(2) as i64) } else { Value::Nil };
            let f = if draw.percent(5) { "read" } else { f };
            Step::new(f, Value::Nil, count)
        };
        (0..1 + draw.below(3)).map(|_| step(draw)).collect()
    });
    let scripts: Vec<Vec<Step>> = scripts.collect();
    let mut scene = Scene::new();
    let mut held: BTreeMap<u64, i64> = BTreeMap::new();
    let limit = permits.unwrap_or(1) as i64;
    let mut effect = |draw: &mut Draw, process: u64, step: &Step| {
        let count = step.input.as_int().unwrap_or(1);
        let all: i64 = held.values().sum();
        let mine = held.entry(process).or_default();
        let broken = draw.below(100) < broken;
        match step.f {
            "acquire" if all + count <= limit || broken => {
                *mine += count;
                Some(Value::Nil)
            }
            "release" if *mine > 0 || broken => {
                *mine = (*mine - count).max(0);
                Some(Value::Nil)
            }
            "read" => Some(Value::Nil),
            _ => None,
        }
    };
    weave_into(&mut scene, draw, scripts.clone(), 12, &mut effect);
    if draw.percent(20) {
        scene.phase(Phase::Settle);
        weave_into(&mut scene, draw, scripts.into_iter().take(1).collect(), 0, &mut effect);
    }
    scene.finish()
}

/// An event that has to, or may, happen within an interval.
#[derive(Clone, Copy)]
struct Event {
    call: u64,
    end: u64,
    must: bool,
    process: usize,
    /// Permits taken; None: up to so many given back.
    takes: bool,
    permits: i64,
}

fn events(history: &History, permits: Option<u64>) -> Vec<Event> {
    let mut processes: Vec<u64> = history.ops().iter().map(|op| op.process).collect();
    processes.sort_unstable();
    processes.dedup();
    let mut events = Vec::new();
    for op in history.ops().iter() {
        let process = processes.binary_search(&op.process).unwrap_or(0);
        let count = permits.map_or(1, |_| op.input.as_int().unwrap_or(1));
        let acquire = history.name(op.function) == "acquire";
        let give = Event { call: op.call, end: u64::MAX, must: false, process, takes: false, permits: i64::MAX };
        match (history.name(op.function), op.outcome) {
            ("acquire", Outcome::Ok) => {
                events.push(Event { call: op.call, end: op.reply, must: true, process, takes: true, permits: count });
            }
            ("release", Outcome::Ok) => {
                events.push(Event { call: op.call, end: op.reply, must: true, process, takes: false, permits: count });
            }
            // A refused release says that something is wrong: the hold may be over from its call on.
            ("release", _) => events.push(Event { permits: count, ..give }),
            _ => {}
        }
        if op.outcome == Outcome::Info {
            events.push(give);
        }
        if acquire && op.outcome == Outcome::Ok {
            let closed = history.phases.iter().map(|(_, mark)| mark.index).find(|&index| index > op.reply);
            events.extend(closed.map(|index| Event { call: index, ..give }));
        }
    }
    events
}

/// Whether the events left can happen in some order, from these holdings.
fn possible(events: &[Event], left: u64, held: &mut Vec<i64>, limit: i64, seen: &mut HashSet<(u64, Vec<i64>)>) -> bool {
    let open = |at: &usize| left & (1 << at) != 0;
    if !(0..events.len()).filter(open).any(|at| events[at].must) {
        return true;
    }
    if !seen.insert((left, held.clone())) {
        return false;
    }
    let first_end = (0..events.len()).filter(open).map(|at| events[at].end).min().unwrap_or(u64::MAX);
    for at in (0..events.len()).filter(open) {
        let event = events[at];
        if event.call > first_end {
            continue;
        }
        // What may end a hold ends those that its process has already, not later ones.
        let later = |other: &Event| other.takes && other.process == event.process && other.call > event.call;
        if !event.must && (0..events.len()).any(|at| !open(&at) && later(&events[at])) {
            continue;
        }
        let before = held[event.process];
        if event.takes {
            // The holder of a lock may have it again.
            let again = limit == 1 && before == 1;
            if !again && held.iter().sum::<i64>() + event.permits > limit {
                continue;
            }
            held[event.process] = if again { 1 } else { before + event.permits };
        } else {
            held[event.process] = before.saturating_sub(event.permits).max(0);
        }
        if possible(events, left & !(1 << at), held, limit, seen) {
            return true;
        }
        held[event.process] = before;
    }
    false
}

fn define(history: &History, permits: Option<u64>) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    let events = events(history, permits);
    let limit = permits.unwrap_or(1) as i64;
    if !possible(&events, (1 << events.len()) - 1, &mut vec![0; 32], limit, &mut HashSet::new()) {
        kinds.insert(if permits.is_none() { "double-hold" } else { "too-many-holders" });
    }
    let ops: Vec<Op<'_>> = history.ops().iter().collect();
    let before = |release: &Op<'_>, f: &str| {
        let mine = |op: &&Op<'_>| op.process == release.process && op.call < release.call && op.outcome == Outcome::Ok;
        ops.iter().filter(mine).filter(|op| history.name(op.function) == f).map(|op| op.call).collect::<Vec<u64>>()
    };
    // Each acknowledged release needs an acquire of its own.
    let unfounded = |release: &&Op<'_>| {
        let mut free = 0_i64;
        let mut moments: Vec<(u64, bool)> = before(release, "acquire").into_iter().map(|call| (call, true)).collect();
        moments.extend(before(release, "release").into_iter().map(|call| (call, false)));
        moments.sort_unstable();
        for (_, acquire) in moments {
            free = if acquire { free + 1 } else { (free - 1).max(0) };
        }
        free == 0
    };
    let releases = ops.iter().filter(|op| history.name(op.function) == "release" && op.outcome == Outcome::Ok);
    if permits.is_none() && releases.filter(unfounded).count() > 0 {
        kinds.insert("release-by-non-holder");
    }
    kinds
}

#[cfg(test)]
mod tests {
    #[test]
    fn random_locks() {
        let stats = super::differ(1, crate::contract::scene::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 20 > stats.histories && stats.invalid * 2 < stats.histories, "{stats:?}");
    }
}
