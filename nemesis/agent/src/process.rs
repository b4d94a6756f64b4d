//! What `/proc` says about processes (state, session, start, environment) and about this boot. Never: signals or changes a
//! process.
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;

/// The fields of `/proc/PID/stat` that the agent uses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stat {
    /// One letter of proc(5): `R` running, `S` sleeping, `T` stopped, `Z` zombie, ...
    pub(crate) state: char,
    /// The process that started it, or that took it over.
    pub(crate) parent: u32,
    /// Session id.
    pub(crate) session: u32,
    /// Its threads; of a process whose main thread has ended, one more than run.
    pub(crate) threads: u64,
    /// When the process started, in clock ticks since boot. Process ids are used again: only id and start together name one
    /// process of this boot.
    pub(crate) start: u64,
}

impl Stat {
    /// Whether a thread of the process runs or can run again. A main thread may be a zombie while others go on.
    pub(crate) fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }
}

/// Reads one process; `None` if it does not exist.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(text: &str) -> Option<Stat> {
    // The name is in brackets and may itself hold brackets and blanks: the other fields begin after the last bracket, with
    // field 3 of proc(5). So the parent (field 4) is at 1, the session (field 6) at 3, the threads (field 20) at 17,
    // and the start (field 22) at 19.
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// The ids of all processes; empty if `/proc` cannot be read.
pub(crate) fn all() -> Vec<u32> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether the process with this id and this start lives ([`Stat::lives`]). A later process with the same id does not count.
pub(crate) fn lives(pid: u32, start: u64) -> bool {
    stat(pid).is_some_and(|stat| stat.start == start && stat.lives())
}

/// Whether a process was started with `marker` (`NAME=value`) in its environment; false where that cannot be read.
pub(crate) fn has_environment(pid: u32, marker: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes()))
}

/// The value of a variable with which a process was started; none where that cannot be read.
pub(crate) fn environment(pid: u32, name: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value =
        bytes.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(value.to_vec()).ok()
}

/// A number of a line of `/proc/PID/status`, such as `VmData`, as it stands there.
pub(crate) fn status_number(pid: u32, key: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The numbers of a process's open files; none if they cannot be read.
pub(crate) fn open_files(pid: u32) -> Option<BTreeSet<u64>> {
    let folder = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// How long the tasks of a process have waited for a CPU in all, in nanoseconds; none where the kernel does not count it.
pub(crate) fn waited_for_cpu_ns(pid: u32) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let waited = |task: fs::DirEntry| -> Option<u64> {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse().ok()
    };
    tasks.flatten().filter_map(waited).reduce(u64::saturating_add)
}

/// The kernel's random id of a boot; empty if it could not be read. An empty id proves neither the same boot nor another one, so
/// ids are compared only by [`BootId::is_same_boot`] and [`BootId::is_other_boot`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(PartialEq))]
#[serde(transparent)]
pub(crate) struct BootId(pub(crate) String);

impl BootId {
    /// The id of this boot.
    pub(crate) fn current() -> BootId {
        BootId(fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned())
    }

    /// Whether both ids are known and of the same boot.
    pub(crate) fn is_same_boot(&self, other: &BootId) -> bool {
        self.is_known() && self.0 == other.0
    }

    /// Whether both ids are known and of different boots.
    pub(crate) fn is_other_boot(&self, other: &BootId) -> bool {
        self.is_known() && other.is_known() && self.0 != other.0
    }

    fn is_known(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_brackets() {
        let text = "77 (a ) b) T 1 77 70 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        assert_eq!(parse(text), Some(Stat { state: 'T', parent: 1, session: 70, threads: 1, start: 4242 }));
        let ended = parse("77 (db) Z 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 4242").expect("a process");
        assert!(ended.lives(), "two threads go on");
    }

    #[test]
    fn an_unreadable_boot_id_proves_neither_the_same_boot_nor_another() {
        let boots = ["a", "b", ""].map(|id| BootId(id.to_owned()));
        let compare = |one: usize, other: usize| {
            (boots[one].is_same_boot(&boots[other]), boots[one].is_other_boot(&boots[other]))
        };
        assert_eq!(compare(0, 0), (true, false));
        assert_eq!(compare(0, 1), (false, true));
        for (one, other) in [(0, 2), (2, 0), (2, 2)] {
            assert_eq!(compare(one, other), (false, false), "{one} and {other}");
        }
    }

    #[test]
    fn this_process_lives() {
        let me = std::process::id();
        let stat = stat(me).expect("this process is in /proc");
        assert!(lives(me, stat.start));
        assert!(!lives(me, stat.start + 1));
        assert!(all().contains(&me));
    }
}
