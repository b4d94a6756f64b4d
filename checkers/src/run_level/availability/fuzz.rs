//! What the tests of all checkers ask of `availability`.
use crate::oracles::cases::{CheckerCases, Long, registers};

/// What the tests of all checkers ask of `availability`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Err("it measures, and promises nothing"),
    right_and_wrong: Err("it judges the run as a whole"),
    long: Ok(Long::of(registers)),
    comparisons: Err("it measures, and promises nothing"),
};
