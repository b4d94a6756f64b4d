//! [`Run`]: the reads, writes and compare-and-sets of one workload, as small numbers. It says who wrote what everybody
//! read, where that is certain; it never decides anything.
use crate::forms::{Forms, Turned, without_version};
use crate::history::{History, NameId, Op, Outcome};
use crate::initial::{Beginnings, Initial, Trace, of_key};
use crate::value::{Value, ValueRef};
use std::collections::HashMap;

/// No value, no access.
pub(crate) const NONE: u32 = u32::MAX;

/// One read, write or compare-and-set (which does both, at one instant).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Position of the operation in the history.
    pub(crate) op: u32,
    /// Process, counted from 0.
    pub(crate) session: u32,
    /// Key, counted from 0.
    pub(crate) key: u32,
    /// The value it saw; [`NONE`] if it saw none. The initial value of a key has the key's number.
    pub(crate) reads: u32,
    /// The value it wrote; [`NONE`] if none.
    pub(crate) writes: u32,
    /// Index of the call.
    pub(crate) call: u64,
    /// Index of the reply, [`Op::OPEN`] for one that was never acknowledged.
    pub(crate) end: u64,
}

/// The accesses of one workload in the order of their calls. What failed is left out, and so are writes that were never
/// acknowledged and never observed: they need not have happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// All of them.
    pub(crate) accesses: Vec<Access>,
    /// For each process, its accesses in the order of its calls.
    pub(crate) sessions: Vec<Vec<u32>>,
    /// For each access, its place in its session, from 1.
    pub(crate) place: Vec<u32>,
    /// For each value, the access that wrote it; [`NONE`] for initial values and for values without a write.
    pub(crate) writer: Vec<u32>,
    /// Keys: the values below this number are initial ones.
    pub(crate) keys: u32,
}

impl Run {
    /// Puts accesses together; they are in the order of their calls, and every value has at most one writer.
    pub(crate) fn new(accesses: Vec<Access>, keys: u32, values: usize) -> Run {
        let mut run = Run { writer: vec![NONE; values], keys, place: vec![0; accesses.len()], ..Run::default() };
        let mut dense: HashMap<u32, u32> = HashMap::new();
        run.accesses = accesses;
        for at in 0..run.accesses.len() {
            let next = dense.len() as u32;
            let access = &mut run.accesses[at];
            access.session = *dense.entry(access.session).or_insert(next);
            if access.session == next {
                run.sessions.push(Vec::new());
            }
            let session = &mut run.sessions[access.session as usize];
            session.push(at as u32);
            run.place[at] = session.len() as u32;
            if access.writes != NONE {
                run.writer[access.writes as usize] = at as u32;
            }
        }
        run
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.accesses.len()
    }

    /// The access.
    pub(crate) fn at(&self, at: u32) -> &Access {
        &self.accesses[at as usize]
    }

    /// Whether the value is a key's initial one.
    pub(crate) fn initial(&self, value: u32) -> bool {
        value < self.keys
    }

    /// The writer of the value that this access saw; [`NONE`] where it saw nothing, an initial value, or a value without a write.
    pub(crate) fn source(&self, at: u32) -> u32 {
        let reads = self.at(at).reads;
        if reads == NONE { NONE } else { self.writer[reads as usize] }
    }

    /// The first access that saw a value that no call wrote.
    pub(crate) fn phantom(&self) -> Option<u32> {
        let unknown = |at: &u32| {
            let reads = self.at(*at).reads;
            // A compare-and-set cannot have seen what it wrote itself.
            reads != NONE && !self.initial(reads) && [NONE, *at].contains(&self.writer[reads as usize])
        };
        (0..self.len() as u32).find(unknown)
    }

    /// These accesses alone, in order. Values keep their meaning, not their numbers.
    pub(crate) fn subset(&self, keep: &[u32]) -> Run {
        let mut keys: HashMap<u32, u32> = HashMap::new();
        for at in keep {
            let next = keys.len() as u32;
            keys.entry(self.at(*at).key).or_insert(next);
        }
        let mut values: HashMap<u32, u32> = HashMap::new();
        let count = keys.len() as u32;
        let mut value = |value: u32, key: u32| {
            if value == NONE {
                return NONE;
            }
            if self.initial(value) {
                return keys[&key];
            }
            let next = values.len() as u32;
            *values.entry(value).or_insert(next) + count
        };
        let renamed = |at: &u32| {
            let access = *self.at(*at);
            let (reads, writes) = (value(access.reads, access.key), value(access.writes, access.key));
            Access { key: keys[&access.key], reads, writes, ..access }
        };
        let accesses = keep.iter().map(renamed).collect();
        Run::new(accesses, count, values.len() + count as usize)
    }
}

/// A workload, parsed.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// Its accesses.
    pub(crate) run: Run,
    /// Versions by position of the operation, where replies carry them.
    pub(crate) versions: HashMap<u32, i64>,
    /// Where values repeat: everything that is understood, also what may not have happened.
    pub(crate) raw: Vec<Access>,
    /// Acknowledged operations, whether they could be used or not.
    pub(crate) acknowledged: usize,
    /// Reads left out because their value was written more than once (or is nil and was written at all).
    pub(crate) ambiguous: usize,
    /// Compare-and-sets that saw another value than the one expected: left out, because they name none.
    pub(crate) refused: usize,
    /// Why some operation cannot be understood.
    pub(crate) strange: Option<String>,
}

/// What an operation did.
pub(crate) enum CallEffect<'h> {
    /// It saw this value.
    Read(ValueRef<'h>),
    /// It wrote this value.
    Write(ValueRef<'h>),
    /// It replaced the first by the second.
    Cas(ValueRef<'h>, ValueRef<'h>),
    /// It saw another value.
    Differs,
    /// Nothing is known of it.
    Nothing,
}

/// What the operation did; the error says what the function takes.
pub(crate) fn act<'h>(history: &History, op: &Op<'h>) -> Result<CallEffect<'h>, String> {
    act_on(history, op, op.input)
}

/// The same where values have versions: arguments may be pairs without one.
fn act_with<'h>(history: &History, op: &Op<'h>, versions: bool) -> Result<CallEffect<'h>, String> {
    let input = without_version(history.name(op.function), op.input).filter(|_| versions);
    act_on(history, op, input.unwrap_or(op.input))
}

fn act_on<'h>(history: &History, op: &Op<'h>, input: ValueRef<'h>) -> Result<CallEffect<'h>, String> {
    match history.name(op.function) {
        "read" if op.outcome == Outcome::Ok => Ok(CallEffect::Read(op.output)),
        "read" => Ok(CallEffect::Nothing),
        "write" => Ok(CallEffect::Write(input)),
        "cas" => match input.as_list().filter(|list| list.len() == 2) {
            Some(_) if op.outcome == Outcome::Ok && op.output == Value::Bool(false) => Ok(CallEffect::Differs),
            Some(pair) => Ok(CallEffect::Cas(pair.at(0), pair.at(1))),
            None => Err(format!("#{}: cas takes [from, to], not {}", op.call, op.input)),
        },
        other => Err(format!("#{}: read, write and cas are known, not {other:?}", op.call)),
    }
}

/// Workloads on registers: those that write or compare-and-set, or carry the name `register`.
pub(crate) fn workloads(history: &History) -> Vec<NameId> {
    let changes = ["write", "cas"].map(|name| history.find_name(name));
    let register = history.find_name("register");
    let mut found: Vec<NameId> = Vec::new();
    for op in history.ops().iter() {
        let ours = changes.contains(&Some(op.function)) || Some(op.workload) == register;
        if ours && !found.contains(&op.workload) {
            found.push(op.workload);
        }
    }
    found.sort_unstable();
    found
}

/// Numbers for the values of each key, initial ones first, and how often each was written.
struct Values<'h> {
    ids: HashMap<(u32, ValueRef<'h>), u32>,
    written: Vec<u32>,
    /// What keys begin with, where it is not nil.
    begins: HashMap<u32, Value>,
}

impl<'h> Values<'h> {
    fn number(&mut self, key: u32, value: Option<ValueRef<'h>>, times: u32) -> u32 {
        let Some(value) = value else { return NONE };
        let next = self.written.len() as u32;
        let first = self.begins.get(&key).map_or(value.is_nil(), |begins| value == *begins);
        let id = if first { key } else { *self.ids.entry((key, value)).or_insert(next) };
        if id == next {
            self.written.push(0);
        }
        self.written[id as usize] += times;
        id
    }
}

/// Parses one workload.
pub(crate) fn parse(history: &History, workload: NameId, initial: &Initial) -> Parsed {
    parse_with(history, workload, false, initial)
}

/// What registers may have begun with.
pub(crate) fn beginnings(history: &History, versions: bool) -> Beginnings {
    let mut all = Beginnings::default();
    for workload in workloads(history) {
        let traces: Vec<_> = traces(history, workload, versions).collect();
        let to_value = (|key: &ValueRef<'_>| key.to_value(), |value: &ValueRef<'_>| value.to_value());
        let of = Beginnings::of(&traces, |_, value| value.is_nil(), to_value);
        all.certain.extend(of.certain);
        all.undecided.extend(of.undecided);
    }
    all
}

fn traces(
    history: &History,
    workload: NameId,
    versions: bool,
) -> impl Iterator<Item = Trace<ValueRef<'_>, ValueRef<'_>>> {
    history.ops().iter().filter(move |op| op.workload == workload).flat_map(move |op| {
        let (seen, left) = match act_with(history, &op, versions) {
            Ok(CallEffect::Read(value)) => {
                let pair = value.as_list().filter(|list| versions && list.len() == 2);
                (Some(pair.map_or(value, |pair| pair.at(1))), None)
            }
            Ok(CallEffect::Write(value)) => (None, Some(value)),
            Ok(CallEffect::Cas(from, to)) => (Some(from), Some(to)),
            Ok(CallEffect::Differs | CallEffect::Nothing) | Err(_) => (None, None),
        };
        let replaced = seen;
        let seen = seen.filter(|_| op.outcome == Outcome::Ok).map(|value| Trace::Seen(op.key, value, op.reply));
        // What failed is the nearest reason for what it would have written.
        let left = left.map(|value| match replaced.filter(|_| op.outcome != Outcome::Fail) {
            Some(from) => Trace::Replaced(op.key, from, value, op.call, op.outcome == Outcome::Ok),
            None => Trace::Left(op.key, value, op.call),
        });
        seen.into_iter().chain(left)
    })
}

/// Parses one workload; `versions`: reads answer `[version, value]`, and writes and compare-and-sets their version.
pub(crate) fn parse_with(history: &History, workload: NameId, versions: bool, initial: &Initial) -> Parsed {
    let mut parsed = Parsed::default();
    let mut keys: HashMap<ValueRef<'_>, u32> = HashMap::new();
    let ours = |op: &Op<'_>| op.workload == workload && op.outcome != Outcome::Fail;
    for op in history.ops().iter().filter(ours) {
        let next = keys.len() as u32;
        keys.entry(op.key).or_insert(next);
    }
    let count = keys.len() as u32;
    let begins = keys.iter().filter_map(|(key, number)| Some((*number, of_key(initial, *key)?)));
    let mut values = Values { ids: HashMap::new(), written: vec![0; count as usize], begins: begins.collect() };
    let mut raw: Vec<Access> = Vec::new();
    let forms = (!versions).then(|| Forms::of(history));
    let turned = versions.then(|| Turned::of(history, initial));
    let turned = turned.as_ref().and_then(|turned| turned.why(workload));
    for op in history.ops().iter().filter(ours) {
        parsed.acknowledged += usize::from(op.outcome == Outcome::Ok);
        let pair = op.output.as_list().filter(|list| versions && list.len() == 2).map(|list| (list.at(0), list.at(1)));
        if let Some(version) = op.output.as_int().or(pair.and_then(|(version, _)| version.as_int()))
            && versions
        {
            parsed.versions.insert(op.position, version);
        }
        if let Some(why) = turned.filter(|_| pair.is_some()) {
            parsed.strange.get_or_insert(why.to_owned());
            continue;
        }
        if let Some(why) = forms.as_ref().and_then(|forms| forms.other_form(history, &op, initial)) {
            parsed.strange.get_or_insert(why);
            continue;
        }
        let (reads, writes) = match act_with(history, &op, versions) {
            Ok(CallEffect::Read(value)) => (Some(pair.map_or(value, |(_, value)| value)), None),
            Ok(CallEffect::Write(value)) => (None, Some(value)),
            Ok(CallEffect::Cas(from, to)) => (Some(from), Some(to)),
            Ok(CallEffect::Nothing) => continue,
            Ok(CallEffect::Differs) => {
                parsed.refused += 1;
                continue;
            }
            Err(why) => {
                parsed.strange.get_or_insert(why);
                continue;
            }
        };
        let key = keys[&op.key];
        let (reads, writes) = (values.number(key, reads, 0), values.number(key, writes, 1));
        raw.push(Access { op: op.position, session: op.session, key, reads, writes, call: op.call, end: op.end() });
    }
    let repeats = values.written.iter().enumerate().any(|(value, times)| *times > u32::from(value as u32 >= count));
    if repeats {
        parsed.raw = raw.clone();
    }
    let accesses = certain(raw, &values.written, count, &mut parsed.ambiguous);
    parsed.run = Run::new(accesses, count, values.written.len());
    parsed
}

/// Leaves out what proves nothing: reads of values whose writer is not certain, and unobserved writes that were never
/// acknowledged.
fn certain(raw: Vec<Access>, written: &[u32], keys: u32, ambiguous: &mut usize) -> Vec<Access> {
    let unclear = |value: u32| value != NONE && written[value as usize] > u32::from(value >= keys);
    // An observed compare-and-set happened, so it observed what it replaced: followed until nothing is new.
    let mut observed = vec![false; written.len()];
    let mut replaced = vec![NONE; written.len()];
    let mut next: Vec<u32> = Vec::new();
    for access in &raw {
        if access.end == Op::OPEN && access.writes != NONE {
            replaced[access.writes as usize] = access.reads;
        } else if access.reads != NONE {
            next.push(access.reads);
        }
    }
    while let Some(value) = next.pop() {
        if !std::mem::replace(&mut observed[value as usize], true) {
            // Of several writes of one value it is not known which happened.
            next.extend(Some(replaced[value as usize]).filter(|from| *from != NONE && !unclear(value)));
        }
    }
    let mut kept = Vec::with_capacity(raw.len());
    for mut access in raw {
        let lost = unclear(access.reads);
        if lost {
            access.reads = NONE;
        }
        let sure = |value: u32| observed[value as usize] && !unclear(value);
        let happened = access.end != Op::OPEN || (access.writes != NONE && sure(access.writes));
        *ambiguous += usize::from(lost && happened);
        if happened && (access.reads != NONE || access.writes != NONE) {
            kept.push(access);
        }
    }
    kept
}
