//! Rows in memory that are inserted only where no row of their key is.
use super::{ChangeEffect, Store};
use crate::client::CallResult;
use crate::codes::EXISTS;
use dsfuzz_checkers::Value;

impl Store {
    pub(super) fn insert(&mut self, key: &Value) -> CallResult {
        if self.inserted.contains(key) && !self.unchecked() {
            return EXISTS.because("a row of this key is there");
        }
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            self.inserted.insert(key.clone());
        }
        fate.answer()
    }
}
