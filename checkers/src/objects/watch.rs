//! `watch`: watches of a store with revisions keep what etcd promises of them, each guarantee by its name.
//!
//! Functions: `put` (key and value) and `delete` (key), answered with the revision of the change, or nil where a delete
//! found nothing; `txn` with a list of `["put", k, v]` and `["delete", k]`, answered with its one revision, or nil where it
//! did nothing. `watch` with `{key: k}` or `{prefix: p}` or neither (everything), and `revision` (from there on; absent or
//! 0: from now on); answered, when it ended, with the list of responses in the order in which they came. A response is a
//! list of events, one event `{revision, key, value, type}` with type `put` or `delete`, or a bookmark
//! `{revision, type: "progress"}`. Keys are compared as text. All changes of watched keys are calls of the history.
//!
//! **Definite**, from answered watches and acknowledged changes (etcd, API guarantees, and its robustness tests):
//! - ordered: `watch-unordered`, an event after one of a later revision;
//! - unique: `watch-duplicate`, one revision of one key twice;
//! - atomic: `watch-not-atomic`, a revision in several responses, or only partly delivered;
//! - reliable: `watch-not-reliable`, a change between two delivered revisions that was not delivered;
//! - resumable: `watch-not-resumable`, a change from the starting revision on, before the first delivered one, that was not;
//! - bookmarkable: `watch-not-bookmarkable`, an event after a bookmark that covers it, or a change covered by one and not
//!   delivered;
//! - and in between: `watch-filter` (another key), `watch-before-start` (an older revision), `watch-wrong-event` (not what
//!   was written, or what another watch delivered), `watch-unexpected-event` (a put that no call can have made by then).
//!
//! Changes are those that were acknowledged and those that another watch delivered. **Not definite**: changes in doubt that
//! no watch delivered, what a watch has not delivered yet, and deletes within transactions, which may find nothing.
//! Unknown where no acknowledged change lies within what some watch covers.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod stream;
#[cfg(test)]
mod tests;

use crate::calls::{objects, workloads_with};
use crate::checker::{CheckerDoc, Judges};
use crate::history::{History, NameId, Op};
use crate::options::{NoOptions, schema};
use crate::value::Value;
use crate::verdict::{Budget, Checker, Severity, Verdict};
use crate::verdict::{Report, Violation};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use stream::{Change, Event, Filter, Store, Watched};

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "watch",
    doc: "Watches deliver every change once, in order, whole revisions at a time, from where they were asked to.",
    cost: "near-linear in changes and events, and for each watch the changes that it covers",
    judges: Judges::calls(&["watch"], &["put", "delete", "txn"]),
    options: schema::<NoOptions>,
    build: |given| given.read().map(|NoOptions {}| Box::new(Watch) as _),
};

/// Judges workloads that watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch;

/// The kinds of violations.
const KINDS: [&str; 10] = [
    "watch-unordered",
    "watch-duplicate",
    "watch-not-atomic",
    "watch-not-reliable",
    "watch-not-resumable",
    "watch-not-bookmarkable",
    "watch-filter",
    "watch-before-start",
    "watch-wrong-event",
    "watch-unexpected-event",
];

/// One store with the report about it.
struct Judge<'a, 'h> {
    history: &'h History,
    store: &'a Store<'h>,
    report: &'a mut Report<'h>,
    /// Acknowledged changes that a watch had to deliver.
    covered: u64,
}

impl<'h> Judge<'_, 'h> {
    fn op(&self, position: u32) -> Op<'h> {
        self.history.ops().at(position as usize)
    }

    /// A violation about one revision of one key.
    fn broken(&mut self, kind: &'static str, revision: i64, key: u32, ops: &[u32], title: impl FnOnce(&str) -> String) {
        let ops: Vec<Op<'_>> = ops.iter().map(|&at| self.op(at)).collect();
        let key = self.store.key(key);
        let make = || {
            let entries: [(Arc<str>, Value); 2] =
                [("revision".into(), revision.into()), ("key".into(), Value::text(key))];
            let mut violation = Violation::new(kind, title(key), Value::Map(entries.into()), ops);
            violation.key = Value::text(key);
            violation
        };
        self.report.violation_of(kind, Severity::Violation, make);
    }

    /// What a watch delivered, event by event.
    fn events(&mut self, watch: &Watched<'h>) {
        let call = self.op(watch.op).call;
        let mut latest: Option<i64> = None;
        let mut bookmarks = watch.bookmarks.iter().peekable();
        let mut bookmark: Option<i64> = None;
        let mut seen = HashSet::new();
        for (at, event) in watch.events.iter().enumerate() {
            while let Some((revision, _)) = bookmarks.next_if(|(_, before)| *before <= at) {
                bookmark = bookmark.max(Some(*revision));
            }
            let (revision, key) = (event.revision, event.key);
            if !self.store.takes(&watch.filter, key) {
                let title = |key: &str| format!("#{call} delivered key {key}, which it does not watch");
                self.broken("watch-filter", revision, key, &[watch.op], title);
                continue;
            }
            if !seen.insert((revision, key)) {
                let title = |key: &str| format!("#{call} delivered revision {revision} of key {key} twice");
                self.broken("watch-duplicate", revision, key, &[watch.op], title);
                continue;
            }
            if watch.start.is_some_and(|start| revision < start) {
                let title = |key: &str| format!("#{call} delivered revision {revision} of key {key}, before its start");
                self.broken("watch-before-start", revision, key, &[watch.op], title);
            }
            if latest.is_some_and(|latest| revision < latest) {
                let title = |key: &str| format!("#{call} delivered revision {revision} of key {key} after later ones");
                self.broken("watch-unordered", revision, key, &[watch.op], title);
            }
            if bookmark.is_some_and(|bookmark| revision <= bookmark) {
                let title = |key: &str| {
                    format!("#{call} delivered revision {revision} of key {key} after a bookmark had covered it")
                };
                self.broken("watch-not-bookmarkable", revision, key, &[watch.op], title);
            }
            latest = latest.max(Some(revision));
            self.unexpected(watch, event);
        }
        self.split(watch);
    }

    /// Revisions in several responses. What is delivered twice is told as that.
    fn split(&mut self, watch: &Watched<'h>) {
        let call = self.op(watch.op).call;
        let mut places: Vec<&Event<'_>> =
            watch.events.iter().filter(|event| self.store.takes(&watch.filter, event.key)).collect();
        places.sort_by_key(|event| (event.revision, event.key, event.response));
        places.dedup_by_key(|event| (event.revision, event.key));
        for revision in places.chunk_by(|one, two| one.revision == two.revision) {
            let first = revision[0];
            if let Some(other) = revision.iter().find(|event| event.response != first.response) {
                let number = first.revision;
                let title = |_: &str| format!("#{call} delivered revision {number} in more than one response");
                self.broken("watch-not-atomic", number, other.key, &[watch.op], title);
            }
        }
    }

    /// A put that no call can have made before the watch ended.
    fn unexpected(&mut self, watch: &Watched<'h>, event: &Event<'h>) {
        let Change::Put(value) = event.change else { return };
        if !self.store.malformed.is_empty() {
            return; // What could not be understood may have been the put.
        }
        let op = self.op(watch.op);
        let put = self.store.attempt(event.key, value);
        if put.is_some_and(|put| self.op(put).call < op.reply) {
            return;
        }
        let (call, revision) = (op.call, event.revision);
        let refused = self.store.refusal(event.key, value);
        let ops: Vec<u32> = [watch.op].into_iter().chain(put).chain(refused).collect();
        let title =
            |key: &str| format!("#{call} delivered a put of {value} to key {key} that no call can have made by then");
        self.broken("watch-unexpected-event", revision, event.key, &ops, title);
    }

    /// One revision of one key that is told in two ways.
    fn contradictions(&mut self) {
        for &(revision, key, one, two) in &self.store.contradictions {
            let (first, second) = (self.op(one).call, self.op(two).call);
            let title = |key: &str| format!("#{first} and #{second} disagree about revision {revision} of key {key}");
            self.broken("watch-wrong-event", revision, key, &[one, two], title);
        }
    }

    /// Changes that a watch had to deliver and did not.
    fn missing(&mut self, watch: &Watched<'h>) {
        let call = self.op(watch.op).call;
        let mut delivered: Vec<(i64, u32)> = watch.events.iter().map(|event| (event.revision, event.key)).collect();
        delivered.sort_unstable();
        let first = delivered.first().map(|(revision, _)| *revision);
        let last = delivered.last().map(|(revision, _)| *revision);
        let bookmark = watch.bookmarks.iter().map(|(revision, _)| *revision).max();
        let (Some(from), Some(to)) = (watch.start.or(first), last.max(bookmark)) else { return };
        let mut lacking = Vec::new();
        let mut covered = 0;
        self.store.within(&watch.filter, from, to, |known| {
            covered += u64::from(known.acknowledged);
            if delivered.binary_search(&(known.revision, known.key)).is_err() {
                lacking.push(*known);
            }
        });
        self.covered += covered;
        for known in lacking {
            let (revision, source) = (known.revision, self.op(known.op).call);
            let at = delivered.partition_point(|(other, _)| *other < revision);
            let partly = delivered.get(at).is_some_and(|(other, _)| *other == revision);
            let (kind, why) = if partly {
                ("watch-not-atomic", "but not this part of its revision")
            } else if first.is_some_and(|first| first < revision) && last.is_some_and(|last| revision < last) {
                ("watch-not-reliable", "but revisions before and after it")
            } else if last.is_some_and(|last| revision < last) {
                ("watch-not-resumable", "though it started there, but later ones")
            } else {
                ("watch-not-bookmarkable", "but a bookmark that covers it")
            };
            let title =
                |key: &str| format!("#{call} did not deliver revision {revision} of key {key} (see #{source}), {why}");
            self.broken(kind, revision, known.key, &[known.op, watch.op], title);
        }
    }
}

impl Checker for Watch {
    fn name(&self) -> &str {
        "watch"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["watch"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let objects = objects(history, &["watch"], &stream::FUNCTIONS);
        let mut report = Report::about(history, &objects);
        let mut stores: BTreeMap<NameId, Vec<u32>> = BTreeMap::new();
        for object in &objects {
            stores.entry(object.workload).or_default().extend(&object.ops);
        }
        let (mut watches, mut events, mut bookmarks, mut changes, mut covered) = (0, 0, 0, 0, 0);
        let mut malformed = Vec::new();
        for mut positions in stores.into_values() {
            positions.sort_unstable();
            let store = Store::of(history, &positions);
            malformed.extend(&store.malformed);
            let mut judge = Judge { history, store: &store, report: &mut report, covered: 0 };
            judge.contradictions();
            for watch in &store.watches {
                if (budget.expired)() {
                    judge.report.unknown("The time ran out before all watches were judged.".to_owned());
                    break;
                }
                judge.events(watch);
                judge.missing(watch);
                events += watch.events.len() as u64;
                bookmarks += watch.bookmarks.len() as u64;
            }
            covered += judge.covered;
            watches += store.watches.len() as u64;
            changes += store.acknowledged;
        }
        if covered == 0 {
            report
                .unknown("No acknowledged change lies within what a watch covered, so nothing can be said.".to_owned());
        }
        malformed.sort_unstable();
        report.malformed("see the shapes of put, delete, txn and watch", &malformed);
        report.numbers([
            ("watches", watches),
            ("events", events),
            ("bookmarks", bookmarks),
            ("acknowledged_changes", changes),
            ("covered", covered),
        ]);
        for kind in KINDS {
            let count = report.broken(kind);
            report.number(&kind.replace('-', "_"), count);
        }
        let sound = format!("{watches} watches delivered {events} events, among them all that they had to.");
        report.verdict(self.name(), sound)
    }
}

/// The filter as a watch's input has it.
impl Filter<'_> {
    fn matches(&self, key: &str) -> bool {
        match self {
            Filter::Everything => true,
            Filter::Key(own) => own == key,
            Filter::Prefix(prefix) => key.starts_with(&**prefix),
        }
    }
}
