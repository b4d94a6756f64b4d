//! Logs of messages: offsets, sends and polls (after Jepsen's `kafka` workload). The subject is the log and what is
//! wrong in it.
use super::{Case, Rule, rule};
use crate::certificate::{Op, Outcome};
use crate::mops::{micros, polls, text};
use serde_json::Value;

pub(super) const RULES: &[Rule] = &[
    rule("inconsistent-offsets", "Two values are at one offset.", inconsistent),
    rule("duplicate", "A value is at more offsets than it was sent times.", duplicate),
    rule("unexpected-message", "A value was polled that no call had sent by then.", unexpected),
    rule("precommitted-read", "A transaction polled what it alone had sent.", precommitted),
    rule("lost-write", "An acknowledged message was never polled, though one beyond it was.", lost),
    rule("int-poll-skip", "An operation's polls passed a message.", |case| skipped(case, true)),
    rule("poll-skip", "A process' polls passed a message.", |case| skipped(case, false)),
    rule("int-nonmonotonic-poll", "An operation's polls went back.", |case| polled_back(case, true)),
    rule("nonmonotonic-poll", "A process' polls went back.", |case| polled_back(case, false)),
    rule("int-nonmonotonic-send", "An operation's sends went to lower offsets.", |case| sent_back(case, true)),
    rule("nonmonotonic-send", "A process' sends went to lower offsets.", |case| sent_back(case, false)),
];

/// A message at an offset, as an operation sent or polled it.
#[derive(Clone, PartialEq)]
struct Sight {
    log: String,
    /// None: a send without a reply.
    offset: Option<i64>,
    value: Value,
    /// A poll: which of the operation's.
    poll: Option<usize>,
}

/// What an operation sent and, where it was acknowledged, polled.
fn sights(op: &Op) -> Vec<Sight> {
    let mut sights = Vec::new();
    if !matches!(op.f.as_str(), "send" | "poll" | "txn") {
        return sights;
    }
    let answers = if op.ok() { micros(&op.output) } else { Vec::new() };
    for (at, asked) in micros(&op.input).iter().enumerate() {
        let answer = answers.get(at).filter(|answer| answer.get(0) == asked.get(0));
        match (asked.get(0).and_then(Value::as_str), asked.get(1), asked.get(2)) {
            (Some("send"), Some(log), Some(value)) => {
                // An answer that repeats the call has no offset, nor has one about another value.
                let placed = answer.and_then(|answer| answer.get(2)).filter(|placed| *placed != value);
                let offset =
                    placed.filter(|placed| placed.get(1) == Some(value)).and_then(|placed| placed.get(0)?.as_i64());
                sights.push(Sight { log: text(log), offset, value: value.clone(), poll: None });
            }
            (Some("poll"), ..) => {
                for (log, messages) in answer.and_then(|answer| answer.get(1)).map(polls).unwrap_or_default() {
                    sights.extend(messages.iter().filter_map(|message| {
                        let (offset, value) = (message.get(0)?.as_i64()?, message.get(1)?.clone());
                        Some(Sight { log: log.clone(), offset: Some(offset), value, poll: Some(at) })
                    }));
                }
            }
            _ => {}
        }
    }
    sights
}

/// The answers of an operation's polls, whatever became of it; none for a poll without one.
fn shown_polls(op: &Op) -> Vec<Option<&Value>> {
    let (asked, answered) = (micros(&op.input), micros(&op.output));
    let is_poll = |step: &Value| step.get(0).and_then(Value::as_str) == Some("poll");
    let answer = |at: usize| answered.get(at).filter(|step| answered.len() == asked.len() && is_poll(step))?.get(1);
    let polls = asked.iter().enumerate().filter(|(_, step)| is_poll(step));
    polls.map(|(at, _)| answer(at).filter(|answer| answer.is_object() || answer.is_array())).collect()
}

/// Whether the operation, whatever became of it, polled the value.
fn showed(op: &Op, log: &str, value: &Value) -> bool {
    let here = |answer: &Value| {
        let logs = polls(answer).into_iter().filter(|(name, _)| name == log);
        logs.flat_map(|(_, messages)| messages).any(|message| message.get(1) == Some(value))
    };
    matches!(op.f.as_str(), "send" | "poll" | "txn") && shown_polls(op).into_iter().flatten().any(here)
}

/// Whether not all that the operation polled is known.
fn unanswered(op: &Op) -> bool {
    let message = |message: &Value| message.as_array().is_some_and(|pair| pair.len() == 2 && pair[0].is_i64());
    let list = |list: &Value| list.as_array().is_some_and(|messages| messages.iter().all(message));
    let whole = |answer: &Value| match answer {
        Value::Object(logs) => logs.values().all(list),
        pairs => pairs.as_array().is_some_and(|pairs| {
            pairs.iter().all(|pair| pair.as_array().is_some_and(|pair| pair.len() == 2 && list(&pair[1])))
        }),
    };
    shown_polls(op).into_iter().any(|answer| !answer.is_some_and(whole))
}

fn about<'a>(case: &Case<'a>) -> Option<(&'a str, &'a Value)> {
    match case.subject.as_array().map(Vec::as_slice) {
        Some([log, what]) if case.one_workload() => Some((log.as_str()?, what)),
        _ => None,
    }
}

fn sends(op: &Op, log: &str, value: &Value) -> bool {
    sights(op).iter().any(|sight| sight.poll.is_none() && sight.log == log && sight.value == *value)
}

fn polled(op: &Op, log: &str, value: &Value) -> bool {
    sights(op).iter().any(|sight| sight.poll.is_some() && sight.log == log && sight.value == *value)
}

/// Sends of the value that may have happened.
fn tried<'a>(case: &Case<'a>, log: &str, value: &Value) -> Vec<&'a Op> {
    case.workload().into_iter().filter(|op| op.outcome != Outcome::Fail && sends(op, log, value)).collect()
}

fn inconsistent(case: &Case<'_>) -> Option<bool> {
    let (log, offset) = about(case)?;
    let at: Vec<(u64, Value)> = case
        .ops
        .iter()
        .flat_map(|op| sights(op).into_iter().map(|sight| (op.call, sight)))
        .filter(|(_, sight)| sight.log == log && sight.offset.is_some() && sight.offset == offset.as_i64())
        .map(|(call, sight)| (call, sight.value))
        .collect();
    let differ = |one: &(u64, Value), other: &(u64, Value)| {
        one.1 != other.1 && case.ops.iter().all(|op| op.call == one.0 || op.call == other.0)
    };
    Some(at.iter().any(|one| at.iter().any(|other| differ(one, other))))
}

fn duplicate(case: &Case<'_>) -> Option<bool> {
    let (log, value) = about(case)?;
    let offsets = |ops: &[&Op]| {
        let all = ops.iter().flat_map(|op| sights(op));
        let mut offsets: Vec<i64> =
            all.filter(|sight| sight.log == log && sight.value == *value).filter_map(|sight| sight.offset).collect();
        offsets.sort_unstable();
        offsets.dedup();
        offsets.len()
    };
    let tried = tried(case, log, value);
    let shown: Vec<&Op> = case.ops.iter().collect();
    let first = tried.first().is_none_or(|first| shown.iter().any(|op| op.call == first.call));
    let needed = |at: usize| {
        let rest: Vec<&Op> = shown.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, op)| *op).collect();
        tried.first().is_some_and(|first| first.call == shown[at].call) || offsets(&rest) <= tried.len().max(1)
    };
    let enough = offsets(&shown) > tried.len().max(1);
    Some(first && enough && (0..shown.len()).all(needed))
}

fn unexpected(case: &Case<'_>) -> Option<bool> {
    let (log, value) = about(case)?;
    let poll = case.ops.iter().find(|op| polled(op, log, value))?;
    let tried = tried(case, log, value);
    let shown: Vec<&Op> = tried.iter().take(1).copied().chain([poll]).collect();
    Some(tried.iter().all(|op| op.call > poll.end()) && case.only(&shown))
}

fn precommitted(case: &Case<'_>) -> Option<bool> {
    let (log, value) = about(case)?;
    let [op] = case.ops else { return None };
    let alone = tried(case, log, value).iter().all(|other| other.call == op.call);
    let once =
        sights(op).iter().filter(|sight| sight.poll.is_none() && sight.log == log && sight.value == *value).count();
    Some(alone && once == 1 && polled(op, log, value))
}

fn lost(case: &Case<'_>) -> Option<bool> {
    let (log, value) = about(case)?;
    let (one, two) = match case.ops {
        [one] => (one, one),
        [one, two] => (one, two),
        _ => return None,
    };
    let placed = |op: &Op| {
        let sent = |sight: &Sight| sight.poll.is_none() && sight.log == log && sight.value == *value;
        sights(op).into_iter().find(|sight| sent(sight)).and_then(|sight| sight.offset)
    };
    let (send, poll) = if placed(one).is_some() { (one, two) } else { (two, one) };
    let offset = placed(send)?;
    let beyond = |sight: &Sight| sight.poll.is_some() && sight.log == log && sight.offset >= Some(offset);
    let all = case.workload();
    // Whoever sought, or polled in a group without an answer, may have passed it.
    let grouped = |poll: &Op| {
        let changes = |op: &&&Op| {
            op.process == poll.process && op.call < poll.call && matches!(op.f.as_str(), "subscribe" | "assign")
        };
        all.iter().filter(changes).max_by_key(|op| op.call).is_some_and(|op| op.f == "subscribe")
    };
    let passed = |op: &&Op| {
        let polls = op.outcome == Outcome::Info && matches!(op.f.as_str(), "poll" | "txn") && unanswered(op);
        op.f == "seek" || polls && grouped(op)
    };
    let nowhere = !all.iter().any(|op| showed(op, log, value));
    Some(nowhere && !all.iter().any(passed) && sights(poll).iter().any(beyond))
}

/// One step of a process: what it polled or sent, and whether a group may take its logs away; or that nobody knows where
/// it polls next, but in these logs.
enum Step {
    Sight { call: u64, sight: Sight, group: bool },
    Moved { keeps: Vec<String> },
}

/// The logs in which a move leaves a process where it was.
fn kept(op: &Op) -> Vec<String> {
    let start = op.input.get("seek-to-beginning?").is_some_and(|flag| *flag != Value::Bool(false));
    if start || !op.ok() || !matches!(op.f.as_str(), "assign" | "subscribe") {
        return Vec::new();
    }
    let keys = op.input.get("keys").unwrap_or(&op.input).as_array();
    keys.map_or(&[][..], Vec::as_slice).iter().map(text).collect()
}

fn steps(case: &Case<'_>, process: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut group = false;
    for op in case.workload().into_iter().filter(|op| op.process == process) {
        match op.f.as_str() {
            "send" | "poll" | "txn" => {
                let polls = micros(&op.input).iter().any(|step| step.get(0).and_then(Value::as_str) == Some("poll"));
                if op.ok() {
                    steps.extend(sights(op).into_iter().map(|sight| Step::Sight { call: op.call, sight, group }));
                } else if polls {
                    steps.push(Step::Moved { keeps: Vec::new() });
                }
            }
            f => {
                group = f == "subscribe" || group && f != "assign";
                steps.push(Step::Moved { keeps: kept(op) });
            }
        }
    }
    steps
}

/// Two polls of a log by one process with nothing in between, one operation's or two's.
fn successive(case: &Case<'_>, log: &str, inside: bool, fits: impl Fn((u64, i64), (u64, i64)) -> bool) -> bool {
    let mut processes: Vec<u64> = case.ops.iter().map(|op| op.process).collect();
    processes.sort_unstable();
    processes.dedup();
    processes.into_iter().any(|process| {
        let mut last: Option<(u64, i64, Option<usize>)> = None;
        let mut found = false;
        for step in steps(case, process) {
            let (call, sight, group) = match step {
                Step::Sight { call, sight, group } => (call, sight, group),
                Step::Moved { keeps } => {
                    last = last.filter(|_| keeps.iter().any(|kept| kept == log));
                    continue;
                }
            };
            let Some(offset) = sight.offset.filter(|_| sight.poll.is_some() && sight.log == log) else { continue };
            if let Some((before, from, list)) = last.replace((call, offset, sight.poll)) {
                let sure = !group || (before == call && list == sight.poll);
                found |= sure && (before == call) == inside && fits((before, from), (call, offset));
            }
        }
        found
    })
}

fn numbers(value: &Value) -> Option<Vec<i64>> {
    value.as_array()?.iter().map(Value::as_i64).collect()
}

fn shown(case: &Case<'_>, call: u64) -> bool {
    case.ops.iter().any(|op| op.call == call)
}

fn skipped(case: &Case<'_>, inside: bool) -> Option<bool> {
    let (log, offsets) = about(case)?;
    let [from, between, to] = numbers(offsets)?[..] else { return None };
    let holds = |op: &&Op| {
        let there = |sight: &Sight| {
            let here = sight.log == log && sight.offset == Some(between);
            here && (case.history.is_none() || !tried(case, log, &sight.value).is_empty())
        };
        op.ok() && sights(op).iter().any(there)
    };
    let only = |one: u64, other: u64| {
        let witness = |op: &Op| case.ops.iter().all(|shown| [one, other, op.call].contains(&shown.call));
        shown(case, one) && shown(case, other) && case.ops.iter().filter(holds).any(witness)
    };
    let fits = |(one, low): (u64, i64), (other, high): (u64, i64)| (low, high) == (from, to) && only(one, other);
    Some(from < between && between < to && successive(case, log, inside, fits))
}

fn polled_back(case: &Case<'_>, inside: bool) -> Option<bool> {
    let (log, offsets) = about(case)?;
    let [from, to] = numbers(offsets)?[..] else { return None };
    let only = |one: u64, other: u64| {
        shown(case, one) && shown(case, other) && case.ops.iter().all(|op| [one, other].contains(&op.call))
    };
    let fits = |(one, low): (u64, i64), (other, high): (u64, i64)| (low, high) == (from, to) && only(one, other);
    Some(to <= from && successive(case, log, inside, fits))
}

fn sent_back(case: &Case<'_>, inside: bool) -> Option<bool> {
    let (log, offsets) = about(case)?;
    let [from, to] = numbers(offsets)?[..] else { return None };
    let process = case.ops.first()?.process;
    let sent: Vec<(u64, i64)> = steps(case, process)
        .into_iter()
        .filter_map(|step| match step {
            Step::Sight { call, sight, .. } if sight.poll.is_none() && sight.log == log => Some((call, sight.offset?)),
            _ => None,
        })
        .collect();
    let fits = |pair: &[(u64, i64)]| {
        let ((one, low), (other, high)) = (pair[0], pair[1]);
        let only = case.ops.iter().all(|op| [one, other].contains(&op.call)) && shown(case, one) && shown(case, other);
        (low, high) == (from, to) && (one == other) == inside && only
    };
    Some(to <= from && sent.windows(2).any(fits))
}
