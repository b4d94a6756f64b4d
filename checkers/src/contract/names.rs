//! Which lock a call is about. A lock is a key; or, with the option `named_by: argument`, a key and the argument of `acquire` together.
//!
//! Arguments that are no names say nothing: nil, an object with nothing but `ttl_ms`, a semaphore's number of permits, and
//! the numbers of the calling processes where every `acquire` of the key has its own. Where the others differ within a key and nobody
//! said what they are, only what holds either way is certain: calls with the same argument are about one lock, and any release
//! of the process may end what it holds.
use super::{Group, at, took};
use crate::history::{History, Op, Outcome};
use crate::registry::Options;
use crate::value::{Kind, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The option of checkers of locks.
pub(crate) const NAMED_BY: (&str, &str) =
    ("named_by", "key or argument: whether the argument of acquire names a lock of the key, where arguments differ");

/// What names a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamedBy {
    /// Nobody said: the key where the arguments of `acquire` do not differ, and else nothing is valid.
    #[default]
    Unsaid,
    /// The key, whatever the arguments are.
    Key,
    /// The key and the argument together.
    Argument,
}

impl NamedBy {
    /// What the options say.
    pub(crate) fn of(options: &Options) -> Result<NamedBy, String> {
        match options.text("named_by")? {
            None => Ok(NamedBy::Unsaid),
            Some("key") => Ok(NamedBy::Key),
            Some("argument") => Ok(NamedBy::Argument),
            Some(other) => Err(format!("named_by takes key or argument, not {other:?}")),
        }
    }
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

/// Whether the argument is the number of who calls.
fn own(history: &History, op: &Op<'_>) -> bool {
    let number = op.input.as_int().and_then(|number| u64::try_from(number).ok());
    number.is_some_and(|number| number == op.process || number == history.client(op.process))
}

/// Tells the locks of a key apart. `counts`: arguments that count something are no names.
pub(crate) fn apart<'h>(history: &'h History, group: Group<'h>, named_by: NamedBy, counts: bool) -> Names<'h> {
    let is = |op: &Op<'_>, function: &str| history.name(op.function) == function;
    let acquires = || group.ops(history).filter(|op| is(op, "acquire"));
    let owners = acquires().all(|op| own(history, &op));
    let mut places: HashMap<Option<Value>, usize> = HashMap::new();
    let mut firsts: Vec<Op<'h>> = Vec::new();
    if named_by != NamedBy::Key && !owners {
        for op in acquires() {
            places.entry(name(&op, counts)).or_insert_with(|| {
                firsts.push(op);
                firsts.len() - 1
            });
        }
    }
    let [first, second, ..] = firsts[..] else {
        let whole = Named { group, whole: true, certified: true, loose: Vec::new() };
        return Names { locks: vec![whole], doubt: None };
    };
    let empty = |_: &Op<'h>| {
        let group = Group { workload: group.workload, key: group.key, ops: Vec::new() };
        Named { group, whole: false, certified: true, loose: Vec::new() }
    };
    let mut locks: Vec<Named<'h>> = firsts.iter().map(empty).collect();
    let said = named_by == NamedBy::Argument;
    let mut doubt = (!said).then(|| differ(&group, &first, &second));
    let mut certified = true;
    // Of each process the locks that it acquired and did not certainly release, once for each acquisition.
    let mut open: HashMap<u32, Vec<usize>> = HashMap::new();
    for &position in &group.ops {
        let op = at(history, position);
        let place = || name(&op, counts).and_then(|name| places.get(&Some(name)).copied());
        match history.name(op.function) {
            "acquire" => {
                let place = places.get(&name(&op, counts)).copied().unwrap_or(0);
                locks[place].group.ops.push(position);
                if took(&op) {
                    open.entry(op.session).or_default().push(place);
                }
            }
            // What was refused did nothing.
            "release" | "renew" if !took(&op) && op.outcome != Outcome::Info => {}
            "release" => match place().filter(|_| said) {
                Some(place) => {
                    locks[place].group.ops.push(position);
                    certified &= open.get(&op.session).is_none_or(|held| held.iter().all(|one| *one == place));
                }
                None => {
                    let held = open.remove(&op.session).unwrap_or_default();
                    if held.len() > 1 {
                        doubt.get_or_insert_with(|| vague(&op, "which of them it gives back"));
                    }
                    for place in held.into_iter().collect::<HashSet<usize>>() {
                        locks[place].group.ops.push(position);
                        locks[place].loose.push(position);
                    }
                }
            },
            "renew" => match place() {
                Some(place) => {
                    locks[place].group.ops.push(position);
                    open.entry(op.session).or_default().push(place);
                }
                None => drop(doubt.get_or_insert_with(|| vague(&op, "which of them it renews"))),
            },
            _ => {}
        }
    }
    for lock in &mut locks {
        lock.certified = certified;
    }
    Names { locks, doubt }
}

fn differ(group: &Group<'_>, first: &Op<'_>, second: &Op<'_>) -> String {
    let key = if group.key.is_nil() { "without a key".to_owned() } else { format!("of key {}", group.key) };
    format!(
        "Calls of acquire {key} have different arguments (#{} {}, #{} {}): if these name locks, set the option named_by to \
         argument or make them the keys; if not, set it to key.",
        first.call, first.input, second.call, second.input
    )
}

fn vague(op: &Op<'_>, what: &str) -> String {
    format!("Locks are named by the argument of acquire, and #{} does not say {what}.", op.call)
}
