//! [`CheckerCases`]: what the tests of all checkers ask of one, and the makers of long histories. A checker's cases stand in its
//! own `fuzz.rs`, under the name of its entry in the list.
use crate::options::Options;
use crate::random::Differ;
use crate::value::Value;
use serde_json::Value::Null;
use serde_json::{Value as Json, json};

/// Options of a case: names and texts. `true` is a truth value, digits are a number.
pub type CaseOptions = &'static [(&'static str, &'static str)];

/// Data for a test, or the reason why there is none.
pub type OrReason<T> = Result<T, &'static str>;

/// What the tests of all checkers ask of one. Never: an empty list; where a checker can have no such case, the reason says so.
#[derive(Clone, Copy, Debug)]
pub struct CheckerCases {
    /// Whether the promise rests on the order of operations of different processes.
    pub needs_realtime: bool,
    /// Small histories after which the answer is unknown: calls happened, and nothing was observed that could have contradicted the
    /// promise.
    pub too_little: OrReason<&'static [(CaseOptions, &'static str)]>,
    /// A small history that keeps the promise, and one that breaks it.
    pub right_and_wrong: OrReason<&'static [(CaseOptions, &'static str, &'static str)]>,
    /// A long history that keeps the promise.
    pub long: OrReason<Long>,
    /// Comparisons with brute force, by name. Checkers that are compared together name one comparison.
    pub comparisons: OrReason<&'static [(&'static str, Differ)]>,
}

impl CheckerCases {
    /// What is missing, by the names of the fields.
    pub fn missing(&self) -> Vec<&'static str> {
        let empty = |reason: &&str| reason.is_empty();
        let missing = [
            ("too_little", self.too_little.map_or_else(|reason| empty(&reason), <[_]>::is_empty)),
            ("right_and_wrong", self.right_and_wrong.map_or_else(|reason| empty(&reason), <[_]>::is_empty)),
            ("long", self.long.as_ref().err().is_some_and(empty)),
            ("comparisons", self.comparisons.map_or_else(|reason| empty(&reason), <[_]>::is_empty)),
        ];
        missing.into_iter().filter(|(_, missing)| *missing).map(|(field, _)| field).collect()
    }
}

/// A history of any number of rounds.
#[derive(Clone, Copy, Debug)]
pub struct Long {
    /// The options with which it is judged.
    pub options: CaseOptions,
    /// Records before the calls and after them, one a line, such as those of a fault.
    pub events: [&'static str; 2],
    /// The calls of this number of rounds, one after the other.
    pub calls: fn(u64) -> Vec<Call>,
}

impl Long {
    /// A history of these calls alone, judged with the checker's defaults.
    pub(crate) const fn of(calls: fn(u64) -> Vec<Call>) -> Long {
        Long { options: &[], events: ["", ""], calls }
    }
}

/// A call and its reply.
#[derive(Clone, Debug)]
pub struct Call {
    /// The calling process; it is on the node of its own number.
    pub process: u64,
    /// The function.
    pub f: &'static str,
    /// The key.
    pub key: Json,
    /// The argument.
    pub value: Json,
    /// The reply.
    pub reply: Json,
    /// `ok`, `fail` or `info`.
    pub outcome: &'static str,
    /// Whether it is a final read.
    pub settle: bool,
}

/// The options of a case.
pub fn case_options(given: CaseOptions) -> Options {
    let value = |text: &str| match text {
        "true" => Value::Bool(true),
        _ => text.parse().map_or_else(|_| Value::text(text), Value::Int),
    };
    Options(given.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect())
}

/// An acknowledged call.
pub(crate) fn call(process: u64, f: &'static str, key: Json, value: Json, reply: Json) -> Call {
    Call { process, f, key, value, reply, outcome: "ok", settle: false }
}

/// A call of each round.
pub(crate) fn rounds(n: u64, make: impl Fn(u64) -> Call) -> Vec<Call> {
    (0..n).map(make).collect()
}

/// All numbers below this one.
pub(crate) fn numbers(n: u64) -> Json {
    json!((0..n).collect::<Vec<u64>>())
}

/// The calls, and at the end a call of each node that gets this reply.
pub(crate) fn finally(mut calls: Vec<Call>, f: &'static str, reply: &Json) -> Vec<Call> {
    calls.extend((0..3).map(|node| Call { settle: true, ..call(node, f, Null, Null, reply.clone()) }));
    calls
}

/// Adds of new elements, and final reads of all of them.
pub(crate) fn adds(n: u64) -> Vec<Call> {
    finally(rounds(n, |at| call(at % 3, "add", Null, json!(at), Null)), "read", &numbers(n))
}

/// Writes of new values to some keys, each read by its writer and by another process.
pub(crate) fn registers(n: u64) -> Vec<Call> {
    let round = |at: u64| {
        let read = |process| call(process, "read", json!(at % 7), Null, json!(at));
        [call(0, "write", json!(at % 7), json!(at), Null), read(0), read(1)]
    };
    (0..n).flat_map(round).collect()
}

/// Two processes by turns acquire and release a lock, and the other one is refused meanwhile.
pub(crate) fn held(n: u64, reply: impl Fn(u64) -> Json) -> Vec<Call> {
    let turn = |at: u64| {
        let refused = Call { outcome: "fail", ..call((at + 1) % 2, "acquire", Null, Null, Null) };
        [call(at % 2, "acquire", Null, Null, reply(at)), refused, call(at % 2, "release", Null, Null, Null)]
    };
    (0..n).flat_map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::{CASES, differences};
    use crate::registry::CHECKERS;

    #[test]
    fn every_checker_has_its_cases() {
        assert_eq!(CASES.len(), CHECKERS.len());
        for (doc, (name, cases)) in CHECKERS.iter().zip(CASES) {
            assert_eq!(doc.name, *name);
            assert!(cases.missing().is_empty(), "{name}: its fuzz.rs lacks {}", cases.missing().join(", "));
            for field in
                [cases.too_little.err(), cases.right_and_wrong.err(), cases.long.err(), cases.comparisons.err()]
            {
                assert!(field.is_none_or(|reason| reason.contains(' ')), "{name}: {field:?} is no reason");
            }
        }
        let nothing = CheckerCases {
            needs_realtime: true,
            too_little: Ok(&[]),
            right_and_wrong: Ok(&[]),
            long: Err(""),
            comparisons: Ok(&[]),
        };
        assert_eq!(nothing.missing(), ["too_little", "right_and_wrong", "long", "comparisons"]);
    }

    #[test]
    fn every_comparison_is_listed_once() {
        let mut names: Vec<String> = differences().into_iter().map(|difference| difference.name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        for name in ["model kv", "container queue", "set", "closed-predicate", "initial values", "lock, semaphore"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }
}
