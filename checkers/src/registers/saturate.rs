//! What every sequential order must contain, when values are unique: program order, reads-from, and what follows: a write
//! before a read of its key is before the write that was read, and a read is before every write that comes after the one it
//! read. Repeated until nothing is new. A cycle refutes; without one there may still be no order, because the problem is
//! NP-complete (Gibbons and Korach 1997).
use super::accesses::{NONE, Run};
use super::clock::{Clock, Clocks};
use super::order::{KeyWrites, Path, Step, newer};
use super::patterns::{Bad, Stop};
use crate::graph::Digraph;
use crate::verdict::Budget;
use std::collections::HashMap;

/// What came out.
pub(crate) enum Saturated {
    /// Orders that every explanation must keep, beside program order and reads-from.
    Orders(Vec<(u32, u32, u32)>),
    /// No explanation.
    Cyclic(Bad),
}

const PROCESS: u32 = NONE;
const WR: u32 = NONE - 1;

/// An order that follows: from, to, and two accesses of which the first must be before the second for it to hold.
#[derive(Clone, Copy, Debug)]
struct Forced {
    from: u32,
    to: u32,
    because: (u32, u32),
}

struct Saturation<'a> {
    run: &'a Run,
    writes: KeyWrites,
    forced: Vec<Forced>,
    /// For an access and a session, the place of that session's last access forced before it.
    known: HashMap<(u32, u32), u32>,
    /// For each write, the last of its readers in each session.
    readers: Vec<Vec<u32>>,
}

/// Saturates. O((n + e)·k) for each repetition.
pub(crate) fn saturate(run: &Run, budget: &Budget) -> Result<Saturated, Stop> {
    let mut readers: Vec<Vec<u32>> = vec![Vec::new(); run.len()];
    let mut initial: Vec<Vec<u32>> = vec![Vec::new(); run.keys as usize];
    for at in 0..run.len() as u32 {
        let source = run.source(at);
        let list = match (source, run.at(at).reads) {
            (NONE, NONE) => continue,
            (NONE, key) => &mut initial[key as usize],
            _ => &mut readers[source as usize],
        };
        // In the order of calls: of one session the last one stays.
        list.retain(|&other| run.at(other).session != run.at(at).session);
        list.push(at);
    }
    let writes = KeyWrites::new(run);
    let mut saturation = Saturation { run, writes, forced: Vec::new(), known: HashMap::new(), readers };
    for (key, list) in initial.iter().enumerate() {
        for &reader in list {
            let first = |&(session, place): &(u32, u32)| run.sessions[session as usize][place as usize - 1];
            let firsts: Vec<u32> = saturation.writes.sessions(key as u32).iter().map(first).collect();
            for write in firsts.into_iter().filter(|write| *write != reader) {
                saturation.force(reader, write, (reader, reader));
            }
        }
    }
    saturation.repeat(budget)
}

impl Saturation<'_> {
    fn force(&mut self, from: u32, to: u32, because: (u32, u32)) {
        let place = self.run.place[from as usize];
        let known = self.known.entry((to, self.run.at(from).session)).or_insert(0);
        if *known < place {
            *known = place;
            self.forced.push(Forced { from, to, because });
        }
    }

    fn graph(&self) -> Digraph<u32> {
        let run = self.run;
        let mut edges: Vec<(u32, u32, u32)> = Vec::with_capacity(2 * run.len() + self.forced.len());
        for at in 0..run.len() as u32 {
            let session = &run.sessions[run.at(at).session as usize];
            edges.extend(session.get(run.place[at as usize] as usize).map(|next| (at, *next, PROCESS)));
            let source = run.source(at);
            if source != NONE {
                edges.push((source, at, WR));
            }
        }
        edges.extend(self.forced.iter().enumerate().map(|(label, edge)| (edge.from, edge.to, label as u32)));
        Digraph::new(run.len(), edges.iter().copied())
    }

    fn repeat(&mut self, budget: &Budget) -> Result<Saturated, Stop> {
        loop {
            let graph = self.graph();
            let Some(order) = graph.order() else { return Ok(Saturated::Cyclic(self.explain(&graph))) };
            let before = self.forced.len();
            self.pass(&order, budget)?;
            if self.forced.len() == before {
                let orders = self.forced.iter().enumerate();
                return Ok(Saturated::Orders(orders.map(|(at, edge)| (edge.from, edge.to, at as u32)).collect()));
            }
        }
    }

    /// What is before each access, and what follows from that.
    fn pass(&mut self, order: &[u32], budget: &Budget) -> Result<(), Stop> {
        let run = self.run;
        let mut into: HashMap<u32, Vec<u32>> = HashMap::new();
        self.forced.iter().for_each(|edge| into.entry(edge.to).or_default().push(edge.from));
        let mut clocks = Clocks::new(run.sessions.len());
        let mut clock: Vec<Clock> = vec![0; run.len()];
        for (number, &at) in order.iter().enumerate() {
            Stop::unless(number, || clocks.bytes() + 4 * run.len(), budget)?;
            let session = &run.sessions[run.at(at).session as usize];
            let place = run.place[at as usize] as usize;
            let mut now = if place == 1 { 0 } else { clock[session[place - 2] as usize] };
            let source = run.source(at);
            let forced = into.get(&at).map_or(&[][..], Vec::as_slice);
            for &other in forced.iter().chain(Some(&source).filter(|source| **source != NONE)) {
                let taken = clock[other as usize];
                now = clocks.join(now, taken);
                now = clocks.raise(now, run.at(other).session, run.place[other as usize]);
            }
            clock[at as usize] = now;
            if source != NONE {
                let mut found = Vec::new();
                let from = (source, clock[source as usize]);
                newer(run, &self.writes, &clocks, (at, now), from, &mut |write| found.push(write));
                found.into_iter().filter(|write| *write != source).for_each(|write| {
                    self.force(write, source, (write, at));
                });
            }
            if run.at(at).writes != NONE {
                self.readers_first(at, now, &clocks);
            }
        }
        Ok(())
    }

    /// Reads of what is before a write are before it.
    fn readers_first(&mut self, write: u32, past: Clock, clocks: &Clocks) {
        let run = self.run;
        let own = run.at(write).session;
        let mut found: Vec<(u32, u32)> = Vec::new();
        for &(session, first) in self.writes.sessions(run.at(write).key) {
            let upto = if session == own { run.place[write as usize] - 1 } else { clocks.get(past, session) };
            if upto < first {
                continue;
            }
            let Some(earlier) = self.writes.last(run.at(write).key, session, upto) else { continue };
            for &reader in &self.readers[earlier as usize] {
                let (who, place) = (run.at(reader).session, run.place[reader as usize]);
                let before = if who == own { run.place[write as usize] - 1 } else { clocks.get(past, who) };
                if reader != write && place > before {
                    found.push((reader, earlier));
                }
            }
        }
        for (reader, earlier) in found {
            self.force(reader, write, (earlier, write));
        }
    }

    fn explain(&self, graph: &Digraph<u32>) -> Bad {
        let mut cycle = Path::new();
        let mut support: Vec<u32> = Vec::new();
        let mut numbers: Vec<u32> = Vec::new();
        for (from, to, label) in graph.short_cycle() {
            let step = match label {
                PROCESS => Step::Process,
                WR => Step::Wr,
                label => {
                    numbers.push(label);
                    if self.run.at(from).writes == NONE { Step::Rw } else { Step::Ww }
                }
            };
            cycle.push((from, to, step));
        }
        let mut told: Vec<u32> = Vec::new();
        while let Some(number) = numbers.pop() {
            if told.contains(&number) {
                continue;
            }
            told.push(number);
            let edge = self.forced[number as usize];
            let (first, second) = edge.because;
            support.extend([edge.from, edge.to, first, second]);
            if first != second {
                for (from, to, label) in graph.path(first, second, |label| label >= WR || label < number) {
                    support.extend([from, to]);
                    numbers.extend(Some(label).filter(|label| *label < WR));
                }
            }
        }
        Bad::new("nonsequential", cycle, support)
    }
}
