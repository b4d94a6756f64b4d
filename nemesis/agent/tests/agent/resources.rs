//! CPU time, memory and open files of real processes, limited and given back.

use crate::node::{Channel, Node};
use dsfuzz_nemesis::protocol::{Injection, Only, ProcessSelection, Proof, Request, ResourceLimit, Service};

const LEASE_MS: u64 = 20_000;
/// Works all the time and counts, a line each time.
const COUNT: &str = "n = 0\nwhile True:\n  n += 1\n  if n % 100000 == 0: print(n, flush=True)\n";
/// Takes memory again and again, and says whether it got it.
const TAKE: &str = "import time\nheld = []\nwhile True:\n  try:\n    held.append(bytearray(1 << 20)); print('had', flush=True)\n  \
                    except MemoryError:\n    print('denied', flush=True)\n  held = held[-40:]\n  time.sleep(0.01)\n";

fn names(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

fn limit(limit: ResourceLimit) -> Injection {
    Injection::LimitResource { services: names("db"), limit, picked: Vec::new(), groups: Vec::new() }
}

fn limit_cpu(percent: u32) -> Injection {
    Injection::LimitCpu { services: names("db"), percent }
}

fn kill() -> Injection {
    Injection::Kill { services: names("db") }
}

/// The kill of the process with the most memory.
fn kill_largest() -> Injection {
    Injection::EndProcesses {
        services: names("db"),
        processes: ProcessSelection { largest: true, ..ProcessSelection::default() },
        signal: 9,
        grace_ms: 0,
        start_after_ms: 0,
        picked: Vec::new(),
    }
}

fn burn(processes: u32) -> Injection {
    Injection::BurnCpu { services: names("db"), processes }
}

fn python(agent: &mut Channel, node: &Node, script: &str) -> u32 {
    agent.service(node, "db", &["/usr/bin/env", "python3", "-u", "-c", script])
}

/// What the service `db` has printed.
fn output(node: &Node) -> String {
    std::fs::read_to_string(node.path("db.out")).unwrap_or_default()
}

/// Waits until the service prints this after what it has printed so far.
fn prints(node: &Node, what: &str) {
    let before = output(node).len();
    node.until(what, || output(node).get(before..).is_some_and(|more| more.contains(what)));
}

/// A soft limit as the kernel shows it.
fn soft_limit(node: &Node, pid: u32, row: &str) -> String {
    node.sh(&format!("sed -n 's/^Max {row}  *\\([^ ]*\\) .*/\\1/p' /proc/{pid}/limits"))
}

fn is_proven(agent: &mut Channel, fault: u64) -> Proof {
    // A machine under load may give an observer too few looks at first.
    let mut proof = agent.proof(Request::Prove { fault });
    for _ in 0..20 {
        if proof.holds {
            break;
        }
        proof = agent.proof(Request::Prove { fault });
    }
    assert!(proof.holds, "{proof:?}");
    proof
}

fn redis(agent: &mut Channel, node: &Node) -> u32 {
    let dir = node.path("");
    let arguments = ["redis-server", "--port", "7001", "--save", "", "--appendonly", "no", "--dir", &dir];
    let pid = agent.service(node, "db", &arguments);
    node.until("Redis answers", || ask_redis(node, "PING") == "PONG");
    pid
}

fn ask_redis(node: &Node, command: &str) -> String {
    node.sh(&format!("timeout 5 redis-cli -p 7001 {command}"))
}

#[test]
fn a_busy_process_is_stopped_for_the_share_of_time_that_its_limit_asks_for() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        python(&mut agent, &node, COUNT);
        prints(&node, "00000");
        agent.inject(1, limit_cpu(20));
        let proof = is_proven(&mut agent, 1);
        assert!(proof.detail[0].contains("were stopped in "), "{proof:?}");
        // It works on, also when it is started again.
        prints(&node, "00000");
        agent.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 5000 });
        assert!(!agent.proof(Request::Prove { fault: 1 }).holds);
        agent.start("db", true);
        is_proven(&mut agent, 1);
        let again = agent.fails(Request::Inject { fault: 2, injection: limit_cpu(50) });
        assert!(again.contains("fault 1 limits the CPU time"), "{again}");
        let paused = agent.fails(Request::Inject { fault: 3, injection: Injection::Pause { services: names("db") } });
        assert!(paused.contains("fault 1 limits the CPU time"), "{paused}");
        agent.healed(1);
        prints(&node, "00000");
        assert_eq!(agent.undone().1, Vec::<u64>::new());
    }
}

#[test]
fn what_a_killed_agent_left_stopped_or_burning_is_put_right() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("a", LEASE_MS);
        python(&mut agent, &node, COUNT);
        prints(&node, "00000");
        agent.inject(1, limit_cpu(1));
        agent.inject(2, burn(2));
        agent.inject(3, limit(ResourceLimit::Descriptors(16)));
        is_proven(&mut agent, 1);
        is_proven(&mut agent, 2);
        is_proven(&mut agent, 3);
        let pid = agent.pids("db")[0];
        let burning = || node.sh("ps -eo args | grep -c '^/proc/self/exe bur[n]' || true");
        assert_eq!((burning(), soft_limit(&node, pid, "open files")), ("2".to_owned(), "16".to_owned()));
        node.sh(&format!("kill -9 {}", agent.pids.0));
        agent.ended(&node);
        node.until("nothing burns", || burning() == "0");
        node.until("the limit of before", || soft_limit(&node, pid, "open files") != "16");
        node.until("the guardian is done", || node.log().contains("healed fault 1 (agent died): holds true"));
        prints(&node, "00000");
        let mut next = node.agent("a", LEASE_MS);
        let (by_itself, left) = next.undone();
        assert!(left.is_empty() && by_itself.len() == 3, "{by_itself:?}");
        assert!(by_itself.iter().all(|heal| heal.holds && heal.why.contains("agent died")), "{by_itself:?}");
    }
}

#[test]
fn busy_processes_use_the_cpus_beside_the_target_and_end() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    python(&mut agent, &node, COUNT);
    prints(&node, "00000");
    agent.inject(1, burn(3));
    let proof = is_proven(&mut agent, 1);
    assert!(proof.detail[0].starts_with("3 of 3 busy processes run"), "{proof:?}");
    let one = node.sh("ps -eo pid,args | awk '/self[/]exe burn/ {print $1; exit}'");
    node.sh(&format!("kill -9 {one}"));
    node.until("one less", || !agent.proof(Request::Prove { fault: 1 }).holds);
    agent.healed(1);
    let cpus = std::thread::available_parallelism().expect("CPUs").get() as u32;
    let reason = agent.fails(Request::Inject { fault: 2, injection: burn(4 * cpus + 1) });
    assert!(reason.contains(&format!("at most {}, four for each", 4 * cpus)), "{reason}");
}

#[test]
fn redis_without_descriptors_takes_no_further_client() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let pid = redis(&mut agent, &node);
    let before = soft_limit(&node, pid, "open files");
    agent.inject(1, limit(ResourceLimit::SpareDescriptors(0)));
    let proof = agent.proven(1);
    assert!(proof.detail[0].contains(&format!("({before} before)")), "{proof:?}");
    let open = node.sh(&format!("ls /proc/{pid}/fd | wc -l"));
    let waiting = node.command("redis-cli", &["-p", "7001", "PING"]).stdout(std::process::Stdio::piped()).spawn();
    node.until("a client is refused", || output(&node).contains("Too many open files"));
    assert_eq!(node.sh(&format!("ls /proc/{pid}/fd | wc -l")), open);
    agent.proven(1);
    // Raising its own limit does not help for long.
    node.sh(&format!("prlimit --pid {pid} --nofile={before}:"));
    agent.proven(1);
    agent.healed(1);
    assert_eq!(soft_limit(&node, pid, "open files"), before);
    node.until("Redis answers", || ask_redis(&node, "PING") == "PONG");
    let waited = waiting.expect("a client").wait_with_output().expect("its answer");
    assert_eq!(String::from_utf8_lossy(&waited.stdout).trim(), "PONG");
}

#[test]
fn redis_that_gets_no_memory_ends_and_the_heal_starts_it() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let pid = redis(&mut agent, &node);
    let before = soft_limit(&node, pid, "data size");
    agent.inject(1, limit(ResourceLimit::MemoryHeadroom(0)));
    let proof = agent.proven(1);
    assert!(proof.detail[0].contains("bytes of data"), "{proof:?}");
    assert_ne!(soft_limit(&node, pid, "data size"), before);
    ask_redis(&node, "SETRANGE large 50000000 x");
    node.until("Redis ends", || agent.pids("db").is_empty());
    assert!(output(&node).contains("Out Of Memory"), "{}", output(&node));
    let proof = agent.proven(1);
    assert!(proof.detail[0].contains("ended while they were limited"), "{proof:?}");
    assert!(agent.proof(Request::Undo { fault: 1 }).holds);
    node.until("Redis answers", || ask_redis(&node, "PING") == "PONG");
    let pid = agent.pids("db")[0];
    assert_eq!(soft_limit(&node, pid, "data size"), before);
}

#[test]
fn allocations_fail_at_the_limit_and_succeed_after_the_heal() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        let pid = python(&mut agent, &node, TAKE);
        prints(&node, "had");
        agent.inject(1, limit(ResourceLimit::Memory(1 << 20)));
        prints(&node, "denied");
        let proof = agent.proven(1);
        assert!(proof.detail[0].contains("is limited to 1048576 (unlimited before)"), "{proof:?}");
        agent.healed(1);
        assert_eq!(soft_limit(&node, pid, "data size"), "unlimited");
        prints(&node, "had");
    }
}

#[test]
fn processes_of_another_user_and_those_started_in_the_fault_are_limited_and_freed() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let service = Service {
        name: "db".to_owned(),
        argv: vec!["sleep 1001 & exec sleep 1002".to_owned()],
        user: "daemon".to_owned(),
        ..Service::default()
    };
    agent.done(Request::Define(service));
    agent.start("db", false);
    node.until("both run", || agent.pids("db").len() == 2);
    let before = soft_limit(&node, agent.pids("db")[0], "open files");
    agent.inject(1, limit(ResourceLimit::Descriptors(32)));
    agent.proven(1);
    agent.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 5000 });
    agent.start("db", true);
    node.until("both run", || agent.pids("db").len() == 2);
    agent.proven(1);
    let pids = agent.pids("db");
    let all = |what: &str| pids.iter().all(|pid| soft_limit(&node, *pid, "open files") == what);
    assert!(all("32"));
    agent.healed(1);
    assert!(all(&before));
    agent.inject(2, limit(ResourceLimit::Descriptors(48)));
    agent.proven(2);
    node.sh(&format!("kill -9 {}", agent.pids.0));
    agent.ended(&node);
    node.until("the guardian has freed them", || all(&before));
}

#[test]
fn an_out_of_memory_kill_takes_the_process_with_the_most_memory() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let large = "held = bytearray(60 << 20)\nprint('had', flush=True)\nimport time\ntime.sleep(1000)";
    let first = agent.service(&node, "db", &[&format!("python3 -c \"{large}\" & sleep 1001")]);
    node.until("it has its memory", || output(&node).contains("had"));
    agent.inject(1, kill_largest());
    agent.proven(1);
    assert_eq!(node.sh("ps -eo args | grep -c '^python3 -c' || true"), "0");
    assert!(agent.pids("db").contains(&first), "the others live");
    assert!(agent.proof(Request::Undo { fault: 1 }).holds);
}

#[test]
fn limits_that_change_nothing_are_refused() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let refused = |agent: &mut Channel, injection| agent.fails(Request::Inject { fault: 9, injection });
    let reason = refused(&mut agent, limit(ResourceLimit::Descriptors(1 << 30)));
    assert!(reason.contains("this one would change nothing"), "{reason}");
    let pid = agent.pids("db")[0];
    let before: u64 = soft_limit(&node, pid, "open files").parse().expect("a number");
    let reason = refused(&mut agent, limit(ResourceLimit::Descriptors(before - 1)));
    assert!(reason.contains("nothing feels a limit that takes a tenth of them or fewer"), "{reason}");
    agent.inject(1, limit(ResourceLimit::Descriptors(64)));
    let reason = refused(&mut agent, limit(ResourceLimit::SpareDescriptors(0)));
    assert!(reason.contains("fault 1 limits the same processes"), "{reason}");
    agent.inject(2, limit(ResourceLimit::MemoryHeadroom(0)));
    agent.healed(1);
    agent.healed(2);
    agent.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 5000 });
    for injection in [limit(ResourceLimit::Descriptors(8)), limit_cpu(20), burn(1)] {
        let reason = refused(&mut agent, injection);
        assert!(reason.contains("it does not run"), "{reason}");
    }
    let reason = refused(&mut agent, burn(0));
    assert!(reason.contains("0 busy processes change nothing"), "{reason}");
    assert_eq!(agent.undone().1, Vec::<u64>::new());
}

#[test]
fn a_limit_where_little_is_free_and_a_soft_limit_beyond_the_memory_are_no_mistakes() {
    let node = Node::without_cgroup2();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let pid = agent.pids("db")[0];
    node.sh(&format!("prlimit --pid {pid} --nofile=24:"));
    for felt in [ResourceLimit::Descriptors(23), ResourceLimit::SpareDescriptors(15), ResourceLimit::Memory(1 << 50)] {
        agent.inject(1, limit(felt));
        agent.proven(1);
        agent.healed(1);
    }
}

#[test]
fn a_service_that_another_fault_ended_proves_no_limit() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let missed = |agent: &mut Channel, fault| {
        let proof = agent.proof(Request::Prove { fault });
        assert!(!proof.holds, "{proof:?}");
        proof.detail.join("; ")
    };
    agent.inject(1, limit(ResourceLimit::Descriptors(16)));
    agent.inject(2, burn(1));
    agent.proven(1);
    is_proven(&mut agent, 2);
    agent.inject(3, kill());
    let detail = missed(&mut agent, 1);
    assert!(detail.contains("fault 3 has ended its processes"), "{detail}");
    let detail = missed(&mut agent, 2);
    assert!(detail.contains("nothing competes with it"), "{detail}");
    agent.healed(3);
    agent.proven(1);
    is_proven(&mut agent, 2);
    // It ends by itself before any look.
    agent.inject(4, limit(ResourceLimit::MemoryHeadroom(0)));
    node.sh(&format!("kill -9 {}", agent.pids("db")[0]));
    node.until("it ends", || agent.pids("db").is_empty());
    let detail = missed(&mut agent, 4);
    assert!(detail.contains("before any was seen limited"), "{detail}");
    let proof = agent.proven(1);
    assert!(proof.detail[0].contains("ended while they were limited"), "{proof:?}");
    for fault in [1, 2, 4] {
        assert!(agent.proof(Request::Undo { fault }).holds);
    }
    assert_eq!(agent.undone().1, Vec::<u64>::new());
}

#[test]
fn processes_that_came_in_the_fault_get_the_largest_limit_of_before() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let script = "(ulimit -S -n 200; exec sleep 1001) & ulimit -S -n 100; exec sleep 1002";
    agent.service(&node, "db", &[script]);
    let are = |agent: &mut Channel, wanted: [&str; 2]| {
        let pids = agent.pids("db");
        pids.len() == 2 && pids.iter().zip(wanted).all(|(pid, soft)| soft_limit(&node, *pid, "open files") == soft)
    };
    node.until("both run", || are(&mut agent, ["100", "200"]));
    agent.inject(1, limit(ResourceLimit::Descriptors(32)));
    agent.proven(1);
    agent.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 5000 });
    agent.start("db", true);
    // The scripts raise their own limits again.
    node.until("both sleep, limited", || {
        let names = "ps -eo args | grep -c '^sleep 100[12]' || true";
        node.sh(names) == "2" && are(&mut agent, ["32", "32"])
    });
    agent.healed(1);
    assert!(are(&mut agent, ["200", "200"]));
}

#[test]
fn a_service_restarted_beside_a_limit_of_its_cpu_time_goes_on_after_the_heal() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    for round in 0..4 {
        let (cpu, restarts) = (2 * round + 1, 2 * round + 2);
        agent.inject(cpu, limit_cpu(1));
        let every = Injection::RestartLoop { services: names("db"), signal: 9, grace_ms: 0, every_ms: 1 };
        agent.inject(restarts, every);
        node.until("it restarts", || agent.proof(Request::Prove { fault: restarts }).holds);
        assert!(agent.proof(Request::Undo { fault: cpu }).holds);
        agent.healed(restarts);
        let freezers = "cat /sys/fs/cgroup/dsfuzz/*/*/cgroup.freeze %/cg/dsfuzz/*/*/cgroup.freeze 2>/dev/null || true";
        let freezers = node.sh(&freezers.replace('%', &node.path("")));
        assert!(!freezers.contains('1'), "{freezers}");
        let pid = agent.pids("db")[0];
        assert_eq!(node.sh(&format!("ps -o stat= {pid} | cut -c1")), "S");
    }
}

#[test]
fn what_is_stopped_in_part_is_not_continued_in_turns() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep 1001 & exec sleep 1002"]);
    node.until("both run", || agent.pids("db").len() == 2);
    let processes = ProcessSelection { only: Some(Only::First), ..ProcessSelection::default() };
    let stop = Injection::PauseProcesses { services: names("db"), processes, picked: Vec::new() };
    agent.inject(1, stop);
    let reason = agent.fails(Request::Inject { fault: 2, injection: limit_cpu(20) });
    assert!(reason.contains("fault 1 has stopped processes of db"), "{reason}");
    agent.proven(1);
    agent.healed(1);
    agent.inject(2, limit_cpu(20));
    agent.healed(2);
}

#[test]
fn a_service_that_lost_its_first_process_is_not_started_by_the_heal_of_another_fault() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    agent.inject(1, kill_largest());
    agent.proven(1);
    agent.inject(2, kill());
    let proof = agent.proof(Request::Undo { fault: 2 });
    assert!(proof.holds && proof.detail == ["service db: stays dead for fault 1"], "{proof:?}");
    agent.proven(1);
    agent.start("db", true);
    let proof = agent.proof(Request::Prove { fault: 1 });
    assert!(!proof.holds && proof.detail[0].contains("it runs again"), "{proof:?}");
    agent.healed(1);
}

#[test]
fn a_limit_whose_heal_failed_is_not_set_again() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let pid = agent.service(&node, "db", &["sleep", "1001"]);
    let other = agent.service(&node, "other", &["sleep", "1002"]);
    let before = soft_limit(&node, pid, "open files");
    agent.inject(1, limit(ResourceLimit::Descriptors(32)));
    let of_other = Injection::LimitResource {
        services: names("other"),
        limit: ResourceLimit::Descriptors(48),
        picked: Vec::new(),
        groups: Vec::new(),
    };
    agent.inject(2, of_other);
    // The soft limit of before is above this hard one.
    node.sh(&format!("prlimit --pid {pid} --nofile=32:32"));
    let proof = agent.proof(Request::Undo { fault: 1 });
    assert!(!proof.holds && proof.detail[0].contains("are still limited"), "{proof:?}");
    agent.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 5000 });
    let pid = agent.start("db", true);
    // Twice, since the agent may be in the middle of a round.
    for _ in 0..2 {
        node.sh(&format!("prlimit --pid {other} --nofile=512:"));
        node.until("the other one is kept", || soft_limit(&node, other, "open files") == "48");
    }
    assert_eq!(soft_limit(&node, pid, "open files"), before);
    agent.healed(1);
    agent.healed(2);
}
