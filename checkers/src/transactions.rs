//! Transactions: dependency graphs over transactions of small operations on keys, and what their cycles rule out.
//!
//! Adya's anomalies (MIT 1999) are found as Elle finds them (Kingsbury and Alvaro, VLDB 2020), with one difference:
//! whether an anomaly exists is never left to a time limit for a component; only how short its example is may be.
pub mod cycles;
#[doc(hidden)]
pub mod decided;
#[doc(hidden)]
pub mod fuzz;
pub mod graph;
pub mod lattice;
mod levels;
pub mod list_append;
pub mod mini;
mod observed;
#[doc(hidden)]
pub mod oracle;
pub mod predicate;
pub mod rw_register;
#[doc(hidden)]
pub mod simulate;
pub mod txn;
pub mod weak;

use crate::verdict::Finding;
use std::collections::BTreeMap;

/// At most so many findings are shown.
const FINDINGS_MAX: usize = 10;

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
