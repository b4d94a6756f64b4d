//! Ctrl-C and SIGTERM while a fault is in force: healed, collected, judged, and an exit code of its own.
use crate::program::ProgramOutput;
use crate::stage::{Stage, eventually, history};
use dsfuzz::store::RunDir;
use dsfuzz_checkers::{Budget, History, Validity, checker, judge_one};
use nix::sys::signal::Signal;
use std::time::Duration;

fn plan(name: &str, fault: &str, more: &str) -> String {
    format!(
        "name: {name}\ncluster: {{lab: 3}}\ntarget: etcd\nworkload: {{register: {{keys: 4}}}}\n\
         load: {{clients: 2n, rate: 200/s, time: 90s}}\n\
         nemesis: {{every: 60s, for: 40s, quiet_start: 1s, quiet_end: 5s, faults: [{fault}]}}\n{more}"
    )
}

fn healed_and_collected(dir: &RunDir, output: &ProgramOutput) -> History {
    let history = history(dir);
    let begun: Vec<_> = history.faults.iter().filter(|fault| fault.begun.is_some()).collect();
    assert!(!begun.is_empty() && begun.iter().all(|fault| fault.healed.is_some()), "{begun:?}\n{output}");
    assert!(history.complete, "{output}");
    for file in [dir.report(), dir.verdict(), dir.junit(), dir.node("n2").join("etcd.log")] {
        assert!(file.is_file(), "{} is missing\n{output}", file.display());
    }
    history
}

#[test]
fn a_signal_heals_collects_and_judges_and_names_itself_in_the_exit_code() {
    let stage = Stage::new();
    let cases = [
        ("interrupt", "partition: {shape: isolate-one}", Signal::SIGINT, 130),
        ("terminate", "pause: {nodes: one}", Signal::SIGTERM, 143),
    ];
    for (name, fault, signal, exit) in cases {
        let plan = stage.write("plan.yaml", &plan(name, &format!("{{{fault}}}"), ""));
        let mut run = stage.start(&["run", &plan, "--seed", "2"]);
        let dir = stage.await_proven(&mut run);
        run.signal(signal);
        let output = run.wait().exits(exit).says(&["stopping: healing", &format!("stopped by {signal}")]);
        let history = healed_and_collected(&dir, &output);
        assert!(history.ops().iter().any(|op| op.settle), "final reads are made after one signal\n{output}");
        // Judged again, it has the same answer: nothing found, and stopped.
        stage.run(&["check", &dir.path().display().to_string()]).exits(exit);
    }
}

#[test]
fn a_broken_promise_beats_the_signal() {
    let stage = Stage::new();
    let plan = stage.write(
        "plan.yaml",
        &plan("broken", "{partition: {shape: isolate-leader}}", "options: {etcd: {serializable: true}}\n"),
    );
    let mut run = stage.start(&["run", &plan, "--seed", "2"]);
    let dir = stage.await_history(&mut run, "a stale read while a fault is in force", |history| {
        let linearizable = checker("linearizable").expect("built in");
        let in_force = history.faults.iter().any(|fault| fault.proven.is_some());
        in_force && judge_one(linearizable.as_ref(), history, &Budget::unlimited()).validity == Validity::Invalid
    });
    run.signal(Signal::SIGINT);
    let output = run.wait().exits(1);
    healed_and_collected(&dir, &output);
}

#[test]
fn a_signal_ends_a_start_that_would_never_come() {
    let stage = Stage::new();
    let recipe = "\
schema: 1
name: mute
doc: It runs and never serves.
processes: [{name: mute, start: [sleep, '1000'], ports: {client: 2379}}]
clients: [{interface: http, workloads: [register], builtin: etcd}]
";
    stage.write("recipe.yaml", recipe);
    let plan = stage.write("plan.yaml", "name: mute\ntarget: ./recipe.yaml\nworkload: register\ncluster: {lab: 1}\n");
    let mut run = stage.start(&["run", &plan]);
    eventually("the start", Duration::from_secs(60), || {
        run.assert_under_way("a start");
        run.stderr().contains("\nstart ").then_some(())
    });
    run.signal(Signal::SIGINT);
    run.wait().exits(130).says(&["start: stopped by a signal", "stopped by SIGINT"]);
}
