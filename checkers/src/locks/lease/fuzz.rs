//! `lease` against its definition.
use super::Lease;
use crate::calls::NamedBy;
use crate::history::{History, Op, Outcome};
use crate::oracles::cases::{CheckerCases, Long, held};
use crate::random::scripted::{Step, compare, interleave};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use dsfuzz_span::Span;
use serde_json::json;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// What the tests of all checkers ask of `lease`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(
        &[("ttl_ms", "100")],
        "1 acquire 0 null -> ok\n 1 acquire 1 null -> fail\n 2 acquire 1 null -> fail",
    )]),
    right_and_wrong: Ok(&[(
        &[("ttl_ms", "10000")],
        "1 acquire 0 null -> ok\n 2 acquire 0 null -> fail\n 1 release 0 null -> ok\n 2 acquire 0 null -> ok",
        "1 acquire 0 null -> ok\n 2 acquire 0 null -> ok",
    )]),
    long: Ok(Long::of(|n| held(n, |_| json!({"ttl_ms": 2})))),
    comparisons: Ok(&[("lease", differ)]),
};

const TTL_MS: u64 = 12;
const CLOCK_ERROR_MS: u64 = 2;
/// The number of the first client in a new scripted.
const FIRST_PROCESS: u64 = 10;

/// What names a lease, and how many of a hundred histories have names as arguments.
const KINDS: [(NamedBy, u64); 3] = [(NamedBy::Unsaid, 30), (NamedBy::Argument, 100), (NamedBy::Key, 100)];

/// Compares the checker with its definition on `count` random histories. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut stats = Stats::default();
    let kinds = KINDS.len() as u64;
    for (share, (named_by, names)) in (0..kinds).zip(KINDS) {
        let lease = Lease { ttl: Some(Span::millis(TTL_MS)), clock_error: Span::millis(CLOCK_ERROR_MS), named_by };
        // What the arguments are is known from the whole history, not from the operations of a finding alone.
        let owned = Cell::new(false);
        let one = compare(
            seed.wrapping_mul(kinds).wrapping_add(share),
            count / kinds + u64::from(share < count % kinds),
            |rng| {
                let names = rng.percent(names);
                let apart = names && (named_by == NamedBy::Argument || rng.percent(50));
                let history = make(rng, names, apart);
                owned.set(named_by == NamedBy::Unsaid && owners(&history));
                history
            },
            |history| crate::random::shown(history, lease.check(history, &Budget::unlimited())),
            |history| define(history, named_by, owned.get()),
        )?;
        stats.histories += one.histories;
        stats.invalid += one.invalid;
    }
    Ok(stats)
}

/// A lease whose server mostly waits for as many events as a grant may last.
fn make(rng: &mut Rng, names: bool, apart: bool) -> History {
    let patience = rng.below(8);
    let clients = 2 + rng.below(2);
    // Some leases have the numbers of processes as names, or processes say who they are.
    let numbers = names && rng.percent(40);
    let own = if rng.percent(60) { 100 } else { 50 };
    let nameless = if rng.percent(50) { 5 } else { 40 };
    let scripts = (0..clients).map(|client| {
        let step = |rng: &mut Rng| {
            let ttl = crate::calls::object(&[("ttl_ms", Value::Int(3 + rng.below(20) as i64))]);
            let functions: [&'static str; 5] = ["acquire", "acquire", "renew", "release", "read"];
            let f = functions[rng.below(5) as usize];
            let name = Value::text(if rng.percent(30) { "b" } else { "a" });
            let input = if numbers && (f == "acquire" || rng.percent(70)) {
                let number = if rng.percent(own) { client } else { rng.below(clients) };
                Value::Int((FIRST_PROCESS + number) as i64)
            } else if names && !numbers && !rng.percent(if f == "acquire" { 5 } else { nameless }) {
                name
            } else if rng.percent(20) {
                ttl
            } else {
                Value::Nil
            };
            Step::new(f, Value::Nil, input)
        };
        (0..1 + rng.below(5)).map(|_| step(rng)).collect()
    });
    let scripts: Vec<Vec<Step>> = scripts.collect();
    // Of each lease who holds it, and until which event.
    let mut held: BTreeMap<Option<String>, (Option<u64>, u64)> = BTreeMap::new();
    let mut now = 0;
    interleave(rng, scripts, 8, &mut |rng, process, step| {
        now += 1;
        let name = called(&step.input).filter(|_| apart);
        let (holder, until) = held.entry(name).or_default();
        match step.f {
            "acquire" if holder.is_none() || *until <= now || *holder == Some(process) => {
                (*holder, *until) = (Some(process), now + patience);
                Some(Value::Nil)
            }
            "renew" if *holder == Some(process) => {
                *until = now + patience;
                Some(Value::Nil)
            }
            "release" if *holder == Some(process) => {
                *holder = None;
                Some(Value::Nil)
            }
            "read" => Some(Value::Nil),
            // Nothing happened, told by a reply or by a failure.
            _ => Some(Value::Bool(false)).filter(|_| rng.percent(50)),
        }
    })
}

/// What an argument names: a text or a number.
fn called(input: &Value) -> Option<String> {
    match input {
        Value::Text(name) => Some(name.to_string()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

fn named(op: &Op<'_>) -> Option<String> {
    called(&op.input.to_value())
}

/// Whether each acquire has the number of its process, of several processes, one of which acquired more than once.
fn owners(history: &History) -> bool {
    let acquires: Vec<Op<'_>> = history.ops().iter().filter(|op| history.name(op.function) == "acquire").collect();
    let processes: BTreeSet<u64> = acquires.iter().map(|op| op.process).collect();
    let own = acquires.iter().all(|op| op.input.as_int() == Some(op.process as i64));
    own && processes.len() > 1 && acquires.len() > processes.len()
}

/// The only lease that a process can have at this call, if that is certain: of all that it was granted, each either was
/// given back for certain or is this one.
fn only(
    history: &History,
    call: &Op<'_>,
    named_by: NamedBy,
    names: &BTreeSet<Option<String>>,
) -> Option<Option<String>> {
    let own = history.ops().iter().filter(|op| op.process == call.process && op.call < call.call && done(op));
    let mut granted: Vec<Option<String>> = Vec::new();
    for op in own {
        match history.name(op.function) {
            "acquire" => granted.push(named(&op)),
            "renew" if names.contains(&named(&op)) && named(&op).is_some() && !granted.contains(&named(&op)) => {
                granted.push(named(&op));
            }
            "release" if named_by == NamedBy::Argument && named(&op).is_some() && names.contains(&named(&op)) => {
                let given = granted.iter().position(|one| *one == named(&op));
                given.map(|given| granted.remove(given));
            }
            "release" => match &granted[..] {
                [] => {}
                // It gave back the one that it had.
                [one] if named(&op).is_none() || named(&op) == *one => granted.clear(),
                _ => return None,
            },
            _ => {}
        }
    }
    let first = granted.first()?.clone();
    granted.iter().all(|one| *one == first).then_some(first)
}

fn done(op: &Op<'_>) -> bool {
    op.outcome == Outcome::Ok && op.output.to_value() != Value::Bool(false)
}

/// Directly from the definition: every pair of grants, at the beginning of the second.
fn define(history: &History, named_by: NamedBy, owned: bool) -> BTreeSet<&'static str> {
    let ops: Vec<Op<'_>> = history.ops().iter().collect();
    let is = |op: &Op<'_>, f: &str| history.name(op.function) == f;
    let names: BTreeSet<Option<String>> = ops.iter().filter(|op| is(op, "acquire")).map(named).collect();
    let one = names.len() < 2 || named_by == NamedBy::Key || owned;
    // A renewal is about the lease that it names, or the only one that its process has.
    let lease = |op: &Op<'_>| {
        let said = (is(op, "acquire") || named(op).is_some() && names.contains(&named(op))).then(|| named(op));
        said.or_else(|| only(history, op, named_by, &names).filter(|_| named(op).is_none()))
    };
    let grant = |op: &&Op<'_>| done(op) && (is(op, "acquire") || is(op, "renew") && (one || lease(op).is_some()));
    // Whether the call may have ended the grant.
    let ends = |op: &Op<'_>, grant: &Op<'_>| {
        let another = named_by == NamedBy::Argument && named(op).is_some() && names.contains(&named(op));
        let about = one || !another || Some(named(op)) == lease(grant);
        op.outcome == Outcome::Info || done(op) && is(op, "release") && about
    };
    let holds_at = |grant: &Op<'_>, index: u64, time: u64| {
        let ttl_ms = match grant.input.to_value() {
            Value::Map(entries) => entries[0].1.as_int().unwrap_or(0) as u64,
            _ => TTL_MS,
        };
        let mine = |op: &&Op<'_>| op.process == grant.process && op.call > grant.call && op.call < index;
        let lasts = ttl_ms.saturating_sub(CLOCK_ERROR_MS) * 1_000_000;
        let over = ops.iter().filter(mine).any(|op| ends(op, grant));
        grant.reply <= index && time < grant.call_time + lasts && !over
    };
    for first in ops.iter().filter(grant) {
        let same = |second: &&Op<'_>| second.process != first.process && (one || lease(second) == lease(first));
        for second in ops.iter().filter(grant).filter(same) {
            let (index, time) = (second.reply, second.reply_time);
            if holds_at(first, index, time) && holds_at(second, index, time) {
                return BTreeSet::from(["overlapping-leases"]);
            }
        }
    }
    BTreeSet::new()
}

#[cfg(test)]
mod tests {
    #[test]
    fn random_leases() {
        let stats = super::differ(1, crate::random::scripted::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 20 > stats.histories && stats.invalid * 2 < stats.histories, "{stats:?}");
    }
}
