//! Logs: one stream whose subjects are the logs. A message's offset is its sequence, so that offsets of one log grow and have gaps.
use crate::client::{NatsClient, argument, without_effect};
use async_nats::HeaderMap;
use dsfuzz_client::{Call, CallError, Reply};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// Most messages of one log in a poll.
const POLLED_MAX: usize = 32;
/// Most messages of the stream in a poll of the own server's copy.
const STREAM_MAX: usize = 500;

impl NatsClient {
    /// Sets the logs to poll: each from where this client is, or all from their beginnings.
    pub(crate) fn assign(&mut self, call: &Call) -> Result<Reply, CallError> {
        let keys = call.value.get("keys").unwrap_or(&call.value);
        let anew = call.value.get("seek-to-beginning?") == Some(&Json::Bool(true));
        let keys: Vec<i64> =
            keys.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(argument).collect::<Result<_, _>>()?;
        let before = self.places.take().filter(|_| !anew).unwrap_or_default();
        let places: BTreeMap<i64, u64> =
            keys.into_iter().map(|log| (log, before.get(&log).copied().unwrap_or(1))).collect();
        self.places = Some(places);
        Ok(Reply::nothing())
    }

    pub(crate) async fn send(&mut self, call: &Call) -> Result<Reply, CallError> {
        let sends = call.value.as_array().map(Vec::as_slice).unwrap_or_default();
        let [send] = sends else {
            return Err(CallError::fail("not-supported", format!("one message at a time, not {}", call.value)));
        };
        let (Some("send"), log, Ok(message)) = (send[0].as_str(), &send[1], argument(&send[2])) else {
            return Err(CallError::fail("malformed", format!("{send} is no [\"send\", log, message]")));
        };
        let subject = self.subject(log);
        let acknowledged =
            self.connection.publish(&self.stream(), subject, HeaderMap::new(), message.to_string()).await?;
        Ok(Reply::value(json!([["send", log, [acknowledged["seq"], message]]])))
    }

    pub(crate) async fn poll(&mut self, call: &Call) -> Result<Reply, CallError> {
        let Some(places) = self.places.clone() else {
            return Err(CallError::fail("not-found", "no log is assigned"));
        };
        if self.reads_replica() {
            return self.poll_own_copy(call, places).await.map_err(without_effect);
        }
        let (mut polled, mut reached) = (Map::new(), BTreeMap::new());
        for (log, place) in places {
            let (messages, next) = self.next_messages(log, place).await.map_err(without_effect)?;
            if !messages.is_empty() {
                polled.insert(log.to_string(), messages.into());
            }
            reached.insert(log, next);
        }
        self.places = Some(reached);
        Ok(Reply::value(json!([["poll", polled]])))
    }

    /// Polls the own server's copy of the stream, all logs at once.
    async fn poll_own_copy(&mut self, call: &Call, places: BTreeMap<i64, u64>) -> Result<Reply, CallError> {
        let from = places.values().copied().min().unwrap_or(1);
        let messages = self.own_copy(call, from, STREAM_MAX).await?;
        let (mut polled, mut reached) = (Map::new(), BTreeMap::new());
        for (log, place) in places {
            let subject = self.subject(&Json::from(log));
            let mut own = messages.iter().filter(|message| message.sequence >= place && message.subject == subject);
            let taken: Vec<_> = own.by_ref().take(POLLED_MAX).collect();
            // A log whose messages were all taken goes on after the last message of any log.
            let seen = if own.next().is_some() { taken.last().copied() } else { messages.last() };
            reached.insert(log, seen.map_or(place, |message| place.max(message.sequence + 1)));
            if !taken.is_empty() {
                let pairs: Vec<Json> = taken.iter().map(|one| json!([one.sequence, one.value])).collect();
                polled.insert(log.to_string(), pairs.into());
            }
        }
        self.places = Some(reached);
        Ok(Reply::value(json!([["poll", polled]])))
    }

    /// Messages of a log from a sequence on, as offset and message, and the sequence that comes after them.
    async fn next_messages(&self, log: i64, from: u64) -> Result<(Vec<Json>, u64), CallError> {
        let subject = self.subject(&Json::from(log));
        let (mut messages, mut place) = (Vec::new(), from);
        while messages.len() < POLLED_MAX {
            let wanted = json!({"seq": place, "next_by_subj": subject});
            let Some(message) = self.of_leader(wanted).await? else { break };
            place = message.sequence + 1;
            messages.push(json!([message.sequence, message.value]));
        }
        Ok((messages, place))
    }
}
