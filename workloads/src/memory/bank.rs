//! Accounts in memory. They begin with the balances that the workload tells its clients.
use super::{ChangeEffect, Store, entry, every};
use crate::client::CallResult;
use crate::codes::{MALFORMED, NOT_FOUND, PRECONDITION};
use dsfuzz_checkers::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The accounts of one bank.
#[derive(Default)]
pub(super) struct Bank {
    now: BTreeMap<Arc<str>, i64>,
    /// The account that the last transfer took from, and what it held before.
    before: Option<(Arc<str>, i64)>,
    /// Accounts may be overdrawn.
    overdraft: bool,
}

impl Bank {
    /// The bank of these parameters.
    pub(super) fn of(params: &Value) -> Bank {
        let mut bank = Bank::default();
        if let Some(Value::Map(balances)) = entry(params, "balances") {
            bank.now = balances.iter().filter_map(|(account, held)| Some((account.clone(), held.as_int()?))).collect();
        }
        bank.overdraft = entry(params, "negative_balances") == Some(&Value::Bool(true));
        bank
    }
}

impl Store {
    /// All balances. A stale read mixes two states: it shows the account that the last transfer took from as it was before.
    pub(super) fn read_bank(&mut self) -> CallResult {
        let stale = every(&mut self.reads, self.faults.stale_every);
        let Bank { now, before, .. } = &self.bank;
        let old = |account: &Arc<str>| before.as_ref().filter(|(from, _)| stale && from == account);
        let shown = |(account, held): (&Arc<str>, &i64)| {
            (account.clone(), Value::Int(old(account).map_or(*held, |(_, before)| *before)))
        };
        CallResult::Ok(Value::Map(now.iter().map(shown).collect()))
    }

    /// A lost transfer takes the money and gives it to no account.
    pub(super) fn transfer(&mut self, transfer: &Value) -> CallResult {
        let account = |end| entry(transfer, end).map(|account| Arc::<str>::from(account.to_string()));
        let amount = entry(transfer, "amount").and_then(Value::as_int);
        let (Some(from), Some(to), Some(amount)) = (account("from"), account("to"), amount) else {
            return MALFORMED.because("a transfer needs {from, to, amount}");
        };
        let (Some(held), true) = (self.bank.now.get(&from).copied(), self.bank.now.contains_key(&to)) else {
            return NOT_FOUND.because("no such account");
        };
        if held < amount && !self.bank.overdraft && !self.unchecked() {
            return PRECONDITION.because("not enough money");
        }
        let fate = self.fate();
        if !matches!(fate, ChangeEffect::InfoUndone) {
            *self.bank.now.entry(from.clone()).or_default() -= amount;
            self.bank.before = Some((from, held));
        }
        if !matches!(fate, ChangeEffect::InfoUndone | ChangeEffect::Lost) {
            *self.bank.now.entry(to).or_default() += amount;
        }
        fate.answer()
    }
}
