//! Lost acknowledged adds: which, acknowledged by whom, during or after which fault.
use super::Judged;
use crate::history::{Fault, History, Op};
use crate::value::Value;
use crate::verdict::{Finding, Severity};
use crate::wording;
use std::collections::BTreeMap;

/// What was going on while an add was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// This fault may have been in force.
    During(u64),
    /// None was; this was the last to end before.
    After(u64),
    /// None had begun.
    Before,
}

fn moments(history: &History, add: &Op<'_>) -> Vec<Moment> {
    let during = history.faults_within(add.call_time, add.reply_time);
    if !during.is_empty() {
        return during.iter().map(|fault| Moment::During(fault.id)).collect();
    }
    let ended =
        |fault: &Fault| fault.possible().map(|(_, end)| (end, fault.id)).filter(|(end, _)| *end < add.call_time);
    let last = history.faults.iter().filter_map(ended).max();
    vec![last.map_or(Moment::Before, |(_, id)| Moment::After(id))]
}

type Tally = BTreeMap<String, usize>;

/// How many were lost by node that acknowledged them, and by fault: `3` during fault 3, `after 3` when it had ended.
pub(super) fn tallies<'h>(history: &History, lost: impl Iterator<Item = Op<'h>>) -> (Tally, Tally) {
    let (mut by_node, mut by_fault) = (Tally::new(), Tally::new());
    for add in lost {
        if wording::placed(history, &add) {
            *by_node.entry(history.name(add.node).to_owned()).or_default() += 1;
        }
        for moment in moments(history, &add) {
            let name = match moment {
                Moment::During(id) => id.to_string(),
                Moment::After(id) => format!("after {id}"),
                Moment::Before => "before any".to_owned(),
            };
            *by_fault.entry(name).or_default() += 1;
        }
    }
    (by_node, by_fault)
}

impl Judged<'_> {
    pub(super) fn lost_finding(&self, history: &History) -> Option<Finding> {
        let (first, last) = (self.lost.first()?, self.lost.last()?);
        let elements: Vec<Value> = self.lost.iter().map(|add| add.input.to_value()).collect();
        let count = wording::count(elements.len(), "acknowledged element");
        let mut sentences = vec![format!("Lost: {}.", wording::elements(&elements, 20))];
        let mut by_node: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        let mut by_moment: BTreeMap<Moment, usize> = BTreeMap::new();
        for &add in &self.lost {
            if wording::placed(history, &add) {
                by_node.entry(history.name(add.node)).or_default().push(add.input.to_value());
            }
            for moment in moments(history, &add) {
                *by_moment.entry(moment).or_default() += 1;
            }
        }
        sentences.extend(by_node.iter().map(|(node, elements)| {
            format!("{node} had acknowledged {} of them: {}.", elements.len(), wording::elements(elements, 20))
        }));
        sentences.extend(by_moment.iter().map(|(moment, count)| spoken(history, *moment, *count)));
        let from = self.lost.iter().map(|add| add.reply_time).min().unwrap_or(0);
        let to = self.lost.iter().map(|add| add.reply_time).max().unwrap_or(0);
        sentences.push(format!(
            "They were acknowledged between {} and {}, a window of {}.",
            wording::seconds(from),
            wording::seconds(to),
            wording::seconds(to - from)
        ));
        let read = self.set.finals.iter().map(|read| read.op).rfind(|read| read.call > last.reply);
        let read = read.or_else(|| self.set.finals.last().map(|read| read.op))?;
        let readers = wording::on_all(history, &self.set.finals.iter().map(|read| read.op).collect::<Vec<_>>());
        sentences.push(format!(
            "They are absent from every successful final read{readers}; #{}{} returned {} elements.",
            read.call,
            wording::on(history, &read),
            super::elements_of(&read).len()
        ));
        sentences.push(format!("For example {}", wording::operation(history, first)));
        let mut ops: Vec<u64> = self.examples().iter().map(|add| add.call).collect();
        ops.push(read.call);
        let finding = Finding::new(
            "lost-write",
            Severity::Violation,
            match by_node.keys().copied().collect::<Vec<_>>()[..] {
                [] => format!("{count} lost"),
                ref nodes => format!("{count} lost, acknowledged by {}", nodes.join(", ")),
            },
        );
        Some(Finding {
            sentences,
            ops,
            key: self.key.to_value(),
            nodes: by_node.keys().map(|&node| node.to_owned()).collect(),
            faults: faults_of(by_moment.keys()),
            ..finding
        })
    }

    /// Up to five lost adds, spread over the time of the loss.
    fn examples(&self) -> Vec<Op<'_>> {
        let count = self.lost.len().min(5);
        (0..count).map(|at| self.lost[at * (self.lost.len() - 1) / (count - 1).max(1)]).collect()
    }
}

fn faults_of<'m>(moments: impl Iterator<Item = &'m Moment>) -> Vec<u64> {
    let mut ids: Vec<u64> = moments
        .filter_map(|moment| match moment {
            Moment::During(id) | Moment::After(id) => Some(*id),
            Moment::Before => None,
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn spoken(history: &History, moment: Moment, count: usize) -> String {
    let name = |id: u64| history.faults.iter().find(|fault| fault.id == id).map(wording::fault).unwrap_or_default();
    match moment {
        Moment::During(id) => format!("{count} of them were added while {} may have been in force.", name(id)),
        Moment::After(id) => format!("{count} of them were added after {} had healed.", name(id)),
        Moment::Before => format!("{count} of them were added before any fault."),
    }
}
