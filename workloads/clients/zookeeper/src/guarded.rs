//! What a lock or an office guards: a set that holders write back whole, and a log that refuses old tokens.
use crate::ZooKeeper;
use crate::session::{classified, parsed};
use dsfuzz_client::{Call, CallError, Reply};
use serde_json::{Value, json};
use zookeeper_client::{CreateMode, Error};

impl ZooKeeper {
    /// Acquires the lock and reads the set.
    pub(crate) async fn acquire_guarded(&mut self, call: &Call) -> Result<Reply, CallError> {
        let reply = self.acquire(call).await?;
        let path = format!("{}/set", self.path_of(&call.key)?);
        if let Some(at) = self.held.iter().position(|held| held.key == call.key) {
            // The lock is held whatever becomes of the read.
            let read = self.session()?.get(&path).await;
            let read =
                read.map_err(|error| CallError::info("unknown", format!("held, and not read: {}", error.text)))?;
            self.held[at].copy = read.and_then(|(set, _)| set.as_array().cloned()).unwrap_or_default();
        }
        Ok(reply)
    }

    /// Writes what was read under the lock back, with one element more and without a condition.
    pub(crate) async fn add_guarded(&mut self, call: &Call) -> Result<Reply, CallError> {
        let path = format!("{}/set", self.path_of(&call.key)?);
        let Some(at) = self.held.iter().position(|held| held.key == call.key) else {
            return Err(CallError::fail("not-held", "the session that held the lock is over"));
        };
        let mut set = self.held[at].copy.clone();
        set.push(call.value.clone());
        let set = Value::from(set);
        self.session()?.put(&path, &set).await?;
        self.held[at].copy = set.as_array().cloned().unwrap_or_default();
        Ok(Reply::nothing())
    }

    pub(crate) async fn read_guarded(&self, call: &Call) -> Result<Reply, CallError> {
        let session = self.session()?;
        session.before_read().await?;
        let found = session.get(&format!("{}/set", self.path_of(&call.key)?)).await?;
        Ok(Reply::value(found.map_or(json!([]), |(set, _)| set)))
    }

    /// Appends to the log, unless a larger token was here. The largest token and the entry change in one transaction.
    pub(crate) async fn write_with_token(&self, call: &Call) -> Result<Reply, CallError> {
        let (session, folder) = (self.session()?, self.path_of(&call.key)?);
        let (Some(token), value) = (call.value["token"].as_i64(), &call.value["value"]) else {
            return Err(CallError::fail("malformed", "a write needs {token, value}"));
        };
        let (last, log) = (format!("{folder}/last"), format!("{folder}/log"));
        let found = session.get(&last).await?;
        if found.is_none() {
            session.make(&folder).await?;
            session.make(&log).await?;
        }
        if found.as_ref().and_then(|(last, _)| last.as_i64()).is_some_and(|last| last > token) {
            return Err(CallError::fail("fenced", "a larger token was here"));
        }
        let mut writer = session.client.new_multi_writer();
        let data = json!(token).to_string();
        let numbered = session.options(CreateMode::PersistentSequential);
        match found {
            Some((_, stat)) => writer.add_set_data(&last, data.as_bytes(), Some(stat.version)),
            None => writer.add_create(&last, data.as_bytes(), &session.persistent()),
        }
        .and_then(|()| {
            writer.add_create(&format!("{log}/entry-"), json!([token, value]).to_string().as_bytes(), &numbered)
        })
        .map_err(classified)?;
        self.commit(writer).await?;
        Ok(Reply::nothing())
    }

    /// The entries of the log in their order.
    pub(crate) async fn read_log(&self, call: &Call) -> Result<Reply, CallError> {
        let (session, log) = (self.session()?, format!("{}/log", self.path_of(&call.key)?));
        session.before_read().await?;
        let names = session.children(&log).await?;
        let paths: Vec<String> = names.iter().map(|name| format!("{log}/{name}")).collect();
        let requests: Vec<_> = paths.iter().map(|path| session.client.get_data(path)).collect();
        let mut entries = Vec::with_capacity(paths.len());
        for (path, request) in paths.iter().zip(requests) {
            match request.await {
                Ok((data, _)) => entries.push(parsed(path, &data)?),
                Err(Error::NoNode) => return Err(CallError::fail("malformed", format!("{path} was deleted"))),
                Err(error) => return Err(classified(error)),
            }
        }
        Ok(Reply::value(entries))
    }
}
