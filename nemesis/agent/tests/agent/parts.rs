//! Faults of single processes of a service, and ends by other signals than SIGKILL, on a real agent in namespaces.

use crate::node::{Channel, Node};
use dsfuzz_nemesis::protocol::{ClaimEntry, Injection, Only, ProcessSelection, Request, Response};

const LEASE_MS: u64 = 20_000;

fn names(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

/// A service whose first process is a script with two children, of which one ignores SIGTERM.
const FAMILY: &str = "sleep 1001 & python3 -c 'import signal,time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(1002)' & \
    while :; do sleep 0.05; done";

/// The process of the service whose command line begins with this.
fn begins_with(node: &Node, agent: &mut Channel, text: &str) -> Option<u32> {
    let of = |pid: &u32| node.sh(&format!("tr '\\0' ' ' < /proc/{pid}/cmdline || true")).starts_with(text);
    agent.pids("db").into_iter().find(of)
}

fn state(node: &Node, pid: u32) -> String {
    node.sh(&format!("awk '/^State/ {{print $2}}' /proc/{pid}/status || true"))
}

fn end(selection: ProcessSelection, signal: i32) -> Injection {
    Injection::EndProcesses {
        services: names("db"),
        processes: selection,
        signal,
        grace_ms: 5000,
        start_after_ms: 0,
        picked: Vec::new(),
    }
}

fn only(only: Only) -> ProcessSelection {
    ProcessSelection { only: Some(only), ..ProcessSelection::default() }
}

fn matching(command: &str) -> ProcessSelection {
    ProcessSelection { command: command.to_owned(), ..ProcessSelection::default() }
}

/// Starts the family, and returns its first process, the child that obeys and the one that does not.
fn family(node: &Node, agent: &mut Channel) -> (u32, u32, u32) {
    let first = agent.service(node, "db", &[FAMILY]);
    let mut children = None;
    node.until("its children run", || {
        let (sleeper, stubborn) = ("sleep 1001", "python3 -c import");
        children = begins_with(node, agent, sleeper).zip(begins_with(node, agent, stubborn));
        // Python ignores the signal a moment after its start.
        let ignores = |pid: u32| {
            u64::from_str_radix(&node.sh(&format!("awk '/^SigIgn/ {{print $2}}' /proc/{pid}/status")), 16)
                .is_ok_and(|set| set & (1 << 14) != 0)
        };
        children.is_some_and(|(_, stubborn)| ignores(stubborn))
    });
    let (sleeper, stubborn) = children.expect("both");
    (first, sleeper, stubborn)
}

#[test]
fn a_pause_of_the_first_process_leaves_its_children_running_and_the_other_way_round() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        let (first, sleeper, stubborn) = family(&node, &mut agent);
        let pause = |processes| Injection::PauseProcesses { services: names("db"), processes, picked: Vec::new() };
        agent.inject(1, pause(only(Only::First)));
        agent.proven(1);
        assert_eq!([first, sleeper, stubborn].map(|pid| state(&node, pid)), ["T", "S", "S"]);
        // Another pause of the same process keeps it stopped.
        agent.inject(2, pause(only(Only::First)));
        agent.healed(1);
        agent.proven(2);
        agent.healed(2);
        node.until("the script goes on", || state(&node, first) != "T");
        agent.inject(3, pause(matching("1002")));
        let proof = agent.proven(3);
        assert!(state(&node, sleeper) == "S" && state(&node, stubborn) == "T", "{proof:?}");
        node.sh(&format!("kill -CONT {stubborn}"));
        assert!(!agent.proof(Request::Prove { fault: 3 }).holds, "it was continued by another");
        agent.healed(3);
        let nothing = agent.fails(Request::Inject { fault: 4, injection: pause(matching("postgres: ")) });
        assert!(nothing.contains("none of its") && nothing.contains("match: postgres: "), "{nothing}");
        assert_eq!(agent.undone().1, Vec::<u64>::new());
    }
}

#[test]
fn a_kill_of_the_first_process_leaves_its_children_and_its_undo_starts_it_beside_them() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        let (first, sleeper, stubborn) = family(&node, &mut agent);
        agent.inject(1, end(only(Only::First), 9));
        agent.proven(1);
        let left = agent.pids("db");
        assert!(!left.contains(&first) && left.contains(&sleeper) && left.contains(&stubborn), "{left:?}");
        agent.healed(1);
        let after = agent.pids("db");
        assert!(after.contains(&sleeper) && after.len() > left.len(), "{after:?}");
        // A repeated undo starts nothing more.
        assert!(agent.proof(Request::Undo { fault: 1 }).holds);
    }
}

#[test]
fn a_process_that_ignores_the_signal_is_not_proven_and_the_undo_clears_it_away() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        let (first, _, stubborn) = family(&node, &mut agent);
        agent.inject(1, end(ProcessSelection::default(), 15));
        node.until("the others have ended", || agent.pids("db") == [stubborn]);
        let proof = agent.proof(Request::Prove { fault: 1 });
        assert!(!proof.holds && proof.detail[0].contains("did not end by signal 15"), "{proof:?}");
        agent.healed(1);
        let now = agent.pids("db");
        assert!(!now.is_empty() && !now.contains(&stubborn) && !now.contains(&first), "{now:?}");
    }
}

/// A service that takes its time to end by SIGTERM: longer than `grace` in these tests, or until the file `go` is there.
const SLOW_END: &str = "import signal,time,os\ndef end(*_):\n  print('ending', flush=True)\n  \
    while not os.path.exists('go'): time.sleep(0.01)\n  time.sleep(0.3); os._exit(0)\n\
    signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\nwhile True: time.sleep(1)\n";

/// Runs it; returns its process.
fn slow_to_end(node: &Node, agent: &mut Channel) -> u32 {
    drop(std::fs::remove_file(node.path("db.out")));
    let first = agent.service_in(node, "db", &["/usr/bin/env", "python3", "-c", SLOW_END], &node.path(""));
    node.until("it is ready", || said(node, "ready"));
    first
}

/// Whether it has printed this.
fn said(node: &Node, word: &str) -> bool {
    std::fs::read_to_string(node.path("db.out")).is_ok_and(|text| text.contains(word))
}

/// One process of the service runs, not this one, and nothing has asked it to end.
fn runs_anew(node: &Node, agent: &mut Channel, ended: u32) {
    let now = agent.pids("db");
    assert!(now.len() == 1 && now != [ended], "{now:?} {ended}; {}", node.log());
    node.until("the old one is gone", || !matches!(state(node, ended).as_str(), "R" | "S" | "D" | "T"));
    assert_eq!(agent.pids("db"), now);
}

#[test]
fn an_undo_sees_a_process_end_that_is_still_ending_or_kills_it() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        // It ends within its grace.
        let first = slow_to_end(&node, &mut agent);
        agent.inject(1, end(ProcessSelection::default(), 15));
        node.until("it is ending", || said(&node, "ending"));
        std::fs::write(node.path("go"), "").expect("written");
        let proof = agent.proof(Request::Undo { fault: 1 });
        assert!(proof.holds && !proof.detail.iter().any(|line| line.contains("were killed")), "{proof:?}");
        runs_anew(&node, &mut agent, first);
        // It does not.
        std::fs::remove_file(node.path("go")).expect("removed");
        for processes in [ProcessSelection::default(), only(Only::First)] {
            agent.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 0 });
            let first = slow_to_end(&node, &mut agent);
            agent.inject(2, end(processes, 15));
            node.until("it is ending", || said(&node, "ending"));
            let proof = agent.proof(Request::Undo { fault: 2 });
            assert!(proof.holds && proof.detail[0].contains("did not end and were killed"), "{proof:?}");
            runs_anew(&node, &mut agent, first);
        }
        let Response::Deaths { deaths, .. } = agent.ask(Request::Deaths { cores: false }) else { panic!("deaths") };
        assert!(deaths.is_empty(), "the harness ended it: {deaths:?}");
    }
}

#[test]
fn a_process_that_is_ending_when_its_agent_is_killed_runs_again_afterwards() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        let restart = Injection::RestartLoop { services: names("db"), signal: 15, grace_ms: 5000, every_ms: 60_000 };
        for (fault, injection) in [(1, end(ProcessSelection::default(), 15)), (2, restart)] {
            let first = slow_to_end(&node, &mut agent);
            agent.inject(fault, injection);
            node.until("it is ending", || said(&node, "ending"));
            node.sh(&format!("kill -9 {}", agent.pids.0));
            agent.ended(&node);
            let mut next = node.ungreeted(&[]);
            assert!(matches!(next.greet("r", LEASE_MS, ClaimEntry::Again), Response::Hello { .. }));
            let (healed, left) = next.undone();
            assert!(healed.iter().all(|heal| heal.holds) && left.is_empty(), "{healed:?} {left:?}");
            runs_anew(&node, &mut next, first);
            next.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 0 });
            next.done(Request::Bye { stop_services: true });
            drop(next);
            agent = node.agent("r", LEASE_MS);
        }
    }
}

#[test]
fn a_graceful_end_is_no_death_but_a_crash_in_the_shutdown_is() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.02; done"]);
    agent.inject(1, end(ProcessSelection::default(), 15));
    node.until("it has ended", || agent.proof(Request::Prove { fault: 1 }).holds);
    agent.healed(1);
    agent.done(Request::Stop { service: "db".to_owned(), signal: 9, grace_ms: 5000 });
    agent.service(&node, "db", &["sh", "-c", "trap 'kill -SEGV $$' TERM; while :; do sleep 0.02; done"]);
    agent.inject(2, end(ProcessSelection::default(), 15));
    node.until("it has ended", || agent.proof(Request::Prove { fault: 2 }).holds);
    let mut found = Vec::new();
    node.until("its death is reported", || {
        let Response::Deaths { deaths, .. } = agent.ask(Request::Deaths { cores: false }) else { return false };
        found = deaths;
        !found.is_empty()
    });
    let how: Vec<&str> = found.iter().map(|death| death.how.as_str()).collect();
    assert_eq!(how, ["signal 11 (SIGSEGV)"]);
    agent.healed(2);
}

#[test]
fn processes_stopped_or_ended_alone_are_put_right_when_the_agent_is_killed() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        let (first, sleeper, _) = family(&node, &mut agent);
        agent.inject(
            1,
            Injection::PauseProcesses { services: names("db"), processes: only(Only::First), picked: Vec::new() },
        );
        agent.inject(2, end(matching("^sleep 1001"), 9));
        agent.proven(1);
        agent.proven(2);
        node.sh(&format!("kill -9 {}", agent.pids.0));
        agent.ended(&node);
        node.until("its guardian has continued the process", || !matches!(state(&node, first).as_str(), "T" | ""));
        let mut next = node.ungreeted(&[]);
        assert!(matches!(next.greet("r", LEASE_MS, ClaimEntry::Again), Response::Hello { .. }));
        let (healed, left) = next.undone();
        assert_eq!((healed.len(), left), (2, Vec::new()), "{healed:?}");
        assert!(healed.iter().all(|heal| heal.holds), "{healed:?}");
        assert_ne!(state(&node, sleeper), "S", "the undo of the kill of a child starts nothing");
    }
}

#[test]
fn a_restart_loop_restarts_until_its_undo_which_leaves_the_service_running() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        let first = agent.service(&node, "db", &["sleep", "1001"]);
        let restart = || Injection::RestartLoop { services: names("db"), signal: 15, grace_ms: 1000, every_ms: 200 };
        agent.inject(1, restart());
        node.until("it was restarted three times", || {
            let proof = agent.proof(Request::Prove { fault: 1 });
            let count = proof.detail[0].split(' ').rev().nth(1).and_then(|count| count.parse().ok());
            count.unwrap_or(0) >= 3
        });
        agent.proven(1);
        agent.healed(1);
        let after = agent.pids("db");
        assert!(after.len() == 1 && after != [first], "{after:?}");
        // Neither the restarts nor the undo are deaths of the service; one that follows shows that deaths are reported.
        node.sh(&format!("kill -ABRT {}", after[0]));
        let mut reported = Vec::new();
        node.until("the death is reported", || {
            let Response::Deaths { deaths, .. } = agent.ask(Request::Deaths { cores: false }) else { return false };
            reported = deaths.into_iter().map(|death| death.how).collect();
            !reported.is_empty()
        });
        assert_eq!(reported, ["signal 6 (SIGABRT)"]);
        // The death of the agent ends the restarts, and its guardian leaves the service running.
        agent.start("db", true);
        agent.inject(2, restart());
        node.until("it was restarted", || agent.proof(Request::Prove { fault: 2 }).holds);
        node.sh(&format!("kill -9 {}", agent.pids.0));
        agent.ended(&node);
        let mut next = node.ungreeted(&[]);
        assert!(matches!(next.greet("r", LEASE_MS, ClaimEntry::Again), Response::Hello { .. }));
        let (healed, left) = next.undone();
        assert_eq!((healed.len(), left), (1, Vec::new()), "{healed:?}");
        assert!(healed[0].holds && next.pids("db").len() == 1, "{healed:?}");
    }
}

/// Holds a thread of this number still by ptrace until its input ends.
const HOLD_THREAD: &str = "import ctypes,os,sys\nptrace,thread=ctypes.CDLL(None).ptrace,int(sys.argv[1])\n\
    assert ptrace(0x4206,thread,0,0)==0 and ptrace(0x4207,thread,0,0)==0\nos.waitpid(thread,0x40000000)\nsys.stdin.read()";

#[test]
fn restarts_that_stand_still_are_in_force_no_longer_and_count_again_when_they_go_on() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    agent.inject(1, Injection::RestartLoop { services: names("db"), signal: 9, grace_ms: 0, every_ms: 2000 });
    node.until("it was restarted", || agent.proof(Request::Prove { fault: 1 }).holds);
    // Threads that it starts have its name too, and higher numbers.
    let thread =
        format!("cd /proc/{}/task; grep -lx restarts */comm | cut -d/ -f1 | sort -n | head -n 1", agent.pids.0);
    let thread = node.sh(&thread);
    let mut holder = node.command("python3", &["-c", HOLD_THREAD, &thread]);
    let mut holder = holder.stdin(std::process::Stdio::piped()).spawn().expect("python3");
    node.until("the proof fails", || {
        let proof = agent.proof(Request::Prove { fault: 1 });
        !proof.holds && proof.detail.iter().any(|detail| detail.contains("stand still"))
    });
    drop(holder.stdin.take());
    assert!(holder.wait().expect("ended").success(), "the thread {thread} was held");
    node.until("the restarts go on", || agent.proof(Request::Prove { fault: 1 }).holds);
    agent.healed(1);
}

/// Takes a lock that its process holds to its end, then so much memory that the end takes a while, and threads that may be the
/// last to end. Says when it has all.
const SLOW_RELEASE: &str = "exec 9>>held; flock -n 9 || { echo taken >>said; exit 1; }
    exec python3 -c \"import threading,time\nx=b'1'*(600<<20)\nfor _ in range(8): threading.Thread(target=time.sleep,args=(1000,)).start()
open('said','a').write('holds\\n')\"";

#[test]
fn a_service_starts_again_only_after_all_that_its_dead_process_held_is_released() {
    for node in [Node::new(), Node::without_cgroup2()] {
        let mut agent = node.agent("r", LEASE_MS);
        agent.service_in(&node, "db", &["sh", "-c", SLOW_RELEASE], &node.path(""));
        let said = || std::fs::read_to_string(node.path("said")).unwrap_or_default();
        node.until("it holds all", || !said().is_empty());
        let restarts = Injection::RestartLoop { services: names("db"), signal: 9, grace_ms: 0, every_ms: 1500 };
        agent.inject(1, restarts);
        node.until("it was started again some times", || said().lines().count() > 4);
        agent.healed(1);
        node.until("it holds all again", || agent.pids("db").len() == 1 && said().ends_with("holds\n"));
        let starts = said().lines().count();
        agent.inject(2, Injection::Kill { services: names("db") });
        agent.healed(2);
        node.until("it was started again by the undo", || said().lines().count() > starts);
        assert!(!said().contains("taken"), "{}", said());
    }
}
