//! Everything that breaks nothing, on a real agent in namespaces: commands, services, files, pings, abilities, the end.

use crate::node::{Channel, Node};
use dsfuzz_nemesis::protocol::{ClaimEntry, Claimant, Command, PingTarget, Request, Response, Service};
use std::collections::BTreeMap;
use std::time::Instant;

const LEASE_MS: u64 = 20_000;

fn script(text: &str, deadline_ms: u64) -> Command {
    Command { argv: vec![text.to_owned()], deadline_ms, ..Command::default() }
}

#[test]
fn commands_have_output_status_environment_folder_and_user() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let response = agent.ask(Request::Run(Command {
        env: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
        cwd: "/usr".to_owned(),
        user: "nobody".to_owned(),
        ..script("echo $GREETING $PWD $(id -un) $USER; echo oops >&2; exit 7", 20_000)
    }));
    let Response::Ran { status, stdout, stderr, late } = response else { panic!("{response:?}") };
    assert_eq!(
        (status, stdout.as_str(), stderr.as_str(), late),
        (Some(7), "hello /usr nobody nobody\n", "oops\n", false)
    );
    let response = agent.ask(Request::Run(Command {
        argv: vec!["printf".to_owned(), "%s".to_owned(), "a b".to_owned()],
        deadline_ms: 20_000,
        ..Command::default()
    }));
    assert!(matches!(response, Response::Ran { stdout, .. } if stdout == "a b"));
    assert!(
        agent
            .fails(Request::Run(Command { user: "no-such-user".to_owned(), ..script("true", 1000) }))
            .contains("no-such-user")
    );
    let missing = Command { argv: vec!["/no/such/program".to_owned(), "x".to_owned()], ..script("", 1000) };
    assert!(agent.fails(Request::Run(missing)).contains("/no/such/program"));
}

#[test]
fn a_deadline_kills_the_whole_group_and_much_output_is_cut() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let response = agent.ask(Request::Run(script("echo begun; sleep 700 & sleep 701", 300)));
    let Response::Ran { status, stdout, late, .. } = response else { panic!("{response:?}") };
    assert_eq!((status, stdout.as_str(), late), (None, "begun\n", true));
    node.until("the group is dead", || node.sh("ps -eo args | grep '^sleep 70' || true").is_empty());
    let response = agent.ask(Request::Run(script("head -c 3000000 /dev/zero | tr '\\0' x; echo >&2 done", 20_000)));
    let Response::Ran { status, stdout, stderr, .. } = response else { panic!("{response:?}") };
    assert_eq!((status, stdout.len(), stderr.as_str()), (Some(0), 1 << 20, "done\n"));
    // What a command leaves in the background delays no request.
    let response = agent.ask(Request::Run(script("sleep 702 & echo left", 20_000)));
    assert!(matches!(response, Response::Ran { status: Some(0), stdout, .. } if stdout == "left\n"));
}

#[test]
fn services_outlive_the_agent_and_are_found_again() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        let pid = agent.service(&node, "db", &["echo up; sleep 1001 & exec sleep 1002"]);
        node.until("both run", || agent.pids("db").len() == 2);
        let pids = agent.pids("db");
        // Started twice is started once.
        assert_eq!(agent.start("db", false), pid);
        drop(agent);
        let mut next = node.agent("r", LEASE_MS);
        assert_eq!(next.pids("db"), pids);
        assert_eq!(std::fs::read_to_string(node.path("db.out")).expect("log"), "up\n");
        next.done(Request::Stop { service: "db".to_owned(), signal: 15, grace_ms: 5000 });
        assert!(next.pids("db").is_empty());
    }
}

#[test]
fn a_service_that_ignores_its_signal_is_killed_and_its_end_is_known() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "stubborn", &["trap '' TERM; echo up; while :; do sleep 0.05; done"]);
    node.until("it has set its trap", || {
        std::fs::read_to_string(node.path("stubborn.out")).is_ok_and(|text| text == "up\n")
    });
    agent.done(Request::Stop { service: "stubborn".to_owned(), signal: 15, grace_ms: 200 });
    agent.service(&node, "short", &["exit 3"]);
    let mut ended = |name: &str| {
        let Response::Services(states) = agent.ask(Request::Services) else { panic!("no services") };
        states.into_iter().find(|state| state.name == name).expect("known").ended
    };
    node.until("killed", || ended("stubborn") == "signal 9 (SIGKILL)");
    node.until("exited", || ended("short") == "exit 3");
    assert!(agent.fails(Request::Start { service: "nobody".to_owned(), again: false }).contains("nobody"));
    let bad = Service { name: "../x".to_owned(), argv: vec!["true".to_owned()], ..Service::default() };
    assert!(agent.fails(Request::Define(bad)).contains("name"));
}

#[test]
fn files_go_both_ways_in_chunks() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let path = node.path("deep/er/data.bin");
    let bytes: Vec<u8> = (0..600_000u32).map(|number| (number % 251) as u8).collect();
    for (index, chunk) in bytes.chunks(256 << 10).enumerate() {
        let offset = (index * (256 << 10)) as u64;
        let owner = Some("nobody".to_owned());
        let id = agent.send(Request::Write { path: path.clone(), offset, mode: 0o640, owner }, chunk);
        assert_eq!(agent.reply(id).0, Response::Done);
    }
    let mut back = Vec::new();
    while back.len() < bytes.len() {
        let id = agent.send(Request::Read { path: path.clone(), offset: back.len() as u64, bytes: 1 << 20 }, &[]);
        let (response, chunk) = agent.reply(id);
        assert_eq!(response, Response::Chunk { size: 600_000 });
        assert!(!chunk.is_empty());
        back.extend(chunk);
    }
    assert_eq!(back, bytes);
    assert_eq!(node.sh(&format!("stat -c '%U %a' {path}")), "nobody 640");
    let response = agent.ask(Request::List { pattern: node.path("deep/er/*.bin") });
    assert_eq!(response, Response::Files(vec![(path, 600_000)]));
    assert!(agent.fails(Request::Read { path: "/no/such".to_owned(), offset: 0, bytes: 1 }).contains("/no/such"));
}

fn target(agent: &Channel, source: Option<&str>, address: &str) -> PingTarget {
    PingTarget {
        source: source.map(|source| source.parse().expect("address")),
        address: address.parse().expect("address"),
        port: agent.ping_port,
    }
}

/// What was heard in a round: the address it was sent to, and how often.
fn heard(agent: &mut Channel, round: u64) -> Vec<(String, u32)> {
    let Response::Heard(heard) = agent.ask(Request::Heard { round }) else { panic!("not heard") };
    assert!(heard.iter().all(|ping| ping.from == "n1"), "{heard:?}");
    heard.into_iter().map(|ping| (ping.address.to_string(), ping.count)).collect()
}

#[test]
fn pings_are_counted_by_round_and_pair_of_addresses() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let to = vec![
        target(&agent, None, "127.0.0.1"),
        target(&agent, None, "::1"),
        target(&agent, Some("127.0.0.2"), "127.0.0.2"),
        target(&agent, Some("192.0.2.9"), "127.0.0.1"),
    ];
    let send = |round, count| Request::Ping { round, from: "n1".to_owned(), to: to.clone(), count };
    let Response::Pinged { unsent } = agent.ask(send(5, 3)) else { panic!("not sent") };
    assert!(matches!(&unsent[..], [(3, why)] if why.contains("assign")), "{unsent:?}");
    let all = |count| ["127.0.0.1", "127.0.0.2", "::1"].map(|address| (address.to_owned(), count)).to_vec();
    let sorted = |mut heard: Vec<(String, u32)>| {
        heard.sort();
        heard
    };
    node.until("all arrive", || sorted(heard(&mut agent, 5)) == all(3));
    assert!(heard(&mut agent, 6).is_empty());
    // A drop of one sender's address silences the datagrams from there, and no others.
    agent.inject(1, dsfuzz_nemesis::protocol::Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    agent.ask(send(7, 2));
    node.until("the open paths are heard", || heard(&mut agent, 7).len() == 2);
    assert!(heard(&mut agent, 7).iter().all(|(address, _)| address != "127.0.0.2"));
    assert_eq!(agent.healed(1).dropped_packets, 2);
}

#[test]
fn every_address_is_told_and_a_drop_of_ipv6_leaves_neighbours_alone() {
    let node = Node::new();
    let made = node
        .sh("ip link add wire0 type veth peer name wire1 && ip link set wire0 up && ip link set wire1 up && \
         ip addr add 10.9.0.1/24 dev wire0 && ip -6 addr add fd09::1/64 dev wire0 nodad");
    assert_eq!(made, "");
    let mut agent = node.agent("r", LEASE_MS);
    let Response::Addresses(addresses) = agent.ask(Request::Addresses) else { panic!("no addresses") };
    let (local, texts): (Vec<String>, Vec<String>) =
        addresses.iter().map(ToString::to_string).partition(|address| address.starts_with("fe80"));
    assert_eq!(texts, ["10.9.0.1", "fd09::1"]);
    assert!(local.len() <= 1, "only of the interface that has another address: {local:?}");
    agent.inject(1, dsfuzz_nemesis::protocol::Injection::Drop { from: vec!["fd09::2".parse().expect("address")] });
    assert!(agent.proven(1).holds);
    let rules = node.sh("nft list chain inet dsfuzz f1");
    assert!(rules.contains("hook prerouting") && rules.contains("nd-neighbor-solicit"), "{rules}");
    agent.healed(1);
    assert!(!node.has_table());
}

#[test]
fn a_wanted_ping_port_is_taken_and_answers_tcp_too() {
    let node = Node::new();
    let mut agent = node.agent_with("r", LEASE_MS, "--ping-port 17077");
    assert_eq!(agent.ping_port, 17077);
    let to = vec![target(&agent, None, "127.0.0.1"), PingTarget { port: 1, ..target(&agent, None, "127.0.0.1") }];
    assert_eq!(
        agent.ask(Request::Reach { to, wait_ms: 20_000 }),
        Response::Reached { open: vec![0], refused: vec![1] }
    );
}

#[test]
fn abilities_are_found_by_doing() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let Response::Abilities(list) = agent.ask(Request::Abilities) else { panic!("no abilities") };
    let able = |name: &str| list.iter().find(|ability| ability.name == name).expect("tested").clone();
    for name in ["root", "nft", "nft-timeout", "cgroup2", "freeze", "disk-free-bytes"] {
        assert!(able(name).able, "{:?}", able(name));
    }
    assert_eq!(able("vdso-clock").able, cfg!(target_arch = "x86_64"), "{:?}", able("vdso-clock"));
    // These namespaces were made without the right to set the clock.
    assert!(!able("step-clock").able);
    assert_eq!(node.sh("nft list tables"), "");
}

#[test]
fn an_orderly_end_stops_services_where_asked_and_leaves_nothing() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    agent.inject(1, dsfuzz_nemesis::protocol::Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    agent.done(Request::Bye { stop_services: true });
    agent.ended(&node);
    assert!(!node.has_table());
    assert_eq!(node.sh("ps -eo args | grep '^sleep 1001' || true"), "");
    assert_eq!(node.sh(&format!("ls -d {}/cg/dsfuzz 2>/dev/null || true", node.path(""))), "");
    node.until("the guardian ends", || {
        node.sh("ps -eo args | grep 'dsfuzz-agent guard' | grep -v grep || true").is_empty()
    });
}

#[test]
fn another_protocol_is_refused_and_round_trips_are_told() {
    let node = Node::new();
    let mut agent = node.ungreeted(&[]);
    let hello = Request::Hello {
        version: 99,
        lease_ms: LEASE_MS,
        run: "r".to_owned(),
        claim: Claimant::default(),
        entry: ClaimEntry::First,
    };
    assert!(agent.fails(hello).contains("protocol 99"));
    agent.hello("r", LEASE_MS);
    let median = |agent: &mut Channel, ask: &dyn Fn() -> Request| {
        let mut times: Vec<_> = (0..50)
            .map(|_| {
                let begin = Instant::now();
                agent.ask(ask());
                begin.elapsed()
            })
            .collect();
        times.sort();
        times[25]
    };
    println!("heartbeat: {:?}", median(&mut agent, &|| Request::Heartbeat));
    println!("heard: {:?}", median(&mut agent, &|| Request::Heard { round: 1 }));
    println!("drop, idle: {:?}", median(&mut agent, &|| Request::Undo { fault: 1 }));
}

#[test]
fn logs_are_followed_from_their_ends_over_new_files_and_new_beginnings() {
    let node = Node::new();
    let mut agent = node.agent("follow", 60_000);
    let log = node.path("server.log");
    std::fs::write(&log, "old: elected at term 1\n").expect("written");
    let follow = |agent: &mut Channel, positions, wait_ms| {
        let patterns = vec!["elected at term [0-9]+".to_owned(), "compact".to_owned()];
        let logs = vec![log.clone(), node.path("more-*.log")];
        match agent.ask(Request::Follow { logs, patterns, positions, wait_ms }) {
            Response::Followed { lines, positions } => {
                (lines.into_iter().map(|line| (line.pattern, line.line)).collect::<Vec<_>>(), positions)
            }
            other => panic!("{other:?}"),
        }
    };
    let append = |path: &str, text: &str| {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("open");
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
    };
    let (lines, at) = follow(&mut agent, None, 0);
    assert_eq!((lines, at.len()), (Vec::new(), 1), "what was there is old");
    append(&log, "elected at term 2\nsomething\nelected at term 3, compact\nelected at te");
    let (lines, at) = follow(&mut agent, Some(at), 10_000);
    let whole = |term: u32, rest: &str| format!("elected at term {term}{rest}");
    assert_eq!(lines, [(0, whole(2, "")), (0, whole(3, ", compact")), (1, whole(3, ", compact"))]);
    append(&log, "rm 4\n");
    let (lines, at) = follow(&mut agent, Some(at), 10_000);
    assert_eq!(lines, [(0, whole(4, ""))], "a line counts once it is whole");
    append(&node.path("more-1.log"), "elected at term 5\n");
    let (lines, at) = follow(&mut agent, Some(at), 10_000);
    assert_eq!(lines, [(0, whole(5, ""))], "a new file counts from its beginning");
    std::fs::write(&log, "compact\n").expect("written");
    let (lines, at) = follow(&mut agent, Some(at), 10_000);
    assert_eq!(lines, [(1, "compact".to_owned())], "a file that was begun anew too");
    assert_eq!(follow(&mut agent, Some(at.clone()), 1), (Vec::new(), at), "nothing new");
    let wrong =
        Request::Follow { logs: vec![log.clone()], patterns: vec!["(".to_owned()], positions: None, wait_ms: 0 };
    assert!(matches!(agent.ask(wrong), Response::Failed(why) if why.contains("no regular expression")));
}
