//! The calls of each object of each workload, and other questions to a history that several checkers ask.
mod elements;
pub(crate) mod names;

pub(crate) use elements::Elements;
pub(crate) use names::{Named, NamedBy, Naming, refusal};

use crate::functions;
use crate::history::{History, NameId, Op, Outcome};
use crate::value::{Value, ValueRef};
use serde_json::json;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// The name of a key, a node or an account: texts as they are, others as they are shown, since the names of objects are texts.
pub(crate) fn name_of(value: ValueRef<'_>) -> Cow<'_, str> {
    value.as_text().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)
}

/// Workloads that have a call of one of these functions, in order of name.
pub(crate) fn workloads_with(history: &History, functions: &[&str]) -> Vec<NameId> {
    let mut found: Vec<NameId> = Vec::new();
    for (workload, function) in history.functions_called() {
        if !found.contains(&workload) && functions.contains(&history.name(function)) {
            found.push(workload);
        }
    }
    found.sort_by_key(|id| history.name(*id));
    found
}

/// Workloads that have such an operation, in order of name.
pub(crate) fn workloads_where(history: &History, holds: impl Fn(&Op<'_>) -> bool) -> Vec<NameId> {
    let all = history.workloads().len();
    let mut found: Vec<NameId> = Vec::new();
    for op in history.ops().iter() {
        if found.len() == all {
            break;
        }
        if !found.contains(&op.workload) && holds(&op) {
            found.push(op.workload);
        }
    }
    found.sort_by_key(|id| history.name(*id));
    found
}

/// The calls on one key of one workload, by position, in the order of the calls.
#[derive(Clone, Debug)]
pub(crate) struct Group<'h> {
    pub(crate) workload: NameId,
    pub(crate) key: ValueRef<'h>,
    pub(crate) ops: Vec<u32>,
}

impl<'h> Group<'h> {
    /// Its operations in the order of their calls.
    pub(crate) fn ops(&self, history: &'h History) -> impl Iterator<Item = Op<'h>> + Clone {
        let ops = history.ops();
        self.ops.iter().map(move |&at| ops.at(at as usize))
    }
}

/// The objects of all workloads that call any function of `needs`, with their calls of the functions in `takes`; in the order of
/// first calls.
pub(crate) fn objects<'h>(history: &'h History, needs: &[&str], takes: &[&str]) -> Vec<Group<'h>> {
    let workloads = workloads_with(history, needs);
    let takes: Vec<NameId> = takes.iter().filter_map(|name| history.find_name(name)).collect();
    grouped(history, |op| workloads.contains(&op.workload) && takes.contains(&op.function))
}

/// The operations of these workloads by key, in the order of the keys' first calls.
pub(crate) fn by_key<'h>(history: &'h History, workloads: &[NameId]) -> Vec<Group<'h>> {
    grouped(history, |op| workloads.contains(&op.workload))
}

fn grouped<'h>(history: &'h History, takes: impl Fn(&Op<'h>) -> bool) -> Vec<Group<'h>> {
    let mut places: HashMap<(NameId, ValueRef<'h>), usize> = HashMap::new();
    let mut groups: Vec<Group<'h>> = Vec::new();
    let mut last = 0;
    for op in history.ops().iter().filter(takes) {
        // Most calls are on the key of the one before.
        if groups.get(last).is_none_or(|group| group.workload != op.workload || group.key != op.key) {
            last = *places.entry((op.workload, op.key)).or_insert(groups.len());
            if last == groups.len() {
                groups.push(Group { workload: op.workload, key: op.key, ops: Vec::new() });
            }
        }
        groups[last].ops.push(op.position);
    }
    groups
}

/// What was asked or answered, as `<value>` itself or as the entry `name` of an object.
pub(crate) fn part<'h>(value: ValueRef<'h>, name: &str) -> Option<ValueRef<'h>> {
    value.as_map().and_then(|map| map.get(name))
}

/// Whether the call did what it asked for: acknowledged, and not with false ("another process has it").
pub(crate) fn took(op: &Op<'_>) -> bool {
    op.outcome == Outcome::Ok && op.output != Value::Bool(false)
}

/// The code with which a release says that the holder had lost what it held.
const NOT_HELD: &str = "not-held";

/// Whether a release was refused because its process holds nothing any more: its session was over, or its time.
pub(crate) fn was_lost(history: &History, op: &Op<'_>) -> bool {
    let code = |error| history.name(error).split(':').next().is_some_and(|code| code.trim() == NOT_HELD);
    op.outcome == Outcome::Fail && op.error.is_some_and(code)
}

/// Functions of these operations that are none of those known, each once, of calls that may have taken effect.
pub(crate) fn unknown_functions<'h>(history: &'h History, ops: &[u32], known: &[&str]) -> Vec<&'h str> {
    let mut found: Vec<NameId> = Vec::new();
    for op in ops.iter().map(|&position| at(history, position)) {
        let strange = op.outcome != Outcome::Fail && !found.contains(&op.function);
        if strange && !known.contains(&history.name(op.function)) {
            found.push(op.function);
        }
    }
    found.into_iter().map(|id| history.name(id)).collect()
}

/// A function in one of these workloads that is none of those known and may have changed what the object holds.
pub(crate) fn changed_by<'h>(history: &'h History, workloads: &[NameId], known: &[&str]) -> Option<&'h str> {
    let known: Vec<NameId> = known.iter().filter_map(|name| history.find_name(name)).collect();
    let unknown = |op: &Op<'_>| {
        op.outcome != Outcome::Fail
            && workloads.contains(&op.workload)
            && !known.contains(&op.function)
            && !functions::is_read_only(history.name(op.function))
    };
    history.ops().iter().find(unknown).map(|op| history.name(op.function))
}

/// The operation at this position.
pub(crate) fn at(history: &History, position: u32) -> Op<'_> {
    history.ops().at(position as usize)
}

/// Where sessions may have ended: what a process held may be given up from there on.
pub(crate) struct SessionEnds {
    /// By session: the call that retired its process, an Info that came back or is open for ever; [`Op::OPEN`] of others.
    retired: Vec<u64>,
    /// Every beginning of a phase that is not the load: clients may be closed there.
    closed: Vec<u64>,
}

impl SessionEnds {
    pub(crate) fn new(history: &History) -> SessionEnds {
        let mut retired = vec![Op::OPEN; history.sessions()];
        for op in history.ops().iter().filter(|op| op.outcome == Outcome::Info) {
            retired[op.session as usize] = op.call;
        }
        let other = |(phase, _): &&(crate::Phase, crate::Mark)| *phase != crate::Phase::Load;
        SessionEnds { retired, closed: history.phases.iter().filter(other).map(|(_, mark)| mark.index).collect() }
    }

    /// The first index at which the session may have ended after the reply to this call, and the position of the call that
    /// retired its process, if that was it.
    pub(crate) fn after(&self, history: &History, op: &Op<'_>) -> (u64, Option<u32>) {
        let retired = self.retired[op.session as usize];
        let closed = self.closed.iter().copied().find(|&index| index > op.reply).unwrap_or(Op::OPEN);
        (retired.min(closed), history.op(retired).filter(|_| retired < closed).map(|op| op.position))
    }
}

/// For each of these, one that had ended before its call and carries the largest number of those, with that number.
/// They come in the order of their calls.
pub(crate) fn largest_before(history: &History, carriers: &[(u32, i64)]) -> Vec<Option<(i64, u32)>> {
    let mut ended: Vec<(u64, i64, u32)> =
        carriers.iter().map(|&(position, number)| (at(history, position).reply, number, position)).collect();
    ended.sort_unstable();
    let mut ended = ended.into_iter().peekable();
    let mut largest: Option<(i64, u32)> = None;
    let before = |&(position, _): &(u32, i64)| {
        let call = at(history, position).call;
        while let Some((_, number, other)) = ended.next_if(|(reply, _, _)| *reply < call) {
            largest = largest.max(Some((number, other)));
        }
        largest
    };
    carriers.iter().map(before).collect()
}

/// An object of these entries.
pub(crate) fn object(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect())
}

/// A distribution of latencies in nanoseconds as milliseconds at these quantiles, sorted here; nothing where there is
/// none.
pub(crate) fn quantiles_ms(mut latencies: Vec<u64>) -> serde_json::Value {
    latencies.sort_unstable();
    let Some(last) = latencies.len().checked_sub(1) else { return serde_json::Value::Null };
    let at = |percent: usize| json!(latencies[last * percent / 100] / 1_000_000);
    json!({"0": at(0), "0.5": at(50), "0.95": at(95), "0.99": at(99), "1": at(100)})
}
