//! Ends chosen processes of some services by a signal. The undo starts a service again whose first process is gone.
//!
//! A process that does not end is left alone until the undo: the fault is then not proven, which is the finding. The undo lets it
//! end for the rest of its grace, but not for long, and kills it.
use super::kill::{self, Beside, dead_for};
use super::pick;
use super::{Context, Inject, new_proof, note};
use crate::journal::UndoEntry;
use crate::sys;
use dsfuzz_nemesis::protocol::{Injection, PickedProcess, ProcessSelection, Proof};
use std::time::Duration;

/// How long a process may take to vanish after SIGKILL.
const VANISHING: Duration = Duration::from_secs(3);

/// Ends processes of these services.
pub(super) struct End<'a> {
    pub(super) services: &'a [String],
    pub(super) processes: &'a ProcessSelection,
    pub(super) signal: i32,
    pub(super) grace_ms: u64,
    pub(super) picked: &'a [PickedProcess],
    pub(super) injection: &'a Injection,
}

impl End<'_> {
    /// Whether a service was ended for another fault already, which leaves nothing to pick.
    fn already_dead(&self, name: &str, context: &Context<'_>) -> bool {
        context.services.processes(name).is_empty() && dead_for(name, context).is_some()
    }

    /// How long the undo lets it end.
    fn patience(&self, entry: &UndoEntry) -> Duration {
        let passed = Duration::from_nanos(sys::boottime_ns().saturating_sub(entry.boot_ns));
        Duration::from_millis(self.grace_ms).saturating_sub(passed).min(kill::ENDING)
    }
}

impl Inject for End<'_> {
    fn bound(&self, context: &Context<'_>) -> Result<Option<Injection>, String> {
        let found = pick::pick(self.services, self.processes, context)?;
        let mut injection = self.injection.clone();
        if let Injection::EndProcesses { picked, .. } = &mut injection {
            *picked = found;
        }
        Ok(Some(injection))
    }

    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        let open: Vec<String> =
            self.services.iter().filter(|name| !self.already_dead(name, context)).cloned().collect();
        pick::nothing_picked(&open, self.processes, self.picked, context)
    }

    fn perform(&self, _: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let mut detail = Vec::new();
        for name in self.services {
            let mine: Vec<&PickedProcess> = pick::of(name, self.picked).collect();
            if mine.is_empty() {
                continue;
            }
            if mine.iter().any(|process| process.first) {
                context.services.ask_to_end_by(name, self.signal);
            }
            if self.processes.is_all() && self.signal == libc::SIGKILL {
                context.services.kill(name)?;
            }
            let signalled = mine.iter().filter(|process| pick::lives(process));
            signalled.for_each(|process| drop(sys::kill(process.pid, self.signal)));
            let pids = pick::pids(mine.into_iter());
            detail.push(format!("service {name}: signal {} to {pids:?}", self.signal));
        }
        if self.signal == libc::SIGKILL {
            sys::await_true(VANISHING, || !self.picked.iter().any(pick::lives));
        }
        Ok(detail)
    }

    fn prove(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        for name in self.services {
            let left = context.services.processes(name);
            if self.processes.largest && pick::of(name, self.picked).next().is_none() {
                continue;
            }
            let ended_first = pick::of(name, self.picked).any(|process| process.first && !pick::lives(process));
            let again = context.services.first_process(name).filter(|_| ended_first);
            let stubborn = pick::pids(pick::of(name, self.picked).filter(|process| pick::lives(process)));
            let (gone, detail) = match (self.processes.is_all(), stubborn.is_empty()) {
                (true, _) if left.is_empty() => (true, format!("service {name}: no process is left")),
                (true, true) => (false, format!("service {name}: processes {left:?} are new or were left behind")),
                (false, true) if again.is_some() => {
                    (false, format!("service {name}: its first process was ended and it runs again as {left:?}"))
                }
                (false, true) => {
                    let pids = pick::pids(pick::of(name, self.picked));
                    (true, format!("service {name}: {pids:?} are gone, {} others run", left.len()))
                }
                (_, false) => (false, format!("service {name}: {stubborn:?} did not end by signal {}", self.signal)),
            };
            note(&mut proof, gone, detail);
        }
        proof
    }

    fn undo(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        let mut started = Vec::new();
        let beside = if self.processes.is_all() { Beside::Nothing } else { Beside::Others };
        for name in kill::to_start(self.services, context, &mut proof) {
            if !kill::see_end(name, beside, self.patience(entry), context, &mut proof) {
                continue;
            }
            if let Some((pid, _)) = context.services.first_process(name) {
                note(&mut proof, true, format!("service {name}: its first process {pid} runs"));
            } else {
                let left = context.services.processes(name);
                let ended_first = pick::of(name, self.picked).any(|process| process.first);
                match (left.is_empty(), ended_first, self.processes.is_all()) {
                    (true, _, _) => started.push(name),
                    // Of a service that was to end as a whole, what did not end would be in the way of the new process.
                    (false, true, true) => match context.services.kill_rest(name) {
                        Ok(()) => {
                            note(&mut proof, true, format!("service {name}: {left:?} did not end and were killed"));
                            started.push(name);
                        }
                        Err(reason) => note(&mut proof, false, reason),
                    },
                    (false, true, false) => kill::start_beside(&[name], Beside::Others, context, &mut proof),
                    (false, false, _) => note(&mut proof, true, format!("service {name}: {left:?} run")),
                }
            }
        }
        kill::start_again(&started, context, &mut proof);
        proof
    }
}
