//! Any bytes, read as this format: an answer or an error, never a panic, never memory out of proportion.
#![no_main]

use dsfuzz_checkers::history::Format;
use dsfuzz_checkers::oracles::check_reader;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    if let Err(message) = check_reader(Format::Jsonl, text) {
        panic!("{message}");
    }
});
