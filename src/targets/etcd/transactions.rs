//! Transactions of micro-operations on etcd: read what is there at one revision, then write if nothing of it has changed since
//! (optimistic concurrency control). Each key is one key of etcd, a list or a register as JSON.
use super::kvs::{encoded, json_text, range_of};
use super::{EtcdClient, not_supported, outcome};
use dsfuzz_checkers::Value;
use dsfuzz_workloads::{Call, CallResult};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Operations of one request of etcd (`--max-txn-ops`, by default).
const OPERATIONS_MAX: usize = 128;

/// A key as etcd had it at the revision of a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
struct KeySnapshot {
    /// The revision of its last change; 0 if it is absent.
    changed: i64,
    value: Value,
}

/// What a micro-operation does.
enum Effect {
    Read,
    Append(Value),
    Write(Value),
}

/// A transaction's micro-operations: the name and the key as they were given, and what is done.
struct Transaction {
    parts: Vec<(Value, Value, Effect)>,
}

impl Transaction {
    fn of(call: &Call) -> Result<Transaction, String> {
        let wrong =
            |what: &Value| format!("malformed: txn wants [[\"r\"|\"append\"|\"w\", key, value], ..], not {what}");
        let part = |part: &Value| {
            let Some([name, key, value]) = part.as_list() else { return Err(wrong(part)) };
            let effect = match name {
                Value::Text(name) if &**name == "r" => Effect::Read,
                Value::Text(name) if &**name == "append" => Effect::Append(value.clone()),
                Value::Text(name) if &**name == "w" => Effect::Write(value.clone()),
                _ => return Err(wrong(part)),
            };
            Ok((name.clone(), key.clone(), effect))
        };
        let parts = call.value.as_list().ok_or_else(|| wrong(&call.value))?;
        Ok(Transaction { parts: parts.iter().map(part).collect::<Result<_, String>>()? })
    }

    /// Its keys, each once. None of them may change until the writes are there.
    fn keys(&self) -> Vec<&Value> {
        let mut keys: Vec<&Value> = Vec::new();
        for (_, key, _) in &self.parts {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// The reply, and what is to be written, on this state.
    fn applied(&self, held: &BTreeMap<String, KeySnapshot>) -> Result<(Value, BTreeMap<String, Value>), String> {
        let mut writes: BTreeMap<String, Value> = BTreeMap::new();
        let mut reply = Vec::new();
        for (name, key, effect) in &self.parts {
            let text = json_text(key);
            let now = writes.get(&text).or(held.get(&text).map(|held| &held.value)).cloned().unwrap_or_default();
            let shown = match effect {
                Effect::Read => now,
                Effect::Write(value) => {
                    writes.insert(text, value.clone());
                    value.clone()
                }
                Effect::Append(value) => {
                    let list = match &now {
                        Value::Nil => Vec::new(),
                        Value::List(list) => list.to_vec(),
                        other => return Err(format!("malformed: key {key} holds {other}, which is no list")),
                    };
                    writes.insert(text, Value::list(list.into_iter().chain([value.clone()])));
                    value.clone()
                }
            };
            reply.push(Value::list([name.clone(), key.clone(), shown]));
        }
        Ok((Value::list(reply), writes))
    }
}

impl EtcdClient {
    /// `txn`: strict serializable, unless the option `serializable` lets reads be stale; what writes is always checked.
    pub(super) async fn transact(&mut self, call: &Call) -> CallResult {
        if &*call.f != "txn" {
            return not_supported(call);
        }
        let transaction = match Transaction::of(call) {
            Ok(transaction) => transaction,
            Err(why) => return CallResult::fail(why),
        };
        let keys: Vec<String> = transaction.keys().into_iter().map(json_text).collect();
        if keys.len() > OPERATIONS_MAX {
            return CallResult::fail(format!("malformed: {} keys; etcd takes {OPERATIONS_MAX} at once", keys.len()));
        }
        let held = match self.snapshot(call, &keys).await {
            Ok(held) => held,
            Err(ended) => return ended,
        };
        let (reply, writes) = match transaction.applied(&held) {
            Ok(applied) => applied,
            Err(why) => return CallResult::fail(why),
        };
        if writes.is_empty() {
            return CallResult::Ok(reply);
        }
        let name = |key: &String| encoded(&format!("/dsfuzz/{}/{key}", call.workload));
        let compare = keys.iter().map(|key| {
            let changed = held.get(key).map_or(0, |held| held.changed);
            json!({"key": name(key), "target": "MOD", "result": "EQUAL", "mod_revision": changed.to_string()})
        });
        let puts = writes
            .iter()
            .map(|(key, value)| json!({"requestPut": {"key": name(key), "value": encoded(&json_text(value))}}));
        let body = json!({"compare": compare.collect::<Vec<_>>(), "success": puts.collect::<Vec<_>>()});
        match self.post("/v3/kv/txn", &body).await {
            Ok(answer) => match answer.get("succeeded").and_then(Json::as_bool).unwrap_or(false) {
                true => CallResult::Ok(reply),
                false => CallResult::fail("conflict: a key has changed since it was read"),
            },
            Err(sent) => outcome::of_write(&sent),
        }
    }

    /// These keys at one revision.
    async fn snapshot(&mut self, call: &Call, keys: &[String]) -> Result<BTreeMap<String, KeySnapshot>, CallResult> {
        let ranges = keys.iter().map(|key| {
            let key = encoded(&format!("/dsfuzz/{}/{key}", call.workload));
            json!({"requestRange": {"key": key, "serializable": self.serializable}})
        });
        let body = json!({"success": ranges.collect::<Vec<_>>()});
        let answer = self.post_first("/v3/kv/txn", &body).await.map_err(|sent| outcome::of_read(&sent))?;
        held(&answer, keys).map_err(CallResult::fail)
    }
}

/// What the ranges of a transaction returned, by key.
fn held(answer: &Json, keys: &[String]) -> Result<BTreeMap<String, KeySnapshot>, String> {
    let one = |(position, key): (usize, &String)| {
        let kv = range_of(answer, position)?.into_iter().next();
        let held = kv.map(|kv| KeySnapshot { changed: kv.changed, value: kv.value }).unwrap_or_default();
        Ok((key.clone(), held))
    };
    keys.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(value: &str) -> Call {
        let value = serde_json::from_str(value).expect("JSON");
        Call { workload: "list-append".into(), f: "txn".into(), key: Value::Nil, value }
    }

    #[test]
    fn a_transaction_sees_what_it_wrote_itself() {
        let held = BTreeMap::from([("1".to_owned(), KeySnapshot { changed: 7, value: Value::list([Value::Int(4)]) })]);
        let transaction =
            Transaction::of(&call(r#"[["r",1,null],["append",1,5],["r",1,null],["w",2,6],["r",2,null]]"#));
        let (reply, writes) = transaction.expect("sound").applied(&held).expect("lists");
        let expected = r#"[["r",1,[4]],["append",1,5],["r",1,[4,5]],["w",2,6],["r",2,6]]"#;
        assert_eq!(json_text(&reply), expected);
        assert_eq!(writes.len(), 2);
        assert_eq!(json_text(&writes["1"]), "[4,5]");
    }

    #[test]
    fn malformed_transactions_and_values_of_others_are_refused() {
        for value in ["null", "[1]", r#"[["x",1,2]]"#, r#"[["r",1]]"#] {
            assert!(Transaction::of(&call(value)).is_err(), "{value}");
        }
        let held = BTreeMap::from([("1".to_owned(), KeySnapshot { changed: 7, value: Value::Int(4) })]);
        assert!(Transaction::of(&call(r#"[["append",1,5]]"#)).expect("sound").applied(&held).is_err());
    }

    #[test]
    fn what_etcd_answers_is_read_by_key() {
        let answer: Json = serde_json::from_str(
            r#"{"succeeded":true,"responses":[{"response_range":{"header":{"revision":"9"}}},
                {"response_range":{"kvs":[{"key":"eA==","mod_revision":"8","value":"WzVd"}],"count":"1"}}]}"#,
        )
        .expect("JSON");
        let keys = ["1".to_owned(), "2".to_owned()];
        let read = held(&answer, &keys).expect("two ranges");
        assert_eq!((read["1"].changed, &read["1"].value), (0, &Value::Nil));
        assert_eq!((read["2"].changed, json_text(&read["2"].value).as_str()), (8, "[5]"));
        let more = [keys, ["3".to_owned(), "4".to_owned()]].concat();
        assert!(held(&answer, &more).is_err());
    }
}
