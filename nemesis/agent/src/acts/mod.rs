//! The primitive harms. One file each: do it, show that it is in force, undo it and show that it is gone. Undoing is safe to
//! repeat, and after half a deed. Never: decides when; `hands` does, and journals before it asks for a deed.
mod clock;
mod drop;
mod kill;
mod pause;
mod step;

use crate::clock::{Keeper, Shift};
use crate::journal::Entry;
use crate::service::Services;
use dsfuzz_nemesis::protocol::{Act, Proof};
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) use self::clock::{refresh as refresh_clocks, shift_of};
pub(crate) use self::drop::renew as renew_drops;
pub(crate) use self::step::refusal as step_refusal;

/// What an act may look at.
pub(crate) struct Around<'a> {
    /// The node's services.
    pub(crate) services: &'a Arc<Services>,
    /// The other acts in force, oldest first.
    pub(crate) others: &'a [Entry],
    /// Patches of clocks.
    pub(crate) keeper: &'a mut Keeper,
    /// How long what expires in the kernel or in a process holds without renewal.
    pub(crate) hold_ns: u64,
    /// Where the control node speaks from.
    pub(crate) control: Option<IpAddr>,
}

/// Why it is not even begun, where nothing could be broken here: then nothing is journalled that would have to be undone.
pub(crate) fn refusal(act: &Act, around: &Around<'_>) -> Option<String> {
    if let Some(name) = services_of(act).iter().find(|name| !around.services.defined(name)) {
        return Some(format!("service {name}: not defined on this node"));
    }
    match act {
        Act::Kill { services } => kill::refusal(services, around),
        _ => None,
    }
}

/// Does it. What was half done is undone by the caller.
pub(crate) fn perform(entry: &Entry, around: &mut Around<'_>) -> Result<Vec<String>, String> {
    match &entry.act {
        Act::Drop { from } => drop::perform(entry, from, around),
        Act::Kill { services } => kill::perform(services, around),
        Act::Pause { services } => pause::perform(services, around),
        Act::ShiftClock { .. } | Act::StrobeClock { .. } => clock::perform(entry, around),
        Act::StepClock { offset_ns, control_boot_id, own_kernel } => {
            step::perform(entry, *offset_ns, control_boot_id, *own_kernel)
        }
    }
}

/// Is it in force?
pub(crate) fn prove(entry: &Entry, around: &mut Around<'_>) -> Proof {
    match &entry.act {
        Act::Drop { from } => drop::prove(entry, from),
        Act::Kill { services } => kill::prove(services, around),
        Act::Pause { services } => pause::prove(services, around),
        Act::ShiftClock { .. } | Act::StrobeClock { .. } => clock::prove(entry, around),
        Act::StepClock { offset_ns, .. } => step::prove(entry, *offset_ns),
    }
}

/// Undoes it; holds when it is gone.
pub(crate) fn undo(entry: &Entry, around: &mut Around<'_>) -> Proof {
    match &entry.act {
        Act::Drop { .. } => drop::undo(entry, around),
        Act::Kill { services } => kill::undo(services, around),
        Act::Pause { services } => pause::undo(services, around),
        Act::ShiftClock { services, .. } | Act::StrobeClock { services, .. } => clock::undo(services, around),
        Act::StepClock { control_boot_id, own_kernel, .. } => step::undo(entry, control_boot_id, *own_kernel),
    }
}

/// Whether a reboot ends it.
pub(crate) fn ends_with_boot(act: &Act) -> bool {
    !matches!(act, Act::Kill { .. } | Act::StepClock { .. })
}

/// Whether it ends by itself when nobody renews it.
pub(crate) fn expires(act: &Act) -> bool {
    matches!(act, Act::Drop { .. } | Act::ShiftClock { .. } | Act::StrobeClock { .. })
}

/// The services that an act names.
pub(crate) fn services_of(act: &Act) -> &[String] {
    match act {
        Act::Kill { services }
        | Act::Pause { services }
        | Act::ShiftClock { services, .. }
        | Act::StrobeClock { services, .. } => services,
        Act::Drop { .. } | Act::StepClock { .. } => &[],
    }
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

/// The shift that an act asks for.
pub(crate) fn shift(entry: &Entry) -> Option<Shift> {
    match &entry.act {
        Act::ShiftClock { offset_ns, .. } => {
            Some(Shift { offset_ns: *offset_ns, period_ns: 0, base_ns: entry.real_ns })
        }
        Act::StrobeClock { offset_ns, period_ms, .. } => Some(Shift {
            offset_ns: *offset_ns,
            period_ns: period_ms.saturating_mul(1_000_000),
            base_ns: entry.real_ns,
        }),
        _ => None,
    }
}
