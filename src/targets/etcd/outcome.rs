//! The outcomes of etcd's errors: the one table for this client.
//!
//! A write is Fail only if etcd refuses before it proposes to Raft (etcd 3.4, server/etcdserver: the checks of `v3rpc/key.go`
//! and the queue check of `processInternalRaftRequestOnce`). All other errors are Info, including `no leader` and `mvcc:
//! database space exceeded`, which the quota applier returns after it has applied the write. HTTP status codes say nothing:
//! the gateway answers 503 and 408 for several indefinite errors.
use dsfuzz_workloads::CallResult;

/// The progress of a request without a proper reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestProgress {
    /// It never left. Holds the error.
    No(String),
    /// It may have left and may yet take effect. Holds the error.
    Perhaps(String),
    /// etcd answered with this message.
    Refused(String),
}

/// The lease of a put is over, so that nothing was put: told while the request is applied, before its first change.
pub(super) const LEASE_NOT_FOUND: &str = "etcdserver: requested lease not found";

/// etcd's messages for a refused write that it has not proposed.
const DEFINITE: &[&str] = &[
    "etcdserver: too many requests",
    "etcdserver: request is too large",
    "etcdserver: key is not provided",
    "etcdserver: value is provided",
    "etcdserver: lease is provided",
    "etcdserver: duplicate key given in txn request",
    "etcdserver: too many operations in txn request",
    LEASE_NOT_FOUND,
];

/// The outcome of a write, a compare-and-set or an add.
pub(super) fn of_write(sent: &RequestProgress) -> CallResult {
    match sent {
        RequestProgress::No(why) => CallResult::fail(why),
        RequestProgress::Perhaps(why) => CallResult::info(why),
        RequestProgress::Refused(message) if DEFINITE.contains(&message.as_str()) => CallResult::fail(message),
        RequestProgress::Refused(message) => CallResult::info(message),
    }
}

/// The outcome of a read, which has no effect: without an answer it failed.
pub(super) fn of_read(sent: &RequestProgress) -> CallResult {
    match sent {
        RequestProgress::No(why) | RequestProgress::Perhaps(why) | RequestProgress::Refused(why) => {
            CallResult::fail(why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let refused = |message: &str| RequestProgress::Refused(message.to_owned());
        let certain = [
            RequestProgress::No("refused: 127.0.0.1:1".to_owned()),
            refused("etcdserver: too many requests"),
            refused("etcdserver: request is too large"),
        ];
        let doubtful = [
            RequestProgress::Perhaps("no reply: connection reset".to_owned()),
            refused("etcdserver: no leader"),
            refused("etcdserver: leader changed"),
            refused("etcdserver: request timed out"),
            refused("etcdserver: request timed out, possibly due to previous leader failure"),
            refused("etcdserver: request timed out, possibly due to connection lost"),
            refused("etcdserver: server stopped"),
            refused("etcdserver: mvcc: database space exceeded"),
            refused("raft proposal dropped"),
            refused("transport is closing"),
            refused("context deadline exceeded"),
            refused("etcdserver: too many requests, or something like it"),
            refused(""),
        ];
        for sent in &certain {
            assert!(matches!(of_write(sent), CallResult::Fail(_)), "{sent:?}");
        }
        for sent in &doubtful {
            assert!(matches!(of_write(sent), CallResult::Info(_)), "{sent:?}");
        }
        for sent in certain.iter().chain(&doubtful) {
            assert!(matches!(of_read(sent), CallResult::Fail(_)), "a read has no effect: {sent:?}");
        }
    }
}
