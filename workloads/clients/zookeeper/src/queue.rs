//! Queues: a message is a sequential znode; who deletes it has taken it.
use crate::ZooKeeper;
use crate::session::{classified, parsed};
use dsfuzz_client::{Call, CallError, Reply};
use serde_json::Value;
use std::time::{Duration, Instant};
use zookeeper_client::{CreateMode, Error};

/// The part of a drain's deadline that it uses; then dsfuzz asks again.
const DRAINING: f64 = 0.5;

impl ZooKeeper {
    pub(crate) async fn enqueue(&self, call: &Call) -> Result<Reply, CallError> {
        let (session, folder) = (self.session()?, self.path_of(&call.key)?);
        let data = call.value.to_string();
        let mode = CreateMode::PersistentSequential;
        session.create_numbered(&folder, "message-", data.as_bytes(), mode).await?;
        Ok(Reply::nothing())
    }

    /// Takes the first message that nobody else takes. The queue is empty as far as the client's own server knows.
    pub(crate) async fn dequeue(&self, call: &Call) -> Result<Reply, CallError> {
        let folder = self.path_of(&call.key)?;
        self.session()?.before_read().await?;
        let names = self.session()?.children(&folder).await?;
        for name in &names {
            if let Some(value) = self.take(&format!("{folder}/{name}")).await? {
                return Ok(Reply::value(value));
            }
        }
        match names.len() {
            0 => Ok(Reply::value(Value::Null)),
            gone => Err(CallError::fail("conflict", format!("others took all {gone} messages first"))),
        }
    }

    /// Takes a message; none if another client took it first.
    async fn take(&self, path: &str) -> Result<Option<Value>, CallError> {
        let session = self.session()?;
        let value = match session.client.get_data(path).await {
            Ok((data, _)) => parsed(path, &data)?,
            Err(Error::NoNode) => return Ok(None),
            // Nothing was deleted.
            Err(error) => return Err(CallError::fail("aborted", error)),
        };
        match session.client.delete(path, None).await {
            Ok(()) => Ok(Some(value)),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(classified(error).with_value(value)),
        }
    }

    /// Takes every message that the servers know of.
    pub(crate) async fn drain(&self, call: &Call) -> Result<Reply, CallError> {
        let (session, folder) = (self.session()?, self.path_of(&call.key)?);
        let end = Instant::now() + Duration::from_millis(call.deadline_ms).mul_f64(DRAINING);
        let mut taken: Vec<Value> = Vec::new();
        // A queue that is empty here may be full elsewhere.
        session.client.sync(&folder).await.map_err(|error| CallError::fail("aborted", error))?;
        for name in session.children(&folder).await.map_err(|error| CallError::fail("aborted", error.text))? {
            match self.take(&format!("{folder}/{name}")).await {
                Ok(message) => taken.extend(message),
                // What was taken before is known.
                Err(error) if error.certain && !taken.is_empty() => break,
                Err(error) => {
                    taken.extend(Some(error.value.clone()).filter(|value| !value.is_null()));
                    return Err(error.with_value(taken));
                }
            }
            if Instant::now() > end {
                break;
            }
        }
        Ok(Reply::value(taken))
    }
}
