//! Judges small histories by the definitions alone: every choice of what happened and of who read from whom, every order.
use super::small::{Act, Call};
use crate::history::Outcome;

/// An operation that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) session: usize,
    pub(crate) key: i64,
    /// Whether it read.
    pub(crate) reads: bool,
    /// Which operation it read from; none: the initial value.
    pub(crate) source: Option<usize>,
    /// Whether it wrote.
    pub(crate) writes: bool,
}

/// Whether some choice of what happened and who read from whom satisfies `holds`.
pub(crate) fn some_choice(calls: &[Call], holds: &dyn Fn(&[Step]) -> bool) -> bool {
    let doubtful: Vec<usize> = (0..calls.len())
        .filter(|&at| calls[at].outcome == Outcome::Info && !matches!(calls[at].act, Act::Read(_)))
        .collect();
    (0..1u32 << doubtful.len()).any(|chosen| {
        let happened: Vec<&Call> = (0..calls.len())
            .filter(|at| match doubtful.iter().position(|one| one == at) {
                Some(bit) => chosen & (1 << bit) != 0,
                None => calls[*at].outcome == Outcome::Ok,
            })
            .map(|at| &calls[at])
            .collect();
        sources(&happened, holds)
    })
}

fn sources(calls: &[&Call], holds: &dyn Fn(&[Step]) -> bool) -> bool {
    let mut options: Vec<Vec<Option<usize>>> = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let seen = match call.act {
            Act::Read(seen) | Act::Cas(seen, _) => seen,
            Act::Write(_) => {
                options.push(vec![None]);
                continue;
            }
        };
        let Some(value) = seen else {
            options.push(vec![None]);
            continue;
        };
        let wrote = |other: &usize| match calls[*other].act {
            Act::Write(written) | Act::Cas(_, written) => {
                written == value && calls[*other].key == call.key && *other != at
            }
            Act::Read(_) => false,
        };
        options.push((0..calls.len()).filter(wrote).map(Some).collect());
    }
    let mut chosen = vec![0; calls.len()];
    if options.iter().any(Vec::is_empty) {
        return false;
    }
    loop {
        let step = |(at, call): (usize, &&Call)| Step {
            session: call.session,
            key: call.key,
            reads: !matches!(call.act, Act::Write(_)),
            source: options[at][chosen[at]],
            writes: !matches!(call.act, Act::Read(_)),
        };
        if holds(&calls.iter().enumerate().map(step).collect::<Vec<_>>()) {
            return true;
        }
        let Some(at) = (0..chosen.len()).find(|&at| chosen[at] + 1 < options[at].len()) else { return false };
        chosen[at] += 1;
        chosen[..at].fill(0);
    }
}

type Set = u32;

/// Program order as a set of predecessors for each.
pub(crate) fn program(steps: &[Step]) -> Vec<Set> {
    let earlier = |at: usize| (0..at).filter(move |&one| steps[one].session == steps[at].session);
    (0..steps.len()).map(|at| earlier(at).fold(0, |set, one| set | 1 << one)).collect()
}

/// The causal order; none if it is cyclic.
fn causal(steps: &[Step]) -> Option<Vec<Set>> {
    let mut before = program(steps);
    for (at, step) in steps.iter().enumerate().filter(|(_, step)| step.reads) {
        before[at] |= step.source.map_or(0, |source| 1 << source);
    }
    loop {
        let mut grown = before.clone();
        for set in &mut grown {
            let now = *set;
            *set |= (0..steps.len()).filter(|one| now & (1 << one) != 0).fold(0, |all, one| all | before[one]);
        }
        if grown == before {
            let acyclic = before.iter().enumerate().all(|(at, set)| set & (1 << at) == 0);
            return acyclic.then_some(before);
        }
        before = grown;
    }
}

/// Whether the members can be put in an order that contains `before`, in which each of `checked` reads the last write of its
/// key from among `visible` to it.
fn ordered(
    steps: &[Step],
    members: Set,
    before: &[Set],
    checked: Set,
    visible: &dyn Fn(usize) -> Set,
    taken: &mut Vec<usize>,
) -> bool {
    let done = taken.iter().fold(0, |set, one| set | 1 << one);
    if done == members {
        return true;
    }
    for at in (0..steps.len()).filter(|at| members & !done & (1 << at) != 0) {
        if before[at] & members & !done != 0 {
            continue;
        }
        if checked & (1 << at) != 0 && steps[at].reads {
            let seen = visible(at);
            let ours =
                |one: &&usize| seen & (1 << **one) != 0 && steps[**one].writes && steps[**one].key == steps[at].key;
            if taken.iter().rev().find(ours).copied() != steps[at].source {
                continue;
            }
        }
        taken.push(at);
        if ordered(steps, members, before, checked, visible, taken) {
            return true;
        }
        taken.pop();
    }
    false
}

fn everything(_: usize) -> Set {
    Set::MAX
}

fn all(steps: &[Step]) -> Set {
    (1 << steps.len()) - 1
}

/// Lamport 1979.
pub(crate) fn sequential(steps: &[Step]) -> bool {
    ordered(steps, all(steps), &program(steps), all(steps), &everything, &mut Vec::new())
}

/// Weak causal consistency: for each operation, an order of its causal past that explains its own reply.
pub(crate) fn cc(steps: &[Step]) -> bool {
    let Some(before) = causal(steps) else { return false };
    (0..steps.len()).all(|at| ordered(steps, before[at] | 1 << at, &before, 1 << at, &everything, &mut Vec::new()))
}

/// Causal convergence: one order for all, in which each reply is explained by its causal past.
pub(crate) fn ccv(steps: &[Step]) -> bool {
    let Some(before) = causal(steps) else { return false };
    ordered(steps, all(steps), &before, all(steps), &|at| before[at], &mut Vec::new())
}

/// Causal memory: for each operation, an order of its causal past that explains the replies of its process up to it.
pub(crate) fn cm(steps: &[Step]) -> bool {
    let Some(before) = causal(steps) else { return false };
    let own = program(steps);
    (0..steps.len())
        .all(|at| ordered(steps, before[at] | 1 << at, &before, own[at] | 1 << at, &everything, &mut Vec::new()))
}

/// PRAM: for each process, an order of its operations and everybody's writes that contains program order.
pub(crate) fn pram(steps: &[Step]) -> bool {
    let before = program(steps);
    let sessions = steps.iter().map(|step| step.session + 1).max().unwrap_or(0);
    (0..sessions).all(|session| {
        let own = |at: &usize| steps[*at].session == session;
        let mine = (0..steps.len()).filter(own).fold(0, |set, at| set | 1 << at);
        let members = (0..steps.len()).filter(|&at| steps[at].writes).fold(mine, |set, at| set | 1 << at);
        // Program order through reads of others that are left out still holds between their writes.
        ordered(steps, members, &before, mine, &everything, &mut Vec::new())
    })
}
