//! `dsfuzz report`: draws the report of a run again, from its files.
use super::Output;
use crate::error::{Exit, Failure};
use crate::run::read_back;
use crate::store::{RunInfo, RunVerdict};
use clap::Args;
use dsfuzz_checkers::History;

/// Arguments of `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// The run: `latest`, PLAN, PLAN/TIME or its folder
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
}

pub(super) fn main(args: &ReportArgs, out: &mut Output) -> Result<Exit, Failure> {
    let dir = super::runs::named(out, &args.run)?;
    let unread = |path: std::path::PathBuf| {
        move |error| {
            Failure::harness(format!("{}: {error} (`dsfuzz check` judges a run that was cut off)", path.display()))
        }
    };
    let info = RunInfo::load(&dir).map_err(unread(dir.info()))?;
    let verdict = RunVerdict::load(&dir).map_err(unread(dir.verdict()))?;
    // A command that ran nothing has a report that says why.
    let history = if super::runs::nothing_recorded(&dir).is_some() { History::default() } else { read_back(&dir)? };
    crate::report::write_all(&dir, &history, &info, &verdict)?;
    if out.json {
        out.document(&serde_json::json!({"report": dir.report()}))?;
    } else {
        out.line(dir.report().display().to_string());
    }
    Ok(Exit::Valid)
}
