//! Calls acknowledged on both sides of a cut: which of them certainly contradict what the other side cannot have known,
//! and which only may.
//!
//! An object is a key of a workload, and of transactions a key within it. Two sides that both write one object conflict;
//! two that both take one lock conflict where nothing can have given it back in between. Calls that commute (adds to a
//! set, increments) conflict with nothing of their kind. Calls of other functions, and of those that the table does not
//! know, may change anything of their key, and of their workload where no key stands beside the argument.
use crate::functions::{self, FunctionKind, kind, parts};
use crate::history::{History, NameId, Op, Outcome};
use crate::run_level::sides::Side;
use crate::value::{Kind, ValueRef};
use std::collections::{BTreeMap, HashSet};

/// What is changed: workload, key, and the key within a transaction.
pub(super) type Object<'h> = (NameId, ValueRef<'h>, Option<ValueRef<'h>>);

/// What was acknowledged on several sides.
pub(super) enum Shared<'h> {
    /// One object that several sides certainly changed in ways that conflict, with these calls.
    Conflict(ValueRef<'h>, Vec<Op<'h>>),
    /// Several sides may have changed one object: the function of this name may do anything.
    Possible(&'h str, Vec<Op<'h>>),
    /// Several sides changed one object by calls that commute.
    Commuting(ValueRef<'h>, Vec<Op<'h>>),
    /// Different objects.
    Nothing(Vec<Op<'h>>),
}

/// Calls of each kind that one side made on one object.
#[derive(Clone, Default)]
struct Calls<'h> {
    writes: Vec<Op<'h>>,
    commuting: Vec<Op<'h>>,
    acquisitions: Vec<Op<'h>>,
}

/// What all sides did.
struct Changes<'h> {
    objects: BTreeMap<Object<'h>, BTreeMap<usize, Calls<'h>>>,
    /// Calls that may change anything of their key: by workload and side.
    possible: BTreeMap<NameId, BTreeMap<usize, Vec<Op<'h>>>>,
}

impl<'h> Changes<'h> {
    fn of(history: &'h History, sides: &[&Side<'h>]) -> Changes<'h> {
        let mut changes = Changes { objects: BTreeMap::new(), possible: BTreeMap::new() };
        for (side, ops) in sides.iter().map(|side| &side.writes).enumerate() {
            for &op in ops {
                changes.take(history, side, op);
            }
        }
        changes
    }

    fn take(&mut self, history: &'h History, side: usize, op: Op<'h>) {
        let object = (op.workload, op.key, None);
        match kind(history, &op) {
            FunctionKind::Write => self.calls(object, side).writes.push(op),
            FunctionKind::CommutativeWrite => self.calls(object, side).commuting.push(op),
            FunctionKind::Acquire => self.calls(object, side).acquisitions.push(op),
            FunctionKind::Transaction => match parts(op.input) {
                Some(parts) => {
                    for part in parts.into_iter().filter(|part| part.kind == FunctionKind::Write) {
                        let calls = self.calls((op.workload, op.key, part.key), side);
                        if calls.writes.last().is_none_or(|last| last.call != op.call) {
                            calls.writes.push(op);
                        }
                    }
                }
                None => self.may(side, op),
            },
            _ => self.may(side, op),
        }
    }

    fn calls(&mut self, object: Object<'h>, side: usize) -> &mut Calls<'h> {
        self.objects.entry(object).or_default().entry(side).or_default()
    }

    fn may(&mut self, side: usize, op: Op<'h>) {
        self.possible.entry(op.workload).or_default().entry(side).or_default().push(op);
    }

    /// An object that several sides wrote, or one lock that they hold at once.
    fn conflict(&self, history: &'h History) -> Option<Shared<'h>> {
        self.objects.iter().find_map(|(object, sides)| {
            let changed = |calls: &Calls<'h>| calls.writes.first().or(calls.commuting.first()).copied();
            let by_side: Vec<&Calls<'h>> = sides.values().filter(|calls| changed(calls).is_some()).collect();
            let written = by_side.iter().any(|calls| !calls.writes.is_empty()) && by_side.len() > 1;
            let shown = |calls: &&Calls<'h>| calls.writes.iter().chain(&calls.commuting).take(2).copied().collect();
            let ops: Vec<Op<'h>> = match written {
                true => by_side.iter().take(3).flat_map(|calls| -> Vec<Op<'h>> { shown(calls) }).collect(),
                false => held_twice(history, object, sides)?,
            };
            Some(Shared::Conflict(object.2.unwrap_or(object.1), ops))
        })
    }

    /// Calls of several sides that may be about one object, where one of them may do anything.
    fn possible(&self, history: &'h History) -> Option<Shared<'h>> {
        let unclear = self.possible.iter().find_map(|(workload, by_side)| {
            let known = self.objects.iter().filter(|((of, _, _), _)| of == workload);
            let known = known.flat_map(|(_, sides)| sides.iter());
            let mut others: BTreeMap<usize, Vec<Op<'h>>> = by_side.clone();
            for (side, calls) in known {
                let all = calls.writes.iter().chain(&calls.commuting).chain(&calls.acquisitions);
                others.entry(*side).or_default().extend(all);
            }
            by_side.iter().find_map(|(side, ops)| {
                let key = |op: &Op<'h>| functions::key(history, op);
                let keys: HashSet<Option<ValueRef<'h>>> = ops.iter().map(key).collect();
                let everything = keys.contains(&None);
                let other = others.iter().filter(|(other, _)| *other != side).flat_map(|(_, ops)| ops);
                let touches = |op: &&Op<'h>| everything || key(op).is_none_or(|key| keys.contains(&Some(key)));
                let other = *other.copied().collect::<Vec<Op<'h>>>().iter().find(touches)?;
                let own = ops.iter().find(|op| everything || key(&other).is_none_or(|of| key(op) == Some(of)))?;
                Some(vec![*own, other])
            })
        });
        let locks = || {
            self.objects.values().find_map(|sides| {
                let first = |calls: &Calls<'h>| calls.acquisitions.first().copied();
                let acquisitions: Vec<Op<'h>> = sides.values().filter_map(first).collect();
                (acquisitions.len() > 1).then_some(acquisitions)
            })
        };
        let ops = unclear.or_else(locks)?;
        let function = ops.first().map(|op| history.name(op.function))?;
        Some(Shared::Possible(function, ops))
    }

    fn commuting(&self) -> Option<Shared<'h>> {
        self.objects.iter().find_map(|(object, sides)| {
            let by_side: Vec<&Vec<Op<'h>>> =
                sides.values().map(|calls| &calls.commuting).filter(|ops| !ops.is_empty()).collect();
            let ops = by_side.iter().take(3).flat_map(|ops| ops.iter().take(2).copied()).collect();
            (by_side.len() > 1).then_some(Shared::Commuting(object.1, ops))
        })
    }
}

/// What several sides did to one object, the worst of it.
pub(super) fn shared<'h>(history: &'h History, sides: &[&Side<'h>]) -> Shared<'h> {
    let changes = Changes::of(history, sides);
    let found = changes.conflict(history).or_else(|| changes.possible(history)).or_else(|| changes.commuting());
    let first = || sides.iter().take(3).flat_map(|side| side.writes.iter().take(2).copied()).collect();
    found.unwrap_or_else(|| Shared::Nothing(first()))
}

/// Two acquisitions of one lock on two sides, of which the first was not given back before the second was answered. None
/// where the argument may be something else than the lock's name, or where locks expire.
fn held_twice<'h>(
    history: &'h History,
    object: &Object<'h>,
    sides: &BTreeMap<usize, Calls<'h>>,
) -> Option<Vec<Op<'h>>> {
    let acquired: Vec<(usize, Op<'h>)> =
        sides.iter().flat_map(|(side, calls)| calls.acquisitions.iter().map(|op| (*side, *op))).collect();
    if acquired.iter().all(|(side, _)| *side == acquired[0].0) {
        return None;
    }
    let (mut name, mut releases) = (None, Vec::new());
    for op in history.ops().iter().filter(|op| op.workload == object.0) {
        match kind(history, &op) {
            FunctionKind::Renew => return None,
            FunctionKind::Acquire if matches!(op.input.kind(), Kind::Int(_) | Kind::Map(_)) => return None,
            FunctionKind::Acquire if op.key == object.1 && *name.get_or_insert(op.input) != op.input => return None,
            FunctionKind::Release if op.outcome != Outcome::Fail && op.key == object.1 => releases.push(op.call),
            _ => {}
        }
    }
    let mut events: Vec<(u64, Option<(usize, Op<'h>)>)> =
        acquired.into_iter().map(|(side, op)| (op.reply, Some((side, op)))).collect();
    events.extend(releases.into_iter().map(|call| (call, None)));
    events.sort_by_key(|(index, _)| *index);
    let mut holder: Option<(usize, Op<'h>)> = None;
    for (_, event) in events {
        match (holder, event) {
            (Some((side, first)), Some((other, second))) if side != other => return Some(vec![first, second]),
            (_, event) => holder = event,
        }
    }
    None
}
