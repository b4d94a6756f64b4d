//! [`Services`]: the stores that programs may ask by the names `lin-kv`, `seq-kv`, `lww-kv` and `lin-tso`.
//!
//! What they hold is on the disk of their node before an answer leaves it, so that a kill of the node loses nothing.
//!
//! **Promise.** `lin-kv` is linearizable. `seq-kv` is sequentially consistent: a request that changes nothing may be answered from
//! one of the last states, though not from one older than its sender has seen. `lww-kv` has replicas that merge now and then; of two
//! writes the one with the later time stays, and each replica has a Lamport clock. `lin-tso` gives numbers that grow.
//!
//! **Source.** Maelstrom, `doc/services.md`.
use crate::node::Node;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, VecDeque};

/// Their names.
pub(super) const SERVICES: &[&str] = &["lin-kv", "seq-kv", "lww-kv", "lin-tso"];

/// The file with their changes.
const FILE: &str = "services";
/// States of `seq-kv` from which it may answer.
const PAST: usize = 32;
/// Replicas of `lww-kv`.
const REPLICAS: usize = 3;
/// Changes in the file for each key, at most, beyond [`CHANGES_MIN`].
const CHANGES_PER_KEY: usize = 4;
/// The file is not written anew before it has so many changes.
const CHANGES_MIN: usize = 1_000;

/// A store: values by the text of their keys.
type Store = BTreeMap<String, Json>;
/// A replica of `lww-kv`: values with their times.
#[derive(Debug, Default)]
struct Replica {
    /// The time of its next write.
    clock: u64,
    values: BTreeMap<String, (u64, Json)>,
}

/// A change of a service.
#[derive(Serialize, Deserialize)]
struct Change {
    service: String,
    key: String,
    value: Json,
    /// The time of a write to `lww-kv`, or of the last timestamp.
    #[serde(default)]
    time: u64,
}

/// The services.
#[derive(Debug, Default)]
pub(super) struct Services {
    linear: Store,
    sequential: Sequential,
    replicas: [Replica; REPLICAS],
    /// The next timestamp of `lin-tso`.
    timestamp: u64,
    /// Changes in the file.
    changes: usize,
}

/// `seq-kv`: its last states, the newest last, and which of them each sender has seen.
#[derive(Debug, Default)]
struct Sequential {
    states: VecDeque<Store>,
    /// The number of the newest state.
    newest: u64,
    seen: BTreeMap<String, u64>,
}

impl Services {
    /// The services with what the node's disk holds.
    pub(super) fn load<M>(node: &mut Node<M>) -> Services {
        let mut services = Services::default();
        let mut newest = Store::new();
        for Change { service, key, value, time } in node.disk.lines(FILE) {
            services.changes += 1;
            match service.as_str() {
                "lin-kv" => drop(services.linear.insert(key, value)),
                "seq-kv" => drop(newest.insert(key, value)),
                "lww-kv" => services.replicas.iter_mut().for_each(|replica| replica.learn(&key, time, &value)),
                _ => services.timestamp = time + 1,
            }
        }
        services.sequential.states.push_back(newest);
        services
    }

    /// The body of the answer to a request, without `in_reply_to`.
    pub(super) fn answer<M>(&mut self, node: &mut Node<M>, service: &str, sender: &str, body: &Json) -> Json {
        if service == "lin-tso" {
            return match body["type"].as_str() {
                Some("ts") => {
                    let time = self.timestamp;
                    self.timestamp += 1;
                    self.keep(
                        node,
                        Change { service: service.to_owned(), key: String::new(), value: Json::Null, time },
                    );
                    json!({"type": "ts_ok", "ts": time})
                }
                _ => error(10, "lin-tso answers `ts`"),
            };
        }
        let key = body["key"].to_string();
        if body.get("key").is_none() {
            return error(12, "no key");
        }
        match service {
            "lin-kv" => {
                let (answer, value) = asked(self.linear.get(&key), body);
                if let Some(value) = value {
                    self.linear.insert(key.clone(), value.clone());
                    self.keep(node, Change { service: service.to_owned(), key, value, time: 0 });
                }
                answer
            }
            "seq-kv" => self.sequential(node, sender, key, body),
            _ => self.last_writer(node, key, body),
        }
    }

    fn sequential<M>(&mut self, node: &mut Node<M>, sender: &str, key: String, body: &Json) -> Json {
        let Sequential { states, newest, seen } = &mut self.sequential;
        let oldest = *newest + 1 - states.len() as u64;
        let from = seen.get(sender).copied().unwrap_or(0).max(oldest);
        let chosen = node.random(from, *newest);
        let (answer, value) = asked(states[(chosen - oldest) as usize].get(&key), body);
        let unchanged = value.is_none() || value.as_ref() == states[(chosen - oldest) as usize].get(&key);
        if unchanged {
            seen.insert(sender.to_owned(), chosen);
            return answer;
        }
        // A change is made to the newest state.
        let mut state = states.back().cloned().unwrap_or_default();
        let (answer, value) = asked(state.get(&key), body);
        if let Some(value) = value {
            state.insert(key.clone(), value.clone());
            states.push_back(state);
            *newest += 1;
            if states.len() > PAST {
                states.pop_front();
            }
            seen.insert(sender.to_owned(), *newest);
            self.keep(node, Change { service: "seq-kv".to_owned(), key, value, time: 0 });
        } else {
            seen.insert(sender.to_owned(), *newest);
        }
        answer
    }

    fn last_writer<M>(&mut self, node: &mut Node<M>, key: String, body: &Json) -> Json {
        let last = REPLICAS as u64 - 1;
        // One replica tells another of the key, and any one is asked.
        let (from, to, one) = (node.random(0, last), node.random(0, last), node.random(0, last));
        if let Some((time, value)) = self.replicas[from as usize].values.get(&key).cloned() {
            self.replicas[to as usize].learn(&key, time, &value);
        }
        let replica = &mut self.replicas[one as usize];
        let (answer, value) = asked(replica.values.get(&key).map(|(_, value)| value), body);
        if let Some(value) = value {
            let time = replica.clock;
            replica.learn(&key, time, &value);
            self.keep(node, Change { service: "lww-kv".to_owned(), key, value, time });
        }
        answer
    }

    /// Writes a change to the disk.
    fn keep<M>(&mut self, node: &mut Node<M>, change: Change) {
        node.disk.append(FILE, &change);
        self.changes += 1;
        let keys =
            self.linear.len() + self.sequential.states.back().map_or(0, Store::len) + self.replicas[0].values.len();
        if self.changes > CHANGES_MIN + CHANGES_PER_KEY * keys {
            let all = self.all();
            self.changes = all.len();
            node.disk.replace_lines(FILE, all);
        }
    }

    /// The changes that lead to what they hold.
    fn all(&self) -> Vec<Change> {
        let change = |service: &str, key: &str, value: &Json, time| Change {
            service: service.to_owned(),
            key: key.to_owned(),
            value: value.clone(),
            time,
        };
        let linear = self.linear.iter().map(|(key, value)| change("lin-kv", key, value, 0));
        let newest = self.sequential.states.back().into_iter().flatten();
        let sequential = newest.map(|(key, value)| change("seq-kv", key, value, 0));
        let replicas = self.replicas.iter().flat_map(|replica| &replica.values);
        let last_writer = replicas.map(|(key, (time, value))| change("lww-kv", key, value, *time));
        let given = self.timestamp.checked_sub(1).map(|time| change("lin-tso", "", &Json::Null, time));
        linear.chain(sequential).chain(last_writer).chain(given).collect()
    }
}

impl Replica {
    /// A write that it did not know; the later one stays.
    fn learn(&mut self, key: &str, time: u64, value: &Json) {
        self.clock = self.clock.max(time + 1);
        if self.values.get(key).is_none_or(|(known, _)| *known < time) {
            self.values.insert(key.to_owned(), (time, value.clone()));
        }
    }
}

/// The answer of a store in which the key has this value, and the value that it has afterwards if that is written.
fn asked(found: Option<&Json>, body: &Json) -> (Json, Option<Json>) {
    let written = |kind: &str, field: &str| (json!({"type": kind}), Some(body[field].clone()));
    match (body["type"].as_str().unwrap_or_default(), found) {
        ("read", Some(value)) => (json!({"type": "read_ok", "value": value}), None),
        ("write", _) => written("write_ok", "value"),
        ("cas", None) if body["create_if_not_exists"] == true => written("cas_ok", "to"),
        ("cas", Some(value)) if *value == body["from"] => written("cas_ok", "to"),
        ("cas", Some(value)) => (error(22, &format!("the value is {value}, not {}", body["from"])), None),
        ("read" | "cas", None) => (error(20, "key does not exist"), None),
        (other, _) => (error(10, &format!("no `{other}` of a store")), None),
    }
}

fn error(code: u64, text: &str) -> Json {
    json!({"type": "error", "code": code, "text": text})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;
    use crate::node::{Clock, Settings};
    use std::path::Path;

    fn node(folder: &Path) -> Node<()> {
        let settings = Settings { names: vec!["n1".to_owned()], ..Settings::default() };
        Node::new(settings, Disk::new(folder.to_owned()), Clock::Simulated(0, 0), 7)
    }

    #[test]
    fn a_linearizable_store_compares_and_outlives_its_node() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(folder.path());
        let mut services = Services::load(&mut node);
        let mut ask = |body: Json| services.answer(&mut node, "lin-kv", "n1", &body);
        assert_eq!(ask(json!({"type": "read", "key": "k"}))["code"], 20);
        assert_eq!(ask(json!({"type": "cas", "key": "k", "from": 1, "to": 2}))["code"], 20);
        assert_eq!(
            ask(json!({"type": "cas", "key": "k", "from": 1, "to": 2, "create_if_not_exists": true})),
            json!({"type": "cas_ok"})
        );
        assert_eq!(ask(json!({"type": "cas", "key": "k", "from": 1, "to": 3}))["code"], 22);
        assert_eq!(ask(json!({"type": "cas", "key": "k", "from": 2, "to": 3})), json!({"type": "cas_ok"}));
        assert_eq!(ask(json!({"type": "write", "key": 1, "value": [5]})), json!({"type": "write_ok"}));
        assert_eq!(ask(json!({"type": "delete", "key": 1}))["code"], 10);
        assert_eq!(ask(json!({"type": "read"}))["code"], 12);
        let mut again = Services::load(&mut node);
        let mut ask = |body: Json| again.answer(&mut node, "lin-kv", "n1", &body);
        assert_eq!(ask(json!({"type": "read", "key": "k"})), json!({"type": "read_ok", "value": 3}));
        assert_eq!(ask(json!({"type": "read", "key": 1})), json!({"type": "read_ok", "value": [5]}));
    }

    #[test]
    fn timestamps_grow_over_a_kill_and_the_file_stays_small() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(folder.path());
        let mut services = Services::load(&mut node);
        let mut last = None;
        for round in 0..3_000 {
            if round % 700 == 0 {
                services = Services::load(&mut node);
            }
            let time = services.answer(&mut node, "lin-tso", "n1", &json!({"type": "ts"}))["ts"].as_u64();
            assert!(time > last, "{time:?} after {last:?}");
            last = time;
        }
        assert!(node.disk.lines::<Json>(FILE).len() <= CHANGES_MIN + 1);
    }

    #[test]
    fn a_sequential_store_is_stale_and_never_goes_back_for_a_sender() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(folder.path());
        let mut services = Services::load(&mut node);
        let (mut stale, mut last) = (0, 0);
        for value in 1..=200_u64 {
            let write = json!({"type": "write", "key": "k", "value": value});
            services.answer(&mut node, "seq-kv", "n1", &write);
            let read = |services: &mut Services, node: &mut Node<()>, sender| {
                services.answer(node, "seq-kv", sender, &json!({"type": "read", "key": "k"}))["value"]
                    .as_u64()
                    .unwrap_or(0)
            };
            assert_eq!(read(&mut services, &mut node, "n1"), value, "its own write");
            let seen = read(&mut services, &mut node, "n2");
            assert!(seen >= last && seen <= value, "{seen} after {last}");
            last = seen;
            stale += u64::from(seen < value);
            if value == 100 {
                services = Services::load(&mut node);
            }
        }
        assert!(stale > 20, "only {stale} reads were stale");
    }

    #[test]
    fn replicas_differ_for_a_while_and_lose_the_earlier_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(folder.path());
        let mut services = Services::load(&mut node);
        services.answer(&mut node, "lww-kv", "n1", &json!({"type": "write", "key": "k", "value": 1}));
        let mut read =
            || services.answer(&mut node, "lww-kv", "n1", &json!({"type": "read", "key": "k"}))["value"].clone();
        let reads: Vec<Json> = (0..200).map(|_| read()).collect();
        assert!(reads[..20].contains(&Json::Null), "a replica did not know of it");
        assert!(reads[100..].iter().all(|value| *value == 1), "all know of it at last");
    }
}
