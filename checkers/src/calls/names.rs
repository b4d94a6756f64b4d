//! The lock that a call is about. A lock is a key; or, with the option `named_by: argument`, a key and the argument of
//! `acquire` together.
//!
//! Arguments that are no names say nothing: nil, an object with nothing but `ttl_ms`, a semaphore's number of permits,
//! and the numbers of the calling processes, if the option is not set and the history shows that they are
//! owners: every `acquire` of the key has its caller's, there are several callers, and one of them acquired more than
//! once in the workload, always with its own. Where other arguments differ within a key and the option is not set, only
//! what holds either way is certain: calls with the same argument are about one lock, and any release of the process
//! may end what it holds.
//!
//! Numbers that may be a semaphore's permits or something else (names where arguments are names, owners where they are
//! the callers' numbers) are not judged.
use super::{Group, at, took};
use crate::history::{History, NameId, Op, Outcome};
use crate::value::{Kind, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Whether the argument of `acquire` names a lock of the key, where arguments differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NamedBy {
    /// Not set: the key, if the arguments of `acquire` do not differ; otherwise nothing is valid.
    #[default]
    #[serde(skip)]
    Unsaid,
    /// The key, whatever the arguments are.
    Key,
    /// The key and the argument together.
    Argument,
}

/// The calls about one lock.
pub(crate) struct Named<'h> {
    pub(crate) group: Group<'h>,
    /// Whether these are all calls of the key, which is the lock.
    pub(crate) whole: bool,
    /// Whether no release of the key was left out, so that a certificate about the key holds.
    pub(crate) certified: bool,
    /// Releases, by position, that do not name this lock: they may end what their process holds, and prove nothing.
    loose: Vec<u32>,
}

impl Named<'_> {
    /// Whether the call, one of the group's, may be about another lock.
    pub(crate) fn loose(&self, position: u32) -> bool {
        self.loose.binary_search(&position).is_ok()
    }

    /// The call that says which lock a renewal without a name is about.
    pub(crate) fn meant<'h>(&self, history: &'h History, renewal: &Op<'h>) -> Option<Op<'h>> {
        if self.whole || history.name(renewal.function) != "renew" || !renewal.input.is_nil() {
            return None;
        }
        let earlier = self.group.ops.iter().rev().map(|&position| at(history, position));
        let mut own = earlier.filter(|op| op.position < renewal.position && op.session == renewal.session && took(op));
        own.find(|op| match history.name(op.function) {
            "acquire" => true,
            "renew" => !op.input.is_nil(),
            _ => false,
        })
    }

    /// The last release of what this operation acquired that was refused before this index: it gave nothing back.
    pub(crate) fn refused<'h>(&self, history: &'h History, acquire: &Op<'h>, before: u64) -> Option<Op<'h>> {
        let later = (acquire.position as usize..history.ops().len()).map(|at| history.ops().at(at));
        let about = |op: &Op<'_>| {
            let same = op.session == acquire.session && op.workload == acquire.workload && op.key == acquire.key;
            same && (self.whole || op.input.is_nil() || op.input == acquire.input)
        };
        let refused = |op: &Op<'_>| {
            history.name(op.function) == "release" && !took(op) && op.outcome != Outcome::Info && about(op)
        };
        later.take_while(|op| op.call < before).filter(refused).last()
    }
}

/// The locks of one key.
pub(crate) struct Names<'h> {
    pub(crate) locks: Vec<Named<'h>>,
    /// Why a history without violations is not valid.
    pub(crate) doubt: Option<String>,
}

/// What an argument names; none: nothing.
fn name(op: &Op<'_>, counts: bool) -> Option<Value> {
    match op.input.kind() {
        Kind::Nil => None,
        Kind::Int(number) if counts && number >= 0 => None,
        Kind::Map(map) => {
            let rest: Vec<(Arc<str>, Value)> = map
                .iter()
                .filter(|(name, _)| *name != "ttl_ms")
                .map(|(name, value)| (Arc::from(name), value.to_value()))
                .collect();
            (!rest.is_empty()).then(|| Value::Map(rest.into()))
        }
        _ => Some(op.input.to_value()),
    }
}

/// Whether the argument is the number of the calling process.
fn own(history: &History, op: &Op<'_>) -> bool {
    let number = op.input.as_int().and_then(|number| u64::try_from(number).ok());
    number.is_some_and(|number| number == op.process || number == history.client(op.process))
}

/// How the locks of a history are distinguished.
pub(crate) struct Naming<'h> {
    history: &'h History,
    named_by: NamedBy,
    /// Whether arguments may count something.
    counts: bool,
    /// By workload the clients that acquired more than once, each time with their own number.
    owners: HashSet<(NameId, u64)>,
}

/// What one process holds of the locks of a key, as far as it is known.
#[derive(Default)]
struct Holder {
    /// Locks that it acquired and did not certainly release, once for each acquisition.
    open: Vec<usize>,
    /// Whether it gave something back without saying which, so that it may hold more than the open ones.
    unclear: bool,
}

impl Holder {
    /// The only lock that it can hold.
    fn only(&self) -> Option<usize> {
        let first = *self.open.first()?;
        (!self.unclear && self.open.iter().all(|place| *place == first)).then_some(first)
    }
}

impl<'h> Naming<'h> {
    /// `counts`: arguments that are numbers may count something.
    pub(crate) fn new(history: &'h History, named_by: NamedBy, counts: bool) -> Naming<'h> {
        let mut clients: HashMap<(NameId, u64), (u64, bool)> = HashMap::new();
        let acquire = history.find_name("acquire").filter(|_| named_by == NamedBy::Unsaid);
        for op in history.ops().iter().filter(|op| Some(op.function) == acquire) {
            let (times, always) = clients.entry((op.workload, history.client(op.process))).or_insert((0, true));
            *times += 1;
            *always &= own(history, &op);
        }
        let owners = clients.into_iter().filter(|(_, (times, always))| *always && *times > 1).map(|(client, _)| client);
        Naming { history, named_by, counts, owners: owners.collect() }
    }

    fn acquires<'g>(&self, group: &'g Group<'h>) -> impl Iterator<Item = Op<'h>> + use<'g, 'h> {
        let history = self.history;
        group.ops(history).filter(|op| history.name(op.function) == "acquire")
    }

    /// Whether the arguments of acquire are the acquiring processes.
    fn owned(&self, group: &Group<'h>) -> bool {
        let client = |op: &Op<'_>| (op.workload, self.history.client(op.process));
        let first = self.acquires(group).next().map(|op| client(&op));
        self.acquires(group).any(|op| self.owners.contains(&client(&op)))
            && self.acquires(group).any(|op| Some(client(&op)) != first)
            && self.acquires(group).all(|op| own(self.history, &op))
    }

    /// An acquisition whose number may be permits or something else, and what else.
    fn number(&self, group: &Group<'h>, owned: bool) -> Option<(Op<'h>, &'static str)> {
        let number = |op: &Op<'_>| matches!(op.input.kind(), Kind::Int(_));
        match self.named_by {
            NamedBy::Argument if self.counts => Some((self.acquires(group).find(number)?, "a name")),
            NamedBy::Unsaid if self.counts && owned => Some((self.acquires(group).next()?, "who acquires")),
            _ => None,
        }
    }

    /// Why these calls may be about several locks, if the meaning of their arguments is unknown.
    pub(crate) fn several(&self, group: &Group<'h>) -> Option<String> {
        let first = self.acquires(group).next()?;
        let another = |op: &Op<'h>| name(op, self.counts) != name(&first, self.counts);
        let second = self.acquires(group).find(another).filter(|_| !self.owned(group))?;
        Some(format!(
            "calls of acquire have different arguments (#{} {}, #{} {}), which may name locks: if they do, make them \
             the keys; if not, leave them out",
            first.call, first.input, second.call, second.input
        ))
    }

    /// Tells the locks of a key apart.
    pub(crate) fn apart(&self, group: Group<'h>) -> Names<'h> {
        let history = self.history;
        let name = |op: &Op<'_>| name(op, self.counts);
        let owned = self.named_by == NamedBy::Unsaid && self.owned(&group);
        let number = self.number(&group, owned);
        // Numbers whose meaning is unknown belong to no lock.
        let skipped = |op: &Op<'_>| number.is_some() && matches!(op.input.kind(), Kind::Int(_));
        let mut places: HashMap<Option<Value>, usize> = HashMap::new();
        let mut firsts: Vec<Op<'h>> = Vec::new();
        if self.named_by != NamedBy::Key && (!owned || number.is_some()) {
            for op in self.acquires(&group).filter(|op| !skipped(op)) {
                places.entry(name(&op)).or_insert_with(|| {
                    firsts.push(op);
                    firsts.len() - 1
                });
            }
        }
        if firsts.len() < 2 && number.is_none() {
            let whole = Named { group, whole: true, certified: true, loose: Vec::new() };
            return Names { locks: vec![whole], doubt: None };
        }
        let empty = |_: &Op<'h>| {
            let group = Group { workload: group.workload, key: group.key, ops: Vec::new() };
            Named { group, whole: false, certified: true, loose: Vec::new() }
        };
        let mut locks: Vec<Named<'h>> = firsts.iter().map(empty).collect();
        let said = self.named_by == NamedBy::Argument;
        let mut doubt = match (number, &firsts[..]) {
            (Some((op, other)), _) => Some(ambiguous(&op, other)),
            (None, [first, second, ..]) if !said => Some(differ(&group, first, second)),
            _ => None,
        };
        let mut certified = true;
        let mut holders: HashMap<u32, Holder> = HashMap::new();
        for &position in &group.ops {
            let op = at(history, position);
            let holder = holders.entry(op.session).or_default();
            let place = name(&op).and_then(|name| places.get(&Some(name)).copied());
            match history.name(op.function) {
                "acquire" if skipped(&op) => {}
                "acquire" => {
                    let Some(&place) = places.get(&name(&op)) else { continue };
                    locks[place].group.ops.push(position);
                    if took(&op) {
                        holder.open.push(place);
                    }
                }
                // What was refused did nothing.
                "release" | "renew" if !took(&op) && op.outcome != Outcome::Info => {}
                "release" => match place.filter(|_| said) {
                    Some(place) => {
                        locks[place].group.ops.push(position);
                        certified &= holder.open.iter().all(|one| *one == place);
                        if let Some(at) = holder.open.iter().position(|one| *one == place) {
                            holder.open.swap_remove(at);
                        }
                    }
                    None => {
                        let held = std::mem::take(&mut holder.open);
                        let another = |one: &usize| name(&op).is_some() && place != Some(*one);
                        holder.unclear |= held.len() > 1 || held.iter().any(another);
                        if held.len() > 1 {
                            doubt.get_or_insert_with(|| vague(&op, "which of them it gives back"));
                        }
                        for place in held.into_iter().collect::<HashSet<usize>>() {
                            locks[place].group.ops.push(position);
                            locks[place].loose.push(position);
                        }
                    }
                },
                "renew" => {
                    // A client that called again after an info may hold what it acquired before.
                    let anew = history.client(op.process) != op.process;
                    let nameless = name(&op).is_none() && !anew;
                    match place.or_else(|| holder.only().filter(|_| nameless)) {
                        Some(place) => {
                            locks[place].group.ops.push(position);
                            if !holder.open.contains(&place) {
                                holder.open.push(place);
                            }
                        }
                        None => {
                            doubt.get_or_insert_with(|| vague(&op, "which of them it renews"));
                        }
                    }
                }
                _ => {}
            }
        }
        for lock in &mut locks {
            lock.certified = certified;
        }
        Names { locks, doubt }
    }
}

/// That a release gave nothing back.
pub(crate) fn refusal(op: &Op<'_>) -> String {
    format!("#{}, its release, was refused, so it gave nothing back.", op.call)
}

fn ambiguous(op: &Op<'_>, other: &str) -> String {
    format!(
        "The argument of #{} (acquire {}) may be a number of permits or {other}: write names as texts, or, if it is \
         a number of permits, set the option named_by to key.",
        op.call, op.input
    )
}

fn differ(group: &Group<'_>, first: &Op<'_>, second: &Op<'_>) -> String {
    let key = if group.key.is_nil() { "without a key".to_owned() } else { format!("of key {}", group.key) };
    format!(
        "Calls of acquire {key} have different arguments (#{} {}, #{} {}): if these name locks, set the option \
         named_by to argument or make them the keys; if not, set it to key.",
        first.call, first.input, second.call, second.input
    )
}

fn vague(op: &Op<'_>, what: &str) -> String {
    format!("Locks are named by the argument of acquire, and #{} does not say {what}.", op.call)
}
