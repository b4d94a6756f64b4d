//! Any model: a depth-first search for an order.
//!
//! Wing and Gong (JPDC 17, 1993), with Lowe's memo (2017) and Horn and Kroening's list (FORTE 2015). The memo's keys are
//! short: everything that returned before the first return not yet passed has been linearised, so a key is that
//! return's position, a bit for each operation open there, and the state. Keys are compared by value, never by hash alone. An
//! operation without a reply may be taken or left out, and is never forced.
use super::beam::Answer;
use super::limits::{Limits, Stop};
use crate::history::Op;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Step<A> {
    /// Index of the call.
    pub(crate) call: u64,
    /// Index of the reply; [`Op::OPEN`] where none came.
    pub(crate) end: u64,
    /// What it does.
    pub(crate) act: A,
    /// Whether it leaves every state as it is.
    pub(crate) observes: bool,
}

type Key = (u32, u32, Box<[u64]>);

struct Frame {
    /// The operation taken, and the state before it.
    taken: usize,
    state: u32,
    /// Returns passed before it.
    passed: usize,
    /// An observation that fits is taken without an alternative.
    only: bool,
}

/// A search that can be continued.
pub(crate) struct Search<S, A, F> {
    steps: Vec<Step<A>>,
    apply: F,
    states: Vec<S>,
    state_ids: HashMap<S, u32>,
    /// Definite operations in the order of their returns.
    returns: Vec<usize>,
    slot: Vec<u32>,
    next: Vec<usize>,
    previous: Vec<usize>,
    taken: Vec<bool>,
    bits: Box<[u64]>,
    passed: usize,
    deepest: usize,
    state: u32,
    frames: Vec<Frame>,
    memo: HashSet<Key>,
    resume_after: Option<usize>,
}

impl<S: Clone + Eq + Hash, A, F: Fn(&S, &A) -> Option<S>> Search<S, A, F> {
    /// A search over these operations, in any order.
    pub(crate) fn new(initial: S, mut steps: Vec<Step<A>>, apply: F) -> Search<S, A, F> {
        steps.sort_unstable_by_key(|step| step.call);
        let count = steps.len();
        let mut returns: Vec<usize> = (0..count).filter(|&at| steps[at].end != Op::OPEN).collect();
        returns.sort_unstable_by_key(|&at| steps[at].end);
        let (slot, width) = slots(&steps, &returns);
        // A ring through a head (position `count`), in the order of calls.
        let next = (0..=count).map(|at| if at == count { 0 } else { at + 1 }).collect();
        let previous = (0..=count).map(|at| if at == 0 { count } else { at - 1 }).collect();
        Search {
            apply,
            states: vec![initial.clone()],
            state_ids: HashMap::from([(initial, 0)]),
            returns,
            slot,
            next,
            previous,
            taken: vec![false; count],
            bits: vec![0; width.div_ceil(64)].into_boxed_slice(),
            passed: 0,
            deepest: 0,
            state: 0,
            frames: Vec::new(),
            memo: HashSet::new(),
            resume_after: None,
            steps,
        }
    }

    /// Goes on until there is an answer or the turn is over.
    pub(crate) fn run(&mut self, limits: &mut Limits<'_>) -> Result<Answer, Stop> {
        loop {
            if self.passed == self.returns.len() {
                return Ok(Answer::Linearizable);
            }
            limits.step(self.bytes())?;
            let bound = self.steps[self.returns[self.passed]].end;
            match self.choose(bound) {
                Some((at, state, only)) => {
                    self.resume_after = None;
                    self.take(at, state, only);
                    if self.passed > self.deepest {
                        self.deepest = self.passed;
                        limits.passed(self.passed as u64);
                        limits.reached(self.steps[self.returns[self.passed - 1]].end);
                    }
                    let fresh = self.memo.insert((self.passed as u32, self.state, self.bits.clone()));
                    if !fresh && !self.back() {
                        return Ok(self.refuted());
                    }
                }
                None => {
                    if !self.back() {
                        return Ok(self.refuted());
                    }
                }
            }
        }
    }

    /// Bytes held. What lies behind a state is guessed.
    fn bytes(&self) -> u64 {
        let keys = self.memo.capacity() * (size_of::<Key>() + 1) + self.memo.len() * (8 * self.bits.len() + 16);
        let states = self.states.capacity() * 2 * (size_of::<S>() + 48);
        let frames = self.frames.capacity() * size_of::<Frame>();
        let steps = self.steps.capacity() * (size_of::<Step<A>>() + 2 * size_of::<usize>() + 5);
        (keys + states + frames + steps + self.returns.capacity() * size_of::<usize>()) as u64
    }

    /// What was taken so far, by calls.
    pub(crate) fn order(&self) -> Vec<u64> {
        self.frames.iter().map(|frame| self.steps[frame.taken].call).collect()
    }

    fn refuted(&self) -> Answer {
        Answer::Refuted(self.steps[self.returns[self.deepest]].end)
    }

    /// The next operation to try here: observations that fit at once, otherwise by call.
    fn choose(&mut self, bound: u64) -> Option<(usize, u32, bool)> {
        let head = self.steps.len();
        if self.resume_after.is_none() {
            let mut at = self.next[head];
            while at != head && self.steps[at].call < bound {
                if self.steps[at].observes && self.steps[at].end != Op::OPEN && self.fits(at).is_some() {
                    return Some((at, self.state, true));
                }
                at = self.next[at];
            }
        }
        let mut at = self.resume_after.map_or(self.next[head], |last| self.next[last]);
        while at != head && self.steps[at].call < bound {
            if !self.steps[at].observes
                && let Some(state) = self.fits(at)
            {
                let id = self.intern(state);
                return Some((at, id, false));
            }
            at = self.next[at];
        }
        None
    }

    fn fits(&self, at: usize) -> Option<S> {
        (self.apply)(&self.states[self.state as usize], &self.steps[at].act)
    }

    fn intern(&mut self, state: S) -> u32 {
        if let Some(id) = self.state_ids.get(&state) {
            return *id;
        }
        let id = self.states.len() as u32;
        self.states.push(state.clone());
        self.state_ids.insert(state, id);
        id
    }

    fn take(&mut self, at: usize, state: u32, only: bool) {
        self.frames.push(Frame { taken: at, state: self.state, passed: self.passed, only });
        let (before, after) = (self.previous[at], self.next[at]);
        self.next[before] = after;
        self.previous[after] = before;
        self.taken[at] = true;
        self.flip(at);
        self.state = state;
        while self.passed < self.returns.len() && self.taken[self.returns[self.passed]] {
            self.flip(self.returns[self.passed]);
            self.passed += 1;
        }
    }

    /// Undoes the last step that has an alternative. False when none is left.
    fn back(&mut self) -> bool {
        while let Some(frame) = self.frames.pop() {
            while self.passed > frame.passed {
                self.passed -= 1;
                self.flip(self.returns[self.passed]);
            }
            let at = frame.taken;
            self.flip(at);
            self.taken[at] = false;
            self.state = frame.state;
            let (before, after) = (self.previous[at], self.next[at]);
            self.next[before] = at;
            self.previous[after] = at;
            if !frame.only {
                self.resume_after = Some(at);
                return true;
            }
        }
        false
    }

    fn flip(&mut self, at: usize) {
        let slot = self.slot[at] as usize;
        self.bits[slot / 64] ^= 1 << (slot % 64);
    }
}

/// A slot for each operation, such that two that are open at the same time never share one. Also how many there are.
fn slots<A>(steps: &[Step<A>], returns: &[usize]) -> (Vec<u32>, usize) {
    let mut slot = vec![0; steps.len()];
    let mut free: Vec<u32> = Vec::new();
    let mut width = 0;
    let mut returned = returns.iter().peekable();
    for (at, step) in steps.iter().enumerate() {
        while let Some(&&done) = returned.peek() {
            if steps[done].end > step.call {
                break;
            }
            free.push(slot[done]);
            returned.next();
        }
        slot[at] = free.pop().unwrap_or_else(|| {
            width += 1;
            width - 1
        });
    }
    (slot, width as usize)
}
