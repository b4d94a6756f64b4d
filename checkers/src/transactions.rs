//! Transactions: dependency graphs over transactions of small operations on keys, and what their cycles rule out.
//!
//! Adya's anomalies (MIT 1999) are found as Elle finds them (Kingsbury and Alvaro, VLDB 2020), with one difference:
//! whether an anomaly exists is never left to a time limit for a component; only how short its example is may be.
mod appends;
pub(crate) mod atomic_commit;
pub(crate) mod bank;
pub(crate) mod causal_reverse;
pub(crate) mod cycles;
pub(crate) mod decided;
pub(crate) mod dependencies;
mod explain;
pub mod lattice;
mod levels;
pub(crate) mod list_append;
pub(crate) mod long_fork;
pub(crate) mod mini;
mod observed;
#[cfg(feature = "oracles")]
pub(crate) mod oracle;
pub(crate) mod predicate;
pub(crate) mod rw_register;
pub(crate) mod saga;
#[cfg(feature = "oracles")]
pub(crate) mod simulate;
pub(crate) mod txn;
pub(crate) mod weak;

use crate::functions::is_micro_operations;
use crate::history::{History, NameId, Op};
use crate::value::ValueRef;
use crate::verdict::{Finding, Report, Severity};
use cycles::Cycles;
use lattice::Consistency;
use std::collections::BTreeMap;
use txn::{Dialect, Transactions, transacts};

/// Workloads with transactions of this dialect, or with such single operations, in the order of their first calls; without those
/// whose first write is of the other dialect.
fn workloads(history: &History, dialect: Dialect, single: &[&str]) -> Vec<NameId> {
    let other: &[&str] = match dialect {
        Dialect::Lists => &["w", ":w", "write"],
        Dialect::Registers => &["append", ":append"],
    };
    let single: Vec<NameId> = single.iter().filter_map(|name| history.find_name(name)).collect();
    let about = |op: &Op<'_>| single.contains(&op.function) || transacts(history.name(op.function), op);
    let mut found: Vec<NameId> = Vec::new();
    // With each workload seen: whether it is known which kind it is.
    let mut known: Vec<(NameId, bool)> = Vec::new();
    for op in history.ops().iter().filter(about) {
        let at = known.iter().position(|(workload, _)| *workload == op.workload).unwrap_or_else(|| {
            known.push((op.workload, false));
            found.push(op.workload);
            known.len() - 1
        });
        if known[at].1 {
            continue;
        }
        if single.contains(&op.function) && !is_micro_operations(op.input) {
            known[at].1 = true;
            continue;
        }
        let writes = first_write(op.input);
        known[at].1 = writes.is_some();
        if writes.is_some_and(|name| other.contains(&name)) {
            found.retain(|workload| *workload != op.workload);
        }
    }
    found
}

/// The name of the first operation that is no read.
fn first_write(mops: ValueRef<'_>) -> Option<&str> {
    let names = mops.as_list()?.iter().filter_map(|mop| mop.as_list()?.get(0)?.as_text());
    names.into_iter().find(|name| !matches!(*name, "r" | ":r" | "read"))
}

/// The anomalies that contradict a model, by name, each once: those it forbids, and what more was found against it.
fn broken<'f>(forbidden: Vec<&'f str>, more: &'f [Finding]) -> Vec<&'f str> {
    let mut names = forbidden;
    names.extend(more.iter().map(|finding| finding.kind.as_str()));
    names.sort_unstable();
    names.dedup();
    names
}

/// Reports what was found against the model, the other anomalies that are not the same once more, and how often each was found.
fn report<'h>(
    history: &'h History,
    model: &Consistency,
    (more, mut others): (Vec<Finding>, Vec<Finding>),
    counts: &BTreeMap<&'static str, u64>,
) -> Report<'h> {
    let mut report = Report::new(history);
    for (anomaly, count) in counts {
        report.tally(anomaly, severity(model, anomaly), *count);
    }
    others.retain(|other| !more.iter().any(|known| known.kind == other.kind && known.ops == other.ops));
    more.into_iter().for_each(|finding| report.finding(finding));
    others.into_iter().for_each(|finding| report.example(finding));
    report
}

/// What is counted of the transactions: outcomes, these numbers, and how often each anomaly was found.
fn numbers<const N: usize>(
    txns: &Transactions<'_>,
    cycles: &Cycles,
    found: &BTreeMap<&'static str, u64>,
    own: [(&str, u64); N],
) -> BTreeMap<String, serde_json::Value> {
    let [ok, fail, info] = txns.outcomes;
    let all = [("ok_txns", ok), ("failed_txns", fail), ("unknown_txns", info), ("txns_in_cycles", cycles.transactions)];
    let all = all.into_iter().chain(own).map(|(name, number)| (name.to_owned(), number.into()));
    all.chain(found.iter().map(|(anomaly, count)| (format!("{anomaly}_found"), (*count).into()))).collect()
}

/// How an anomaly of this kind counts where the model is promised.
fn severity(model: &Consistency, anomaly: &str) -> Severity {
    if model.forbids(anomaly) { Severity::Violation } else { Severity::Evidence }
}
