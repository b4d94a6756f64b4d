//! `dsfuzz check`: judges a stored run, or a history from a file.
use super::Output;
use crate::error::{Exit, Failure};
use clap::Args;

/// Arguments of `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// A run (`latest`, PLAN, PLAN/TIME or its folder), or a history file
    #[arg(value_name = "RUN|FILE", default_value = "latest")]
    pub what: String,
    /// These checkers instead of the plan's
    #[arg(long = "checker", value_name = "NAME", value_delimiter = ',')]
    pub checkers: Vec<String>,
    /// Time for all checkers together, such as 5m
    #[arg(long, value_name = "DURATION")]
    pub budget: Option<dsfuzz_nemesis::Span>,
}

pub(super) fn main(args: &CheckArgs, out: &mut Output) -> Result<Exit, Failure> {
    let _run = crate::store::find(&out.results, &args.what)?;
    Err(Failure::harness("check is not wired"))
}
