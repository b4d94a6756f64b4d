//! Undos whose means are gone: the freezer, the cgroup, nft. None of them may leave a node that later runs cannot use.

use crate::node::{Channel, Node};
use dsfuzz_nemesis::protocol::{Ability, Injection, Request, Response};

const LEASE_MS: u64 = 20_000;
const SECOND_MS: u64 = 1_000;
/// Writes a line now and then for ever.
const WRITER: &str = "while :; do sleep 0.01; date +%s%N; done";

fn pause() -> Injection {
    Injection::Pause { services: vec!["db".to_owned()] }
}

fn writes_again(node: &Node) {
    let size = || std::fs::metadata(node.path("db.out")).map_or(0, |about| about.len());
    let before = size();
    node.until("it writes again", || size() > before);
}

/// The file by which the service's cgroup is frozen, in the node.
fn freezer(node: &Node) -> String {
    node.sh(&format!("find {} -name cgroup.freeze -path '*/db/*'", node.path("cg")))
}

/// A script that puts a file of a read-only file system of the node's own over the service's freezer, with this content.
fn read_only_freezer(node: &Node, content: u8) -> String {
    format!(
        "mkdir /run/ro && mount -t tmpfs none /run/ro && echo {content} >/run/ro/freeze && mount -o remount,ro /run/ro && \
         mount --bind /run/ro/freeze {}",
        freezer(node)
    )
}

fn abilities(agent: &mut Channel) -> Vec<Ability> {
    let Response::Abilities(abilities) = agent.ask(Request::Abilities) else { panic!("abilities were asked for") };
    abilities
}

#[test]
fn processes_that_cannot_be_thawed_are_killed_and_started_again() {
    let read_only = |node: &Node| read_only_freezer(node, 1);
    let unmounted = |node: &Node| format!("umount -l {}", node.path("cg"));
    type Way<'a> = (&'a dyn Fn(&Node) -> String, &'a str);
    let ways: [Way<'_>; 2] = [(&read_only, "Read-only file system"), (&unmounted, "no longer there")];
    for (gone, said) in ways {
        let node = Node::new();
        let mut agent = node.agent("r", LEASE_MS);
        let first = agent.service(&node, "db", &[WRITER]);
        agent.inject(1, pause());
        agent.proven(1);
        assert_eq!(node.sh(&gone(&node)), "");
        let proof = agent.proof(Request::Undo { fault: 1 });
        let detail = proof.detail.join("; ");
        assert!(proof.holds && detail.contains("cannot be thawed") && detail.contains(said), "{detail}");
        writes_again(&node);
        assert!(!agent.pids("db").contains(&first), "the frozen process was let go on: {detail}");
        assert!(agent.undone().1.is_empty());
        let Response::Deaths { deaths, .. } = agent.ask(Request::Deaths { cores: false }) else { panic!("deaths") };
        assert!(deaths.is_empty(), "the harness killed it: {deaths:?}");
        // The next pause does without the freezer.
        agent.inject(2, pause());
        agent.proven(2);
        let proof = agent.proof(Request::Undo { fault: 2 });
        assert!(proof.holds, "{proof:?}");
        writes_again(&node);
    }
}

#[test]
fn a_pause_does_without_a_freezer_that_fails() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let first = agent.service(&node, "db", &[WRITER]);
    assert_eq!(node.sh(&read_only_freezer(&node, 0)), "");
    agent.inject(1, pause());
    agent.proven(1);
    let proof = agent.proof(Request::Undo { fault: 1 });
    assert!(proof.holds, "{proof:?}");
    writes_again(&node);
    assert!(agent.pids("db").contains(&first), "nothing had to be killed: {proof:?}");
}

#[test]
fn a_cgroup_that_cannot_be_written_is_said_and_faults_work_all_the_same() {
    let node = Node::new();
    // What is read-only is this node's own.
    let cg = node.path("cg");
    assert_eq!(node.sh(&format!("mkdir {cg}/dsfuzz && mount -t tmpfs -o ro none {cg}/dsfuzz")), "");
    let mut agent = node.agent("r", LEASE_MS);
    let all = abilities(&mut agent);
    let freeze = all.iter().find(|ability| ability.name == "freeze").expect("asked");
    assert!(!freeze.able, "{freeze:?}");
    assert!(freeze.detail.contains("Read-only file system") && freeze.detail.contains("SIGSTOP"), "{freeze:?}");
    agent.service(&node, "db", &[WRITER]);
    agent.inject(1, pause());
    agent.proven(1);
    agent.healed(1);
    writes_again(&node);
    agent.inject(2, Injection::Kill { services: vec!["db".to_owned()] });
    agent.proven(2);
    agent.healed(2);
    writes_again(&node);
}

#[test]
fn a_cut_of_an_earlier_run_that_cannot_be_undone_expires_and_is_dropped() {
    let node = Node::new();
    let drop = || Injection::Drop { from: vec![[127, 0, 0, 2].into()] };
    let mut agent = node.agent("a", SECOND_MS);
    agent.inject(1, drop());
    agent.proven(1);
    let nft = node.sh("readlink -f $(command -v nft)");
    assert_eq!(node.sh(&format!("mount --bind /bin/false {nft}")), "");
    agent.close();
    agent.ended(&node);
    let mut next = node.agent("b", SECOND_MS);
    let (heals, left) = next.undone();
    assert_eq!(left, Vec::<u64>::new(), "{heals:?}");
    assert!(heals.iter().all(|heal| !heal.holds) && heals[0].why.contains("expired by itself"), "{heals:?}");
    next.close();
    next.ended(&node);
    // The report was true: nothing is dropped any more, and the next run is free to cut.
    assert_eq!(node.sh(&format!("umount {nft}")), "");
    assert!(!node.sh("nft list table inet dsfuzz").contains("elements"));
    let mut last = node.agent("c", SECOND_MS);
    last.inject(1, drop());
    last.proven(1);
    last.healed(1);
    assert!(!node.has_table());
}

#[test]
fn an_injection_that_comes_after_its_undo_is_refused() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    let cut = || Injection::Drop { from: vec![[10, 0, 0, 9].into()] };
    assert!(agent.proof(Request::Undo { fault: 1 }).holds);
    let refused = agent.fails(Request::Inject { fault: 1, injection: cut() });
    assert!(refused.contains("its undo was asked for before it began"), "{refused}");
    agent.inject(2, cut());
    agent.healed(2);
}
