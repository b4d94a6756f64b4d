//! Drops packets from some addresses on arrival: one chain, two sets and a counter for each fault, in our own table.
//! The sets' elements expire in the kernel and are renewed with the lease.
//!
//! The hook is `prerouting`, which also sees what goes on to a container of this node.
use super::{Context, Inject, new_proof, note, tables};
use crate::journal::UndoEntry;
use crate::nft::{self, TABLE};
use dsfuzz_nemesis::protocol::{Injection, Proof};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

/// Drops packets from these senders.
pub(super) struct Drop<'a> {
    pub(super) from: &'a [IpAddr],
}

impl Inject for Drop<'_> {
    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let from = self.from;
        if let Some(control) = context.control
            && from.iter().any(|address| address.to_canonical() == control.to_canonical())
        {
            return Err(format!("packets from {control} are not dropped: the control node speaks from there"));
        }
        if from.is_empty() {
            return Ok(vec!["no address to drop packets from".to_owned()]);
        }
        let fault = entry.fault;
        let shared = context
            .others
            .iter()
            .any(|other| other.fault == fault && matches!(other.injection, Injection::Drop { .. }));
        let mut script = String::new();
        if !shared {
            script.push_str(&made(fault));
            // A failed undo may have left something. Flushing an empty chain costs the kernel nothing, while a deleted element
            // makes every later transaction wait for a grace period.
            for what in [
                format!("chain {TABLE} f{fault}"),
                format!("set {TABLE} f{fault}v4"),
                format!("set {TABLE} f{fault}v6"),
            ] {
                line(&mut script, format_args!("flush {what}"));
            }
            // IPv6 neighbour discovery is accepted, as ARP is below these rules: else the sender would find no neighbour, send
            // nothing, and need seconds after the heal.
            let solicit = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }";
            line(&mut script, format_args!("add rule {TABLE} f{fault} ip6 saddr @f{fault}v6 {solicit} accept"));
            // The rules see a packet first, also one of an established connection.
            for (family, kind) in [("v4", "ip"), ("v6", "ip6")] {
                line(
                    &mut script,
                    format_args!("add rule {TABLE} f{fault} {kind} saddr @f{fault}{family} counter name f{fault} drop"),
                );
            }
        }
        add(&mut script, fault, from, context.hold_ns, if shared { Elements::MayBeThere } else { Elements::New });
        nft::script(&script)?;
        let list: Vec<String> = from.iter().map(ToString::to_string).collect();
        Ok(vec![format!("packets from {} are dropped by chain f{fault} of table {TABLE}", list.join(", "))])
    }

    fn prove(&self, entry: &UndoEntry, _: &mut Context<'_>) -> Proof {
        let from = self.from;
        let mut proof = new_proof();
        let items = match nft::list(TABLE) {
            Ok(Some(items)) => items,
            Ok(None) => {
                note(&mut proof, from.is_empty(), format!("there is no table {TABLE}"));
                return proof;
            }
            Err(reason) => {
                note(&mut proof, false, reason);
                return proof;
            }
        };
        let seen = FaultRules::of(&items, entry.fault);
        let wanted: BTreeSet<IpAddr> = from.iter().map(|address| address.to_canonical()).collect();
        for address in &wanted {
            let listed = seen.addresses.contains(address);
            note(
                &mut proof,
                listed,
                format!("{address} is {}in the set of fault {}", if listed { "" } else { "not " }, entry.fault),
            );
        }
        let hooked = seen.rules == 2 || from.is_empty();
        note(&mut proof, hooked, format!("chain f{} has {} rules that drop", entry.fault, seen.rules));
        proof.dropped_packets = seen.packets;
        note(&mut proof, true, format!("{} packets dropped", seen.packets));
        proof
    }

    fn undo(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let fault = entry.fault;
        let mut proof = new_proof();
        proof.dropped_packets =
            nft::list(TABLE).ok().flatten().map_or(0, |items| FaultRules::of(&items, fault).packets);
        let drops: Vec<&UndoEntry> =
            context.others.iter().filter(|other| matches!(other.injection, Injection::Drop { .. })).collect();
        let mut script = String::new();
        if !context.others.iter().any(|other| tables(&other.injection).contains(&TABLE)) {
            // The table is no longer needed. Adding it first makes the deletion safe to repeat.
            line(&mut script, format_args!("add table {TABLE}"));
            line(&mut script, format_args!("delete table {TABLE}"));
        } else {
            script.push_str(&made(fault));
            line(&mut script, format_args!("flush chain {TABLE} f{fault}"));
            for what in [
                format!("chain {TABLE} f{fault}"),
                format!("set {TABLE} f{fault}v4"),
                format!("set {TABLE} f{fault}v6"),
                format!("counter {TABLE} f{fault}"),
            ] {
                line(&mut script, format_args!("delete {what}"));
            }
            // Another injection of the same fault goes on.
            let same: Vec<&&UndoEntry> = drops.iter().filter(|other| other.fault == fault).collect();
            if !same.is_empty() {
                script.clear();
                let kept: BTreeSet<IpAddr> = same.iter().flat_map(|other| addresses(other)).collect();
                let gone: Vec<IpAddr> = self
                    .from
                    .iter()
                    .map(|address| address.to_canonical())
                    .filter(|address| !kept.contains(address))
                    .collect();
                add(&mut script, fault, &gone, 1_000_000, Elements::MayBeThere);
            }
        }
        if !script.is_empty()
            && let Err(reason) = nft::script(&script)
        {
            note(&mut proof, false, reason);
            return proof;
        }
        match nft::list(TABLE) {
            Ok(None) => note(&mut proof, true, format!("there is no table {TABLE}")),
            Ok(Some(items)) => {
                let left = FaultRules::of(&items, fault).rules;
                let shared = drops.iter().any(|other| other.fault == fault);
                note(&mut proof, left == 0 || shared, format!("chain f{fault} has {left} rules"));
            }
            Err(reason) => note(&mut proof, false, reason),
        }
        proof
    }
}

/// Makes the objects of a fault; harmless if they exist.
fn made(fault: u64) -> String {
    let mut script = String::new();
    line(&mut script, format_args!("add table {TABLE}"));
    line(
        &mut script,
        format_args!("add chain {TABLE} f{fault} {{ type filter hook prerouting priority -300; policy accept; }}"),
    );
    line(&mut script, format_args!("add counter {TABLE} f{fault}"));
    line(&mut script, format_args!("add set {TABLE} f{fault}v4 {{ type ipv4_addr; flags timeout; }}"));
    line(&mut script, format_args!("add set {TABLE} f{fault}v6 {{ type ipv6_addr; flags timeout; }}"));
    script
}

fn line(script: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(script, "{text}");
}

/// Whether a set may have the addresses to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elements {
    /// None of them.
    New,
    /// Perhaps some of them.
    MayBeThere,
}

/// Adds addresses with a fresh timeout. Adding again does not renew; adding, deleting, adding in one transaction does.
fn add(script: &mut String, fault: u64, from: &[IpAddr], hold_ns: u64, elements: Elements) {
    let timeout_ms = (hold_ns / 1_000_000).max(1);
    let all: BTreeSet<IpAddr> = from.iter().map(|address| address.to_canonical()).collect();
    for (family, of_family) in [("v4", true), ("v6", false)] {
        let list: Vec<String> =
            all.iter().filter(|address| address.is_ipv4() == of_family).map(ToString::to_string).collect();
        if list.is_empty() {
            continue;
        }
        let plain = list.join(", ");
        let timed: Vec<String> = list.iter().map(|address| format!("{address} timeout {timeout_ms}ms")).collect();
        if elements == Elements::MayBeThere {
            line(script, format_args!("add element {TABLE} f{fault}{family} {{ {plain} }}"));
            line(script, format_args!("delete element {TABLE} f{fault}{family} {{ {plain} }}"));
        }
        line(script, format_args!("add element {TABLE} f{fault}{family} {{ {} }}", timed.join(", ")));
    }
}

/// The script that renews the timeouts of every drop in force.
pub(super) fn renewal(entries: &[UndoEntry], hold_ns: u64) -> String {
    let mut script = String::new();
    for entry in entries {
        if let Injection::Drop { from } = &entry.injection {
            add(&mut script, entry.fault, from, hold_ns, Elements::MayBeThere);
        }
    }
    script
}

fn addresses(entry: &UndoEntry) -> Vec<IpAddr> {
    match &entry.injection {
        Injection::Drop { from } => from.iter().map(|address| address.to_canonical()).collect(),
        _ => Vec::new(),
    }
}

/// The table's entries for one fault.
#[derive(Debug, Default, PartialEq)]
struct FaultRules {
    addresses: BTreeSet<IpAddr>,
    rules: usize,
    packets: u64,
}

impl FaultRules {
    fn of(items: &[Value], fault: u64) -> FaultRules {
        let mut seen = FaultRules::default();
        let chain = format!("f{fault}");
        let sets = [format!("f{fault}v4"), format!("f{fault}v6")];
        for item in items {
            if let Some(set) = item.get("set")
                && sets.iter().any(|name| set["name"] == **name)
            {
                let elements = set["elem"].as_array().into_iter().flatten();
                let texts = elements.filter_map(|element| element["elem"]["val"].as_str().or(element.as_str()));
                seen.addresses.extend(texts.filter_map(|text| text.parse::<IpAddr>().ok()));
            }
            if let Some(rule) = item.get("rule")
                && rule["chain"] == *chain
                && rule["expr"].as_array().is_some_and(|parts| parts.iter().any(|part| part.get("drop").is_some()))
            {
                seen.rules += 1;
            }
            if let Some(counter) = item.get("counter")
                && counter["name"] == *chain
            {
                seen.packets = counter["packets"].as_u64().unwrap_or(0);
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_nft_is_read() {
        let text = r#"[{"metainfo":{}},{"table":{"name":"dsfuzz"}},
            {"set":{"name":"f7v4","elem":[{"elem":{"val":"10.0.0.1","timeout":5,"expires":3}}]}},
            {"set":{"name":"f7v6","elem":[{"elem":{"val":"fd00::1","timeout":5}}]}},
            {"set":{"name":"f8v4","elem":[{"elem":{"val":"10.0.0.9"}}]}},
            {"counter":{"name":"f7","packets":41,"bytes":1}},
            {"rule":{"chain":"f7","expr":[{"match":{}},{"counter":"f7"},{"drop":null}]}},
            {"rule":{"chain":"f8","expr":[{"drop":null}]}}]"#;
        let items: Vec<Value> = serde_json::from_str(text).expect("json");
        let seen = FaultRules::of(&items, 7);
        assert_eq!(seen.packets, 41);
        assert_eq!(seen.rules, 1);
        assert_eq!(seen.addresses.len(), 2);
    }

    #[test]
    fn a_renewal_adds_deletes_and_adds() {
        let mut script = String::new();
        let addresses = [[10, 0, 0, 1].into(), "::1".parse().expect("address")];
        add(&mut script, 3, &addresses, 4_500_000_000, Elements::MayBeThere);
        assert_eq!(script.lines().count(), 6);
        assert!(script.contains("add element inet dsfuzz f3v4 { 10.0.0.1 timeout 4500ms }"));
        assert!(script.contains("delete element inet dsfuzz f3v6 { ::1 }"));
        script.clear();
        add(&mut script, 3, &addresses, 4_500_000_000, Elements::New);
        assert!(script.lines().count() == 2 && !script.contains("delete"), "{script}");
    }
}
