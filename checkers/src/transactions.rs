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
#[doc(hidden)]
pub mod oracle;
pub mod predicate;
pub mod rw_register;
#[doc(hidden)]
pub mod simulate;
pub mod txn;
pub mod weak;
