//! Bad patterns of causal consistency and of causal convergence, on one run. Bouajjani, Enea, Guerraoui, Hamza, "On
//! verifying causal consistency", POPL 2017, tables 2 and 3, for registers whose written values are unique. A
//! compare-and-set is one access that reads and writes. A run has none of them exactly when it is consistent.
use super::accesses::{NONE, Run};
use super::order::{Causal, KeyWrites, Path, Step, newer};
use crate::graph::Digraph;
use crate::history::Op;
use crate::verdict::{Budget, FINDINGS_MAX};

/// Why a run is not what was promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    /// The field's name of the pattern.
    pub(crate) kind: &'static str,
    /// The cycle, where the pattern has one.
    pub(crate) cycle: Path,
    /// Accesses that show it: enough to find it again, not yet as few as possible.
    pub(crate) support: Vec<u32>,
}

impl Bad {
    pub(crate) fn new(kind: &'static str, cycle: Path, more: impl IntoIterator<Item = u32>) -> Bad {
        let cycle = contract(cycle);
        let mut support: Vec<u32> = cycle.iter().flat_map(|(from, to, _)| [*from, *to]).chain(more).collect();
        support.sort_unstable();
        support.dedup();
        Bad { kind, cycle, support }
    }
}

/// What ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Time,
    Memory,
}

impl Stop {
    /// The same in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Stop::Time => "the time ran out",
            Stop::Memory => "what is known to each operation does not fit into the memory that the check may use",
        }
    }

    /// Asks the budget, now and then, in a loop that did `steps` steps and holds `bytes` bytes.
    pub(crate) fn unless(step: usize, bytes: impl FnOnce() -> usize, budget: &Budget) -> Result<(), Stop> {
        match step % 1024 {
            0 if (budget.expired)() => Err(Stop::Time),
            0 if bytes() as u64 > budget.memory_bytes => Err(Stop::Memory),
            _ => Ok(()),
        }
    }
}

/// Program order is transitive: two such steps in a row are one.
pub(crate) fn contract(path: Path) -> Path {
    let mut short = Path::new();
    for step in path {
        match short.last_mut() {
            Some(last) if last.2 == Step::Process && step.2 == Step::Process && last.1 == step.0 => last.1 = step.1,
            _ => short.push(step),
        }
    }
    short
}

/// A read of a value that no call wrote: no order of any kind explains it.
pub(crate) fn thin_air(run: &Run) -> Option<Bad> {
    let mut shown = vec![run.phantom()?];
    // A compare-and-set that was never acknowledged saw it only if it happened: who observed it shows that.
    while let Some(&last) = shown.last()
        && run.at(last).end == Op::OPEN
    {
        let writes = run.at(last).writes;
        let observes = |at: &u32| !shown.contains(at) && writes != NONE && run.at(*at).reads == writes;
        let acknowledged = |at: &u32| run.at(*at).end != Op::OPEN;
        let all = || (0..run.len() as u32).filter(observes);
        match all().find(acknowledged).or_else(|| all().next()) {
            Some(observer) => shown.push(observer),
            None => break,
        }
    }
    Some(Bad::new("thin-air-read", Path::new(), shown))
}

/// The patterns of weak causal consistency (CC), at most ten reads of different keys where possible.
pub(crate) fn weak(run: &Run, writes: &KeyWrites, causal: &Causal, budget: &Budget) -> Result<Vec<Bad>, Stop> {
    let mut found: Vec<Bad> = Vec::new();
    let mut told = vec![false; run.keys as usize];
    for at in 0..run.len() as u32 {
        if at % 4096 == 0 && (budget.expired)() {
            return Err(Stop::Time);
        }
        let access = run.at(at);
        if access.reads == NONE || told[access.key as usize] {
            continue;
        }
        if let Some(bad) = bad_read(run, writes, causal, at) {
            told[access.key as usize] = true;
            found.push(bad);
            if found.len() == FINDINGS_MAX {
                break;
            }
        }
    }
    Ok(found)
}

fn bad_read(run: &Run, writes: &KeyWrites, causal: &Causal, at: u32) -> Option<Bad> {
    let access = run.at(at);
    let past = causal.clock[at as usize];
    let source = run.source(at);
    if source == NONE {
        let known = |&(session, first): &(u32, u32)| {
            let upto =
                if session == access.session { run.place[at as usize] - 1 } else { causal.clocks.get(past, session) };
            (upto >= first).then(|| run.sessions[session as usize][first as usize - 1])
        };
        let write = writes.sessions(access.key).iter().find_map(known)?;
        let mut cycle = causal.path(run, write, at);
        cycle.push((at, write, Step::Rw));
        return Some(Bad::new("write-co-init-read", cycle, []));
    }
    let mut over = None;
    newer(run, writes, &causal.clocks, (at, past), (source, causal.clock[source as usize]), &mut |write| {
        if over.is_none() && causal.before(run, source, write) {
            over = Some(write);
        }
    });
    let write = over?;
    let mut cycle = causal.path(run, write, at);
    cycle.push((at, write, Step::Rw));
    let between = causal.path(run, source, write);
    Some(Bad::new("write-co-read", cycle, between.iter().flat_map(|(from, to, _)| [*from, *to]).chain([source])))
}

/// What came out for the conflict order of causal convergence.
pub(crate) enum Converges {
    /// The ranks of an order in which everybody can agree.
    Ranks(Vec<u32>),
    /// A cycle.
    Cyclic(Bad),
}

const PROCESS: u32 = NONE;
const WR: u32 = NONE - 1;

/// The further pattern of causal convergence (CCv): a write seen-before a read must precede the write that was read, for
/// everybody. O(n·k) at worst.
pub(crate) fn convergence(run: &Run, writes: &KeyWrites, causal: &Causal, budget: &Budget) -> Result<Converges, Stop> {
    let mut edges: Vec<(u32, u32, u32)> = Vec::with_capacity(2 * run.len());
    for at in 0..run.len() as u32 {
        if at % 4096 == 0 && (budget.expired)() {
            return Err(Stop::Time);
        }
        let session = &run.sessions[run.at(at).session as usize];
        if let Some(next) = session.get(run.place[at as usize] as usize) {
            edges.push((at, *next, PROCESS));
        }
        let source = run.source(at);
        if source == NONE {
            continue;
        }
        edges.push((source, at, WR));
        let past = (at, causal.clock[at as usize]);
        newer(run, writes, &causal.clocks, past, (source, causal.clock[source as usize]), &mut |write| {
            edges.push((write, source, at));
        });
    }
    let graph = Digraph::new(run.len(), edges.iter().copied());
    drop(edges);
    if let Some(ranks) = graph.ranks() {
        return Ok(Converges::Ranks(ranks));
    }
    let mut cycle = Path::new();
    let mut support = Vec::new();
    for (from, to, label) in graph.short_cycle() {
        match label {
            PROCESS => cycle.push((from, to, Step::Process)),
            WR => cycle.push((from, to, Step::Wr)),
            reader => {
                cycle.push((from, to, Step::Ww));
                support.push(reader);
                support.extend(causal.path(run, from, reader).iter().flat_map(|(from, to, _)| [*from, *to]));
            }
        }
    }
    Ok(Converges::Cyclic(Bad::new("cyclic-cf", cycle, support)))
}
