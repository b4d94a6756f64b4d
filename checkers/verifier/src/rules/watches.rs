//! Watches of a store with revisions, by the guarantees of etcd. The subject is `{revision, key}`.
use super::{Case, Rule, rule};
use crate::certificate::{Op, Outcome};
use crate::mops::text;
use serde_json::Value;

pub(super) const RULES: &[Rule] = &[
    rule("watch-filter", "A watch delivered a key that it does not watch.", filter),
    rule("watch-duplicate", "A watch delivered one revision of one key twice.", duplicate),
    rule("watch-before-start", "A watch delivered a revision before its start.", before_start),
    rule("watch-unordered", "A watch delivered a revision after a later one.", unordered),
    rule("watch-not-atomic", "A watch delivered a revision in parts.", not_atomic),
    rule("watch-not-reliable", "A watch left out a revision between two that it delivered.", |case| {
        missing(case, "watch-not-reliable")
    }),
    rule("watch-not-resumable", "A watch left out a revision behind its start.", |case| {
        missing(case, "watch-not-resumable")
    }),
    rule("watch-not-bookmarkable", "A bookmark covers what comes later, or never.", not_bookmarkable),
    rule("watch-wrong-event", "Two operations tell one revision of one key in two ways.", wrong),
    rule("watch-unexpected-event", "A watch delivered a put that no call can have made by then.", unexpected),
];

/// A change of a key; none: it was deleted.
#[derive(Clone, PartialEq)]
struct Event {
    revision: i64,
    key: String,
    put: Option<Value>,
    response: usize,
    /// The latest bookmark before it.
    bookmark: Option<i64>,
}

struct Watch {
    start: Option<i64>,
    events: Vec<Event>,
    bookmark: Option<i64>,
}

fn event(value: &Value, response: usize, bookmark: Option<i64>) -> Option<Event> {
    let put = match value.get("type")?.as_str()? {
        "put" => Some(value.get("value")?.clone()),
        "delete" => None,
        _ => return None,
    };
    Some(Event { revision: value.get("revision")?.as_i64()?, key: text(value.get("key")?), put, response, bookmark })
}

fn matches(op: &Op, key: &str) -> bool {
    match (op.input.get("key"), op.input.get("prefix")) {
        (Some(own), _) if !own.is_null() => text(own) == key,
        (_, Some(prefix)) if !prefix.is_null() => key.starts_with(&text(prefix)),
        _ => true,
    }
}

/// An answered watch.
fn watch(op: &Op) -> Option<Watch> {
    if op.f != "watch" || !op.ok() {
        return None;
    }
    let start = op.input.get("revision").and_then(Value::as_i64).filter(|&start| start > 0);
    let (mut events, mut bookmark) = (Vec::new(), None);
    for (at, response) in op.output.as_array()?.iter().enumerate() {
        let parts = response.as_array().map_or(std::slice::from_ref(response), Vec::as_slice);
        for part in parts {
            if part.get("type").and_then(Value::as_str) == Some("progress") {
                bookmark = bookmark.max(part.get("revision")?.as_i64());
            } else {
                events.push(event(part, at, bookmark)?);
            }
        }
    }
    Some(Watch { start, events, bookmark })
}

/// The changes that an operation shows: its own, acknowledged with a revision, or those that it watched.
fn changes(op: &Op) -> Vec<Event> {
    if let Some(watch) = watch(op) {
        return watch.events;
    }
    let Some(revision) = op.reply().and_then(Value::as_i64) else { return Vec::new() };
    let change = |key: &Value, put: Option<Value>| Event { revision, key: text(key), put, response: 0, bookmark: None };
    match op.f.as_str() {
        "put" => vec![change(&op.key, Some(op.input.clone()))],
        "delete" => vec![change(&op.key, None)],
        "txn" => {
            let steps = op.input.as_array().map_or(&[][..], Vec::as_slice);
            let put = |step: &Value| {
                let put = step.get(0).and_then(Value::as_str) == Some("put");
                put.then(|| Some(change(step.get(1)?, Some(step.get(2)?.clone())))).flatten()
            };
            steps.iter().filter_map(put).collect()
        }
        _ => Vec::new(),
    }
}

fn about<'a>(case: &Case<'a>) -> Option<(i64, &'a str)> {
    if case.subject.as_object()?.len() != 2 || !case.one_workload() {
        return None;
    }
    Some((case.subject.get("revision")?.as_i64()?, case.subject.get("key")?.as_str()?))
}

/// Events of the subject that the only operation delivered, with the places of all that it was to deliver.
fn alone<'a>(case: &Case<'a>) -> Option<(&'a Op, Watch, i64, &'a str)> {
    let ((revision, key), [op]) = (about(case)?, case.ops) else { return None };
    Some((op, watch(op)?, revision, key))
}

fn filter(case: &Case<'_>) -> Option<bool> {
    let (op, watch, revision, key) = alone(case)?;
    Some(!matches(op, key) && watch.events.iter().any(|event| event.revision == revision && event.key == key))
}

fn duplicate(case: &Case<'_>) -> Option<bool> {
    let (_, watch, revision, key) = alone(case)?;
    Some(watch.events.iter().filter(|event| event.revision == revision && event.key == key).count() > 1)
}

fn before_start(case: &Case<'_>) -> Option<bool> {
    let (_, watch, revision, key) = alone(case)?;
    let delivered = watch.events.iter().any(|event| event.revision == revision && event.key == key);
    Some(delivered && watch.start.is_some_and(|start| revision < start))
}

fn unordered(case: &Case<'_>) -> Option<bool> {
    let (op, watch, revision, key) = alone(case)?;
    let mine: Vec<&Event> = watch.events.iter().filter(|event| matches(op, &event.key)).collect();
    let at = mine.iter().position(|event| event.revision == revision && event.key == key)?;
    Some(mine[..at].iter().any(|event| event.revision > revision))
}

fn not_atomic(case: &Case<'_>) -> Option<bool> {
    if case.ops.len() > 1 {
        return missing(case, "watch-not-atomic");
    }
    let (op, watch, revision, key) = alone(case)?;
    let mine: Vec<&Event> =
        watch.events.iter().filter(|event| event.revision == revision && matches(op, &event.key)).collect();
    let this = mine.iter().find(|event| event.key == key)?;
    Some(mine.iter().any(|event| event.response != this.response && event.key != key))
}

fn not_bookmarkable(case: &Case<'_>) -> Option<bool> {
    if case.ops.len() > 1 {
        return missing(case, "watch-not-bookmarkable");
    }
    let (_, watch, revision, key) = alone(case)?;
    let late = |event: &Event| {
        let this = event.revision == revision && event.key == key;
        this && event.bookmark.is_some_and(|bookmark| revision <= bookmark)
    };
    Some(watch.events.iter().any(late))
}

/// A change that a watch covers and did not deliver.
fn missing(case: &Case<'_>, kind: &str) -> Option<bool> {
    let ((revision, key), [one, two]) = (about(case)?, case.ops) else { return None };
    let left_out = |op: &Op, other: &Op| {
        let Some(watch) = watch(op) else { return false };
        let known = changes(other).iter().any(|event| event.revision == revision && event.key == key);
        let revisions = || watch.events.iter().map(|event| event.revision);
        let (first, last) = (revisions().min(), revisions().max());
        let covered = watch.start.or(first).is_some_and(|from| from <= revision)
            && last.max(watch.bookmark).is_some_and(|to| revision <= to);
        let delivered = watch.events.iter().any(|event| event.revision == revision && event.key == key);
        let named = if revisions().any(|other| other == revision) {
            "watch-not-atomic"
        } else if first.is_some_and(|first| first < revision) && last.is_some_and(|last| revision < last) {
            "watch-not-reliable"
        } else if last.is_some_and(|last| revision < last) {
            "watch-not-resumable"
        } else {
            "watch-not-bookmarkable"
        };
        matches(op, key) && known && covered && !delivered && named == kind
    };
    Some(left_out(one, two) || left_out(two, one))
}

fn wrong(case: &Case<'_>) -> Option<bool> {
    let (revision, key) = about(case)?;
    let says = |op: &Op| -> Vec<Option<Value>> {
        let puts = changes(op).into_iter().filter(|event| event.revision == revision && event.key == key);
        puts.map(|event| event.put).collect()
    };
    Some(match case.ops {
        [one, two] => says(one).iter().any(|first| says(two).iter().any(|second| first != second)),
        [one] => says(one).iter().any(|first| says(one).iter().any(|second| first != second)),
        _ => return None,
    })
}

fn puts(op: &Op, key: &str, value: &Value) -> bool {
    match op.f.as_str() {
        "put" => text(&op.key) == key && op.input == *value,
        "txn" => op.input.as_array().is_some_and(|steps| {
            steps.iter().any(|step| {
                let put = step.get(0).and_then(Value::as_str) == Some("put");
                put && step.get(1).map(text).as_deref() == Some(key) && step.get(2) == Some(value)
            })
        }),
        _ => false,
    }
}

fn unexpected(case: &Case<'_>) -> Option<bool> {
    let (revision, key) = about(case)?;
    let event = |op: &Op| {
        let events = watch(op)?.events;
        events.into_iter().find(|event| event.revision == revision && event.key == key)?.put
    };
    let op = case.ops.iter().find(|op| event(op).is_some() && matches(op, key))?;
    let value = event(op)?;
    let all = case.workload();
    let (refused, tried): (Vec<&Op>, Vec<&Op>) =
        all.into_iter().filter(|op| puts(op, key, &value)).partition(|op| op.outcome == Outcome::Fail);
    let late = tried.iter().all(|put| put.call > op.end());
    let shown: Vec<&Op> = tried.into_iter().take(1).chain(refused.into_iter().take(1)).chain([op]).collect();
    Some(late && case.only(&shown))
}
