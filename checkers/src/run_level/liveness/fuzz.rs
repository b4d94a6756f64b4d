//! What the tests of all checkers ask of `liveness`.
use crate::oracles::cases::{CheckerCases, Long, call, rounds};
use serde_json::Value::Null;
use serde_json::json;

/// What the tests of all checkers ask of `liveness`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[], "1 write 0 1 -> ok\n 2 read 0 null -> ok 1")]),
    right_and_wrong: Err("it judges the run as a whole"),
    long: Ok(Long {
        options: &[("recover", "100ms")],
        events: [
            r#"n0: 0 write null 0 -> ok
               n1: 1 write null 0 -> ok
               n2: 2 write null 0 -> ok
               {"type":"fault","fault":0,"kind":"kill","step":"begun","what":"kill: n1","nodes":["n1"]}
               {"type":"fault","fault":0,"kind":"kill","step":"proven"}
               {"type":"fault","fault":0,"kind":"kill","step":"reproven"}
               {"type":"fault","fault":0,"kind":"kill","step":"healed"}"#,
            "",
        ],
        ..Long::of(|n| rounds(n, |at| call(at % 3, "write", Null, json!(at), Null)))
    }),
    comparisons: Err("its rule is one pass over the heals; its small cases state the windows"),
};
