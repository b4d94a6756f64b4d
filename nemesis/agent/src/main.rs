//! The `dsfuzz-agent` program: prints, and exits with what [`dsfuzz_agent::main`] says.
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    ExitCode::from(dsfuzz_agent::main(&args))
}
