//! The `dsfuzz` program: parses, runs, prints, exits.
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    // Before any thread exists: these commands fork and change namespaces.
    if let Some(code) = dsfuzz::lab::dispatch(&args) {
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    ExitCode::SUCCESS
}
