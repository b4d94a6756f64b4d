//! [`levels`]: which levels hold exactly, for transactions whose version orders are all known (lists, or registers that
//! are read before they are written). It says yes or no, in near-linear time; examples are the checkers' business.
//!
//! With `so` the sessions' orders, `wr` reads-from, `ww` the version orders and `rw` from each reader of a version to the
//! writer of the next one, a level holds exactly if
//!
//! | level | there is no cycle of | source |
//! |---|---|---|
//! | strong-session-serializable | so, wr, ww, rw | Adya 1999; Daudjee and Salem, VLDB 2006 |
//! | strong-session-snapshot-isolation | the same without two rw in a row | Cerone and Gotsman, JACM 2018 |
//! | prefix | the same with each rw right after so or wr | Cerone, Gotsman and Yang, CONCUR 2017 |
//! | parallel-snapshot-isolation | so, wr, ww and at most one rw in all | Cerone and Gotsman, JACM 2018 |
//! | causal | so, wr, ww, nor of so and wr (at least one of them) with one rw to any later version | the same, 2017 |
//! | read-atomic | so, wr, ww, nor of one so or wr with one such rw | the same, 2017 |
//! | read-committed | so, wr, ww, nor of one wr with such a rw of a later read | Biswas and Enea, OOPSLA 2019 |
//!
//! and no read is flawed by itself. Where several transactions wrote a key blindly and no transaction read any of it, their order is
//! open; for snapshot isolation (also parallel) the answer may then be None. `serializable` and `snapshot-isolation` are the first two without so. Each row is
//! compared with an independent definition on random histories: orders of commits, and a store run step by step.
use super::weak::judge::{Level, judge};
use super::weak::matched::Matched;
use super::weak::view::{Chain, INITIAL, Versions, View};
use crate::graph::{Digraph, Edge};
use crate::verdict::Budget;
use crate::verdict::certificate::EdgeKind;

/// Whether each level holds; None where the budget ended before it was decided. Weaker ones hold wherever a stronger one
/// does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) read_committed: Option<bool>,
    pub(crate) read_atomic: Option<bool>,
    pub(crate) causal: Option<bool>,
    pub(crate) prefix: Option<bool>,
    pub(crate) parallel: Option<bool>,
    pub(crate) snapshot: Option<bool>,
    pub(crate) session_snapshot: Option<bool>,
    pub(crate) serializable: Option<bool>,
    pub(crate) session_serializable: Option<bool>,
}

impl Levels {
    /// The strongest levels that hold: those that no other level that holds implies.
    pub(crate) fn strongest(&self) -> Vec<&'static str> {
        let holds = |level: Option<bool>| level == Some(true);
        let parallel_only = holds(self.parallel) && !holds(self.session_snapshot);
        let weak =
            [(self.causal, "causal"), (self.read_atomic, "read-atomic"), (self.read_committed, "read-committed")];
        let mut names = Vec::new();
        if holds(self.session_serializable) {
            return vec!["strong-session-serializable"];
        }
        names.extend(holds(self.serializable).then_some("serializable"));
        names.extend(holds(self.session_snapshot).then_some("strong-session-snapshot-isolation"));
        let plain = holds(self.snapshot) && !holds(self.session_snapshot) && !holds(self.serializable);
        names.extend(plain.then_some("snapshot-isolation"));
        names.extend(parallel_only.then_some("parallel-snapshot-isolation"));
        let prefix_only = holds(self.prefix) && !holds(self.session_snapshot);
        names.extend(prefix_only.then_some("prefix"));
        if !parallel_only && !prefix_only && !holds(self.session_snapshot) {
            names.extend(weak.iter().find(|level| holds(level.0)).map(|level| level.1));
        }
        names
    }
}

/// Which levels hold. All version orders of the view must be known.
pub(crate) fn levels(matched: &Matched, budget: &Budget) -> Levels {
    if !matched.flaws.is_empty() {
        let no = Some(false);
        return Levels {
            read_committed: no,
            read_atomic: no,
            causal: no,
            prefix: no,
            parallel: no,
            snapshot: no,
            session_snapshot: no,
            serializable: no,
            session_serializable: no,
        };
    }
    let mut out = Levels::default();
    let edges = Edges::new(&matched.view);
    out.session_serializable = edges.acyclic(Walk::Any, true, budget);
    out.serializable = implied(out.session_serializable, || edges.acyclic(Walk::Any, false, budget));
    if out.session_serializable != Some(true) {
        out.prefix = edges.acyclic(Walk::AfterSight, true, budget);
    }
    drop(edges);
    let by = |view: &View, level: Level| judge(view, level, budget).ok().map(|broken| broken.count == 0);
    let updates = Updates::new(&matched.view);
    let snapshot = |sessions: bool| {
        let edges = |view: &View| Edges::new(view).acyclic(Walk::NoAdjacent, sessions, budget);
        updates.decide(sessions, edges)
    };
    out.session_snapshot = implied(out.session_serializable, || snapshot(true));
    let either = if out.session_snapshot == Some(true) { Some(true) } else { out.serializable };
    out.snapshot = implied(either, || snapshot(false));
    out.prefix = implied(out.session_snapshot, || out.prefix);
    out.parallel = implied(out.session_snapshot, || updates.decide(true, |view| by(view, Level::Parallel)));
    let by = |level: Level| by(&matched.view, level);
    let either = if out.parallel == Some(true) { Some(true) } else { out.prefix };
    out.causal = implied(either, || by(Level::Causal));
    out.read_atomic = implied(out.causal, || by(Level::ReadAtomic));
    out.read_committed = implied(out.read_atomic, || by(Level::ReadCommitted));
    out
}

/// A cycle that prefix consistency forbids, empty where there is none; None where the time is up. All version orders of
/// the view must be known, and no read flawed. Transactions by their numbers in the view, each once.
pub(crate) fn against_prefix(view: &View, budget: &Budget) -> Option<Vec<Edge<EdgeKind>>> {
    let edges = Edges::new(view);
    if (budget.expired)() {
        return None;
    }
    let walk = edges.graph(Walk::AfterSight, true).short_cycle();
    let walk: Vec<(u32, u32)> = walk.into_iter().map(|(from, to, ())| (from, to)).collect();
    Some(if walk.is_empty() { Vec::new() } else { simple(edges.told(&walk)) })
}

/// A part of a closed walk that meets no transaction twice, in which each rw still comes right after so or wr.
fn simple(mut walk: Vec<Edge<EdgeKind>>) -> Vec<Edge<EdgeKind>> {
    let twice = |walk: &[Edge<EdgeKind>]| {
        (0..walk.len()).find_map(|one| {
            let other = (one + 1..walk.len()).find(|&other| walk[other].0 == walk[one].0)?;
            Some((one, other))
        })
    };
    while let Some((one, other)) = twice(&walk) {
        let allowed = |part: &[Edge<EdgeKind>]| {
            let first_rw = part.first().is_some_and(|edge| edge.2 == EdgeKind::Rw);
            !first_rw || part.last().is_some_and(|edge| matches!(edge.2, EdgeKind::Wr | EdgeKind::Process))
        };
        if allowed(&walk[one..other]) {
            walk = walk[one..other].to_vec();
        } else {
            walk.drain(one..other);
        }
    }
    walk
}

/// The answer, where a stronger level holds; otherwise it has to be looked for.
fn implied(stronger: Option<bool>, decide: impl FnOnce() -> Option<bool>) -> Option<bool> {
    if stronger == Some(true) { stronger } else { decide() }
}

/// A view for the levels under which a transaction that overwrites a version must have seen it. There, versions that were never read are
/// ordered too: the one that read the last known version and wrote the key comes next, and there can be one such only. The order of
/// blind writes that were never read stays open: what holds without it may fail with it, and a single order that fits shows
/// that the level holds.
struct Updates {
    /// None where two transactions read the same version and both overwrote it.
    view: Option<View>,
    /// Whether some order is still open.
    open: bool,
}

impl Updates {
    fn new(view: &View) -> Updates {
        let mut view = view.clone();
        let mut reads: Vec<Vec<(u32, u32)>> = vec![Vec::new(); view.keys()];
        for reader in 0..view.len() as u32 {
            for read in view.reads(reader) {
                reads[read.key as usize].push((reader, read.place));
            }
        }
        let mut open = false;
        for (versions, reads) in view.versions.iter_mut().zip(reads) {
            let Some(chain) = versions.chain_mut().filter(|chain| !chain.tail.is_empty()) else { continue };
            let last = chain.writers.len() as u32;
            let mut next: Vec<u32> = reads.iter().filter(|read| read.1 == last).map(|read| read.0).collect();
            next.retain(|reader| chain.tail.binary_search(reader).is_ok());
            next.dedup();
            match next[..] {
                [] => {}
                [first] => {
                    chain.tail.retain(|&writer| writer != first);
                    chain.writers.push(first);
                }
                _ => return Updates { view: None, open: false },
            }
            open |= chain.tail.len() > 1;
        }
        Updates { view: Some(view), open }
    }

    /// Whether the level holds, where `holds` decides it for known orders; None where neither is certain.
    fn decide(&self, sessions: bool, holds: impl Fn(&View) -> Option<bool>) -> Option<bool> {
        let Some(view) = &self.view else { return Some(false) };
        let without = holds(view)?;
        if !without || !self.open {
            return Some(without);
        }
        // By call, which is nearly the order of the commits; then by what is known of all other transactions.
        let mut ordered = view.clone();
        for chain in ordered.versions.iter_mut().filter_map(Versions::chain_mut) {
            let tail = std::mem::take(&mut chain.tail);
            chain.writers.extend(tail);
        }
        if holds(&ordered)? {
            return Some(true);
        }
        let places = Edges::new(view).places_in_order(sessions)?;
        for (key, open) in view.versions.iter().enumerate() {
            let count = open.chain().map_or(0, |chain| chain.tail.len());
            if let Some(chain) = ordered.versions[key].chain_mut() {
                let start = chain.writers.len() - count;
                chain.writers[start..].sort_by_key(|&writer| places[writer as usize]);
            }
        }
        holds(&ordered)?.then_some(true)
    }
}

/// Which walks count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    /// All.
    Any,
    /// Those without two rw in a row.
    NoAdjacent,
    /// Those in which each rw comes right after so or wr.
    AfterSight,
}

/// The edges of each kind. Beyond the transactions there are places where "a reader of the last known version" meets
/// "writers after it": an rw edge ends there, and what leaves goes on as the same rw edge.
struct Edges {
    txns: u32,
    places: u32,
    session: Vec<(u32, u32)>,
    wr: Vec<(u32, u32)>,
    ww: Vec<(u32, u32)>,
    rw: Vec<(u32, u32)>,
    /// From places: to places and transactions.
    onward: Vec<(u32, u32)>,
}

impl Edges {
    fn new(view: &View) -> Edges {
        let txns = view.len() as u32;
        let (session, wr, ww, rw, onward) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut edges = Edges { txns, places: 0, session, wr, ww, rw, onward };
        let previous = view.previous();
        edges.session.extend(
            (0..txns).filter(|&txn| previous[txn as usize] != INITIAL).map(|txn| (previous[txn as usize], txn)),
        );
        let mut ends: Vec<Vec<u32>> = vec![Vec::new(); view.keys()];
        for reader in 0..txns {
            for read in view.reads(reader) {
                if read.from != INITIAL && read.from != reader {
                    edges.wr.push((read.from, reader));
                }
                let Some(chain) = view.versions[read.key as usize].chain() else { continue };
                match chain.writers[read.place as usize..].iter().find(|&&writer| writer != reader) {
                    Some(&next) => edges.rw.push((reader, next)),
                    None => ends[read.key as usize].push(reader),
                }
            }
        }
        for (versions, mut readers) in view.versions.iter().zip(ends) {
            let Some(chain) = versions.chain() else { continue };
            edges.ww.extend(chain.writers.windows(2).filter(|pair| pair[0] != pair[1]).map(|pair| (pair[0], pair[1])));
            readers.dedup();
            edges.end(chain, &readers);
        }
        edges
    }

    /// After the last known version: every reader of it precedes every writer after it, except itself.
    fn end(&mut self, chain: &Chain, readers: &[u32]) {
        let tail = &chain.tail;
        if let Some(&last) = chain.writers.last() {
            self.ww.extend(tail.iter().filter(|&&writer| writer != last).map(|&writer| (last, writer)));
        }
        if tail.len() * readers.len() <= 2 * (tail.len() + readers.len()) {
            let pairs = readers.iter().flat_map(|&reader| tail.iter().map(move |&writer| (reader, writer)));
            self.rw.extend(pairs.filter(|(reader, writer)| reader != writer));
            return;
        }
        // Places lead to all writers from one on, and to all before one.
        let first = self.txns + self.places;
        let count = tail.len() as u32;
        self.places += 2 * count;
        for at in 0..count {
            let (from, before, writer) = (first + at, first + count + at, tail[at as usize]);
            self.onward.extend([(from, writer), (before, writer)]);
            if at + 1 < count {
                self.onward.push((from, from + 1));
            }
            if at > 0 {
                self.onward.push((before, before - 1));
            }
        }
        let place_of: std::collections::HashMap<u32, u32> = tail.iter().copied().zip(0..).collect();
        for &reader in readers {
            match place_of.get(&reader) {
                None => self.rw.push((reader, first)),
                Some(&own) => {
                    if own + 1 < count {
                        self.rw.push((reader, first + own + 1));
                    }
                    if own > 0 {
                        self.rw.push((reader, first + count + own - 1));
                    }
                }
            }
        }
    }

    /// The place of each transaction in some order that fits snapshots, or else what was known to be written before; None
    /// where there is no order.
    fn places_in_order(&self, sessions: bool) -> Option<Vec<u32>> {
        let order = self.graph(Walk::NoAdjacent, sessions).order();
        let order = order.or_else(|| {
            let session = if sessions { &self.session[..] } else { &[] };
            let pairs: Vec<(u32, u32)> = session.iter().chain(&self.wr).chain(&self.ww).copied().collect();
            Digraph::of_pairs(self.txns as usize, &pairs).order()
        })?;
        let mut places = vec![0; self.txns as usize];
        for (place, node) in (0..).zip(order).filter(|(_, node)| *node < self.txns) {
            places[node as usize] = place;
        }
        Some(places)
    }

    /// Whether there is no closed walk of this kind; None where the time is up.
    fn acyclic(&self, walk: Walk, sessions: bool, budget: &Budget) -> Option<bool> {
        (!(budget.expired)()).then(|| self.graph(walk, sessions).components().acyclic())
    }

    /// A closed walk through the doubled graph of [`Walk::AfterSight`] as edges between transactions.
    fn told(&self, walk: &[(u32, u32)]) -> Vec<Edge<EdgeKind>> {
        let nodes = self.txns + self.places;
        // A walk of rw edges alone there is none, so that it meets transactions, and may begin at one.
        let start = walk.iter().position(|pair| pair.0 % nodes < self.txns).unwrap_or(0);
        let mut told: Vec<Edge<EdgeKind>> = Vec::new();
        let mut from = None;
        for &(one, other) in walk[start..].iter().chain(&walk[..start]) {
            let through = one % nodes >= self.txns;
            let begin = if through { from } else { Some(one % nodes) };
            let Some(begin) = begin else { continue };
            if other % nodes >= self.txns {
                from = Some(begin);
                continue;
            }
            from = None;
            let to = other % nodes;
            let among = |pairs: &[(u32, u32)]| pairs.contains(&(begin, to));
            let kind = match other < nodes {
                true if among(&self.session) => EdgeKind::Process,
                true => EdgeKind::Wr,
                false if !through && among(&self.ww) => EdgeKind::Ww,
                false => EdgeKind::Rw,
            };
            told.push((begin, to, kind));
        }
        told
    }

    fn graph(&self, walk: Walk, sessions: bool) -> Digraph {
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        let session = if sessions { &self.session[..] } else { &[] };
        let sight = || session.iter().chain(&self.wr).copied();
        let nodes = self.txns + self.places;
        if walk == Walk::Any {
            pairs.extend(sight().chain(self.ww.iter().chain(&self.rw).chain(&self.onward).copied()));
            return Digraph::of_pairs(nodes as usize, &pairs);
        }
        // Each transaction twice: where an rw edge may leave, and where it may not.
        let shut = |node: u32| node + nodes;
        for (from, to) in sight() {
            pairs.extend([(from, to), (shut(from), to)]);
        }
        let after_ww = |node: u32| if walk == Walk::NoAdjacent { node } else { shut(node) };
        for &(from, to) in &self.ww {
            pairs.extend([(from, after_ww(to)), (shut(from), after_ww(to))]);
        }
        pairs.extend(self.rw.iter().map(|&(from, to)| (from, shut(to))));
        pairs.extend(self.onward.iter().map(|&(from, to)| (shut(from), shut(to))));
        Digraph::of_pairs(2 * nodes as usize, &pairs)
    }
}
