//! Registers and mini-transactions against their definitions, on random small histories.
use crate::oracles::cases::{Call, CheckerCases, Long, call};
use crate::random::{Rng, Stats};
use crate::transactions::mini::{Mini, MiniOptions};
use crate::transactions::rw_register::{RwRegister, RwRegisterOptions};
use crate::transactions::weak::brute::{Definition, holds};
use crate::transactions::weak::fuzz::closed;
use crate::transactions::weak::small::{Shape, Small};
use crate::verdict::{Budget, Checker, Finding, Severity, Validity, Verdict};
use serde_json::Value::Null;
use serde_json::json;

/// A right history and a wrong one: a transaction that failed is read.
pub(crate) const REGISTER_WRITES: (&str, &str) = (
    r#"1 txn null [["w",1,7]] -> ok [["w",1,7]]
       2 txn null [["r",1,null]] -> ok [["r",1,7]]"#,
    r#"1 txn null [["w",1,7]] -> fail
       2 txn null [["r",1,null]] -> ok [["r",1,7]]"#,
);

/// Transactions on registers, each of which reads what the one before wrote.
pub(crate) fn updates(n: u64) -> Vec<Call> {
    let update = |at: u64| {
        let (key, before) = (at % 7, if at < 7 { Null } else { json!(at - 7) });
        let (asked, told) = (json!([["r", key, null], ["w", key, at]]), json!([["r", key, before], ["w", key, at]]));
        call(at % 3, "txn", Null, asked, told)
    };
    (0..n).map(update).collect()
}

/// What the tests of all checkers ask of `rw-register`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(
        &[],
        "1 txn null [[\"w\",1,1]] -> ok [[\"w\",1,1]]\n 2 txn null [[\"r\",2,null]] -> ok [[\"r\",2,null]]",
    )]),
    right_and_wrong: Ok(&[(&[("model", "read-committed")], REGISTER_WRITES.0, REGISTER_WRITES.1)]),
    long: Ok(Long::of(updates)),
    comparisons: Ok(&[
        ("list-append and rw-register, every model", crate::transactions::decided::fuzz::differ_models),
        ("rw-register, mini-transactions", differ),
    ]),
};

const MODELS: [(&str, Definition, bool); 3] = [
    ("strict-serializable", Definition::Strict, true),
    ("serializable", Definition::Serial, false),
    ("snapshot-isolation", Definition::Snapshot, false),
];

/// Judges random small histories of registers: what a definition allows must never be Invalid, whatever is inferred; and of
/// mini-transactions, where Valid must be right too.
///
/// # Errors
/// The first difference, with its history.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut rng = Rng::new(seed);
    let (mut stats, mut undecided) = (Stats::default(), 0);
    for _ in 0..count {
        let read_first = rng.percent(50);
        let (txns, sessions) = (2 + rng.below(3), 1 + rng.below(4));
        let shape = Shape { lists: false, txns, sessions, keys: 2, mops: 4, read_first };
        let small = Small::draw(&mut rng, shape);
        let history = small.history();
        let alone = small.without_sessions();
        stats.histories += 1;
        for (model, definition, sessions) in MODELS {
            let expected = holds(if sessions { &small } else { &alone }, definition);
            stats.invalid += u64::from(!expected && definition == Definition::Strict);
            let options = RwRegisterOptions { model: model.to_owned(), ..RwRegisterOptions::default() };
            // Only strict serializability promises each key's linearizability.
            let strict = definition == Definition::Strict;
            let inferring = RwRegisterOptions {
                sequential_keys: strict,
                linearizable_keys: strict.then_some(true),
                ..options.clone()
            };
            let judged = |options: &RwRegisterOptions| -> Result<Verdict, String> {
                let verdict = RwRegister::of(options)?.check(&history, &Budget::unlimited());
                Ok(crate::random::shown(&history, verdict))
            };
            let (plain, inferring) = (judged(&options)?, judged(&inferring)?);
            for verdict in [&plain, &inferring] {
                if expected && verdict.validity == Validity::Invalid || !sound(verdict) {
                    return Err(shown(&small, model, expected, verdict));
                }
            }
            if plain.validity == Validity::Invalid && inferring.validity != Validity::Invalid {
                return Err(format!(
                    "more was inferred and less found\n{}",
                    shown(&small, model, expected, &inferring)
                ));
            }
            if read_first {
                let verdict = crate::random::shown(
                    &history,
                    Mini::of(&MiniOptions { model: model.to_owned(), ..MiniOptions::default() })?
                        .check(&history, &Budget::unlimited()),
                );
                let agrees = match verdict.validity {
                    Validity::Valid => expected,
                    Validity::Invalid => !expected,
                    Validity::Unknown => true,
                };
                undecided += u64::from(verdict.validity == Validity::Unknown && !expected);
                if !agrees || !sound(&verdict) {
                    return Err(shown(&small, model, expected, &verdict));
                }
            }
        }
    }
    // What is invalid must not hide behind Unknown often.
    if undecided * 100 > count {
        return Err(format!("{undecided} answers to {count} histories are Unknown where the definition forbids them"));
    }
    Ok(stats)
}

fn sound(verdict: &Verdict) -> bool {
    let violation = |finding: &Finding| finding.severity == Severity::Violation;
    let explained = verdict.findings.iter().all(|finding| !finding.ops.is_empty() && closed(finding));
    explained && (verdict.validity == Validity::Invalid) == verdict.findings.iter().any(violation)
}

fn shown(small: &Small, model: &str, expected: bool, verdict: &Verdict) -> String {
    format!(
        "{} {model}: by definition {expected}, but {:?}: {} {:#?}\n{}",
        verdict.checker,
        verdict.validity,
        verdict.summary,
        verdict.findings.iter().map(|finding| (&finding.kind, &finding.sentences)).collect::<Vec<_>>(),
        small.show()
    )
}
