//! `dsfuzz check`: judges a stored run, or a history from a file.
use super::Output;
use super::run::show;
use crate::error::{Exit, Failure};
use crate::judge::{self, Rules};
use crate::plan::{Plan, did_you_mean, names};
use crate::report;
use crate::run::{Finished, read_back};
use crate::store::{RunDir, RunInfo};
use clap::Args;
use dsfuzz_checkers::{History, Options};
use std::io::BufReader;
use std::path::{Path, PathBuf};

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

/// What is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A stored run.
    Run(RunDir),
    /// A history on its own.
    File(PathBuf),
}

impl CheckArgs {
    /// What the arguments mean. A file within a run's folder means that file alone.
    pub fn subject(&self, out: &Output) -> Result<Subject, Failure> {
        let file = PathBuf::from(&self.what);
        if file.is_file() { Ok(Subject::File(file)) } else { super::runs::named(out, &self.what).map(Subject::Run) }
    }

    /// The checkers that were named, each of which exists.
    pub fn checkers(&self) -> Result<&[String], Failure> {
        let known = names::checkers();
        let unknown = self.checkers.iter().find(|name| !known.iter().any(|entry| entry.name == **name));
        let Some(name) = unknown else { return Ok(&self.checkers) };
        let known: Vec<&str> = known.iter().map(|entry| entry.name.as_str()).collect();
        let meant = did_you_mean(name, known.iter().copied()).map(|meant| format!("; did you mean {meant}?"));
        let meant = meant.unwrap_or_default();
        Err(Failure::Usage(format!("no checker {name}{meant} (there are: {})", known.join(", "))))
    }
}

pub(super) fn main(args: &CheckArgs, out: &mut Output) -> Result<Exit, Failure> {
    // A misspelt name is told before any file is opened.
    args.checkers()?;
    match args.subject(out)? {
        Subject::Run(dir) => check_run(&dir, args, out),
        Subject::File(file) => check_file(&file, args, out),
    }
}

/// Judges a run from its files, draws its report again and keeps the verdict.
fn check_run(dir: &RunDir, args: &CheckArgs, out: &mut Output) -> Result<Exit, Failure> {
    let plan = std::fs::read_to_string(dir.plan());
    let plan = plan.map_err(|error| Failure::harness(format!("{}: {error}", dir.plan().display())))?;
    let mut rules = Rules::of_plan(&Plan::from_yaml_str(&plan)?);
    change(&mut rules, args)?;
    let info = RunInfo::load(dir)
        .map_err(|error| Failure::harness(format!("{} cannot be read: {error}", dir.info().display())))?;
    let history = read_back(dir)?;
    let verdict = judge::judge(&history, &rules, &info);
    if let Err(error) = report::write_all(dir, &history, &info, &verdict) {
        out.note(format!("the report could not be drawn whole: {error:#}"));
    }
    show(&Finished { info, verdict, history }, dir, out)
}

/// Judges a history of which no run is known: promises only, no evidence, nothing is written.
fn check_file(file: &Path, args: &CheckArgs, out: &mut Output) -> Result<Exit, Failure> {
    let reader = std::fs::File::open(file).map_err(|error| Failure::harness(format!("{}: {error}", file.display())))?;
    let history = dsfuzz_checkers::history::read_jsonl(BufReader::new(reader))
        .map_err(|error| Failure::harness(format!("{}: {error}", file.display())))?;
    let mut rules = Rules {
        checkers: fitting(&history).into_iter().map(|name| (name, Options::default())).collect(),
        ..Rules::default()
    };
    change(&mut rules, args)?;
    let info = RunInfo {
        plan: file.display().to_string(),
        again: format!("dsfuzz check {}", file.display()),
        ..RunInfo::default()
    };
    let verdict = judge::judge(&history, &rules, &info);
    let dir = RunDir::at(file.parent().unwrap_or(Path::new("")));
    show(&Finished { info, verdict, history }, &dir, out)
}

fn change(rules: &mut Rules, args: &CheckArgs) -> Result<(), Failure> {
    let named = args.checkers()?;
    if !named.is_empty() {
        rules.checkers = named.iter().map(|name| (name.clone(), Options::default())).collect();
    }
    if let Some(budget) = args.budget {
        rules.budget.time = budget;
    }
    Ok(())
}

/// What judges a history that names no plan: by the functions that were called.
fn fitting(history: &History) -> Vec<String> {
    let has = |name: &str| history.find_name(name).is_some();
    let mut checkers = Vec::new();
    if has("write") || has("cas") {
        checkers.push("linearizable".to_string());
    }
    if has("add") {
        checkers.push("set".into());
    }
    if !history.roles.is_empty() || !history.faults.is_empty() {
        checkers.push("split-brain".into());
    }
    checkers
}
