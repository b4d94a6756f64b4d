//! [`refusal`]: what a server's error says about the effect of a command.
use dsfuzz_client::CallError;

/// Errors with which a server refuses a command before it does anything, and their codes in the client protocol. Those without a
/// code there keep their own.
const REFUSALS: &[(&str, &str)] = &[
    ("READONLY", "read-only"),
    ("LOADING", "LOADING"),
    ("MASTERDOWN", "MASTERDOWN"),
    ("NOREPLICAS", "NOREPLICAS"),
    ("OOM", "OOM"),
    ("MISCONF", "MISCONF"),
    ("BUSY", "BUSY"),
    ("CLUSTERDOWN", "CLUSTERDOWN"),
    ("TRYAGAIN", "TRYAGAIN"),
    // Another node is the one to ask.
    ("MOVED", "not-leader"),
    ("ASK", "not-leader"),
    ("CROSSSLOT", "malformed"),
    ("WRONGTYPE", "malformed"),
    ("NOAUTH", "denied"),
    ("WRONGPASS", "denied"),
    ("NOPERM", "denied"),
    ("EXECABORT", "aborted"),
];

/// Errors without a name of their own whose words say that nothing was done.
const WORDS: &[(&str, &str)] = &[
    ("unknown command", "not-supported"),
    ("max number of clients reached", "refused"),
    ("invalid password", "denied"),
    ("without any password configured", "denied"),
    ("without the user", "denied"),
    ("DB index is out of range", "malformed"),
    ("SELECT is not allowed in cluster mode", "malformed"),
    ("is not an integer or out of range", "malformed"),
];

/// The error of a command, script or transaction that a server answered with this error.
pub(crate) fn refusal(code: &str, details: &str) -> CallError {
    let text = format!("{code} {details}");
    let own = REFUSALS.iter().find(|(name, _)| *name == code);
    // Servers before 7 wrap the error of a script's command, and all wrap that of a transaction.
    let wrapped = || {
        let within =
            details.split_once(": -").or_else(|| details.split_once("because of: ")).map(|(_, inner)| inner)?;
        REFUSALS.iter().find(|(name, _)| within.split(' ').next() == Some(name))
    };
    let inner = if matches!(code, "ERR" | "EXECABORT") { wrapped() } else { None };
    if let Some((_, code)) = inner.or(own) {
        return CallError::fail(code, text);
    }
    match WORDS.iter().find(|(words, _)| details.contains(words)) {
        Some((_, code)) if self::names_no_script(details) => CallError::fail(code, text),
        // UNBLOCKED, and all that is not known: the command may have been carried out.
        _ => CallError::info("unknown", text),
    }
}

/// A script may have written before the command that failed.
fn names_no_script(details: &str) -> bool {
    !details.contains("script")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_certain_and_everything_else_is_not() {
        let cases = [
            ("READONLY", "You can't write against a read only replica.", true, "read-only"),
            ("LOADING", "Redis is loading the dataset in memory", true, "LOADING"),
            ("NOREPLICAS", "Not enough good replicas to write.", true, "NOREPLICAS"),
            ("MOVED", "866 10.0.0.2:6379", true, "not-leader"),
            ("WRONGPASS", "invalid username-password pair or user is disabled.", true, "denied"),
            ("EXECABORT", "Transaction discarded because of previous errors.", true, "aborted"),
            ("EXECABORT", "Transaction discarded because of: READONLY You can't write", true, "read-only"),
            (
                "ERR",
                "Error running script (call to f_1): @user_script:1: @user_script: 1: -READONLY You can't",
                true,
                "read-only",
            ),
            ("ERR", "unknown command 'LMOVE'", true, "not-supported"),
            ("ERR", "value is not an integer or out of range", true, "malformed"),
            ("ERR", "value is not an integer or out of range script: 7d, on @user_script:3.", false, "unknown"),
            ("UNBLOCKED", "force unblock from blocking operation, instance state changed", false, "unknown"),
            ("ERR", "something new", false, "unknown"),
            ("READONLYNESS", "something new", false, "unknown"),
        ];
        for (code, details, certain, expected) in cases {
            let error = refusal(code, details);
            assert_eq!((error.certain, error.code), (certain, expected), "{code} {details}");
            assert!(error.text.contains(details));
        }
    }
}
