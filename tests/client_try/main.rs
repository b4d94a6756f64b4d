//! `dsfuzz client try` on a client with one mistake at a time, and on the same client without one.
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client_try").join(name)
}

/// The deadline of a call. Clients give a server a third of it.
const DEADLINE: &str = "4s";

/// A running server with nothing in it.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start() -> Server {
        let mut child =
            Command::new("python3").arg(file("server.py")).stdout(Stdio::piped()).spawn().expect("python3 is there");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its port");
        Server { child, port: line.trim().parse().expect("a port") }
    }
}

/// The exit code, and the rules with how each is broken; null where it was not tried.
fn tried(workload: &str, mistake: &str) -> (i32, Vec<(String, Value, Vec<String>)>) {
    tried_of("client.py", workload, mistake)
}

fn tried_of(client: &str, workload: &str, mistake: &str) -> (i32, Vec<(String, Value, Vec<String>)>) {
    let server = Server::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsfuzz"));
    command.args(["client", "try", "--json", "--workload", workload, "--server", "127.0.0.1", "--deadline", DEADLINE]);
    command.args(["--port", &format!("client={}", server.port), "--", "python3"]).arg(file(client)).arg(mistake);
    // What it keeps of a client that breaks rules goes with the test.
    let kept = tempfile::tempdir().expect("a folder");
    // With it, Python flushes by itself.
    let output = command.env_remove("PYTHONUNBUFFERED").env("TMPDIR", kept.path()).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let rules: Vec<Value> = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{mistake}: {error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let rule = |rule: &Value| {
        let broken = rule["broken"].as_array().expect("a list").iter();
        let broken = broken.map(|one| one.as_str().expect("a text").to_owned()).collect();
        (rule["rule"].as_str().expect("a name").to_owned(), rule["kept"].clone(), broken)
    };
    (output.status.code().expect("an exit code"), rules.iter().map(rule).collect())
}

#[test]
fn a_client_without_a_mistake_keeps_every_rule() {
    for workload in ["register", "counter"] {
        let (code, rules) = tried(workload, "none");
        assert_eq!(code, 0, "{workload}: {rules:?}");
        let left: Vec<&str> = rules.iter().filter(|(_, kept, _)| kept.is_null()).map(|(rule, ..)| &**rule).collect();
        assert_eq!(left, ["setup", "several"], "{workload}: what was not tried");
    }
}

#[test]
fn several_clients_of_one_program_are_tried_too() {
    let (code, rules) = tried_of("several.py", "register", "none");
    assert_eq!(code, 0, "{rules:?}");
    assert!(rules.iter().any(|(rule, kept, _)| rule == "several" && *kept == Value::Bool(true)), "{rules:?}");
    for (mistake, words) in [
        ("clients wait for each other", "while client 0 waited for its own within"),
        ("another client's number", "did not answer a call of client 1"),
    ] {
        let (code, rules) = tried_of("several.py", "register", mistake);
        assert_eq!(code, 1, "{mistake}: {rules:?}");
        let broken = rules.iter().find(|(name, ..)| name == "several").map(|(_, _, broken)| broken.join("; "));
        assert!(broken.as_deref().unwrap_or_default().contains(words), "{mistake}: {rules:#?}");
    }
}

/// The mistake, the workload that brings it out, the rule that it breaks, and part of what is said.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    ("a stray line", "register", "lines", "connected, which is not JSON"),
    ("no flush", "register", "init", "flush standard output after each line"),
    ("the id of another call", "register", "lines", "expected \"id\":1"),
    ("values as texts", "register", "replies", "a text, and only integers were written"),
    ("a read with an effect", "register", "reads", "read of key"),
    ("connecting has an effect", "register", "reads", "over a new connection"),
    ("a write without effect", "register", "effects", "a correct register answers"),
    ("ok to a cas that did not match", "register", "effects", "a correct register answers fail"),
    ("ok to an unknown function", "register", "unknown", "`no-such-function` was answered ok"),
    ("a function is not named", "register", "init", "does not support read"),
    ("a lost connection is called fail", "register", "effects", "it did take effect; answer info in doubt"),
    ("a call is sent again", "counter", "lost", "bytes over a new one"),
    ("a call is sent again", "counter", "effects", "would be right"),
    ("ok without the server's answer", "counter", "lost", "no answer of the server had reached it"),
    ("answers after the deadline", "register", "deadline", "ms after its deadline"),
    ("hangs without a server", "register", "refused", "did not answer `init`"),
    ("does not end with its input", "register", "end", "still ran"),
];

#[test]
fn each_mistake_breaks_its_rule() {
    // Most of a trial is waiting.
    std::thread::scope(|scope| {
        for mistakes in MISTAKES.chunks(MISTAKES.len().div_ceil(4)) {
            scope.spawn(|| mistakes.iter().for_each(breaks_its_rule));
        }
    });
}

fn breaks_its_rule((mistake, workload, rule, words): &(&str, &str, &str, &str)) {
    let (code, rules) = tried(workload, mistake);
    assert_eq!(code, 1, "{mistake}: {rules:?}");
    let broken = rules.iter().find(|(name, ..)| name == rule).map(|(_, _, broken)| broken.join("; "));
    assert!(broken.as_deref().unwrap_or_default().contains(words), "{mistake}: {rules:#?}");
}

#[test]
fn the_standard_error_of_a_client_that_breaks_a_rule_is_kept() {
    let tried = |script: &str| {
        let kept = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_dsfuzz"));
        command.args(["client", "try", "--", "sh", "-c", script]).env("TMPDIR", kept.path());
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let folders = std::fs::read_dir(kept.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
        (said, folders.collect::<Vec<_>>(), kept)
    };
    let (said, folders, _kept) = tried("echo it broke here >&2; exit 3");
    let [folder] = folders.as_slice() else { panic!("{folders:?}: {said}") };
    assert!(said.contains(&format!("the client's standard error is in {}", folder.display())), "{said}");
    let (_, named) = said.split_once("its standard error (").expect("the message names the file");
    let text = std::fs::read_to_string(named.split(')').next().expect("its path")).expect("the file is still there");
    assert!(text.contains("it broke here"), "{text}");
    let (said, folders, _kept) = tried("exit 3");
    assert!(folders.is_empty(), "silent: {folders:?}: {said}");
}

#[test]
fn without_a_server_a_client_in_memory_is_tried() {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/client/client.py");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsfuzz"));
    let kept = tempfile::tempdir().expect("a folder");
    command.env("TMPDIR", kept.path());
    let output = command.args(["client", "try", "--workload", "set", "--", "python3"]).arg(client).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // Its memory ends with each program, so that a new one lacks what an earlier one added.
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("over a new connection read was answered ok []"), "{text}");
    assert!(text.contains("not tried  a connection that breaks"), "{text}");
}

/// A plan with a declared workload on this object, whose functions have these sources of values.
fn declares(folder: &Path, object: &str, functions: &str) -> PathBuf {
    let plan = folder.join(format!("{object}.yaml"));
    let text = format!(
        "cluster: {{lab: 3}}\ntarget: redis-sentinel\nworkload:\n  declared: {{object: {object}, reads: value, functions: {functions}}}\n\
         check: [linearizable]\n"
    );
    std::fs::write(&plan, text).expect("a plan");
    plan
}

#[test]
fn a_plan_says_what_a_declared_workload_calls() {
    let folder = tempfile::tempdir().expect("a folder");
    let known = declares(folder.path(), "register", "{read: {}, write: {value: {between: [1, 5]}}}");
    let own = declares(folder.path(), "shelf", "{read: {}, write: {value: unique}}");
    let tried = |plan: &Path, mistake: &str| {
        let server = Server::start();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dsfuzz"));
        command.args(["client", "try", "--server", "127.0.0.1", "--deadline", DEADLINE, "--plan"]).arg(plan);
        command.args(["--port", &format!("client={}", server.port), "--", "python3"]);
        let output = command.arg(file("client.py")).arg(mistake).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = tried(&known, "none");
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = tried(&known, "a write without effect");
    assert!(code == Some(1) && text.contains("a correct register answers"), "{text}");
    // No type of object is called shelf, so that only the others are tried.
    let (code, text) = tried(&own, "none");
    assert!(code == Some(0) && text.contains("not tried  a call that is ok took effect once"), "{text}");
    let (code, text) = tried(&own, "ok to an unknown function");
    assert!(code == Some(1) && text.contains("`no-such-function` was answered ok"), "{text}");
}

#[test]
fn what_cannot_be_tried_is_told() {
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_dsfuzz")).args(["client", "try"]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let cases: [(&[&str], i32, &str); 10] = [
        (&[], 254, "name the client"),
        (&["--workload", "sett", "--", "x"], 254, "--workload sett: unknown; there are register, "),
        (
            &["--workload", "declared", "--target", "redis-sentinel"],
            254,
            "--workload declared: functions: no function is declared; at least one is called; a plan says it",
        ),
        (&["--", "no-such-program", "x"], 254, "no program `no-such-program` is in PATH"),
        (&["--target", "etcd"], 254, "part of dsfuzz"),
        (
            &["--target", "zookeeper", "--port", "clientt=1234"],
            254,
            "--port clientt=1234: no port of zookeeper is named clientt; did you mean client? there are client, election, peer",
        ),
        (&["--target", "zookeeper", "--port", "client=0"], 254, "--port client=0: 0 is not a port from 1 to 65535"),
        (&["--target", "zookeeper", "--option", "tick_ms=0"], 254, "option zookeeper.tick_ms: 0 is not a whole number"),
        (&["--target", "zookeeper", "--option", "tik_ms=1000"], 254, "did you mean tick_ms? there are force_sync"),
        (&["--server", "127.0.0.1", "--", "python3", "x.py"], 254, "--port client=6379"),
    ];
    for (arguments, code, words) in cases {
        let (found, said) = run(arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}
