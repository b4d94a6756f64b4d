mod corpora;
mod stories;

use super::ListAppend;
use crate::history::{Completion, History, HistoryBuilder, Invoke, Record};
use crate::value::Value;
use crate::verdict::{Budget, Checker, Verdict};
use serde_json::Value as Json;
use std::collections::HashMap;

/// A history of Jepsen's operations in JSON: process, type, value.
fn jepsen(ops: &[Json]) -> History {
    let mut builder = HistoryBuilder::new();
    let (mut processes, mut fresh, mut next): (HashMap<i64, u64>, u64, u64) = (HashMap::new(), 0, 0);
    for op in ops {
        let Some(name) = op["process"].as_i64() else { continue };
        let process = *processes.entry(name).or_insert_with(|| {
            fresh += 1;
            fresh
        });
        let value: Value = serde_json::from_value(op["value"].clone()).expect("a value");
        let (index, time) = (next, next * 1_000_000);
        let reply = Completion { index, time, process, value: value.clone(), error: None, node: None };
        next += 1;
        let record = match op["type"].as_str().expect("a type") {
            "invoke" => Record::Invoke(Invoke {
                index,
                time,
                worker: process as u32,
                process,
                node: "n1".into(),
                workload: "lists".into(),
                f: op["f"].as_str().unwrap_or("txn").into(),
                key: Value::Nil,
                value,
                settle: false,
            }),
            "ok" => Record::Ok(reply),
            "fail" => Record::Fail(reply),
            _ => {
                processes.remove(&name);
                Record::Info(reply)
            }
        };
        builder.push(record).expect("a sound recording");
    }
    builder.finish().expect("a sound recording")
}

fn judge(history: &History, model: &str) -> Verdict {
    ListAppend::new(model).expect("a model").check(history, &Budget::unlimited())
}
