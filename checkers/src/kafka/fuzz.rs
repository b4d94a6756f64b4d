//! Random logs, judged by the checker and message by message from the definitions.
use super::{KINDS, Kafka};
use crate::contract::tape::{self, Answer, Tape};
use crate::fuzz::{Draw, Stats};
use crate::history::{History, Op, Outcome};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Judges random histories twice.
pub fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let fast = |history: &History| {
        let verdict = crate::fuzz::shown(history, Kafka::new().check(history, &Budget::unlimited()));
        let mut answer = Answer::read(&verdict, &["unseen", "missing"]);
        for kind in KINDS {
            let count = verdict.numbers.get(&kind.replace('-', "_")).and_then(serde_json::Value::as_u64);
            // Circles are counted by component there, and only found here.
            let most = if kind == "G1c" { 1 } else { u64::MAX };
            answer.facts.push((kind, count.unwrap_or(0).min(most)));
        }
        answer
    };
    tape::differ(seed, count, history, fast, defined)
}

/// Two logs, appended to at the replies; each process polls from a place of its own; and some lies.
fn history(draw: &mut Draw) -> Tape {
    let mut tape = Tape::new(1 + draw.below(3));
    let lies = *draw.pick(&[0, 0, 0, 4, 10]);
    let mut logs: [Vec<(i64, i64)>; 2] = [Vec::new(), Vec::new()];
    let mut places: BTreeMap<(u64, usize), usize> = BTreeMap::new();
    let mut next = 0;
    for _ in 0..6 + draw.below(30) {
        let worker = draw.below(tape.workers());
        let Some((f, input)) = tape.open(worker) else {
            let f = *draw.pick(&["send", "send", "poll", "poll", "poll", "txn", "txn", "moved"]);
            let f = if f == "moved" {
                *draw.pick(&["assign", "subscribe", "crash", "rebalance", "assign", "subscribe", "seek"])
            } else {
                f
            };
            let mut send = |draw: &mut Draw| {
                next += 1;
                let value = if draw.percent(lies) { 1 + draw.below(6) as i64 } else { next };
                Value::list([Value::text("send"), Value::Int(draw.below(2) as i64), Value::Int(value)])
            };
            let input = match f {
                "send" => vec![send(draw)],
                "poll" => vec![Value::list([Value::text("poll")])],
                "txn" => {
                    let of = |draw: &mut Draw, send: &mut dyn FnMut(&mut Draw) -> Value| match draw.percent(60) {
                        true => send(draw),
                        false => Value::list([Value::text("poll")]),
                    };
                    (0..1 + draw.below(3)).map(|_| of(draw, &mut send)).collect()
                }
                _ => vec![Value::Int(0)],
            };
            tape.call(worker, f, Value::Nil, Value::list(input), false);
            continue;
        };
        let mut outcome = *draw.pick(&[
            Outcome::Ok,
            Outcome::Ok,
            Outcome::Ok,
            Outcome::Ok,
            Outcome::Ok,
            Outcome::Fail,
            Outcome::Info,
        ]);
        if !matches!(f, "send" | "poll" | "txn") {
            for (log, messages) in logs.iter().enumerate() {
                let at = if draw.percent(50) { 0 } else { draw.below(messages.len() as u64 + 1) as usize };
                places.insert((worker, log), at);
            }
            outcome = if draw.percent(10) { Outcome::Fail } else { Outcome::Ok };
            tape.reply(worker, outcome, Value::Nil);
            continue;
        }
        let happens = if outcome == Outcome::Info { draw.percent(50) } else { outcome == Outcome::Ok };
        let happens = happens != draw.percent(lies);
        let mut answers = Vec::new();
        // Messages of transactions that are not over: who polls one of them reads what is not there yet.
        let mut flying: Vec<(i64, i64)> = Vec::new();
        for (_, input) in (0..tape.workers()).filter(|other| *other != worker).filter_map(|other| tape.open(other)) {
            for item in input.as_list().unwrap_or_default() {
                if let Some([_, key, value]) = item.as_list() {
                    flying.push((key.as_int().unwrap_or(0), value.as_int().unwrap_or(0)));
                }
            }
        }
        flying.retain(|_| draw.percent(4 * lies));
        for item in input.as_list().unwrap_or_default() {
            answers.push(match item.as_list() {
                Some([_, key, value]) => {
                    let log = &mut logs[key.as_int().unwrap_or(0) as usize];
                    let gap = 1 + i64::from(draw.percent(20));
                    let mut offset = log.last().map_or(0, |(offset, _)| offset + gap);
                    if draw.percent(lies) {
                        offset = draw.below(5) as i64;
                    }
                    if happens {
                        log.push((offset, value.as_int().unwrap_or(0)));
                    }
                    let offset = if draw.percent(5) { Value::Nil } else { Value::Int(offset) };
                    Value::list([Value::text("send"), key.clone(), Value::list([offset, value.clone()])])
                }
                _ => Value::list([Value::text("poll"), polled(draw, &logs, &flying, &mut places, worker, lies)]),
            });
        }
        if draw.percent(1) {
            answers.pop();
        }
        tape.reply(worker, outcome, if outcome == Outcome::Ok { Value::list(answers) } else { Value::Nil });
    }
    tape
}

fn polled(
    draw: &mut Draw,
    logs: &[Vec<(i64, i64)>; 2],
    flying: &[(i64, i64)],
    places: &mut BTreeMap<(u64, usize), usize>,
    worker: u64,
    lies: u64,
) -> Value {
    let mut entries: Vec<(Arc<str>, Value)> = Vec::new();
    for (key, log) in logs.iter().enumerate() {
        let place = places.entry((worker, key)).or_default();
        let mut list = Vec::new();
        for _ in 0..draw.below(4) {
            if draw.percent(lies) {
                *place = draw.below(log.len() as u64 + 1) as usize;
            }
            let Some((offset, value)) = log.get(*place) else { break };
            let value = if draw.percent(lies / 2) { 1 + draw.below(12) as i64 } else { *value };
            list.push(Value::list([Value::Int(*offset), Value::Int(value)]));
            *place += 1;
        }
        let dirty = flying.iter().filter(|(other, _)| *other == key as i64).map(|(_, value)| *value);
        let next = log.last().map_or(0, |(offset, _)| offset + 1);
        list.extend(dirty.map(|value| Value::list([Value::Int(next), Value::Int(value)])));
        entries.push((key.to_string().into(), Value::list(list)));
    }
    Value::Map(entries.into())
}

/// What happened in one operation, micro-operation by micro-operation.
struct Parsed<'h> {
    op: Op<'h>,
    f: String,
    sends: Vec<(String, Value)>,
    /// Where acknowledged sends landed.
    landed: Vec<(String, Option<i64>, Value)>,
    /// Which micro-operation polled what.
    polled: Vec<(usize, String, i64, Value)>,
    polls: bool,
    odd: bool,
}

fn parse<'h>(history: &History, op: Op<'h>) -> Parsed<'h> {
    let f = history.name(op.function).to_owned();
    let mut parsed = Parsed { op, f, sends: vec![], landed: vec![], polled: vec![], polls: false, odd: false };
    if !matches!(parsed.f.as_str(), "send" | "poll" | "txn") {
        return parsed;
    }
    let (input, output) = (op.input.to_value(), op.output.to_value());
    let (asked, answered) = (input.as_list().unwrap_or_default(), output.as_list().unwrap_or_default());
    let ok = op.outcome == Outcome::Ok;
    parsed.odd = ok && asked.len() != answered.len();
    for (at, item) in asked.iter().enumerate() {
        let answer = answered.get(at).and_then(Value::as_list).unwrap_or_default();
        if let Some([_, key, value]) = item.as_list() {
            parsed.sends.push((key.to_string(), value.clone()));
            if ok {
                let offset = answer.get(2).and_then(Value::as_list).and_then(|pair| pair[0].as_int());
                parsed.landed.push((key.to_string(), offset, value.clone()));
            }
            continue;
        }
        parsed.polls = true;
        let Some(Value::Map(entries)) = answer.get(1) else { continue };
        for (key, list) in entries.iter() {
            for pair in list.as_list().unwrap_or_default() {
                if let Some([Value::Int(offset), value]) = pair.as_list() {
                    parsed.polled.push((at, key.to_string(), *offset, value.clone()));
                }
            }
        }
    }
    parsed
}

/// Counts by name, and whether each breaks the promise.
struct Tally {
    counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn add(&mut self, kind: &'static str, violated: bool) {
        *self.counts.entry(kind).or_default() += u64::from(violated);
    }
}

fn defined(history: &History) -> Answer {
    let all: Vec<Parsed<'_>> = history.ops().iter().map(|op| parse(history, op)).collect();
    let relevant = all.iter().any(|one| matches!(one.f.as_str(), "send" | "poll" | "subscribe"));
    let all = if relevant { all } else { Vec::new() };
    let sure = !all.iter().any(|one| one.odd);
    let mut tally = Tally { counts: BTreeMap::new() };
    let mut messages: BTreeSet<(String, Value)> = BTreeSet::new();
    let mut seen: Vec<(String, i64, Value, &Parsed<'_>, bool)> = Vec::new();
    for one in &all {
        messages.extend(one.sends.iter().cloned());
        messages.extend(one.polled.iter().map(|(_, key, _, value)| (key.clone(), value.clone())));
        let landed =
            one.landed.iter().filter_map(|(key, at, value)| Some((key.clone(), (*at)?, value.clone(), one, false)));
        seen.extend(landed);
        seen.extend(one.polled.iter().map(|(_, key, at, value)| (key.clone(), *at, value.clone(), one, true)));
    }
    let places: BTreeSet<(&String, i64)> = seen.iter().map(|one| (&one.0, one.1)).collect();
    for (key, offset) in places {
        let values: BTreeSet<&Value> =
            seen.iter().filter(|one| (&one.0, one.1) == (key, offset)).map(|one| &one.2).collect();
        tally.add("inconsistent-offsets", values.len() > 1);
    }
    let grouped = |one: &Parsed<'_>| {
        let before = |other: &&Parsed<'_>| other.op.process == one.op.process && other.op.call < one.op.call;
        let last = all.iter().filter(before).rfind(|other| matches!(other.f.as_str(), "assign" | "subscribe"));
        last.is_some_and(|last| last.f == "subscribe")
    };
    let doubtful = all.iter().any(|one| one.polls && one.op.outcome == Outcome::Info && grouped(one))
        || all.iter().any(|one| one.f == "seek");
    let (mut unseen, mut missing) = (0, 0);
    for (key, value) in &messages {
        let ours = |one: &&Parsed<'_>| one.sends.iter().any(|send| (&send.0, &send.1) == (key, value));
        let sends = |one: &Parsed<'_>| one.sends.iter().filter(|send| (&send.0, &send.1) == (key, value)).count();
        let maybe: Vec<&Parsed<'_>> = all.iter().filter(ours).filter(|one| one.op.outcome != Outcome::Fail).collect();
        let refused = all.iter().filter(ours).any(|one| one.op.outcome == Outcome::Fail);
        let tried: usize = maybe.iter().map(|one| sends(one)).sum();
        let here = |one: &&(String, i64, Value, &Parsed<'_>, bool)| (&one.0, &one.2) == (key, value);
        let offsets: BTreeSet<i64> = seen.iter().filter(here).map(|one| one.1).collect();
        tally.add("duplicate", sure && offsets.len() > tried.max(1));
        let polled = seen.iter().filter(here).filter(|one| one.4).map(|one| one.3.op.reply).min();
        if let Some(polled) = polled {
            let early = maybe.iter().all(|one| one.op.call > polled);
            tally.add("G1a", sure && tried == 0 && refused);
            tally.add("unexpected-message", sure && early && !(tried == 0 && refused));
            continue;
        }
        let landed = all.iter().flat_map(|one| &one.landed).filter(|landed| (&landed.0, &landed.2) == (key, value));
        let landed: Vec<Option<i64>> = landed.map(|landed| landed.1).collect();
        if landed.is_empty() {
            continue;
        }
        let highest = seen.iter().filter(|one| one.4 && one.0 == *key).map(|one| one.1).max();
        match landed.into_iter().flatten().next().filter(|offset| highest.is_some_and(|highest| *offset <= highest)) {
            None => unseen += 1,
            Some(_) if doubtful => missing += 1,
            Some(_) => tally.add("lost-write", sure),
        }
    }
    let sent = |key: &String, value: &Value| {
        let ours = |one: &&Parsed<'_>| one.sends.iter().any(|send| (&send.0, &send.1) == (key, value));
        all.iter().filter(ours).any(|one| one.op.outcome != Outcome::Fail)
    };
    for one in &all {
        for (at, (list, key, offset, _)) in one.polled.iter().enumerate() {
            let Some((before, before_list, inside)) = previous(&all, one, at, key) else { continue };
            let violated = !grouped(one) || (inside && before_list == *list);
            let skipped =
                seen.iter().any(|one| one.0 == *key && before < one.1 && one.1 < *offset && sent(&one.0, &one.2));
            match (inside, *offset <= before, skipped) {
                (true, true, _) => tally.add("int-nonmonotonic-poll", violated),
                (false, true, _) => tally.add("nonmonotonic-poll", violated),
                (true, false, true) => tally.add("int-poll-skip", violated),
                (false, false, true) => tally.add("poll-skip", violated),
                _ => {}
            }
        }
        let known = |one: &Parsed<'_>| -> Vec<(String, i64)> {
            one.landed.iter().filter_map(|(key, at, _)| Some((key.clone(), (*at)?))).collect()
        };
        let mine = known(one);
        for (at, (key, offset)) in mine.iter().enumerate() {
            let inside = mine[..at].iter().rev().find(|(other, _)| other == key).map(|(_, offset)| *offset);
            let before = |other: &&Parsed<'_>| other.op.process == one.op.process && other.op.call < one.op.call;
            let earlier: Vec<(String, i64)> = all.iter().filter(before).flat_map(known).collect();
            let outside = earlier.iter().rev().find(|(other, _)| other == key).map(|(_, offset)| *offset);
            match (inside, outside) {
                (Some(before), _) => tally.add("int-nonmonotonic-send", *offset <= before),
                (None, Some(before)) => tally.add("nonmonotonic-send", *offset <= before),
                (None, None) => {}
            }
        }
    }
    tally.add("G1c", sure && circle(&all));
    let count = |kind: &str| tally.counts.get(kind).copied().unwrap_or(0);
    let kinds = KINDS.iter().filter(|kind| count(kind) > 0).map(|kind| (*kind).to_owned()).collect();
    let acknowledged = all.iter().any(|one| !one.landed.is_empty());
    let doubt = !acknowledged || !seen.iter().any(|one| one.4) || !sure || missing > 0;
    let mut facts = vec![("unseen", unseen), ("missing", missing)];
    facts.extend(KINDS.map(|kind| (kind, count(kind))));
    Answer::of(kinds, doubt, facts)
}

/// What the process of this poll had polled of the log before, unless it expects nothing: the offset, the place of the
/// micro-operation, and whether the same operation did.
fn previous(all: &[Parsed<'_>], one: &Parsed<'_>, at: usize, key: &str) -> Option<(i64, usize, bool)> {
    let last = |polled: &[(usize, String, i64, Value)]| {
        polled.iter().rev().find(|(_, other, _, _)| other == key).map(|(list, _, offset, _)| (*offset, *list))
    };
    if let Some((offset, list)) = last(&one.polled[..at]) {
        return Some((offset, list, true));
    }
    let mine = |other: &&Parsed<'_>| other.op.process == one.op.process && other.op.call < one.op.call;
    for other in all.iter().filter(mine).collect::<Vec<_>>().into_iter().rev() {
        let moved = !matches!(other.f.as_str(), "send" | "poll" | "txn");
        if moved || other.odd || (other.polls && other.op.outcome != Outcome::Ok) {
            return None;
        }
        if let Some((offset, list)) = last(&other.polled) {
            return Some((offset, list, false));
        }
    }
    None
}

/// Whether operations polled each other's messages in a circle, by the transitive closure.
fn circle(all: &[Parsed<'_>]) -> bool {
    let count = |key: &String, value: &Value| {
        let maybe = all.iter().filter(|one| one.op.outcome != Outcome::Fail).flat_map(|one| &one.sends);
        maybe.filter(|send| (&send.0, &send.1) == (key, value)).count()
    };
    let edge = |from: &Parsed<'_>, to: &Parsed<'_>| {
        let sent = |key: &String, value: &Value| from.sends.iter().any(|send| (&send.0, &send.1) == (key, value));
        let polled = |one: &(usize, String, i64, Value)| sent(&one.1, &one.3) && count(&one.1, &one.3) == 1;
        from.op.call != to.op.call && from.op.outcome != Outcome::Fail && to.polled.iter().any(polled)
    };
    let mut reach: Vec<Vec<bool>> = all.iter().map(|from| all.iter().map(|to| edge(from, to)).collect()).collect();
    for by in 0..all.len() {
        for from in 0..all.len() {
            for to in 0..all.len() {
                reach[from][to] |= reach[from][by] && reach[by][to];
            }
        }
    }
    (0..all.len()).any(|one| reach[one][one])
}
