//! The client of etcd: its HTTP/JSON gateway, one connection to one node, no retries.
//!
//! `register`: a key for each register (read, write, cas). `set`: a key for each element, under a prefix for each set
//! (add, read). `txn`: transactions of micro-operations (`transactions.rs`). Keys are `/dsfuzz/<workload>/<key>[/<element>]`; values are JSON texts.
//!
//! A broken connection is replaced before any byte of the next call is sent.
mod outcome;
mod transactions;

use super::http::{HttpConnection, HttpError, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dsfuzz_checkers::Value;
use dsfuzz_workloads::{BoxFuture, Call, CallResponse, CallResult, Client, Connect, ConnectError, Endpoint, Terms};
use outcome::RequestProgress;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Its name in recipes (`builtin: etcd`).
pub const NAME: &str = "etcd";
/// The objects whose functions it carries out.
pub const OBJECTS: &[&str] = &["register", "set", "transactions"];
/// Deadline of connecting. Nothing has been sent by then, so that giving up is a Fail.
const CONNECT: Duration = Duration::from_secs(2);
/// Pause after a refused connection, so that a dead node is not called in a busy loop.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// Elements of one request; a set is read page by page, all at one revision.
const PAGE: u64 = 10_000;

/// Opens clients of etcd. Options: `serializable` (`true`: reads are answered by the node's own state).
#[derive(Clone, Copy, Debug)]
pub struct EtcdConnect;

impl Connect for EtcdConnect {
    fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        Box::pin(async move {
            let Some(port) = endpoint.ports.get("client") else {
                return Err(ConnectError("the recipe names no port with the role `client`".to_owned()));
            };
            let host = match endpoint.address.contains(':') && !endpoint.address.starts_with('[') {
                true => format!("[{}]", endpoint.address),
                false => endpoint.address.clone(),
            };
            let serializable = endpoint.options.get("serializable").is_some_and(|value| value == "true");
            let authority = format!("{host}:{port}");
            let connection = Some(connect(&authority).await.map_err(ConnectError)?);
            Ok(Box::new(EtcdClient { authority, serializable, connection }) as Box<dyn Client>)
        })
    }
}

async fn connect(authority: &str) -> Result<HttpConnection, String> {
    match tokio::time::timeout(CONNECT, HttpConnection::open(authority)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(format!("refused: {error}")),
        Err(_) => Err(format!("refused: {authority}: no connection within {} ms", CONNECT.as_millis())),
    }
}

struct EtcdClient {
    authority: String,
    serializable: bool,
    connection: Option<HttpConnection>,
}

impl Client for EtcdClient {
    fn call<'a>(&'a mut self, call: &'a Call, _terms: Terms) -> BoxFuture<'a, CallResponse> {
        Box::pin(async move {
            let answer = match (&*call.workload, &*call.f) {
                ("register", "read") => self.read_register(call).await,
                ("register", "write") => self.write(&register_key(call), &call.value).await,
                ("register", "cas") => self.compare_and_set(call).await,
                ("set", "add") => {
                    self.write(&format!("{}{}", set_prefix(call), json_text(&call.value)), &call.value).await
                }
                ("set", "read") => self.read_set(call).await,
                (_, "txn") => self.transact(call).await,
                (workload, f) => CallResult::fail(format!("not-supported: the etcd client knows no {f} of {workload}")),
            };
            answer.into()
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { drop(self) })
    }
}

impl EtcdClient {
    /// Sends one request. Returns the reply's JSON if etcd executed the request; else the progress of the request.
    async fn post(&mut self, path: &str, body: &Json) -> Result<Json, RequestProgress> {
        let usable = self.connection.take().filter(|connection| !connection.is_closed());
        let mut connection = match usable {
            Some(connection) => connection,
            None => match connect(&self.authority).await {
                Ok(connection) => connection,
                Err(why) => {
                    tokio::time::sleep(REFUSED_PAUSE).await;
                    return Err(RequestProgress::No(why));
                }
            },
        };
        match connection.send("POST", path, body.to_string().into_bytes()).await {
            Ok(reply) => {
                self.connection = Some(connection);
                parsed(&reply)
            }
            Err(HttpError::NotSent(why)) => Err(RequestProgress::No(why)),
            Err(HttpError::Broken(why)) => Err(RequestProgress::Perhaps(why)),
        }
    }

    async fn read_register(&mut self, call: &Call) -> CallResult {
        let body = json!({"key": encoded(&register_key(call)), "serializable": self.serializable});
        let reply = match self.post("/v3/kv/range", &body).await {
            Ok(reply) => reply,
            Err(sent) => return outcome::of_read(&sent),
        };
        match elements(&reply).map(|values| values.into_iter().next()) {
            Ok(value) => CallResult::Ok(value.unwrap_or_default()),
            Err(why) => CallResult::fail(why),
        }
    }

    async fn write(&mut self, key: &str, value: &Value) -> CallResult {
        let body = json!({"key": encoded(key), "value": encoded(&json_text(value))});
        match self.post("/v3/kv/put", &body).await {
            Ok(_) => CallResult::Ok(Value::Nil),
            Err(sent) => outcome::of_write(&sent),
        }
    }

    async fn compare_and_set(&mut self, call: &Call) -> CallResult {
        let Some([from, to]) = call.value.as_list() else {
            return CallResult::fail(format!("malformed: cas wants [from, to], not {}", call.value));
        };
        let key = encoded(&register_key(call));
        // An absent key has no value to compare with, but version 0.
        let compare = match from {
            Value::Nil => json!({"key": key, "target": "VERSION", "result": "EQUAL", "version": "0"}),
            value => json!({"key": key, "target": "VALUE", "result": "EQUAL", "value": encoded(&json_text(value))}),
        };
        let put = json!({"requestPut": {"key": key, "value": encoded(&json_text(to))}});
        match self.post("/v3/kv/txn", &json!({"compare": [compare], "success": [put]})).await {
            Ok(reply) => match reply.get("succeeded").and_then(Json::as_bool).unwrap_or(false) {
                true => CallResult::Ok(Value::Nil),
                false => CallResult::fail("precondition"),
            },
            Err(sent) => outcome::of_write(&sent),
        }
    }

    /// Reads a whole set, page by page at the revision of the first page.
    async fn read_set(&mut self, call: &Call) -> CallResult {
        let prefix = set_prefix(call);
        let end = format!("{}0", &prefix[..prefix.len() - 1]); // '0' follows '/'
        let (mut from, mut revision, mut all) = (encoded(&prefix), Json::from("0"), Vec::new());
        loop {
            let body = json!({
                "key": from, "range_end": encoded(&end), "limit": PAGE.to_string(),
                "revision": revision, "serializable": self.serializable,
            });
            let reply = match self.post("/v3/kv/range", &body).await {
                Ok(reply) => reply,
                Err(sent) => return outcome::of_read(&sent),
            };
            match elements(&reply) {
                Ok(values) => all.extend(values),
                Err(why) => return CallResult::fail(why),
            }
            if !reply.get("more").and_then(Json::as_bool).unwrap_or(false) {
                return CallResult::Ok(Value::list(all));
            }
            if let Some(now) = reply.pointer("/header/revision").filter(|_| revision == "0") {
                revision = now.clone();
            }
            let last = reply.get("kvs").and_then(Json::as_array).and_then(|kvs| kvs.last()?.get("key")?.as_str());
            match last.and_then(|key| BASE64.decode(key).ok()) {
                Some(mut key) => {
                    key.push(0);
                    from = BASE64.encode(key);
                }
                None => return CallResult::fail("malformed: etcd says that there is more, but names no last key"),
            }
        }
    }
}

/// A reply of etcd as JSON. Every reply to an executed request has a header with a revision. Without this check even `{}`
/// would count as a refused compare-and-set.
fn parsed(reply: &HttpResponse) -> Result<Json, RequestProgress> {
    let text = || super::node_commands::head(&String::from_utf8_lossy(&reply.body));
    let Ok(json) = serde_json::from_slice::<Json>(&reply.body) else {
        return Err(RequestProgress::Perhaps(format!("malformed: status {}, not JSON: {}", reply.status, text())));
    };
    let message = json.get("message").or_else(|| json.get("error")).and_then(Json::as_str);
    match message {
        Some(message) => Err(RequestProgress::Refused(message.to_owned())),
        None if !reply.status.is_success() || json.pointer("/header/revision").is_none() => {
            Err(RequestProgress::Perhaps(format!("malformed: status {}, no header in {}", reply.status, text())))
        }
        None => Ok(json),
    }
}

/// The values of a range.
fn elements(reply: &Json) -> Result<Vec<Value>, String> {
    let kvs = match reply.get("kvs") {
        None => return Ok(Vec::new()),
        Some(kvs) => kvs.as_array().ok_or_else(|| {
            format!("malformed: kvs is not a list in {}", super::node_commands::head(&reply.to_string()))
        })?,
    };
    let one = |kv: &Json| {
        let bytes = BASE64.decode(kv.get("value")?.as_str()?).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    };
    kvs.iter()
        .map(|kv| {
            one(kv).ok_or_else(|| {
                format!("malformed: not a value of ours: {}", super::node_commands::head(&kv.to_string()))
            })
        })
        .collect()
}

fn encoded(text: &str) -> String {
    BASE64.encode(text)
}

fn json_text(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn register_key(call: &Call) -> String {
    format!("/dsfuzz/{}/{}", call.workload, json_text(&call.key))
}

fn set_prefix(call: &Call) -> String {
    format!("/dsfuzz/{}/{}/", call.workload, json_text(&call.key))
}
