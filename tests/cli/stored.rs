//! Runs in the store: refused commands beside them, and runs that still go on.
use super::{PLAN, Scene};
use dsfuzz::store::{self, PhaseInfo, RunDir, RunInfo};
use std::collections::BTreeMap;
use std::path::Path;

const HISTORY: &str = r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":"2026-01-01T00:00:00Z"}
{"type":"phase","index":1,"time":1,"phase":"load"}
{"type":"invoke","index":2,"time":2,"worker":0,"process":0,"node":"n1","workload":"register","f":"write","key":"a","value":1}
{"type":"ok","index":3,"time":3000000000,"process":0}
"#;

/// A run whose record breaks off.
fn stored(scene: &Scene) -> RunDir {
    let run = store::create(&scene.folder.path().join("results"), "p", chrono::Utc::now()).expect("a run's folder");
    std::fs::write(run.plan(), PLAN).expect("the plan is written");
    std::fs::write(run.history(), HISTORY).expect("the history is written");
    RunInfo { plan: "p".into(), ..RunInfo::default() }.save(&run).expect("run.json is written");
    store::become_latest(&run).expect("a link");
    run
}

/// Every file below a folder, with its content.
fn files(folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            files(&entry, found);
        // To close a file ends this process's record locks on it.
        } else if !entry.ends_with("run.lock") {
            found.insert(entry.display().to_string(), std::fs::read(&entry).expect("a file"));
        }
    }
}

#[test]
fn a_refused_command_is_told_apart_and_takes_the_place_of_no_run() {
    let scene = Scene::new("name: p\nclustr: {lab: 3}\n");
    assert_eq!(scene.run(&["run", "plan.yaml"]).code, 254);
    // Nothing but the refused command is there.
    for command in ["check", "export"] {
        let output = scene.run(&[command, "latest"]);
        assert_eq!(output.code, 254, "{output:?}");
        assert!(
            output.stderr.contains("was refused and ran nothing") && output.stderr.contains("clustr"),
            "{output:?}"
        );
    }
    assert_eq!(scene.run(&["report", "latest"]).code, 0, "its report says why, and is drawn again");
    let run = stored(&scene);
    assert_eq!(scene.run(&["run", "plan.yaml"]).code, 254);
    let output = scene.run(&["check"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("the last run with a history; the command after it (plan/"), "{output:?}");
    assert!(output.stderr.contains("was refused and ran nothing"), "{output:?}");
    assert!(
        output.stdout.contains(&run.report().canonicalize().expect("a report").display().to_string()),
        "{output:?}"
    );
    let rows = scene.run(&["runs"]).stdout;
    assert_eq!(rows.lines().filter(|line| line.contains(" refused ")).count(), 2, "{rows}");
    // As the table's head has them: a column begins where its title does.
    let head = rows.lines().find(|line| line.contains("verdict")).expect("a head");
    let from = head.find("seed").expect("a column");
    for line in rows.lines().filter(|line| line.contains(" refused ")) {
        let seed: String = line.chars().skip(from).take_while(|c| !c.is_whitespace()).collect();
        assert_eq!(seed, "-", "no seed: {rows}");
    }
    let states = scene.run(&["runs", "--json"]).json();
    let states: Vec<&str> = states.as_array().expect("a list").iter().filter_map(|row| row["state"].as_str()).collect();
    assert_eq!(states.iter().filter(|state| **state == "refused").count(), 2, "{states:?}");
}

#[test]
fn nothing_of_a_run_that_goes_on_is_read_or_changed() {
    let scene = Scene::new(PLAN);
    let run = stored(&scene);
    let claim = run.claim().expect("the folder is claimed");
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    files(run.path(), &mut before);
    let process = format!("still goes on (process {} on ", std::process::id());
    for arguments in [
        &["check", "latest"][..],
        &["check", "p", "--checker", "linearizable"],
        &["report"],
        &["export", "latest"],
        &["pack", "latest"],
        &["replay", "latest"],
    ] {
        let output = scene.run(arguments);
        assert!(output.code == 255 && output.stderr.contains(&process), "{arguments:?}: {output:?}");
    }
    assert!(scene.run(&["runs"]).stdout.contains("still running (process "));
    files(run.path(), &mut after);
    assert_eq!(before, after);
    drop(claim);
    assert_eq!(scene.run(&["check", "latest"]).code, 2);
}

#[test]
fn a_newer_run_that_was_killed_before_its_load_is_told_without_a_record() {
    let scene = Scene::new(PLAN);
    stored(&scene);
    let killed = store::create(&scene.folder.path().join("results"), "p", chrono::Utc::now()).expect("a run's folder");
    let phases = vec![PhaseInfo { name: "install".into(), took_ms: 1, problem: String::new() }];
    RunInfo { plan: "p".into(), phases, ..RunInfo::default() }.save(&killed).expect("run.json is written");
    std::fs::write(killed.path().join("run.lock"), "{}").expect("a lock");
    let output = scene.run(&["check"]);
    assert!(output.stderr.contains("ended before its load: killed after install: nothing was recorded"), "{output:?}");
}

#[test]
fn the_headline_of_a_run_that_was_killed_says_that_its_recording_was_cut_off() {
    let scene = Scene::new(PLAN);
    let run = stored(&scene);
    // What a killed process leaves.
    std::fs::write(run.path().join("run.lock"), "{}").expect("a lock");
    assert!(scene.run(&["runs"]).stdout.contains("killed; `dsfuzz check` judges"));
    let output = scene.run(&["check", "latest"]);
    let last: Vec<&str> = output.stdout.lines().rev().take(4).collect();
    assert_eq!(last[3], "Unknown: the recording was cut off, so this run proves nothing either way", "{output:?}");
    assert!(last[2].starts_with("the recording was cut off after 3.000 s, in the load"), "{output:?}");
    let page = std::fs::read_to_string(run.report()).expect("a report");
    let headline = page.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).expect("a headline");
    assert!(headline.contains("the recording was cut off"), "{headline}");
}
