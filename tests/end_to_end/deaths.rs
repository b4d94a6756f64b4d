//! The target's own death, and nodes that two runs want: each is reported, and neither is silently repaired or fought over.
use crate::nodes::Lab;
use crate::stage::{Stage, eventually, history};
use dsfuzz::store::{RunInfo, RunVerdict};
use dsfuzz_checkers::history::ProcessStep;
use dsfuzz_checkers::{Severity, Validity};
use std::time::Duration;

fn plan(name: &str, cluster: &str, seconds: u32) -> String {
    format!(
        "name: {name}\ncluster: {{lab: {cluster}}}\ntarget: etcd\nworkload: {{register: {{keys: 4}}}}\n\
         check: [linearizable]\nload: {{clients: 1n, rate: 100/s, time: {seconds}s, settle: 20s}}\nevidence: {{ok_min: 20}}\n"
    )
}

#[test]
fn a_member_that_aborts_during_the_load_is_found_with_its_last_words() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 3);
    let plan = stage.write("plan.yaml", &plan("abort", &lab.name, 6));
    let mut run = stage.start(&["run", &plan, "--seed", "5"]);
    let dir = stage.await_history(&mut run, "calls", |history| history.ops().len() > 50);
    assert_eq!(lab.ask("n2", "kill -ABRT $(pidof etcd) && echo sent"), "sent");
    let output = run.wait().exits(1).says(&["etcd on n2 ended by itself"]);

    let verdict = RunVerdict::load(&dir).expect("verdict.json");
    let of = |name: &str| verdict.promises.iter().find(|promise| promise.checker == name).expect(name);
    let found: Vec<_> =
        of("crashes").findings.iter().filter(|finding| finding.severity == Severity::Violation).collect();
    assert_eq!(found.iter().map(|finding| finding.kind.as_str()).collect::<Vec<_>>(), ["crashed"], "{output}");
    let words = found[0].sentences.join("\n");
    assert!(words.contains("No fault was in force.") && words.contains("SIGABRT: abort"), "{words}");
    assert_eq!((found[0].nodes.as_slice(), of("linearizable").validity), (&["n2".to_owned()][..], Validity::Valid));
    let history = history(&dir);
    let step = |step: ProcessStep| history.processes.iter().filter(move |event| event.step == step).count();
    assert_eq!((step(ProcessStep::Ended), step(ProcessStep::Restarted)), (1, 1), "{:?}", history.processes);
    assert!(RunInfo::load(&dir).expect("run.json").harness_failures.is_empty());
    // The files alone say the same.
    stage.run(&["check", "abort"]).exits(1).says(&["etcd on n2 ended by itself"]);
}

#[test]
fn a_node_that_a_run_uses_is_refused_to_others_and_an_eviction_is_no_answer_about_the_target() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 1);
    let long = stage.write("long.yaml", &plan("long", &lab.name, 60));
    let short = stage.write("short.yaml", &plan("short", &lab.name, 3));
    let mut first = stage.start(&["run", &long, "--seed", "1"]);
    let dir = stage.await_history(&mut first, "calls", |history| history.ops().len() > 50);

    let refused = ["n1 is used by run long/", "from host", "wait for its end", "--take-over"];
    stage.run(&["run", &short]).exits(255).says(&refused);
    stage.run(&["heal", "--lab", &lab.name]).exits(255).says(&refused);
    let used = format!("lab {} is in use: n1 is used by run long/", lab.name);
    stage.run(&["lab", "down", &lab.name]).exits(255).says(&[&used, "end the lab all the same with --take-over"]);
    let before = history(&dir).ops().len();
    stage.await_history(&mut first, "the first run goes on", |history| history.ops().len() > before + 50);

    stage.run(&["run", &short, "--seed", "2", "--take-over"]).exits(0);
    let output = first.wait().exits(255).says(&["evicted by run short/"]);
    let info = RunInfo::load(&dir).expect("run.json");
    assert!(info.harness_failures[0].contains("n1: evicted by run short/"), "{output}");
    let until = info.judged_until.expect("a time");
    let verdict = RunVerdict::load(&dir).expect("verdict.json");
    assert_eq!((verdict.validity, verdict.exit), (Validity::Unknown, 255), "{output}");
    let exported = std::fs::File::open(dir.history()).expect("history.jsonl");
    let judged = dsfuzz_checkers::history::read_jsonl(std::io::BufReader::new(exported)).expect("a history");
    assert!(judged.end_time <= until && !judged.complete, "{} {until}", judged.end_time);
    assert!(judged.ops().iter().all(|op| !op.settle), "no final read of another run's data");
    stage.run(&["check", "long"]).exits(255);
    eventually("nothing is left to heal", Duration::from_secs(30), || {
        (stage.run(&["heal", "--lab", &lab.name]).stdout == "n1: nothing was left\n").then_some(())
    });
}

#[test]
fn a_lab_that_a_run_uses_goes_down_only_by_a_take_over() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 1);
    let long = stage.write("long.yaml", &plan("long", &lab.name, 60));
    let mut run = stage.start(&["run", &long, "--seed", "1"]);
    stage.await_history(&mut run, "calls", |history| history.ops().len() > 50);
    stage.run(&["lab", "down", &lab.name]).exits(255).says(&["is in use: n1 is used by run long/"]);
    stage.run(&["lab", "list"]).exits(0).says(&[&lab.name]);
    // A run whose control node is dead gives its nodes up within its lease.
    run.kill();
    stage.run(&["lab", "down", &lab.name]).exits(0).says(&["is down"]);
    let again = Lab::up(&stage, 1);
    let long = stage.write("long.yaml", &plan("long", &again.name, 60));
    let mut run = stage.start(&["run", &long, "--seed", "2"]);
    stage.await_history(&mut run, "calls", |history| history.ops().len() > 50);
    stage.run(&["lab", "down", &again.name, "--take-over"]).exits(0).says(&["is down"]);
    stage.run(&["lab", "down", &again.name]).exits(254).says(&["no lab named"]);
    run.kill();
}
