//! The etcd client against a real etcd on loopback, and against servers that answer wrongly.
//!
//! Needs the `etcd` program (Debian: etcd-server). Every server is a child of the test, in a folder of its own, on free
//! ports, and is killed by its process id.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod objects;

use dsfuzz::targets::etcd::EtcdConnect;
use dsfuzz_checkers::Value;
use dsfuzz_client::testing::free_port;
use dsfuzz_workloads::{Call, CallResult, Client, ClientWorkload, Connect, Endpoint, Terms};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// One etcd on loopback.
struct Etcd {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Etcd {
    /// A port that was free may be taken a moment later: then etcd ends at once, and others are tried.
    async fn start() -> Etcd {
        for _ in 0..5 {
            if let Some(etcd) = Etcd::try_start().await {
                return etcd;
            }
        }
        panic!("etcd ended five times right after its start");
    }

    async fn try_start() -> Option<Etcd> {
        let folder = tempfile::tempdir().unwrap();
        let (port, peer) = (free_port(), free_port());
        let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
        let child = Command::new("etcd")
            .args(["--name", "t", "--data-dir"])
            .arg(folder.path().join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .arg(format!("--initial-cluster=t={peer}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the etcd program (Debian: etcd-server)");
        let mut etcd = Etcd { child, port, _folder: folder };
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if etcd.child.try_wait().unwrap().is_some() {
                return None;
            }
            // A put that is answered says that it has elected itself.
            if let Ok(mut client) = open(port, &[]).await
                && client.call(&call("register", "write", 0, Value::Int(0)), TERMS).await.result
                    == CallResult::Ok(Value::Nil)
            {
                return Some(etcd);
            }
            assert!(Instant::now() < end, "etcd does not serve within 60 s");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }
}

const TERMS: Terms = Terms { deadline: Duration::from_secs(5), settle: false };

/// A client of registers.
async fn open(port: u16, options: &[(&str, &str)]) -> Result<Box<dyn Client>, String> {
    open_for(&ClientWorkload::new("register", &[]), port, 0, options).await
}

async fn open_for(
    workload: &ClientWorkload,
    port: u16,
    process: u64,
    options: &[(&str, &str)],
) -> Result<Box<dyn Client>, String> {
    let endpoint = Endpoint {
        node: "n1".into(),
        address: "127.0.0.1".into(),
        ports: BTreeMap::from([("client".to_owned(), port)]),
        process,
        options: options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        terms: TERMS,
    };
    EtcdConnect::of(workload).open(endpoint).await.map_err(|error| error.to_string())
}

fn call(workload: &str, f: &str, key: i64, value: Value) -> Call {
    Call { workload: workload.into(), f: f.into(), key: Value::Int(key), value }
}

fn pair(from: Value, to: i64) -> Value {
    Value::list([from, Value::Int(to)])
}

#[tokio::test]
async fn registers_and_sets_on_a_real_etcd() {
    let etcd = Etcd::start().await;
    let mut client = open(etcd.port, &[]).await.unwrap();
    let steps = [
        ("read", Value::Nil, CallResult::Ok(Value::Nil)),
        ("cas", pair(Value::Int(1), 2), CallResult::fail("precondition")),
        ("cas", pair(Value::Nil, 1), CallResult::Ok(Value::Nil)),
        ("cas", pair(Value::Nil, 9), CallResult::fail("precondition")),
        ("read", Value::Nil, CallResult::Ok(Value::Int(1))),
        ("cas", pair(Value::Int(1), 2), CallResult::Ok(Value::Nil)),
        ("cas", pair(Value::Int(1), 3), CallResult::fail("precondition")),
        ("write", Value::Int(7), CallResult::Ok(Value::Nil)),
        ("read", Value::Nil, CallResult::Ok(Value::Int(7))),
    ];
    for (f, value, expected) in steps {
        let call = call("register", f, 5, value);
        assert_eq!(client.call(&call, TERMS).await.result, expected, "{call:?}");
    }
    let mut serializable = open(etcd.port, &[("serializable", "true")]).await.unwrap();
    assert_eq!(
        serializable.call(&call("register", "read", 5, Value::Nil), TERMS).await.result,
        CallResult::Ok(Value::Int(7))
    );
    // With versions, which are revisions of etcd.
    let workload = ClientWorkload::new("sessions", &[]);
    let params = Value::Map([("versions".into(), Value::Bool(true))].into());
    let mut versions =
        open_for(&ClientWorkload { object: "register".into(), params, ..workload }, etcd.port, 0, &[]).await.unwrap();
    let mut ask = async |f: &str, value| versions.call(&call("sessions", f, 5, value), TERMS).await.result;
    let pair = |version, value| CallResult::Ok(Value::list([version, value]));
    assert_eq!(ask("read", Value::Nil).await, pair(Value::Int(0), Value::Nil));
    let CallResult::Ok(Value::Int(first)) = ask("write", Value::Int(8)).await else { panic!("a version") };
    assert_eq!(ask("write", Value::Int(9)).await, CallResult::Ok(Value::Int(first + 1)));
    assert_eq!(ask("read", Value::Nil).await, pair(Value::Int(first + 1), Value::Int(9)));
    let unknown = client.call(&call("register", "enqueue", 5, Value::Nil), TERMS).await.result;
    assert!(matches!(unknown, CallResult::Fail(why) if why.starts_with("not-supported: ")));

    let mut client = open_for(&ClientWorkload::new("set", &[]), etcd.port, 0, &[]).await.unwrap();
    for element in [3, 10, 1] {
        assert_eq!(
            client.call(&call("set", "add", 0, Value::Int(element)), TERMS).await.result,
            CallResult::Ok(Value::Nil)
        );
    }
    client.call(&call("set", "add", 1, Value::Int(99)), TERMS).await;
    let CallResult::Ok(read) = client.call(&call("set", "read", 0, Value::Nil), TERMS).await.result else {
        panic!("a set")
    };
    let mut elements: Vec<i64> = read.as_list().unwrap().iter().filter_map(Value::as_int).collect();
    elements.sort_unstable();
    assert_eq!(elements, [1, 3, 10]);
    assert_eq!(client.call(&call("set", "read", 7, Value::Nil), TERMS).await.result, CallResult::Ok(Value::list([])));
    client.close().await;
}

#[tokio::test]
async fn a_large_value_is_refused_for_certain() {
    let etcd = Etcd::start().await;
    let mut client = open(etcd.port, &[]).await.unwrap();
    let large = Value::text(&"x".repeat(1_600_000));
    let answer = client.call(&call("register", "write", 1, large), TERMS).await.result;
    let CallResult::Fail(why) = answer else { panic!("{answer:?}") };
    assert!(why.contains("request is too large"), "{why}");
    assert_eq!(client.call(&call("register", "read", 1, Value::Nil), TERMS).await.result, CallResult::Ok(Value::Nil));
}

#[tokio::test]
async fn a_paused_server_answers_nobody_and_a_given_up_write_may_take_effect() {
    let etcd = Etcd::start().await;
    let mut client = open(etcd.port, &[]).await.unwrap();
    etcd.signal(Signal::SIGSTOP);
    let write = call("register", "write", 1, Value::Int(8));
    let given_up = tokio::time::timeout(Duration::from_millis(500), client.call(&write, TERMS)).await;
    assert!(given_up.is_err(), "a stopped server answered: {given_up:?}");
    drop(client);
    etcd.signal(Signal::SIGCONT);
    // Whether it took effect or not: the next client sees one of the two, and nothing else.
    let mut next = open(etcd.port, &[]).await.unwrap();
    let CallResult::Ok(seen) = next.call(&call("register", "read", 1, Value::Nil), TERMS).await.result else {
        panic!("a read")
    };
    assert!(matches!(seen, Value::Nil | Value::Int(8)), "{seen:?}");
}

#[tokio::test]
async fn a_killed_server_refuses_and_nothing_was_sent() {
    let etcd = Etcd::start().await;
    let mut client = open(etcd.port, &[]).await.unwrap();
    let port = etcd.port;
    drop(etcd);
    let write = call("register", "write", 1, Value::Int(8));
    // The first call may meet the dying connection; from then on every connection is refused.
    let _ = client.call(&write, TERMS).await.result;
    let answer = client.call(&write, TERMS).await.result;
    assert!(matches!(&answer, CallResult::Fail(why) if why.contains("refused")), "{answer:?}");
    let error = open(port, &[]).await.err().unwrap();
    assert!(error.contains("refused"), "{error}");
}

/// A server that reads one request and sends back these bytes, then closes; once for each reply.
fn liar(replies: Vec<Vec<u8>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for reply in replies {
            let Ok((mut stream, _)) = listener.accept() else { return };
            read_request(&mut stream);
            let _ = stream.write_all(&reply);
        }
    });
    port
}

/// Reads a request with its body, so that closing the socket afterwards resets nothing that was sent.
fn read_request(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap_or(0);
        seen.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        let length = text
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        let whole = text.find("\r\n\r\n").zip(length).is_some_and(|(head, length)| seen.len() >= head + 4 + length);
        if count == 0 || whole {
            return;
        }
    }
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn wrong_answers_are_info_for_writes_and_fail_for_reads() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"header\":{\"rev".to_vec();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing at all", Vec::new()),
        ("half a reply", half),
        ("not HTTP", b"hello\r\n\r\n".to_vec()),
        ("not JSON", http("200 OK", "<html>")),
        ("no header", http("200 OK", "{}")),
        (
            "no leader",
            http(
                "503 Service Unavailable",
                r#"{"error":"etcdserver: no leader","code":14,"message":"etcdserver: no leader"}"#,
            ),
        ),
        ("an empty error", http("500 Internal Server Error", "")),
    ];
    for (name, reply) in cases {
        let port = liar(vec![reply.clone(), reply.clone(), reply]);
        let calls =
            [("write", Value::Int(1), true), ("cas", pair(Value::Int(1), 2), true), ("read", Value::Nil, false)];
        for (f, value, doubtful) in calls {
            let mut client = open(port, &[]).await.unwrap();
            let answer = client.call(&call("register", f, 1, value), TERMS).await.result;
            match (&answer, doubtful) {
                (CallResult::Info(_), true) | (CallResult::Fail(_), false) => {}
                _ => panic!("{name}, {f}: {answer:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_definite_refusal_fails_and_a_broken_read_does_not_spoil_the_next_call() {
    let busy = http(
        "429 Too Many Requests",
        r#"{"error":"etcdserver: too many requests","code":8,"message":"etcdserver: too many requests"}"#,
    );
    let read = http("200 OK", r#"{"header":{"revision":"4"},"kvs":[{"key":"YQ==","value":"Nw=="}],"count":"1"}"#);
    let port = liar(vec![busy, Vec::new(), read]);
    let mut client = open(port, &[]).await.unwrap();
    let refused = client.call(&call("register", "write", 1, Value::Int(1)), TERMS).await.result;
    assert_eq!(refused, CallResult::fail("etcdserver: too many requests"));
    assert!(matches!(client.call(&call("register", "read", 1, Value::Nil), TERMS).await.result, CallResult::Fail(_)));
    assert_eq!(
        client.call(&call("register", "read", 1, Value::Nil), TERMS).await.result,
        CallResult::Ok(Value::Int(7))
    );
}

#[tokio::test]
async fn a_set_is_read_to_its_end_at_one_revision() {
    let page = |key: &str, value: &str, more: bool| {
        http(
            "200 OK",
            &format!(r#"{{"header":{{"revision":"4"}},"kvs":[{{"key":"{key}","value":"{value}"}}],"more":{more}}}"#),
        )
    };
    let port = liar(vec![page("YQ==", "MQ==", true), page("Yg==", "Mg==", false)]);
    let mut client = open_for(&ClientWorkload::new("set", &[]), port, 0, &[]).await.unwrap();
    let answer = client.call(&call("set", "read", 0, Value::Nil), TERMS).await.result;
    assert_eq!(answer, CallResult::Ok(Value::list([Value::Int(1), Value::Int(2)])));
}
