//! What findings about transactions share: how a transaction is described, the frame of a cycle, and what a finding says of its
//! operations. The explanations of `list-append`, `rw-register`, the weak levels and predicates build on it.
use super::cycles::CycleEdge;
use super::txn::{MopKind, Transactions};
use crate::history::{Op, Outcome};
use crate::value::{Value, Word};
use crate::verdict::certificate::{Certificate, Claim, EdgeKind};
use crate::verdict::messages;

/// Elements of a list that are shown.
const ELEMENTS_SHOWN: usize = 8;

/// Steps of a cycle that are described; of a longer one these and the last.
pub(super) const STEPS_SHOWN: usize = 30;

/// Describes transactions by their numbers.
#[derive(Clone, Copy)]
pub(super) struct Narrator<'a, 'h>(pub(super) &'a Transactions<'h>);

impl<'h> Narrator<'_, 'h> {
    /// The index of its call, by which findings name it.
    pub(super) fn call(&self, txn: u32) -> u64 {
        u64::from(self.0.txn(txn).call)
    }

    pub(super) fn value(&self, word: Word) -> String {
        self.0.value(word).to_string()
    }

    /// A list, its middle left out where it is long.
    pub(super) fn list(&self, word: Word) -> String {
        let list = self.0.elements(word);
        let shown = |part: &[Word]| part.iter().map(|&element| self.value(element)).collect::<Vec<_>>().join(", ");
        if list.len() <= ELEMENTS_SHOWN {
            return format!("[{}]", shown(list));
        }
        let last = &list[list.len() - ELEMENTS_SHOWN / 2..];
        format!("[{}, .. {} more .., {}]", shown(&list[..2]), list.len() - 2 - last.len(), shown(last))
    }

    /// A transaction with what it did, its process, and when it was called: without a full stop.
    pub(super) fn transaction(&self, txn: u32) -> String {
        let (op, history) = (self.0.op(txn), self.0.history());
        let lists = self.0.dialect() == super::txn::Dialect::Lists;
        let mops = self.0.mops(txn).iter().map(|mop| {
            let key = self.0.key(mop.key);
            match mop.kind() {
                MopKind::Append => format!("append {key} {}", self.value(mop.value)),
                MopKind::Write => format!("w {key} {}", self.value(mop.value)),
                MopKind::Read if lists => format!("r {key} {}", self.list(mop.value)),
                MopKind::Read => format!("r {key} {}", self.value(mop.value)),
                MopKind::Unread => format!("r {key} ?"),
            }
        });
        let mops: Vec<String> = mops.collect();
        let end = match op.outcome {
            Outcome::Ok => format!("answered at {}", messages::seconds(op.reply_time)),
            Outcome::Fail => format!("failed at {}", messages::seconds(op.reply_time)),
            Outcome::Info => "never acknowledged".to_owned(),
        };
        let (call, on, when) = (op.call, messages::on(history, &op), messages::seconds(op.call_time));
        format!("#{call}: [{}] by process {}{on}, called at {when}, {end}", mops.join("; "), op.process)
    }

    /// The first sentences of a cycle: which transactions its names `T1`, `T2` stand for. Of a long one not all are described.
    pub(super) fn cast(&self, named: &[u32]) -> Vec<String> {
        let shown = |at: usize| at < STEPS_SHOWN || at + 1 == named.len();
        let named = named.iter().enumerate().filter(|(at, _)| shown(*at));
        let named = named.map(|(at, &txn)| format!("T{} = {}", at + 1, self.transaction(txn)));
        ["Let:".to_owned()].into_iter().chain(named).collect()
    }

    /// The last sentences of a cycle: why each transaction comes before the next. Steps without a dependency, by process or by
    /// real time, are explained here. `None` where a step has no reason, which would be an error of ours.
    pub(super) fn steps(
        &self,
        steps: &[CycleEdge],
        mut why: impl FnMut(usize, &str, &str) -> Option<String>,
    ) -> Option<Vec<String>> {
        let mut sentences = vec!["Then:".to_owned()];
        for (at, step) in steps.iter().enumerate() {
            let last = at + 1 == steps.len();
            if at >= STEPS_SHOWN && !last {
                if at == STEPS_SHOWN {
                    sentences.push(format!("And so on, {} steps.", steps.len() - STEPS_SHOWN - 1));
                }
                continue;
            }
            let (one, other) = (format!("T{}", at + 1), format!("T{}", (at + 1) % steps.len() + 1));
            let why = match step.kind {
                EdgeKind::Process => format!("process {} called {other} after {one}", self.0.op(step.to).process),
                EdgeKind::Realtime => {
                    let (end, call) = (self.0.txn(step.from).end, self.0.txn(step.to).call);
                    format!("{one} had ended, at #{end}, before {other} was called, at #{call}")
                }
                _ => why(at, &one, &other)?,
            };
            let (but, end) = if last { ("However, ", ": a contradiction") } else { ("", "") };
            sentences.push(format!("{but}{one} < {other}, because {why}{end}."));
        }
        Some(sentences)
    }

    /// The operations of these transactions.
    pub(super) fn ops(&self, txns: &[u32]) -> Vec<Op<'h>> {
        txns.iter().map(|&txn| self.0.op(txn)).collect()
    }

    /// The certificate of this claim for these transactions.
    pub(super) fn certificate(&self, claim: Claim, txns: impl IntoIterator<Item = u32>) -> Certificate {
        let calls: Vec<u64> = txns.into_iter().map(|txn| self.call(txn)).collect();
        Certificate::new(self.0.history(), claim, &calls)
    }

    /// What the transaction left in the key: the value that it wrote last, or the element that it appended last.
    pub(super) fn last_written(&self, txn: u32, key: u32) -> Value {
        let mut mops = self.0.mops(txn).iter();
        let last = mops.rfind(|mop| mop.key == key && mop.writes());
        last.map_or(Value::Nil, |mop| self.0.value(mop.value).to_value())
    }

    /// Whether a list that the transaction read of the key, without its own elements at the end, has the first element before the
    /// second or without it.
    pub(super) fn reads_in_order(&self, txn: u32, key: u32, before: Word, after: Word) -> bool {
        let mops = self.0.mops(txn);
        (0..mops.len()).filter(|&at| mops[at].kind() == MopKind::Read && mops[at].key == key).any(|at| {
            let own = mops[..at].iter().filter(|mop| mop.key == key && mop.writes());
            let own: Vec<Word> = own.map(|mop| mop.value).collect();
            let list = self.0.elements(mops[at].value);
            let list = list.strip_suffix(&own[..]).unwrap_or(list);
            let place = |element: Word| list.iter().position(|&other| other == element);
            place(before).is_some_and(|one| place(after).is_none_or(|other| one < other))
        })
    }
}
