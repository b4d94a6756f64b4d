//! What the tests of generators share.
use crate::client::Call;
use crate::workload::{Generator, Next};

/// The next call, taken. Panics where asking twice shows two calls.
pub(crate) fn next_call(generator: &mut dyn Generator) -> Call {
    let next = generator.next();
    assert_eq!(generator.next(), next, "asking consumes nothing");
    match next {
        Next::Call(call) => {
            generator.taken();
            call
        }
        other => panic!("{other:?}"),
    }
}
