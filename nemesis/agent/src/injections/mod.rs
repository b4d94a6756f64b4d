//! The injections that an agent can carry out, one file each, behind the trait [`Inject`]. `injector.rs` decides when, and writes
//! the undo journal before it injects.
//!
//! A new injection needs a variant with its facts in `protocol/injection.rs`, a file here, and a line in `implementation`.
mod burn_cpu;
mod clock;
mod damage_disk;
mod disturb_disk;
mod drop;
mod end;
mod kill;
mod limit;
mod limit_cpu;
mod own;
mod packet;
mod pause;
mod pick;
mod power_loss;
mod restart;
mod rules;
mod step;
mod stop;
mod time_daemons;

use crate::clock::{ClockKeeper, Shift};
use crate::journal::UndoEntry;
use crate::nft;
use crate::packet_queue::PacketQueues;
use crate::service::Services;
use clock::Skew;
use dsfuzz_nemesis::protocol::{Injection, Proof};
use std::net::IpAddr;
use std::sync::Arc;
use step::RealSkew;

pub(crate) use self::clock::{refresh as refresh_clocks, shift_of};
pub(crate) use self::own::{NodeAccess, Own, shorten_undo};

/// The parts of the node's state that injections use.
pub(crate) struct Context<'a> {
    /// The node's services.
    pub(crate) services: &'a Arc<Services>,
    /// The other injections in force, oldest first.
    pub(crate) others: &'a [UndoEntry],
    /// Those of them whose undo has not begun.
    pub(crate) kept: &'a [UndoEntry],
    /// Keeps the clocks of shifted processes patched.
    pub(crate) keeper: &'a mut ClockKeeper,
    /// The time after which an injection expires by itself, in the kernel or in a patched process, unless the agent renews it.
    pub(crate) hold_ns: u64,
    /// Expiring injections were last renewed until then, boot-time clock.
    pub(crate) held_until_ns: &'a mut u64,
    /// The control node's address.
    pub(crate) control: Option<IpAddr>,
    /// The queues of packets that this agent serves.
    pub(crate) queues: &'a mut PacketQueues,
    /// The port at which this agent hears datagrams.
    pub(crate) ping_port: Option<u16>,
    /// The port at which this node's sshd hears the control node.
    pub(crate) ssh_port: Option<u16>,
}

impl Context<'_> {
    /// Renews the other injections that expire and goes on with those that are kept, in the course of a long injection: the agent
    /// does so only between two of them.
    fn renew_others(&mut self) {
        let begin_ns = crate::sys::boottime_ns();
        let mut failed = refresh_clocks(self.kept, self.services, self.keeper, self.hold_ns, true);
        failed.extend(renew_rules(self.kept, self.hold_ns).err());
        failed.extend(self.kept.iter().filter_map(|entry| keep(entry, self.services).err()));
        if failed.is_empty() {
            *self.held_until_ns = begin_ns + self.hold_ns;
        }
    }
}

/// What the agent does for one injection. An undo is safe to repeat, and safe after an injection that failed half-way.
pub(crate) trait Inject {
    /// The injection with what only this node knows, such as the numbers of processes. The journal keeps it, so that a proof and an
    /// undo by a later agent know it too.
    fn bound(&self, _: &Context<'_>) -> Result<Option<Injection>, String> {
        Ok(None)
    }

    /// The reason to refuse the injection: it would break nothing on this node (its service is not running), or it is not
    /// safe here. A refused injection is not journalled.
    fn refusal(&self, _: &Context<'_>) -> Option<String> {
        None
    }

    /// Injects, and returns what was done, one sentence each. The caller undoes an injection that failed half-way.
    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String>;

    /// Verifies that the injection is in force; the proof does not hold where it is not.
    fn prove(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof;

    /// Undoes the injection; the proof holds when it is gone.
    fn undo(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof;

    /// The shift of the services' clocks that the injection asks for.
    fn shift(&self, _: &UndoEntry) -> Option<Shift> {
        None
    }

    /// What runs on the node, is stopped by the injection and runs again after the undo. It is journalled with the injection.
    fn stops(&self) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    /// Whether [`Inject::keep`] has work.
    fn is_kept(&self) -> bool {
        false
    }

    /// Goes on with the injection; called many times a second.
    fn keep(&self, _: &UndoEntry) -> Result<(), String> {
        Ok(())
    }

    /// Takes processes of the services that came after the injection; called with [`Inject::keep`].
    fn follow(&self, _: &Services) -> Result<(), String> {
        Ok(())
    }
}

/// The implementation of each injection.
fn implementation(injection: &Injection) -> Box<dyn Inject + '_> {
    match injection {
        Injection::Drop { from } => Box::new(drop::Drop { from }),
        Injection::Packet { packets, effect } => Box::new(packet::Packet { packets, effect }),
        Injection::Kill { services } => Box::new(kill::Kill { services }),
        Injection::EndProcesses { services, processes, signal, grace_ms, picked, .. } => {
            Box::new(end::End { services, processes, signal: *signal, grace_ms: *grace_ms, picked, injection })
        }
        Injection::RestartLoop { services, signal, grace_ms, every_ms } => {
            Box::new(restart::Restart { services, signal: *signal, grace_ms: *grace_ms, every_ms: *every_ms })
        }
        Injection::PauseProcesses { services, processes, picked } => {
            Box::new(stop::Stop { services, processes, picked, injection })
        }
        Injection::DisturbDisk { services, effect, seed } => {
            Box::new(disturb_disk::DisturbDisk { services, effect: *effect, seed: *seed })
        }
        Injection::DamageDisk { services, damage, seed } => {
            Box::new(damage_disk::DamageDisk { services, damage: *damage, seed: *seed })
        }
        Injection::LosePower { services, seed, torn } => {
            Box::new(power_loss::LosePower { services, seed: *seed, torn: *torn })
        }
        Injection::Pause { services } => Box::new(pause::Pause { services }),
        Injection::LimitCpu { services, percent } => Box::new(limit_cpu::LimitCpu { services, percent: *percent }),
        Injection::BurnCpu { services, processes } => Box::new(burn_cpu::BurnCpu { services, processes: *processes }),
        Injection::LimitResource { services, limit, picked, groups } => {
            Box::new(limit::Limit { services, limit: *limit, picked, groups, injection })
        }
        Injection::ShiftClock { services, offset_ns } => {
            Box::new(clock::Clock { services, skew: Skew::Offset { offset_ns: *offset_ns } })
        }
        Injection::StrobeClock { services, offset_ns, period_ms } => {
            let skew = Skew::Strobe { offset_ns: *offset_ns, period_ms: *period_ms };
            Box::new(clock::Clock { services, skew })
        }
        Injection::DriftClock { services, rate_ppm } => {
            Box::new(clock::Clock { services, skew: Skew::Drift { rate_ppm: *rate_ppm } })
        }
        Injection::FreezeClock { services } => {
            Box::new(clock::Clock { services, skew: Skew::Drift { rate_ppm: -1_000_000 } })
        }
        Injection::Own { name, services, commands } => Box::new(own::Own { name, services, commands }),
        Injection::StepClock { offset_ns, control_boot_id, own_kernel } => {
            let skew = RealSkew::Step { offset_ns: *offset_ns };
            Box::new(step::RealClock::of_node(skew, control_boot_id, *own_kernel))
        }
        Injection::SlewClock { rate_ppm, control_boot_id, own_kernel } => {
            let skew = RealSkew::Drift { rate_ppm: *rate_ppm };
            Box::new(step::RealClock::of_node(skew, control_boot_id, *own_kernel))
        }
    }
}

/// The injection with what only this node knows.
pub(crate) fn bound(injection: Injection, context: &Context<'_>) -> Result<Injection, String> {
    let bound = implementation(&injection).bound(context)?;
    Ok(bound.unwrap_or(injection))
}

/// The reason to refuse an injection: a service that is not defined, or the injection's own reason.
pub(crate) fn refusal(injection: &Injection, context: &Context<'_>) -> Option<String> {
    undefined(injection, context.services).or_else(|| implementation(injection).refusal(context))
}

/// The sentence for a service of the injection that is not defined on this node.
pub(crate) fn undefined(injection: &Injection, services: &Services) -> Option<String> {
    let name = services_of(injection).iter().find(|name| !services.defined(name))?;
    Some(format!("service {name}: not defined on this node"))
}

/// Injects, and returns what was done, one sentence each. The caller undoes an injection that failed half-way.
pub(crate) fn perform(entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
    implementation(&entry.injection).perform(entry, context)
}

/// Verifies that an injection is in force.
pub(crate) fn prove(entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
    implementation(&entry.injection).prove(entry, context)
}

/// Undoes an injection; the proof holds when it is gone.
pub(crate) fn undo(entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
    implementation(&entry.injection).undo(entry, context)
}

/// The tables of the packet filter in which the injection has rules.
fn tables(injection: &Injection) -> &'static [&'static str] {
    packet::tables_of(injection)
}

/// Renews the timeouts of all rules in force, in one transaction.
pub(crate) fn renew_rules(entries: &[UndoEntry], hold_ns: u64) -> Result<(), String> {
    let script = drop::renewal(entries, hold_ns) + &packet::renewal(entries, hold_ns);
    if script.is_empty() { Ok(()) } else { nft::script(&script) }
}

/// The services that an injection names.
pub(crate) fn services_of(injection: &Injection) -> &[String] {
    injection.services().unwrap_or_default()
}

/// A proof without observations yet: it holds until [`note`] adds one that does not.
pub(crate) fn new_proof() -> Proof {
    Proof { holds: true, detail: Vec::new(), dropped_packets: 0, counts: Vec::new() }
}

/// Adds an observation to a proof. The proof holds if all its observations do.
pub(crate) fn note(proof: &mut Proof, holds: bool, detail: String) {
    proof.holds &= holds;
    proof.detail.push(detail);
}

/// The shift of the services' clocks that an injection asks for.
pub(crate) fn shift(entry: &UndoEntry) -> Option<Shift> {
    implementation(&entry.injection).shift(entry)
}

/// What an injection will stop on the node.
pub(crate) fn stops(injection: &Injection) -> Result<Vec<String>, String> {
    implementation(injection).stops()
}

/// Whether an injection goes on after it was made, so that it must be kept.
pub(crate) fn is_kept(entry: &UndoEntry) -> bool {
    implementation(&entry.injection).is_kept()
}

/// Goes on with an injection.
pub(crate) fn keep(entry: &UndoEntry, services: &Services) -> Result<(), String> {
    let injection = implementation(&entry.injection);
    injection.keep(entry).and(injection.follow(services))
}
