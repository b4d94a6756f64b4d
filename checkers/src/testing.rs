//! The one way in which tests make histories: JSON lines in which everything obvious may be left out.
use crate::history::{History, HistoryError, read_jsonl};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// The folder of histories with known verdicts: `DSFUZZ_CORPORA`, by default `../shared/corpora` beside the project.
/// Says so where it is absent.
pub(crate) fn corpora() -> Option<PathBuf> {
    let fallback = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let folder = std::env::var_os("DSFUZZ_CORPORA").map_or(fallback, PathBuf::from);
    if folder.join("expected.tsv").is_file() {
        return Some(folder);
    }
    eprintln!("NOT RUN: no histories with known verdicts in {}; name their folder in DSFUZZ_CORPORA", folder.display());
    None
}

/// How many random histories a test tries: `DSFUZZ_FUZZ`, else so many.
pub(crate) fn count(default: u64) -> u64 {
    std::env::var("DSFUZZ_FUZZ").ok().and_then(|count| count.parse().ok()).unwrap_or(default)
}

/// A history of these lines. Left out: `index` (counts up), `time` (a millisecond each), `worker` (the process),
/// `node` (`n1`), `workload` (`register`). Lines that begin with `#` are comments.
pub(crate) fn history(lines: &str) -> History {
    try_history(lines).expect("a valid history")
}

/// The same, which may be broken.
pub(crate) fn try_history(lines: &str) -> Result<History, HistoryError> {
    read_jsonl(complete(lines).as_bytes())
}

/// The lines with what was left out.
pub(crate) fn complete(lines: &str) -> String {
    let mut out = String::new();
    let mut next = 0;
    let mut time = 0;
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut record: Json = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let kind = record["type"].as_str().expect("a type").to_owned();
        let fields = record.as_object_mut().expect("an object");
        let mut default = |name: &str, value: Json| {
            fields.entry(name).or_insert(value);
        };
        default("index", json!(next));
        default("time", json!(time));
        match kind.as_str() {
            "invoke" => {
                default("node", json!("n1"));
                default("workload", json!("register"));
                default("worker", Json::Null);
            }
            "start" => {
                default("version", json!(1));
                default("wall", json!("2026-01-01T00:00:00Z"));
            }
            "role" => {
                default("sent_index", json!(next));
                default("sent_time", json!(time));
                default("source", json!("probe"));
                default("role", json!("leader"));
            }
            _ => {}
        }
        if kind == "invoke" && record["worker"].is_null() {
            record["worker"] = record["process"].clone();
        }
        next = record["index"].as_u64().expect("an index") + 1;
        time = record["time"].as_u64().expect("a time") + 1_000_000;
        out.push_str(&record.to_string());
        out.push('\n');
    }
    out
}
