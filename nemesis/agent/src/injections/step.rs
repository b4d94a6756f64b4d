//! [`RealClock`]: changes the node's real clock: one step, or a drift of many small steps. [`refusal`] has every reason to refuse it.
//! Never: moves the clock of another machine.
//!
//! The undo computes the right time from the boot-time clock, which no step moves, and needs no time server. It always compares
//! the clocks: a clock that may not be set any more can still be stepped. Time daemons are stopped meanwhile. The monotonic clocks
//! stay as they are, which is why a drift does not change the frequency of the kernel's clock (adjtimex would change them too).
use super::time_daemons::{Systemd, TimeDaemons};
use super::{Context, Inject, new_proof, note};
use crate::journal::UndoEntry;
use crate::process::BootId;
use crate::sys::{self, Settable};
use dsfuzz_nemesis::protocol::{Injection, Proof};
use std::io;
use std::time::Duration;

/// How far a stepped clock may be from the expected time and still count as such.
const TOLERANCE_NS: i64 = 50_000_000;
/// The undo sets a clock that is further off.
const RIGHT_NS: i64 = 200_000;
/// Attempts at that: the program may be held up between reading one clock and setting the other.
const ATTEMPTS: usize = 5;
/// Readings of both clocks of which the one made fastest counts.
const READINGS: usize = 5;
/// What a drifting clock must have gained or lost before its drift can be verified: far more than readings are off.
const GAIN_MIN_NS: i64 = 100_000;
/// How long one verification waits for that.
const GAINING: Duration = Duration::from_millis(600);
/// A drift moves the clock in steps of at least this.
const STEP_MIN_NS: i64 = 1_000;

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

/// How the real clock is wrong.
#[derive(Clone, Copy)]
pub(super) enum RealSkew {
    /// By an offset.
    Step { offset_ns: i64 },
    /// By its rate.
    Drift { rate_ppm: i64 },
}

impl RealSkew {
    /// How far the clock is off when this time has passed.
    fn after_ns(self, passed_ns: u64) -> i64 {
        match self {
            RealSkew::Step { offset_ns } => offset_ns,
            RealSkew::Drift { rate_ppm } => {
                i64::try_from(i128::from(passed_ns) * i128::from(rate_ppm) / 1_000_000).unwrap_or(i64::MAX)
            }
        }
    }

    fn words(self) -> String {
        match self {
            RealSkew::Step { offset_ns } => format!("the step by {offset_ns} ns"),
            RealSkew::Drift { rate_ppm } => format!("the drift of {rate_ppm} ppm"),
        }
    }
}

/// Changes the node's real clock; the fields are those of `Injection::StepClock` and `Injection::SlewClock`.
pub(super) struct RealClock<'a> {
    skew: RealSkew,
    control_boot_id: &'a str,
    own_kernel: bool,
    clock: &'a dyn NodeClock,
    daemons: &'a dyn TimeDaemons,
}

impl<'a> RealClock<'a> {
    /// That of this node.
    pub(super) fn of_node(skew: RealSkew, control_boot_id: &'a str, own_kernel: bool) -> RealClock<'a> {
        RealClock { skew, control_boot_id, own_kernel, clock: &KernelClock, daemons: &Systemd }
    }

    /// The reason not to change the clock on a node with this boot id. The kernel is only asked on a node that owns it.
    fn refused(&self, boot_id: &BootId) -> Option<String> {
        let settable = if self.own_kernel { self.clock.settable() } else { Settable::Protected };
        refusal(self.own_kernel, self.control_boot_id, &boot_id.0, &settable)
    }

    /// The right wall-clock time when the boot-time clock shows this: the time in the entry, and the boot time since.
    fn true_ns(entry: &UndoEntry, boot_ns: u64) -> i64 {
        entry.real_ns.saturating_add_unsigned(boot_ns.saturating_sub(entry.boot_ns))
    }

    /// How far the wall clock is from the right time, and the boot-time clock at that moment.
    fn off_ns(&self, entry: &UndoEntry) -> (i64, u64) {
        let reading = || {
            let before_ns = self.clock.boottime_ns();
            let real_ns = self.clock.realtime_ns();
            let took_ns = self.clock.boottime_ns().saturating_sub(before_ns);
            (took_ns, before_ns + took_ns / 2, real_ns)
        };
        let best = (1..READINGS).map(|_| reading()).fold(reading(), |best, next| best.min(next));
        (best.2.saturating_sub(RealClock::true_ns(entry, best.1)), best.1)
    }

    /// How far the clock should be off when the boot-time clock shows this.
    fn wanted_ns(&self, entry: &UndoEntry, boot_ns: u64) -> i64 {
        self.skew.after_ns(boot_ns.saturating_sub(entry.boot_ns))
    }

    /// Sets the clock to the right time and this offset.
    fn set_off(&self, entry: &UndoEntry, off: impl Fn(u64) -> i64) -> Result<(), String> {
        let boot_ns = self.clock.boottime_ns();
        let ns = RealClock::true_ns(entry, boot_ns).saturating_add(off(boot_ns));
        self.clock.set_realtime_ns(ns).map_err(|error| error.to_string())
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
        let mut left = self.off_ns(entry).0;
        for _ in 0..ATTEMPTS {
            // A clock that is right is not set.
            if left.abs() <= RIGHT_NS {
                break;
            }
            // Never: sets a clock that may not be stepped.
            let set = self.refused(&entry.boot_id).map_or_else(|| self.set_off(entry, |_| 0), Err);
            if let Err(reason) = set {
                let stands = format!("{} may still be in force", self.skew.words());
                let detail =
                    format!("the node's clock is off by {left} ns and could not be put right ({reason}): {stands}");
                note(&mut proof, false, detail);
                return proof;
            }
            left = self.off_ns(entry).0;
        }
        note(&mut proof, left.abs() <= TOLERANCE_NS, format!("the node's clock is off by {left} ns"));
        proof
    }

    /// Starts the time daemons again that ran before.
    fn start_daemons(&self, entry: &UndoEntry, proof: &mut Proof) {
        for unit in &entry.stopped {
            match self.daemons.start(unit) {
                Ok(()) => note(proof, true, format!("{unit} runs again")),
                Err(reason) => note(proof, false, format!("{unit} does not run again: {reason}")),
            }
        }
    }

    fn verify(&self, entry: &UndoEntry) -> Proof {
        let mut proof = new_proof();
        if let RealSkew::Drift { rate_ppm } = self.skew {
            let gains = sys::await_true(GAINING, || {
                // The agent goes on with the drift in its turn, which waits for this.
                drop(self.keep(entry));
                self.wanted_ns(entry, self.clock.boottime_ns()).abs() >= GAIN_MIN_NS
            });
            drop(self.keep(entry));
            let (off, boot_ns) = self.off_ns(entry);
            let wanted = self.wanted_ns(entry, boot_ns);
            // A clock that is held up for a moment between two small steps is still a drifting one.
            let close = gains && off.saturating_sub(wanted).abs() <= wanted.abs() / 4;
            let detail =
                format!("the node's clock is off by {off} ns; a drift of {rate_ppm} ppm makes {wanted} by now");
            note(&mut proof, close, detail);
        } else {
            let (off, boot_ns) = self.off_ns(entry);
            let wanted = self.wanted_ns(entry, boot_ns);
            let close = off.saturating_sub(wanted).abs() <= TOLERANCE_NS;
            note(&mut proof, close, format!("the node's clock is off by {off} ns; {wanted} were asked for"));
        }
        if !entry.stopped.is_empty() {
            let running = self.daemons.running().unwrap_or_else(|reason| vec![reason]);
            let again: Vec<&String> = running.iter().filter(|unit| entry.stopped.contains(unit)).collect();
            let detail = format!("time daemons stopped: {}; of them run again: {again:?}", entry.stopped.join(" "));
            note(&mut proof, again.is_empty(), detail);
        }
        proof
    }
}

impl Inject for RealClock<'_> {
    /// Refused before the journal has an entry: an entry means that the clock may have been changed.
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        let real =
            |other: &&UndoEntry| matches!(other.injection, Injection::StepClock { .. } | Injection::SlewClock { .. });
        // The time that the journal keeps must be the right one.
        if let Some(other) = context.others.iter().find(real) {
            return Some(format!("the real clock is not changed: fault {} has changed it already", other.fault));
        }
        let reason = self.refused(&self.clock.boot_id())?;
        Some(format!("the real clock is not changed: {reason}"))
    }

    fn stops(&self) -> Result<Vec<String>, String> {
        self.daemons.running()
    }

    fn perform(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Result<Vec<String>, String> {
        // Asked again right before: the clock of another machine is worth a second look.
        if let Some(reason) = self.refused(&self.clock.boot_id()) {
            return Err(format!("the real clock is not changed: {reason}"));
        }
        for unit in &entry.stopped {
            self.daemons.stop(unit)?;
        }
        let failed = |reason: String| format!("the real clock could not be set: {reason}");
        self.set_off(entry, |boot_ns| self.wanted_ns(entry, boot_ns)).map_err(failed)?;
        let mut detail: Vec<String> = entry.stopped.iter().map(|unit| format!("{unit} was stopped")).collect();
        detail.push(format!("the node's clock has {}", self.skew.words()));
        Ok(detail)
    }

    fn prove(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Proof {
        self.verify(entry)
    }

    fn undo(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Proof {
        let mut proof = self.put_right(entry);
        self.start_daemons(entry, &mut proof);
        proof
    }

    fn is_kept(&self) -> bool {
        matches!(self.skew, RealSkew::Drift { .. })
    }

    /// One small step of a drift, if it is due.
    fn keep(&self, entry: &UndoEntry) -> Result<(), String> {
        if !self.is_kept() || !entry.boot_id.is_same_boot(&self.clock.boot_id()) {
            return Ok(());
        }
        let (off, boot_ns) = self.off_ns(entry);
        if off.saturating_sub(self.wanted_ns(entry, boot_ns)).abs() < STEP_MIN_NS {
            return Ok(());
        }
        match self.refused(&entry.boot_id) {
            Some(reason) => Err(format!("the drift does not go on: {reason}")),
            None => self.set_off(entry, |boot_ns| self.wanted_ns(entry, boot_ns)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    const HOUR_NS: i64 = 3_600_000_000_000;
    /// The moment of the entry by the boot-time clock and the wall clock.
    const BEGUN: (u64, i64) = (1_000, 10_000);
    const SECOND_NS: u64 = 1_000_000_000;

    /// Clocks and time daemons of no machine.
    struct FakeNode {
        boot_id: String,
        settable: Settable,
        boot_ns: Cell<u64>,
        /// How far the wall clock is from the right time.
        off_ns: Cell<i64>,
        /// How far the wall clock was off after each setting.
        set: RefCell<Vec<i64>>,
        daemons: RefCell<Vec<(String, bool)>>,
    }

    impl FakeNode {
        fn off_by(off_ns: i64) -> FakeNode {
            FakeNode {
                boot_id: "boot".to_owned(),
                settable: Settable::Yes,
                boot_ns: Cell::new(6_000),
                off_ns: Cell::new(off_ns),
                set: RefCell::default(),
                daemons: RefCell::default(),
            }
        }

        fn true_ns(&self) -> i64 {
            BEGUN.1 + (self.boot_ns.get() - BEGUN.0).cast_signed()
        }

        fn with(&self, skew: RealSkew) -> RealClock<'_> {
            RealClock { skew, control_boot_id: "control", own_kernel: true, clock: self, daemons: self }
        }

        /// Undoes a step by one hour: whether it is proven to be gone, and what was observed.
        fn undo(&self, entry_boot_id: &str) -> (bool, String) {
            let proof = self.with(RealSkew::Step { offset_ns: HOUR_NS }).put_right(&entry(entry_boot_id, &[]));
            (proof.holds, proof.detail.join("; "))
        }
    }

    fn entry(boot_id: &str, stopped: &[&str]) -> UndoEntry {
        let injection =
            Injection::StepClock { offset_ns: HOUR_NS, control_boot_id: "control".to_owned(), own_kernel: true };
        let (boot_ns, real_ns) = BEGUN;
        let stopped = stopped.iter().map(|unit| (*unit).to_owned()).collect();
        let (run, boot_id) = ("r".to_owned(), BootId(boot_id.to_owned()));
        UndoEntry { seq: 1, run, fault: 1, boot_id, boot_ns, real_ns, injection, stopped }
    }

    impl NodeClock for FakeNode {
        fn boot_id(&self) -> BootId {
            BootId(self.boot_id.clone())
        }

        fn boottime_ns(&self) -> u64 {
            self.boot_ns.get()
        }

        fn realtime_ns(&self) -> i64 {
            self.true_ns() + self.off_ns.get()
        }

        fn settable(&self) -> Settable {
            self.settable.clone()
        }

        fn set_realtime_ns(&self, ns: i64) -> io::Result<()> {
            self.off_ns.set(ns - self.true_ns());
            self.set.borrow_mut().push(self.off_ns.get());
            Ok(())
        }
    }

    impl TimeDaemons for FakeNode {
        fn running(&self) -> Result<Vec<String>, String> {
            Ok(self.daemons.borrow().iter().filter(|(_, runs)| *runs).map(|(unit, _)| unit.clone()).collect())
        }

        fn stop(&self, unit: &str) -> Result<(), String> {
            self.daemons.borrow_mut().iter_mut().filter(|(name, _)| name == unit).for_each(|(_, runs)| *runs = false);
            Ok(())
        }

        fn start(&self, unit: &str) -> Result<(), String> {
            let mut daemons = self.daemons.borrow_mut();
            let daemon = daemons.iter_mut().find(|(name, _)| name == unit).ok_or("no such unit")?;
            daemon.1 = true;
            Ok(())
        }
    }

    #[test]
    fn a_stepped_clock_is_put_right_and_a_right_one_is_not_set() {
        let clock = FakeNode::off_by(HOUR_NS);
        assert_eq!(clock.undo("boot"), (true, "the node's clock is off by 0 ns".to_owned()));
        assert_eq!(*clock.set.borrow(), [0]);
        assert!(clock.undo("boot").0);
        assert_eq!(clock.set.borrow().len(), 1, "it was right");
    }

    #[test]
    fn a_clock_that_is_off_by_a_millisecond_is_put_right_too() {
        for off_ns in [1_000_000, -1_000_000] {
            let clock = FakeNode::off_by(off_ns);
            assert!(clock.undo("boot").0);
            assert_eq!(clock.off_ns.get(), 0);
        }
    }

    #[test]
    fn a_step_that_cannot_be_undone_is_not_called_undone() {
        for settable in [Settable::Protected, Settable::Unknown("EIO".to_owned())] {
            let stepped = FakeNode { settable: settable.clone(), ..FakeNode::off_by(HOUR_NS) };
            let (gone, detail) = stepped.undo("boot");
            assert!(!gone && detail.contains("may still be in force"), "{detail}");
            // The clock itself shows that no step is in force.
            let right = FakeNode { settable, ..FakeNode::off_by(7) };
            assert!(right.undo("boot").0);
            assert!(stepped.set.borrow().is_empty() && right.set.borrow().is_empty());
        }
    }

    #[test]
    fn clocks_of_different_or_unknown_boots_are_not_compared() {
        for (entry, now) in [("boot", "later"), ("", "boot"), ("boot", ""), ("", "")] {
            let clock = FakeNode { boot_id: now.to_owned(), ..FakeNode::off_by(0) };
            let (gone, detail) = clock.undo(entry);
            assert!(!gone && detail.contains("rebooted since"), "{entry} {now}: {detail}");
            assert!(clock.set.borrow().is_empty());
        }
    }

    #[test]
    fn a_drift_grows_by_small_steps_and_is_undone_to_the_right_time() {
        for rate_ppm in [50_000, -50_000, 200, -900_000] {
            let node = FakeNode::off_by(0);
            let (clock, entry) = (node.with(RealSkew::Drift { rate_ppm }), entry("boot", &[]));
            for tick in 0..100 {
                node.boot_ns.set(BEGUN.0 + tick * SECOND_NS / 50);
                clock.keep(&entry).expect("a step");
            }
            let steps: Vec<i64> = node.set.borrow().windows(2).map(|pair| pair[1] - pair[0]).collect();
            let step = rate_ppm * 20;
            assert!(steps.iter().all(|step_ns| *step_ns == step), "{rate_ppm}: {steps:?}");
            // Of the time that has passed.
            assert_eq!(node.off_ns.get(), rate_ppm * 1_980);
            assert!(clock.verify(&entry).holds, "{:?}", clock.verify(&entry));
            assert!(clock.put_right(&entry).holds);
            assert_eq!(node.off_ns.get(), 0);
            node.boot_ns.set(BEGUN.0 + 10 * SECOND_NS);
            let right = clock.verify(&entry);
            assert!(right.holds, "the verification goes on with the drift: {right:?}");
        }
    }

    #[test]
    fn a_drift_that_does_not_go_on_is_not_verified() {
        let node = FakeNode { settable: Settable::Protected, ..FakeNode::off_by(0) };
        let (clock, entry) = (node.with(RealSkew::Drift { rate_ppm: 50_000 }), entry("boot", &[]));
        node.boot_ns.set(BEGUN.0 + 10 * SECOND_NS);
        let proof = clock.verify(&entry);
        assert!(!proof.holds && proof.detail[0].contains("off by 0 ns"), "{proof:?}");
        assert!(clock.keep(&entry).is_err());
        // Too early to see anything.
        let node = FakeNode::off_by(0);
        assert!(!node.with(RealSkew::Drift { rate_ppm: 1 }).verify(&entry).holds);
    }

    #[test]
    fn time_daemons_that_ran_run_again_after_the_undo() {
        let node = FakeNode::off_by(0);
        *node.daemons.borrow_mut() = vec![("chrony.service".to_owned(), true), ("ntp.service".to_owned(), false)];
        let clock = node.with(RealSkew::Step { offset_ns: HOUR_NS });
        let stopped = clock.stops().expect("asked");
        assert_eq!(stopped, ["chrony.service"]);
        let entry = entry("boot", &["chrony.service"]);
        stopped.iter().for_each(|unit| node.stop(unit).expect("stopped"));
        clock.set_off(&entry, |_| HOUR_NS).expect("stepped");
        assert!(clock.verify(&entry).holds);
        // Whoever starts it meanwhile spoils the proof: it corrects the clock.
        node.start("chrony.service").expect("started");
        assert!(!clock.verify(&entry).holds);
        node.stop("chrony.service").expect("stopped");
        let mut proof = clock.put_right(&entry);
        clock.start_daemons(&entry, &mut proof);
        assert!(proof.holds, "{proof:?}");
        assert_eq!(node.running().expect("asked"), ["chrony.service"]);
        node.daemons.borrow_mut().clear();
        clock.start_daemons(&entry, &mut proof);
        assert!(!proof.holds && proof.detail.last().is_some_and(|last| last.contains("does not run again")));
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
