//! `long-fork` against its definition.
use super::LongFork;
use crate::history::{History, Outcome};
use crate::oracles::cases::{CheckerCases, Long, call};
use crate::random::scripted::{Step, compare, interleave};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use serde_json::Value::Null;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the tests of all checkers ask of `long-fork`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[
        (
            &[],
            "1 write 1 1 -> ok\n 2 read null [[\"r\",1,null],[\"r\",2,null]] -> ok [[\"r\",1,null],[\"r\",2,null]]
         3 read null [[\"r\",1,null],[\"r\",2,null]] -> ok [[\"r\",1,null],[\"r\",2,null]]",
        ),
        (
            &[],
            "1 write 1 1 -> ok\n 2 write 2 1 -> ok
         2 read null [[\"r\",1,null],[\"r\",2,null]] -> ok [[\"r\",1,1],[\"r\",2,1]]
         3 read null [[\"r\",1,null],[\"r\",2,null]] -> ok [[\"r\",1,1],[\"r\",2,1]]",
        ),
    ]),
    right_and_wrong: Ok(&[(
        &[],
        r#"3 write 1 1 -> ok
               1 read null [["r",1,null],["r",2,null]] -> ok [["r",1,1],["r",2,null]]
               4 write 2 1 -> ok
               2 read null [["r",1,null],["r",2,null]] -> ok [["r",1,1],["r",2,1]]"#,
        r#"3 write 1 1 -> ok
               4 write 2 1 -> ok
               1 read null [["r",1,null],["r",2,null]] -> ok [["r",1,1],["r",2,null]]
               2 read null [["r",2,null],["r",1,null]] -> ok [["r",2,1],["r",1,null]]"#,
    )]),
    long: Ok(Long::of(|n| {
        let group = |at: u64| {
            let write = |key: u64| call(0, "write", json!(key), json!(1), Null);
            let (one, two) = (2 * at, 2 * at + 1);
            let read = |process, seen: Json| {
                let asked = json!([["r", one, null], ["r", two, null]]);
                call(process, "txn", Null, asked, json!([["r", one, 1], ["r", two, seen]]))
            };
            [write(one), read(1, Null), write(two), read(2, json!(1))]
        };
        (0..n).flat_map(group).collect()
    })),
    comparisons: Ok(&[("long-fork", differ)]),
};

/// Compares the checker with its definition on `count` random histories. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let check =
        |history: &History| crate::random::shown(history, LongFork::default().check(history, &Budget::unlimited()));
    compare(seed, count, make, check, define)
}

fn access(f: &str, key: u64, value: Value) -> Value {
    Value::list([Value::text(f), Value::Int(key as i64), value])
}

/// Two groups of three keys; some reads see what they like.
fn make(rng: &mut Rng) -> History {
    let broken = if rng.percent(60) { rng.below(60) } else { 0 };
    let rewrite = rng.percent(20);
    let mut next: Vec<u64> = (0..6).collect();
    let mut scripts: Vec<Vec<Step>> = vec![Vec::new(); 3];
    for _ in 0..2 + rng.below(7) {
        let step = if rng.percent(40) && !next.is_empty() {
            let at = rng.below(next.len() as u64) as usize;
            let key = if rewrite { next[at] } else { next.swap_remove(at) };
            let value = Value::Int(if rewrite { 1 + rng.below(2) as i64 } else { 1 });
            Step::new("txn", Value::Nil, Value::list([access("w", key, value)]))
        } else {
            let base = 3 * rng.below(2);
            let turn = rng.below(3);
            let keys = (0..3).map(|place| base + (place + turn) % 3);
            let keys: Vec<Value> = keys.map(|key| access("r", key, Value::Nil)).collect();
            Step::new(if rng.percent(50) { "read" } else { "txn" }, Value::Nil, Value::list(keys))
        };
        let client = rng.below(3) as usize;
        scripts[client].push(step);
    }
    let mut store: BTreeMap<i64, i64> = BTreeMap::new();
    interleave(rng, scripts, 10, &mut |rng, _, step| {
        let list = step.input.as_list()?;
        let parts = |item: &Value| {
            let parts = item.as_list().unwrap_or(&[]).to_vec();
            (parts[0] == Value::text("w"), parts[1].as_int().unwrap_or(0), parts[2].as_int().unwrap_or(0))
        };
        let (write, key, value) = parts(&list[0]);
        if write {
            store.insert(key, value);
            return Some(step.input.clone());
        }
        let mut read = |item: &Value| {
            let (_, key, _) = parts(item);
            let mut seen = store.get(&key).map_or(Value::Nil, |value| (*value).into());
            if rng.below(100) < broken {
                seen = if seen.is_nil() { Value::Int(1) } else { Value::Nil };
            }
            access("r", key as u64, seen)
        };
        Some(Value::list(list.iter().map(&mut read).collect::<Vec<_>>()))
    })
}

/// Directly from the definition: every pair of reads.
fn define(history: &History) -> BTreeSet<&'static str> {
    let mut reads: Vec<BTreeMap<String, bool>> = Vec::new();
    for op in history.ops().iter().filter(|op| op.outcome == Outcome::Ok) {
        let Value::List(list) = op.output.to_value() else { continue };
        let parts: Vec<Vec<Value>> = list.iter().filter_map(|item| item.as_list().map(<[Value]>::to_vec)).collect();
        if parts.iter().all(|parts| parts[0] == Value::text("r")) {
            reads.push(parts.iter().map(|parts| (parts[1].to_string(), !parts[2].is_nil())).collect());
        }
    }
    let less = |one: &BTreeMap<String, bool>, two: &BTreeMap<String, bool>| {
        one.iter().all(|(key, seen)| !*seen || two.get(key) == Some(&true))
    };
    let forked =
        reads.iter().any(|one| reads.iter().any(|two| one.keys().eq(two.keys()) && !less(one, two) && !less(two, one)));
    if forked { BTreeSet::from(["long-fork"]) } else { BTreeSet::new() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn random_forks() {
        let stats = super::differ(1, crate::random::scripted::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 20 > stats.histories && stats.invalid * 2 < stats.histories, "{stats:?}");
    }
}
