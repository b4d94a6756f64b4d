//! Histories of single workloads with known verdicts, where they are present.
use crate::history::{History, ReadOptions, read_any};
use crate::options::Options;
use crate::registry::checker_with;
use crate::testing::corpora;
use crate::value::Value;
use crate::verdict::{Budget, Validity, Verdict};
use std::fs::File;

fn known(name: &str) -> Option<History> {
    // The list of verdicts takes the values of all of them as they are.
    known_as(name, false)
}

fn known_as(name: &str, independent: bool) -> Option<History> {
    let path = corpora()?.join("elle-cli/jepsen").join(name);
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let options = ReadOptions { independent: Some(independent), ..ReadOptions::default() };
    let (_, history) = read_any(file, &options).unwrap_or_else(|error| panic!("{name}: {error}"));
    Some(history)
}

fn judge(history: &History, checker: &str, options: &[(&str, Value)]) -> Verdict {
    let options = Options(options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
    checker_with(checker, &options).expect("in the list").check(history, &Budget::unlimited())
}

#[test]
fn other_tools_histories_have_their_known_verdicts() {
    let total = |total: i64| ("total", Value::Int(total));
    let negative = ("negative_balances", Value::Bool(true));
    let cases = [
        ("bank.edn", "bank", vec![total(100)], Validity::Valid),
        ("bank.edn", "bank", vec![], Validity::Valid),
        ("bank-neg.edn", "bank", vec![total(30), negative], Validity::Valid),
        ("bank-neg.edn", "bank", vec![], Validity::Unknown),
        ("bank-negative-balances.json", "bank", vec![], Validity::Invalid),
        ("long-fork.edn", "long-fork", vec![("group_size", Value::Int(3))], Validity::Invalid),
        ("long-fork.edn", "long-fork", vec![], Validity::Invalid),
        ("set.edn", "set", vec![], Validity::Valid),
        ("set.edn", "set-full", vec![], Validity::Valid),
        ("set_full.json", "set-full", vec![], Validity::Invalid),
        // The list says "valid", but nothing was read: that is a pass by having asked nothing, and we do not know.
        ("counter.edn", "counter", vec![], Validity::Unknown),
        ("counter.json", "counter", vec![], Validity::Unknown),
    ];
    for (file, checker, options, expected) in cases {
        let Some(history) = known(file) else { return };
        let verdict = judge(&history, checker, &options);
        assert_eq!(verdict.validity, expected, "{file}, {checker} {options:?}: {}", verdict.summary);
    }
}

#[test]
fn what_is_counted_in_them_is_what_they_hold() {
    let Some(full) = known("set_full.json") else { return };
    let verdict = judge(&full, "set-full", &[]);
    // Adds of `[0, n]` are read as n: none is there, and all that is there was never added.
    assert_eq!((&verdict.numbers["lost"], &verdict.numbers["unexpected"]), (&293.into(), &293.into()));
    // With 0 for the key, as whoever wrote it meant it, all of them are.
    let Some(full) = known_as("set_full.json", true) else { return };
    let verdict = judge(&full, "set-full", &[]);
    assert_eq!((verdict.validity, &verdict.numbers["lost"]), (Validity::Valid, &0.into()));
    for name in ["counter.edn", "counter.json"] {
        let Some(history) = known(name) else { return };
        let verdict = judge(&history, "counter", &[]);
        assert_eq!((&verdict.numbers["acknowledged"], &verdict.numbers["reads"]), (&287.into(), &0.into()), "{name}");
    }
}
