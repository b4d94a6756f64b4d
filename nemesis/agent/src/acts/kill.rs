//! All processes of some services are killed. Undone by starting them again, with the command that is for that.
use super::{Around, note, shift_of, so_far};
use crate::sys;
use dsfuzz_nemesis::protocol::{Act, Proof};
use std::time::Duration;

/// How long a process must live to count as started: one that cannot run at all is gone by then.
const SETTLING: Duration = Duration::from_millis(50);

pub(super) fn perform(services: &[String], around: &Around<'_>) -> Result<Vec<String>, String> {
    let mut detail = Vec::new();
    for name in services {
        let pids = around.services.processes(name);
        around.services.kill(name)?;
        detail.push(format!("service {name}: killed {pids:?}"));
    }
    Ok(detail)
}

pub(super) fn prove(services: &[String], around: &Around<'_>) -> Proof {
    let mut proof = so_far();
    for name in services {
        let pids = around.services.processes(name);
        note(&mut proof, pids.is_empty(), format!("service {name}: processes {pids:?}"));
    }
    proof
}

pub(super) fn undo(services: &[String], around: &Around<'_>) -> Proof {
    let mut proof = so_far();
    let mut started = Vec::new();
    for name in services {
        let held =
            around.others.iter().find(|other| matches!(&other.act, Act::Kill { services } if services.contains(name)));
        if let Some(other) = held {
            note(&mut proof, true, format!("service {name}: stays dead for fault {}", other.fault));
            continue;
        }
        if !around.services.defined(name) {
            note(&mut proof, true, format!("service {name}: no longer defined, nothing to start"));
            continue;
        }
        let expiry_ns = sys::realtime_ns().saturating_add_unsigned(around.hold_ns);
        let shift = shift_of(name, around.others).map(|shift| (shift, expiry_ns));
        match around.services.start(name, true, shift) {
            Ok(_) => started.push(name),
            Err(reason) => note(&mut proof, false, reason),
        }
    }
    // It must go on living, so this waits on purpose; it ends early where something has died.
    sys::await_true(SETTLING, || started.iter().any(|name| around.services.processes(name).is_empty()));
    for name in started {
        let pids = around.services.processes(name);
        note(&mut proof, !pids.is_empty(), format!("service {name}: runs as {pids:?}"));
    }
    proof
}
