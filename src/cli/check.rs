//! `dsfuzz check`: judges a stored run, or a history from a file.
use super::Output;
use crate::error::{Exit, Failure};
use crate::plan::{did_you_mean, names};
use crate::store::RunDir;
use clap::Args;
use std::path::PathBuf;

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
    let _subject = args.subject(out)?;
    args.checkers()?;
    Err(Failure::harness("check is not wired"))
}
