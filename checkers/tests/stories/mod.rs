//! Small invalid histories, one of each kind of broken promise.
mod registers;
mod transactions;
mod workloads;

use dsfuzz_checkers::Value;
use serde_json::{Value as Json, json};

/// A history and what must be found in it.
pub(crate) struct Story {
    /// What happens, in a few words.
    pub(crate) name: &'static str,
    /// Who judges.
    pub(crate) checker: &'static str,
    /// With which options, as JSON.
    pub(crate) options: &'static [(&'static str, &'static str)],
    /// The finding's kind.
    pub(crate) kind: &'static str,
    /// JSON lines; what is obvious is left out, see [`complete`].
    pub(crate) lines: &'static str,
}

/// All of them.
pub(crate) fn stories() -> impl Iterator<Item = &'static Story> {
    [registers::STORIES, transactions::STORIES, workloads::STORIES].into_iter().flatten()
}

/// A value written as JSON.
pub(crate) fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("valid JSON")
}

/// The lines with what was left out: `index` (counts up), `time` (a millisecond each), `worker` (the process), `node`
/// (`n1`), `workload` (`register`).
pub(crate) fn complete(lines: &str) -> String {
    let mut out = String::new();
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    for (index, line) in lines.enumerate() {
        let mut record: Json = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let process = record["process"].clone();
        let invoke = record["type"] == "invoke";
        let fields = record.as_object_mut().expect("an object");
        let mut default = |name: &str, value: Json| {
            fields.entry(name).or_insert(value);
        };
        default("index", json!(index));
        default("time", json!(index * 1_000_000));
        if invoke {
            default("node", json!("n1"));
            default("workload", json!("register"));
            default("worker", process);
        }
        out.push_str(&record.to_string());
        out.push('\n');
    }
    out
}
