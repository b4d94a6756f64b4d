//! Queues: a key for each message, the oldest first. A message is taken by whoever deletes its key.
use super::kvs::{Kv, Order, all, changed_at, delete, json_text, key_of};
use super::{EtcdClient, not_supported, outcome};
use dsfuzz_checkers::Value;
use dsfuzz_workloads::{Call, CallResult};

/// Messages from which a dequeue chooses one, so that clients seldom want the same.
const OLDEST: usize = 16;
/// Most messages that one drain takes: the comparisons and deletes of one transaction.
const DRAINED: usize = 100;

impl EtcdClient {
    pub(super) async fn queue(&mut self, call: &Call) -> CallResult {
        match &*call.f {
            "enqueue" => self.write(&format!("{}/{}", key_of(call), json_text(&call.value)), &call.value).await,
            "dequeue" => self.dequeue(call).await,
            "drain" => self.drain(call).await,
            _ => not_supported(call),
        }
    }

    async fn dequeue(&mut self, call: &Call) -> CallResult {
        let mut oldest = match self.messages(call, OLDEST).await {
            Ok(oldest) => oldest,
            Err(ended) => return ended,
        };
        if oldest.is_empty() {
            return CallResult::Ok(Value::Nil);
        }
        let choice = oldest.swap_remove(self.process as usize % oldest.len());
        match self.take(vec![choice]).await {
            CallResult::Ok(taken) => {
                CallResult::Ok(taken.as_list().and_then(<[Value]>::first).cloned().unwrap_or_default())
            }
            ended => ended,
        }
    }

    async fn drain(&mut self, call: &Call) -> CallResult {
        match self.messages(call, DRAINED).await {
            Ok(messages) if messages.is_empty() => CallResult::Ok(Value::list([])),
            Ok(messages) => self.take(messages).await,
            Err(ended) => ended,
        }
    }

    /// The oldest messages of the queue. Never read from the node's own state: what another one took could come out again.
    async fn messages(&mut self, call: &Call, limit: usize) -> Result<Vec<Kv>, CallResult> {
        let body = all(&format!("{}/", key_of(call)), Order::Created, limit);
        let reply = self.post_first("/v3/kv/range", &body).await.map_err(|sent| outcome::of_read(&sent))?;
        super::kvs::kvs(&reply).map_err(CallResult::fail)
    }

    /// Takes all of these messages, or none if another client took one of them.
    async fn take(&mut self, messages: Vec<Kv>) -> CallResult {
        let compare = messages.iter().map(|kv| changed_at(&kv.key, kv.changed)).collect();
        let deletes = messages.iter().map(|kv| delete(&kv.key)).collect();
        match self.txn(compare, deletes, Vec::new()).await {
            Ok(txn) if txn.succeeded => CallResult::Ok(Value::list(messages.into_iter().map(|kv| kv.value))),
            Ok(_) => CallResult::fail("conflict: another client took the message"),
            Err(sent) => outcome::of_write(&sent),
        }
    }
}
