//! Rows in memory, each with the value of a clock that ticks with every row.
use super::{ChangeEffect, Store, every};
use crate::client::CallResult;
use dsfuzz_checkers::Value;

/// The number of rows that a stale timestamp lies behind.
const BEHIND: i64 = 20;

/// The rows, in the order in which they were added.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<(Value, i64)>,
    largest: i64,
}

impl Store {
    pub(super) fn read_rows(&mut self) -> CallResult {
        let row = |(value, stamp): &(Value, i64)| Value::list([value.clone(), Value::Int(*stamp)]);
        CallResult::Ok(Value::list(self.table.rows.iter().map(row)))
    }

    /// Adds a row, with the largest value plus one if the call brings none. A stale read of the clock gives a row the time of one
    /// that is long there.
    pub(super) fn add_row(&mut self, value: &Value) -> CallResult {
        let fate = self.fate();
        let value = if value.is_nil() { Value::Int(self.table.largest + 1) } else { value.clone() };
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            let now = self.table.rows.len() as i64 * 2;
            let stale = every(&mut self.reads, self.faults.stale_every);
            let stamp = if stale { now - 2 * BEHIND - 1 } else { now };
            self.table.largest = self.table.largest.max(value.as_int().unwrap_or(0));
            self.table.rows.push((value.clone(), stamp));
        }
        match fate {
            ChangeEffect::Done | ChangeEffect::Lost => CallResult::Ok(value),
            other => other.answer(),
        }
    }
}
