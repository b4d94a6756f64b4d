//! Whether transactions saw enough of each other for an answer to mean something. It never judges what they saw.
use super::lattice::Consistency;
use super::txn::{MopKind, Transactions};
use crate::history::Outcome;

/// No transaction wrote it, or several did.
const NOBODY: u32 = u32::MAX;
const SEVERAL: u32 = u32::MAX - 1;

/// What no transaction did, where nothing was judged: none was acknowledged, none read `what`, or none wrote anything.
pub(super) fn nothing_done(txns: &Transactions<'_>, what: &str, wrote: &str) -> Option<String> {
    if txns.outcomes[Outcome::Ok as usize] == 0 {
        return Some("No transaction was acknowledged.".to_owned());
    }
    if !txns.all_mops().iter().any(|mop| mop.kind() == MopKind::Read) {
        return Some(format!("No acknowledged transaction read {what}."));
    }
    let none = !txns.all_mops().iter().any(|mop| mop.writes());
    none.then(|| format!("No transaction {wrote} anything."))
}

/// Why nothing could contradict the model, if nothing could: no acknowledged transaction read a key that another had written, or,
/// where missing what was written breaks nothing, none read what another had written.
pub(super) fn unobserved(txns: &Transactions<'_>, model: &Consistency) -> Option<String> {
    let misses_count = ["G-single-item", "G-nonadjacent-item", "G2-item"].iter().any(|anomaly| model.forbids(anomaly));
    let mut writers = vec![[NOBODY; 2]; txns.keys()];
    for mop in txns.all_mops().iter().filter(|mop| mop.writes()) {
        // The transactions that certainly wrote, and those that may have.
        let sure = txns.txn(mop.txn()).outcome == Outcome::Ok;
        let fail = txns.txn(mop.txn()).outcome == Outcome::Fail;
        for (slot, counts) in writers[mop.key as usize].iter_mut().zip([sure, !fail]) {
            match *slot {
                _ if !counts => {}
                NOBODY => *slot = mop.txn(),
                one if one != mop.txn() => *slot = SEVERAL,
                _ => {}
            }
        }
    }
    let telling = txns.all_mops().iter().filter(|mop| mop.kind() == MopKind::Read).any(|mop| {
        let [sure, maybe] = writers[mop.key as usize];
        let other = |writer: u32| writer != NOBODY && writer != mop.txn();
        let nothing = txns.begins(mop.key, mop.value) || !mop.value.is_atom() && txns.elements(mop.value).is_empty();
        if nothing { misses_count && other(sure) } else { other(maybe) }
    });
    (!telling).then(|| {
        let what = if misses_count { "a key that another had written" } else { "what another had written" };
        format!("No acknowledged transaction read {what}, so nothing could contradict {}.", model.name)
    })
}
