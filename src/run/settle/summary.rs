//! The outcome of the final reads.
use crate::judge::errors::code_of;
use dsfuzz_workloads::Call;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A final read that was never answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// The node; in the mode `any-node` the one that was asked last.
    pub node: Arc<str>,
    /// The read.
    pub call: Call,
    /// Its last error; empty if it was never tried.
    pub error: Arc<str>,
    /// Its position among the final reads.
    pub(super) place: usize,
}

/// The outcome of the settle phase.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettleSummary {
    /// Final reads that succeeded.
    pub ok: u64,
    /// Final reads of certainly absent objects.
    pub absent: u64,
    /// Final reads that were never answered.
    pub missed: Vec<Missed>,
    /// Failures of the harness or of a client library, one sentence each.
    pub harness: Vec<String>,
    /// The first process that no reader used.
    pub(super) next_process: u64,
    /// Failed attempts: their number and nodes, by the code of their error.
    failures: BTreeMap<String, (u64, BTreeSet<Arc<str>>)>,
}

impl SettleSummary {
    pub(super) fn join(&mut self, other: SettleSummary) {
        self.ok += other.ok;
        self.absent += other.absent;
        self.missed.extend(other.missed);
        self.harness.extend(other.harness);
        self.next_process = self.next_process.max(other.next_process);
        for (code, (count, nodes)) in other.failures {
            let all = self.failures.entry(code).or_default();
            all.0 += count;
            all.1.extend(nodes);
        }
    }

    pub(super) fn count_failure(&mut self, error: &str, node: &Arc<str>) {
        let failures = self.failures.entry(code_of(error).to_owned()).or_default();
        failures.0 += 1;
        failures.1.insert(node.clone());
    }

    /// The failed attempts in one sentence: `75 final reads failed: 73 x js10059 on n1 n2 n3, 2 x timeout on n2`.
    pub fn failed(&self) -> Option<String> {
        let total: u64 = self.failures.values().map(|(count, _)| count).sum();
        let mut codes: Vec<_> = self.failures.iter().collect();
        codes.sort_by_key(|(code, (count, _))| (std::cmp::Reverse(*count), code.as_str()));
        let one = |(code, (count, nodes)): &(&String, &(u64, BTreeSet<Arc<str>>))| {
            let nodes: Vec<&str> = nodes.iter().map(|node| &**node).collect();
            format!("{count} x {code} on {}", nodes.join(" "))
        };
        let reads = if total == 1 { "read" } else { "reads" };
        let codes: Vec<String> = codes.iter().map(one).collect();
        (total > 0).then(|| format!("{total} final {reads} failed: {}", codes.join(", ")))
    }
}
