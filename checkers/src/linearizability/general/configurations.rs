//! Breadth first: everything that can have happened, return by return.
//!
//! Just-in-time linearization (Lowe, Concurrency and Computation 29, 2017): a configuration is a state, which of the open
//! operations have taken effect, and what was spent of unknown outcome; at each return only what is needed to bring that
//! operation about is linearised. Where nothing is left, no order explains the returns so far. The relaxed form lets each operation
//! of unknown outcome happen any number of times: what it refutes is refuted, what it explains is not decided.
use crate::linearizability::limits::{EngineAnswer, Limits, Stop};
use crate::linearizability::space::{Bits, Least, Plan, Space, Spent, Table};
use crate::models::Model;
use std::collections::VecDeque;

/// Configurations at one return from which on the relaxed form gives up: it may have no end.
const RELAXED: usize = 3_000;

/// A configuration: the state, the operations done, the set spent.
type Configuration = (u32, u64, u32);

/// All configurations after some returns; can be continued.
pub(crate) struct Configurations {
    plan: Plan,
    relaxed: bool,
    /// Configurations at one return from which on it gives up.
    widest: usize,
    bits_of: Bits,
    spent_of: Spent,
    /// Definite operations called and not returned.
    open: Vec<u32>,
    called: usize,
    passed: usize,
    /// After the last return that was passed, in the order in which they were found.
    settled: Vec<Configuration>,
    /// At the present return: found, and not followed yet.
    todo: VecDeque<Configuration>,
    seen: Table<(u32, u64), Least>,
    sets: u64,
    done: Vec<Configuration>,
    started: bool,
}

impl Configurations {
    /// The one configuration before everything.
    pub(crate) fn new(plan: Plan, relaxed: bool) -> Configurations {
        Configurations {
            relaxed,
            widest: if relaxed { RELAXED } else { usize::MAX },
            bits_of: Bits::new(plan.width),
            spent_of: Spent::new(),
            open: Vec::new(),
            called: 0,
            passed: 0,
            settled: vec![(0, 0, 0)],
            todo: VecDeque::new(),
            seen: Table::default(),
            sets: 0,
            done: Vec::new(),
            started: false,
            plan,
        }
    }

    /// Gives up where more configurations than this are possible at one return.
    pub(crate) fn no_wider_than(mut self, widest: usize) -> Configurations {
        self.widest = widest;
        self
    }

    /// Goes on until there is an answer or the turn is over. In the relaxed form, `Stop::Width` stands for "not refuted".
    pub(crate) fn run<M: Model>(
        &mut self,
        space: &mut Space<'_, M>,
        limits: &mut Limits<'_>,
        others: u64,
    ) -> Result<EngineAnswer, Stop> {
        while self.passed < self.plan.returns.len() {
            if !self.started {
                self.start(space);
            }
            while let Some(configuration) = self.todo.pop_front() {
                if let Err(stop) = limits.step(self.bytes() + space.bytes() + others) {
                    self.todo.push_front(configuration);
                    return Err(stop);
                }
                // What it leads to costs as much as it does.
                let found = self.follow(space, configuration);
                limits.charge(found);
                if self.seen.len() > self.widest {
                    return Err(Stop::Width);
                }
            }
            if !self.finish() {
                return Ok(EngineAnswer::Refuted(self.plan.end(self.passed)));
            }
            limits.reached(self.plan.end(self.passed));
            self.passed += 1;
        }
        if self.relaxed { Err(Stop::Width) } else { Ok(EngineAnswer::Linearizable(None)) }
    }

    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> u64 {
        let held = (self.settled.len() + self.todo.len() + self.done.len()) as u64 * 16;
        held + self.sets * 72 + self.spent_of.bytes() + self.bits_of.bytes()
    }

    /// The states that were possible after the last return that could be explained, and the calls that had taken effect
    /// of those then open.
    pub(crate) fn possible(&self) -> Vec<(u32, Vec<u64>)> {
        let done = |bits: u64| {
            let taken = self.open.iter().filter(|&&at| self.bits_of.has(bits, self.plan.slot[at as usize]));
            taken.map(|&at| self.plan.definite[at as usize].call).collect()
        };
        let mut states: Vec<(u32, Vec<u64>)> =
            self.settled.iter().map(|(state, bits, _)| (*state, done(*bits))).collect();
        states.sort();
        states.dedup();
        states
    }

    fn start<M: Model>(&mut self, space: &mut Space<'_, M>) {
        self.started = true;
        let bound = self.plan.end(self.passed);
        while self.plan.definite.get(self.called).is_some_and(|step| step.call < bound) {
            self.open.push(self.called as u32);
            self.called += 1;
        }
        self.seen.clear();
        self.sets = 0;
        for at in 0..self.settled.len() {
            let (state, bits, spent) = self.settled[at];
            let bits = self.observe(space, state, bits);
            self.found((state, bits, spent));
        }
    }

    /// The operations done once all observations that fit are.
    fn observe<M: Model>(&mut self, space: &mut Space<'_, M>, state: u32, mut bits: u64) -> u64 {
        for &at in &self.open {
            let (step, slot) = (self.plan.definite[at as usize], self.plan.slot[at as usize]);
            if step.observes && !self.bits_of.has(bits, slot) && space.step(state, step.action).is_some() {
                bits = self.bits_of.flip(bits, slot);
            }
        }
        bits
    }

    fn found(&mut self, configuration: Configuration) {
        let (state, bits, spent) = configuration;
        if self.seen.entry((state, bits)).or_default().add(spent, &self.spent_of) {
            self.sets += 1;
            let returning = self.plan.slot[self.plan.returns[self.passed] as usize];
            match self.bits_of.has(bits, returning) {
                true => self.done.push(configuration),
                // In the order of how much was done: what spent less comes first.
                false => self.todo.push_back(configuration),
            }
        }
    }

    /// One more operation, in every way; tells in how many.
    fn follow<M: Model>(&mut self, space: &mut Space<'_, M>, (state, bits, spent): Configuration) -> u64 {
        // Something that spent less may have come since.
        if !self.seen.get(&(state, bits)).is_some_and(|least| least.has(spent)) {
            return 0;
        }
        let mut found = 0;
        for place in 0..self.open.len() {
            let at = self.open[place] as usize;
            let (step, slot) = (self.plan.definite[at], self.plan.slot[at]);
            if step.observes || self.bits_of.has(bits, slot) {
                continue;
            }
            if let Some(next) = space.step(state, step.action) {
                let bits = self.bits_of.flip(bits, slot);
                let bits = self.observe(space, next, bits);
                self.found((next, bits, spent));
                found += 1;
            }
        }
        let bound = self.plan.end(self.passed);
        for kind in 0..self.plan.kinds.len() as u32 {
            let (action, calls) = &self.plan.kinds[kind as usize];
            let used = if self.relaxed { 0 } else { self.spent_of.count(spent, kind) as usize };
            if calls.get(used).is_some_and(|&call| call < bound)
                && let Some(next) = space.step(state, *action)
                && next != state
            {
                let spent = if self.relaxed { 0 } else { self.spent_of.with(spent, kind) };
                let bits = self.observe(space, next, bits);
                self.found((next, bits, spent));
                found += 1;
            }
        }
        found
    }

    /// Passes the return, if anything explains it.
    fn finish(&mut self) -> bool {
        if self.done.is_empty() {
            return false;
        }
        let returning = self.plan.returns[self.passed];
        let slot = self.plan.slot[returning as usize];
        self.settled.clear();
        for (state, bits, spent) in std::mem::take(&mut self.done) {
            if self.seen.get(&(state, bits)).is_some_and(|least| least.has(spent)) {
                self.settled.push((state, self.bits_of.flip(bits, slot), spent));
            }
        }
        self.open.retain(|&at| at != returning);
        self.started = false;
        true
    }
}
