//! Judges small histories by the definitions alone: every choice of what happened and of who read from whom, every order.
use super::small::{Call, SmallCall};
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
    /// Its interval.
    pub(crate) call: u64,
    pub(crate) end: u64,
}

/// Whether some choice of what happened and who read from whom satisfies `holds`.
pub(crate) fn some_choice(calls: &[Call], holds: &dyn Fn(&[Step]) -> bool) -> bool {
    let doubtful: Vec<usize> = (0..calls.len())
        .filter(|&at| calls[at].outcome == Outcome::Info && !matches!(calls[at].act, SmallCall::Read(_)))
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
            SmallCall::Read(seen) | SmallCall::Cas(seen, _) => seen,
            SmallCall::Write(_) => {
                options.push(vec![None]);
                continue;
            }
        };
        let Some(value) = seen else {
            options.push(vec![None]);
            continue;
        };
        let wrote = |other: &usize| match calls[*other].act {
            SmallCall::Write(written) | SmallCall::Cas(_, written) => {
                written == value && calls[*other].key == call.key && *other != at
            }
            SmallCall::Read(_) => false,
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
            reads: !matches!(call.act, SmallCall::Write(_)),
            source: options[at][chosen[at]],
            writes: !matches!(call.act, SmallCall::Read(_)),
            call: call.call,
            end: if call.outcome == Outcome::Ok { call.reply } else { u64::MAX },
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

/// What a session is promised, for an order of versions: `newer(a, b)` says that a has the newer version.
pub(crate) type Guarantee = fn(&[Step], &dyn Fn(Option<usize>, Option<usize>) -> bool) -> bool;

fn pairs(steps: &[Step]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let alike = |a: usize, b: usize| steps[a].session == steps[b].session && steps[a].key == steps[b].key;
    (0..steps.len()).flat_map(move |b| (0..b).map(move |a| (a, b))).filter(move |&(a, b)| alike(a, b))
}

/// Whether each key's versions can be ordered as guaranteed; a session's own writes in their order, a compare-and-set
/// after what it replaced, and perhaps as in real time.
pub(crate) fn versioned(steps: &[Step], realtime: bool, guarantees: &[Guarantee]) -> bool {
    let keys: std::collections::BTreeSet<i64> = steps.iter().map(|step| step.key).collect();
    keys.into_iter().all(|key| {
        let own: Vec<usize> = (0..steps.len()).filter(|&at| steps[at].key == key).collect();
        // The steps of one key, with their sources by new numbers.
        let place = |at: usize| own.iter().position(|&one| one == at);
        let alone: Vec<Step> =
            own.iter().map(|&at| Step { source: steps[at].source.and_then(place), ..steps[at] }).collect();
        let writes: Vec<usize> = (0..alone.len()).filter(|&at| alone[at].writes).collect();
        permuted(&writes, &mut Vec::new(), &|order| {
            let rank = |version: Option<usize>| {
                version.map_or(0, |at| 1 + order.iter().position(|&one| one == at).unwrap_or(0))
            };
            let newer = |a: Option<usize>, b: Option<usize>| rank(a) > rank(b);
            let known = |a: usize, b: usize| !(alone[a].writes && alone[b].writes) || newer(Some(b), Some(a));
            let before = |a: usize, b: usize| realtime && alone[a].end < alone[b].call;
            let ends = (0..alone.len()).all(|b| (0..alone.len()).all(|a| !before(a, b) || known(a, b)));
            let cas = writes.iter().all(|&at| !alone[at].reads || newer(Some(at), alone[at].source));
            let sessions = pairs(&alone).all(|(a, b)| known(a, b));
            ends && cas && sessions && guarantees.iter().all(|holds| holds(&alone, &newer))
        })
    })
}

fn permuted(writes: &[usize], taken: &mut Vec<usize>, holds: &dyn Fn(&[usize]) -> bool) -> bool {
    if taken.len() == writes.len() {
        return holds(taken);
    }
    writes.iter().any(|&at| {
        !taken.contains(&at) && {
            taken.push(at);
            let found = permuted(writes, taken, holds);
            taken.pop();
            found
        }
    })
}

pub(crate) fn own_writes(steps: &[Step], newer: &dyn Fn(Option<usize>, Option<usize>) -> bool) -> bool {
    pairs(steps).all(|(a, b)| !(steps[a].writes && steps[b].reads && newer(Some(a), steps[b].source)))
}

pub(crate) fn forward_reads(steps: &[Step], newer: &dyn Fn(Option<usize>, Option<usize>) -> bool) -> bool {
    pairs(steps).all(|(a, b)| !(steps[a].reads && steps[b].reads && newer(steps[a].source, steps[b].source)))
}

pub(crate) fn following_writes(steps: &[Step], newer: &dyn Fn(Option<usize>, Option<usize>) -> bool) -> bool {
    pairs(steps).all(|(a, b)| !(steps[a].reads && steps[b].writes) || newer(Some(b), steps[a].source))
}

/// k-atomicity with reads called a number of records earlier: for each key an order that keeps real time, in which each read
/// comes after its write with fewer than k other writes between.
pub(crate) fn k_atomic(steps: &[Step], k: usize, earlier: u64) -> bool {
    let call = |at: usize| {
        let shift = if steps[at].writes { 0 } else { earlier };
        steps[at].call as i64 - shift as i64
    };
    let keys: std::collections::BTreeSet<i64> = steps.iter().map(|step| step.key).collect();
    keys.into_iter().all(|key| {
        let own: Vec<usize> = (0..steps.len()).filter(|&at| steps[at].key == key).collect();
        ranked(steps, &own, &call, k, &mut Vec::new())
    })
}

fn ranked(steps: &[Step], own: &[usize], call: &dyn Fn(usize) -> i64, k: usize, taken: &mut Vec<usize>) -> bool {
    if taken.len() == own.len() {
        return true;
    }
    own.iter().any(|&at| {
        let before = |other: &&usize| i64::try_from(steps[**other].end).unwrap_or(i64::MAX) < call(at);
        if taken.contains(&at) || own.iter().filter(before).any(|other| !taken.contains(other)) {
            return false;
        }
        if !steps[at].writes {
            let writes: Vec<usize> = taken.iter().copied().filter(|&one| steps[one].writes).collect();
            let place = steps[at].source.map(|source| writes.iter().position(|&one| one == source));
            let since = match place {
                None => writes.len(),
                Some(None) => return false,
                Some(Some(place)) => writes.len() - place - 1,
            };
            if since >= k {
                return false;
            }
        }
        taken.push(at);
        let found = ranked(steps, own, call, k, taken);
        taken.pop();
        found
    })
}

/// Whether final reads certainly agree on a possible last value, or certainly do not; none: nobody can say. Without a wait,
/// nodes certainly differ unless a value that was never acknowledged was seen too late.
pub(crate) fn converged(calls: &[Call]) -> Option<bool> {
    let ok = |call: &Call| call.outcome == Outcome::Ok;
    let written = |call: &Call| match call.act {
        SmallCall::Write(value) | SmallCall::Cas(_, value) => Some(value),
        SmallCall::Read(_) => None,
    };
    let seen = |call: &Call| match call.act {
        SmallCall::Read(value) => Some(value),
        _ => None,
    };
    let keys: std::collections::BTreeSet<i64> = calls.iter().map(|call| call.key).collect();
    let acknowledged = calls.iter().any(|call| ok(call) && written(call).is_some());
    let mut all = Some(true);
    for key in keys {
        let own: Vec<&Call> = calls.iter().filter(|call| call.key == key).collect();
        let finals: Vec<&&Call> = own.iter().filter(|call| call.settle && ok(call)).collect();
        let Some(first) = finals.first() else {
            all = all.filter(|holds| !holds);
            continue;
        };
        let mut key_holds = Some(true).filter(|_| finals.len() == 3);
        let value = seen(first).flatten();
        let writes: Vec<&Call> = own.iter().copied().filter(|call| written(call).is_some()).collect();
        let pairs = finals.iter().flat_map(|one| finals.iter().map(move |two| (**one, **two)));
        let differing: Vec<(&Call, &Call)> = pairs.filter(|(one, two)| seen(one) != seen(two)).collect();
        if !differing.is_empty() {
            let late = |(one, two): &(&Call, &Call)| {
                [one, two].iter().any(|read| {
                    let value = seen(read).flatten();
                    let doubtful = writes.iter().any(|write| !ok(write) && written(write) == value);
                    let known = own.iter().filter(|one| ok(one) && seen(one) == Some(value)).map(|one| one.reply).min();
                    doubtful && known.is_none_or(|known| known > one.call.min(two.call))
                })
            };
            key_holds = if differing.iter().all(late) { None } else { Some(false) };
        } else {
            // What may have happened at all may have happened last.
            let possible = match value {
                None => !writes.iter().any(|write| ok(write)),
                Some(value) => writes.iter().any(|write| {
                    written(write) == Some(value)
                        && (!ok(write)
                            || !writes
                                .iter()
                                .any(|later| ok(later) && written(later) != Some(value) && write.reply < later.call))
                }),
            };
            let from_nowhere = value.is_some_and(|value| !writes.iter().any(|write| written(write) == Some(value)));
            if !possible && (finals.len() == 3 || from_nowhere) {
                key_holds = Some(false);
            }
        }
        all = match (all, key_holds) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (None, _) | (_, None) => None,
            _ => Some(true),
        };
    }
    if all == Some(true) && !acknowledged { None } else { all }
}
