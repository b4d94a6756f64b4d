//! `bank`: transfers between accounts never change the sum of all balances, and no balance falls below zero.
//!
//! Reads are `read` (or `txn`) with an object `account -> balance` as reply, a list of the balances of accounts 0, 1, ...,
//! or a list of `["r", account, balance]`;
//! everything else in the workload, usually `transfer` with `{from, to, amount}`, moves money and makes none. Only
//! acknowledged reads are judged, each by itself: a read is one snapshot, so the sum holds whatever was in flight. The
//! total is the option `total`, of each bank: each key is a bank of its own, whose transfers may have other keys; without it two reads that disagree refute each other. A list that does not name all
//! accounts has no total to keep; an object always stands for all of them, and an account it lacks has nothing.
//!
//! Findings, by Jepsen's names: `wrong-total`, `negative-value` (unless allowed), `unexpected-key` (an account that the
//! first read lacks and no transfer names), `nil-balance`. Unknown: no read to judge, one read and no `total`, a reply that
//! is no table of balances, another function in the workload, or no transfer that may have taken effect. Judged are the workloads with `transfer`; where there
//! is none, those whose reads reply with objects of numbers.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::{Group, at, by_key, name_of, object, unknown_functions, workloads_where, workloads_with};
use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{History, NameId, Op, Outcome};
use crate::options::schema;
use crate::value::{Kind, Value, ValueRef};
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::verdict::{Report, Violation};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::collections::HashSet;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "bank",
    doc: "Transfers never change the sum of all balances, and no balance falls below zero.",
    cost: "near-linear",
    judges: Judges::calls(&["transfer"], &["read", "txn"]),
    options: schema::<Bank>,
    build: from_options::<Bank>,
};

/// Judges workloads that move money between accounts. Its fields are the options.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "BankOptions")]
pub(crate) struct Bank {
    /// What all accounts hold together. Left out: reads are compared with each other.
    total: Option<i64>,
    /// Accounts may be overdrawn.
    negative_balances: bool,
}

/// The balances in a reply.
enum Balances<'h> {
    /// All accounts.
    Table(Vec<(Cow<'h, str>, ValueRef<'h>)>),
    /// Those that it asked for.
    Some(Vec<(Cow<'h, str>, ValueRef<'h>)>),
    /// A transaction that did more than read, or no read at all.
    Nothing,
    /// A reply that is no table of balances.
    Unclear,
}

/// The balances that the operation returned; a list of balances alone says something only where `places` are the accounts.
fn seen<'h>(history: &History, op: &Op<'h>, places: bool) -> Balances<'h> {
    if op.outcome != Outcome::Ok || !matches!(history.name(op.function), "read" | "txn") {
        return Balances::Nothing;
    }
    match op.output.kind() {
        Kind::Map(map) => Balances::Table(map.iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect()),
        // Balances alone: the place is the account.
        Kind::List(list)
            if places
                && history.name(op.function) == "read"
                && list.iter().all(|balance| balance.is_nil() || balance.as_int().is_some())
                && list.iter().any(|balance| !balance.is_nil()) =>
        {
            Balances::Table(
                list.iter().enumerate().map(|(at, balance)| (Cow::Owned(at.to_string()), balance)).collect(),
            )
        }
        Kind::List(list) => {
            let mut balances = Vec::with_capacity(list.len());
            for item in list.iter() {
                let parts = item.as_list().unwrap_or_default();
                match (parts.get(0).and_then(ValueRef::as_text), parts.get(1), parts.get(2)) {
                    (Some("r"), Some(name), Some(value)) => balances.push((name_of(name), value)),
                    (Some(_), Some(_), Some(_)) if history.name(op.function) == "txn" => return Balances::Nothing,
                    _ => return Balances::Unclear,
                }
            }
            Balances::Some(balances)
        }
        _ => Balances::Unclear,
    }
}

fn workloads(history: &History) -> Vec<NameId> {
    let with_transfers = workloads_with(history, &["transfer"]);
    if !with_transfers.is_empty() {
        return with_transfers;
    }
    workloads_where(
        history,
        // A list of numbers may be anything.
        |op| matches!(seen(history, op, false), Balances::Table(table) if table.iter().all(|(_, balance)| balance.as_int().is_some())),
    )
}

/// Accounts that a transfer names.
fn named<'h>(op: &Op<'h>) -> impl Iterator<Item = Cow<'h, str>> + use<'h> {
    let input = op.input.as_map();
    ["from", "to"].into_iter().filter_map(move |end| input.and_then(|map| map.get(end))).map(name_of)
}

/// The sum of the balances, if all of them are numbers.
fn sum(balances: &[(Cow<'_, str>, ValueRef<'_>)]) -> Option<i128> {
    balances.iter().map(|(_, balance)| balance.as_int().map(i128::from)).sum()
}

/// Whether the call may move money.
fn moves(history: &History, op: &Op<'_>) -> bool {
    let reads = |item: ValueRef<'_>| item.as_list().and_then(|parts| parts.get(0)?.as_text()) == Some("r");
    match history.name(op.function) {
        "transfer" => true,
        "txn" => op.input.as_list().is_some_and(|list| !list.iter().all(reads)),
        _ => false,
    }
}

/// Transfers of one workload.
#[derive(Default)]
struct Transfers<'h> {
    /// Accounts that they name.
    named: HashSet<Cow<'h, str>>,
    called: usize,
    /// Acknowledged or unknown.
    perhaps_moved: usize,
    /// Accounts are numbers and no read names any: the place in a list is the account.
    places: bool,
    /// When money may have been moved first: by a transfer, or a transaction that did more than read.
    first: Option<u64>,
}

impl<'h> Transfers<'h> {
    fn of(history: &'h History, workload: NameId) -> Transfers<'h> {
        let mut transfers = Transfers::default();
        for op in history.ops().iter().filter(|op| op.workload == workload && op.outcome != Outcome::Fail) {
            if transfers.first.is_none() && moves(history, &op) {
                transfers.first = Some(op.call);
            }
        }
        let Some(transfer) = history.find_name("transfer") else { return transfers };
        for op in history.ops().iter().filter(|op| op.workload == workload && op.function == transfer) {
            transfers.called += 1;
            transfers.perhaps_moved += usize::from(op.outcome != Outcome::Fail);
            for name in named(&op) {
                if !transfers.named.contains(&name) {
                    transfers.named.insert(name);
                }
            }
        }
        let read = history.find_name("read");
        let tables = |op: &Op<'_>| op.workload == workload && Some(op.function) == read && op.output.as_map().is_some();
        let numbers = transfers.named.iter().all(|name| name.parse::<u64>().is_ok());
        transfers.places = !transfers.named.is_empty() && numbers && !history.ops().iter().any(|op| tables(&op));
        transfers
    }
}

/// The accounts of one bank, gathered before its reads are judged one by one.
struct Survey<'h> {
    /// Accounts of the first table, and those that transfers name.
    expected: HashSet<Cow<'h, str>>,
    /// All accounts that lists or transfers name.
    all: HashSet<Cow<'h, str>>,
    first_table: Option<Op<'h>>,
}

fn survey<'h>(history: &'h History, group: &Group<'h>, transfers: &Transfers<'h>) -> Survey<'h> {
    let mut bank = Survey { expected: transfers.named.clone(), all: transfers.named.clone(), first_table: None };
    for op in group.ops.iter().map(|&position| at(history, position)) {
        if bank.first_table.is_some() && op.output.as_map().is_some() {
            continue;
        }
        match seen(history, &op, transfers.places) {
            Balances::Table(_) if bank.first_table.is_some() => {}
            Balances::Table(table) => {
                bank.first_table = Some(op);
                bank.expected.extend(table.into_iter().map(|(name, _)| name));
            }
            Balances::Some(balances) => bank.all.extend(balances.into_iter().map(|(name, _)| name)),
            Balances::Nothing | Balances::Unclear => {}
        }
    }
    bank
}

/// Counts over all banks, for the summary.
#[derive(Default)]
struct Counts {
    reads: usize,
    /// Reads of all accounts.
    totals: usize,
    /// Of these, the first of each bank: nothing to compare with.
    banks: usize,
    /// Reads of all accounts that may have met a transfer.
    telling: usize,
    unclear: usize,
    sum: i128,
}

/// Transfers that may have been at work during this read.
fn in_flight(history: &History, read: &Op<'_>) -> String {
    if !history.realtime {
        return "What was in flight meanwhile is not known.".to_owned();
    }
    let meanwhile = |op: &Op<'_>| {
        let moves = !matches!(history.name(op.function), "read") && op.position != read.position;
        moves && op.workload == read.workload && op.outcome != Outcome::Fail && op.end() > read.call
    };
    let mut near: Vec<Op<'_>> =
        history.ops().iter().take_while(|op| op.call < read.reply).filter(|op| meanwhile(op)).collect();
    if near.is_empty() {
        return "No transfer was in flight meanwhile, so it was wrong before.".to_owned();
    }
    let more = near.len().saturating_sub(5);
    let mut told: Vec<String> = near
        .split_off(more)
        .iter()
        .map(|op| format!("#{} ({} {}{})", op.call, history.name(op.function), op.input, messages::on(history, op)))
        .collect();
    if more > 0 {
        told.push(format!("{more} more"));
    }
    format!("In flight meanwhile: {}.", told.join(", "))
}

impl Bank {
    /// One read's own balances.
    fn judge_balances<'h>(
        &self,
        history: &'h History,
        bank: &Survey<'h>,
        read: Op<'h>,
        balances: &[(Cow<'h, str>, ValueRef<'h>)],
        whole: bool,
        report: &mut Report<'h>,
    ) {
        for (name, balance) in balances {
            let wrong = |title: String, reasons: Vec<String>| Violation {
                title,
                ops: vec![read],
                key: Value::text(name),
                subject: object(&[("account", Value::text(name)), ("balance", balance.to_value())]),
                reasons,
                ..Violation::default()
            };
            if balance.is_nil() {
                report.violation("nil-balance", || {
                    let title = format!("#{} found no balance in account {name}", read.call);
                    wrong(title, vec!["Every account has a balance, if only 0.".to_owned(), in_flight(history, &read)])
                });
            }
            if !self.negative_balances && balance.as_int().is_some_and(|balance| balance < 0) {
                report.violation("negative-value", || {
                    let title = format!("#{} found {balance} in account {name}", read.call);
                    wrong(title, vec!["No account may fall below 0.".to_owned(), in_flight(history, &read)])
                });
            }
            if whole && !bank.expected.contains(name) {
                report.violation("unexpected-key", || {
                    let title = format!("#{} found account {name}, which was never opened", read.call);
                    let reason = format!("The first read lacks account {name}, and no transfer names it.");
                    let ops = bank.first_table.into_iter().chain([read]).collect();
                    Violation { ops, ..wrong(title, vec![reason]) }
                });
            }
        }
    }

    fn wrong_total<'h>(
        &self,
        history: &'h History,
        read: Op<'h>,
        found: i128,
        first: Option<(Op<'h>, i128)>,
    ) -> Violation<'h> {
        let against = match (self.total, first) {
            (Some(total), _) => format!("All accounts together hold {total} at every moment; this read found {found}."),
            (None, Some((first, sum))) => format!(
                "Transfers keep the sum, but #{} found {sum} in all and #{} found {found}: one of them saw a state that \
                 never was, or money was made or lost.",
                first.call, read.call
            ),
            (None, None) => String::new(),
        };
        let expected = self.total.map(i128::from).or(first.map(|(_, sum)| sum)).unwrap_or_default();
        Violation {
            title: format!("#{}{} found {found} in all, not {expected}", read.call, messages::on(history, &read)),
            ops: first.filter(|_| self.total.is_none()).map(|(op, _)| op).into_iter().chain([read]).collect(),
            subject: self.total.map_or(Value::Nil, |total| {
                let off = i64::try_from(found - i128::from(total)).unwrap_or(i64::MAX);
                object(&[("total", Value::Int(total)), ("off", Value::Int(off))])
            }),
            reasons: vec![against, in_flight(history, &read)],
            ..Violation::default()
        }
    }
}

impl Bank {
    /// The reads of one bank.
    fn judge<'h>(
        &self,
        history: &'h History,
        group: &Group<'h>,
        transfers: &Transfers<'h>,
        counts: &mut Counts,
        poll: &mut BudgetPoll<'_>,
        report: &mut Report<'h>,
    ) {
        let bank = survey(history, group, transfers);
        let mut first: Option<(Op<'h>, i128)> = None;
        for read in group.ops.iter().map(|&position| at(history, position)).take_while(|_| !poll.over(1)) {
            let (balances, complete, whole) = match seen(history, &read, transfers.places) {
                Balances::Table(table) => (table, true, true),
                Balances::Some(balances) => {
                    let names: HashSet<&str> = balances.iter().map(|(name, _)| &**name).collect();
                    let complete = names.len() == balances.len() && bank.all.iter().all(|name| names.contains(&**name));
                    (balances, complete, false)
                }
                Balances::Nothing => continue,
                Balances::Unclear => {
                    counts.unclear += 1;
                    continue;
                }
            };
            counts.reads += 1;
            self.judge_balances(history, &bank, read, &balances, whole, report);
            let Some(found) = sum(&balances) else {
                counts.unclear += usize::from(balances.iter().any(|(_, one)| one.as_int().is_none() && !one.is_nil()));
                continue;
            };
            if !complete {
                continue;
            }
            counts.totals += 1;
            let moved = transfers.first.is_some_and(|first| !history.realtime || read.reply > first);
            counts.telling += usize::from(moved);
            counts.banks += usize::from(first.is_none());
            let expected = self.total.map(i128::from).or(first.map(|(_, sum)| sum));
            if expected.is_some_and(|expected| expected != found) {
                report.violation("wrong-total", || self.wrong_total(history, read, found, first));
            }
            first = first.or(Some((read, found)));
            counts.sum = found;
        }
    }
}

impl Checker for Bank {
    fn name(&self) -> &str {
        "bank"
    }

    /// Each read is judged by itself, and sums are compared whichever was first.
    fn needs_realtime(&self) -> bool {
        false
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads(history)
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = workloads(history);
        let mut report = Report::new(history);
        let transfers: Vec<Transfers<'_>> = workloads.iter().map(|id| Transfers::of(history, *id)).collect();
        let mut counts = Counts::default();
        let mut unknown_function = None;
        let mut poll = BudgetPoll::new(budget);
        for group in by_key(history, &workloads) {
            if let [function, ..] = unknown_functions(history, &group.ops, &["read", "txn", "transfer"])[..] {
                unknown_function = Some(function);
                continue;
            }
            let at = workloads.iter().position(|id| *id == group.workload).unwrap_or(0);
            self.judge(history, &group, &transfers[at], &mut counts, &mut poll, &mut report);
        }
        let Counts { reads, totals, banks, telling, unclear, sum } = counts;
        let called: usize = transfers.iter().map(|one| one.called).sum();
        let moved: usize = transfers.iter().map(|one| one.perhaps_moved).sum();
        let unknown = |text: String| (Validity::Unknown, text);
        let otherwise = if let Some(function) = unknown_function {
            unknown(format!("What {function} does to balances is not known here."))
        } else if unclear > 0 {
            unknown(format!("{} no table of balances.", messages::count(unclear, "time a reply is")))
        } else if reads == 0 {
            unknown("No read of balances was acknowledged.".to_owned())
        } else if totals == 0 || totals == banks && self.total.is_none() {
            unknown(format!("{} of all accounts: nothing to compare its sum with.", messages::count(totals, "read")))
        } else if called > 0 && moved == 0 {
            unknown(format!("All of {} were refused.", messages::count(called, "transfer")))
        } else if telling == 0 && (called > 0 || self.total.is_none()) {
            let totals = messages::count(totals, "read");
            unknown(format!("None of {totals} of all accounts came after money was moved: nothing was tested."))
        } else {
            let of = if banks == 1 { format!(" found {sum}") } else { " found their bank's total".to_owned() };
            (Validity::Valid, format!("All {} of all accounts{of}.", messages::count(totals, "read")))
        };
        let numbers = [("reads", json!(reads)), ("totals", json!(totals)), ("transfers", json!(called))];
        report.late(&poll, history.ops().len(), "operations");
        report.answer(self.name(), otherwise, numbers)
    }
}
