//! Replicated data types that converge without coordination: counters, sets and a register.
//!
//! **Promise.** Every node answers alone, from its own replica. Once messages get through, all replicas become equal and hold every
//! acknowledged update: counters their sum, sets each added element that no later remove had seen, registers the last write. A node
//! shows at once what it acknowledged itself, and never goes back.
//!
//! A replica is a state with a merge that takes the same state often and in any order. An update makes a small state, the delta. It is
//! merged, stored and sent to all others, which may not get it; so each node also sends its whole state to another one every
//! [`EXCHANGE_MS`].
//!
//! **Mistakes.** `merge-adds`: counts of a node are added and not compared, so what arrives twice counts twice.
//! `removed-return`: a remove leaves nothing behind, so an old state brings the element back.
//! `lost-delta`: states are never exchanged, so a delta that is lost stays lost.
//! `wall-clock-writes`: the last write is that of the greatest wall-clock time, so a write by a slow clock is acknowledged and ignored.
//!
//! **Source.** Shapiro, Preguiça, Baquero, Zawirski: A comprehensive study of convergent and commutative replicated data types (2011),
//! sections 3.1, 3.2 and 3.3; Almeida, Shoker, Baquero: Delta state replicated data types (2018).
use crate::call::{Call, Outcome, Ticket};
use crate::node::{Mode, Node, Status};
use crate::state::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// The file with everything that was merged.
const MERGED: &str = "merged";
/// How often a node sends its whole state to another one.
const EXCHANGE_MS: u64 = 200;

/// A unique name of an add: the node and a number.
type Tag = (usize, u64);

/// A replica of one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// Counters: what each node has added and taken away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counts: BTreeMap<usize, (i64, i64)>,
    /// Sets: the adds of each element, as JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    added: BTreeMap<String, BTreeSet<Tag>>,
    /// Sets: the adds that a remove has seen.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    removed: BTreeSet<Tag>,
    /// Registers: the time, the node and the value of the last write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written: Option<(i64, usize, Json)>,
}

impl Replica {
    fn merge(&mut self, other: &Replica, mistakes: Mistakes) {
        for (node, (up, down)) in &other.counts {
            let mine = self.counts.entry(*node).or_default();
            *mine = match mistakes.merge_adds {
                true => (mine.0.saturating_add(*up), mine.1.saturating_add(*down)), // MISTAKE: what arrives twice counts twice.
                false => (mine.0.max(*up), mine.1.max(*down)),
            };
        }
        for (element, tags) in &other.added {
            self.added.entry(element.clone()).or_default().extend(tags);
        }
        if mistakes.removed_return {
            // MISTAKE: nothing says later that these adds were removed.
            self.added.values_mut().for_each(|tags| tags.retain(|tag| !other.removed.contains(tag)));
        } else {
            self.removed.extend(&other.removed);
        }
        if other.written.as_ref().map(|(time, node, _)| (time, node)) > self.written.as_ref().map(|(time, node, _)| (time, node)) {
            self.written.clone_from(&other.written);
        }
    }

    /// The elements with an add that no remove has seen.
    fn elements(&self) -> Vec<Json> {
        let there = self.added.iter().filter(|(_, tags)| tags.iter().any(|tag| !self.removed.contains(tag)));
        there.filter_map(|(element, _)| serde_json::from_str(element).ok()).collect()
    }

    fn sum(&self) -> i64 {
        self.counts.values().fold(0, |sum: i64, (up, down)| sum.saturating_add(up.saturating_sub(*down)))
    }
}

#[derive(Clone, Copy)]
struct Mistakes {
    merge_adds: bool,
    removed_return: bool,
}

/// States of objects, by workload and key.
type Replicas = BTreeMap<String, Replica>;

/// A node with a replica of each object.
pub struct Crdt {
    replicas: Replicas,
    mistakes: Mistakes,
    /// Adds of this node so far.
    adds: u64,
    next_exchange_ms: u64,
}

impl Crdt {
    /// Merges states into the replicas, and keeps those that changed something.
    fn take(&mut self, node: &mut Node<Replicas>, states: Replicas) {
        for (object, state) in states {
            let mine = self.replicas.entry(object.clone()).or_default();
            let before = mine.clone();
            mine.merge(&state, self.mistakes);
            if *mine != before {
                node.disk.append(MERGED, &(object, state));
            }
        }
    }

    /// What an update adds to the state of an object.
    fn delta(&mut self, node: &Node<Replicas>, object: &str, kind: &str, call: &Call) -> Option<Replica> {
        let (mine, me) = (self.replicas.entry(object.to_owned()).or_default(), node.me());
        let mut delta = Replica::default();
        match (kind, call.f.as_str()) {
            ("g-counter" | "pn-counter", "add") => {
                let amount = call.value.as_i64()?;
                let (up, down) = mine.counts.get(&me).copied().unwrap_or_default();
                let change = (amount.max(0), (-amount).max(0));
                delta.counts.insert(me, if self.mistakes.merge_adds { change } else { (up + change.0, down + change.1) });
            }
            ("g-set" | "or-set", "add") => {
                self.adds += 1;
                delta.added.insert(call.value.to_string(), BTreeSet::from([(me, self.adds)]));
            }
            ("or-set", "remove") => {
                delta.removed.extend(mine.added.get(&call.value.to_string()).into_iter().flatten());
            }
            ("lww-register", "write") => {
                let last = mine.written.as_ref().map_or(0, |(time, ..)| *time);
                let time = if node.mistake("wall-clock-writes") {
                    node.wall_ms() // MISTAKE: it may be less than that of an earlier write.
                } else {
                    node.wall_ms().max(last + 1)
                };
                delta.written = Some((time, me, call.value.clone()));
            }
            _ => return None,
        }
        Some(delta)
    }
}

impl Mode for Crdt {
    type Message = Replicas;
    const OBJECTS: &'static [&'static str] = &["crdt", "register"];
    const MISTAKES: &'static [&'static str] = &["merge-adds", "removed-return", "lost-delta", "wall-clock-writes"];

    fn start(node: &mut Node<Replicas>) -> Crdt {
        let mistakes =
            Mistakes { merge_adds: node.mistake("merge-adds"), removed_return: node.mistake("removed-return") };
        let mut replicas = Replicas::new();
        let me = node.me();
        let mut adds = 0;
        for (object, state) in node.disk.lines::<(String, Replica)>(MERGED) {
            let own = state.added.values().flatten().filter(|(node, _)| *node == me);
            adds = own.map(|(_, number)| *number).fold(adds, u64::max);
            replicas.entry(object).or_default().merge(&state, mistakes);
        }
        Crdt { replicas, mistakes, adds, next_exchange_ms: 0 }
    }

    fn call(&mut self, node: &mut Node<Replicas>, ticket: Ticket, call: Call) {
        let kind = if call.object == "register" { "lww-register" } else { call.params["type"].as_str().unwrap_or("g-set") };
        let kind = kind.to_owned();
        let object = format!("{}/{}", call.workload, call.key);
        if call.f == "read" {
            let mine = self.replicas.entry(object).or_default();
            let value = match kind.as_str() {
                "g-counter" | "pn-counter" => mine.sum().into(),
                "lww-register" => mine.written.as_ref().map_or(Json::Null, |(_, _, value)| value.clone()),
                _ => Json::Array(mine.elements()),
            };
            return node.reply(ticket, Outcome::Ok(value));
        }
        let Some(delta) = self.delta(node, &object, &kind, &call) else {
            let why = format!("no function {} of a {kind} with {}", call.f, call.value);
            return node.reply(ticket, Outcome::fail("not-supported", why));
        };
        let states = Replicas::from([(object, delta)]);
        node.broadcast(&states);
        self.take(node, states);
        node.reply(ticket, Outcome::done());
    }

    fn message(&mut self, node: &mut Node<Replicas>, _: usize, states: Replicas) {
        self.take(node, states);
    }

    fn tick(&mut self, node: &mut Node<Replicas>) {
        if node.now_ms() < self.next_exchange_ms || node.count() < 2 {
            return;
        }
        self.next_exchange_ms = node.now_ms() + EXCHANGE_MS;
        if node.mistake("lost-delta") {
            return; // MISTAKE: what a node has missed, it never hears again.
        }
        let others: Vec<usize> = node.others().collect();
        let chosen = node.random(0, others.len() as u64 - 1) as usize;
        node.send(others[chosen], self.replicas.clone());
    }

    fn status(&self, _: &Node<Replicas>) -> Status {
        let shown: BTreeMap<&String, (i64, Vec<Json>, Option<&Json>)> = self
            .replicas
            .iter()
            .map(|(object, mine)| (object, (mine.sum(), mine.elements(), mine.written.as_ref().map(|(.., value)| value))))
            .collect();
        Status { role: "peer", term: None, holds: digest(&serde_json::to_string(&shown).expect("JSON")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::Simulation;
    use dsfuzz_checkers::{Validity, Verdict};
    use dsfuzz_rng::Rng;
    use serde_json::json;

    /// What happens beside the calls.
    #[derive(Clone, Copy, PartialEq)]
    enum Trouble {
        None,
        Partition,
        Clock,
        Everything,
    }

    fn verdict(kind: &str, mistake: &str, trouble: Trouble, seed: u64) -> Verdict {
        let mut nodes: Simulation<Crdt> = Simulation::new(3, mistake, &[], seed);
        nodes.params(json!({"type": kind}));
        nodes.name_nodes();
        let mut rng = Rng::new(seed, "calls", 0);
        let mut mine: Vec<Vec<i64>> = vec![Vec::new(); 3];
        let mut down = None;
        for round in 0..300_i64 {
            if trouble == Trouble::Everything && round % 20 == 10 {
                match rng.between(0, 3) {
                    0 => nodes.cut(&[rng.between(0, 2) as usize], &[0, 1, 2]),
                    1 if down.is_none() => {
                        down = Some(rng.between(0, 2) as usize);
                        nodes.kill(down.expect("set"));
                    }
                    2 => nodes.set_clock_back(rng.between(0, 2) as usize, rng.between(0, 20_000) as i64 - 10_000),
                    _ => nodes.disturb(30, 30),
                }
            }
            if trouble == Trouble::Everything && round % 20 == 0 {
                nodes.heal();
                nodes.disturb(0, 0);
                down.take().into_iter().for_each(|node| nodes.restart(node));
            }
            match (trouble, round) {
                (Trouble::Partition, 100) => nodes.cut(&[0], &[1, 2]),
                (Trouble::Partition, 200) => nodes.heal(),
                (Trouble::Clock, 100) => nodes.set_clock_back(0, 60_000),
                _ => {}
            }
            let node = rng.between(0, 2) as usize;
            if down == Some(node) {
                nodes.pass(10);
                continue;
            }
            let removes = kind == "or-set" && rng.between(0, 2) == 0;
            let key = if kind == "lww-register" { rng.between(0, 15).into() } else { Json::Null };
            let oldest = (removes && !mine[node].is_empty()).then(|| mine[node].remove(0));
            match (rng.between(0, 1), oldest) {
                (0, _) => drop(nodes.call_by(node as u64, node, "crdt", "read", key, Json::Null)),
                (_, Some(element)) => {
                    nodes.call_by(node as u64, node, "crdt", "remove", Json::Null, element.into());
                }
                _ => {
                    let f = if kind == "lww-register" { "write" } else { "add" };
                    nodes.call_by(node as u64, node, "crdt", f, key, (round + 1).into());
                    mine[node].push(round + 1);
                }
            }
            nodes.pass(10);
        }
        nodes.heal();
        nodes.disturb(0, 0);
        down.into_iter().for_each(|node| nodes.restart(node));
        nodes.pass(5_000);
        nodes.settle();
        for node in 0..3 {
            nodes.call(node, "crdt", "read", Json::Null, Json::Null);
        }
        match kind {
            "lww-register" => nodes.judge("read-your-writes", &[]),
            _ => nodes.judge("crdt", &[("type", kind), ("quiesce", "0s")]),
        }
    }

    const KINDS: [&str; 5] = ["g-set", "or-set", "g-counter", "pn-counter", "lww-register"];

    #[test]
    fn every_type_converges_whatever_happens() {
        for kind in KINDS {
            for seed in 0..8 {
                let verdict = verdict(kind, "none", Trouble::Everything, seed);
                assert_eq!(verdict.validity, Validity::Valid, "{kind}, seed {seed}: {verdict:?}");
            }
        }
    }

    #[test]
    fn each_mistake_is_found_with_its_fault_and_not_without_it() {
        for (kind, mistake, fault) in [
            ("g-set", "lost-delta", Trouble::Partition),
            ("lww-register", "wall-clock-writes", Trouble::Clock),
        ] {
            let found = verdict(kind, mistake, fault, 1);
            assert_eq!(found.validity, Validity::Invalid, "{mistake}: {found:?}");
            let without = verdict(kind, mistake, Trouble::None, 1);
            assert_eq!(without.validity, Validity::Valid, "{mistake}: {without:?}");
            assert_eq!(verdict(kind, "none", fault, 1).validity, Validity::Valid, "{kind} without a mistake");
        }
        // An exchange under way is enough for these.
        for (kind, mistake) in [("pn-counter", "merge-adds"), ("or-set", "removed-return")] {
            assert_eq!(verdict(kind, mistake, Trouble::Partition, 1).validity, Validity::Invalid, "{mistake}");
        }
    }
}
