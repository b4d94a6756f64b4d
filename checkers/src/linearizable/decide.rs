//! Which engine decides: zones where they apply, otherwise the forward set and the depth-first search in turns.
use super::forward::{self, Answer};
use super::limits::{Limits, Stop};
use super::register::{Act, NIL, RegOp, value_count};
use super::search::{Search, Step};
use super::zones::{self, Conflict};
use crate::verdict::Budget;

/// What is known of one register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Some order explains it.
    Linearizable,
    /// None does; zones say why.
    Conflict(Conflict),
    /// None explains the returns up to this index.
    Refuted(u64),
    /// Nobody could say: what ran out, and the last return that could be explained.
    GaveUp(Stop, u64),
}

/// Least steps of an engine's first turn, which grows with the history; each further turn is twice as long.
const FIRST_TURN: u64 = 20_000;

/// Decides one register. The operations are in the order of their calls.
pub(crate) fn decide(ops: &[RegOp], budget: &Budget) -> Decision {
    if zones::applies(ops) {
        return match zones::check(ops) {
            Ok(()) => Decision::Linearizable,
            Err(conflict) => Decision::Conflict(conflict),
        };
    }
    if let Some(observer) = phantom(ops) {
        return Decision::Conflict(Conflict::Phantom { observer });
    }
    in_turns(ops, budget, u64::MAX)
}

/// Who certainly observed a value that nobody wrote: no engine is needed to refute that.
fn phantom(ops: &[RegOp]) -> Option<usize> {
    let mut written = vec![false; value_count(ops)];
    written[NIL as usize] = true;
    for value in ops.iter().filter_map(|op| op.act.writes()) {
        written[value as usize] = true;
    }
    ops.iter().position(|op| op.definite() && op.act.needs().is_some_and(|value| !written[value as usize]))
}

/// Why no order explains these operations, where that can be told in a sentence.
pub(crate) fn conflict(ops: &[RegOp]) -> Option<Conflict> {
    if zones::applies(ops) {
        return zones::check(ops).err();
    }
    phantom(ops).map(|observer| Conflict::Phantom { observer })
}

/// As [`decide`], by the engines for repeated values, with at most about this many steps.
pub(crate) fn in_turns(ops: &[RegOp], budget: &Budget, steps: u64) -> Decision {
    let mut search = search(ops);
    let (mut forward_stop, mut search_stop) = (None, None);
    let mut furthest = 0;
    let mut search_limits = Limits::new(budget, 0);
    let mut turn = FIRST_TURN.max(4 * ops.len() as u64).min(steps);
    let mut spent = 0u64;
    loop {
        if forward_stop.is_none() {
            let mut limits = Limits::new(budget, turn);
            match forward::decide(ops, &mut limits) {
                Ok(answer) => return answer.into(),
                Err(Stop::Quota) => {}
                Err(stop) => forward_stop = Some(stop),
            }
            furthest = limits.furthest.max(furthest);
        }
        if search_stop.is_none() {
            search_limits.refill(turn);
            match search.run(&mut search_limits) {
                Ok(answer) => return answer.into(),
                Err(Stop::Quota) => {}
                Err(stop) => search_stop = Some(stop),
            }
            furthest = search_limits.furthest.max(furthest);
        }
        spent = spent.saturating_add(turn);
        match (forward_stop, search_stop) {
            (Some(Stop::Time), _) | (_, Some(Stop::Time)) => return Decision::GaveUp(Stop::Time, furthest),
            (Some(_), Some(stop)) => return Decision::GaveUp(stop, furthest),
            _ if spent >= steps => return Decision::GaveUp(Stop::Quota, furthest),
            _ => turn = turn.saturating_mul(2),
        }
    }
}

/// A depth-first search over one register.
pub(crate) fn search(ops: &[RegOp]) -> Search<u32, Act, impl Fn(&u32, &Act) -> Option<u32>> {
    let steps = ops.iter().filter(|op| op.definite() || op.act.writes().is_some()).map(|op| Step {
        call: op.call,
        end: op.end,
        act: op.act,
        observes: op.act.writes().is_none(),
    });
    Search::new(NIL, steps.collect(), |state: &u32, act: &Act| act.step(*state))
}

impl From<Answer> for Decision {
    fn from(answer: Answer) -> Decision {
        match answer {
            Answer::Linearizable => Decision::Linearizable,
            Answer::Refuted(index) => Decision::Refuted(index),
        }
    }
}
