//! Invalid histories of different kinds: what is told of each, in how few operations, and that a verifier which shares no
//! code with the checkers accepts the certificate, and refuses it after any one edit.
//!
//! `cargo test -p dsfuzz-checkers --test counterexamples -- --nocapture` prints them.
mod stories;

use dsfuzz_checkers::history::read_jsonl;
use dsfuzz_checkers::oracles::complete;
use dsfuzz_checkers::{Budget, Finding, Options, Severity, Validity, checker_with, judge_one};
use dsfuzz_verifier::{Certificate, verify};
use serde_json::{Value as Json, json};
use stories::Story;

/// Operations that a counterexample of these stories may have.
const OPS_MAX: usize = 10;

#[test]
fn each_is_explained_and_certified() {
    let told = |story: &Story| {
        let finding = judged(story);
        println!("== {}: {}", story.name, finding.title);
        finding.sentences.iter().for_each(|sentence| println!("   {sentence}"));
        assert_eq!(finding.kind, story.kind, "{}: {finding:?}", story.name);
        assert!(finding.ops.len() <= OPS_MAX, "{}: {} operations", story.name, finding.ops.len());
        assert!(!finding.sentences.is_empty(), "{}", story.name);
        let (certificate, edits) = certified(story, &finding);
        println!("   certificate of {} operations accepted, {edits} edits refused\n", certificate.ops.len());
    };
    assert!(stories::stories().count() >= 40);
    let failed = stories::stories().filter(|story| std::panic::catch_unwind(|| told(story)).is_err());
    let failed: Vec<&str> = failed.map(|story| story.name).collect();
    assert!(failed.is_empty(), "{} stories failed: {failed:#?}", failed.len());
}

/// The violation of this kind that the checker tells of the story.
fn judged(story: &Story) -> Finding {
    let lines = complete(story.lines);
    let history = read_jsonl(lines.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", story.name));
    let options: Options =
        Options(story.options.iter().map(|(name, value)| ((*name).to_owned(), stories::value(value))).collect());
    let checker = checker_with(story.checker, &options).unwrap_or_else(|error| panic!("{}: {error}", story.name));
    let verdict = judge_one(&*checker, &history, &Budget::unlimited());
    assert_eq!(verdict.validity, Validity::Invalid, "{}: {}", story.name, verdict.summary);
    let violations = verdict.findings.into_iter().filter(|finding| finding.severity == Severity::Violation);
    let mut violations: Vec<Finding> = violations.collect();
    let place = violations.iter().position(|finding| finding.kind == story.kind).unwrap_or(0);
    violations.swap_remove(place)
}

fn certified(story: &Story, finding: &Finding) -> (Certificate, usize) {
    let name = story.name;
    let certificate = finding.certificate.as_ref().unwrap_or_else(|| panic!("{name}: no certificate"));
    let written = serde_json::to_value(certificate).expect("certificates can be written");
    let history = dsfuzz_verifier::read_jsonl(complete(story.lines).as_bytes()).expect("a recording");
    let parse = |value: &Json| Certificate::parse(&value.to_string());
    let certificate = parse(&written).unwrap_or_else(|error| panic!("{name}: {error}"));
    verify(&certificate, None).unwrap_or_else(|error| panic!("{name}, alone: {error}\n{written:#}"));
    verify(&certificate, Some(&history)).unwrap_or_else(|error| panic!("{name}: {error}\n{written:#}"));
    let edits = edits(&written);
    for (what, edited) in &edits {
        let accepted = parse(edited).and_then(|certificate| verify(&certificate, Some(&history)));
        assert!(accepted.is_err(), "{name}: accepted after an edit: {what}\n{edited:#}");
    }
    (certificate, edits.len())
}

/// Every document that differs from this one by one edit: a number one more or less, a text changed, a flag turned, a
/// field or an element removed, doubled, or exchanged with its neighbour.
fn edits(document: &Json) -> Vec<(String, Json)> {
    let mut edits = Vec::new();
    edit(document, "", &mut |what, edited| edits.push((what, edited)));
    edits
}

fn edit(value: &Json, path: &str, take: &mut dyn FnMut(String, Json)) {
    match value {
        Json::Null => take(format!("{path}: null -> 1"), json!(1)),
        Json::Bool(flag) => take(format!("{path}: turned"), json!(!flag)),
        Json::Number(number) => {
            let number = number.as_i64().expect("an integer");
            for other in [number + 1, number - 1] {
                take(format!("{path}: {number} -> {other}"), json!(other));
            }
        }
        Json::String(text) => take(format!("{path}: {text}x"), json!(format!("{text}x"))),
        Json::Array(items) => edit_list(items, path, take),
        Json::Object(fields) => {
            for (name, field) in fields {
                // A field that is null says no more than one that is not there.
                if !field.is_null() {
                    let mut fewer = fields.clone();
                    fewer.remove(name);
                    take(format!("{path}.{name}: removed"), Json::Object(fewer));
                }
                edit(field, &format!("{path}.{name}"), &mut |what, edited| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), edited);
                    take(what, Json::Object(fields));
                });
            }
        }
    }
}

fn edit_list(items: &[Json], path: &str, take: &mut dyn FnMut(String, Json)) {
    for (at, item) in items.iter().enumerate() {
        let mut fewer = items.to_vec();
        fewer.remove(at);
        take(format!("{path}[{at}]: removed"), Json::Array(fewer));
        let mut more = items.to_vec();
        more.insert(at, item.clone());
        take(format!("{path}[{at}]: doubled"), Json::Array(more));
        if items.get(at + 1).is_some_and(|next| next != item) {
            let mut turned = items.to_vec();
            turned.swap(at, at + 1);
            take(format!("{path}[{at}]: exchanged"), Json::Array(turned));
        }
        edit(item, &format!("{path}[{at}]"), &mut |what, edited| {
            let mut items = items.to_vec();
            items[at] = edited;
            take(what, Json::Array(items));
        });
    }
}
