//! What Tarantool's error codes mean: which are definite, and under which code of the client protocol they go.
use crate::settings::QuorumTimeout;
use dsfuzz_client::CallError;

/// Errors that an instance gives before it does anything, or of a transaction that it then rolls back.
const REFUSALS: &[(u64, &str)] = &[
    (3, "exists"),       // ER_TUPLE_FOUND
    (7, "read-only"),    // ER_READONLY
    (10, "exists"),      // ER_SPACE_EXISTS
    (20, "malformed"),   // ER_INVALID_MSGPACK
    (36, "not-found"),   // ER_NO_SUCH_SPACE
    (42, "denied"),      // ER_ACCESS_DENIED
    (45, "denied"),      // ER_NO_SUCH_USER
    (47, "denied"),      // ER_PASSWORD_MISMATCH; from 2.11 on: ER_CREDS_MISMATCH
    (48, "malformed"),   // ER_UNKNOWN_REQUEST_TYPE
    (97, "conflict"),    // ER_TRANSACTION_CONFLICT
    (116, "loading"),    // ER_LOADING: the instance is starting
    (154, "aborted"),    // ER_TRANSACTION_YIELD: rolled back because its fiber yielded
    (214, "not-leader"), // ER_UNCOMMITTED_FOREIGN_SYNC_TXNS: another instance owns the queue of synchronous transactions
    (215, "not-leader"), // ER_SYNC_MASTER_MISMATCH
];
/// ER_SYNC_QUORUM_TIMEOUT, and ER_SYNC_ROLLBACK of those that came after such a transaction.
const ROLLED_BACK: &[u64] = &[216, 217];

fn refusal(code: u64) -> Option<&'static str> {
    REFUSALS.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

/// An error that came before the commit: the script rolled back.
pub(crate) fn before_commit(code: u64, text: &str) -> CallError {
    CallError::fail(refusal(code).unwrap_or("aborted"), text)
}

/// An error of the commit itself.
pub(crate) fn of_commit(code: u64, text: &str, quorum_timeout: QuorumTimeout) -> CallError {
    match refusal(code) {
        Some(name) => CallError::fail(name, text),
        None if !ROLLED_BACK.contains(&code) => CallError::info("unknown", format!("commit: {text} (error {code})")),
        None => match quorum_timeout {
            QuorumTimeout::Fail => CallError::fail("aborted", text),
            QuorumTimeout::Info => CallError::info("timeout", text),
        },
    }
}

/// An error of the request: the script did not end.
pub(crate) fn of_request(code: u64, text: &str) -> CallError {
    match refusal(code) {
        Some(name) => CallError::fail(name, text),
        None => CallError::info("unknown", format!("{text} (error {code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_had_an_effect_is_unknown() {
        for (error, certain, code) in [
            (before_commit(9999, "new"), true, "aborted"),
            (before_commit(7, ""), true, "read-only"),
            (of_commit(40, "Failed to write to disk", QuorumTimeout::Fail), false, "unknown"),
            (of_commit(97, "", QuorumTimeout::Info), true, "conflict"),
            (of_commit(216, "", QuorumTimeout::Info), false, "timeout"),
            (of_commit(217, "", QuorumTimeout::Fail), true, "aborted"),
            (of_commit(214, "", QuorumTimeout::Info), true, "not-leader"),
            (of_request(32, "attempt to index"), false, "unknown"),
            (of_request(47, ""), true, "denied"),
        ] {
            assert_eq!((error.certain, error.code), (certain, code), "{error:?}");
        }
    }
}
