//! `eventual-convergence`: once writes have stopped and everything is healed, all nodes come to the same value, and it is one
//! that could be the last.
//!
//! Reads `write` and `cas` with `[from, to]`, and the `read`s of the settle phase: the last one of each node counts.
//! Nodes **certainly** differ only where their reads were called at least `wait` (10s by default) after the last
//! write of the key had ended, after the last heal, and after a value that was never acknowledged was first seen: before
//! that, they may still be on their way. Without the option `wait` no time is promised, and one more thing must hold:
//! the run noted that its replicas had converged (the recipe's `converged` probe), or no final read of the key showed a
//! change for 10 s on any node (and the run did not note that they had not converged). The common value is certainly not the last one where no call wrote it, where it is nil
//! although a write was acknowledged, or where every write of it had ended before another acknowledged write began; stores
//! in which the last writer may lose (by skewed clocks) set `any_written`.
//!
//! Where the history does not name nodes, processes are compared in their place, and nothing is valid: it is unknown
//! whether all nodes were asked. Nor is it with one node.
//!
//! Findings: `diverged-replicas`, `thin-air-read`, `lost-write`, `superseded-value`. Unknown: a node never answered, a key
//! was not read at the end, reads came too early, nodes differ that are not known to have converged, a fault was never healed, no write was acknowledged, no real time.
use super::accesses::{CallEffect, act, beginnings, workloads};
use crate::forms::Forms;
use crate::history::standstill::{STANDSTILL_MS, Shown, converged_at, last_change, not_converged, unchanged};
use crate::history::{History, NameId, Op, Outcome};
use crate::initial::{Beginnings, FromInitial, Initial, of_key};
use crate::value::{Value, ValueRef};
use crate::verdict::messages;
use crate::verdict::{Budget, FINDINGS_MAX, Finding, Report, Validity, Verdict, Violation};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// Judges whether replicas converged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EventualConvergence {
    /// So long after the last write and the last heal replicas must agree. None: the default, which is no promise.
    pub(super) wait_ms: Option<u64>,
    /// Whether any written value may be the last one.
    pub(super) any_written: bool,
}

/// Milliseconds for which replicas may still differ, where no option says so.
const WAIT_MS: u64 = 10_000;

/// Who was asked at the end: a node, or, where the history does not name it, a process, wherever that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Node(NameId),
    Process(u64),
}

impl Place {
    fn of(history: &History, op: &Op<'_>) -> Place {
        if messages::placed(history, op) { Place::Node(op.node) } else { Place::Process(op.process) }
    }

    fn name(self, history: &History) -> String {
        match self {
            Place::Node(node) => history.name(node).to_owned(),
            Place::Process(process) => format!("process {process}"),
        }
    }
}

/// A key as a sentence names it.
fn named(key: ValueRef<'_>) -> String {
    if key.is_nil() { "the object".to_owned() } else { format!("key {key}") }
}

/// One key: its writes, all its answered reads, and the last final one of each place.
#[derive(Default)]
struct Key<'h> {
    writes: Vec<(ValueRef<'h>, Op<'h>)>,
    reads: Vec<Op<'h>>,
    finals: BTreeMap<Place, Op<'h>>,
    asked: Vec<Place>,
}

impl Key<'_> {
    /// Whether a final read could have missed a write.
    fn tested(&self) -> bool {
        let first =
            self.writes.iter().filter(|(_, write)| write.outcome == Outcome::Ok).map(|(_, write)| write.reply).min();
        first.is_some_and(|reply| self.finals.values().any(|read| read.call > reply))
    }

    /// Whether two nodes that are known were read at the end: one alone does not show that all came to its value.
    fn compared(&self) -> bool {
        self.finals.keys().filter(|at| matches!(at, Place::Node(_))).count() > 1
    }
}

impl<'h> Key<'h> {
    /// Why what these reads of two nodes showed may still change; none where the replicas are known to have converged, or
    /// stand still.
    fn may_change(&self, history: &History, reads: &[&Op<'h>], healed: u64) -> Option<String> {
        if let Some(note) = not_converged(history) {
            return Some(format!("the run says: {note}"));
        }
        let ended = self.writes.iter().filter(|(_, write)| write.outcome == Outcome::Ok);
        let ended = ended.map(|(_, write)| write.reply_time).max().unwrap_or(0).max(healed);
        let called = reads.iter().map(|read| read.call_time).min().unwrap_or(0);
        if converged_at(history).is_some_and(|at| (ended..=called).contains(&at)) {
            return None;
        }
        let shown = |at: &Place| {
            let own = self.reads.iter().filter(|read| read.settle && Place::of(history, read) == *at);
            Shown::new(own.map(|read| (*read, read.output)).collect())
        };
        let places: BTreeMap<Place, Shown<'h, ValueRef<'h>>> = self.finals.keys().map(|at| (*at, shown(at))).collect();
        let change = last_change(places.values());
        let still = reads.iter().filter_map(|read| places.get(&Place::of(history, read)));
        let still = still.map(|place| unchanged(place, change)).min().unwrap_or(0);
        (still < STANDSTILL_MS * 1_000_000).then(|| {
            format!(
                "the run does not know that its replicas had converged, and final reads showed no change for {} only (asked: \
                 {STANDSTILL_MS} ms; the option wait says from when on nodes must not differ)",
                messages::seconds(still)
            )
        })
    }
}

/// Pairs of nodes that are compared for one key.
const PAIRS: usize = 64;

/// What is wrong with a key, or unclear.
enum Trouble {
    Broken(Box<Finding>),
    Unclear(String),
}

fn keys<'h>(history: &'h History, workload: NameId, initial: &Initial) -> Result<Vec<(ValueRef<'h>, Key<'h>)>, String> {
    let forms = Forms::of(history);
    let mut places: HashMap<ValueRef<'_>, usize> = HashMap::new();
    let mut keys: Vec<(ValueRef<'h>, Key<'h>)> = Vec::new();
    for op in history.ops().iter().filter(|op| op.workload == workload) {
        let place = *places.entry(op.key).or_insert_with(|| {
            keys.push((op.key, Key::default()));
            keys.len() - 1
        });
        let key = &mut keys[place].1;
        let at = Place::of(history, &op);
        // Whoever answers, the client asked the node that it is bound to.
        let bound = history.bound_node(&op);
        let asked = if matches!(history.name(bound), "" | "?") { at } else { Place::Node(bound) };
        if op.settle && history.name(op.function) == "read" && !key.asked.contains(&asked) {
            key.asked.push(asked);
        }
        if op.outcome == Outcome::Fail {
            continue;
        }
        if let Some(why) = forms.other_form(history, &op, initial) {
            return Err(why);
        }
        match act(history, &op)? {
            CallEffect::Write(value) | CallEffect::Cas(_, value) => key.writes.push((value, op)),
            CallEffect::Read(_) => {
                key.reads.push(op);
                if op.settle {
                    key.finals.insert(at, op);
                }
            }
            CallEffect::Differs | CallEffect::Nothing => {}
        }
    }
    Ok(keys)
}

/// The last heal, nanoseconds; the error names a fault that was never shown to be gone.
fn healed(history: &History) -> Result<u64, String> {
    let mut last = 0;
    for fault in history.faults.iter().filter(|fault| fault.begun.is_some()) {
        if !fault.gone() {
            return Err(format!("{} was never shown to be healed", messages::fault(fault)));
        }
        last = last.max(fault.possible().map_or(0, |(_, to)| to));
    }
    Ok(last)
}

fn found(history: &History, kind: &'static str, title: String, key: ValueRef<'_>, ops: &[Op<'_>]) -> Trouble {
    // The other kinds rest on times and faults, which operations do not carry.
    let certified = kind == "thin-air-read";
    let violation = Violation { certified, ..Violation::new(kind, title, Value::Nil, ops.to_vec()) }.on(key);
    Trouble::Broken(Box::new(violation.finding(history)))
}

impl EventualConvergence {
    fn judge(
        &self,
        history: &History,
        name: ValueRef<'_>,
        key: &Key<'_>,
        healed: u64,
        initial: &Initial,
    ) -> Vec<Trouble> {
        let begins = of_key(initial, name).unwrap_or_default();
        let mut troubles = Vec::new();
        let finals: Vec<&Op<'_>> = key.finals.values().collect();
        let Some(first) = finals.first() else {
            return vec![Trouble::Unclear(format!("{} was not read at the end", named(name)))];
        };
        let answered: Vec<String> = key.finals.keys().map(|at| at.name(history)).collect();
        let asked = key.asked.iter().map(|at| at.name(history));
        let mut silent: Vec<String> = history.nodes.iter().cloned().chain(asked).collect();
        silent.sort_unstable();
        silent.dedup();
        silent.retain(|node| !answered.contains(node));
        if !silent.is_empty() {
            let nodes = silent.join(", ");
            troubles.push(Trouble::Unclear(format!("no final read of {} was answered by {nodes}", named(name))));
        }
        let pairs = finals.iter().enumerate().flat_map(|(at, two)| finals[..at].iter().map(move |one| (*one, *two)));
        let differing = pairs.filter(|(one, two)| one.output != two.output);
        let mut told: Vec<Trouble> =
            differing.map(|pair| self.differ(history, name, key, pair, healed)).take(PAIRS).collect();
        let sure = told.iter().position(|trouble| matches!(trouble, Trouble::Broken(_)));
        match told.is_empty() {
            true => troubles.extend(self.last(history, name, key, first, &begins).map(|trouble| match trouble {
                // While a node is silent or writes may be on their way, only what no call wrote is certainly wrong.
                Trouble::Broken(finding) if finding.kind != "thin-air-read" => {
                    let early = self.too_early(key, &finals, healed);
                    match early.filter(|_| silent.is_empty()) {
                        None if silent.is_empty() => Trouble::Broken(finding),
                        Some(waited) => {
                            Trouble::Unclear(format!("{}, but only {waited} ms after the last change", finding.title))
                        }
                        None => Trouble::Unclear(format!("{}, but not all nodes answered", finding.title)),
                    }
                }
                trouble => trouble,
            })),
            false => troubles.push(told.swap_remove(sure.unwrap_or(0))),
        }
        troubles
    }

    /// Milliseconds from the last change that can matter to the first of these reads, if they are too few.
    fn too_early(&self, key: &Key<'_>, reads: &[&Op<'_>], healed: u64) -> Option<u64> {
        let called = reads.iter().map(|read| read.call_time).min().unwrap_or(0);
        let mut quiet = healed;
        let mut unseen = false;
        for (value, write) in &key.writes {
            quiet = quiet.max(write.call_time);
            if write.outcome == Outcome::Ok {
                quiet = quiet.max(write.reply_time);
            } else if reads.iter().any(|read| read.output == *value) {
                let seen = key.reads.iter().filter(|read| read.output == *value).map(|read| read.reply_time).min();
                unseen |= seen.is_none();
                quiet = quiet.max(seen.unwrap_or(0));
            }
        }
        let waited = called.saturating_sub(quiet) / 1_000_000;
        (unseen || called < quiet || waited < self.wait_ms.unwrap_or(WAIT_MS)).then_some(waited)
    }

    fn differ(
        &self,
        history: &History,
        name: ValueRef<'_>,
        key: &Key<'_>,
        (one, two): (&Op<'_>, &Op<'_>),
        healed: u64,
    ) -> Trouble {
        let (here, there) = (Place::of(history, one).name(history), Place::of(history, two).name(history));
        let name = (name, named(name));
        if let Some(waited) = self.too_early(key, &[one, two], healed) {
            let wait = self.wait_ms.unwrap_or(WAIT_MS);
            return Trouble::Unclear(format!(
                "{} differs between {here} and {there}, but only {waited} ms after the last change (wait: {wait} ms)",
                name.1
            ));
        }
        if self.wait_ms.is_none()
            && let Some(why) = key.may_change(history, &[one, two], healed)
        {
            return Trouble::Unclear(format!("{} differs between {here} and {there}, but {why}", name.1));
        }
        let title = format!(
            "{here} and {there} differ on {} for good: {} and {} (#{}, #{})",
            name.1, one.output, two.output, one.call, two.call
        );
        found(history, "diverged-replicas", title, name.0, &[*one, *two])
    }

    /// What all nodes hold: could it be the last value?
    fn last(
        &self,
        history: &History,
        name: ValueRef<'_>,
        key: &Key<'_>,
        read: &Op<'_>,
        begins: &Value,
    ) -> Option<Trouble> {
        let (value, this) = (read.output, named(name));
        // What ended after the read was called need not be in it.
        let certain = |write: &&(ValueRef<'_>, Op<'_>)| write.1.outcome == Outcome::Ok && write.1.reply < read.call;
        let writers: Vec<&Op<'_>> =
            key.writes.iter().filter(|(written, _)| *written == value).map(|(_, write)| write).collect();
        if writers.is_empty() && value != *begins {
            let refused = messages::refused(history, read, &value.to_value());
            let absent = messages::not_done(&refused, "written");
            let title = format!("{this} ended with {value}, {absent} (#{})", read.call);
            return Some(found(history, "thin-air-read", title, name, &[*read]));
        }
        if writers.is_empty() {
            let (written, lost) = key.writes.iter().rev().find(certain)?;
            let how = if begins.is_nil() { "empty".to_owned() } else { format!("with {begins}, as it began,") };
            let title =
                format!("{this} ended {how} after {written} had been acknowledged (#{}, #{})", lost.call, read.call);
            return Some(found(history, "lost-write", title, name, &[*lost, *read]));
        }
        if self.any_written || writers.iter().any(|write| write.outcome == Outcome::Info) {
            return None;
        }
        let latest = key.writes.iter().filter(certain).filter(|(written, _)| *written != value);
        let latest = latest.max_by_key(|(_, write)| write.call)?;
        if writers.iter().any(|write| write.reply >= latest.1.call) {
            return None;
        }
        let mut ops: Vec<Op<'_>> = writers.iter().map(|write| **write).collect();
        ops.extend([latest.1, *read]);
        let title = format!(
            "{this} ended with {value} after {} had replaced it and was acknowledged (#{})",
            latest.0, latest.1.call
        );
        Some(found(history, "superseded-value", title, name, &ops))
    }
}

impl FromInitial for EventualConvergence {
    fn name(&self) -> &str {
        "eventual-convergence"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads(history)
    }

    fn check_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict {
        let mut report = Report::new(history);
        let mut unclear: Vec<String> = Vec::new();
        let (mut checked, mut acknowledged, mut finals, mut tested, mut compared) = (0, 0, 0, 0, 0);
        let healed = healed(history);
        for workload in workloads(history) {
            let keys = match keys(history, workload, initial) {
                Ok(keys) => keys,
                Err(why) => {
                    unclear.push(why);
                    continue;
                }
            };
            for (name, key) in &keys {
                if (budget.expired)() {
                    unclear.push(format!("the time ran out after {}", messages::count(checked, "key")));
                    break;
                }
                checked += 1;
                finals += key.finals.len();
                acknowledged += key.writes.iter().filter(|(_, write)| write.outcome == Outcome::Ok).count();
                tested += usize::from(key.tested());
                compared += usize::from(key.compared());
                for trouble in self.judge(history, *name, key, *healed.as_ref().unwrap_or(&u64::MAX), initial) {
                    match trouble {
                        Trouble::Broken(finding) => report.finding(*finding),
                        Trouble::Unclear(why) => unclear.push(why),
                    }
                }
            }
        }
        unclear.extend(healed.err());
        if !history.realtime {
            report = Report::new(history);
            unclear.insert(0, "the history says nothing about real time".to_owned());
        }
        let bad = report.violations();
        let otherwise = match unclear.first() {
            Some(first) if checked == 0 => (Validity::Unknown, format!("Not decided: {first}.")),
            _ if acknowledged == 0 => {
                (Validity::Unknown, "No write was acknowledged, so nothing can be said.".to_owned())
            }
            Some(first) => (Validity::Unknown, format!("Not decided: {first}.")),
            None if tested == 0 => (
                Validity::Unknown,
                "No key was read at the end after a write of it had been acknowledged, so nothing can be said."
                    .to_owned(),
            ),
            None if compared == 0 => (
                Validity::Unknown,
                "At the end no key was read on two nodes that the history names, so whether all came to \
                 one value is not known."
                    .to_owned(),
            ),
            None => (
                Validity::Valid,
                format!("{} ended with one value that could be the last.", messages::count(checked, "key")),
            ),
        };
        report.numbers([
            ("checked_keys", checked as u64),
            ("bad_keys", bad),
            ("final_reads", finals as u64),
            ("ok_writes", acknowledged as u64),
        ]);
        report.number("undecided", json!(unclear.iter().take(FINDINGS_MAX).collect::<Vec<_>>()));
        let keys = messages::count(bad as usize, "key");
        report.conclude(self.name(), otherwise, |headline| {
            format!("{keys} of {checked} did not converge as promised. {headline}.")
        })
    }

    fn beginnings(&self, history: &History) -> Beginnings {
        beginnings(history, false)
    }
}
