//! Histories of single workloads with known verdicts, where they are present: `DSFUZZ_CORPORA`, by default
//! `../shared/corpora` beside the workspace.
use crate::counter::Counter;
use crate::history::{History, Outcome};
use crate::set::SetChecker;
use crate::set_full::SetFull;
use crate::value::Value;
use crate::verdict::{Budget, Checker, Validity};
use crate::workload_check::tape::Tape;
use std::path::PathBuf;

fn file(name: &str) -> Option<String> {
    let fallback = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let folder = std::env::var_os("DSFUZZ_CORPORA").map_or(fallback, PathBuf::from);
    let path = folder.join("elle-cli/jepsen").join(name);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("NOT RUN: no {}; name the folder of the histories in DSFUZZ_CORPORA", path.display());
    }
    text
}

/// What follows a word of a line, up to a comma or brace.
fn after<'t>(line: &'t str, word: &str) -> Option<&'t str> {
    let rest = line[line.find(word)? + word.len()..].trim_start();
    let end = if rest.starts_with('[') { rest.find(']')? + 1 } else { rest.find([',', '}'])? };
    Some(rest[..end].trim())
}

/// One process' calls one after the other, a line each, in JSON or EDN; the last read is final.
fn history(text: &str) -> History {
    let mut tape = Tape::new(1);
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("type")).collect();
    for (at, line) in lines.iter().enumerate() {
        let line = line.replace("\":", "\" ").replace('"', ":");
        let word = |name: &str| {
            let found = after(&line, &format!(":{name}: ")).or_else(|| after(&line, &format!(":{name} ")));
            found.expect("the field").trim_matches(':').to_owned()
        };
        let value = word("value").replace("nil", "null").replace(", ", " ").replace([' ', ','], ",");
        let value: Value = serde_json::from_str(&value).expect("a value");
        let f = match word("f").as_str() {
            "add" => "add",
            "read" => "read",
            other => panic!("function {other}"),
        };
        match word("type").as_str() {
            "invoke" => tape.call(0, f, Value::Nil, value, f == "read" && at + 2 == lines.len()),
            "ok" => tape.reply(0, Outcome::Ok, value),
            other => panic!("type {other}"),
        }
    }
    tape.finish().expect("a sound recording").0
}

#[test]
fn sets_have_their_known_verdicts() {
    if let Some(text) = file("set.edn") {
        let history = history(&text);
        assert_eq!(history.ops().len(), 4);
        assert_eq!(SetChecker::new().check(&history, &Budget::unlimited()).validity, Validity::Valid);
        assert_eq!(SetFull::new().check(&history, &Budget::unlimited()).validity, Validity::Valid);
    }
    if let Some(text) = file("set_full.json") {
        let history = history(&text);
        assert_eq!(history.ops().len(), 294);
        let verdict = SetFull::new().check(&history, &Budget::unlimited());
        assert_eq!(verdict.validity, Validity::Invalid);
        // Adds of `[0, n]` are read as n: none is there, and all that is there was never added.
        assert_eq!((&verdict.numbers["lost"], &verdict.numbers["unexpected"]), (&293.into(), &293.into()));
    }
}

/// The list says "valid", but these have no read: that is a pass by having asked nothing, and we do not know.
#[test]
fn counters_that_were_never_read_are_unknown() {
    for name in ["counter.edn", "counter.json"] {
        let Some(text) = file(name) else { continue };
        let history = history(&text);
        let verdict = Counter::new().check(&history, &Budget::unlimited());
        assert_eq!((verdict.validity, verdict.findings.len()), (Validity::Unknown, 0));
        assert_eq!((&verdict.numbers["acknowledged"], &verdict.numbers["reads"]), (&287.into(), &0.into()));
    }
}
