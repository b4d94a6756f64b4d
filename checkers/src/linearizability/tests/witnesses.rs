//! Certificates of registers: an order that a stranger can replay, a counterexample that nobody can order.
use super::register_history;
use crate::history::Outcome;
use crate::linearizability::Linearizable;
use crate::options::Options;
use crate::registry::checker_with;
use crate::value::Value;
use crate::verdict::certificate::{Certificate, Claim};
use crate::verdict::{Budget, Checker, Validity};
use std::collections::HashMap;

/// Replays the order with nothing but the certificate.
fn replay(certificate: &Certificate) {
    let Claim::Linearization { model, order } = &certificate.claim else { panic!("not an order") };
    assert_eq!(model, "cas-register");
    let place: HashMap<u64, usize> = order.iter().enumerate().map(|(place, call)| (*call, place)).collect();
    assert_eq!(place.len(), order.len(), "an operation is there twice");
    let ops: HashMap<u64, _> = certificate.ops.iter().map(|op| (op.call, op)).collect();
    let must = certificate.ops.iter().filter(|op| op.outcome == Outcome::Ok);
    must.for_each(|op| assert!(place.contains_key(&op.call), "#{} is missing", op.call));
    let mut state = Value::Nil;
    let mut latest_call = 0;
    for call in order {
        let op = ops[call];
        // Whoever comes later must not have ended before somebody earlier began.
        latest_call = latest_call.max(*call);
        assert!(op.end.is_none_or(|end| end > latest_call), "#{call} comes too late");
        match op.f.as_str() {
            "read" => assert_eq!(op.output, state, "#{call}"),
            "write" => state = op.input.clone(),
            _ => {
                let pair = op.input.as_list().expect("a pair");
                assert_eq!(pair[0], state, "#{call}");
                state = pair[1].clone();
            }
        }
    }
}

#[test]
fn orders_of_all_kinds_of_registers_can_be_replayed() {
    for (seed, (values, clients, keys)) in
        [(5, 5, 1), (5, 20, 1), (2, 10, 3), (50, 10, 1), (0, 10, 1), (0, 10, 7)].into_iter().enumerate()
    {
        let history = super::history_of(seed as u64, 2_000, clients, keys, values, false);
        let verdict = Linearizable::registers().with_witness().check(&history, &Budget::unlimited());
        assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
        assert_eq!(verdict.certificates.len() as u64, keys);
        verdict.certificates.iter().for_each(replay);
    }
}

#[test]
fn a_witness_is_an_option_and_off_by_default() {
    let history = register_history(1, 100, 3, 1, false);
    let certificates = |options: &Options| {
        let checker = checker_with("linearizable", options).expect("it is listed");
        checker.check(&history, &Budget::unlimited()).certificates.len()
    };
    assert_eq!(certificates(&Options::default()), 0);
    assert_eq!(certificates(&Options([("witness".to_owned(), Value::Bool(true))].into())), 1);
}

#[test]
fn a_finding_carries_the_claim_that_nothing_orders_its_operations() {
    let history = register_history(9, 400, 4, 1, true);
    let verdict = Linearizable::registers().check(&history, &Budget::unlimited());
    let finding = &verdict.findings[0];
    let certificate = finding.certificate.as_ref().expect("a certificate");
    assert!(matches!(&certificate.claim, Claim::NoLinearization { model, .. } if model == "cas-register"));
    assert_eq!(certificate.ops.iter().map(|op| op.call).collect::<Vec<_>>(), finding.ops);
    assert!(finding.ops.len() <= 10);
}
