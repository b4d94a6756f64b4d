//! `crdt` against its definition.
use super::{Crdt, CrdtType};
use crate::history::standstill::{CONVERGED, NOT_CONVERGED};
use crate::history::{History, Op, Outcome, Phase};
use crate::oracles::cases::{CheckerCases, Long, adds};
use crate::random::scripted::{ScriptedHistory, Step, compare, interleave_into};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use std::collections::BTreeSet;

/// What the tests of all checkers ask of `crdt`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(
        &[],
        "settle n1: 8 read 0 null -> ok 0\n settle n2: 9 read 0 null -> ok 0\n n1: 1 add 0 2 -> ok",
    )]),
    right_and_wrong: Ok(&[(
        &[("quiesce_ms", "0")],
        "n1: 1 add 0 2 -> ok\n settle n1: 8 read 0 null -> ok 2\n settle n2: 9 read 0 null -> ok 2",
        "n1: 1 add 0 2 -> ok\n settle n1: 8 read 0 null -> ok 2\n settle n2: 9 read 0 null -> ok 4",
    )]),
    long: Ok(Long::of(adds)),
    comparisons: Ok(&[("crdt", differ)]),
};

const TYPES: [CrdtType; 5] =
    [CrdtType::GCounter, CrdtType::PnCounter, CrdtType::GSet, CrdtType::OrSet, CrdtType::LwwRegister];

/// Compares the checker with its definition on `count` random histories. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut stats = Stats::default();
    // Half of them with a time from which on replicas are to be equal, half without.
    let cases = TYPES.into_iter().flat_map(|kind| [(kind, true), (kind, false)]);
    for (share, (kind, promised)) in cases.enumerate() {
        let checker = Crdt { kind: Some(kind), quiesce_ms: promised.then_some(0) };
        let seed = seed.wrapping_mul(10).wrapping_add(share as u64);
        let count = count / 10 + u64::from((share as u64) < count % 10);
        let check = |history: &History| crate::random::shown(history, checker.check(history, &Budget::unlimited()));
        let define = |history: &History| define(history, kind, promised);
        let one = compare(seed, count, |rng| make(rng, kind), check, define)?;
        stats.histories += one.histories;
        stats.invalid += one.invalid;
    }
    Ok(stats)
}

fn is_set(kind: CrdtType) -> bool {
    matches!(kind, CrdtType::GSet | CrdtType::OrSet)
}

fn step(rng: &mut Rng, kind: CrdtType, settle: bool) -> Step {
    let node = rng.below(2);
    if settle || rng.percent(35) {
        return Step { node, settle, ..Step::new("read", Value::Nil, Value::Nil) };
    }
    let small = Value::Int(1 + rng.below(4) as i64);
    let (f, input) = match kind {
        CrdtType::GCounter => ("add", small),
        CrdtType::PnCounter => ("add", Value::Int(rng.below(7) as i64 - 3)),
        CrdtType::GSet => ("add", small),
        CrdtType::OrSet => (if rng.percent(60) { "add" } else { "remove" }, small),
        CrdtType::LwwRegister => {
            let timestamp = Value::Int(rng.below(4) as i64);
            ("write", crate::calls::object(&[("value", small), ("timestamp", timestamp)]))
        }
    };
    Step { node, ..Step::new(f, Value::Nil, input) }
}

/// One object that every update reaches at once; some reads show something else.
fn make(rng: &mut Rng, kind: CrdtType) -> History {
    let broken = if rng.percent(50) { rng.below(30) } else { 0 };
    let clocks = rng.percent(40);
    let mut scripts: Vec<Vec<Step>> = Vec::new();
    for _ in 0..2 + rng.below(2) {
        scripts.push((0..1 + rng.below(3)).map(|_| step(rng, kind, false)).collect());
    }
    let update = loop {
        let step = step(rng, kind, false);
        if step.f != "read" {
            break step;
        }
    };
    scripts.push(vec![update]);
    let finals: Vec<Vec<Step>> = (0..1 + rng.below(3)).map(|_| vec![step(rng, kind, true)]).collect();
    let mut scripted = ScriptedHistory::new();
    let (mut applied, mut sum, mut register, mut set) =
        (0_i64, 0_i64, (i64::MIN, Value::Nil), BTreeSet::<Value>::new());
    let mut effect = |rng: &mut Rng, _: u64, step: &Step| {
        if step.f != "read" {
            if rng.percent(10) {
                return None;
            }
            applied += 1;
            match (&step.input, step.f) {
                (Value::Int(amount), _) if !is_set(kind) => sum += amount,
                (Value::Map(entries), _) => {
                    let new = (entries[1].1.as_int().unwrap_or(0), entries[0].1.clone());
                    register = register.clone().max(new);
                }
                (element, "add") => drop(set.insert(element.clone())),
                (element, _) => drop(set.remove(element)),
            }
            return Some(Value::Nil);
        }
        let mut elements: Vec<Value> = set.iter().cloned().collect();
        let off = rng.below(100) < broken;
        if off {
            let strange = Value::Int(1 + rng.below(5) as i64);
            match elements.iter().position(|element| *element == strange) {
                Some(at) => drop(elements.remove(at)),
                None => elements.push(strange),
            }
        }
        let value = match kind {
            CrdtType::GCounter | CrdtType::PnCounter if off => Value::Int(sum + rng.below(7) as i64 - 3),
            CrdtType::GCounter | CrdtType::PnCounter => sum.into(),
            CrdtType::LwwRegister if off => Value::Int(1 + rng.below(5) as i64),
            CrdtType::LwwRegister => register.1.clone(),
            CrdtType::GSet | CrdtType::OrSet => Value::list(elements),
        };
        let pair = || crate::calls::object(&[("value", value.clone()), ("clock", applied.into())]);
        Some(if clocks && rng.percent(70) { pair() } else { value })
    };
    interleave_into(&mut scripted, rng, scripts, 8, &mut effect);
    if let Some(note) = *rng.pick(&[Some(CONVERGED), Some(CONVERGED), Some(NOT_CONVERGED), None]) {
        scripted.note(note);
    }
    scripted.phase(Phase::Settle);
    interleave_into(&mut scripted, rng, finals, 0, &mut effect);
    scripted.finish()
}

/// The value that a read shows, of sets in order.
fn seen(op: &Op<'_>, kind: CrdtType) -> Value {
    let value = match op.output.to_value() {
        Value::Map(entries) => entries[0].1.clone(),
        other => other,
    };
    match value {
        Value::List(items) if is_set(kind) => Value::list(items.iter().cloned().collect::<BTreeSet<Value>>()),
        other => other,
    }
}

fn has(value: &Value, element: &Value) -> bool {
    value.as_list().is_some_and(|list| list.contains(element))
}

/// Directly from the definition: every pair of reads, every element, every subset of what may have taken effect.
fn define(history: &History, kind: CrdtType, promised: bool) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    let ops: Vec<Op<'_>> = history.ops().iter().collect();
    let (reads, updates): (Vec<Op<'_>>, Vec<Op<'_>>) =
        ops.into_iter().partition(|op| history.name(op.function) == "read");
    let reads: Vec<(Op<'_>, Value)> =
        reads.into_iter().filter(|op| op.outcome == Outcome::Ok).map(|op| (op, seen(&op, kind))).collect();
    let ended = |read: &Op<'_>| updates.iter().all(|op| op.outcome == Outcome::Info || op.reply < read.call);
    let mut finals: Vec<(Op<'_>, Value)> = Vec::new();
    for (op, value) in reads.iter().filter(|(op, _)| op.settle && ended(op)) {
        finals.retain(|(other, _)| other.node != op.node);
        finals.push((*op, value.clone()));
    }
    let noted = |wanted: &str| history.notes.iter().find(|(_, _, text)| text == wanted).map(|(time, ..)| *time);
    let ends = updates.iter().filter(|op| op.outcome != Outcome::Info).map(|op| op.reply_time).max().unwrap_or(0);
    let before = |at: u64| finals.iter().all(|(read, _)| at <= read.call_time);
    let converged = noted(CONVERGED).is_some_and(|at| ends <= at && before(at)) && noted(NOT_CONVERGED).is_none();
    if !promised && !converged {
        finals.clear();
    }
    let tried: Vec<&Op<'_>> = updates.iter().filter(|op| op.outcome != Outcome::Fail).collect();
    let clock = |op: &Op<'_>| match op.output.to_value() {
        Value::Map(entries) => entries.get(1).map(|(_, clock)| clock.clone()),
        _ => None,
    };
    for (one, first) in &reads {
        for (two, second) in &reads {
            if clock(one).is_some() && clock(one) == clock(two) && first != second {
                kinds.insert("same-clock-different-value");
            }
            if one.node == two.node && one.reply < two.call {
                let less = match kind {
                    CrdtType::GCounter => second.as_int() < first.as_int(),
                    CrdtType::GSet => first.as_list().unwrap_or(&[]).iter().any(|element| !has(second, element)),
                    _ => false,
                };
                if less {
                    kinds.insert("shrunk");
                }
            }
        }
    }
    match kind {
        CrdtType::GCounter | CrdtType::PnCounter => counter(&reads, &finals, &tried, &mut kinds),
        CrdtType::GSet | CrdtType::OrSet => sets(history, &reads, &finals, &tried, &mut kinds),
        CrdtType::LwwRegister => register(&reads, &finals, &tried, &mut kinds),
    }
    let doubt = tried.iter().any(|op| op.outcome == Outcome::Info);
    if !is_set(kind) && !doubt && finals.iter().any(|(_, value)| *value != finals[0].1) {
        kinds.insert("diverged");
    }
    kinds
}

type Reads<'a, 'h> = &'a [(Op<'h>, Value)];

/// Between the smallest and the largest sum of any subset.
fn counter(reads: Reads<'_, '_>, finals: Reads<'_, '_>, tried: &[&Op<'_>], kinds: &mut BTreeSet<&'static str>) {
    let outside = |value: &Value, optional: &[i64], certain: i64| {
        let sums = (0..1_u32 << optional.len()).map(|chosen| {
            let each = optional.iter().enumerate().filter(|(at, _)| chosen & (1 << at) != 0);
            certain + each.map(|(_, amount)| amount).sum::<i64>()
        });
        let (low, high) = sums.fold((i64::MAX, i64::MIN), |(low, high), sum| (low.min(sum), high.max(sum)));
        value.as_int().is_some_and(|value| value < low || value > high)
    };
    let amount = |op: &&Op<'_>| op.input.as_int().unwrap_or(0);
    for (read, value) in reads {
        let before: Vec<i64> = tried.iter().copied().filter(|op| op.call < read.reply).map(|op| amount(&op)).collect();
        if outside(value, &before, 0) {
            kinds.insert("value-out-of-bounds");
        }
    }
    let info: Vec<i64> = tried.iter().copied().filter(|op| op.outcome == Outcome::Info).map(|op| amount(&op)).collect();
    let certain = tried.iter().copied().filter(|op| op.outcome == Outcome::Ok).map(|op| amount(&op)).sum();
    if finals.iter().any(|(_, value)| outside(value, &info, certain)) {
        kinds.insert("value-out-of-bounds");
    }
}

fn sets(
    history: &History,
    reads: Reads<'_, '_>,
    finals: Reads<'_, '_>,
    tried: &[&Op<'_>],
    kinds: &mut BTreeSet<&'static str>,
) {
    for element in (1..=5).map(Value::Int) {
        let of = |f: &'static str| {
            let mine = tried.iter().copied().filter(|op| op.input == element && history.name(op.function) == f);
            mine.collect::<Vec<&Op<'_>>>()
        };
        let (adds, removes) = (of("add"), of("remove"));
        let early =
            |(read, value): &(Op<'_>, Value)| has(value, &element) && adds.iter().all(|add| add.call > read.reply);
        if reads.iter().any(early) {
            kinds.insert("unexpected-element");
        }
        let unseen = |add: &&Op<'_>| {
            let before = |remove: &&Op<'_>| remove.outcome != Outcome::Info && remove.reply < add.call;
            add.outcome == Outcome::Ok && removes.iter().copied().all(|remove| before(&remove))
        };
        if adds.iter().copied().any(|add| unseen(&add)) && finals.iter().any(|(_, value)| !has(value, &element)) {
            kinds.insert("lost-element");
        }
        let observed = |add: &Op<'_>| {
            let by = |remove: &&&Op<'_>| {
                let sure = remove.outcome == Outcome::Ok && add.outcome == Outcome::Ok;
                sure && remove.node == add.node && add.reply < remove.call
            };
            removes.iter().any(|remove| by(&remove))
        };
        let gone = !adds.is_empty() && adds.iter().all(|add| observed(add));
        if gone && finals.iter().any(|(_, value)| has(value, &element)) {
            kinds.insert("resurrected-element");
        }
        let doubt = adds.iter().chain(&removes).any(|op| op.outcome == Outcome::Info);
        let with = finals.iter().filter(|(_, value)| has(value, &element)).count();
        if !doubt && with > 0 && with < finals.len() {
            kinds.insert("diverged");
        }
    }
}

fn register(reads: Reads<'_, '_>, finals: Reads<'_, '_>, tried: &[&Op<'_>], kinds: &mut BTreeSet<&'static str>) {
    let written = |op: &Op<'_>| match op.input.to_value() {
        Value::Map(entries) => (entries[0].1.clone(), entries[1].1.as_int().unwrap_or(0)),
        other => (other, 0),
    };
    for (read, value) in reads.iter().filter(|(_, value)| !value.is_nil()) {
        if !tried.iter().any(|op| written(op).0 == *value && op.call < read.reply) {
            kinds.insert("unexpected-value");
        }
    }
    let acknowledged: Vec<i64> = tried.iter().filter(|op| op.outcome == Outcome::Ok).map(|op| written(op).1).collect();
    for (_, value) in finals {
        let times: Vec<i64> = tried.iter().filter(|op| written(op).0 == *value).map(|op| written(op).1).collect();
        let beaten = |time: &i64| !times.is_empty() && times.iter().all(|other| other < time);
        if value.is_nil() && !acknowledged.is_empty() || acknowledged.iter().any(beaten) {
            kinds.insert("lost-write");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn random_replicas() {
        let stats = super::differ(1, crate::random::scripted::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 10 > stats.histories && stats.invalid * 5 < stats.histories * 4, "{stats:?}");
    }
}
