//! [`BudgetPoll`]: whether a check may go on, asked in loops that grow with the history.
use crate::verdict::Budget;

/// Steps after which the budget is asked.
const STEPS: u64 = 4096;

/// How far a check came, and whether its time is up.
pub(crate) struct BudgetPoll<'b> {
    budget: &'b Budget,
    stride: u64,
    done: u64,
    next: u64,
    over: bool,
}

impl<'b> BudgetPoll<'b> {
    /// For steps that are short, such as one operation.
    pub(crate) fn new(budget: &'b Budget) -> BudgetPoll<'b> {
        BudgetPoll { budget, stride: STEPS, done: 0, next: 0, over: false }
    }

    /// For steps that are long, such as all that a fault met: the budget is asked before each.
    pub(crate) fn each(budget: &'b Budget) -> BudgetPoll<'b> {
        BudgetPoll { stride: 1, ..BudgetPoll::new(budget) }
    }

    /// Whether the time is up before this number of further steps; else they count as done.
    pub(crate) fn over(&mut self, steps: usize) -> bool {
        if !self.over && self.done >= self.next {
            self.over = (self.budget.expired)();
            self.next = self.done + self.stride;
        }
        if !self.over {
            self.done += steps as u64;
        }
        self.over
    }

    /// How far it came, where the time was up.
    pub(crate) fn reason(&self, all: usize, what: &str) -> Option<String> {
        self.over.then(|| format!("The time was up after {} of {all} {what}.", self.done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn the_budget_is_asked_now_and_then_and_stays_used_up() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let expired = Arc::new(move || count.fetch_add(1, Ordering::Relaxed) == 2);
        let budget = Budget { expired, ..Budget::unlimited() };
        let mut poll = BudgetPoll::new(&budget);
        assert_eq!(poll.reason(9, "operations"), None);
        let done = (0..10_000).take_while(|_| !poll.over(1)).count();
        assert_eq!((done, asked.load(Ordering::Relaxed)), (8192, 3));
        assert!(poll.over(1));
        assert_eq!(
            poll.reason(10_000, "operations").as_deref(),
            Some("The time was up after 8192 of 10000 operations.")
        );
    }
}
