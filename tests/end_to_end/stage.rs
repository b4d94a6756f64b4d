//! [`Stage`]: the program with a results folder of its own, and a turn, so that few labs are up at a time.
use crate::program::{ProgramOutput, Running};
use dsfuzz::run::journal;
use dsfuzz::store::RunDir;
use dsfuzz_checkers::History;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// More labs with etcd at a time would slow each other down until elections fail.
const TURNS: u32 = 2;
static TAKEN: Mutex<u32> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

/// The right to have a lab.
struct LabPermit;

impl LabPermit {
    fn take() -> LabPermit {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |taken: &mut u32| *taken >= TURNS;
        *GIVEN_BACK.wait_while(taken, full).unwrap_or_else(PoisonError::into_inner) += 1;
        LabPermit
    }
}

impl Drop for LabPermit {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        GIVEN_BACK.notify_one();
    }
}

/// Waits until there is an answer.
pub(crate) fn eventually<T>(what: &str, within: Duration, mut answer: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {} s: {what}", within.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A folder for plans and results, and a turn.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    _turn: LabPermit,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        assert!(nix::unistd::geteuid().is_root(), "the end-to-end tests need root, for labs");
        let agent = Path::new(env!("CARGO_BIN_EXE_dsfuzz")).with_file_name("dsfuzz-agent");
        assert!(agent.is_file(), "{} is missing: cargo build -p dsfuzz-agent", agent.display());
        let turn = LabPermit::take();
        Stage { folder: tempfile::tempdir().expect("a folder"), _turn: turn }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file beside the results; its path as an argument.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).expect("written");
        self.path(name).display().to_string()
    }

    /// The program, in this folder, without the environment's own settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_by(&[], arguments)
    }

    /// The same, started by another program.
    pub(crate) fn command_by(&self, by: &[&str], arguments: &[&str]) -> Command {
        let words = [by, &[env!("CARGO_BIN_EXE_dsfuzz")]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env("NO_COLOR", "1");
        let foreign = |name: &str| name.starts_with("DSFUZZ_") || name.starts_with("GITHUB_");
        for (name, _) in std::env::vars().filter(|(name, _)| foreign(name)) {
            command.env_remove(name);
        }
        command.env("DSFUZZ_RESULTS", self.path("results")).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> ProgramOutput {
        ProgramOutput::of(self.command(arguments).output().expect("the program runs"))
    }

    /// Starts the program; it is killed when what is returned is dropped.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_by(self.command(arguments))
    }

    /// Starts a command that becomes the program.
    pub(crate) fn start_by(&self, mut command: Command) -> Running {
        let (stdout, stderr) = (self.path("stdout"), self.path("stderr"));
        let file = |path: &Path| File::create(path).expect("a file");
        command.stdout(file(&stdout)).stderr(file(&stderr));
        let before = self.runs();
        Running::new(command.spawn().expect("started"), before, stdout, stderr)
    }

    /// The folders of all runs.
    fn runs(&self) -> BTreeSet<PathBuf> {
        let folders = |path: &Path| {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
            entries.filter(|path| path.is_dir() && !path.is_symlink()).collect::<Vec<_>>()
        };
        folders(&self.path("results")).iter().flat_map(|plan| folders(plan)).collect()
    }

    /// The newest run of this plan.
    pub(crate) fn latest(&self, plan: &str) -> RunDir {
        let latest = self.path("results").join(plan).join("latest");
        RunDir::at(latest.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", latest.display())))
    }

    /// Waits until the run under way has a fault in force, shown.
    pub(crate) fn await_proven(&self, run: &mut Running) -> RunDir {
        self.await_history(run, "a fault that is proven and not yet healed", |history| {
            history.faults.iter().any(|fault| fault.proven.is_some() && fault.heal_begun.is_none())
        })
    }

    /// Waits until the record of the run under way is like that.
    pub(crate) fn await_history(&self, run: &mut Running, what: &str, holds: impl Fn(&History) -> bool) -> RunDir {
        eventually(what, Duration::from_secs(90), || {
            run.assert_under_way(what);
            let dir = RunDir::at(self.runs().difference(run.before()).next()?);
            let history = journal::read(&dir.journal()).ok()?;
            holds(&history).then_some(dir)
        })
    }
}

/// The history of a run, from its journal.
pub(crate) fn history(dir: &RunDir) -> History {
    journal::read(&dir.journal()).expect("a history")
}
