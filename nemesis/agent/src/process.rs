//! Processes in `/proc`. Read-only.
use std::fs;

/// The used part of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stat {
    /// `R`, `S`, `T`, `Z`, ...
    pub(crate) state: char,
    /// Session id.
    pub(crate) session: u32,
    /// Its start, in clock ticks since boot; together with the id it is unique.
    pub(crate) start: u64,
}

impl Stat {
    /// Neither a zombie nor about to vanish.
    pub(crate) fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads one process; none if it does not exist.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(text: &str) -> Option<Stat> {
    // The name is in brackets and may itself hold brackets and blanks: the fields begin behind the last one.
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// All process ids.
pub(crate) fn all() -> Vec<u32> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether the process with this id and start lives, and is no zombie.
pub(crate) fn lives(pid: u32, start: u64) -> bool {
    stat(pid).is_some_and(|stat| stat.start == start && stat.lives())
}

/// Whether a process was started with this `NAME=value` in its environment.
pub(crate) fn has_environment(pid: u32, marker: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes()))
}

/// The kernel's boot id.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_do_not_confuse() {
        let text = "77 (a ) b) T 1 77 70 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        assert_eq!(parse(text), Some(Stat { state: 'T', session: 70, start: 4242 }));
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
