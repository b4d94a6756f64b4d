//! `dsfuzz completions`: for a shell, on stdout.
use super::{Cli, Output};
use crate::error::{Exit, Failure};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Arguments of `completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

pub(super) fn main(args: &CompletionsArgs, out: &mut Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "dsfuzz", &mut script);
    out.bytes(&script);
    Ok(Exit::Valid)
}
