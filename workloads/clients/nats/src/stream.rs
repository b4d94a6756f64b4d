//! Messages of a stream by sequence or subject, of the stream's leader.
use crate::client::{NatsClient, without_effect};
use crate::errors::{self, NO_MESSAGE};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dsfuzz_client::{Call, CallError, Reply};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value as Json, json};

/// Reads at a time. Each is one request and one reply on the same connection.
const AT_ONCE: usize = 64;

/// A message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) value: i64,
}

/// What a stream says about itself.
pub(crate) struct StreamState {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) info: Json,
}

impl NatsClient {
    /// What the stream's leader says about the stream.
    pub(crate) async fn state(&self) -> Result<StreamState, CallError> {
        let info = self.connection.done(&format!("STREAM.INFO.{}", self.stream()), &json!({})).await?;
        let number = |name: &str| info["state"][name].as_u64();
        match (number("first_seq"), number("last_seq")) {
            (Some(first), Some(last)) => Ok(StreamState { first, last, info }),
            _ => Err(CallError::fail("unknown", format!("a stream without sequences: {info}"))),
        }
    }

    /// A set is a stream: each of its messages by sequence, from the first to the last that its leader knows.
    pub(crate) async fn read_set(&mut self, call: &Call) -> Result<Reply, CallError> {
        let elements = self.whole(call).await.map_err(without_effect)?;
        Ok(Reply::value(elements))
    }

    /// A replicated set or counter is a stream of additions, and what the own server's copy holds is its state.
    pub(crate) async fn read_replica(&mut self, call: &Call) -> Result<Reply, CallError> {
        let messages = self.own_copy(call, 1, usize::MAX).await.map_err(without_effect)?;
        let subject = self.subject(&call.key);
        let added = messages.into_iter().filter(|message| message.subject == subject).map(|message| message.value);
        Ok(Reply::value(match self.params["type"].as_str() {
            Some("g-counter" | "pn-counter") => json!(added.sum::<i64>()),
            _ => json!(added.collect::<Vec<i64>>()),
        }))
    }

    async fn whole(&self, call: &Call) -> Result<Vec<i64>, CallError> {
        let messages = if self.reads_replica() {
            self.own_copy(call, 1, usize::MAX).await?
        } else {
            let state = self.state().await?;
            stream::iter(state.first.max(1)..=state.last)
                .map(|sequence| self.of_leader(json!({"seq": sequence})))
                .buffered(AT_ONCE)
                .try_collect::<Vec<Option<Stored>>>()
                .await?
                .into_iter()
                .flatten()
                .collect()
        };
        let subject = self.subject(&call.key);
        Ok(messages.into_iter().filter(|message| message.subject == subject).map(|message| message.value).collect())
    }

    /// The message that a request names (`seq`, `last_by_subj`, `next_by_subj`). None: there certainly is none.
    pub(crate) async fn of_leader(&self, wanted: Json) -> Result<Option<Stored>, CallError> {
        let reply = self.connection.ask(&format!("STREAM.MSG.GET.{}", self.stream()), &wanted).await?;
        match errors::refused(&reply) {
            Some((NO_MESSAGE, _)) => return Ok(None),
            Some((_, error)) => return Err(error),
            None => {}
        }
        let message = &reply["message"];
        let data = message["data"].as_str().unwrap_or_default();
        let value = BASE64_STANDARD.decode(data).ok().and_then(|data| integer(&data));
        match (message["seq"].as_u64(), message["subject"].as_str(), value) {
            (Some(sequence), Some(subject), Some(value)) => {
                Ok(Some(Stored { sequence, subject: subject.to_owned(), value }))
            }
            _ => Err(CallError::fail("unknown", format!("{wanted}: an odd message: {reply}"))),
        }
    }
}

/// The integer that a message carries.
pub(crate) fn integer(payload: &[u8]) -> Option<i64> {
    std::str::from_utf8(payload).ok()?.parse().ok()
}
