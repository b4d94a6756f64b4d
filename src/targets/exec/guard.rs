//! The guard of a client program: a small process between dsfuzz and the program. It ends the program with all its descendants
//! when dsfuzz asks for it or dies, also by SIGKILL.
//!
//! A late write of a client that outlived its run would land in the next one. The guard waits on a descriptor of its parent
//! process. It is the subreaper of its descendants (`PR_SET_CHILD_SUBREAPER`), so that it also finds children which left the
//! program's session or process group.
use crate::lab::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, getpid, getppid};
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The hidden command that runs a guard: `dsfuzz client-guard <parent> <program> [argument]..`.
const COMMAND: &str = "client-guard";
/// The exit code of a guard whose program could not be started, as in shells.
const NOT_STARTED: i32 = 127;
/// How long the guard goes on killing surviving processes.
const KILLING: Duration = Duration::from_secs(10);

/// Runs the hidden command and returns the exit code. `main` calls this before it starts any thread.
pub fn dispatch(arguments: &[OsString]) -> Option<i32> {
    if arguments.get(1)?.to_str()? != COMMAND {
        return None;
    }
    Some(guard(arguments.get(2..).unwrap_or_default()).unwrap_or_else(|error| {
        eprintln!("dsfuzz: the guard of a client: {error}");
        NOT_STARTED
    }))
}

/// The command that runs `program` under a guard of this process.
pub(super) fn guarded(program: &[&str]) -> std::io::Result<tokio::process::Command> {
    let mut command = tokio::process::Command::new(own_program()?);
    command.arg(COMMAND).arg(std::process::id().to_string()).args(program);
    Ok(command)
}

/// The file of the program `dsfuzz`: this process's own, else the one beside it or one folder above (tests of cargo).
fn own_program() -> std::io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let name = own.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // The file of a running program may have been replaced meanwhile.
    if name == "dsfuzz" || name == "dsfuzz (deleted)" {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("dsfuzz")).find(|path| path.is_file());
    found.ok_or_else(|| {
        let message = format!("the program `dsfuzz`, which guards clients, is not beside {}", own.display());
        std::io::Error::new(std::io::ErrorKind::NotFound, message)
    })
}

fn guard(arguments: &[OsString]) -> std::io::Result<i32> {
    let invalid = |text: &str| std::io::Error::new(std::io::ErrorKind::InvalidInput, text);
    let [parent, program, rest @ ..] = arguments else { return Err(invalid("it takes a process and a program")) };
    let parent: u32 = parent.to_str().and_then(|id| id.parse().ok()).ok_or_else(|| invalid("not a process id"))?;
    set_child_subreaper(true)?;
    let watched: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&watched), None)?;
    let signals = SignalFd::with_flags(&watched, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let lifeline = sys::pidfd(parent)?;
    // The parent may have died before its descriptor was opened.
    if getppid().as_raw() as u32 != parent {
        return Ok(NOT_STARTED);
    }
    // A program inherits the mask of its parent, and must be able to catch these signals.
    sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&watched), None)?;
    let spawned = Command::new(program).args(rest).spawn();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&watched), None)?;
    // It may have ended before the signals were watched: look once.
    nix::sys::signal::raise(Signal::SIGCHLD)?;
    let client = match spawned {
        Ok(child) => Pid::from_raw(child.id() as i32),
        Err(error) => {
            eprintln!("{} cannot be started: {error}", program.to_string_lossy());
            return Ok(NOT_STARTED);
        }
    };
    // Only the program holds the pipes, so that their end is noticed.
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    let ended = watch(client, &signals, &lifeline);
    kill_descendants();
    match ended {
        Some(WaitStatus::Exited(_, code)) => Ok(code),
        // As in shells.
        Some(WaitStatus::Signaled(_, signal, _)) => Ok(128 + signal as i32),
        _ => Ok(NOT_STARTED),
    }
}

/// Waits until the program ends, and returns its status; none if it must end now.
fn watch(client: Pid, signals: &SignalFd, lifeline: &impl AsFd) -> Option<WaitStatus> {
    loop {
        let mut ready =
            [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(lifeline.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
        if ready[1].any().unwrap_or(true) {
            return None;
        }
        while let Ok(Some(signal)) = signals.read_signal() {
            if signal.ssi_signo != Signal::SIGCHLD as u32 {
                return None;
            }
        }
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            match status.pid() {
                Some(pid) if pid == client && !matches!(status, WaitStatus::Stopped(..)) => return Some(status),
                Some(_) => {}
                None => break,
            }
        }
    }
}

/// Kills all descendants of this process, until none is left. Orphans have become children of this process.
fn kill_descendants() {
    let end = Instant::now() + KILLING;
    while Instant::now() < end {
        for pid in descendants(getpid()) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => break,
                Ok(_) => {}
                Err(_) => return,
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// All descendants of this process.
fn descendants(root: Pid) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if let Some(parent) = parent_of(&entry.path()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut found, mut left) = (Vec::new(), vec![root.as_raw()]);
    while let Some(pid) = left.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            found.push(Pid::from_raw(child));
            left.push(child);
        }
    }
    found
}

/// The parent of a process by its folder in /proc.
fn parent_of(folder: &Path) -> Option<i32> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    // The name stands in brackets and may contain any character.
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}
