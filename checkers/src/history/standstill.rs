//! Whether replicas that differ at the end have converged, or may still be behind.
//!
//! A replica that lacks something may receive it later. It is known to have converged where the run says so
//! ([`CONVERGED`], a note of the recipe's probe), and it stands still where no final read of any replica showed a change
//! for [`STANDSTILL_MS`].
use crate::history::{History, Op};

/// Begins the run's note that the replicas had converged before the final reads.
pub const CONVERGED: &str = "the replicas converged";

/// Begins the run's note that the replicas had not converged when the final reads began.
pub const NOT_CONVERGED: &str = "the replicas did not converge";

/// Milliseconds without a change in any final read after which replicas stand still, where no option says otherwise.
pub const STANDSTILL_MS: u64 = 10_000;

fn notes(history: &History) -> impl Iterator<Item = (u64, &str)> {
    history.notes.iter().filter(|(_, node, _)| node.is_empty()).map(|(time, _, text)| (*time, text.as_str()))
}

/// The run's note that its replicas had not converged.
pub(crate) fn not_converged(history: &History) -> Option<&str> {
    notes(history).map(|(_, text)| text).find(|text| text.starts_with(NOT_CONVERGED))
}

/// When the run noted that its replicas had converged, in nanoseconds; none where it also noted the opposite.
pub fn converged_at(history: &History) -> Option<u64> {
    let noted = notes(history).filter(|(_, text)| text.starts_with(CONVERGED)).map(|(time, _)| time).last();
    noted.filter(|_| not_converged(history).is_none())
}

/// Final reads of one replica in the order of their calls, each with what it showed.
pub(crate) struct Shown<'h, T> {
    reads: Vec<(Op<'h>, T)>,
}

impl<'h, T: PartialEq> Shown<'h, T> {
    pub(crate) fn new(mut reads: Vec<(Op<'h>, T)>) -> Shown<'h, T> {
        reads.sort_by_key(|(read, _)| read.call);
        Shown { reads }
    }

    /// When the replica was first seen to show what its last read showed, in nanoseconds.
    fn since(&self) -> Option<u64> {
        let (_, last) = self.reads.last()?;
        let same = self.reads.iter().rev().take_while(|(_, shown)| shown == last);
        same.map(|(read, _)| read.reply_time).last()
    }

    fn last_call(&self) -> Option<u64> {
        self.reads.last().map(|(read, _)| read.call_time)
    }
}

/// When the last change was seen in any of these replicas, in nanoseconds; the first read of each is a change.
pub(crate) fn last_change<'r, 'h: 'r, T: PartialEq + 'r>(
    replicas: impl Iterator<Item = &'r Shown<'h, T>>,
) -> Option<u64> {
    replicas.filter_map(Shown::since).max()
}

/// Nanoseconds from the last change in any replica to the last final read of this one.
pub(crate) fn unchanged<T: PartialEq>(replica: &Shown<'_, T>, last_change: Option<u64>) -> u64 {
    let (Some(change), Some(last)) = (last_change, replica.last_call()) else { return 0 };
    last.saturating_sub(change)
}
