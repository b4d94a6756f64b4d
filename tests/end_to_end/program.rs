//! The output of the program ([`ProgramOutput`]), and a program under way ([`Running`]).
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Output};

/// The output of the program.
#[derive(Debug)]
pub(crate) struct ProgramOutput {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl ProgramOutput {
    pub(crate) fn of(output: Output) -> ProgramOutput {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let code = output.status.code().expect("no signal ended it");
        ProgramOutput { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The same, after making sure of the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> ProgramOutput {
        assert_eq!(self.code, code, "{self}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> ProgramOutput {
        for part in parts {
            assert!(self.stdout.contains(part) || self.stderr.contains(part), "{part:?} is not said:\n{self}");
        }
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON document: {error}\n{self}"))
    }
}

impl std::fmt::Display for ProgramOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// A program under way; killed with -9 when dropped.
pub(crate) struct Running {
    child: Child,
    before: BTreeSet<PathBuf>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    pub(crate) fn new(child: Child, before: BTreeSet<PathBuf>, stdout: PathBuf, stderr: PathBuf) -> Running {
        Running { child, before, stdout, stderr }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The runs that were there before it.
    pub(crate) fn before(&self) -> &BTreeSet<PathBuf> {
        &self.before
    }

    pub(crate) fn assert_under_way(&mut self, until: &str) {
        if let Some(status) = self.child.try_wait().expect("asked") {
            panic!("it ended before there was {until}: {}", self.output(status));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("signalled");
    }

    /// Its output, once it has ended by itself.
    pub(crate) fn wait(mut self) -> ProgramOutput {
        let status = self.child.wait().expect("waited");
        self.output(status)
    }

    pub(crate) fn stdout(&self) -> String {
        read(&self.stdout)
    }

    pub(crate) fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// As `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("killed");
    }

    fn output(&self, status: ExitStatus) -> ProgramOutput {
        ProgramOutput { code: status.code().unwrap_or(-1), stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the output")
}
