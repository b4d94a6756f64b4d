//! Histories with known verdicts, where they are present: `DSFUZZ_CORPORA`, by default `../shared/corpora` beside the workspace.
use crate::history::{Completion, History, HistoryBuilder, Invoke, Outcome, Record};
use crate::linearizable::Linearizable;
use crate::value::Value;
use crate::verdict::{Budget, Checker, Validity};
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

fn corpora() -> Option<PathBuf> {
    let fallback = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let folder = std::env::var_os("DSFUZZ_CORPORA").map_or(fallback, PathBuf::from);
    if folder.join("expected.tsv").is_file() {
        return Some(folder);
    }
    eprintln!("NOT RUN: no histories with known verdicts in {}; name their folder in DSFUZZ_CORPORA", folder.display());
    None
}

/// Puts a foreign history together: process ids that act again after an info get a fresh one.
#[derive(Default)]
struct Foreign {
    builder: HistoryBuilder,
    next: u64,
    process: HashMap<i64, u64>,
    fresh: u64,
    open: HashSet<i64>,
}

impl Foreign {
    fn record(&mut self, process: i64, kind: &str, f: &str, key: Value, value: Value) {
        // Some of them complete calls that were cut off at the beginning.
        let open = if kind == "invoke" { self.open.insert(process) } else { self.open.remove(&process) };
        if !open {
            return;
        }
        let (index, time) = (self.next, self.next * 1000);
        self.next += 1;
        let known = self.process.get(&process).copied();
        let id = known.unwrap_or_else(|| {
            self.fresh += 1;
            self.fresh
        });
        self.process.insert(process, id);
        let (node, workload) = ("n1".into(), "register".into());
        let reply = Completion { index, time, process: id, value: value.clone(), error: None };
        let record = match kind {
            "invoke" => Record::Invoke(Invoke {
                index,
                time,
                worker: id as u32,
                process: id,
                node,
                workload,
                f: f.into(),
                key,
                value,
                settle: false,
            }),
            "ok" => Record::Ok(reply),
            "fail" => Record::Fail(reply),
            _ => {
                self.process.remove(&process);
                Record::Info(reply)
            }
        };
        self.builder.push(record).expect("a sound recording");
    }

    fn finish(self) -> History {
        self.builder.finish().expect("a sound recording")
    }
}

fn json_lines(text: &str) -> History {
    let mut foreign = Foreign::default();
    for line in text.lines() {
        let record: Json = serde_json::from_str(line).expect("a record");
        let value = |name: &str| serde_json::from_value(record[name].clone()).expect("a value");
        let word = |name: &str| record[name].as_str().expect("a word").to_owned();
        let process = record["process"].as_i64().expect("a process");
        foreign.record(process, &word("type"), &word("f"), value("key"), value("value"));
    }
    foreign.finish()
}

fn number(text: &str) -> Value {
    if text == "nil" { Value::Nil } else { Value::Int(text.parse().expect("a number")) }
}

/// One record of Jepsen's etcd and Knossos histories.
fn jepsen(foreign: &mut Foreign, process: i64, kind: &str, f: &str, value: &str, refused_saw: bool) {
    let inner = value.trim_matches(['[', ']']);
    let parts: Vec<&str> = inner.split_whitespace().collect();
    let value = match (value.starts_with('['), parts[..].first()) {
        (true, _) => Value::list(parts.iter().map(|part| number(part))),
        (false, Some(one)) if one.starts_with(':') => Value::Nil,
        (false, Some(one)) => number(one),
        (false, None) => Value::Nil,
    };
    match (kind, f) {
        ("fail", "cas") if refused_saw => foreign.record(process, "ok", f, Value::Nil, Value::Bool(false)),
        ("ok", "cas") => foreign.record(process, "ok", f, Value::Nil, Value::Nil),
        _ => foreign.record(process, kind, f, Value::Nil, value),
    }
}

fn etcd_log(text: &str) -> History {
    let mut foreign = Foreign::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if (words.next(), words.next(), words.next()) != (Some("INFO"), Some("jepsen.util"), Some("-")) {
            continue;
        }
        let Some(process) = words.next().and_then(|word| word.parse().ok()) else { continue };
        let (Some(kind), Some(f)) = (words.next(), words.next()) else { continue };
        let value = words.collect::<Vec<_>>().join(" ");
        jepsen(&mut foreign, process, kind.trim_start_matches(':'), f.trim_start_matches(':'), &value, true);
    }
    foreign.finish()
}

fn edn(text: &str) -> History {
    let mut foreign = Foreign::default();
    for map in text.split('{').skip(1) {
        let map = map.split('}').next().unwrap_or_default();
        let field = |name: &str| {
            let rest = map.split(&format!(":{name} ")).nth(1)?;
            let end = if rest.starts_with('[') { rest.find(']')? + 1 } else { rest.find(',').unwrap_or(rest.len()) };
            Some(rest[..end].trim().to_owned())
        };
        let Some(process) = field("process").and_then(|word| word.parse().ok()) else { continue };
        let (Some(kind), Some(f)) = (field("type"), field("f")) else { continue };
        let value = field("value").unwrap_or_default();
        jepsen(&mut foreign, process, kind.trim_start_matches(':'), f.trim_start_matches(':'), &value, false);
    }
    foreign.finish()
}

fn compare(prefix: &str, read: fn(&str) -> History, at_least: usize) {
    let Some(folder) = corpora() else { return };
    let expected = std::fs::read_to_string(folder.join("expected.tsv")).expect("expected.tsv");
    let mut judged = 0;
    for line in expected.lines().filter(|line| line.starts_with(prefix)) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, kind, verdict] = fields[..] else { panic!("{line}") };
        if !kind.starts_with("cas-register") {
            continue;
        }
        let text = std::fs::read_to_string(folder.join(name)).expect(name);
        let history = read(&text);
        let start = std::time::Instant::now();
        let deadline = start + std::time::Duration::from_secs(120);
        let budget = Budget {
            expired: std::sync::Arc::new(move || std::time::Instant::now() > deadline),
            memory_bytes: 1 << 30,
            ..Budget::unlimited()
        };
        let answer = Linearizable::registers().check(&history, &budget);
        let size = answer.findings.iter().map(|finding| finding.ops.len()).max().unwrap_or(0);
        println!("{name}: {:?} {size} {:?}", answer.validity, start.elapsed());
        let wanted = match verdict {
            // Two of them acknowledge nothing at all: no order is wrong, but for us that is not a pass.
            "valid" if history.ops().iter().all(|op| op.outcome != Outcome::Ok) => Validity::Unknown,
            "valid" => Validity::Valid,
            _ => Validity::Invalid,
        };
        assert!(size <= 8, "{name}: a counterexample of {size} operations");
        assert_eq!(answer.validity, wanted, "{name}: {}", answer.summary);
        judged += 1;
    }
    println!("{judged} histories of {prefix} agree");
    assert!(judged >= at_least, "only {judged} histories of {prefix}");
}

#[test]
fn generated_registers() {
    compare("registers/reg-n1000-", json_lines, 12);
    compare("registers/reg-n10000-", json_lines, 12);
    compare("registers/uniq-", json_lines, 4);
    compare("registers/kv-", json_lines, 2);
}

#[test]
fn jepsens_etcd_logs() {
    compare("etcd-logs/", etcd_log, 40);
}

#[test]
fn knossos_registers() {
    compare("knossos/", edn, 40);
}
