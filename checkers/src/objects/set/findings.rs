//! What was found in a set, told: all but what is lost.
use super::collect::elements_of;
use super::judge::{Judged, Lacking};
use crate::history::{History, Op};
use crate::value::{Value, ValueRef};
use crate::verdict::messages;
use crate::verdict::{Finding, Severity, Violation};
use std::collections::HashSet;

impl Judged<'_> {
    /// Elements that were seen where they should not be, told with up to three of the reads.
    fn strange(
        &self,
        history: &History,
        (kind, severity): (&'static str, Severity),
        what: &str,
        seen: &[(ValueRef<'_>, Op<'_>)],
    ) -> Option<Finding> {
        let (_, first) = seen.first()?;
        let elements: Vec<Value> = seen.iter().map(|(element, _)| element.to_value()).collect();
        let mut reads: Vec<Op<'_>> = seen.iter().map(|(_, op)| *op).collect();
        reads.sort_by_key(|op| op.call);
        reads.dedup_by_key(|op| op.call);
        reads.truncate(3);
        let count = messages::count(elements.len(), "element");
        let ids: HashSet<u32> = seen.iter().filter_map(|(element, _)| self.set.elements.find(*element)).collect();
        let ours = self.set.adds.iter().filter(|add| ids.contains(&add.id));
        let failed: Vec<Op<'_>> = ours.take(3).map(|add| add.op(history)).collect();
        let mut sentences = vec![format!("{count} {what}: {}.", messages::elements(&elements, 20))];
        let read = |op: &Op<'_>| {
            let size = elements_of(op).len();
            let (place, time) = (messages::on(history, op), messages::seconds(op.reply_time));
            format!("#{}: process {}{place} read {size} elements at {time}.", op.call, op.process)
        };
        sentences.extend(reads.iter().map(read));
        if kind == "unexpected-element" {
            sentences.extend(failed.iter().map(|add| messages::operation(history, add)));
            if failed.is_empty() {
                sentences.push("No add of these was ever called.".to_owned());
            }
        }
        let named = messages::elements(&elements, 4);
        let title = format!("{count} {what}: {named}, first seen by #{}{}", first.call, messages::on(history, first));
        let nodes = messages::nodes_of(history, &reads);
        let ops = if kind == "unexpected-element" { [reads, failed].concat() } else { reads };
        let violation = Violation::explained((kind, severity), title, sentences, ops);
        Some(violation.on(self.key).at(nodes, Vec::new()).finding(history))
    }

    pub(super) fn unexpected_finding(&self, history: &History) -> Option<Finding> {
        let kind = ("unexpected-element", Severity::Violation);
        let refused: HashSet<u32> = self.set.adds.iter().map(|add| add.id).collect();
        let was_refused = |(element, _): &&(ValueRef<'_>, Op<'_>)| {
            self.set.elements.find(*element).is_some_and(|id| refused.contains(&id))
        };
        let count = self.unexpected.iter().filter(was_refused).count();
        let what = match count {
            0 => "never added".to_owned(),
            count if count == self.unexpected.len() => "refused when added".to_owned(),
            count => format!("never added or, {count} of them, refused when added"),
        };
        self.strange(history, kind, &what, &self.unexpected)
    }

    pub(super) fn duplicated_finding(&self, history: &History, severity: Severity) -> Option<Finding> {
        self.strange(history, ("duplicated-element", severity), "present twice in one read", &self.duplicated)
    }

    pub(super) fn redelivered_finding(&self, history: &History) -> Option<Finding> {
        let kind = ("duplicated-element", Severity::Evidence);
        self.strange(history, kind, "returned by several reads", &self.redelivered)
    }

    /// Nodes whose last final reads differ. No violation by itself: a replica may lag.
    pub(super) fn differing(&self, history: &History, lacking: &[Lacking<'_>]) -> Option<Finding> {
        if lacking.is_empty() {
            return None;
        }
        let place = |lacking: &Lacking<'_>| self.place(history, lacking.state).to_owned();
        let nodes: Vec<String> = lacking.iter().map(place).collect();
        let say = |lacking: &Lacking<'_>| {
            let elements: Vec<Value> =
                lacking.elements.iter().map(|&id| self.set.elements.value(id).to_value()).collect();
            let count = messages::count(elements.len(), "element");
            let acknowledged = match lacking.first {
                None => "none of them acknowledged".to_owned(),
                Some(first) => format!(
                    "{} of them acknowledged, the first by #{} at {}",
                    lacking.acknowledged,
                    first.call,
                    messages::seconds(first.reply_time)
                ),
            };
            let elements = messages::elements(&elements, 20);
            format!("{} lacks {count} that another node returned, {acknowledged}: {elements}.", place(lacking))
        };
        let ops: Vec<Op<'_>> = self.states.iter().map(|state| state.last).take(6).collect();
        let title = format!("the final reads of {} lack what another node returned", nodes.join(", "));
        let kind = ("replicas-differ", Severity::Evidence);
        let violation = Violation::explained(kind, title, lacking.iter().map(say).collect(), ops);
        Some(violation.on(self.key).at(nodes, Vec::new()).finding(history))
    }

    pub(super) fn missing_finding(&self, history: &History) -> Option<Finding> {
        let shown: Vec<Op<'_>> = self.missing.iter().take(6).copied().collect();
        let first = shown.first()?;
        let elements: Vec<Value> = self.missing.iter().map(|add| add.input.to_value()).collect();
        let count = messages::count(elements.len(), "acknowledged element");
        let why = &self.why_missing;
        let title = format!("{count} in no final read, but {why}, first #{}", first.call);
        let missing = format!("Missing: {}.", messages::elements(&elements, 20));
        let sentences = vec![missing, "Nothing is proven lost.".to_owned()];
        let nodes = messages::nodes_of(history, &shown);
        let violation = Violation::explained(("missing-element", Severity::Evidence), title, sentences, shown);
        Some(violation.on(self.key).at(nodes, Vec::new()).finding(history))
    }

    pub(super) fn vanished_finding(&self, history: &History) -> Option<Finding> {
        let shown: Vec<Op<'_>> = self.vanished.iter().take(6).copied().collect();
        let first = shown.first()?;
        let elements: Vec<Value> = self.vanished.iter().map(|add| add.input.to_value()).collect();
        let count = messages::count(elements.len(), "element");
        let title =
            format!("{count} seen during the run, never acknowledged, and gone at the end, first #{}", first.call);
        let sentences = vec![format!("Seen and gone: {}.", messages::elements(&elements, 20))];
        let nodes = messages::nodes_of(history, &shown);
        let violation = Violation::explained(("vanished-element", Severity::Evidence), title, sentences, shown);
        Some(violation.on(self.key).at(nodes, Vec::new()).finding(history))
    }
}
