//! Deaths of services: ends that the harness did not request, each with its manner, time, last lines of the log, out-of-memory
//! kills and core files.
//!
//! Never: judges. A death that a fault explains is reported like any other.
use crate::cgroup::Cgroup;
use crate::process::BootId;
use crate::state_dir::{StateDir, write_whole};
use crate::{files, sys};
use dsfuzz_nemesis::protocol::{Claimant, CoreFile, Death};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The file of deaths, in the agent's folder.
const FILE: &str = "deaths.json";
/// Most deaths that are kept; of a crash loop the last ones.
const KEPT_MAX: usize = 256;
/// Lines of a log that are reported with a death.
const LOG_LINES: usize = 20;
const LOG_BYTES: usize = 256 << 10;
const LINE_CHARS: usize = 500;
/// The inode of the initial PID namespace, whose process ids the kernel's messages have.
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
const MESSAGES_MAX: usize = 100_000;
/// Depth and number of files of the search for core files.
const CORE_DEPTH: usize = 4;
const CORE_ENTRIES: usize = 20_000;

/// An action of the harness that ends a service, so that the end is no death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HarnessAction {
    /// A stop: any end is expected.
    Stop,
    /// A SIGKILL: any other end is a death.
    Kill,
    /// Another signal: an exit and an end by this signal are expected, a crash in the shutdown is a death.
    Signal(i32),
}

/// Deaths on disk: the next agent reports a death that this agent saw after its connection was lost.
#[derive(Default, Serialize, Deserialize)]
struct DeathLog {
    /// The run to whose control node they are reported.
    token: String,
    boot_id: BootId,
    deaths: VecDeque<Death>,
}

/// The deaths of this node's services, and the actions of the harness on them.
#[derive(Default)]
pub(crate) struct Deaths {
    kept: Mutex<DeathLog>,
    /// Their folder on disk; none before a run holds the node.
    state_dir: OnceLock<StateDir>,
    /// By service and its first process: an action explains the end however late it is seen, also after a restart of the
    /// service.
    asked: Mutex<BTreeMap<(String, u32), HarnessAction>>,
}

impl Deaths {
    /// Notes that the harness is about to end this service with this first process.
    pub(crate) fn ask(&self, service: &str, pid: u32, asked: HarnessAction) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert((service.to_owned(), pid), asked);
    }

    /// Notes a new process of the service, and drops the action on an earlier process with its number.
    pub(crate) fn begun(&self, service: &str, pid: u32) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&(service.to_owned(), pid));
    }

    /// Whether the harness requested such an end.
    pub(crate) fn explains(&self, service: &str, pid: u32, status: Option<ExitStatus>) -> bool {
        match self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(&(service.to_owned(), pid)) {
            Some(HarnessAction::Stop) => true,
            Some(HarnessAction::Kill) => status.is_none_or(|status| status.signal() == Some(libc::SIGKILL)),
            Some(HarnessAction::Signal(signal)) => status.is_none_or(|status| {
                let by = status.signal();
                by.is_none() || by == Some(*signal) || by == Some(libc::SIGKILL)
            }),
            None => false,
        }
    }

    /// Keeps deaths on disk for this run from now on. Deaths from an earlier agent of the same run are reported too, unless the
    /// machine has rebooted since, which makes their times and process ids meaningless. Returns whether there was such an agent.
    pub(crate) fn open(&self, state_dir: &StateDir, run: &Claimant) -> bool {
        let boot_id = BootId::current();
        let mut log = fs::read(state_dir.file(FILE)).ok().and_then(|json| serde_json::from_slice(&json).ok());
        log = log.filter(|log: &DeathLog| log.token == run.token && log.boot_id.is_same_boot(&boot_id));
        let resumed = log.is_some();
        let mut log = log.unwrap_or_else(|| DeathLog { token: run.token.clone(), boot_id, ..DeathLog::default() });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        log.deaths.append(&mut kept.deaths);
        // Written now, so that the next agent knows the run even without a death.
        write(state_dir, &log);
        *kept = log;
        drop(self.state_dir.set(state_dir.clone()));
        resumed
    }

    /// Keeps a death, once. If the disk fails, this agent still knows it.
    pub(crate) fn note(&self, death: Death) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.deaths.iter().any(|known| (known.pid, known.start) == (death.pid, death.start)) {
            return;
        }
        kept.deaths.push_back(death);
        if kept.deaths.len() > KEPT_MAX {
            kept.deaths.pop_front();
        }
        if let Some(state_dir) = self.state_dir.get() {
            write(state_dir, &kept);
        }
    }

    /// The kept deaths, oldest first.
    pub(crate) fn all(&self) -> Vec<Death> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).deaths.iter().cloned().collect()
    }
}

fn write(state_dir: &StateDir, log: &DeathLog) {
    let json = serde_json::to_vec(log).map_err(|error| error.to_string());
    if let Err(reason) = json.and_then(|json| write_whole(&state_dir.file(FILE), &json)) {
        state_dir.log(&format!("deaths of services are not kept on disk: {reason}"));
    }
}

/// How a process ended: `exit 3`, `signal 6 (SIGABRT)`.
pub(crate) fn manner(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => match signal_name(signal) {
            Some(name) => format!("signal {signal} ({name})"),
            None => format!("signal {signal}"),
        },
        (None, None) => String::new(),
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: &[(i32, &str)] = &[
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGSYS, "SIGSYS"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGXFSZ, "SIGXFSZ"),
    ];
    NAMES.iter().find(|(number, _)| *number == signal).map(|(_, name)| *name)
}

/// The last lines of a log. An unreadable log, or one that is no regular file, has none.
pub(crate) fn last_lines(path: &Path) -> Vec<String> {
    let Ok((file, size)) = files::open_regular(path) else { return Vec::new() };
    let from = size.saturating_sub(LOG_BYTES as u64);
    let mut bytes = vec![0; LOG_BYTES];
    let got = files::read_chunk(&file, from, &mut bytes).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..got]).into_owned();
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if from > 0 && lines.len() > 1 {
        // The first line may lack its beginning.
        lines.remove(0);
    }
    let words = last_words(&lines);
    words.into_iter().map(|line| line.trim_matches('\0').chars().take(LINE_CHARS).collect()).collect()
}

/// The last lines of a log. Of a long final message (a stack of every thread) also its first lines, which name the cause.
fn last_words<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let ordinary = lines.iter().rposition(|line| is_ordinary(line)).map_or(0, |at| at + 1);
    if ordinary == 0 || lines.len() - ordinary <= LOG_LINES {
        return lines[lines.len().saturating_sub(LOG_LINES)..].to_vec();
    }
    let begin = ordinary.saturating_sub(2);
    let head = &lines[begin..(ordinary + LOG_LINES - 6).min(lines.len())];
    [head, &["..."], &lines[lines.len() - 3..]].concat()
}

/// A line of an ordinary log begins with a brace of JSON, or has a date or a time of day near its beginning.
fn is_ordinary(line: &str) -> bool {
    let head: Vec<u8> = line.bytes().take(40).collect();
    let has = |shape: &[u8]| {
        head.windows(shape.len()).any(|part| {
            part.iter()
                .zip(shape)
                .all(|(byte, shape)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == shape })
        })
    };
    line.starts_with('{') || has(b"dddd-dd-dd") || has(b"dddd/dd/dd") || has(b"dd:dd:dd")
}

/// Out-of-memory kills: of this cgroup, or else of the whole machine (true), since a fixed time.
pub(crate) fn oom_count(cgroup: Option<&Cgroup>) -> (u64, bool) {
    if let Some(count) = cgroup.and_then(Cgroup::oom_kills) {
        return (count, false);
    }
    let counters = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = counters.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
    (count.unwrap_or(0), true)
}

/// The same since the start of the service, when the count was `before`. If only the machine counts, a message of the kernel
/// that names the service's first process attributes the kill to the service.
pub(crate) fn oom_kills(cgroup: Option<&Cgroup>, before: u64, pid: u32, started_ns: u64) -> (u64, bool) {
    let (count, of_machine) = oom_count(cgroup);
    let count = count.saturating_sub(before);
    let named = || kernel_messages().iter().any(|message| names_killed(message, pid, started_ns));
    if of_machine && count > 0 && named() { (1, false) } else { (count, of_machine) }
}

/// The kernel's messages. None if they are unreadable, or if this node numbers processes differently.
fn kernel_messages() -> Vec<String> {
    let first = fs::metadata("/proc/self/ns/pid").is_ok_and(|about| about.ino() == FIRST_PID_NAMESPACE);
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
    let Some(mut file) = first.then(|| options.open("/dev/kmsg").ok()).flatten() else { return Vec::new() };
    let (mut messages, mut record) = (Vec::new(), vec![0; 8192]);
    while messages.len() < MESSAGES_MAX {
        match file.read(&mut record) {
            Ok(0) => break,
            Ok(bytes) => messages.push(String::from_utf8_lossy(&record[..bytes]).into_owned()),
            // It was overwritten during the read; the next read continues behind it.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(_) => break,
        }
    }
    messages
}

/// Whether a message reports an out-of-memory kill of this process after its start: `6,339,5140900,-;Out of memory: Killed
/// process 77 (etcd) ..`, with microseconds since boot.
fn names_killed(message: &str, pid: u32, started_ns: u64) -> bool {
    let Some((head, text)) = message.split_once(';') else { return false };
    let time_us = head.split(',').nth(2).and_then(|time| time.parse::<u64>().ok()).unwrap_or(0);
    let named = text.split_once("Killed process ").and_then(|(_, rest)| rest.split([' ', ',']).next());
    // The kernel counts starts in hundredths of a second.
    let after = time_us.saturating_mul(1000).saturating_add(10_000_000) >= started_ns;
    after && text.contains("emory") && named.and_then(|number| number.parse().ok()) == Some(pid)
}

/// Core files below a folder: ELF files of the type of cores with a name that begins with `core`, or ends with it. No link is
/// followed and no other file system entered.
pub(crate) fn core_files(service: &str, folder: &Path) -> Vec<CoreFile> {
    let Ok(top) = fs::symlink_metadata(folder) else { return Vec::new() };
    let (mut found, mut left) = (Vec::new(), CORE_ENTRIES);
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            left = left.saturating_sub(1);
            if left == 0 {
                return found;
            }
            let Ok(about) = entry.metadata() else { continue };
            if about.is_dir() {
                if depth < CORE_DEPTH && about.dev() == top.dev() {
                    folders.push((entry.path(), depth + 1));
                }
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let named = name == "core" || name.starts_with("core.") || name.ends_with(".core");
            if named && about.is_file() && is_core(&entry.path()) {
                let path = entry.path().to_string_lossy().into_owned();
                let age_ns = sys::realtime_ns().saturating_sub(about.mtime() * 1_000_000_000 + about.mtime_nsec());
                let written_ns = sys::boottime_ns().saturating_sub(age_ns.max(0).unsigned_abs());
                found.push(CoreFile { service: service.to_owned(), path, bytes: about.len(), written_ns });
            }
        }
    }
    found
}

/// Whether a file begins like an ELF file of type 4.
fn is_core(path: &Path) -> bool {
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let mut head = [0; 18];
    let read = file.and_then(|mut file| file.read_exact(&mut head));
    let little = head[5] != 2;
    let kind = if little { u16::from_le_bytes([head[16], head[17]]) } else { u16::from_be_bytes([head[16], head[17]]) };
    read.is_ok() && head.starts_with(b"\x7fELF") && kind == 4
}

/// The start of a process on the boot-time clock; now if it has ended already.
pub(crate) fn started_ns(start: u64) -> u64 {
    // The kernel counts these ticks at 100 a second for whoever reads /proc, whatever its own are.
    let ns = start.saturating_mul(10_000_000);
    if start == 0 { sys::boottime_ns() } else { ns.min(sys::boottime_ns()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn an_end_is_explained_by_what_was_asked() {
        let deaths = Deaths::default();
        let (abort, kill, exit) = (ExitStatus::from_raw(6), ExitStatus::from_raw(9), ExitStatus::from_raw(3 << 8));
        assert!(!deaths.explains("db", 7, Some(kill)), "nothing was asked");
        deaths.ask("db", 7, HarnessAction::Kill);
        deaths.begun("db", 8);
        assert!(deaths.explains("db", 7, Some(kill)), "also where it was started again before that was seen");
        assert!(!deaths.explains("db", 8, Some(kill)), "of the next one nothing was asked");
        assert!(!deaths.explains("db", 7, Some(abort)) && !deaths.explains("db", 7, Some(exit)), "a kill is signal 9");
        deaths.ask("db", 7, HarnessAction::Stop);
        assert!(deaths.explains("db", 7, Some(exit)) && deaths.explains("db", 7, None));
        assert_eq!(manner(abort), "signal 6 (SIGABRT)");
        assert_eq!(manner(exit), "exit 3");
    }

    #[test]
    fn a_message_of_the_kernel_names_the_process_that_it_killed() {
        let message = "3,339,5140900,-;Out of memory: Killed process 77 (etcd) total-vm:1kB, anon-rss:1kB";
        assert!(names_killed(message, 77, 5_000_000_000));
        assert!(names_killed("6,1,9,c;Memory cgroup out of memory: Killed process 77, UID 0", 77, 0));
        assert!(!names_killed(message, 7, 0), "another process");
        assert!(!names_killed(message, 77, 6_000_000_000), "an earlier process of that number");
        assert!(!names_killed("6,1,9,-;usb 1-1: new device", 77, 0));
    }

    #[test]
    fn cores_are_told_from_files_of_that_name() {
        let folder = std::env::temp_dir().join(format!("dsfuzz-cores-{}", std::process::id()));
        fs::create_dir_all(folder.join("data")).expect("a folder");
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(16, 0);
        elf.extend([4, 0, 0, 0]);
        let write = |name: &str, bytes: &[u8]| {
            fs::File::create(folder.join(name)).and_then(|mut file| file.write_all(bytes)).expect("written");
        };
        write("data/core.77", &elf);
        write("core.txt", b"a text about cores");
        write("decor", &elf);
        let found: Vec<String> = core_files("db", &folder).into_iter().map(|core| core.path).collect();
        assert_eq!(found, [folder.join("data/core.77").to_string_lossy().into_owned()]);
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn the_end_of_a_log_is_told_in_whole_lines() {
        let path = std::env::temp_dir().join(format!("dsfuzz-lines-{}", std::process::id()));
        let text: String = (0..3000).map(|number| format!("line {number}\n\n")).collect();
        fs::write(&path, text).expect("written");
        let lines = last_lines(&path);
        assert_eq!((lines.len(), lines[0].as_str(), lines[19].as_str()), (20, "line 2980", "line 2999"));
        fs::remove_file(&path).expect("removed");
        assert!(last_lines(&path).is_empty());
    }

    #[test]
    fn of_a_long_stack_the_cause_is_told_too() {
        let stack: Vec<String> = (0..500).map(|number| format!("goroutine {number} [select]:")).collect();
        let mut lines = vec![r#"{"level":"info","msg":"one"}"#, "2026-11-29 16:00:00 two", "panic: the cause"];
        lines.extend(stack.iter().map(String::as_str));
        let words = last_words(&lines);
        assert_eq!(
            (words[2], words[words.len() - 1], words.len()),
            ("panic: the cause", "goroutine 499 [select]:", 20)
        );
        assert_eq!(last_words(&lines[..3]), lines[..3]);
    }
}
