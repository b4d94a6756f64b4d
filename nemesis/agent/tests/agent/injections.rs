//! Every injection on a real agent in namespaces: done, proven, undone, proven gone.

use crate::node::{Channel, Node};
use dsfuzz_nemesis::protocol::{Injection, Request, Response};
use std::net::IpAddr;
use std::time::Duration;

const LEASE_MS: u64 = 20_000;
/// Tells the time whenever it is asked by a line; its answers go to its log. Long-living: nothing is executed anew.
const WATCH: &str = "import time\nwhile True:\n  print(time.time_ns(), flush=True)\n  time.sleep(0.01)\n";

fn names(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

fn watch(agent: &mut Channel, node: &Node, name: &str) -> u32 {
    agent.service(node, name, &["/usr/bin/env", "python3", "-c", WATCH])
}

fn real_ns() -> i128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos().cast_signed()
}

/// How far the clock that a watcher prints from now on is off, in seconds.
fn shown_off_s(node: &Node, name: &str) -> i64 {
    let path = node.path(&format!("{name}.out"));
    let lines = || std::fs::read_to_string(&path).unwrap_or_default();
    let before = lines().matches('\n').count();
    let mut off = 0;
    node.until("the watcher prints", || {
        let text = lines();
        let last = text.split_inclusive('\n').skip(before + 1).filter(|line| line.ends_with('\n')).last();
        let Some(shown) = last.and_then(|line| line.trim().parse::<i128>().ok()) else { return false };
        off = ((shown - real_ns()) / 1_000_000_000) as i64;
        true
    });
    off
}

fn is_about(off_s: i64, wanted_s: i64) -> bool {
    // The log is read some time after it was written: a machine under load may need seconds for that.
    (wanted_s - 20..=wanted_s + 1).contains(&off_s)
}

#[test]
fn a_drop_cuts_its_addresses_only_and_heals() {
    let node = Node::new();
    node.sh("nft add table inet theirs; ip addr add fd00::2/128 dev lo; ip addr add fd00::1/128 dev lo");
    let mut agent = node.agent("r", LEASE_MS);
    let from: Vec<IpAddr> = ["127.0.0.2", "fd00::2"].map(|text| text.parse().expect("address")).to_vec();
    let ping = |address: &str, me: &str| {
        let script = "import socket,sys\na,b=sys.argv[1:]\nf=socket.AF_INET6 if ':' in a else socket.AF_INET\n\
            s=socket.socket(f,socket.SOCK_DGRAM); s.bind((a,0)); r=socket.socket(f,socket.SOCK_DGRAM); r.bind((b,0)); r.settimeout(0.3)\n\
            s.sendto(b'x',r.getsockname())\ntry:\n  r.recv(9); print('heard')\nexcept TimeoutError: print('silence')";
        node.sh(&format!("python3 - {address} {me} <<'E'\n{script}\nE"))
    };
    assert_eq!(ping("127.0.0.2", "127.0.0.1"), "heard");
    agent.inject(1, Injection::Drop { from });
    agent.inject(2, Injection::Drop { from: vec![[127, 0, 0, 9].into()] });
    agent.proven(1);
    assert_eq!(ping("127.0.0.2", "127.0.0.1"), "silence");
    assert_eq!(ping("fd00::2", "fd00::1"), "silence");
    assert_eq!(ping("127.0.0.3", "127.0.0.1"), "heard");
    assert!(agent.proven(1).dropped_packets >= 2);
    assert!(agent.healed(1).dropped_packets >= 2);
    agent.proven(2);
    assert_eq!(ping("127.0.0.2", "127.0.0.1"), "heard");
    assert!(node.has_table());
    agent.healed(2);
    assert!(!node.has_table());
    assert!(node.sh("nft list tables").contains("theirs"));
    // Safe to repeat, and an unknown fault is gone.
    assert!(agent.proof(Request::Undo { fault: 2 }).holds);
    assert!(agent.proof(Request::Undo { fault: 99 }).holds);
    assert!(!agent.proof(Request::Prove { fault: 99 }).holds);
}

#[test]
fn a_drop_that_somebody_removed_is_not_proven() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.inject(1, Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    agent.proven(1);
    node.sh("nft delete table inet dsfuzz");
    assert!(!agent.proof(Request::Prove { fault: 1 }).holds);
    agent.healed(1);
}

#[test]
fn drops_are_renewed_beyond_their_timeout() {
    let node = Node::new();
    // Elements hold for 5 s with this lease.
    let mut agent = node.agent("r", 2000);
    agent.inject(1, Injection::Drop { from: vec![[127, 0, 0, 2].into(), "fd00::7".parse().expect("address")] });
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(6) {
        agent.done(Request::Heartbeat);
        agent.proven(1);
    }
    agent.healed(1);
}

#[test]
fn the_control_nodes_address_is_never_dropped() {
    let node = Node::new();
    let mut agent = node.ungreeted(&[("SSH_CONNECTION", "127.0.0.7 1 127.0.0.1 22")]);
    agent.hello("r", LEASE_MS);
    let reason =
        agent.fails(Request::Inject { fault: 1, injection: Injection::Drop { from: vec![[127, 0, 0, 7].into()] } });
    assert!(reason.contains("127.0.0.7"), "{reason}");
    assert!(!node.has_table());
    assert_eq!(agent.undone().1, Vec::<u64>::new());
}

#[test]
fn a_kill_leaves_nothing_and_its_undo_restarts() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        let service = dsfuzz_nemesis::protocol::Service {
            name: "db".to_owned(),
            argv: vec!["sleep 1001 & setsid sleep 1002 & exec sleep 1003".to_owned()],
            restart: vec!["sleep".to_owned(), "2002".to_owned()],
            log: node.path("db.out"),
            ..Default::default()
        };
        agent.done(Request::Define(service));
        agent.start("db", false);
        node.until("all run", || agent.pids("db").len() == 3);
        agent.inject(1, Injection::Kill { services: names("db") });
        agent.proven(1);
        assert_eq!(node.sh("ps -eo args | grep '^sleep 100' || true"), "");
        agent.healed(1);
        assert_eq!(node.sh("ps -eo args | grep -c '^sleep 2002'"), "1");
        let response =
            agent.ask(Request::Inject { fault: 2, injection: Injection::Kill { services: names("nobody") } });
        assert!(matches!(response, Response::Failed(reason) if reason.contains("nobody")));
    }
}

#[test]
fn a_pause_stops_everything_and_its_undo_lets_it_go_on() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        let writer = "while :; do sleep 0.01; date +%s%N; done";
        agent.service(&node, "db", &[writer]);
        agent.service(&node, "other", &[writer]);
        let written = |file: &str| std::fs::metadata(node.path(file)).map_or(0, |about| about.len());
        let size = || written("db.out");
        node.until("it writes", || size() > 0);
        agent.inject(1, Injection::Pause { services: names("db") });
        agent.proven(1);
        let before = size();
        // Other work goes on, and after it nothing has been written.
        let paused = |agent: &mut Channel| {
            let Response::Services(states) = agent.ask(Request::Services) else { panic!("services were asked for") };
            states.into_iter().filter(|state| state.paused).map(|state| state.name).collect::<Vec<_>>()
        };
        assert_eq!(paused(&mut agent), ["db"]);
        let lines = 20 * "1700000000000000000\n".len() as u64;
        let others = written("other.out");
        node.until("the other service writes on", || written("other.out") > others + lines);
        assert_eq!(size(), before);
        agent.healed(1);
        node.until("it writes again", || size() > before);
        assert_eq!(paused(&mut agent), [""; 0]);
    }
}

#[test]
fn overlapping_faults_of_one_service_heal_in_any_order() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    agent.inject(1, Injection::Pause { services: names("db") });
    agent.inject(2, Injection::Kill { services: names("db") });
    agent.inject(3, Injection::Kill { services: names("db") });
    let proof = agent.proof(Request::Undo { fault: 2 });
    assert!(proof.holds && agent.pids("db").is_empty(), "{proof:?}");
    // Started again, it is paused at once: that fault is still in force.
    assert!(agent.proof(Request::Undo { fault: 3 }).holds);
    agent.proven(1);
    agent.healed(1);
    assert_eq!(agent.pids("db").len(), 1);
}

#[test]
fn a_shifted_clock_is_seen_by_the_process_and_inherited() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        watch(&mut agent, &node, "db");
        watch(&mut agent, &node, "other");
        assert!(is_about(shown_off_s(&node, "db"), 0));
        agent.inject(1, Injection::ShiftClock { services: names("db"), offset_ns: 3600 * 1_000_000_000 });
        agent.proven(1);
        assert!(is_about(shown_off_s(&node, "db"), 3600));
        assert!(is_about(shown_off_s(&node, "other"), 0));
        let response = agent.ask(Request::Clocks);
        let Response::Clocks { shifts_ns, .. } = response else { panic!("{response:?}") };
        assert_eq!((shifts_ns["db"], shifts_ns["other"]), (3600 * 1_000_000_000, 0));
        // A restart keeps it, from the first line on.
        agent.done(Request::Stop { service: "db".to_owned(), signal: 15, grace_ms: 5000 });
        drop(std::fs::remove_file(node.path("db.out")));
        agent.start("db", true);
        node.until("it prints", || std::fs::read_to_string(node.path("db.out")).is_ok_and(|text| text.contains('\n')));
        let text = std::fs::read_to_string(node.path("db.out")).expect("log");
        let first: i128 = text.lines().next().and_then(|line| line.parse().ok()).expect("a time");
        assert!(is_about(((first - real_ns()) / 1_000_000_000) as i64, 3600));
        agent.proven(1);
        agent.healed(1);
        assert!(is_about(shown_off_s(&node, "db"), 0));
        // Backwards, and again on a process that was patched before.
        agent.inject(2, Injection::ShiftClock { services: names("db"), offset_ns: -86_400 * 1_000_000_000 });
        agent.proven(2);
        assert!(is_about(shown_off_s(&node, "db"), -86_400));
        agent.healed(2);
        assert!(is_about(shown_off_s(&node, "db"), 0));
    }
}

#[test]
fn a_script_and_what_it_executes_later_see_the_shifted_clock() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["exec sleep 1001"]);
    agent.inject(1, Injection::ShiftClock { services: names("db"), offset_ns: 7200 * 1_000_000_000 });
    agent.done(Request::Stop { service: "db".to_owned(), signal: 15, grace_ms: 5000 });
    agent.service(&node, "db", &[&format!("exec python3 -c '{WATCH}'")]);
    assert!(is_about(shown_off_s(&node, "db"), 7200));
    agent.healed(1);
}

#[test]
fn a_strobe_shows_both_clocks() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    watch(&mut agent, &node, "db");
    agent.inject(1, Injection::StrobeClock { services: names("db"), offset_ns: 600 * 1_000_000_000, period_ms: 50 });
    agent.proven(1);
    let (mut shifted, mut right) = (false, false);
    node.until("both are seen", || {
        let off = shown_off_s(&node, "db");
        shifted |= is_about(off, 600);
        right |= is_about(off, 0);
        shifted && right
    });
    agent.healed(1);
    let reason = agent.fails(Request::Inject {
        fault: 2,
        injection: Injection::StrobeClock { services: names("db"), offset_ns: 1, period_ms: 0 },
    });
    assert!(reason.contains("period"), "{reason}");
}

#[test]
fn the_real_clock_is_not_stepped_where_it_is_shared() {
    let node = Node::new();
    let mut agent = node.ungreeted(&[]);
    let boot_id = agent.hello("r", LEASE_MS);
    // Never with `own_kernel`: this kernel is the host's.
    for control_boot_id in [boot_id, "another".to_owned()] {
        let step = Injection::StepClock { offset_ns: 1, control_boot_id: control_boot_id.clone(), own_kernel: false };
        let slew = Injection::SlewClock { rate_ppm: 1, control_boot_id, own_kernel: false };
        for injection in [step, slew] {
            let reason = agent.fails(Request::Inject { fault: 1, injection });
            assert!(reason.contains("not changed"), "{reason}");
        }
    }
    assert_eq!(agent.undone().1, Vec::<u64>::new());
}
