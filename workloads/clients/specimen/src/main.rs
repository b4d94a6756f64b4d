//! The client of the specimens: one connection to its node, JSON lines, one call at a time.
//!
//! The node knows what its mode's functions mean, so every object is carried out in the same way.
use dsfuzz_client::{Call, CallError, Client, FAILURES, Init, ObjectFunctions, Reply};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Codes of calls whose effect is unknown, which this program passes on beside [`FAILURES`].
const DOUBTS: &[&str] = &["unavailable", "timeout", "crash"];

/// A connection to a node.
struct Specimen {
    init: Init,
    requests: OwnedWriteHalf,
    answers: Lines<BufReader<OwnedReadHalf>>,
    /// The node has answered the first line.
    greeted: bool,
}

/// How long the first answer is waited for. A paused node accepts connections; the calls to it must begin all the same.
const GREETING: Duration = Duration::from_millis(500);

impl Client for Specimen {
    const OBJECTS: &'static [ObjectFunctions] = &[
        ("register", &["read", "write", "cas"]),
        ("set", &["add", "read"]),
        ("rows", &["add", "read"]),
        ("transactions", &["txn"]),
        ("bank", &["transfer", "read"]),
        ("crdt", &["read", "add", "remove", "write"]),
        ("queue", &["enqueue", "dequeue", "drain"]),
        ("counter", &["add", "read"]),
        ("ids", &["generate"]),
        ("lock", &["acquire", "release"]),
        ("lease", &["acquire", "renew", "release"]),
        ("guarded", &["acquire", "add", "read", "write", "log", "release"]),
        ("election", &["elect", "leader", "write", "log", "resign"]),
        ("log", &["assign", "subscribe", "send", "poll", "txn", "crash"]),
        ("commit", &["commit", "status"]),
        ("saga", &["start", "log"]),
        ("members", &["members"]),
    ];

    const VERSIONS: bool = true;

    async fn open(init: Init) -> Result<Specimen, CallError> {
        let port = dsfuzz_client::settings::port(&init, "client")?;
        let refused = |error: std::io::Error| CallError::fail("refused", format!("{}:{port}: {error}", init.address));
        let stream = TcpStream::connect((init.address.as_str(), port)).await.map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        let (answers, requests) = stream.into_split();
        let mut specimen = Specimen { init, requests, answers: BufReader::new(answers).lines(), greeted: false };
        // The node says whether its mode has the object.
        let hello =
            Call { id: 0, f: "hello".to_owned(), key: Json::Null, value: Json::Null, deadline_ms: 0, is_final: false };
        specimen.send(&hello).await.map_err(|error| CallError { certain: true, ..error })?;
        if let Ok(greeted) = tokio::time::timeout(GREETING, specimen.greeting()).await {
            greeted.map_err(|error| CallError { certain: true, ..error })?;
        }
        Ok(specimen)
    }

    async fn call(&mut self, call: &Call) -> Result<Reply, CallError> {
        match self.ask(call).await {
            // A read has no effect. A lost connection must be replaced nevertheless.
            Err(error) if !error.certain && call.f == "read" && !matches!(error.code, "lost" | "timeout") => {
                Err(CallError { certain: true, ..error })
            }
            answer => answer.map(Reply::value),
        }
    }
}

impl Specimen {
    async fn ask(&mut self, call: &Call) -> Result<Json, CallError> {
        self.send(call).await?;
        self.greeting().await?;
        self.answer().await
    }

    /// The answer to the first line, unless it has come.
    async fn greeting(&mut self) -> Result<(), CallError> {
        if !self.greeted {
            self.answer().await?;
            self.greeted = true;
        }
        Ok(())
    }

    async fn send(&mut self, call: &Call) -> Result<(), CallError> {
        let Init { process, workload, object, params, .. } = &self.init;
        let request = json!({
            "id": call.id, "process": process, "workload": workload, "object": object, "params": params, "f": call.f,
            "key": call.key, "value": call.value, "deadline_ms": call.deadline_ms, "final": call.is_final,
        });
        self.requests.write_all(format!("{request}\n").as_bytes()).await.map_err(lost)
    }

    async fn answer(&mut self) -> Result<Json, CallError> {
        let ended = || CallError::info("lost", "the node closed the connection");
        let line = self.answers.next_line().await.map_err(lost)?.ok_or_else(ended)?;
        let answer: Json = serde_json::from_str(&line).map_err(|error| CallError::info("unknown", error))?;
        let text = answer["text"].as_str().unwrap_or_default().to_owned();
        let code = FAILURES.iter().chain(DOUBTS).find(|code| answer["code"] == **code).copied();
        match answer["type"].as_str() {
            Some("ok") => Ok(answer["value"].clone()),
            Some("fail") => Err(CallError::fail(code.unwrap_or("aborted"), text)),
            _ => Err(CallError::info(code.unwrap_or("unknown"), text)),
        }
    }
}

fn lost(error: std::io::Error) -> CallError {
    CallError::info("lost", error)
}

fn main() -> std::process::ExitCode {
    dsfuzz_client::run::<Specimen>()
}
