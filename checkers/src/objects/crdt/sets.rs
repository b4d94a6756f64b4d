//! Sets: what must be there, what cannot be, and what may be either.
use super::{Object, held, same_clocks, value_of};
use crate::history::{History, Op, Outcome};
use crate::value::ValueRef;
use crate::verdict::Report;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use std::collections::{BTreeMap, HashMap};

/// The attempts on one element, of those that may have taken effect.
#[derive(Default)]
struct Element<'h> {
    adds: Vec<Op<'h>>,
    removes: Vec<Op<'h>>,
}

/// What the replicas have to show of an element once all is quiet, and the operations that say so.
enum Expected<'h> {
    Present(Vec<Op<'h>>),
    Absent(Vec<Op<'h>>),
    Either,
}

impl<'h> Element<'h> {
    fn expected(&self) -> Expected<'h> {
        let removed = self.removes.iter().map(|op| op.end()).max();
        let kept = self.adds.iter().rfind(|add| add.outcome == Outcome::Ok && removed.is_none_or(|end| end < add.call));
        if let Some(add) = kept {
            return Expected::Present(self.removes.iter().copied().chain([*add]).collect());
        }
        let observed = |add: &Op<'h>| {
            let by =
                |remove: &&Op<'h>| remove.outcome == Outcome::Ok && remove.node == add.node && add.end() < remove.call;
            self.removes.iter().find(by).copied()
        };
        let removes: Option<Vec<Op<'h>>> = self.adds.iter().map(observed).collect();
        match removes {
            Some(removes) if !self.adds.is_empty() => {
                Expected::Absent(removes.into_iter().chain(self.adds.iter().copied()).collect())
            }
            _ => Expected::Either,
        }
    }

    fn doubtful(&self) -> bool {
        self.adds.iter().chain(&self.removes).any(|op| op.outcome == Outcome::Info)
    }
}

/// Elements by a number of their own, so that each is hashed once for each time it is shown.
#[derive(Default)]
struct Elements<'h> {
    ids: HashMap<ValueRef<'h>, u32>,
    values: Vec<ValueRef<'h>>,
    known: Vec<Element<'h>>,
}

impl<'h> Elements<'h> {
    fn id(&mut self, value: ValueRef<'h>) -> u32 {
        let next = self.values.len() as u32;
        let id = *self.ids.entry(value).or_insert(next);
        if id == next {
            self.values.push(value);
            self.known.push(Element::default());
        }
        id
    }

    /// What a read shows, each element once.
    fn shown(&mut self, read: &Op<'h>) -> Vec<u32> {
        let elements = value_of(read).as_list().unwrap_or_default();
        let mut ids: Vec<u32> = elements.iter().map(|element| self.id(element)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// A read with its elements.
struct Shown<'h> {
    read: Op<'h>,
    ids: Vec<u32>,
}

impl Shown<'_> {
    fn has(&self, id: u32) -> bool {
        self.ids.binary_search(&id).is_ok()
    }
}

/// Elements of a read that take as long as one operation.
const PER_STEP: usize = 16;

/// How many operations are of another shape. Nothing is judged where the time was up.
pub(super) fn judge<'h>(
    history: &'h History,
    object: &Object<'h>,
    grows: bool,
    poll: &mut BudgetPoll<'_>,
    report: &mut Report<'h>,
) -> usize {
    let mut elements = Elements::default();
    for op in &object.updates {
        let id = elements.id(op.input);
        let element = &mut elements.known[id as usize];
        if history.name(op.function) == "remove" { &mut element.removes } else { &mut element.adds }.push(*op);
    }
    let mut reads: Vec<Shown<'h>> = Vec::with_capacity(object.reads.len());
    for read in &object.reads {
        if poll.over(1 + value_of(read).as_list().map_or(0, |list| list.len()) / PER_STEP) {
            return 0;
        }
        reads.push(Shown { read: *read, ids: elements.shown(read) });
    }
    let mut unclear = 0;
    for Shown { read, ids } in &reads {
        unclear += usize::from(value_of(read).as_list().is_none() && !value_of(read).is_nil());
        for &id in ids {
            if elements.known[id as usize].adds.first().is_none_or(|add| add.call > read.reply) {
                let element = elements.values[id as usize];
                report.violation("unexpected-element", || {
                    let refused = messages::refused(history, read, &element.to_value());
                    let absent = messages::not_done(&refused, "added");
                    let title = format!("#{} shows {element}, {absent}", read.call);
                    let reason = "No add that may have taken effect was called before that reply.".to_owned();
                    object.violation(title, vec![*read], element.to_value(), reason)
                });
            }
        }
    }
    let last = |read: &Op<'h>| reads.iter().rfind(|shown| shown.read.position == read.position);
    let finals: Vec<&Shown<'h>> = object.finals.iter().filter_map(last).collect();
    for (id, element) in elements.values.iter().enumerate() {
        fates(object, *element, elements.known[id].expected(), |read| read.has(id as u32), &finals, report);
    }
    same_clocks(object, |one, two| held(one) == held(two), report);
    convergence(history, object, &elements, &finals, report);
    if grows {
        let mut nodes: BTreeMap<&str, Vec<&Shown<'h>>> = BTreeMap::new();
        for shown in reads.iter().filter(|shown| messages::placed(history, &shown.read)) {
            nodes.entry(history.name(shown.read.node)).or_default().push(shown);
        }
        for reads in nodes.values() {
            shrunk(history, object, &elements, reads, report);
        }
    }
    unclear
}

fn fates<'h>(
    object: &Object<'h>,
    element: ValueRef<'h>,
    expected: Expected<'h>,
    has: impl Fn(&Shown<'h>) -> bool,
    finals: &[&Shown<'h>],
    report: &mut Report<'h>,
) {
    let read = |present: bool| finals.iter().find(|shown| has(shown) == present).map(|shown| shown.read);
    match expected {
        Expected::Present(ops) => {
            let Some(read) = read(false) else { return };
            let nowhere = !finals.iter().any(|shown| has(shown));
            object.lacking("lost-element", nowhere, report, || {
                let title = format!("{element} was added, is removed by no call, and #{} lacks it", read.call);
                let reason =
                    format!("An add of {element} was acknowledged, and every attempt to remove it had ended before.");
                object.quiet(title, ops.into_iter().chain([read]).collect(), element.to_value(), reason)
            });
        }
        Expected::Absent(ops) => {
            let Some(read) = read(true) else { return };
            let everywhere = finals.iter().all(|shown| has(shown));
            object.lacking("resurrected-element", everywhere, report, || {
                let title = format!("{element} was removed, is added by no call since, and #{} shows it", read.call);
                let reason =
                    format!("Each add of {element} was acknowledged on a node that acknowledged a remove of it later.");
                object.quiet(title, ops.into_iter().chain([read]).collect(), element.to_value(), reason)
            });
        }
        Expected::Either => {}
    }
}

/// Elements that some final reads have and others lack: one for certain, or else one in doubt.
fn convergence<'h>(
    history: &'h History,
    object: &Object<'h>,
    elements: &Elements<'h>,
    finals: &[&Shown<'h>],
    report: &mut Report<'h>,
) {
    let mut doubt = None;
    for one in finals {
        for &id in &one.ids {
            let Some(two) = finals.iter().find(|two| !two.has(id)) else { continue };
            if !elements.known[id as usize].doubtful() {
                return object.differ(history, one.read, two.read, false, report);
            }
            doubt = doubt.or(Some((one.read, two.read)));
        }
    }
    if let Some((one, two)) = doubt {
        object.differ(history, one, two, true, report);
    }
}

/// On one node, whatever a read showed that had ended before must be there still. Elements are ranked by the reply that
/// first showed them, so that what is due is a prefix.
fn shrunk<'h>(
    history: &'h History,
    object: &Object<'h>,
    elements: &Elements<'h>,
    reads: &[&Shown<'h>],
    report: &mut Report<'h>,
) {
    let mut first: Vec<(u64, u32)> = vec![(Op::OPEN, 0); elements.values.len()];
    for Shown { read, ids } in reads {
        for &id in ids {
            let known = &mut first[id as usize];
            *known = (*known).min((read.reply, read.position));
        }
    }
    let mut ranked: Vec<((u64, u32), u32)> = (0..).zip(&first).map(|(id, known)| (*known, id)).collect();
    ranked.sort_unstable();
    for shown in reads {
        let read = shown.read;
        let due = ranked.partition_point(|((reply, _), _)| *reply < read.call);
        if shown.ids.iter().filter(|id| first[**id as usize].0 < read.call).count() == due {
            continue;
        }
        report.violation("shrunk", || {
            let lacking = ranked[..due].iter().find(|(_, id)| !shown.has(*id));
            let ((_, earlier), id) = lacking.copied().unwrap_or_default();
            let (earlier, element) = (history.ops().at(earlier as usize), elements.values[id as usize]);
            let title = format!("{} showed {element} and later did not", history.name(read.node));
            let reason = "A set that only grows never shows less on the same replica.".to_owned();
            object.quiet(title, vec![earlier, read], element.to_value(), reason)
        });
    }
}
