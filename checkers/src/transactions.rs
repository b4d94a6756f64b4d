//! Transactions: dependency graphs over transactions of small operations on keys, and what their cycles rule out.
//!
//! Adya's anomalies (MIT 1999) are found as Elle finds them (Kingsbury and Alvaro, VLDB 2020), with one difference:
//! whether an anomaly exists is never left to a time limit for a component; only how short its example is may be.
pub mod atomic_commit;
pub mod bank;
pub mod causal_reverse;
pub mod cycles;
#[doc(hidden)]
pub mod decided;
#[doc(hidden)]
pub mod fuzz;
pub mod graph;
pub mod lattice;
mod levels;
pub mod list_append;
pub mod long_fork;
pub mod mini;
mod observed;
#[doc(hidden)]
pub mod oracle;
pub mod predicate;
pub mod rw_register;
pub mod saga;
#[doc(hidden)]
pub mod simulate;
pub mod txn;
pub mod weak;

use crate::verdict::Finding;
use std::collections::BTreeMap;

/// At most so many findings are shown.
const FINDINGS_MAX: usize = 10;

/// The anomalies that contradict a model, by name, each once: those it forbids, and what more was found against it.
fn broken<'f>(forbidden: Vec<&'f str>, more: &'f [Finding]) -> Vec<&'f str> {
    let mut names = forbidden;
    names.extend(more.iter().map(|finding| finding.kind.as_str()));
    names.sort_unstable();
    names.dedup();
    names
}

/// What was found against the model, then the others that are not the same once more, as many as a verdict tells.
fn together(more: Vec<Finding>, mut others: Vec<Finding>) -> Vec<Finding> {
    others.retain(|other| !more.iter().any(|known| known.kind == other.kind && known.ops == other.ops));
    let mut findings = more;
    findings.append(&mut others);
    findings.truncate(FINDINGS_MAX);
    findings
}

/// The findings that are shown: violations before evidence, each kind first once, short ones before long ones.
fn foremost(mut found: Vec<Finding>) -> Vec<Finding> {
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    found.sort_by_key(|finding| (finding.ops.len(), finding.ops.clone()));
    let mut ranked: Vec<(usize, Finding)> = Vec::new();
    for finding in found {
        let rank = met.entry(finding.kind.clone()).or_default();
        ranked.push((*rank, finding));
        *rank += 1;
    }
    ranked.sort_by_key(|(rank, finding)| (std::cmp::Reverse(finding.severity), *rank, finding.ops.len()));
    ranked.into_iter().take(FINDINGS_MAX).map(|(_, finding)| finding).collect()
}
