//! A depth-first search for an order, for every model; registers whose values repeat use it beside the beam.
//!
//! Wing and Gong (JPDC 17, 1993) with Lowe's memo (2017). Everything that returned before the first return not yet passed
//! has been linearised, so a memo's key is that return's position, a bit for each operation open there, and the state.
//! Operations of unknown outcome are optional and, of one kind, taken in the order of their calls. Of two ways to the
//! same key the one that took fewer of them can do all that the other can, so the other is not followed. Of operations that
//! do the same, the one that returns first is taken first: it can stand wherever another of them can.
//! With an [`Outlook`] it goes nowhere where a reply that is known cannot come true.
use super::limits::{EngineAnswer, Limits, Stop};
use super::outlook::{Outlook, Position};
use super::space::{Bits, Least, Plan, Space, Spent, Table};
use crate::models::Model;

/// What was taken: a definite operation, or one more of a kind of unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Definite(u32),
    Optional(u32),
}

struct Frame {
    taken: Taken,
    /// What was before it.
    state: u32,
    passed: u32,
    bits: u64,
    spent: u32,
    /// Where its alternatives begin among the candidates; they end where the next frame's begin.
    from: usize,
}

/// In a memo's key, for every state that nothing can tell from the others so marked.
const LOST: u32 = u32::MAX;

/// A search that can be continued.
pub(crate) struct Search {
    plan: Plan,
    outlook: Option<Outlook>,
    /// The last return that the outlook ruled out, where a branch was given up.
    foreseen: u64,
    bits_of: Bits,
    spent_of: Spent,
    next: Vec<u32>,
    previous: Vec<u32>,
    taken: Vec<bool>,
    state: u32,
    passed: u32,
    bits: u64,
    spent: u32,
    deepest: u32,
    frames: Vec<Frame>,
    /// Alternatives of all frames, each frame's in reverse order, with the states that they lead to.
    candidates: Vec<(Taken, u32)>,
    memo: Table<(u32, u32, u64), Least>,
    memo_sets: u64,
    fresh: bool,
}

impl Search {
    /// A search over these operations.
    pub(crate) fn new(plan: Plan) -> Search {
        Search::ahead(plan, None)
    }

    /// The same, looking ahead.
    pub(crate) fn ahead(plan: Plan, outlook: Option<Outlook>) -> Search {
        let count = plan.definite.len() as u32;
        Search {
            bits_of: Bits::new(plan.width),
            spent_of: Spent::new(),
            // A ring through a head (position `count`), in the order of calls.
            next: (0..=count).map(|at| if at == count { 0 } else { at + 1 }).collect(),
            previous: (0..=count).map(|at| if at == 0 { count } else { at - 1 }).collect(),
            taken: vec![false; count as usize],
            state: 0,
            passed: 0,
            bits: 0,
            spent: 0,
            deepest: 0,
            frames: Vec::new(),
            candidates: Vec::new(),
            memo: Table::default(),
            memo_sets: 0,
            fresh: true,
            foreseen: 0,
            outlook,
            plan,
        }
    }

    /// Goes on until there is an answer or the turn is over. The other engines hold this many bytes.
    pub(crate) fn run<M: Model>(
        &mut self,
        space: &mut Space<'_, M>,
        limits: &mut Limits<'_>,
        others: u64,
    ) -> Result<EngineAnswer, Stop> {
        loop {
            if self.passed as usize == self.plan.returns.len() {
                return Ok(EngineAnswer::Linearizable(Some(self.order())));
            }
            limits.step(self.bytes() + space.bytes() + others)?;
            if self.fresh {
                self.fresh = false;
                self.expand(space);
            }
            let from = self.frames.last().map_or(0, |frame| frame.from);
            if self.candidates.len() > from
                && let Some((taken, state)) = self.candidates.pop()
            {
                self.take(taken, state);
                if self.passed > self.deepest {
                    self.deepest = self.passed;
                    limits.passed(u64::from(self.passed));
                    limits.reached(self.plan.end(self.passed as usize - 1));
                }
                let Some(state) = self.foresee(space) else {
                    self.undo();
                    continue;
                };
                let known = self.memo.entry((self.passed, state, self.bits)).or_default();
                if known.add(self.spent, &self.spent_of) {
                    self.memo_sets += 1;
                    self.fresh = true;
                } else {
                    self.undo();
                }
            } else if self.frames.is_empty() {
                return Ok(EngineAnswer::Refuted(self.foreseen.max(self.reached())));
            } else {
                self.undo();
            }
        }
    }

    /// The first return that no branch went past, by index. Where it looked ahead, the returns up to the one that was refuted
    /// are contradictory, and those before this one are not.
    pub(crate) fn reached(&self) -> u64 {
        self.plan.end(self.deepest as usize)
    }

    /// The state for the memo's key, or `None` where a reply that is known cannot come true any more.
    fn foresee<M: Model>(&mut self, space: &Space<'_, M>) -> Option<u32> {
        let Some(outlook) = &self.outlook else { return Some(self.state) };
        let spent = |kind| self.spent_of.count(self.spent, kind);
        let position = Position { state: self.state, passed: self.passed, taken: &self.taken, spent: &spent };
        if let Some(end) = outlook.contradicted(&self.plan, space, &position) {
            self.foreseen = self.foreseen.max(end);
            return None;
        }
        let head = self.plan.definite.len() as u32;
        let next = |&at: &u32| Some(self.next[at as usize]).filter(|&next| next != head);
        let open = std::iter::successors(next(&head), next);
        Some(if outlook.lost(&self.plan, space, &position, open) { LOST } else { self.state })
    }

    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> u64 {
        let ahead = self.outlook.as_ref().map_or(0, Outlook::bytes);
        let memo = self.memo.len() as u64 * 64 + self.memo_sets * 8;
        ahead + memo + self.frames.len() as u64 * 56 + self.spent_of.bytes() + self.bits_of.bytes()
    }

    /// What to try here, the most urgent last: an observation that fits is the only thing to do.
    fn expand<M: Model>(&mut self, space: &mut Space<'_, M>) {
        let bound = self.plan.end(self.passed as usize);
        let head = self.plan.definite.len() as u32;
        let from = self.candidates.len();
        let mut at = self.next[head as usize];
        while at != head && self.plan.definite[at as usize].call < bound {
            let step = self.plan.definite[at as usize];
            if let Some(state) = space.step(self.state, step.action) {
                if step.observes {
                    self.candidates.truncate(from);
                    self.candidates.push((Taken::Definite(at), state));
                    return;
                }
                self.candidates.push((Taken::Definite(at), state));
            }
            at = self.next[at as usize];
        }
        self.order_candidates(from);
        let definite = self.candidates.len();
        for kind in 0..self.plan.kinds.len() as u32 {
            let (action, calls) = &self.plan.kinds[kind as usize];
            let used = self.spent_of.count(self.spent, kind) as usize;
            if calls.get(used).is_some_and(|&call| call < bound)
                && let Some(state) = space.step(self.state, *action)
                && state != self.state
            {
                self.candidates.push((Taken::Optional(kind), state));
            }
        }
        // Optional ones come after all definite ones, that is, before them here.
        let optional = self.candidates.len() - definite;
        self.candidates[from..].rotate_right(optional);
    }

    /// Those that return first last, as they are tried from the end; of several that do the same only the first to return.
    fn order_candidates(&mut self, from: usize) {
        if self.candidates.len() < from + 2 {
            return;
        }
        let definite = &self.plan.definite;
        let action_and_end = |(taken, _): &(Taken, u32)| match taken {
            Taken::Definite(at) => (definite[*at as usize].action, definite[*at as usize].end),
            Taken::Optional(_) => (0, 0),
        };
        self.candidates[from..].sort_unstable_by_key(action_and_end);
        let mut kept = from + 1;
        for at in from + 1..self.candidates.len() {
            if action_and_end(&self.candidates[at]).0 != action_and_end(&self.candidates[kept - 1]).0 {
                self.candidates[kept] = self.candidates[at];
                kept += 1;
            }
        }
        self.candidates.truncate(kept);
        self.candidates[from..].sort_unstable_by_key(|candidate| std::cmp::Reverse(action_and_end(candidate).1));
    }

    fn take(&mut self, taken: Taken, state: u32) {
        let from = self.candidates.len();
        let (passed, bits, spent) = (self.passed, self.bits, self.spent);
        self.frames.push(Frame { taken, state: self.state, passed, bits, spent, from });
        self.state = state;
        let at = match taken {
            Taken::Optional(kind) => {
                self.spent = self.spent_of.with(spent, kind);
                return;
            }
            Taken::Definite(at) => at as usize,
        };
        let (before, after) = (self.previous[at], self.next[at]);
        self.next[before as usize] = after;
        self.previous[after as usize] = before;
        self.taken[at] = true;
        self.bits = self.bits_of.flip(self.bits, self.plan.slot[at]);
        while let Some(&done) = self.plan.returns.get(self.passed as usize).filter(|&&done| self.taken[done as usize]) {
            self.bits = self.bits_of.flip(self.bits, self.plan.slot[done as usize]);
            self.passed += 1;
        }
    }

    fn undo(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        self.candidates.truncate(frame.from);
        (self.state, self.passed, self.bits, self.spent) = (frame.state, frame.passed, frame.bits, frame.spent);
        if let Taken::Definite(at) = frame.taken {
            let at = at as usize;
            self.taken[at] = false;
            let (before, after) = (self.previous[at], self.next[at]);
            self.next[before as usize] = at as u32;
            self.previous[after as usize] = at as u32;
        }
    }

    /// Calls in the order that was found.
    fn order(&self) -> Vec<u64> {
        let mut used = vec![0usize; self.plan.kinds.len()];
        let call = |frame: &Frame| match frame.taken {
            Taken::Definite(at) => self.plan.definite[at as usize].call,
            Taken::Optional(kind) => {
                used[kind as usize] += 1;
                self.plan.kinds[kind as usize].1[used[kind as usize] - 1]
            }
        };
        self.frames.iter().map(call).collect()
    }
}
