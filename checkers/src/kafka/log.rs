//! [`Logs`]: which messages were sent, and which were seen where, in flat arrays.
use super::happened;
use crate::history::{History, Op, Outcome};
use crate::value::{Kind, ListRef, ValueRef};
use std::collections::HashMap;

/// The functions of the workload.
pub(super) const FUNCTIONS: [&str; 8] = ["send", "poll", "txn", "assign", "subscribe", "seek", "rebalance", "crash"];

/// A message at an offset, as an acknowledged send or poll has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sighting {
    pub(super) log: u32,
    pub(super) offset: i64,
    pub(super) value: u32,
    /// Position of the operation.
    pub(super) op: u32,
}

/// A value of one log.
pub(super) struct Message<'h> {
    pub(super) log: u32,
    pub(super) content: ValueRef<'h>,
    /// Sends of it that may have happened, and the first of those.
    pub(super) tried: u32,
    pub(super) send: Option<u32>,
    /// A send of it that certainly did not happen.
    pub(super) refused: Option<u32>,
    /// An acknowledged send with its offset, where that is known.
    pub(super) acknowledged: Option<(Option<i64>, u32)>,
    /// The poll of it that was answered first.
    pub(super) polled: Option<u32>,
    polled_reply: u64,
}

/// One step of a process, in the order of its operations.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// It polled a message; `list` tells the lists of one operation apart.
    Poll { seen: Sighting, list: u32 },
    /// It sent one, and knows the offset.
    Send(Sighting),
    /// Nobody knows where it polls next. `group`: a group may take its logs away from now on; nothing: as before.
    Reset { group: Option<bool> },
}

/// All logs of the workloads that are judged.
#[derive(Default)]
pub(super) struct Logs<'h> {
    names: Vec<String>,
    ids: HashMap<(u32, String), u32>,
    values: HashMap<(u32, ValueRef<'h>), u32>,
    pub(super) messages: Vec<Message<'h>>,
    pub(super) sightings: Vec<Sighting>,
    /// Steps by session.
    pub(super) steps: Vec<Vec<Step>>,
    /// Of each log the offsets at which there certainly is a message that everybody may poll, each with an operation that
    /// has it; sorted.
    committed: Vec<Vec<(i64, u32)>>,
    /// Of each log the offsets polled, each with the first poll; sorted.
    offsets: Vec<Vec<(i64, u32)>>,
    pub(super) malformed: Vec<u64>,
    /// Whether a group may take a session's logs away.
    groups: Vec<bool>,
    /// Polls in a group of which nobody knows what they took, and seeks: they may pass messages that nobody polls.
    pub(super) passed: u64,
    pub(super) acknowledged: u64,
    pub(super) polled: u64,
}

/// A micro-operation: its name, and the rest.
fn micro<'h>(item: ValueRef<'h>) -> Option<(&'h str, ListRef<'h>)> {
    let list = item.as_list()?;
    Some((list.get(0)?.as_text()?, list))
}

/// The micro-operations of a value: a list of them, or one alone.
fn micros<'h>(value: ValueRef<'h>) -> Vec<ValueRef<'h>> {
    let Some(list) = value.as_list() else { return Vec::new() };
    if list.get(0).is_some_and(|first| first.as_text().is_some()) { vec![value] } else { list.iter().collect() }
}

/// `[offset, value]`, the offset nil where it is unknown.
fn placed<'h>(value: ValueRef<'h>) -> Option<(Option<i64>, ValueRef<'h>)> {
    let pair = value.as_list().filter(|pair| pair.len() == 2)?;
    match pair.at(0).kind() {
        Kind::Nil => Some((None, pair.at(1))),
        Kind::Int(offset) => Some((Some(offset), pair.at(1))),
        _ => None,
    }
}

impl<'h> Logs<'h> {
    /// How many logs there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The key of a log.
    pub(super) fn key(&self, log: u32) -> &str {
        &self.names[log as usize]
    }

    /// The content of a message.
    pub(super) fn value(&self, id: u32) -> ValueRef<'h> {
        self.messages[id as usize].content
    }

    /// The highest polled offset of each log.
    pub(super) fn highest(&self) -> Vec<Option<i64>> {
        self.offsets.iter().map(|offsets| offsets.last().map(|(offset, _)| *offset)).collect()
    }

    /// A poll of the next offset from this one on.
    pub(super) fn beyond(&self, log: u32, offset: i64) -> Option<u32> {
        let offsets = &self.offsets[log as usize];
        offsets.get(offsets.partition_point(|(other, _)| *other < offset)).map(|(_, op)| *op)
    }

    /// A message between these offsets, both exclusive.
    pub(super) fn between(&self, log: u32, low: i64, high: i64) -> Option<(i64, u32)> {
        let offsets = &self.committed[log as usize];
        offsets.get(offsets.partition_point(|(other, _)| *other <= low)).copied().filter(|(offset, _)| *offset < high)
    }

    fn log(&mut self, workload: u32, key: ValueRef<'_>) -> u32 {
        let name = key.as_text().map_or_else(|| key.to_string(), str::to_owned);
        let next = self.names.len() as u32;
        let id = *self.ids.entry((workload, name.clone())).or_insert(next);
        if id == next {
            self.names.push(name);
        }
        id
    }

    fn message(&mut self, log: u32, content: ValueRef<'h>) -> u32 {
        let next = self.messages.len() as u32;
        let id = *self.values.entry((log, content)).or_insert(next);
        if id == next {
            self.messages.push(Message {
                log,
                content,
                tried: 0,
                send: None,
                refused: None,
                acknowledged: None,
                polled: None,
                polled_reply: u64::MAX,
            });
        }
        id
    }

    fn step(&mut self, op: &Op<'_>, step: Step) {
        let at = op.session as usize;
        if self.steps.len() <= at {
            self.steps.resize_with(at + 1, Vec::new);
        }
        self.steps[at].push(step);
    }

    /// Takes the calls at these positions in, which are in order.
    pub(super) fn take(&mut self, history: &'h History, positions: &[u32]) {
        self.groups = vec![false; history.sessions()];
        for op in positions.iter().map(|&at| history.ops().at(at as usize)) {
            let group = match history.name(op.function) {
                "send" | "poll" | "txn" => {
                    self.transaction(&op);
                    continue;
                }
                "subscribe" => Some(true),
                "assign" => Some(false),
                "seek" => {
                    self.passed += 1;
                    None
                }
                _ => None,
            };
            self.groups[op.session as usize] = group.unwrap_or(self.groups[op.session as usize]);
            self.step(&op, Step::Reset { group });
        }
    }

    fn transaction(&mut self, op: &Op<'h>) {
        let input = micros(op.input);
        let output = if happened(op) { micros(op.output) } else { Vec::new() };
        let mut odd = happened(op) && (output.len() != input.len() || output.is_empty());
        let mut polls = false;
        for (at, &asked) in input.iter().enumerate() {
            let Some((name, list)) = micro(asked) else {
                odd = true;
                continue;
            };
            let answer = output.get(at).copied().and_then(micro).filter(|(other, _)| *other == name);
            match name {
                "send" if list.len() == 3 => odd |= !self.send(op, list, answer.map(|(_, list)| list)),
                "poll" => {
                    polls = true;
                    let answer = answer.and_then(|(_, list)| list.get(1));
                    odd |= happened(op) && !self.poll(op, at as u32, answer);
                }
                _ => odd = true,
            }
        }
        if odd {
            self.malformed.push(op.call);
        }
        if odd || (polls && !happened(op)) {
            self.step(op, Step::Reset { group: None });
            let doubtful = polls && op.outcome == Outcome::Info && self.groups[op.session as usize];
            self.passed += u64::from(doubtful);
        }
    }

    /// A send; false where its answer cannot be understood.
    fn send(&mut self, op: &Op<'h>, asked: ListRef<'h>, answer: Option<ListRef<'h>>) -> bool {
        let log = self.log(op.workload.0, asked.at(1));
        let id = self.message(log, asked.at(2));
        let message = &mut self.messages[id as usize];
        if op.outcome == Outcome::Fail {
            message.refused = Some(op.position);
            return true;
        }
        message.tried += 1;
        message.send.get_or_insert(op.position);
        if !happened(op) {
            return true;
        }
        self.acknowledged += 1;
        let answered = answer.and_then(|list| list.get(2));
        let (offset, content) = match answered.map(|value| (value, placed(value))) {
            Some((_, Some(placed))) => placed,
            Some((value, None)) => (None, value),
            None => (None, asked.at(2)),
        };
        // The first acknowledgement with an offset says most.
        if message.acknowledged.is_none_or(|(known, _)| known.is_none() && offset.is_some()) {
            message.acknowledged = Some((offset, op.position));
        }
        if content != asked.at(2) || answered.is_none() {
            return false;
        }
        if let Some(offset) = offset {
            let seen = Sighting { log, offset, value: id, op: op.position };
            self.sightings.push(seen);
            self.step(op, Step::Send(seen));
        }
        true
    }

    /// A poll; false where its answer cannot be understood.
    fn poll(&mut self, op: &Op<'h>, at: u32, answer: Option<ValueRef<'h>>) -> bool {
        let Some(answer) = answer else { return false };
        let mut fine = true;
        if let Some(map) = answer.as_map() {
            for (name, list) in map.iter() {
                let next = self.names.len() as u32;
                let log = *self.ids.entry((op.workload.0, name.to_owned())).or_insert(next);
                if log == next {
                    self.names.push(name.to_owned());
                }
                fine &= self.polled(op, at, log, list);
            }
        } else if let Some(list) = answer.as_list() {
            for pair in list.iter() {
                let pair = pair.as_list().filter(|pair| pair.len() == 2);
                fine &= pair.is_some_and(|pair| {
                    let log = self.log(op.workload.0, pair.at(0));
                    self.polled(op, at, log, pair.at(1))
                });
            }
        } else {
            fine = false;
        }
        fine
    }

    fn polled(&mut self, op: &Op<'h>, at: u32, log: u32, list: ValueRef<'h>) -> bool {
        let Some(list) = list.as_list() else { return false };
        let mut fine = true;
        for item in list.iter() {
            let Some((Some(offset), content)) = placed(item) else {
                fine = false;
                continue;
            };
            self.polled += 1;
            let value = self.message(log, content);
            let message = &mut self.messages[value as usize];
            if op.reply < message.polled_reply {
                (message.polled, message.polled_reply) = (Some(op.position), op.reply);
            }
            let seen = Sighting { log, offset, value, op: op.position };
            self.sightings.push(seen);
            self.step(op, Step::Poll { seen, list: at });
        }
        fine
    }

    /// Sorts what was taken in.
    pub(super) fn finish(&mut self) {
        self.committed = vec![Vec::new(); self.names.len()];
        self.offsets = vec![Vec::new(); self.names.len()];
        let steps = self.steps.iter().flatten();
        for step in steps {
            let (seen, poll) = match step {
                Step::Poll { seen, .. } => (seen, true),
                Step::Send(seen) => (seen, false),
                Step::Reset { .. } => continue,
            };
            let entry = (seen.offset, seen.op);
            if poll {
                self.offsets[seen.log as usize].push(entry);
            }
            if self.messages[seen.value as usize].tried > 0 {
                self.committed[seen.log as usize].push(entry);
            }
        }
        for list in self.committed.iter_mut().chain(&mut self.offsets) {
            list.sort_unstable();
            list.dedup_by_key(|(offset, _)| *offset);
        }
    }
}
