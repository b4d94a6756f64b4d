//! What the calls of an object need: a stream, and the consumers of queues. They say for which run they were made.
use crate::client::NatsClient;
use crate::errors;
use crate::settings::Storage;
use dsfuzz_client::{CallError, Reply};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Consumers with a number of replicas of their own, which read a server's own copy, came with this version.
const LEAST: (u64, u64) = (2, 9);
/// How often a new stream is asked whether all its copies are there.
const PAUSE: Duration = Duration::from_millis(100);

impl NatsClient {
    /// Makes the stream and the consumers, or finds those that an earlier attempt of this run made.
    pub(crate) async fn set_up(&mut self) -> Result<Reply, CallError> {
        let (version, _) = self.connection.server();
        newer_than(&version, LEAST)?;
        let stream = self.stream();
        let config = self.stream_config(&stream);
        let reply = self.connection.ask(&format!("STREAM.CREATE.{stream}"), &config).await?;
        match errors::refused(&reply) {
            None => {}
            Some((_, error)) if error.code == "exists" => self.is_of_this_run(&stream, error).await?,
            // Another node may know the leader.
            Some((_, error)) if error.code == "js-unavailable" => return Err(CallError { code: "refused", ..error }),
            Some((_, error)) => return Err(error),
        }
        if self.object == "queue" {
            for key in self.queues() {
                self.make_consumer(&stream, &key).await?;
            }
        }
        self.wait_for_copies().await?;
        Ok(Reply::nothing())
    }

    fn description(&self) -> String {
        format!("dsfuzz run {}", self.run)
    }

    fn stream_config(&self, stream: &str) -> Json {
        let register = self.object == "register";
        let subjects = if register { self.subject(&Json::Null) } else { format!("{stream}.all") };
        let all = format!("{}.>", subjects.trim_end_matches(".all"));
        json!({
            "name": stream, "subjects": [all], "description": self.description(),
            "retention": if self.object == "queue" { "workqueue" } else { "limits" },
            "storage": match self.settings.storage { Storage::File => "file", Storage::Memory => "memory" },
            "num_replicas": self.settings.replicas, "max_msgs_per_subject": if register { 1 } else { -1 },
            "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msg_size": -1,
            "discard": if register { "new" } else { "old" }, "allow_direct": true,
            "allow_rollup_hdrs": register, "deny_delete": register,
        })
    }

    /// A stream that this run made is as good as a new one.
    async fn is_of_this_run(&self, stream: &str, refused: CallError) -> Result<(), CallError> {
        let info = self.connection.done(&format!("STREAM.INFO.{stream}"), &json!({})).await.map_err(|_| refused)?;
        let found = info["config"]["description"].as_str().unwrap_or_default();
        if found == self.description() {
            return Ok(());
        }
        let text = format!(
            "the stream {stream} exists and is not this run's (its description: `{found}`): delete it, or name another in the client's `stream`"
        );
        Err(CallError::fail("exists", text))
    }

    /// The keys of the workload's queues.
    fn queues(&self) -> Vec<Json> {
        self.params.get("queues").and_then(Json::as_array).cloned().unwrap_or_else(|| vec![Json::Null])
    }

    async fn make_consumer(&self, stream: &str, key: &Json) -> Result<(), CallError> {
        let name = consumer_name(key);
        let config = json!({"stream_name": stream, "config": {
            "durable_name": name, "ack_policy": "explicit", "deliver_policy": "all", "replay_policy": "instant",
            "ack_wait": self.settings.ack_wait_ms * 1_000_000, "max_deliver": -1, "max_ack_pending": 10_000,
            "filter_subject": self.subject(key),
        }});
        self.connection.done(&format!("CONSUMER.DURABLE.CREATE.{stream}.{name}"), &config).await.map(drop)
    }

    /// Waits until the stream has a leader and each copy is in step, so that the first faults hit what the plan means.
    async fn wait_for_copies(&self) -> Result<(), CallError> {
        loop {
            let state = self.state().await?;
            let cluster = &state.info["cluster"];
            let replicas = cluster["replicas"].as_array().map(Vec::as_slice).unwrap_or_default();
            let wanted = self.settings.replicas.saturating_sub(1) as usize;
            let current = replicas.iter().filter(|replica| replica["current"] == true).count();
            if current >= wanted && (wanted == 0 || cluster["leader"].is_string()) {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The durable consumer of a key.
pub(crate) fn consumer_name(key: &Json) -> String {
    match key {
        Json::Null => "all".to_owned(),
        key => format!("queue-{}", key.to_string().replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_")),
    }
}

/// Refuses a server that is too old.
fn newer_than(version: &str, least: (u64, u64)) -> Result<(), CallError> {
    let mut parts = version.split('.').map_while(|part| part.parse::<u64>().ok());
    if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= least {
        return Ok(());
    }
    let text = format!("the server is of version {version}, and {}.{} is the least that will do", least.0, least.1);
    Err(CallError::fail("not-supported", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_named_with_what_would_do() {
        assert_eq!((newer_than("2.9.10", LEAST), newer_than("2.15.1-beta", LEAST)), (Ok(()), Ok(())));
        let error = newer_than("2.8.4", LEAST).expect_err("too old");
        assert!(error.certain && error.text.contains("version 2.8.4, and 2.9"), "{error:?}");
    }
}
