//! Queues: a stream that keeps a message until it was acknowledged, and a pull consumer for each key. A message is acknowledged, and
//! that is confirmed, before the answer.
use crate::client::NatsClient;
use crate::setup::consumer_name;
use crate::stream::integer;
use async_nats::{HeaderMap, Message};
use dsfuzz_client::{Call, CallError, Reply};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long a drain waits for messages that others took and did not acknowledge, before it asks again.
const PAUSE: Duration = Duration::from_millis(50);

impl NatsClient {
    pub(crate) async fn dequeue(&mut self, call: &Call) -> Result<Reply, CallError> {
        match self.take(call).await? {
            Some(element) => Ok(Reply::value(element)),
            None => Err(CallError::fail("empty", "the queue is empty")),
        }
    }

    /// Takes one message and acknowledges it. None: there is none now.
    async fn take(&self, call: &Call) -> Result<Option<i64>, CallError> {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream(), consumer_name(&call.key));
        let messages = self.connection.pull(subject, 1).await?;
        let Some((element, reply)) = messages.first().map(message_of).transpose()?.flatten() else { return Ok(None) };
        // It was handed out, and comes again if this does not arrive.
        let known = |error: CallError| CallError { certain: false, ..error }.with_value(element);
        self.connection.raw(reply, HeaderMap::new(), "+ACK".to_owned()).await.map_err(known)?;
        Ok(Some(element))
    }

    /// Takes messages until the stream holds none of this key, also none that others took and did not acknowledge.
    pub(crate) async fn drain(&mut self, call: &Call) -> Result<Reply, CallError> {
        let end = Instant::now() + Duration::from_millis(call.deadline_ms / 4 * 3);
        let mut elements = Vec::new();
        loop {
            let known = |error: CallError| match elements.is_empty() {
                true => error,
                // Some were taken, whatever comes next.
                false => CallError { certain: false, ..error }.with_value(elements.clone()),
            };
            if let Some(element) = self.take(call).await.map_err(|error| {
                let last = error.value.as_i64();
                let all: Vec<i64> = elements.iter().copied().chain(last).collect();
                if all.is_empty() { error } else { CallError { certain: false, ..error }.with_value(all) }
            })? {
                elements.push(element);
                // What is left is asked for by the next drain.
                if Instant::now() < end {
                    continue;
                }
                return Ok(Reply::value(elements));
            }
            let left = self.left(&self.subject(&call.key)).await.map_err(known)?;
            if left == 0 {
                return Ok(Reply::value(elements));
            }
            if Instant::now() >= end {
                if !elements.is_empty() {
                    return Ok(Reply::value(elements));
                }
                return Err(CallError::info("timeout", format!("{left} messages are held and not handed out")));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How many messages of this subject the stream holds.
    async fn left(&self, subject: &str) -> Result<u64, CallError> {
        let asked = json!({"subjects_filter": subject});
        let info = self.connection.done(&format!("STREAM.INFO.{}", self.stream()), &asked).await?;
        Ok(info["state"]["subjects"][subject].as_u64().unwrap_or(0))
    }
}

/// The element of a message that was pulled, and where it is acknowledged. None: there was no message.
fn message_of(message: &Message) -> Result<Option<(i64, String)>, CallError> {
    if let Some(status) = message.status {
        let words = message.description.clone().unwrap_or_default();
        return match status.as_u16() {
            404 => Ok(None),
            // Nothing was handed out.
            code => Err(CallError::fail("unavailable-now", format!("pull: {code} {words}"))),
        };
    }
    match (integer(&message.payload), &message.reply) {
        (Some(element), Some(reply)) => Ok(Some((element, reply.to_string()))),
        _ => Err(CallError::info("unknown", format!("an odd message: {message:?}"))),
    }
}
