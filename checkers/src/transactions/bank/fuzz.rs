//! `bank` against its definition.
use super::Bank;
use crate::history::{History, Outcome};
use crate::oracles::cases::{CheckerCases, Long, call};
use crate::random::scripted::{Step, compare, interleave};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What the tests of all checkers ask of `bank`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[
        (&[], "1 read null null -> ok {\"a\":5,\"b\":5}\n 2 read null null -> ok {\"a\":5,\"b\":5}"),
        (
            &[],
            "1 read null null -> ok {\"a\":5,\"b\":5}\n 2 read null null -> ok {\"a\":5,\"b\":5}
         1 transfer null {\"from\":\"a\",\"to\":\"b\",\"amount\":3} -> ok",
        ),
    ]),
    right_and_wrong: Ok(&[(
        &[],
        r#"1 read null null -> ok {"a":10,"b":0}
               2 transfer null {"from":"a","to":"b","amount":3} -> ok
               1 read null null -> ok {"a":7,"b":3}"#,
        r#"1 read null null -> ok {"a":10,"b":0}
               2 transfer null {"from":"a","to":"b","amount":3} -> ok
               1 read null null -> ok {"a":7,"b":0}"#,
    )]),
    long: Ok(Long::of(|n| {
        let pair = |at: u64| {
            let (a, b) = if at.is_multiple_of(2) { ("a", "b") } else { ("b", "a") };
            let transfer = call(0, "transfer", Null, json!({"from": a, "to": b, "amount": 1}), Null);
            [transfer, call(1, "read", Null, Null, json!({a: 5, b: 5}))]
        };
        (0..n).flat_map(pair).collect()
    })),
    comparisons: Ok(&[("bank", differ)]),
};

/// Compares the checker with its definition on `count` random histories. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut stats = Stats::default();
    for (share, bank) in [
        Bank::default(),
        Bank { total: Some(20), ..Bank::default() },
        Bank { negative_balances: true, ..Bank::default() },
    ]
    .iter()
    .enumerate()
    {
        let seed = seed.wrapping_mul(3).wrapping_add(share as u64);
        let count = count / 3 + u64::from((share as u64) < count % 3);
        let check = |history: &History| crate::random::shown(history, bank.check(history, &Budget::unlimited()));
        let one = compare(seed, count, make, check, |history| define(history, bank))?;
        stats.histories += one.histories;
        stats.invalid += one.invalid;
    }
    Ok(stats)
}

/// A bank that is right, but for some replies.
fn make(rng: &mut Rng) -> History {
    let txn = rng.percent(30);
    let mut balances: BTreeMap<i64, i64> = [(0, 10), (1, 10), (2, 0)].into();
    let broken = if rng.percent(50) { rng.below(30) } else { 0 };
    let overdraw = rng.percent(30);
    let plain = rng.percent(25);
    let scripts = (0..1 + rng.below(3)).map(|_| {
        let step = |rng: &mut Rng| {
            if rng.percent(50) {
                let accounts = if txn { 2 + rng.below(2) as i64 } else { 3 };
                let asked = (0..accounts).map(|key| Value::list([Value::text("r"), key.into(), Value::Nil]));
                return Step::new(if txn { "txn" } else { "read" }, Value::Nil, Value::list(asked));
            }
            let (from, to) = (rng.below(3) as i64, rng.below(3) as i64);
            let amount = 1 + rng.below(6) as i64;
            let entries = [("from", from.into()), ("to", to.into()), ("amount", amount.into())];
            Step::new("transfer", Value::Nil, crate::calls::object(&entries))
        };
        (0..1 + rng.below(4)).map(|_| step(rng)).collect()
    });
    let mut scripts: Vec<Vec<Step>> = scripts.collect();
    let nothing = [("from", 0.into()), ("to", 0.into()), ("amount", 0.into())];
    scripts.push(vec![Step::new("transfer", Value::Nil, crate::calls::object(&nothing))]);
    interleave(rng, scripts, 10, &mut |rng, _, step| {
        if step.f == "transfer" {
            let Value::Map(entries) = &step.input else { return None };
            let number = |at: usize| entries[at].1.as_int().unwrap_or(0);
            if balances[&number(0)] < number(2) && !overdraw {
                return None;
            }
            *balances.entry(number(0)).or_default() -= number(2);
            *balances.entry(number(1)).or_default() += number(2);
            return Some(Value::Nil);
        }
        let mut seen: Vec<(i64, Value)> = balances.iter().map(|(key, balance)| (*key, (*balance).into())).collect();
        if rng.below(100) < broken {
            let at = rng.below(3) as usize;
            match rng.below(4) {
                0 => seen[at].1 = Value::Int(rng.below(25) as i64 - 5),
                1 => seen[at].1 = Value::Nil,
                2 => seen.push((7, 0.into())),
                _ => drop(seen.remove(at)),
            }
        }
        // Balances alone: the place says which account it is.
        if step.f == "read" && plain {
            return Some(Value::list(seen.into_iter().map(|(_, value)| value)));
        }
        if step.f == "read" {
            return Some(Value::Map(seen.into_iter().map(|(key, value)| (key.to_string().into(), value)).collect()));
        }
        let asked = step.input.as_list()?.len();
        let triple = |(key, value): (i64, Value)| Value::list([Value::text("r"), key.into(), value]);
        Some(Value::list(seen.into_iter().take(asked).map(triple)))
    })
}

type Row = BTreeMap<String, Option<i64>>;

/// Directly from the definition: every pair of reads.
fn define(history: &History, bank: &Bank) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    let mut tables: Vec<Row> = Vec::new();
    let mut lists: Vec<Row> = Vec::new();
    let mut named: BTreeSet<String> = BTreeSet::new();
    for op in history.ops().iter() {
        match (op.output.to_value(), op.input.to_value()) {
            (_, Value::Map(input)) => named.extend(input.iter().take(2).map(|(_, name)| name.to_string())),
            (Value::Map(table), _) if op.outcome == Outcome::Ok => {
                tables.push(table.iter().map(|(name, balance)| (name.to_string(), balance.as_int())).collect());
            }
            (Value::List(row), _) if op.outcome == Outcome::Ok && row.iter().all(|one| one.as_list().is_none()) => {
                let named = row.iter().enumerate();
                tables.push(named.map(|(at, balance)| (at.to_string(), balance.as_int())).collect());
            }
            (Value::List(triples), _) if op.outcome == Outcome::Ok => {
                let entry = |triple: &Value| {
                    let parts = triple.as_list().unwrap_or(&[]);
                    (parts[1].to_string(), parts[2].as_int())
                };
                lists.push(triples.iter().map(entry).collect());
            }
            _ => {}
        }
    }
    let all: BTreeSet<String> = lists.iter().flat_map(|row| row.keys().cloned()).chain(named.iter().cloned()).collect();
    let totals: Vec<i64> = (tables.iter())
        .chain(lists.iter().filter(|row| all.iter().all(|name| row.contains_key(name))))
        .filter_map(|row| row.values().copied().sum::<Option<i64>>())
        .collect();
    let wrong = |total: &i64| bank.total.map_or(totals.iter().any(|other| other != total), |right| right != *total);
    if totals.iter().any(wrong) {
        kinds.insert("wrong-total");
    }
    for row in tables.iter().chain(&lists) {
        if row.values().any(Option::is_none) {
            kinds.insert("nil-balance");
        }
        if !bank.negative_balances && row.values().flatten().any(|balance| *balance < 0) {
            kinds.insert("negative-value");
        }
    }
    let unexpected = |row: &Row| row.keys().any(|name| !named.contains(name) && !tables[0].contains_key(name));
    if tables.iter().any(unexpected) {
        kinds.insert("unexpected-key");
    }
    kinds
}

#[cfg(test)]
mod tests {
    #[test]
    fn random_banks() {
        let stats = super::differ(1, crate::random::scripted::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 10 > stats.histories && stats.invalid * 2 < stats.histories, "{stats:?}");
    }
}
