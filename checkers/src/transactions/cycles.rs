//! Cycles of a dependency graph, by Adya's classes (Adya 1999; Cerone and Gotsman, JACM 2018, for what snapshot isolation
//! forbids). Whether a class of cycles exists is decided exactly, in linear time but for G-single; where the search for a
//! G-single cycle would cost too much it is named as undecided, never as absent. Examples are the shortest that a
//! bounded search meets.
mod example;
mod single;
mod views;

use super::dependencies::{DependencyGraph, Level};
use crate::graph::{Components, NONE};
use crate::verdict::Budget;
use crate::verdict::certificate::EdgeKind;
use single::Single;
use std::collections::BTreeMap;
use views::{Kinds, NoAdjacent, View};

/// Classes of cycles, from the worst on: a model that forbids one forbids those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// Writes only.
    G0,
    /// Writes and reads of what was written.
    G1c,
    /// Exactly one rw edge.
    GSingle,
    /// Several rw edges, no two of them in a row.
    GNonadjacent,
    /// Any cycle.
    G2,
}

impl Class {
    /// All, from the worst on.
    pub(crate) const ALL: [Class; 5] = [Class::G0, Class::G1c, Class::GSingle, Class::GNonadjacent, Class::G2];

    /// The anomaly's name, as Elle writes it.
    pub(crate) fn anomaly(self, level: Level) -> &'static str {
        let names: [&'static str; 3] = match self {
            Class::G0 => ["G0", "G0-process", "G0-realtime"],
            Class::G1c => ["G1c", "G1c-process", "G1c-realtime"],
            Class::GSingle => ["G-single-item", "G-single-item-process", "G-single-item-realtime"],
            Class::GNonadjacent => ["G-nonadjacent-item", "G-nonadjacent-item-process", "G-nonadjacent-item-realtime"],
            Class::G2 => ["G2-item", "G2-item-process", "G2-item-realtime"],
        };
        names[level as usize]
    }
}

/// One edge of a cycle, between transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CycleEdge {
    /// The one that comes before.
    pub from: u32,
    /// The one that comes after.
    pub to: u32,
    /// Why.
    pub kind: EdgeKind,
}

/// A cycle: each step begins where the one before ended, and no transaction is met twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    /// Its class.
    pub class: Class,
    /// Which orders it needs.
    pub level: Level,
    /// Its edges.
    pub steps: Vec<CycleEdge>,
}

/// The cycles of a dependency graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cycles {
    /// In how many components of the graph each class exists; components share no transaction with those of classes that
    /// imply theirs.
    pub components: BTreeMap<(Class, Level), u64>,
    /// Examples: of each class at most as many as were asked for.
    pub examples: Vec<Cycle>,
    /// Classes that may exist: the budget ran out.
    pub undecided: Vec<(Class, Level)>,
    /// Transactions that are in cycles of any class.
    pub transactions: u64,
}

const LEVELS: [Level; 3] = [Level::Plain, Level::Process, Level::Realtime];

/// Finds the classes of cycles that exist, with `examples` examples of each.
///
/// A class is implied by those before it and by the same at a lower level. So once components of one class are known, the
/// next is looked for among the other transactions only: what is reported beside it is a case of its own.
pub(crate) fn find(graph: &DependencyGraph, examples: usize, budget: &Budget) -> Cycles {
    let mut finder = Finder { graph, budget, examples, out: Cycles::default(), worst: Vec::new() };
    let strictest = finder.components(graph.strictest(), Kinds::ALL, None);
    if strictest.acyclic() {
        return finder.out;
    }
    let is_txn = |vertex: &&u32| **vertex < graph.txns();
    finder.out.transactions = strictest.cyclic().map(|members| members.iter().filter(is_txn).count() as u64).sum();
    // Cycles at one level lie within components of the next.
    let labels = strictest.labels();
    drop(strictest);
    let process = finder.components(Level::Process, Kinds::ALL, Some(&labels)).labels();
    let plain = finder.components(Level::Plain, Kinds::ALL, Some(&process)).labels();
    finder.worst = vec![NO_CLASS; graph.vertices() as usize];
    let levels = LEVELS.into_iter().zip([plain, process, labels]);
    for (level, labels) in levels.filter(|(level, _)| *level <= graph.strictest()) {
        finder.classify(level, labels);
    }
    finder.out
}

/// Ranks that grow along every walk without two rw edges in a row, where no such walk is closed: of each transaction as
/// reached by another edge than rw, and the later of that and as reached by rw.
pub(super) fn ranks(graph: &DependencyGraph, level: Level) -> Vec<(u32, u32)> {
    let view = View { graph, level, kinds: Kinds::ALL, labels: None };
    let of = Components::find(&NoAdjacent(view), (0..graph.txns()).rev().map(|txn| 2 * txn)).of;
    let rank = |txn: usize| (of[2 * txn], of[2 * txn].max(of[2 * txn + 1]));
    (0..graph.txns() as usize).map(rank).collect()
}

/// "No class", among numbers of classes.
const NO_CLASS: u8 = u8::MAX;

struct Finder<'g> {
    graph: &'g DependencyGraph,
    budget: &'g Budget,
    examples: usize,
    out: Cycles,
    /// Of each vertex the worst class of a component found that it is in, at this level or below.
    worst: Vec<u8>,
}

impl Finder<'_> {
    /// Later transactions first: what follows them is then known already, and paths stay short.
    fn components(&self, level: Level, kinds: Kinds, labels: Option<&[u32]>) -> Components {
        let view = View { graph: self.graph, level, kinds, labels };
        let within = |vertex: &u32| labels.is_none_or(|labels| labels[*vertex as usize] != NONE);
        Components::find(&view, (0..self.graph.txns()).rev().filter(within))
    }

    /// Finds the worst class of each component at this level.
    fn classify(&mut self, level: Level, mut labels: Vec<u32>) {
        self.explained(&mut labels, Class::G0);
        for class in [Class::G0, Class::G1c] {
            if self.expired(class, level, &labels) {
                return;
            }
            let kinds = if class == Class::G0 { Kinds::WRITES } else { Kinds::FORWARD };
            let found = self.components(level, kinds, Some(&labels));
            self.record(class, level, &found, &labels);
            drop(found);
            self.explained(&mut labels, class.next());
        }
        if self.expired(Class::GSingle, level, &labels) {
            return;
        }
        self.nonadjacent(level, &labels);
        self.explained(&mut labels, Class::G2);
        let rest = View { graph: self.graph, level, kinds: Kinds::ALL, labels: Some(&labels) };
        let within = |vertex: &u32| labels[*vertex as usize] != NONE;
        let found = Components::find(&rest, (0..self.graph.txns()).rev().filter(within));
        self.record(Class::G2, level, &found, &labels);
    }

    /// G-single and G-nonadjacent: both are cycles without two rw edges in a row.
    fn nonadjacent(&mut self, level: Level, labels: &[u32]) {
        if labels.iter().all(|&label| label == NONE) {
            return;
        }
        let view = View { graph: self.graph, level, kinds: Kinds::ALL, labels: Some(labels) };
        let roots = (0..self.graph.txns()).rev().filter(|&txn| labels[txn as usize] != NONE).map(|txn| 2 * txn);
        let walks = Components::find(&NoAdjacent(view), roots);
        if walks.acyclic() {
            return;
        }
        let walk_labels = walks.labels();
        let single = Single::decide(self.graph, level, labels, &walk_labels, self.budget);
        if !single.undecided.is_empty() {
            self.out.undecided.push((Class::GSingle, level));
        }
        let mut picked: Vec<(Class, u32)> = Vec::new();
        for (walk, members) in walks.cyclic().enumerate() {
            let class = if single.hits[walk].is_some() { Class::GSingle } else { Class::GNonadjacent };
            let bases = || members.iter().map(|vertex| vertex / 2).filter(|&base| base < self.graph.vertices());
            if class == Class::GNonadjacent && bases().any(|base| self.worst[base as usize] <= class as u8) {
                // The same exists at a lower level.
                continue;
            }
            for base in bases() {
                let worst = &mut self.worst[base as usize];
                *worst = (*worst).min(class as u8);
            }
            picked.push((class, walk as u32));
        }
        let sizes: Vec<u32> = walks.cyclic().map(|members| members.len() as u32).collect();
        picked.sort_by_key(|&(class, walk)| (class, sizes[walk as usize]));
        let mut search = example::Search::new(self.graph, level, labels, self.budget);
        for class in [Class::GSingle, Class::GNonadjacent] {
            let of_class = picked.iter().filter(|(of, _)| *of == class);
            let count = of_class.clone().count() as u64;
            if count > 0 {
                *self.out.components.entry((class, level)).or_default() += count;
            }
            let members: Vec<&[u32]> = walks.cyclic().collect();
            for (_, walk) in of_class.take(self.examples) {
                let hit = single.hits[*walk as usize];
                let found = search.walk(members[*walk as usize], &walk_labels, *walk, hit, class);
                self.out.examples.extend(found);
            }
        }
    }

    /// Counts the components and shows the smallest.
    fn record(&mut self, class: Class, level: Level, found: &Components, labels: &[u32]) {
        if found.acyclic() {
            return;
        }
        let mut order: Vec<&[u32]> = found.cyclic().collect();
        *self.out.components.entry((class, level)).or_default() += order.len() as u64;
        for vertex in order.iter().flat_map(|members| members.iter()).filter(|&&vertex| vertex < self.graph.vertices())
        {
            let worst = &mut self.worst[*vertex as usize];
            *worst = (*worst).min(class as u8);
        }
        order.sort_by_key(|members| members.len());
        let mut search = example::Search::new(self.graph, level, labels, self.budget);
        for members in order.into_iter().take(self.examples) {
            self.out.examples.extend(search.component(members, &found.of, class));
        }
    }

    /// Takes out the transactions of components found before, at which this class is implied: what is found from here on
    /// shares no transaction with them.
    fn explained(&self, labels: &mut [u32], class: Class) {
        for (label, worst) in labels.iter_mut().zip(&self.worst) {
            if *worst <= class as u8 {
                *label = NONE;
            }
        }
    }

    /// Whether time is up: what was not looked for is undecided, but that some cycle exists is known.
    fn expired(&mut self, class: Class, level: Level, labels: &[u32]) -> bool {
        if !(self.budget.expired)() || labels.iter().all(|&label| label == NONE) {
            return false;
        }
        self.out
            .undecided
            .extend(Class::ALL.into_iter().filter(|of| *of >= class && *of < Class::G2).map(|of| (of, level)));
        *self.out.components.entry((Class::G2, level)).or_default() += 1;
        true
    }
}

impl Class {
    fn next(self) -> Class {
        Class::ALL[(self as usize + 1).min(Class::ALL.len() - 1)]
    }
}
