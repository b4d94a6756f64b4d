//! The `dsfuzz` program: parses, runs, prints, exits.
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // The lab's own processes enter namespaces, which a process with several threads cannot.
    if let Some(code) = dsfuzz::lab::dispatch(&arguments) {
        return ExitCode::from(u8::try_from(code).unwrap_or(255));
    }
    if let Some(code) = dsfuzz::targets::exec::guard::dispatch(&arguments) {
        return ExitCode::from(u8::try_from(code).unwrap_or(255));
    }
    ExitCode::from(dsfuzz::cli::main(arguments).code())
}
