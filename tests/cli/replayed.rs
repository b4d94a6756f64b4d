//! Stored runs that are run again: from their folders, on any machine.
use super::Scene;
use dsfuzz::store::{self, ReplayFaults, RunDir, RunInfo, RunVerdict};
use std::path::{Path, PathBuf};

/// A node on whose ssh port no process listens: the run stores what it is made from, and ends before it touches anything.
const PLAN: &str = "name: p\ncluster: {nodes: [127.0.0.1], ssh: {port: 1}}\ntarget: t\nworkload: {set: {}}\n\
                    load: {time: 10s}\nnemesis: {faults: [{kill: {}}]}\nevidence: {proven_per_kind_min: {kill: 2}}\n\
                    options: {mine: {level: 3}}\n";

pub(super) const RECIPE: &str = "schema: 1\nname: mine\ndoc: A target for this test.\n\
    options:\n  level: {default: 1, doc: d}\n  password: {default: '', doc: d}\n\
    processes: [{name: mine, start: [\"true\"], ports: {client: 1}, ready: {ask: {tcp: client}}}]\n\
    clients: [{interface: x, workloads: [set], command: [python3, client.py], files: [../lib/loop.py]}]\n";

/// A plan with a recipe of its own, and its run.
fn ran(extra: &[&str]) -> (Scene, RunDir) {
    ran_with(RECIPE, extra)
}

/// The same with this recipe.
pub(super) fn ran_with(recipe: &str, extra: &[&str]) -> (Scene, RunDir) {
    let scene = Scene::new(PLAN);
    for (path, text) in [("t/recipe.yaml", recipe), ("t/client.py", "#!client\n"), ("lib/loop.py", "#!loop\n")] {
        let path = scene.folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let output = scene.run(&[&["run", "plan.yaml", "--seed", "7"], extra].concat());
    assert_eq!(output.code, 255, "{output:?}");
    let run = newest(&scene);
    (scene, run)
}

pub(super) fn newest(scene: &Scene) -> RunDir {
    let rows = store::list(&scene.folder.path().join("results")).expect("runs");
    RunDir::at(rows.first().expect("a run").path.clone())
}

pub(super) fn info(run: &RunDir) -> RunInfo {
    RunInfo::load(run).expect("run.json")
}

/// The run's folder under another name, as on another machine, where nothing of the plan's files is.
fn moved(scene: &Scene, run: &RunDir) -> PathBuf {
    let elsewhere = scene.folder.path().join("copy");
    std::fs::rename(run.path(), &elsewhere).expect("moved");
    for folder in ["t", "lib", "plan.yaml"] {
        std::fs::rename(scene.folder.path().join(folder), scene.folder.path().join(format!("gone-{folder}")))
            .expect("moved");
    }
    elsewhere
}

#[test]
fn a_stored_run_is_run_again_from_its_folder_alone() {
    let (scene, run) = ran(&[]);
    let first = info(&run);
    let copy = moved(&scene, &run);
    let output = scene.run(&["run", "copy"]);
    assert_eq!(output.code, 255, "{output:?}");
    assert!(output.stderr.contains("plan p, target mine, seed 7"), "{output:?}");
    let (second, again) = (newest(&scene), info(&newest(&scene)));
    assert_eq!((again.seed, &again.options), (7, &first.options));
    assert_eq!(again.inputs, first.inputs, "the same files, stored again");
    let paths: Vec<&str> = first.inputs.as_ref().expect("inputs").files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["t/recipe.yaml", "lib/loop.py", "t/client.py"]);
    assert_eq!(std::fs::read_to_string(second.inputs().join("lib/loop.py")).expect("stored"), "#!loop\n");
    let replay = again.replay.expect("a repetition");
    assert_eq!((replay.run.as_str(), replay.started.as_str()), ("p/copy", first.started.as_str()));
    // A repetition of the repetition, with other settings, is another one; the same settings have the same key.
    let key = |arguments: &[&str]| {
        let output = scene.run(&[&["run", "copy"], arguments].concat());
        assert_eq!(output.code, 255, "{output:?}");
        info(&newest(&scene)).replay.expect("a repetition").key
    };
    assert_eq!(key(&[]), replay.key);
    assert_ne!(key(&["--time", "11s"]), replay.key);
    assert!(copy.join("plan.yaml").is_file());
    let rows = scene.run(&["runs"]).stdout;
    assert!(rows.contains("replay of p/copy: "), "{rows}");
    let report = std::fs::read_to_string(second.report()).expect("a report");
    assert!(report.contains("replay of") && report.contains("p/copy"), "the report names it");
}

#[test]
fn a_run_without_faults_has_neither_faults_nor_thresholds_for_them() {
    let (scene, _) = ran(&[]);
    let plan = |arguments: &[&str]| scene.run(&[&["run", "p"], arguments].concat()).code;
    assert_eq!(plan(&["--without-faults"]), 255);
    let run = newest(&scene);
    let stored = std::fs::read_to_string(run.plan()).expect("a plan");
    assert!(stored.contains("nemesis: null") && !stored.contains("kill"), "{stored}");
    assert!(info(&run).again.contains(" --without-faults"), "{}", info(&run).again);
    let shown = scene.run(&["runs"]).stdout;
    assert!(shown.contains(" without faults: "), "{shown}");
}

#[test]
fn the_measured_faults_take_the_place_of_the_drawn_ones() {
    let (scene, run) = ran(&["--time", "60s"]);
    let measured = "nemesis:\n  schedule:\n    - {id: f1, at: 1s 250ms, for: 2s, kill: {nodes: [{node: 127.0.0.1}]}}\n";
    std::fs::write(run.schedule(), measured).expect("written");
    let copy = moved(&scene, &run);
    let output = scene.run(&["run", "copy"]);
    assert_eq!(output.code, 255, "{output:?}");
    let again = newest(&scene);
    let stored = std::fs::read_to_string(again.plan()).expect("a plan");
    assert!(stored.contains("1s 250ms") && stored.contains("faults: []"), "{stored}");
    assert_eq!(info(&again).replay.expect("a repetition").faults, ReplayFaults::Measured);
    assert!(scene.run(&["runs"]).stdout.contains("replay of p/copy with its measured faults: "));
    // No fault began in that run, so that its own schedule is kept.
    assert_eq!(scene.run(&["run", again.path().to_str().expect("a path")]).code, 255);
    let third = std::fs::read_to_string(newest(&scene).plan()).expect("a plan");
    assert!(third.contains("1s 250ms"), "{third}");
    // The user's faults beat both.
    let output = scene.run(&["run", "copy", "--set", "nemesis={faults: [{pause: {}}]}", "--set", "evidence={}"]);
    assert_eq!(output.code, 255, "{output:?}");
    let other = std::fs::read_to_string(newest(&scene).plan()).expect("a plan");
    assert!(other.contains("pause") && !other.contains("1s 250ms"), "{other}");
    std::fs::write(copy.join("schedule.yaml"), "nemesis: {schedule: [{id: f1, at: 1s, kill: {nodes: [nosuch]}}]}\n")
        .expect("written");
    let output = scene.run(&["run", "copy"]);
    assert_eq!(output.code, 254, "{output:?}");
    assert!(output.stderr.contains("nosuch"), "{output:?}");
}

#[test]
fn thresholds_of_custom_faults_that_never_began_refuse_no_replay() {
    let own = |name: &str| format!("own: {{name: {name}, begin: b, prove: p, heal: h, healed: d}}");
    let thresholds = "evidence={proven_per_kind_min: {'own: came': 2, 'own: never': 1, kill: 1}, ok_during_fault_min: {'own: never': 0}}";
    let (scene, run) = ran(&[
        "--time",
        "90s",
        "--set",
        &format!("nemesis={{faults: [{{{}}}, {{{}}}, {{kill: {{}}}}]}}", own("came"), own("never")),
        "--set",
        thresholds,
    ]);
    let measured = format!("nemesis:\n  schedule:\n    - {{id: f1, at: 1s, for: 2s, {}}}\n", own("came"));
    std::fs::write(run.schedule(), measured).expect("written");
    moved(&scene, &run);
    let output = scene.run(&["plan", "copy"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(scene.run(&["run", "copy"]).code, 255, "no node listens");
    let again = std::fs::read_to_string(newest(&scene).plan()).expect("a plan");
    assert!(again.contains("own: came") && !again.contains("own: never"), "{again}");
    // What the user asks for is the user's.
    let output = scene.run(&["plan", "copy", "--set", "evidence={proven_per_kind_min: {'own: never': 1}}"]);
    assert!(output.code == 254 && output.stderr.contains("no fault is of the kind `own: never`"), "{output:?}");
}

#[test]
fn what_a_folder_does_not_hold_is_named_with_the_way_out() {
    let (scene, run) = ran(&["--set", "options.mine.password=marked-9c1e"]);
    let copy = moved(&scene, &run);
    let refused = |what: &str, says: &str| {
        for verb in ["run", "plan"] {
            let output = scene.run(&[verb, "copy"]);
            assert_eq!(output.code, 254, "{what}: {output:?}");
            assert!(output.stderr.contains(says), "{what}: {output:?}");
        }
    };
    refused("a secret", "--set options.mine.password=VALUE");
    let given = scene.run(&["plan", "copy", "--set", "options.mine.password=marked-9c1e"]);
    assert_eq!(given.code, 0, "{given:?}");
    std::fs::write(copy.join("inputs/lib/loop.py"), "#!other\n").expect("written");
    refused("a changed file", "inputs/lib/loop.py is not as it was stored");
    change(&copy, |tree| drop(tree.as_object_mut().expect("a map").remove("inputs")));
    refused("a run of an earlier version", "stored no recipe with the run");
    change(&copy, |tree| tree["format"] = 99.into());
    refused("a run of a later version", "is of format 99, made by dsfuzz");
    std::fs::write(copy.join("run.json"), "{").expect("written");
    refused("a damaged account", "this run cannot be run again");
}

#[test]
fn a_replay_asks_for_a_run_with_a_finding() {
    let (scene, run) = ran(&[]);
    let refused = |arguments: &[&str], says: &str| {
        let output = scene.run(&[&["replay"], arguments].concat());
        assert_eq!(output.code, 254, "{output:?}");
        assert!(output.stderr.contains(says), "{says}: {output:?}");
    };
    refused(&["plan.yaml"], "plan.yaml is no stored run");
    refused(&["p"], "broke no promise, so that nothing can come back");
    refused(&["p", "-n", "0"], "0 is not in 1..");
    let mut verdict = RunVerdict::load(&run).expect("a verdict");
    let promise = serde_json::json!({"checker": "set", "validity": "invalid", "summary": "s", "findings": [
        {"kind": "lost-element", "severity": "violation", "title": "t", "sentences": [], "ops": []}]});
    verdict.promises.push(serde_json::from_value(promise).expect("a promise"));
    std::fs::write(run.verdict(), serde_json::to_vec(&verdict).expect("JSON")).expect("written");
    refused(&["p", "--finding", "set/phantom"], "it has set/lost-element");
    // No node can be reached: three runs with faults fail, each after one without.
    let output = scene.run(&["replay", "p", "-n", "4", "--json"]);
    assert_eq!(output.code, 255, "{output:?}");
    let document: serde_json::Value = serde_json::from_str(&output.stdout).expect("a document");
    assert_eq!(document["sentence"], "set/lost-element: reproduced 0 of 0 (95 %: 0 to 100 %); without faults 0 of 0");
    assert!(document["gave_up"].as_str().expect("a reason").contains("127.0.0.1"), "{document}");
    assert_eq!(document["runs"].as_array().expect("runs").len(), 3, "{document}");
}

fn change(folder: &Path, change: impl Fn(&mut serde_json::Value)) {
    let path = folder.join("run.json");
    let mut tree = serde_json::from_slice(&std::fs::read(&path).expect("run.json")).expect("JSON");
    change(&mut tree);
    std::fs::write(path, tree.to_string()).expect("written");
}
