//! The bodies of the journal's frames. A body begins with a byte for its kind. Calls and replies are compact: their fields follow
//! in the order in which the encoders write them. All other records are JSON. The index and the time of a record are in the
//! frame ([`super`]), not in its body.
//!
//! Numbers are LEB128 (7 bits a byte, low bits first), integers of values zigzag before that; texts and lists begin with their
//! length. Values begin with a byte for their form. Never: gives a kind or a form that is in use another layout.
use dsfuzz_checkers::Value;
use dsfuzz_checkers::history::{Completion, Invoke, Record};
use dsfuzz_workloads::{Call, CallResponse, CallResult};
use std::collections::HashSet;
use std::sync::Arc;

const INVOKE: u8 = 1;
const OK: u8 = 2;
const FAIL: u8 = 3;
const INFO: u8 = 4;
/// A reply that also names the node that answered (empty: the node that was called), or whose error comes with a value that is
/// known all the same: outcome (`OK`, `FAIL` or `INFO`), process, value, error, node.
const FULL_REPLY: u8 = 5;
const JSON: u8 = 9;

const NIL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const TEXT: u8 = 4;
const LIST: u8 = 5;
const MAP: u8 = 6;

/// Values nested deeper than this are not read back: the body counts as damaged. JSON readers stop at the same depth.
const DEPTH_MAX: u32 = 128;

/// Writes the body of a call.
pub(in crate::run) fn encode_invoke(
    out: &mut Vec<u8>,
    worker: u32,
    process: u64,
    node: &str,
    call: &Call,
    settle: bool,
) {
    out.push(INVOKE);
    out.push(u8::from(settle));
    put_number(out, u64::from(worker));
    put_number(out, process);
    put_text(out, node);
    put_text(out, &call.workload);
    put_text(out, &call.f);
    put_value(out, &call.key);
    put_value(out, &call.value);
}

/// Writes the body of a reply: `FULL_REPLY` where the short kinds cannot hold it.
pub(in crate::run) fn encode_completion(out: &mut Vec<u8>, process: u64, response: &CallResponse) {
    let kind = match response.result {
        CallResult::Ok(_) => OK,
        CallResult::Fail(_) => FAIL,
        CallResult::Info(_) => INFO,
    };
    if response.node.is_some() || !response.reply.is_nil() {
        let (value, error) = match &response.result {
            CallResult::Ok(value) => (value, ""),
            CallResult::Fail(why) | CallResult::Info(why) => (&response.reply, &**why),
        };
        out.extend_from_slice(&[FULL_REPLY, kind]);
        put_number(out, process);
        put_value(out, value);
        put_text(out, error);
        return put_text(out, response.node.as_deref().unwrap_or_default());
    }
    out.push(kind);
    put_number(out, process);
    match &response.result {
        CallResult::Ok(value) => put_value(out, value),
        CallResult::Fail(why) | CallResult::Info(why) => put_text(out, why),
    }
}

/// Writes the body of any other record. Reading takes index and time from the frame, whatever the JSON says.
pub(in crate::run) fn encode_json(out: &mut Vec<u8>, record: &Record) -> Result<(), serde_json::Error> {
    out.push(JSON);
    serde_json::to_writer(out, record)
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Nil => out.push(NIL),
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Int(number) => {
            out.push(INT);
            put_number(out, ((number << 1) ^ (number >> 63)) as u64);
        }
        Value::Text(text) => {
            out.push(TEXT);
            put_text(out, text);
        }
        Value::List(items) => {
            out.push(LIST);
            put_number(out, items.len() as u64);
            items.iter().for_each(|item| put_value(out, item));
        }
        Value::Map(entries) => {
            out.push(MAP);
            put_number(out, entries.len() as u64);
            for (name, value) in entries.iter() {
                put_text(out, name);
                put_value(out, value);
            }
        }
    }
}

/// Reads bodies back. Names that repeat (nodes, workloads, functions, errors) share their memory.
#[derive(Default)]
pub(super) struct Decoder {
    names: HashSet<Arc<str>>,
}

impl Decoder {
    /// The record of a frame. The error says what is wrong with the body, without its place in the journal.
    pub(super) fn record(&mut self, index: u64, time: u64, body: &[u8]) -> Result<Record, String> {
        let (kind, rest) = body.split_first().ok_or("an empty record")?;
        if *kind == JSON {
            let mut record = serde_json::from_slice(rest).map_err(|error| error.to_string())?;
            stamp(&mut record, index, time);
            return Ok(record);
        }
        let mut bytes = BodyReader { rest, names: &mut self.names };
        let record = match *kind {
            INVOKE => bytes.invoke(index, time).map(Record::Invoke),
            OK => bytes.ok(index, time).map(Record::Ok),
            FAIL => bytes.failure(index, time).map(Record::Fail),
            INFO => bytes.failure(index, time).map(Record::Info),
            FULL_REPLY => bytes.full_reply(index, time),
            other => return Err(format!("an unknown kind of record, {other}")),
        };
        let left = bytes.rest.len();
        record.filter(|_| left == 0).ok_or_else(|| "its body does not have the form of its kind".to_owned())
    }
}

/// Sets the index and the time of a record.
fn stamp(record: &mut Record, to_index: u64, to_time: u64) {
    let (index, time) = match record {
        Record::Start { index, time, .. }
        | Record::Phase { index, time, .. }
        | Record::Note { index, time, .. }
        | Record::End { index, time } => (index, time),
        Record::Invoke(invoke) => (&mut invoke.index, &mut invoke.time),
        Record::Ok(reply) | Record::Fail(reply) | Record::Info(reply) => (&mut reply.index, &mut reply.time),
        Record::Fault(event) => (&mut event.index, &mut event.time),
        Record::Role(claim) => (&mut claim.index, &mut claim.time),
        Record::Process(event) => (&mut event.index, &mut event.time),
    };
    *index = to_index;
    *time = to_time;
}

/// Reads fields from the front of a body. Every method returns `None` where the bytes are not what it reads.
struct BodyReader<'a> {
    rest: &'a [u8],
    names: &'a mut HashSet<Arc<str>>,
}

impl<'a> BodyReader<'a> {
    fn invoke(&mut self, index: u64, time: u64) -> Option<Invoke> {
        Some(Invoke {
            index,
            time,
            settle: self.byte()? != 0,
            worker: u32::try_from(self.number()?).ok()?,
            process: self.number()?,
            node: self.name()?,
            workload: self.name()?,
            f: self.name()?,
            key: self.value(DEPTH_MAX)?,
            value: self.value(DEPTH_MAX)?,
        })
    }

    fn ok(&mut self, index: u64, time: u64) -> Option<Completion> {
        let (process, value) = (self.number()?, self.value(DEPTH_MAX)?);
        Some(Completion { index, time, process, value, error: None, node: None })
    }

    /// The short form of both `fail` and `info`.
    fn failure(&mut self, index: u64, time: u64) -> Option<Completion> {
        let process = self.number()?;
        Some(Completion { index, time, process, value: Value::Nil, error: Some(self.name()?), node: None })
    }

    fn full_reply(&mut self, index: u64, time: u64) -> Option<Record> {
        let kind = self.byte()?;
        let (process, value) = (self.number()?, self.value(DEPTH_MAX)?);
        let (error, node) = (self.name()?, self.name()?);
        let error = (kind != OK).then_some(error);
        let reply = Completion { index, time, process, value, error, node: Some(node).filter(|node| !node.is_empty()) };
        match kind {
            OK => Some(Record::Ok(reply)),
            FAIL => Some(Record::Fail(reply)),
            INFO => Some(Record::Info(reply)),
            _ => None,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        std::str::from_utf8(text).ok()
    }

    /// A text of which the decoder keeps one copy.
    fn name(&mut self) -> Option<Arc<str>> {
        let text = self.text()?;
        if let Some(known) = self.names.get(text) {
            return Some(known.clone());
        }
        let name: Arc<str> = Arc::from(text);
        self.names.insert(name.clone());
        Some(name)
    }

    fn value(&mut self, depth: u32) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        Some(match self.byte()? {
            NIL => Value::Nil,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            INT => {
                let folded = self.number()?;
                Value::Int((folded >> 1) as i64 ^ -((folded & 1) as i64))
            }
            TEXT => Value::text(self.text()?),
            LIST => {
                let count = self.number()?;
                Value::List((0..count).map(|_| self.value(depth)).collect::<Option<_>>()?)
            }
            MAP => {
                let count = self.number()?;
                let entry = |_| Some((self.name()?, self.value(depth)?));
                Value::Map((0..count).map(entry).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(key: Value, value: Value) -> Call {
        Call { workload: Arc::from("register"), f: Arc::from("cas"), key, value }
    }

    fn values() -> Vec<Value> {
        let deep = Value::list([Value::Nil, Value::list([Value::Bool(true), Value::text("ä\"")])]);
        let map = Value::Map(Arc::from([(Arc::from("b"), Value::Int(-1)), (Arc::from("a"), deep.clone())]));
        vec![Value::Nil, Value::Bool(false), Value::Int(i64::MIN), Value::Int(i64::MAX), Value::Int(-64), deep, map]
    }

    #[test]
    fn calls_and_replies_survive() {
        let mut decoder = Decoder::default();
        for value in values() {
            let mut body = Vec::new();
            encode_invoke(&mut body, 3, 1 << 40, "n1", &call(value.clone(), value.clone()), true);
            let record = decoder.record(7, 9, &body).expect("an invoke");
            let Record::Invoke(invoke) = record else { panic!("{record:?}") };
            assert_eq!((invoke.index, invoke.time, invoke.worker, invoke.process), (7, 9, 3, 1 << 40));
            assert_eq!((&*invoke.node, &*invoke.workload, &*invoke.f), ("n1", "register", "cas"));
            assert_eq!((&invoke.key, &invoke.value, invoke.settle), (&value, &value, true));

            body.clear();
            encode_completion(&mut body, 5, &CallResult::Ok(value.clone()).into());
            let reply = Completion { index: 8, time: 9, process: 5, value, error: None, node: None };
            assert_eq!(decoder.record(8, 9, &body), Ok(Record::Ok(reply)));
        }
    }

    #[test]
    fn full_replies_survive_with_node_and_known_value() {
        let answers = [CallResult::Ok(Value::Int(7)), CallResult::fail("aborted: 40001"), CallResult::info("timeout")];
        for answer in answers {
            for node in [None, Some(Arc::from("n2"))] {
                let known = if matches!(answer, CallResult::Ok(_)) { Value::Int(7) } else { Value::text("seen") };
                let mut body = Vec::new();
                let response = CallResponse { result: answer.clone(), node: node.clone(), reply: known.clone() };
                encode_completion(&mut body, 5, &response);
                let record = Decoder::default().record(8, 9, &body).expect("a reply");
                let (kind, reply) = match record {
                    Record::Ok(reply) => ("ok", reply),
                    Record::Fail(reply) => ("fail", reply),
                    Record::Info(reply) => ("info", reply),
                    other => panic!("{other:?}"),
                };
                let (wanted, error) = match &answer {
                    CallResult::Ok(_) => ("ok", None),
                    CallResult::Fail(why) => ("fail", Some(why.clone())),
                    CallResult::Info(why) => ("info", Some(why.clone())),
                };
                assert_eq!((kind, reply.process, &reply.value), (wanted, 5, &known));
                assert_eq!((reply.error, reply.node), (error, node));
                for length in 0..body.len() {
                    assert!(Decoder::default().record(0, 0, &body[..length]).is_err(), "{length} bytes");
                }
            }
        }
    }

    #[test]
    fn no_prefix_of_a_body_is_a_record() {
        let mut body = Vec::new();
        encode_invoke(&mut body, 3, 300, "n1", &call(Value::Int(1), values().remove(6)), false);
        for length in 0..body.len() {
            assert!(Decoder::default().record(0, 0, &body[..length]).is_err(), "{length} bytes");
        }
    }
}
