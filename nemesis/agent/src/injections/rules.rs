//! The rules of one `packet` injection in our own table: a base chain that takes the packets, a chain with the effect, counters,
//! and a set whose elements expire, so that the rules take nothing once the agent no longer renews them.
//!
//! Each injection has its own base chain. Those of cuts have the priority of the `drop` injections; those of other effects come
//! before them, so that they also count packets that a cut drops.
use crate::nft::TABLE;
use dsfuzz_nemesis::protocol::{CutHow, PacketEffect, PacketMatch};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::{Display, Write};
use std::net::IpAddr;

/// Of the rules that cut.
const CUT_PRIORITY: i32 = -300;

/// The rules of an injection.
pub(super) struct PacketRules<'a> {
    /// The name of its base chain and of its counter of hits; the names of its other objects begin with it.
    pub(super) name: String,
    packets: &'a PacketMatch,
    effect: &'a PacketEffect,
}

/// Whether a set may have the elements to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elements {
    /// None of them.
    New,
    /// Perhaps some of them.
    MayBeThere,
}

impl PacketRules<'_> {
    /// Those of an injection of this fault. A node has at most one for its peers' packets and one for its clients'.
    pub(super) fn of<'a>(fault: u64, packets: &'a PacketMatch, effect: &'a PacketEffect) -> PacketRules<'a> {
        let kind = match packets {
            PacketMatch::From { .. } => 'p',
            PacketMatch::Clients { .. } => 'c',
        };
        PacketRules { name: format!("{kind}{fault}"), packets, effect }
    }

    /// Makes everything.
    pub(super) fn make(&self, hold_ns: u64) -> String {
        let name = &self.name;
        let mut script = self.objects();
        // A failed undo may have left something. Flushing empty objects costs the kernel nothing, while a deleted element makes
        // every later transaction wait for a grace period.
        for chain in self.chains() {
            line(&mut script, format_args!("flush chain {TABLE} {chain}"));
        }
        for (set, _, _) in self.timed() {
            line(&mut script, format_args!("flush set {TABLE} {set}"));
        }
        for rule in self.taking() {
            line(&mut script, format_args!("add rule {TABLE} {name} {rule}"));
        }
        for rule in self.ports() {
            line(&mut script, format_args!("add rule {TABLE} {name}m {rule}"));
        }
        for rule in self.effect_rules() {
            line(&mut script, format_args!("add rule {TABLE} {name}x {rule}"));
        }
        script.push_str(&self.elements(hold_ns, Elements::New));
        script
    }

    /// Removes everything; harmless if nothing is there.
    pub(super) fn remove(&self) -> String {
        let name = &self.name;
        let mut script = self.objects();
        for chain in self.chains() {
            line(&mut script, format_args!("flush chain {TABLE} {chain}"));
        }
        for chain in self.chains() {
            line(&mut script, format_args!("delete chain {TABLE} {chain}"));
        }
        for (set, _, _) in self.timed() {
            line(&mut script, format_args!("delete set {TABLE} {set}"));
        }
        for counter in [name.clone(), format!("{name}s")] {
            line(&mut script, format_args!("delete counter {TABLE} {counter}"));
        }
        script
    }

    /// Its chains: the base chain, the one that looks at ports, the one with the effect.
    fn chains(&self) -> [String; 3] {
        ["", "m", "x"].map(|part| format!("{}{part}", self.name))
    }

    /// Makes the objects without rules; harmless if they exist.
    fn objects(&self) -> String {
        let name = &self.name;
        let mut script = String::new();
        line(&mut script, format_args!("add table {TABLE}"));
        let hook = format!("type filter hook prerouting priority {CUT_PRIORITY}; policy accept;");
        line(&mut script, format_args!("add chain {TABLE} {name} {{ {hook} }}"));
        for chain in ["m", "x"] {
            line(&mut script, format_args!("add chain {TABLE} {name}{chain}"));
        }
        for (set, kind, _) in self.timed() {
            line(&mut script, format_args!("add set {TABLE} {set} {{ type {kind}; flags timeout; }}"));
        }
        for counter in [name.clone(), format!("{name}s")] {
            line(&mut script, format_args!("add counter {TABLE} {counter}"));
        }
        script
    }

    /// The sets whose elements expire: name, type and elements.
    fn timed(&self) -> Vec<(String, &'static str, Vec<String>)> {
        let name = &self.name;
        match self.packets {
            PacketMatch::From { senders, .. } => {
                let (four, six) = by_family(senders);
                vec![(format!("{name}v4"), "ipv4_addr", four), (format!("{name}v6"), "ipv6_addr", six)]
            }
            PacketMatch::Clients { ports, .. } => {
                let ports: BTreeSet<&u16> = ports.iter().collect();
                vec![(format!("{name}p"), "inet_service", ports.into_iter().map(ToString::to_string).collect())]
            }
        }
    }

    /// The rules of the base chain.
    fn taking(&self) -> Vec<String> {
        let name = &self.name;
        match self.packets {
            // IPv6 neighbour discovery is accepted, as ARP is below these rules: else the sender would find no neighbour, send
            // nothing, and need seconds after the heal.
            PacketMatch::From { .. } => vec![
                "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept".to_owned(),
                format!("ip saddr @{name}v4 goto {name}m"),
                format!("ip6 saddr @{name}v6 goto {name}m"),
            ],
            PacketMatch::Clients { nodes, .. } => {
                let (four, six) = by_family(nodes);
                let others = |family: &str, nodes: Vec<String>| match nodes.is_empty() {
                    true => String::new(),
                    false => format!("{family} saddr != {{ {} }} ", nodes.join(", ")),
                };
                vec![
                    format!("iifname != \"lo\" meta nfproto ipv4 {}goto {name}m", others("ip", four)),
                    format!("iifname != \"lo\" meta nfproto ipv6 {}goto {name}m", others("ip6", six)),
                ]
            }
        }
    }

    /// The rules of the chain that looks at the ports.
    fn ports(&self) -> Vec<String> {
        let name = &self.name;
        let with_ports = "meta l4proto { tcp, udp } th";
        match self.packets {
            PacketMatch::From { ports, .. } if ports.is_empty() => vec![format!("goto {name}x")],
            PacketMatch::From { ports, .. } => {
                let ports = list(ports);
                // A packet of a role goes to the port of the one side or comes from the port of the other.
                ["dport", "sport"].map(|side| format!("{with_ports} {side} {{ {ports} }} goto {name}x")).to_vec()
            }
            PacketMatch::Clients { .. } => vec![format!("{with_ports} dport @{name}p goto {name}x")],
        }
    }

    /// The rules of the chain with the effect. The first counter counts the packets, the second those that meet the effect.
    fn effect_rules(&self) -> Vec<String> {
        let (seen, hit) = (format!("counter name {}s", self.name), format!("counter name {}", self.name));
        let words: Vec<&str> = match self.effect {
            PacketEffect::Cut(CutHow::Drop) => vec![&seen, &hit, "drop"],
            // A refusal from the other side of a cut must arrive, and is never answered by another.
            PacketEffect::Cut(CutHow::Reject) => vec![
                "tcp flags & rst == rst accept",
                "icmp type destination-unreachable accept",
                "icmpv6 type destination-unreachable accept",
                &seen,
                &hit,
                "meta l4proto tcp reject with tcp reset",
                "reject",
            ],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Adds the elements with a fresh timeout. Adding again does not renew; adding, deleting, adding in one transaction does.
    pub(super) fn elements(&self, hold_ns: u64, there: Elements) -> String {
        let timeout_ms = (hold_ns / 1_000_000).max(1);
        let mut script = String::new();
        for (set, _, elements) in self.timed().into_iter().filter(|(_, _, elements)| !elements.is_empty()) {
            let plain = elements.join(", ");
            let timed: Vec<String> =
                elements.iter().map(|element| format!("{element} timeout {timeout_ms}ms")).collect();
            if there == Elements::MayBeThere {
                line(&mut script, format_args!("add element {TABLE} {set} {{ {plain} }}"));
                line(&mut script, format_args!("delete element {TABLE} {set} {{ {plain} }}"));
            }
            line(&mut script, format_args!("add element {TABLE} {set} {{ {} }}", timed.join(", ")));
        }
        script
    }

    /// What the table has of it.
    pub(super) fn look(&self, items: &[Value]) -> RulesSeen {
        let name = &self.name;
        let mut seen = RulesSeen::default();
        let rules_of = |chain: &str| {
            items.iter().filter(|item| item.get("rule").is_some_and(|rule| rule["chain"] == *chain)).count()
        };
        for (chain, wanted) in [
            (name.clone(), self.taking().len()),
            (format!("{name}m"), self.ports().len()),
            (format!("{name}x"), self.effect_rules().len()),
        ] {
            let rules = rules_of(&chain);
            seen.rules += rules;
            if rules != wanted {
                seen.wrong.push(format!("chain {chain} has {rules} of {wanted} rules"));
            }
        }
        for (set, _, wanted) in self.timed() {
            let there = elements_of(items, &set);
            for element in wanted.iter().filter(|element| !there.contains(*element)) {
                seen.wrong.push(format!("{element} is not in the set {set}"));
            }
        }
        let count = |counter: &str| {
            let found = items.iter().filter_map(|item| item.get("counter")).find(|item| item["name"] == *counter);
            found.and_then(|item| item["packets"].as_u64()).unwrap_or(0)
        };
        (seen.hit, seen.seen) = (count(name), count(&format!("{name}s")));
        seen
    }
}

/// The table's part of one injection.
#[derive(Debug, Default, PartialEq)]
pub(super) struct RulesSeen {
    /// All its rules.
    pub(super) rules: usize,
    /// What is missing, one sentence each.
    pub(super) wrong: Vec<String>,
    /// Packets taken.
    pub(super) seen: u64,
    /// Packets that met the effect.
    pub(super) hit: u64,
}

/// The elements of a set, as texts.
fn elements_of(items: &[Value], set: &str) -> BTreeSet<String> {
    let sets = items.iter().filter_map(|item| item.get("set")).filter(|item| item["name"] == *set);
    let elements = sets.flat_map(|item| item["elem"].as_array().into_iter().flatten());
    let text = |value: &Value| value.as_str().map(str::to_owned).or_else(|| Some(value.as_u64()?.to_string()));
    elements.filter_map(|element| text(&element["elem"]["val"]).or_else(|| text(element))).collect()
}

/// The addresses of each family, sorted, each once.
fn by_family(addresses: &[IpAddr]) -> (Vec<String>, Vec<String>) {
    let all: BTreeSet<IpAddr> = addresses.iter().map(IpAddr::to_canonical).collect();
    let (four, six): (Vec<&IpAddr>, Vec<&IpAddr>) = all.iter().partition(|address| address.is_ipv4());
    let texts = |addresses: Vec<&IpAddr>| addresses.iter().map(ToString::to_string).collect();
    (texts(four), texts(six))
}

fn list(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn line(script: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(script, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_in_an_answer_of_nft_is_named() {
        let packets = PacketMatch::Clients { nodes: vec![[10, 0, 0, 1].into()], ports: vec![2379] };
        let effect = PacketEffect::Cut(CutHow::Drop);
        let rules = PacketRules::of(7, &packets, &effect);
        let text = r#"[{"set":{"name":"c7p","elem":[{"elem":{"val":2379,"timeout":5}}]}},
            {"counter":{"name":"c7","packets":41}},{"counter":{"name":"c7s","packets":42}},
            {"rule":{"chain":"c7"}},{"rule":{"chain":"c7"}},{"rule":{"chain":"c7m"}},
            {"rule":{"chain":"c7x"}},{"rule":{"chain":"c7x"}},{"rule":{"chain":"c7x"}},{"rule":{"chain":"c70x"}}]"#;
        let mut items: Vec<Value> = serde_json::from_str(text).expect("json");
        let seen = rules.look(&items);
        assert_eq!(seen, RulesSeen { rules: 6, wrong: Vec::new(), seen: 42, hit: 41 });
        items.remove(3);
        items.remove(0);
        let wrong = rules.look(&items).wrong;
        assert_eq!(wrong, ["chain c7 has 1 of 2 rules", "2379 is not in the set c7p"]);
    }

    #[test]
    fn a_renewal_adds_deletes_and_adds() {
        let packets = PacketMatch::From {
            senders: vec![[10, 0, 0, 1].into(), "::1".parse().expect("address")],
            ports: Vec::new(),
        };
        let effect = PacketEffect::Cut(CutHow::Reject);
        let rules = PacketRules::of(3, &packets, &effect);
        let script = rules.elements(4_500_000_000, Elements::MayBeThere);
        assert_eq!(script.lines().count(), 6);
        assert!(script.contains("add element inet dsfuzz p3v4 { 10.0.0.1 timeout 4500ms }"), "{script}");
        assert!(script.contains("delete element inet dsfuzz p3v6 { ::1 }"), "{script}");
        assert!(!rules.elements(1, Elements::New).contains("delete"));
    }
}
