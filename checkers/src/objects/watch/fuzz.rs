//! Random stores with watches, judged by the checker and by each guarantee, word by word.
use super::{KINDS, Watch};
use crate::history::{History, Op, Outcome};
use crate::oracles::cases::{CheckerCases, Long, call, rounds};
use crate::random::random_history::{self, Answer, RandomHistory};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the tests of all checkers ask of `watch`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[], "1 put \"a\" 1 -> ok 2\n 2 watch null {\"key\":\"b\",\"revision\":2} -> ok []")]),
    right_and_wrong: Ok(&[(
        &[],
        r#"1 put "a" 1 -> ok 2
               2 watch null {"key":"a","revision":1} -> ok [{"type":"put","key":"a","value":1,"revision":2}]"#,
        r#"1 put "a" 1 -> ok 2
               1 put "a" 2 -> ok 3
               2 watch null {"key":"a","revision":1} -> ok [{"type":"put","key":"a","value":2,"revision":3}]"#,
    )]),
    long: Ok(Long::of(|n| {
        let event = |at: u64| json!({"revision": at + 2, "key": "k", "value": at, "type": "put"});
        let events: Vec<Json> = (0..n).map(event).collect();
        let mut calls = rounds(n, |at| call(0, "put", json!("k"), json!(at), json!(at + 2)));
        calls.push(call(1, "watch", Null, json!({"key": "k", "revision": 2}), json!(events)));
        calls
    })),
    comparisons: Ok(&[("watch", differ)]),
};

/// Judges random histories twice.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let fast = |history: &History| {
        let verdict = crate::random::shown(history, Watch.check(history, &Budget::unlimited()));
        let number = |name: &str| verdict.numbers.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let mut answer = Answer::read(&verdict, &["covered"]);
        answer.facts.extend(KINDS.map(|kind| (kind, number(&kind.replace('-', "_")))));
        answer
    };
    random_history::differ(seed, count, history, fast, defined)
}

fn map(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect())
}

const NAMES: [&str; 3] = ["a", "ab", "b"];

/// One change as the generator and the definitions have it: revision, key, value (none: deleted).
type Change = (i64, String, Option<Value>);

/// A store whose changes take effect at their replies; watches that deliver what there was; and some lies.
fn history(rng: &mut Rng) -> RandomHistory {
    let mut random = RandomHistory::new(1 + rng.below(3));
    let lies = *rng.pick(&[0, 0, 0, 2, 6]);
    let (mut changes, mut revision, mut next): (Vec<Change>, i64, i64) = (Vec::new(), 1, 0);
    for _ in 0..6 + rng.below(28) {
        let worker = rng.below(random.workers());
        let Some((f, input)) = random.open(worker) else {
            let f = *rng.pick(&["put", "put", "put", "delete", "txn", "watch", "watch"]);
            next += 2;
            let key = Value::text(NAMES[rng.below(3) as usize]);
            let (key, input) = match f {
                "put" => (key, Value::Int(next)),
                "delete" => (key, Value::Nil),
                "txn" => {
                    let put = Value::list([Value::text("put"), Value::text("a"), Value::Int(next)]);
                    let other = match rng.below(3) {
                        0 => Value::list([Value::text("delete"), Value::text("b")]),
                        _ => Value::list([Value::text("put"), Value::text("b"), Value::Int(next + 1)]),
                    };
                    (Value::Nil, Value::list([put, other]))
                }
                _ => {
                    let start = Value::Int(rng.below(revision as u64 + 3) as i64);
                    let filter = match rng.below(4) {
                        0 => vec![],
                        1 => vec![("prefix", Value::text("a"))],
                        _ => vec![("key", key)],
                    };
                    let start = Some(("revision", start)).filter(|_| rng.percent(60));
                    (Value::Nil, map(&filter.into_iter().chain(start).collect::<Vec<_>>()))
                }
            };
            random.call(worker, f, key, input, false);
            continue;
        };
        let outcome =
            *rng.pick(&[Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Fail, Outcome::Info]);
        if f == "watch" {
            let answer = if rng.percent(1) { Value::Int(1) } else { watched(rng, &changes, &input, revision, lies) };
            random.reply(worker, outcome, if outcome == Outcome::Ok { answer } else { Value::Nil });
            continue;
        }
        let happens = if outcome == Outcome::Info { rng.percent(50) } else { outcome == Outcome::Ok };
        let happens = happens != rng.percent(lies);
        let mut reply = Value::Nil;
        let parts: Vec<(String, Option<Value>)> = match (f, input.as_list()) {
            ("txn", Some(list)) => list.iter().filter_map(part).collect(),
            ("delete", _) => vec![(random.key(worker), None)],
            _ => vec![(random.key(worker), Some(input.clone()))],
        };
        let holds = |key: &String| {
            let last = changes.iter().rev().find(|(_, other, _)| other == key);
            last.is_some_and(|(_, _, value)| value.is_some())
        };
        let parts: Vec<(String, Option<Value>)> =
            parts.into_iter().filter(|(key, value)| value.is_some() || holds(key)).collect();
        if !parts.is_empty() {
            revision += i64::from(!rng.percent(lies));
            reply = Value::Int(if rng.percent(lies) { revision - 1 } else { revision });
            if happens {
                changes.extend(parts.into_iter().map(|(key, value)| (revision, key, value)));
            }
        }
        if rng.percent(1) {
            reply = Value::text("what");
        }
        random.reply(worker, outcome, if outcome == Outcome::Ok { reply } else { Value::Nil });
    }
    random
}

fn name(key: &Value) -> String {
    if let Value::Text(text) = key { text.to_string() } else { key.to_string() }
}

/// A part of a transaction: the key, and the value of a put.
fn part(item: &Value) -> Option<(String, Option<Value>)> {
    match item.as_list()? {
        [_, key, value] => Some((name(key), Some(value.clone()))),
        [_, key] => Some((name(key), None)),
        _ => None,
    }
}

fn field(value: &Value, wanted: &str) -> Option<Value> {
    let Value::Map(entries) = value else { return None };
    entries.iter().find(|(name, _)| &**name == wanted).map(|(_, value)| value.clone())
}

fn matches(input: &Value, key: &str) -> bool {
    match (field(input, "key"), field(input, "prefix")) {
        (Some(own), _) => name(&own) == key,
        (None, Some(prefix)) => key.starts_with(&name(&prefix)),
        (None, None) => true,
    }
}

/// What a watch delivers: revision by revision, with bookmarks, up to some point.
fn watched(rng: &mut Rng, changes: &[Change], input: &Value, revision: i64, lies: u64) -> Value {
    let start = field(input, "revision").and_then(|start| start.as_int()).unwrap_or(0);
    let from = if start > 0 { start } else { rng.below(revision as u64 + 1) as i64 };
    let mut ours: Vec<&Change> = changes
        .iter()
        .filter(|(at, key, _)| *at >= from && (matches(input, key) || rng.percent(lies / 2)) && !rng.percent(lies))
        .collect();
    if rng.percent(lies) && ours.len() > 1 {
        let at = rng.below(ours.len() as u64) as usize;
        ours.swap(0, at);
    }
    if rng.percent(lies) && !ours.is_empty() {
        ours.push(ours[rng.below(ours.len() as u64) as usize]);
    }
    ours.truncate(rng.below(2 * ours.len() as u64 + 1) as usize);
    // A watch ends between two revisions.
    if !rng.percent(lies) {
        let whole =
            |last: &&&Change| changes.iter().filter(|(at, key, _)| *at == last.0 && matches(input, key)).count();
        while let Some(last) =
            ours.last().filter(|last| ours.iter().filter(|one| one.0 == last.0).count() < whole(last))
        {
            let at = last.0;
            ours.retain(|one| one.0 != at);
        }
    }
    let mut responses: Vec<Value> = Vec::new();
    for together in ours.chunk_by(|one, two| one.0 == two.0 && !draw_split(one, lies)) {
        let event = |change: &&Change| {
            let (revision, key, value) = change;
            let kind = Value::text(if value.is_some() { "put" } else { "delete" });
            let mut entries = vec![("revision", Value::Int(*revision)), ("key", Value::text(key)), ("type", kind)];
            entries.extend(value.clone().map(|value| ("value", value)));
            map(&entries)
        };
        let mut events: Vec<Value> = together.iter().map(event).collect();
        if rng.percent(lies) {
            events[0] = map(&[
                ("revision", Value::Int(together[0].0)),
                ("key", Value::text(NAMES[rng.below(3) as usize])),
                ("type", Value::text("put")),
                ("value", Value::Int(rng.below(40) as i64)),
            ]);
        }
        let single = events.len() == 1 && rng.percent(50);
        responses.push(if single { events.remove(0) } else { Value::list(events) });
        if rng.percent(20) {
            let ahead = if rng.percent(lies) { 2 } else { 0 };
            let covered = [("revision", Value::Int(together[0].0 + ahead)), ("type", Value::text("progress"))];
            responses.push(map(&covered));
        }
    }
    Value::list(responses)
}

/// Whether a lying store splits a revision after this change.
fn draw_split(change: &Change, lies: u64) -> bool {
    lies > 0 && change.0 % 7 == 3
}

struct Delivered {
    change: Change,
    response: usize,
    bookmark: Option<i64>,
}

struct Seen<'h> {
    op: Op<'h>,
    input: Value,
    events: Vec<Delivered>,
    bookmark: Option<i64>,
}

fn seen<'h>(op: &Op<'h>) -> Option<Seen<'h>> {
    let mut seen = Seen { op: *op, input: op.input.to_value(), events: Vec::new(), bookmark: None };
    for (response, item) in op.output.to_value().as_list()?.iter().enumerate() {
        for event in item.as_list().unwrap_or(std::slice::from_ref(item)) {
            let revision = field(event, "revision")?.as_int()?;
            if field(event, "type")? == Value::text("progress") {
                seen.bookmark = seen.bookmark.max(Some(revision));
                continue;
            }
            let change = (revision, name(&field(event, "key")?), field(event, "value"));
            seen.events.push(Delivered { change, response, bookmark: seen.bookmark });
        }
    }
    Some(seen)
}

/// What a history asked for and was told.
#[derive(Default)]
struct Asked<'h> {
    watches: Vec<Seen<'h>>,
    /// Puts with the index of their call.
    puts: Vec<(String, Value, u64)>,
    /// Changes that are acknowledged.
    acknowledged: Vec<Change>,
    /// Whether an answer was not understood.
    malformed: bool,
}

fn asked(history: &History) -> Asked<'_> {
    let mut asked = Asked::default();
    let watching = history.ops().iter().any(|op| history.name(op.function) == "watch");
    for op in history.ops().iter().filter(|_| watching) {
        let function = history.name(op.function);
        let parts: Vec<(String, Option<Value>)> = match function {
            "watch" => {
                if op.outcome == Outcome::Ok {
                    match seen(&op) {
                        Some(seen) => asked.watches.push(seen),
                        None => asked.malformed = true,
                    }
                }
                continue;
            }
            "put" => vec![(name(&op.key.to_value()), Some(op.input.to_value()))],
            "delete" => vec![(name(&op.key.to_value()), None)],
            _ => op.input.to_value().as_list().unwrap_or_default().iter().filter_map(part).collect(),
        };
        let revision = Some(op.output).filter(|_| op.outcome == Outcome::Ok);
        asked.malformed |=
            revision.is_some_and(|revision| revision.as_int().is_none() && (!revision.is_nil() || function == "put"));
        for (key, value) in parts {
            if op.outcome != Outcome::Fail {
                asked.puts.extend(value.clone().map(|value| (key.clone(), value, op.call)));
            }
            let Some(revision) = revision.and_then(|revision| revision.as_int()) else { continue };
            if value.is_some() || function == "delete" {
                asked.acknowledged.push((revision, key, value));
            }
        }
    }
    asked
}

/// How often each rule is broken.
type Counts = BTreeMap<&'static str, u64>;

fn note(counts: &mut Counts, kind: &'static str) {
    *counts.entry(kind).or_default() += 1;
}

/// What is wrong with the events that a watch was told.
fn told(asked: &Asked<'_>, watch: &Seen<'_>, counts: &mut Counts) {
    let start = start(watch);
    let same = |one: &Delivered, two: &Delivered| (one.change.0, &one.change.1) == (two.change.0, &two.change.1);
    let mut split: BTreeMap<i64, BTreeSet<usize>> = BTreeMap::new();
    for (at, event) in watch.events.iter().enumerate() {
        let (revision, key, value) = &event.change;
        if !matches(&watch.input, key) {
            note(counts, "watch-filter");
            continue;
        }
        if watch.events[..at].iter().any(|other| same(other, event)) {
            note(counts, "watch-duplicate");
            continue;
        }
        split.entry(*revision).or_default().insert(event.response);
        if start.is_some_and(|start| *revision < start) {
            note(counts, "watch-before-start");
        }
        let ours = |other: &&Delivered| matches(&watch.input, &other.change.1);
        if watch.events[..at].iter().filter(ours).any(|other| other.change.0 > *revision) {
            note(counts, "watch-unordered");
        }
        if event.bookmark.is_some_and(|bookmark| *revision <= bookmark) {
            note(counts, "watch-not-bookmarkable");
        }
        let possible =
            |put: &(String, Value, u64)| (&put.0, Some(&put.1)) == (key, value.as_ref()) && put.2 < watch.op.reply;
        if value.is_some() && !asked.malformed && !asked.puts.iter().any(possible) {
            note(counts, "watch-unexpected-event");
        }
    }
    for _ in split.values().filter(|responses| responses.len() > 1) {
        note(counts, "watch-not-atomic");
    }
}

fn start(watch: &Seen<'_>) -> Option<i64> {
    field(&watch.input, "revision").and_then(|start| start.as_int()).filter(|start| *start > 0)
}

/// What a watch was not told of these changes, and how many acknowledged ones it covers.
fn missed(asked: &Asked<'_>, watch: &Seen<'_>, places: &BTreeSet<(i64, &String)>, counts: &mut Counts) -> u64 {
    let revisions = || watch.events.iter().map(|event| event.change.0);
    let (first, last) = (revisions().min(), revisions().max());
    let mut covered = 0;
    for (revision, key) in places {
        let from = start(watch).or(first);
        let inside = from.is_some_and(|from| from <= *revision) && last.max(watch.bookmark) >= Some(*revision);
        if !inside || !matches(&watch.input, key) {
            continue;
        }
        let is = |change: &Change| (change.0, &change.1) == (*revision, *key);
        covered += u64::from(asked.acknowledged.iter().any(is));
        if watch.events.iter().any(|event| is(&event.change)) {
            continue;
        }
        let kind = if revisions().any(|other| other == *revision) {
            "watch-not-atomic"
        } else if last.is_none_or(|last| last < *revision) {
            "watch-not-bookmarkable"
        } else if first.is_some_and(|first| first < *revision) {
            "watch-not-reliable"
        } else {
            "watch-not-resumable"
        };
        note(counts, kind);
    }
    covered
}

fn defined(history: &History) -> Answer {
    let asked = asked(history);
    let mut counts = Counts::new();
    let events = asked.watches.iter().flat_map(|watch| watch.events.iter().map(|event| &event.change));
    let everything: Vec<&Change> = asked.acknowledged.iter().chain(events).collect();
    let places: BTreeSet<(i64, &String)> = everything.iter().map(|change| (change.0, &change.1)).collect();
    for place in &places {
        let told: BTreeSet<&Option<Value>> =
            everything.iter().filter(|change| (change.0, &change.1) == *place).map(|change| &change.2).collect();
        if told.len() > 1 {
            note(&mut counts, "watch-wrong-event");
        }
    }
    let mut covered = 0;
    for watch in &asked.watches {
        told(&asked, watch, &mut counts);
        covered += missed(&asked, watch, &places, &mut counts);
    }
    let kinds = counts.keys().map(|kind| (*kind).to_owned()).collect();
    let mut facts = vec![("covered", covered)];
    facts.extend(KINDS.map(|kind| (kind, counts.get(kind).copied().unwrap_or(0))));
    Answer::of(kinds, covered == 0 || asked.malformed, facts)
}
