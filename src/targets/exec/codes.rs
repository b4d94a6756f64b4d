//! [`CODES`]: the error codes of the client protocol. Pure.
use crate::targets::recipe::Certainty;

/// An error code of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode {
    /// As a client writes it.
    pub code: &'static str,
    /// What it says about the effect of the call.
    pub certainty: Certainty,
    /// When a client answers it.
    pub when: &'static str,
}

/// Every code. Others are Info, unless the recipe says more (`errors:`).
pub const CODES: &[ErrorCode] = &[
    fail("refused", "the client could not connect, so nothing was sent"),
    fail("not-supported", "the client does not know the function"),
    fail("malformed", "the server did not accept the form of the request"),
    fail("precondition", "a compare-and-set found another value"),
    fail("not-found", "the object to change does not exist"),
    fail("exists", "the object to make exists already"),
    fail("not-leader", "the node refuses before it does anything: another node leads, or none"),
    fail("read-only", "the node refuses before it does anything: it takes no writes"),
    fail("aborted", "the transaction was rolled back"),
    fail("conflict", "another transaction won: serialization, certification, deadlock"),
    fail("denied", "the server does not let this user in, or not do this"),
    fail("empty", "there is nothing to dequeue"),
    fail("not-held", "the client does not hold what it renews or releases"),
    fail("fenced", "a later holder of the lock has been here"),
    fail("gone", "what is asked for has been compacted away"),
    info(
        "unavailable",
        "many servers (and gRPC) say this of calls that may have taken effect; a recipe may say `fail` if your server certainly \
         refused",
    ),
    info("timeout", "no answer in time"),
    info("lost", "the connection broke after the request was sent"),
    info("crash", "the server or the client died"),
    info("warning", "acknowledged, but with a warning"),
    info("unknown", "anything else"),
];

const fn fail(code: &'static str, when: &'static str) -> ErrorCode {
    ErrorCode { code, certainty: Certainty::Fail, when }
}

const fn info(code: &'static str, when: &'static str) -> ErrorCode {
    ErrorCode { code, certainty: Certainty::Info, when }
}

impl ErrorCode {
    /// `fail` or `info`: how a call with this error ends.
    pub fn means(&self) -> &'static str {
        match self.certainty {
            Certainty::Info => "info",
            _ => "fail",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_code() {
        let page = include_str!("../../../docs/client-protocol.md");
        let (_, rest) = page.split_once("\n| code | means | when |\n|---|---|---|\n").expect("the table");
        let (table, _) = rest.split_once("\n\n").expect("its end");
        let row = |code: &ErrorCode| format!("| `{}` | {} | {} |", code.code, code.means(), code.when);
        assert_eq!(table.lines().collect::<Vec<_>>(), CODES.iter().map(row).collect::<Vec<_>>());
    }
}
