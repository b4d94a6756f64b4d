//! [`Step`]: steps the node's real clock. [`refusal`] has every reason to refuse it. Never: moves the clock of another machine.
//! The undo computes the right time from the boot-time clock, which no step moves, and needs no time server. It always compares
//! the clocks: a clock that may not be set any more can still be stepped.
use super::{Context, Inject, new_proof, note};
use crate::journal::UndoEntry;
use crate::process::BootId;
use crate::sys::{self, Settable};
use dsfuzz_nemesis::protocol::Proof;
use std::io;

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

/// The clocks of a node and the facts on which a step depends.
pub(super) trait NodeClock {
    /// The id of this boot.
    fn boot_id(&self) -> BootId;

    /// The boot-time clock, which no step moves.
    fn boottime_ns(&self) -> u64;

    /// The wall clock.
    fn realtime_ns(&self) -> i64;

    /// Whether the wall clock can be set. Never: sets it.
    fn settable(&self) -> Settable;

    /// Sets the wall clock.
    fn set_realtime_ns(&self, ns: i64) -> io::Result<()>;
}

/// The kernel's clocks.
pub(super) struct KernelClock;

impl NodeClock for KernelClock {
    fn boot_id(&self) -> BootId {
        BootId::current()
    }

    fn boottime_ns(&self) -> u64 {
        sys::boottime_ns()
    }

    fn realtime_ns(&self) -> i64 {
        sys::realtime_ns()
    }

    fn settable(&self) -> Settable {
        sys::clock_settable()
    }

    fn set_realtime_ns(&self, ns: i64) -> io::Result<()> {
        sys::set_realtime_ns(ns)
    }
}

/// Steps the node's real clock; the fields are those of `Injection::StepClock`.
pub(super) struct Step<'a> {
    pub(super) offset_ns: i64,
    pub(super) control_boot_id: &'a str,
    pub(super) own_kernel: bool,
    pub(super) clock: &'a dyn NodeClock,
}

impl Step<'_> {
    /// The reason why this step must not be done on a node with this boot id. The kernel is only asked on a node that owns it.
    fn refused(&self, boot_id: &BootId) -> Option<String> {
        let settable = if self.own_kernel { self.clock.settable() } else { Settable::Protected };
        refusal(self.own_kernel, self.control_boot_id, &boot_id.0, &settable)
    }

    /// The right wall-clock time now: the time in the entry, and the boot time that has passed since.
    fn true_ns(&self, entry: &UndoEntry) -> i64 {
        let passed = self.clock.boottime_ns().saturating_sub(entry.boot_ns);
        entry.real_ns.saturating_add_unsigned(passed)
    }

    /// How far the wall clock is from the right time.
    fn off_ns(&self, entry: &UndoEntry) -> i64 {
        self.clock.realtime_ns().saturating_sub(self.true_ns(entry))
    }

    /// Puts the clock right where it is off and may be set; the proof holds if the clock is right in the end.
    fn put_right(&self, entry: &UndoEntry) -> Proof {
        let mut proof = new_proof();
        let boot_id = self.clock.boot_id();
        // Only within one boot is the boot-time clock comparable with the one in the entry.
        if !entry.boot_id.is_same_boot(&boot_id) {
            let since = match entry.boot_id.is_other_boot(&boot_id) {
                true => "the node has rebooted since its clock was stepped",
                false => "a boot id is not known, so the node may have rebooted since its clock was stepped",
            };
            note(&mut proof, false, format!("{since}: set it by a time server"));
            return proof;
        }
        let mut left = self.off_ns(entry);
        // A clock that is right is not set.
        if left.abs() > TOLERANCE_NS {
            // Never: sets a clock that may not be stepped.
            let set = match self.refused(&entry.boot_id) {
                Some(reason) => Err(reason),
                None => self.clock.set_realtime_ns(self.true_ns(entry)).map_err(|error| error.to_string()),
            };
            if let Err(reason) = set {
                let stands = format!("the step by {} ns may still be in force", self.offset_ns);
                let detail =
                    format!("the node's clock is off by {left} ns and could not be put right ({reason}): {stands}");
                note(&mut proof, false, detail);
                return proof;
            }
            left = self.off_ns(entry);
        }
        note(&mut proof, left.abs() <= TOLERANCE_NS, format!("the node's clock is off by {left} ns"));
        proof
    }
}

impl Inject for Step<'_> {
    /// Refused before the journal has an entry: an entry means that the clock may have been stepped.
    fn refusal(&self, _: &Context<'_>) -> Option<String> {
        let reason = self.refused(&self.clock.boot_id())?;
        Some(format!("the real clock is not stepped: {reason}"))
    }

    fn perform(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Result<Vec<String>, String> {
        // Asked again right before the step: the clock of another machine is worth a second look.
        if let Some(reason) = self.refused(&self.clock.boot_id()) {
            return Err(format!("the real clock is not stepped: {reason}"));
        }
        self.clock
            .set_realtime_ns(self.true_ns(entry).saturating_add(self.offset_ns))
            .map_err(|error| format!("the real clock could not be stepped: {error}"))?;
        Ok(vec![format!("the node's clock was stepped by {} ns", self.offset_ns)])
    }

    fn prove(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        let off = self.off_ns(entry);
        let close = off.saturating_sub(self.offset_ns).abs() <= TOLERANCE_NS;
        note(&mut proof, close, format!("the node's clock is off by {off} ns; {} were asked for", self.offset_ns));
        proof
    }

    fn undo(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Proof {
        self.put_right(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_nemesis::protocol::Injection;
    use std::cell::{Cell, RefCell};

    const HOUR_NS: i64 = 3_600_000_000_000;

    /// Clocks of no machine.
    struct FakeClock {
        boot_id: String,
        settable: Settable,
        /// How far the wall clock is from the right time.
        off_ns: Cell<i64>,
        /// The times that the wall clock was set to.
        set: RefCell<Vec<i64>>,
    }

    impl FakeClock {
        fn off_by(off_ns: i64) -> FakeClock {
            let (boot_id, set) = ("boot".to_owned(), RefCell::default());
            FakeClock { boot_id, settable: Settable::Yes, off_ns: Cell::new(off_ns), set }
        }

        /// Undoes a step by one hour: whether it is proven to be gone, and what was observed.
        fn undo(&self, entry_boot_id: &str) -> (bool, String) {
            let injection =
                Injection::StepClock { offset_ns: HOUR_NS, control_boot_id: "control".to_owned(), own_kernel: true };
            let boot_id = BootId(entry_boot_id.to_owned());
            let run = "r".to_owned();
            let entry = UndoEntry { seq: 1, run, fault: 1, boot_id, boot_ns: 1_000, real_ns: 10_000, injection };
            let step = Step { offset_ns: HOUR_NS, control_boot_id: "control", own_kernel: true, clock: self };
            let proof = step.put_right(&entry);
            (proof.holds, proof.detail.join("; "))
        }
    }

    impl NodeClock for FakeClock {
        fn boot_id(&self) -> BootId {
            BootId(self.boot_id.clone())
        }

        fn boottime_ns(&self) -> u64 {
            6_000
        }

        fn realtime_ns(&self) -> i64 {
            15_000 + self.off_ns.get()
        }

        fn settable(&self) -> Settable {
            self.settable.clone()
        }

        fn set_realtime_ns(&self, ns: i64) -> io::Result<()> {
            self.set.borrow_mut().push(ns);
            self.off_ns.set(ns - 15_000);
            Ok(())
        }
    }

    #[test]
    fn a_stepped_clock_is_put_right_and_a_right_one_is_not_set() {
        let clock = FakeClock::off_by(HOUR_NS);
        assert_eq!(clock.undo("boot"), (true, "the node's clock is off by 0 ns".to_owned()));
        assert_eq!(*clock.set.borrow(), [15_000]);
        assert!(clock.undo("boot").0);
        assert_eq!(clock.set.borrow().len(), 1, "it was right");
    }

    #[test]
    fn a_step_that_cannot_be_undone_is_not_called_undone() {
        for settable in [Settable::Protected, Settable::Unknown("EIO".to_owned())] {
            let stepped = FakeClock { settable: settable.clone(), ..FakeClock::off_by(HOUR_NS) };
            let (gone, detail) = stepped.undo("boot");
            assert!(!gone && detail.contains("may still be in force"), "{detail}");
            // The clock itself shows that no step is in force.
            let right = FakeClock { settable, ..FakeClock::off_by(7) };
            assert!(right.undo("boot").0);
            assert!(stepped.set.borrow().is_empty() && right.set.borrow().is_empty());
        }
    }

    #[test]
    fn clocks_of_different_or_unknown_boots_are_not_compared() {
        for (entry, now) in [("boot", "later"), ("", "boot"), ("boot", ""), ("", "")] {
            let clock = FakeClock { boot_id: now.to_owned(), ..FakeClock::off_by(0) };
            let (gone, detail) = clock.undo(entry);
            assert!(!gone && detail.contains("rebooted since"), "{entry} {now}: {detail}");
            assert!(clock.set.borrow().is_empty());
        }
    }

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
