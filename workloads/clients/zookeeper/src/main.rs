//! The client of dsfuzz for ZooKeeper.
//!
//! Registers, counters and accounts are znodes with JSON in them; sets, queues, locks and offices are their children. Reads are
//! answered by the client's own server, unless the setting `sync` says otherwise. Never: a request that is sent again.
mod changes;
mod guarded;
mod holders;
mod queue;
mod session;
mod settings;
mod transactions;

use crate::holders::HeldZnode;
use crate::session::Session;
use crate::settings::Settings;
use dsfuzz_client::lines::SETUP;
use dsfuzz_client::{Call, CallError, Client, Init, ObjectFunctions, Reply, run};
use serde_json::Value;
use std::time::Duration;

struct ZooKeeper {
    init: Init,
    settings: Settings,
    /// The session; none after it was over and no new one could be opened.
    session: Option<Session>,
    /// What this client holds through its session.
    held: Vec<HeldZnode>,
}

impl Client for ZooKeeper {
    const OBJECTS: &'static [ObjectFunctions] = &[
        ("register", &[SETUP, "read", "write", "cas"]),
        ("set", &[SETUP, "add", "read"]),
        ("counter", &[SETUP, "add", "read"]),
        ("ids", &[SETUP, "generate"]),
        ("queue", &[SETUP, "enqueue", "dequeue", "drain"]),
        ("transactions", &[SETUP, "txn"]),
        ("bank", &[SETUP, "transfer", "read"]),
        ("predicate", &[SETUP, "insert"]),
        ("lock", &[SETUP, "acquire", "release"]),
        ("semaphore", &[SETUP, "acquire", "release"]),
        ("guarded", &[SETUP, "acquire", "add", "read", "write", "log", "release"]),
        ("election", &[SETUP, "elect", "leader", "write", "log", "resign"]),
    ];

    const VERSIONS: bool = true;

    async fn open(init: Init) -> Result<ZooKeeper, CallError> {
        let settings = Settings::of(&init.settings)?;
        let session = Some(Session::open(&init, &settings).await?);
        Ok(ZooKeeper { init, settings, session, held: Vec::new() })
    }

    async fn call(&mut self, call: &Call) -> Result<Reply, CallError> {
        let within = call.break_off();
        let connected = self.connected(within / 2).await;
        // What was held went with the session, whether a new one can be opened or not.
        if connected.is_err() && self.session.is_none() && matches!(&*call.f, "release" | "resign") {
            return Err(CallError::fail("not-held", "the session in which it was held is over"));
        }
        connected?;
        let text = format!("no answer within {within:?}");
        let answered = tokio::time::timeout(within, self.carry_out(call)).await;
        match answered.unwrap_or_else(|_| Err(CallError::info("timeout", text))) {
            // A read has no effect.
            Err(error) if !error.certain && matches!(&*call.f, "read" | "leader" | "log") => {
                Err(CallError::fail("aborted", format!("{}: {}", error.code, error.text)))
            }
            answer => answer,
        }
    }

    async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }
}

impl ZooKeeper {
    /// Waits for the connection of the session. After the session is over, what was held is lost, and a new session is opened.
    async fn connected(&mut self, within: Duration) -> Result<(), CallError> {
        if let Some(session) = &self.session
            && session.connected(within).await?
        {
            return Ok(());
        }
        self.held.clear();
        self.session = None;
        self.session = Some(Session::open(&self.init, &self.settings).await?);
        Ok(())
    }

    fn session(&self) -> Result<&Session, CallError> {
        self.session.as_ref().ok_or_else(|| CallError::fail("refused", "not connected"))
    }

    /// The folder of this workload: several workloads share objects.
    fn folder(&self) -> Result<String, CallError> {
        Ok(self.session()?.path(&self.init.workload))
    }

    /// The znode of a key.
    fn path_of(&self, key: &Value) -> Result<String, CallError> {
        let folder = self.folder()?;
        Ok(match key {
            Value::Null => format!("{folder}/one"),
            Value::String(key) => format!("{folder}/{key}"),
            key => format!("{folder}/{key}"),
        })
    }

    async fn carry_out(&mut self, call: &Call) -> Result<Reply, CallError> {
        match (&*self.init.object, &*call.f) {
            (_, SETUP) => self.prepare().await,
            ("register", "read") => self.read_register(call).await,
            ("register", "write") => self.write_register(call).await,
            ("register", "cas") => self.compare_and_set(call).await,
            ("set", "add") => self.add_element(call).await,
            ("set", "read") => self.read_elements(call).await,
            ("counter", "add") => self.add_number(call).await,
            ("counter", "read") => self.read_number(call).await,
            ("ids", _) => self.generate().await,
            ("queue", "enqueue") => self.enqueue(call).await,
            ("queue", "dequeue") => self.dequeue(call).await,
            ("queue", "drain") => self.drain(call).await,
            ("transactions", _) => self.transaction(call).await,
            ("bank", "transfer") => self.transfer(call).await,
            ("bank", "read") => self.read_balances().await,
            ("predicate", _) => self.insert(call).await,
            ("guarded", "read") => self.read_guarded(call).await,
            ("guarded", "add") => self.add_guarded(call).await,
            ("guarded" | "election", "write") => self.write_with_token(call).await,
            ("guarded" | "election", "log") => self.read_log(call).await,
            ("guarded", "acquire") => self.acquire_guarded(call).await,
            (_, "acquire") => self.acquire(call).await,
            (_, "release" | "resign") => self.release(call).await,
            ("election", "elect") => self.elect(call).await,
            ("election", "leader") => self.leader(call).await,
            (object, other) => Err(CallError::fail("not-supported", format!("no function {other} on {object}"))),
        }
    }

    async fn prepare(&self) -> Result<Reply, CallError> {
        self.session()?.make_root(&self.init.workload, &self.init.run).await?;
        if self.init.object == "bank" {
            self.open_accounts().await?;
        }
        Ok(Reply::nothing())
    }
}

fn main() -> std::process::ExitCode {
    run::<ZooKeeper>()
}
