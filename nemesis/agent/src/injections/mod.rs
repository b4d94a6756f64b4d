//! The injections, one file each, behind the trait [`Inject`]. Never: decides when to inject; `injector` does, and journals before.
mod clock;
mod drop;
mod kill;
mod pause;
mod step;

use crate::clock::{ClockKeeper, Shift};
use crate::journal::UndoEntry;
use crate::service::Services;
use dsfuzz_nemesis::protocol::{Injection, Proof};
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) use self::clock::{refresh as refresh_clocks, shift_of};
pub(crate) use self::drop::renew as renew_drops;

/// The state of the node for an injection.
pub(crate) struct Context<'a> {
    /// The node's services.
    pub(crate) services: &'a Arc<Services>,
    /// The other injections in force, oldest first.
    pub(crate) others: &'a [UndoEntry],
    /// Patches of clocks.
    pub(crate) keeper: &'a mut ClockKeeper,
    /// Time after which an injection expires in the kernel or in a process without renewal.
    pub(crate) hold_ns: u64,
    /// The control node's address.
    pub(crate) control: Option<IpAddr>,
}

/// An injection as its file carries it out. An undo is safe to repeat, and safe after half an injection.
pub(crate) trait Inject {
    /// The reason why the injection must not begin, if it could break nothing here. A refused injection is not journalled.
    fn refusal(&self, _: &Context<'_>) -> Option<String> {
        None
    }

    /// Injects. The caller undoes an injection that failed half-way.
    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String>;

    /// Proves that the injection is in force.
    fn prove(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof;

    /// Undoes the injection; the proof holds when it is gone.
    fn undo(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof;

    /// The shift of the services' clocks that the injection asks for.
    fn shift(&self, _: &UndoEntry) -> Option<Shift> {
        None
    }
}

/// The one list of injections: a new one is its file and its line here.
fn of(injection: &Injection) -> Box<dyn Inject + '_> {
    match injection {
        Injection::Drop { from } => Box::new(drop::Drop { from }),
        Injection::Kill { services } => Box::new(kill::Kill { services }),
        Injection::Pause { services } => Box::new(pause::Pause { services }),
        Injection::ShiftClock { services, offset_ns } => {
            Box::new(clock::Clock { services, offset_ns: *offset_ns, period_ms: None })
        }
        Injection::StrobeClock { services, offset_ns, period_ms } => {
            Box::new(clock::Clock { services, offset_ns: *offset_ns, period_ms: Some(*period_ms) })
        }
        Injection::StepClock { offset_ns, control_boot_id, own_kernel } => {
            Box::new(step::Step { offset_ns: *offset_ns, control_boot_id, own_kernel: *own_kernel })
        }
    }
}

/// The reason why an injection must not begin: a service that is not defined, or the injection's own refusal.
pub(crate) fn refusal(injection: &Injection, context: &Context<'_>) -> Option<String> {
    if let Some(name) = services_of(injection).iter().find(|name| !context.services.defined(name)) {
        return Some(format!("service {name}: not defined on this node"));
    }
    of(injection).refusal(context)
}

/// Injects. The caller undoes an injection that failed half-way.
pub(crate) fn perform(entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
    of(&entry.injection).perform(entry, context)
}

/// Proves that an injection is in force.
pub(crate) fn prove(entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
    of(&entry.injection).prove(entry, context)
}

/// Undoes an injection; the proof holds when it is gone.
pub(crate) fn undo(entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
    of(&entry.injection).undo(entry, context)
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

/// The shift of the services' clocks that an injection asks for.
pub(crate) fn shift(entry: &UndoEntry) -> Option<Shift> {
    of(&entry.injection).shift(entry)
}
