//! [`Ops`]: the operations of a history in columns, 67 bytes each beside large values, and [`Op`], one of them seen as
//! a whole.
use super::{History, NameId, Outcome};
use crate::value::{Arena, ValueRef, Word};
use std::collections::HashMap;

/// One call with its reply, as seen in its history.
#[derive(Clone, Copy, Debug)]
pub struct Op<'h> {
    /// Place among the operations of the history, by call: from 0 without gaps.
    pub position: u32,
    /// Index of the call: the operation's name in findings.
    pub call: u64,
    /// Index of the reply; [`Op::OPEN`] when none came. For order, an Info operation is open too: see [`Op::end`].
    pub reply: u64,
    /// When the call was about to leave, nanoseconds.
    pub call_time: u64,
    /// When the reply came, nanoseconds; [`Op::OPEN`] when none came.
    pub reply_time: u64,
    /// Worker.
    pub worker: u32,
    /// Process.
    pub process: u64,
    /// The process by a number that counts from 0 without gaps, in the order of first calls.
    pub session: u32,
    /// The node that answered; where none is named, the one that the call was made to ([`History::bound_node`]).
    pub node: NameId,
    /// Workload.
    pub workload: NameId,
    /// Function.
    pub function: NameId,
    /// Key.
    pub key: ValueRef<'h>,
    /// Argument.
    pub input: ValueRef<'h>,
    /// How it ended.
    pub outcome: Outcome,
    /// The reply, nil unless Ok: what every checker may believe.
    pub output: ValueRef<'h>,
    /// The value of the completion, whatever its outcome: of Ok the reply; of Fail and Info what the client could still
    /// report. A checker that reads it says what it believes of it.
    pub completion_value: ValueRef<'h>,
    /// Why it failed or is unknown.
    pub error: Option<NameId>,
    /// Whether it belongs to the settle phase.
    pub settle: bool,
}

impl Op<'_> {
    /// "No reply": larger than every index and time.
    pub const OPEN: u64 = u64::MAX;

    /// Index at which the operation had certainly taken effect: the reply's for Ok, [`Op::OPEN`] for Info.
    pub fn end(&self) -> u64 {
        match self.outcome {
            Outcome::Info => Op::OPEN,
            Outcome::Ok | Outcome::Fail => self.reply,
        }
    }
}

/// The columns. Indices of records are kept in 32 bits; [`NO_INDEX`] stands for none.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    call: Vec<u32>,
    reply: Vec<u32>,
    call_time: Vec<u64>,
    reply_time: Vec<u64>,
    worker: Vec<u32>,
    session: Vec<u32>,
    node: Vec<u16>,
    workload: Vec<u16>,
    function: Vec<u16>,
    error: Vec<u32>,
    key: Vec<Word>,
    input: Vec<Word>,
    output: Vec<Word>,
    flags: Vec<u8>,
    processes: Vec<u64>,
    /// The node of a call that another one answered, by the index of the call.
    bound: HashMap<u32, u16>,
    pub(super) values: Arena,
}

/// No record has this index: a history that long is refused.
pub(super) const NO_INDEX: u32 = u32::MAX;
const NO_ERROR: u32 = u32::MAX;
const SETTLE: u8 = 4;

/// A call to be added.
pub(super) struct NewCall {
    pub(super) index: u32,
    pub(super) time: u64,
    pub(super) worker: u32,
    pub(super) session: u32,
    pub(super) node: u16,
    pub(super) workload: u16,
    pub(super) function: u16,
    pub(super) key: Word,
    pub(super) input: Word,
    pub(super) settle: bool,
}

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.call.len()
    }

    /// A process that was not seen before: its session.
    pub(super) fn new_process(&mut self, process: u64) -> u32 {
        self.processes.push(process);
        (self.processes.len() - 1) as u32
    }

    /// Adds a call, open and Info until its reply comes. Its position.
    pub(super) fn push(&mut self, new: NewCall) -> usize {
        self.call.push(new.index);
        self.reply.push(NO_INDEX);
        self.call_time.push(new.time);
        self.reply_time.push(u64::MAX);
        self.worker.push(new.worker);
        self.session.push(new.session);
        self.node.push(new.node);
        self.workload.push(new.workload);
        self.function.push(new.function);
        self.error.push(NO_ERROR);
        self.key.push(new.key);
        self.input.push(new.input);
        self.output.push(Word::NIL);
        self.flags.push(Outcome::Info as u8 | if new.settle { SETTLE } else { 0 });
        self.call.len() - 1
    }

    pub(super) fn complete(
        &mut self,
        at: usize,
        index: u32,
        time: u64,
        outcome: Outcome,
        output: Word,
        error: Option<NameId>,
    ) {
        self.reply[at] = index;
        self.reply_time[at] = time;
        self.output[at] = output;
        self.error[at] = error.map_or(NO_ERROR, |id| id.0);
        self.flags[at] = outcome as u8 | (self.flags[at] & SETTLE);
    }

    /// Another node than the one that the call was made to answered it.
    pub(super) fn answered_by(&mut self, at: usize, node: u16) {
        if self.node[at] != node {
            self.bound.insert(self.call[at], self.node[at]);
            self.node[at] = node;
        }
    }

    /// Key, argument and function of the call at this position.
    pub(super) fn argument(&self, at: usize) -> (Word, Word, u16) {
        (self.key[at], self.input[at], self.function[at])
    }

    /// For calls whose argument is known only from their reply.
    pub(super) fn set_input(&mut self, at: usize, input: Word) {
        self.input[at] = input;
    }

    pub(super) fn rename_workload(&mut self, old: u16, new: u16) {
        self.workload.iter_mut().filter(|workload| **workload == old).for_each(|workload| *workload = new);
    }

    /// Leaves out all other calls. Values and processes stay.
    fn keep(&mut self, kept: &[usize]) {
        fn retain<T: Copy>(column: &mut Vec<T>, kept: &[usize]) {
            *column = kept.iter().map(|at| column[*at]).collect();
        }
        for column in [&mut self.call, &mut self.reply, &mut self.worker, &mut self.session, &mut self.error] {
            retain(column, kept);
        }
        for column in [&mut self.call_time, &mut self.reply_time] {
            retain(column, kept);
        }
        for column in [&mut self.node, &mut self.workload, &mut self.function] {
            retain(column, kept);
        }
        for column in [&mut self.key, &mut self.input, &mut self.output] {
            retain(column, kept);
        }
        retain(&mut self.flags, kept);
    }

    fn bytes(&self) -> usize {
        self.call.capacity() * 67 + self.processes.capacity() * 8 + self.bound.capacity() * 8 + self.values.bytes()
    }
}

/// Operations of a history in the order of their calls: all, or a stretch.
#[derive(Clone, Copy, Debug)]
pub struct Ops<'h> {
    columns: &'h Columns,
    from: usize,
    to: usize,
}

impl<'h> Ops<'h> {
    /// How many.
    pub fn len(self) -> usize {
        self.to - self.from
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.from == self.to
    }

    /// The operation at this place of the stretch.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn at(self, place: usize) -> Op<'h> {
        let at = self.from + place;
        assert!(at < self.to, "operation {place} of {}", self.len());
        let columns = self.columns;
        let index = |index: u32| if index == NO_INDEX { Op::OPEN } else { u64::from(index) };
        let session = columns.session[at];
        let outcome = match columns.flags[at] & 3 {
            0 => Outcome::Ok,
            1 => Outcome::Fail,
            _ => Outcome::Info,
        };
        let completion_value = columns.values.get(columns.output[at]);
        Op {
            position: at as u32,
            call: u64::from(columns.call[at]),
            reply: index(columns.reply[at]),
            call_time: columns.call_time[at],
            reply_time: columns.reply_time[at],
            worker: columns.worker[at],
            process: columns.processes[session as usize],
            session,
            node: NameId(u32::from(columns.node[at])),
            workload: NameId(u32::from(columns.workload[at])),
            function: NameId(u32::from(columns.function[at])),
            key: columns.values.get(columns.key[at]),
            input: columns.values.get(columns.input[at]),
            outcome,
            output: if outcome == Outcome::Ok { completion_value } else { columns.values.get(Word::NIL) },
            completion_value,
            error: Some(columns.error[at]).filter(|&error| error != NO_ERROR).map(NameId),
            settle: columns.flags[at] & SETTLE != 0,
        }
    }

    /// The operations.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Op<'h>> + ExactSizeIterator + Clone + use<'h> {
        (0..self.len()).map(move |place| self.at(place))
    }

    /// Those from this place on.
    pub fn skip(self, count: usize) -> Ops<'h> {
        Ops { from: (self.from + count).min(self.to), ..self }
    }

    /// The first place for which the predicate does not hold, where it holds for all before.
    pub fn partition_point(self, holds: impl Fn(Op<'h>) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(self.at(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl History {
    /// Client operations in the order of their calls.
    pub fn ops(&self) -> Ops<'_> {
        Ops { columns: &self.columns, from: 0, to: self.columns.len() }
    }

    /// The operation whose call has this index.
    pub fn op(&self, call: u64) -> Option<Op<'_>> {
        let wanted = u32::try_from(call).ok()?;
        self.columns.call.binary_search(&wanted).ok().map(|position| self.ops().at(position))
    }

    /// The operation as if its reply had never come.
    pub(crate) fn unanswered<'h>(&'h self, op: Op<'h>) -> Op<'h> {
        let nil = self.columns.values.get(Word::NIL);
        Op {
            outcome: Outcome::Info,
            reply: Op::OPEN,
            reply_time: Op::OPEN,
            output: nil,
            completion_value: nil,
            error: None,
            ..op
        }
    }

    /// The operation as if it had been answered with Ok and nothing else.
    pub(crate) fn acknowledged<'h>(&'h self, op: Op<'h>) -> Op<'h> {
        let nil = self.columns.values.get(Word::NIL);
        Op { outcome: Outcome::Ok, output: nil, completion_value: nil, error: None, ..op }
    }

    /// The node that an operation was made to, whoever answered it: its client is bound to that node.
    pub fn bound_node(&self, op: &Op<'_>) -> NameId {
        let bound = u32::try_from(op.call).ok().and_then(|call| self.columns.bound.get(&call));
        bound.map_or(op.node, |node| NameId(u32::from(*node)))
    }

    /// The same history with the calls of this workload alone. They keep their indices, so that findings name them as
    /// they are in the whole; their positions count anew.
    pub fn only(&self, workload: &str) -> History {
        self.among(&[workload])
    }

    /// As [`Self::only`], with the calls of these workloads.
    pub fn among(&self, workloads: &[impl AsRef<str>]) -> History {
        let mut alone = self.clone();
        // Names beyond 16 bits are no workload's.
        let name = |workload: &str| self.find_name(workload).and_then(|id| u16::try_from(id.0).ok());
        let names: Vec<u16> = workloads.iter().filter_map(|workload| name(workload.as_ref())).collect();
        if names.is_empty() {
            alone.columns = Columns::default();
        } else {
            let of = |at: &usize| names.contains(&self.columns.workload[*at]);
            alone.columns.keep(&(0..self.columns.len()).filter(of).collect::<Vec<_>>());
        }
        alone
    }

    /// The workloads, in the order in which they first made a call.
    pub fn workloads(&self) -> Vec<NameId> {
        let mut seen: Vec<NameId> = Vec::new();
        for (workload, _) in self.functions_called() {
            if !seen.contains(&workload) {
                seen.push(workload);
            }
        }
        seen
    }

    /// Each workload with each function that it called, in the order of the first such calls.
    pub(crate) fn functions_called(&self) -> Vec<(NameId, NameId)> {
        let mut seen: Vec<(u16, u16)> = Vec::new();
        for call in self.columns.workload.iter().copied().zip(self.columns.function.iter().copied()) {
            if !seen.contains(&call) {
                seen.push(call);
            }
        }
        let id = |number: u16| NameId(u32::from(number));
        seen.into_iter().map(|(workload, function)| (id(workload), id(function))).collect()
    }

    /// How many processes made calls; see [`Op::session`].
    pub fn sessions(&self) -> usize {
        self.columns.processes.len()
    }

    /// The values of all operations.
    pub(crate) fn values(&self) -> &Arena {
        &self.columns.values
    }

    /// Bytes that the operations hold, about.
    pub fn bytes(&self) -> usize {
        self.columns.bytes()
    }
}
