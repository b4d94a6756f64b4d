//! Custom faults on a real agent: their commands, and their undo when the agent dies.
use crate::node::{Channel, Node};
use dsfuzz_nemesis::protocol::{Command, Injection, OwnCommands, OwnProcesses, Request, Response};

const LEASE_MS: u64 = 20_000;

fn script(text: &str) -> Command {
    Command { argv: vec![text.to_owned()], deadline_ms: 10_000, ..Command::default() }
}

/// A fault whose state is the file `mark` in the node's folder.
fn marked(node: &Node, processes: OwnProcesses) -> OwnCommands {
    let mark = node.path("mark");
    OwnCommands {
        begin: script(&format!("echo made by $(id -un); touch {mark}")),
        prove: script(&format!("echo looking; test -e {mark}")),
        heal: script(&format!("rm -f {mark}; echo removed")),
        healed: script(&format!("test ! -e {mark}")),
        processes,
    }
}

fn own(commands: OwnCommands) -> Injection {
    Injection::Own { name: "mark".to_owned(), services: vec!["db".to_owned()], commands: Box::new(commands) }
}

#[test]
fn what_is_left_behind_is_told_to_every_run_until_a_heal_has_shown_it() {
    let node = Node::new();
    let mut agent = node.agent("a", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let soon = |text: &str| Command { deadline_ms: 500, ..script(text) };
    let healed = soon(&format!("test ! -e {}", node.path("mark")));
    agent.inject(1, own(OwnCommands { heal: soon("exit 3"), healed, ..marked(&node, OwnProcesses::Stay) }));
    agent.close();
    agent.ended(&node);
    for run in ["b", "c", "heal/7"] {
        let mut next = node.agent(run, LEASE_MS);
        let (by_itself, left) = next.undone();
        let told = "left behind: fault 1 of a is over, and what its `begin` did may still be there: run its `heal` by hand: exit 3";
        assert!(left.is_empty() && by_itself.len() == 1, "{run}: {by_itself:?}");
        assert!(!by_itself[0].holds && by_itself[0].why.contains(told), "{run}: {by_itself:?}");
        next.close();
        next.ended(&node);
    }
    assert!(node.agent("d", LEASE_MS).undone().0.is_empty());
}

fn refused(agent: &mut Channel, fault: u64, commands: OwnCommands) -> String {
    agent.fails(Request::Inject { fault, injection: own(commands) })
}

#[test]
fn commands_begin_prove_and_heal_a_fault_and_their_output_is_kept() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let pid = agent.service(&node, "db", &["sleep", "1001"]);
    let commands = marked(&node, OwnProcesses::Stay);
    let response = agent.ask(Request::Inject { fault: 1, injection: own(commands.clone()) });
    let Response::Injected { detail } = response else { panic!("{response:?}") };
    assert_eq!(detail, ["mark: begin ended with 0: made by root"]);
    assert_eq!(agent.proven(1).detail, ["mark: prove ended with 0: looking"]);
    let twice = refused(&mut agent, 2, commands);
    assert!(twice.contains("in force already, as fault 1"), "{twice}");
    let healed = agent.healed(1);
    assert_eq!(healed.detail, ["mark: heal ended with 0: removed", "mark: healed ended with 0"]);
    assert_eq!(agent.pids("db"), [pid], "its processes ran on");
    assert_eq!(agent.undone().1, [0u64; 0]);
}

#[test]
fn a_fault_that_proves_nothing_is_refused_and_one_that_fails_is_undone() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let good = marked(&node, OwnProcesses::Stay);
    let always = refused(&mut agent, 1, OwnCommands { prove: script("true"), ..good.clone() });
    assert!(always.contains("`prove` does not tell"), "{always}");
    let broken = refused(&mut agent, 1, OwnCommands { healed: script("echo so; exit 3"), ..good.clone() });
    assert!(broken.contains("not as it should be before") && broken.contains("ended with 3: so"), "{broken}");
    assert_eq!(agent.undone().1, [0u64; 0], "nothing is in the journal");
    let half = format!("touch {}; echo no; exit 4", node.path("mark"));
    let failed = refused(&mut agent, 1, OwnCommands { begin: script(&half), ..good.clone() });
    assert!(failed.contains("begin ended with 4: no"), "{failed}");
    assert!(!std::path::Path::new(&node.path("mark")).exists(), "undone");
    let slow = Command { deadline_ms: 100, ..script("sleep 1001") };
    let late = refused(&mut agent, 1, OwnCommands { begin: slow, ..good.clone() });
    assert!(late.contains("killed at its deadline of 100 ms"), "{late}");
    assert_eq!(agent.undone().1, [0u64; 0]);
    // In force, it is not proven once its state is gone.
    agent.inject(1, own(good));
    agent.proven(1);
    std::fs::remove_file(node.path("mark")).expect("there");
    assert!(!agent.proof(Request::Prove { fault: 1 }).holds);
    agent.healed(1);
}

#[test]
fn processes_stop_or_start_again_with_the_fault() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    let first = agent.service(&node, "db", &["sleep", "1001"]);
    agent.inject(1, own(marked(&node, OwnProcesses::Stop)));
    agent.proven(1);
    assert!(agent.pids("db").is_empty());
    agent.healed(1);
    let second = agent.pids("db");
    assert!(second.len() == 1 && second != [first]);
    agent.inject(2, own(marked(&node, OwnProcesses::Restart)));
    agent.proven(2);
    let third = agent.pids("db");
    assert!(third.len() == 1 && third != second);
    agent.healed(2);
    assert!(agent.pids("db").len() == 1 && agent.pids("db") != third);
    let fourth = agent.pids("db");
    agent.inject(3, own(marked(&node, OwnProcesses::RestartOnce)));
    agent.proven(3);
    let fifth = agent.pids("db");
    assert!(fifth.len() == 1 && fifth != fourth);
    agent.healed(3);
    assert_eq!(agent.pids("db"), fifth, "the heal leaves them");
    let response = agent.ask(Request::Deaths { cores: false });
    let Response::Deaths { deaths, .. } = response else { panic!("{response:?}") };
    assert_eq!(deaths, [], "the harness stopped them");
}

#[test]
fn faults_that_expire_are_renewed_while_a_command_runs() {
    const SHORT_LEASE_MS: u64 = 1_000;
    let node = Node::new();
    let mut agent = node.agent("r", SHORT_LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    agent.inject(1, Injection::Drop { from: vec![[127, 0, 0, 9].into()] });
    // Longer than a fault lives without renewal.
    let commands = marked(&node, OwnProcesses::Stay);
    let begin = script(&format!("sleep 5; touch {}", node.path("mark")));
    let injection = own(OwnCommands { begin, ..commands });
    let id = agent.send(Request::Inject { fault: 2, injection }, &[]);
    node.until("the command ends", || {
        agent.done(Request::Heartbeat);
        std::path::Path::new(&node.path("mark")).exists()
    });
    let (response, _) = agent.reply(id);
    assert!(matches!(response, Response::Injected { .. }), "{response:?}");
    agent.proven(1);
    agent.healed(2);
    agent.healed(1);
}

#[test]
fn guardian_and_next_agent_heal_it() {
    for guarded in [true, false] {
        let node = Node::new();
        let mut agent = node.agent("r", LEASE_MS);
        agent.service(&node, "db", &["sleep", "1001"]);
        agent.inject(1, own(marked(&node, OwnProcesses::Stop)));
        agent.proven(1);
        let (me, guardian) = agent.pids;
        if guarded {
            node.sh(&format!("kill -9 {me}"));
            node.until("the guardian heals", || !std::path::Path::new(&node.path("mark")).exists());
            agent.ended(&node);
        } else {
            // Stopped first, so that neither replaces or survives the other.
            node.sh(&format!("kill -STOP {me} {guardian}; kill -9 {me} {guardian}"));
            agent.ended(&node);
            assert!(std::path::Path::new(&node.path("mark")).exists());
        }
        let mut next = node.agent("r", LEASE_MS);
        assert!(!std::path::Path::new(&node.path("mark")).exists());
        let (healed, left) = next.undone();
        assert!(healed.iter().any(|heal| heal.fault == 1 && heal.holds) && left.is_empty(), "{healed:?} {left:?}");
        assert_eq!(next.pids("db").len(), 1, "started again");
    }
}

/// The ways in which an agent ends in the middle of a command.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// It is killed, and its guardian heals.
    Killed,
    /// Both are killed, and the next agent heals.
    BothKilled,
    /// Its control node is gone.
    ChannelClosed,
}

fn end(agent: &mut Channel, node: &Node, how: End) {
    let (me, guardian) = agent.pids;
    match how {
        End::Killed => drop(node.sh(&format!("kill -9 {me}"))),
        // Stopped first, so that neither replaces or survives the other.
        End::BothKilled => drop(node.sh(&format!("kill -STOP {me} {guardian}; kill -9 {me} {guardian}"))),
        End::ChannelClosed => agent.close(),
    }
    agent.ended(node);
}

/// The processes of the node with this text in their arguments.
fn processes(node: &Node, text: &str) -> Vec<String> {
    node.sh("ps -eo args").lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

#[test]
fn a_command_that_runs_when_the_agent_ends_is_ended_before_the_undo_with_all_that_it_started() {
    for how in [End::Killed, End::BothKilled, End::ChannelClosed] {
        let node = Node::new();
        let mut agent = node.agent("r", LEASE_MS);
        agent.service(&node, "db", &["sleep", "1001"]);
        let (mark, begun) = (node.path("mark"), node.path("begun"));
        // Writers in sessions of their own, one of them without the command's environment, make the mark again and again.
        let writer = format!("while :; do touch {mark}; sleep 0.01; done");
        let text = format!(
            "setsid sh -c '{writer}' & setsid env -i PATH=$PATH sh -c '{writer}' & touch {begun}; trap '' TERM; sleep 1002; wait"
        );
        let begin = Command { deadline_ms: 120_000, ..script(&text) };
        let injection = own(OwnCommands { begin, ..marked(&node, OwnProcesses::Stay) });
        agent.send(Request::Inject { fault: 1, injection }, &[]);
        node.until("it begins", || [&mark, &begun].iter().all(|path| std::path::Path::new(path).exists()));
        end(&mut agent, &node, how);
        let mut next = node.agent("r", LEASE_MS);
        let (healed, left) = next.undone();
        assert!(healed.iter().any(|heal| heal.fault == 1 && heal.holds), "{how:?}: {healed:?}; {}", node.log());
        assert_eq!(left, [0u64; 0], "{how:?}");
        assert_eq!(processes(&node, "touch"), [""; 0], "{how:?}");
        assert!(!std::path::Path::new(&mark).exists(), "{how:?}");
    }
}

#[test]
fn a_heal_ends_what_a_finished_command_left_running() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let (mark, pid, ran) = (node.path("mark"), node.path("pid"), node.path("ran"));
    let begin = script(&format!("setsid sleep 1003 >/dev/null 2>&1 & echo $! >{pid}; touch {mark}"));
    let heal = script(&format!("kill $(cat {pid}) && touch {ran}; rm -f {mark}"));
    agent.inject(1, own(OwnCommands { begin, heal, ..marked(&node, OwnProcesses::Stay) }));
    agent.proven(1);
    end(&mut agent, &node, End::BothKilled);
    let mut next = node.agent("r", LEASE_MS);
    assert!(std::path::Path::new(&ran).exists(), "it ran until its heal: {}", node.log());
    assert_eq!((processes(&node, "sleep 1003"), next.undone().1), (Vec::new(), Vec::new()));
}

#[test]
fn a_command_is_killed_at_its_deadline_with_all_that_it_started() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let begin = Command { deadline_ms: 300, ..script("setsid sleep 1003 & sleep 1003") };
    let late = refused(&mut agent, 1, OwnCommands { begin, ..marked(&node, OwnProcesses::Stay) });
    assert!(late.contains("killed at its deadline of 300 ms"), "{late}");
    assert_eq!(processes(&node, "sleep 1003"), [""; 0]);
}

#[test]
fn the_next_agent_starts_no_service_that_a_custom_fault_stopped_for_its_commands() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let (begun, ran) = (node.path("begun"), node.path("ran"));
    let begin = Command { deadline_ms: 120_000, ..script(&format!("touch {begun}; sleep 1002")) };
    let heal = script(&format!("! ps -eo args | grep '^sleep 1001' || touch {ran}"));
    let commands = OwnCommands { begin, heal, ..marked(&node, OwnProcesses::RestartOnce) };
    agent.send(Request::Inject { fault: 1, injection: own(commands) }, &[]);
    node.until("it begins", || std::path::Path::new(&begun).exists());
    agent.inject(2, Injection::Kill { services: vec!["db".to_owned()] });
    end(&mut agent, &node, End::BothKilled);
    let mut next = node.agent("r", LEASE_MS);
    let (healed, left) = next.undone();
    assert!(healed.len() == 2 && healed.iter().all(|heal| heal.holds) && left.is_empty(), "{healed:?}; {}", node.log());
    assert!(!std::path::Path::new(&ran).exists(), "the undo of the kill left it stopped: {}", node.log());
    assert_eq!(next.pids("db").len(), 1, "started once the custom fault is undone");
    next.inject(3, Injection::Kill { services: vec!["db".to_owned()] });
    assert!(next.healed(3).detail.iter().any(|line| line.contains("runs as")), "nothing holds it any more");
}

#[test]
fn a_heal_does_not_wait_for_a_proof_that_runs() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let (mark, proving) = (node.path("mark"), node.path("proving"));
    let text = format!("test -e {mark} || exit 1; touch {proving}; setsid sleep 1003 & sleep 1003");
    let prove = Command { deadline_ms: 120_000, ..script(&text) };
    agent.inject(1, own(OwnCommands { prove, ..marked(&node, OwnProcesses::Stay) }));
    let id = agent.send(Request::Prove { fault: 1 }, &[]);
    node.until("the proof runs", || std::path::Path::new(&proving).exists());
    let proof = agent.proof(Request::Undo { fault: 1 });
    assert!(proof.holds, "{proof:?}");
    let (response, _) = agent.reply(id);
    assert!(matches!(&response, Response::Proof(proof) if !proof.holds), "{response:?}");
    assert_eq!(processes(&node, "sleep 1003"), [""; 0]);
    assert_eq!(agent.undone().1, [0u64; 0]);
}

#[test]
fn the_last_line_of_a_command_that_failed_comes_first() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let prove = script("echo one; echo two; echo not yet; exit 3");
    agent.inject(1, own(OwnCommands { prove, ..marked(&node, OwnProcesses::Stay) }));
    let proof = agent.proof(Request::Prove { fault: 1 });
    assert_eq!(proof.detail, ["mark: prove ended with 3: not yet (before it: one | two)"]);
    agent.healed(1);
}

#[test]
fn other_faults_are_proven_and_healed_while_a_heal_runs() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let (mark, healing, go) = (node.path("mark"), node.path("healing"), node.path("go"));
    let text = format!("touch {healing}; while [ ! -e {go} ]; do sleep 0.05; done; rm -f {mark}");
    let heal = Command { deadline_ms: 120_000, ..script(&text) };
    agent.inject(1, own(OwnCommands { heal, ..marked(&node, OwnProcesses::Stay) }));
    agent.inject(2, Injection::Drop { from: vec![[127, 0, 0, 9].into()] });
    let id = agent.send(Request::Undo { fault: 1 }, &[]);
    node.until("the heal begins", || std::path::Path::new(&healing).exists());
    agent.proven(2);
    agent.healed(2);
    assert!(std::path::Path::new(&mark).exists(), "the heal of the custom fault still runs");
    std::fs::write(&go, "").expect("written");
    let (response, _) = agent.reply(id);
    assert!(matches!(&response, Response::Proof(proof) if proof.holds), "{response:?}");
    assert_eq!(agent.undone().1, [0u64; 0]);
}

#[test]
fn a_heal_that_does_not_end_is_killed_at_its_deadline_and_comes_after_the_others() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let good = marked(&node, OwnProcesses::Stay);
    let heal = Command { deadline_ms: 100, ..script("sleep 1001") };
    let healed = Command { deadline_ms: 300, ..good.healed.clone() };
    agent.inject(1, Injection::Drop { from: vec![[127, 0, 0, 9].into()] });
    agent.inject(2, own(OwnCommands { heal, healed, ..good }));
    let proof = agent.proof(Request::UndoAll);
    let said = proof.detail.join("; ");
    assert!(!proof.holds && said.contains("mark: heal was killed at its deadline of 100 ms"), "{said}");
    assert_eq!(agent.undone().1, [2], "the other fault is gone");
    std::fs::remove_file(node.path("mark")).expect("there");
    agent.healed(2);
}

#[test]
fn a_heal_runs_where_its_service_is_no_longer_defined() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    agent.inject(1, own(marked(&node, OwnProcesses::Restart)));
    let (me, guardian) = agent.pids;
    node.sh(&format!("kill -STOP {me} {guardian}; kill -9 {me} {guardian}"));
    agent.ended(&node);
    std::fs::remove_file(node.path("services/db.json")).expect("the definition");
    let mut next = node.agent("r", LEASE_MS);
    let (healed, left) = next.undone();
    assert!(!std::path::Path::new(&node.path("mark")).exists(), "the heal ran");
    assert!(healed.iter().any(|heal| heal.fault == 1 && heal.holds) && left.is_empty(), "{healed:?} {left:?}");
}

#[test]
fn no_other_fault_starts_what_a_custom_fault_has_stopped_for_its_commands() {
    let node = Node::new();
    let mut agent = node.agent("r", LEASE_MS);
    agent.service(&node, "db", &["sleep", "1001"]);
    let services = vec!["db".to_owned()];
    let restarts = Injection::RestartLoop { services: services.clone(), signal: 9, grace_ms: 0, every_ms: 20 };
    agent.inject(1, restarts);
    let reason = refused(&mut agent, 2, marked(&node, OwnProcesses::Restart));
    assert!(reason.contains("fault 1 restarts its services"), "{reason}");
    agent.healed(1);
    let (mark, begun, go) = (node.path("mark"), node.path("begun"), node.path("go"));
    let text = format!("touch {begun}; while [ ! -e {go} ]; do sleep 0.05; done; touch {mark}");
    let begin = Command { deadline_ms: 120_000, ..script(&text) };
    let injection = own(OwnCommands { begin, ..marked(&node, OwnProcesses::RestartOnce) });
    let id = agent.send(Request::Inject { fault: 2, injection }, &[]);
    node.until("it begins", || std::path::Path::new(&begun).exists());
    agent.inject(3, Injection::Kill { services });
    let proof = agent.proof(Request::Undo { fault: 3 });
    assert!(proof.holds && proof.detail == ["service db: stays dead for fault 2"], "{proof:?}");
    assert!(agent.pids("db").is_empty(), "its commands still run");
    std::fs::write(&go, "").expect("written");
    let (response, _) = agent.reply(id);
    assert!(matches!(response, Response::Injected { .. }), "{response:?}");
    assert_eq!(agent.pids("db").len(), 1, "it has started its services");
    agent.proven(2);
    agent.healed(2);
}
