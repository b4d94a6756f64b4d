//! Histories of other programs on the command line: judged, refused, written again.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with one history, and dsfuzz run within it.
struct HistoryFolder(tempfile::TempDir);

impl HistoryFolder {
    fn with(name: &str, text: &str) -> HistoryFolder {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        HistoryFolder(folder)
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

/// Function, argument and reply of a call.
type Call<'a> = (&'a str, &'a str, &'a str);

const GOOD: &str = "{:type :invoke, :f :write, :value 1, :process 0}
{:type :ok, :f :write, :value 1, :process 0}
{:type :invoke, :f :read, :value nil, :process 1}
{:type :ok, :f :read, :value 1, :process 1}
";

#[test]
fn jepsens_history_is_judged_by_its_functions() {
    let place = HistoryFolder::with("history.edn", GOOD);
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
    let place = HistoryFolder::with("history.edn", &format!("{GOOD}{{:type :ok, :f :read, :value 1, :process 9}}\n"));
    let (code, out, err) = place.run(&["check", "history.edn"]);
    assert_eq!(code, 254, "{out}{err}");
    assert!(err.contains("line 5, column 1") && err.contains("never made"), "{err}");
    std::fs::write(place.file("history.edn"), "{:type :invoke :f :read :process 0\n :value [1 }").unwrap();
    let (code, _, err) = place.run(&["check", "history.edn"]);
    assert_eq!(code, 254, "{err}");
    assert!(err.contains("line 2, column 12") && err.contains("expected a form or ]"), "{err}");
    std::fs::write(place.file("other.txt"), "hello\n").unwrap();
    let (code, _, err) = place.run(&["check", "other.txt"]);
    assert_eq!(code, 254, "{err}");
    assert!(err.contains("no format begins so: name the format"), "{err}");
}

#[test]
fn wrong_words_are_told_before_the_file_is_read() {
    let place = HistoryFolder::with("history.edn", GOOD);
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
    let place = HistoryFolder::with("history.edn", GOOD);
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
    let place = HistoryFolder::with("history.edn", &broken);
    let (code, out, err) = place.run(&["check", "history.edn", "--report", "pages"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("report: pages/report.html") && place.file("pages/report.html").is_file(), "{out}");
    let verify = ["verify", "pages/verdict.json", "--history", "history.edn"];
    let (code, out, err) = place.run(&verify);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("accepted"), "{out}");
    let verdict = std::fs::read_to_string(place.file("pages/verdict.json")).unwrap();
    std::fs::write(place.file("pages/verdict.json"), verdict.replace("\"output\": 7", "\"output\": 1")).unwrap();
    let (code, out, err) = place.run(&verify);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("REFUSED") && out.contains("stands otherwise"), "{out}");
}

#[test]
fn without_a_certificate_nothing_is_verified_and_a_plain_check_writes_nothing() {
    let place = HistoryFolder::with("history.edn", GOOD);
    let (code, out, _) = place.run(&["check", "history.edn"]);
    assert_eq!((code, out.contains("report:")), (0, false), "{out}");
    assert_eq!(std::fs::read_dir(place.0.path()).unwrap().count(), 1);
    let (code, _, err) = place.run(&["check", "history.edn", "--report", "pages"]);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = place.run(&["verify", "pages/verdict.json"]);
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
    let place = HistoryFolder::with("history.edn", swapped);
    let (code, out, err) = place.run(&["check", "history.edn"]);
    assert_eq!(code, 254, "{out}{err}");
    assert!(err.contains("sort the records by index") && err.contains("line 3"), "{err}");
}

/// One operation after the other, each of its own process.
fn calls(lines: &[Call<'_>]) -> String {
    let output = lines.iter().enumerate().map(|(process, (f, input, output))| {
        let common = format!(":process {process}, :f :{f}");
        format!("{{:type :invoke, {common}, :value {input}}}\n{{:type :ok, {common}, :value {output}}}\n")
    });
    output.collect()
}

#[test]
fn values_that_look_like_keys_with_their_values_are_not_judged_as_something_else() {
    // As one register this is broken; as two it is not.
    let pairs = calls(&[("write", "[1 5]", "[1 5]"), ("write", "[2 6]", "[2 6]"), ("read", "[1 nil]", "[1 5]")]);
    let json = pairs.replace(", :", ", \"").replace("{:", "{\"").replace(" :", " \"").replace("nil", "null");
    let json = json.replace("\"type ", "\"type\":").replace("\"process ", "\"process\":").replace("\"f ", "\"f\":");
    let json = json.replace("\"value ", "\"value\":").replace("invoke,", "invoke\",").replace("ok,", "ok\",");
    let json = json.replace("write,", "write\",").replace("read,", "read\",");
    let json: String = json.replace("[1 ", "[1,").replace("[2 ", "[2,");
    let place = HistoryFolder::with("pairs.edn", &pairs);
    std::fs::write(place.file("pairs.json"), json).unwrap();
    for file in ["pairs.edn", "pairs.json"] {
        for arguments in [&["check", file][..], &["check", file, "--as", "register"], &["export", file]] {
            let (code, out, err) = place.run(arguments);
            assert_eq!((code, out.as_str()), (254, ""), "{err}");
            let seen = "line 6, column 1: process 2 called read with [1, nil] and was answered [1, 5]";
            assert!(err.contains(seen), "{err}");
            assert!(
                err.contains("Say --independent if") && err.contains("say --independent=false and name with --as"),
                "{err}"
            );
        }
        let (code, out, err) = place.run(&["check", file, "--independent"]);
        assert!(code == 0 && out.contains(&format!("dsfuzz check {file} --independent\n")), "{out}{err}");
        // The other way out: it is said, so it is judged; here nothing fits a register that is asked for something.
        let plain = ["check", file, "--independent=false", "--as", "register"];
        let (code, out, err) = place.run(&plain);
        assert_eq!(code, 1, "{out}{err}");
        assert!(out.contains(&format!("dsfuzz check {file} --as register --independent=false")), "{out}");
    }
    let (code, _, err) =
        place.run(&["check", "pairs.edn", "--as", "register", "--independent=false", "--report", "pages"]);
    assert_eq!(code, 1, "{err}");
    let (code, _, err) = place.run(&["verify", "pages/verdict.json", "--history", "pairs.edn"]);
    assert!(code == 254 && err.contains("--independent=false"), "{err}");
    let verify = ["verify", "pages/verdict.json", "--history", "pairs.edn", "--independent=false"];
    assert_eq!(place.run(&verify).0, 0);
}

#[test]
fn compare_and_sets_of_a_plain_register_stay_what_they_are() {
    let plain = calls(&[("cas", "[nil 1]", "[nil 1]"), ("cas", "[1 2]", "[1 2]"), ("cas", "[2 3]", "[2 3]")]);
    let place = HistoryFolder::with("h.edn", &plain);
    assert_eq!(place.run(&["check", "h.edn"]).0, 0);
    std::fs::write(place.file("h.edn"), plain.replace("[2 3]", "[7 3]")).unwrap();
    assert_eq!(place.run(&["check", "h.edn"]).0, 1);
}

#[test]
fn calls_of_clients_with_names_are_not_lost() {
    // Without its calls, client-2 would not have seen a value that nobody wrote.
    let named = GOOD.replace(":process 0", ":process \"client-1\"").replace(":process 1", ":process \"client-2\"");
    let place = HistoryFolder::with("h.edn", &named);
    assert_eq!(place.run(&["check", "h.edn"]).0, 0);
    std::fs::write(place.file("h.edn"), named.replace(":ok, :f :read, :value 1", ":ok, :f :read, :value 7")).unwrap();
    let (code, out, err) = place.run(&["check", "h.edn"]);
    assert_eq!(code, 1, "{out}{err}");
    std::fs::write(place.file("h.edn"), named.replace("\"client-2\"", "1")).unwrap();
    let (code, _, err) = place.run(&["check", "h.edn"]);
    assert_eq!(code, 254, "{err}");
    assert!(err.contains("line 3, column 1") && err.contains("name all clients by numbers or all by names"), "{err}");
}

#[test]
fn functions_tell_what_judges_them() {
    let offsets = "[[\"poll\" {\"x\" [[0 1]]}]]";
    let cases: [(&[Call<'_>], &str); 29] = [
        (&[("put", "\"a\"", "nil"), ("append", "\"b\"", "nil"), ("get", "nil", "\"ab\"")], "linearizable"),
        (&[("put", "1", "nil"), ("get", "nil", "1"), ("delete", "nil", "nil")], "linearizable"),
        (&[("inc", "nil", "nil"), ("inc", "2", "2"), ("dec", "nil", "nil"), ("read", "nil", "2")], "linearizable"),
        (&[("increment", "nil", "nil"), ("decrement", "nil", "nil"), ("read", "nil", "0")], "counter"),
        (&[("add", "1", "1"), ("read", "nil", "1")], "counter"),
        (&[("add", "1", "1"), ("read", "nil", "[1]")], "set"),
        (&[("add", "[1 2]", "[1 2]"), ("read", "nil", "[[1 2]]")], "set"),
        (&[("add", "1", "1"), ("read", "nil", "[[1 17]]")], "monotonic"),
        (&[("add", "1", "1"), ("remove", "1", "1"), ("contains", "1", "false")], "linearizable"),
        (&[("send", "[[\"send\" \"x\" 1]]", "[[\"send\" \"x\" [0 1]]]"), ("poll", "[[\"poll\"]]", offsets)], "kafka"),
        (&[("txn", "[[\"send\" \"x\" 1]]", "[[\"send\" \"x\" [0 1]]]"), ("txn", "[[\"poll\"]]", offsets)], "kafka"),
        (&[("put", "1", "2"), ("watch", "{\"revision\" 1}", "[]")], "watch"),
        (&[("push", "1", "1"), ("pop", "nil", "1")], "linearizable"),
        (&[("insert", "1", "1"), ("extract", "nil", "1")], "linearizable"),
        (&[("enqueue", "1", "1"), ("dequeue", "nil", "1")], "queue"),
        (&[("enqueue", "1", "1"), ("dequeue", "nil", "1"), ("drain", "nil", "[]")], "total-queue"),
        (&[("acquire", "nil", "nil")], "lock"),
        // The callers' own numbers are no permits.
        (&[("acquire", "0", "0"), ("acquire", "1", "1")], "lock"),
        (&[("acquire", "nil", "1"), ("renew", "nil", "nil"), ("release", "nil", "nil")], "lease"),
        (&[("acquire", "nil", "1"), ("write", "[1 5]", "[1 5]"), ("log", "nil", "[[1 5]]")], "fencing"),
        (&[("commit", "nil", "\"committed\""), ("status", "nil", "\"committed\"")], "atomic-commit"),
        (&[("start", "[\"a\"]", "\"completed\""), ("log", "nil", "[[\"step\" \"a\"]]")], "saga"),
        (&[("generate", "nil", "1")], "unique-ids"),
        (&[("transfer", "{:from 0 :to 1 :amount 1}", "nil"), ("read", "nil", "{0 9, 1 1}")], "bank"),
        (&[("txn", "[[:append 1 1]]", "[[:append 1 1]]"), ("txn", "[[:r 1 nil]]", "[[:r 1 [1]]]")], "list-append"),
        (&[("txn", "[[:w 1 1]]", "[[:w 1 1]]"), ("txn", "[[:r 1 nil]]", "[[:r 1 1]]")], "rw-register"),
        (&[("txn", "[[:r 1 nil]]", "[[:r 1 []]]"), ("txn", "[[:r 1 nil]]", "[[:r 1 []]]")], "list-append"),
        (
            &[("write", "[[:w 1 1]]", "[[:w 1 1]]"), ("read", "[[:r 1 nil] [:r 2 nil]]", "[[:r 1 1] [:r 2 nil]]")],
            "long-fork",
        ),
        (&[("elect", "nil", "{\"leader\" \"a\", \"term\" 1}")], "leadership"),
    ];
    for (lines, checker) in cases {
        let place = HistoryFolder::with("h.edn", &calls(lines));
        let (code, out, err) = place.run(&["check", "h.edn", "--format", "jepsen-edn", "--json"]);
        let verdict: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|_| panic!("{lines:?} {code} {err}"));
        let promises = verdict["verdict"]["promises"].as_array().unwrap();
        let named: Vec<&str> = promises.iter().map(|one| one["checker"].as_str().unwrap()).collect();
        assert_eq!(named, [checker], "{lines:?}");
        // A model that does not know the functions would leave it in doubt.
        let expected = if checker == "linearizable" { 0..1 } else { 0..3 };
        assert!(expected.contains(&code) && code != 1, "{lines:?} {out}");
    }
}

#[test]
fn where_functions_fit_several_the_candidates_are_named() {
    let cases: [(&[Call<'_>], &str); 8] = [
        (
            &[("send", "1", "1"), ("receive", "nil", "1")],
            "linearizable --model fifo-queue, linearizable --model unordered-queue",
        ),
        (&[("add", "1", "1"), ("remove", "1", "1"), ("read", "nil", "[]")], "linearizable --model set, crdt"),
        (&[("acquire", "2", "2"), ("release", "2", "2")], "lock, semaphore"),
        (&[("add", "1", "1")], "counter, set"),
        // No element has a value: a set, a counter or a table.
        (&[("add", "nil", "10"), ("read", "nil", "[10 11]")], "counter, set, monotonic"),
        (&[("add", "nil", "nil"), ("read", "nil", "2")], "counter, set, monotonic"),
        (&[("txn", "[[:append 1 1] [:w 2 3]]", "nil")], "list-append, rw-register"),
        (&[("write", "1", "1"), ("generate", "nil", "1")], "linearizable, unique-ids"),
    ];
    for (lines, wanted) in cases {
        let place = HistoryFolder::with("h.edn", &calls(lines));
        let (code, out, err) = place.run(&["check", "h.edn"]);
        assert_eq!(code, 2, "{lines:?} {err}");
        let output = format!("may be judged by {wanted}: say which with --as, such as --as ");
        assert!(err.contains(&output) && out.contains("may be judged by"), "{out}{err}");
    }
    // Neither a register nor a list of all that was written: values with their versions, perhaps.
    let place = HistoryFolder::with("h.edn", &calls(&[("write", "1", "1"), ("read", "nil", "[1 1]")]));
    let (code, _, err) = place.run(&["check", "h.edn"]);
    assert!(code == 2 && err.contains("(numbers went in, lists of numbers came out)"), "{err}");
    assert!(err.contains("--model versioned-register") && err.contains("causal-reverse"), "{err}");
    // What is set may tell it.
    let place = HistoryFolder::with("h.edn", &calls(cases[0].0));
    assert_eq!(place.run(&["check", "h.edn", "--model", "fifo-queue"]).0, 0);
    let place = HistoryFolder::with("h.edn", &calls(&[("acquire", "1", "1"), ("acquire", "1", "1")]));
    assert_eq!(place.run(&["check", "h.edn", "--set", "permits=1"]).0, 1);
    assert_eq!(place.run(&["check", "h.edn", "--model", "mutex"]).0, 1);
    let place =
        HistoryFolder::with("h.edn", &calls(&[("enqueue", "1", "1"), ("enqueue", "2", "2"), ("dequeue", "nil", "2")]));
    assert_eq!(place.run(&["check", "h.edn", "--model", "fifo-queue"]).0, 1);
    assert_eq!(place.run(&["check", "h.edn", "--model", "priority"]).0, 254);
    // A read that asks for something is no read of one register.
    let place = HistoryFolder::with("h.edn", &calls(&[("write", "1", "1"), ("read", "\"x\"", "5")]));
    let (code, _, err) = place.run(&["check", "h.edn"]);
    assert!(code == 2 && err.contains("no checker can be inferred from the functions"), "{err}");
    assert!(err.contains("#2 read \"x\" -> 5: a read with an argument of its own") && err.contains("`key`"), "{err}");
}

#[test]
fn what_came_out_is_of_another_kind_than_what_went_in() {
    let cases: [(&[Call<'_>], &str); 4] = [
        (&[("write", "1", "1"), ("read", "nil", "\"1\"")], "numbers went in, texts came out"),
        (
            &[("add", "1", "1"), ("read", "nil", "[\"1\"]")],
            "(numbers went in, lists of texts came out): if they are meant for",
        ),
        (&[("enqueue", "1", "1"), ("dequeue", "nil", "\"1\"")], "--as queue"),
        (&[("write", "1", "1"), ("read", "nil", "{:value 1}")], "numbers went in, objects came out"),
    ];
    for (lines, wanted) in cases {
        let place = HistoryFolder::with("h.edn", &calls(lines));
        let (code, out, err) = place.run(&["check", "h.edn"]);
        assert!(code == 2 && err.contains(wanted), "{lines:?} {out}{err}");
    }
}

#[test]
fn a_phantom_that_reads_like_a_written_value_says_so() {
    let lines: &[Call<'_>] = &[("write", "1", "1"), ("read", "nil", "\"1\"")];
    let place = HistoryFolder::with("h.edn", &calls(lines));
    let (code, out, err) = place.run(&["check", "h.edn", "--as", "linearizable"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("It reads like 1, which was written, but one is a number and the other a text"), "{out}");
}

#[test]
fn what_a_reader_passes_over_is_said_and_models_are_no_checkers() {
    let place = HistoryFolder::with("h.edn", &format!("{{:type :log :value #<x>}}\n{GOOD}"));
    let (code, _, err) = place.run(&["check", "h.edn"]);
    assert!(code == 0 && err.contains("1 record of other types passed over: log (1)"), "{err}");
    let (code, _, err) = place.run(&["check", "h.edn", "--as", "cas-register"]);
    assert!(code == 254 && err.contains("cas-register is a model and no checker"), "{err}");
    assert!(err.contains("--as linearizable --model cas-register"), "{err}");
}

/// A workload and its calls, one after the other.
type NamedWorkload<'a> = (&'a str, &'a [Call<'a>]);

const REGISTER: NamedWorkload<'_> = ("one", &[("write", "1", "1"), ("read", "nil", "1")]);
const LOSES: NamedWorkload<'_> = ("two", &[("add", "1", "1"), ("read", "nil", "[]")]);

fn workloads(all: &[NamedWorkload<'_>]) -> String {
    let of =
        |(name, lines): &NamedWorkload<'_>| calls(lines).replace("{:type", &format!("{{:workload \"{name}\", :type"));
    let output: Vec<String> = all.iter().map(of).collect();
    output.concat()
}

fn promises(out: &str) -> Vec<(String, String, String)> {
    let verdict: serde_json::Value = serde_json::from_str(out).unwrap();
    let text = |one: &serde_json::Value, field: &str| one[field].as_str().unwrap().to_owned();
    let promises = verdict["verdict"]["promises"].as_array().unwrap();
    promises.iter().map(|one| (text(one, "checker"), text(one, "workload"), text(one, "validity"))).collect()
}

#[test]
fn each_workload_is_judged_by_what_its_own_functions_mean() {
    let place = HistoryFolder::with("h.edn", &workloads(&[REGISTER, LOSES]));
    let (code, out, err) = place.run(&["check", "h.edn", "--json"]);
    let valid = |checker: &str, workload: &str| (checker.to_owned(), workload.to_owned(), "valid".to_owned());
    let lost = ("set".to_owned(), "two".to_owned(), "invalid".to_owned());
    assert_eq!((code, promises(&out)), (1, vec![valid("linearizable", "one"), lost]), "{err}");
    assert!(err.contains("inferred from the functions of workload two: set"), "{err}");
    // Two that a checker of the other would misread, one of which looks for no workload itself.
    let locks: NamedWorkload<'_> = ("locks", &[("acquire", "nil", "1"), ("release", "nil", "nil")]);
    let leases: NamedWorkload<'_> =
        ("leases", &[("acquire", "nil", "1"), ("renew", "nil", "nil"), ("release", "nil", "nil")]);
    let place = HistoryFolder::with("h.edn", &workloads(&[locks, leases]));
    let (_, out, err) = place.run(&["check", "h.edn", "--json"]);
    let judged: Vec<String> = promises(&out).into_iter().map(|(checker, of, _)| format!("{checker} of {of}")).collect();
    assert_eq!(judged, ["lock of locks", "lease of leases"], "{err}");
}

#[test]
fn a_workload_that_is_left_out_is_named_and_the_whole_is_not_valid() {
    let place = HistoryFolder::with("h.edn", &workloads(&[REGISTER, LOSES]));
    let (code, out, err) = place.run(&["check", "h.edn", "--as", "linearizable"]);
    assert!(code == 2 && out.contains("nothing judged the calls of workload two"), "{out}{err}");
    assert!(err.contains("workload two is not judged"), "{err}");
    // Said so, it is one workload's verdict and looks like that.
    let (code, out, err) = place.run(&["check", "h.edn", "--set", "workload=one"]);
    assert!(code == 0 && out.contains("2 calls of workload one kept every promise (linearizable)"), "{out}{err}");
    assert!(err.contains("workload two is not judged"), "{err}");
    assert_eq!(place.run(&["check", "h.edn", "--as", "set", "--set", "workload=two"]).0, 1);
    // Nothing fits one of them.
    let unknown: NamedWorkload<'_> = ("three", &[("dance", "nil", "nil")]);
    std::fs::write(place.file("h.edn"), workloads(&[REGISTER, unknown])).unwrap();
    let (code, out, err) = place.run(&["check", "h.edn"]);
    assert!(code == 2 && out.contains("nothing judged the calls of workload three"), "{out}{err}");
}

#[test]
fn the_workload_whose_functions_fit_several_is_named() {
    let several: NamedWorkload<'_> = ("two", &[("add", "1", "1")]);
    let place = HistoryFolder::with("h.edn", &workloads(&[REGISTER, several]));
    let (code, _, err) = place.run(&["check", "h.edn"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("calls of workload two of add may be judged by counter, set: say which with --as"), "{err}");
    assert!(!err.contains("workload two is not judged"), "{err}");
    assert!(err.contains("--as counter --set workload=two"), "{err}");
    // What one workload's checker takes is not lost on the other; what none takes is an error.
    let queue: NamedWorkload<'_> = ("two", &[("enqueue", "1", "1"), ("dequeue", "nil", "1")]);
    std::fs::write(place.file("h.edn"), workloads(&[REGISTER, queue])).unwrap();
    let (code, out, err) = place.run(&["check", "h.edn", "--model", "fifo-queue"]);
    assert!(code == 0 && out.contains("linearizable of two"), "{out}{err}");
    for nobodys in ["permits=2", "model=serializable", "workload=three"] {
        assert_eq!(place.run(&["check", "h.edn", "--set", nobodys]).0, 254, "{nobodys}");
    }
}

#[test]
fn sessions_without_an_order_between_them_say_what_can_be_asked() {
    let place = HistoryFolder::with("h.txt", "w(1,5,0,0)\nr(1,5,1,1)\n");
    let (code, out, err) = place.run(&["check", "h.txt"]);
    assert!(code == 2 && out.contains("Name a weaker model"), "{out}{err}");
    assert!(err.contains("--model serializable") && err.contains("--as causal-transactions"), "{err}");
    assert_ne!(place.run(&["check", "h.txt", "--model", "serializable"]).1, out);
}
