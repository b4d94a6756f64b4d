//! Public histories with known levels.
use super::super::Weak;
use crate::history::{Completion, History, HistoryBuilder, Invoke, Record};
use crate::value::Value;
use crate::verdict::{Budget, Checker, Validity};
use std::path::{Path, PathBuf};

/// A history in Plume's text: `r key value` and `w key value`, `-----` between transactions, `=====` between sessions.
/// Where value 0 was not written, it is the initial one.
pub(super) fn plume(text: &str) -> History {
    let mut builder = HistoryBuilder::new();
    let mut push = |record: Record| builder.push(record).expect("a record");
    push(Record::Start { index: 0, time: 0, version: 1, nodes: Vec::new(), wall: String::new() });
    let written: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("w ")).collect();
    let mut index = 0;
    for (process, session) in text.split("=====").enumerate() {
        for txn in session.split("-----") {
            let mop = |line: &str, reply: bool| {
                let [name, key, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
                let known = name == "w" || (reply && (value != "0" || written.contains(&&line[2..])));
                let value = if known { Value::Int(value.parse().expect("a number")) } else { Value::Nil };
                Value::list([Value::text(name), Value::text(key), value])
            };
            let lines: Vec<&str> = txn.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            if lines.is_empty() {
                continue;
            }
            let list = |reply: bool| Value::list(lines.iter().map(|line| mop(line, reply)));
            let (process, node) = (process as u64, "n1".into());
            let (workload, f) = ("plume".into(), "txn".into());
            let (worker, value, settle) = (process as u32, list(false), false);
            let (time, key) = (index + 1, Value::Nil);
            push(Record::Invoke(Invoke { index: time, time, worker, process, node, workload, f, key, value, settle }));
            index += 2;
            push(Record::Ok(Completion { index, time: index, process, value: list(true), error: None, node: None }));
        }
    }
    builder.finish().expect("a history")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

#[test]
fn public_histories_have_their_levels() {
    let corpora = std::env::var("DSFUZZ_CORPORA").unwrap_or_else(|_| "../shared/corpora".to_owned());
    let mut found = Vec::new();
    files(&Path::new(&corpora).join("awdit"), &mut found);
    if found.is_empty() {
        eprintln!("no corpora at {corpora}");
    }
    for file in found {
        let text = std::fs::read_to_string(&file).expect("a text");
        let history = plume(&text);
        let path = file.display().to_string();
        let rank =
            ["/none/", "/read-committed/", "/read-atomic/", "/causal/"].iter().position(|name| path.contains(name));
        for (at, checker) in [Weak::read_committed(), Weak::read_atomic(), Weak::causal()].iter().enumerate() {
            let verdict = checker.check(&history, &Budget::unlimited());
            let expected = if rank.expect("a level") > at { Validity::Valid } else { Validity::Invalid };
            assert_eq!(verdict.validity, expected, "{path} {}: {:?}", checker.name(), verdict.findings);
        }
    }
}
