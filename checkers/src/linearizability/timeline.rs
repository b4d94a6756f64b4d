//! The events of one register in order, with what every pass over them needs to know beforehand. Never changes.
use super::register::{RegAction, RegOp, value_count};
use crate::history::Op;
use std::collections::HashSet;

/// How many operations may be open at once.
pub(crate) const SLOTS: usize = 128;

/// One event; positions are those of the operations.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// An operation that certainly happened was called.
    Call(u32),
    /// It returned.
    Return(u32),
    /// From here on, this indeterminate operation may take effect.
    Possible(u32),
}

/// The place of the last operation that still waits for a value, by event.
#[derive(Clone, Copy, Default)]
struct LastNeed {
    definite: u32,
    indeterminate: u32,
}

/// The events of a register.
pub(crate) struct Timeline<'a> {
    pub(crate) ops: &'a [RegOp],
    pub(crate) events: Vec<Event>,
    /// For each operation a slot that no other operation open at the same time has.
    pub(crate) slot_of: Vec<u8>,
    /// How many different things indeterminate operations do.
    pub(crate) kinds: usize,
    /// Whether there are never more than [`SLOTS`] open.
    pub(crate) fits: bool,
    last_need: Vec<LastNeed>,
    last_differs: u32,
}

impl<'a> Timeline<'a> {
    /// The events of these operations, which are in the order of their calls.
    pub(crate) fn new(ops: &'a [RegOp]) -> Timeline<'a> {
        let mut returns: Vec<u32> = (0..ops.len() as u32).filter(|&at| ops[at as usize].definite()).collect();
        returns.sort_unstable_by_key(|&at| ops[at as usize].end);
        let mut timeline = Timeline {
            ops,
            events: Vec::with_capacity(ops.len() + returns.len()),
            slot_of: vec![0; ops.len()],
            kinds: 0,
            fits: true,
            last_need: vec![LastNeed::default(); value_count(ops)],
            last_differs: 0,
        };
        let mut kinds: HashSet<RegAction> = HashSet::new();
        let mut open = 0u128;
        let mut returned = returns.into_iter().peekable();
        for position in 0..=ops.len() {
            let call = ops.get(position).map_or(Op::OPEN, |op| op.call);
            while let Some(done) = returned.next_if(|&done| ops[done as usize].end < call) {
                open &= !(1 << timeline.slot_of[done as usize]);
                timeline.returns(done);
            }
            let Some(op) = ops.get(position) else { break };
            if op.definite() {
                // A history that is too wide is not passed over, so that its slots may be wrong.
                let slot = (!open).trailing_zeros().min(SLOTS as u32 - 1);
                timeline.fits &= open != u128::MAX;
                open |= 1 << slot;
                timeline.slot_of[position] = slot as u8;
                timeline.events.push(Event::Call(position as u32));
            } else if op.action.writes().is_some() {
                kinds.insert(op.action);
                if let Some(needed) = op.action.needs() {
                    timeline.last_need[needed as usize].indeterminate = timeline.events.len() as u32 + 1;
                }
                timeline.events.push(Event::Possible(position as u32));
            }
        }
        timeline.kinds = kinds.len();
        timeline
    }

    fn returns(&mut self, position: u32) {
        self.events.push(Event::Return(position));
        let now = self.events.len() as u32;
        match self.ops[position as usize].action {
            RegAction::Read(value) | RegAction::Cas(value, _) => self.last_need[value as usize].definite = now,
            RegAction::Differs(_) => self.last_differs = now,
            RegAction::Write(_) => {}
        }
    }

    pub(crate) fn values(&self) -> usize {
        self.last_need.len()
    }

    /// Whether after this many events an operation may still need this value, indeterminate operations that are possible
    /// already not counted.
    pub(crate) fn needed_after(&self, value: u32, events: usize) -> bool {
        let last = self.last_need[value as usize];
        last.definite.max(last.indeterminate).max(self.last_differs) as usize > events
    }

    /// Index of the event at this place.
    pub(crate) fn index(&self, at: usize) -> u64 {
        match self.events[at] {
            Event::Call(position) | Event::Possible(position) => self.ops[position as usize].call,
            Event::Return(position) => self.ops[position as usize].end,
        }
    }

    /// Bytes held, those of the operations included.
    pub(crate) fn bytes(&self) -> u64 {
        let ops = size_of_val(self.ops);
        let needs = self.last_need.capacity() * size_of::<LastNeed>();
        (ops + self.events.capacity() * size_of::<Event>() + self.slot_of.capacity() + needs) as u64
    }
}
