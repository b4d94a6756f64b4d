//! The rules of one `packet` injection in our own tables: a base chain that takes the packets, a chain with the effect, counters,
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
/// Of the others: before those that cut.
const PRIORITY: i32 = -310;
/// The bit of a packet, from the begin of the transport's header, at which a byte is changed: behind the header of UDP, and that of
/// TCP with the options of most packets.
const DAMAGED_BIT: u32 = 320;

/// The tables of an effect. The kernel duplicates packets only in tables of one family.
pub(super) fn tables(effect: &PacketEffect) -> &'static [&'static str] {
    match effect {
        PacketEffect::Duplicate { .. } => &["ip dsfuzz", "ip6 dsfuzz"],
        _ => &[TABLE],
    }
}

/// The rules of an injection in one table.
pub(super) struct PacketRules<'a> {
    /// The name of its base chain and of its counter of hits; the names of its other objects begin with it.
    pub(super) name: String,
    /// Family and name of the table.
    pub(super) table: &'static str,
    packets: &'a PacketMatch,
    effect: &'a PacketEffect,
    ping_port: Option<u16>,
}

/// Whether a set may have the elements to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elements {
    /// None of them.
    New,
    /// Perhaps some of them.
    MayBeThere,
}

/// The name of the base chain of an injection. A node has at most one of a fault for its peers' packets and one for its clients'.
pub(super) fn name(fault: u64, packets: &PacketMatch) -> String {
    match packets {
        PacketMatch::From { .. } => format!("p{fault}"),
        PacketMatch::Clients { .. } => format!("c{fault}"),
    }
}

impl PacketRules<'_> {
    /// Those of an injection of this fault, one for each table. `ping_port`: where the agent hears the datagrams that measure the
    /// effect, which a choice of ports must not leave out.
    pub(super) fn of<'a>(
        fault: u64,
        packets: &'a PacketMatch,
        effect: &'a PacketEffect,
        ping_port: Option<u16>,
    ) -> Vec<PacketRules<'a>> {
        let ping_port = ping_port.filter(|_| !matches!(effect, PacketEffect::Cut(_)));
        let name = name(fault, packets);
        let in_table = |table: &&'static str| PacketRules { name: name.clone(), table, packets, effect, ping_port };
        tables(effect).iter().map(in_table).collect()
    }

    /// Makes everything but the rule that fills a queue.
    pub(super) fn make(&self, hold_ns: u64) -> String {
        let mut script = self.objects();
        // A failed undo may have left something. Flushing empty objects costs the kernel nothing, while a deleted element makes
        // every later transaction wait for a grace period.
        script.push_str(&self.stop());
        for (set, _, _) in self.timed() {
            line(&mut script, format_args!("flush set {} {set}", self.table));
        }
        for (chain, rules) in self.rules() {
            for rule in rules {
                line(&mut script, format_args!("add rule {} {chain} {rule}", self.table));
            }
        }
        script.push_str(&self.elements(hold_ns, Elements::New));
        script
    }

    /// Removes all rules, and leaves the objects.
    pub(super) fn stop(&self) -> String {
        let mut script = String::new();
        for (chain, _) in self.rules() {
            line(&mut script, format_args!("flush chain {} {chain}", self.table));
        }
        script
    }

    /// Removes everything; harmless if nothing is there.
    pub(super) fn remove(&self) -> String {
        let table = self.table;
        let mut script = self.objects();
        script.push_str(&self.stop());
        for (chain, _) in self.rules() {
            line(&mut script, format_args!("delete chain {table} {chain}"));
        }
        for (set, _, _) in self.timed() {
            line(&mut script, format_args!("delete set {table} {set}"));
        }
        for counter in self.counters() {
            line(&mut script, format_args!("delete counter {table} {counter}"));
        }
        script
    }

    /// Makes the objects without rules; harmless if they exist.
    fn objects(&self) -> String {
        let (name, table) = (&self.name, self.table);
        let mut script = String::new();
        line(&mut script, format_args!("add table {table}"));
        let priority = if matches!(self.effect, PacketEffect::Cut(_)) { CUT_PRIORITY } else { PRIORITY };
        let hook = format!("type filter hook prerouting priority {priority}; policy accept;");
        line(&mut script, format_args!("add chain {table} {name} {{ {hook} }}"));
        for chain in ["m", "x"] {
            line(&mut script, format_args!("add chain {table} {name}{chain}"));
        }
        for (set, kind, _) in self.timed() {
            line(&mut script, format_args!("add set {table} {set} {{ type {kind}; flags timeout; }}"));
        }
        for counter in self.counters() {
            line(&mut script, format_args!("add counter {table} {counter}"));
        }
        script
    }

    /// The counters of packets that met the effect, and of all.
    fn counters(&self) -> [String; 2] {
        [self.name.clone(), format!("{}s", self.name)]
    }

    /// The chain with the effect.
    pub(super) fn effect_chain(&self) -> String {
        format!("{}x", self.name)
    }

    /// Its chains with their rules: the base chain, the one that looks at ports, the one with the effect.
    fn rules(&self) -> [(String, Vec<String>); 3] {
        [
            (self.name.clone(), self.taking()),
            (format!("{}m", self.name), self.ports()),
            (self.effect_chain(), self.effect_rules()),
        ]
    }

    /// The families of IP that the table sees.
    fn sees(&self) -> (bool, bool) {
        (!self.table.starts_with("ip6 "), !self.table.starts_with("ip "))
    }

    /// The sets whose elements expire: name, type and elements.
    fn timed(&self) -> Vec<(String, &'static str, Vec<String>)> {
        let name = &self.name;
        match self.packets {
            PacketMatch::From { senders, .. } => {
                let (four, six) = by_family(senders);
                let sees = self.sees();
                let sets = [
                    (sees.0, (format!("{name}v4"), "ipv4_addr", four)),
                    (sees.1, (format!("{name}v6"), "ipv6_addr", six)),
                ];
                sets.into_iter().filter(|(seen, _)| *seen).map(|(_, set)| set).collect()
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
        // A duplicate comes in over the loopback interface, and is not duplicated again.
        let once = if matches!(self.effect, PacketEffect::Duplicate { .. }) { "iifname != \"lo\" " } else { "" };
        let (four, six) = self.sees();
        let rules = match self.packets {
            // IPv6 neighbour discovery is accepted, as ARP is below these rules: else the sender would find no neighbour, send
            // nothing, and need seconds after the heal.
            PacketMatch::From { .. } => vec![
                (six, "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept".to_owned()),
                (four, format!("{once}ip saddr @{name}v4 goto {name}m")),
                (six, format!("{once}ip6 saddr @{name}v6 goto {name}m")),
            ],
            PacketMatch::Clients { nodes, to, .. } => {
                let ((of_four, of_six), (to_four, to_six)) = (by_family(nodes), by_family(to));
                // What the node only forwards belongs to others.
                let here = |family: &str, own: Vec<String>| match own.is_empty() {
                    true => String::new(),
                    false => format!("{family} daddr {{ {} }} ", own.join(", ")),
                };
                let others = |family: &str, nodes: Vec<String>| match nodes.is_empty() {
                    true => String::new(),
                    false => format!("{family} saddr != {{ {} }} ", nodes.join(", ")),
                };
                vec![
                    (
                        four,
                        format!(
                            "iifname != \"lo\" meta nfproto ipv4 {}{}goto {name}m",
                            here("ip", to_four),
                            others("ip", of_four)
                        ),
                    ),
                    (
                        six,
                        format!(
                            "iifname != \"lo\" meta nfproto ipv6 {}{}goto {name}m",
                            here("ip6", to_six),
                            others("ip6", of_six)
                        ),
                    ),
                ]
            }
        };
        rules.into_iter().filter(|(seen, _)| *seen).map(|(_, rule)| rule).collect()
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
                let rule = |side: &str| format!("{with_ports} {side} {{ {ports} }} goto {name}x");
                let pings = self.ping_port.map(|port| format!("udp dport {port} goto {name}x"));
                ["dport", "sport"].map(rule).into_iter().chain(pings).collect()
            }
            PacketMatch::Clients { .. } => vec![format!("{with_ports} dport @{name}p goto {name}x")],
        }
    }

    /// The rules of the chain with the effect. The first counter counts the packets, the second those that meet the effect.
    fn effect_rules(&self) -> Vec<String> {
        let (seen, hit) = (format!("counter name {}s", self.name), format!("counter name {}", self.name));
        // All of them is no random number's affair.
        let of = |permille: &u32| match permille {
            1000.. => String::new(),
            some => format!("numgen random mod 1000 < {some} "),
        };
        let rule = match self.effect {
            PacketEffect::Cut(CutHow::Drop) => format!("{hit} drop"),
            // A refusal from the other side of a cut must arrive, and is never answered by another.
            PacketEffect::Cut(CutHow::Reject) => {
                let passing = [
                    "tcp flags & rst == rst",
                    "icmp type destination-unreachable",
                    "icmpv6 type destination-unreachable",
                ];
                let passing = passing.map(|kind| format!("{kind} accept"));
                let refusing = [hit, "meta l4proto tcp reject with tcp reset".to_owned(), "reject".to_owned()];
                return passing.into_iter().chain([seen]).chain(refusing).collect();
            }
            PacketEffect::Loss { permille } => format!("{}{hit} drop", of(permille)),
            PacketEffect::EveryNth { n } => format!("numgen inc mod {n} 0 {hit} drop"),
            PacketEffect::Duplicate { permille } => {
                let family = if self.table.starts_with("ip6 ") { "ip6" } else { "ip" };
                format!("{}{hit} dup to {family} daddr", of(permille))
            }
            // A packet without such a byte does not match, and is not counted.
            PacketEffect::Corrupt { permille } => {
                let byte = format!("@th,{DAMAGED_BIT},8");
                format!("{}{byte} set {byte} ^ 0x55 {hit}", of(permille))
            }
            PacketEffect::Rate { bytes_per_second } => {
                let burst = PacketEffect::rate_burst_bytes(*bytes_per_second);
                format!("limit rate over {bytes_per_second} bytes/second burst {burst} bytes {hit} drop")
            }
            PacketEffect::TooBig { bytes } => format!("meta length > {bytes} {hit} drop"),
            // The thread that serves the queue counts these.
            PacketEffect::Bursts { .. }
            | PacketEffect::Delay { .. }
            | PacketEffect::Reorder { .. }
            | PacketEffect::Flap { .. } => return vec![seen],
        };
        vec![seen, rule]
    }

    /// Adds the elements with a fresh timeout. Adding again does not renew; adding, deleting, adding in one transaction does.
    pub(super) fn elements(&self, hold_ns: u64, there: Elements) -> String {
        let table = self.table;
        let timeout_ms = (hold_ns / 1_000_000).max(1);
        let mut script = String::new();
        for (set, _, elements) in self.timed().into_iter().filter(|(_, _, elements)| !elements.is_empty()) {
            let plain = elements.join(", ");
            let timed: Vec<String> =
                elements.iter().map(|element| format!("{element} timeout {timeout_ms}ms")).collect();
            if there == Elements::MayBeThere {
                line(&mut script, format_args!("add element {table} {set} {{ {plain} }}"));
                line(&mut script, format_args!("delete element {table} {set} {{ {plain} }}"));
            }
            line(&mut script, format_args!("add element {table} {set} {{ {} }}", timed.join(", ")));
        }
        script
    }

    /// What the table has of it.
    pub(super) fn look(&self, items: &[Value]) -> RulesSeen {
        let mut seen = RulesSeen::default();
        for (chain, rules) in self.rules() {
            let queued = usize::from(self.effect.is_queued() && chain == self.effect_chain());
            let wanted = rules.len() + queued;
            let is_of = |item: &&Value| item.get("rule").is_some_and(|rule| rule["chain"] == *chain);
            let rules = items.iter().filter(is_of).count();
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
        let [hit, all] = self.counters().map(|counter| {
            let found = items.iter().filter_map(|item| item.get("counter")).find(|item| item["name"] == *counter);
            found.and_then(|item| item["packets"].as_u64()).unwrap_or(0)
        });
        (seen.hit, seen.seen) = (hit, all);
        seen
    }
}

/// The tables' part of one injection.
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
        let packets = PacketMatch::Clients { nodes: vec![[10, 0, 0, 1].into()], to: Vec::new(), ports: vec![2379] };
        let effect = PacketEffect::Cut(CutHow::Drop);
        let rules = &PacketRules::of(7, &packets, &effect, Some(17077))[0];
        let text = r#"[{"set":{"name":"c7p","elem":[{"elem":{"val":2379,"timeout":5}}]}},
            {"counter":{"name":"c7","packets":41}},{"counter":{"name":"c7s","packets":42}},
            {"rule":{"chain":"c7"}},{"rule":{"chain":"c7"}},{"rule":{"chain":"c7m"}},
            {"rule":{"chain":"c7x"}},{"rule":{"chain":"c7x"}},{"rule":{"chain":"c70x"}}]"#;
        let mut items: Vec<Value> = serde_json::from_str(text).expect("json");
        let seen = rules.look(&items);
        assert_eq!(seen, RulesSeen { rules: 5, wrong: Vec::new(), seen: 42, hit: 41 });
        items.remove(3);
        items.remove(0);
        let wrong = rules.look(&items).wrong;
        assert_eq!(wrong, ["chain c7 has 1 of 2 rules", "2379 is not in the set c7p"]);
    }

    #[test]
    fn a_renewal_adds_deletes_and_adds() {
        let senders = vec![[10, 0, 0, 1].into(), "::1".parse().expect("address")];
        let packets = PacketMatch::From { senders, ports: Vec::new() };
        let effect = PacketEffect::Cut(CutHow::Reject);
        let rules = &PacketRules::of(3, &packets, &effect, None)[0];
        let script = rules.elements(4_500_000_000, Elements::MayBeThere);
        assert_eq!(script.lines().count(), 6);
        assert!(script.contains("add element inet dsfuzz p3v4 { 10.0.0.1 timeout 4500ms }"), "{script}");
        assert!(script.contains("delete element inet dsfuzz p3v6 { ::1 }"), "{script}");
        assert!(!rules.elements(1, Elements::New).contains("delete"));
        let both = PacketRules::of(3, &packets, &PacketEffect::Duplicate { permille: 100 }, None);
        let scripts: Vec<String> = both.iter().map(|rules| rules.elements(1_000_000, Elements::New)).collect();
        assert_eq!(
            scripts,
            [
                "add element ip dsfuzz p3v4 { 10.0.0.1 timeout 1ms }\n",
                "add element ip6 dsfuzz p3v6 { ::1 timeout 1ms }\n"
            ]
        );
    }
}
