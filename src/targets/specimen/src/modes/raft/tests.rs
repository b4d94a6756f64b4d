use super::*;
use crate::call::Outcome;
use crate::simulation::Simulation;
use dsfuzz_checkers::{Validity, Verdict};
use dsfuzz_rng::Rng;
use serde_json::{Value as Json, json};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Clients of each node: the first one reads, the others do not.
const CLIENTS: usize = 3;

/// Nodes and their clients.
struct Cluster {
    nodes: Simulation<Raft>,
    count: usize,
    rng: Rng,
    object: &'static str,
    /// Reads of sets during the load are judged, too.
    reads_count: bool,
    /// The open call of each client.
    open: Vec<Option<Ticket>>,
    /// Written values are unique; the last one.
    value: i64,
    /// What a read has shown last, by key.
    seen: Vec<Json>,
    acknowledged: usize,
}

impl Cluster {
    fn new(count: usize, object: &'static str, mistake: &str, options: &[(&str, &str)], seed: u64) -> Cluster {
        Cluster {
            nodes: Simulation::new(count, mistake, options, seed),
            count,
            rng: Rng::new(seed, "load", 0),
            object,
            reads_count: mistake == "none" || mistake == "reads-uncommitted",
            open: vec![None; CLIENTS * count],
            value: 0,
            seen: vec![Json::Null; 3],
            acknowledged: 0,
        }
    }

    /// A leader is there.
    fn elected(&mut self) -> usize {
        for _ in 0..1_000 {
            if let Some(leader) = self.leader() {
                return leader;
            }
            self.nodes.pass(10);
        }
        panic!("no leader");
    }

    /// The leader of the latest term.
    fn leader(&self) -> Option<usize> {
        let leads = |node: &usize| self.nodes.status(*node).is_some_and(|status| status.role == "leader");
        (0..self.count).filter(leads).max_by_key(|node| self.nodes.status(*node).and_then(|status| status.term))
    }

    /// Clients call for so long.
    fn load(&mut self, ms: u64) {
        for _ in 0..ms / 40 {
            for client in 0..self.open.len() {
                self.call(client);
            }
            self.nodes.pass(40);
        }
    }

    /// A client makes its next call, if the last one is answered and its node is alive.
    fn call(&mut self, client: usize) {
        let node = client / CLIENTS;
        let answer = self.open[client].map(|ticket| self.nodes.answer(ticket));
        if let Some(Some(Outcome::Ok(_))) = answer {
            self.acknowledged += 1;
        }
        let alive = self.nodes.status(node).is_some();
        if alive && answer != Some(None) {
            self.open[client] = Some(self.next(node, client.is_multiple_of(CLIENTS)));
        } else if !alive {
            // The client of a dead node is replaced by another one.
            self.open[client] = None;
        }
    }

    fn next(&mut self, node: usize, reads: bool) -> Ticket {
        let key = self.rng.below(self.seen.len() as u64) as usize;
        self.value += 1;
        let value = self.value;
        let register = self.object == "register";
        let (f, value) = match self.object {
            _ if reads => ("read", Json::Null),
            "register" if self.rng.below(10) < 6 => {
                self.seen[key] = value.into();
                ("write", value.into())
            }
            "register" => ("cas", json!([self.seen[key], value])),
            "set" => ("add", value.into()),
            _ => ("add", 1.into()),
        };
        self.nodes.call(node, self.object, f, if register { json!(key) } else { Json::Null }, value)
    }

    /// All nodes live, hear each other, and are read from.
    fn finish(&mut self) {
        self.nodes.heal();
        self.nodes.disturb(0, 0);
        for node in 0..self.count {
            self.nodes.resume(node);
            if self.nodes.status(node).is_none() {
                self.restart(node);
            }
        }
        self.nodes.pass(6_000);
        for node in 0..self.count {
            let keys = if self.object == "register" { vec![json!(0), json!(1), json!(2)] } else { vec![Json::Null] };
            for key in keys {
                self.nodes.call(node, self.object, "read", key, Json::Null);
                self.nodes.pass(50);
            }
        }
        self.nodes.pass(1_000);
    }

    fn verdict(mut self) -> Verdict {
        self.finish();
        match self.object {
            "register" => self.nodes.judge("linearizable", &[("model", "cas-register")]),
            // Nothing that was acknowledged is lost.
            "set" if !self.reads_count => self.nodes.judge("set", &[]),
            "set" => self.nodes.judge("set-full", &[("linearizable", "true")]),
            _ => self.nodes.judge("counter", &[]),
        }
    }

    /// Kills all nodes and starts them again.
    fn restart_all(&mut self) {
        (0..self.count).for_each(|node| self.nodes.kill(node));
        (0..self.count).for_each(|node| self.restart(node));
    }

    /// Starts a node; the calls that it had are lost, and others call it.
    fn restart(&mut self, node: usize) {
        self.nodes.restart(node);
        self.open[node * CLIENTS..(node + 1) * CLIENTS].fill(None);
    }

    /// Cuts these nodes off.
    fn isolate(&mut self, nodes: &[usize]) {
        let others: Vec<usize> = (0..self.count).filter(|node| !nodes.contains(node)).collect();
        self.nodes.cut(nodes, &others);
    }
}

/// A load with one fault after the other, drawn from the seed.
fn with_random_faults(object: &'static str, seed: u64) -> (usize, Validity, String) {
    let count = [3, 5, 3, 4][seed as usize % 4];
    let members = if count == 3 { "0" } else { "3" };
    let reads = if seed.is_multiple_of(3) { "lease" } else { "index" };
    let options = [("snapshot_entries", "25"), ("members", members), ("reads", reads)];
    let mut cluster = Cluster::new(count, object, "none", &options, seed);
    let mut rng = Rng::new(seed, "faults", 0);
    cluster.load(2_000);
    for _ in 0..6 {
        let node = rng.below(count as u64) as usize;
        let leader = cluster.leader().unwrap_or(node);
        match rng.below(10) {
            0 => cluster.isolate(&[leader]),
            1 => cluster.isolate(&[node, (node + 1) % count]),
            2 => cluster.nodes.kill(leader),
            3 => cluster.restart_all(),
            4 => cluster.nodes.pause(leader),
            5 => cluster.nodes.set_clock_back(leader, rng.between(0, 20_000) as i64 - 10_000),
            6 => cluster.nodes.disturb(20, 20),
            7 => cluster.nodes.delays(1, 300),
            8 => (0..count).for_each(|node| cluster.nodes.lose_power(node)),
            _ => {
                let name = format!("n{}", node + 1);
                cluster.nodes.on(leader, |raft, node| drop(raft.remove(node, &name)));
            }
        }
        cluster.load(rng.between(100, 1_500));
        cluster.nodes.heal();
        cluster.nodes.disturb(0, 0);
        cluster.nodes.delays(1, 5);
        for node in 0..count {
            cluster.nodes.resume(node);
            if cluster.nodes.status(node).is_none() {
                cluster.restart(node);
            }
        }
        cluster.load(rng.between(200, 2_000));
    }
    let acknowledged = cluster.acknowledged;
    let verdict = cluster.verdict();
    (acknowledged, verdict.validity, format!("{verdict:?}"))
}

#[test]
fn no_fault_makes_the_correct_one_break_its_promise() {
    for seed in 0..20 {
        let object = state::OBJECTS[seed as usize % 3];
        let (acknowledged, validity, verdict) = with_random_faults(object, seed);
        assert_eq!(validity, Validity::Valid, "{object}, seed {seed}: {verdict}");
        assert!(acknowledged > 1_000, "{object}, seed {seed}: {acknowledged}");
    }
}

/// The verdict on a load of three nodes with a fault in its middle.
fn after(object: &'static str, mistake: &str, seed: u64, fault: impl FnOnce(&mut Cluster, usize)) -> Validity {
    // A node that gets a snapshot compares no entries.
    let entries = if mistake == "panics-on-divergence" { "1000" } else { "25" };
    let mut cluster = Cluster::new(3, object, mistake, &[("snapshot_entries", entries)], seed);
    cluster.elected();
    cluster.load(1_500);
    let leader = cluster.elected();
    fault(&mut cluster, leader);
    cluster.load(2_500);
    cluster.nodes.heal();
    cluster.load(1_500);
    cluster.verdict().validity
}

/// A fault brings a mistake out with each of some seeds, and breaks no promise of the correct one. Without it the mistake is not seen.
fn shows(object: &'static str, mistake: &str, fault: impl Fn(&mut Cluster, usize)) {
    for seed in 1..=2 {
        assert_eq!(after(object, mistake, seed, &fault), Validity::Invalid, "{mistake}, seed {seed}");
        assert_eq!(after(object, mistake, seed, |_, _| ()), Validity::Valid, "{mistake} without a fault, seed {seed}");
        assert_eq!(after(object, "none", seed, &fault), Validity::Valid, "the correct one, seed {seed}");
    }
}

#[test]
fn local_reads_are_stale_without_a_fault() {
    assert_eq!(after("register", "local-reads", 1, |_, _| ()), Validity::Invalid);
}

#[test]
fn a_lease_on_a_clock_that_is_set_back_outlives_the_leadership() {
    shows("register", "wall-clock-lease", |cluster, leader| {
        cluster.nodes.set_clock_back(leader, 10_000);
        cluster.isolate(&[leader]);
    });
    // The cut alone, or the clock alone, does not show it.
    let cut = |cluster: &mut Cluster, leader: usize| cluster.isolate(&[leader]);
    let clock = |cluster: &mut Cluster, leader: usize| cluster.nodes.set_clock_back(leader, 10_000);
    assert_eq!(after("register", "wall-clock-lease", 1, cut), Validity::Valid);
    assert_eq!(after("register", "wall-clock-lease", 1, clock), Validity::Valid);
}

#[test]
fn a_leader_that_is_cut_off_shows_what_is_never_committed() {
    shows("set", "reads-uncommitted", |cluster, leader| cluster.isolate(&[leader]));
}

#[test]
fn a_write_that_only_the_leader_had_is_lost() {
    shows("set", "acknowledges-before-commit", |cluster, leader| cluster.isolate(&[leader]));
}

#[test]
fn two_halves_both_commit() {
    shows("register", "half-quorum", |cluster, leader| cluster.isolate(&[leader]));
}

#[test]
fn without_a_sync_a_power_loss_takes_what_was_acknowledged() {
    shows("set", "no-fsync", |cluster, _| {
        (0..3).for_each(|node| cluster.nodes.lose_power(node));
        (0..3).for_each(|node| cluster.restart(node));
    });
    assert_eq!(after("set", "no-fsync", 1, |cluster, _| cluster.restart_all()), Validity::Valid);
}

#[test]
fn what_a_snapshot_removed_is_lost_in_a_restart() {
    shows("set", "snapshot-loses-tail", |cluster, _| {
        for _ in 0..5 {
            cluster.restart_all();
            cluster.load(1_400);
        }
    });
}

#[test]
fn a_command_that_was_sent_again_counts_twice() {
    shows("counter", "retry-applied-twice", |cluster, _| cluster.nodes.disturb(20, 0));
}

/// Five nodes, of which the last two have joined; the leader and another first member are cut off.
fn after_a_change(mistake: &str, members: &str, cut: bool) -> Validity {
    let mut cluster = Cluster::new(5, "register", mistake, &[("members", members)], 4);
    cluster.elected();
    cluster.load(4_000);
    let leader = cluster.elected();
    assert_eq!(cluster.nodes.members(leader).map(|members| members.len()), Some(5));
    if cut {
        cluster.isolate(&[leader, (leader + 1) % 3]);
    }
    cluster.load(3_000);
    cluster.verdict().validity
}

#[test]
fn a_minority_commits_after_nodes_have_joined() {
    assert_eq!(after_a_change("old-quorum-after-change", "3", true), Validity::Invalid);
    assert_eq!(after_a_change("old-quorum-after-change", "3", false), Validity::Valid);
    assert_eq!(after_a_change("old-quorum-after-change", "5", true), Validity::Valid);
    assert_eq!(after_a_change("none", "3", true), Validity::Valid);
}

/// The terms rise; a node is cut off; the others restart, and are heard again by the one that was cut off.
fn with_old_terms(mistake: &str, seed: u64, restart: bool) -> Validity {
    let mut cluster = Cluster::new(3, "register", mistake, &[], seed);
    for _ in 0..3 {
        let leader = cluster.elected();
        cluster.load(500);
        cluster.isolate(&[leader]);
        cluster.load(2_500);
        cluster.nodes.heal();
        cluster.load(1_000);
    }
    let leader = cluster.elected();
    let follower = (leader + 1) % 3;
    cluster.isolate(&[follower]);
    if restart {
        for node in [leader, (leader + 2) % 3] {
            cluster.restart(node);
        }
    }
    cluster.load(4_000);
    cluster.nodes.heal();
    cluster.load(4_000);
    cluster.verdict().validity
}

#[test]
fn terms_that_come_again_make_an_old_log_the_newest() {
    let found = (1..=6).filter(|seed| with_old_terms("forgets-term-and-vote", *seed, true) == Validity::Invalid);
    assert!(found.count() >= 2);
    for seed in 1..=2 {
        assert_eq!(with_old_terms("forgets-term-and-vote", seed, false), Validity::Valid);
        assert_eq!(with_old_terms("none", seed, true), Validity::Valid);
    }
}

#[test]
fn a_node_panics_when_a_leader_contradicts_its_log() {
    let panics = |mistake: &str, cut: bool| {
        let cut_off = |cluster: &mut Cluster, leader: usize| if cut { cluster.isolate(&[leader]) };
        catch_unwind(AssertUnwindSafe(|| after("register", mistake, 1, cut_off))).is_err()
    };
    assert!(panics("panics-on-divergence", true));
    assert!(!panics("panics-on-divergence", false));
    assert!(!panics("none", true));
}
