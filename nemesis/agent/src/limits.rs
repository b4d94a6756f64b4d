//! Soft limits of running processes, and how much of what they limit is used.
use crate::process;
use crate::sys::{self, Ids, Limited};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::process::{Command, Stdio};

/// The number that stands for no limit.
const NONE: u64 = u64::MAX;

/// Sets the soft limit of a process, at most to its hard limit; as the process's own user, if this agent may not. A process that is
/// gone needs no limit.
pub(crate) fn set(pid: u32, what: Limited, soft: u64) -> Result<(), String> {
    let Some((_, hard)) = read(pid, what) else { return Ok(()) };
    let new = (soft.min(hard), hard);
    let done = match sys::set_limits(pid, what, new) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            ids(pid).map_or(Err(error), |ids| sys::set_limits_as(ids, pid, what, new))
        }
        other => other,
    };
    match done {
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(format!("process {pid}: its limit cannot be set: {error} (CAP_SYS_RESOURCE would allow it)")),
        Ok(()) => Ok(()),
    }
}

/// The soft limit of a process; none if it is gone.
pub(crate) fn soft(pid: u32, what: Limited) -> Option<u64> {
    read(pid, what).map(|(soft, _)| soft)
}

/// The soft and the hard limit. Unlike the system call, `/proc` shows them to every user.
fn read(pid: u32, what: Limited) -> Option<(u64, u64)> {
    parse(&fs::read_to_string(format!("/proc/{pid}/limits")).ok()?, what)
}

fn parse(text: &str, what: Limited) -> Option<(u64, u64)> {
    let row = text.lines().find_map(|line| line.strip_prefix(what.row()))?;
    let number = |word: &str| if word == "unlimited" { Some(NONE) } else { word.parse().ok() };
    let mut words = row.split_whitespace();
    Some((number(words.next()?)?, number(words.next()?)?))
}

fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESRCH)
}

/// The user of a process.
fn ids(pid: u32) -> Option<Ids> {
    let one = |key| process::status_number(pid, key).and_then(|id| u32::try_from(id).ok());
    Some(Ids { uid: one("Uid")?, gid: one("Gid")?, groups: Vec::new() })
}

/// Bytes of private memory that a process can write to.
pub(crate) fn data_bytes(pid: u32) -> Option<u64> {
    process::status_number(pid, "VmData").map(|kib| kib.saturating_mul(1024))
}

/// Bytes of a cgroup that the kernel cannot take back, by its `memory.current` and `memory.stat`: without its cache of files.
pub(crate) fn kept_bytes(current: &str, stat: &str) -> Option<u64> {
    let bytes = |line: &str, key: &str| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse::<u64>().ok();
    let row = |key: &str| stat.lines().find_map(|line| bytes(line, key));
    let cache: u64 = ["active_file", "inactive_file", "slab_reclaimable"].into_iter().filter_map(row).sum();
    Some(current.parse::<u64>().ok()?.saturating_sub(cache))
}

/// The soft limit of open files that leaves a process this number of free numbers.
pub(crate) fn files_with_spare(open: &BTreeSet<u64>, spare: u64) -> u64 {
    let mut limit = 0;
    let mut free = 0;
    while free < spare || open.contains(&limit) {
        free += u64::from(!open.contains(&limit));
        limit += 1;
    }
    limit
}

/// A limit in words.
pub(crate) fn words(limit: u64) -> String {
    if limit == NONE { "unlimited".to_owned() } else { limit.to_string() }
}

/// Lowers and raises the limits of a child.
pub(crate) fn rehearse() -> Result<String, String> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("witness").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("a child to test with: {error}"))?;
    let outcome = rehearse_with(child.id());
    drop(child.kill());
    drop(child.wait());
    outcome
}

fn rehearse_with(pid: u32) -> Result<String, String> {
    for what in [Limited::Files, Limited::Data] {
        let before = soft(pid, what).ok_or("a child's limits cannot be read")?;
        let lowered = if what == Limited::Files { 8 } else { 1 << 30 };
        for wanted in [lowered, before] {
            set(pid, what, wanted)?;
            if soft(pid, what) != Some(wanted) {
                return Err(format!("a child's limit of {what:?} was not set to {}", words(wanted)));
            }
        }
    }
    Ok("the limits of a child's memory and open files were lowered and raised".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_leaves_exactly_the_spare_numbers() {
        let open: BTreeSet<u64> = [0, 1, 2, 5, 50].into();
        let limits = [0, 1, 2, 3, 4].map(|spare| files_with_spare(&open, spare));
        assert_eq!(limits, [3, 4, 6, 7, 8]);
        for (spare, limit) in (0..).zip(limits) {
            assert_eq!((0..limit).filter(|number| !open.contains(number)).count(), spare);
        }
        assert_eq!(files_with_spare(&BTreeSet::new(), 0), 0);
    }

    #[test]
    fn limits_are_read_as_the_kernel_shows_them() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max data size             unlimited            unlimited            bytes     \n\
                    Max open files            1024                 1048576              files     \n";
        assert_eq!(parse(text, Limited::Files), Some((1024, 1_048_576)));
        assert_eq!(parse(text, Limited::Data), Some((NONE, NONE)));
        assert_eq!(parse("", Limited::Data), None);
    }

    #[test]
    fn the_cache_of_files_is_no_memory_that_a_cgroup_keeps() {
        let stat = "anon 700\nfile 260\nactive_file 200\ninactive_file 60\nslab_reclaimable 30\nslab_unreclaimable 5\n\
                    workingset_refault_file 9\n";
        assert_eq!(kept_bytes("1000", stat), Some(710));
        assert_eq!(kept_bytes("1000", ""), Some(1000));
        assert_eq!(kept_bytes("100", stat), Some(0), "read at another time");
        assert_eq!(kept_bytes("", stat), None);
    }

    #[test]
    fn what_this_process_uses_can_be_read() {
        let me = std::process::id();
        assert!(data_bytes(me).is_some_and(|bytes| bytes > 4096));
        assert!(process::open_files(me).is_some_and(|files| !files.is_empty()));
        assert!(soft(me, Limited::Files).is_some());
        assert!(sys::cpu_ns(me).is_some_and(|ns| ns > 0));
    }
}
