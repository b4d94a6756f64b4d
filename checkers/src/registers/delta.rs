//! The smallest Δ by which all reads of one key would have to have begun earlier for the key to be linearizable:
//! Δ-atomicity (Golab, Li, Shah, "Analyzing consistency properties for fun and profit", PODC 2011), by zones of clusters
//! (Gibbons and Korach 1997) and binary search. Exact for unique values; this, and only this, is about times.

/// A value of one key: its write and the reads that returned it, nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster {
    /// The earliest end of the write and its reads.
    pub(crate) first_end: u64,
    /// When the write was called.
    pub(crate) write_call: u64,
    /// The latest call of its reads; 0 where there are none.
    pub(crate) last_read_call: u64,
}

impl Cluster {
    /// The latest call, reads called so much earlier.
    fn last_call(&self, delta: u64) -> u64 {
        self.write_call.max(self.last_read_call.saturating_sub(delta))
    }
}

/// The smallest Δ, nanoseconds; [`u64::MAX`] where a read had ended before its value was written. Clusters in any order. O(n log n) for each of about sixty tries; one if it is 0.
pub(crate) fn smallest(clusters: &mut [Cluster]) -> u64 {
    if clusters.iter().any(|cluster| cluster.write_call > cluster.first_end) {
        return u64::MAX;
    }
    clusters.sort_unstable_by_key(|cluster| cluster.first_end);
    if atomic(clusters, 0) {
        return 0;
    }
    let (mut low, mut high) = (0, clusters.iter().map(|cluster| cluster.last_read_call).max().unwrap_or(0));
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if atomic(clusters, middle) { high = middle } else { low = middle }
    }
    high
}

/// Two clusters contradict each other when each has an operation that ended before one of the other began. Without such a
/// pair there is an order.
fn atomic(clusters: &[Cluster], delta: u64) -> bool {
    let mut latest: Vec<u64> = Vec::with_capacity(clusters.len());
    for (at, cluster) in clusters.iter().enumerate() {
        let last_call = cluster.last_call(delta);
        // Those that ended first before this one was last called, and so must come before it: do they come after it, too?
        let before = clusters[..at].partition_point(|other| other.first_end < last_call);
        if before > 0 && latest[before - 1] > cluster.first_end {
            return false;
        }
        latest.push(latest.last().copied().unwrap_or(0).max(last_call));
    }
    true
}
