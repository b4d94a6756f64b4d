//! Weak levels of transactions: whether some order of the commits explains what was read.
//!
//! A level holds exactly if the transactions can be put into one order (the commit order) in which each session's stand as
//! they were called, writers stand before their readers, and: where a transaction reads a key from `w` and **sees** another
//! writer of that key, that other stands before `w` (Biswas and Enea, OOPSLA 2019). Levels differ in which transactions are seen:
//!
//! | checker | a transaction sees |
//! |---|---|
//! | `read-committed` | from each read on, the writer it read from, with all that it wrote |
//! | `read-atomic` | the writers it reads from, and its own session before it, as a whole, throughout |
//! | `causal-transactions` | its causal past: sessions and reads-from, transitively |
//!
//! So `read-committed` is what Plume and AWDIT test under this name, and more than Adya's PL-2, which knows neither
//! sessions nor that what was seen once stays seen: it contains monotonic atomic view. Findings that PL-2 rules out too are
//! `G1a`, `G1b`, `G1c`; `non-monotonic-view` it allows.
//!
//! It reads transactions of registers (`["w", key, value]`, `["r", key, null]`) or of lists (`["append", key, element]`);
//! values of one key are written once. In lists the order of the versions is known from the longest read and is part of the
//! commit order. `read-committed` and `read-atomic` take a list for a register that holds it: its reader reads from
//! the transaction that appended the last element, and from no other. For `causal-transactions` the reader has seen the writers of all
//! elements that it read, as every store that shows them must have.
//!
//! Transactions that are Fail are never seen; Info ones count once something that they wrote was read. Real time does not
//! count. Beside cycles (kinds `G0`, `G1c`, each also with `-process`, `non-monotonic-view`, `fractured-read`,
//! `causal-violation`) it reports reads that no order explains: `G1a`, `G1b`, `garbage-read`, `internal`, `future-read`,
//! of lists also `incompatible-order`. Unknown: nothing was read, a read value was written more than once, the budget
//! ended, or a contradiction of lists rests on reads of own appends, as if these were versions already.
#[cfg(feature = "oracles")]
pub(crate) mod brute;
mod causal;
mod edges;
pub(crate) mod explain;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
pub(crate) mod judge;
mod lists;
#[cfg(feature = "oracles")]
pub(crate) mod load;
pub(crate) mod matched;
mod registers;
mod serial;
#[cfg(feature = "oracles")]
pub(crate) mod small;
#[cfg(test)]
mod tests;
pub(crate) mod view;

use super::levels::levels;
use crate::checker::{CheckerDoc, Judges};
use crate::history::{History, NameId, Outcome};
use crate::initial::InitialOptions;
use crate::initial::{Beginnings, FromInitial, Initial, WithInitial};
use crate::options::schema;
use crate::transactions::txn::{Dialect, Mop, MopKind, Transactions, certainly_first, transacts};
use crate::value::Word;
use crate::verdict::messages;
use crate::verdict::{Budget, Report, Severity, Validity, Verdict};
use causal::Stop;
use explain::Words;
pub(crate) use judge::Level;
use judge::{Contradictions, judge};
use matched::Matched;
use serde_json::json;
use serial::serial;
use std::cell::OnceCell;
use view::INITIAL;

/// Its entry in the list of checkers.
pub(crate) const CAUSAL: CheckerDoc = CheckerDoc {
    name: "causal-transactions",
    doc: "A transaction sees its causal past: some order of the commits explains what was read.",
    cost: "O(n·k) at worst",
    judges: Judges::calls(&["txn"], &[]),
    options: schema::<InitialOptions>,
    build: |given| Ok(Box::new(WithInitial::new(Weak::causal(), given.read::<InitialOptions>()?.initial))),
};

/// Its entry in the list of checkers.
pub(crate) const READ_ATOMIC: CheckerDoc = CheckerDoc {
    name: "read-atomic",
    doc: "A transaction sees its session and those it reads from as a whole: some order of the commits explains what was read.",
    cost: "O(n√n) up to a logarithm at worst, near-linear for small transactions",
    judges: Judges::calls(&["txn"], &[]),
    options: schema::<InitialOptions>,
    build: |given| Ok(Box::new(WithInitial::new(Weak::read_atomic(), given.read::<InitialOptions>()?.initial))),
};

/// Its entry in the list of checkers.
pub(crate) const READ_COMMITTED: CheckerDoc = CheckerDoc {
    name: "read-committed",
    doc: "From a read on, a transaction sees its writer as a whole: some order of the commits explains what was read. \
          Stronger than Adya's PL-2, which list-append judges with the model of the same name.",
    cost: "O(n√n) up to a logarithm at worst, near-linear for small transactions",
    judges: Judges::calls(&["txn"], &[]),
    options: schema::<InitialOptions>,
    build: |given| Ok(Box::new(WithInitial::new(Weak::read_committed(), given.read::<InitialOptions>()?.initial))),
};

/// Judges transactions by one weak level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weak {
    level: Level,
}

impl Weak {
    /// Monotonic atomic view with sessions; see the module for how it relates to Adya's PL-2.
    pub(crate) fn read_committed() -> Weak {
        Weak { level: Level::ReadCommitted }
    }

    /// Transactions are seen as a whole or not at all (Bailis et al., SIGMOD 2014).
    pub(crate) fn read_atomic() -> Weak {
        Weak { level: Level::ReadAtomic }
    }

    /// Causal consistency of transactions, with one order of all commits.
    pub(crate) fn causal() -> Weak {
        Weak { level: Level::Causal }
    }
}

/// Up to this many transactions all levels are decided, to name the strongest; of more, only those up to the one asked for.
const DECIDED_MAX: usize = 50_000;

impl FromInitial for Weak {
    fn name(&self) -> &str {
        match self.level {
            Level::Committed | Level::ReadCommitted => "read-committed",
            Level::ReadAtomic => "read-atomic",
            Level::Causal | Level::Parallel => "causal-transactions",
        }
    }

    /// The levels know sessions and reads-from, nothing else.
    fn needs_realtime(&self) -> bool {
        false
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        let mut workloads: Vec<NameId> = Vec::new();
        for op in history.ops().iter() {
            if transacts(history.name(op.function), &op) && !workloads.contains(&op.workload) {
                workloads.push(op.workload);
            }
        }
        workloads
    }

    fn check_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict {
        match self.workloads(history)[..] {
            [] => Verdict::unknown(self.name(), "There are no transactions.".to_owned()),
            [workload, ..] => self.of_workload(history, workload, budget, initial),
        }
    }

    fn beginnings(&self, history: &History) -> Beginnings {
        Beginnings::read(certainly_first(history))
    }
}

impl Weak {
    fn of_workload(&self, history: &History, workload: NameId, budget: &Budget, initial: &Initial) -> Verdict {
        // Whichever it is shows at its first write or read of something.
        let parsed = Transactions::parse(history, workload, Dialect::Lists).or_else(|lists| {
            let registers = Transactions::parse(history, workload, Dialect::Registers);
            registers.map_err(|registers| if registers.call < lists.call { lists } else { registers })
        });
        match parsed {
            Ok(transactions) => self.judge(history, &transactions.beginning(initial), budget),
            Err(malformed) => {
                let why = format!("#{} is no transaction of registers or lists: {}.", malformed.call, malformed.why);
                Verdict::unknown(self.name(), why)
            }
        }
    }

    fn judge(&self, history: &History, transactions: &Transactions<'_>, budget: &Budget) -> Verdict {
        let register = |mop: &Mop| match mop.kind() {
            MopKind::Write => true,
            MopKind::Read => mop.value.is_atom() && mop.value != Word::NIL,
            MopKind::Append | MopKind::Unread => false,
        };
        let lists = !transactions.all_mops().iter().any(register);
        let matched = if lists { Matched::lists(transactions) } else { Matched::registers(transactions) };
        let ok = transactions.txns().iter().filter(|txn| txn.outcome == Outcome::Ok).count();
        let reads: usize = (0..matched.view.len() as u32).map(|txn| matched.view.reads(txn).len()).sum();
        let mut report = Report::new(history);
        report.numbers([
            ("ok_transactions", ok as u64),
            ("judged_reads", reads as u64),
            ("ambiguous_reads", matched.ambiguous),
        ]);
        for flawed in &matched.flaws {
            let make = || explain::flaw(transactions, flawed);
            report.violation(flawed.flaw.kind(), make);
        }
        let flaws = matched.flaws.len();
        let (view, causes) = (&matched.view, OnceCell::new());
        let mut words = Words { transactions, view, txns: &matched.txns, level: self.level, causes };
        let (level, broken) = match self.weakest_broken(&words, budget) {
            Ok(answer) => answer,
            Err(stop) => {
                let broken = format!("{} that no order explains.", messages::count(flaws, "read"));
                return report.conclude(self.name(), (Validity::Unknown, stop_words(stop).to_owned()), |_| broken);
            }
        };
        words.level = level;
        // Only some of the contradictions are shown as cycles.
        report.tally(level.name(), Severity::Violation, broken.count as u64);
        broken.cycles.iter().for_each(|cycle| report.example(words.cycle(cycle)));
        report.number("contradictions", broken.count as u64);
        let invalid = flaws + broken.count > 0;
        if invalid && lists && self.excused(transactions, budget) {
            report.doubt(OWN_APPENDS.to_owned());
        }
        let otherwise = self.kept(&matched, reads);
        let strongest = match (invalid, report.violations() > 0) {
            // Here the versions are known, so that more levels are decided.
            (_, true) if lists && matched.view.len() <= DECIDED_MAX => {
                let levels = levels(&matched, budget).strongest();
                Some(if levels.is_empty() { "none".to_owned() } else { levels.join(", ") })
            }
            (_, true) => Some(self.strongest(level, flaws).to_owned()),
            // Of a valid history: at least this level.
            (false, _) if otherwise.0 == Validity::Valid => Some(self.level.name().to_owned()),
            _ => None,
        };
        if let Some(strongest) = strongest {
            report.number("strongest_level", json!(strongest));
        }
        let (flaws, cycles) = (messages::count(flaws, "flawed read"), messages::count(broken.count, "contradiction"));
        report.conclude(self.name(), otherwise, |_| format!("Not {}: {flaws}, {cycles}.", self.level.name()))
    }

    /// Whether it all rests on own elements at the end of a read: that others appended nothing between what was seen and
    /// them. A store that applies appends at the commit does not promise that.
    fn excused(&self, transactions: &Transactions<'_>, budget: &Budget) -> bool {
        let aside = Matched::lists_aside(transactions);
        aside.flaws.is_empty() && judge(&aside.view, self.level, budget).is_ok_and(|broken| broken.count == 0)
    }

    /// The answer where nothing contradicts the level.
    fn kept(&self, matched: &Matched, reads: usize) -> (Validity, String) {
        let others = |txn| matched.view.reads(txn).iter().any(|read| read.from != INITIAL);
        let unknown = if matched.ambiguous > 0 {
            let count = messages::count(matched.ambiguous as usize, "read");
            format!("{count} cannot be told from whom: values of a key were written more than once.")
        } else if reads == 0 {
            "No transaction read anything.".to_owned()
        } else if !(0..matched.view.len() as u32).any(others) {
            "No transaction read what another had written, so nothing could contradict: read what others write."
                .to_owned()
        } else if self.level < Level::Causal && behind_own_differ(matched) {
            format!(
                "A transaction read a list again behind its own append and found other elements: whether that breaks {} \
                 is not known.",
                self.level.name()
            )
        } else {
            let reads = messages::count(reads, "read");
            return (Validity::Valid, format!("Some commit order explains {reads} at {}.", self.level.name()));
        };
        (Validity::Unknown, unknown)
    }

    /// The strongest level that holds where this one is broken.
    fn strongest(&self, level: Level, flaws: usize) -> &'static str {
        match level {
            _ if flaws > 0 => "none",
            Level::Committed | Level::ReadCommitted => "none",
            Level::ReadAtomic => Level::ReadCommitted.name(),
            Level::Causal => Level::ReadAtomic.name(),
            Level::Parallel => Level::Causal.name(),
        }
    }

    /// The weakest level up to this one that does not hold, with what contradicts it; this one, where it holds.
    fn weakest_broken(&self, words: &Words<'_, '_>, budget: &Budget) -> Result<(Level, Contradictions), Stop> {
        if serial(words.view, budget) {
            return Ok((self.level, Contradictions::default()));
        }
        let mine = judge(words.view, self.level, budget);
        // What a weaker level rules out is ruled out also where this one could not be decided.
        if mine.as_ref().map_or(true, |mine| mine.count > 0) {
            for weaker in [Level::ReadCommitted, Level::ReadAtomic].into_iter().filter(|&level| level < self.level) {
                match judge(words.view, weaker, budget) {
                    Ok(broken) if broken.count > 0 => return Ok((weaker, broken)),
                    _ => {}
                }
            }
        }
        Ok((self.level, mine?))
    }
}

/// Whether a transaction saw more or less of a list behind an own append than before it. Only for causality that counts.
fn behind_own_differ(matched: &Matched) -> bool {
    (0..matched.view.len() as u32).map(|txn| matched.view.reads(txn)).any(|reads| {
        let behind = reads.iter().filter(|read| read.behind_own);
        behind.into_iter().any(|one| reads.iter().any(|other| other.key == one.key && other.place != one.place))
    })
}

/// What was found breaks the level only where a transaction's own appends count as versions when it reads them.
const OWN_APPENDS: &str = "What was found rests on transactions that read their own appends: it breaks the level only if \
                           nothing can be appended between what they saw and those.";

fn stop_words(stop: Stop) -> &'static str {
    match stop {
        Stop::Cycle => "Causality is no order.",
        Stop::Expired => "The time was up before the answer.",
        Stop::Memory => "The clocks of so many sessions do not fit into the memory that the check may use.",
    }
}
