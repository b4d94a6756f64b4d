//! `dsfuzz run`: deploy, load, break, heal, collect, judge, report.
use super::{Output, PlanArgs};
use crate::error::{Exit, Failure};
use clap::Args;

/// Arguments of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The plan and what is changed in it.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Leave the target running at the end (faults are healed all the same) [env: DSFUZZ_LEAVE_RUNNING]
    #[arg(long, alias = "leave-db-running")]
    pub leave_running: bool,
}

impl RunArgs {
    /// The flag, or the environment.
    pub fn leaves_running(&self) -> bool {
        let set = |value: String| !matches!(value.as_str(), "" | "0" | "false" | "no");
        self.leave_running || std::env::var("DSFUZZ_LEAVE_RUNNING").is_ok_and(set)
    }
}

pub(super) fn main(args: &RunArgs, _out: &mut Output) -> Result<Exit, Failure> {
    let (_plan, _overrides) = args.plan.load()?;
    Err(Failure::harness("run is not wired"))
}
