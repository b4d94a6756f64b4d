//! [`HistoryBuilder`]: puts records together into a [`History`] and checks that they make sense.
use super::columns::{NO_INDEX, NewCall};
use super::{Completion, Fault, FaultEvent, FaultStep, History, HistoryError, Invoke, Mark, NameId, Outcome, Record};
use crate::value::{Arena, Word};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// A call whose values are in the builder's arena.
pub(super) struct Call<'a> {
    pub(super) index: u64,
    pub(super) time: u64,
    pub(super) worker: u32,
    pub(super) process: u64,
    pub(super) node: &'a str,
    pub(super) workload: &'a str,
    pub(super) f: &'a str,
    pub(super) key: Word,
    pub(super) input: Word,
    pub(super) settle: bool,
}

/// A reply whose value is in the builder's arena.
pub(super) struct Reply<'a> {
    pub(super) index: u64,
    pub(super) time: u64,
    pub(super) process: u64,
    pub(super) output: Word,
    pub(super) error: Option<&'a str>,
    pub(super) node: Option<&'a str>,
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
    names: RecentNames,
}

/// Nodes, workloads and functions that were seen last: there are few of each, and comparing is faster than hashing.
#[derive(Debug, Default)]
pub(super) struct RecentNames([Vec<NameId>; 3]);

impl RecentNames {
    /// The number of a name that is one of nodes (0), workloads (1) or functions (2).
    pub(super) fn number(&mut self, kind: usize, text: &str, history: &mut History) -> Option<u16> {
        let known = self.0[kind].iter().copied().find(|id| history.name(*id) == text);
        let id = known.unwrap_or_else(|| {
            let id = history.intern(text);
            if self.0[kind].len() < 16 {
                self.0[kind].push(id);
            }
            id
        });
        u16::try_from(id.0).ok()
    }
}

impl HistoryBuilder {
    /// Nothing yet.
    pub fn new() -> HistoryBuilder {
        HistoryBuilder::default()
    }

    /// Takes the next record.
    pub fn push(&mut self, record: Record) -> Result<(), HistoryError> {
        match record {
            Record::Invoke(Invoke { index, time, worker, process, node, workload, f, key, value, settle }) => {
                let values = self.arena();
                let (key, input) = (values.put(&key), values.put(&value));
                let (node, workload, f) = (&*node, &*workload, &*f);
                self.call(&Call { index, time, worker, process, node, workload, f, key, input, settle })
            }
            Record::Ok(completion) => self.completion(completion, Outcome::Ok),
            Record::Fail(completion) => self.completion(completion, Outcome::Fail),
            Record::Info(completion) => self.completion(completion, Outcome::Info),
            other => self.other(other),
        }
    }

    fn completion(&mut self, completion: Completion, outcome: Outcome) -> Result<(), HistoryError> {
        let Completion { index, time, process, value, error, node } = completion;
        let output = self.arena().put(&value);
        let (error, node) = (error.as_deref(), node.as_deref());
        self.reply(&Reply { index, time, process, output, error, node }, outcome)
    }

    /// Where the values of calls and replies go.
    pub(super) fn arena(&mut self) -> &mut Arena {
        &mut self.history.columns.values
    }

    /// The order between processes means nothing.
    pub(super) fn no_realtime(&mut self) {
        self.history.realtime = false;
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

    pub(super) fn other(&mut self, record: Record) -> Result<(), HistoryError> {
        if matches!(record, Record::Invoke(_) | Record::Ok(_) | Record::Fail(_) | Record::Info(_)) {
            return self.push(record);
        }
        let Mark { index, time } = record.mark();
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
            Record::Process(event) => self.history.processes.push(event),
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

    pub(super) fn call(&mut self, call: &Call<'_>) -> Result<(), HistoryError> {
        self.stamp(call.index, call.time)?;
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
        let (history, names) = (&mut self.history, &mut self.names);
        process.state = ProcessState::Open(history.columns.len());
        let mut name = |kind: usize, text: &str| names.number(kind, text, history).ok_or_else(|| too_many_names(index));
        let (node, workload, function) = (name(0, call.node)?, name(1, call.workload)?, name(2, call.f)?);
        let Call { time, worker, key, input, settle, .. } = *call;
        let (index, session) = (index as u32, process.session);
        history.columns.push(NewCall { index, time, worker, session, node, workload, function, key, input, settle });
        Ok(())
    }

    pub(super) fn reply(&mut self, reply: &Reply<'_>, outcome: Outcome) -> Result<(), HistoryError> {
        self.stamp(reply.index, reply.time)?;
        let (index, id) = (reply.index, reply.process);
        let state = self.processes.get_mut(&id).map(|process| &mut process.state);
        let Some((state, position)) = state.and_then(|state| match *state {
            ProcessState::Open(position) => Some((state, position)),
            ProcessState::Free | ProcessState::Retired(_) => None,
        }) else {
            return Err(broken(index, format!("process {id} completes a call it never made")));
        };
        *state = if outcome == Outcome::Info { ProcessState::Retired(index) } else { ProcessState::Free };
        let error = reply.error.map(|text| self.history.intern(text));
        if let Some(node) = reply.node {
            let node = self.names.number(0, node, &mut self.history).ok_or_else(|| too_many_names(index))?;
            self.history.columns.answered_by(position, node);
        }
        self.history.columns.complete(position, index as u32, reply.time, outcome, reply.output, error);
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
            FaultStep::Triggered => fault.triggered = Some(mark),
            FaultStep::NotTriggered => fault.not_triggered = true,
            FaultStep::Missed => fault.missed = true,
            FaultStep::Resolved | FaultStep::Unproven => {}
        }
        if matches!(event.step, FaultStep::Unproven | FaultStep::Lapsed | FaultStep::NotTriggered | FaultStep::Missed) {
            fault.reasons.extend(event.detail.iter().cloned());
        }
        if !event.name.is_empty() {
            fault.name = event.name;
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
        fault.damages |= event.damages;
        fault.detail.extend(event.detail);
        fault.problems.extend(event.problem);
    }
}

/// The interval that covers both.
fn widened(one: Option<(u64, u64)>, other: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        _ => one.or(other),
    }
}

pub(super) fn too_many_names(index: u64) -> HistoryError {
    broken(index, "there are more than 65536 nodes, workloads, functions and errors".to_owned())
}

pub(super) fn broken(index: u64, message: String) -> HistoryError {
    HistoryError::Broken { line: 0, column: 0, index, message }
}
