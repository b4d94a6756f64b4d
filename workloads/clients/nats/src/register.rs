//! Registers: entries of a key-value bucket, which is a stream that keeps the last message of each subject.
use crate::client::{NatsClient, argument, without_effect};
use async_nats::HeaderMap;
use dsfuzz_client::{Call, CallError, Reply};
use serde_json::{Value as Json, json};

/// The header of a message that is stored only if its subject's last message has this sequence; 0: has none.
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";

impl NatsClient {
    pub(crate) async fn read_register(&mut self, call: &Call) -> Result<Reply, CallError> {
        let subject = self.subject(&call.key);
        let entry = if self.reads_replica() {
            self.last_of_own_copy(call, &subject).await
        } else {
            self.of_leader(json!({"last_by_subj": subject})).await
        };
        let entry = entry.map_err(without_effect)?;
        let (version, value) = entry.map_or((0, Json::Null), |entry| (entry.sequence, entry.value.into()));
        Ok(Reply::value(if self.versions { json!([version, value]) } else { value }))
    }

    pub(crate) async fn write_register(&mut self, call: &Call) -> Result<Reply, CallError> {
        let value = argument(&call.value)?;
        let subject = self.subject(&call.key);
        let acknowledged =
            self.connection.publish(&self.stream(), subject, HeaderMap::new(), value.to_string()).await?;
        Ok(if self.versions { Reply::value(acknowledged["seq"].clone()) } else { Reply::nothing() })
    }

    /// Reads the entry and its revision, and writes under the condition that this is still the last one.
    pub(crate) async fn compare_and_set(&mut self, call: &Call) -> Result<Reply, CallError> {
        let Some([from, to]) = call.value.as_array().map(Vec::as_slice) else {
            return Err(CallError::fail("malformed", format!("{} is not [from, to]", call.value)));
        };
        let to = argument(to)?;
        let subject = self.subject(&call.key);
        let entry = self.of_leader(json!({"last_by_subj": subject})).await.map_err(without_effect)?;
        let (found, revision) = entry.map_or((Json::Null, 0), |entry| (entry.value.into(), entry.sequence));
        if found != *from {
            return Err(CallError::fail("precondition", format!("it was {found}")));
        }
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED, revision.to_string().as_str());
        self.connection.publish(&self.stream(), subject, headers, to.to_string()).await?;
        Ok(Reply::nothing())
    }
}
