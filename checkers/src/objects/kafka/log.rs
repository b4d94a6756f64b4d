//! [`Logs`]: which messages were sent, and which were seen where, in flat arrays.
use super::happened;
use crate::history::{History, Op, Outcome};
use crate::value::{Kind, ListRef, ValueRef};
use std::collections::{HashMap, HashSet};

/// The entry of an assign's argument that sends a consumer back to the first offsets.
pub(super) const SEEK: &str = "seek-to-beginning?";

/// The functions of the workload.
pub(super) const FUNCTIONS: [&str; 8] = ["send", "poll", "txn", "assign", "subscribe", "seek", "rebalance", "crash"];

/// A message at an offset, as a send or poll has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Observation {
    pub(super) log: u32,
    pub(super) offset: i64,
    pub(super) value: u32,
    /// Position of the operation.
    pub(super) op: u32,
    /// Whether the operation was acknowledged.
    pub(super) acknowledged: bool,
}

/// A send in the order of its process.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) message: u32,
    pub(super) op: u32,
    /// As an acknowledged operation has it.
    pub(super) offset: Option<i64>,
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
    /// An acknowledged send with its offset, where that is known. Also one that is unknown but for its offset, where
    /// the transaction certainly committed.
    pub(super) acknowledged: Option<(Option<i64>, u32)>,
    /// The acknowledged poll of it that was answered first.
    pub(super) polled: Option<u32>,
    polled_reply: u64,
    /// The first poll of it that was not acknowledged.
    pub(super) shown: Option<u32>,
    /// Its only offset; none where there are several.
    place: Option<i64>,
    places: u32,
}

/// One step of a consumer, in the order of its operations.
pub(super) enum Step {
    /// It polled a message; `list` numbers the lists of one operation.
    Poll { seen: Observation, list: u32 },
    /// Polls follow that were not acknowledged: the client has to go back to where it was.
    Aborted,
    /// Its process was retired, and the same client goes on: perhaps with another consumer.
    Reopened,
    /// It polls these logs from now on, where it was, and all others from an unknown place. `group`: a group may take its logs
    /// away from now on; nothing: as before.
    Moved { group: Option<bool>, keeps: Vec<u32> },
}

/// What calls that could not be understood may have done.
#[derive(Default)]
pub(super) struct Doubts {
    /// Anything: an argument was not understood.
    anything: bool,
    /// Logs with a send of which the answer was not understood.
    sends: HashSet<u32>,
    /// A poll's answer was not understood: any message may be in it.
    polls: bool,
    /// Logs of which a poll's list was not understood.
    lists: HashSet<u32>,
}

impl Doubts {
    /// Whether messages of this log may have been sent by a call that was not understood.
    pub(super) fn sent(&self, log: u32) -> bool {
        self.anything || self.sends.contains(&log)
    }

    /// Whether messages of this log may have been polled by one.
    pub(super) fn polled(&self, log: u32) -> bool {
        self.sent(log) || self.polls || self.lists.contains(&log)
    }

    /// Whether any log may be concerned.
    pub(super) fn anything(&self) -> bool {
        self.anything
    }
}

/// All logs of the workloads that are judged.
#[derive(Default)]
pub(super) struct Logs<'h> {
    names: Vec<String>,
    ids: HashMap<(u32, String), u32>,
    values: HashMap<(u32, ValueRef<'h>), u32>,
    pub(super) messages: Vec<Message<'h>>,
    pub(super) observations: Vec<Observation>,
    /// Steps by consumer: a client, which may go on as another process after an info.
    pub(super) steps: Vec<Vec<Step>>,
    /// Of each consumer its last session.
    sessions: Vec<u32>,
    consumers: HashMap<u64, u32>,
    /// Where sends that certainly happened put their messages, and what polls have shown; of the latter, whether a call that
    /// was not acknowledged showed its own message.
    sent: Vec<Observation>,
    seen: Vec<Observation>,
    own: Vec<bool>,
    /// Sends by session.
    pub(super) sends: Vec<Vec<Sent>>,
    /// Calls with an unknown end that tell offsets of their sends: position, messages, and where those are.
    unknown: Vec<(u32, Vec<u32>, Vec<Observation>)>,
    /// Messages that were polled by the operation that sent them and by no other: message, operation.
    pub(super) precommitted: Vec<(u32, u32)>,
    pub(super) doubts: Doubts,
    /// Sends and polls of all calls, whatever became of them.
    pub(super) calls: (u64, u64),
    /// Of each log the offsets at which there certainly is a message that every process may poll, each with an operation that
    /// has it; sorted.
    committed: Vec<Vec<(i64, u32)>>,
    /// Of each log the offsets polled, each with the first poll; sorted.
    offsets: Vec<Vec<(i64, u32)>>,
    pub(super) malformed: Vec<u64>,
    /// Whether a group may take a consumer's logs away.
    groups: Vec<bool>,
    /// Polls in a group without a known reply, and seeks: they may pass messages that are never polled.
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

/// Whether a transaction's argument sends or polls.
pub(super) fn sends_or_polls(input: ValueRef<'_>) -> bool {
    micros(input).into_iter().any(|part| micro(part).is_some_and(|(name, _)| matches!(name, "send" | "poll")))
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

/// What a log is called.
fn named(key: ValueRef<'_>) -> String {
    key.as_text().map_or_else(|| key.to_string(), str::to_owned)
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
        let name = named(key);
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
                shown: None,
                place: None,
                places: 0,
            });
        }
        id
    }

    /// The consumer that made this call.
    fn consumer(&mut self, history: &History, op: &Op<'_>) -> usize {
        let next = self.steps.len() as u32;
        let at = *self.consumers.entry(history.client(op.process)).or_insert(next) as usize;
        if at == self.steps.len() {
            self.steps.push(Vec::new());
            self.groups.push(false);
            self.sessions.push(op.session);
        }
        if std::mem::replace(&mut self.sessions[at], op.session) != op.session {
            self.steps[at].push(Step::Reopened);
        }
        at
    }

    /// Takes the calls at these positions in, which are in order.
    pub(super) fn take(&mut self, history: &'h History, positions: &[u32]) {
        self.sends = vec![Vec::new(); history.sessions()];
        for op in positions.iter().map(|&at| history.ops().at(at as usize)) {
            let consumer = self.consumer(history, &op);
            let group = match history.name(op.function) {
                "send" | "poll" | "txn" => {
                    self.transaction(&op, consumer);
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
            let keeps = if group.is_some() && happened(&op) { self.covered(&op) } else { Vec::new() };
            self.groups[consumer] = group.unwrap_or(self.groups[consumer]);
            self.steps[consumer].push(Step::Moved { group, keeps });
        }
    }

    /// The logs that an assign or subscribe names, unless it goes to their beginnings.
    fn covered(&self, op: &Op<'h>) -> Vec<u32> {
        let map = op.input.as_map();
        if map.and_then(|map| map.get(SEEK)).is_some_and(|flag| flag.as_bool() != Some(false)) {
            return Vec::new();
        }
        let keys = map.and_then(|map| map.get("keys")).unwrap_or(op.input);
        let known = |key: ValueRef<'_>| self.ids.get(&(op.workload.0, named(key))).copied();
        keys.as_list().unwrap_or_default().iter().filter_map(known).collect()
    }

    fn transaction(&mut self, op: &Op<'h>, consumer: usize) {
        let input = micros(op.input);
        let done = happened(op);
        let only_sends = input.iter().all(|&asked| micro(asked).is_some_and(|(name, _)| name == "send"));
        // Nothing but sends was asked for: an answer that is left out repeats the call.
        let echo = done && op.output.is_nil() && only_sends;
        let output = if echo { input.clone() } else { micros(op.completion_value) };
        let fits = output.len() == input.len() && !output.is_empty();
        let mut malformed = done && !fits;
        self.doubts.anything |= malformed;
        let (mut polls, mut unanswered) = (false, false);
        let mut mine: Vec<u32> = Vec::new();
        let mut in_doubt: Vec<Observation> = Vec::new();
        if !done && input.iter().any(|&asked| micro(asked).is_some_and(|(name, _)| name == "poll")) {
            self.steps[consumer].push(Step::Aborted);
        }
        let before = self.seen.len();
        for (at, &asked) in input.iter().enumerate() {
            let answer = output.get(at).filter(|_| fits).copied().and_then(micro);
            let answer = answer.filter(|(other, _)| micro(asked).is_some_and(|(name, _)| name == *other));
            match micro(asked) {
                Some(("send", list)) if list.len() == 3 => {
                    self.calls.0 += 1;
                    let (message, fine) = self.send(op, list, answer.map(|(_, list)| list), &mut in_doubt);
                    malformed |= !fine;
                    mine.push(message);
                }
                Some(("poll", _)) => {
                    self.calls.1 += 1;
                    polls = true;
                    let fine = self.poll(op, (consumer, at as u32), answer.and_then(|(_, list)| list.get(1)));
                    malformed |= done && !fine;
                    unanswered |= !fine;
                }
                _ => {
                    malformed = true;
                    self.doubts.anything |= op.outcome != Outcome::Fail;
                }
            }
        }
        self.settle(op, before, &mine);
        if op.outcome == Outcome::Info && !in_doubt.is_empty() {
            self.unknown.push((op.position, mine, in_doubt));
        }
        if malformed {
            self.malformed.push(op.call);
        }
        if malformed || (polls && unanswered) {
            self.steps[consumer].push(Step::Moved { group: None, keeps: Vec::new() });
            let doubtful = polls && op.outcome == Outcome::Info && self.groups[consumer];
            self.passed += u64::from(doubtful);
        }
    }

    /// What one operation polled: its own messages are none of the log's before it commits, nor are refused ones that
    /// only a call that was not acknowledged shows. All others say what the log holds.
    fn settle(&mut self, op: &Op<'h>, before: usize, mine: &[u32]) {
        for at in before..self.seen.len() {
            let seen = self.seen[at];
            let own = mine.contains(&seen.value);
            if own {
                self.precommitted.push((seen.value, op.position));
            }
            self.own.push(own && !happened(op));
        }
    }

    /// A send: its message; false where its answer cannot be understood. `in_doubt`: offsets of calls with an unknown end.
    fn send(
        &mut self,
        op: &Op<'h>,
        asked: ListRef<'h>,
        answer: Option<ListRef<'h>>,
        in_doubt: &mut Vec<Observation>,
    ) -> (u32, bool) {
        let log = self.log(op.workload.0, asked.at(1));
        let id = self.message(log, asked.at(2));
        let message = &mut self.messages[id as usize];
        if op.outcome == Outcome::Fail {
            message.refused = Some(op.position);
            return (id, true);
        }
        message.tried += 1;
        message.send.get_or_insert(op.position);
        let answered = answer.and_then(|list| list.get(2));
        let (offset, content) = match answered.map(|value| (value, placed(value))) {
            // The call itself, repeated.
            Some((value, _)) if value == asked.at(2) => (None, value),
            Some((_, Some(placed))) => placed,
            Some((value, None)) => (None, value),
            None => (None, asked.at(2)),
        };
        let same = content == asked.at(2);
        let offset = offset.filter(|_| same);
        let sighting =
            offset.map(|offset| Observation { log, offset, value: id, op: op.position, acknowledged: happened(op) });
        self.sends[op.session as usize].push(Sent {
            message: id,
            op: op.position,
            offset: offset.filter(|_| happened(op)),
        });
        if !happened(op) {
            in_doubt.extend(sighting);
            return (id, true);
        }
        self.acknowledged += 1;
        // The first acknowledgement with an offset says most.
        if message.acknowledged.is_none_or(|(known, _)| known.is_none() && offset.is_some()) {
            message.acknowledged = Some((offset, op.position));
        }
        if !same || answered.is_none() {
            self.doubts.sends.insert(log);
            return (id, false);
        }
        self.sent.extend(sighting);
        (id, true)
    }

    /// A poll; false where its answer cannot be understood.
    fn poll(&mut self, op: &Op<'h>, place: (usize, u32), answer: Option<ValueRef<'h>>) -> bool {
        let mut fine = true;
        let answer = answer.filter(|answer| answer.as_map().is_some() || answer.as_list().is_some());
        let Some(answer) = answer else {
            self.doubts.polls |= happened(op);
            return false;
        };
        if let Some(map) = answer.as_map() {
            for (name, list) in map.iter() {
                let next = self.names.len() as u32;
                let log = *self.ids.entry((op.workload.0, name.to_owned())).or_insert(next);
                if log == next {
                    self.names.push(name.to_owned());
                }
                fine &= self.polled(op, place, log, list);
            }
        }
        for pair in answer.as_list().unwrap_or_default().iter() {
            let Some(pair) = pair.as_list().filter(|pair| pair.len() == 2) else {
                self.doubts.polls |= happened(op);
                fine = false;
                continue;
            };
            let log = self.log(op.workload.0, pair.at(0));
            fine &= self.polled(op, place, log, pair.at(1));
        }
        fine
    }

    fn polled(&mut self, op: &Op<'h>, (consumer, at): (usize, u32), log: u32, list: ValueRef<'h>) -> bool {
        let mut fine = list.as_list().is_some();
        for item in list.as_list().unwrap_or_default().iter() {
            let Some((Some(offset), content)) = placed(item) else {
                fine = false;
                continue;
            };
            let value = self.message(log, content);
            let message = &mut self.messages[value as usize];
            if !happened(op) {
                message.shown.get_or_insert(op.position);
            } else if op.reply < message.polled_reply {
                (message.polled, message.polled_reply) = (Some(op.position), op.reply);
            }
            self.polled += u64::from(happened(op));
            let seen = Observation { log, offset, value, op: op.position, acknowledged: happened(op) };
            self.seen.push(seen);
            self.steps[consumer].push(Step::Poll { seen, list: at });
        }
        if !fine && happened(op) {
            self.doubts.lists.insert(log);
        }
        fine
    }

    /// Sorts what was taken in. `proves`: a message that was polled was committed, and with it all others of its
    /// transaction.
    pub(super) fn finish(&mut self, proves: bool) {
        for (op, mine, in_doubt) in std::mem::take(&mut self.unknown) {
            let shows = |id: &u32| {
                let message = &self.messages[*id as usize];
                message.tried == 1 && message.polled.is_some()
            };
            if !proves || !mine.iter().any(shows) {
                continue;
            }
            for seen in in_doubt {
                self.acknowledged += 1;
                let message = &mut self.messages[seen.value as usize];
                if message.acknowledged.is_none_or(|(known, _)| known.is_none()) {
                    message.acknowledged = Some((Some(seen.offset), op));
                }
                self.sent.push(seen);
            }
        }
        let messages = &self.messages;
        self.precommitted.retain(|(message, _)| messages[*message as usize].tried < 2);
        self.precommitted.sort_unstable();
        self.precommitted.dedup();
        self.committed = vec![Vec::new(); self.names.len()];
        self.offsets = vec![Vec::new(); self.names.len()];
        for seen in &self.sent {
            self.committed[seen.log as usize].push((seen.offset, seen.op));
        }
        for seen in self.seen.iter().filter(|seen| seen.acknowledged) {
            self.offsets[seen.log as usize].push((seen.offset, seen.op));
            if self.messages[seen.value as usize].tried > 0 {
                self.committed[seen.log as usize].push((seen.offset, seen.op));
            }
        }
        for list in self.committed.iter_mut().chain(&mut self.offsets) {
            list.sort_unstable();
            list.dedup_by_key(|(offset, _)| *offset);
        }
        let polls = self.seen.iter().zip(&self.own);
        let held =
            polls.filter(|(seen, own)| seen.acknowledged || !**own && self.messages[seen.value as usize].tried > 0);
        self.observations = self.sent.iter().copied().chain(held.map(|(seen, _)| *seen)).collect();
        for seen in &self.observations {
            let message = &mut self.messages[seen.value as usize];
            if message.place != Some(seen.offset) {
                message.places += 1;
                message.place = Some(seen.offset);
            }
        }
    }

    /// Where a message is, if it was sent once and is at one offset only.
    pub(super) fn place(&self, message: u32) -> Option<i64> {
        let message = &self.messages[message as usize];
        message.place.filter(|_| message.tried == 1 && message.places == 1)
    }
}
