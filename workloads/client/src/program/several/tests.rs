//! A client on a list, whose calls do by the added value what stands beside it.
use super::super::{ObjectFunctions, Reply};
use super::*;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::task::JoinHandle;

struct List {
    elements: Vec<Value>,
    _connection: Connection,
}

/// Tells that it was cut.
struct Connection(mpsc::UnboundedSender<&'static str>);

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.0.send("cut");
    }
}

thread_local! {
    /// Where the ends of connections go: a test and its clients have one thread.
    static EVENTS: std::cell::RefCell<Option<mpsc::UnboundedSender<&'static str>>> = const { std::cell::RefCell::new(None) };
}

fn events() -> mpsc::UnboundedSender<&'static str> {
    EVENTS.with_borrow(|events| events.clone().unwrap())
}

impl Client for List {
    const OBJECTS: &'static [ObjectFunctions] = &[("set", &["add", "read"])];

    async fn open(init: Init) -> std::result::Result<List, CallError> {
        match init.node.as_str() {
            "refuses" => Err(CallError::fail("refused", "no server here")),
            "panics" => panic!("no server here"),
            "hangs" => {
                let _ = events().send("connects");
                let _connection = Connection(events());
                std::future::pending().await
            }
            _ => Ok(List { elements: Vec::new(), _connection: Connection(events()) }),
        }
    }

    async fn call(&mut self, call: &Call) -> std::result::Result<Reply, CallError> {
        match (&*call.f, call.value.as_i64()) {
            ("add", Some(100)) => std::future::pending().await,
            ("add", Some(101)) => panic!("a mistake of the client"),
            ("add", Some(102)) => Err(CallError::info("lost", "connection reset")),
            ("add", _) => {
                self.elements.push(call.value.clone());
                Ok(Reply::nothing())
            }
            _ => Ok(Reply::value(self.elements.clone())),
        }
    }

    async fn close(self) {
        let _ = events().send("closed");
    }
}

/// A program in this process.
struct Program {
    input: DuplexStream,
    output: mpsc::UnboundedReceiver<Vec<u8>>,
    connections: mpsc::UnboundedReceiver<&'static str>,
    serving: JoinHandle<Result<()>>,
    /// Lines read and not yet asked for.
    lines: Vec<Value>,
}

struct Sink(mpsc::UnboundedSender<Vec<u8>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let _ = self.0.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Program {
    /// A program with these nodes' clients, numbered from 0.
    async fn start(nodes: &[&str]) -> Program {
        let (input, far) = tokio::io::duplex(1 << 16);
        let (sender, output) = mpsc::unbounded_channel();
        let (connection, connections) = mpsc::unbounded_channel();
        EVENTS.set(Some(connection));
        let serving = tokio::spawn(async move {
            let mut lines = BufReader::new(far).lines();
            let first = lines.next_line().await?.unwrap();
            serve::<List>(first, lines, Sink(sender)).await
        });
        let mut program = Program { input, output, connections, serving, lines: Vec::new() };
        for (client, node) in nodes.iter().enumerate() {
            program
                .say(json!({"type": "init", "version": 1, "node": node, "address": "127.0.0.1", "ports": {},
                    "process": client, "workload": "set", "object": "set", "client": client}))
                .await;
        }
        program
    }

    async fn say(&mut self, line: Value) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn call(&mut self, client: u64, id: u64, f: &str, value: Value) {
        self.call_within(60_000, client, id, f, value).await;
    }

    async fn call_within(&mut self, deadline_ms: u64, client: u64, id: u64, f: &str, value: Value) {
        let call = json!({"type": "invoke", "id": id, "f": f, "key": null, "value": value, "deadline_ms": deadline_ms,
            "final": false, "client": client});
        self.say(call).await;
    }

    /// The next line, and how many came with one write.
    async fn written(&mut self) -> Vec<Value> {
        let bytes = tokio::time::timeout(Duration::from_secs(60), self.output.recv()).await.unwrap().unwrap();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// What happens next to a connection.
    async fn event(&mut self) -> Option<&'static str> {
        tokio::time::timeout(Duration::from_secs(60), self.connections.recv()).await.unwrap()
    }

    /// The next line of this client.
    async fn line(&mut self, client: u64) -> Value {
        loop {
            if let Some(place) = self.lines.iter().position(|line| line["client"] == client) {
                return self.lines.remove(place);
            }
            let written = self.written().await;
            self.lines.extend(written);
        }
    }
}

#[tokio::test]
async fn no_client_waits_for_another_and_answers_are_written_together() {
    let mut program = Program::start(&["n1", "n2", "n3"]).await;
    for client in 0..3 {
        assert_eq!(program.line(client).await["functions"], json!(["add", "read"]));
    }
    program.call(0, 1, "add", json!(100)).await;
    for id in 1..20 {
        program.call(1, id, "add", json!(id)).await;
        assert_eq!(program.line(1).await, json!({"type": "ok", "id": id, "value": null, "client": 1}));
    }
    // Both lines are there before the program reads again.
    program.call(1, 20, "read", Value::Null).await;
    program.call(2, 1, "read", Value::Null).await;
    let written = program.written().await;
    assert_eq!(written.len(), 2, "{written:?}");
    assert_eq!(written[0]["value"].as_array().unwrap().len(), 19);
    assert_eq!(written[1]["value"], json!([]), "each has its own connection");
}

#[tokio::test]
async fn a_client_that_leaves_within_a_call_is_cut_and_one_that_waits_is_closed() {
    let mut program = Program::start(&["n1", "n2"]).await;
    program.line(0).await;
    program.line(1).await;
    program.call(0, 1, "add", json!(100)).await;
    program.say(json!({"type": "close", "client": 0})).await;
    assert_eq!(program.event().await, Some("cut"));
    program.say(json!({"type": "close", "client": 1})).await;
    assert_eq!(program.event().await, Some("closed"));
    program.say(json!({"type": "close"})).await;
    program.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_while_it_connects_is_cut() {
    let mut program = Program::start(&["n1", "hangs"]).await;
    program.line(0).await;
    assert_eq!(program.event().await, Some("connects"));
    program.say(json!({"type": "close", "client": 1})).await;
    assert_eq!(program.event().await, Some("cut"));
    let mut program = Program::start(&["hangs"]).await;
    assert_eq!(program.event().await, Some("connects"));
    program.say(json!({"type": "close"})).await;
    assert_eq!(program.event().await, Some("cut"), "the program's end does not wait for it");
    program.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_doubtful_answer_cuts_the_connection() {
    let mut program = Program::start(&["n1"]).await;
    program.line(0).await;
    program.call(0, 1, "add", json!(102)).await;
    assert_eq!(program.line(0).await["error"]["code"], "lost");
    assert_eq!(program.event().await, Some("cut"));
}

#[tokio::test]
async fn a_call_that_hangs_is_given_up_before_its_deadline() {
    let mut program = Program::start(&["n1"]).await;
    program.line(0).await;
    program.call_within(100, 0, 1, "add", json!(100)).await;
    let answer = program.line(0).await;
    assert_eq!((&answer["type"], &answer["error"]["code"]), (&json!("info"), &json!("timeout")), "{answer}");
    assert_eq!(program.event().await, Some("cut"));
}

#[tokio::test]
async fn a_refusal_and_a_panic_are_one_clients() {
    let mut program = Program::start(&["n1", "refuses", "panics", "n1"]).await;
    program.line(0).await;
    program.line(3).await;
    let refused = program.line(1).await;
    assert_eq!((&refused["type"], &refused["error"]["code"]), (&json!("error"), &json!("refused")));
    let panicked = program.line(2).await;
    assert_eq!((&panicked["type"], &panicked["error"]["code"]), (&json!("error"), &json!("crash")));
    program.call(0, 1, "add", json!(101)).await;
    let crashed = program.line(0).await;
    assert_eq!((&crashed["type"], &crashed["id"]), (&json!("info"), &json!(1)));
    assert_eq!(crashed["error"]["text"], "the client panicked: a mistake of the client");
    program.call(3, 1, "add", json!(7)).await;
    assert_eq!(program.line(3).await["type"], "ok", "the others go on");
}

#[tokio::test]
async fn a_line_for_no_client_ends_the_program() {
    let mut program = Program::start(&["n1"]).await;
    program.call(9, 1, "read", Value::Null).await;
    let error = program.serving.await.unwrap().unwrap_err().to_string();
    assert!(error.starts_with("a line for no client"), "{error}");
    let mut program = Program::start(&["n1"]).await;
    program.say(json!({"type": "invoke", "id": 1})).await;
    assert!(program.serving.await.unwrap().is_err());
}
