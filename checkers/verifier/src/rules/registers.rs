//! Registers whose values are written once: what sessions and causes say about the order of versions (Terry et al., PDIS
//! 1994; Bouajjani et al., POPL 2017; Golab, Li, Shah, PODC 2011). Relations are closed by brute force.
use super::{Case, Rule, rule};
use crate::certificate::{Op, Outcome};
use crate::mops::happened;
use serde_json::Value;
use std::collections::HashSet;

pub(super) const RULES: &[Rule] = &[
    rule("thin-air-read", "A read returned a value that no call wrote.", thin_air),
    rule("write-co-read", "A read returned what had been overwritten by a write that is causally before it.", |case| {
        causes(case, co_read)
    }),
    rule("cyclic-cf", "No order of the writes explains what all saw: seen writes come before the one read.", |case| {
        causes(case, cyclic_conflicts)
    }),
    rule("write-hb-init-read", "A process read the initial value although it must have seen a write.", |case| {
        believed(case, false)
    }),
    rule("cyclic-hb", "No order of the writes explains what one process saw.", |case| believed(case, true)),
    rule("stale-own-write", "A process read a version older than one it had written.", sessions),
    rule("non-monotonic-read", "A process read a version older than one it had read.", sessions),
    rule("non-monotonic-write", "A process' later write has the older version.", sessions_of_writes),
    rule("write-before-read", "A write has an older version than one that its process had read.", sessions_of_reads),
    rule("not-k-atomic", "No order has every read return one of the last k values.", not_k_atomic),
];

/// More operations than this are not tried in all orders.
const MOST: usize = 24;

/// What an operation found and left.
struct Access<'a> {
    op: &'a Op,
    reads: Option<&'a Value>,
    writes: Option<&'a Value>,
    version: Option<i64>,
}

fn access(op: &Op, versions: bool) -> Option<Access<'_>> {
    let pair = op.reply().filter(|_| versions).and_then(Value::as_array).filter(|pair| pair.len() == 2);
    let version = if versions {
        pair.and_then(|pair| pair[1].as_i64()).or_else(|| op.reply().and_then(Value::as_i64))
    } else {
        None
    };
    let (reads, writes) = match op.f.as_str() {
        "read" => (Some(pair.map_or(op.reply()?, |pair| &pair[0])), None),
        "write" => (None, Some(&op.input)),
        "cas" if op.reply() == Some(&Value::Bool(false)) => return None,
        "cas" => match op.input.as_array().map(Vec::as_slice) {
            Some([from, to]) => (Some(from), Some(to)),
            _ => return None,
        },
        _ => return None,
    };
    Some(Access { op, reads, writes, version })
}

/// The operations, the writer of what each found, and the order that is forced on them.
struct Run<'a> {
    all: Vec<Access<'a>>,
    /// None: the initial value.
    source: Vec<Option<usize>>,
}

impl<'a> Run<'a> {
    /// None where the writer of something that was read is not shown, or not known; or where nothing shows that an
    /// operation took effect.
    fn of(case: &Case<'a>, versions: bool) -> Option<Run<'a>> {
        let mut all: Vec<Access<'a>> = case.ops.iter().map(|op| access(op, versions)).collect::<Option<_>>()?;
        let refs: Vec<&Op> = case.ops.iter().collect();
        if !case.one_workload()
            || case.ops.iter().any(|op| op.outcome == Outcome::Fail)
            || happened(&refs).contains(&false)
        {
            return None;
        }
        let mut source = Vec::new();
        for at in 0..all.len() {
            let one = &all[at];
            let Some(value) = one.reads else {
                source.push(None);
                continue;
            };
            let writers: Vec<u64> = case
                .all(one.op)
                .into_iter()
                .filter(|op| access(op, versions).is_some_and(|other| other.writes == Some(value)))
                .map(|op| op.call)
                .collect();
            source.push(match writers[..] {
                [] if value.is_null() => None,
                [writer] if !value.is_null() => Some(all.iter().position(|other| other.op.call == writer)?),
                [] => return None,
                // Written by several: the writer is not known.
                _ => {
                    all[at].reads = None;
                    None
                }
            });
        }
        Some(Run { all, source })
    }

    fn len(&self) -> usize {
        self.all.len()
    }

    fn session(&self, one: usize, other: usize) -> bool {
        self.all[one].op.process == self.all[other].op.process && self.all[one].op.call < self.all[other].op.call
    }

    fn same_key(&self, one: usize, other: usize) -> bool {
        self.all[one].op.key == self.all[other].op.key
    }

    fn writes(&self, at: usize) -> bool {
        self.all[at].writes.is_some()
    }

    fn relation(&self, holds: impl Fn(usize, usize) -> bool) -> Vec<Vec<bool>> {
        closed((0..self.len()).map(|one| (0..self.len()).map(|other| holds(one, other)).collect()).collect())
    }

    /// Causality: sessions and reads-from.
    fn causal(&self) -> Vec<Vec<bool>> {
        self.relation(|one, other| self.session(one, other) || self.source[other] == Some(one))
    }
}

/// The transitive closure.
fn closed(mut before: Vec<Vec<bool>>) -> Vec<Vec<bool>> {
    for middle in 0..before.len() {
        for one in 0..before.len() {
            if before[one][middle] {
                let further = before[middle].clone();
                before[one].iter_mut().zip(further).for_each(|(known, more)| *known |= more);
            }
        }
    }
    before
}

fn cyclic(before: &[Vec<bool>]) -> bool {
    (0..before.len()).any(|at| before[at][at])
}

fn thin_air(case: &Case<'_>) -> Option<bool> {
    let versions = match case.subject {
        Value::Null => false,
        Value::String(order) if matches!(order.as_str(), "session" | "realtime") => false,
        Value::String(order) if order == "versions" => true,
        _ => return None,
    };
    let unwritten = |read: &Op| {
        let one = access(read, versions).and_then(|one| one.reads.filter(|value| !value.is_null()));
        let wrote = |op: &&Op| op.call != read.call && access(op, versions).is_some_and(|other| other.writes == one);
        one.is_some() && !case.all(read).iter().any(wrote)
    };
    let ops: Vec<&Op> = case.ops.iter().collect();
    let shows = |ops: &[&Op]| ops.iter().zip(happened(ops)).any(|(op, happened)| happened && unwritten(op));
    // Others are there to show that it took effect.
    let needed = |at: usize| {
        let rest: Vec<&Op> = ops.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, op)| *op).collect();
        !shows(&rest)
    };
    Some(case.one_workload() && shows(&ops) && (0..ops.len()).all(needed))
}

fn causes(case: &Case<'_>, broken: fn(&Run<'_>, &[Vec<bool>]) -> bool) -> Option<bool> {
    let run = Run::of(case, false)?;
    Some(case.subject.is_null() && broken(&run, &run.causal()))
}

fn co_read(run: &Run<'_>, co: &[Vec<bool>]) -> bool {
    (0..run.len()).any(|read| {
        let Some(source) = run.source[read] else { return false };
        let over = |&write: &usize| run.writes(write) && run.same_key(write, read) && write != source;
        (0..run.len()).filter(over).any(|write| co[source][write] && co[write][read])
    })
}

fn cyclic_conflicts(run: &Run<'_>, co: &[Vec<bool>]) -> bool {
    let conflict = |one: usize, other: usize| {
        one != other
            && run.writes(one)
            && (0..run.len()).any(|read| run.source[read] == Some(other) && run.same_key(one, read) && co[one][read])
    };
    cyclic(&run.relation(|one, other| co[one][other] || conflict(one, other)))
}

/// What one process can believe: beside what is before anyhow, every write of a key that is before one of its reads is
/// before the write that was read. In causal memory everything that anybody knew counts; in PRAM only sessions and what the
/// process itself read.
fn believed(case: &Case<'_>, circle: bool) -> Option<bool> {
    let run = Run::of(case, false)?;
    let pram = match case.subject.as_str()? {
        "cm" => false,
        "pram" => true,
        _ => return None,
    };
    let mut processes: Vec<u64> = run.all.iter().map(|one| one.op.process).collect();
    processes.sort_unstable();
    processes.dedup();
    Some(processes.into_iter().any(|process| {
        let mine = |at: usize| run.all[at].op.process == process;
        let known = |one: usize, other: usize| {
            run.session(one, other) || (run.source[other] == Some(one) && (!pram || mine(other)))
        };
        let mut before = run.relation(known);
        loop {
            let mut fresh = None;
            for read in (0..run.len()).filter(|&at| mine(at) && run.all[at].reads.is_some()) {
                for write in (0..run.len()).filter(|&at| run.writes(at) && run.same_key(at, read) && before[at][read]) {
                    match run.source[read] {
                        None if write != read && !circle => return true,
                        Some(source) if source != write && !before[write][source] => fresh = Some((write, source)),
                        _ => {}
                    }
                }
            }
            let Some((write, source)) = fresh else { return circle && cyclic(&before) };
            before[write][source] = true;
            before = closed(before);
        }
    }))
}

fn sessions(case: &Case<'_>) -> Option<bool> {
    ordered(case, true, false)
}

fn sessions_of_writes(case: &Case<'_>) -> Option<bool> {
    ordered(case, false, false)
}

fn sessions_of_reads(case: &Case<'_>) -> Option<bool> {
    ordered(case, false, true)
}

/// Whether what is known of the order of versions contradicts itself. Versions are named by their writes; after those, one
/// for each operation, stand the initial ones of their keys.
fn ordered(case: &Case<'_>, seen_grow: bool, writes_follow: bool) -> Option<bool> {
    let order = case.subject.as_str().filter(|order| matches!(*order, "session" | "realtime" | "versions"))?;
    let run = Run::of(case, order == "versions")?;
    let count = run.len();
    let initial = |at: usize| count + (0..count).find(|&other| run.same_key(at, other)).unwrap_or(at);
    let seen = |at: usize| run.all[at].reads.map(|_| run.source[at].unwrap_or(initial(at)));
    let mut before = vec![vec![false; 2 * count]; 2 * count];
    // The number of a version, in the reply of its write or of one of its reads.
    let number = |write: usize| {
        let knows = |at: &usize| *at == write || run.source[*at] == Some(write) && !run.writes(*at);
        (0..count).filter(knows).find_map(|at| run.all[at].version)
    };
    for at in (0..count).filter(|&at| run.writes(at)) {
        put(&mut before, initial(at), at);
        if let Some(source) = run.source[at] {
            put(&mut before, source, at);
        }
    }
    for one in 0..count {
        for other in (0..count).filter(|&other| run.same_key(one, other)) {
            let (early, late) = (&run.all[one], &run.all[other]);
            let both = run.writes(one) && run.writes(other);
            let session = run.session(one, other);
            if both && session
                || both && order == "realtime" && early.op.end() < late.op.call
                || both && number(one).zip(number(other)).is_some_and(|(one, other)| one < other)
            {
                put(&mut before, one, other);
            }
            // What a process sees does not go back: behind its own writes, or behind what it saw.
            if let Some(later) = seen(other).filter(|_| seen_grow && session) {
                let own = (run.writes(one) && case_is(case, "stale-own-write")).then_some(one);
                let earlier = seen(one).filter(|_| case_is(case, "non-monotonic-read"));
                own.into_iter().chain(earlier).for_each(|version| put(&mut before, version, later));
            }
            if let Some(read) = seen(one).filter(|&read| writes_follow && read < count)
                && run.writes(other)
                && (session || one == other)
            {
                // It may be that write itself, read before it was made.
                before[read][other] = true;
            }
        }
    }
    Some(cyclic(&closed(before)))
}

/// No version comes before itself for what was merely seen of it.
fn put(before: &mut [Vec<bool>], one: usize, other: usize) {
    before[one][other] |= one != other;
}

fn case_is(case: &Case<'_>, rule: &str) -> bool {
    case.rule == rule
}

/// Orders within the intervals, with the last k values remembered. Writes that are not shown are of values that no
/// operation shown read: without them and their readers, the last k values are no fewer.
fn not_k_atomic(case: &Case<'_>) -> Option<bool> {
    let k = usize::try_from(case.subject.as_u64()?).ok().filter(|k| *k > 0)?;
    let run = Run::of(case, false)?;
    if !case.one_object() || run.len() > MOST {
        return None;
    }
    // The largest such k; what was read before it was written breaks every one.
    let fits = |k: usize| fits(&run, k, 0, &[], &mut HashSet::new());
    Some(!fits(k) && (fits(k + 1) || !fits(MOST + 1)))
}

fn fits(run: &Run<'_>, k: usize, done: u32, last: &[usize], met: &mut HashSet<(u32, Vec<usize>)>) -> bool {
    let left = |at: &usize| done & (1 << at) == 0;
    if (0..run.len()).filter(left).count() == 0 {
        return true;
    }
    if !met.insert((done, last.to_vec())) {
        return false;
    }
    (0..run.len()).filter(left).any(|at| {
        let one = &run.all[at];
        if (0..run.len()).filter(left).any(|other| run.all[other].op.end() < one.op.call) {
            return false;
        }
        let mut next = last.to_vec();
        if run.writes(at) {
            // A compare-and-set counts as a write.
            next.push(at);
            next.drain(..next.len().saturating_sub(k));
        } else {
            let found = match run.source[at] {
                Some(source) => last.contains(&source),
                None => last.len() < k,
            };
            if !found {
                return false;
            }
        }
        fits(run, k, done | (1 << at), &next, met)
    })
}
