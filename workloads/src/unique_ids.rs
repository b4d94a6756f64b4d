//! Unique ids: `generate` asks the target for an id that no other call is given.
//!
//! Never: draws anything, or reads at the end: the replies are all there is to judge.
use crate::client::{Call, CallResult};
use crate::doc::WorkloadDoc;
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "unique-ids",
    object: "ids",
    doc: "Unique ids: ask for one after another; judged by unique-ids (an id that was given twice).",
    reads: Reads::Anything,
    checkers: &["unique-ids"],
};

/// Options of the unique-ids workload: there are none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UniqueIdsOptions {}

impl WorkloadSpec for UniqueIdsOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        build(self)
    }
}

/// The workload.
fn build(_options: &UniqueIdsOptions) -> Box<dyn Workload> {
    Box::new(UniqueIds { workload: Arc::from(DOC.name), generate: Arc::from("generate") })
}

/// The names of the calls: one generator is as good as another, because all calls are the same.
#[derive(Clone)]
struct UniqueIds {
    workload: Arc<str>,
    generate: Arc<str>,
}

impl Workload for UniqueIds {
    fn name(&self) -> Arc<str> {
        self.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        vec![self.generate.clone()]
    }

    fn generator(&self, _seed: u64, _worker: u32, _workers: u32) -> Box<dyn Generator> {
        Box::new(self.clone())
    }

    fn settle(&self) -> Vec<FinalCall> {
        Vec::new()
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["unique-ids"]
    }
}

impl Generator for UniqueIds {
    fn next(&mut self) -> Next {
        let (workload, f) = (self.workload.clone(), self.generate.clone());
        Next::Call(Call { workload, f, key: Value::Nil, value: Value::Nil })
    }

    fn taken(&mut self) {}

    fn observe(&mut self, _call: &Call, _answer: &CallResult) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Part;

    #[test]
    fn every_call_asks_for_an_id_and_none_is_a_read() {
        let workload = build(&UniqueIdsOptions::default());
        let expected = Call { workload: "unique-ids".into(), f: "generate".into(), key: Value::Nil, value: Value::Nil };
        for worker in 0..2 {
            let mut generator = workload.generator(7, worker, 2);
            for _ in 0..3 {
                assert_eq!(generator.next(), Next::Call(expected.clone()));
                generator.taken();
            }
        }
        assert!(workload.part(Part::Reads, 7, 0, 1).is_none() && workload.part(Part::Others, 7, 0, 1).is_some());
        assert!(workload.settle().is_empty());
    }
}
