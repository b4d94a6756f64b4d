//! [`NatsClient`]: the calls of each object.
use crate::connection::Connection;
use crate::settings::{ReadFrom, Settings};
use async_nats::HeaderMap;
use dsfuzz_client::lines::SETUP;
use dsfuzz_client::{Call, CallError, Client, Init, ObjectFunctions, Reply};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The client of one process.
pub(crate) struct NatsClient {
    pub(crate) connection: Connection,
    pub(crate) settings: Settings,
    pub(crate) params: Json,
    /// Registers have versions: the revisions of the bucket.
    pub(crate) versions: bool,
    pub(crate) object: String,
    pub(crate) workload: String,
    pub(crate) run: String,
    process: u64,
    /// The logs that this consumer is assigned, and the sequence in each from which it polls.
    pub(crate) places: Option<BTreeMap<i64, u64>>,
}

impl Client for NatsClient {
    const OBJECTS: &'static [ObjectFunctions] = &[
        ("register", &["read", "write", "cas", SETUP]),
        ("set", &["add", "read", SETUP]),
        ("crdt", &["add", "read", SETUP]),
        ("ids", &["generate", SETUP]),
        ("queue", &["enqueue", "dequeue", "drain", SETUP]),
        ("log", &["assign", "subscribe", "send", "poll", "crash", SETUP]),
    ];

    const VERSIONS: bool = true;

    async fn open(init: Init) -> Result<NatsClient, CallError> {
        let settings = Settings::read(&init)?;
        let connection = Connection::open(&init, &settings).await?;
        Ok(NatsClient {
            connection,
            settings,
            versions: init.versions(),
            params: init.params,
            object: init.object,
            workload: init.workload,
            run: init.run,
            process: init.process,
            places: None,
        })
    }

    async fn call(&mut self, call: &Call) -> Result<Reply, CallError> {
        match (self.object.as_str(), call.f.as_str()) {
            (_, SETUP) => self.set_up().await,
            ("register", "read") => self.read_register(call).await,
            ("register", "write") => self.write_register(call).await,
            ("register", "cas") => self.compare_and_set(call).await,
            ("set" | "crdt", "add") | ("queue", "enqueue") => self.add(call).await,
            ("crdt", "read") => self.read_replica(call).await,
            ("set", "read") => self.read_set(call).await,
            ("ids", "generate") => self.generate().await,
            ("queue", "dequeue") => self.dequeue(call).await,
            ("queue", "drain") => self.drain(call).await,
            ("log", "assign" | "subscribe") => self.assign(call),
            ("log", "send") => self.send(call).await,
            ("log", "poll") => self.poll(call).await,
            ("log", "crash") => Err(CallError::info("crash", "this client ends here")),
            (object, f) => Err(CallError::fail("not-supported", format!("no function {f} on {object}"))),
        }
    }
}

impl NatsClient {
    /// The name of the stream.
    pub(crate) fn stream(&self) -> String {
        let own = || format!("dsfuzz-{}", self.workload.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_"));
        let name = self.settings.stream.clone().unwrap_or_else(own);
        // A bucket is a stream of this name.
        if self.object == "register" { format!("KV_{name}") } else { name }
    }

    /// The subject of what a call acts on.
    pub(crate) fn subject(&self, key: &Json) -> String {
        let stream = self.stream();
        let key = match key {
            Json::Null => "all".to_owned(),
            key => key.to_string().replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_"),
        };
        match stream.strip_prefix("KV_") {
            Some(bucket) if self.object == "register" => format!("$KV.{bucket}.{key}"),
            _ => format!("{stream}.{key}"),
        }
    }

    /// Whether reads show the copy of a replica.
    pub(crate) fn reads_replica(&self) -> bool {
        self.settings.read == ReadFrom::Replica
    }

    async fn add(&mut self, call: &Call) -> Result<Reply, CallError> {
        let element = argument(&call.value)?;
        let subject = self.subject(&call.key);
        self.connection.publish(&self.stream(), subject, HeaderMap::new(), element.to_string()).await?;
        Ok(Reply::nothing())
    }

    /// The sequence of a message is an id that the stream gives once.
    async fn generate(&mut self) -> Result<Reply, CallError> {
        let subject = self.subject(&Json::Null);
        let process = self.process.to_string();
        let acknowledged = self.connection.publish(&self.stream(), subject, HeaderMap::new(), process).await?;
        Ok(Reply::value(acknowledged["seq"].clone()))
    }
}

/// An integer of a call.
pub(crate) fn argument(value: &Json) -> Result<i64, CallError> {
    value.as_i64().ok_or_else(|| CallError::fail("malformed", format!("{value} is not an integer")))
}

/// A read has no effect, so it failed for certain, unless the connection has to be replaced.
pub(crate) fn without_effect(error: CallError) -> CallError {
    CallError { certain: error.certain || !matches!(error.code, "lost" | "timeout"), ..error }
}
