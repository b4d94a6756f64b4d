//! Keys with revisions, and watches of them through the streaming gateway.
//!
//! A watch has a connection of its own, which ends with it. It is answered with all events that came within its time; one whose
//! connection broke, with those that came before.
use super::kvs::{encoded, json_text, kv, number, prefix_end, revision};
use super::{CONNECT, EtcdClient, not_supported, outcome};
use crate::targets::http::HttpConnection;
use dsfuzz_checkers::Value;
use dsfuzz_workloads::{Call, CallResult};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a watch collects, if the call does not say it.
const FOR_MS: i64 = 500;

impl EtcdClient {
    pub(super) async fn watched(&mut self, call: &Call) -> CallResult {
        match &*call.f {
            "get" => self.read_value(&key_of(call, &call.key)).await,
            "put" => {
                let body = json!({"key": encoded(&key_of(call, &call.key)), "value": encoded(&json_text(&call.value))});
                match self.post("/v3/kv/put", &body).await {
                    Ok(reply) => CallResult::Ok(Value::Int(revision(&reply))),
                    Err(sent) => outcome::of_write(&sent),
                }
            }
            "delete" => {
                match self.post("/v3/kv/deleterange", &json!({"key": encoded(&key_of(call, &call.key))})).await {
                    Ok(reply) if number(&reply, "deleted") == 0 => CallResult::Ok(Value::Nil),
                    Ok(reply) => CallResult::Ok(Value::Int(revision(&reply))),
                    Err(sent) => outcome::of_write(&sent),
                }
            }
            "watch" => self.watch(call).await,
            _ => not_supported(call),
        }
    }

    async fn watch(&mut self, call: &Call) -> CallResult {
        let entry = |name: &str| match &call.value {
            Value::Map(entries) => entries.iter().find(|(known, _)| &**known == name).map(|(_, value)| value),
            _ => None,
        };
        let root = root(call);
        let (key, end) = match (entry("key"), entry("prefix")) {
            (Some(key), _) => (encoded(&key_of(call, key)), None),
            (None, Some(Value::Text(prefix))) if prefix.ends_with('/') => {
                let prefix = format!("{root}{prefix}");
                (encoded(&prefix), Some(prefix_end(&prefix)))
            }
            (None, Some(other)) => {
                return CallResult::fail(format!("malformed: a prefix ends with a slash, not {other}"));
            }
            (None, None) => (encoded(&root), Some(prefix_end(&root))),
        };
        let from = entry("revision").and_then(Value::as_int).unwrap_or(0);
        let time = entry("for_ms").and_then(Value::as_int).unwrap_or(FOR_MS);
        let mut request = json!({"key": key, "start_revision": from.to_string()});
        if let Some(end) = end {
            request["range_end"] = end.into();
        }
        let body = json!({"create_request": request}).to_string();
        let until = Instant::now() + Duration::from_millis(u64::try_from(time).unwrap_or(0));
        let opened = tokio::time::timeout(CONNECT, HttpConnection::open(&self.authority)).await;
        let Ok(Ok(mut connection)) = opened else {
            tokio::time::sleep(super::REFUSED_PAUSE).await;
            return CallResult::fail("refused: no connection for the watch");
        };
        let mut responses = Responses { root, ..Responses::default() };
        let read = connection.lines("POST", "/v3/watch", body.into_bytes(), |line| responses.take(line));
        let ended = tokio::time::timeout_at(until, read).await;
        match (responses.refused.take(), ended) {
            (Some(why), _) => CallResult::fail(why),
            (None, Ok(Err(error))) if !responses.created => CallResult::fail(format!("lost: {error}")),
            (None, _) if !responses.created => CallResult::fail("timeout: etcd did not begin the watch in time"),
            (None, _) => CallResult::Ok(Value::list(responses.list)),
        }
    }
}

/// What a watch has delivered.
#[derive(Default)]
struct Responses {
    /// What all keys begin with.
    root: String,
    created: bool,
    list: Vec<Value>,
    refused: Option<String>,
}

impl Responses {
    /// Takes a line of the stream; false if none may follow.
    fn take(&mut self, line: &[u8]) -> bool {
        let Ok(json) = serde_json::from_slice::<Json>(line) else {
            self.refused = Some("malformed: a watch delivered something that is not JSON".to_owned());
            return false;
        };
        let Some(result) = json.get("result") else {
            let message = json.pointer("/error/message").or_else(|| json.get("error")).and_then(Json::as_str);
            self.refuse(format!("unknown: {}", message.unwrap_or("the watch ended without a reason")));
            return false;
        };
        self.created |= result.get("created").and_then(Json::as_bool).unwrap_or(false);
        if number(result, "compact_revision") > 0 {
            self.refuse(format!("gone: compacted up to revision {}", number(result, "compact_revision")));
            return false;
        }
        let events: Vec<&Json> = result.get("events").and_then(Json::as_array).into_iter().flatten().collect();
        let revision = |event: &&Json| event.get("kv").map_or(0, |kv| number(kv, "mod_revision"));
        // etcd may deliver several revisions at once; one that comes in two responses stays in two.
        for together in events.chunk_by(|one, two| revision(one) == revision(two)) {
            let read: Option<Vec<Value>> = together.iter().map(|event| self.event(event)).collect();
            let Some(read) = read else {
                self.refused = Some(format!("malformed: not an event of ours in revision {}", revision(&together[0])));
                return false;
            };
            self.list.push(Value::list(read));
        }
        !result.get("canceled").and_then(Json::as_bool).unwrap_or(false)
    }

    /// An end that is the answer if nothing was delivered; else what was delivered is.
    fn refuse(&mut self, why: String) {
        if self.list.is_empty() {
            self.refused = Some(why);
        }
    }

    fn event(&self, event: &Json) -> Option<Value> {
        let kv = kv(event.get("kv")?)?;
        let key: &str = kv.key.strip_prefix(&self.root)?;
        let deleted = event.get("type").and_then(Json::as_str) == Some("DELETE");
        let kind = if deleted { "delete" } else { "put" };
        let mut entries: Vec<(Arc<str>, Value)> = vec![
            ("revision".into(), Value::Int(kv.changed)),
            ("type".into(), Value::text(kind)),
            ("key".into(), Value::text(key)),
        ];
        if !deleted {
            entries.push(("value".into(), kv.value));
        }
        Some(Value::Map(entries.into()))
    }
}

/// What all keys of the workload begin with.
fn root(call: &Call) -> String {
    format!("/dsfuzz/{}/", call.workload)
}

/// Keys are texts, and stand as they are.
fn key_of(call: &Call, key: &Value) -> String {
    match key {
        Value::Text(text) => format!("{}{text}", root(call)),
        other => format!("{}{}", root(call), json_text(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lines: &[&str]) -> (Responses, bool) {
        let mut responses = Responses { root: "/dsfuzz/watch/".to_owned(), ..Responses::default() };
        let more = lines.iter().all(|line| responses.take(line.as_bytes()));
        (responses, more)
    }

    const CREATED: &str = r#"{"result":{"header":{"revision":"9"},"created":true}}"#;

    #[test]
    fn revisions_are_told_apart_and_a_revision_in_two_responses_stays_in_two() {
        let event = |revision: i64, kind: &str| {
            // "/dsfuzz/watch/0/1"
            format!(r#"{{{kind}"kv":{{"key":"L2RzZnV6ei93YXRjaC8wLzE=","mod_revision":"{revision}","value":"NQ=="}}}}"#)
        };
        let (put, other, deleted) = (event(7, ""), event(8, ""), event(8, r#""type":"DELETE","#));
        let first = format!(r#"{{"result":{{"header":{{}},"events":[{put},{other}]}}}}"#);
        let second = format!(r#"{{"result":{{"header":{{}},"events":[{deleted}]}}}}"#);
        let (responses, more) = taken(&[CREATED, &first, &second]);
        let shown: Vec<String> = responses.list.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                r#"[{revision: 7, type: "put", key: "0/1", value: 5}]"#,
                r#"[{revision: 8, type: "put", key: "0/1", value: 5}]"#,
                r#"[{revision: 8, type: "delete", key: "0/1"}]"#,
            ]
        );
        assert!(more && responses.created && responses.refused.is_none());
    }

    #[test]
    fn what_was_compacted_is_gone_and_errors_are_no_events() {
        let compacted = r#"{"result":{"header":{},"canceled":true,"compact_revision":"5"}}"#;
        let (responses, more) = taken(&[CREATED, compacted]);
        assert!(!more && responses.refused.is_some_and(|why| why.starts_with("gone: ")));
        let error = r#"{"error":{"grpc_code":14,"message":"etcdserver: no leader"}}"#;
        assert!(taken(&[error]).0.refused.is_some_and(|why| why.contains("no leader")));
        let foreign = r#"{"result":{"events":[{"kv":{"key":"L290aGVy","mod_revision":"8","value":"NQ=="}}]}}"#;
        assert!(taken(&[CREATED, foreign]).0.refused.is_some_and(|why| why.starts_with("malformed: ")));
        assert!(taken(&["<html>"]).0.refused.is_some_and(|why| why.starts_with("malformed: ")));
    }
}
