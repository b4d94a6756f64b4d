//! Transactions of micro-operations in memory: each is carried out whole, or not at all.
use super::{ChangeEffect, Replicated, Store, every};
use crate::client::{Call, CallResult};
use crate::codes::MALFORMED;
use dsfuzz_checkers::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What keys hold; nil: nothing.
type Contents = HashMap<Value, Value>;

/// The lists, registers or rows of one workload and key.
#[derive(Default)]
pub(super) struct Database {
    now: Replicated<Contents>,
    /// What the keys held that the last change wrote, before it.
    before: Contents,
}

/// A micro-operation of a call.
enum MicroOperation<'a> {
    Read(&'a Value),
    /// The keys that match a predicate.
    Select(&'a Value),
    /// Its name is `w` or `insert`.
    Write(&'a Value, &'a Value),
    Append(&'a Value, &'a Value),
    Delete(&'a Value),
}

fn parse(micro_operation: &Value) -> Option<MicroOperation<'_>> {
    match micro_operation.as_list()? {
        [Value::Text(name), key, value] => match &**name {
            "r" => Some(MicroOperation::Read(key)),
            "rp" => Some(MicroOperation::Select(key)),
            "w" | "insert" => Some(MicroOperation::Write(key, value)),
            "append" => Some(MicroOperation::Append(key, value)),
            "delete" => Some(MicroOperation::Delete(key)),
            _ => None,
        },
        _ => None,
    }
}

impl Store {
    /// Fills a table.
    pub(super) fn begin_with(&mut self, node: &Arc<str>, call: &Call) -> CallResult {
        let Value::Map(rows) = &call.value else { return MALFORMED.because("init needs {key: value}") };
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            let key = |name: &str| name.parse().map_or_else(|_| Value::text(name), Value::Int);
            let rows: Contents = rows.iter().map(|(name, value)| (key(name), value.clone())).collect();
            self.database(call).now.change(node, false, |now| now.clone_from(&rows));
        }
        fate.answer()
    }

    fn database(&mut self, call: &Call) -> &mut Database {
        self.transactions.entry((call.workload.clone(), call.key.clone())).or_default()
    }

    /// Carries out a transaction. Of its lies, a lost one shows itself its own writes, and takes them back. A stale one reads
    /// everything as it was before the last change; of those that write, only one with a predicate can be stale.
    pub(super) fn transact(&mut self, node: &Arc<str>, call: &Call) -> CallResult {
        let parsed: Option<Vec<_>> = call.value.as_list().and_then(|list| list.iter().map(parse).collect());
        let Some(micro_operations) = parsed else {
            return MALFORMED.because(
                "a transaction needs a list of [\"r\", key, null], [\"w\", key, value] and [\"append\", key, value]",
            );
        };
        let reads = |one: &MicroOperation<'_>| matches!(one, MicroOperation::Read(_) | MicroOperation::Select(_));
        let writes = !micro_operations.iter().all(reads);
        let selects = micro_operations.iter().any(|one| matches!(one, MicroOperation::Select(_)));
        let stale = (selects || !writes) && every(&mut self.reads, self.faults.stale_every);
        let (fate, alone) = if writes { (self.fate(), self.alone()) } else { (ChangeEffect::Done, false) };
        let database = self.database(call);
        let view = database.now.at(node);
        let mut shown = if stale { database.before.clone() } else { Contents::new() };
        let mut written = Contents::new();
        let mut reply = |one: &MicroOperation<'_>| carry_out(one, view, &mut shown, &mut written);
        let replies: Vec<Value> = micro_operations
            .iter()
            .zip(call.value.as_list().unwrap_or_default())
            .map(|(one, asked)| reply(one).map_or_else(|| asked.clone(), |value| filled(asked, value)))
            .collect();
        if writes && matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            let former = |key: &Value| (key.clone(), view.get(key).cloned().unwrap_or_default());
            database.before = written.keys().map(former).collect();
            database.now.change(node, alone, |now| now.extend(written.clone()));
        }
        match fate.answer() {
            CallResult::Ok(_) => CallResult::Ok(Value::list(replies)),
            other => other,
        }
    }
}

/// The micro-operation with the value that it read.
fn filled(asked: &Value, value: Value) -> Value {
    let head = asked.as_list().unwrap_or_default().iter().take(2).cloned();
    Value::list(head.chain([value]))
}

/// Carries out a micro-operation on what the database shows beside `shown`; returns what it read.
fn carry_out(
    micro_operation: &MicroOperation<'_>,
    view: &Contents,
    shown: &mut Contents,
    written: &mut Contents,
) -> Option<Value> {
    let held = |key: &Value| shown.get(key).or_else(|| view.get(key)).cloned().unwrap_or_default();
    let (key, value) = match micro_operation {
        MicroOperation::Read(key) => return Some(held(key)),
        MicroOperation::Select(predicate) => {
            let keys = view.keys().chain(shown.keys());
            let rows = keys.map(|key| (Arc::from(key.to_string()), held(key)));
            let rows: BTreeMap<Arc<str>, Value> = rows.filter(|(_, value)| matches(predicate, value)).collect();
            return Some(Value::Map(rows.into_iter().collect()));
        }
        MicroOperation::Write(key, value) => (key, (*value).clone()),
        MicroOperation::Append(key, value) => {
            let list = held(key);
            (key, Value::list(list.as_list().unwrap_or_default().iter().chain([*value]).cloned()))
        }
        MicroOperation::Delete(key) => (key, Value::Nil),
    };
    shown.insert((*key).clone(), value.clone());
    written.insert((*key).clone(), value);
    None
}

/// Whether the value of a row matches `true`, or `["=", value]`.
fn matches(predicate: &Value, value: &Value) -> bool {
    match predicate.as_list() {
        Some([_, wanted]) => value == wanted,
        _ => !value.is_nil(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ask;
    use super::super::{Memory, StoreFaults};
    use super::*;

    fn txn(memory: &Memory, json: &str) -> CallResult {
        ask(memory, "list-append", "txn", value(json))
    }

    fn value(json: &str) -> Value {
        serde_json::from_str(json).expect("a value")
    }

    fn ok(json: &str) -> CallResult {
        CallResult::Ok(value(json))
    }

    const READ: &str = r#"[["r",1,null],["r",2,null]]"#;

    #[test]
    fn a_transaction_is_carried_out_whole_and_sees_itself() {
        let memory = Memory::new();
        let changed = txn(&memory, r#"[["append",1,5],["r",1,null],["w",2,7],["append",1,6],["r",2,null]]"#);
        assert_eq!(changed, ok(r#"[["append",1,5],["r",1,[5]],["w",2,7],["append",1,6],["r",2,7]]"#));
        assert_eq!(txn(&memory, READ), ok(r#"[["r",1,[5,6]],["r",2,7]]"#));
        assert_eq!(txn(&memory, r#"[["r",3,null]]"#), ok(r#"[["r",3,null]]"#));
        for malformed in ["5", r#"[["x",1,2]]"#, r#"[["r",1]]"#] {
            assert!(matches!(txn(&memory, malformed), CallResult::Fail(_)), "{malformed}");
        }
        assert_eq!(ask(&memory, "rw-register", "txn", value(r#"[["r",2,null]]"#)), ok(r#"[["r",2,null]]"#));
    }

    #[test]
    fn each_lie_of_a_transaction_is_the_one_it_is_called() {
        let second = r#"[["append",1,6],["r",1,null],["append",1,7]]"#;
        let after = |faults| {
            let memory = Memory::faulty(faults);
            txn(&memory, r#"[["append",1,5],["w",2,7]]"#);
            (txn(&memory, second), txn(&memory, READ))
        };
        let (done, undone) = (ok(r#"[["r",1,[5,6,7]],["r",2,7]]"#), ok(r#"[["r",1,[5]],["r",2,7]]"#));
        let acknowledged = ok(r#"[["append",1,6],["r",1,[5,6]],["append",1,7]]"#);
        assert_eq!(after(StoreFaults::default()), (acknowledged.clone(), done.clone()));
        assert_eq!(after(StoreFaults { lost_every: 2, ..Default::default() }), (acknowledged.clone(), undone.clone()));
        assert_eq!(after(StoreFaults { stale_every: 1, ..Default::default() }), (acknowledged, undone.clone()));
        let (answer, seen) = after(StoreFaults { fail_done_every: 2, ..Default::default() });
        assert!(matches!(answer, CallResult::Fail(_)) && seen == done);
        let (answer, seen) = after(StoreFaults { info_done_every: 2, ..Default::default() });
        assert!(matches!(answer, CallResult::Info(_)) && seen == done);
        let (answer, seen) = after(StoreFaults { info_undone_every: 2, ..Default::default() });
        assert!(matches!(answer, CallResult::Info(_)) && seen == undone);
    }
}
