//! What the tests of all checkers ask of `mini-transactions`. Its brute force is that of `rw-register`.
use crate::oracles::cases::{CheckerCases, Long};
use crate::transactions::rw_register::fuzz::updates;

/// A right history and a wrong one: a transaction that failed is read.
pub(crate) const MINI: (&str, &str) = (
    r#"1 txn null [["r",1,null],["w",1,7]] -> ok [["r",1,null],["w",1,7]]
       2 txn null [["r",1,null]] -> ok [["r",1,7]]"#,
    r#"1 txn null [["r",1,null],["w",1,7]] -> fail
       2 txn null [["r",1,null]] -> ok [["r",1,7]]"#,
);

/// What the tests of all checkers ask of `mini-transactions`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(
        &[],
        "1 txn null [[\"r\",1,null],[\"w\",1,1]] -> ok [[\"r\",1,null],[\"w\",1,1]]
         2 txn null [[\"r\",2,null],[\"w\",2,1]] -> ok [[\"r\",2,null],[\"w\",2,1]]",
    )]),
    right_and_wrong: Ok(&[(&[("model", "serializable")], MINI.0, MINI.1)]),
    long: Ok(Long::of(updates)),
    comparisons: Ok(&[("rw-register, mini-transactions", crate::transactions::rw_register::fuzz::differ)]),
};
