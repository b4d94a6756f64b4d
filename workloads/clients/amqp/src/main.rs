//! The client of dsfuzz for AMQP 0.9.1, as RabbitMQ speaks it: queues, and locks and semaphores that are queues of permits.
//!
//! Never: an acknowledgement of a message that is not in the reply; a second attempt. A connection that broke is replaced by one to
//! the same node before the next call, and what the client held is lost with it.
mod link;
mod permits;
mod queue;
mod settings;

use crate::link::Link;
use crate::permits::HeldPermit;
use crate::settings::Settings;
use dsfuzz_client::lines::SETUP;
use dsfuzz_client::{Call, CallError, Client, Init, ObjectFunctions, Reply, run};
use serde_json::Value;

struct Amqp {
    init: Init,
    settings: Settings,
    /// The connection; none after it broke.
    link: Option<Link>,
    /// The permits that this client holds through its connection.
    held: Vec<HeldPermit>,
}

impl Client for Amqp {
    const OBJECTS: &'static [ObjectFunctions] = &[
        ("queue", &[SETUP, "enqueue", "dequeue", "drain"]),
        ("lock", &[SETUP, "acquire", "release"]),
        ("semaphore", &[SETUP, "acquire", "release"]),
    ];

    async fn open(init: Init) -> Result<Amqp, CallError> {
        let settings = Settings::of(&init.settings)?;
        let link = Some(Link::open(&init, &settings).await?);
        Ok(Amqp { init, settings, link, held: Vec::new() })
    }

    async fn call(&mut self, call: &Call) -> Result<Reply, CallError> {
        let within = call.break_off();
        self.drop_broken();
        if call.f == "release" {
            return self.release(call, within).await;
        }
        if self.link.is_none() {
            self.link = Some(Link::open(&self.init, &self.settings).await?);
        }
        let result = match (&*self.init.object, &*call.f) {
            ("queue", SETUP) => self.declare_queues(within).await,
            (_, SETUP) => self.make_permits(within).await,
            (_, "enqueue") => self.enqueue(call, within).await,
            (_, "dequeue") => self.dequeue(call, within).await,
            (_, "drain") => self.drain(call, within).await,
            (_, "acquire") => self.acquire(call, within).await,
            (_, other) => Err(CallError::fail("not-supported", format!("no function {other}"))),
        };
        if result.is_err() {
            // What was taken and not acknowledged goes back to its queue.
            self.link = None;
            self.held.clear();
        }
        result
    }

    async fn close(self) {
        if let Some(link) = self.link {
            link.close().await;
        }
    }
}

impl Amqp {
    /// The connection of a call.
    fn link(&self) -> Result<&Link, CallError> {
        self.link.as_ref().ok_or_else(|| CallError::fail("refused", "not connected"))
    }

    /// Forgets a connection that broke, and with it what was held.
    fn drop_broken(&mut self) {
        if self.link.as_ref().is_some_and(|link| !link.is_connected()) {
            self.link = None;
            self.held.clear();
        }
    }

    /// The name of the queue of a key: `dsfuzz.queue`, `dsfuzz.queue.3`.
    fn queue_of(&self, key: &Value) -> String {
        let name = format!("{}.{}", self.settings.queue, self.init.workload);
        match key {
            Value::Null => name,
            Value::String(key) => format!("{name}.{key}"),
            key => format!("{name}.{key}"),
        }
    }

    /// The keys that the workload uses.
    fn keys(&self) -> Vec<Value> {
        let named = ["queues", "locks", "semaphores"].iter().find_map(|name| self.init.params[name].as_array());
        named.cloned().unwrap_or_else(|| vec![Value::Null])
    }
}

fn main() -> std::process::ExitCode {
    run::<Amqp>()
}
