//! What certain replies still to come ask of the state, so that a search does not go where they cannot come true.
//!
//! A get of a text to which clients append tells the whole order of the appends before it: a state that is no beginning of that
//! text, and that nothing can overwrite before the get returns, explains nothing.
use super::space::{Plan, Space};
use crate::models::Model;

/// Operations that one look may go through. Beyond them nothing is ruled out and nothing is taken for equal.
const LOOKED_AT: usize = 256;

/// Where a search is.
pub(crate) struct Position<'a> {
    /// The state's number.
    pub(crate) state: u32,
    /// How many returns are behind it.
    pub(crate) passed: u32,
    /// Which definite operations were taken.
    pub(crate) taken: &'a [bool],
    /// How many operations of a kind of unknown outcome were taken.
    pub(crate) spent: &'a dyn Fn(u32) -> u32,
}

/// The operations of a plan that need a state, and those that lead to the same state from every state.
pub(crate) struct Outlook {
    /// Places of definite operations that need a state, by return.
    needing: Vec<u32>,
    /// For each number of returns passed, the first of these that has not returned.
    first_needing: Vec<u32>,
    /// Definite operations that restart the state, by call: place, the state's number, the largest rank by return so far.
    restarts: Vec<(u32, u32, u32)>,
    /// Places of the same, by return, and the first of them that has not returned.
    restarts_by_return: Vec<u32>,
    first_restart: Vec<u32>,
    /// Kinds of unknown outcome that restart the state: the kind and the state's number.
    optional_restarts: Vec<(u32, u32)>,
    /// Kinds of unknown outcome that need a state.
    optional_needing: Vec<u32>,
}

impl Outlook {
    /// The outlook of a plan; `None` if no certain operation needs a state that the model can rule out.
    pub(crate) fn new<M: Model>(plan: &Plan, space: &mut Space<'_, M>) -> Option<Outlook> {
        let model = space.model();
        let places = || plan.returns.iter().copied();
        let needs = |space: &Space<'_, M>, action: u32| model.needs_state(space.action(action));
        let needing: Vec<u32> = places().filter(|&at| needs(space, plan.definite[at as usize].action)).collect();
        if needing.is_empty() {
            return None;
        }
        let mut rank = vec![0u32; plan.definite.len()];
        places().enumerate().for_each(|(place, at)| rank[at as usize] = place as u32);
        let first = |of: &[u32]| {
            let mut first = Vec::with_capacity(plan.returns.len() + 1);
            let mut next = 0;
            for passed in 0..=plan.returns.len() as u32 {
                while of.get(next).is_some_and(|&at| rank[at as usize] < passed) {
                    next += 1;
                }
                first.push(next as u32);
            }
            first
        };
        let mut restarts: Vec<(u32, u32, u32)> = Vec::new();
        for (at, step) in plan.definite.iter().enumerate() {
            if let Some(state) = model.restarts(space.action(step.action)) {
                let latest = restarts.last().map_or(0, |last| last.2).max(rank[at]);
                restarts.push((at as u32, space.state_id(state), latest));
            }
        }
        let mut restarts_by_return: Vec<u32> = restarts.iter().map(|restart| restart.0).collect();
        restarts_by_return.sort_unstable_by_key(|&at| rank[at as usize]);
        let (mut optional_restarts, mut optional_needing) = (Vec::new(), Vec::new());
        for (kind, (action, _)) in plan.kinds.iter().enumerate() {
            if let Some(state) = model.restarts(space.action(*action)) {
                optional_restarts.push((kind as u32, space.state_id(state)));
            }
            if needs(space, *action) {
                optional_needing.push(kind as u32);
            }
        }
        Some(Outlook {
            first_needing: first(&needing),
            first_restart: first(&restarts_by_return),
            needing,
            restarts,
            restarts_by_return,
            optional_restarts,
            optional_needing,
        })
    }

    /// The return, by index, of a certain operation that cannot come true from here, if the next that needs a state is one.
    pub(crate) fn contradicted<M: Model>(
        &self,
        plan: &Plan,
        space: &Space<'_, M>,
        position: &Position<'_>,
    ) -> Option<u64> {
        let due = &self.needing[self.first_needing[position.passed as usize] as usize..];
        let next = *due.iter().find(|&&at| !position.taken[at as usize])?;
        let (action, end) = (space.action(plan.definite[next as usize].action), plan.definite[next as usize].end);
        let leads = |state: u32| space.model().may_become(space.state(state), action);
        if leads(position.state) {
            return None;
        }
        let called = self.restarts.partition_point(|(at, ..)| plan.definite[*at as usize].call < end);
        let open = self.restarts[..called].iter().rev().take_while(|(.., latest)| *latest >= position.passed);
        for (looked, &(at, state, _)) in open.enumerate() {
            if looked == LOOKED_AT || at != next && !position.taken[at as usize] && leads(state) {
                return None;
            }
        }
        let left = |kind: u32| {
            let calls = &plan.kinds[kind as usize].1;
            calls.get((position.spent)(kind) as usize).is_some_and(|&call| call < end)
        };
        let restarted = self.optional_restarts.iter().any(|&(kind, state)| left(kind) && leads(state));
        (!restarted).then_some(end)
    }

    /// Whether nothing still to come can tell this state from others of which that holds, too: whatever needs a state
    /// comes after a restart, or needs one that does not come of this. `open` are the operations not taken, by call.
    pub(crate) fn lost<M: Model>(
        &self,
        plan: &Plan,
        space: &Space<'_, M>,
        position: &Position<'_>,
        open: impl Iterator<Item = u32>,
    ) -> bool {
        let due = &self.restarts_by_return[self.first_restart[position.passed as usize] as usize..];
        let restart = due.iter().find(|&&at| !position.taken[at as usize]);
        let Some(horizon) = restart.map(|&at| plan.definite[at as usize].end) else { return false };
        let state = space.state(position.state);
        let tells = |action: u32| {
            let action = space.action(action);
            if space.model().needs_state(action) {
                space.model().may_become(state, action)
            } else {
                space.model().observes_only(action)
            }
        };
        for (looked, at) in open.enumerate() {
            let step = plan.definite[at as usize];
            if step.call >= horizon {
                break;
            }
            if looked == LOOKED_AT || tells(step.action) {
                return false;
            }
        }
        !self.optional_needing.iter().any(|&kind| tells(plan.kinds[kind as usize].0))
    }

    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> u64 {
        let numbers = self.needing.len() + self.first_needing.len() + self.first_restart.len();
        (4 * numbers + 16 * self.restarts.len()) as u64
    }
}
