//! Histories of other programs on the command line: judged, refused, written again.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with one history, and dsfuzz run within it.
struct Place(tempfile::TempDir);

impl Place {
    fn with(name: &str, text: &str) -> Place {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        Place(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dsfuzz"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DSFUZZ_")) {
            command.env_remove(name);
        }
        command.current_dir(self.0.path()).env("NO_COLOR", "1").args(arguments);
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (status.code().unwrap(), text(&stdout), text(&stderr))
    }
}

const GOOD: &str = "{:type :invoke, :f :write, :value 1, :process 0}
{:type :ok, :f :write, :value 1, :process 0}
{:type :invoke, :f :read, :value nil, :process 1}
{:type :ok, :f :read, :value 1, :process 1}
";

#[test]
fn jepsens_history_is_judged_by_its_functions() {
    let place = Place::with("history.edn", GOOD);
    let (code, out, err) = place.run(&["check", "history.edn"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("linearizable"), "{out}");
    let broken = GOOD.replace(":ok, :f :read, :value 1", ":ok, :f :read, :value 7");
    std::fs::write(place.file("history.edn"), broken).unwrap();
    for arguments in
        [&["check", "history.edn"][..], &["check", "history.edn", "--as", "register", "--format", "jepsen-edn"]]
    {
        let (code, out, err) = place.run(arguments);
        assert_eq!(code, 1, "{out}{err}");
    }
}

#[test]
fn what_breaks_the_rules_of_recording_is_no_verdict() {
    let place = Place::with("history.edn", &format!("{GOOD}{{:type :ok, :f :read, :value 1, :process 9}}\n"));
    let (code, out, err) = place.run(&["check", "history.edn"]);
    assert_eq!(code, 255, "{out}{err}");
    assert!(err.contains("line 5, column 1") && err.contains("never made"), "{err}");
    std::fs::write(place.file("history.edn"), "{:type :invoke :f :read :process 0\n :value [1 }").unwrap();
    let (code, _, err) = place.run(&["check", "history.edn"]);
    assert_eq!(code, 255, "{err}");
    assert!(err.contains("line 2, column 12") && err.contains("expected a form or ]"), "{err}");
    std::fs::write(place.file("other.txt"), "hello\n").unwrap();
    let (code, _, err) = place.run(&["check", "other.txt"]);
    assert_eq!(code, 255, "{err}");
    assert!(err.contains("the format cannot be told"), "{err}");
}

#[test]
fn wrong_words_are_told_before_the_file_is_read() {
    let place = Place::with("history.edn", GOOD);
    let cases: [(&[&str], &str); 6] = [
        (&["--as", "linearizabel"], "did you mean linearizable"),
        (&["--as", "linearizable", "--set", "no-such=1"], "no-such"),
        (&["--as", "list-append", "--model", "no-such"], "serializable"),
        (&["--set", "words"], "OPTION=VALUE"),
        (&["--format", "edn"], "jepsen-edn"),
        (&["--as", "set", "--checker", "set"], "cannot be used with"),
    ];
    for (arguments, wanted) in cases {
        let (code, _, err) = place.run(&[&["check", "history.edn"], arguments].concat());
        assert_eq!(code, 254, "{arguments:?} {err}");
        assert!(err.contains(wanted), "{arguments:?} {err}");
    }
}

#[test]
fn a_history_goes_out_and_comes_back() {
    let place = Place::with("history.edn", GOOD);
    for (format, file) in [("jsonl", "one.jsonl"), ("edn", "two.edn")] {
        let (code, out, err) = place.run(&["export", "history.edn", "--format", format, "--out", file]);
        assert_eq!((code, out.trim()), (0, file), "{err}");
        let (code, out, err) = place.run(&["check", file, "--as", "linearizable"]);
        assert_eq!(code, 0, "{out}{err}");
    }
    let (code, out, _) = place.run(&["export", "history.edn", "--format", "edn"]);
    assert_eq!(code, 0);
    assert_eq!(out, std::fs::read_to_string(place.file("two.edn")).unwrap());
    let (code, _, err) = place.run(&["export", "history.edn", "--format", "parquet", "--out", "three.parquet"]);
    if cfg!(feature = "parquet") {
        assert_eq!(code, 0, "{err}");
        assert!(std::fs::read(place.file("three.parquet")).unwrap().starts_with(b"PAR1"));
    } else {
        assert_eq!(code, 254, "{err}");
        assert!(!Path::new(&place.file("three.parquet")).exists());
    }
}

#[test]
fn the_certificate_of_a_broken_promise_is_verified_and_refused_after_an_edit() {
    let broken = GOOD.replace(":ok, :f :read, :value 1", ":ok, :f :read, :value 7");
    let place = Place::with("history.edn", &broken);
    let (code, out, err) = place.run(&["check", "history.edn", "--report", "told"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("report: told/report.html") && place.file("told/report.html").is_file(), "{out}");
    let verify = ["verify", "told/verdict.json", "--history", "history.edn"];
    let (code, out, err) = place.run(&verify);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("accepted"), "{out}");
    let verdict = std::fs::read_to_string(place.file("told/verdict.json")).unwrap();
    std::fs::write(place.file("told/verdict.json"), verdict.replace("\"output\": 7", "\"output\": 1")).unwrap();
    let (code, out, err) = place.run(&verify);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("REFUSED") && out.contains("stands otherwise"), "{out}");
}

#[test]
fn without_a_certificate_nothing_is_verified_and_a_plain_check_writes_nothing() {
    let place = Place::with("history.edn", GOOD);
    let (code, out, _) = place.run(&["check", "history.edn"]);
    assert_eq!((code, out.contains("report:")), (0, false), "{out}");
    assert_eq!(std::fs::read_dir(place.0.path()).unwrap().count(), 1);
    let (code, _, err) = place.run(&["check", "history.edn", "--report", "told"]);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = place.run(&["verify", "told/verdict.json"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("no certificate"), "{err}");
}

#[test]
fn records_out_of_order_are_no_verdict() {
    let swapped = "{:index 2, :type :invoke, :f :read, :value nil, :process 1}
{:index 3, :type :ok, :f :read, :value nil, :process 1}
{:index 0, :type :invoke, :f :write, :value 1, :process 0}
{:index 1, :type :ok, :f :write, :value 1, :process 0}
";
    let place = Place::with("history.edn", swapped);
    let (code, out, err) = place.run(&["check", "history.edn"]);
    assert_eq!(code, 255, "{out}{err}");
    assert!(err.contains("sort the records by index") && err.contains("line 3"), "{err}");
}
