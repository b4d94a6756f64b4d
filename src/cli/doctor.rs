//! `dsfuzz doctor`: can these nodes be tested?
use super::{Output, PlanArgs};
use crate::error::{Exit, Failure};
use clap::Args;

/// Arguments of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// The plan and what is changed in it.
    #[command(flatten)]
    pub plan: PlanArgs,
}

pub(super) fn main(args: &DoctorArgs, _out: &mut Output) -> Result<Exit, Failure> {
    let (_plan, _overrides) = args.plan.load()?;
    Err(Failure::harness("doctor is not wired"))
}
