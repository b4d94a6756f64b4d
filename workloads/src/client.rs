//! [`Client`]: one connection, one node, one call at a time. No retries, no failover, no pool.
use dsfuzz_checkers::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A boxed future, returned by the traits here.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A call, made by a generator and carried out by a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The workload it belongs to.
    pub workload: Arc<str>,
    /// The function: `read`, `write`, `cas`, `add`.
    pub f: Arc<str>,
    /// The key; nil if the workload has none.
    pub key: Value,
    /// The argument.
    pub value: Value,
}

/// How a call ended, as seen by its client.
#[derive(Clone, Debug, PartialEq)]
pub enum CallResult {
    /// It took effect. Holds the reply (of a read: the value read).
    Ok(Value),
    /// It certainly had no effect and never will. Holds the error.
    Fail(Arc<str>),
    /// Unknown. Holds the error. The client is discarded and its process retired.
    Info(Arc<str>),
}

impl CallResult {
    /// A call without effect, with this error.
    pub fn fail(why: impl AsRef<str>) -> CallResult {
        CallResult::Fail(Arc::from(why.as_ref()))
    }

    /// A call whose effect is unknown, with this error.
    pub fn info(why: impl AsRef<str>) -> CallResult {
        CallResult::Info(Arc::from(why.as_ref()))
    }
}

/// A client's response to a call: the result and what else the client knows.
#[derive(Clone, Debug, PartialEq)]
pub struct CallResponse {
    /// How the call ended.
    pub result: CallResult,
    /// The node that answered, if the client followed a redirect away from its own.
    pub node: Option<Arc<str>>,
    /// The known part of the reply of a call that did not end Ok; nil: nothing is known.
    pub reply: Value,
}

impl From<CallResult> for CallResponse {
    fn from(result: CallResult) -> CallResponse {
        CallResponse { result, node: None, reply: Value::Nil }
    }
}

/// The deadline and phase of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The caller gives up after this long. A client need not know it, but may break off by itself before.
    pub deadline: Duration,
    /// Whether the call belongs to the settle phase (final reads).
    pub settle: bool,
}

impl Terms {
    /// The terms of a call of the load.
    pub fn load(deadline: Duration) -> Terms {
        Terms { deadline, settle: false }
    }
}

/// The endpoint of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// The node's name.
    pub node: Arc<str>,
    /// Its address for the control node.
    pub address: String,
    /// Ports by role (`client`, `peer`, `admin`).
    pub ports: BTreeMap<String, u16>,
    /// The process the client serves.
    pub process: u64,
    /// Options of the client from the recipe and the plan (e.g. `serializable: true`), as text.
    pub options: BTreeMap<String, String>,
    /// The terms of its calls.
    pub terms: Terms,
}

/// The reason why a client could not be opened. Nothing was sent to the target, so its call is a Fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectError(pub String);

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConnectError {}

/// One connection to one node.
///
/// The driver holds the deadline: it drops the future of a late call, records Info, and discards the client without calling
/// [`Client::close`].
pub trait Client: Send {
    /// Carries out one call.
    fn call<'a>(&'a mut self, call: &'a Call, terms: Terms) -> BoxFuture<'a, CallResponse>;

    /// Prepares the target for the workload: tables, queues, streams. Asked once, before the load, on one node after another
    /// until it is Ok. None: there is nothing to prepare.
    fn setup(&mut self, _terms: Terms) -> BoxFuture<'_, Option<CallResult>> {
        Box::pin(std::future::ready(None))
    }

    /// Closes the connection properly.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// Opens clients for one interface of a target.
pub trait Connect: Send + Sync {
    /// Opens a client. Must not change the target's state.
    fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>>;

    /// The deadline of opening a client, if it differs from that of a call, because a program has to start first.
    fn open_deadline(&self) -> Option<Duration> {
        None
    }
}
