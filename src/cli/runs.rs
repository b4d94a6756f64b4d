//! `dsfuzz runs`: the table of stored runs, newest first.
use super::Output;
use crate::error::{Exit, Failure};
use crate::store::{self, RunDir, RunRow};
use clap::Args;
use dsfuzz_checkers::Validity;

/// Arguments of `runs`.
#[derive(Clone, Debug, Args)]
pub struct RunsArgs {
    /// Only runs of this plan
    pub plan: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub limit: Option<usize>,
}

pub(super) fn main(args: &RunsArgs, out: &mut Output) -> Result<Exit, Failure> {
    let mut rows = store::list(&out.results)?;
    rows.retain(|row| args.plan.as_ref().is_none_or(|plan| *plan == row.plan));
    rows.truncate(args.limit.unwrap_or(usize::MAX));
    if out.json {
        out.document(&rows)?;
    } else if rows.is_empty() {
        out.note(format!("no runs in {}; `dsfuzz run PLAN` makes one", out.results.display()));
    } else {
        let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
        out.table(&["run", "verdict", "target", "nodes", "seed", "in words"], &rows);
    }
    Ok(Exit::Valid)
}

/// The run that was named on the command line.
pub(super) fn named(out: &Output, spec: &str) -> Result<RunDir, Failure> {
    store::find(&out.results, spec).map_err(|error| Failure::Usage(format!("{error:#}")))
}

fn cells(row: &RunRow) -> Vec<String> {
    let verdict = match (row.validity, row.exit) {
        (Some(Validity::Valid), _) => "valid",
        (Some(Validity::Unknown), _) => "unknown",
        (Some(Validity::Invalid), _) => "INVALID",
        (None, Some(_)) => "failed",
        (None, None) => "-",
    };
    let run = format!("{}/{}", row.plan, row.time);
    vec![run, verdict.into(), row.target.clone(), row.nodes.to_string(), row.seed.to_string(), row.sentence.clone()]
}
