//! Accounts and transfers between them: `transfer` moves money, `read` shows the balances of all accounts at once.
//!
//! A worker draws the function, the two accounts and the amount from its own stream of the seed; nothing depends on replies.
//! Never: moves money from an account to itself, or changes what all accounts hold together.
use crate::client::{Call, CallResult};
use crate::doc::WorkloadDoc;
use crate::names::object;
use crate::workload::{FinalCall, Generator, Next, Part, Workload, WorkloadSpec};
use dsfuzz_checkers::{Options, Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "bank",
    object: "bank",
    doc: "Accounts: transfer money between two, read the balances of all at once; judged by bank (wrong total, negative balance).",
    reads: Reads::Balances,
    checkers: &["bank"],
};

/// Most accounts: each is in every reply.
const ACCOUNTS_MAX: u32 = 10_000;

/// Options of the bank workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "BankWorkloadOptions")] // The checker has its own BankOptions.
pub struct BankOptions {
    /// How many accounts there are: 0, 1, and so on.
    pub accounts: u32,
    /// What all accounts hold together. At the beginning it is spread evenly over them.
    pub total: u32,
    /// The largest amount of a transfer; the smallest is 1.
    pub max_transfer: u32,
    /// Accounts may be overdrawn. Otherwise a client must refuse such a transfer, and the checker reports a negative balance.
    pub negative_balances: bool,
    /// Over how many tables (or keys, or whatever else the target has) the accounts are spread: account a is in number a modulo this.
    /// Left out: one table holds all. As many as accounts: each account has its own.
    pub tables: Option<u32>,
    /// How often each function comes, relative to the other.
    pub mix: BankMix,
}

impl Default for BankOptions {
    fn default() -> BankOptions {
        BankOptions {
            accounts: 8,
            total: 100,
            max_transfer: 5,
            negative_balances: false,
            tables: None,
            mix: BankMix::default(),
        }
    }
}

/// Relative weights of the functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BankMix {
    /// Reads of all accounts.
    pub read: u32,
    /// Transfers.
    pub transfer: u32,
}

impl Default for BankMix {
    fn default() -> BankMix {
        BankMix { read: 1, transfer: 1 }
    }
}

impl BankOptions {
    /// What an account holds at the beginning: even shares, and one more for the first ones where they do not come out even.
    fn initial(&self, account: u32) -> i64 {
        let accounts = self.accounts.max(1);
        i64::from(self.total / accounts) + i64::from(account < self.total % accounts)
    }
}

impl WorkloadSpec for BankOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        build(self)
    }

    fn blind(&self) -> Option<&'static str> {
        (self.mix.transfer == 0).then_some("the mix has reads only, so that no money would be moved")
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        let mistake = |option, message: String| Some((option, message));
        let BankOptions { accounts, total, max_transfer, negative_balances, tables, mix } = self;
        match () {
            () if mix.read == 0 && mix.transfer == 0 => {
                mistake("mix", "every weight is 0: no call would be made".to_owned())
            }
            () if *accounts < 2 => {
                mistake("accounts", format!("a transfer needs two accounts, and there would be {accounts}"))
            }
            () if *accounts > ACCOUNTS_MAX => mistake(
                "accounts",
                format!("{accounts} accounts; at most {ACCOUNTS_MAX}, because each read returns them all"),
            ),
            () if *max_transfer == 0 => mistake("max_transfer", "no money would be moved; at least 1".to_owned()),
            () if *total == 0 && !negative_balances => {
                mistake("total", "there would be no money to move; at least 1, or `negative_balances: true`".to_owned())
            }
            () if tables.is_some_and(|tables| tables == 0 || tables > *accounts) => mistake(
                "tables",
                format!("{} tables for {accounts} accounts; from 1 to as many as accounts", tables.unwrap_or(0)),
            ),
            () => None,
        }
    }
}

/// The workload with these options.
fn build(options: &BankOptions) -> Box<dyn Workload> {
    let names = CallNames { workload: DOC.name.into(), read: "read".into(), transfer: "transfer".into() };
    let keys = ["from", "to", "amount"].map(Arc::from);
    Box::new(Accounts { options: options.clone(), names, keys })
}

/// The names that calls carry. Calls share them, so that no call allocates one.
#[derive(Clone)]
struct CallNames {
    workload: Arc<str>,
    read: Arc<str>,
    transfer: Arc<str>,
}

impl CallNames {
    fn call(&self, f: &Arc<str>, value: Value) -> Call {
        Call { workload: self.workload.clone(), f: f.clone(), key: Value::Nil, value }
    }
}

struct Accounts {
    options: BankOptions,
    names: CallNames,
    /// The keys of a transfer's argument.
    keys: [Arc<str>; 3],
}

impl Accounts {
    /// The generator of a worker with these weights of reads and transfers.
    fn calls(&self, weights: [u64; 2], seed: u64, worker: u32) -> Box<dyn Generator> {
        Box::new(BankCalls {
            rng: Rng::new(seed, "worker", u64::from(worker)),
            weights,
            accounts: u64::from(self.options.accounts.max(2)),
            max_transfer: u64::from(self.options.max_transfer.max(1)),
            names: self.names.clone(),
            keys: self.keys.clone(),
            choice: None,
        })
    }

    fn weights(&self) -> [u64; 2] {
        [self.options.mix.read, self.options.mix.transfer].map(u64::from)
    }
}

impl Workload for Accounts {
    fn name(&self) -> Arc<str> {
        self.names.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        // The final read needs `read`, whatever its weight.
        let transfers = self.options.mix.transfer > 0;
        [transfers.then(|| self.names.transfer.clone()), Some(self.names.read.clone())].into_iter().flatten().collect()
    }

    fn generator(&self, seed: u64, worker: u32, _workers: u32) -> Box<dyn Generator> {
        self.calls(self.weights(), seed, worker)
    }

    fn part(&self, part: Part, seed: u64, worker: u32, _workers: u32) -> Option<Box<dyn Generator>> {
        let [read, transfer] = self.weights();
        let weights = match part {
            Part::Reads => [read, 0],
            Part::Others => [0, transfer],
        };
        (weights != [0, 0]).then(|| self.calls(weights, seed, worker))
    }

    fn settle(&self) -> Vec<FinalCall> {
        vec![self.names.call(&self.names.read, Value::Nil).into()]
    }

    fn params(&self) -> Value {
        let accounts = 0..self.options.accounts;
        let balance = |account: u32| (Arc::from(account.to_string()), Value::Int(self.options.initial(account)));
        object([
            ("accounts", Value::list(accounts.clone().map(|account| Value::Int(i64::from(account))))),
            ("balances", Value::Map(accounts.map(balance).collect())),
            ("total", Value::Int(i64::from(self.options.total))),
            ("max_transfer", Value::Int(i64::from(self.options.max_transfer))),
            ("negative_balances", Value::Bool(self.options.negative_balances)),
            ("tables", Value::Int(i64::from(self.options.tables.unwrap_or(1)))),
        ])
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["bank"]
    }

    fn checker_options(&self, checker: &str) -> Options {
        if checker != "bank" {
            return Options::default();
        }
        let total = Value::Int(i64::from(self.options.total));
        let negative_balances = Value::Bool(self.options.negative_balances);
        Options(BTreeMap::from([("total".to_owned(), total), ("negative_balances".to_owned(), negative_balances)]))
    }
}

#[derive(Clone, Copy)]
enum Choice {
    Read,
    Transfer { from: u64, to: u64, amount: u64 },
}

/// The calls of one worker.
struct BankCalls {
    rng: Rng,
    /// Of reads and transfers.
    weights: [u64; 2],
    accounts: u64,
    max_transfer: u64,
    names: CallNames,
    keys: [Arc<str>; 3],
    /// The choice that `next` shows until `taken` consumes it.
    choice: Option<Choice>,
}

impl BankCalls {
    fn draw(&mut self) -> Option<Choice> {
        if self.rng.weighted(&self.weights)? == 0 {
            return Some(Choice::Read);
        }
        let from = self.rng.below(self.accounts);
        // Any account but that one.
        let to = (from + 1 + self.rng.below(self.accounts - 1)) % self.accounts;
        Some(Choice::Transfer { from, to, amount: 1 + self.rng.below(self.max_transfer) })
    }
}

impl Generator for BankCalls {
    fn next(&mut self) -> Next {
        if self.choice.is_none() {
            self.choice = self.draw();
        }
        Next::Call(match self.choice {
            None => return Next::Done,
            Some(Choice::Read) => self.names.call(&self.names.read, Value::Nil),
            Some(Choice::Transfer { from, to, amount }) => {
                let parts = [from, to, amount].map(|part| Value::Int(part as i64));
                self.names.call(&self.names.transfer, Value::Map(self.keys.iter().cloned().zip(parts).collect()))
            }
        })
    }

    fn taken(&mut self) {
        self.choice = None;
    }

    fn observe(&mut self, _call: &Call, _answer: &CallResult) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    fn parts(call: &Call) -> Option<[i64; 3]> {
        let Value::Map(entries) = &call.value else { return None };
        assert_eq!(entries.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["from", "to", "amount"]);
        Some([0, 1, 2].map(|place| entries[place].1.as_int().expect("an integer")))
    }

    fn next_call(generator: &mut dyn Generator) -> Call {
        let next = generator.next();
        assert_eq!(generator.next(), next, "asking consumes nothing");
        generator.taken();
        match next {
            Next::Call(call) => call,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let workload = build(&BankOptions::default());
        let mut lines = String::new();
        for worker in 0..2 {
            let mut generator = workload.generator(7, worker, 2);
            for _ in 0..12 {
                let call = next_call(&mut *generator);
                let parts = parts(&call).map_or(String::new(), |[from, to, amount]| format!(" {from}>{to}:{amount}"));
                write!(lines, "{}{parts}, ", &call.f[..1]).expect("writing to a string");
            }
            lines.push('\n');
        }
        assert_eq!(lines, GOLDEN);
    }

    const GOLDEN: &str = "\
t 5>7:3, r, t 7>4:3, t 6>2:4, r, t 3>6:5, r, r, r, t 6>1:4, t 4>3:3, t 5>0:4, \n\
r, r, t 3>7:5, t 0>6:2, r, t 4>6:2, r, t 0>4:3, r, t 1>4:3, t 3>6:3, r, \n";

    #[test]
    fn transfers_stay_within_the_options_and_reach_every_account_and_amount() {
        let workload = build(&BankOptions { accounts: 3, max_transfer: 2, ..BankOptions::default() });
        let mut generator = workload.part(Part::Others, 7, 0, 1).expect("transfers");
        let mut seen: Vec<[i64; 3]> =
            (0..500).map(|_| parts(&next_call(&mut *generator)).expect("a transfer")).collect();
        seen.sort_unstable();
        seen.dedup();
        let all = |from: i64| [1, 2].map(move |step| (from + step) % 3).into_iter().map(move |to| (from, to));
        let mut expected: Vec<[i64; 3]> =
            (0..3).flat_map(all).flat_map(|(from, to)| [[from, to, 1], [from, to, 2]]).collect();
        expected.sort_unstable();
        assert_eq!(seen, expected);
        let mut reads = workload.part(Part::Reads, 7, 0, 1).expect("reads");
        assert!((0..50).all(|_| &*next_call(&mut *reads).f == "read"));
    }

    #[test]
    fn clients_and_the_checker_are_told_the_total_and_what_each_account_holds() {
        let options = BankOptions { accounts: 3, total: 8, negative_balances: true, ..BankOptions::default() };
        let workload = build(&options);
        let expected = object([
            ("accounts", Value::list([0, 1, 2].map(Value::Int))),
            ("balances", object([("0", Value::Int(3)), ("1", Value::Int(3)), ("2", Value::Int(2))])),
            ("total", Value::Int(8)),
            ("max_transfer", Value::Int(5)),
            ("negative_balances", Value::Bool(true)),
            ("tables", Value::Int(1)),
        ]);
        assert_eq!(workload.params(), expected);
        let given = workload.checker_options("bank");
        assert_eq!(given.0["total"], Value::Int(8));
        assert_eq!(given.0["negative_balances"], Value::Bool(true));
        assert!(dsfuzz_checkers::checker_with("bank", &given).is_ok());
        assert_eq!(workload.checker_options("set"), Options::default());
    }

    #[test]
    fn options_that_move_no_money_are_mistakes() {
        let read_only = BankMix { read: 1, transfer: 0 };
        let nothing = BankMix { read: 0, transfer: 0 };
        let default = BankOptions::default;
        let cases = [
            (BankOptions { accounts: 1, ..default() }, Some("accounts")),
            (BankOptions { accounts: 10_001, ..default() }, Some("accounts")),
            (BankOptions { total: 0, ..default() }, Some("total")),
            (BankOptions { total: 0, negative_balances: true, ..default() }, None),
            (BankOptions { max_transfer: 0, ..default() }, Some("max_transfer")),
            (BankOptions { tables: Some(0), ..default() }, Some("tables")),
            (BankOptions { tables: Some(8), ..default() }, None),
            (BankOptions { tables: Some(9), ..default() }, Some("tables")),
            (BankOptions { mix: nothing, ..default() }, Some("mix")),
            (BankOptions { mix: read_only.clone(), ..default() }, None),
            (default(), None),
        ];
        for (options, expected) in cases {
            assert_eq!(options.mistake().map(|(option, _)| option), expected, "{options:?}");
        }
        assert!(BankOptions { mix: read_only, ..default() }.blind().is_some() && default().blind().is_none());
    }
}
