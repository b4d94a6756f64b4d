//! Damaged texts of every format, `DSFUZZ_MUTATIONS` of each (by default a million): none may panic, take more memory than
//! it accounts for, or be read as something that cannot be written again.
use dsfuzz_checkers::history::Format;
use dsfuzz_checkers::oracles::{Mutations, mutate_read};
use std::time::Instant;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return; // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (count, seed) = (number("DSFUZZ_MUTATIONS").unwrap_or(1_000_000), number("DSFUZZ_SEED").unwrap_or(7));
    for format in Format::ALL {
        let start = Instant::now();
        match mutate_read(format, seed, count) {
            Ok(Mutations { inputs, accepted, bytes }) => {
                println!(
                    "{format:<15} {inputs:>9} texts, {accepted:>8} are histories, {:>6} MB, {:>7.1} s",
                    bytes / 1_000_000,
                    start.elapsed().as_secs_f64()
                );
            }
            Err(message) => println!("{format:<15} {message}"),
        }
    }
}
