//! Keys and values of etcd's JSON gateway, and the operations and comparisons of its transactions. Pure.
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use dsfuzz_checkers::Value;
use dsfuzz_workloads::Call;
use serde_json::{Value as Json, json};

/// A key as etcd shows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kv {
    pub(super) key: String,
    pub(super) value: Value,
    /// The revision at which it was made, and that of its last change.
    pub(super) created: i64,
    pub(super) changed: i64,
}

/// A number, which the gateway writes as a text, and leaves out where it is 0.
pub(super) fn number(json: &Json, name: &str) -> i64 {
    let value = json.get(name);
    value.and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok())).unwrap_or(0)
}

/// The revision of a reply.
pub(super) fn revision(reply: &Json) -> i64 {
    reply.get("header").map_or(0, |header| number(header, "revision"))
}

/// The keys of a range, in its order.
pub(super) fn kvs(range: &Json) -> Result<Vec<Kv>, String> {
    let head = |json: &Json| super::super::node_commands::head(&json.to_string());
    let kvs = match range.get("kvs") {
        None => return Ok(Vec::new()),
        Some(kvs) => kvs.as_array().ok_or_else(|| format!("malformed: kvs is not a list in {}", head(range)))?,
    };
    let known = |json: &Json| kv(json).ok_or_else(|| format!("malformed: not a value of ours: {}", head(json)));
    kvs.iter().map(known).collect()
}

/// The range at this position of a transaction's replies.
pub(super) fn range_of(reply: &Json, position: usize) -> Result<Vec<Kv>, String> {
    let range = reply.get("responses").and_then(|all| all.get(position)).and_then(|one| one.get("response_range"));
    let head = || super::super::node_commands::head(&reply.to_string());
    kvs(range.ok_or_else(|| format!("malformed: no range {position} in {}", head()))?)
}

/// A key with its value. Of a deleted one the value is nil.
pub(super) fn kv(json: &Json) -> Option<Kv> {
    let text = |name: &str| BASE64.decode(json.get(name)?.as_str()?).ok();
    let value = match text("value") {
        None if json.get("value").is_none() => Value::Nil,
        bytes => serde_json::from_slice(&bytes?).ok()?,
    };
    let key = String::from_utf8(text("key")?).ok()?;
    Some(Kv { key, value, created: number(json, "create_revision"), changed: number(json, "mod_revision") })
}

pub(super) fn encoded(text: &str) -> String {
    BASE64.encode(text)
}

pub(super) fn json_text(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The key of the object that a call is about. What belongs to it follows behind a slash.
pub(super) fn key_of(call: &Call) -> String {
    format!("/dsfuzz/{}/{}", call.workload, json_text(&call.key))
}

/// The first key behind all keys with this prefix, which ends with a slash: `0` follows `/`.
pub(super) fn prefix_end(prefix: &str) -> String {
    encoded(&format!("{}0", prefix.strip_suffix('/').unwrap_or(prefix)))
}

/// The order of a range.
#[derive(Clone, Copy)]
pub(super) enum Order {
    /// The oldest key first.
    Created,
    /// The last key first.
    KeyDown,
    /// The first key first.
    Key,
}

/// The body of a range of one key.
pub(super) fn one(key: &str) -> Json {
    json!({"key": encoded(key)})
}

/// The body of a range of all keys with this prefix; `limit` 0: all.
pub(super) fn all(prefix: &str, order: Order, limit: usize) -> Json {
    let (target, direction) = match order {
        Order::Created => ("CREATE", "ASCEND"),
        Order::KeyDown => ("KEY", "DESCEND"),
        Order::Key => ("KEY", "ASCEND"),
    };
    json!({
        "key": encoded(prefix), "range_end": prefix_end(prefix), "limit": limit.to_string(),
        "sort_target": target, "sort_order": direction,
    })
}

/// A range as an operation of a transaction.
pub(super) fn range(body: Json) -> Json {
    json!({"requestRange": body})
}

/// A put as an operation of a transaction.
pub(super) fn put(key: &str, value: &Value) -> Json {
    json!({"requestPut": {"key": encoded(key), "value": encoded(&json_text(value))}})
}

/// A put of a key that goes with this lease.
pub(super) fn put_leased(key: &str, value: &Value, lease: &str) -> Json {
    json!({"requestPut": {"key": encoded(key), "value": encoded(&json_text(value)), "lease": lease}})
}

/// A delete as an operation of a transaction.
pub(super) fn delete(key: &str) -> Json {
    json!({"requestDeleteRange": {"key": encoded(key)}})
}

/// Holds if the key was made at this revision; 0: if it is absent.
pub(super) fn created_at(key: &str, revision: i64) -> Json {
    json!({"key": encoded(key), "target": "CREATE", "result": "EQUAL", "create_revision": revision.to_string()})
}

/// Holds if there is no key with this prefix.
pub(super) fn nothing_under(prefix: &str) -> Json {
    json!({
        "key": encoded(prefix), "range_end": prefix_end(prefix), "target": "CREATE", "result": "EQUAL",
        "create_revision": "0",
    })
}

/// Holds if the key was last changed at this revision; 0: if it is absent.
pub(super) fn changed_at(key: &str, revision: i64) -> Json {
    json!({"key": encoded(key), "target": "MOD", "result": "EQUAL", "mod_revision": revision.to_string()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_the_gateway_writes_them() {
        let range: Json = serde_json::from_str(
            r#"{"header":{"revision":"9"},"kvs":[
                {"key":"L2E=","create_revision":"7","mod_revision":"8","version":"2","value":"WzVd"},{"key":"L2I="}]}"#,
        )
        .expect("JSON");
        let read = kvs(&range).expect("two keys");
        let first = Kv { key: "/a".to_owned(), value: Value::list([Value::Int(5)]), created: 7, changed: 8 };
        assert_eq!(read[0], first);
        assert_eq!((read[1].key.as_str(), &read[1].value, read[1].created), ("/b", &Value::Nil, 0));
        assert_eq!(revision(&range), 9);
        for foreign in [r#"{"kvs":5}"#, r#"{"kvs":[{"key":"L2E=","value":"eA=="}]}"#, r#"{"kvs":[{"key":"*"}]}"#] {
            assert!(kvs(&serde_json::from_str(foreign).expect("JSON")).is_err(), "{foreign}");
        }
    }

    #[test]
    fn the_end_of_a_prefix_is_behind_its_keys_and_before_its_neighbours() {
        let end = BASE64.decode(prefix_end("/dsfuzz/set/1/")).expect("base64");
        let end = String::from_utf8(end).expect("text");
        assert!("/dsfuzz/set/1/999" < end.as_str() && end.as_str() < "/dsfuzz/set/10/");
    }
}
