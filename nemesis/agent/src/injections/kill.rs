//! Kills all processes of some services. The undo starts them again, with the command for restarts. A process that then ends by
//! itself is a death of the target and reported as one: nothing of the fault is left.
use super::{Context, Inject, new_proof, note, pick, shift_of};
use crate::disk::LayerStatus;
use crate::journal::UndoEntry;
use crate::sys;
use dsfuzz_nemesis::protocol::{Injection, Proof};
use std::path::Path;
use std::time::Duration;

/// How long a process must live to count as started.
const SETTLING: Duration = Duration::from_millis(50);

/// How long an undo lets a service end by a signal that was sent before it. Then it kills it.
pub(super) const ENDING: Duration = Duration::from_secs(3);

/// The processes of a service beside which its first one is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// None: a service with processes runs and is left alone.
    Nothing,
    /// Any that are left, such as those whose supervisor alone was killed.
    Others,
}

/// Kills all processes of these services.
pub(super) struct Kill<'a> {
    pub(super) services: &'a [String],
}

impl Inject for Kill<'_> {
    fn perform(&self, _: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        kill(self.services, context)
    }

    fn prove(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        prove_dead(self.services, context)
    }

    fn undo(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        undo(self.services, context)
    }

    /// The undo would start a service that had ended for another reason, so only running services are killed.
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        idle(self.services, context)
    }
}

/// The other fault in force for which a service has no process, or not its first one.
pub(super) fn dead_for(name: &str, context: &Context<'_>) -> Option<u64> {
    let ends = |injection: &Injection| {
        injection.services().is_some_and(|services| services.iter().any(|service| service == name))
            && (injection.leaves_dead()
                || match injection {
                    Injection::EndProcesses { picked, .. } => {
                        pick::of(name, picked).any(|process| process.first && !pick::lives(process))
                    }
                    Injection::Own { name: own, .. } => context.services.memos.is_stopped_by(own, name),
                    _ => false,
                })
    };
    context.others.iter().find(|other| ends(&other.injection)).map(|other| other.fault)
}

/// The other fault in force that restarts one of these services again and again.
pub(super) fn restarted_by(services: &[String], context: &Context<'_>) -> Option<u64> {
    let restarts = |injection: &Injection| {
        matches!(injection, Injection::RestartLoop { .. })
            && injection.services().is_some_and(|names| names.iter().any(|name| services.contains(name)))
    };
    context.others.iter().find(|other| restarts(&other.injection)).map(|other| other.fault)
}

/// Kills all processes of services, and says which, one sentence each.
pub(super) fn kill(services: &[String], context: &Context<'_>) -> Result<Vec<String>, String> {
    let one = |name: &String| {
        let pids = context.services.processes(name);
        context.services.kill(name)?;
        Ok(format!("service {name}: killed {pids:?}"))
    };
    services.iter().map(one).collect()
}

/// Verifies that services have no process.
fn prove_dead(services: &[String], context: &Context<'_>) -> Proof {
    let mut proof = new_proof();
    for name in services {
        let pids = context.services.processes(name);
        note(&mut proof, pids.is_empty(), format!("service {name}: processes {pids:?}"));
    }
    proof
}

/// Verifies that services have no process, and what each folder under a layer shows.
pub(super) fn prove_with_layers(
    services: &[String],
    context: &Context<'_>,
    shows: impl Fn(&Path, &LayerStatus) -> (bool, String),
) -> Proof {
    let mut proof = prove_dead(services, context);
    prove_layers(context, &mut proof, shows);
    proof
}

/// Verifies what each folder under a layer shows, and that there is one.
pub(super) fn prove_layers(
    context: &Context<'_>,
    proof: &mut Proof,
    shows: impl Fn(&Path, &LayerStatus) -> (bool, String),
) {
    match context.services.disks().status() {
        Err(reason) => note(proof, false, reason),
        Ok(layers) => {
            note(proof, !layers.is_empty(), format!("{} folders under layers", layers.len()));
            for (folder, status) in layers {
                let (holds, detail) = shows(&folder, &status);
                note(proof, holds, format!("folder {}: {detail}", folder.display()));
            }
        }
    }
}

/// The reason why nothing can happen to files: no folder is under a layer.
pub(super) fn no_layer(context: &Context<'_>, so: &str) -> Option<String> {
    let none = context.services.disks().is_empty();
    none.then(|| format!("no folder of this node is under a layer, so {so}"))
}

/// The reason not to change the files of services: they may be started meanwhile, or run for another reason than a kill.
pub(super) fn in_use(services: &[String], context: &Context<'_>) -> Option<String> {
    if let Some(fault) = restarted_by(services, context) {
        return Some(format!("fault {fault} restarts its services, and files in use cannot be changed"));
    }
    idle(services, context)
}

/// The reason not to kill services: one does not run, for another reason than a kill.
pub(super) fn idle(services: &[String], context: &Context<'_>) -> Option<String> {
    let killed = |name: &String| dead_for(name, context).is_some();
    let idle = services.iter().find(|name| context.services.processes(name).is_empty() && !killed(name));
    idle.map(|name| format!("service {name}: it does not run, so there is nothing to kill"))
}

/// Starts killed services again, but for those that another injection keeps dead.
pub(super) fn undo(services: &[String], context: &Context<'_>) -> Proof {
    let mut proof = new_proof();
    let started = to_start(services, context, &mut proof);
    start_again(&started, context, &mut proof);
    proof
}

/// The services that an undo may start: not those that another injection keeps dead, nor those that are no longer defined.
pub(super) fn to_start<'a>(services: &'a [String], context: &Context<'_>, proof: &mut Proof) -> Vec<&'a str> {
    let mut started = Vec::new();
    for name in services {
        if let Some(fault) = dead_for(name, context) {
            note(proof, true, format!("service {name}: stays dead for fault {fault}"));
        } else if !context.services.defined(name) {
            note(proof, true, format!("service {name}: no longer defined, nothing to start"));
        } else {
            started.push(name.as_str());
        }
    }
    started
}

/// Starts services again; one with processes runs and is left alone.
pub(super) fn start_again(names: &[&str], context: &Context<'_>, proof: &mut Proof) {
    start_beside(names, Beside::Nothing, context, proof);
}

/// Sees to it that no process of a service is still ending, and notes those that it had to kill. False if one does not end.
pub(super) fn see_end(
    name: &str,
    beside: Beside,
    patience: Duration,
    context: &Context<'_>,
    proof: &mut Proof,
) -> bool {
    match context.services.see_end(name, beside == Beside::Nothing, patience) {
        Err(reason) => {
            note(proof, false, reason);
            return false;
        }
        Ok(late) if late.is_empty() => {}
        Ok(late) => note(proof, true, format!("service {name}: {late:?} did not end and were killed")),
    }
    true
}

/// Starts services again, with the clock in force for them, and notes the outcome of each.
pub(super) fn start_beside(names: &[&str], beside: Beside, context: &Context<'_>, proof: &mut Proof) {
    let mut started = Vec::new();
    for name in names {
        if !see_end(name, beside, ENDING, context, proof) {
            continue;
        }
        let expiry_ns = sys::realtime_ns().saturating_add_unsigned(context.hold_ns);
        let shift = shift_of(name, context.others).map(|shift| (shift, expiry_ns));
        let start = match beside {
            Beside::Nothing => context.services.start(name, true, shift),
            Beside::Others => context.services.start_first(name, shift),
        };
        match start {
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
