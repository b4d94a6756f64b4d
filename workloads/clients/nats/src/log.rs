//! Logs: one stream whose subjects are the logs. A message's offset is its sequence, so that offsets of one log grow and have gaps.
use crate::client::{NatsClient, argument, without_effect};
use async_nats::HeaderMap;
use dsfuzz_client::{Call, CallError, Reply};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// Most messages of one log in a poll.
const POLLED_MAX: usize = 32;

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

    pub(crate) async fn poll(&mut self, _call: &Call) -> Result<Reply, CallError> {
        let Some(places) = self.places.clone() else {
            return Err(CallError::fail("not-found", "no log is assigned"));
        };
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

    /// Messages of a log from a sequence on, as offset and message, and the sequence that comes after them.
    async fn next_messages(&self, log: i64, from: u64) -> Result<(Vec<Json>, u64), CallError> {
        let subject = self.subject(&Json::from(log));
        let (mut messages, mut place) = (Vec::new(), from);
        while messages.len() < POLLED_MAX {
            let wanted = json!({"seq": place, "next_by_subj": subject});
            let Some(message) = self.message(wanted).await? else { break };
            place = message.sequence + 1;
            messages.push(json!([message.sequence, message.value]));
        }
        Ok((messages, place))
    }
}
