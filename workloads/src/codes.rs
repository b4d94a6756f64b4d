//! [`CODES`]: the error codes of the client protocol. Pure.
use crate::CallResult;

/// An error code of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode {
    /// As a client writes it.
    pub code: &'static str,
    /// Whether a call with this error certainly had no effect; else its effect is unknown.
    pub fails: bool,
    /// When a client answers it.
    pub when: &'static str,
}

const fn fail(code: &'static str, when: &'static str) -> ErrorCode {
    ErrorCode { code, fails: true, when }
}

const fn info(code: &'static str, when: &'static str) -> ErrorCode {
    ErrorCode { code, fails: false, when }
}

/// A client that cannot carry out the function.
pub const NOT_SUPPORTED: ErrorCode = fail("not-supported", "the client does not know the function");
/// A request of a form that nothing can carry out.
pub const MALFORMED: ErrorCode = fail("malformed", "the server did not accept the form of the request");
/// A condition of the call that does not hold.
pub const PRECONDITION: ErrorCode = fail("precondition", "a compare-and-set found another value");
/// An object that is not there.
pub const NOT_FOUND: ErrorCode = fail("not-found", "the object to change does not exist");
/// An object that is there already.
pub const EXISTS: ErrorCode = fail("exists", "the object to make exists already");
/// A transaction that was rolled back.
pub const ABORTED: ErrorCode = fail("aborted", "the transaction was rolled back");
/// A user without the right to do this.
pub const DENIED: ErrorCode = fail("denied", "the server does not let this user in, or not do this");
/// A release or a renewal by a process that holds nothing.
pub const NOT_HELD: ErrorCode = fail("not-held", "the client does not hold what it renews or releases");
/// A holder that came too late.
pub const FENCED: ErrorCode = fail("fenced", "a later holder of the lock has been here");
/// A broken connection.
pub const LOST: ErrorCode = info("lost", "the connection broke after the request was sent");
/// The end of the server or of the client.
pub const CRASH: ErrorCode = info("crash", "the server or the client died");
/// Any other error.
pub const UNKNOWN: ErrorCode = info("unknown", "anything else");

/// Every code. Others are Info, unless a recipe says more (`errors:`).
pub const CODES: &[ErrorCode] = &[
    fail("refused", "the client could not connect, so nothing was sent"),
    NOT_SUPPORTED,
    MALFORMED,
    PRECONDITION,
    NOT_FOUND,
    EXISTS,
    fail("not-leader", "the node refuses before it does anything: another node leads, or none"),
    fail("read-only", "the node refuses before it does anything: it takes no writes"),
    ABORTED,
    fail("conflict", "another transaction won: serialization, certification, deadlock"),
    DENIED,
    fail("empty", "there is nothing to dequeue"),
    NOT_HELD,
    FENCED,
    fail("gone", "what is asked for has been compacted away"),
    info(
        "unavailable",
        "many servers (and gRPC) say this of calls that may have taken effect; a recipe may say `fail` if your server certainly \
         refused",
    ),
    info("timeout", "no answer in time"),
    LOST,
    CRASH,
    info("warning", "acknowledged, but with a warning"),
    UNKNOWN,
];

impl ErrorCode {
    /// `fail` or `info`: how a call with this error ends.
    pub fn means(&self) -> &'static str {
        if self.fails { "fail" } else { "info" }
    }

    /// The result of a call with this error.
    pub fn because(&self, text: impl AsRef<str>) -> CallResult {
        let error = format!("{}: {}", self.code, text.as_ref());
        if self.fails { CallResult::fail(error) } else { CallResult::info(error) }
    }
}

/// The code of an error, without the one by which a client says that a failed read had no effect: `unknown` of
/// `aborted: unknown: status 404`.
pub fn code_of(error: &str) -> &str {
    let code = |error| str::split(error, ':').next().unwrap_or_default().trim();
    let inner = error.strip_prefix(ABORTED.code).and_then(|rest| rest.strip_prefix(':')).map(str::trim_start);
    let inner = inner.map(code).filter(|inner| CODES.iter().any(|known| known.code == *inner));
    inner.unwrap_or_else(|| code(error))
}

/// Whether the call fails on every node and at every time: the request cannot be carried out as it is.
pub fn is_permanent(error: &str) -> bool {
    let code = code_of(error);
    code.starts_with(MALFORMED.code) || code == NOT_SUPPORTED.code
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn only_a_request_that_cannot_be_carried_out_is_permanent() {
        for error in
            ["malformed: 42601: syntax error", "malformed-request: x", "aborted: malformed: x", "not-supported: cas"]
        {
            assert!(is_permanent(error), "{error}");
        }
        // A user may be let in later, and an object may come to be.
        for error in ["denied: no such user", "not-found: x", "unknown: malformed", "aborted: a deadlock", "timeout"] {
            assert!(!is_permanent(error), "{error}");
        }
        assert_eq!((code_of("aborted: unknown: status 404"), code_of("aborted: a deadlock")), ("unknown", "aborted"));
    }

    #[test]
    fn every_code_is_listed_once() {
        let codes: BTreeSet<&str> = CODES.iter().map(|code| code.code).collect();
        assert_eq!(codes.len(), CODES.len());
    }

    #[test]
    fn a_result_begins_with_its_code() {
        assert_eq!(PRECONDITION.because("it was 7"), CallResult::fail("precondition: it was 7"));
        assert_eq!(LOST.because("in the answer"), CallResult::info("lost: in the answer"));
    }
}
