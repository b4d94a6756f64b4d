//! [`Burners`]: busy processes of the agent. Each ends when its pipe to the agent closes, so that none outlives it.
use crate::service::Services;
use crate::state_dir::StateDir;
use crate::{process, sys};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The variable by which another agent, or a guardian, finds them.
const MARKER: &str = "DSFUZZ_BURN";
/// Time between two looks at the pipe.
const BUSY: Duration = Duration::from_millis(2);
/// How long they may take to vanish after SIGKILL.
const VANISHING: Duration = Duration::from_secs(3);

/// The busy processes of this agent by the number of their injection.
#[derive(Default)]
pub(crate) struct Burners(Mutex<BTreeMap<u64, Vec<Child>>>);

fn marker(state_dir: &StateDir, seq: u64) -> String {
    format!("{MARKER}={}/{seq}", state_dir.tag())
}

impl Services {
    /// Starts busy processes.
    pub(crate) fn burn(&self, seq: u64, count: u32) -> Result<(), String> {
        let marker = marker(self.state_dir(), seq);
        let (name, value) = marker.split_once('=').unwrap_or_default();
        for _ in 0..count {
            let mut command = Command::new("/proc/self/exe");
            command.arg("burn").env(name, value).current_dir("/");
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            sys::unblock_signals(&mut command);
            let child = command.spawn().map_err(|error| format!("a busy process: {error}"))?;
            self.burners().entry(seq).or_default().push(child);
        }
        Ok(())
    }

    /// The busy processes of an injection that live, of whichever agent.
    pub(crate) fn burning(&self, seq: u64) -> Vec<u32> {
        let marker = marker(self.state_dir(), seq);
        let lives = |pid: &u32| process::stat(*pid).is_some_and(|stat| stat.lives());
        process::all().into_iter().filter(|pid| process::has_environment(*pid, &marker) && lives(pid)).collect()
    }

    /// Ends the busy processes of an injection; returns those that do not end.
    pub(crate) fn end_burners(&self, seq: u64) -> Vec<u32> {
        for mut child in self.burners().remove(&seq).unwrap_or_default() {
            drop(child.kill());
            drop(child.wait());
        }
        let mut left = Vec::new();
        sys::await_true(VANISHING, || {
            left = self.burning(seq);
            left.iter().for_each(|pid| drop(sys::kill(*pid, libc::SIGKILL)));
            left.is_empty()
        });
        left
    }

    fn burners(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<Child>>> {
        self.burners.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A busy process: works until its input ends.
pub(crate) fn burn() -> Result<(), String> {
    let mut input = std::io::stdin().lock();
    sys::set_nonblocking(std::io::stdin().as_raw_fd()).map_err(|error| format!("input: {error}"))?;
    loop {
        let begin = Instant::now();
        while begin.elapsed() < BUSY {
            std::hint::black_box(begin);
        }
        match input.read(&mut [0; 64]) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}
