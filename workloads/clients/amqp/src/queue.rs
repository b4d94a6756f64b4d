//! Queues: publish with confirmation, get and acknowledge, drain.
use crate::Amqp;
use crate::link::lost;
use dsfuzz_client::{Call, CallError, Reply};
use lapin::options::BasicAckOptions;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long a queue must stay empty until a drain believes it: the broker gives messages of a connection that just ended back.
const QUIET: Duration = Duration::from_secs(1);
/// The part of its time that a drain uses to take messages; the rest is for their acknowledgement.
const TAKING: f64 = 0.75;

impl Amqp {
    /// Declares the queues. They must be empty: a message of somebody else would come out as an unexpected one.
    pub(crate) async fn declare_queues(&self, within: Duration) -> Result<Reply, CallError> {
        for key in self.keys() {
            let name = self.queue_of(&key);
            let queue = self.link()?.declare(&name, &self.settings, within).await?;
            if queue.message_count() > 0 {
                let text = format!("queue {name} exists and holds {} messages", queue.message_count());
                return Err(CallError::fail("exists", text));
            }
        }
        Ok(Reply::nothing())
    }

    pub(crate) async fn enqueue(&self, call: &Call, within: Duration) -> Result<Reply, CallError> {
        let payload = call.value.to_string();
        self.link()?.publish(&self.queue_of(&call.key), payload.as_bytes(), &self.init.run, within).await?;
        Ok(Reply::nothing())
    }

    /// Takes one message. If the broker may not have read the acknowledgement, the message may come again: what is known of it
    /// stands in the answer.
    pub(crate) async fn dequeue(&self, call: &Call, within: Duration) -> Result<Reply, CallError> {
        let (link, end) = (self.link()?, Instant::now() + within);
        let Some(message) = link.get(&self.queue_of(&call.key), within).await? else {
            return Ok(Reply::value(Value::Null));
        };
        let value = element(&message.data)?;
        let acknowledged = match message.acker.ack(BasicAckOptions::default()).await {
            Ok(_) => link.round_trip(left(end)).await,
            Err(error) => Err(lost(&error)),
        };
        match acknowledged {
            Ok(()) => Ok(Reply::value(value)),
            Err(error) => Err(error.with_value(value)),
        }
    }

    /// Takes messages until there are none, or until its time is used up: then the list is not empty, and dsfuzz asks again.
    pub(crate) async fn drain(&self, call: &Call, within: Duration) -> Result<Reply, CallError> {
        let (link, queue, start) = (self.link()?, self.queue_of(&call.key), Instant::now());
        let (mut taken, mut last, mut was_quiet) = (Vec::new(), None, false);
        while start.elapsed() < within.mul_f64(TAKING) {
            match link.get(&queue, left(start + within)).await? {
                Some(message) => {
                    taken.push(element(&message.data)?);
                    last = Some(message);
                }
                None if taken.is_empty() && !was_quiet => {
                    was_quiet = true;
                    tokio::time::sleep(QUIET.min(within / 4)).await;
                }
                None => break,
            }
        }
        let Some(last) = last else { return Ok(Reply::value(taken)) };
        let acknowledged = match last.acker.ack(BasicAckOptions { multiple: true }).await {
            Ok(_) => link.round_trip(left(start + within)).await,
            Err(error) => Err(lost(&error)),
        };
        match acknowledged {
            Ok(()) => Ok(Reply::value(taken)),
            Err(error) => Err(error.with_value(taken)),
        }
    }
}

/// What is left of the time of a call.
pub(crate) fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// A message's element.
fn element(payload: &[u8]) -> Result<Value, CallError> {
    let foreign = |_| {
        let text = format!("a message that is not of this run: {:?}", String::from_utf8_lossy(payload));
        CallError::fail("malformed", text)
    };
    serde_json::from_slice(payload).map_err(foreign)
}
