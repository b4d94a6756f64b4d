//! The client of dsfuzz for HTTP services: the recipe says what each function asks, and what each status means.
//!
//! Never: a request that is sent twice, a redirect that is followed, a status that is guessed.
mod connection;
mod settings;
mod template;

use crate::connection::Connection;
use crate::settings::{Function, Meaning, Settings};
use crate::template::{Names, typed};
use bytes::Bytes;
use dsfuzz_client::lines::SETUP;
use dsfuzz_client::{Call, CallError, Client, Init, ObjectFunctions, Reply, run};
use http_body_util::Full;
use hyper::Request;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Functions without an effect.
const READS: [&str; 5] = ["read", "get", "leader", "log", "status"];

struct Http {
    init: Init,
    settings: Settings,
    port: u16,
    /// The connection; none after it broke.
    connection: Option<Connection>,
    /// The last reply to `acquire`.
    token: Value,
}

impl Client for Http {
    const OBJECTS: &'static [ObjectFunctions] = &[
        ("register", &[SETUP, "read", "write", "cas"]),
        ("set", &[SETUP, "add", "read"]),
        ("counter", &[SETUP, "add", "read"]),
        ("ids", &[SETUP, "generate"]),
        ("queue", &[SETUP, "enqueue", "dequeue", "drain"]),
        ("bank", &[SETUP, "transfer", "read"]),
        ("transactions", &[SETUP, "txn"]),
        ("lock", &[SETUP, "acquire", "release"]),
        ("lease", &[SETUP, "acquire", "renew", "release"]),
        ("semaphore", &[SETUP, "acquire", "release"]),
    ];

    async fn open(init: Init) -> Result<Http, CallError> {
        let settings = Settings::of(&init.settings)?;
        if let Some(missing) = init.functions.iter().find(|function| !settings.functions.contains_key(*function)) {
            let text = format!("`settings.functions.{missing}` is missing (workload {})", init.workload);
            return Err(CallError::fail("not-supported", text));
        }
        let port = dsfuzz_client::settings::port(&init, &settings.port)?;
        let connection = Some(Connection::open(&init.address, port).await?);
        Ok(Http { init, settings, port, connection, token: Value::Null })
    }

    async fn call(&mut self, call: &Call) -> Result<Reply, CallError> {
        let Some(function) = self.settings.functions.get(&call.f).cloned() else {
            // Nothing has to be prepared.
            return Ok(Reply::nothing());
        };
        let within = call.break_off();
        let reply = match &function.repeat {
            Some(repeated) => self.repeat(&repeated.clone(), call, within).await,
            None => self.ask(&function, call, within).await.map(Reply::value),
        };
        match reply {
            Err(error) if !error.certain && READS.contains(&&*call.f) => {
                Err(CallError::fail("aborted", format!("{}: {}", error.code, error.text)))
            }
            Ok(reply) => {
                if call.f == "acquire" {
                    self.token = reply.value.clone();
                }
                Ok(reply)
            }
            failed => failed,
        }
    }
}

impl Http {
    /// Calls a function until there is nothing. What was taken before an error stands in the answer.
    async fn repeat(&mut self, name: &str, call: &Call, within: Duration) -> Result<Reply, CallError> {
        let (mut taken, end) = (Vec::new(), Instant::now() + within / 2);
        let Some(function) = self.settings.functions.get(name).cloned() else {
            return Err(CallError::fail("not-supported", name));
        };
        while Instant::now() < end {
            match self.ask(&function, call, within / 2).await {
                Ok(Value::Null) => break,
                Ok(value) => taken.push(value),
                Err(error) if error.certain && error.code == "empty" => break,
                // What was taken before is known, and dsfuzz asks again.
                Err(error) if error.certain && !taken.is_empty() => break,
                Err(error) => return Err(error.with_value(taken)),
            }
        }
        Ok(Reply::value(taken))
    }

    /// Makes one request. A connection that the server closed is replaced before it.
    async fn ask(&mut self, function: &Function, call: &Call, within: Duration) -> Result<Value, CallError> {
        let request = self.request(function, call)?;
        let answered = tokio::time::timeout(within, self.send(request)).await;
        let late = |_| CallError::info("timeout", format!("no answer within {within:?}"));
        let (status, body) = match answered.map_err(late).and_then(|answered| answered) {
            Ok(answer) => answer,
            Err(error) => {
                self.connection = None;
                return Err(error);
            }
        };
        let said = || format!("status {status}: {}", String::from_utf8_lossy(&body[..body.len().min(200)]));
        match function.meaning(status) {
            Meaning::Ok => value(function, &body),
            Meaning::Absent => Ok(Value::Null),
            Meaning::Held => Ok(Value::Bool(false)),
            Meaning::Fail(code) => Err(CallError::fail(code, said())),
            Meaning::Unknown => Err(CallError::info("unknown", said())),
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), CallError> {
        let mut connection = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => Connection::open(&self.init.address, self.port).await?,
        };
        let answer = connection.send(request).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    fn request(&self, function: &Function, call: &Call) -> Result<Request<Full<Bytes>>, CallError> {
        let names = Names {
            key: &call.key,
            value: &call.value,
            process: self.init.process,
            workload: &self.init.workload,
            run: &self.init.run,
            token: &self.token,
        };
        let (body, kind) = match &function.body {
            None => (String::new(), None),
            Some(Value::String(text)) => (names.fill(text), None),
            Some(template) => (names.fill_body(template).to_string(), Some("application/json")),
        };
        let mut request = Request::builder()
            .method(function.method.as_deref().unwrap_or("GET"))
            .uri(names.fill(&function.path))
            .header("host", format!("{}:{}", self.init.address, self.port));
        let has_kind = self.settings.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
        if let Some(kind) = kind.filter(|_| !has_kind) {
            request = request.header("content-type", kind);
        }
        for (name, value) in &self.settings.headers {
            request = request.header(name, names.fill(value));
        }
        request.body(Full::new(Bytes::from(body))).map_err(|error| CallError::fail("malformed", error))
    }
}

/// The value of a reply. The call took effect, whatever the body says.
fn value(function: &Function, body: &[u8]) -> Result<Value, CallError> {
    let Some(pointer) = &function.value else { return Ok(Value::Null) };
    let text = String::from_utf8_lossy(body);
    let found = match serde_json::from_slice::<Value>(body) {
        Ok(reply) => reply.pointer(pointer).cloned(),
        Err(_) if pointer.is_empty() => Some(Value::from(text.trim())),
        Err(_) => None,
    };
    let missing = || CallError::info("malformed-reply", format!("no value at `{pointer}` in: {text:.200}"));
    found.map(typed).ok_or_else(missing)
}

fn main() -> std::process::ExitCode {
    run::<Http>()
}
