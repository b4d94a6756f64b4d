//! [`Recording`]: the shortest way from a program's own calls to a [`History`].
use super::{Completion, History, HistoryBuilder, HistoryError, Invoke, Record};
use crate::value::Value;
use std::sync::Arc;

/// Calls and replies, told in the order in which they happened.
///
/// ```
/// use dsfuzz_checkers::{Budget, Checker, Linearizable, Validity, Value};
/// use dsfuzz_checkers::history::Recording;
///
/// let mut recording = Recording::new("register");
/// recording.call(0, "write", "x", 1)?;
/// recording.ok(0, Value::Nil)?;
/// recording.call(1, "read", "x", Value::Nil)?;
/// recording.ok(1, Value::Nil)?; // A read of nothing after an acknowledged write.
/// let verdict = Linearizable::registers().check(&recording.finish()?, &Budget::unlimited());
/// assert_eq!(verdict.validity, Validity::Invalid);
/// # Ok::<(), dsfuzz_checkers::history::HistoryError>(())
/// ```
#[derive(Debug)]
pub struct Recording {
    builder: HistoryBuilder,
    workload: Arc<str>,
    node: Arc<str>,
    settle: bool,
    index: u64,
}

impl Recording {
    /// An empty one; the name of the workload is what checkers tell it by.
    pub fn new(workload: &str) -> Recording {
        let (builder, workload, node) = (HistoryBuilder::new(), Arc::from(workload), Arc::from(""));
        Recording { builder, workload, node, settle: false, index: 0 }
    }

    /// Calls from now on ask this node. Until then no node is named.
    pub fn on(&mut self, node: &str) {
        self.node = Arc::from(node);
    }

    /// Calls from now on come after the load: their reads are final reads.
    pub fn settle(&mut self) {
        self.settle = true;
    }

    /// A process is about to make a call: function, key (nil where there is none) and argument.
    ///
    /// # Errors
    /// When the process has a call open, or one whose outcome was never known.
    pub fn call(
        &mut self,
        process: u64,
        function: &str,
        key: impl Into<Value>,
        input: impl Into<Value>,
    ) -> Result<(), HistoryError> {
        let index = self.next();
        self.builder.push(Record::Invoke(Invoke {
            index,
            time: index,
            worker: u32::try_from(process).unwrap_or(u32::MAX),
            process,
            node: self.node.clone(),
            workload: self.workload.clone(),
            f: Arc::from(function),
            key: key.into(),
            value: input.into(),
            settle: self.settle,
        }))
    }

    /// The process' call took effect, with this reply.
    ///
    /// # Errors
    /// When the process has no call open.
    pub fn ok(&mut self, process: u64, output: impl Into<Value>) -> Result<(), HistoryError> {
        let completion = self.completion(process, output.into());
        self.builder.push(Record::Ok(completion))
    }

    /// The process' call certainly had no effect.
    ///
    /// # Errors
    /// When the process has no call open.
    pub fn fail(&mut self, process: u64) -> Result<(), HistoryError> {
        let completion = self.completion(process, Value::Nil);
        self.builder.push(Record::Fail(completion))
    }

    /// It is unknown what became of the process' call. The process calls no more.
    ///
    /// # Errors
    /// When the process has no call open.
    pub fn info(&mut self, process: u64) -> Result<(), HistoryError> {
        let completion = self.completion(process, Value::Nil);
        self.builder.push(Record::Info(completion))
    }

    /// The history. Calls that are still open may take effect or not.
    ///
    /// # Errors
    /// None today; a later release may check more.
    pub fn finish(self) -> Result<History, HistoryError> {
        self.builder.finish()
    }

    fn completion(&mut self, process: u64, value: Value) -> Completion {
        let index = self.next();
        Completion { index, time: index, process, value, error: None, node: None }
    }

    fn next(&mut self) -> u64 {
        self.index += 1;
        self.index - 1
    }
}
