//! Steps the node's real clock. Refused if that could move another machine's clock. The undo uses the boot-time clock, which no
//! step moves, and needs no time server.
use super::{Context, Inject, note, so_far};
use crate::journal::UndoEntry;
use crate::process;
use crate::sys::{self, Settable};
use dsfuzz_nemesis::protocol::Proof;

/// Tolerance of a right clock.
const CLOSE_NS: i64 = 50_000_000;

/// The reason why the clock must not be stepped here; none if it may.
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

/// The wall clock without a step.
fn true_ns(entry: &UndoEntry) -> i64 {
    let passed = sys::boottime_ns().saturating_sub(entry.boot_ns);
    entry.real_ns.saturating_add_unsigned(passed)
}

/// Steps the node's real clock.
pub(super) struct Step<'a> {
    pub(super) offset_ns: i64,
    pub(super) control_boot_id: &'a str,
    pub(super) own_kernel: bool,
}

impl Inject for Step<'_> {
    /// An entry in the journal means that the clock may have been stepped, so a step that is refused never gets one.
    fn refusal(&self, _: &Context<'_>) -> Option<String> {
        let settable = if self.own_kernel { sys::clock_settable() } else { Settable::Protected };
        let reason = refusal(self.own_kernel, self.control_boot_id, &process::boot_id(), &settable)?;
        Some(format!("the real clock is not stepped: {reason}"))
    }

    fn perform(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Result<Vec<String>, String> {
        let settable = if self.own_kernel { sys::clock_settable() } else { Settable::Protected };
        if let Some(reason) = refusal(self.own_kernel, self.control_boot_id, &process::boot_id(), &settable) {
            return Err(format!("the real clock is not stepped: {reason}"));
        }
        sys::set_realtime_ns(true_ns(entry).saturating_add(self.offset_ns))
            .map_err(|error| format!("the real clock could not be stepped: {error}"))?;
        Ok(vec![format!("the node's clock was stepped by {} ns", self.offset_ns)])
    }

    fn prove(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Proof {
        let mut proof = so_far();
        let off = sys::realtime_ns().saturating_sub(true_ns(entry));
        let close = off.saturating_sub(self.offset_ns).abs() <= CLOSE_NS;
        note(&mut proof, close, format!("the node's clock is off by {off} ns; {} were asked for", self.offset_ns));
        proof
    }

    fn undo(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Proof {
        let mut proof = so_far();
        // A refused step was not done, so there is nothing to undo, and the clock must not be set.
        let settable = if self.own_kernel { sys::clock_settable() } else { Settable::Protected };
        if let Some(reason) = refusal(self.own_kernel, self.control_boot_id, &entry.boot_id, &settable) {
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
        // The undo of a refused injection does not touch the clock.
        if off().abs() > CLOSE_NS
            && let Err(error) = sys::set_realtime_ns(true_ns(entry))
        {
            note(&mut proof, false, format!("the node's clock could not be put right: {error}"));
            return proof;
        }
        let left = off();
        note(&mut proof, left.abs() <= CLOSE_NS, format!("the node's clock is off by {left} ns"));
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
