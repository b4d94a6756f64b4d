//! Lets packets of some senders, or of clients, meet a fault on arrival. The rules are in `rules.rs`; a queue of the kernel holds
//! what rules alone cannot.
use super::rules::{self, Elements, PacketRules, RulesSeen};
use super::{Context, Inject, new_proof, note, tables};
use crate::journal::UndoEntry;
use crate::nft::{self, TABLE};
use crate::packet_queue;
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
        let name = rules::name(entry.fault, self.packets);
        let same = |other: &UndoEntry| match &other.injection {
            Injection::Packet { packets, .. } => rules::name(other.fault, packets) == name,
            _ => false,
        };
        if context.others.iter().any(same) {
            return Err(format!("fault {} has such an injection on this node already", entry.fault));
        }
        let hold_ns = context.hold_ns;
        let script: String = self.rules(entry, context).iter().map(|rules| rules.make(hold_ns)).collect();
        nft::script(&script)?;
        if self.effect.is_queued() {
            let number = context.queues.open(&name, self.effect)?;
            for rules in self.rules(entry, context) {
                packet_queue::fill(rules.table, &rules.effect_chain(), number)?;
            }
        }
        Ok(vec![format!("chain {name} of table {} takes the packets", rules::tables(self.effect).join(" and "))])
    }

    fn prove(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        let name = rules::name(entry.fault, self.packets);
        match self.look(entry, context) {
            Ok(mut seen) => {
                if self.effect.is_queued() && !context.queues.serves(&name) {
                    seen.wrong.push("no thread serves its queue".to_owned());
                }
                self.count(&mut proof, &seen);
                let holds = seen.wrong.is_empty();
                let whole = format!("chain {name} is whole, {} of {} packets met it", seen.hit, seen.seen);
                note(&mut proof, holds, if holds { whole } else { seen.wrong.join("; ") });
            }
            Err(reason) => note(&mut proof, false, reason),
        }
        proof
    }

    fn undo(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        if let Ok(seen) = self.look(entry, context) {
            self.count(&mut proof, &seen);
        }
        if self.effect.is_queued() {
            // Nothing more comes into the queue. Removing its chain would lose what it holds. If the table is gone, so is the chain.
            let stop: String = self.rules(entry, context).iter().map(PacketRules::stop).collect();
            drop(nft::script(&stop));
            context.queues.close(&rules::name(entry.fault, self.packets));
        }
        let mut script = String::new();
        for rules in self.rules(entry, context) {
            let table = rules.table;
            if context.others.iter().any(|other| tables(&other.injection).contains(&table)) {
                script.push_str(&rules.remove());
            } else {
                // The table goes with the last injection in it. Adding it first makes the deletion safe to repeat.
                script.push_str(&format!("add table {table}\ndelete table {table}\n"));
            }
        }
        if let Err(reason) = nft::script(&script) {
            note(&mut proof, false, reason);
            return proof;
        }
        match self.look(entry, context) {
            Ok(RulesSeen { rules, .. }) => {
                note(&mut proof, rules == 0, format!("{rules} rules of fault {} are left", entry.fault));
            }
            Err(reason) => note(&mut proof, false, reason),
        }
        proof
    }
}

impl Packet<'_> {
    fn rules(&self, entry: &UndoEntry, context: &Context<'_>) -> Vec<PacketRules<'_>> {
        PacketRules::of(entry.fault, self.packets, self.effect, context.ping_port)
    }

    /// What all its tables have of it, with the counts of the queue.
    fn look(&self, entry: &UndoEntry, context: &Context<'_>) -> Result<RulesSeen, String> {
        let mut whole = RulesSeen::default();
        for rules in self.rules(entry, context) {
            let seen = rules.look(&nft::list(rules.table)?.unwrap_or_default());
            whole.rules += seen.rules;
            whole.seen += seen.seen;
            whole.hit += seen.hit;
            whole.wrong.extend(seen.wrong);
        }
        if self.effect.is_queued() {
            whole.hit = context.queues.hits(&rules::name(entry.fault, self.packets));
        }
        Ok(whole)
    }

    /// Adds the counts to a proof.
    fn count(&self, proof: &mut Proof, seen: &RulesSeen) {
        let clients = matches!(self.packets, PacketMatch::Clients { .. });
        proof.counts.push(PacketCounts { clients, seen: seen.seen, hit: seen.hit });
        if !clients && matches!(self.effect, PacketEffect::Cut(_)) {
            proof.dropped_packets = seen.hit;
        }
    }
}

/// The script that renews the timeouts of every such injection.
pub(super) fn renewal(entries: &[UndoEntry], hold_ns: u64) -> String {
    let mut script = String::new();
    for entry in entries {
        if let Injection::Packet { packets, effect } = &entry.injection {
            let rules = PacketRules::of(entry.fault, packets, effect, None);
            script.extend(rules.iter().map(|rules| rules.elements(hold_ns, Elements::MayBeThere)));
        }
    }
    script
}

/// The tables that a `packet` injection has rules in; that of a `drop` is the first.
pub(super) fn tables_of(injection: &Injection) -> &'static [&'static str] {
    match injection {
        Injection::Drop { .. } => &[TABLE],
        Injection::Packet { effect, .. } => rules::tables(effect),
        _ => &[],
    }
}
