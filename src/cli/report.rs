//! `dsfuzz report`: draws the report of a run again, from its files.
use super::Output;
use crate::error::{Exit, Failure};
use clap::Args;

/// Arguments of `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// The run: `latest`, PLAN, PLAN/TIME or its folder
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
}

pub(super) fn main(args: &ReportArgs, out: &mut Output) -> Result<Exit, Failure> {
    let _run = super::runs::named(out, &args.run)?;
    Err(Failure::harness("report is not wired"))
}
