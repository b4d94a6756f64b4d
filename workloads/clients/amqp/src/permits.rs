//! Locks and semaphores: a queue with as many messages as there are permits. Who has taken a message without acknowledging it holds
//! a permit; giving it back is a `basic.reject` that puts it back. RabbitMQ puts it back by itself when the connection ends, even
//! if the holder does not know of that yet.
use crate::Amqp;
use crate::link::{Link, answered, lost};
use crate::queue::left;
use dsfuzz_client::{Call, CallError, Reply};
use lapin::message::BasicGetMessage;
use lapin::options::{BasicNackOptions, BasicRejectOptions};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A permit that this client has taken and not given back.
pub(crate) struct HeldPermit {
    key: Value,
    message: BasicGetMessage,
}

impl Amqp {
    /// Makes the queues and puts the permits in. Those of an earlier attempt of the same run count.
    pub(crate) async fn make_permits(&self, within: Duration) -> Result<Reply, CallError> {
        let permits = self.init.params["permits"].as_u64().unwrap_or(1);
        for key in self.keys() {
            let name = self.queue_of(&key);
            let link = self.link()?;
            let queue = link.declare(&name, &self.settings, within).await?;
            let there = match queue.message_count() {
                0 => 0,
                _ => self.own_permits(link, &name, within).await?,
            };
            for permit in there..permits {
                link.publish(&name, json!(permit).to_string().as_bytes(), &self.init.run, within).await?;
            }
        }
        Ok(Reply::nothing())
    }

    /// How many permits of this run stand in a queue. One of somebody else is an error.
    async fn own_permits(&self, link: &Link, name: &str, within: Duration) -> Result<u64, CallError> {
        let (mut count, mut last) = (0, None);
        while let Some(message) = link.get(name, within).await? {
            if message.properties.message_id().as_ref().map(|id| id.as_str()) != Some(self.init.run.as_str()) {
                return Err(CallError::fail(
                    "exists",
                    format!("queue {name} exists and holds messages of another run"),
                ));
            }
            count += 1;
            last = Some(message);
        }
        if let Some(last) = last {
            let back = last.acker.nack(BasicNackOptions { multiple: true, requeue: true });
            answered(within, back).await?.map_err(|error| lost(&error))?;
            link.round_trip(within).await?;
        }
        Ok(count)
    }

    pub(crate) async fn acquire(&mut self, call: &Call, within: Duration) -> Result<Reply, CallError> {
        match self.link()?.get(&self.queue_of(&call.key), within).await? {
            None => Ok(Reply::value(false)),
            Some(message) => {
                self.held.push(HeldPermit { key: call.key.clone(), message });
                Ok(Reply::nothing())
            }
        }
    }

    /// Gives a permit back. A permit whose connection broke has gone back already.
    pub(crate) async fn release(&mut self, call: &Call, within: Duration) -> Result<Reply, CallError> {
        let end = Instant::now() + within;
        let Some(at) = self.held.iter().position(|held| held.key == call.key) else {
            return Err(CallError::fail(
                "not-held",
                "the connection that held it is gone, and the broker took it back",
            ));
        };
        let held = self.held.remove(at);
        let rejected = held.message.acker.reject(BasicRejectOptions { requeue: true });
        answered(within, rejected).await?.map_err(|error| lost(&error))?;
        self.link()?.round_trip(left(end)).await.map(|()| Reply::nothing())
    }
}
