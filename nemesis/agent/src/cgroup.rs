//! [`Cgroup`]: a cgroup of version 2 for one service alone. The agent itself is never in one.
use crate::sys;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the kernel may take to freeze or thaw.
const FREEZING: Duration = Duration::from_secs(3);

/// One service's cgroup.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cgroup {
    path: PathBuf,
}

/// The folder of cgroups: `dsfuzz` in the part of the hierarchy that this node sees.
pub(crate) fn root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mount_point(&mounts).map(|point| point.join("dsfuzz"))
}

/// The newest mount of cgroup2 that does not reach above this cgroup namespace.
fn mount_point(mounts: &str) -> Option<PathBuf> {
    mounts
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let fields: Vec<&str> = left.split(' ').collect();
            let (inside, point) = (*fields.get(3)?, *fields.get(4)?);
            (right.starts_with("cgroup2 ") && !inside.starts_with("/..")).then(|| PathBuf::from(point))
        })
        .next_back()
}

impl Cgroup {
    /// Makes the cgroup, if it does not exist.
    pub(crate) fn make(path: &Path) -> Result<Cgroup, String> {
        fs::create_dir_all(path).map_err(|error| format!("cgroup {}: {error}", path.display()))?;
        Cgroup::find(path).ok_or_else(|| format!("{} is no cgroup of version 2", path.display()))
    }

    /// The cgroup, if it is there.
    pub(crate) fn find(path: &Path) -> Option<Cgroup> {
        path.join("cgroup.procs").exists().then(|| Cgroup { path: path.to_owned() })
    }

    /// For a child that moves itself in.
    pub(crate) fn entrance(&self) -> Result<File, String> {
        let path = self.path.join("cgroup.procs");
        OpenOptions::new().write(true).open(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Its processes, including those of cgroups below.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut found = Vec::new();
        each_folder(&self.path, &mut |folder| {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        });
        found
    }

    /// Whether a process is in it or below, even one that has ended and has a thread that still gives back its files.
    pub(crate) fn is_populated(&self) -> bool {
        self.get("cgroup.events").lines().any(|line| line == "populated 1")
    }

    /// The number of its out-of-memory kills; none if the kernel does not count them.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        let events = fs::read_to_string(self.path.join("memory.events")).ok()?;
        events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }

    /// Makes a controller's file of this cgroup, such as `memory.max`, usable; an error where the host does not hand the controller
    /// down. Only in the folders that were made for it.
    pub(crate) fn enable(&self, controller: &str) -> Result<(), String> {
        let offers = |folder: &Path, file: &str| {
            let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
            text.split_whitespace().any(|name| name == controller)
        };
        let mut above: Vec<&Path> = self.path.ancestors().skip(1).take(2).collect();
        above.reverse();
        for folder in above {
            if !offers(folder, "cgroup.controllers") {
                return Err(format!("cgroup2 has no {controller} controller at {}", folder.display()));
            }
            if !offers(folder, "cgroup.subtree_control") {
                let path = folder.join("cgroup.subtree_control");
                fs::write(&path, format!("+{controller}")).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Writes a limit, such as `memory.max`.
    pub(crate) fn set(&self, file: &str, value: &str) -> Result<(), String> {
        let path = self.path.join(file);
        fs::write(&path, value).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Reads a file, without the blank at its end; empty if it is not there.
    pub(crate) fn get(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).unwrap_or_default().trim().to_owned()
    }

    /// Asks for a freeze or a thaw, and does not wait; false if that cannot be asked for.
    pub(crate) fn begin_freeze(&self, on: bool) -> bool {
        self.set("cgroup.freeze", if on { "1" } else { "0" }).is_ok()
    }

    /// Whether the kernel says that all of it is frozen.
    pub(crate) fn frozen(&self) -> bool {
        fs::read_to_string(self.path.join("cgroup.events"))
            .is_ok_and(|events| events.lines().any(|line| line == "frozen 1"))
    }

    /// Whether a freeze was requested.
    pub(crate) fn freeze_requested(&self) -> bool {
        fs::read_to_string(self.path.join("cgroup.freeze")).is_ok_and(|text| text.trim() == "1")
    }

    /// Freezes or thaws and waits until the kernel says so.
    pub(crate) fn freeze(&self, on: bool) -> Result<(), String> {
        let path = self.path.join("cgroup.freeze");
        fs::write(&path, if on { "1" } else { "0" }).map_err(|error| format!("{}: {error}", path.display()))?;
        if sys::await_true(FREEZING, || self.frozen() == on) {
            return Ok(());
        }
        Err(format!("{}: the kernel did not {} it", self.path.display(), if on { "freeze" } else { "thaw" }))
    }

    /// Thaws it, if it is or may be frozen. Processes stopped by signals alone need no writable cgroup.
    pub(crate) fn thaw(&self) -> Result<(), String> {
        let events = fs::read_to_string(self.path.join("cgroup.events")).unwrap_or_default();
        if events.lines().any(|line| line == "frozen 0") && !self.freeze_requested() {
            return Ok(());
        }
        self.freeze(false)
    }

    /// Kills all of it at once; false if the kernel cannot (before 5.14).
    pub(crate) fn kill(&self) -> bool {
        fs::write(self.path.join("cgroup.kill"), "1").is_ok()
    }

    /// Removes it, empty cgroups below, and the folders above that were made for it. A cgroup in use stays.
    pub(crate) fn remove(&self) {
        let mut folders = Vec::new();
        each_folder(&self.path, &mut |folder| folders.push(folder.to_owned()));
        folders.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
        let above = self.path.ancestors().skip(1).take(2);
        above.for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

/// A folder, then those below.
fn each_folder(folder: &Path, visit: &mut impl FnMut(&Path)) {
    visit(folder);
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            each_folder(&entry.path(), visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_mount_is_found() {
        let hybrid = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(hybrid), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        let inner =
            "41 31 0:38 /../.. /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n50 31 0:38 / /cg rw - cgroup2 none rw\n";
        assert_eq!(mount_point(inner), Some(PathBuf::from("/cg")));
        assert_eq!(mount_point("41 31 0:38 /.. /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"), None);
    }
}
