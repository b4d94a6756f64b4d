//! [`Started`]: the numbers of what all workers have called for so far, in that order.
use std::sync::{Mutex, PoisonError};

/// A call asks about one of this number that were called for last.
pub(crate) const RECENT: u64 = 8;

/// Transactions or sagas by number.
#[derive(Default)]
pub(crate) struct Started(Mutex<Vec<i64>>);

impl Started {
    /// Keeps a number.
    pub(crate) fn push(&self, number: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(number);
    }

    /// The number this many before the last one; the first where there are fewer, and 1 where there is none.
    pub(crate) fn recent(&self, back: u64) -> i64 {
        let numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.iter().rev().nth(back as usize).or(numbers.first()).copied().unwrap_or(1)
    }

    /// All numbers.
    pub(crate) fn all(&self) -> Vec<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
