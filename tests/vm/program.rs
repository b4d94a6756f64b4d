//! The program on the VMs: plans, commands, and what it says.
use crate::folder;
use crate::machines::Machines;
use dsfuzz::run::journal;
use dsfuzz::store::{RunDir, RunVerdict};
use dsfuzz_checkers::History;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the program said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Said {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Said {
        for part in parts {
            let said = self.stdout.contains(part) || self.stderr.contains(part);
            assert!(said, "{part:?} is not said:\n{}\n{}", self.stdout, self.stderr);
        }
        self
    }
}

/// The agent without what only debuggers read: an emulated machine takes a minute to receive all of it.
fn agent() -> PathBuf {
    let (built, small) =
        (Path::new(env!("CARGO_BIN_EXE_dsfuzz")).with_file_name("dsfuzz-agent"), folder().join("disks/dsfuzz-agent"));
    if !small.is_file() {
        let stripped = Command::new("strip").arg("-o").args([&small, &built]).status().expect("strip, of binutils");
        assert!(stripped.success(), "{}: cargo build -p dsfuzz-agent", built.display());
    }
    small
}

/// The program, without the environment's own settings.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsfuzz"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DSFUZZ_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .current_dir(folder().join("disks"))
        .env("NO_COLOR", "1")
        .env("DSFUZZ_AGENT", agent())
        .env("DSFUZZ_STATE", folder().join("disks/state"))
        .env("DSFUZZ_RESULTS", folder().join("disks/results"))
        .stdin(Stdio::null());
    command
}

pub(crate) fn dsfuzz(arguments: &[&str]) -> Said {
    let done = command(arguments).output().expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: done.status.code().unwrap_or(-1), stdout: text(done.stdout), stderr: text(done.stderr) }
}

/// Writes a plan beside the results; its path as an argument.
pub(crate) fn plan(name: &str, text: &str) -> String {
    let path = folder().join("disks").join(format!("{name}.yaml"));
    fs::write(&path, text).expect("written");
    path.display().to_string()
}

/// The part of a plan that says how the VMs are reached, as hosts that own their kernels.
pub(crate) fn cluster(machines: &Machines, addresses: &[&str]) -> String {
    let key = machines.key();
    format!(
        "cluster:\n  nodes: [{}]\n  ssh: {{user: root, key: {}, own_kernel: true}}\n",
        addresses.join(", "),
        key.display()
    )
}

/// A run: its answer and its history.
pub(crate) struct Run {
    pub(crate) verdict: RunVerdict,
    pub(crate) history: History,
}

/// The run that `run --json` printed.
#[track_caller]
pub(crate) fn printed(said: &Said) -> Run {
    #[derive(Deserialize)]
    struct Printed {
        dir: PathBuf,
        verdict: RunVerdict,
    }
    let Printed { dir, verdict } = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("no document: {error}\n{}\n{}", said.stdout, said.stderr));
    let history = journal::read(&RunDir::at(dir).journal());
    let history = history.unwrap_or_else(|error| panic!("no history: {error}\n{}", verdict.sentence));
    Run { verdict, history }
}
