//! The `dsfuzz-agent` program.
fn main() {}
