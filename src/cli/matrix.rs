//! `dsfuzz matrix`: which mistakes of the specimens are found, in how many runs and how soon.
use super::{Output, Paint, cluster_source, signals};
use crate::error::{Exit, Failure};
use crate::matrix::{self, Cell, Facts, Row, Summary};
use crate::run::stop::StopRequest;
use crate::store::{self, RunDir};
use clap::Args;
use dsfuzz_span::Span;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Instant;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Variables that would change the plans of the rows, or where their results go.
const CHANGES: &[&str] = &[
    "DSFUZZ_SEED",
    "DSFUZZ_TIME",
    "DSFUZZ_NODES",
    "DSFUZZ_RATE",
    "DSFUZZ_CLIENTS",
    "DSFUZZ_LEAVE_RUNNING",
    "GITHUB_STEP_SUMMARY",
];

/// Arguments of `matrix`.
#[derive(Clone, Debug, Args)]
pub struct MatrixArgs {
    /// Only the rows of a mode, or one of them; several times for several [default: all]
    #[arg(long, value_name = "MODE[/ROW]")]
    pub only: Vec<String>,
    /// The seeds of each row
    #[arg(long, value_name = "FIRST-LAST", default_value = "1-3")]
    pub seeds: Seeds,
    /// Runs side by side, each in a lab of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub jobs: u64,
    /// No run begins after this time, such as 10m; those under way end [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub budget: Option<Span>,
    /// Run the mistakes without the fault that brings them out: they must not be found
    #[arg(long)]
    pub without_fault: bool,
    /// Also write the page, such as docs/detection.md
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
}

/// The first seed and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds(u64, u64);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Seeds, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if first <= last && last - first < 10_000 => Ok(Seeds(first, last)),
            _ => Err("write the first and the last seed, such as 1-10, at most 10000 of them".to_owned()),
        }
    }
}

impl std::fmt::Display for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// One run that is to be made.
#[derive(Clone)]
struct Wanted {
    row: Row,
    seed: u64,
    without_fault: bool,
    /// The file of its cell.
    file: PathBuf,
}

impl Wanted {
    fn name(&self) -> String {
        let arm = if self.without_fault { " without its fault" } else { "" };
        format!("{}{arm}, seed {}", self.row.name, self.seed)
    }
}

/// What came of the runs.
#[derive(Default)]
struct Done {
    cells: Vec<Cell>,
    failed: Vec<String>,
    missing: usize,
    stopped: Option<i32>,
}

pub(super) fn main(args: &MatrixArgs, out: &mut Output) -> Result<Exit, Failure> {
    let rows = chosen(args)?;
    let folder = out.results.join("matrix");
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    for part in ["cells", "plans"] {
        std::fs::create_dir_all(folder.join(part)).map_err(|error| unwritten(&folder, &error))?;
    }
    let program = program();
    let wanted = wanted(args, &rows, &folder, &program);
    let mut done = Done::default();
    let mut left = Vec::new();
    for one in wanted {
        match Cell::load(&one.file) {
            Some(cell) => done.cells.push(cell),
            None => left.push(one),
        }
    }
    if !done.cells.is_empty() {
        out.note(format!("{} runs are done already; {} to go", done.cells.len(), left.len()));
    }
    let runtime = cluster_source::runtime()?;
    let verbose = out.verbose;
    runtime.block_on(async {
        let told = |_| super::progress::aside("stopping: the runs under way heal and end; finished ones are kept");
        let stop =
            signals::listen(told).map_err(|error| Failure::harness(format!("signals cannot be heard: {error}")))?;
        run_all(args, left, &folder, &stop, verbose, &mut done).await;
        Ok::<(), Failure>(())
    })?;
    let summaries: Vec<Summary> = rows.iter().map(|row| matrix::of(row, &done.cells)).collect();
    let exit = matrix::exit(&summaries, done.missing, done.failed.len(), done.stopped);
    let facts = Facts { program: version(), seeds: args.seeds.to_string(), missing: done.missing };
    let document = serde_json::json!({
        "dsfuzz": facts.program, "seeds": facts.seeds, "without_fault": args.without_fault, "missing": facts.missing,
        "failed": done.failed, "stopped_by": done.stopped, "exit": exit.code(), "rows": summaries, "cells": done.cells,
    });
    let file = out.results.join("matrix.json");
    let text = serde_json::to_vec_pretty(&document).map_err(Failure::harness)?;
    store::write_whole(&file, &text).map_err(|error| unwritten(&file, &error))?;
    if let Some(path) = &args.write {
        let page = matrix::page(&facts, &summaries);
        store::write_whole(path, page.as_bytes()).map_err(|error| unwritten(path, &error))?;
    }
    if out.json {
        out.document(&document)?;
    } else {
        show(&summaries, &done, out);
    }
    Ok(exit)
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::harness(format!("{} cannot be written: {error}", path.display()))
}

fn chosen(args: &MatrixArgs) -> Result<Vec<Row>, Failure> {
    let rows = matrix::rows()?;
    if let Some(unknown) = args.only.iter().find(|only| !rows.iter().any(|row| row.is_named(only))) {
        let names: Vec<&str> = rows.iter().flat_map(|row| [row.mode.as_str(), row.name.as_str()]).collect();
        let meant = crate::document::did_you_mean(unknown, names.iter().copied());
        let help =
            meant.map_or_else(|| format!("there are {}", names.join(", ")), |meant| format!("did you mean {meant}?"));
        return Err(Failure::Usage(format!("--only {unknown}: no such row; {help}")));
    }
    let named = |row: &Row| args.only.is_empty() || args.only.iter().any(|only| row.is_named(only));
    Ok(rows.into_iter().filter(named).collect())
}

/// Every run, seed by seed, so that a budget that ends leaves no row without any.
fn wanted(args: &MatrixArgs, rows: &[Row], folder: &Path, program: &str) -> Vec<Wanted> {
    let without = args.without_fault;
    let of_seed = |seed| {
        let rows = rows.iter().filter(move |row| !without || row.fault.is_some());
        rows.map(move |row| {
            let file = folder.join("cells").join(matrix::file_name(row, seed, without, program));
            Wanted { row: row.clone(), seed, without_fault: without, file }
        })
    };
    (args.seeds.0..=args.seeds.1).flat_map(of_seed).collect()
}

/// Version and revision, for people.
fn version() -> String {
    if store::REVISION.is_empty() {
        format!("dsfuzz {}", store::VERSION)
    } else {
        format!("dsfuzz {} ({})", store::VERSION, store::REVISION)
    }
}

/// Tells this build of dsfuzz and of the specimen from others. Sizes and times of the files stand for a revision that the build
/// does not name, or whose sources were changed.
fn program() -> String {
    let mut parts = vec![version()];
    if store::REVISION.is_empty() || store::REVISION.ends_with("-dirty") {
        let exe = std::env::current_exe().unwrap_or_default();
        for file in [exe.clone(), exe.with_file_name("dsfuzz-specimen")] {
            let facts = std::fs::metadata(file).map(|facts| (facts.len(), facts.modified().ok()));
            parts.push(format!("{:?}", facts.ok()));
        }
    }
    parts.join(" ")
}

/// Makes the runs, `jobs` at a time. A run that ended is kept at once.
async fn run_all(
    args: &MatrixArgs,
    left: Vec<Wanted>,
    folder: &Path,
    stop: &watch::Receiver<StopRequest>,
    verbose: bool,
    done: &mut Done,
) {
    let begun = Instant::now();
    let total = left.len();
    let jobs = usize::try_from(args.jobs).unwrap_or(1);
    let (mut queue, mut under_way, mut ended) = (left.into_iter(), JoinSet::new(), 0);
    loop {
        let over = args.budget.is_some_and(|budget| begun.elapsed() >= budget.0) || stop.borrow().asked();
        while !over && under_way.len() < jobs {
            let Some(next) = queue.next() else { break };
            let (folder, stop) = (folder.to_path_buf(), stop.clone());
            under_way.spawn(async move {
                let cell = run(&next, &folder, stop, verbose).await;
                (next.name(), cell)
            });
        }
        let Some(joined) = under_way.join_next().await else { break };
        ended += 1;
        let (name, cell) = joined.unwrap_or_else(|error| ("a run".to_owned(), Err(error.to_string())));
        match cell {
            Ok(cell) => {
                super::progress::aside(&format!("{ended} of {total}: {name}: {}", cell.sentence));
                done.cells.push(cell);
            }
            Err(_) if stop.borrow().asked() => done.missing += 1,
            Err(why) => {
                super::progress::aside(&format!("{ended} of {total}: {name}: not counted: {why}"));
                done.failed.push(format!("{name}: {why}"));
            }
        }
    }
    done.missing += queue.count();
    done.stopped = Some(*stop.borrow()).filter(|stop| stop.asked()).map(|stop| stop.signal);
}

/// One run, in a process of this program: a lab is entered by a process, and never left.
async fn run(
    wanted: &Wanted,
    folder: &Path,
    mut stop: watch::Receiver<StopRequest>,
    verbose: bool,
) -> Result<Cell, String> {
    let said = |error: std::io::Error| error.to_string();
    let name = format!("{}-{}.yaml", wanted.row.file_name(wanted.without_fault), wanted.seed);
    let plan = folder.join("plans").join(name);
    let text = wanted.row.seeded(wanted.without_fault, wanted.seed).to_string();
    store::write_whole(&plan, text.as_bytes()).map_err(said)?;
    let mut command = tokio::process::Command::new(std::env::current_exe().map_err(said)?);
    command.arg("run").arg(&plan).arg("--json").arg("--results").arg(folder.join("runs"));
    for name in CHANGES {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(if verbose { Stdio::inherit() } else { Stdio::null() });
    // In a group of its own, so that it hears of each signal once, from here.
    let child = command.process_group(0).spawn().map_err(said)?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    let mut ended = std::pin::pin!(child.wait_with_output());
    let output = loop {
        tokio::select! {
            output = &mut ended => break output.map_err(said)?,
            Ok(()) = stop.changed() => {
                let _ = pid.map(|pid| kill(pid, Signal::SIGINT));
            }
        }
    };
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let Some(dir) = document["dir"].as_str() else {
        let error = document["error"].as_str().map(str::to_owned);
        return Err(error.unwrap_or_else(|| format!("it ended with {}", output.status)));
    };
    let cell = Cell::of(&wanted.row, wanted.seed, wanted.without_fault, &RunDir::at(dir))?;
    cell.save(&wanted.file).map_err(said)?;
    Ok(cell)
}

fn show(summaries: &[Summary], done: &Done, out: &mut Output) {
    let dash = || "-".to_owned();
    let line = |summary: &Summary| {
        let by: Vec<&str> = summary.by.keys().map(String::as_str).collect();
        let (runs, count) = match (summary.mistake, summary.without_runs) {
            (true, 0) => (summary.runs, format!("found {}", summary.found)),
            (true, runs) => (runs, format!("found {} without its fault", summary.without_invalid)),
            (false, _) => (summary.runs, format!("valid {}", summary.valid)),
        };
        vec![
            summary.row.clone(),
            format!("{count} of {runs}"),
            summary.unknown.to_string(),
            summary.median_s.map_or_else(dash, |time| format!("{time:.1} s")),
            summary.ops.map_or_else(dash, |ops| ops.to_string()),
            if by.is_empty() { dash() } else { by.join(", ") },
        ]
    };
    let with_runs = summaries.iter().filter(|summary| summary.runs + summary.without_runs > 0);
    let lines: Vec<Vec<String>> = with_runs.map(line).collect();
    if !lines.is_empty() {
        out.table(&["row", "outcome", "unknown", "median time", "operations", "by"], &lines);
    }
    for reason in matrix::reasons(summaries) {
        let reason = out.paint(Paint::Bad, &reason);
        out.line(reason);
    }
    done.failed.iter().for_each(|why| out.line(format!("not counted: {why}")));
    if done.missing > 0 {
        out.line(format!("{} runs are missing: the same command goes on from here", done.missing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> MatrixArgs {
        let words = ["dsfuzz", "matrix"].iter().chain(words);
        let cli = <crate::cli::Cli as clap::Parser>::try_parse_from(words).unwrap();
        let crate::cli::Command::Matrix(args) = cli.command else { panic!("matrix") };
        args
    }

    #[test]
    fn seeds_are_the_first_and_the_last() {
        assert_eq!("1-10".parse(), Ok(Seeds(1, 10)));
        assert_eq!("7".parse(), Ok(Seeds(7, 7)));
        assert!("3-1".parse::<Seeds>().is_err() && "a-b".parse::<Seeds>().is_err());
        assert!("0-18446744073709551615".parse::<Seeds>().is_err());
    }

    #[test]
    fn only_takes_a_mode_a_row_and_all_rows_of_a_mistake() {
        let names = |words: &[&str]| chosen(&args(words)).unwrap().into_iter().map(|row| row.name).collect::<Vec<_>>();
        assert_eq!(names(&["--only", "ids"]), ["ids/none", "ids/clock-steps-back"]);
        assert_eq!(names(&["--only", "raft/local-reads"]), ["raft/local-reads"]);
        assert_eq!(names(&["--only", "gossip/none"]), ["gossip/none", "gossip/none-kill", "gossip/none-slow"]);
        let unknown = chosen(&args(&["--only", "raft/lokal-reads"])).unwrap_err().to_string();
        assert!(unknown.contains("did you mean raft/local-reads?"), "{unknown}");
    }

    #[test]
    fn a_matrix_goes_seed_by_seed_and_without_the_fault_only_where_one_is_needed() {
        let args = args(&["--only", "raft/local-reads", "--only", "ids", "--seeds", "1-2", "--without-fault"]);
        let names: Vec<String> =
            wanted(&args, &chosen(&args).unwrap(), Path::new("m"), "p").iter().map(Wanted::name).collect();
        assert_eq!(
            names,
            ["ids/clock-steps-back without its fault, seed 1", "ids/clock-steps-back without its fault, seed 2"]
        );
    }
}
