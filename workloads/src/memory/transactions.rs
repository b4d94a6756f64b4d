//! Transactions of micro-operations in memory: each is carried out whole, or not at all.
use super::{ChangeEffect, Store, every};
use crate::client::{Call, CallResult};
use dsfuzz_checkers::Value;
use std::collections::HashMap;

/// The lists or registers of one workload.
#[derive(Default)]
pub(super) struct Database {
    now: HashMap<Value, Value>,
    /// What the keys held that the last change wrote, before it.
    before: HashMap<Value, Value>,
}

/// A micro-operation of a call.
enum MicroOperation<'a> {
    Read(&'a Value),
    Write(&'a Value, &'a Value),
    Append(&'a Value, &'a Value),
}

fn parse(micro_operation: &Value) -> Option<MicroOperation<'_>> {
    match micro_operation.as_list()? {
        [Value::Text(name), key, value] => match &**name {
            "r" => Some(MicroOperation::Read(key)),
            "w" => Some(MicroOperation::Write(key, value)),
            "append" => Some(MicroOperation::Append(key, value)),
            _ => None,
        },
        _ => None,
    }
}

impl Store {
    /// Carries out a transaction. Of its lies, a lost one shows itself its own writes, and takes them back; a stale one reads
    /// everything as it was before the last change.
    pub(super) fn transact(&mut self, call: &Call) -> CallResult {
        let parsed: Option<Vec<_>> = call.value.as_list().and_then(|list| list.iter().map(parse).collect());
        let Some(micro_operations) = parsed else {
            return CallResult::fail(
                "a transaction needs a list of [\"r\", key, null], [\"w\", key, value] and [\"append\", key, value]",
            );
        };
        if micro_operations.iter().all(|one| matches!(one, MicroOperation::Read(_))) {
            let stale = every(&mut self.reads, self.faults.stale_every);
            let database = self.transactions.entry(call.workload.clone()).or_default();
            return CallResult::Ok(Value::list(micro_operations.iter().map(|one| database.carry_out(one, stale).0)));
        }
        let fate = self.fate();
        let database = self.transactions.entry(call.workload.clone()).or_default();
        let mut before = HashMap::new();
        let mut replies = Vec::with_capacity(micro_operations.len());
        for micro_operation in &micro_operations {
            let (reply, replaced) = database.carry_out(micro_operation, false);
            replies.push(reply);
            if let Some((key, value)) = replaced {
                before.entry(key).or_insert(value);
            }
        }
        match fate {
            ChangeEffect::Lost | ChangeEffect::InfoUndone => database.now.extend(before),
            ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone => database.before = before,
        }
        match fate.answer() {
            CallResult::Ok(_) => CallResult::Ok(Value::list(replies)),
            other => other,
        }
    }
}

impl Database {
    /// The reply to a micro-operation, and what it replaced: key and former value.
    fn carry_out(&mut self, micro_operation: &MicroOperation<'_>, stale: bool) -> (Value, Option<(Value, Value)>) {
        let (name, key, shown, written) = match micro_operation {
            MicroOperation::Read(key) => {
                let former = self.before.get(key).filter(|_| stale);
                ("r", key, former.or_else(|| self.now.get(key)).cloned().unwrap_or_default(), None)
            }
            MicroOperation::Write(key, value) => ("w", key, (*value).clone(), Some((*value).clone())),
            MicroOperation::Append(key, value) => {
                let list = self.now.get(key).and_then(Value::as_list).unwrap_or_default();
                let longer = Value::list(list.iter().chain([*value]).cloned());
                ("append", key, (*value).clone(), Some(longer))
            }
        };
        let replaced = written.map(|written| {
            let former = self.now.insert((*key).clone(), written).unwrap_or_default();
            ((*key).clone(), former)
        });
        (Value::list([Value::text(name), (*key).clone(), shown]), replaced)
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
