//! [`Injector`]: injections, proofs and undos in their order: journal, then injection; undo, then proof, then journal. The agent,
//! its guardian and `heal` use it one at a time, under the lock of the folder. In an agent the commands of custom faults run beside
//! it (`custom.rs`).
mod custom;

use crate::clock::ClockKeeper;
use crate::injections::{self, Context, Own};
use crate::journal::{Journal, UndoEntry};
use crate::packet_queue::PacketQueues;
use crate::process::BootId;
use crate::service::Services;
use crate::state_dir::StateDir;
use crate::sys;
use dsfuzz_nemesis::protocol::{DROPPED, HEAL_RUN, Injection, LEFT_BEHIND, Leftover, Proof, Response, SelfHeal};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Attempts at an undo without proof when the control node is gone.
const ATTEMPTS: usize = 3;
/// The undos of leftover custom faults share this time from the agent's start, which is shorter than the 60 s of a greeting.
const LEFTOVERS: Duration = Duration::from_secs(40);
/// Time from a failure to put layers right to the next attempt.
const MEND_AGAIN_NS: u64 = 5_000_000_000;
/// The lease before the control node sets one.
const LEASE_MS: u64 = 30_000;

/// Injects, proves and undoes faults on this node, and keeps the undo journal.
pub(crate) struct Injector {
    state_dir: StateDir,
    journal: Journal,
    services: Arc<Services>,
    keeper: ClockKeeper,
    boot_id: BootId,
    control: Option<IpAddr>,
    ssh_port: Option<u16>,
    queues: PacketQueues,
    ping_port: Option<u16>,
    run: String,
    lease_ms: u64,
    ending: bool,
    complaint: String,
    /// The time at which the journal was opened, boot-time clock. Injections of other runs were not renewed since.
    opened_ns: u64,
    /// Expiring injections were last renewed until then, boot-time clock.
    held_until_ns: u64,
    /// Faults that expired before their renewal, so that they were not in force all the time.
    gaps: BTreeSet<u64>,
    /// Injections, by number, whose undo has begun. What is left of them is not renewed.
    undoing: BTreeSet<u64>,
    /// Attempts to put layers right that failed, one after the other.
    mends_failed: usize,
    /// The next one comes after this time, boot-time clock.
    mend_after_ns: u64,
    /// Custom faults whose commands run now, beside the other injections.
    commands_of: BTreeSet<u64>,
    /// Faults whose undo was asked for: custom ones until it has ended, and those of which nothing was in the journal.
    undo_asked: BTreeSet<u64>,
    /// No further command of a custom fault runs beside this: the node is being healed.
    healing: bool,
}

impl Injector {
    /// Opens the journal. The caller holds the folder's lock.
    pub(crate) fn open(state_dir: &StateDir, services: Arc<Services>) -> Result<Injector, String> {
        let journal = Journal::open(&state_dir.file("journal"))?;
        if journal.torn() > 0 {
            state_dir.log(&format!("journal: {} torn entries, whose injections never began, left out", journal.torn()));
        }
        let live = journal.live();
        services.memos.in_force(&live.iter().filter_map(|entry| Some(Own::of(&entry.injection)?.name())).collect());
        let ssh = std::env::var("SSH_CONNECTION").ok();
        Ok(Injector {
            state_dir: state_dir.clone(),
            journal,
            services,
            keeper: ClockKeeper::default(),
            boot_id: BootId::current(),
            control: control_address(ssh.as_deref()),
            ssh_port: ssh_port(ssh.as_deref()),
            queues: PacketQueues::default(),
            ping_port: None,
            run: String::new(),
            lease_ms: LEASE_MS,
            ending: false,
            complaint: String::new(),
            opened_ns: sys::boottime_ns(),
            held_until_ns: 0,
            gaps: BTreeSet::new(),
            undoing: BTreeSet::new(),
            mends_failed: 0,
            mend_after_ns: 0,
            commands_of: BTreeSet::new(),
            undo_asked: BTreeSet::new(),
            healing: false,
        })
    }

    /// Sets the run and the lease of the control node.
    pub(crate) fn greet(&mut self, run: &str, lease_ms: u64) {
        self.run = run.to_owned();
        self.lease_ms = lease_ms;
    }

    /// Sets the port at which this node's agent hears datagrams.
    pub(crate) fn hear_at(&mut self, port: u16) {
        self.ping_port = Some(port);
    }

    /// Refuses injections from now on.
    pub(crate) fn close(&mut self) {
        self.ending = true;
    }

    /// Time until expiry in the kernel: longer than the lease, so that the agent heals first.
    pub(crate) fn hold_ns(&self) -> u64 {
        (self.lease_ms.saturating_mul(3) / 2 + 500).saturating_mul(1_000_000)
    }

    /// Injects one fault on this node. The undo is journalled first.
    pub(crate) fn inject(&mut self, fault: u64, injection: Injection) -> Result<Vec<String>, String> {
        if self.ending {
            return Err("the agent is ending".to_owned());
        }
        if self.undo_asked.contains(&fault) {
            return Err(undone_before(fault));
        }
        let others = self.journal.live();
        let injection = self.with_context(&others, |context| injections::bound(injection, context))?;
        if let Some(reason) = self.with_context(&others, |context| injections::refusal(&injection, context)) {
            return Err(reason);
        }
        let entry = self.journalled(fault, injection)?;
        let outcome = self.with_context(&others, |context| injections::perform(&entry, context));
        if let Err(reason) = outcome {
            self.undoing.insert(entry.seq);
            let proof = self.with_context(&others, |context| injections::undo(&entry, context));
            if proof.holds {
                self.journal.done(entry.seq)?;
                return Err(reason);
            }
            return Err(format!("{reason}; the half-done injection is not proven undone: {}", proof.detail.join("; ")));
        }
        outcome
    }

    /// Puts an injection into the journal, so that it may begin.
    fn journalled(&mut self, fault: u64, injection: Injection) -> Result<UndoEntry, String> {
        let stopped = injections::stops(&injection)?;
        let entry = self.journal.begin(UndoEntry {
            seq: 0,
            run: self.run.clone(),
            fault,
            boot_id: self.boot_id.clone(),
            boot_ns: sys::boottime_ns(),
            real_ns: sys::realtime_ns(),
            injection,
            stopped,
        })?;
        // An earlier injection may have had this number.
        self.undoing.remove(&entry.seq);
        Ok(entry)
    }

    fn with_context<T>(&mut self, others: &[UndoEntry], step: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let hold_ns = self.hold_ns();
        let kept: Vec<UndoEntry> = others.iter().filter(|other| !self.undoing.contains(&other.seq)).cloned().collect();
        step(&mut Context {
            services: &self.services,
            others,
            kept: &kept,
            keeper: &mut self.keeper,
            queues: &mut self.queues,
            hold_ns,
            held_until_ns: &mut self.held_until_ns,
            control: self.control,
            ssh_port: self.ssh_port,
            ping_port: self.ping_port,
        })
    }

    /// Proves that a fault is in force.
    pub(crate) fn prove(&mut self, fault: u64) -> Proof {
        let live = self.journal.live();
        let mine: Vec<&UndoEntry> = live.iter().filter(|entry| entry.fault == fault).collect();
        if mine.is_empty() {
            let healed = self.journal.healed().into_iter().find(|heal| heal.fault == fault);
            let why = healed
                .map_or("nothing of it is in the journal".to_owned(), |heal| format!("it healed itself: {}", heal.why));
            return Proof { holds: false, detail: vec![format!("fault {fault}: {why}")], ..injections::new_proof() };
        }
        let mut whole = injections::new_proof();
        for entry in mine {
            let others: Vec<UndoEntry> = live.iter().filter(|other| other.seq != entry.seq).cloned().collect();
            merge(&mut whole, self.with_context(&others, |context| injections::prove(entry, context)));
        }
        if self.gaps.contains(&fault) {
            let gap = "it expired for a while before it was renewed, because the agent was held up";
            injections::note(&mut whole, false, format!("fault {fault}: {gap}"));
        }
        whole
    }

    fn undo_entries(&mut self, entries: Vec<UndoEntry>) -> Proof {
        let mut whole = injections::new_proof();
        for entry in last_first(entries) {
            merge(&mut whole, self.undo_entry(&entry));
        }
        whole
    }

    fn undo_entry(&mut self, entry: &UndoEntry) -> Proof {
        self.undoing.insert(entry.seq);
        let mut proof = self.try_undo(entry);
        if self.is_leftover(entry) {
            for _ in 1..attempts(&entry.injection) {
                if proof.holds {
                    break;
                }
                proof = self.try_undo(entry);
            }
        }
        if !proof.holds && self.is_leftover(entry) {
            let (how, left) = self.without_undo(&entry.injection);
            proof.holds = true;
            let by_hand = Own::of(&entry.injection).map(|own| format!(": {}", own.heal_by_hand())).unwrap_or_default();
            let sentence = format!("{how}: fault {} of {} is over, and {left}{by_hand}", entry.fault, entry.run);
            if how == LEFT_BEHIND {
                self.remember(SelfHeal {
                    fault: entry.fault,
                    run: entry.run.clone(),
                    why: sentence.clone(),
                    earliest_ns: 0,
                    latest_ns: sys::boottime_ns(),
                    holds: false,
                });
            }
            proof.detail.push(sentence);
        }
        if proof.holds
            && let Err(reason) = self.journal.done(entry.seq)
        {
            injections::note(&mut proof, false, reason);
        }
        proof
    }

    fn try_undo(&mut self, entry: &UndoEntry) -> Proof {
        if entry.boot_id.is_other_boot(&self.boot_id) && entry.injection.facts().ends_with_boot {
            let detail = vec![format!("fault {}: ended by a reboot", entry.fault)];
            return Proof { detail, ..injections::new_proof() };
        }
        // Injections that ended with an earlier boot do not count among the others.
        let live = self.journal.live().into_iter();
        let others: Vec<UndoEntry> = live
            .filter(|other| other.seq != entry.seq)
            .filter(|other| !other.boot_id.is_other_boot(&self.boot_id) || !other.injection.facts().ends_with_boot)
            .collect();
        let mut entry = entry.clone();
        if self.is_leftover(&entry) {
            let used = Duration::from_nanos(sys::boottime_ns().saturating_sub(self.opened_ns));
            injections::shorten_undo(&mut entry.injection, LEFTOVERS.saturating_sub(used));
        }
        self.with_context(&others, |context| injections::undo(&entry, context))
    }

    /// Whether the injection belongs to another run than the node's holder. A failed undo of it must not block every later run.
    fn is_leftover(&self, entry: &UndoEntry) -> bool {
        !self.run.is_empty() && self.run != entry.run
    }

    /// The remains of an injection whose undo failed, with the first word of their sentence. Waits for the expiry of an injection
    /// that expires.
    fn without_undo(&self, injection: &Injection) -> (&'static str, &'static str) {
        match injection.facts().leftover {
            Leftover::Other(what) => (DROPPED, what),
            Leftover::OnNode(what) => (LEFT_BEHIND, what),
            Leftover::NothingAfterExpiry => {
                let expired_ns = self.opened_ns.saturating_add(self.hold_ns());
                let left = Duration::from_nanos(expired_ns.saturating_sub(sys::boottime_ns()));
                sys::await_true(left, || false);
                (DROPPED, "the injection has expired by itself")
            }
        }
    }

    /// Undoes all injections because the control node is gone, and keeps the self-heals for it. `held_until_ns`: expiring
    /// injections were certainly renewed until then. False if something is left.
    pub(crate) fn heal(&mut self, why: &str, held_until_ns: Option<u64>) -> bool {
        self.services.end_commands();
        for entry in last_first(self.journal.live()) {
            let begin_ns = sys::boottime_ns();
            let mut proof = self.undo_entry(&entry);
            for _ in 1..attempts(&entry.injection) {
                if proof.holds {
                    break;
                }
                proof = self.undo_entry(&entry);
            }
            let detail = proof.detail.join("; ");
            let remembered = proof.detail.last().is_some_and(|last| last.starts_with(LEFT_BEHIND));
            self.state_dir.log(&format!("healed fault {} ({why}): holds {}: {detail}", entry.fault, proof.holds));
            let rebooted = entry.boot_id.is_other_boot(&self.boot_id);
            let dropped = proof.detail.last().is_some_and(|last| is_without_undo(last));
            // Boot-time clocks of different boots are not comparable.
            let comparable = entry.boot_id.is_same_boot(&self.boot_id);
            let earliest_ns = match (comparable, entry.injection.facts().expires) {
                (false, _) => 0,
                (true, true) => held_until_ns.unwrap_or(entry.boot_ns).max(entry.boot_ns).min(begin_ns),
                (true, false) => begin_ns,
            };
            let heal = SelfHeal {
                fault: entry.fault,
                run: entry.run.clone(),
                why: match (dropped, rebooted) {
                    (true, _) => format!("{why}; {detail}"),
                    (false, true) => "reboot".to_owned(),
                    (false, false) => why.to_owned(),
                },
                earliest_ns,
                latest_ns: sys::boottime_ns(),
                holds: proof.holds && !dropped,
            };
            if !remembered {
                self.remember(heal);
            }
        }
        self.journal.live().is_empty()
    }

    fn remember(&mut self, heal: SelfHeal) {
        if let Err(reason) = self.journal.remember(heal) {
            self.state_dir.log(&format!("journal: {reason}"));
        }
    }

    /// The faults in the journal in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let named = |entry: &UndoEntry| match Own::of(&entry.injection) {
            Some(own) => format!("fault {} ({})", entry.fault, own.name()),
            None => format!("fault {}", entry.fault),
        };
        self.journal.live().iter().map(named).collect()
    }

    /// How long the commands of custom faults may delay [`Injector::heal`].
    pub(crate) fn longest_commands(&self) -> Duration {
        let live = self.journal.live();
        let each = live.iter().filter_map(|entry| Some(Own::of(&entry.injection)?.longest_undo()));
        each.fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The self-heals, and the faults that are left. Self-heals of other runs are reported once and then forgotten; what was left
    /// behind only after `dsfuzz heal` has asked.
    pub(crate) fn undone(&mut self) -> Response {
        let by_itself = self.journal.healed().into_iter().chain(self.journal.foreign().cloned()).collect();
        let run = self.run.clone();
        let shown = |heal: &SelfHeal| run.starts_with(HEAL_RUN) || !heal.why.contains(LEFT_BEHIND);
        if let Err(reason) = self.journal.forget(|heal| heal.run != run && shown(heal)) {
            self.state_dir.log(&reason);
        }
        let mut left: Vec<u64> = self.journal.live().iter().map(|entry| entry.fault).collect();
        left.sort_unstable();
        left.dedup();
        Response::Undone { by_itself, left, now_ns: sys::boottime_ns() }
    }

    /// Injections in force whose undo has not begun, oldest first.
    fn kept(&self) -> Vec<UndoEntry> {
        self.journal.live().into_iter().filter(|entry| !self.undoing.contains(&entry.seq)).collect()
    }

    /// Renews expiring injections; true if all were renewed.
    pub(crate) fn renew(&mut self) -> bool {
        let live = self.kept();
        let hold_ns = self.hold_ns();
        let begin_ns = sys::boottime_ns();
        let mut failed = injections::refresh_clocks(&live, &self.services, &mut self.keeper, hold_ns, true);
        failed.extend(injections::renew_rules(&live, hold_ns).err());
        self.complain(&failed);
        self.gaps.extend(expired_meanwhile(&live, self.held_until_ns, hold_ns, sys::boottime_ns()));
        if failed.is_empty() {
            self.held_until_ns = begin_ns + hold_ns;
        }
        failed.is_empty()
    }

    /// Shifts the clocks of new processes, and goes on with a drift of the real clock.
    pub(crate) fn watch_clocks(&mut self) {
        let live = self.kept();
        let hold_ns = self.hold_ns();
        let mut failed = injections::refresh_clocks(&live, &self.services, &mut self.keeper, hold_ns, false);
        failed.extend(live.iter().filter_map(|entry| injections::keep(entry, &self.services).err()));
        self.complain(&failed);
    }

    /// Logs failed renewals, once while they stay the same.
    fn complain(&mut self, failed: &[String]) {
        let complaint = failed.join("; ");
        if !complaint.is_empty() && complaint != self.complaint {
            self.state_dir.log(&format!("not renewed: {complaint}"));
        }
        self.complaint = complaint;
    }

    /// Whether any clock is shifted, so that [`Injector::watch_clocks`] has work.
    pub(crate) fn shifts_clocks(&self) -> bool {
        self.kept().iter().any(|entry| injections::shift(entry).is_some() || injections::is_kept(entry))
    }

    /// Puts layers right that died: their services are killed, since their files are gone, and started again over new layers. What
    /// fails is tried again a few times.
    pub(crate) fn mend_disks(&mut self) {
        let services = Arc::clone(&self.services);
        let (dead, killed) = (services.disks().dead(), services.disks().killed());
        if (dead.is_empty() && killed.is_empty()) || self.ending || sys::boottime_ns() < self.mend_after_ns {
            return;
        }
        let all = services.names();
        let runs = |name: &String| !services.processes(name).is_empty();
        // An earlier agent may have died before it had started them again.
        let running: Vec<String> =
            all.into_iter().filter(|name| killed.contains(name) || (!dead.is_empty() && runs(name))).collect();
        services.disks().note_killed(&dead, &running);
        self.state_dir.log(&format!("layers over {dead:?} died; services {running:?} are killed and started again"));
        running.iter().for_each(|name| services.begin_kill(name));
        let mut failed: Vec<String> = dead.iter().filter_map(|folder| services.disks().bury(folder).err()).collect();
        failed.extend(running.iter().filter_map(|name| services.kill(name).err()));
        failed.extend(dead.iter().filter_map(|folder| services.disks().lay_again(folder).err()));
        failed.extend(running.iter().filter_map(|name| self.start(name, true).err()));
        services.disks().note_killed(&dead, &[]);
        self.mends_failed = if failed.is_empty() { 0 } else { self.mends_failed + 1 };
        if !failed.is_empty() {
            self.state_dir.log(&format!("layers are not put right: {}", failed.join("; ")));
            let last = self.mends_failed >= ATTEMPTS;
            self.mend_after_ns = if last { u64::MAX } else { sys::boottime_ns().saturating_add(MEND_AGAIN_NS) };
        }
    }

    /// Starts a service, with the clock in force for it.
    pub(crate) fn start(&mut self, service: &str, again: bool) -> Result<u32, String> {
        let expiry_ns = sys::realtime_ns().saturating_add_unsigned(self.hold_ns());
        let shift = injections::shift_of(service, &self.journal.live()).map(|shift| (shift, expiry_ns));
        self.services.start(service, again, shift)
    }
}

/// Injections in the order of their undos: the last first, but custom faults after all others, since their commands may take long.
fn last_first(mut entries: Vec<UndoEntry>) -> Vec<UndoEntry> {
    entries.reverse();
    entries.sort_by_key(|entry| Own::of(&entry.injection).is_some());
    entries
}

/// Faults whose injections had expired before the renewal at `now_ns`.
fn expired_meanwhile(live: &[UndoEntry], held_until_ns: u64, hold_ns: u64, now_ns: u64) -> BTreeSet<u64> {
    let until = |entry: &UndoEntry| held_until_ns.max(entry.boot_ns.saturating_add(hold_ns));
    let expired = live.iter().filter(|entry| entry.injection.facts().expires && until(entry) < now_ns);
    expired.map(|entry| entry.fault).collect()
}

/// How often an undo is tried by itself. Commands look again and again until their own deadline: more would keep the next run waiting.
fn attempts(injection: &Injection) -> usize {
    if Own::of(injection).is_some() { 1 } else { ATTEMPTS }
}

/// Whether a sentence is about an injection that was dropped from the journal without an undo.
fn is_without_undo(sentence: &str) -> bool {
    [DROPPED, LEFT_BEHIND].iter().any(|word| sentence.starts_with(word))
}

/// The refusal of an injection that comes after its undo, such as one that was held up on its way.
fn undone_before(fault: u64) -> String {
    format!("fault {fault}: its undo was asked for before it began")
}

fn merge(whole: &mut Proof, part: Proof) {
    whole.holds &= part.holds;
    whole.detail.extend(part.detail);
    whole.counts.extend(part.counts);
    // Drops of one fault share one counter.
    whole.dropped_packets = whole.dropped_packets.max(part.dropped_packets);
}

/// The control node's address, from the first word of sshd's variable.
fn control_address(connection: Option<&str>) -> Option<IpAddr> {
    connection?.split(' ').next()?.parse().ok()
}

/// The port of sshd, from the last word of its variable.
fn ssh_port(connection: Option<&str>) -> Option<u16> {
    connection?.split(' ').nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_that_comes_too_late_leaves_a_gap() {
        let entry = |fault, boot_ns, injection| UndoEntry {
            seq: fault,
            run: String::new(),
            fault,
            boot_id: BootId::default(),
            boot_ns,
            real_ns: 0,
            injection,
            stopped: Vec::new(),
        };
        let live = [
            entry(1, 100, Injection::Drop { from: Vec::new() }),
            entry(2, 900, Injection::Drop { from: Vec::new() }),
            entry(3, 100, Injection::Kill { services: Vec::new() }),
        ];
        // Acted at 100 and 900, held for 500.
        assert!(expired_meanwhile(&live, 0, 500, 550).is_empty());
        assert_eq!(expired_meanwhile(&live, 0, 500, 1000), [1].into());
        assert!(expired_meanwhile(&live, 1100, 500, 1000).is_empty(), "renewed in between");
        assert_eq!(expired_meanwhile(&live, 1100, 500, 1500), [1, 2].into());
    }

    #[test]
    fn sshd_tells_the_control_nodes_address() {
        assert_eq!(control_address(Some("10.77.0.254 50000 10.77.0.1 22")), Some([10, 77, 0, 254].into()));
        assert_eq!(control_address(Some("fd00::9 5 fd00::1 22")), "fd00::9".parse().ok());
        assert_eq!(ssh_port(Some("10.77.0.254 50000 10.77.0.1 2222")), Some(2222));
        assert_eq!(ssh_port(Some("")), None);
        assert_eq!(control_address(Some("")), None);
        assert_eq!(control_address(None), None);
    }
}
