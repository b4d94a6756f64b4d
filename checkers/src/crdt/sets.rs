//! Sets: what must be there, what cannot be, and what may be either.
use super::{Object, same_clocks, value_of};
use crate::contract::Breaches;
use crate::history::{History, Op, Outcome};
use crate::value::ValueRef;
use std::collections::{HashMap, HashSet};

/// The attempts on one element, of those that may have taken effect.
#[derive(Default)]
struct Element<'h> {
    adds: Vec<Op<'h>>,
    removes: Vec<Op<'h>>,
}

/// What the replicas have to show of an element once all is quiet, and the operations that say so.
enum Fate<'h> {
    Present(Vec<Op<'h>>),
    Absent(Vec<Op<'h>>),
    Either,
}

impl<'h> Element<'h> {
    fn fate(&self) -> Fate<'h> {
        let removed = self.removes.iter().map(|op| op.end()).max();
        let kept = self.adds.iter().rfind(|add| add.outcome == Outcome::Ok && removed.is_none_or(|end| end < add.call));
        if let Some(add) = kept {
            return Fate::Present(self.removes.iter().copied().chain([*add]).collect());
        }
        let observed = |add: &Op<'h>| {
            let by =
                |remove: &&Op<'h>| remove.outcome == Outcome::Ok && remove.node == add.node && add.end() < remove.call;
            self.removes.iter().find(by).copied()
        };
        let removes: Option<Vec<Op<'h>>> = self.adds.iter().map(observed).collect();
        match removes {
            Some(removes) if !self.adds.is_empty() => {
                Fate::Absent(removes.into_iter().chain(self.adds.iter().copied()).collect())
            }
            _ => Fate::Either,
        }
    }

    fn doubtful(&self) -> bool {
        self.adds.iter().chain(&self.removes).any(|op| op.outcome == Outcome::Info)
    }
}

type Elements<'h> = HashMap<ValueRef<'h>, Element<'h>>;

fn shown<'h>(read: &Op<'h>) -> impl Iterator<Item = ValueRef<'h>> + use<'h> {
    value_of(read).as_list().unwrap_or_default().iter()
}

fn sorted<'h>(read: &Op<'h>) -> Vec<ValueRef<'h>> {
    let mut elements: Vec<ValueRef<'h>> = shown(read).collect();
    elements.sort_unstable();
    elements.dedup();
    elements
}

/// How many operations are of another shape.
pub(super) fn judge<'h>(history: &'h History, object: &Object<'h>, grows: bool, breaches: &mut Breaches<'h>) -> usize {
    let mut elements: Elements<'h> = HashMap::new();
    let mut order: Vec<ValueRef<'h>> = Vec::new();
    for op in &object.updates {
        let element = elements.entry(op.input).or_insert_with(|| {
            order.push(op.input);
            Element::default()
        });
        if history.name(op.function) == "remove" { &mut element.removes } else { &mut element.adds }.push(*op);
    }
    let mut unclear = 0;
    for read in &object.reads {
        unclear += usize::from(value_of(read).as_list().is_none() && !value_of(read).is_nil());
        for element in shown(read) {
            let added = elements.get(&element).and_then(|known| known.adds.first());
            if added.is_none_or(|add| add.call > read.reply) {
                breaches.violation("unexpected-element", || {
                    let title = format!("#{} shows {element}, which nobody had added", read.call);
                    let reason = "No add that may have taken effect was called before that reply.".to_owned();
                    object.breach(title, vec![*read], element.to_value(), reason)
                });
            }
        }
    }
    let finals: Vec<HashSet<ValueRef<'h>>> = object.finals.iter().map(|read| shown(read).collect()).collect();
    for element in &order {
        fates(object, *element, elements[element].fate(), &finals, breaches);
    }
    same_clocks(object, |one, two| sorted(one) == sorted(two), breaches);
    convergence(history, object, &elements, &finals, breaches);
    if grows {
        for reads in object.by_node(history) {
            shrunk(history, object, &reads, breaches);
        }
    }
    unclear
}

fn fates<'h>(
    object: &Object<'h>,
    element: ValueRef<'h>,
    fate: Fate<'h>,
    finals: &[HashSet<ValueRef<'h>>],
    breaches: &mut Breaches<'h>,
) {
    let read =
        |present: bool| finals.iter().position(|seen| seen.contains(&element) == present).map(|at| object.finals[at]);
    match fate {
        Fate::Present(ops) => {
            let Some(read) = read(false) else { return };
            breaches.violation("lost-element", || {
                let title = format!("{element} was added, is removed by nobody, and #{} lacks it", read.call);
                let reason =
                    format!("An add of {element} was acknowledged, and every attempt to remove it had ended before.");
                object.breach(title, ops.into_iter().chain([read]).collect(), element.to_value(), reason)
            });
        }
        Fate::Absent(ops) => {
            let Some(read) = read(true) else { return };
            breaches.violation("resurrected-element", || {
                let title = format!("{element} was removed, is added by nobody since, and #{} shows it", read.call);
                let reason =
                    format!("Each add of {element} was acknowledged on a node that acknowledged a remove of it later.");
                object.breach(title, ops.into_iter().chain([read]).collect(), element.to_value(), reason)
            });
        }
        Fate::Either => {}
    }
}

/// Elements that some final reads have and others lack: one for certain, or else one in doubt.
fn convergence<'h>(
    history: &'h History,
    object: &Object<'h>,
    elements: &Elements<'h>,
    finals: &[HashSet<ValueRef<'h>>],
    breaches: &mut Breaches<'h>,
) {
    let mut doubt = None;
    for (at, read) in object.finals.iter().enumerate() {
        for element in shown(read) {
            let Some(other) = finals.iter().position(|seen| !seen.contains(&element)) else { continue };
            if elements.get(&element).is_none_or(|known| !known.doubtful()) {
                return object.differ(history, object.finals[at], object.finals[other], false, breaches);
            }
            doubt = doubt.or(Some((at, other)));
        }
    }
    if let Some((one, two)) = doubt {
        object.differ(history, object.finals[one], object.finals[two], true, breaches);
    }
}

/// On one node, whatever a read showed that had ended before must be there still. Elements are ranked by the reply that
/// first showed them, so that what is due is a prefix.
fn shrunk<'h>(history: &'h History, object: &Object<'h>, reads: &[Op<'h>], breaches: &mut Breaches<'h>) {
    let mut first: HashMap<ValueRef<'h>, (u64, u32)> = HashMap::new();
    for read in reads {
        for element in shown(read) {
            let known = first.entry(element).or_insert((read.reply, read.position));
            *known = (*known).min((read.reply, read.position));
        }
    }
    let mut ranked: Vec<((u64, u32), ValueRef<'h>)> = first.iter().map(|(element, known)| (*known, *element)).collect();
    ranked.sort_unstable();
    for read in reads {
        let due = ranked.partition_point(|((reply, _), _)| *reply < read.call);
        let has: HashSet<ValueRef<'h>> = shown(read).filter(|element| first[element].0 < read.call).collect();
        if has.len() == due {
            continue;
        }
        let Some(((_, earlier), element)) = ranked[..due].iter().find(|(_, element)| !has.contains(element)) else {
            continue;
        };
        let earlier = history.ops().at(*earlier as usize);
        breaches.violation("shrunk", || {
            let title = format!("{} showed {element} and later did not", history.name(read.node));
            let reason = "A set that only grows never shows less on the same replica.".to_owned();
            object.breach(title, vec![earlier, *read], element.to_value(), reason)
        });
    }
}
