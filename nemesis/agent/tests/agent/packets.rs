//! Faults of some packets: cuts of single ports, by drop or by refusal.
use crate::node::Node;
use dsfuzz_nemesis::protocol::{CutHow, Injection, PacketCounts, PacketEffect, PacketMatch, Request};

const LEASE_MS: u64 = 20_000;

/// What a TCP connection from an address to a port of 127.0.0.1 comes to.
const CONNECT: &str = r#"python3 -c "
import socket, sys
server = socket.create_server(('127.0.0.1', int(sys.argv[2])))
try:
    client = socket.create_connection(('127.0.0.1', int(sys.argv[2])), timeout=0.5, source_address=(sys.argv[1], 0))
    print('open')
except socket.timeout: print('silence')
except ConnectionRefusedError: print('refused')
" "#;

fn connects(node: &Node, from: &str, port: u16) -> String {
    node.sh(&format!("{CONNECT} {from} {port}"))
}

fn cut(how: CutHow, ports: &[u16]) -> Injection {
    let packets = PacketMatch::From { senders: vec![[127, 0, 0, 2].into()], ports: ports.to_vec() };
    Injection::Packet { packets, effect: PacketEffect::Cut(how) }
}

#[test]
fn a_cut_of_a_port_leaves_the_others_and_ends_with_its_undo() {
    for (how, end) in [(CutHow::Drop, "silence"), (CutHow::Reject, "refused")] {
        let node = Node::new();
        let mut agent = node.agent("r", LEASE_MS);
        assert_eq!(connects(&node, "127.0.0.2", 7001), "open");
        agent.inject(1, cut(how, &[7001, 7003]));
        agent.inject(2, Injection::Drop { from: vec![[127, 0, 0, 9].into()] });
        assert_eq!(agent.proven(1).counts, [PacketCounts::default()], "{how:?}");
        let ways = [("127.0.0.2", 7001), ("127.0.0.2", 7002), ("127.0.0.3", 7001), ("127.0.0.2", 7003)];
        assert_eq!(ways.map(|(from, port)| connects(&node, from, port)), [end, "open", "open", end], "{how:?}");
        let counts = agent.proven(1).counts[0];
        assert!(counts.seen == counts.hit && counts.hit >= 2, "{how:?}: {counts:?}");
        agent.healed(1);
        agent.proven(2);
        assert_eq!(connects(&node, "127.0.0.2", 7001), "open");
        agent.healed(2);
        assert!(!node.has_table());
    }
}

#[test]
fn a_cut_of_a_port_ends_with_the_agent() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.inject(1, cut(CutHow::Reject, &[]));
    agent.inject(
        1,
        Injection::Packet {
            packets: PacketMatch::Clients { nodes: vec![[127, 0, 0, 1].into()], ports: vec![7001] },
            effect: PacketEffect::Cut(CutHow::Drop),
        },
    );
    let counts = agent.proven(1).counts;
    assert_eq!(counts.iter().map(|counts| counts.clients).collect::<Vec<_>>(), [false, true]);
    assert_eq!(connects(&node, "127.0.0.2", 7001), "refused");
    node.sh(&format!("kill -9 {}", agent.pids.0));
    node.until("the guardian removes the rules", || !node.has_table());
    assert_eq!(connects(&node, "127.0.0.2", 7001), "open");
}

#[test]
fn rules_that_miss_a_part_are_not_proven() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    for spoiled in ["flush chain inet dsfuzz p1x", "flush set inet dsfuzz p1v4", "flush chain inet dsfuzz p1m"] {
        agent.inject(1, cut(CutHow::Drop, &[7001]));
        agent.proven(1);
        assert_eq!(node.sh(&format!("nft {spoiled}")), "");
        assert!(!agent.proof(Request::Prove { fault: 1 }).holds, "{spoiled}");
        agent.healed(1);
    }
}

#[test]
fn the_control_nodes_connection_is_never_cut() {
    let node = Node::new();
    let mut agent = node.ungreeted(&[("SSH_CONNECTION", "127.0.0.2 1 127.0.0.1 22")]);
    agent.hello("r", LEASE_MS);
    let clients = |ports: &[u16]| Injection::Packet {
        packets: PacketMatch::Clients { nodes: Vec::new(), ports: ports.to_vec() },
        effect: PacketEffect::Cut(CutHow::Drop),
    };
    for injection in [cut(CutHow::Drop, &[]), cut(CutHow::Reject, &[7001, 22]), clients(&[22])] {
        let reason = agent.fails(Request::Inject { fault: 1, injection });
        assert!(reason.contains("control node speaks"), "{reason}");
        assert!(!node.has_table());
    }
    agent.inject(1, cut(CutHow::Drop, &[7001]));
    agent.inject(2, clients(&[7001]));
    agent.healed(1);
    agent.healed(2);
    assert!(!node.has_table());
}
