//! The client against the example service and against servers that break the connection.
//!
//! Needs `python3`. The service is a child of the test, on a free port of loopback, and is killed by its process id.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use dsfuzz_client::testing::{
    Program, Proxy, ServerProcess, await_closed, free_port, init, is_listening, shown, started,
};
use serde_json::{Value, json};
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_dsfuzz-client-http");
const SERVICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../examples/http-service/service.py");

struct Service {
    process: ServerProcess,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Service {
    fn start() -> Service {
        started("the service", Service::try_start)
    }

    fn try_start() -> Option<Service> {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut command = Command::new("python3");
        command.arg(SERVICE).args(["127.0.0.1", &port.to_string()]).arg(folder.path().join("journal"));
        let mut process = ServerProcess::spawn("python3", &mut command);
        let up = process.is_up(|| is_listening(port));
        up.then_some(Service { process, port, _folder: folder })
    }

    fn client(&self, object: &str) -> Program {
        Program::open(PROGRAM, init(object, self.port, settings(), json!(null))).unwrap()
    }
}

/// The settings of the example's recipe.
fn settings() -> Value {
    json!({"functions": {
        "read": {"path": "/kv/{workload}-{key}", "value": "/value", "absent": [404]},
        "write": {"method": "PUT", "path": "/kv/{workload}-{key}", "body": {"value": "{value}"}},
        "cas": {"method": "PUT", "path": "/kv/{workload}-{key}", "body": {"from": "{value/0}", "value": "{value/1}"},
                "fail": {"precondition": [409]}},
        "enqueue": {"method": "POST", "path": "/queue", "body": {"value": "{value}"}},
        "dequeue": {"method": "DELETE", "path": "/queue", "value": "/value", "absent": [204]},
        "drain": {"repeat": "dequeue"},
        "acquire": {"method": "POST", "path": "/lock", "body": {"owner": "client-{process}"}, "held": [423]},
        "release": {"method": "DELETE", "path": "/lock", "body": {"owner": "client-{process}"},
                    "fail": {"not-held": [404]}},
    }})
}

#[test]
fn keys_a_queue_and_a_lock() {
    let service = Service::start();
    let mut client = service.client("register");
    for (f, value, expected) in [
        ("setup", json!(null), ("ok", "", json!(null))),
        ("read", json!(null), ("ok", "", json!(null))),
        ("cas", json!([null, 1]), ("ok", "", json!(null))),
        ("cas", json!([7, 9]), ("fail", "precondition", json!(null))),
        ("write", json!(5), ("ok", "", json!(null))),
        ("cas", json!([5, 6]), ("ok", "", json!(null))),
        ("read", json!(null), ("ok", "", json!(6))),
    ] {
        assert_eq!(shown(&client.call(f, 3, value.clone())), expected, "{f} {value}");
    }
    let mut second = init("register", service.port, settings(), json!(null));
    second.workload = "sequential".to_owned();
    let second = Program::open(PROGRAM, second).unwrap().call("read", 3, ());
    assert_eq!(shown(&second), ("ok", "", json!(null)), "each workload has its own keys");
    let mut queue = service.client("queue");
    assert_eq!(queue.ok("dequeue", ()), json!(null));
    for element in 1..=3 {
        queue.ok("enqueue", element);
    }
    assert_eq!(queue.ok("dequeue", ()), json!(1));
    assert_eq!(queue.ok("drain", ()), json!([2, 3]));
    assert_eq!(queue.ok("drain", ()), json!([]));
    let mut lock = service.client("lock");
    let mut other = init("lock", service.port, settings(), json!(null));
    other.process = 1;
    let mut other = Program::open(PROGRAM, other).unwrap();
    assert_eq!(lock.ok("acquire", ()), json!(null));
    assert_eq!(other.ok("acquire", ()), json!(false));
    assert_eq!(shown(&other.call("release", (), ())), ("fail", "not-held", json!(null)));
    lock.ok("release", ());
    assert_eq!(other.ok("acquire", ()), json!(null));
}

#[test]
fn a_status_that_the_recipe_does_not_know_is_in_doubt() {
    let service = Service::start();
    let mut said = settings();
    said["functions"]["write"]["path"] = json!("/nowhere");
    said["functions"]["read"]["path"] = json!("/nowhere");
    let mut client = Program::open(PROGRAM, init("register", service.port, said, json!(null))).unwrap();
    assert_eq!(shown(&client.call("write", 1, 1)), ("info", "unknown", json!(null)));
    assert_eq!(shown(&client.call("read", 1, ())), ("fail", "aborted", json!(null)), "a read has no effect");
    let mut lacking = init("register", service.port, json!({"functions": {}}), json!(null));
    lacking.functions = vec!["read".to_owned()];
    assert_eq!(shown(&Program::open(PROGRAM, lacking).unwrap_err()).1, "not-supported");
    let refused = Program::open(PROGRAM, init("register", free_port(), settings(), json!(null))).unwrap_err();
    assert_eq!(shown(&refused).1, "refused");
}

#[test]
fn a_cut_connection_is_in_doubt_and_nothing_is_sent_twice() {
    let service = Service::start();
    let proxy = Proxy::before(service.port, b"{\"value\":12345}");
    let mut client = Program::open(PROGRAM, init("register", proxy.port, settings(), json!(null))).unwrap();
    client.call("write", 1, 1);
    proxy.cut_after_next();
    assert_eq!(shown(&client.call("write", 1, 12345)), ("info", "lost", json!(null)));
    assert_eq!(shown(&service.client("register").call("read", 1, ())).2, json!(12345), "the service had it");
    client.call("write", 1, 2);
    assert_eq!((proxy.seen(), proxy.connections()), (1, 2), "only the next call has opened a connection");
    // An idle connection that the server closes is replaced before the next request.
    proxy.cut();
    await_closed(proxy.port);
    assert_eq!(shown(&client.call("write", 1, 3)).0, "ok");
    assert_eq!(proxy.connections(), 3);
}

#[test]
fn no_answer_is_in_doubt() {
    let service = Service::start();
    let mut client = service.client("register");
    client.deadline_ms = 1_000;
    service.process.signal("-STOP");
    assert_eq!(shown(&client.call("write", 1, 2)), ("info", "timeout", json!(null)));
    service.process.signal("-CONT");
}
