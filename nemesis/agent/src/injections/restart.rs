//! Restarts services again and again, by a thread of the agent. The undo ends it and leaves the services running.
//!
//! The thread dies with the agent. The guardian, or the next agent, then starts a service that it left dead.
use super::kill;
use super::{Context, Inject, new_proof, note};
use crate::journal::UndoEntry;
use crate::restarts::Restarts;
use dsfuzz_nemesis::protocol::Proof;
use std::time::Duration;

/// Restarts these services.
pub(super) struct Restart<'a> {
    pub(super) services: &'a [String],
    pub(super) signal: i32,
    pub(super) grace_ms: u64,
    pub(super) every_ms: u64,
}

impl Inject for Restart<'_> {
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        let idle = self.services.iter().find(|name| context.services.processes(name).is_empty());
        idle.map(|name| format!("service {name}: it does not run, so there is nothing to restart"))
    }

    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let (grace, every) = (Duration::from_millis(self.grace_ms), Duration::from_millis(self.every_ms));
        context.services.restart_repeatedly(entry.seq, self.services, (self.signal, grace), every)?;
        Ok(vec![format!("restarts {} every {} ms", self.services.join(", "), self.every_ms)])
    }

    fn prove(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        match context.services.restarts(entry.seq) {
            None => note(&mut proof, false, "the agent that restarted the services is gone".to_owned()),
            Some(Restarts { count, last, problem, longest }) => {
                let services = self.services.join(", ");
                note(&mut proof, count > 0, format!("{services}: restarted {count} times"));
                if let Some(ago) = last.map(|last| last.elapsed()).filter(|ago| *ago > longest) {
                    note(
                        &mut proof,
                        false,
                        format!("the restarts stand still: the last one was {} ms ago", ago.as_millis()),
                    );
                }
                problem.into_iter().for_each(|problem| note(&mut proof, false, problem));
            }
        }
        proof
    }

    fn undo(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        if let Some(count) = context.services.end_restarts(entry.seq) {
            note(&mut proof, true, format!("restarted {count} times"));
        }
        let started = kill::to_start(self.services, context, &mut proof);
        kill::start_again(&started, context, &mut proof);
        proof
    }
}
