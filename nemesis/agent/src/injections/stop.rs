//! Stops chosen processes of some services by SIGSTOP; the others go on. The undo continues them.
//!
//! The freezer of cgroup2 would need a cgroup for them alone, into which a running process cannot be moved with the children
//! that it makes meanwhile.
use super::pick;
use super::{Context, Inject, limit_cpu, new_proof, note};
use crate::journal::UndoEntry;
use crate::service::all_stopped;
use crate::sys;
use dsfuzz_nemesis::protocol::{Injection, PickedProcess, ProcessSelection, Proof};
use std::time::Duration;

/// How long processes may take to stop or to go on.
const STOPPING: Duration = Duration::from_secs(3);
/// How long one attempt at stopping them may take.
const ATTEMPT: Duration = Duration::from_millis(100);

/// Stops processes of these services.
pub(super) struct Stop<'a> {
    pub(super) services: &'a [String],
    pub(super) processes: &'a ProcessSelection,
    pub(super) picked: &'a [PickedProcess],
    pub(super) injection: &'a Injection,
}

impl Stop<'_> {
    fn living(&self) -> Vec<u32> {
        pick::pids(self.picked.iter().filter(|process| pick::lives(process)))
    }
}

fn signal(pids: &[u32], signal: i32) {
    pids.iter().for_each(|pid| drop(sys::kill(*pid, signal)));
}

impl Inject for Stop<'_> {
    fn bound(&self, context: &Context<'_>) -> Result<Option<Injection>, String> {
        let found = pick::pick(self.services, self.processes, context)?;
        let mut injection = self.injection.clone();
        if let Injection::PauseProcesses { picked, .. } = &mut injection {
            *picked = found;
        }
        Ok(Some(injection))
    }

    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        let in_turns = limit_cpu::in_turns(self.services, context);
        in_turns.or_else(|| pick::nothing_picked(self.services, self.processes, self.picked, context))
    }

    fn perform(&self, _: &UndoEntry, _: &mut Context<'_>) -> Result<Vec<String>, String> {
        // A process that waits for its vfork cannot stop before the child goes on: then all go on for a moment.
        let stopped = sys::await_true(STOPPING, || {
            let pids = self.living();
            signal(&pids, libc::SIGSTOP);
            let still = sys::await_true(ATTEMPT, || all_stopped(&pids));
            if !still {
                signal(&pids, libc::SIGCONT);
            }
            still
        });
        match stopped {
            true => Ok(vec![format!("processes {:?} stopped", self.living())]),
            false => Err(format!("processes {:?} do not stop", self.living())),
        }
    }

    fn prove(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        for name in self.services {
            let living: Vec<&PickedProcess> =
                pick::of(name, self.picked).filter(|process| pick::lives(process)).collect();
            let others = context.services.processes(name).len().saturating_sub(living.len());
            let pids = pick::pids(living.into_iter());
            let still = !pids.is_empty() && all_stopped(&pids);
            let detail = match (pids.is_empty(), still) {
                (true, _) => "its chosen processes are gone".to_owned(),
                (false, true) => format!("processes {pids:?} are stopped, {others} others are not chosen"),
                (false, false) => format!("processes {pids:?} are not stopped"),
            };
            note(&mut proof, still, format!("service {name}: {detail}"));
        }
        proof
    }

    fn undo(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let held = |pid: u32, start: u64| {
            context.others.iter().any(|other| match &other.injection {
                Injection::PauseProcesses { picked, .. } => {
                    picked.iter().any(|process| (process.pid, process.start) == (pid, start))
                }
                Injection::Pause { services } => {
                    services.iter().any(|name| context.services.processes(name).contains(&pid))
                }
                _ => false,
            })
        };
        let (mine, kept): (Vec<&PickedProcess>, Vec<_>) =
            self.picked.iter().partition(|process| !held(process.pid, process.start));
        let mut proof = new_proof();
        if !kept.is_empty() {
            note(
                &mut proof,
                true,
                format!("processes {:?} stay paused for another fault", pick::pids(kept.into_iter())),
            );
        }
        let living = || pick::pids(mine.iter().copied().filter(|process| pick::lives(process)));
        let runs = sys::await_true(STOPPING, || {
            let stopped: Vec<u32> = living()
                .into_iter()
                .filter(|pid| all_stopped(&[*pid]) && crate::process::stat(*pid).is_some())
                .collect();
            signal(&stopped, libc::SIGCONT);
            stopped.is_empty()
        });
        let pids = living();
        note(&mut proof, runs, format!("processes {pids:?} {}", if runs { "go on" } else { "do not go on" }));
        proof
    }
}
