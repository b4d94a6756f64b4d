//! Stops all processes of some services: by the freezer of cgroup2, which they cannot see, else by SIGSTOP.
//!
//! The undo never depends on the freezer: processes that cannot be thawed are killed, which works on frozen processes, and started
//! again.
use super::{Context, Inject, kill, limit_cpu, new_proof, note};
use crate::journal::UndoEntry;
use crate::service::all_stopped;
use crate::sys;
use dsfuzz_nemesis::protocol::{Injection, Proof};
use std::time::Duration;

/// How long processes may take to stop or to go on.
const STOPPING: Duration = Duration::from_secs(3);
/// How long one attempt at stopping them may take.
const ATTEMPT: Duration = Duration::from_millis(100);
/// How long a process that may be frozen is given to obey a signal.
const OBEYING: Duration = Duration::from_secs(1);

/// Stops all processes of these services.
pub(super) struct Pause<'a> {
    pub(super) services: &'a [String],
}

impl Inject for Pause<'_> {
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        limit_cpu::in_turns(self.services, context)
    }

    fn perform(&self, _: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let mut detail = Vec::new();
        for name in self.services {
            let Some(cgroup) = context.services.cgroup(name) else {
                detail.push(format!("service {name}: {} processes stopped", stop(name, context)?));
                continue;
            };
            match cgroup.freeze(true) {
                Ok(()) => detail.push(format!("service {name}: {} processes frozen", cgroup.processes().len())),
                Err(reason) => {
                    cgroup.thaw()?;
                    let count = stop(name, context)?;
                    detail.push(format!("service {name}: {count} processes stopped, as the freezer fails ({reason})"));
                }
            }
        }
        Ok(detail)
    }

    fn prove(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        for name in self.services {
            let pids = context.services.processes(name);
            let still = !pids.is_empty() && context.services.paused(name);
            let how =
                if context.services.cgroup(name).is_some_and(|cgroup| cgroup.frozen()) { "frozen" } else { "stopped" };
            note(
                &mut proof,
                still,
                format!("service {name}: processes {pids:?} are {}{how}", if still { "" } else { "not " }),
            );
        }
        proof
    }

    fn undo(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        for name in self.services {
            let held = context
                .others
                .iter()
                .find(|other| matches!(&other.injection, Injection::Pause { services } if services.contains(name)));
            if let Some(other) = held {
                note(&mut proof, true, format!("service {name}: stays paused for fault {}", other.fault));
                continue;
            }
            if let Err(reason) = context.services.thaw(name)
                && !obey(&context.services.processes(name))
            {
                let killed = context.services.kill(name);
                note(
                    &mut proof,
                    killed.is_ok(),
                    format!("service {name}: it cannot be thawed ({reason}), so it was killed"),
                );
                match killed {
                    Ok(()) => kill::start_again(&[name], context, &mut proof),
                    Err(reason) => note(&mut proof, false, reason),
                }
                continue;
            }
            // Also where it was frozen: an earlier agent may have had no cgroup2.
            let runs = sys::await_true(STOPPING, || {
                let pids = context.services.processes(name);
                let stopped: Vec<u32> = pids
                    .into_iter()
                    .filter(|pid| all_stopped(&[*pid]) && crate::process::stat(*pid).is_some())
                    .filter(|pid| !stopped_alone(*pid, context))
                    .collect();
                stopped.iter().for_each(|pid| drop(sys::kill(*pid, libc::SIGCONT)));
                stopped.is_empty()
            });
            let pids = context.services.processes(name);
            note(
                &mut proof,
                runs,
                format!("service {name}: processes {pids:?} {}", if runs { "go on" } else { "do not go on" }),
            );
        }
        proof
    }
}

/// Whether another fault stops this process by itself.
fn stopped_alone(pid: u32, context: &Context<'_>) -> bool {
    context.others.iter().any(|other| match &other.injection {
        Injection::PauseProcesses { picked, .. } => {
            picked.iter().any(|process| process.pid == pid && crate::process::lives(pid, process.start))
        }
        _ => false,
    })
}

/// Whether processes react to signals: each stops at a SIGSTOP and is continued. A frozen one does not.
fn obey(pids: &[u32]) -> bool {
    pids.iter().for_each(|pid| drop(sys::kill(*pid, libc::SIGSTOP)));
    let obeyed = sys::await_true(OBEYING, || all_stopped(pids));
    pids.iter().for_each(|pid| drop(sys::kill(*pid, libc::SIGCONT)));
    obeyed
}

/// Stops processes until twice in a row none is new and all are stopped: one that runs can still make others. One that
/// waits for its vfork cannot stop before the child it has just made goes on: then all go on for a moment.
fn stop(name: &str, context: &Context<'_>) -> Result<usize, String> {
    let mut before = Vec::new();
    let stopped = sys::await_true(STOPPING, || {
        let still = sys::await_true(ATTEMPT, || {
            let pids = context.services.processes(name);
            pids.iter().for_each(|pid| drop(sys::kill(*pid, libc::SIGSTOP)));
            let still = all_stopped(&pids) && pids == before;
            before = pids;
            still
        });
        if !still {
            before.iter().for_each(|pid| drop(sys::kill(*pid, libc::SIGCONT)));
        }
        still
    });
    if stopped { Ok(before.len()) } else { Err(format!("service {name}: processes {before:?} do not stop")) }
}
