//! The copy of a stream on the client's own server.
//!
//! A direct get is answered by any server that has a copy, whatever server the client is connected to. A consumer with one replica
//! reads the copy of the server that it lives on, and its server is drawn: so one is made again and again until it lives on the
//! client's own server.
use crate::client::NatsClient;
use crate::stream::{Stored, StreamState, integer};
use async_nats::Message;
use dsfuzz_client::{Call, CallError};
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};

/// Most consumers that are made until one lives on the own server. With three copies, 40 miss it once in ten million times.
const ATTEMPTS: usize = 40;
/// Most messages of a pull.
const BATCH: usize = 500;
/// How long a consumer outlives its client, in nanoseconds.
const INACTIVE: u64 = 30_000_000_000;
/// How often a consumer without a leader is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// How often a copy that is behind is read again.
const BEHIND: Duration = Duration::from_millis(300);

impl NatsClient {
    /// Messages of the own server's copy from a sequence on, at most this many.
    ///
    /// A final read waits for a copy that ends before the leader's, for half of its deadline. Then it shows what the copy has:
    /// a copy that has lost its end never gets it back.
    pub(crate) async fn own_copy(&self, call: &Call, from: u64, most: usize) -> Result<Vec<Stored>, CallError> {
        let patience = Duration::from_millis(if call.is_final { call.deadline_ms / 2 } else { 0 });
        let end = Instant::now() + patience;
        let part = json!({"deliver_policy": "by_start_sequence", "opt_start_seq": from.max(1)});
        loop {
            let state = self.state().await?;
            let messages = self.part_of_own_copy(&state, &part, most).await?;
            let last = messages.last().map_or(from.saturating_sub(1), |message| message.sequence);
            let whole = last >= state.last || state.first > state.last || messages.len() == most;
            if whole || Instant::now() + BEHIND >= end {
                return Ok(messages);
            }
            tokio::time::sleep(BEHIND).await;
        }
    }

    /// The last message of a subject in the own server's copy.
    pub(crate) async fn last_of_own_copy(&self, call: &Call, subject: &str) -> Result<Option<Stored>, CallError> {
        if call.is_final {
            let messages = self.own_copy(call, 1, usize::MAX).await?;
            return Ok(messages.into_iter().rfind(|message| message.subject == subject));
        }
        let part = json!({"deliver_policy": "last", "filter_subject": subject});
        Ok(self.part_of_own_copy(&self.state().await?, &part, 1).await?.pop())
    }

    /// What a new consumer of this configuration is given of the own server's copy.
    async fn part_of_own_copy(&self, state: &StreamState, part: &Json, most: usize) -> Result<Vec<Stored>, CallError> {
        let (_, own) = self.connection.server();
        let clustered = state.info["cluster"]["leader"].is_string();
        if clustered {
            has_copy(&own, state)?;
        }
        let consumer = self.consumer_on(&own, clustered, part).await?;
        let read = self.read_all(&consumer, most).await;
        let name = consumer["name"].as_str().unwrap_or_default();
        let after = self.consumer_info(name).await;
        // One that stays behind ends by itself.
        let _ = self.connection.ask(&format!("CONSUMER.DELETE.{}.{name}", self.stream()), &json!({})).await;
        let messages = read?;
        if clustered && after?["cluster"]["leader"] != own.as_str() {
            return Err(CallError::fail("moved", format!("the consumer left {own} while it was read")));
        }
        Ok(messages)
    }

    async fn consumer_info(&self, name: &str) -> Result<Json, CallError> {
        self.connection.done(&format!("CONSUMER.INFO.{}.{name}", self.stream()), &json!({})).await
    }

    /// A new consumer that lives on this server.
    async fn consumer_on(&self, own: &str, clustered: bool, part: &Json) -> Result<Json, CallError> {
        let stream = self.stream();
        let mut config = json!({"stream_name": stream, "config": {
            "ack_policy": "none", "replay_policy": "instant", "num_replicas": 1, "inactive_threshold": INACTIVE,
        }});
        for (name, value) in part.as_object().into_iter().flatten() {
            config["config"][name] = value.clone();
        }
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

    /// As many messages as the consumer had before it when it was made, at most this many.
    async fn read_all(&self, consumer: &Json, most: usize) -> Result<Vec<Stored>, CallError> {
        let name = consumer["name"].as_str().unwrap_or_default();
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{name}", self.stream());
        let wanted = (consumer["num_pending"].as_u64().unwrap_or(0) as usize).min(most);
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

/// Refuses if the server has no copy.
fn has_copy(own: &str, state: &StreamState) -> Result<(), CallError> {
    let cluster = &state.info["cluster"];
    let replicas = cluster["replicas"].as_array().map(Vec::as_slice).unwrap_or_default();
    if cluster["leader"] == own || replicas.iter().any(|replica| replica["name"] == own) {
        return Ok(());
    }
    Err(CallError::fail("not-leader", format!("{own} keeps no copy of the stream")))
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
