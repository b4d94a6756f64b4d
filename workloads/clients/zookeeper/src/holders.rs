//! Locks, semaphores and offices: each contender is an ephemeral sequential znode, and the first ones hold. Its znode goes away with
//! its session. The number of the transaction that created it (`czxid`) grows from holder to holder: it is the fencing token and the
//! term.
use crate::ZooKeeper;
use crate::session::classified;
use dsfuzz_client::{Call, CallError, Reply};
use serde_json::{Value, json};
use zookeeper_client::{CreateMode, Error};

/// What this client holds.
pub(crate) struct HeldZnode {
    pub(crate) key: Value,
    /// Its znode.
    path: String,
    /// What it read of what it guards.
    pub(crate) copy: Vec<Value>,
}

/// What came out of a contest.
enum Contest {
    /// The token of the contender, who holds now.
    Won(i64),
    /// The first of the contenders before it.
    Lost(String),
}

impl ZooKeeper {
    fn contenders(&self, key: &Value) -> Result<String, CallError> {
        Ok(format!("{}/contenders", self.path_of(key)?))
    }

    /// Enters a contest for this many permits. Who lost is still in it. Nothing is known after an error.
    async fn contest(&self, key: &Value, data: &Value, permits: usize) -> Result<(String, Contest), CallError> {
        let (session, folder) = (self.session()?, self.path_of(key)?);
        let mode = CreateMode::EphemeralSequential;
        let (stat, number) =
            session.create_numbered(&folder, "contenders/contender-", data.to_string().as_bytes(), mode).await?;
        let own = format!("contender-{number}");
        let contenders = self.contenders(key)?;
        let unsure = |error: CallError| CallError::info("unknown", format!("{own} stands: {}", error.text));
        // This server has seen the own znode, so every one before it that it does not show is gone.
        let names = session.children(&contenders).await.map_err(unsure)?;
        let Some(rank) = names.iter().position(|name| *name == own) else {
            return Err(CallError::info("lost", format!("{own} is gone: the session may be over")));
        };
        let contest = match names.first().filter(|_| rank >= permits) {
            Some(first) => Contest::Lost(format!("{contenders}/{first}")),
            None => Contest::Won(stat.czxid),
        };
        Ok((format!("{contenders}/{own}"), contest))
    }

    /// Leaves a contest that was lost. If that is not certain, the znode may win later, as long as this session lives.
    async fn leave(&self, path: &str) -> Result<(), CallError> {
        match self.session()?.client.delete(path, None).await {
            Ok(()) | Err(Error::NoNode) => Ok(()),
            Err(error) => Err(CallError::info("lost", error)),
        }
    }

    pub(crate) async fn acquire(&mut self, call: &Call) -> Result<Reply, CallError> {
        let permits = self.init.params["permits"].as_u64().unwrap_or(1) as usize;
        let (path, contest) = self.contest(&call.key, &json!(self.init.process), permits).await?;
        match contest {
            Contest::Won(token) => {
                self.held.push(HeldZnode { key: call.key.clone(), path, copy: Vec::new() });
                Ok(Reply::value(token))
            }
            Contest::Lost(_) => {
                self.leave(&path).await?;
                Ok(Reply::value(false))
            }
        }
    }

    /// Gives back what is held. It was lost if the session is over.
    pub(crate) async fn release(&mut self, call: &Call) -> Result<Reply, CallError> {
        let Some(at) = self.held.iter().position(|held| held.key == call.key) else {
            return Err(CallError::fail("not-held", "the session that held it is over"));
        };
        let held = self.held.remove(at);
        match self.session()?.client.delete(&held.path, None).await {
            Ok(()) => Ok(Reply::nothing()),
            Err(Error::NoNode) => Err(CallError::fail("not-held", format!("{} is gone", held.path))),
            Err(error) => Err(classified(error)),
        }
    }

    /// Campaigns. The reply is the leader and its term, be it this candidate or another.
    pub(crate) async fn elect(&mut self, call: &Call) -> Result<Reply, CallError> {
        let (path, contest) = self.contest(&call.key, &call.value, 1).await?;
        match contest {
            Contest::Won(term) => {
                self.held.push(HeldZnode { key: call.key.clone(), path, copy: Vec::new() });
                Ok(Reply::value(json!({"leader": call.value, "term": term})))
            }
            Contest::Lost(first) => {
                let leads = self.session()?.get(&first).await;
                self.leave(&path).await?;
                match leads? {
                    Some((leader, stat)) => Ok(Reply::value(json!({"leader": leader, "term": stat.czxid}))),
                    None => Err(CallError::fail("conflict", "the leader resigned meanwhile")),
                }
            }
        }
    }

    /// Who leads, as far as the client's own server knows.
    pub(crate) async fn leader(&self, call: &Call) -> Result<Reply, CallError> {
        let (session, contenders) = (self.session()?, self.contenders(&call.key)?);
        session.before_read().await?;
        let Some(first) = session.children(&contenders).await?.into_iter().next() else {
            return Ok(Reply::value(Value::Null));
        };
        match session.get(&format!("{contenders}/{first}")).await? {
            Some((leader, stat)) => Ok(Reply::value(json!({"leader": leader, "term": stat.czxid}))),
            None => Err(CallError::fail("conflict", "the leader resigned meanwhile")),
        }
    }
}
