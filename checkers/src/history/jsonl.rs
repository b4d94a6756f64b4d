//! Reading and writing `history.jsonl`, and putting records together into a [`History`].
use super::{Completion, Fault, FaultEvent, FaultStep, History, Mark, Op, Outcome, Record};
use crate::value::Value;
use std::collections::HashMap;
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
        match serde_json::from_slice::<Record>(&line) {
            Ok(record) => history.push(record)?,
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

/// Puts records together, in order, and checks that they make sense.
#[derive(Debug, Default)]
pub struct HistoryBuilder {
    history: History,
    next_index: u64,
    open: HashMap<u64, usize>,
    retired: HashMap<u64, u64>,
    process_worker: HashMap<u64, u32>,
}

impl HistoryBuilder {
    /// Nothing yet.
    pub fn new() -> HistoryBuilder {
        HistoryBuilder::default()
    }

    /// Takes the next record.
    pub fn push(&mut self, record: Record) -> Result<(), HistoryError> {
        let (index, time) = stamp(&record);
        if index != self.next_index {
            return Err(broken(index, format!("its index should be {}", self.next_index)));
        }
        self.next_index += 1;
        self.history.end_time = self.history.end_time.max(time);
        match record {
            Record::Start { version, nodes, wall, .. } => {
                if version > super::HISTORY_VERSION {
                    return Err(broken(index, format!("version {version} is newer than this program understands")));
                }
                self.history.nodes = nodes;
                self.history.wall = wall;
            }
            Record::Invoke(invoke) => self.invoke(invoke)?,
            Record::Ok(completion) => self.complete(completion, Outcome::Ok)?,
            Record::Fail(completion) => self.complete(completion, Outcome::Fail)?,
            Record::Info(completion) => self.complete(completion, Outcome::Info)?,
            Record::Fault(event) => self.fault(event),
            Record::Role(claim) => self.history.roles.push(claim),
            Record::Phase { phase, .. } => self.history.phases.push((phase, Mark { index, time })),
            Record::Note { node, text, .. } => self.history.notes.push((time, node, text)),
            Record::End { .. } => self.history.complete = true,
        }
        Ok(())
    }

    /// The whole. Calls still open stay Info: they were in flight.
    pub fn finish(self) -> Result<History, HistoryError> {
        Ok(self.history)
    }

    fn invoke(&mut self, invoke: super::Invoke) -> Result<(), HistoryError> {
        let index = invoke.index;
        if self.open.contains_key(&invoke.process) {
            return Err(broken(index, format!("process {} calls while its last call is open", invoke.process)));
        }
        if let Some(at) = self.retired.get(&invoke.process) {
            return Err(broken(index, format!("process {} was retired by the info at {at}", invoke.process)));
        }
        let worker = *self.process_worker.entry(invoke.process).or_insert(invoke.worker);
        if worker != invoke.worker {
            return Err(broken(index, format!("process {} belongs to worker {worker}", invoke.process)));
        }
        let history = &mut self.history;
        let op = Op {
            call: index,
            reply: Op::OPEN,
            call_time: invoke.time,
            reply_time: Op::OPEN,
            worker: invoke.worker,
            process: invoke.process,
            node: history.intern(&invoke.node),
            workload: history.intern(&invoke.workload),
            function: history.intern(&invoke.f),
            key: invoke.key,
            input: invoke.value,
            outcome: Outcome::Info,
            output: Value::Nil,
            error: None,
            settle: invoke.settle,
        };
        self.open.insert(invoke.process, history.ops.len());
        history.ops.push(op);
        Ok(())
    }

    fn complete(&mut self, completion: Completion, outcome: Outcome) -> Result<(), HistoryError> {
        let index = completion.index;
        let Some(position) = self.open.remove(&completion.process) else {
            return Err(broken(index, format!("process {} completes a call it never made", completion.process)));
        };
        if outcome == Outcome::Info {
            self.retired.insert(completion.process, index);
        }
        let error = completion.error.map(|text| self.history.intern(&text));
        let op = &mut self.history.ops[position];
        op.reply = index;
        op.reply_time = completion.time;
        op.outcome = outcome;
        op.output = completion.value;
        op.error = error;
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
            FaultStep::SelfHealed => fault.self_healed = event.ended,
            FaultStep::Resolved | FaultStep::Unproven | FaultStep::Lapsed => {}
        }
        if event.step != FaultStep::Planned && !event.what.is_empty() {
            fault.what = event.what;
        }
        if !event.nodes.is_empty() {
            fault.nodes = event.nodes;
        }
        if !event.cut.is_empty() {
            fault.cut = event.cut;
        }
        fault.detail.extend(event.detail);
    }
}

fn broken(index: u64, message: String) -> HistoryError {
    HistoryError::Broken { index, message }
}

fn stamp(record: &Record) -> (u64, u64) {
    match record {
        Record::Start { index, time, .. }
        | Record::Phase { index, time, .. }
        | Record::Note { index, time, .. }
        | Record::End { index, time } => (*index, *time),
        Record::Invoke(invoke) => (invoke.index, invoke.time),
        Record::Ok(completion) | Record::Fail(completion) | Record::Info(completion) => {
            (completion.index, completion.time)
        }
        Record::Fault(event) => (event.index, event.time),
        Record::Role(claim) => (claim.index, claim.time),
    }
}
