//! The `dsfuzz` program: parses, runs, prints, exits.
fn main() {}
