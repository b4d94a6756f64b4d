//! `lock` and `semaphore` against a search for any order of the calls that a lock could have seen.
use super::Lock;
use crate::calls::NamedBy;
use crate::history::{History, Op, Outcome, Phase};
use crate::oracles::cases::{CheckerCases, Long, held};
use crate::random::scripted::{ScriptedHistory, Step, compare, interleave_into};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What the tests of all checkers ask of `lock`.
pub(crate) const LOCK: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[], "1 acquire 0 null -> ok\n 1 acquire 1 null -> fail\n 2 acquire 1 null -> fail")]),
    right_and_wrong: Ok(&[(
        &[],
        "1 acquire 0 null -> ok\n 2 acquire 0 null -> fail\n 1 release 0 null -> ok\n 2 acquire 0 null -> ok",
        "1 acquire 0 null -> ok\n 2 acquire 0 null -> ok",
    )]),
    long: Ok(Long::of(|n| held(n, |_| Null))),
    comparisons: Ok(&[("lock, semaphore", differ)]),
};

/// What the tests of all checkers ask of `semaphore`.
pub(crate) const SEMAPHORE: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[("permits", "3")], "1 acquire 0 null -> ok\n 2 acquire 0 2 -> ok")]),
    right_and_wrong: Ok(&[(
        &[("permits", "1")],
        "1 acquire 0 null -> ok\n 2 acquire 0 null -> fail\n 1 release 0 null -> ok\n 2 acquire 0 null -> ok",
        "1 acquire 0 null -> ok\n 2 acquire 0 null -> ok",
    )]),
    long: Ok(Long { options: &[("permits", "1")], ..Long::of(|n| held(n, |_| Null)) }),
    comparisons: Ok(&[("lock, semaphore", differ)]),
};

/// Kinds of objects: permits (none: a lock), what names them, and how many of a hundred histories have names as
/// arguments.
const KINDS: [(Option<u64>, NamedBy, u64); 6] = [
    (None, NamedBy::Unsaid, 30),
    (Some(2), NamedBy::Unsaid, 30),
    (Some(3), NamedBy::Unsaid, 0),
    (None, NamedBy::Argument, 100),
    (Some(2), NamedBy::Argument, 100),
    (None, NamedBy::Key, 100),
];

/// Compares the checker with its definition on `count` random histories. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut stats = Stats::default();
    let kinds = KINDS.len() as u64;
    for (share, (permits, named_by, names)) in (0..kinds).zip(KINDS) {
        let lock = Lock {
            named_by,
            ..permits.map_or(Lock::MUTEX, |permits| Lock { permits: Some(permits), ..Lock::SEMAPHORE })
        };
        let seed = seed.wrapping_mul(kinds).wrapping_add(share);
        let count = count / kinds + u64::from(share < count % kinds);
        let check = |history: &History| crate::random::shown(history, lock.check(history, &Budget::unlimited()));
        // What the arguments are is known from the whole history, not from the operations of a finding alone.
        let owned = Cell::new(false);
        let make = |rng: &mut Rng| {
            let names = rng.percent(names);
            // The arguments are names in the system, or nothing to it.
            let apart = names && (named_by == NamedBy::Argument || named_by == NamedBy::Unsaid && rng.percent(50));
            let history = make(rng, permits, names, apart);
            owned.set(named_by == NamedBy::Unsaid && owners(&history));
            history
        };
        let one = compare(seed, count, make, check, |history| define(history, permits, named_by, owned.get()))?;
        stats.histories += one.histories;
        stats.invalid += one.invalid;
    }
    Ok(stats)
}

/// The number of the first client in a new scripted.
const FIRST_PROCESS: u64 = 10;

/// Clients that acquire and release; a lock that gives itself away now and then.
fn make(rng: &mut Rng, permits: Option<u64>, names: bool, apart: bool) -> History {
    let broken = if rng.percent(50) { rng.below(60) } else { 0 };
    let clients = 2 + rng.below(if permits.is_some() { 3 } else { 2 });
    let few = rng.percent(50);
    // Some locks have the numbers of processes as names, or processes say who they are.
    let numbers = names && permits.is_none() && rng.percent(40);
    let own = if rng.percent(60) { 100 } else { 50 };
    let scripts = (0..clients).map(|client| {
        let mut next_acquires = true;
        let mut step = |rng: &mut Rng| {
            let f = if next_acquires { "acquire" } else { "release" };
            next_acquires = if rng.percent(85) { !next_acquires } else { rng.percent(50) };
            let count =
                if permits.is_some() && rng.percent(30) { Value::Int(1 + rng.below(2) as i64) } else { Value::Nil };
            let name = if rng.percent(if few { 10 } else { 50 }) { "b" } else { "a" };
            let input = if numbers {
                let number = if rng.percent(own) { client } else { rng.below(clients) };
                Value::Int((FIRST_PROCESS + number) as i64)
            } else if names && rng.percent(90) {
                Value::text(name)
            } else {
                count
            };
            let f = if rng.percent(5) { "read" } else { f };
            Step::new(f, Value::Nil, input)
        };
        (0..1 + rng.below(if names { 4 } else { 3 })).map(|_| step(rng)).collect()
    });
    let scripts: Vec<Vec<Step>> = scripts.collect();
    let mut scripted = ScriptedHistory::new();
    let mut held: BTreeMap<(Option<String>, u64), i64> = BTreeMap::new();
    let limit = permits.unwrap_or(1) as i64;
    let mut effect = |rng: &mut Rng, process: u64, step: &Step| {
        let count = permits.map_or(1, |_| step.input.as_int().unwrap_or(1));
        let name = called(&step.input, permits).filter(|_| apart);
        let all: i64 = held.iter().filter(|((other, _), _)| *other == name).map(|(_, count)| count).sum();
        let mine = held.entry((name, process)).or_default();
        let broken = rng.below(100) < broken;
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
            // Nothing happened, told by a reply or by a failure.
            _ => Some(Value::Bool(false)).filter(|_| rng.percent(50)),
        }
    };
    interleave_into(&mut scripted, rng, scripts.clone(), 12, &mut effect);
    if rng.percent(20) {
        scripted.phase(Phase::Settle);
        interleave_into(&mut scripted, rng, scripts.into_iter().take(1).collect(), 0, &mut effect);
    }
    scripted.finish()
}

/// An event that has to, or may, happen within an interval.
#[derive(Clone, Copy)]
struct Event {
    call: u64,
    end: u64,
    must: bool,
    process: usize,
    /// Permits taken; None: up to this number given back.
    takes: bool,
    permits: i64,
}

/// What a call is to one lock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// It is certainly about this one.
    It,
    /// About another one.
    Another,
    /// About this one, another, or several.
    Any,
}

/// Whether the call did what it asks for.
fn done(op: &Op<'_>) -> bool {
    op.outcome == Outcome::Ok && op.output.to_value() != Value::Bool(false)
}

fn events(history: &History, permits: Option<u64>, about: &dyn Fn(&Op<'_>) -> About) -> Vec<Event> {
    let mut processes: Vec<u64> = history.ops().iter().map(|op| op.process).collect();
    processes.sort_unstable();
    processes.dedup();
    let mut events = Vec::new();
    for op in history.ops().iter() {
        let process = processes.binary_search(&op.process).unwrap_or(0);
        let count = permits.map_or(1, |_| op.input.as_int().unwrap_or(1));
        let give = Event { call: op.call, end: u64::MAX, must: false, process, takes: false, permits: i64::MAX };
        match (history.name(op.function), about(&op)) {
            ("acquire", About::It) if done(&op) => {
                events.push(Event { call: op.call, end: op.reply, must: true, process, takes: true, permits: count });
                let closed = history.phases.iter().map(|(_, mark)| mark.index).find(|&index| index > op.reply);
                events.extend(closed.map(|index| Event { call: index, ..give }));
            }
            ("release", About::It) if done(&op) => {
                events.push(Event { call: op.call, end: op.reply, must: true, process, takes: false, permits: count });
            }
            ("release", About::Any) if done(&op) => events.push(give),
            _ => {}
        }
        if op.outcome == Outcome::Info {
            events.push(give);
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

/// What an argument names: a text, or a number where nothing is counted.
fn called(input: &Value, permits: Option<u64>) -> Option<String> {
    match input {
        Value::Text(name) => Some(name.to_string()),
        Value::Int(number) if permits.is_none() => Some(number.to_string()),
        _ => None,
    }
}

/// Whether each acquire has the number of its process, of several processes, one of which acquired more than once.
fn owners(history: &History) -> bool {
    let mut times: BTreeMap<u64, u64> = BTreeMap::new();
    for op in history.ops().iter().filter(|op| history.name(op.function) == "acquire") {
        if op.input.as_int() != Some(op.process as i64) {
            return false;
        }
        *times.entry(op.process).or_default() += 1;
    }
    times.len() > 1 && times.values().any(|times| *times > 1)
}

fn define(history: &History, permits: Option<u64>, named_by: NamedBy, owned: bool) -> BTreeSet<&'static str> {
    let named = |op: &Op<'_>| called(&op.input.to_value(), permits);
    // A number of permits, or a name: of these nothing is said.
    let either = |op: &Op<'_>| {
        permits.is_some() && named_by == NamedBy::Argument && matches!(op.input.to_value(), Value::Int(_))
    };
    let acquires: Vec<Op<'_>> = history.ops().iter().filter(|op| history.name(op.function) == "acquire").collect();
    let names: BTreeSet<Option<String>> = acquires.iter().filter(|op| !either(op)).map(named).collect();
    if named_by == NamedBy::Key || owned || names.len() < 2 && !acquires.iter().any(either) {
        return one(history, permits, &|_| About::It);
    }
    let mut kinds = BTreeSet::new();
    for name in &names {
        let about =
            |op: &Op<'_>| match (named(op), history.name(op.function)) {
                (said, "acquire") if said == *name && !either(op) => About::It,
                (_, "acquire") => About::Another,
                (said, _) if said.is_some() && named_by == NamedBy::Argument && names.contains(&said) => {
                    if said == *name { About::It } else { About::Another }
                }
                _ => About::Any,
            };
        kinds.extend(one(history, permits, &about));
    }
    kinds
}

/// The rules of one lock.
fn one(history: &History, permits: Option<u64>, about: &dyn Fn(&Op<'_>) -> About) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    let events = events(history, permits, about);
    let limit = permits.unwrap_or(1) as i64;
    if !possible(&events, (1 << events.len()) - 1, &mut vec![0; 32], limit, &mut HashSet::new()) {
        kinds.insert(if permits.is_none() { "double-hold" } else { "too-many-holders" });
    }
    let ops: Vec<Op<'_>> = history.ops().iter().filter(|op| done(op) && about(op) == About::It).collect();
    let before = |release: &Op<'_>, f: &str| {
        let mine = |op: &&Op<'_>| op.process == release.process && op.call < release.call;
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
    let releases = ops.iter().filter(|op| history.name(op.function) == "release");
    if permits.is_none() && releases.filter(unfounded).count() > 0 {
        kinds.insert("release-by-non-holder");
    }
    kinds
}

#[cfg(test)]
mod tests {
    #[test]
    fn random_locks() {
        let stats = super::differ(1, crate::random::scripted::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 20 > stats.histories && stats.invalid * 2 < stats.histories, "{stats:?}");
    }
}
