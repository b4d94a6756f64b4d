//! Sums: counters and banks; and groups of keys that only grow.
use super::{Case, Rule, rule};
use crate::certificate::Op;
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) const RULES: &[Rule] = &[
    rule("read-below-bound", "A counter's read is less than what had certainly been added allows.", below),
    rule("read-above-bound", "A counter's read is more than what may have been added allows.", above),
    rule("wrong-total", "A read's balances have another sum than the total, or than another read's.", wrong_total),
    rule("negative-value", "A read found less than nothing in an account.", negative),
    rule("nil-balance", "A read found no balance in an account.", nil_balance),
    rule("unexpected-key", "A read found an account that was never opened.", unexpected_key),
    rule("long-fork", "Two reads saw two keys written in opposite orders.", long_fork),
];

/// By how much the operation changes the counter.
fn change(op: &Op) -> Option<i128> {
    let by = || if op.input.is_null() { Some(1) } else { op.input.as_i64().map(i128::from) };
    match op.f.as_str() {
        "add" => op.input.as_i64().map(i128::from),
        "increment" | "inc" => by(),
        "decrement" | "dec" => by().map(|by| -by),
        _ => None,
    }
}

/// The bound from the certain changes that are shown and all possible ones of the other sign, and the read.
fn bound(case: &Case<'_>, sign: i128) -> Option<(i128, i128)> {
    let reads = case.with(&["read"]);
    let [read] = reads[..] else { return None };
    let value = i128::from(read.reply()?.as_i64()?);
    let mut bound = i128::from(case.subject.get("initial")?.as_i64()?);
    for op in case.ops.iter().filter(|op| op.call != read.call) {
        let change = change(op)?;
        if change * sign > 0 {
            // Only what had certainly happened may be named here.
            if !op.ok() || op.end() > read.call {
                return None;
            }
            bound += change;
        } else if op.call > read.end() {
            return None;
        }
    }
    for op in case.all(read) {
        let change = change(op).unwrap_or(0);
        if change * sign < 0 && op.call < read.end() {
            // Every one of these has to be shown.
            case.ops.iter().find(|shown| shown.call == op.call)?;
            bound += change;
        }
    }
    let claimed = i128::from(case.subject.get("bound")?.as_i64()?);
    (case.one_object() && claimed == bound && case.subject.as_object()?.len() == 2).then_some((value, bound))
}

fn below(case: &Case<'_>) -> Option<bool> {
    bound(case, 1).map(|(value, least)| value < least)
}

fn above(case: &Case<'_>) -> Option<bool> {
    bound(case, -1).map(|(value, most)| value > most)
}

/// Whether the reply is a list of all balances.
fn plain(op: &Op) -> bool {
    let row = op.output.as_array().map_or(&[][..], Vec::as_slice);
    op.f == "read" && row.iter().all(|one| one.is_null() || one.is_i64()) && row.iter().any(Value::is_i64)
}

/// Whether the read names all accounts that there are.
fn whole(op: &Op) -> bool {
    op.output.is_object() || plain(op)
}

/// The balances that a read found, by account.
fn balances(op: &Op) -> Option<BTreeMap<String, Value>> {
    let name = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match op.reply()? {
        Value::Object(table) => Some(table.iter().map(|(name, value)| (name.clone(), value.clone())).collect()),
        // Balances alone: the place is the account.
        Value::Array(row) if plain(op) => {
            Some(row.iter().enumerate().map(|(at, balance)| (at.to_string(), balance.clone())).collect())
        }
        Value::Array(steps) => steps
            .iter()
            .map(|step| match step.as_array().map(Vec::as_slice) {
                Some([Value::String(f), account, balance]) if f == "r" => Some((name(account), balance.clone())),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn sum(balances: &BTreeMap<String, Value>) -> Option<i128> {
    balances.values().map(|balance| balance.as_i64().map(i128::from)).sum()
}

fn wrong_total(case: &Case<'_>) -> Option<bool> {
    match (case.ops, case.subject.get("total").and_then(Value::as_i64)) {
        ([read], Some(total)) if case.subject.as_object()?.len() == 2 => {
            let off = i128::from(case.subject.get("off")?.as_i64()?);
            Some(off != 0 && sum(&balances(read)?)? == i128::from(total) + off)
        }
        ([one, two], None) if case.subject.is_null() && one.workload == two.workload => {
            // A table names all accounts that there are.
            let tables = whole(one) && whole(two);
            let (one, two) = (balances(one)?, balances(two)?);
            Some((tables || one.keys().eq(two.keys())) && sum(&one)? != sum(&two)?)
        }
        _ => None,
    }
}

/// The balance of the account that the subject names, as the only read found it.
fn named<'a>(case: &'a Case<'_>, read: &Op) -> Option<&'a Value> {
    let (account, balance) =
        (case.subject.get("account")?.as_str()?, case.subject.get("balance").unwrap_or(&Value::Null));
    (balances(read)?.get(account)? == balance).then_some(balance)
}

fn negative(case: &Case<'_>) -> Option<bool> {
    let [read] = case.ops else { return None };
    Some(named(case, read)?.as_i64()? < 0)
}

fn nil_balance(case: &Case<'_>) -> Option<bool> {
    let [read] = case.ops else { return None };
    Some(named(case, read)?.is_null())
}

fn unexpected_key(case: &Case<'_>) -> Option<bool> {
    let [first, read] = case.ops else { return None };
    named(case, read)?;
    let account = case.subject.get("account")?.as_str()?;
    let is = |value: Option<&Value>| {
        value.is_some_and(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned) == account)
    };
    let moved = |op: &&Op| op.f == "transfer" && (is(op.input.get("from")) || is(op.input.get("to")));
    let opened = balances(first)?.contains_key(account) || case.all(read).iter().any(moved);
    Some(first.workload == read.workload && !opened)
}

fn long_fork(case: &Case<'_>) -> Option<bool> {
    let ([one, two], [x, y]) = (case.ops, case.subject.as_array()?.as_slice()) else { return None };
    let saw = |op: &Op, key: &Value| {
        let steps = op.reply()?.as_array()?;
        let step =
            steps.iter().find(|step| step.get(0).and_then(Value::as_str) == Some("r") && step.get(1) == Some(key))?;
        Some(!step.get(2)?.is_null())
    };
    let opposite = saw(one, x)? && !saw(one, y)? && saw(two, y)? && !saw(two, x)?;
    let turned = saw(one, y)? && !saw(one, x)? && saw(two, x)? && !saw(two, y)?;
    Some(one.workload == two.workload && (opposite || turned))
}
