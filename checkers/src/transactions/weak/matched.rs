//! [`Matched`]: a history as the levels see it, with the transactions behind the numbers and the reads that no order of
//! transactions explains.
use super::view::{INITIAL, Read, View};
use crate::history::Outcome;
use crate::transactions::txn::{Mop, Transactions};
use crate::value::Word;

/// What is wrong with one read by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flaw {
    /// It read what a transaction wrote that certainly had no effect.
    Aborted,
    /// It read what no transaction wrote.
    Unwritten,
    /// It read what its writer overwrote itself before it ended.
    Intermediate,
    /// It read another value than the one that its own transaction had written before.
    Internal,
    /// It read what its own transaction wrote only later.
    Future,
    /// It read a list that is no beginning of another list of the same key, nor that of it.
    Incompatible,
    /// It read an element of a transaction without one that the same transaction had appended before it.
    Inverted,
    /// It read a list with an element twice.
    Duplicate,
}

impl Flaw {
    /// The anomaly's name.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Flaw::Aborted => "G1a",
            Flaw::Unwritten => "garbage-read",
            Flaw::Intermediate => "G1b",
            Flaw::Internal => "internal",
            Flaw::Future => "future-read",
            Flaw::Incompatible | Flaw::Inverted => "incompatible-order",
            Flaw::Duplicate => "duplicate-elements",
        }
    }
}

/// A flaw with the read that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlawedRead {
    pub(crate) flaw: Flaw,
    /// The reader.
    pub(crate) reader: u32,
    pub(crate) key: u32,
    /// What it read, or of a list the element that is wrong; the list, where the list as a whole is.
    pub(crate) value: Word,
    /// Its writer; [`INITIAL`] where there is none. Of [`Flaw::Incompatible`], the reader of the other list.
    pub(crate) writer: u32,
}

/// A history, as the levels see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matched {
    pub(crate) view: View,
    /// The transaction behind each number of the view: the committed ones, which are Ok, or Info and seen.
    pub(crate) txns: Vec<u32>,
    pub(crate) flaws: Vec<FlawedRead>,
    /// Reads of values that several transactions wrote: the writer is not known.
    pub(crate) ambiguous: u64,
}

/// Of a read: nothing to say of it (an own value, a flaw, an ambiguous one).
pub(crate) const SKIP: u32 = u32::MAX - 1;

impl Matched {
    /// Numbers the committed transactions (`seen` says which Info ones are), and fills the view but for its versions.
    /// `read` gives what a read mop, by its place, saw: its writer is still a transaction of the history.
    pub(crate) fn number(
        &mut self,
        transactions: &Transactions<'_>,
        seen: &[bool],
        read: impl Fn(usize, &Mop) -> Option<Read>,
    ) -> Vec<u32> {
        self.flaws.sort_by_key(|flawed| (flawed.flaw, flawed.reader, flawed.key));
        let mut numbers = vec![INITIAL; transactions.len()];
        for (txn, number) in numbers.iter_mut().enumerate() {
            let committed = match transactions.txns()[txn].outcome {
                Outcome::Ok => true,
                Outcome::Info => seen[txn],
                Outcome::Fail => false,
            };
            if committed {
                *number = self.txns.len() as u32;
                self.txns.push(txn as u32);
            }
        }
        let mut sessions: Vec<u32> = vec![INITIAL; transactions.history().sessions()];
        let mut session_count = 0;
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        let mut first = 0;
        for txn in 0..transactions.len() as u32 {
            let mops = transactions.mops(txn);
            let place = first;
            first += mops.len();
            if numbers[txn as usize] == INITIAL {
                continue;
            }
            reads.clear();
            writes.clear();
            for (at, mop) in mops.iter().enumerate() {
                if mop.writes() {
                    writes.push(mop.key);
                } else if let Some(mut read) = read(place + at, mop) {
                    read.from = if read.from == INITIAL { INITIAL } else { numbers[read.from as usize] };
                    reads.push(read);
                }
            }
            let session = &mut sessions[transactions.txn(txn).session as usize];
            if *session == INITIAL {
                *session = session_count;
                session_count += 1;
            }
            self.view.push(*session, &reads, &writes);
        }
        numbers
    }
}
