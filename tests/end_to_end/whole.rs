//! Whole runs on labs of their own: what is right is valid, what is wrong is found, and the files are all there.
use crate::stage::{Stage, history};
use dsfuzz::store::{RunDir, RunInfo, RunVerdict};
use dsfuzz_checkers::Severity;

#[test]
fn etcd_keeps_its_promise_through_every_fault_and_every_file_is_there() {
    let stage = Stage::new();
    let plan = stage.write("plan.yaml", include_str!("right.yaml"));
    let run = stage.start(&["run", &plan, "--seed", "5"]);
    let own_lab = format!("run-{}", run.id());
    let output = run.wait().exits(0);

    let dir = stage.latest("right");
    let history = history(&dir);
    assert_eq!(history.faults.len(), 4, "{output}");
    for fault in &history.faults {
        assert!(fault.certain().is_some() && fault.healed.is_some() && !fault.unhealed, "{fault:?}");
    }
    assert!(history.complete && history.ops().iter().any(|op| op.settle));
    every_file_is_there(&dir);
    let results = stage.path("results");
    assert_eq!(results.join("latest").canonicalize().expect("a link"), dir.path());

    let last: Vec<&str> = output.stdout.lines().rev().take(4).collect();
    assert!(last[3].starts_with("Valid"), "{output}");
    assert!(last[2].contains("calls kept every promise") && last[2].contains("4 proven faults"), "{output}");
    assert!(last[1].starts_with("report: ") && last[1].ends_with("report.html"), "{output}");
    assert!(last[0].starts_with("again:  dsfuzz run ") && last[0].ends_with("--seed 5"), "{output}");

    let info = RunInfo::load(&dir).expect("run.json");
    assert_eq!((info.exit, info.seed), (Some(0), 5));
    assert!(info.harness_failures.is_empty() && info.unseen.is_empty(), "{info:?}");
    assert!(info.target_versions.len() == 3 && info.nodes.iter().all(|node| !node.boot_id.is_empty()), "{info:?}");
    let labs = stage.run(&["lab", "list", "--json"]).exits(0).json();
    assert!(labs.as_array().expect("labs").iter().all(|lab| lab["name"] != own_lab.as_str()), "{labs}");

    stage.run(&["check", "right"]).exits(0);
    stage.run(&["runs"]).exits(0).says(&["right", "valid"]);
    std::fs::remove_file(dir.report()).expect("removed");
    stage.run(&["report", "right"]).exits(0);
    assert!(dir.report().is_file());
}

fn every_file_is_there(dir: &RunDir) {
    let mut files = vec![dir.plan(), dir.info(), dir.history(), dir.verdict(), dir.report(), dir.junit(), dir.log()];
    files.push(dir.plain_report().join("index.html"));
    files.extend(["n1", "n2", "n3"].map(|node| dir.node(node).join("etcd.log")));
    for file in files {
        assert!(file.metadata().is_ok_and(|file| file.len() > 0), "{} is missing or empty", file.display());
    }
    assert!(dir.journal().is_dir());
    RunVerdict::load(dir).expect("verdict.json");
}

#[test]
fn stale_reads_are_found_and_found_again_from_the_files_alone() {
    let stage = Stage::new();
    let wrong = "\
name: wrong
cluster: {lab: 3}
target: etcd
options: {etcd: {heartbeat_ms: 50, election_ms: 500}}
workload: {register: {keys: 4}}
evidence: {ok_min: 20}
load: {clients: 2n, rate: 300/s, time: 26s, deadline: 300ms}
nemesis:
  every: 9s
  for: 6s
  quiet_start: 2s
  quiet_end: 5s
  faults: [{partition: {shape: isolate-leader}}]
";
    let plan = stage.write("plan.yaml", wrong);
    stage.run(&["run", &plan, "--seed", "3", "--set", "options.etcd.serializable=true"]).exits(1);

    let dir = stage.latest("wrong");
    let violations = |dir: &RunDir| {
        let verdict = RunVerdict::load(dir).expect("verdict.json");
        let findings = verdict.promises.into_iter().flat_map(|promise| promise.findings);
        findings.filter(|finding| finding.severity == Severity::Violation).collect::<Vec<_>>()
    };
    let found = violations(&dir);
    let smallest = found.iter().map(|finding| finding.ops.len()).min();
    assert!(smallest.is_some_and(|ops| (1..=6).contains(&ops)), "{found:?}");

    // Without the export the journal alone decides.
    std::fs::remove_file(dir.history()).and_then(|()| std::fs::remove_file(dir.verdict())).expect("removed");
    stage.run(&["check", "wrong"]).exits(1);
    assert_eq!(violations(&dir).len(), found.len());
    let alone = stage.path("history.jsonl");
    std::fs::copy(dir.history(), &alone).expect("copied");
    stage.run(&["check", &alone.display().to_string()]).exits(1);
}
