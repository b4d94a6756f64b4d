//! [`Attempt`]: one run of a replay, read from its folder.
use super::Signature;
use crate::error::Exit;
use crate::store::{self, ReplayOf, RunDir, RunInfo, RunState, RunVerdict};
use dsfuzz_checkers::Validity;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its folder.
    pub path: PathBuf,
    /// Whether it is one of the control, without faults.
    pub control: bool,
    /// The reason why it does not count; none if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_counted: Option<String>,
    /// Its answer.
    pub validity: Option<Validity>,
    /// The promises that it broke.
    pub found: Vec<Signature>,
    /// The versions of the target, each once.
    #[serde(default)]
    pub target_versions: Vec<String>,
}

impl Attempt {
    /// The run in a folder. A run counts if it came to its end: one that was stopped or in which the harness failed shows less than
    /// the others, and never counts, whatever it found.
    pub fn of(dir: &RunDir) -> Attempt {
        let (info, verdict) = (RunInfo::load(dir).ok(), RunVerdict::load(dir).ok());
        let state = RunState::of(dir, info.as_ref(), verdict.as_ref());
        let not_counted = match (&info, &verdict) {
            (Some(info), Some(verdict)) => not_counted(info, verdict, state),
            (Some(info), None) => Some(state.sentence(dir, info)),
            (None, _) => Some("it has no readable run.json".to_owned()),
        };
        Attempt {
            path: dir.path().to_owned(),
            control: false,
            not_counted,
            validity: verdict.as_ref().map(|verdict| verdict.validity),
            found: verdict.as_ref().map(Signature::of).unwrap_or_default(),
            target_versions: info.as_ref().map(versions).unwrap_or_default(),
        }
    }

    /// A run that ended before it had a folder.
    pub(super) fn without_folder(control: bool, why: String) -> Attempt {
        Attempt {
            path: PathBuf::new(),
            control,
            not_counted: Some(why),
            validity: None,
            found: Vec::new(),
            target_versions: Vec::new(),
        }
    }

    /// Whether it broke this promise in this way.
    pub fn has(&self, signature: &Signature) -> bool {
        self.found.contains(signature)
    }

    pub(super) fn exit(&self) -> Exit {
        match (&self.not_counted, self.validity) {
            (_, Some(Validity::Invalid)) => Exit::Invalid,
            (Some(_), _) | (None, None) => Exit::Harness,
            (None, Some(Validity::Unknown)) => Exit::Unknown,
            (None, Some(Validity::Valid)) => Exit::Valid,
        }
    }
}

fn not_counted(info: &RunInfo, verdict: &RunVerdict, state: RunState) -> Option<String> {
    if let Some(signal) = &info.stopped_by {
        return Some(format!("it was stopped by {signal}"));
    }
    let failed = info.harness_failures.first().or(verdict.harness.first());
    match state {
        RunState::Ended => failed.cloned(),
        _ => Some(failed.cloned().unwrap_or_else(|| verdict.sentence.clone())),
    }
}

/// The versions of the target in a run, each once.
pub fn versions(info: &RunInfo) -> Vec<String> {
    let mut versions: Vec<String> = info.target_versions.values().cloned().collect();
    versions.sort();
    versions.dedup();
    versions
}

/// The runs below this root that are this repetition, the oldest first, without those in progress.
pub fn earlier(root: &Path, replay: &ReplayOf) -> anyhow::Result<Vec<Attempt>> {
    let mut rows = store::list(root)?;
    rows.reverse();
    let same = |row: &store::RunRow| row.replay.as_ref() == Some(replay) && row.state != RunState::UnderWay;
    Ok(rows.iter().filter(|row| same(row)).map(|row| Attempt::of(&RunDir::at(&row.path))).collect())
}
