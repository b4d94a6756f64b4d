//! The causal view of one session: the happened-before relation of causal memory (Bouajjani et al., POPL 2017, table
//! 4), and, on program order alone, that of PRAM (Lipton and Sandberg 1988).
//!
//! For one session, every write of a key that is before one of its reads must be before the write that was read. That may
//! put more before earlier reads, so it is repeated until nothing is new; writes are only ever added, so it ends. One run over
//! a session's reads costs about as much as following its clocks; all sessions together O(n·k) for each repetition.
use super::accesses::{NONE, Run};
use super::clock::{Clock, Clocks};
use super::order::{KeyWrites, Path, Step, newer};
use super::patterns::{Bad, Stop};
use crate::graph::Digraph;
use crate::verdict::Budget;
use std::collections::HashMap;

/// What is before an access in every view.
pub(crate) struct Base<'a> {
    /// The run.
    pub(crate) run: &'a Run,
    /// Its writes.
    pub(crate) writes: &'a KeyWrites,
    /// Blocks of the clocks.
    pub(crate) clocks: &'a Clocks,
    /// For each access what is before it, its own session excepted.
    pub(crate) clock: &'a [Clock],
    /// Whether what other sessions read counts: causal memory, not PRAM.
    pub(crate) transitive: bool,
    /// Ranks in an order that contains the base: a guess that saves looking for cycles.
    pub(crate) ranks: Option<&'a [u32]>,
    /// How it is explained why something is before an access.
    pub(crate) path: &'a dyn Fn(u32, u32) -> Path,
}

/// The clocks of PRAM: a session knows what it read from directly. The error: a session that read its own later write.
pub(crate) fn pram_clocks(run: &Run, budget: &Budget) -> Result<Result<(Clocks, Vec<Clock>), Bad>, Stop> {
    let mut clocks = Clocks::new(run.sessions.len());
    let mut clock = vec![0; run.len()];
    let mut steps = 0;
    for session in &run.sessions {
        let mut now = 0;
        for &at in session {
            Stop::unless(steps, || clocks.bytes() + 4 * run.len(), budget)?;
            steps += 1;
            let source = run.source(at);
            if source != NONE {
                let (other, place) = (run.at(source).session, run.place[source as usize]);
                if other != run.at(at).session {
                    now = clocks.raise(now, other, place);
                } else if place > run.place[at as usize] {
                    let cycle = vec![(at, source, Step::Process), (source, at, Step::Wr)];
                    return Ok(Err(Bad::new("cyclic-hb", cycle, [])));
                }
            }
            clock[at as usize] = now;
        }
    }
    Ok(Ok((clocks, clock)))
}

/// Why the first is before the second, as PRAM has it for this session.
pub(crate) fn pram_path(run: &Run, session: u32, first: u32, second: u32) -> Path {
    let mut path = Path::new();
    let (one, place) = (run.at(first).session, run.place[first as usize]);
    if one == run.at(second).session {
        path.push((first, second, Step::Process));
        return path;
    }
    let told = |&&at: &&u32| {
        let source = run.source(at);
        source != NONE && run.at(source).session == one && run.place[source as usize] >= place
    };
    let Some(&reader) = run.sessions[session as usize].iter().find(told) else { return path };
    let source = run.source(reader);
    if source != first {
        path.push((first, source, Step::Process));
    }
    path.push((source, reader, Step::Wr));
    if reader != second {
        path.push((reader, second, Step::Process));
    }
    path
}

/// A write that must be before another one, because of a read of this session.
#[derive(Clone, Copy, Debug)]
struct Forced {
    from: u32,
    to: u32,
    reader: u32,
}

/// One session's causal view: what is before its present read.
struct CausalView<'a> {
    base: &'a Base<'a>,
    session: u32,
    forced: Vec<Forced>,
    /// For a write and a session, the place of that session's last write forced before it.
    known: HashMap<(u32, u32), u32>,
    /// How much of each session is before the present read.
    now: Vec<u32>,
    /// Sessions of which more is before the present read than the base says.
    more: Vec<u32>,
    /// For each session, the steps at which forced orders brought more of it: step, place.
    log: HashMap<u32, Vec<(u32, u32)>>,
}

/// Checks the causal view of one session. `scratch` has an entry for each session, all zero, and is left so.
pub(crate) fn causal_view(
    base: &Base<'_>,
    session: u32,
    scratch: &mut Vec<u32>,
    budget: &Budget,
) -> Result<Option<Bad>, Stop> {
    let mut view = CausalView {
        base,
        session,
        forced: Vec::new(),
        known: HashMap::new(),
        now: std::mem::take(scratch),
        more: Vec::new(),
        log: HashMap::new(),
    };
    let result = view.settle(budget);
    view.now.fill(0);
    *scratch = view.now;
    result
}

impl CausalView<'_> {
    fn settle(&mut self, budget: &Budget) -> Result<Option<Bad>, Stop> {
        loop {
            self.now.fill(0);
            self.more.clear();
            self.log.clear();
            let before = self.forced.len();
            if let Some((reader, write)) = self.pass(budget)? {
                return Ok(Some(self.initial(reader, write)));
            }
            let fresh = &self.forced[before..];
            if fresh.is_empty() || !fresh.iter().any(|edge| self.late(edge)) {
                return Ok(self.cycle());
            }
        }
    }

    /// Whether what the edge puts first came later than what it puts second: earlier reads must be looked at again.
    fn late(&self, edge: &Forced) -> bool {
        let step = |write: u32| {
            let (session, place) = (self.base.run.at(write).session, self.base.run.place[write as usize]);
            if session == self.session {
                return place;
            }
            let own = &self.base.run.sessions[self.session as usize];
            let clock = |at: u32| self.base.clocks.get(self.base.clock[at as usize], session);
            let by_base = own.partition_point(|&at| clock(at) < place) as u32 + 1;
            let log = self.log.get(&session).map_or(&[][..], Vec::as_slice);
            let at = log.partition_point(|(_, known)| *known < place);
            log.get(at).map_or(by_base, |(step, _)| by_base.min(*step))
        };
        step(edge.to) < step(edge.from)
    }

    /// One run over the session's accesses; a read of an initial value that a write is before.
    fn pass(&mut self, budget: &Budget) -> Result<Option<(u32, u32)>, Stop> {
        let base = self.base;
        let mut targets: HashMap<u32, Vec<(u32, u32)>> = HashMap::new();
        for (number, edge) in self.forced.iter().enumerate() {
            let place = base.run.place[edge.to as usize];
            targets.entry(base.run.at(edge.to).session).or_default().push((place, number as u32));
        }
        targets.values_mut().for_each(|list| list.sort_unstable());
        let mut previous: Clock = 0;
        // Session, place, and whether a forced order brought it.
        let mut todo: Vec<(u32, u32, bool)> = Vec::new();
        for (step, &at) in base.run.sessions[self.session as usize].iter().enumerate() {
            if step % 1024 == 0 && (budget.expired)() {
                return Err(Stop::Time);
            }
            let clock = base.clock[at as usize];
            todo.push((self.session, step as u32 + 1, false));
            if clock != previous {
                base.clocks.diff(clock, previous, &mut |session, place, _| todo.push((session, place, false)));
            }
            while let Some(come) = todo.pop() {
                self.advance(come, (step as u32 + 1, clock), &targets, &mut todo);
            }
            previous = clock;
            if base.run.at(at).reads != NONE
                && let Some(write) = self.read(at, clock)
            {
                return Ok(Some((at, write)));
            }
        }
        Ok(None)
    }

    fn advance(
        &mut self,
        (session, place, brought): (u32, u32, bool),
        (step, clock): (u32, Clock),
        targets: &HashMap<u32, Vec<(u32, u32)>>,
        todo: &mut Vec<(u32, u32, bool)>,
    ) {
        let base = self.base;
        let old = self.now[session as usize];
        if old >= place {
            return;
        }
        self.now[session as usize] = place;
        if brought && session != self.session {
            if !self.more.contains(&session) {
                self.more.push(session);
            }
            self.log.entry(session).or_default().push((step, place));
        }
        let Some(list) = targets.get(&session) else { return };
        let first = list.partition_point(|(at, _)| *at <= old);
        for &(_, number) in list[first..].iter().take_while(|(at, _)| *at <= place) {
            let from = self.forced[number as usize].from;
            let (other, upto) = (base.run.at(from).session, base.run.place[from as usize]);
            todo.push((other, upto, true));
            let now = &self.now;
            if base.transitive || other == self.session {
                base.clocks.diff(base.clock[from as usize], clock, &mut |session, place, _| {
                    if now[session as usize] < place {
                        todo.push((session, place, true));
                    }
                });
            }
        }
    }

    /// What a read forces; a write that is before it although it saw the initial value.
    fn read(&mut self, at: u32, clock: Clock) -> Option<u32> {
        let base = self.base;
        let run = base.run;
        let key = run.at(at).key;
        let source = run.source(at);
        let now = &self.now;
        let upto = |session: u32| {
            // A compare-and-set is not before itself.
            if session == self.session { run.place[at as usize] - 1 } else { now[session as usize] }
        };
        if source == NONE {
            let known = |&&(session, first): &&(u32, u32)| upto(session) >= first;
            let (session, first) = base.writes.sessions(key).iter().find(known)?;
            return Some(run.sessions[*session as usize][*first as usize - 1]);
        }
        let mut found: Vec<u32> = Vec::new();
        let source_clock = self.clock_of(source);
        newer(run, base.writes, base.clocks, (at, clock), (source, source_clock), &mut |write| found.push(write));
        self.more.retain(|&session| now[session as usize] > base.clocks.get(clock, session));
        for &session in &self.more {
            let known = if session == run.at(source).session {
                run.place[source as usize]
            } else {
                base.clocks.get(source_clock, session)
            };
            let last = base.writes.last(key, session, now[session as usize]);
            found.extend(last.filter(|write| run.place[*write as usize] > known));
        }
        for from in found.into_iter().filter(|from| *from != source) {
            let place = run.place[from as usize];
            let known = self.known.entry((source, run.at(from).session)).or_insert(0);
            if *known < place {
                *known = place;
                self.forced.push(Forced { from, to: source, reader: at });
            }
        }
        None
    }

    /// What the base puts before an access, as this session sees it: of other sessions' accesses PRAM knows nothing.
    fn clock_of(&self, at: u32) -> Clock {
        let counts = self.base.transitive || self.base.run.at(at).session == self.session;
        if counts { self.base.clock[at as usize] } else { 0 }
    }

    fn before(&self, first: u32, second: u32) -> bool {
        let run = self.base.run;
        let (one, place) = (run.at(first).session, run.place[first as usize]);
        if one == run.at(second).session {
            return place < run.place[second as usize];
        }
        self.base.clocks.get(self.clock_of(second), one) >= place
    }

    /// A cycle of forced orders and the base.
    fn cycle(&self) -> Option<Bad> {
        let agrees =
            |ranks: &&[u32]| self.forced.iter().all(|edge| ranks[edge.from as usize] < ranks[edge.to as usize]);
        if self.forced.is_empty() || self.base.ranks.as_ref().is_some_and(agrees) {
            return None;
        }
        let (nodes, graph) = self.graph(&[]);
        let cycle = graph.short_cycle();
        if cycle.is_empty() {
            return None;
        }
        let (path, numbers) = self.steps(&nodes, cycle);
        Some(Bad::new("cyclic-hb", path, self.reasons(numbers)))
    }

    fn initial(&self, reader: u32, write: u32) -> Bad {
        let (path, numbers) = self.explain(write, reader, self.forced.len() as u32);
        let mut cycle = path;
        cycle.push((reader, write, Step::Rw));
        Bad::new("write-hb-init-read", cycle, self.reasons(numbers))
    }

    /// Forced orders and the base between their ends (and these accesses): nodes, and edges labelled with the number of the
    /// forced order, or [`NONE`].
    fn graph(&self, also: &[u32]) -> (Vec<u32>, Digraph<u32>) {
        let run = self.base.run;
        let mut nodes: Vec<u32> =
            self.forced.iter().flat_map(|edge| [edge.from, edge.to]).chain(also.iter().copied()).collect();
        nodes.sort_unstable_by_key(|&at| (run.at(at).session, run.place[at as usize]));
        nodes.dedup();
        let number = |at: u32| {
            let key = (run.at(at).session, run.place[at as usize]);
            nodes.partition_point(|&other| (run.at(other).session, run.place[other as usize]) < key) as u32
        };
        let mut edges: Vec<(u32, u32, u32)> = Vec::new();
        let mut groups: Vec<(u32, u32)> = Vec::new();
        for (at, &node) in nodes.iter().enumerate() {
            let session = run.at(node).session;
            if groups.last().is_none_or(|(last, _)| *last != session) {
                groups.push((session, at as u32));
            } else {
                edges.push((at as u32 - 1, at as u32, NONE));
            }
        }
        for (at, &node) in nodes.iter().enumerate() {
            for (which, &(session, start)) in groups.iter().enumerate() {
                if session == run.at(node).session {
                    continue;
                }
                let known = self.base.clocks.get(self.clock_of(node), session);
                let end = groups.get(which + 1).map_or(nodes.len(), |(_, next)| *next as usize);
                let own = &nodes[start as usize..end];
                let upto = own.partition_point(|&other| run.place[other as usize] <= known);
                if upto > 0 {
                    edges.push((start + upto as u32 - 1, at as u32, NONE));
                }
            }
        }
        for (label, edge) in self.forced.iter().enumerate() {
            edges.push((number(edge.from), number(edge.to), label as u32));
        }
        let graph = Digraph::new(nodes.len(), edges.iter().copied());
        (nodes, graph)
    }

    /// Why the first is before the second, by forced orders older than this: the path, and the forced orders on it.
    fn explain(&self, first: u32, second: u32, older_than: u32) -> (Path, Vec<u32>) {
        if self.before(first, second) {
            return ((self.base.path)(first, second), Vec::new());
        }
        let (nodes, graph) = self.graph(&[first, second]);
        let place = |at: u32| nodes.iter().position(|&node| node == at).unwrap_or(0) as u32;
        self.steps(&nodes, graph.path(place(first), place(second), |label| label == NONE || label < older_than))
    }

    /// The path along these edges between nodes, and the forced orders on it.
    fn steps(&self, nodes: &[u32], edges: Vec<(u32, u32, u32)>) -> (Path, Vec<u32>) {
        let mut path = Path::new();
        let mut numbers = Vec::new();
        for (from, to, label) in edges {
            let (from, to) = (nodes[from as usize], nodes[to as usize]);
            if label == NONE {
                path.extend((self.base.path)(from, to));
            } else {
                path.push((from, to, Step::Ww));
                numbers.push(label);
            }
        }
        (path, numbers)
    }

    /// Accesses that show these forced orders, and those that they rest on in turn.
    fn reasons(&self, mut numbers: Vec<u32>) -> Vec<u32> {
        let mut support = Vec::new();
        let mut told: Vec<u32> = Vec::new();
        while let Some(number) = numbers.pop() {
            if told.contains(&number) {
                continue;
            }
            told.push(number);
            let edge = self.forced[number as usize];
            support.extend([edge.from, edge.to, edge.reader]);
            let (path, more) = self.explain(edge.from, edge.reader, number);
            support.extend(path.iter().flat_map(|(from, to, _)| [*from, *to]));
            numbers.extend(more);
        }
        support
    }
}
