//! Node programs of Maelstrom's protocol behind real processes and real TCP.
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three nodes with the same program.
struct Nodes {
    folder: tempfile::TempDir,
    kind: &'static str,
    workload: &'static str,
    /// Ports for clients, and for nodes.
    ports: [(u16, u16); 3],
    processes: [Option<Child>; 3],
}

impl Nodes {
    fn started(workload: &'static str, kind: &'static str) -> Nodes {
        // Held until all are known, so that all differ.
        let held: Vec<TcpListener> = (0..6).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let port = |at: usize| held[at].local_addr().expect("an address").port();
        let ports = [0, 1, 2].map(|node| (port(node), port(node + 3)));
        drop(held);
        let folder = tempfile::tempdir().expect("a folder");
        let mut nodes = Nodes { folder, kind, workload, ports, processes: [None, None, None] };
        (0..3).for_each(|node| nodes.start(node));
        (0..3).for_each(|node| nodes.wait_until_ready(node));
        nodes
    }

    fn start(&mut self, node: usize) {
        let all = self.ports.iter().enumerate().map(|(node, (_, peer))| format!("n{}=127.0.0.1:{peer}", node + 1));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/maelstrom/node.py");
        let process = Command::new(env!("CARGO_BIN_EXE_dsfuzz-specimen"))
            .args(["--maelstrom", "python3", "--set", &format!("arguments={script} {}", self.kind)])
            .args(["--set", &format!("workload={}", self.workload), "--set", "topology=line"])
            .args(["--me", &format!("n{}", node + 1), "--clients", &format!("127.0.0.1:{}", self.ports[node].0)])
            .args(["--nodes", &all.collect::<Vec<_>>().join(",")])
            .arg("--data")
            .arg(self.folder.path().join(format!("n{}", node + 1)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        self.processes[node] = Some(process.expect("the program"));
    }

    fn wait_until_ready(&self, node: usize) {
        eventually("the node serves", || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.ports[node].0)).ok()?;
            stream.write_all(b"{\"f\":\"status\"}\n").ok()?;
            let mut status = String::new();
            stream.read_to_string(&mut status).ok()?;
            status.contains("peer").then_some(())
        });
    }

    fn kill(&mut self, node: usize) {
        let mut process = self.processes[node].take().expect("it runs");
        process.kill().expect("killed");
        process.wait().expect("its end");
    }

    fn client(&self, node: usize, object: &'static str) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.ports[node].0)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        Client { reader: BufReader::new(stream.try_clone().expect("a stream")), stream, object, process: node as u64 }
    }

    /// The end of a node's process: its exit status, and what it wrote.
    fn ended(&mut self, node: usize) -> (Option<i32>, String) {
        let process = self.processes[node].take().expect("it runs");
        let output = process.wait_with_output().expect("its end");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), text.concat())
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().flatten() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    object: &'static str,
    process: u64,
}

impl Client {
    fn call(&mut self, f: &str, key: Json, value: Json) -> Json {
        let call = json!({
            "id": 1, "process": self.process, "workload": "w", "object": self.object, "f": f, "key": key, "value": value,
            "deadline_ms": 5_000,
        });
        self.stream.write_all(format!("{call}\n").as_bytes()).expect("sent");
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).expect("JSON")
    }
}

/// Waits until something is there.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_program_asks_a_service_that_outlives_its_node() {
    let mut nodes = Nodes::started("lin-kv", "proxy");
    let mut clients = [0, 1, 2].map(|node| nodes.client(node, "register"));
    assert_eq!(clients[2].call("read", 5.into(), Json::Null), json!({"id": 1, "type": "ok", "value": null}));
    assert_eq!(clients[1].call("write", 5.into(), 7.into())["type"], "ok");
    assert_eq!(clients[0].call("cas", 5.into(), json!([7, 8]))["type"], "ok");
    let refused = clients[2].call("cas", 5.into(), json!([7, 9]));
    assert_eq!((&refused["type"], &refused["code"]), (&json!("fail"), &json!("precondition")));
    nodes.kill(0);
    nodes.start(0);
    nodes.wait_until_ready(0);
    // Messages are lost until the other nodes have connected again.
    let value = eventually("the service answers", || {
        let mut client = nodes.client(1, "register");
        client.stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a deadline");
        let call = json!({
            "id": 1, "process": 9, "workload": "w", "object": "register", "f": "read", "key": 5, "deadline_ms": 500,
        });
        client.stream.write_all(format!("{call}\n").as_bytes()).ok()?;
        let mut line = String::new();
        client.reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        serde_json::from_str::<Json>(&line).ok().map(|answer| answer["value"].clone())
    });
    assert_eq!(value, 8);
}

#[test]
fn messages_go_from_node_to_node_along_the_topology() {
    let nodes = Nodes::started("broadcast", "set");
    let mut first = nodes.client(0, "set");
    assert_eq!(first.call("add", Json::Null, 4.into())["type"], "ok");
    let mut last = nodes.client(2, "set");
    eventually("the message reaches the last node", || {
        (last.call("read", Json::Null, Json::Null)["value"] == json!([4])).then_some(())
    });
    let refused = last.call("add", 1.into(), 4.into());
    assert_eq!((&refused["type"], &refused["code"]), (&json!("fail"), &json!("not-supported")));
    assert_eq!(nodes.client(0, "register").call("hello", Json::Null, Json::Null)["code"], "not-supported");
}

#[test]
fn another_node_may_answer_a_client() {
    let nodes = Nodes::started("echo", "elsewhere");
    for node in 0..3 {
        let mut client = nodes.client(node, "ids");
        let echo = client.call("generate", Json::Null, Json::Null);
        assert_eq!(echo["value"], format!("{node}-1"));
    }
}

#[test]
fn a_wrong_echo_is_no_reply_and_is_logged() {
    let mut nodes = Nodes::started("echo", "wrong");
    let answer = nodes.client(0, "ids").call("generate", Json::Null, Json::Null);
    assert_eq!((&answer["type"], &answer["text"]), (&json!("info"), &json!("the echo of 0-1 is \"0-1!\"")));
    let mut process = nodes.processes[0].take().expect("it runs");
    process.kill().expect("killed");
    let output = process.wait_with_output().expect("its end");
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(log.contains("malformed answer of the program: the echo of 0-1 is \"0-1!\""), "{log}");
}

#[test]
fn a_program_that_ends_or_writes_no_message_ends_its_node() {
    for (kind, said) in [("ends", "exit status: 3"), ("malformed", "malformed line of the program")] {
        let mut nodes = Nodes::started("echo", kind);
        let mut client = nodes.client(1, "ids");
        let call =
            json!({"id": 1, "process": 1, "workload": "w", "object": "ids", "f": "generate", "deadline_ms": 900});
        client.stream.write_all(format!("{call}\n").as_bytes()).expect("sent");
        let (status, log) = nodes.ended(1);
        assert_eq!(status, Some(2), "{log}");
        assert!(log.contains(said), "{log}");
    }
}
