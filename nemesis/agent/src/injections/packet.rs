//! Lets packets of some senders, or of clients, meet a fault on arrival. The rules are in `rules.rs`.
use super::rules::{Elements, PacketRules};
use super::{Context, Inject, in_table, new_proof, note};
use crate::journal::UndoEntry;
use crate::nft::{self, TABLE};
use dsfuzz_nemesis::protocol::{Injection, PacketCounts, PacketEffect, PacketMatch, Proof};

/// Lets these packets meet this effect.
pub(super) struct Packet<'a> {
    pub(super) packets: &'a PacketMatch,
    pub(super) effect: &'a PacketEffect,
}

impl Inject for Packet<'_> {
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        let is_ssh = |ports: &[u16]| context.ssh_port.is_some_and(|port| ports.contains(&port));
        match self.packets {
            PacketMatch::From { senders, ports } => {
                let control = context.control.filter(|control| {
                    let same = |sender: &std::net::IpAddr| sender.to_canonical() == control.to_canonical();
                    senders.iter().any(same) && (ports.is_empty() || is_ssh(ports))
                })?;
                Some(format!("packets from {control} are left alone: the control node speaks from there"))
            }
            PacketMatch::Clients { ports, .. } if is_ssh(ports) => {
                Some("a port of the clients is that of SSH, over which the control node speaks".to_owned())
            }
            PacketMatch::Clients { ports, .. } if ports.is_empty() => Some("no port of clients is named".to_owned()),
            PacketMatch::Clients { .. } => None,
        }
    }

    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let rules = PacketRules::of(entry.fault, self.packets, self.effect);
        if context
            .others
            .iter()
            .any(|other| other.fault == entry.fault && of(other).is_some_and(|other| other.name == rules.name))
        {
            return Err(format!("fault {} has such an injection on this node already", entry.fault));
        }
        nft::script(&rules.make(context.hold_ns))?;
        Ok(vec![format!("chain {} of table {TABLE} takes the packets", rules.name)])
    }

    fn prove(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Proof {
        let rules = PacketRules::of(entry.fault, self.packets, self.effect);
        let mut proof = new_proof();
        match nft::list(TABLE) {
            Ok(items) => {
                let seen = rules.look(&items.unwrap_or_default());
                self.count(&mut proof, seen.seen, seen.hit);
                let holds = seen.wrong.is_empty();
                let whole = format!("chain {} is whole, {} of {} packets met it", rules.name, seen.hit, seen.seen);
                note(&mut proof, holds, if holds { whole } else { seen.wrong.join("; ") });
            }
            Err(reason) => note(&mut proof, false, reason),
        }
        proof
    }

    fn undo(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let rules = PacketRules::of(entry.fault, self.packets, self.effect);
        let mut proof = new_proof();
        if let Some(items) = nft::list(TABLE).ok().flatten() {
            let seen = rules.look(&items);
            self.count(&mut proof, seen.seen, seen.hit);
        }
        let shared = context.others.iter().any(|other| in_table(&other.injection));
        // The table goes with the last injection in it. Adding it first makes the deletion safe to repeat.
        let script = if shared { rules.remove() } else { format!("add table {TABLE}\ndelete table {TABLE}\n") };
        if let Err(reason) = nft::script(&script) {
            note(&mut proof, false, reason);
            return proof;
        }
        match nft::list(TABLE) {
            Ok(None) => note(&mut proof, true, format!("there is no table {TABLE}")),
            Ok(Some(items)) => {
                let left = rules.look(&items).rules;
                note(&mut proof, left == 0, format!("the chains of {} have {left} rules", rules.name));
            }
            Err(reason) => note(&mut proof, false, reason),
        }
        proof
    }
}

impl Packet<'_> {
    /// Adds the counts to a proof.
    fn count(&self, proof: &mut Proof, seen: u64, hit: u64) {
        let clients = matches!(self.packets, PacketMatch::Clients { .. });
        proof.counts.push(PacketCounts { clients, seen, hit });
        if !clients && matches!(self.effect, PacketEffect::Cut(_)) {
            proof.dropped_packets = hit;
        }
    }
}

/// The rules of an entry, if it is a `packet` injection.
fn of(entry: &UndoEntry) -> Option<PacketRules<'_>> {
    match &entry.injection {
        Injection::Packet { packets, effect } => Some(PacketRules::of(entry.fault, packets, effect)),
        _ => None,
    }
}

/// The script that renews the timeouts of every such injection.
pub(super) fn renewal(entries: &[UndoEntry], hold_ns: u64) -> String {
    entries.iter().filter_map(of).map(|rules| rules.elements(hold_ns, Elements::MayBeThere)).collect()
}
