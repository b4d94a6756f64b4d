//! Reading and writing `history.jsonl`, and putting records together into a [`History`].
use super::columns::{NO_INDEX, NewCall};
use super::{Completion, Fault, FaultEvent, FaultStep, History, Invoke, Mark, NameId, Outcome, Record};
use crate::value::Value;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io::{self, BufRead, Write};

/// Why a history cannot be used.
#[derive(Debug)]
pub enum HistoryError {
    /// Reading failed.
    Io(io::Error),
    /// A line is not a record. Line and column count from 1.
    Malformed {
        /// Line.
        line: u64,
        /// Column.
        column: u64,
        /// What is wrong.
        message: String,
    },
    /// The records contradict each other: the recording itself is broken, and nothing may be judged from it.
    Broken {
        /// Index of the record.
        index: u64,
        /// What is wrong.
        message: String,
    },
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HistoryError::Io(error) => write!(f, "cannot read the history: {error}"),
            HistoryError::Malformed { line, column, message } => {
                write!(f, "line {line}, column {column} of the history is not a record: {message}")
            }
            HistoryError::Broken { index, message } => {
                write!(f, "the recording is broken at record {index}: {message}")
            }
        }
    }
}

impl std::error::Error for HistoryError {}

impl From<io::Error> for HistoryError {
    fn from(error: io::Error) -> HistoryError {
        HistoryError::Io(error)
    }
}

/// Reads JSON lines as written by [`write_record`]. A last line without its newline that does not parse is dropped: the
/// writer was killed in the middle of it.
pub fn read_jsonl(mut reader: impl BufRead) -> Result<History, HistoryError> {
    let mut history = HistoryBuilder::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let whole = line.last() == Some(&b'\n');
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match Line::parse(&line) {
            Ok(line) => history.take(line)?,
            Err(_) if !whole => break,
            Err(error) => {
                let column = error.column() as u64;
                return Err(HistoryError::Malformed { line: number, column, message: error.to_string() });
            }
        }
    }
    history.finish()
}

/// Writes one record as a line.
pub fn write_record(writer: &mut impl Write, record: &Record) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, record)?;
    writer.write_all(b"\n")
}

/// A parsed line. Calls and replies, which are nearly all of them, borrow their words.
enum Line<'a> {
    Call(Call<'a>),
    Reply(Outcome, Reply<'a>),
    Other(Box<Record>),
}

#[derive(Deserialize)]
struct Call<'a> {
    index: u64,
    time: u64,
    worker: u32,
    process: u64,
    #[serde(borrow)]
    node: Cow<'a, str>,
    #[serde(borrow)]
    workload: Cow<'a, str>,
    #[serde(borrow)]
    f: Cow<'a, str>,
    #[serde(default)]
    key: Value,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    settle: bool,
}

#[derive(Deserialize)]
struct Reply<'a> {
    index: u64,
    time: u64,
    process: u64,
    #[serde(default)]
    value: Value,
    #[serde(default, borrow)]
    error: Option<Cow<'a, str>>,
}

impl<'a> Line<'a> {
    /// Lines as [`write_record`] makes them say first what they are; others take the longer way.
    fn parse(line: &'a [u8]) -> serde_json::Result<Line<'a>> {
        let begins =
            |kind: &str| line.strip_prefix(b"{\"type\":\"").is_some_and(|rest| rest.starts_with(kind.as_bytes()));
        let outcomes = [("ok\"", Outcome::Ok), ("fail\"", Outcome::Fail), ("info\"", Outcome::Info)];
        if begins("invoke\"") {
            return serde_json::from_slice(line).map(Line::Call);
        }
        if let Some((_, outcome)) = outcomes.iter().find(|(kind, _)| begins(kind)) {
            return serde_json::from_slice(line).map(|reply| Line::Reply(*outcome, reply));
        }
        serde_json::from_slice(line).map(|record| Line::Other(Box::new(record)))
    }
}

/// What a process is doing.
#[derive(Debug)]
struct Process {
    worker: u32,
    session: u32,
    state: ProcessState,
}

#[derive(Debug)]
enum ProcessState {
    Free,
    /// Its call is the operation at this position.
    Open(usize),
    /// By the info at this index.
    Retired(u64),
}

/// Puts records together, in order, and checks that they make sense.
#[derive(Debug, Default)]
pub struct HistoryBuilder {
    history: History,
    next_index: u64,
    processes: HashMap<u64, Process>,
}

impl HistoryBuilder {
    /// Nothing yet.
    pub fn new() -> HistoryBuilder {
        HistoryBuilder::default()
    }

    /// Takes the next record.
    pub fn push(&mut self, record: Record) -> Result<(), HistoryError> {
        let reply = |outcome: Outcome, completion: Completion| {
            let Completion { index, time, process, value, error } = completion;
            Line::Reply(
                outcome,
                Reply { index, time, process, value, error: error.map(|text| Cow::Owned(text.to_string())) },
            )
        };
        match record {
            Record::Invoke(Invoke { index, time, worker, process, node, workload, f, key, value, settle }) => {
                let (node, workload, f) = (Cow::Borrowed(&*node), Cow::Borrowed(&*workload), Cow::Borrowed(&*f));
                self.take(Line::Call(Call { index, time, worker, process, node, workload, f, key, value, settle }))
            }
            Record::Ok(completion) => self.take(reply(Outcome::Ok, completion)),
            Record::Fail(completion) => self.take(reply(Outcome::Fail, completion)),
            Record::Info(completion) => self.take(reply(Outcome::Info, completion)),
            other => self.other(other),
        }
    }

    fn take(&mut self, line: Line<'_>) -> Result<(), HistoryError> {
        match line {
            Line::Call(call) => {
                self.stamp(call.index, call.time)?;
                self.call(call)
            }
            Line::Reply(outcome, reply) => {
                self.stamp(reply.index, reply.time)?;
                self.reply(reply, outcome)
            }
            Line::Other(record) => self.other(*record),
        }
    }

    /// Every record has the next index and a time that does not go back.
    fn stamp(&mut self, index: u64, time: u64) -> Result<(), HistoryError> {
        if self.history.complete {
            return Err(broken(index, "it comes after the end".to_owned()));
        }
        if index != self.next_index {
            return Err(broken(index, format!("its index should be {}", self.next_index)));
        }
        if index >= u64::from(NO_INDEX) {
            return Err(broken(index, format!("a history has less than {NO_INDEX} records")));
        }
        if time < self.history.end_time {
            let before = self.history.end_time;
            return Err(broken(index, format!("its time {time} is before the record in front of it, {before}")));
        }
        self.next_index += 1;
        self.history.end_time = time;
        Ok(())
    }

    fn other(&mut self, record: Record) -> Result<(), HistoryError> {
        let (index, time) = match &record {
            Record::Fault(event) => (event.index, event.time),
            Record::Role(claim) => (claim.index, claim.time),
            Record::Start { index, time, .. }
            | Record::Phase { index, time, .. }
            | Record::Note { index, time, .. }
            | Record::End { index, time } => (*index, *time),
            Record::Invoke(_) | Record::Ok(_) | Record::Fail(_) | Record::Info(_) => return self.push(record),
        };
        self.stamp(index, time)?;
        match record {
            Record::Start { .. } if index != 0 => return Err(broken(index, "a second start of the record".to_owned())),
            Record::Start { version, nodes, wall, .. } => {
                if version > super::HISTORY_VERSION {
                    return Err(broken(index, format!("version {version} is newer than this program understands")));
                }
                self.history.nodes = nodes;
                self.history.wall = wall;
            }
            Record::Fault(event) => self.fault(event),
            Record::Role(claim) => {
                if claim.sent_index > index || claim.sent_time > time {
                    return Err(broken(index, "a role was answered before its probe was sent".to_owned()));
                }
                self.history.roles.push(claim);
            }
            Record::Phase { phase, .. } => self.history.phases.push((phase, Mark { index, time })),
            Record::Note { node, text, .. } => self.history.notes.push((time, node, text)),
            Record::End { .. } => self.history.complete = true,
            Record::Invoke(_) | Record::Ok(_) | Record::Fail(_) | Record::Info(_) => {}
        }
        Ok(())
    }

    /// The whole. Calls still open stay Info: they were in flight.
    pub fn finish(self) -> Result<History, HistoryError> {
        Ok(self.history)
    }

    fn call(&mut self, call: Call<'_>) -> Result<(), HistoryError> {
        let (index, id) = (call.index, call.process);
        let process = match self.processes.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let session = self.history.columns.new_process(id);
                entry.insert(Process { worker: call.worker, session, state: ProcessState::Free })
            }
        };
        match process.state {
            ProcessState::Free if process.worker == call.worker => {}
            ProcessState::Free => {
                return Err(broken(index, format!("process {id} belongs to worker {}", process.worker)));
            }
            ProcessState::Open(_) => {
                return Err(broken(index, format!("process {id} calls while its last call is open")));
            }
            ProcessState::Retired(at) => {
                return Err(broken(index, format!("process {id} was retired by the info at {at}")));
            }
        }
        let history = &mut self.history;
        process.state = ProcessState::Open(history.columns.len());
        let mut name = |text: &str| narrow(index, history.intern(text));
        let (node, workload, function) = (name(&call.node)?, name(&call.workload)?, name(&call.f)?);
        let values = &mut history.columns.values;
        let (key, input) = (values.put(&call.key), values.put(&call.value));
        let (time, worker, settle, session) = (call.time, call.worker, call.settle, process.session);
        let index = index as u32;
        history.columns.push(NewCall { index, time, worker, session, node, workload, function, key, input, settle });
        Ok(())
    }

    fn reply(&mut self, reply: Reply<'_>, outcome: Outcome) -> Result<(), HistoryError> {
        let (index, id) = (reply.index, reply.process);
        let state = self.processes.get_mut(&id).map(|process| &mut process.state);
        let Some((state, position)) = state.and_then(|state| match *state {
            ProcessState::Open(position) => Some((state, position)),
            ProcessState::Free | ProcessState::Retired(_) => None,
        }) else {
            return Err(broken(index, format!("process {id} completes a call it never made")));
        };
        *state = if outcome == Outcome::Info { ProcessState::Retired(index) } else { ProcessState::Free };
        let error = reply.error.map(|text| self.history.intern(&text));
        let output = self.history.columns.values.put(&reply.value);
        self.history.columns.complete(position, index as u32, reply.time, outcome, output, error);
        Ok(())
    }

    fn fault(&mut self, event: FaultEvent) {
        let position = self.history.faults.iter().position(|fault| fault.id == event.fault);
        let position = position.unwrap_or_else(|| {
            self.history.faults.push(Fault { id: event.fault, kind: event.kind.to_string(), ..Fault::default() });
            self.history.faults.len() - 1
        });
        let fault = &mut self.history.faults[position];
        let mark = Mark { index: event.index, time: event.time };
        match event.step {
            FaultStep::Planned => fault.planned = event.what.clone(),
            FaultStep::Begun => fault.begun = Some(mark),
            FaultStep::Proven => fault.proven = Some(mark),
            FaultStep::Reproven => fault.reproven = Some(mark),
            FaultStep::HealBegun => fault.heal_begun = Some(mark),
            FaultStep::Healed => fault.healed = Some(mark),
            FaultStep::Unhealed => fault.unhealed = true,
            FaultStep::Lapsed => fault.lapsed = true,
            FaultStep::SelfHealed => fault.self_healed = widened(fault.self_healed, event.ended),
            FaultStep::Resolved | FaultStep::Unproven => {}
        }
        if event.step != FaultStep::Planned && !event.what.is_empty() {
            fault.what = event.what;
        }
        // Where a node undid it by itself, the event names that node and not those it was aimed at.
        if !event.nodes.is_empty() && (fault.nodes.is_empty() || event.step != FaultStep::SelfHealed) {
            fault.nodes = event.nodes;
        }
        if !event.cut.is_empty() {
            fault.cut = event.cut;
        }
        fault.detail.extend(event.detail);
    }
}

/// The interval that covers both.
fn widened(one: Option<(u64, u64)>, other: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        _ => one.or(other),
    }
}

/// The number of a node, workload or function.
fn narrow(index: u64, name: NameId) -> Result<u16, HistoryError> {
    let many = |_| broken(index, "there are more than 65536 nodes, workloads, functions and errors".to_owned());
    u16::try_from(name.0).map_err(many)
}

fn broken(index: u64, message: String) -> HistoryError {
    HistoryError::Broken { index, message }
}
