//! The dead-man's switch on a real agent in namespaces: whoever dies, everything is undone, and what was undone without being
//! asked is reported with its interval.

use crate::node::{AGENT, Channel, Node};
use dsfuzz_nemesis::protocol::{ClaimEntry, Command, Injection, Request, Response};
use std::io::{Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

const LEASE_MS: u64 = 20_000;
const WATCH: &str = "import time\nwhile True:\n  print(time.time_ns(), flush=True)\n  time.sleep(0.01)\n";

/// One fault of each kind in force; the services are `db` (killed), `slow` (paused), `late` (shifted).
fn break_everything(node: &Node, agent: &mut Channel) {
    agent.service(node, "db", &["sleep", "1001"]);
    agent.service(node, "slow", &["sleep", "1002"]);
    agent.service(node, "late", &["/usr/bin/env", "python3", "-c", WATCH]);
    node.until("it prints", || std::fs::metadata(node.path("late.out")).is_ok_and(|about| about.len() > 0));
    agent.inject(1, Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    agent.inject(2, Injection::Kill { services: vec!["db".to_owned()] });
    agent.inject(3, Injection::Pause { services: vec!["slow".to_owned()] });
    agent.inject(4, Injection::ShiftClock { services: vec!["late".to_owned()], offset_ns: 3600 * 1_000_000_000 });
    (1..=4).for_each(|fault| drop(agent.proven(fault)));
    assert!(node.has_table() && !is_not_paused(node));
    node.until("the shifted clock is shown", || shown_off_s(node) > 3000);
}

/// How far the last whole line of the watcher is off.
fn shown_off_s(node: &Node) -> i64 {
    let text = std::fs::read_to_string(node.path("late.out")).unwrap_or_default();
    // The last line may be half written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let shown: i128 = whole.lines().next_back().and_then(|line| line.parse().ok()).unwrap_or(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    ((shown - now.cast_signed()) / 1_000_000_000) as i64
}

/// No rule, no stopped process, no shifted clock, and what was killed runs.
fn is_clean(node: &Node) -> bool {
    !node.has_table()
        && node.sh("ps -eo args | grep -c '^sleep 1001'") == "1"
        && is_not_paused(node)
        && shown_off_s(node).abs() < 100
}

/// Nothing is frozen and no service is stopped.
fn is_not_paused(node: &Node) -> bool {
    let frozen = format!("cat {}/cg/dsfuzz/*/*/cgroup.events 2>/dev/null | grep 'frozen 1' || true", node.path(""));
    let stopped = "ps -eo stat,args | grep -E '^T.*(sleep|python3)' || true";
    node.sh(&frozen).is_empty() && node.sh(stopped).is_empty()
}

/// The next agent tells what was undone: all four faults, each with an interval that is one.
fn all_told(node: &Node, agent: &mut Channel, run: &str, why: &str, not_before_ns: u64) {
    let (by_itself, left) = agent.undone();
    assert_eq!(left, Vec::<u64>::new());
    let mut faults: Vec<u64> = by_itself.iter().map(|heal| heal.fault).collect();
    faults.sort_unstable();
    assert_eq!(faults, [1, 2, 3, 4], "{}", node.log());
    for heal in by_itself {
        assert!(heal.holds && heal.run == run && heal.why.contains(why), "{heal:?}");
        assert!(heal.earliest_ns <= heal.latest_ns && heal.latest_ns >= not_before_ns, "{heal:?}");
    }
}

fn now_ns(agent: &mut Channel) -> u64 {
    let response = agent.ask(Request::Undone);
    let Response::Undone { now_ns, .. } = response else { panic!("{response:?}") };
    now_ns
}

#[test]
fn a_closed_channel_heals_everything() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    break_everything(&node, &mut agent);
    let before = now_ns(&mut agent);
    agent.close();
    agent.ended(&node);
    node.until("clean", || is_clean(&node));
    let mut next = node.agent("a", LEASE_MS);
    all_told(&node, &mut next, "a", "channel closed", before);
    // Reported again to its own run, once to another.
    assert_eq!(next.undone().0.len(), 4);
    drop(next);
    let mut other = node.agent("b", LEASE_MS);
    assert_eq!(other.undone().0.len(), 4);
    assert_eq!(other.undone().0.len(), 0);
}

#[test]
fn silence_beyond_the_lease_heals_everything() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    break_everything(&node, &mut agent);
    let before = now_ns(&mut agent);
    agent.hello("a", 1000);
    // The channel stays open and nothing comes through it.
    agent.ended(&node);
    node.until("clean", || is_clean(&node));
    let mut next = node.agent("a", LEASE_MS);
    all_told(&node, &mut next, "a", "lease ran out", before);
}

#[test]
fn a_killed_agent_is_healed_by_its_guardian() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("a", LEASE_MS);
        break_everything(&node, &mut agent);
        let before = now_ns(&mut agent);
        let guardian = agent.pids.1;
        node.sh(&format!("kill -9 {}", agent.pids.0));
        agent.ended(&node);
        node.until("the guardian has healed and ended", || {
            node.sh(&format!("grep State /proc/{guardian}/stat* 2>/dev/null | grep -v Z || true")).is_empty()
        });
        node.until("clean", || is_clean(&node));
        let mut next = node.agent("a", LEASE_MS);
        all_told(&node, &mut next, "a", "agent died", before);
    }
}

#[test]
fn with_agent_and_guardian_dead_the_kernel_ends_what_it_can_and_heal_the_rest() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    break_everything(&node, &mut agent);
    // A short hold for what expires, renewed before both are killed.
    agent.hello("a", 1500);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        agent.done(Request::Heartbeat);
    }
    node.sh(&format!("kill -9 {} {}", agent.pids.1, agent.pids.0));
    agent.ended(&node);
    // A new guardian may have been started in between and heals; where not, expiry and `heal` do.
    node.until("the set is empty or gone", || {
        !node.sh("nft list set inet dsfuzz f1v4 2>/dev/null").contains("127.0.0.2")
    });
    node.until("the clock is true", || shown_off_s(&node).abs() < 100);
    let (code, response) = node.heal();
    let Response::Undone { by_itself, left, .. } = response else { panic!("{response:?}") };
    assert_eq!((code, left.len(), by_itself.len()), (Some(0), 0, 4), "{by_itself:?}");
    node.until("clean", || is_clean(&node));
    assert_eq!(node.heal().0, Some(0));
}

#[test]
fn a_killed_guardian_is_replaced_and_the_new_one_heals() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    let first = agent.pids.1;
    agent.inject(1, Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    node.sh(&format!("kill -9 {first}"));
    node.until("another guardian", || {
        agent.hello("a", LEASE_MS);
        agent.pids.1 != first
    });
    let second = agent.pids.1;
    node.until("it runs", || node.sh(&format!("tr '\\0' ' ' </proc/{second}/cmdline")).contains(" guard "));
    node.sh(&format!("kill -9 {}", agent.pids.0));
    node.until("no table", || !node.has_table());
}

#[test]
fn a_stopped_agent_is_killed_by_its_guardian_which_heals() {
    let node = Node::new();
    let mut agent = node.agent("a", 3000);
    agent.inject(1, Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    node.sh(&format!("kill -STOP {}", agent.pids.0));
    agent.ended(&node);
    node.until("healed", || node.log().contains("healed fault 1 (agent hung)"));
    assert!(!node.has_table());
}

#[test]
fn a_node_belongs_to_one_run_until_it_ends_or_is_taken_over() {
    let node = Node::new();
    let mut old = node.agent("a", LEASE_MS);
    old.inject(1, Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    // Its control node is heard of, so another run is refused, also one with a folder of its own, and so is `heal`.
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                old.done(Request::Heartbeat);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let refused = |response: Response| {
            let Response::Taken(claim) = response else { panic!("{response:?}") };
            assert_eq!((claim.by.run.as_str(), claim.by.host.as_str()), ("a", "control"));
            assert!(claim.since_ns > 0 && claim.renewed_ns >= claim.since_ns, "{claim:?}");
        };
        refused(node.ungreeted(&[]).greet("b", LEASE_MS, ClaimEntry::First));
        refused(node.ungreeted_in("elsewhere").greet("b", LEASE_MS, ClaimEntry::First));
        let output = node.command(AGENT, &["heal", "--dir", &node.path("")]).output().expect("heal");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("used by run a from host control") && said.contains("--take-over"), "{said}");
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    assert!(node.has_table(), "nothing was touched");
    let mut new = node.ungreeted(&[]);
    assert!(matches!(new.greet("b", LEASE_MS, ClaimEntry::TakeOver), Response::Hello { .. }));
    old.ended(&node);
    assert!(!node.has_table());
    let (by_itself, left) = new.undone();
    assert_eq!((by_itself.len(), left.len()), (1, 0));
    assert!(by_itself[0].why.contains("evicted by b from host control"), "{by_itself:?}");
    // The evicted run comes back and does not evict in its turn, not even when the other has ended.
    let response = node.ungreeted(&[]).greet("a", LEASE_MS, ClaimEntry::Again);
    assert!(matches!(&response, Response::Taken(claim) if claim.by.run == "b"), "{response:?}");
    new.done(Request::Bye { stop_services: true });
    new.ended(&node);
    let response = node.ungreeted(&[]).greet("a", LEASE_MS, ClaimEntry::Again);
    assert!(matches!(&response, Response::Taken(claim) if claim.by.run == "b"), "{response:?}");
    drop(node.agent("c", LEASE_MS));
}

#[test]
fn a_run_waits_for_the_clients_of_one_whose_lease_lapsed() {
    let node = Node::new();
    let mut old = node.agent("a", LEASE_MS);
    old.close();
    old.ended(&node);
    // A heal waits for no client, and hides none.
    assert_eq!(node.heal().0, Some(0));
    let mut new = node.agent("b", LEASE_MS);
    let waiting = new.send(Request::AwaitClients, &[]);
    let response = node.ungreeted(&[]).greet("a", LEASE_MS, ClaimEntry::Gone);
    assert!(matches!(&response, Response::Taken(claim) if claim.by.run == "b"), "{response:?}");
    assert_eq!(new.reply(waiting).0, Response::Clients(None), "a said that its clients are gone");
    new.done(Request::Bye { stop_services: true });
    new.ended(&node);
    let mut last = node.agent("c", LEASE_MS);
    assert_eq!(last.ask(Request::AwaitClients), Response::Clients(None), "b ended in order");
}

#[test]
fn a_run_that_lost_its_connection_comes_back() {
    let node = Node::new();
    let mut old = node.agent("a", LEASE_MS);
    old.inject(1, Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    let mut new = node.ungreeted(&[]);
    assert!(matches!(new.greet("a", LEASE_MS, ClaimEntry::Again), Response::Hello { .. }), "the old agent is its own");
    old.ended(&node);
    assert_eq!(new.undone().0.len(), 1);
}

#[test]
fn a_torn_journal_entry_is_left_out_and_the_rest_is_healed() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    agent.inject(1, Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    agent.inject(2, Injection::Drop { from: vec![[127, 0, 0, 3].into()] });
    node.sh(&format!("kill -STOP {0}; kill -9 {1}; kill -9 {0}", agent.pids.0, agent.pids.1));
    agent.ended(&node);
    let mut journal = std::fs::OpenOptions::new().write(true).open(node.path("journal")).expect("the journal");
    // The second slot loses its end, as a crash in the middle of a write would have it.
    journal.seek(SeekFrom::Start((16 << 10) + 40)).expect("sought");
    journal.write_all(&[0; 4096]).expect("torn");
    let (code, response) = node.heal();
    let Response::Undone { by_itself, .. } = response else { panic!("{response:?}") };
    assert_eq!((code, by_itself.iter().map(|heal| heal.fault).collect::<Vec<_>>()), (Some(0), vec![1]));
    assert!(node.log().contains("1 torn"));
    assert!(!node.has_table());
}

#[test]
fn faults_of_an_earlier_boot_count_as_ended_by_it() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    agent.inject(1, Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    agent.inject(2, Injection::Kill { services: vec!["db".to_owned()] });
    let boot_id = agent.hello("a", LEASE_MS);
    node.sh(&format!("kill -STOP {0}; kill -9 {1}; kill -9 {0}", agent.pids.0, agent.pids.1));
    agent.ended(&node);
    // The same journal, as if it were read after a reboot: the entries name another boot of the same length.
    let path = node.path("journal");
    let bytes = std::fs::read(&path).expect("the journal");
    std::fs::write(&path, with_boot_id(&bytes, &boot_id, "another")).expect("written");
    node.sh("nft delete table inet dsfuzz");
    let mut next = node.agent("a", LEASE_MS);
    let (by_itself, left) = next.undone();
    assert_eq!((by_itself.len(), left.len()), (2, 0), "{}", node.log());
    assert!(by_itself.iter().all(|heal| heal.why == "reboot" && heal.earliest_ns == 0), "{by_itself:?}");
    // What a reboot does not end is undone: the service runs again.
    assert_eq!(next.pids("db").len(), 1);
}

#[test]
fn a_fault_of_an_unknown_boot_is_undone() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    agent.inject(1, Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    let boot_id = agent.hello("a", LEASE_MS);
    node.sh(&format!("kill -STOP {0}; kill -9 {1}; kill -9 {0}", agent.pids.0, agent.pids.1));
    agent.ended(&node);
    assert!(node.has_table());
    // The same journal, as if the boot id could not be read at the injection: that proves no reboot.
    let path = node.path("journal");
    let bytes = std::fs::read(&path).expect("the journal");
    std::fs::write(&path, with_boot_id(&bytes, &boot_id, "")).expect("written");
    let mut next = node.agent("a", LEASE_MS);
    let (by_itself, left) = next.undone();
    assert_eq!((by_itself.len(), left.len()), (1, 0), "{}", node.log());
    assert!(by_itself[0].why != "reboot" && by_itself[0].earliest_ns == 0 && by_itself[0].holds, "{by_itself:?}");
    assert!(!node.has_table(), "{}", node.log());
}

/// A journal with this boot id in place of the other in every slot.
fn with_boot_id(journal: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut bytes = journal.to_vec();
    for slot in bytes.chunks_mut(16 << 10).filter(|slot| slot.starts_with(b"DSFUNDO1")) {
        let length = u32::from_le_bytes(slot[8..12].try_into().expect("four")) as usize;
        let json = String::from_utf8(slot[16..16 + length].to_vec()).expect("JSON");
        assert!(json.contains(from), "{json}");
        let json = json.replacen(from, to, 1).into_bytes();
        let sum = !json.iter().fold(u32::MAX, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
        });
        slot[8..12].copy_from_slice(&u32::try_from(json.len()).expect("short").to_le_bytes());
        slot[12..16].copy_from_slice(&sum.to_le_bytes());
        slot[16..16 + json.len()].copy_from_slice(&json);
    }
    bytes
}

#[test]
fn a_long_command_holds_up_neither_heartbeats_nor_heals() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    agent.inject(1, Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    let long = Command { argv: vec!["sleep 600".to_owned()], deadline_ms: 600_000, ..Command::default() };
    agent.send(Request::Run(long), &[]);
    agent.done(Request::Heartbeat);
    agent.healed(1);
    agent.inject(2, Injection::Drop { from: vec![[127, 0, 0, 2].into()] });
    agent.close();
    agent.ended(&node);
    assert!(!node.has_table());
    node.until("the command is ended, too", || node.sh("ps -eo args | grep '^sleep 600' || true").is_empty());
}

#[test]
fn an_agent_killed_in_the_middle_of_an_act_leaves_nothing() {
    let node = Node::new();
    for round in 0..8u64 {
        let mut agent = node.agent("a", LEASE_MS);
        let guardian = agent.pids.1;
        agent.service(&node, "late", &["/usr/bin/env", "python3", "-c", WATCH]);
        agent.send(Request::Inject { fault: 1, injection: Injection::Drop { from: vec![[127, 0, 0, 2].into()] } }, &[]);
        agent
            .send(Request::Inject { fault: 2, injection: Injection::Pause { services: vec!["late".to_owned()] } }, &[]);
        let clock = Injection::ShiftClock { services: vec!["late".to_owned()], offset_ns: 3600 * 1_000_000_000 };
        agent.send(Request::Inject { fault: 3, injection: clock }, &[]);
        // A moment that differs from round to round: any one is right.
        node.sh(&format!("sleep 0.0{round}; kill -9 {}", agent.pids.0));
        agent.ended(&node);
        node.until("the guardian has ended", || {
            let state = node.sh(&format!("sed 's/.*) //' /proc/{guardian}/stat 2>/dev/null"));
            state.is_empty() || state.starts_with('Z')
        });
        assert!(!node.has_table(), "round {round}: {}", node.log());
        node.until("clean", || is_not_paused(&node) && shown_off_s(&node).abs() < 100);
        let (code, response) = node.heal();
        let Response::Undone { left, .. } = response else { panic!("{response:?}") };
        assert_eq!((code, left.len()), (Some(0), 0));
    }
}

/// The names of files that were to take another one's place.
fn fresh_files(node: &Node) -> String {
    node.sh(&format!("find {} /run/dsfuzz -name '*.fresh'", node.path("")))
}

#[test]
fn what_a_killed_agent_leaves_of_files_that_it_was_replacing_is_removed_by_whatever_heals() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let names = node.sh("ls /run/dsfuzz");
    let claim = names.lines().find(|name| name.ends_with(".json")).expect("a claim");
    let files = ["services/db.json", "services/other.json", "agent.pid", "deaths.json", "disk/1.json"];
    let paths: Vec<String> =
        files.map(|name| node.path(name)).into_iter().chain([format!("/run/dsfuzz/{claim}")]).collect();
    let leave = || {
        node.sh(&format!("mkdir -p {}", node.path("disk")));
        paths.iter().for_each(|path| drop(node.sh(&format!("echo '{{' > {path}.fresh"))));
        assert_eq!(fresh_files(&node).lines().count(), paths.len());
    };
    // The guardian alone.
    leave();
    node.sh(&format!("kill -9 {}", agent.pids.0));
    agent.ended(&node);
    node.until("the guardian has removed them", || fresh_files(&node).is_empty());
    // The next agent, whose predecessor has no guardian.
    let mut agent = node.agent("r", LEASE_MS);
    node.sh(&format!("kill -STOP {}; kill -9 {}", agent.pids.0, agent.pids.1));
    node.sh(&format!("kill -9 {}", agent.pids.0));
    agent.ended(&node);
    leave();
    let mut agent = node.agent("r", LEASE_MS);
    assert_eq!(fresh_files(&node), "");
    assert_eq!(agent.pids("db").len(), 1, "its records are whole");
    agent.done(Request::Bye { stop_services: false });
    agent.ended(&node);
    // A heal by hand.
    leave();
    assert_eq!(node.heal().0, Some(0), "{}", node.log());
    assert_eq!(fresh_files(&node), "");
}
