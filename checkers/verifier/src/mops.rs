//! What an operation read and wrote, step by step: transactions of lists and registers, single calls, sends and polls.
use crate::certificate::{Op, Outcome};
use serde_json::Value;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Added an element to a list.
    Append,
    /// Gave a register this value.
    Write,
    /// Found this value, or list.
    Read,
}

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mop {
    pub(crate) deed: Deed,
    pub(crate) key: Value,
    pub(crate) value: Value,
}

impl Mop {
    fn new(deed: Deed, key: &Value, value: &Value) -> Mop {
        Mop { deed, key: key.clone(), value: value.clone() }
    }

    /// Whether it leaves a version.
    pub(crate) fn writes(&self) -> bool {
        self.deed != Deed::Read
    }

    /// The elements of a list that was read; nothing is the empty list.
    pub(crate) fn elements(&self) -> &[Value] {
        self.value.as_array().map_or(&[], Vec::as_slice)
    }
}

/// A key as text: some workloads name keys by texts only.
pub(crate) fn text(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}

/// The steps of an operation in order. What it read is known where it was acknowledged.
pub(crate) fn mops(op: &Op) -> Vec<Mop> {
    let read = |key: &Value, value: &Value| op.ok().then(|| Mop::new(Deed::Read, key, value));
    match op.f.as_str() {
        "append"
            if micros(&op.input)
                .iter()
                .all(|step| !matches!(step.get(0).and_then(Value::as_str), Some("append" | "r"))) =>
        {
            vec![Mop::new(Deed::Append, &op.key, &op.input)]
        }
        "w" | "write" if micros(&op.input).iter().all(|step| step.get(0).and_then(Value::as_str) != Some("w")) => {
            vec![Mop::new(Deed::Write, &op.key, &op.input)]
        }
        "r" if !op.reply().is_some_and(|reply| reply.get(0).is_some_and(Value::is_array)) => {
            read(&op.key, &op.output).into_iter().collect()
        }
        "read"
            if micros(op.reply().unwrap_or(&Value::Null))
                .iter()
                .all(|step| step.get(0).and_then(Value::as_str) != Some("r")) =>
        {
            read(&op.key, &op.output).into_iter().collect()
        }
        "cas" => match op.input.as_array().map(Vec::as_slice) {
            // One that was refused says only what it did not find.
            Some([_, _]) if op.reply() == Some(&Value::Bool(false)) => Vec::new(),
            Some([from, to]) => vec![Mop::new(Deed::Read, &op.key, from), Mop::new(Deed::Write, &op.key, to)],
            _ => Vec::new(),
        },
        // It found no row, and put one there.
        "insert" => match insert(op) {
            Some((key, id)) if op.ok() => {
                vec![Mop::new(Deed::Read, &key, &Value::Array(Vec::new())), Mop::new(Deed::Append, &key, &id)]
            }
            Some((key, id)) => vec![Mop::new(Deed::Append, &key, &id)],
            None => Vec::new(),
        },
        _ => transaction(op),
    }
}

/// The key and the row of an insert under a predicate.
fn insert(op: &Op) -> Option<(Value, Value)> {
    let pair = op.input.as_array().filter(|pair| pair.len() == 2)?;
    let (key, ids) = match (op.key.is_null(), pair[1].as_array()) {
        (true, Some(ids)) => (&pair[0], ids),
        _ => (&op.key, pair),
    };
    let ids: Vec<&Value> = ids.iter().filter(|id| !id.is_null()).collect();
    if let [id] = ids[..] { Some((key.clone(), id.clone())) } else { None }
}

/// The steps that a value lists: several, or one alone.
pub(crate) fn micros(value: &Value) -> Vec<&Value> {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    if list.first().is_some_and(Value::is_string) { vec![value] } else { list.iter().collect() }
}

fn transaction(op: &Op) -> Vec<Mop> {
    let asked = micros(&op.input);
    let answered = if op.ok() && op.output.is_array() { micros(&op.output) } else { asked.clone() };
    let mut mops = Vec::new();
    for (at, step) in answered.iter().enumerate() {
        let Some((Some(f), rest)) = step.as_array().and_then(|step| Some((step.first()?.as_str(), &step[1..]))) else {
            continue;
        };
        match (f.trim_start_matches(':'), rest) {
            ("append", [key, element]) => mops.push(Mop::new(Deed::Append, key, element)),
            ("w" | "write", [key, value]) => mops.push(Mop::new(Deed::Write, key, value)),
            ("r" | "read", [key, value]) if op.ok() => mops.push(Mop::new(Deed::Read, key, value)),
            ("send", [..]) => {
                let sent = asked.get(at).and_then(|step| Some((step.get(1)?, step.get(2)?)));
                mops.extend(sent.map(|(key, value)| Mop::new(Deed::Append, &Value::String(text(key)), value)));
            }
            ("poll", [polled]) if op.ok() => {
                for (key, messages) in polls(polled) {
                    let values = messages.iter().filter_map(|message| message.get(1).cloned()).collect();
                    mops.push(Mop { deed: Deed::Read, key: Value::String(key), value: Value::Array(values) });
                }
            }
            _ => {}
        }
    }
    mops
}

/// What one poll answered: logs with their messages `[offset, value]`.
pub(crate) fn polls(answer: &Value) -> Vec<(String, Vec<Value>)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match answer {
        Value::Object(logs) => logs.iter().map(|(key, messages)| (key.clone(), list(messages))).collect(),
        Value::Array(pairs) => pairs.iter().filter_map(|pair| Some((text(pair.get(0)?), list(pair.get(1)?)))).collect(),
        _ => Vec::new(),
    }
}

/// Whether the operation wrote this version of the key.
pub(crate) fn wrote(op: &Op, key: &Value, version: &Value) -> bool {
    mops(op).iter().any(|mop| mop.writes() && mop.key == *key && mop.value == *version)
}

/// A list as it was before the reader's own appends: its end without what the transaction had appended so far.
pub(crate) fn base(mops: &[Mop], at: usize) -> &[Value] {
    let own = mops[..at].iter().filter(|mop| mop.deed == Deed::Append && mop.key == mops[at].key);
    let own: Vec<&Value> = own.map(|mop| &mop.value).collect();
    let list = mops[at].elements();
    let rest = list.len().saturating_sub(own.len());
    if list[rest..].iter().eq(own) { &list[..rest] } else { list }
}

/// The reads of this key in an operation, by place among its steps.
pub(crate) fn reads<'a>(mops: &'a [Mop], key: &'a Value) -> impl Iterator<Item = usize> + 'a {
    (0..mops.len()).filter(move |&at| mops[at].deed == Deed::Read && mops[at].key == *key)
}

/// Whether the transaction wrote the key before this step.
pub(crate) fn own_before(mops: &[Mop], at: usize) -> bool {
    mops[..at].iter().any(|mop| mop.writes() && mop.key == mops[at].key)
}

/// Whether an operation that was never acknowledged certainly took effect: somebody of whom that is certain found what
/// it wrote.
pub(crate) fn happened(ops: &[&Op]) -> Vec<bool> {
    let steps: Vec<Vec<Mop>> = ops.iter().map(|op| mops(op)).collect();
    let mut happened: Vec<bool> = ops.iter().map(|op| op.ok()).collect();
    loop {
        let mut fresh = None;
        for (at, op) in ops.iter().enumerate().filter(|(_, op)| op.outcome == Outcome::Info) {
            let mut written = steps[at].iter().filter(|mop| mop.writes());
            let seen = |write: &Mop| {
                let found = |mop: &Mop| {
                    let same = mop.deed == Deed::Read && mop.key == write.key;
                    same && (mop.value == write.value || mop.elements().contains(&write.value))
                };
                let certain = ops.iter().enumerate().filter(|(other, _)| *other != at && happened[*other]);
                certain
                    .into_iter()
                    .any(|(other, reader)| reader.workload == op.workload && steps[other].iter().any(found))
            };
            if !happened[at] && written.any(seen) {
                fresh = Some(at);
                break;
            }
        }
        let Some(at) = fresh else { return happened };
        happened[at] = true;
    }
}
