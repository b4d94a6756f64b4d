//! [`RedisClient`]: the calls of each object, and how a command, a read and a transaction are sent.
use crate::cluster::{Nodes, Via};
use crate::connection::checked;
use crate::errors::refusal;
use crate::replies;
use crate::settings::Settings;
use dsfuzz_client::lines::SETUP;
use dsfuzz_client::{Call, CallError, Client, Init, ObjectFunctions, Reply};
use redis::{Cmd, Value, cmd};
use serde_json::Value as Json;
use std::collections::HashMap;

/// The client of one process.
pub(crate) struct RedisClient {
    pub(crate) nodes: Nodes,
    pub(crate) settings: Settings,
    pub(crate) params: Json,
    pub(crate) workload: String,
    object: String,
    run: String,
    process: u64,
    /// The tokens of what this process holds, by key.
    pub(crate) held: HashMap<String, String>,
    grants: u64,
}

impl Client for RedisClient {
    const OBJECTS: &'static [ObjectFunctions] = &[
        ("register", &["read", "write", "cas", SETUP]),
        ("set", &["add", "read", SETUP]),
        ("rows", &["add", "read", SETUP]),
        ("transactions", &["txn", SETUP]),
        ("bank", &["transfer", "read", SETUP]),
        ("queue", &["enqueue", "dequeue", "drain", SETUP]),
        ("counter", &["add", "read", SETUP]),
        ("ids", &["generate", SETUP]),
        ("lock", &["acquire", "release", SETUP]),
        ("lease", &["acquire", "renew", "release", SETUP]),
        ("semaphore", &["acquire", "release", SETUP]),
    ];

    async fn open(init: Init) -> Result<RedisClient, CallError> {
        let settings = Settings::read(&init)?;
        Ok(RedisClient {
            params: init.params.clone(),
            workload: init.workload.clone(),
            object: init.object.clone(),
            run: init.run.clone(),
            process: init.process,
            nodes: Nodes::open(init, settings.clone()).await?,
            settings,
            held: HashMap::new(),
            grants: 0,
        })
    }

    async fn call(&mut self, call: &Call) -> Result<Reply, CallError> {
        match (self.object.as_str(), call.f.as_str()) {
            (_, SETUP) => self.set_up().await,
            ("register", "read") => self.read_register(call).await,
            ("register", "write") => self.write_register(call).await,
            ("register", "cas") => self.compare_and_set(call).await,
            ("set", "add") => self.add_element(call).await,
            ("set", "read") => self.read_set(call).await,
            ("rows", "add") => self.add_row(call).await,
            ("rows", "read") => self.read_rows(call).await,
            ("counter", "add") => self.count(call).await,
            ("counter", "read") => self.read_counter(call).await,
            ("ids", "generate") => self.generate(call).await,
            ("transactions", "txn") => self.transact(call).await,
            ("bank", "transfer") => self.transfer(call).await,
            ("bank", "read") => self.read_bank().await,
            ("queue", "enqueue") => self.enqueue(call).await,
            ("queue", "dequeue") => self.dequeue(call).await,
            ("queue", "drain") => self.drain(call).await,
            ("semaphore", "acquire") => self.acquire_permit(call).await,
            ("semaphore", "release") => self.release_permit(call).await,
            (_, "acquire") => self.acquire(call).await,
            (_, "renew") => self.renew(call).await,
            (_, "release") => self.release(call).await,
            (object, f) => Err(CallError::fail("not-supported", format!("no function {f} on {object}"))),
        }
    }
}

impl RedisClient {
    /// Refuses servers that lack what the object needs, and makes the accounts of a bank.
    async fn set_up(&mut self) -> Result<Reply, CallError> {
        let (replies, _) = self.nodes.send(&[cmd("INFO").arg("server").take()]).await?;
        let info = checked(replies.into_iter().next().unwrap_or(Value::Nil))?;
        // Scripts replicate their effects since 5, so that one may ask for the time and write it.
        let least = if matches!(self.object.as_str(), "rows" | "semaphore") { (5, 0) } else { (3, 0) };
        newer_than(replies::text(&info).unwrap_or_default(), least)
            .map_err(|why| CallError::fail("not-supported", format!("{}: {why}", self.object)))?;
        if self.object == "bank" { self.open_accounts().await } else { Ok(Reply::nothing()) }
    }

    /// The name of what a call acts on. Keys carry the run's name, so that nothing of another run is met; what one script or
    /// transaction touches has one hash tag.
    pub(crate) fn key(&self, key: &Json, suffix: &str) -> String {
        let RedisClient { run, workload, .. } = self;
        match &self.settings.hash_tag {
            Some(tag) => format!("dsfuzz:{run}:{{{tag}}}:{workload}:{key}{suffix}"),
            None => format!("dsfuzz:{run}:{{{workload}:{key}}}{suffix}"),
        }
    }

    /// A token that no other grant has.
    pub(crate) fn fresh_token(&mut self) -> String {
        self.grants += 1;
        format!("{}-{}", self.process, self.grants)
    }

    /// The reply of whoever gave it.
    pub(crate) fn reply(&self, value: impl Into<Json>, via: &Via) -> Reply {
        Reply { value: value.into(), node: self.nodes.name(via) }
    }

    /// Sends a command that writes, and waits for as many replicas as the settings say.
    pub(crate) async fn write(&mut self, call: &Call, command: Cmd) -> Result<(Value, Via), CallError> {
        let (replies, via) = self.nodes.send(&[command]).await?;
        let reply = checked(replies.into_iter().next().unwrap_or(Value::Nil))?;
        self.replicated(call, &via).await?;
        Ok((reply, via))
    }

    /// Waits until replicas have what this connection wrote. What they have not is not acknowledged.
    pub(crate) async fn replicated(&mut self, call: &Call, via: &Via) -> Result<(), CallError> {
        let Settings { wait, wait_timeout_ms, .. } = self.settings;
        if wait == 0 {
            return Ok(());
        }
        let time = if wait_timeout_ms == 0 { call.deadline_ms / 2 } else { wait_timeout_ms };
        let command = cmd("WAIT").arg(wait).arg(time.max(1)).take();
        // The write was made, whatever becomes of this.
        let doubtful = |error: CallError| CallError { certain: false, ..error };
        let replies = self.nodes.send_to(via, &[command]).await.map_err(|error| CallError::info("lost", error.text))?;
        match checked(replies.into_iter().next().unwrap_or(Value::Nil)) {
            Ok(Value::Int(replicas)) if replicas >= wait as i64 => Ok(()),
            Ok(Value::Int(replicas)) => {
                Err(CallError::info("warning", format!("{replicas} of {wait} replicas had it after {time} ms")))
            }
            Ok(other) => Err(replies::unexpected(&other, "a number of replicas")),
            Err(error) => Err(CallError { code: "warning", ..doubtful(error) }),
        }
    }

    /// Sends a command that reads. A replica answers it only if the settings say so.
    pub(crate) async fn read(&mut self, command: Cmd) -> Result<(Value, Via), CallError> {
        if self.settings.cluster || self.settings.reads_replicas {
            // A node of a cluster answers for what it owns; as a replica it redirects unless READONLY was sent.
            let (replies, via) = self.nodes.send(&[command]).await?;
            return Ok((checked(replies.into_iter().next().unwrap_or(Value::Nil))?, via));
        }
        let (replies, via) = self.transaction(&[cmd("ROLE"), command]).await?;
        let [role, reply] = replies.as_slice() else {
            return Err(CallError::fail("unknown", format!("{} replies to two commands", replies.len())));
        };
        refuse_replica(role)?;
        Ok((checked(reply.clone())?, via))
    }

    /// Sends commands between MULTI and EXEC: their replies. An error of one of them is among these.
    pub(crate) async fn transaction(&mut self, commands: &[Cmd]) -> Result<(Vec<Value>, Via), CallError> {
        let framed = framed(commands);
        let (replies, via) = self.nodes.send(&framed).await?;
        Ok((executed(replies)?, via))
    }
}

/// Refuses the reply of a replica, by the reply to ROLE.
pub(crate) fn refuse_replica(role: &Value) -> Result<(), CallError> {
    let role = replies::list(role)?.first().and_then(replies::text).unwrap_or_default();
    if role == "master" {
        return Ok(());
    }
    Err(CallError::fail(
        "read-only",
        format!("this server is a {role}; `read_from_replica: true` reads it all the same"),
    ))
}

/// The commands of a transaction.
pub(crate) fn framed(commands: &[Cmd]) -> Vec<Cmd> {
    std::iter::once(cmd("MULTI")).chain(commands.iter().cloned()).chain(std::iter::once(cmd("EXEC"))).collect()
}

/// The replies to the commands of a transaction, by those to MULTI, to each command and to EXEC.
pub(crate) fn executed(mut replies: Vec<Value>) -> Result<Vec<Value>, CallError> {
    let end = replies.pop().unwrap_or(Value::Nil);
    let errors = || {
        replies.iter().filter_map(|reply| match reply {
            Value::ServerError(error) => Some(refusal(error.code(), error.details().unwrap_or_default())),
            _ => None,
        })
    };
    match end {
        Value::Array(replies) => Ok(replies),
        Value::Nil => Err(CallError::fail("conflict", "a key that was watched has changed")),
        Value::ServerError(error) if error.code() == "EXECABORT" => {
            // The first error among the commands says why, if there is one.
            let own = refusal(error.code(), error.details().unwrap_or_default());
            Err(errors().find(|error| error.certain).unwrap_or(own))
        }
        // Without a transaction each command was carried out alone, unless each was refused.
        Value::ServerError(error) => {
            let refused = errors().count() == replies.len() && errors().all(|error| error.certain);
            let first = errors().next().filter(|_| refused);
            Err(first.unwrap_or_else(|| CallError::info("unknown", format!("EXEC: {error:?}"))))
        }
        other => Err(replies::unexpected(&other, "the replies of a transaction")),
    }
}

/// Whether the version in the reply to INFO is at least this one.
fn newer_than(info: &str, least: (u64, u64)) -> Result<(), String> {
    let line = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    let Some(version) = line else { return Err("the server does not say its version".to_owned()) };
    let mut parts = version.trim().split('.').map_while(|part| part.parse::<u64>().ok());
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found >= least {
        return Ok(());
    }
    Err(format!("the server is of version {}, and {}.{} is the least that will do", version.trim(), least.0, least.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_named_with_what_would_do() {
        let info = "# Server\r\nredis_version:4.0.14\r\nredis_mode:standalone\r\n";
        assert_eq!(newer_than(info, (3, 0)), Ok(()));
        let error = newer_than(info, (5, 0)).expect_err("too old");
        assert_eq!(error, "the server is of version 4.0.14, and 5.0 is the least that will do");
        assert_eq!(newer_than("redis_version:7.2.4\r\nvalkey_version:9.1.2\r\n", (5, 0)), Ok(()));
        assert!(newer_than("", (3, 0)).is_err());
    }

    #[test]
    fn a_transaction_ends_as_exec_says() {
        let queued = || Value::SimpleString("QUEUED".to_owned());
        let all = executed(vec![Value::Okay, queued(), Value::Array(vec![Value::Int(1)])]);
        assert_eq!(all, Ok(vec![Value::Int(1)]));
        let conflict = executed(vec![Value::Okay, queued(), Value::Nil]).expect_err("a conflict");
        assert_eq!((conflict.certain, conflict.code), (true, "conflict"));
        let odd = executed(vec![Value::Okay, queued(), Value::Okay]).expect_err("no replies");
        assert!(!odd.certain);
    }
}
