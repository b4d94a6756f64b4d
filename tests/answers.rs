//! An answer, once given, is never replaced by a weaker question, and every end of a run leaves files that say why.
use dsfuzz::report;
use dsfuzz::store::{self, RunDir, RunInfo, RunVerdict};
use dsfuzz_checkers::{History, Validity};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PLAN: &str = "name: p\ncluster: {nodes: [n1]}\ntarget: etcd\nworkload: {register: {keys: 1}}\nload: {time: 10s}\n\
                    check: [linearizable]\nevidence: {ok_min: 1}\n";

/// One write of 1, then a read of this value.
fn history(read: i64) -> String {
    [
        r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":"2026-01-01T00:00:00Z"}"#.to_owned(),
        line(1, r#""type":"invoke","worker":0,"process":0,"node":"n1","workload":"register","f":"write","value":1"#),
        line(2, r#""type":"ok","process":0"#),
        line(3, r#""type":"invoke","worker":0,"process":0,"node":"n1","workload":"register","f":"read""#),
        line(4, &format!(r#""type":"ok","process":0,"value":{read}"#)),
        line(5, r#""type":"end""#),
        String::new(),
    ]
    .join("\n")
}

fn line(index: u64, fields: &str) -> String {
    format!("{{{fields},\"index\":{index},\"time\":{index}}}")
}

struct Stored {
    folder: tempfile::TempDir,
    run: RunDir,
}

impl Stored {
    /// A run whose record breaks its promise, not judged yet.
    fn invalid() -> Stored {
        let folder = tempfile::tempdir().expect("a folder");
        let run = store::create(&folder.path().join("results"), "p", chrono::Utc::now()).expect("a run's folder");
        std::fs::write(run.plan(), PLAN).expect("the plan is written");
        std::fs::write(run.history(), history(2)).expect("the history is written");
        let info = RunInfo { plan: "p".into(), seed: 1, ..RunInfo::default() };
        info.save(&run).expect("run.json is written");
        Stored { folder, run }
    }

    fn dsfuzz(&self, arguments: &[&str]) -> Output {
        dsfuzz(self.folder.path(), arguments)
    }

    fn kept(&self) -> RunVerdict {
        RunVerdict::load(&self.run).expect("a verdict")
    }

    /// The folders of other answers.
    fn beside(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.run.path().join("checks"));
        let entries = entries.into_iter().flatten().map(|entry| entry.expect("an entry").path());
        entries.collect()
    }

    /// What stands in the run's own answer, file by file.
    fn own_files(&self) -> Vec<Vec<u8>> {
        let files = [self.run.verdict(), self.run.junit(), self.run.report()];
        files.iter().map(|file| std::fs::read(file).expect("a file of the answer")).collect()
    }
}

fn dsfuzz(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsfuzz"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DSFUZZ_") || name.starts_with("GITHUB_")) {
        command.env_remove(name);
    }
    command.env("GITHUB_STEP_SUMMARY", folder.join("summary.md"));
    command.current_dir(folder).args(arguments).output().expect("the program runs")
}

#[track_caller]
fn exits(output: &Output, code: i32) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

#[test]
fn another_question_never_replaces_the_runs_answer() {
    let stored = Stored::invalid();
    exits(&stored.dsfuzz(&["check", "p"]), 1);
    let before = stored.own_files();
    assert_eq!((stored.kept().validity, stored.kept().asked), (Validity::Invalid, None));

    for question in [&["--checker", "availability"][..], &["--budget", "1ms"], &["--model", "cas-register"]] {
        let count = stored.beside().len();
        let mut arguments = vec!["check", "p"];
        arguments.extend(question);
        stored.dsfuzz(&arguments);
        assert_eq!(stored.own_files(), before, "{question:?} changed the run's own answer");
        assert_eq!(stored.beside().len(), count + 1, "{question:?} is kept beside");
    }
    let text = exits(&stored.dsfuzz(&["check", "p", "--checker", "availability"]), 2);
    assert!(
        text.contains("the run keeps its own answer. The plan's linearizable, crashes are not asked here"),
        "{text}"
    );
    assert!(text.contains("--checker availability"), "the command that asks again: {text}");

    let mut answers: Vec<serde_json::Value> = Vec::new();
    for folder in stored.beside() {
        for file in ["report.html", "junit.xml", "report/index.html"] {
            assert!(folder.join(file).is_file(), "{file} in {}", folder.display());
        }
        answers.push(serde_json::from_slice(&std::fs::read(folder.join("verdict.json")).unwrap()).unwrap());
    }
    let asked =
        answers.iter().find(|answer| answer["asked"]["arguments"] == serde_json::json!(["--checker", "availability"]));
    let asked = asked.expect("the arguments are kept");
    assert_eq!(asked["asked"]["not_asked"], serde_json::json!(["linearizable", "crashes"]));
    assert_eq!(asked["dsfuzz"], env!("CARGO_PKG_VERSION"));
    // The row of the run shows the run's own answer.
    let rows = stored.dsfuzz(&["runs", "--json"]);
    let rows: serde_json::Value = serde_json::from_slice(&rows.stdout).expect("JSON");
    assert_eq!((rows.as_array().map(Vec::len), &rows[0]["validity"]), (Some(1), &serde_json::json!("invalid")));
}

#[test]
fn the_plans_own_check_replaces_an_answer_but_no_broken_promise_by_a_weaker_one() {
    let stored = Stored::invalid();
    std::fs::write(stored.run.history(), history(1)).unwrap();
    exits(&stored.dsfuzz(&["check", "p"]), 0);
    std::fs::write(stored.run.history(), history(2)).unwrap();
    exits(&stored.dsfuzz(&["check", "p"]), 1);
    assert_eq!((stored.kept().validity, stored.beside().len()), (Validity::Invalid, 0));

    std::fs::write(stored.run.history(), history(1)).unwrap();
    let text = exits(&stored.dsfuzz(&["check", "p"]), 0);
    assert!(text.contains("the run stays invalid"), "{text}");
    assert_eq!(stored.kept().validity, Validity::Invalid);
    assert_eq!(stored.beside().len(), 1);
    // Without the older answer there is nothing to keep.
    std::fs::remove_file(stored.run.verdict()).unwrap();
    exits(&stored.dsfuzz(&["check", "p"]), 0);
    assert_eq!(stored.kept().validity, Validity::Valid);
}

#[test]
fn links_of_an_answer_beside_the_runs_own_lead_to_the_runs_files() {
    let stored = Stored::invalid();
    std::fs::create_dir_all(stored.run.node("n1")).unwrap();
    std::fs::write(stored.run.node("n1").join("etcd.log"), "x").unwrap();
    let beside = stored.run.beside("t-a");
    report::write_all(&beside, &History::default(), &RunInfo::default(), &RunVerdict::failed("x", 255)).unwrap();
    for (file, back) in [(beside.report(), "../../"), (beside.plain_report().join("index.html"), "../../../")] {
        let page = std::fs::read_to_string(&file).unwrap();
        assert!(page.contains(&format!("href=\"{back}nodes/n1/etcd.log\"")), "{}", file.display());
        assert!(file.parent().unwrap().join(back).join("nodes/n1/etcd.log").is_file());
    }
}

/// A plan that cannot be read, a node that cannot be reached, a node whose name means nothing.
#[test]
fn every_end_of_a_run_leaves_its_folder_junit_and_summary() {
    let unreachable = PLAN.replace("{nodes: [n1]}", "{nodes: [127.0.0.1], ssh: {port: 1}}");
    let nameless = PLAN.replace("[n1]", "[no-such-host.invalid]");
    for (plan, code, why) in [
        ("name: p\nclustr: {lab: 3}\n", 254, "clustr"),
        (unreachable.as_str(), 255, "127.0.0.1"),
        (nameless.as_str(), 255, "no-such-host.invalid"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("broken.yaml"), plan).unwrap();
        let text = exits(&dsfuzz(folder.path(), &["run", "broken.yaml"]), code);
        assert!(text.contains(why), "{text}");
        let run = store::find(&folder.path().join("results"), "latest").expect("a run's folder");
        let info = RunInfo::load(&run).expect("run.json");
        assert_eq!(info.exit, Some(code), "{info:?}");
        let verdict = RunVerdict::load(&run).expect("verdict.json");
        assert_eq!((verdict.validity, verdict.exit), (Validity::Unknown, code));
        assert!(verdict.sentence.contains(why), "{}", verdict.sentence);
        let junit = std::fs::read_to_string(run.junit()).expect("junit.xml");
        assert!(junit.contains("<error") && junit.contains(why), "{junit}");
        assert!(run.report().is_file());
        let summary = std::fs::read_to_string(folder.path().join("summary.md")).expect("a summary");
        assert!(summary.contains(why.split('.').next().unwrap()), "{summary}");
    }
}
