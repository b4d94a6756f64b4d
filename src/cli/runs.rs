//! `dsfuzz runs`: the table of stored runs, newest first.
use super::Output;
use super::check::CheckSubject;
use crate::error::{Exit, Failure};
use crate::store::{self, RunDir, RunInfo, RunRow, RunState, RunVerdict};
use clap::Args;
use dsfuzz_checkers::Validity;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Arguments of `runs`.
#[derive(Clone, Debug, Args)]
pub struct RunsArgs {
    /// List only runs of this plan
    pub plan: Option<String>,
    /// Maximum number of runs to list
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub limit: Option<usize>,
}

pub(super) fn main(args: &RunsArgs, out: &mut Output) -> Result<Exit, Failure> {
    if out.results.exists() && !out.results.is_dir() {
        return Err(Failure::Usage(format!("--results {}: it is no folder of runs", out.results.display())));
    }
    let mut rows = store::list(&out.results)?;
    let plans: BTreeSet<String> = rows.iter().map(|row| row.plan.clone()).collect();
    if let Some(plan) = args.plan.as_ref().filter(|plan| !plans.is_empty() && !plans.contains(*plan)) {
        let plans = plans.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!(
            "no run of {plan} in {}; there are runs of {plans}",
            out.results.display()
        )));
    }
    if args.limit == Some(0) {
        return Err(Failure::Usage("-n 0 lists nothing: leave it out to list all runs".into()));
    }
    rows.retain(|row| args.plan.as_ref().is_none_or(|plan| *plan == row.plan));
    rows.truncate(args.limit.unwrap_or(usize::MAX));
    if out.json {
        out.document(&rows)?;
    } else if rows.is_empty() {
        out.note(format!("no runs in {}; `dsfuzz run PLAN` makes one", out.results.display()));
    } else {
        let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
        out.table(&["run", "verdict", "target", "nodes", "seed", "reason"], &rows);
    }
    Ok(Exit::Valid)
}

/// The run named on the command line. It must have ended: the files of a run in progress are neither read nor written.
pub(super) fn named(out: &mut Output, spec: &str) -> Result<RunDir, Failure> {
    let dir = store::find(&out.results, spec).map_err(|error| Failure::Usage(format!("{error:#}")))?;
    ended(out, spec, dir)
}

/// A run in progress is an error.
pub(super) fn has_ended(dir: &RunDir) -> Result<(), Failure> {
    let Some(process) = dir.under_way() else { return Ok(()) };
    Err(Failure::harness(format!(
        "the run in {} still goes on ({process}): nothing of it was read or changed; wait for its end, or end it with SIGINT",
        dir.path().display()
    )))
}

/// The run, unless it is in progress. Names the newer commands that `latest` passes over.
fn ended(out: &mut Output, spec: &str, dir: RunDir) -> Result<RunDir, Failure> {
    has_ended(&dir)?;
    let newer = if dir.has_history() { store::passed_over(&out.results, spec, &dir)? } else { None };
    if let Some(newer) = newer {
        let what = match newer.state {
            RunState::Refused => "was refused and ran nothing",
            RunState::UnderWay => "has not recorded anything yet",
            _ => "ended before its load",
        };
        let first = newer.sentence.lines().next().unwrap_or_default();
        out.note(format!(
            "this is about {}, the last run with a history; the command after it ({}/{}) {what}: {first}",
            dir.path().display(),
            newer.plan,
            newer.time
        ));
    }
    Ok(dir)
}

/// The error for a run that was refused or ended before its load: there is nothing to judge.
pub(super) fn nothing_recorded(dir: &RunDir) -> Option<Failure> {
    let (info, verdict) = (RunInfo::load(dir).ok(), RunVerdict::load(dir).ok());
    let why = verdict.as_ref().map(|verdict| verdict.sentence.clone());
    let why = why.or_else(|| info.as_ref()?.harness_failures.first().cloned()).unwrap_or_default();
    let path = dir.path().display();
    match RunState::of(dir, info.as_ref(), verdict.as_ref()) {
        RunState::Refused => Some(Failure::Usage(format!(
            "nothing to judge in {path}: the command was refused and ran nothing: {why}\nmend the plan or the arguments, \
             look at them with `dsfuzz plan PLAN`, and run it again"
        ))),
        RunState::NotRun => Some(Failure::harness(format!(
            "nothing to judge in {path}: the run ended before its load: {why}; mend what failed, look with `dsfuzz doctor \
             PLAN`, and run it again"
        ))),
        _ => None,
    }
}

/// The history file or the run named on the command line.
pub(super) fn file_or_run(out: &mut Output, what: &str) -> Result<CheckSubject, Failure> {
    let file = PathBuf::from(what);
    if file.exists() && !file.is_dir() {
        return Ok(CheckSubject::File(file));
    }
    let run = store::find(&out.results, what);
    let run = run.map_err(|error| {
        // A path, or a name that only a file has.
        let as_file = what.contains('/')
            || Path::new(what).extension().is_some_and(|end| FILES.iter().any(|known| end == *known));
        let no_file = match (file.is_dir(), as_file) {
            (true, _) => format!("{what} is a folder without the files of a run; "),
            (false, true) => format!("there is no file {what}; "),
            (false, false) => String::new(),
        };
        Failure::Usage(format!("{no_file}{error:#}"))
    })?;
    ended(out, what, run).map(CheckSubject::Run)
}

/// Extensions of history files.
const FILES: [&str; 7] = ["jsonl", "json", "edn", "log", "txt", "gz", "parquet"];

/// Characters of a reason; the report has the whole sentence.
const REASON_MAX: usize = 200;

/// The first line of a verdict's sentence, shortened.
fn reason(sentence: &str) -> String {
    let first = sentence.lines().next().unwrap_or_default();
    if first.chars().count() <= REASON_MAX {
        return first.to_owned();
    }
    let mut short: String = first.chars().take(REASON_MAX - 1).collect();
    short.push('…');
    short
}

fn cells(row: &RunRow) -> Vec<String> {
    let verdict = match (row.state, row.validity, row.exit) {
        (RunState::Refused, ..) => "refused",
        (RunState::NotRun, ..) => "not run",
        (RunState::UnderWay, ..) => "-",
        (_, Some(Validity::Valid), _) => "valid",
        (_, Some(Validity::Unknown), _) => "unknown",
        (_, Some(Validity::Invalid), _) => "INVALID",
        (_, None, Some(_)) => "failed",
        (_, None, None) => "-",
    };
    let run = format!("{}/{}", row.plan, row.time);
    // A refused command may have neither.
    let known = |number: u64| if row.state.not_run() && number == 0 { "-".to_owned() } else { number.to_string() };
    let (nodes, seed) = (known(row.nodes as u64), known(row.seed));
    let reason = match &row.replay {
        Some(replay) => reason(&format!("{replay}: {}", row.sentence)),
        None => reason(&row.sentence),
    };
    vec![run, verdict.into(), row.target.clone(), nodes, seed, reason]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_one_short_line() {
        assert_eq!(reason("the plan is wrong\n --> plan.yaml:3"), "the plan is wrong");
        let long = reason(&"é".repeat(5000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (REASON_MAX, true));
        assert_eq!(reason(""), "");
    }
}
