//! Logs: a key for each message, by its offset, and one for the number of messages of the log. A send writes both if that number is
//! still what was read; a poll reads the keys from the consumer's place on. The places are this client's own.
use super::kvs::{Kv, Order, all, encoded, one, prefix_end, put};
use super::{EtcdClient, not_supported};
use dsfuzz_checkers::Value;
use dsfuzz_workloads::{Call, CallResult};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most messages of one log in a poll.
const POLLED_MAX: usize = 500;

/// A micro-operation of a transaction on logs.
enum MicroOperation {
    Send(i64, Value),
    Poll,
}

fn asked(micro_operation: &Value) -> Option<MicroOperation> {
    match micro_operation.as_list()? {
        [Value::Text(name), Value::Int(log), message] if &**name == "send" => {
            Some(MicroOperation::Send(*log, message.clone()))
        }
        [Value::Text(name)] if &**name == "poll" => Some(MicroOperation::Poll),
        _ => None,
    }
}

/// The messages of each log from the place on.
type Polled = BTreeMap<i64, Vec<(i64, Value)>>;

impl EtcdClient {
    pub(super) async fn log(&mut self, call: &Call) -> CallResult {
        match &*call.f {
            "assign" => self.assign(&call.value),
            "send" | "poll" | "txn" => self.send_and_poll(call).await,
            "crash" => CallResult::info("crash: the consumer was to crash"),
            "subscribe" => CallResult::fail("not-supported: etcd has no consumer groups; `sub_via: assign`"),
            _ => not_supported(call),
        }
    }

    fn assign(&mut self, value: &Value) -> CallResult {
        let entry = |name: &str| match value {
            Value::Map(entries) => entries.iter().find(|(known, _)| &**known == name).map(|(_, value)| value),
            _ => None,
        };
        let Some(logs) = entry("keys").unwrap_or(value).as_list() else {
            return CallResult::fail(format!("malformed: assign wants a list of logs, not {value}"));
        };
        let anew = entry("seek-to-beginning?") == Some(&Value::Bool(true));
        let before = std::mem::take(&mut self.places);
        let place = |log: i64| if anew { 0 } else { before.get(&log).copied().unwrap_or(0) };
        self.places = logs.iter().filter_map(Value::as_int).map(|log| (log, place(log))).collect();
        self.assigned = true;
        CallResult::Ok(Value::Nil)
    }

    /// Reads the lengths of the logs that are sent to, and what there is to poll, at one revision; then writes what is sent.
    async fn send_and_poll(&mut self, call: &Call) -> CallResult {
        let micro_operations = call.value.as_list().unwrap_or_default();
        let Some(all_asked) = micro_operations.iter().map(asked).collect::<Option<Vec<_>>>() else {
            return CallResult::fail(format!("malformed: expected sends and polls, not {}", call.value));
        };
        let polls = all_asked.iter().any(|asked| matches!(asked, MicroOperation::Poll));
        if polls && !self.assigned {
            return CallResult::fail("not-found: no log is assigned");
        }
        let mut lengths: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for asked in &all_asked {
            if let MicroOperation::Send(log, _) = asked {
                lengths.insert(*log, (0, 0));
            }
        }
        let places = if polls { self.places.clone() } else { BTreeMap::new() };
        let polled = match self.look(call, &mut lengths, &places).await {
            Ok(polled) => polled,
            Err(ended) => return ended,
        };
        let (reply, writes, next) = carried_out(call, &all_asked, &mut lengths.clone(), polled);
        if !writes.is_empty() {
            let read = lengths.iter().map(|(log, (_, changed))| (length_key(call, *log), *changed)).collect();
            let ended = self.write_if_unchanged(read, writes).await;
            if !matches!(ended, CallResult::Ok(_)) {
                return ended;
            }
        }
        self.places.extend(next);
        CallResult::Ok(reply)
    }

    /// Fills in the length of each log with the revision of its last change, and returns what lies behind the places.
    async fn look(
        &mut self,
        call: &Call,
        lengths: &mut BTreeMap<i64, (i64, i64)>,
        places: &BTreeMap<i64, i64>,
    ) -> Result<Polled, CallResult> {
        let of_lengths = lengths.keys().map(|log| one(&length_key(call, *log)));
        let behind = |(log, place): (&i64, &i64)| {
            let prefix = messages_of(call, *log);
            let mut body = all(&prefix, Order::Key, POLLED_MAX);
            body["key"] = encoded(&message_key(&prefix, *place)).into();
            body["range_end"] = prefix_end(&prefix).into();
            body
        };
        let ranges: Vec<Json> = of_lengths.chain(places.iter().map(behind)).collect();
        if ranges.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut read = self.keys_at_once(ranges).await?.into_iter();
        for (length, kvs) in lengths.values_mut().zip(read.by_ref()) {
            let known = |kv: &Kv| (kv.value.as_int().unwrap_or(0), kv.changed);
            *length = kvs.first().map_or((0, 0), known);
        }
        let message = |kv: Kv| Some((kv.key.rsplit('/').next()?.parse().ok()?, kv.value));
        Ok(places.keys().zip(read).map(|(log, kvs)| (*log, kvs.into_iter().filter_map(message).collect())).collect())
    }
}

/// The reply, the writes, and the next place in each log that was polled. The first poll gets all messages, later ones what is new: nothing.
fn carried_out(
    call: &Call,
    all_asked: &[MicroOperation],
    lengths: &mut BTreeMap<i64, (i64, i64)>,
    mut polled: Polled,
) -> (Value, Vec<Json>, Vec<(i64, i64)>) {
    let next = |(log, messages): (&i64, &Vec<(i64, Value)>)| Some((*log, messages.last()?.0 + 1));
    let places: Vec<(i64, i64)> = polled.iter().filter_map(next).collect();
    let mut writes = Vec::new();
    let mut reply = Vec::new();
    for asked in all_asked {
        reply.push(match asked {
            MicroOperation::Send(log, message) => {
                let length = lengths.entry(*log).or_default();
                let offset = length.0;
                length.0 += 1;
                writes.push(put(&message_key(&messages_of(call, *log), offset), message));
                let placed = Value::list([Value::Int(offset), message.clone()]);
                Value::list([Value::text("send"), Value::Int(*log), placed])
            }
            MicroOperation::Poll => {
                let pair = |(offset, message): (i64, Value)| Value::list([Value::Int(offset), message]);
                let logs = polled.iter_mut().map(|(log, messages)| {
                    let shown = std::mem::take(messages).into_iter().map(pair);
                    (Arc::from(log.to_string()), Value::list(shown))
                });
                Value::list([Value::text("poll"), Value::Map(logs.collect())])
            }
        });
    }
    if !writes.is_empty() {
        writes.extend(lengths.iter().map(|(log, (length, _))| put(&length_key(call, *log), &Value::Int(*length))));
    }
    (Value::list(reply), writes, places)
}

/// The key that holds how many messages a log has.
fn length_key(call: &Call, log: i64) -> String {
    format!("/dsfuzz/{}/{log}/length", call.workload)
}

/// The prefix of a log's messages.
fn messages_of(call: &Call, log: i64) -> String {
    format!("/dsfuzz/{}/{log}/messages/", call.workload)
}

/// Keys in the order of their offsets.
fn message_key(prefix: &str, offset: i64) -> String {
    format!("{prefix}{offset:020}")
}
