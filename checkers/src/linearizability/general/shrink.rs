//! Makes a counterexample small. Only what the model says may be removed is removed, later replies are forgotten, and
//! every step is checked: what is left is a contradiction by itself.
use super::super::decide::DecisionOptions;
use super::super::shrink::remove_pieces;
use super::{Decision, Operation, Refutation, exact, without_order};
use crate::history::Op;
use crate::models::Model;
use crate::verdict::Budget;
use std::collections::HashSet;

/// Steps that one check of a candidate may take.
const STEPS: u64 = 8_000;
/// The same where the search looks ahead, and as many more for each operation: it knows soon or not at all.
const STEPS_AHEAD: u64 = 500;
const STEPS_AHEAD_EACH: u64 = 10;
/// Steps, about, that all checks together may take, and as many more for each operation there is at first.
const EFFORT: u64 = 400_000;
const EFFORT_EACH: u64 = 60;
/// What each operation beyond `LARGE` adds to the cost of a check: with many clients it is the larger part.
const LARGE: u64 = 64;
const LARGE_EACH: u64 = 40;

/// The smallest contradiction found, by call.
pub(crate) fn shrink<M: Model>(
    model: &M,
    operations: &[Operation<M::Action>],
    refutation: &Refutation,
    budget: &Budget,
) -> Vec<Operation<M::Action>> {
    let mut shrinker = Shrinker {
        model,
        operations: Vec::new(),
        budget,
        effort: 0,
        most: EFFORT + EFFORT_EACH * operations.len() as u64,
    };
    // Values of a container go as a whole, so their takes have to be certain.
    let items = operations.first().is_some_and(|operation| model.container_action(&operation.action).is_some());
    let named: Option<HashSet<u64>> = refutation.among.as_ref().map(|calls| calls.iter().copied().collect());
    let named =
        named.map(|calls| operations.iter().filter(|operation| calls.contains(&operation.call)).cloned().collect());
    let found = named.is_some_and(|candidate: Vec<Operation<M::Action>>| shrinker.accept(candidate));
    if !found {
        // Known already, even if to show it again takes more steps than there are.
        shrinker.operations = if items { operations.to_vec() } else { until(model, operations, refutation.until) };
    }
    shrinker.run();
    // What is left may be refuted earlier than the whole was.
    let found = shrinker.operations.clone();
    if let Some(refutation) = shrinker.refuted(&found).filter(|_| !items) {
        let refutation = exact(model, &found, refutation, DecisionOptions::of(budget));
        let shorter = until(model, &shrinker.operations, refutation.until);
        if shorter.len() < shrinker.operations.len() && shrinker.accept(shorter) {
            shrinker.run();
        }
    }
    shrinker.operations
}

/// The history up to this return: later calls never happened, what is open then may have happened or not, but if it did,
/// then with the reply that it got.
pub(super) fn until<M: Model>(model: &M, operations: &[Operation<M::Action>], index: u64) -> Vec<Operation<M::Action>> {
    let cut = |operation: &Operation<M::Action>| match operation.end > index {
        true if model.observes_only(&operation.action) => None,
        true => Some(Operation { end: Op::OPEN, ..operation.clone() }),
        false => Some(operation.clone()),
    };
    operations.iter().filter(|operation| operation.call < index).filter_map(cut).collect()
}

struct Shrinker<'a, M: Model> {
    model: &'a M,
    operations: Vec<Operation<M::Action>>,
    budget: &'a Budget,
    effort: u64,
    most: u64,
}

impl<M: Model> Shrinker<'_, M> {
    fn tired(&self) -> bool {
        self.effort > self.most || (self.budget.expired)()
    }

    fn refuted(&mut self, operations: &[Operation<M::Action>]) -> Option<Refutation> {
        let count = operations.len() as u64;
        self.effort += 3 * count + 500 + LARGE_EACH * count.saturating_sub(LARGE);
        let ahead = operations.iter().any(|operation| self.model.needs_state(&operation.action));
        let steps = if ahead { STEPS.min(STEPS_AHEAD + STEPS_AHEAD_EACH * count) } else { STEPS };
        match without_order(self.model, operations, DecisionOptions { steps, ..DecisionOptions::of(self.budget) }) {
            Decision::Refuted(refutation) => Some(refutation),
            Decision::Linearizable(_) => None,
            Decision::GaveUp(..) => {
                self.effort += STEPS;
                None
            }
        }
    }

    /// Takes the candidate when it is certainly a contradiction too.
    fn accept(&mut self, candidate: Vec<Operation<M::Action>>) -> bool {
        let refuted = !candidate.is_empty() && self.refuted(&candidate).is_some();
        if refuted {
            self.operations = candidate;
        }
        refuted
    }

    /// Removes groups until nothing more can go.
    fn run(&mut self) {
        loop {
            let before = self.operations.len();
            remove_pieces(self, Self::tired, Self::groups, |shrinker, groups| {
                let part: HashSet<usize> = groups.iter().flatten().copied().collect();
                let rest = shrinker.operations.iter().enumerate().filter(|(place, _)| !part.contains(place));
                let candidate = rest.map(|(_, operation)| operation.clone()).collect();
                shrinker.accept(candidate)
            });
            if self.operations.len() == before || self.tired() {
                return;
            }
        }
    }

    fn groups(&self) -> Vec<Vec<usize>> {
        let actions: Vec<&M::Action> = self.operations.iter().map(|operation| &operation.action).collect();
        self.model.removable(&actions)
    }
}
