//! From the steps of an engine to an order of all operations that anybody can replay.
use super::register::{NIL, RegAction, RegOp};
use super::timeline::Timeline;
use crate::history::Op;
use std::collections::HashMap;

/// Ways that share their beginnings: for each step the one before it, the event before which it was taken, and the
/// position of its operation. Way 0 has no step.
#[derive(Default)]
pub(crate) struct Paths {
    steps: Vec<(u32, u32, u32)>,
    /// How many were left when unused ones were last dropped.
    kept: usize,
}

impl Paths {
    /// The way with one more step.
    pub(crate) fn add(&mut self, before: u32, event: u32, position: u32) -> u32 {
        self.steps.push((before, event, position));
        self.steps.len() as u32
    }

    /// Whether it is time to drop paths that no configuration follows any more.
    pub(crate) fn crowded(&self) -> bool {
        self.steps.len() > 2 * self.kept + (1 << 18)
    }

    /// Drops all steps but those of these ways, which get new numbers.
    pub(crate) fn keep<'a>(&mut self, ways: impl Iterator<Item = &'a mut u32>) {
        let mut used = vec![0u32; self.steps.len() + 1];
        let ways: Vec<&mut u32> = ways.collect();
        for way in &ways {
            let mut at = **way as usize;
            while at != 0 && used[at] == 0 {
                used[at] = 1;
                at = self.steps[at - 1].0 as usize;
            }
        }
        let mut next = 0;
        for at in 1..used.len() {
            if used[at] != 0 {
                // A step comes after the one before it, which has its new number already.
                let (before, event, position) = self.steps[at - 1];
                self.steps[next] = (used[before as usize], event, position);
                next += 1;
                used[at] = next as u32;
            }
        }
        self.steps.truncate(next);
        self.kept = next;
        ways.into_iter().for_each(|way| *way = used[*way as usize]);
    }

    /// The steps of a way, in order: event and position.
    pub(crate) fn steps(&self, way: u32) -> Vec<(u32, u32)> {
        let mut steps = Vec::new();
        let mut at = way as usize;
        while at != 0 {
            let (before, event, position) = self.steps[at - 1];
            steps.push((event, position));
            at = before as usize;
        }
        steps.reverse();
        steps
    }

    pub(crate) fn bytes(&self) -> u64 {
        (self.steps.capacity() * 12) as u64
    }
}

/// An order of all operations, by call, from the steps that were taken on purpose. The others had room somewhere: an
/// observation where the value fits, a write just before another or where its value is there already.
pub(crate) fn order(time: &Timeline<'_>, steps: &[(u32, u32)]) -> Option<Vec<u64>> {
    let ops = time.ops;
    let taken = name_steps(time, steps)?;
    // State k holds after step k; before all steps there is state 0.
    let mut begins = vec![0u64];
    let mut values = vec![NIL];
    for (&(event, _), &at) in steps.iter().zip(&taken) {
        begins.push(time.index(event as usize));
        values.push(ops[at].action.writes()?);
    }
    let mut states_of: HashMap<u32, Vec<usize>> = HashMap::new();
    for (state, value) in values.iter().enumerate() {
        states_of.entry(*value).or_default().push(state);
    }
    // The last moment of a state.
    let until = |state: usize| begins.get(state + 1).copied().unwrap_or(Op::OPEN);
    let mut done = vec![false; ops.len()];
    taken.iter().for_each(|&at| done[at] = true);
    // (state, class within it, call): step, observations and writes of its value, writes buried by the next step.
    let mut order: Vec<(usize, u8, u64)> = Vec::with_capacity(ops.len());
    order.extend(taken.iter().enumerate().map(|(step, &at)| (step + 1, 0, ops[at].call)));
    for (op, _) in ops.iter().zip(&done).filter(|(op, done)| op.definite() && !**done) {
        let fitting = |value: u32| {
            let states = states_of.get(&value)?;
            let state = *states.get(states.partition_point(|&state| until(state) < op.call))?;
            (begins[state] <= op.end).then_some(state)
        };
        let place = match op.action {
            RegAction::Read(value) => (fitting(value)?, 1),
            RegAction::Differs(value) => {
                let first = begins[1..].partition_point(|&begin| begin < op.call);
                let mut states = (first..begins.len()).take_while(|&state| begins[state] <= op.end);
                (states.find(|&state| values[state] != value)?, 1)
            }
            RegAction::Write(value) => match fitting(value) {
                Some(state) => (state, 1),
                None => {
                    let mut state = begins.partition_point(|&begin| begin < op.call);
                    let blind = |step: usize| matches!(ops[taken[step - 1]].action, RegAction::Write(_));
                    while state < begins.len() && (state == 0 || !blind(state)) {
                        state += 1;
                    }
                    if state == begins.len() || begins[state] > op.end {
                        return None;
                    }
                    (state - 1, 2)
                }
            },
            RegAction::Cas(..) => return None,
        };
        order.push((place.0, place.1, op.call));
    }
    order.sort_unstable();
    Some(order.into_iter().map(|(_, _, call)| call).collect())
}

/// The operation that took each step: of indeterminate ones that do the same, the first that was called.
fn name_steps(time: &Timeline<'_>, steps: &[(u32, u32)]) -> Option<Vec<usize>> {
    let mut waiting: HashMap<RegAction, std::collections::VecDeque<usize>> = HashMap::new();
    for (at, op) in time.ops.iter().enumerate().filter(|(_, op)| !op.definite()) {
        waiting.entry(op.action).or_default().push_back(at);
    }
    let name = |&(event, position): &(u32, u32)| {
        let op: &RegOp = &time.ops[position as usize];
        if op.definite() {
            return Some(position as usize);
        }
        let first = waiting.get_mut(&op.action)?.pop_front()?;
        (time.ops[first].call < time.index(event as usize)).then_some(first)
    };
    steps.iter().map(name).collect()
}
