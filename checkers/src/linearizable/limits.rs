//! How much an engine may still use, and how far it came.
use crate::verdict::Budget;

/// Why an engine stopped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The quota of steps for this turn is used up; another turn may come.
    Quota,
    /// The time is up.
    Time,
    /// It would need more memory than it may have.
    Memory,
    /// More operations are open at once than the engine can tell apart.
    Width,
}

/// What an engine may use in one turn.
pub(crate) struct Limits<'a> {
    budget: &'a Budget,
    quota: u64,
    asked: u64,
    /// The last return, by index, up to which the history was decided.
    pub(crate) furthest: u64,
}

impl<'a> Limits<'a> {
    /// So many steps, within the budget.
    pub(crate) fn new(budget: &'a Budget, quota: u64) -> Limits<'a> {
        Limits { budget, quota, asked: 0, furthest: 0 }
    }

    /// Gives the engine another turn.
    pub(crate) fn refill(&mut self, quota: u64) {
        self.quota = quota;
    }

    /// One more step, while this many bytes are held.
    pub(crate) fn step(&mut self, bytes: u64) -> Result<(), Stop> {
        if bytes > self.budget.memory_bytes {
            return Err(Stop::Memory);
        }
        self.quota = self.quota.checked_sub(1).ok_or(Stop::Quota)?;
        self.asked += 1;
        // Asking for the time is cheap, but not as cheap as a step.
        if self.asked % 1024 == 1 && (self.budget.expired)() {
            return Err(Stop::Time);
        }
        Ok(())
    }

    /// The history up to this return was explained.
    pub(crate) fn reached(&mut self, index: u64) {
        self.furthest = self.furthest.max(index);
    }
}
