//! What is decided once: transactions over several participants, sagas, leaders of terms.
use super::{Case, Rule, rule};
use crate::certificate::{Op, Outcome};
use crate::mops::text;
use serde_json::Value;

pub(super) const RULES: &[Rule] = &[
    rule("mixed-decision", "One participant committed, another aborted.", |case| flipped(case, false)),
    rule("decision-flipped", "One participant committed and aborted.", |case| flipped(case, true)),
    rule("acknowledged-commit-aborted", "A client was told of a commit, and a participant aborted.", |case| {
        otherwise(case, true)
    }),
    rule("acknowledged-abort-committed", "A client was told of an abort, and a participant committed.", |case| {
        otherwise(case, false)
    }),
    rule("conflicting-answers", "Clients were told of a commit and of an abort.", conflicting_answers),
    rule("refused-commit-committed", "Every call to commit was refused, and a participant committed.", refused_commit),
    rule("compensated-without-step", "A saga compensated what was not done.", saga_course),
    rule("compensated-out-of-order", "A saga compensated a step before a later one.", saga_course),
    rule("compensated-after-success", "A saga compensated after it had completed.", saga_course),
    rule("step-after-compensation", "A saga did a step after compensation had begun.", saga_course),
    rule("event-after-end", "Something happened in a saga after its end.", saga_course),
    rule("completed-after-compensation", "A saga completed after compensation had begun.", saga_course),
    rule("completed-with-steps-missing", "A saga completed without one of its steps.", saga_course),
    rule("incomplete-compensation", "A saga ended as compensated while a step is done.", saga_course),
    rule("conflicting-logs", "Of two logs of a saga neither is the beginning of the other.", conflicting_logs),
    rule("acknowledged-otherwise", "A caller was told another end than the saga's log says.", acknowledged_otherwise),
    rule("refused-saga-ran", "Every start of a saga was refused, and yet it ran.", refused_saga),
    rule("two-leaders-in-one-term", "Two leaders are named for one term.", two_leaders),
];

/// Whether a word says commit or abort.
fn decision(word: &Value) -> Option<bool> {
    match word.as_str()? {
        "commit" | "committed" => Some(true),
        "abort" | "aborted" => Some(false),
        _ => None,
    }
}

/// What a participant answered about the subject.
fn status(case: &Case<'_>, op: &Op) -> Option<bool> {
    let reply = op.reply().filter(|_| op.f == "status")?;
    let id = text(case.subject);
    match reply.as_object().filter(|_| op.key.is_null()) {
        Some(all) => decision(all.get(&id)?),
        None => decision(reply).filter(|_| text(&op.key) == id),
    }
}

/// The answer to a client about the subject.
fn answer(case: &Case<'_>, op: &Op) -> Option<bool> {
    if op.f != "commit" || text(&op.key) != text(case.subject) {
        return None;
    }
    match op.reply()? {
        Value::Null => Some(true),
        Value::Bool(committed) => Some(*committed),
        word => decision(word),
    }
}

fn flipped(case: &Case<'_>, one_participant: bool) -> Option<bool> {
    let [one, two] = case.ops else { return None };
    let (first, second) = (status(case, one)?, status(case, two)?);
    // Without an argument the node is meant, which stands in the recording only.
    let known = !one.input.is_null() && !two.input.is_null();
    let participants = !known || (text(&one.input) == text(&two.input)) == one_participant;
    Some(case.one_workload() && first != second && participants)
}

fn otherwise(case: &Case<'_>, answered: bool) -> Option<bool> {
    let [one, two] = case.ops else { return None };
    let says = |client: &Op, participant: &Op| {
        answer(case, client) == Some(answered) && status(case, participant) == Some(!answered)
    };
    Some(case.one_workload() && (says(one, two) || says(two, one)))
}

fn conflicting_answers(case: &Case<'_>) -> Option<bool> {
    let [one, two] = case.ops else { return None };
    Some(case.one_workload() && answer(case, one)? != answer(case, two)?)
}

fn refused_commit(case: &Case<'_>) -> Option<bool> {
    let participant = case.ops.iter().find(|op| status(case, op) == Some(true))?;
    let calls = case.workload().into_iter().filter(|op| op.f == "commit" && text(&op.key) == text(case.subject));
    let calls: Vec<&Op> = calls.collect();
    let refused = !calls.is_empty() && calls.iter().all(|op| op.outcome == Outcome::Fail);
    let shown: Vec<&Op> = calls.into_iter().chain([participant]).collect();
    Some(case.one_workload() && refused && case.only(&shown))
}

/// One entry of a saga's log.
#[derive(Clone, Copy, PartialEq)]
enum Event<'a> {
    Step(&'a Value),
    Compensate(&'a Value),
    Completed,
    Compensated,
}

fn event(entry: &Value) -> Option<Event<'_>> {
    let word = entry.as_str().or_else(|| entry.get(0)?.as_str())?;
    match (word, entry.get(1)) {
        ("step", Some(step)) => Some(Event::Step(step)),
        ("compensate", Some(step)) => Some(Event::Compensate(step)),
        ("completed", None) => Some(Event::Completed),
        ("compensated", None) => Some(Event::Compensated),
        _ => None,
    }
}

fn events(op: &Op) -> Vec<Option<Event<'_>>> {
    op.output.as_array().map_or(&[][..], Vec::as_slice).iter().map(event).collect()
}

fn is_log(case: &Case<'_>, op: &Op) -> bool {
    op.f == "log" && op.ok() && op.key == *case.subject
}

/// The rules that a log breaks, event by event, with the steps that were planned, where that is known.
fn broken(log: &Op, steps: Option<&Vec<Value>>) -> Vec<&'static str> {
    let mut broken = Vec::new();
    let (mut done, mut compensating, mut ended): (Vec<&Value>, bool, Option<bool>) = (Vec::new(), false, None);
    for event in events(log) {
        let Some(event) = event else { break };
        match event {
            Event::Compensate(_) if ended == Some(true) => broken.push("compensated-after-success"),
            _ if ended.is_some() => broken.push("event-after-end"),
            Event::Step(_) if compensating => broken.push("step-after-compensation"),
            Event::Step(step) => {
                if !done.contains(&step) {
                    done.push(step);
                }
            }
            Event::Compensate(step) => {
                compensating = true;
                match done.iter().position(|other| *other == step) {
                    None => broken.push("compensated-without-step"),
                    Some(place) => {
                        done.remove(place);
                        if place < done.len() {
                            broken.push("compensated-out-of-order");
                        }
                    }
                }
            }
            Event::Completed => {
                ended = Some(true);
                if compensating {
                    broken.push("completed-after-compensation");
                } else if steps.is_some_and(|steps| steps.iter().any(|step| !done.contains(&step))) {
                    broken.push("completed-with-steps-missing");
                }
            }
            Event::Compensated => {
                ended = Some(false);
                if !done.is_empty() {
                    broken.push("incomplete-compensation");
                }
            }
        }
    }
    broken
}

fn saga_course(case: &Case<'_>) -> Option<bool> {
    let log = case.ops.iter().find(|op| is_log(case, op))?;
    let missing = case.rule == "completed-with-steps-missing";
    if !missing {
        return Some(case.ops.len() == 1 && broken(log, None).contains(&case.rule));
    }
    let starts: Vec<&Op> = case.all(log).into_iter().filter(|op| op.f == "start").collect();
    let start = case.ops.iter().find(|op| op.f == "start")?;
    // All that may have started it name the same steps.
    let planned = starts.iter().all(|op| op.input == start.input) && starts.first()?.call == start.call;
    Some(
        case.one_object()
            && planned
            && case.only(&[start, log])
            && broken(log, start.input.as_array()).contains(&case.rule),
    )
}

fn conflicting_logs(case: &Case<'_>) -> Option<bool> {
    let [one, two] = case.ops else { return None };
    let (first, second) = (one.output.as_array()?, two.output.as_array()?);
    let same = |(one, two): (&Value, &Value)| match (event(one), event(two)) {
        (None, None) => one == two,
        (one, two) => one == two,
    };
    let logs = is_log(case, one) && is_log(case, two) && case.one_object();
    Some(logs && !first.iter().zip(second).all(same))
}

/// How a log ends: true where the saga completed.
fn ended(log: &Op) -> Option<bool> {
    let mut ended = None;
    for event in events(log) {
        match event? {
            Event::Completed if ended.is_none() => ended = Some(true),
            Event::Compensated if ended.is_none() => ended = Some(false),
            _ => {}
        }
    }
    ended
}

fn acknowledged_otherwise(case: &Case<'_>) -> Option<bool> {
    let [one, two] = case.ops else { return None };
    let (start, log) = if one.f == "start" { (one, two) } else { (two, one) };
    let answered = match start.reply()?.as_str()? {
        "completed" => true,
        "compensated" => false,
        _ => return None,
    };
    Some(case.one_object() && start.f == "start" && is_log(case, log) && ended(log) == Some(!answered))
}

fn refused_saga(case: &Case<'_>) -> Option<bool> {
    let log = case.ops.iter().find(|op| is_log(case, op))?;
    let starts = case.workload().into_iter().filter(|op| op.f == "start" && op.key == log.key);
    let starts: Vec<&Op> = starts.collect();
    let refused = !starts.is_empty() && starts.iter().all(|op| op.outcome == Outcome::Fail);
    let shown: Vec<&Op> = starts.into_iter().chain([log]).collect();
    Some(case.one_object() && refused && !events(log).is_empty() && case.only(&shown))
}

fn two_leaders(case: &Case<'_>) -> Option<bool> {
    let [one, two] = case.ops else { return None };
    let named = |op: &Op| {
        let reply = op.reply().filter(|_| matches!(op.f.as_str(), "leader" | "elect"))?;
        let leader = reply.get("leader").filter(|leader| !leader.is_null())?.clone();
        Some((leader, reply.get("term")?.as_i64()?))
    };
    let ((first, term), (second, other)) = (named(one)?, named(two)?);
    Some(case.one_object() && term == other && first != second && case.subject.as_i64() == Some(term))
}
