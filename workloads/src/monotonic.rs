//! Rows with timestamps: `add` inserts a value and the database's own timestamp, `read` lists all rows at the end.
//!
//! The values follow from the worker's number and its calls; nothing depends on replies. Never: adds a value twice, or reads
//! during the load (the cost of a read grows with the rows).
use crate::client::{Call, CallResult};
use crate::doc::WorkloadDoc;
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "monotonic",
    object: "rows",
    doc: "Rows with timestamps: add a row, read all rows at the end; judged by monotonic (a later row with an earlier timestamp, lost rows).",
    reads: Reads::Rows,
    checkers: &["monotonic"],
};

/// Options of the monotonic workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "MonotonicWorkloadOptions")] // The checker has its own MonotonicOptions.
pub struct MonotonicOptions {
    /// Who chooses the value of a row.
    pub chosen_by: ChosenBy,
}

/// Who chooses the value of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChosenBy {
    /// The call brings a value that no other brings.
    #[default]
    Client,
    /// The transaction takes the largest value plus one and replies with it. An add without an answer leaves its row unknown, and
    /// the run with it.
    Transaction,
}

impl WorkloadSpec for MonotonicOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        build(self)
    }
}

/// The workload with these options.
fn build(options: &MonotonicOptions) -> Box<dyn Workload> {
    let (workload, add, read) = (DOC.name.into(), "add".into(), "read".into());
    Box::new(Rows { chosen_by: options.chosen_by, workload, add, read })
}

#[derive(Clone)]
struct Rows {
    chosen_by: ChosenBy,
    workload: Arc<str>,
    add: Arc<str>,
    read: Arc<str>,
}

impl Rows {
    fn call(&self, f: &Arc<str>, value: Value) -> Call {
        Call { workload: self.workload.clone(), f: f.clone(), key: Value::Nil, value }
    }
}

impl Workload for Rows {
    fn name(&self) -> Arc<str> {
        self.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        vec![self.add.clone(), self.read.clone()]
    }

    fn generator(&self, _seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        let (fresh, step) = (i64::from(worker) + 1, i64::from(workers.max(1)));
        Box::new(AddRows { rows: self.clone(), fresh, step })
    }

    fn settle(&self) -> Vec<FinalCall> {
        vec![self.call(&self.read, Value::Nil).into()]
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["monotonic"]
    }
}

/// The adds of one worker. Its values are worker + 1, worker + 1 + workers, and so on: unique in the run.
struct AddRows {
    rows: Rows,
    fresh: i64,
    step: i64,
}

impl Generator for AddRows {
    fn next(&mut self) -> Next {
        Next::Call(self.rows.call(
            &self.rows.add,
            match self.rows.chosen_by {
                ChosenBy::Client => Value::Int(self.fresh),
                ChosenBy::Transaction => Value::Nil,
            },
        ))
    }

    fn taken(&mut self) {
        self.fresh += self.step;
    }

    fn observe(&mut self, _call: &Call, _answer: &CallResult) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(chosen_by: ChosenBy, worker: u32) -> Vec<Value> {
        let mut generator = build(&MonotonicOptions { chosen_by }).generator(7, worker, 3);
        let mut values = Vec::new();
        for _ in 0..4 {
            let next = generator.next();
            assert_eq!(generator.next(), next, "asking consumes nothing");
            generator.taken();
            let Next::Call(call) = next else { panic!("{next:?}") };
            assert_eq!((&*call.f, &call.key), ("add", &Value::Nil));
            values.push(call.value);
        }
        values
    }

    #[test]
    fn the_first_choices_are_the_same_in_every_version_and_no_value_comes_twice() {
        assert_eq!(values(ChosenBy::Client, 0), [1, 4, 7, 10].map(Value::Int));
        assert_eq!(values(ChosenBy::Client, 2), [3, 6, 9, 12].map(Value::Int));
        assert_eq!(values(ChosenBy::Transaction, 2), [const { Value::Nil }; 4]);
    }

    #[test]
    fn all_rows_are_read_at_the_end_and_not_before() {
        let workload = build(&MonotonicOptions::default());
        assert!(workload.part(crate::workload::Part::Reads, 7, 0, 1).is_none());
        let finals: Vec<FinalCall> = workload.settle();
        assert_eq!(finals.iter().map(|read| &*read.call.f).collect::<Vec<_>>(), ["read"]);
    }
}
