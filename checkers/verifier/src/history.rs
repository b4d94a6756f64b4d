//! The history that a certificate speaks of, read from `history.jsonl`: calls and replies, nothing else.
use crate::certificate::{Begins, Certificate, Op, Outcome};
use crate::{Refused, begins, refuse};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;

/// The operations of a recording by call.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// By index of the call.
    pub ops: BTreeMap<u64, Op>,
    /// Nanoseconds of call and reply of what was answered, by index of the call.
    pub times: BTreeMap<u64, (u64, u64)>,
    /// Indices from which on clients may be closed: every phase that is not the load.
    pub closings: Vec<u64>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    index: u64,
    #[serde(default)]
    time: u64,
    #[serde(default)]
    phase: String,
    /// A client's number; in records of what the target did, a name.
    #[serde(default)]
    process: Value,
    #[serde(default)]
    workload: String,
    #[serde(default)]
    f: String,
    #[serde(default)]
    key: Value,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    settle: bool,
}

/// Reads a recording. A last line that was torn is left out.
///
/// # Errors
/// [`Refused`] names the line.
pub fn read_jsonl(reader: impl BufRead) -> Result<History, Refused> {
    let mut history = History::default();
    let mut open: HashMap<u64, u64> = HashMap::new();
    let mut torn = None;
    for (number, line) in reader.lines().enumerate() {
        if let Some(torn) = torn {
            return refuse(torn);
        }
        let line = line.map_err(|error| Refused(format!("line {}: {error}", number + 1)))?;
        if line.trim().is_empty() {
            continue;
        }
        let line: Line = match serde_json::from_str(&line) {
            Ok(line) => line,
            Err(error) => {
                torn = Some(format!("line {} is not a record: {error}", number + 1));
                continue;
            }
        };
        let process = match (line.kind.as_str(), line.process.as_u64()) {
            ("invoke" | "ok" | "fail" | "info", None) if !line.process.is_null() => {
                return refuse(format!("line {}: {} is no client's number", number + 1, line.process));
            }
            (_, number) => number.unwrap_or_default(),
        };
        let outcome = match line.kind.as_str() {
            "invoke" => {
                open.insert(process, line.index);
                history.times.insert(line.index, (line.time, u64::MAX));
                let op = Op {
                    call: line.index,
                    end: None,
                    outcome: Outcome::Info,
                    process,
                    workload: line.workload,
                    f: line.f,
                    key: plain(line.key),
                    input: plain(line.value),
                    output: Value::Null,
                    settle: line.settle,
                };
                history.ops.insert(line.index, op);
                continue;
            }
            "ok" => Outcome::Ok,
            "fail" => Outcome::Fail,
            "info" => Outcome::Info,
            "phase" if line.phase != "load" => {
                history.closings.push(line.index);
                continue;
            }
            _ => continue,
        };
        if let Some(times) = open.get(&process).and_then(|call| history.times.get_mut(call)) {
            times.1 = line.time;
        }
        let called = open.remove(&process).and_then(|call| history.ops.get_mut(&call));
        let Some(op) = called else { return refuse(format!("line {} completes a call never made", number + 1)) };
        op.outcome = outcome;
        op.end = (outcome != Outcome::Info).then_some(line.index);
        op.output = plain(line.value);
    }
    Ok(history)
}

/// Numbers that are no 64-bit integers are kept as text, digit for digit.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) if number.as_i64().is_none() => Value::String(number.to_string()),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(entries) => entries.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        other => other,
    }
}

impl History {
    /// Whether every operation of the certificate is there as it stands.
    pub(crate) fn holds(&self, certificate: &Certificate) -> Result<(), Refused> {
        for op in &certificate.ops {
            match self.ops.get(&op.call) {
                Some(known) if known == op => {}
                Some(_) => return refuse(format!("#{} stands otherwise in the history", op.call)),
                None => return refuse(format!("#{} is not in the history", op.call)),
            }
        }
        Ok(())
    }

    /// The recording with nil for what these registers began with.
    pub(crate) fn renamed(&self, initial: &[Begins]) -> History {
        let ops = self.ops.iter().map(|(call, op)| (*call, begins::renamed(op, initial))).collect();
        History { ops, times: self.times.clone(), closings: self.closings.clone() }
    }

    /// Operations that may have had an effect on the same object: the same workload and key.
    pub(crate) fn beside<'h>(&'h self, op: &'h Op) -> impl Iterator<Item = &'h Op> {
        let same = move |other: &&Op| other.workload == op.workload && other.key == op.key;
        self.ops.values().filter(same).filter(|other| other.outcome != Outcome::Fail)
    }
}
