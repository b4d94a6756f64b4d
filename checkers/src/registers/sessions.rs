//! Session guarantees (Terry et al., "Session guarantees for weakly consistent replicated data", PDIS 1994), key by key:
//! `read-your-writes`, `monotonic-reads`, `monotonic-writes`, `writes-follow-reads`. A session is a process.
//!
//! Reads `read`, `write` and `cas` with `[from, to]`; with `versions: true` a read answers `[version, value]` and a write its
//! version, an integer that grows with every write of the key. **Definite** means: there is no order of the versions of a
//! key under which every session was given what was promised. What is known of that order: a compare-and-set follows what it
//! replaced; two writes of one process to one key follow each other as called; with `order: realtime`, a write that ended
//! before another began comes first (so it is with one primary for a key, not with last-write-wins by wall clocks that
//! may be skewed); with versions, all of it. Everything else is free.
//! Of monotonic-writes and writes-follow-reads a reader sees only a reversal, and that may be the reader's own going back:
//! where an order exists only as long as readers may go back, the answer is Unknown with the evidence `writes-seen-reversed`.
//!
//! Findings: `thin-air-read`, `stale-own-write`, `non-monotonic-read`, `non-monotonic-write`, `write-before-read`. Unknown:
//! nothing acknowledged, repeated values, `order: realtime` on a history without it. O(n log n).
use super::accesses::{NONE, Run, beginnings, parse_with, workloads};
use super::explain::{Words, shrink, violation};
use super::observed::session_seen;
use super::order::{Path, Step};
use super::patterns::{Bad, Stop, thin_air};
use super::{Answer, Needs, Part, verdict};
use crate::graph::Digraph;
use crate::history::{History, NameId, Op};
use crate::initial::{Beginnings, FromInitial, Initial};
use crate::value::Value;
use crate::verdict::certificate::{Claim, Edge};
use crate::verdict::{Budget, Verdict};
use std::collections::HashMap;

/// What a session is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// A read sees the session's own last write of the key, or a newer one.
    ReadYourWrites,
    /// A read sees what an earlier read of the session saw, or something newer.
    MonotonicReads,
    /// Writes of a session to a key are ordered as they were called.
    MonotonicWrites,
    /// A write is newer than whatever its session had read of the key.
    WritesFollowReads,
}

/// Judges one session guarantee.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionGuarantee {
    pub(super) promise: Promise,
    /// Whether a write that ended before another one of its key began has the older version. Otherwise only what sessions and
    /// compare-and-sets say of the order of versions is known.
    pub(super) realtime: bool,
    /// Whether replies carry versions.
    pub(super) versions: bool,
}

impl SessionGuarantee {
    fn kind(&self) -> &'static str {
        match self.promise {
            Promise::ReadYourWrites => "stale-own-write",
            Promise::MonotonicReads => "non-monotonic-read",
            Promise::MonotonicWrites => "non-monotonic-write",
            Promise::WritesFollowReads => "write-before-read",
        }
    }
}

/// Why one version is not newer than another.
#[derive(Clone, Copy, Debug)]
enum Why {
    Cas,
    Session,
    Realtime,
    Version,
    /// A read that followed the session's own write.
    Own(u32),
    /// Two reads of a session.
    Forward(u32, u32),
    /// A read that came before the session's write.
    Follows(u32),
}

/// Versions and what is known of their order. Nodes: accesses, then the initial version of each key, then helpers that
/// stand for many edges at once.
struct Versions<'a> {
    run: &'a Run,
    edges: Vec<(u32, u32, u32)>,
    why: Vec<Why>,
    nodes: u32,
}

const HELPER: u32 = NONE;

impl<'a> Versions<'a> {
    fn new(run: &'a Run) -> Versions<'a> {
        let mut versions = Versions { run, edges: Vec::new(), why: Vec::new(), nodes: run.len() as u32 + run.keys };
        for (at, access) in run.accesses.iter().enumerate().filter(|(_, access)| access.writes != NONE) {
            versions.edges.push((versions.initial(access.key), at as u32, HELPER));
        }
        versions
    }

    fn initial(&self, key: u32) -> u32 {
        self.run.len() as u32 + key
    }

    fn helper(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    fn edge(&mut self, from: u32, to: u32, why: Why) {
        if from != to {
            self.edges.push((from, to, self.why.len() as u32));
            self.why.push(why);
        }
    }

    /// The version that an access saw, if it saw one.
    fn seen(&self, at: u32) -> Option<u32> {
        let access = self.run.at(at);
        match self.run.source(at) {
            NONE if access.reads == NONE => None,
            NONE => Some(self.initial(access.key)),
            source => Some(source),
        }
    }

    /// How many bytes it takes, with the graph that is made of it.
    fn bytes(&self) -> usize {
        let edge = size_of::<(u32, u32, u32)>() + 2 * size_of::<u32>();
        self.edges.len() * edge + self.why.len() * size_of::<Why>() + self.nodes as usize * 4 * size_of::<u32>()
    }

    fn sessions(&mut self, promise: Promise, forward: bool, budget: &Budget) -> Result<(), Stop> {
        let mut steps = 0;
        let run = self.run;
        let mut last_write: HashMap<u32, u32> = HashMap::new();
        let mut last_read: HashMap<u32, u32> = HashMap::new();
        // For each key a helper that is after everything the session has read of it.
        let mut read: HashMap<u32, u32> = HashMap::new();
        for session in &run.sessions {
            last_write.clear();
            last_read.clear();
            read.clear();
            for &at in session {
                Stop::unless(steps, || self.bytes(), budget)?;
                steps += 1;
                let access = run.at(at);
                let key = access.key;
                if let Some(seen) = self.seen(at) {
                    if let Some(&own) = last_write.get(&key).filter(|_| promise == Promise::ReadYourWrites) {
                        self.edge(own, seen, Why::Own(at));
                    }
                    let earlier = last_read.insert(key, at).filter(|_| forward);
                    if let Some((earlier, before)) = earlier.and_then(|one| Some((one, self.seen(one)?))) {
                        self.edge(before, seen, Why::Forward(earlier, at));
                    }
                    if promise == Promise::WritesFollowReads && seen < run.len() as u32 {
                        let helper = self.helper();
                        self.edge(seen, helper, Why::Follows(at));
                        let before = read.insert(key, helper);
                        self.edges.extend(before.map(|before| (before, helper, HELPER)));
                    }
                }
                if access.writes != NONE {
                    if let Some(before) = last_write.insert(key, at) {
                        self.edge(before, at, Why::Session);
                    }
                    self.edges.extend(read.get(&key).map(|helper| (*helper, at, HELPER)));
                    if run.source(at) != NONE {
                        self.edge(run.source(at), at, Why::Cas);
                    }
                }
            }
        }
        Ok(())
    }

    /// Of each key: a line of helpers, one for each end of a write.
    fn realtime(&mut self) {
        let run = self.run;
        let mut moments: Vec<(u32, u64, bool, u32)> = Vec::new();
        for (at, access) in run.accesses.iter().enumerate().filter(|(_, access)| access.writes != NONE) {
            moments.push((access.key, access.call, false, at as u32));
            moments.push((access.key, access.end, true, at as u32));
        }
        moments.retain(|(_, index, ..)| *index != Op::OPEN);
        moments.sort_unstable();
        let mut line: Option<(u32, u32)> = None;
        for (key, _, end, at) in moments {
            let before = line.filter(|(same, _)| *same == key).map(|(_, helper)| helper);
            if end {
                let helper = self.helper();
                self.edge(at, helper, Why::Realtime);
                self.edges.extend(before.map(|before| (before, helper, HELPER)));
                line = Some((key, helper));
            } else {
                self.edges.extend(before.map(|before| (before, at, HELPER)));
            }
        }
    }

    fn numbered(&mut self, version: &HashMap<u32, i64>) {
        let run = self.run;
        let mut known: HashMap<u32, i64> = HashMap::new();
        for (at, access) in run.accesses.iter().enumerate() {
            let Some(&number) = version.get(&access.op) else { continue };
            let write = if access.writes != NONE { at as u32 } else { run.source(at as u32) };
            if write != NONE {
                known.entry(write).or_insert(number);
            }
        }
        let mut order: Vec<(u32, i64, u32)> =
            known.iter().map(|(write, number)| (run.at(*write).key, *number, *write)).collect();
        order.sort_unstable();
        for pair in order.windows(2) {
            if pair[0].0 == pair[1].0 && pair[0].1 < pair[1].1 {
                self.edge(pair[0].2, pair[1].2, Why::Version);
            }
        }
    }

    /// A cycle, told by accesses.
    fn cycle(&self, kind: &'static str) -> Option<Bad> {
        let mut around = Digraph::new(self.nodes as usize, self.edges.iter().copied()).short_cycle();
        if around.is_empty() {
            return None;
        }
        let real = |node: u32| node < self.run.len() as u32;
        let start = around.iter().position(|(from, ..)| real(*from)).unwrap_or(0);
        around.rotate_left(start);
        let mut cycle = Path::new();
        let mut support: Vec<u32> = Vec::new();
        let mut from = around.first().map_or(0, |(from, ..)| *from);
        let mut why = None;
        let mut by_initial = false;
        for (_, to, label) in around {
            why = why.or(self.why.get(label as usize));
            if !real(to) {
                by_initial |= to < self.run.len() as u32 + self.run.keys;
                continue;
            }
            match (by_initial, why) {
                (true, Some(Why::Own(read))) => cycle.extend([(from, *read, Step::Process), (*read, to, Step::Rw)]),
                (true, Some(Why::Forward(one, two))) => {
                    cycle.extend([(from, *one, Step::Wr), (*one, *two, Step::Process), (*two, to, Step::Rw)])
                }
                (_, Some(Why::Cas)) => cycle.push((from, to, Step::Wr)),
                (_, Some(Why::Session)) => cycle.push((from, to, Step::Process)),
                (_, Some(Why::Realtime)) => cycle.push((from, to, Step::Realtime)),
                _ => cycle.push((from, to, Step::Ww)),
            }
            match why {
                Some(Why::Own(read) | Why::Follows(read)) => support.push(*read),
                Some(Why::Forward(one, two)) => support.extend([*one, *two]),
                _ => {}
            }
            (from, why, by_initial) = (to, None, false);
        }
        Some(Bad::new(kind, cycle, support))
    }
}

impl SessionGuarantee {
    fn judge(
        &self,
        run: &Run,
        numbers: &HashMap<u32, i64>,
        forward: bool,
        budget: &Budget,
    ) -> Result<Option<Bad>, Stop> {
        if let Some(bad) = thin_air(run) {
            return Ok(Some(bad));
        }
        let mut versions = Versions::new(run);
        versions.sessions(self.promise, forward || self.promise == Promise::MonotonicReads, budget)?;
        if self.realtime {
            versions.realtime();
        }
        versions.numbered(numbers);
        Stop::unless(0, || versions.bytes(), budget)?;
        Ok(versions.cycle(if forward { "writes-seen-reversed" } else { self.kind() }))
    }

    fn answer(&self, history: &History, run: &Run, numbers: &HashMap<u32, i64>, budget: &Budget) -> Answer {
        self.told(history, run, numbers, budget).unwrap_or_else(|stop| Answer::Unknown(stop.words().to_owned()))
    }

    fn told(&self, history: &History, run: &Run, numbers: &HashMap<u32, i64>, budget: &Budget) -> Result<Answer, Stop> {
        let words = Words { reason, claim: self.claim(), versions: self.versions };
        let told = |forward: bool| {
            let Some(bad) = self.judge(run, numbers, forward, budget)? else { return Ok(None) };
            // A few operations, whatever the time.
            let quick = Budget::unlimited();
            let find = |run: &Run| self.judge(run, numbers, forward, &quick).ok().flatten();
            let small = shrink(run, &bad.support, &find);
            Ok(small.map(|(small, bad)| violation(history, &small, &bad, &words)))
        };
        if let Some(violation) = told(false)? {
            return Ok(Answer::Broken(vec![violation.finding(history)]));
        }
        let observed = matches!(self.promise, Promise::MonotonicWrites | Promise::WritesFollowReads);
        Ok(match if observed { told(true)? } else { None } {
            None => Answer::Kept,
            Some(violation) => {
                let finding = violation.evidence().with_certificate(None).finding(history);
                let why = "readers saw writes in another order: either this promise or monotonic reads was broken";
                Answer::Doubtful(why.to_owned(), vec![finding])
            }
        })
    }

    fn claim(&self) -> fn(&Bad, Vec<Edge>) -> Claim {
        fn with(bad: &Bad, order: &str) -> Claim {
            Claim::Rule { rule: bad.kind.to_owned(), subject: Value::text(order) }
        }
        match (self.versions, self.realtime) {
            (true, _) => |bad, _| with(bad, "versions"),
            (_, true) => |bad, _| with(bad, "realtime"),
            _ => |bad, _| with(bad, "session"),
        }
    }
}

fn reason(kind: &str) -> &'static str {
    match kind {
        "thin-air-read" => "a read returned a value that no call wrote",
        "stale-own-write" => "a process read a version older than one it had written itself",
        "non-monotonic-read" => "a process read a version older than one it had read before",
        "non-monotonic-write" => "a process' later write has the older version",
        "write-before-read" => "a write has an older version than one that its process had read before",
        _ => "readers saw versions in an order that contradicts how they were written",
    }
}

impl FromInitial for SessionGuarantee {
    fn name(&self) -> &str {
        match self.promise {
            Promise::ReadYourWrites => "read-your-writes",
            Promise::MonotonicReads => "monotonic-reads",
            Promise::MonotonicWrites => "monotonic-writes",
            Promise::WritesFollowReads => "writes-follow-reads",
        }
    }

    /// A guarantee to each session, unless versions are ordered by real time.
    fn needs_realtime(&self) -> bool {
        self.realtime
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads(history)
    }

    fn check_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict {
        let part = |workload| {
            let parsed = parse_with(history, workload, self.versions, initial);
            let answer = if self.realtime && !history.realtime {
                Answer::Unknown("the history says nothing about real time".to_owned())
            } else if (budget.expired)() {
                Answer::Unknown("the time ran out".to_owned())
            } else {
                self.answer(history, &parsed.run, &parsed.versions, budget)
            };
            Part { workload, parsed, answer }
        };
        let promise = match self.promise {
            Promise::ReadYourWrites => "such that every process reads its own writes",
            Promise::MonotonicReads => "such that no process reads backwards",
            Promise::MonotonicWrites => "such that writes of a process stay in order",
            Promise::WritesFollowReads => "such that writes follow what their process had read",
        };
        let missing = match self.promise {
            Promise::ReadYourWrites => "No process read a key that it had written",
            Promise::MonotonicReads => "No process read a key again of which it had read a written value",
            Promise::MonotonicWrites => "Of no key that a process wrote twice was the order of two versions seen",
            Promise::WritesFollowReads => {
                "Of no key that a process wrote after it had read what was written was the order of two versions seen"
            }
        };
        let needs = Needs { seen: &|parsed| session_seen(parsed, self.promise), missing };
        verdict(self.name(), promise, needs, history, workloads(history).into_iter().map(part).collect())
    }

    fn beginnings(&self, history: &History) -> Beginnings {
        beginnings(history, self.versions)
    }
}
