//! Lost acknowledged adds: which, acknowledged by whom, during or after which fault.
use super::collect::elements_of;
use super::judge::Judged;
use crate::history::{Fault, History, Op, Outcome};
use crate::value::Value;
use crate::verdict::messages;
use crate::verdict::{Finding, Severity, Violation};
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
        if messages::placed(history, &add) {
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
        let count = messages::count(elements.len(), "acknowledged element");
        let mut sentences = vec![format!("Lost: {}.", messages::elements(&elements, 20))];
        let mut by_node: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        let mut by_moment: BTreeMap<Moment, usize> = BTreeMap::new();
        for &add in &self.lost {
            if messages::placed(history, &add) {
                by_node.entry(history.name(add.node)).or_default().push(add.input.to_value());
            }
            for moment in moments(history, &add) {
                *by_moment.entry(moment).or_default() += 1;
            }
        }
        sentences.extend(by_node.iter().map(|(node, elements)| {
            format!("{node} had acknowledged {} of them: {}.", elements.len(), messages::elements(elements, 20))
        }));
        if !history.faults.is_empty() {
            sentences.extend(by_moment.iter().map(|(moment, count)| spoken(history, *moment, *count)));
        }
        let from = self.lost.iter().map(|add| add.reply_time).min().unwrap_or(0);
        let to = self.lost.iter().map(|add| add.reply_time).max().unwrap_or(0);
        let (it_was, it_is) = if self.lost.len() == 1 { ("It was", "It is") } else { ("They were", "They are") };
        sentences.push(if from == to {
            format!("{it_was} acknowledged at {}.", messages::seconds(from))
        } else {
            format!(
                "{it_was} acknowledged between {} and {}, a window of {}.",
                messages::seconds(from),
                messages::seconds(to),
                messages::seconds(to - from)
            )
        });
        let words = || self.states.iter().map(|state| state.last);
        let read = words().max_by_key(|read| (read.call > last.reply, read.call))?;
        let readers = messages::on_all(history, &words().collect::<Vec<_>>());
        let returned = match read.outcome {
            Outcome::Ok => format!("returned {}", messages::count(elements_of(&read).len(), "element")),
            _ => "found nothing to read there".to_owned(),
        };
        sentences.push(match self.mode.takes_away() {
            true => format!(
                "{it_is} in no final read. Each of those took away what it returned; the last was #{}{}.",
                read.call,
                messages::on(history, &read)
            ),
            false => format!(
                "{it_is} absent from the last final reads{readers}; #{}{} {returned}.",
                read.call,
                messages::on(history, &read)
            ),
        });
        let ids: Vec<u32> = self.lost.iter().filter_map(|add| self.set.elements.find(add.input)).collect();
        let had = self.set.finals.iter().find(|read| ids.iter().any(|&id| read.members.has(id)));
        if let Some(had) = had {
            let count = ids.iter().filter(|&&id| had.members.has(id)).count();
            let on = messages::on(history, &had.op);
            sentences.push(format!("#{}{on}, an earlier final read, had {count} of them.", had.op.call));
        }
        sentences.extend(self.taken_away());
        sentences.push(format!("For example {}", messages::operation(history, first)));
        let mut ops = self.examples();
        ops.push(read);
        let nodes: Vec<String> = by_node.keys().map(|&node| node.to_owned()).collect();
        let by = if nodes.is_empty() { String::new() } else { format!(", acknowledged by {}", nodes.join(", ")) };
        let title = format!("{count} lost{by}");
        let violation = Violation::explained(("lost-write", Severity::Violation), title, sentences, ops);
        Some(violation.on(self.key).at(nodes, faults_of(by_moment.keys())).finding(history))
    }

    /// Elements that a node had in one final read and lacks in its last, while another node has them.
    pub(super) fn dropped_finding(&self, history: &History) -> Option<Finding> {
        let first = self.dropped.first()?;
        let elements: Vec<Value> = self.dropped.iter().map(|dropped| dropped.add.input.to_value()).collect();
        let count = messages::count(elements.len(), "acknowledged element");
        let lacks: Vec<Op<'_>> = self.dropped.iter().map(|dropped| dropped.lacks).collect();
        let on = messages::on_all(history, &lacks);
        let ops = [first.add, first.had, first.lacks];
        let mut sentences = vec![format!("Lost{on}: {}.", messages::elements(&elements, 20))];
        sentences.push(messages::operation(history, &first.add));
        for (op, what) in [(first.had, "had"), (first.lacks, "lacks")] {
            let at = messages::seconds(op.reply_time);
            let (on, size) = (messages::on(history, &op), elements_of(&op).len());
            sentences.push(format!("#{}{on}, a final read of {size} elements answered at {at}, {what} it.", op.call));
        }
        sentences.push("What a node has once shown at the end it must show later, too.".to_owned());
        sentences.extend(self.taken_away());
        let title = format!("{count} lost{on} between two final reads");
        let violation = Violation::explained(("lost-write", Severity::Violation), title, sentences, ops.to_vec());
        Some(violation.on(self.key).at(messages::nodes_of(history, &lacks), Vec::new()).finding(history))
    }

    /// What to try where reads may have an effect.
    fn taken_away(&self) -> Option<String> {
        let several = !self.mode.takes_away() && self.set.finals.len() + self.set.open.len() > self.states.len();
        let told = "If a read takes away what it returns (a queue), say so: the option final_reads: until-empty.";
        several.then(|| told.to_owned())
    }

    /// Up to five lost adds, spread over the time of the loss.
    fn examples(&self) -> Vec<Op<'_>> {
        let count = self.lost.len().min(5);
        (0..count).map(|at| self.lost[at * (self.lost.len() - 1) / (count - 1).max(1)]).collect()
    }
}

/// Faults that may have been in force: one that had ended by then is told in words, and was not.
fn faults_of<'m>(moments: impl Iterator<Item = &'m Moment>) -> Vec<u64> {
    let mut ids: Vec<u64> = moments
        .filter_map(|moment| match moment {
            Moment::During(id) => Some(*id),
            Moment::After(_) | Moment::Before => None,
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn spoken(history: &History, moment: Moment, count: usize) -> String {
    let name = |id: u64| history.faults.iter().find(|fault| fault.id == id).map(messages::fault).unwrap_or_default();
    match moment {
        Moment::During(id) => format!("{count} of them were added while {} may have been in force.", name(id)),
        Moment::After(id) => format!("{count} of them were added after {} had healed.", name(id)),
        Moment::Before => format!("{count} of them were added before any fault."),
    }
}
