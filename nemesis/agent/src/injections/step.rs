//! [`Step`]: steps the node's real clock. [`refusal`] has every reason to refuse it. Never: moves the clock of another machine.
//! The undo computes the right time from the boot-time clock, which no step moves, and needs no time server.
use super::{Context, Inject, new_proof, note};
use crate::journal::UndoEntry;
use crate::process;
use crate::sys::{self, Settable};
use dsfuzz_nemesis::protocol::Proof;

/// How far a clock may be from the expected time and still count as right.
const TOLERANCE_NS: i64 = 50_000_000;

/// The reason why the clock of a node with this boot id must not be stepped; none if it may.
fn refusal(own_kernel: bool, control_boot_id: &str, boot_id: &str, settable: &Settable) -> Option<String> {
    if !own_kernel {
        return Some(
            "the plan does not say that this node owns its kernel: shift the services' clocks instead".to_owned(),
        );
    }
    if control_boot_id.is_empty() || boot_id.is_empty() {
        return Some("a boot id is not known, so the owner of this clock is not certain".to_owned());
    }
    if control_boot_id == boot_id {
        return Some(format!(
            "this node runs on the control node's kernel (boot id {boot_id}): its clock is everybody's"
        ));
    }
    match settable {
        Settable::Yes => None,
        Settable::Protected => Some("the kernel does not let this node set its clock".to_owned()),
        Settable::Unknown(answer) => Some(format!("whether the clock may be set is not clear: {answer}")),
    }
}

/// The right wall-clock time now: the time in the entry, and the boot time that has passed since.
fn true_ns(entry: &UndoEntry) -> i64 {
    let passed = sys::boottime_ns().saturating_sub(entry.boot_ns);
    entry.real_ns.saturating_add_unsigned(passed)
}

/// Steps the node's real clock; the fields are those of `Injection::StepClock`.
pub(super) struct Step<'a> {
    pub(super) offset_ns: i64,
    pub(super) control_boot_id: &'a str,
    pub(super) own_kernel: bool,
}

impl Step<'_> {
    /// The reason why this step must not be done on a node with this boot id. The kernel is only asked on a node that owns it.
    fn refused(&self, boot_id: &str) -> Option<String> {
        let settable = if self.own_kernel { sys::clock_settable() } else { Settable::Protected };
        refusal(self.own_kernel, self.control_boot_id, boot_id, &settable)
    }
}

impl Inject for Step<'_> {
    /// Refused before the journal has an entry: an entry means that the clock may have been stepped.
    fn refusal(&self, _: &Context<'_>) -> Option<String> {
        let reason = self.refused(&process::boot_id())?;
        Some(format!("the real clock is not stepped: {reason}"))
    }

    fn perform(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Result<Vec<String>, String> {
        // Asked again right before the step: the clock of another machine is worth a second look.
        if let Some(reason) = self.refused(&process::boot_id()) {
            return Err(format!("the real clock is not stepped: {reason}"));
        }
        sys::set_realtime_ns(true_ns(entry).saturating_add(self.offset_ns))
            .map_err(|error| format!("the real clock could not be stepped: {error}"))?;
        Ok(vec![format!("the node's clock was stepped by {} ns", self.offset_ns)])
    }

    fn prove(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        let off = sys::realtime_ns().saturating_sub(true_ns(entry));
        let close = off.saturating_sub(self.offset_ns).abs() <= TOLERANCE_NS;
        note(&mut proof, close, format!("the node's clock is off by {off} ns; {} were asked for", self.offset_ns));
        proof
    }

    fn undo(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        // `perform` refused for the same reason, so there is no step to undo. Never: sets a clock that may not be stepped.
        if let Some(reason) = self.refused(&entry.boot_id) {
            note(&mut proof, true, format!("the real clock was not stepped: {reason}"));
            return proof;
        }
        if entry.boot_id != process::boot_id() {
            note(
                &mut proof,
                false,
                "the node has rebooted since its clock was stepped: set it by a time server".to_owned(),
            );
            return proof;
        }
        let off = || sys::realtime_ns().saturating_sub(true_ns(entry));
        // A clock that is right is not set.
        if off().abs() > TOLERANCE_NS
            && let Err(error) = sys::set_realtime_ns(true_ns(entry))
        {
            note(&mut proof, false, format!("the node's clock could not be put right: {error}"));
            return proof;
        }
        let left = off();
        note(&mut proof, left.abs() <= TOLERANCE_NS, format!("the node's clock is off by {left} ns"));
        proof
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_refused_unless_all_is_known_and_right() {
        let may = |own, control: &str, boot: &str, settable| refusal(own, control, boot, &settable).is_none();
        assert!(may(true, "a", "b", Settable::Yes));
        assert!(!may(false, "a", "b", Settable::Yes));
        assert!(!may(true, "a", "a", Settable::Yes));
        assert!(!may(true, "", "b", Settable::Yes));
        assert!(!may(true, "a", "", Settable::Yes));
        assert!(!may(true, "a", "b", Settable::Protected));
        assert!(!may(true, "a", "b", Settable::Unknown("x".to_owned())));
    }
}
