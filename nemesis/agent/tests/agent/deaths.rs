//! How services end, on a real agent in namespaces: deaths of their own are reported, ends that the harness asked for are not; and
//! what cannot be undone or kept makes no node unusable.

use crate::node::{Channel, Node};
use dsfuzz_nemesis::protocol::{ClaimEntry, Death, Injection, Request, Response};

const LEASE_MS: u64 = 20_000;

/// Its deaths, once there are `count`.
fn deaths(node: &Node, agent: &mut Channel, count: usize) -> Vec<Death> {
    let mut found = Vec::new();
    node.until("it has died", || {
        let reported = agent.ask(Request::Deaths { cores: false });
        let Response::Deaths { deaths, now_ns, .. } = reported else { panic!("{reported:?}") };
        assert!(deaths.iter().all(|death| death.earliest_ns <= death.latest_ns && death.latest_ns <= now_ns));
        found = deaths;
        found.len() >= count
    });
    assert_eq!(found.len(), count, "{found:?}");
    found
}

#[test]
fn a_death_of_its_own_is_told_with_its_manner_and_last_words() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        agent.service(&node, "db", &["sh", "-c", "echo the data is broken; exec sleep 1001"]);
        let pid = agent.pids("db")[0];
        node.until("it has spoken", || std::fs::read_to_string(node.path("db.out")).is_ok_and(|text| !text.is_empty()));
        node.sh(&format!("kill -ABRT {pid}"));
        let reported = deaths(&node, &mut agent, 1).remove(0);
        assert_eq!((reported.service.as_str(), reported.pid, reported.how.as_str()), ("db", pid, "signal 6 (SIGABRT)"));
        assert_eq!((reported.log, reported.again), (vec!["the data is broken".to_owned()], false));
        // Started again, it ends with a status of its own.
        agent.ask(Request::Start { service: "db".to_owned(), again: true });
        node.sh(&format!("kill -SEGV {}", agent.pids("db")[0]));
        let all = deaths(&node, &mut agent, 2);
        assert_eq!((all[1].how.as_str(), all[1].again), ("signal 11 (SIGSEGV)", true));
    }
}

#[test]
fn ends_that_were_asked_for_are_no_deaths() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    for name in ["db", "cache", "last"] {
        agent.service(&node, name, &["sleep", "1001"]);
    }
    agent.inject(1, Injection::Kill { services: vec!["db".to_owned()] });
    agent.healed(1);
    agent.done(Request::Stop { service: "cache".to_owned(), signal: 15, grace_ms: 5000 });
    // One that ends by itself after them shows that they would have been reported by now.
    node.sh(&format!("kill -TERM {}", agent.pids("last")[0]));
    let reported = deaths(&node, &mut agent, 1);
    assert_eq!((reported[0].service.as_str(), reported[0].how.as_str()), ("last", "signal 15 (SIGTERM)"));
}

#[test]
fn a_service_that_an_earlier_agent_started_is_watched_too() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let pid = agent.pids("db")[0];
    agent.close();
    agent.ended(&node);
    let mut next = node.ungreeted(&[]);
    assert!(matches!(next.greet("r", LEASE_MS, ClaimEntry::Again), Response::Hello { .. }));
    node.sh(&format!("kill -ABRT {pid}"));
    let reported = deaths(&node, &mut next, 1).remove(0);
    assert_eq!((reported.pid, reported.how.as_str()), (pid, ""), "no agent was there to see how");
}

#[test]
fn a_death_that_the_agent_saw_while_its_link_was_lost_is_told_by_the_next_one() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sh", "-c", "echo the data is broken; exec sleep 1001"]);
    node.until("it has spoken", || std::fs::read_to_string(node.path("db.out")).is_ok_and(|text| !text.is_empty()));
    let pid = agent.pids("db")[0];
    node.sh(&format!("kill -ABRT {pid}"));
    node.until("the agent has seen it", || node.log().contains("ended by itself"));
    // No request has come yet when the link is lost.
    agent.close();
    agent.ended(&node);
    let mut next = node.ungreeted(&[]);
    assert!(matches!(next.greet("r", LEASE_MS, ClaimEntry::Again), Response::Hello { .. }));
    let reported = deaths(&node, &mut next, 1).remove(0);
    assert_eq!((reported.pid, reported.how.as_str()), (pid, "signal 6 (SIGABRT)"));
    assert_eq!(reported.log, ["the data is broken"]);
    drop(next);
    // Another run gets its own deaths only.
    let mut other = node.agent("other", LEASE_MS);
    other.service(&node, "db", &["sleep", "1001"]);
    node.sh(&format!("kill -SEGV {}", other.pids("db")[0]));
    assert_eq!(deaths(&node, &mut other, 1)[0].how, "signal 11 (SIGSEGV)");
}

#[test]
fn a_daemon_dies_with_its_last_process() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "daemon", &["sh", "-c", "setsid sleep 1001 & exit 0"]);
    node.until("only the daemon is left", || agent.pids("daemon").len() == 1);
    node.sh(&format!("kill -ABRT {}", agent.pids("daemon")[0]));
    assert_eq!(deaths(&node, &mut agent, 1)[0].service, "daemon");
}

#[test]
fn what_does_not_run_is_not_killed_and_so_never_has_to_be_undone() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    agent.service(&node, "db", &["sh", "-c", "exit 0"]);
    node.until("it has ended", || agent.pids("db").is_empty());
    let refused =
        agent.fails(Request::Inject { fault: 1, injection: Injection::Kill { services: vec!["db".to_owned()] } });
    assert!(refused.contains("does not run"), "{refused}");
    assert!(agent.undone().1.is_empty(), "nothing is in the journal");
}

#[test]
fn a_target_that_ends_after_its_restart_leaves_nothing_of_the_kill() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    let once = format!("test -e {0} && exit 3; touch {0}; exec sleep 1001", node.path("been"));
    agent.service(&node, "once", &["sh", "-c", &once]);
    node.until("it runs", || std::path::Path::new(&node.path("been")).exists());
    agent.inject(1, Injection::Kill { services: vec!["once".to_owned()] });
    let proof = agent.proof(Request::Undo { fault: 1 });
    assert!(proof.holds && proof.detail[0].contains("ended by itself (exit 3)"), "{proof:?}");
    assert!(agent.undone().1.is_empty());
    let reported = deaths(&node, &mut agent, 1).remove(0);
    assert_eq!((reported.how.as_str(), reported.again), ("exit 3", true));
}

#[test]
fn a_kill_of_an_earlier_run_that_cannot_be_undone_is_dropped() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    std::fs::create_dir(node.path("home")).expect("a folder");
    agent.service_in(&node, "db", &["sleep", "1001"], &node.path("home"));
    agent.inject(1, Injection::Kill { services: vec!["db".to_owned()] });
    std::fs::remove_dir(node.path("home")).expect("removed");
    let proof = agent.proof(Request::Undo { fault: 1 });
    assert!(!proof.holds, "of the run's own fault it is said: {proof:?}");
    agent.close();
    agent.ended(&node);
    let mut next = node.agent("b", LEASE_MS);
    let (by_itself, left) = next.undone();
    assert_eq!(left, Vec::<u64>::new(), "{by_itself:?}");
    assert!(node.log().contains("dropped: fault 1 of a is over"), "{}", node.log());
}

/// A memory cgroup of the test's own, with a limit, of whichever version this machine has; gone with its last process.
struct Limited(std::path::PathBuf);

impl Limited {
    fn new(bytes: u64) -> Limited {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let with = |wanted: &dyn Fn(&str) -> bool| {
            let line = mounts.lines().find(|line| line.split_once(" - ").is_some_and(|(_, kind)| wanted(kind)))?;
            line.split(' ').nth(4).map(std::path::PathBuf::from)
        };
        let first = with(&|kind| kind.starts_with("cgroup ") && kind.split([' ', ',']).any(|word| word == "memory"));
        let (root, limits) = match first {
            Some(root) => (root, ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]),
            None => (with(&|kind| kind.starts_with("cgroup2 ")).expect("a cgroup"), ["memory.max", "memory.swap.max"]),
        };
        static MADE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = root.join(format!("dsfuzz-agent-test-memory-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).expect("a cgroup");
        let limited = Limited(folder);
        std::fs::write(limited.0.join(limits[0]), bytes.to_string()).expect("a limit of memory");
        // Absent where there is no swap.
        drop(std::fs::write(limited.0.join(limits[1]), bytes.to_string()));
        limited
    }

    /// Moves a process in, which is named as this machine names it.
    fn take(&self, pid: u32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("moved");
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while std::fs::remove_dir(&self.0).is_err() && self.0.exists() {
            let members = std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
            // 0 is a process of another namespace.
            let members: Vec<&str> = members.lines().filter(|pid| *pid != "0").collect();
            if std::time::Instant::now() > end {
                let left = format!("{} is left behind, with the processes {members:?}", self.0.display());
                assert!(std::thread::panicking(), "{left}");
                eprintln!("{left}");
                return;
            }
            if !members.is_empty() {
                drop(std::process::Command::new("kill").arg("-9").args(&members).output());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

#[test]
fn a_memory_cgroup_goes_with_its_members() {
    let limited = Limited::new(32 << 20);
    let folder = limited.0.clone();
    let mut member = std::process::Command::new("sleep").arg("60").spawn().expect("a process");
    limited.take(member.id());
    drop(limited);
    let ended = member.wait().expect("ended");
    assert!(!ended.success() && !folder.exists(), "{ended}");
}

#[test]
fn a_service_that_its_own_memory_limit_kills_is_told_as_that() {
    let node = Node::new();
    let limited = Limited::new(32 << 20);
    let mut agent = node.agent("a", LEASE_MS);
    // Never more than 256 MiB, whatever becomes of the limit.
    let script = format!(
        "import os,time\nopen({:?},'w').write(os.readlink('/proc/self'))\nwhile not os.path.exists({:?}): time.sleep(0.01)\n\
         print('eating', flush=True)\nkept=[bytearray(1<<20) for _ in range(256)]\ntime.sleep(60)",
        node.path("ready"),
        node.path("go")
    );
    agent.service(&node, "db", &["/usr/bin/env", "python3", "-c", &script]);
    node.until("it runs", || std::path::Path::new(&node.path("ready")).exists());
    let outside = std::fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let words = std::fs::read(entry.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&words).contains(&node.path("ready")).then_some(pid)
    });
    limited.take(outside.expect("the service's process"));
    std::fs::write(node.path("go"), "").expect("written");
    let death = deaths(&node, &mut agent, 1).remove(0);
    assert_eq!((death.service.as_str(), death.how.as_str()), ("db", "signal 9 (SIGKILL)"), "{death:?}");
    assert!(death.oom_kills > 0, "{death:?}");
    assert_eq!(death.log, ["eating"]);
}
