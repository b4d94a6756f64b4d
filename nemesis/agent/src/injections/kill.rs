//! Kills all processes of some services. The undo starts them again, with the command for restarts. A process that then ends by
//! itself is a death of the target and reported as one: nothing of the fault is left.
use super::{Context, Inject, new_proof, note, shift_of};
use crate::journal::UndoEntry;
use crate::sys;
use dsfuzz_nemesis::protocol::{Injection, Proof};
use std::time::Duration;

/// How long a process must live to count as started.
const SETTLING: Duration = Duration::from_millis(50);

/// Kills all processes of these services.
pub(super) struct Kill<'a> {
    pub(super) services: &'a [String],
}

impl Inject for Kill<'_> {
    fn perform(&self, _: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let mut detail = Vec::new();
        for name in self.services {
            let pids = context.services.processes(name);
            context.services.kill(name)?;
            detail.push(format!("service {name}: killed {pids:?}"));
        }
        Ok(detail)
    }

    fn prove(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        for name in self.services {
            let pids = context.services.processes(name);
            note(&mut proof, pids.is_empty(), format!("service {name}: processes {pids:?}"));
        }
        proof
    }

    fn undo(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        undo(self.services, context)
    }

    /// The undo would start a service that had ended for another reason, so only running services are killed.
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        idle(self.services, context)
    }
}

/// Whether an injection keeps a service dead.
pub(super) fn keeps_dead(injection: &Injection, name: &String) -> bool {
    match injection {
        Injection::Kill { services }
        | Injection::LosePower { services, .. }
        | Injection::DamageDisk { services, .. } => services.contains(name),
        _ => false,
    }
}

/// The reason not to kill services: one does not run, for another reason than a kill.
pub(super) fn idle(services: &[String], context: &Context<'_>) -> Option<String> {
    let killed = |name: &String| context.others.iter().any(|other| keeps_dead(&other.injection, name));
    let idle = services.iter().find(|name| context.services.processes(name).is_empty() && !killed(name));
    idle.map(|name| format!("service {name}: it does not run, so there is nothing to kill"))
}

/// Starts killed services again, but for those that another injection keeps dead.
pub(super) fn undo(services: &[String], context: &Context<'_>) -> Proof {
    let mut proof = new_proof();
    let mut started = Vec::new();
    for name in services {
        let held = context.others.iter().find(|other| keeps_dead(&other.injection, name));
        if let Some(other) = held {
            note(&mut proof, true, format!("service {name}: stays dead for fault {}", other.fault));
            continue;
        }
        if !context.services.defined(name) {
            note(&mut proof, true, format!("service {name}: no longer defined, nothing to start"));
            continue;
        }
        started.push(name.as_str());
    }
    start_again(&started, context, &mut proof);
    proof
}

/// Starts services again, with the clock in force for them, and notes the outcome of each.
pub(super) fn start_again(names: &[&str], context: &Context<'_>, proof: &mut Proof) {
    let mut started = Vec::new();
    for name in names {
        let expiry_ns = sys::realtime_ns().saturating_add_unsigned(context.hold_ns);
        let shift = shift_of(name, context.others).map(|shift| (shift, expiry_ns));
        match context.services.start(name, true, shift) {
            Ok(_) => started.push(name),
            Err(reason) => note(proof, false, reason),
        }
    }
    // It must stay alive, so this waits on purpose. It ends early once a death has been seen.
    sys::await_true(SETTLING, || started.iter().any(|name| context.services.processes(name).is_empty()));
    let gone = |name: &&&&str| context.services.processes(name).is_empty();
    sys::await_true(SETTLING * 10, || {
        started.iter().filter(|name| gone(name)).all(|name| !context.services.ended(name).is_empty())
    });
    for name in started {
        let pids = context.services.processes(name);
        let ended = context.services.ended(name);
        let detail = match pids.is_empty() {
            true => format!("service {name}: was started again and ended by itself ({ended})"),
            false => format!("service {name}: runs as {pids:?}"),
        };
        note(proof, !pids.is_empty() || !ended.is_empty(), detail);
    }
}
