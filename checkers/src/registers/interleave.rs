//! Looks for one order of all accesses that keeps each session's own order and explains every read: by one quick dive, which
//! may miss it, or by an exact search that never looks at the same state twice.
use super::accesses::{Access, NONE, Run};
use crate::history::Op;
use crate::verdict::Budget;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An order.
    Order,
    /// That there is none.
    Nothing,
    /// Nothing: time, memory or steps ran out.
    GaveUp,
}

/// When a write would best take effect: where the zone of its value begins (Gibbons and Korach 1997), by index. The order
/// that this gives explains a linearizable run.
fn points(run: &Run) -> Vec<u64> {
    let mut zones: Vec<(u64, u64)> = vec![(Op::OPEN, 0); run.writer.len()];
    let mut stretch = |value: u32, access: &Access| {
        if value != NONE {
            let zone = &mut zones[value as usize];
            *zone = (zone.0.min(access.end), zone.1.max(access.call));
        }
    };
    for access in &run.accesses {
        stretch(access.reads, access);
        stretch(access.writes, access);
    }
    run.accesses
        .iter()
        .map(|access| match access.writes {
            NONE => access.call,
            value => zones[value as usize].0.min(zones[value as usize].1),
        })
        .collect()
}

/// The quick dive, for unique values: always the write whose point comes first among those that spoil no read. Accesses at
/// the end of an edge wait for the one at its beginning. O(n log n).
pub(crate) fn dive(run: &Run, edges: &[(u32, u32, u32)]) -> bool {
    Dive::new(run, edges).run()
}

struct Dive<'a> {
    run: &'a Run,
    point: Vec<u64>,
    /// How many accesses of each session are done.
    done: Vec<u32>,
    /// What each key holds.
    held: Vec<u32>,
    /// For each value, its reads to come.
    unread: Vec<u32>,
    /// For each access, edges that it waits for; and who waits for it.
    before: Vec<u32>,
    after: Vec<Vec<u32>>,
    /// Sessions that wait for a value, and for the last read of what a key holds.
    for_value: Vec<Vec<u32>>,
    for_key: Vec<Vec<u32>>,
    writes: BinaryHeap<Reverse<(u64, u32, u32)>>,
    left: usize,
}

impl<'a> Dive<'a> {
    fn new(run: &'a Run, edges: &[(u32, u32, u32)]) -> Dive<'a> {
        let mut unread = vec![0; run.writer.len()];
        run.accesses.iter().filter(|access| access.reads != NONE).for_each(|one| unread[one.reads as usize] += 1);
        let mut before = vec![0; run.len()];
        let mut after = vec![Vec::new(); if edges.is_empty() { 0 } else { run.len() }];
        for (from, to, _) in edges {
            before[*to as usize] += 1;
            after[*from as usize].push(*to);
        }
        Dive {
            run,
            point: points(run),
            done: vec![0; run.sessions.len()],
            held: (0..run.keys).collect(),
            unread,
            before,
            after,
            for_value: vec![Vec::new(); run.writer.len()],
            for_key: vec![Vec::new(); run.keys as usize],
            writes: BinaryHeap::new(),
            left: run.len(),
        }
    }

    fn run(mut self) -> bool {
        let mut awake: Vec<u32> = (0..self.run.sessions.len() as u32).collect();
        loop {
            while let Some(session) = awake.pop() {
                self.look(session, &mut awake);
            }
            let Some(Reverse((_, session, done))) = self.writes.pop() else { return self.left == 0 };
            if self.done[session as usize] != done {
                continue;
            }
            let at = self.run.sessions[session as usize][done as usize];
            if self.ready(session, at) {
                self.take(session, at, &mut awake);
            }
        }
    }

    /// Does reads that fit, and puts a session where it will be found again.
    fn look(&mut self, session: u32, awake: &mut Vec<u32>) {
        let done = self.done[session as usize];
        let Some(&at) = self.run.sessions[session as usize].get(done as usize) else { return };
        if self.ready(session, at) {
            if self.run.at(at).writes == NONE {
                self.take(session, at, awake);
            } else {
                self.writes.push(Reverse((self.point[at as usize], session, done)));
            }
        }
    }

    /// Whether it can be done now; otherwise the session waits for what is missing.
    fn ready(&mut self, session: u32, at: u32) -> bool {
        let access = self.run.at(at);
        let held = self.held[access.key as usize];
        if self.before[at as usize] > 0 {
            return false;
        }
        if access.reads != NONE && access.reads != held {
            self.for_value[access.reads as usize].push(session);
            return false;
        }
        let own = u32::from(access.reads != NONE);
        if access.writes != NONE && self.unread[held as usize] > own {
            self.for_key[access.key as usize].push(session);
            return false;
        }
        true
    }

    fn take(&mut self, session: u32, at: u32, awake: &mut Vec<u32>) {
        let access = *self.run.at(at);
        self.done[session as usize] += 1;
        self.left -= 1;
        if access.reads != NONE {
            self.unread[access.reads as usize] -= 1;
            if self.unread[access.reads as usize] <= 1 {
                awake.append(&mut self.for_key[access.key as usize]);
            }
        }
        if access.writes != NONE {
            self.held[access.key as usize] = access.writes;
            awake.append(&mut self.for_value[access.writes as usize]);
            awake.append(&mut self.for_key[access.key as usize]);
        }
        if let Some(after) = self.after.get_mut(at as usize) {
            for other in std::mem::take(after) {
                self.before[other as usize] -= 1;
                if self.before[other as usize] == 0 {
                    awake.push(self.run.at(other).session);
                }
            }
        }
        awake.push(session);
    }
}

/// The exact search. `unique`: every value is written once, so a write must wait for all reads of what it replaces.
/// Accesses without an end may be left out when values repeat; otherwise somebody saw them.
pub(crate) fn search(run: &Run, unique: bool, steps: u64, budget: &Budget) -> Found {
    let must = |access: &&Access| unique || access.end != Op::OPEN;
    let mut unread = vec![0; run.writer.len()];
    for access in run.accesses.iter().filter(|access| access.reads != NONE && unique) {
        unread[access.reads as usize] += 1;
    }
    let mut search = Search {
        run,
        unique,
        point: points(run),
        done: vec![0; run.sessions.len()],
        held: (0..run.keys).collect(),
        unread,
        left: run.accesses.iter().filter(must).count(),
        trail: Vec::new(),
    };
    search.run(steps, budget)
}

struct Search<'a> {
    run: &'a Run,
    unique: bool,
    point: Vec<u64>,
    done: Vec<u32>,
    held: Vec<u32>,
    unread: Vec<u32>,
    left: usize,
    /// What was done: session, and what the key held before.
    trail: Vec<(u32, u32)>,
}

/// A state whose successors are being tried.
struct Frame {
    trail: usize,
    choices: Vec<u32>,
}

impl Search<'_> {
    fn run(&mut self, steps: u64, budget: &Budget) -> Found {
        let mut seen: HashSet<Box<[u32]>> = HashSet::new();
        let mut frames: Vec<Frame> = Vec::new();
        let size = 4 * (self.done.len() + self.held.len()) as u64 + 64;
        let mut step = 0u64;
        loop {
            self.reads();
            if self.left == 0 {
                return Found::Order;
            }
            step += 1;
            if step > steps
                || (step.is_multiple_of(256) && (budget.expired)())
                || (seen.len() + frames.len()) as u64 * size > budget.memory_bytes
            {
                return Found::GaveUp;
            }
            let state: Box<[u32]> = self.done.iter().chain(&self.held).copied().collect();
            let choices = if seen.insert(state) { self.choices() } else { Vec::new() };
            frames.push(Frame { trail: self.trail.len(), choices });
            loop {
                let Some(frame) = frames.last_mut() else { return Found::Nothing };
                let (trail, choice) = (frame.trail, frame.choices.pop());
                self.undo(trail);
                if let Some(session) = choice {
                    self.take(session);
                    break;
                }
                frames.pop();
            }
        }
    }

    fn head(&self, session: u32) -> Option<&Access> {
        let at = *self.run.sessions[session as usize].get(self.done[session as usize] as usize)?;
        Some(self.run.at(at))
    }

    /// Reads that fit change nothing: they are done at once.
    fn reads(&mut self) {
        let mut again = true;
        while again {
            again = false;
            for session in 0..self.done.len() as u32 {
                while let Some(access) = self.head(session)
                    && access.writes == NONE
                    && access.reads == self.held[access.key as usize]
                {
                    self.take(session);
                    again = true;
                }
            }
        }
    }

    /// Sessions whose next write can be done, the best one last.
    fn choices(&self) -> Vec<u32> {
        let fits = |session: &u32| {
            self.head(*session).is_some_and(|access| {
                let held = self.held[access.key as usize];
                let own = u32::from(access.reads != NONE);
                access.writes != NONE
                    && (access.reads == NONE || access.reads == held)
                    && (!self.unique || self.unread[held as usize] <= own)
            })
        };
        let mut choices: Vec<u32> = (0..self.done.len() as u32).filter(fits).collect();
        let point = |session: &u32| {
            let at = self.run.sessions[*session as usize][self.done[*session as usize] as usize];
            self.point[at as usize]
        };
        choices.sort_by_key(|session| Reverse((point(session), *session)));
        choices
    }

    fn take(&mut self, session: u32) {
        let at = self.run.sessions[session as usize][self.done[session as usize] as usize];
        let access = self.run.at(at);
        let held = &mut self.held[access.key as usize];
        self.trail.push((session, *held));
        if access.writes != NONE {
            *held = access.writes;
        }
        if access.reads != NONE && self.unique {
            self.unread[access.reads as usize] -= 1;
        }
        self.left -= usize::from(self.unique || access.end != Op::OPEN);
        self.done[session as usize] += 1;
    }

    fn undo(&mut self, trail: usize) {
        while self.trail.len() > trail
            && let Some((session, held)) = self.trail.pop()
        {
            self.done[session as usize] -= 1;
            let at = self.run.sessions[session as usize][self.done[session as usize] as usize];
            let access = self.run.at(at);
            self.held[access.key as usize] = held;
            if access.reads != NONE && self.unique {
                self.unread[access.reads as usize] += 1;
            }
            self.left += usize::from(self.unique || access.end != Op::OPEN);
        }
    }
}
