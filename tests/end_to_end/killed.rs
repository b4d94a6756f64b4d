//! Control is killed with -9, or cut off, while a fault is in force: the nodes clean themselves, and what was recorded
//! is judged. The lab is started separately, and its etcd goes on.
use crate::nodes::Lab;
use crate::stage::{Stage, history};
use dsfuzz_checkers::Op;

const CLIENTS: usize = 6;
/// The default of `load.joining`, for each node.
const JOINING_MAX: usize = 40;

fn plan(lab: &Lab<'_>, name: &str, fault: &str, time: &str, lasts: &str) -> String {
    format!(
        "name: {name}\ncluster: {{lab: {}}}\ntarget: etcd\nworkload: {{register: {{keys: 4}}}}\n\
         load: {{clients: {CLIENTS}, rate: 200/s, time: {time}}}\n\
         nemesis: {{every: 100s, for: {lasts}, quiet_start: 1s, quiet_end: 5s, faults: [{{{fault}}}]}}\n",
        lab.name
    )
}

#[test]
fn after_kill_9_every_node_cleans_itself_and_the_partial_history_is_judged() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 3);
    let faults = [
        ("partition", "partition: {shape: isolate-leader}"),
        ("pause", "pause: {nodes: majority}"),
        ("clock", "clock: {jump: 60s, nodes: majority}"),
        ("kill", "kill: {nodes: minority}"),
    ];
    for (name, fault) in faults {
        let plan = stage.write("plan.yaml", &plan(&lab, name, fault, "120s", "90s"));
        let mut run = stage.start(&["run", &plan, "--seed", "4"]);
        let dir = stage.await_proven(&mut run);
        lab.assert_dirty();
        let before = lab.etcds();
        run.kill();
        lab.await_clean();
        let after = lab.etcds();
        assert!(after.iter().all(|pid| !pid.is_empty()), "{name}: an etcd is gone: {before:?} {after:?}");
        assert!(name == "kill" || before == after, "{name}: an etcd was started anew: {before:?} {after:?}");

        let output = stage.run(&["check", &dir.path().display().to_string()]);
        assert!((1..=2).contains(&output.code), "{name}: {output}");
        let headline = output.stdout.lines().rev().nth(3).unwrap_or_default();
        assert!(headline.contains("the recording was cut off"), "{name}: {output}");
        let history = history(&dir);
        let in_flight = history.ops().iter().filter(|op| op.reply == Op::OPEN).count();
        // One call for each client: the plan's, and those that joined because others hung.
        let clients: std::collections::BTreeSet<u32> = history.ops().iter().map(|op| op.worker).collect();
        assert!(
            in_flight <= clients.len() && clients.len() <= CLIENTS + 3 * JOINING_MAX && history.ops().len() > CLIENTS,
            "{name}: {in_flight} of {}",
            history.ops().len()
        );
        assert!(!history.complete && dir.report().is_file(), "{name}: {output}");
    }
}

#[test]
fn cut_off_the_nodes_clean_themselves_and_the_run_goes_on_when_it_can() {
    let stage = Stage::new();
    let lab = Lab::up(&stage, 3);
    let plan = stage.write("plan.yaml", &plan(&lab, "cut", "pause: {nodes: one}", "40s", "30s"));
    let mut run = stage.start(&["run", &plan, "--seed", "4"]);
    let dir = stage.await_proven(&mut run);
    lab.assert_dirty();
    let rules = "table inet e2e {\nchain cut {\ntype filter hook output priority 0;\ntcp dport 22 drop;\n}\n}\n";
    stage.run(&lab.exec("control", &["nft", rules])).exits(0);
    lab.await_clean();
    stage.run(&lab.exec("control", &["nft", "delete table inet e2e"])).exits(0);
    let output = run.wait();
    assert!([0, 2].contains(&output.code), "{output}");
    output.says(&["connection lost", "connected again"]);
    let history = history(&dir);
    let fault = &history.faults[0];
    assert!(fault.self_healed.is_some() && fault.healed.is_some() && !fault.unhealed, "{fault:?}");
    assert!(history.complete && history.ops().iter().any(|op| op.settle));
}
