//! `saga` against its definition.
use super::Saga;
use crate::history::{History, Op, Outcome};
use crate::oracles::cases::{Call, CheckerCases, Long, call, rounds};
use crate::random::scripted::{Step, compare, interleave};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What the tests of all checkers ask of `saga`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[], "1 start 0 [] -> ok\n settle 2 log 0 null -> ok [\"completed\"]")]),
    right_and_wrong: Ok(&[(
        &[],
        r#"1 start 0 ["a","b"] -> ok
               settle 2 log 0 null -> ok [["step","a"],["step","b"],"completed"]"#,
        r#"1 start 0 ["a","b"] -> ok
               settle 2 log 0 null -> ok [["step","a"],"completed"]"#,
    )]),
    long: Ok(Long::of(|n| {
        let log = json!([["step", "a"], "completed"]);
        let start = |at| call(0, "start", json!(at), json!(["a"]), Null);
        let read = |at| Call { settle: true, ..call(1, "log", json!(at), Null, log.clone()) };
        rounds(n, start).into_iter().chain(rounds(n, read)).collect()
    })),
    comparisons: Ok(&[("saga", differ)]),
};

/// Compares the checker with its definition on `count` random histories. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let saga = Saga { must_end: true };
    compare(
        seed,
        count,
        make,
        |history| crate::random::shown(history, saga.check(history, &Budget::unlimited())),
        define,
    )
}

fn entry(word: &str, step: i64) -> Value {
    Value::list([Value::text(word), Value::Int(step)])
}

/// Sagas of three steps, each with its course drawn beforehand; logs show a part of it.
fn make(rng: &mut Rng) -> History {
    let broken = if rng.percent(50) { rng.below(30) } else { 0 };
    let mut courses: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
    for saga in 0..2 {
        let done = 1 + rng.below(3) as i64;
        let mut course: Vec<Value> = (0..done).map(|step| entry("step", step)).collect();
        if done == 3 && rng.percent(60) {
            course.push(Value::text("completed"));
        } else {
            course.extend((0..done).rev().map(|step| entry("compensate", step)));
            course.push(Value::list([Value::text("compensated")]));
        }
        courses.insert(saga, course);
    }
    let scripts = (0..2 + rng.below(2)).map(|_| {
        let step = |rng: &mut Rng| {
            let saga = Value::Int(rng.below(2) as i64);
            if rng.percent(30) {
                let steps = Value::list((0..3).map(Value::Int));
                return Step::new("start", saga, if rng.percent(80) { steps } else { Value::Nil });
            }
            Step { settle: rng.percent(30), ..Step::new("log", saga, Value::Nil) }
        };
        (0..1 + rng.below(3)).map(|_| step(rng)).collect()
    });
    let mut scripts: Vec<Vec<Step>> = scripts.collect();
    scripts.push(vec![Step::new("start", 9.into(), Value::Nil)]);
    interleave(rng, scripts, 8, &mut |rng, _, step| {
        let mut course = step.key.as_int().and_then(|saga| courses.get(&saga)).cloned().unwrap_or_default();
        if step.f == "start" {
            let ended =
                course.last().and_then(|end| end.as_list().map_or(Some(end.clone()), |list| list.first().cloned()));
            return match rng.below(6) {
                0 => None,
                1 if rng.below(100) < broken => Some(Value::text("completed")),
                1 | 2 => ended,
                _ => Some(Value::Nil),
            };
        }
        if !step.settle || rng.percent(15) {
            course.truncate(rng.below(course.len() as u64 + 1) as usize);
        }
        if rng.below(100) < broken && !course.is_empty() {
            let at = rng.below(course.len() as u64) as usize;
            match rng.below(4) {
                0 => drop(course.remove(at)),
                1 => course.swap(at, 0),
                2 => course.push(entry(["step", "compensate"][rng.below(2) as usize], rng.below(3) as i64)),
                _ => course.push(Value::text(["completed", "compensated"][rng.below(2) as usize])),
            }
        }
        Some(Value::list(course))
    })
}

/// An event as a word and a step.
fn plain(entry: &Value) -> (String, Option<i64>) {
    match entry {
        Value::Text(word) => (word.to_string(), None),
        Value::List(parts) => {
            let word = if let Some(Value::Text(word)) = parts.first() { word.to_string() } else { String::new() };
            (word, parts.get(1).and_then(Value::as_int))
        }
        _ => (String::new(), None),
    }
}

/// Rules that one log breaks: each event with everything before it.
fn log_rules(log: &[(String, Option<i64>)], plan: Option<&[Value]>, kinds: &mut BTreeSet<&'static str>) {
    let end = log.iter().position(|(word, _)| word.starts_with("comp") && word.ends_with("ed")).unwrap_or(log.len());
    let compensates = |to: usize| log[..to].iter().any(|(word, _)| word == "compensate");
    // Whether the step is done after this many events, and since which.
    let done = |step: i64, to: usize| {
        let touched = log[..to].iter().enumerate().rev().filter(|(_, (_, one))| *one == Some(step));
        let valid = |at: usize| log[at].0 == "compensate" || !compensates(at);
        let mut runs: Vec<usize> = Vec::new();
        for (at, (word, _)) in touched.filter(|(at, _)| valid(*at)) {
            if word == "compensate" {
                break;
            }
            runs.push(at);
        }
        runs.last().copied()
    };
    for (at, (word, step)) in log.iter().enumerate() {
        if at > end {
            let success = log[end].0 == "completed" && word == "compensate";
            kinds.insert(if success { "compensated-after-success" } else { "event-after-end" });
            continue;
        }
        match (word.as_str(), step) {
            ("step", _) if compensates(at) => drop(kinds.insert("step-after-compensation")),
            ("compensate", Some(step)) => match done(*step, at) {
                None => drop(kinds.insert("compensated-without-step")),
                Some(since) => {
                    if (0..3).any(|other| done(other, at).is_some_and(|later| later > since)) {
                        kinds.insert("compensated-out-of-order");
                    }
                }
            },
            ("completed", _) if compensates(at) => drop(kinds.insert("completed-after-compensation")),
            ("completed", _) => {
                let steps = plan.unwrap_or(&[]).iter().filter_map(Value::as_int);
                if steps.into_iter().any(|step| done(step, at).is_none()) {
                    kinds.insert("completed-with-steps-missing");
                }
            }
            ("compensated", _) if (0..3).any(|step| done(step, at).is_some()) => {
                kinds.insert("incomplete-compensation");
            }
            _ => {}
        }
    }
}

fn define(history: &History) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    for saga in 0..2 {
        let of = |f: &'static str| {
            let mine = move |op: &Op<'_>| history.name(op.function) == f && op.key == Value::Int(saga);
            history.ops().iter().filter(mine).collect::<Vec<_>>()
        };
        let starts = of("start");
        let logs: Vec<Op<'_>> = of("log").into_iter().filter(|op| op.outcome == Outcome::Ok).collect();
        let entries = |op: &Op<'_>| op.output.to_value().as_list().unwrap_or(&[]).iter().map(plain).collect::<Vec<_>>();
        let all: Vec<Vec<(String, Option<i64>)>> = logs.iter().map(entries).collect();
        let plans: Vec<Value> =
            starts.iter().filter(|op| op.outcome != Outcome::Fail).map(|op| op.input.to_value()).collect();
        let plan = plans.first().filter(|first| plans.iter().all(|plan| plan == *first)).and_then(Value::as_list);
        let end = |log: &[(String, Option<i64>)]| {
            let ends =
                log.iter().map(|(word, _)| word.clone()).find(|word| word == "completed" || word == "compensated");
            ends.unwrap_or_default()
        };
        for (one, op) in all.iter().zip(&logs) {
            log_rules(one, plan, &mut kinds);
            if all.iter().any(|two| !one.starts_with(two) && !two.starts_with(one)) {
                kinds.insert("conflicting-logs");
            }
            let last = logs.iter().rfind(|other| other.settle);
            let ran = starts.iter().any(|op| op.outcome == Outcome::Ok) || all.iter().any(|log| !log.is_empty());
            if last.is_some_and(|last| last.call == op.call) && end(one).is_empty() && ran {
                kinds.insert("unfinished");
            }
            if !one.is_empty() && !starts.is_empty() && starts.iter().all(|op| op.outcome == Outcome::Fail) {
                kinds.insert("refused-saga-ran");
            }
            for start in starts.iter().filter(|op| op.outcome == Outcome::Ok) {
                if let (Value::Text(told), logged) = (start.output.to_value(), end(one))
                    && !logged.is_empty()
                    && *told != *logged
                {
                    kinds.insert("acknowledged-otherwise");
                }
            }
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    #[test]
    fn random_sagas() {
        let stats = super::differ(1, crate::random::scripted::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 10 > stats.histories && stats.invalid * 5 < stats.histories * 4, "{stats:?}");
    }
}
