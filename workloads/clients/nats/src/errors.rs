//! [`refusal`]: what an error of JetStream says about the effect of a request.
use dsfuzz_client::CallError;
use serde_json::Value;

/// There is no message at this sequence or with this subject.
pub(crate) const NO_MESSAGE: u64 = 10037;
/// There is no such stream.
pub(crate) const NO_STREAM: u64 = 10059;

/// Errors with which a server refuses a request before it does anything, and their codes in the client protocol.
const REFUSALS: &[(u64, &str)] = &[
    (10071, "precondition"), // another last sequence than expected
    (10164, "precondition"), // the same of a subject, in newer servers
    (NO_STREAM, "not-found"),
    (10014, "not-found"), // no consumer
    (NO_MESSAGE, "not-found"),
    (10058, "exists"),         // a stream of this name with another configuration
    (10065, "exists"),         // another stream has these subjects
    (10013, "exists"),         // a consumer of this name
    (10148, "exists"),         // a consumer of this name
    (10008, "js-unavailable"), // the cluster has no leader for it
    (10009, "js-unavailable"), // this server does not lead
    (10118, "js-unavailable"), // the stream is offline
    (10028, "js-resources"),   // no memory left
    (10047, "js-resources"),   // no storage left
    (10005, "js-resources"),   // no peers for so many replicas
    (10074, "js-resources"),   // replicas need a cluster
    (10054, "malformed"),      // the message is too large
    (10025, "malformed"),      // not JSON
    (10003, "malformed"),      // a bad request
    (10039, "not-supported"),  // the account has no JetStream
    (10076, "not-supported"),  // the server has no JetStream
];

/// The error that a reply of JetStream carries, if it carries one: its number and what it means.
pub(crate) fn refused(reply: &Value) -> Option<(u64, CallError)> {
    let error = reply.get("error")?;
    let number = error["err_code"].as_u64().unwrap_or_default();
    Some((number, refusal(number, error["description"].as_str().unwrap_or_default())))
}

/// The error of a request that was answered with this error.
pub(crate) fn refusal(number: u64, description: &str) -> CallError {
    let text = format!("{description} (JetStream {number})");
    match REFUSALS.iter().find(|(known, _)| *known == number) {
        Some((_, code)) => CallError::fail(code, text),
        // Among them that a message could not be stored: a replica may have it all the same.
        None => CallError::info("unknown", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refusals_are_certain_and_everything_else_is_not() {
        for (number, certain, code) in [
            (10071, true, "precondition"),
            (10059, true, "not-found"),
            (10008, true, "js-unavailable"),
            // A leader may say so of a message that its followers have stored.
            (10023, false, "unknown"),
            (10077, false, "unknown"),
            (19999, false, "unknown"),
        ] {
            let reply = json!({"error": {"code": 400, "err_code": number, "description": "words"}});
            let (found, error) = refused(&reply).expect("an error");
            assert_eq!((found, error.certain, error.code), (number, certain, code));
            assert!(error.text.contains("words"));
        }
        assert_eq!(refused(&json!({"stream": "s", "seq": 1})), None);
    }
}
