//! The injections. One file each: inject, prove that it is in force, undo and prove that it is gone. An undo is safe to repeat,
//! and safe after an injection that was done by half. Never: decides when; `injector` does, and journals before it injects.
mod clock;
mod drop;
mod kill;
mod pause;
mod step;

use crate::clock::{Keeper, Shift};
use crate::journal::Entry;
use crate::service::Services;
use dsfuzz_nemesis::protocol::{Injection, Proof};
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) use self::clock::{refresh as refresh_clocks, shift_of};
pub(crate) use self::drop::renew as renew_drops;
pub(crate) use self::step::refusal as step_refusal;

/// What an injection may look at on its node.
pub(crate) struct Context<'a> {
    /// The node's services.
    pub(crate) services: &'a Arc<Services>,
    /// The other injections in force, oldest first.
    pub(crate) others: &'a [Entry],
    /// Patches of clocks.
    pub(crate) keeper: &'a mut Keeper,
    /// How long what expires in the kernel or in a process holds without renewal.
    pub(crate) hold_ns: u64,
    /// Where the control node speaks from.
    pub(crate) control: Option<IpAddr>,
}

/// Why it is not even begun, where nothing could be broken here: then nothing is journalled that would have to be undone.
pub(crate) fn refusal(injection: &Injection, context: &Context<'_>) -> Option<String> {
    if let Some(name) = services_of(injection).iter().find(|name| !context.services.defined(name)) {
        return Some(format!("service {name}: not defined on this node"));
    }
    match injection {
        Injection::Kill { services } => kill::refusal(services, context),
        Injection::Drop { .. }
        | Injection::Pause { .. }
        | Injection::ShiftClock { .. }
        | Injection::StrobeClock { .. }
        | Injection::StepClock { .. } => None,
    }
}

/// Does it. What was half done is undone by the caller.
pub(crate) fn perform(entry: &Entry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
    match &entry.injection {
        Injection::Drop { from } => drop::perform(entry, from, context),
        Injection::Kill { services } => kill::perform(services, context),
        Injection::Pause { services } => pause::perform(services, context),
        Injection::ShiftClock { .. } | Injection::StrobeClock { .. } => clock::perform(entry, context),
        Injection::StepClock { offset_ns, control_boot_id, own_kernel } => {
            step::perform(entry, *offset_ns, control_boot_id, *own_kernel)
        }
    }
}

/// Is it in force?
pub(crate) fn prove(entry: &Entry, context: &mut Context<'_>) -> Proof {
    match &entry.injection {
        Injection::Drop { from } => drop::prove(entry, from),
        Injection::Kill { services } => kill::prove(services, context),
        Injection::Pause { services } => pause::prove(services, context),
        Injection::ShiftClock { .. } | Injection::StrobeClock { .. } => clock::prove(entry, context),
        Injection::StepClock { offset_ns, .. } => step::prove(entry, *offset_ns),
    }
}

/// Undoes it; holds when it is gone.
pub(crate) fn undo(entry: &Entry, context: &mut Context<'_>) -> Proof {
    match &entry.injection {
        Injection::Drop { .. } => drop::undo(entry, context),
        Injection::Kill { services } => kill::undo(services, context),
        Injection::Pause { services } => pause::undo(services, context),
        Injection::ShiftClock { services, .. } | Injection::StrobeClock { services, .. } => {
            clock::undo(services, context)
        }
        Injection::StepClock { control_boot_id, own_kernel, .. } => step::undo(entry, control_boot_id, *own_kernel),
    }
}

/// The services that an injection names.
pub(crate) fn services_of(injection: &Injection) -> &[String] {
    injection.services().unwrap_or_default()
}

/// A proof that is still to be filled.
pub(crate) fn so_far() -> Proof {
    Proof { holds: true, detail: Vec::new(), dropped_packets: 0 }
}

/// Adds a finding.
pub(crate) fn note(proof: &mut Proof, holds: bool, detail: String) {
    proof.holds &= holds;
    proof.detail.push(detail);
}

/// The shift that an injection asks for.
pub(crate) fn shift(entry: &Entry) -> Option<Shift> {
    match &entry.injection {
        Injection::ShiftClock { offset_ns, .. } => {
            Some(Shift { offset_ns: *offset_ns, period_ns: 0, base_ns: entry.real_ns })
        }
        Injection::StrobeClock { offset_ns, period_ms, .. } => Some(Shift {
            offset_ns: *offset_ns,
            period_ns: period_ms.saturating_mul(1_000_000),
            base_ns: entry.real_ns,
        }),
        Injection::Drop { .. } | Injection::Kill { .. } | Injection::Pause { .. } | Injection::StepClock { .. } => None,
    }
}
