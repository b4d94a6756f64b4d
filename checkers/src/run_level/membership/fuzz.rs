//! What the tests of all checkers ask of `membership`.
use crate::oracles::cases::{CheckerCases, Long, call, rounds};
use serde_json::Value::Null;
use serde_json::json;

/// What the tests of all checkers ask of `membership`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(
        &[],
        r#"{"type":"fault","fault":0,"kind":"pause","step":"begun","nodes":["n1"]}
           1 members -> ok []"#,
    )]),
    right_and_wrong: Ok(&[(
        &[],
        r#"n1: 1 members -> ok ["n2","n1"]
           n2: 2 members -> ok ["n1","n2"]"#,
        r#"n1: 1 members -> ok ["n2","n1"]
           n2: 2 members -> ok ["n2"]"#,
    )]),
    long: Ok(Long::of(|n| rounds(n, |at| call(at % 3, "members", Null, Null, json!(["n0", "n1", "n2"]))))),
    comparisons: Err("its rule is one pass over the replies; its small cases state the windows"),
};
