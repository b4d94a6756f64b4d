//! Faults of some packets: cuts of single ports, by drop or by refusal; loss, delay and their like, measured by volleys that the
//! agent sends to itself.
use crate::node::{Channel, Node};
use dsfuzz_nemesis::protocol::{
    CutHow, HeardVolley, Injection, PacketCounts, PacketEffect, PacketMatch, PingTarget, Request, Response, Volley,
};

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
            packets: PacketMatch::Clients { nodes: vec![[127, 0, 0, 1].into()], to: Vec::new(), ports: vec![7001] },
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
        packets: PacketMatch::Clients { nodes: Vec::new(), to: Vec::new(), ports: ports.to_vec() },
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

fn packet(effect: PacketEffect) -> Injection {
    let senders = vec![[127, 0, 0, 2].into()];
    Injection::Packet { packets: PacketMatch::From { senders, ports: Vec::new() }, effect }
}

/// Sends a volley of the agent to itself from an address.
fn send(agent: &mut Channel, round: u64, source: [u8; 4]) {
    let port = agent.ping_port;
    let to = vec![PingTarget { source: Some(source.into()), address: [127, 0, 0, 1].into(), port }];
    let volley = Volley { round, from: "n1".to_owned(), count: 200, bytes: 200, large_bytes: 1000, gap_us: 300 };
    let sent = agent.ask(Request::Volley { volley, to });
    assert_eq!(sent, Response::Pinged { unsent: Vec::new() });
}

fn heard(agent: &mut Channel, round: u64) -> HeardVolley {
    let Response::HeardVolleys(mut heard) = agent.ask(Request::HeardVolleys { round }) else { panic!("volleys") };
    heard.pop().unwrap_or_default()
}

/// A volley that nothing may take: waits until all of it has arrived.
fn whole_volley(agent: &mut Channel, node: &Node, round: u64, source: [u8; 4]) -> HeardVolley {
    send(agent, round, source);
    let mut volley = HeardVolley::default();
    node.until("the whole volley arrives", || {
        volley = heard(agent, round);
        volley.distinct == 200
    });
    volley
}

/// A volley of [`TAKEN`] that meets the effect of a fault. Each of its datagrams has met the rule in the end, and is lost, held or
/// in the agent's socket, which a whole volley from [`OTHER`] then reaches behind them.
fn taken_volley(agent: &mut Channel, node: &Node, round: u64, fault: u64) -> (HeardVolley, PacketCounts) {
    send(agent, round, TAKEN);
    node.until("the rule has seen all", || agent.proven(fault).counts[0].seen == 200);
    whole_volley(agent, node, round + 1, OTHER);
    (heard(agent, round), agent.proven(fault).counts[0])
}

/// The sender whose packets the faults take.
const TAKEN: [u8; 4] = [127, 0, 0, 2];
/// A sender whose packets they leave alone.
const OTHER: [u8; 4] = [127, 0, 0, 3];

fn median_us(heard: &HeardVolley) -> i64 {
    let mut late = heard.late_us.clone();
    late.sort_unstable();
    late[late.len() / 2]
}

#[test]
fn each_effect_takes_the_packets_of_its_sender_and_no_others() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    type Shown = fn(&HeardVolley, &PacketCounts) -> bool;
    let effects: [(PacketEffect, Shown); 8] = [
        (PacketEffect::Loss { permille: 300 }, |heard, counts| {
            (110..170).contains(&heard.distinct) && u64::from(200 - heard.distinct) == counts.hit
        }),
        (PacketEffect::EveryNth { n: 4 }, |heard, counts| (heard.distinct, counts.hit) == (150, 50)),
        (PacketEffect::Corrupt { permille: 200 }, |heard, counts| {
            (10..80).contains(&heard.damaged) && u64::from(heard.damaged) == counts.hit
        }),
        (PacketEffect::Rate { bytes_per_second: 20_000 }, |heard, _| (1..60).contains(&heard.distinct)),
        (PacketEffect::TooBig { bytes: 500 }, |heard, counts| {
            (heard.distinct, heard.large, counts.hit) == (100, 0, 100)
        }),
        (PacketEffect::Bursts { permille: 300, mean: 5, seed: 7 }, |heard, counts| {
            (60..190).contains(&heard.distinct) && u64::from(200 - heard.distinct) == counts.hit
        }),
        (PacketEffect::Reorder { permille: 250, by_us: 5000, seed: 7 }, |heard, counts| {
            heard.distinct == 200 && heard.overtaken > 0 && (20..90).contains(&counts.hit)
        }),
        (PacketEffect::Flap { period_ms: 50, down_ms: 25 }, |heard, counts| {
            (20..180).contains(&heard.distinct) && u64::from(200 - heard.distinct) == counts.hit
        }),
    ];
    for (id, (effect, shown)) in (1..).zip(effects) {
        agent.inject(id, packet(effect.clone()));
        let (mut volley, counts) = taken_volley(&mut agent, &node, 10 * id, id);
        if effect.is_queued() {
            node.until("what its queue held has passed", || {
                volley = heard(&mut agent, 10 * id);
                shown(&volley, &agent.proven(id).counts[0])
            });
        }
        assert!(counts.seen == 200 && shown(&volley, &counts), "{effect:?}: {counts:?} {volley:?}");
        let other = heard(&mut agent, 10 * id + 1);
        assert_eq!((other.count, other.distinct, other.damaged), (200, 200, 0), "{effect:?}");
        assert_eq!(agent.proven(id).counts[0].seen, 200, "{effect:?}");
        agent.healed(id);
        let after = whole_volley(&mut agent, &node, 10 * id + 2, TAKEN);
        assert_eq!((after.count, after.distinct, after.damaged), (200, 200, 0), "{effect:?}");
        assert!(!node.has_table());
    }
}

#[test]
fn a_delay_holds_every_packet_and_its_undo_loses_none() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let before = median_us(&whole_volley(&mut agent, &node, 1, TAKEN));
    agent.inject(1, packet(PacketEffect::Delay { mean_us: 50_000, jitter_us: 0, seed: 1 }));
    let held = whole_volley(&mut agent, &node, 2, TAKEN);
    let later = median_us(&held) - before;
    assert!((49_000..100_000).contains(&later), "{later} us later");
    let earliest = held.late_us.iter().min().expect("datagrams") - before;
    assert!(earliest > 48_000, "one came after {earliest} us");
    let other = median_us(&whole_volley(&mut agent, &node, 3, OTHER)) - before;
    assert!(other < 40_000, "another sender's are {other} us late");
    let counts = agent.proven(1).counts[0];
    assert_eq!((counts.seen, counts.hit), (200, 200));
    agent.healed(1);
    // Held packets pass at the undo.
    agent.inject(2, packet(PacketEffect::Delay { mean_us: 9_000_000, jitter_us: 0, seed: 1 }));
    let port = agent.ping_port;
    let to = vec![PingTarget { source: Some([127, 0, 0, 2].into()), address: [127, 0, 0, 1].into(), port }];
    let volley = Volley { round: 9, from: "n1".to_owned(), count: 50, ..Volley::default() };
    agent.ask(Request::Volley { volley, to });
    node.until("all are held", || agent.proven(2).counts[0].hit == 50);
    assert_eq!(agent.ask(Request::HeardVolleys { round: 9 }), Response::HeardVolleys(Vec::new()));
    agent.healed(2);
    node.until("all have passed", || {
        let Response::HeardVolleys(heard) = agent.ask(Request::HeardVolleys { round: 9 }) else { panic!("volleys") };
        heard.first().is_some_and(|heard| heard.distinct == 50)
    });
    assert!(!node.has_table());
}

#[test]
fn packets_pass_when_the_agent_dies() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.inject(1, packet(PacketEffect::Delay { mean_us: 9_000_000, jitter_us: 0, seed: 1 }));
    agent.inject(2, packet(PacketEffect::Loss { permille: 1000 }));
    agent.proven(1);
    agent.proven(2);
    assert_eq!(connects(&node, "127.0.0.2", 7001), "silence");
    node.sh(&format!("kill -9 {}", agent.pids.0));
    node.until("the guardian removes the rules", || !node.has_table());
    assert_eq!(connects(&node, "127.0.0.2", 7001), "open");
}

#[test]
fn a_chosen_port_has_the_agents_datagrams_with_it() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let packets = PacketMatch::From { senders: vec![[127, 0, 0, 2].into()], ports: vec![7001] };
    agent.inject(1, Injection::Packet { packets, effect: PacketEffect::Loss { permille: 1000 } });
    let (volley, counts) = taken_volley(&mut agent, &node, 1, 1);
    assert_eq!((volley.distinct, counts.hit), (0, 200));
    let ways = [("127.0.0.2", 7001), ("127.0.0.2", 7002), ("127.0.0.3", 7001)];
    assert_eq!(ways.map(|(from, port)| connects(&node, from, port)), ["silence", "open", "open"]);
    agent.healed(1);
}
