//! Registers, a key each, and sets, a key for each element.
use super::kvs::{Kv, encoded, json_text, key_of, kvs, prefix_end, revision};
use super::outcome::RequestProgress;
use super::{EtcdClient, not_supported, outcome};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dsfuzz_checkers::Value;
use dsfuzz_workloads::{Call, CallResult};
use serde_json::{Value as Json, json};

/// Elements of one request; a set is read page by page, all at one revision.
const PAGE: u64 = 10_000;

impl EtcdClient {
    pub(super) async fn register(&mut self, call: &Call) -> CallResult {
        match &*call.f {
            "read" => self.read_register(&key_of(call)).await,
            "write" => match self.put(&key_of(call), &call.value).await {
                Ok(reply) if self.versions() => CallResult::Ok(Value::Int(revision(&reply))),
                Ok(_) => CallResult::Ok(Value::Nil),
                Err(sent) => outcome::of_write(&sent),
            },
            "cas" => self.compare_and_set(call).await,
            _ => not_supported(call),
        }
    }

    pub(super) async fn set(&mut self, call: &Call) -> CallResult {
        match &*call.f {
            "add" => self.write(&format!("{}/{}", key_of(call), json_text(&call.value)), &call.value).await,
            "read" => self.read_all(&format!("{}/", key_of(call))).await,
            _ => not_supported(call),
        }
    }

    /// Whether the version of a register, the revision of its last change, belongs to the replies.
    fn versions(&self) -> bool {
        self.param("versions") == Some(&Value::Bool(true))
    }

    /// The value of a register; with versions `[revision, value]`.
    async fn read_register(&mut self, key: &str) -> CallResult {
        let versions = self.versions();
        match self.first(key).await {
            Ok(kv) => {
                let (revision, value) = kv.map_or((0, Value::Nil), |kv| (kv.changed, kv.value));
                CallResult::Ok(if versions { Value::list([Value::Int(revision), value]) } else { value })
            }
            Err(result) => result,
        }
    }

    /// The value of a key; nil if it is absent.
    pub(super) async fn read_value(&mut self, key: &str) -> CallResult {
        match self.first(key).await {
            Ok(kv) => CallResult::Ok(kv.map(|kv| kv.value).unwrap_or_default()),
            Err(result) => result,
        }
    }

    /// A key, if it is there.
    async fn first(&mut self, key: &str) -> Result<Option<Kv>, CallResult> {
        let body = json!({"key": encoded(key), "serializable": self.serializable});
        let reply = self.post("/v3/kv/range", &body).await.map_err(|sent| outcome::of_read(&sent))?;
        Ok(kvs(&reply).map_err(CallResult::fail)?.into_iter().next())
    }

    pub(super) async fn write(&mut self, key: &str, value: &Value) -> CallResult {
        match self.put(key, value).await {
            Ok(_) => CallResult::Ok(Value::Nil),
            Err(sent) => outcome::of_write(&sent),
        }
    }

    async fn put(&mut self, key: &str, value: &Value) -> Result<Json, RequestProgress> {
        let body = json!({"key": encoded(key), "value": encoded(&json_text(value))});
        self.post("/v3/kv/put", &body).await
    }

    async fn compare_and_set(&mut self, call: &Call) -> CallResult {
        let Some([from, to]) = call.value.as_list() else {
            return CallResult::fail(format!("malformed: cas wants [from, to], not {}", call.value));
        };
        let key = encoded(&key_of(call));
        // An absent key has no value to compare with, but version 0.
        let compare = match from {
            Value::Nil => json!({"key": key, "target": "VERSION", "result": "EQUAL", "version": "0"}),
            value => json!({"key": key, "target": "VALUE", "result": "EQUAL", "value": encoded(&json_text(value))}),
        };
        let put = json!({"requestPut": {"key": key, "value": encoded(&json_text(to))}});
        match self.txn(vec![compare], vec![put], Vec::new()).await {
            Ok(txn) if txn.succeeded => CallResult::Ok(Value::Nil),
            Ok(_) => CallResult::fail("precondition"),
            Err(sent) => outcome::of_write(&sent),
        }
    }

    /// The values of all keys with a prefix, page by page at the revision of the first page.
    pub(super) async fn read_all(&mut self, prefix: &str) -> CallResult {
        let (mut from, mut revision, mut all) = (encoded(prefix), Json::from("0"), Vec::new());
        loop {
            let body = json!({
                "key": from, "range_end": prefix_end(prefix), "limit": PAGE.to_string(),
                "revision": revision, "serializable": self.serializable,
            });
            let reply = match self.post("/v3/kv/range", &body).await {
                Ok(reply) => reply,
                Err(sent) => return outcome::of_read(&sent),
            };
            match kvs(&reply) {
                Ok(kvs) => all.extend(kvs.into_iter().map(|kv| kv.value)),
                Err(why) => return CallResult::fail(why),
            }
            if !reply.get("more").and_then(Json::as_bool).unwrap_or(false) {
                return CallResult::Ok(Value::list(all));
            }
            if let Some(now) = reply.pointer("/header/revision").filter(|_| revision == "0") {
                revision = now.clone();
            }
            let last = reply.get("kvs").and_then(Json::as_array).and_then(|kvs| kvs.last()?.get("key")?.as_str());
            match last.and_then(|key| BASE64.decode(key).ok()) {
                Some(mut key) => {
                    key.push(0);
                    from = BASE64.encode(key);
                }
                None => return CallResult::fail("malformed: etcd says that there is more, but names no last key"),
            }
        }
    }
}
