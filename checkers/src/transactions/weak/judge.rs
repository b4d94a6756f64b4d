//! [`judge`]: whether some commit order explains a [`View`] at a level, and if none does, short cycles that show it.
use super::causal::{Causes, SESSIONS_AS_CHAINS, Stop, causal};
use super::edges::{read_atomic, read_committed};
use super::view::{INITIAL, View};
use crate::graph::{Digraph, cycle_of_each_component};
use crate::verdict::{Budget, FINDINGS_MAX};

/// The weak levels, each stronger than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Writers come before their readers, and versions are in the order of the commits: Adya's PL-2.
    Committed,
    /// From a read on, its writer is seen as a whole.
    ReadCommitted,
    /// Writers are seen as a whole or not at all, and the own session before.
    ReadAtomic,
    /// The causal past is seen.
    Causal,
    /// The causal past is seen, and a transaction that overwrites another's write has seen it too: parallel snapshot isolation.
    /// Only where all version orders are known.
    Parallel,
}

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its session called it first.
    Session,
    /// The second read this key from the first.
    Reads(u32),
    /// The first's version of this key is known to come before the second's.
    Versions(u32),
    /// This reader read the key from the second, and by the level it sees the first, which wrote the key too.
    Forced(u32, u32),
}

/// An edge of a cycle. `to` is [`INITIAL`] where a reader saw a writer and yet read the initial version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) why: Why,
}

/// What contradicts a level; nothing, where it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contradictions {
    /// How many there are: strongly connected components of transactions, and reads of the initial version too late.
    pub(crate) count: usize,
    /// Some of them, as cycles: each link begins where the one before ended. One link alone leads to [`INITIAL`].
    pub(crate) cycles: Vec<Vec<Link>>,
}

/// Whether a commit order explains the history at this level. Linear in its size for read committed and read atomic but
/// for the overlap of what transactions write and their readers read; for causal, times the number of chains.
///
/// # Errors
/// Where the budget ended before the answer.
pub(crate) fn judge(view: &View, level: Level, budget: &Budget) -> Result<Contradictions, Stop> {
    judge_with(view, level, SESSIONS_AS_CHAINS, budget)
}

/// The same, where each session is a chain of its own if there are at most this many.
pub(crate) fn judge_with(
    view: &View,
    level: Level,
    sessions_as_chains: usize,
    budget: &Budget,
) -> Result<Contradictions, Stop> {
    let causes = (level >= Level::Causal).then(|| Causes::new(view, level == Level::Parallel));
    let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(view.len() * 4);
    given(view, |link| pairs.push((link.from, link.to)));
    let mut late: Vec<Link> = Vec::new();
    let mut late_count = 0;
    let forced = forced(view, level, sessions_as_chains, causes.as_ref(), budget, |from, to, reader, key| {
        if to == INITIAL {
            late_count += 1;
            if late.len() < FINDINGS_MAX {
                late.push(Link { from, to, why: Why::Forced(reader, key) });
            }
        } else if view.session[from as usize] != view.session[to as usize] || from > to {
            // What the session's order says already is left out.
            pairs.push((from, to));
        }
    });
    match forced {
        // The cycle is among the given edges too.
        Ok(()) | Err(Stop::Cycle) => {}
        Err(stop) => return Err(stop),
    }
    if (budget.expired)() {
        return Err(Stop::Expired);
    }
    let graph = Digraph::of_pairs(view.len(), &pairs);
    drop(pairs);
    let components = graph.components();
    drop(graph);
    let mut cycles: Vec<Vec<Link>> = late.iter().map(|link| vec![*link]).collect();
    let count = late_count + components.cyclic().len();
    if !components.acyclic() {
        cycles.extend(shown(view, level, causes.as_ref(), budget, components.sorted()));
    }
    Ok(Contradictions { count, cycles })
}

/// Edges that no level can do without: sessions, reads-from, known versions.
pub(super) fn given(view: &View, mut each: impl FnMut(Link)) {
    for (txn, previous) in view.previous().into_iter().enumerate() {
        if previous != INITIAL {
            each(Link { from: previous, to: txn as u32, why: Why::Session });
        }
        for read in view.reads(txn as u32) {
            if read.from != INITIAL && read.from != txn as u32 {
                each(Link { from: read.from, to: txn as u32, why: Why::Reads(read.key) });
            }
        }
    }
    for (key, versions) in view.versions.iter().enumerate() {
        let Some(chain) = versions.chain() else { continue };
        let why = Why::Versions(key as u32);
        for pair in chain.writers.windows(2).filter(|pair| pair[0] != pair[1]) {
            each(Link { from: pair[0], to: pair[1], why });
        }
        if let Some(&last) = chain.writers.last() {
            chain.tail.iter().filter(|&&writer| writer != last).for_each(|&to| each(Link { from: last, to, why }));
        }
    }
}

fn forced(
    view: &View,
    level: Level,
    sessions_as_chains: usize,
    causes: Option<&Causes>,
    budget: &Budget,
    mut sink: impl FnMut(u32, u32, u32, u32),
) -> Result<(), Stop> {
    match (level, causes) {
        (Level::Causal | Level::Parallel, Some(causes)) => {
            return causal(view, causes, sessions_as_chains, budget, &mut sink);
        }
        (Level::Committed, _) => {}
        (Level::ReadCommitted, _) => read_committed(view, &mut sink),
        _ => read_atomic(view, &mut sink),
    }
    Ok(())
}

/// A short cycle of each of the first strongly connected components.
fn shown(
    view: &View,
    level: Level,
    causes: Option<&Causes>,
    budget: &Budget,
    components: Vec<Vec<u32>>,
) -> Vec<Vec<Link>> {
    let mut component_of = vec![INITIAL; view.len()];
    for (number, members) in (0..).zip(components.into_iter().take(FINDINGS_MAX)) {
        members.into_iter().for_each(|txn| component_of[txn as usize] = number);
    }
    let mut inside: Vec<Link> = Vec::new();
    let mut keep = |link: Link| {
        let component = component_of[link.from as usize];
        if component != INITIAL && component == component_of[link.to as usize] {
            inside.push(link);
        }
    };
    given(view, &mut keep);
    // What ends the budget or is no order now ended it or was none before.
    let _ = forced(view, level, SESSIONS_AS_CHAINS, causes, budget, |from, to, reader, key| {
        if to != INITIAL {
            keep(Link { from, to, why: Why::Forced(reader, key) });
        }
    });
    let edges: Vec<(u32, u32)> = inside.iter().map(|link| (link.from, link.to)).collect();
    let cycles = cycle_of_each_component(view.len(), &edges).into_iter();
    cycles.map(|cycle| cycle.into_iter().map(|at| inside[at]).collect()).collect()
}
