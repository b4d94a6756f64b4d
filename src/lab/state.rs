//! The record of each lab in the state folder.
use super::users::Users;
use crate::folders::state_dir;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The folder of all labs.
pub(super) fn labs_dir() -> PathBuf {
    state_dir().join("labs")
}

/// A lock against other commands that make or sweep labs in this state folder. Dropping it releases it.
pub(super) fn lock() -> Result<File> {
    let labs = labs_dir();
    fs::create_dir_all(&labs).with_context(|| format!("making {}", labs.display()))?;
    let path = labs.join(".lock");
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    file.lock().with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// A process, identified even if its number is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessIdentity {
    /// Its number on this host.
    pub(super) pid: u32,
    /// When it started, in clock ticks since boot.
    pub(super) started: u64,
}

impl ProcessIdentity {
    /// The process that has this number now.
    pub(super) fn now(pid: u32) -> Option<ProcessIdentity> {
        started(pid).map(|started| ProcessIdentity { pid, started })
    }

    /// Whether it is still there; a zombie is not.
    pub(super) fn alive(self) -> bool {
        started(self.pid) == Some(self.started)
    }
}

/// The parent of a process, and the arguments with which it was started.
pub(super) fn parent_and_arguments(pid: u32) -> Option<(u32, Vec<String>)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some((parent, line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()))
}

fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain blanks and brackets; the text after its last bracket is regular (proc_pid_stat(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" { None } else { fields.nth(18)?.parse().ok() }
}

/// `lab.json`: the record of a lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LabRecord {
    /// Its name.
    pub(super) name: String,
    /// How many nodes.
    pub(super) nodes: u16,
    /// The supervisor.
    pub(super) supervisor: ProcessIdentity,
    /// Process 1 of the lab, in whose network namespace the control node lives. None while the lab is coming up.
    pub(super) init: Option<ProcessIdentity>,
    /// Its cgroup folder; none without root where no cgroup is delegated to the user.
    pub(super) cgroup: Option<PathBuf>,
    /// It outlives the command that made it.
    pub(super) detached: bool,
    /// The file system of each node's data: `ext4`, or `tmpfs` with the reason.
    pub(super) data: String,
    /// The users of its nodes.
    #[serde(default)]
    pub(super) users: Users,
}

impl LabRecord {
    /// Reads a lab's record.
    pub(super) fn read(dir: &Path) -> Result<LabRecord> {
        let path = dir.join("lab.json");
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    /// Writes it in one step.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join("lab.json");
        let fresh = dir.join("lab.json.new");
        fs::write(&fresh, serde_json::to_vec_pretty(self)?).with_context(|| format!("writing {}", fresh.display()))?;
        fs::rename(&fresh, &path).with_context(|| format!("writing {}", path.display()))
    }
}

/// Refuses names that are unfit for a folder, a cgroup or the command line.
pub(super) fn check_name(name: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 40 || !name.chars().all(fine) || name.starts_with('-') {
        bail!("not a name for a lab: {name:?} (letters, digits, - and _, at most 40)");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_too() {
        let me = ProcessIdentity::now(std::process::id()).expect("this process");
        assert!(me.alive());
        assert!(!ProcessIdentity { started: me.started + 1, ..me }.alive());
    }

    #[test]
    fn names_are_checked() {
        assert!(check_name("default").is_ok() && check_name("a-1_B").is_ok());
        assert!(check_name("").is_err() && check_name("../x").is_err() && check_name("-x").is_err());
    }
}
