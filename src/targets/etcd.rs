//! The client of etcd: its HTTP/JSON gateway, one connection to one node, no retries.
//!
//! Keys are `/dsfuzz/<workload>/<key>` and what an object needs below that; values are JSON texts. Each object is a file: registers and
//! sets (`registers.rs`), transactions, numbers and tables (`tables.rs`), queues and logs, what is held by a lease (`holding.rs`), watches.
//!
//! A broken connection is replaced before any byte of the next call is sent.
mod holding;
mod kvs;
mod logs;
mod outcome;
mod queues;
mod registers;
mod session;
mod tables;
mod transactions;
mod watching;

use super::http::{HttpConnection, HttpError, HttpResponse};
use dsfuzz_checkers::Value;
use dsfuzz_workloads::{
    BoxFuture, Call, CallResponse, CallResult, Client, ClientWorkload, Connect, ConnectError, Endpoint, Terms,
};
use holding::Grants;
use outcome::RequestProgress;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Its name in recipes (`builtin: etcd`).
pub const NAME: &str = "etcd";
/// The objects whose functions it carries out.
pub const OBJECTS: &[&str] = &[
    "register",
    "set",
    "transactions",
    "bank",
    "predicate",
    "rows",
    "counter",
    "ids",
    "queue",
    "log",
    "lock",
    "lease",
    "semaphore",
    "guarded",
    "election",
    "kv",
];
/// Deadline of connecting. Nothing has been sent by then, so that giving up is a Fail.
const CONNECT: Duration = Duration::from_secs(2);
/// Pause after a refused connection, so that a dead node is not called in a busy loop.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// Time to live of the lease of a lock or an office, if the recipe does not say it.
const SESSION_TTL_S: u64 = 10;

/// Opens clients of etcd for one workload. Options of the recipe: `serializable` (reads are answered by the node's own state),
/// `session_ttl` (of the lease that holds locks and offices) and `guarded` (whether what is written under them is compared with them).
#[derive(Clone, Debug)]
pub struct EtcdConnect {
    object: Arc<str>,
    params: Value,
}

impl EtcdConnect {
    /// For this workload.
    pub fn of(workload: &ClientWorkload) -> EtcdConnect {
        EtcdConnect { object: workload.object.clone(), params: workload.params.clone() }
    }
}

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
            let option = |name: &str| endpoint.options.get(name).map(String::as_str);
            let authority = format!("{host}:{port}");
            let connection = Some(connect(&authority).await.map_err(ConnectError)?);
            Ok(Box::new(EtcdClient {
                serializable: option("serializable") == Some("true"),
                guarded: option("guarded") != Some("false"),
                session_ttl: option("session_ttl").and_then(|ttl| ttl.parse().ok()).unwrap_or(SESSION_TTL_S),
                process: endpoint.process,
                object: self.object.clone(),
                params: self.params.clone(),
                patience: endpoint.terms.deadline / 2,
                grants: Grants::default(),
                places: BTreeMap::new(),
                assigned: false,
                authority,
                connection,
            }) as Box<dyn Client>)
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
    guarded: bool,
    session_ttl: u64,
    process: u64,
    object: Arc<str>,
    params: Value,
    connection: Option<HttpConnection>,
    /// How long a read may take before a write depends on it.
    patience: Duration,
    /// What it holds by a lease.
    grants: Grants,
    /// The next offset of each log that it polls.
    places: BTreeMap<i64, i64>,
    /// Whether it was told which logs to poll.
    assigned: bool,
}

impl Client for EtcdClient {
    fn call<'a>(&'a mut self, call: &'a Call, terms: Terms) -> BoxFuture<'a, CallResponse> {
        Box::pin(async move {
            self.patience = terms.deadline / 2;
            let object = self.object.clone();
            let answer = match &*object {
                "register" => self.register(call).await,
                "set" => self.set(call).await,
                "transactions" => self.transact(call).await,
                "bank" | "predicate" | "rows" | "counter" | "ids" => self.table(call).await,
                "queue" => self.queue(call).await,
                "log" => self.log(call).await,
                "lock" | "lease" | "semaphore" | "guarded" | "election" => self.holding(call).await,
                "kv" => self.watched(call).await,
                _ => not_supported(call),
            };
            answer.into()
        })
    }

    fn setup(&mut self, _terms: Terms) -> BoxFuture<'_, Option<CallResult>> {
        Box::pin(async move { if &*self.object == "bank" { Some(self.open_accounts().await) } else { None } })
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.revoke_all().await })
    }
}

fn not_supported(call: &Call) -> CallResult {
    CallResult::fail(format!("not-supported: the etcd client knows no {} of {}", call.f, call.workload))
}

impl EtcdClient {
    /// Sends one request. Returns the reply's JSON if etcd executed the request; else the progress of the request.
    async fn post(&mut self, path: &str, body: &Json) -> Result<Json, RequestProgress> {
        let mut connection = self.connection().await?;
        match connection.send("POST", path, body.to_string().into_bytes()).await {
            Ok(reply) => {
                self.connection = Some(connection);
                parsed(&reply)
            }
            Err(HttpError::NotSent(why)) => Err(RequestProgress::No(why)),
            Err(HttpError::Broken(why)) => Err(RequestProgress::Perhaps(why)),
        }
    }

    /// Sends a request that reads what a write of the same call depends on. Without an answer in half of the call's time the call
    /// certainly had no effect; at its end nobody could tell.
    async fn post_first(&mut self, path: &str, body: &Json) -> Result<Json, RequestProgress> {
        let patience = self.patience;
        let late =
            |_| RequestProgress::No(format!("timeout: no answer to the read within {} ms", patience.as_millis()));
        tokio::time::timeout(patience, self.post(path, body)).await.map_err(late)?
    }

    /// The connection, or a new one in place of a broken one.
    async fn connection(&mut self) -> Result<HttpConnection, RequestProgress> {
        if let Some(connection) = self.connection.take().filter(|connection| !connection.is_closed()) {
            return Ok(connection);
        }
        match connect(&self.authority).await {
            Ok(connection) => Ok(connection),
            Err(why) => {
                tokio::time::sleep(REFUSED_PAUSE).await;
                Err(RequestProgress::No(why))
            }
        }
    }

    /// A transaction of etcd: the operations of `success` if all comparisons hold, else those of `failure`.
    async fn txn(
        &mut self,
        compare: Vec<Json>,
        success: Vec<Json>,
        failure: Vec<Json>,
    ) -> Result<Txn, RequestProgress> {
        let body = json!({"compare": compare, "success": success, "failure": failure});
        let reply = self.post("/v3/kv/txn", &body).await?;
        let succeeded = reply.get("succeeded").and_then(Json::as_bool).unwrap_or(false);
        Ok(Txn { succeeded, revision: kvs::revision(&reply), reply })
    }
}

/// The reply to a transaction.
struct Txn {
    succeeded: bool,
    revision: i64,
    reply: Json,
}

/// A reply of etcd as JSON. Every reply to an executed request has a header with a revision, in a stream within `result`. Without
/// this check even `{}` would count as a refused compare-and-set.
fn parsed(reply: &HttpResponse) -> Result<Json, RequestProgress> {
    let text = || super::node_commands::head(&String::from_utf8_lossy(&reply.body));
    let Ok(json) = serde_json::from_slice::<Json>(&reply.body) else {
        return Err(RequestProgress::Perhaps(format!("malformed: status {}, not JSON: {}", reply.status, text())));
    };
    let message = json.get("message").or_else(|| json.get("error")).and_then(Json::as_str);
    let header = json.pointer("/header/revision").or_else(|| json.pointer("/result/header/revision"));
    match message {
        Some(message) => Err(RequestProgress::Refused(message.to_owned())),
        None if !reply.status.is_success() || header.is_none() => {
            Err(RequestProgress::Perhaps(format!("malformed: status {}, no header in {}", reply.status, text())))
        }
        None => Ok(json),
    }
}
