//! A user's own client: a Python program that keeps to the protocol, and the many ways to break it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#[path = "exec_client/shared.rs"]
mod shared;

use dsfuzz::cluster::Node;
use dsfuzz::targets::exec::{ExecConnect, LINE_BYTES_MAX, STDERR_ROOM_BYTES, UNBELIEVED};
use dsfuzz::targets::recipe::Certainty;
use dsfuzz_checkers::Value;
use dsfuzz_workloads::{Call, CallResult, Client, ClientWorkload, Connect, Endpoint, Terms};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// Answers by the added value: what each does stands beside it. It keeps its adds in memory.
const PROGRAM: &str = r#"
import json, os, signal, subprocess, sys, time

def say(**line):
    print(json.dumps(line), flush=True)

init = json.loads(sys.stdin.readline())
assert init["type"] == "init" and init["version"] == 1
mode = init["options"].get("mode", "good")
print("stderr of", init["node"], init["address"], init["ports"]["client"], init["process"], file=sys.stderr, flush=True)
if mode == "mute":
    time.sleep(3600)
if mode == "dead":
    sys.exit("no server here")
say(type="init_ok", version=1, functions=["add"] if mode == "poor" else ["add", "read"])
elements = []
for line in sys.stdin:
    call = json.loads(line)
    if call["type"] == "close":
        open(sys.argv[1] + "/closed", "w").close()
        break
    id, f, value = call["id"], call["f"], call["value"]
    if f == "read":
        say(id=id, type="ok", value=[str(one) for one in elements] if mode == "texts" else elements)
    elif value == 100:
        time.sleep(3600)                                     # hangs
    elif value == 101:
        sys.stdout.write('{"id":%d,"ty' % id); sys.stdout.flush(); os._exit(3)   # crashes within a line
    elif value == 102:
        print("Traceback: oh no", flush=True)                # garbage
    elif value == 103:
        print("x" * 5000, flush=True)                        # a line longer than allowed
    elif value == 104:
        child = subprocess.Popen(["sleep", "3600"])          # leaves a child behind
        open(sys.argv[1] + "/child", "w").write(str(child.pid))
        say(id=id, type="info", error={"code": "lost", "text": "connection reset"})
    elif value == 105:
        say(id=id, type="error", error={"code": "READONLY"}) # a code that the recipe knows
    elif value == 106:
        say(id=id - 1, type="ok")                            # an answer to an earlier call comes first
        say(id=id, type="fail", error={"code": "refused"})
    elif value == 108:
        child = subprocess.Popen(["setsid", "sleep", "3600"])  # leaves its session, and the client hangs
        open(sys.argv[1] + "/child", "w").write(str(child.pid))
        open(sys.argv[1] + "/client", "w").write(str(os.getpid()))
        time.sleep(3600)
    elif value == 109:
        child = subprocess.Popen(["setsid", "sleep", "3600"])
        open(sys.argv[1] + "/child", "w").write(str(child.pid))
        say(id=id, type="info", error={"code": "lost"})
    elif value == 110:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif value == 111:
        print("no module named x" * 3, file=sys.stderr, flush=True); os._exit(3)
    elif value == 112:
        say(id=id, type="ok", node="n3")
    elif value == 107:
        say(type="ok")                                       # no id
    else:
        elements.append(value)
        say(id=id, type="ok")
"#;

const TERMS: Terms = Terms { deadline: Duration::from_secs(5), settle: false };

fn nodes() -> Vec<Node> {
    let node = |number: u8| Node { name: format!("n{number}").into(), address: [10, 0, 0, number].into() };
    (1..=3).map(node).collect()
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("client.py"), PROGRAM).unwrap();
        Bench { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn connect(&self) -> ExecConnect {
        ExecConnect {
            argv: vec!["python3".into(), "client.py".into(), self.path().display().to_string()],
            called: None,
            settings: BTreeMap::new(),
            run: "a-run".to_owned(),
            folder: self.path().to_owned(),
            env: BTreeMap::new(),
            errors: BTreeMap::from([("READONLY".to_owned(), Certainty::Fail)]),
            init_deadline: Duration::from_secs(60),
            workload: ClientWorkload::new("set", &["add", "read"]),
            nodes: nodes(),
            stderr_dir: self.path().join("stderr"),
            stderr_room: Arc::new(AtomicU64::new(STDERR_ROOM_BYTES)),
            line_bytes_max: LINE_BYTES_MAX,
            programs: None,
        }
    }

    async fn open(&self, connect: &ExecConnect, mode: &str) -> Result<Box<dyn Client>, String> {
        let endpoint = Endpoint {
            node: "n1".into(),
            address: "10.0.0.1".into(),
            ports: BTreeMap::from([("client".to_owned(), 6379)]),
            process: 7,
            options: BTreeMap::from([("mode".to_owned(), mode.to_owned())]),
            terms: TERMS,
        };
        connect.open(endpoint).await.map_err(|error| error.to_string())
    }

    async fn good(&self) -> Box<dyn Client> {
        self.open(&self.connect(), "good").await.unwrap()
    }
}

fn add(value: i64) -> Call {
    Call { workload: "set".into(), f: "add".into(), key: Value::Nil, value: Value::Int(value) }
}

fn read() -> Call {
    Call { f: "read".into(), value: Value::Nil, ..add(0) }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < end, "within 60 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a process is there and not a zombie.
fn alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

#[tokio::test]
async fn a_good_client_answers_and_closes_and_its_stderr_is_kept() {
    let bench = Bench::new();
    let mut client = bench.good().await;
    assert_eq!(client.call(&add(1), TERMS).await.result, CallResult::Ok(Value::Nil));
    assert_eq!(client.call(&add(2), TERMS).await.result, CallResult::Ok(Value::Nil));
    assert_eq!(client.call(&read(), TERMS).await.result, CallResult::Ok(Value::list([Value::Int(1), Value::Int(2)])));
    assert_eq!(client.call(&add(105), TERMS).await.result, CallResult::fail("READONLY"));
    assert_eq!(client.call(&add(106), TERMS).await.result, CallResult::fail("refused"));
    client.close().await;
    assert!(bench.path().join("closed").exists(), "it got the line that closes it");
    let kept = bench.path().join("stderr/client-set-7.stderr");
    until("its standard error is kept", || {
        std::fs::read_to_string(&kept).is_ok_and(|text| text.contains("stderr of n1 10.0.0.1 6379 7"))
    })
    .await;
}

#[tokio::test]
async fn what_is_not_an_answer_is_info_and_says_what_was_expected() {
    let bench = Bench::new();
    let cases = [
        (101, "the client ended during the call"),
        (102, "Traceback: oh no, which is not JSON; expected one JSON object on a line; it was sent {"),
        (103, "longer than allowed"),
        (104, "lost: connection reset"),
        (107, "expected \"id\":1"),
    ];
    for (value, expected) in cases {
        let connect = ExecConnect { line_bytes_max: 4096, ..bench.connect() };
        let mut client = bench.open(&connect, "good").await.unwrap();
        match client.call(&add(value), TERMS).await.result {
            CallResult::Info(why) => assert!(why.contains(expected), "{value}: {why}"),
            other => panic!("{value}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn after_a_crash_no_call_is_certain() {
    let bench = Bench::new();
    let mut client = bench.good().await;
    for _ in 0..3 {
        assert!(matches!(client.call(&add(101), TERMS).await.result, CallResult::Info(_)));
    }
}

#[tokio::test]
async fn a_hanging_client_is_given_up_and_killed() {
    let bench = Bench::new();
    let mut client = bench.good().await;
    assert!(tokio::time::timeout(Duration::from_millis(300), client.call(&add(100), TERMS)).await.is_err());
    let marker = bench.path().display().to_string();
    let running = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter(|entry| {
                std::fs::read(entry.path().join("cmdline"))
                    .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&marker))
            })
            .count()
    };
    assert!(running() >= 1);
    drop(client);
    until("it is gone", || running() == 0).await;
}

#[tokio::test]
async fn children_of_a_client_are_killed_with_it_also_where_they_left_its_session() {
    let bench = Bench::new();
    for (stays, orderly) in [(104, false), (104, true), (109, false), (109, true)] {
        let mut client = bench.good().await;
        assert!(matches!(client.call(&add(stays), TERMS).await.result, CallResult::Info(_)));
        let child = std::fs::read_to_string(bench.path().join("child")).unwrap();
        assert!(alive(&child));
        if orderly {
            client.close().await;
        } else {
            drop(client);
        }
        until("the child is gone", || !alive(&child)).await;
    }
}

/// A client with the loop of the examples, which names whoever answered.
const BEHIND_A_PROXY: &str = r#"
from dsfuzz_client import fail, node_at, not_supported, ok, serve

def carry_out(init, call):
    if call["f"] == "read":
        return ok([], node=node_at(init, init["address"]))
    if call["value"] < 10:
        return ok(node=node_at(init, "10.0.0.%d" % call["value"]))
    return fail("refused", "no", node="n2") if call["value"] == 10 else not_supported(call)

serve(lambda init: init, carry_out)
"#;

#[tokio::test]
async fn clients_with_the_loop_of_the_examples_hold_to_the_protocol_and_name_who_answered() {
    let bench = Bench::new();
    std::fs::write(bench.path().join("client.py"), BEHIND_A_PROXY).unwrap();
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/client");
    let with_loop = |argv: &[&str]| ExecConnect {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: BTreeMap::from([("PYTHONPATH".to_owned(), shared.display().to_string())]),
        ..bench.connect()
    };
    let mut client = bench.open(&with_loop(&["python3", "client.py"]), "good").await.unwrap();
    for (value, node) in [(1, None), (3, Some("n3")), (9, None)] {
        let answered = client.call(&add(value), TERMS).await;
        assert_eq!((answered.result, answered.node.as_deref()), (CallResult::Ok(Value::Nil), node), "{value}");
    }
    let refused = client.call(&add(10), TERMS).await;
    assert!(matches!(&refused.result, CallResult::Fail(why) if &**why == "refused: no"), "{:?}", refused.result);
    assert_eq!(refused.node.as_deref(), Some("n2"));
    let unknown = client.call(&add(11), TERMS).await.result;
    assert!(matches!(&unknown, CallResult::Fail(why) if &**why == "not-supported: add"), "{unknown:?}");
    assert_eq!(client.call(&read(), TERMS).await.result, CallResult::Ok(Value::list([])));
    client.close().await;
    let smallest = shared.join("client.py").display().to_string();
    let mut client = bench.open(&with_loop(&["python3", &smallest]), "good").await.unwrap();
    assert_eq!(client.call(&add(5), TERMS).await.result, CallResult::Ok(Value::Nil));
    assert_eq!(client.call(&read(), TERMS).await.result, CallResult::Ok(Value::list([Value::Int(5)])));
    client.close().await;
}

const STAND_IN: &str = "DSFUZZ_TEST_CONTROL_NODE";

/// Not a test of its own: the control node that the test below kills in the middle of a call.
#[tokio::test]
#[ignore = "run by clients_die_with_a_control_node_that_is_killed"]
async fn control_node_in_a_call() {
    let Some(folder) = std::env::var_os(STAND_IN) else { return };
    let bench = Bench { folder: tempfile::tempdir_in(folder).unwrap() };
    std::fs::write(bench.path().join("client.py"), PROGRAM).unwrap();
    let mut client = bench.good().await;
    client.call(&add(108), TERMS).await;
}

#[tokio::test]
async fn clients_die_with_a_control_node_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut control = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "control_node_in_a_call"])
        .env(STAND_IN, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let written = |name: &str| {
        let folders = std::fs::read_dir(folder.path()).unwrap().flatten();
        folders.filter_map(|entry| std::fs::read_to_string(entry.path().join(name)).ok()).find(|text| !text.is_empty())
    };
    until("the client is in its call", || written("client").is_some()).await;
    let (client, child) = (written("client").unwrap(), written("child").unwrap());
    assert!(alive(&client) && alive(&child));
    control.kill().unwrap();
    control.wait().unwrap();
    until("client and child are gone", || !alive(&client) && !alive(&child)).await;
}

#[tokio::test]
async fn a_client_that_ends_says_how() {
    let bench = Bench::new();
    for (value, expected) in [(110, "(exit status 139: SIGSEGV)"), (111, "(exit status 3)"), (111, "no module named x")]
    {
        match bench.good().await.call(&add(value), TERMS).await.result {
            CallResult::Info(why) => assert!(why.contains(expected), "{why}"),
            other => panic!("{value}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn texts_for_the_integers_that_were_added_are_not_believed() {
    let bench = Bench::new();
    let mut client = bench.open(&bench.connect(), "texts").await.unwrap();
    assert_eq!(client.call(&add(1), TERMS).await.result, CallResult::Ok(Value::Nil));
    match client.call(&read(), TERMS).await.result {
        CallResult::Info(why) => {
            assert!(why.starts_with(UNBELIEVED) && why.contains("only integers were added"), "{why}")
        }
        other => panic!("{other:?}"),
    }
    let answered = client.call(&add(112), TERMS).await;
    assert_eq!((answered.result, answered.node.as_deref()), (CallResult::Ok(Value::Nil), Some("n3")));
}

#[tokio::test]
async fn a_client_that_does_not_start_says_why() {
    let bench = Bench::new();
    let short = ExecConnect { init_deadline: Duration::from_millis(500), ..bench.connect() };
    let nowhere = ExecConnect { argv: vec!["/nowhere/client".into(), "x".into()], ..bench.connect() };
    let cases = [
        (&bench.connect(), "dead", "ended before it answered `init` (exit status 1)"),
        (&bench.connect(), "dead", "ends with: stderr of n1 10.0.0.1 6379 7\nno server here"),
        (&bench.connect(), "poor", "does not support read, which the workload needs"),
        (&short, "mute", "did not answer `init` within 500 ms"),
        (&nowhere, "good", "cannot be started"),
    ];
    for (connect, mode, expected) in cases {
        let why = bench.open(connect, mode).await.err().unwrap();
        assert!(why.contains(expected), "{mode}: {why}");
    }
}

/// A client that prepares the target: the parameters that it got are its reply.
const PREPARING: &str = r#"
import json, os, sys
init = json.loads(sys.stdin.readline())
print(json.dumps({"type": "init_ok", "version": 1, "functions": ["add", "read", "setup"]}), flush=True)
for line in sys.stdin:
    call = json.loads(line)
    if call["type"] == "close":
        break
    known = {"call": [call["f"], call["value"]], "run": init["run"], "object": init["object"], "settings": init["settings"]}
    open(os.path.join(init["scratch"], "known"), "w").write(json.dumps(known))
    print(json.dumps({"id": call["id"], "type": "ok"}), flush=True)
"#;

#[tokio::test]
async fn a_client_that_lists_setup_is_asked_with_the_parameters_and_knows_the_run_and_its_settings() {
    let bench = Bench::new();
    std::fs::write(bench.path().join("preparing.py"), PREPARING).unwrap();
    let params = Value::Map([("total".into(), Value::Int(100))].into());
    let connect = ExecConnect {
        argv: vec!["python3".into(), "preparing.py".into()],
        settings: BTreeMap::from([("n1".into(), serde_json::json!({"database": "bank"}))]),
        workload: ClientWorkload { params, ..ClientWorkload::new("set", &["add", "read"]) },
        ..bench.connect()
    };
    let mut client = bench.open(&connect, "good").await.unwrap();
    assert!(matches!(client.setup(TERMS).await, Some(CallResult::Ok(_))));
    let known = std::fs::read_to_string(bench.path().join("stderr/scratch/known")).unwrap();
    let expected = serde_json::json!({
        "call": ["setup", {"total": 100}], "run": "a-run", "object": "set", "settings": {"database": "bank"},
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&known).unwrap(), expected);
    client.close().await;
    let mut plain = bench.good().await;
    assert!(plain.setup(TERMS).await.is_none(), "a client that does not list it is not asked");
    plain.close().await;
}
