//! `atomic-commit` against its definition.
use super::AtomicCommit;
use crate::history::{History, Outcome};
use crate::oracles::cases::{CheckerCases, Long, call};
use crate::random::scripted::{NOWHERE, Step, compare, interleave};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What the tests of all checkers ask of `atomic-commit`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(
        &[],
        "1 commit 7 null -> ok\n 2 status 7 \"p\" -> ok \"committed\"\n 2 status 7 \"p\" -> ok \"committed\"",
    )]),
    right_and_wrong: Ok(&[(
        &[],
        r#"1 commit 7 null -> ok
               2 status 7 "p" -> ok "committed"
               settle 3 status 7 "q" -> ok "committed""#,
        r#"1 commit 7 null -> ok
               2 status 7 "p" -> ok "committed"
               settle 3 status 7 "q" -> ok "aborted""#,
    )]),
    long: Ok(Long::of(|n| {
        let group = |at: u64| {
            let status = |process| call(process, "status", json!(at), Null, json!("committed"));
            [call(0, "commit", json!(at), Null, json!("committed")), status(1), status(2)]
        };
        (0..n).flat_map(group).collect()
    })),
    comparisons: Ok(&[("atomic-commit", differ)]),
};

/// Compares the checker with its definition on `count` random histories. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let checker = AtomicCommit { must_decide: true };
    compare(
        seed,
        count,
        make,
        |history| crate::random::shown(history, checker.check(history, &Budget::unlimited())),
        define,
    )
}

/// A coordinator that decides at once, and participants that mostly say so.
fn make(rng: &mut Rng) -> History {
    let broken = if rng.percent(50) { rng.below(25) } else { 0 };
    let nowhere = if rng.percent(30) { 60 } else { 0 };
    let scripts = (0..2 + rng.below(2)).map(|_| {
        let step = |rng: &mut Rng| {
            let key = Value::Int(rng.below(2) as i64);
            let participant = if rng.percent(50) { Value::Nil } else { Value::text(["p", "q"][rng.below(2) as usize]) };
            let whole = rng.percent(20);
            let (f, input) = if rng.percent(30) { ("commit", Value::Nil) } else { ("status", participant) };
            let key = if whole && f == "status" { Value::Nil } else { key };
            let node = if rng.percent(nowhere) { NOWHERE } else { rng.below(2) };
            Step { settle: rng.percent(30), node, ..Step::new(f, key, input) }
        };
        (0..1 + rng.below(4)).map(|_| step(rng)).collect()
    });
    let scripts: Vec<Vec<Step>> = scripts.collect();
    let mut decided: BTreeMap<Value, bool> = BTreeMap::new();
    interleave(rng, scripts, 8, &mut |rng, _, step| {
        let broken = rng.below(100) < broken;
        let words = if rng.percent(50) { ["abort", "commit"] } else { ["aborted", "committed"] };
        let word = |decision: bool| Value::text(words[usize::from(decision != broken)]);
        if step.f == "commit" {
            if rng.percent(20) && !decided.contains_key(&step.key) {
                return None;
            }
            let decision = *decided.entry(step.key.clone()).or_insert(rng.percent(50));
            return Some(if decision != broken && rng.percent(30) { Value::Nil } else { word(decision) });
        }
        let known = |key: &Value| match decided.get(key) {
            Some(decision) => word(*decision),
            None if broken => word(true),
            None => Value::text("prepared"),
        };
        if step.key.is_nil() {
            return Some(Value::Map((0..2).map(|key| (key.to_string().into(), known(&Value::Int(key)))).collect()));
        }
        Some(known(&step.key))
    })
}

/// What one answer says about one transaction.
#[derive(Clone)]
struct Answer {
    transaction: String,
    /// None: the client was told.
    participant: Option<String>,
    word: String,
    settle: bool,
    refused: bool,
    /// Neither the argument nor the node names the participant.
    nameless: bool,
}

impl Answer {
    fn decides(&self) -> bool {
        self.word == "abort" || self.word == "commit"
    }
}

fn answers(history: &History) -> Vec<Answer> {
    let mut answers = Vec::new();
    for op in history.ops().iter() {
        let (key, input, output) = (op.key.to_value(), op.input.to_value(), op.output.to_value());
        let commit = history.name(op.function) == "commit";
        let node = history.name(op.node).to_owned();
        let nameless = input == Value::Nil && node == "?";
        let by = match &input {
            Value::Text(name) => name.to_string(),
            _ if nameless => format!("asked by {}", op.process),
            _ => node,
        };
        let word = |value: &Value| match value {
            Value::Nil if commit && op.outcome == Outcome::Ok => "commit".to_owned(),
            Value::Text(word) => {
                if word.starts_with("abort") { "abort" } else { word.trim_end_matches("ted") }.to_owned()
            }
            _ => String::new(),
        };
        let answer = |transaction: String, value: &Value| Answer {
            transaction,
            participant: (!commit).then(|| by.clone()),
            word: word(value),
            settle: op.settle,
            refused: op.outcome == Outcome::Fail,
            nameless: nameless && !commit,
        };
        match (&output, op.outcome) {
            (Value::Map(entries), _) => {
                answers.extend(entries.iter().map(|(name, value)| answer(name.to_string(), value)));
            }
            (_, Outcome::Ok) => answers.push(answer(key.to_string(), &output)),
            _ if commit => answers.push(answer(key.to_string(), &Value::Nil)),
            _ => {}
        }
    }
    answers
}

/// Directly from the definition: every pair of answers.
fn define(history: &History) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    let answers = answers(history);
    for one in answers.iter().filter(|one| one.word == "abort") {
        for two in answers.iter().filter(|two| two.word == "commit" && two.transaction == one.transaction) {
            kinds.insert(match (&one.participant, &two.participant) {
                (Some(one), Some(two)) if one == two => "decision-flipped",
                (Some(_), Some(_)) => "mixed-decision",
                (Some(_), None) => "acknowledged-commit-aborted",
                (None, Some(_)) => "acknowledged-abort-committed",
                (None, None) => "conflicting-answers",
            });
        }
    }
    for one in answers.iter().filter(|one| one.participant.is_some() && one.word == "commit") {
        let mut calls = answers.iter().filter(|two| two.participant.is_none() && two.transaction == one.transaction);
        if calls.clone().count() > 0 && calls.all(|call| call.refused) {
            kinds.insert("refused-commit-committed");
        }
    }
    for (at, one) in answers.iter().enumerate().filter(|(_, one)| one.settle && one.participant.is_some()) {
        let later = || answers[at + 1..].iter().filter(|two| two.transaction == one.transaction);
        let again = later().any(|two| two.settle && two.participant == one.participant);
        // Who decided may have been the one that was asked.
        let perhaps = one.nameless && later().any(|two| two.nameless && two.decides());
        if !one.decides() && !again && !perhaps {
            kinds.insert("undecided");
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    #[test]
    fn random_commits() {
        let stats = super::differ(1, crate::random::scripted::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 10 > stats.histories && stats.invalid * 5 < stats.histories * 4, "{stats:?}");
    }
}
