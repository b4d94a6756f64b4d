//! [`ReplayOf`]: which stored run a run repeats, and what repetitions must have in common to be counted together.
use super::{Inputs, REVISION, RunDir, RunInfo, VERSION};
use crate::cluster::sha256;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Hexadecimal digits of a key.
const KEY_DIGITS: usize = 16;

/// The stored run that a run repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayOf {
    /// Its plan and time: `etcd-register/20261129T203149Z`.
    pub run: String,
    /// Its start, RFC 3339, which tells runs of several machines apart.
    pub started: String,
    /// Which faults it is run again with.
    pub faults: ReplayFaults,
    /// The same in every repetition with the same plan, files and dsfuzz.
    pub key: String,
}

/// The faults of a run that repeats another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayFaults {
    /// Those that the seed draws, at their drawn times.
    #[default]
    Drawn,
    /// Those of the run, at the times at which they were measured.
    Measured,
    /// None: the control.
    None,
}

/// A stored run that is to be repeated.
#[derive(Clone, Debug)]
pub struct StoredRun {
    /// Its folder.
    pub dir: RunDir,
    /// Its account.
    pub info: RunInfo,
    /// Which faults it is run again with.
    pub faults: ReplayFaults,
}

impl StoredRun {
    /// The plan and the time of the run, whatever folder a copy of it lies in.
    pub fn name(&self) -> String {
        let time = self.dir.path().file_name().map(|name| name.to_string_lossy().into_owned());
        format!("{}/{}", self.info.plan, time.unwrap_or_default())
    }

    /// The repetition with this effective plan (as YAML, without the path of its target) and these files.
    pub fn replay(&self, plan: &str, inputs: &Inputs) -> ReplayOf {
        let files: Vec<&str> = inputs.files.iter().map(|file| file.sha256.as_str()).collect();
        let common = format!("{VERSION}\n{REVISION}\n{}\n{plan}", files.join("\n"));
        ReplayOf {
            run: self.name(),
            started: self.info.started.clone(),
            faults: self.faults,
            key: sha256(common.as_bytes())[..KEY_DIGITS].to_owned(),
        }
    }
}

impl fmt::Display for ReplayOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.faults {
            ReplayFaults::Drawn => "",
            ReplayFaults::Measured => " with its measured faults",
            ReplayFaults::None => " without faults",
        };
        write!(f, "replay of {}{how}", self.run)
    }
}
