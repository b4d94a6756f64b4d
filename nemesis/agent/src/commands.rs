//! Commands of custom faults that run. Each has a mark in its environment, and the mark is in the memos until the command has ended.
//! So the next agent or the guardian ends those whose agent died, with the processes that they started, before it undoes anything.
//! The processes that an ended command leaves behind are part of its fault: the command `heal` ends them.
use crate::service::{Services, VANISHING};
use crate::{process, sys};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The variable that marks the processes of a command.
pub(crate) const MARKER: &str = "DSFUZZ_COMMAND";
/// The number of the next command of this process.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A command that runs, or is about to.
pub(crate) struct RunningCommand {
    services: Arc<Services>,
    /// The value of [`MARKER`].
    pub(crate) mark: String,
}

impl RunningCommand {
    /// Notes a command that is about to run.
    pub(crate) fn begin(services: &Arc<Services>) -> RunningCommand {
        let me = std::process::id();
        let start = process::stat(me).map_or(0, |stat| stat.start);
        let mark = format!("{}/{me}-{start}-{}", services.state_dir().tag(), NEXT.fetch_add(1, SeqCst));
        services.memos.command_begins(&mark);
        RunningCommand { services: Arc::clone(services), mark }
    }

    /// Ends the processes that it started.
    pub(crate) fn end(&self) -> Result<(), String> {
        end(&[self.mark.clone()].into())
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        self.services.memos.command_ended(&self.mark);
    }
}

impl Services {
    /// Kills the commands that run, with the processes that they started: the agent ends.
    pub(crate) fn kill_commands(&self) {
        if let Err(reason) = end(&self.memos.commands()) {
            self.state_dir().log(&reason);
        }
    }

    /// Ends the commands of a dead agent or guardian. The caller holds the lock of the folder, and so does a child of a dead agent
    /// until its exec, by which it is marked.
    pub(crate) fn end_commands(&self) {
        let marks = self.memos.commands();
        match end(&marks) {
            Ok(()) => marks.iter().for_each(|mark| self.memos.command_ended(mark)),
            Err(reason) => self.state_dir().log(&reason),
        }
    }
}

fn end(marks: &BTreeSet<String>) -> Result<(), String> {
    if marks.is_empty() {
        return Ok(());
    }
    let mut left = BTreeSet::new();
    let gone = sys::await_true(VANISHING, || {
        left = marked(marks);
        left.iter().for_each(|pid| drop(sys::kill(*pid, libc::SIGKILL)));
        left.is_empty()
    });
    if gone { Ok(()) } else { Err(format!("processes {left:?} of a custom fault's command do not die")) }
}

/// The living processes with one of these marks, and those that they started. One that has left the environment of its command
/// is found only while its parent lives, which is why a command does not die with its agent.
fn marked(marks: &BTreeSet<String>) -> BTreeSet<u32> {
    let living = |pid: u32| Some((pid, process::stat(pid).filter(process::Stat::lives)?.parent));
    let all: Vec<(u32, u32)> = process::all().into_iter().filter_map(living).collect();
    let has_mark = |pid: u32| process::environment(pid, MARKER).is_some_and(|mark| marks.contains(&mark));
    let mut found: BTreeSet<u32> = all.iter().map(|(pid, _)| *pid).filter(|pid| has_mark(*pid)).collect();
    loop {
        let children: Vec<u32> = all
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if children.is_empty() {
            return found;
        }
        found.extend(children);
    }
}
