//! The one language of small histories in tests.
//!
//! Each line is a call with its reply, a call that stays open, the end of an open call, or a record as JSON:
//!
//! ```text
//! {"type":"start","nodes":["n1","n2"]}
//! 0 write x 1 -> ok              process, function, key, argument -> outcome, reply
//! n2: 1 read x -> ok 1           on node n2 (n1 where no node is named)
//! 2 cas x [1,2] ...              open
//! settle 3 read x -> ok 1        a final read
//! 2 -> info                      the end of the open call
//! 4 txn w x 1; r y 2 -> ok       a transaction; its reads carry what they returned
//! 5 txn a x 1; r y ...           open: `a` appends
//! 5 -> ok a x 1; r y [2]
//! 6 write x 3 -> fail: refused   an error
//! workload b from 10             calls below belong to workload b, their processes are numbered from 10
//! +3s                            time passes (a millisecond lies between two records)
//! ```
//!
//! Keys, arguments and replies are JSON or single words (`x` is the text "x"). Those left out are nil. Lines that begin with
//! `#` are comments. [`history`] says what JSON records may leave out.
#[cfg(test)]
use crate::history::{History, HistoryError, read_jsonl};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
#[cfg(test)]
use std::path::PathBuf;

/// The folder of histories with known verdicts: `DSFUZZ_CORPORA`, by default `../shared/corpora` beside the project.
/// Says so where it is absent.
#[cfg(test)]
pub(crate) fn corpora() -> Option<PathBuf> {
    let fallback = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let folder = std::env::var_os("DSFUZZ_CORPORA").map_or(fallback, PathBuf::from);
    if folder.join("expected.tsv").is_file() {
        return Some(folder);
    }
    eprintln!("NOT RUN: no histories with known verdicts in {}; name their folder in DSFUZZ_CORPORA", folder.display());
    None
}

/// The number of random histories that a test tries: `DSFUZZ_FUZZ`, else this default.
#[cfg(test)]
pub(crate) fn count(default: u64) -> u64 {
    std::env::var("DSFUZZ_FUZZ").ok().and_then(|count| count.parse().ok()).unwrap_or(default)
}

/// The history of these lines. JSON records may leave out `index` (counts up), `time` (a millisecond each), `worker` (the
/// process), `node` (`n1`) and `workload` (`register`).
#[cfg(test)]
pub(crate) fn history(lines: &str) -> History {
    try_history(lines).expect("a valid history")
}

/// The history of these lines, whose calls belong to this workload where they do not say otherwise.
#[cfg(test)]
pub(crate) fn history_of(workload: &str, lines: &str) -> History {
    read_jsonl(complete_of(workload, lines).as_bytes()).expect("a valid history")
}

/// The history of these lines, or the error of its reader.
#[cfg(test)]
pub(crate) fn try_history(lines: &str) -> Result<History, HistoryError> {
    read_jsonl(complete(lines).as_bytes())
}

/// The lines as JSON records in which nothing is left out.
///
/// # Panics
///
/// Where a line is not understood: a test is wrong.
pub fn complete(lines: &str) -> String {
    complete_of("register", lines)
}

fn complete_of(workload: &str, lines: &str) -> String {
    let mut writer = Writer { workload: workload.to_owned(), ..Writer::default() };
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('{') {
            writer.record(serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")));
        } else if let Some(seconds) = line.strip_prefix('+').and_then(|rest| rest.strip_suffix('s')) {
            let seconds: f64 = seconds.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            writer.time += (seconds * 1e9) as u64;
        } else if let Some(workload) = line.strip_prefix("workload ") {
            let (name, first) = workload.split_once(" from ").unwrap_or((workload, "0"));
            writer.workload = name.to_owned();
            writer.first = first.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        } else {
            writer.call(line).unwrap_or_else(|| panic!("not a call: {line}"));
        }
    }
    writer.out
}

#[derive(Default)]
struct Writer {
    out: String,
    workload: String,
    /// The number of the first process of the workload.
    first: u64,
    index: u64,
    time: u64,
    /// The functions of open calls, by process.
    open: BTreeMap<u64, String>,
}

impl Writer {
    /// Writes a record with the fields that it leaves out.
    fn record(&mut self, mut record: Json) {
        let kind = record["type"].as_str().expect("a type").to_owned();
        let (index, time, workload) = (self.index, self.time, self.workload.clone());
        let fields = record.as_object_mut().expect("an object");
        let mut default = |name: &str, value: Json| {
            fields.entry(name).or_insert(value);
        };
        default("index", json!(index));
        default("time", json!(time));
        match kind.as_str() {
            "invoke" => {
                default("node", json!("n1"));
                default("workload", json!(workload));
                default("worker", Json::Null);
            }
            "start" => {
                default("version", json!(1));
                default("wall", json!("2026-01-01T00:00:00Z"));
            }
            "role" => {
                default("sent_index", json!(index));
                default("sent_time", json!(time));
                default("source", json!("probe"));
                default("role", json!("leader"));
            }
            _ => {}
        }
        if kind == "invoke" && record["worker"].is_null() {
            record["worker"] = record["process"].clone();
        }
        self.index = record["index"].as_u64().expect("an index") + 1;
        self.time = record["time"].as_u64().expect("a time") + 1_000_000;
        self.out.push_str(&record.to_string());
        self.out.push('\n');
    }

    /// Writes the records of a line with a call, or with the end of one; `None` where it is neither.
    fn call(&mut self, line: &str) -> Option<()> {
        let (settle, rest) = line.strip_prefix("settle ").map_or((false, line), |rest| (true, rest));
        let (node, rest) = rest.split_once(": ").filter(|(node, _)| is_node(node)).unwrap_or(("n1", rest));
        let (process, rest) = rest.split_once(' ')?;
        let process = self.first + process.parse::<u64>().ok()?;
        let (call, end) = match rest.split_once("->") {
            Some((call, end)) => (call.trim(), Some(end.trim())),
            None => (rest.trim().strip_suffix("...")?.trim_end(), None),
        };
        let mut done = Json::Null;
        if !call.is_empty() {
            let (f, rest) = call.split_once(' ').unwrap_or((call, ""));
            let (key, value) = if let Some(mops) = mops(f, rest) {
                done = mops;
                (Json::Null, asked(&done))
            } else {
                let words: Vec<Json> = pieces(rest, ' ').into_iter().map(value).collect();
                let at = |at: usize| words.get(at).cloned().unwrap_or_default();
                (words.len() <= 2).then_some((at(0), at(1)))?
            };
            self.open.insert(process, f.to_owned());
            self.record(json!({"type": "invoke", "process": process, "node": node, "f": f, "key": key, "value": value, "settle": settle}));
        }
        let Some(end) = end else { return Some(()) };
        let f = self.open.remove(&process).unwrap_or_default();
        let (outcome, reply) = end.split_once(' ').unwrap_or((end, ""));
        if let Some(outcome) = outcome.strip_suffix(':') {
            self.record(json!({"type": outcome, "process": process, "error": reply}));
            return Some(());
        }
        let value = match mops(&f, reply) {
            Some(mops) => mops,
            None if reply.is_empty() && outcome == "ok" => done,
            None => value(reply),
        };
        self.record(json!({"type": outcome, "process": process, "value": value}));
        Some(())
    }
}

/// The pieces of a text between these separators, those within lists, objects and quotes aside.
fn pieces(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut quoted, mut escaped, mut start) = (0, false, false, 0);
    let mut pieces = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth -= 1,
            _ if c == separator && depth == 0 && !quoted => {
                pieces.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces.into_iter().map(str::trim).filter(|piece| !piece.is_empty()).collect()
}

fn is_node(name: &str) -> bool {
    name == "?"
        || !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !name.as_bytes()[0].is_ascii_digit()
}

/// JSON, or a word that stands for itself.
fn value(text: &str) -> Json {
    match text {
        "" => Json::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| {
            assert!(text.starts_with(|c: char| c.is_alphanumeric()), "neither JSON nor a word: {text}");
            text.into()
        }),
    }
}

/// The operations of a transaction, if they are written as words: `w x 1; r y 2`, where `a` is `append`.
fn mops(f: &str, text: &str) -> Option<Json> {
    let named = |text: &str| matches!(text.split(' ').next(), Some("r" | "w" | "a" | "append"));
    if f != "txn" || !named(text) {
        return None;
    }
    let mop = |text: &str| {
        let words = pieces(text, ' ');
        let name = if words[0] == "a" { "append" } else { words[0] };
        assert!(named(text) && (2..=3).contains(&words.len()), "no operation of a transaction: {text}");
        json!([name, value(words[1]), words.get(2).map_or(Json::Null, |word| value(word))])
    };
    Some(pieces(text, ';').into_iter().map(mop).collect())
}

/// The operations as they are called: reads know nothing yet.
fn asked(mops: &Json) -> Json {
    let mops = mops.as_array().into_iter().flatten();
    mops.map(|mop| if mop[0] == "r" { json!(["r", mop[1], null]) } else { mop.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::complete;

    #[test]
    fn each_kind_of_line_is_the_records_that_it_stands_for() {
        let lines = complete(
            r#"
            {"type":"start","nodes":["n1"]}
            n2: 0 write x 1 -> ok
            # a comment
            1 read x ...
            +2s
            1 -> ok 1
            settle 2 cas 1 [1,2] -> fail: not now
            3 txn w x 1; r y [2] -> ok
            4 txn a x 1; r y ...
            4 -> ok a x 1; r y [2]
            4 txn null [["r", 1, null]] -> info"#,
        );
        let parts = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let text = |name: &str| record[name].to_string().replace('"', "");
            let names = ["index", "time", "type", "process", "node", "f", "key", "value", "settle", "error"];
            names.map(text).join(" ")
        };
        let expected = [
            "0 0 start null null null null null null null",
            "1 1000000 invoke 0 n2 write x 1 false null",
            "2 2000000 ok 0 null null null null null null",
            "3 3000000 invoke 1 n1 read x null false null",
            "4 2004000000 ok 1 null null null 1 null null",
            "5 2005000000 invoke 2 n1 cas 1 [1,2] true null",
            "6 2006000000 fail 2 null null null null null not now",
            "7 2007000000 invoke 3 n1 txn null [[w,x,1],[r,y,null]] false null",
            "8 2008000000 ok 3 null null null [[w,x,1],[r,y,[2]]] null null",
            "9 2009000000 invoke 4 n1 txn null [[append,x,1],[r,y,null]] false null",
            "10 2010000000 ok 4 null null null [[append,x,1],[r,y,[2]]] null null",
            "11 2011000000 invoke 4 n1 txn null [[r,1,null]] false null",
            "12 2012000000 info 4 null null null null null null",
        ];
        assert_eq!(lines.lines().map(parts).collect::<Vec<_>>(), expected);
    }
}
