//! Repeats reads that nodes answered differently: a lagging node catches up; a diverged node stands still.
//!
//! Never: repeats a read that no node has answered, or in a mode in which nodes may differ.
use super::reader::{ReadOutcome, Reader};
use super::{SettleSummary, SharedSettle, UnansweredCalls};
use crate::run::driver::turned_true;
use dsfuzz_workloads::Call;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Reads of a node within one standstill.
const READS_PER_STANDSTILL: u32 = 4;

impl SharedSettle {
    /// Reads until all agree, no answer has changed for a standstill, or the time is up.
    pub(super) async fn confirm(
        &self,
        mut readers: Vec<(Reader, UnansweredCalls)>,
        calls: &[Call],
        summary: &mut SettleSummary,
    ) -> Vec<(Reader, UnansweredCalls)> {
        let calls: Arc<[Call]> = calls.into();
        let (standstill, mut stop) = (self.options.standstill, self.stop.clone());
        let mut changed = Instant::now();
        loop {
            let places = differing(&readers);
            if places.is_empty() || self.over() {
                return readers;
            }
            let next = Instant::now() + standstill / READS_PER_STANDSTILL;
            tokio::select! {
                () = tokio::time::sleep_until(self.end.min(next)) => {}
                () = turned_true(&mut stop) => {}
            }
            if self.over() {
                return readers;
            }
            let last = changed.elapsed() >= standstill;
            let before: Vec<_> = readers.iter().map(|(reader, _)| reader.answers.clone()).collect();
            let mut nodes = JoinSet::new();
            for (reader, left) in readers {
                nodes.spawn(again(reader, left, calls.clone(), places.clone()));
            }
            let count = before.len();
            readers = joined(nodes, summary).await;
            let same = readers.iter().zip(&before).all(|((reader, _), before)| reader.answers == *before);
            if !same || readers.len() < count {
                changed = Instant::now();
            } else if last {
                return readers;
            }
        }
    }
}

/// Readers by the positions of their nodes; a panic of one is reported.
pub(super) async fn joined(
    mut nodes: JoinSet<(Reader, UnansweredCalls)>,
    summary: &mut SettleSummary,
) -> Vec<(Reader, UnansweredCalls)> {
    let mut readers = Vec::new();
    while let Some(joined) = nodes.join_next().await {
        match joined {
            Ok(reader) => readers.push(reader),
            Err(error) => summary.harness.push(format!("a reader of the settle phase panicked: {error}")),
        }
    }
    readers.sort_by_key(|(reader, _)| reader.position());
    readers
}

/// Positions of calls with different answers.
fn differing(readers: &[(Reader, UnansweredCalls)]) -> Vec<usize> {
    let places: BTreeSet<usize> = readers.iter().flat_map(|(reader, _)| reader.answers.keys().copied()).collect();
    let differs = |place: &usize| {
        let mut answers = readers.iter().filter_map(|(reader, _)| reader.answers.get(place));
        let first = answers.next();
        answers.any(|answer| Some(answer) != first)
    };
    places.into_iter().filter(differs).collect()
}

/// Reads each of these calls again that this node has answered before.
async fn again(
    mut reader: Reader,
    left: UnansweredCalls,
    calls: Arc<[Call]>,
    places: Vec<usize>,
) -> (Reader, UnansweredCalls) {
    for place in places {
        if !reader.answers.contains_key(&place) || reader.over() {
            continue;
        }
        // A failed read says nothing about the node's data.
        if let ReadOutcome::Answered(answer) = reader.read(place, &calls[place]).await {
            reader.answers.insert(place, answer.digest);
        }
    }
    (reader, left)
}
