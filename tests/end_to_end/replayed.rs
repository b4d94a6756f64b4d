//! A run with a finding, packed, and run again from its archive alone.
use crate::stage::{Stage, eventually};
use dsfuzz::run::journal;
use dsfuzz::store::{self, RunDir, RunInfo};
use nix::sys::signal::Signal;
use std::time::Duration;

/// Stale reads during a partition: etcd answers from the member's own copy.
const PLAN: &str = "\
name: stale
cluster: {lab: 3}
target: etcd
options: {etcd: {heartbeat_ms: 50, election_ms: 500, serializable: true}}
workload: {register: {keys: 4}}
evidence: {ok_min: 20}
load: {clients: 2n, rate: 200/s, time: 14s, deadline: 300ms}
nemesis: {every: 9s, for: 6s, quiet_start: 2s, quiet_end: 5s, faults: [{partition: {shape: isolate-leader}}]}
";

#[test]
fn a_finding_comes_back_from_its_archive_and_a_replay_that_is_stopped_goes_on() {
    let stage = Stage::new();
    let plan = stage.write("plan.yaml", PLAN);
    stage.run(&["run", &plan, "--seed", "3"]).exits(1);
    let first = RunInfo::load(&stage.latest("stale")).expect("run.json");
    let archive = stage.path("stale.tar.gz").display().to_string();
    stage.run(&["pack", "stale", "--output", &archive]).exits(0);
    std::fs::rename(stage.path("results"), stage.path("gone")).expect("moved");

    let words = ["replay", archive.as_str(), "-n", "1", "--control", "0"];
    let results = stage.path("results");
    let repeated = || -> Vec<RunDir> {
        let rows = store::list(&results).unwrap_or_default();
        rows.into_iter().filter(|row| row.replay.is_some()).map(|row| RunDir::at(row.path)).collect()
    };
    let replay = stage.start(&words);
    let loaded =
        |run: &RunDir| journal::read(&run.journal()).is_ok_and(|history| history.ops().iter().next().is_some());
    eventually("a run with calls", Duration::from_secs(90), || {
        repeated().first().filter(|run| loaded(run)).map(|_| ())
    });
    replay.signal(Signal::SIGINT);
    let stopped = replay.wait().exits(130).says(&["stopped with 1 run to go", "reproduced 0 of 0"]);
    let run = repeated().remove(0);
    let info = RunInfo::load(&run).expect("run.json");
    assert!(info.stopped_by.is_some() && run.under_way().is_none(), "{info:?}\n{stopped}");

    let output = stage.run(&[&words[..], &["--json"]].concat()).exits(1);
    let document = output.json();
    let rate = &document["rates"][0]["with_faults"];
    assert_eq!((rate["hits"].as_u64(), rate["runs"].as_u64()), (Some(1), Some(1)), "{output}");
    assert_eq!(repeated().len(), 2, "{output}");
    for run in repeated() {
        let again = RunInfo::load(&run).expect("run.json");
        let replay = again.replay.expect("a repetition");
        assert_eq!((replay.started, again.seed, again.nodes.len()), (first.started.clone(), 3, 3));
    }
    // Everything is counted again, and nothing is run.
    stage.run(&words).exits(1).says(&["reproduced 1 of 1"]);
    assert_eq!(repeated().len(), 2);
}
