//! The copy of a stream on the client's own server.
//!
//! A direct get is answered by any server that has a copy, whatever server the client is connected to. A consumer with one replica
//! reads the copy of the server that it lives on, and its server is drawn: so one is made again and again until it lives on the
//! client's own server.
use crate::client::NatsClient;
use crate::stream::{Stored, StreamState, integer};
use async_nats::Message;
use dsfuzz_client::CallError;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Most consumers that are made until one lives on the own server. With three copies, 40 miss it once in ten million times.
const ATTEMPTS: usize = 40;
/// Most messages of a pull.
const BATCH: usize = 500;
/// How long a consumer outlives its client, in nanoseconds.
const INACTIVE: u64 = 30_000_000_000;
/// How often a consumer without a leader is asked again.
const PAUSE: Duration = Duration::from_millis(50);

impl NatsClient {
    /// Every message of the own server's copy, read to the end that the stream's leader knows.
    pub(crate) async fn own_copy(&self, state: &StreamState) -> Result<Vec<Stored>, CallError> {
        let (_, own) = self.connection.server();
        let clustered = state.info["cluster"]["leader"].is_string();
        if clustered {
            has_copy(&own, state)?;
        }
        let consumer = self.consumer_on(&own, clustered).await?;
        let read = self.read_all(&consumer).await;
        let name = consumer["name"].as_str().unwrap_or_default();
        let after = self.consumer_info(name).await;
        // One that stays behind ends by itself.
        let _ = self.connection.ask(&format!("CONSUMER.DELETE.{}.{name}", self.stream()), &json!({})).await;
        let messages = read?;
        if clustered && after?["cluster"]["leader"] != own.as_str() {
            return Err(CallError::fail("moved", format!("the consumer left {own} while it was read")));
        }
        let last = messages.last().map_or(0, |message| message.sequence);
        if last < state.last && state.first <= state.last {
            let text = format!("the copy of {own} ends at {last}, and the leader's at {}", state.last);
            return Err(CallError::fail("behind", text));
        }
        Ok(messages)
    }

    async fn consumer_info(&self, name: &str) -> Result<Json, CallError> {
        self.connection.done(&format!("CONSUMER.INFO.{}.{name}", self.stream()), &json!({})).await
    }

    /// A new consumer that lives on this server.
    async fn consumer_on(&self, own: &str, clustered: bool) -> Result<Json, CallError> {
        let stream = self.stream();
        let config = json!({"stream_name": stream, "config": {
            "ack_policy": "none", "deliver_policy": "all", "replay_policy": "instant", "num_replicas": 1,
            "inactive_threshold": INACTIVE,
        }});
        for _ in 0..ATTEMPTS {
            let mut consumer = self.connection.done(&format!("CONSUMER.CREATE.{stream}"), &config).await?;
            let name = consumer["name"].as_str().unwrap_or_default().to_owned();
            while clustered && !consumer["cluster"]["leader"].is_string() {
                tokio::time::sleep(PAUSE).await;
                consumer = self.consumer_info(&name).await?;
            }
            if !clustered || consumer["cluster"]["leader"] == own {
                return Ok(consumer);
            }
            self.connection.done(&format!("CONSUMER.DELETE.{stream}.{name}"), &json!({})).await?;
        }
        Err(CallError::fail("elsewhere", format!("none of {ATTEMPTS} consumers came to live on {own}")))
    }

    /// As many messages as the consumer had before it when it was made.
    async fn read_all(&self, consumer: &Json) -> Result<Vec<Stored>, CallError> {
        let name = consumer["name"].as_str().unwrap_or_default();
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{name}", self.stream());
        let wanted = consumer["num_pending"].as_u64().unwrap_or(0) as usize;
        let mut messages: Vec<Stored> = Vec::with_capacity(wanted);
        while messages.len() < wanted {
            for message in self.connection.pull(subject.clone(), BATCH.min(wanted - messages.len())).await? {
                let stored = delivered(&message)?;
                // A message that comes twice would fill the place of one that does not come.
                if messages.last().is_some_and(|last| last.sequence >= stored.sequence) {
                    let text = format!("sequence {} came after {:?}", stored.sequence, messages.last());
                    return Err(CallError::fail("incomplete", text));
                }
                messages.push(stored);
            }
        }
        Ok(messages)
    }
}

/// Refuses if the server has no copy that is in step.
fn has_copy(own: &str, state: &StreamState) -> Result<(), CallError> {
    let cluster = &state.info["cluster"];
    let replicas = cluster["replicas"].as_array().map(Vec::as_slice).unwrap_or_default();
    match replicas.iter().find(|replica| replica["name"] == own) {
        _ if cluster["leader"] == own => Ok(()),
        None => Err(CallError::fail("not-leader", format!("{own} keeps no copy of the stream"))),
        Some(replica) if replica["current"] == true && replica["offline"] != true => Ok(()),
        Some(replica) => Err(CallError::fail("behind", format!("{own} has not caught up: {replica}"))),
    }
}

/// A message that a consumer delivered. Its sequence stands in the subject of its acknowledgement.
fn delivered(message: &Message) -> Result<Stored, CallError> {
    if let Some(status) = message.status {
        let words = message.description.clone().unwrap_or_default();
        return Err(CallError::fail(
            "incomplete",
            format!("the consumer ended before its last message: {status} {words}"),
        ));
    }
    let sequence = message.reply.as_ref().and_then(|reply| sequence(reply));
    match (sequence, integer(&message.payload)) {
        (Some(sequence), Some(value)) => Ok(Stored { sequence, subject: message.subject.to_string(), value }),
        _ => Err(CallError::fail("unknown", format!("an odd message: {message:?}"))),
    }
}

/// The stream's sequence in `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.CONSUMER_SEQUENCE.TIME.PENDING`; newer servers may put domain
/// and account before the stream.
fn sequence(reply: &str) -> Option<u64> {
    let tokens: Vec<&str> = reply.split('.').collect();
    let place = if tokens.len() == 9 { 5 } else { 7 };
    tokens.get(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_stand_in_the_subject_of_the_acknowledgement() {
        assert_eq!(sequence("$JS.ACK.dsfuzz-set.abc.1.17.3.1700000000000000000.4"), Some(17));
        assert_eq!(sequence("$JS.ACK._.hash.dsfuzz-set.abc.1.17.3.1700000000000000000.4.token"), Some(17));
        assert_eq!(sequence("_INBOX.1"), None);
    }
}
