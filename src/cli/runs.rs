//! `dsfuzz runs`: the table of stored runs, newest first.
use super::Output;
use super::check::Subject;
use crate::error::{Exit, Failure};
use crate::store::{self, RunDir, RunRow};
use clap::Args;
use dsfuzz_checkers::Validity;
use std::path::{Path, PathBuf};

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

/// The history file or the run that was named on the command line.
pub(super) fn file_or_run(out: &Output, what: &str) -> Result<Subject, Failure> {
    let file = PathBuf::from(what);
    if file.exists() && !file.is_dir() {
        return Ok(Subject::File(file));
    }
    let run = store::find(&out.results, what);
    run.map(Subject::Run).map_err(|error| {
        // A path, or a name as only files have it.
        let as_file = what.contains('/')
            || Path::new(what).extension().is_some_and(|end| FILES.iter().any(|known| end == *known));
        let no_file = match (file.is_dir(), as_file) {
            (true, _) => format!("{what} is a folder without the files of a run; "),
            (false, true) => format!("there is no file {what}; "),
            (false, false) => String::new(),
        };
        Failure::Usage(format!("{no_file}{error:#}"))
    })
}

/// How names of history files end.
const FILES: [&str; 7] = ["jsonl", "json", "edn", "log", "txt", "gz", "parquet"];

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
