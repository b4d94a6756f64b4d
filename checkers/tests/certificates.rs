//! Certificates of random histories: a verifier that shares no code with the checkers accepts every one of them, alone and
//! against the recording. A refusal is an error of the checker or of the verifier.
//!
//! `DSFUZZ_HISTORIES` says how many of each kind; what is found without a certificate is counted:
//! `cargo test -p dsfuzz-checkers --test certificates -- --nocapture`.
use dsfuzz_checkers::history::export::write_jsonl;
use dsfuzz_checkers::history::{History, read_jsonl};
use dsfuzz_checkers::oracles::{Difference, Rng, differences, watch};
use dsfuzz_checkers::{Budget, Options, Severity, Value, Verdict, checker_with, judge_one};
use dsfuzz_verifier::{Certificate, verify};
use serde_json::{Value as Json, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Operations that brute force is asked to order at most; larger certificates are counted, not verified.
const MOST: usize = 14;

/// What came of the certificates of one kind.
#[derive(Default)]
struct Count {
    accepted: u64,
    refused: u64,
    without: u64,
    large: u64,
    first: Option<String>,
}

#[derive(Default)]
struct Counts(BTreeMap<(String, String), Count>);

impl Counts {
    fn of(&mut self, checker: &str, kind: &str) -> &mut Count {
        self.0.entry((checker.to_owned(), kind.to_owned())).or_default()
    }

    /// Verifies whatever the verdict carries.
    fn take(&mut self, history: &History, verdict: &Verdict) {
        let violations = verdict.findings.iter().filter(|finding| finding.severity == Severity::Violation);
        let violations: Vec<_> = violations.collect();
        if violations.is_empty() && verdict.certificates.is_empty() {
            return;
        }
        let mut text = Vec::new();
        write_jsonl(history, &mut text).expect("written to memory");
        let recording = dsfuzz_verifier::read_jsonl(&text[..]).expect("a recording");
        let told: Vec<(&str, Option<&dsfuzz_checkers::Certificate>)> = violations
            .iter()
            .map(|finding| (finding.kind.as_str(), finding.certificate.as_ref()))
            .chain(verdict.certificates.iter().map(|certificate| ("(an order)", Some(certificate))))
            .collect();
        for (kind, certificate) in told {
            let count = self.of(&verdict.checker, kind);
            let Some(certificate) = certificate else {
                count.without += 1;
                continue;
            };
            let written = serde_json::to_string(certificate).expect("JSON");
            let searched = written.contains("\"no-linearization\"") || written.contains("\"no-sequential-order\"");
            if searched && certificate.ops.len() > MOST {
                count.large += 1;
                continue;
            }
            let certificate = Certificate::parse(&written);
            let alone = certificate.clone().and_then(|certificate| verify(&certificate, None));
            let both = certificate.and_then(|certificate| verify(&certificate, Some(&recording)));
            match (alone, both) {
                (Ok(()), Ok(())) => count.accepted += 1,
                (alone, both) => {
                    count.refused += 1;
                    count.first.get_or_insert_with(|| {
                        let lines = String::from_utf8_lossy(&text);
                        let calls: Vec<&str> = lines.lines().filter(|line| !line.contains("\"note\"")).collect();
                        format!("alone: {alone:?}; with the recording: {both:?}\n{written}\n{}", calls.join("\n"))
                    });
                }
            }
        }
    }

    /// Prints the table; the first refusal of each kind.
    fn told(&self) -> Vec<String> {
        println!("{:24} {:28} {:>8} {:>8} {:>8} {:>8}", "checker", "kind", "accepted", "refused", "without", "large");
        let mut refusals = Vec::new();
        for ((checker, kind), count) in &self.0 {
            let Count { accepted, refused, without, large, first } = count;
            println!("{checker:24} {kind:28} {accepted:>8} {refused:>8} {without:>8} {large:>8}");
            refusals.extend(first.iter().map(|first| format!("{checker} {kind}: {first}")));
        }
        refusals
    }
}

fn histories(default: u64) -> u64 {
    std::env::var("DSFUZZ_HISTORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(default)
}

fn seed() -> u64 {
    std::env::var("DSFUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

#[test]
fn every_certificate_of_every_comparison_is_accepted() {
    let only = std::env::var("DSFUZZ_ONLY").unwrap_or_default();
    let counts = Rc::new(RefCell::new(Counts::default()));
    let told = Rc::clone(&counts);
    watch(Some(Box::new(move |history, verdict| told.borrow_mut().take(history, verdict))));
    // Registers, models and containers are compared below the level of verdicts: see the next test.
    let below = ["registers", "model", "container"];
    for Difference { name, differ } in differences().into_iter().filter(|one| one.name.contains(&only)) {
        if !below.iter().any(|kind| name.starts_with(kind)) {
            differ(seed(), histories(25)).unwrap_or_else(|difference| panic!("{name}: {difference}"));
        }
    }
    watch(None);
    let refusals = counts.borrow().told();
    assert!(refusals.is_empty(), "{} refused:\n{}", refusals.len(), refusals.join("\n\n"));
}

/// Calls that bring out what models can do: `[model, variant, [[function, [input, ..], [reply, ..]], ..]]`.
const MODELS: &str = include_str!("../src/models/calls.json");

type Alphabet = Vec<(String, Vec<Json>, Vec<Json>)>;

#[test]
fn every_certificate_of_every_model_is_accepted() {
    let only = std::env::var("DSFUZZ_ONLY").unwrap_or_default();
    let mut counts = Counts::default();
    let models: Vec<(String, String, Alphabet)> = serde_json::from_str(MODELS).expect("JSON");
    assert!(dsfuzz_checkers::MODELS.iter().all(|doc| models.iter().any(|(model, ..)| model == doc.name)));
    for (model, variant, alphabet) in models.iter().filter(|(model, ..)| model.contains(&only)) {
        let mut options: BTreeMap<String, Value> =
            [("model".to_owned(), Value::text(model)), ("witness".to_owned(), Value::Bool(true))].into();
        match (model.as_str(), variant.as_str()) {
            ("semaphore", _) => drop(options.insert("permits".to_owned(), Value::Int(2))),
            (_, "largest") => drop(options.insert("order".to_owned(), Value::text("largest"))),
            _ => {}
        }
        let checker =
            checker_with("linearizable", &Options(options)).unwrap_or_else(|error| panic!("{model}: {error}"));
        let mut rng = Rng::new(seed());
        for _ in 0..histories(60) {
            let text = random(&mut rng, alphabet);
            let history = read_jsonl(text.as_bytes()).unwrap_or_else(|error| panic!("{model}: {error}\n{text}"));
            let mut verdict = judge_one(&*checker, &history, &Budget::unlimited());
            verdict.checker = format!("{model} {variant}");
            counts.take(&history, &verdict);
        }
    }
    let refusals = counts.told();
    assert!(refusals.is_empty(), "{} refused:\n{}", refusals.len(), refusals.join("\n\n"));
}

/// Histories of which a certificate was refused once, with the checker, its options and a sentence of a finding; none:
/// the history is valid.
const ONCE_REFUSED: &[(&str, &str, &str, &str)] = &[
    (
        "cas-again-what-it-began-with",
        "linearizable",
        r#"{"model": "cas-register"}"#,
        "That holds also if it began with 2",
    ),
    ("read-again-what-it-began-with", "linearizable", r#"{"model": "register"}"#, "after 1 had been there"),
    ("open-cas-from-nil", "linearizable", r#"{"model": "cas-register"}"#, "Nor can the register have begun with 2."),
    ("unanswered-contains", "linearizable", r#"{"model": "set"}"#, "which was never added"),
    ("idle-taker", "linearizable", r#"{"model": "unordered-queue"}"#, ""),
    ("list-read-twice", "read-committed", "{}", "sees #4 but not what it wrote"),
    ("list-of-own-session", "read-atomic", "{}", "sees #4 but not what it wrote"),
    ("list-caused", "causal-transactions", "{}", "sees #2 but not what it wrote"),
    ("list-shown-by-a-later-link", "read-committed", "{}", "2 transactions come before each other"),
    ("permits-given-back-meanwhile", "semaphore", r#"{"permits": 3}"#, "more than 3 permits"),
    ("permits-of-a-retired-holder", "semaphore", r#"{"permits": 2}"#, "more than 2 permits"),
    ("enqueued-again-and-named-in-doubt", "total-queue", "{}", "1 acknowledged element lost"),
];

#[test]
fn certificates_that_were_refused_once_are_accepted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates");
    for (name, checker, options, sentence) in ONCE_REFUSED {
        let text =
            std::fs::read(folder.join(format!("{name}.jsonl"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        let history = read_jsonl(&text[..]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut options: BTreeMap<String, Value> = serde_json::from_str(options).expect("JSON");
        if *checker == "linearizable" {
            options.insert("witness".to_owned(), Value::Bool(true));
        }
        let checker = checker_with(checker, &Options(options)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let verdict = judge_one(&*checker, &history, &Budget::unlimited());
        let mut counts = Counts::default();
        counts.take(&history, &verdict);
        assert!(counts.0.values().all(|count| count.refused == 0), "{name}: {:?}", counts.told());
        assert!(counts.0.values().any(|count| count.accepted > 0), "{name}: no certificate: {verdict:?}");
        let said: Vec<&String> =
            verdict.findings.iter().flat_map(|finding| finding.sentences.iter().chain([&finding.title])).collect();
        match *sentence {
            "" => assert!(said.is_empty(), "{name}: {said:?}"),
            sentence => assert!(said.iter().any(|said| said.contains(sentence)), "{name}: {said:#?}"),
        }
        // What was said of a value that had long been written.
        assert!(!said.iter().any(|said| said.contains("2 was first written by")), "{name}: {said:#?}");
    }
}

/// Calls of up to four processes with random replies.
fn random(rng: &mut Rng, alphabet: &Alphabet) -> String {
    let mut lines: Vec<Json> = Vec::new();
    let count = 2 + rng.below(8);
    let unknown = [0, 0, 15, 30][rng.below(4) as usize];
    let mut open: Vec<Option<(u64, Json)>> = vec![None; 1 + rng.below(4) as usize];
    let mut names: Vec<u64> = (0..open.len() as u64).collect();
    let (mut called, mut put) = (0, 0);
    while called < count || open.iter().any(Option::is_some) {
        let at = rng.below(open.len() as u64) as usize;
        let common = |kind: &str, process: u64, lines: &Vec<Json>| json!({"type": kind, "index": lines.len(), "time": 1_000_000 * lines.len(), "process": process, "worker": at});
        match open[at].take() {
            None if called < count => {
                let (f, inputs, replies) = rng.pick(alphabet);
                let mut input = rng.pick(inputs).clone();
                if input == json!("new") {
                    put += 1;
                    input = json!(put);
                }
                called += 1;
                let mut line = common("invoke", names[at], &lines);
                line["node"] = json!("n1");
                line["workload"] = json!("register");
                line["f"] = json!(f);
                line["value"] = input;
                lines.push(line);
                open[at] = Some((names[at], rng.pick(replies).clone()));
            }
            None => {}
            Some((process, _)) if rng.percent(unknown) => {
                let line = common("info", process, &lines);
                lines.push(line);
                names[at] += 100;
            }
            Some((process, reply)) => {
                let mut line = common("ok", process, &lines);
                line["value"] = reply;
                lines.push(line);
            }
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}
