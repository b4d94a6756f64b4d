//! The state of a run, from its folder.
use super::{RunDir, RunInfo, RunVerdict};
use crate::error::Exit;
use serde::{Deserialize, Serialize};

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// The plan or the arguments were wrong, so that nothing ran.
    Refused,
    /// It failed, or was stopped, before its load, so that nothing was recorded.
    NotRun,
    /// Its process is alive.
    UnderWay,
    /// Its process was killed, or its machine lost.
    Killed,
    /// It ended, or was judged later.
    Ended,
    /// Neither its end nor its process is known, as in a copy made during the run.
    Unknown,
}

impl RunState {
    /// The state of the run in a folder.
    pub fn of(dir: &RunDir, info: Option<&RunInfo>, verdict: Option<&RunVerdict>) -> RunState {
        if dir.under_way().is_some() {
            return RunState::UnderWay;
        }
        let exit = info.and_then(|info| info.exit).or(verdict.map(|verdict| verdict.exit));
        match exit.map(Exit::of_code) {
            Some(Exit::Usage) if !dir.has_history() => RunState::Refused,
            // If the record was removed later, the verdict has promises.
            Some(_) if !dir.has_history() && verdict.is_none_or(|verdict| verdict.promises.is_empty()) => {
                RunState::NotRun
            }
            Some(_) => RunState::Ended,
            None if dir.was_killed() => RunState::Killed,
            None => RunState::Unknown,
        }
    }

    /// Whether nothing ran, so that nothing can be judged.
    pub fn not_run(self) -> bool {
        matches!(self, RunState::Refused | RunState::NotRun)
    }

    /// The state of a run without a verdict, in words.
    pub fn sentence(self, dir: &RunDir, info: &RunInfo) -> String {
        let phase = info.phases.last().map(|phase| format!(" after {}", phase.name)).unwrap_or_default();
        match self {
            RunState::UnderWay => {
                let process = dir.under_way().map(|process| format!(" ({process})")).unwrap_or_default();
                format!("still running{process}{phase}")
            }
            RunState::Killed if !dir.has_history() => format!("killed{phase}: nothing was recorded"),
            RunState::Unknown if !dir.has_history() => format!("running, or killed{phase}: nothing was recorded"),
            RunState::Killed => format!("killed{phase}; `dsfuzz check` judges what was recorded"),
            RunState::Unknown => format!("running, or killed{phase}; `dsfuzz check` judges what was recorded"),
            _ => info.harness_failures.first().cloned().unwrap_or_else(|| "no verdict".into()),
        }
    }
}
