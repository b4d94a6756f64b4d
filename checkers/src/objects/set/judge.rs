//! What became of the elements of one set, by the way in which its final reads were made.
use super::collect::{Add, Members, Set, elements_of};
use crate::history::{History, NameId, Op, Outcome};
use crate::objects::final_reads::{FinalReads, last_words, leaders_at};
use crate::value::ValueRef;
use crate::verdict::messages;

/// What one node holds at the end, by its last final reads; of all together where no node is known, or where reads take
/// away what they return.
pub(super) struct State<'h> {
    pub(super) node: Option<NameId>,
    pub(super) members: Members,
    /// The last of those reads.
    pub(super) last: Op<'h>,
}

/// An acknowledged element that a node had in one final read and lacks in its last.
pub(super) struct Dropped<'h> {
    pub(super) add: Op<'h>,
    pub(super) had: Op<'h>,
    pub(super) lacks: Op<'h>,
}

/// What was found in one set.
pub(super) struct Judged<'h> {
    pub(super) key: ValueRef<'h>,
    pub(super) acknowledged: usize,
    /// Acknowledged and nowhere at the end, where no node can have them.
    pub(super) lost: Vec<Op<'h>>,
    /// The same, where some node may have them.
    pub(super) missing: Vec<Op<'h>>,
    /// Why some node may.
    pub(super) why_missing: String,
    /// Acknowledged, somewhere at the end, and gone from a node that had shown them at the end.
    pub(super) dropped: Vec<Dropped<'h>>,
    /// Acknowledged when no further final read began, and seen by none.
    pub(super) unread: usize,
    /// Seen by a read before, never acknowledged, absent at the end.
    pub(super) vanished: Vec<Op<'h>>,
    /// Never acknowledged, there at the end.
    pub(super) recovered: usize,
    /// Present although never attempted, or only attempted in vain: the element, and the read that saw it.
    pub(super) unexpected: Vec<(ValueRef<'h>, Op<'h>)>,
    /// More than once in one read.
    pub(super) duplicated: Vec<(ValueRef<'h>, Op<'h>)>,
    /// Returned by several reads, each of which took it away.
    pub(super) redelivered: Vec<(ValueRef<'h>, Op<'h>)>,
    /// What the nodes hold whose answers count.
    pub(super) states: Vec<State<'h>>,
    /// What other nodes hold.
    others: Vec<State<'h>>,
    /// Nodes that led while others answered the final reads.
    pub(super) unheard: Vec<String>,
    /// How the final reads were made.
    pub(super) mode: FinalReads,
    pub(super) set: Set<'h>,
}

/// What the final reads say.
struct States<'h> {
    /// Those whose answers count.
    states: Vec<State<'h>>,
    others: Vec<State<'h>>,
    /// Nodes that led, where none of them answered.
    unheard: Vec<String>,
}

fn states<'h>(history: &'h History, set: &Set<'h>, mode: FinalReads) -> States<'h> {
    let ops: Vec<Op<'h>> = set.finals.iter().map(|read| read.op).collect();
    let state = |(node, reads): (Option<NameId>, Vec<usize>)| {
        let last = reads.iter().map(|&place| ops[place]).max_by_key(|op| op.call)?;
        let mut members = Members::default();
        reads.iter().for_each(|&place| members.unite(&set.finals[place].members));
        Some(State { node, members, last })
    };
    if mode == FinalReads::UntilEmpty {
        let all = (None, (0..ops.len()).collect());
        return States { states: state(all).into_iter().collect(), others: Vec::new(), unheard: Vec::new() };
    }
    let mut states: Vec<State<'h>> = last_words(history, &ops).into_iter().filter_map(state).collect();
    let (mut others, mut unheard) = (Vec::new(), Vec::new());
    if mode == FinalReads::Leader {
        let end = ops.iter().map(|op| op.reply).max().unwrap_or(0);
        let leaders = leaders_at(history, end);
        if !leaders.is_empty() {
            let leads = |state: &State<'h>| state.node.is_none_or(|node| leaders.contains(history.name(node)));
            (states, others) = states.into_iter().partition(leads);
            if states.is_empty() {
                unheard = leaders.into_iter().map(str::to_owned).collect();
            }
        }
    }
    States { states, others, unheard }
}

/// Why an element that no answer has may still be there; empty where it cannot.
fn why_missing<'h>(history: &'h History, set: &Set<'h>, mode: FinalReads) -> String {
    if mode.asks_each() {
        let unread = set.unread(history);
        if !unread.is_empty() {
            return format!("{} and may have them", unread.clause());
        }
    }
    if mode.takes_away() && !set.open.is_empty() {
        let count = messages::count(set.open.len(), "read");
        return format!("{count} never ended and may have taken them away");
    }
    let ops: Vec<Op<'_>> = set.finals.iter().map(|read| read.op).collect();
    let emptied = || last_words(history, &ops).into_values().flatten().all(|place| elements_of(&ops[place]).len() == 0);
    if mode == FinalReads::UntilEmpty && !emptied() {
        return "the last read of a node still returned elements, so there may be more".to_owned();
    }
    String::new()
}

/// The final read of a node, before its last, that had the element which its last lacks.
fn dropped<'h>(history: &'h History, set: &Set<'h>, states: &[State<'h>], add: Op<'h>, id: u32) -> Option<Dropped<'h>> {
    states.iter().filter(|state| !state.members.has(id)).find_map(|state| {
        let node = |op: &Op<'h>| messages::placed(history, op).then_some(op.node);
        let had = |op: &&Op<'h>| node(op) == state.node && op.reply < state.last.call;
        let had = set.finals.iter().filter(|read| read.members.has(id)).map(|read| &read.op).rfind(had)?;
        Some(Dropped { add, had: *had, lacks: state.last })
    })
}

/// Elements of final reads that no call tried to add, each with the first read that has it.
fn unexpected<'h>(set: &mut Set<'h>, tried: &Members) -> Vec<(ValueRef<'h>, Op<'h>)> {
    let mut unexpected = Vec::new();
    let mut reported = Members::default();
    for read in &set.finals {
        for element in elements_of(&read.op) {
            let id = set.elements.number(element);
            if !tried.has(id) && reported.insert(id) {
                unexpected.push((element, read.op));
            }
        }
    }
    unexpected
}

pub(super) fn judge<'h>(history: &'h History, key: ValueRef<'h>, mut set: Set<'h>, mode: FinalReads) -> Judged<'h> {
    let States { states, others, unheard } = states(history, &set, mode);
    let mut anywhere = Members::default();
    states.iter().for_each(|state| anywhere.unite(&state.members));
    if mode.takes_away() {
        for read in &set.reads {
            for element in elements_of(read) {
                anywhere.insert(set.elements.number(element));
            }
        }
    }
    let last = states.iter().map(|state| state.last.call).max();
    let asked_after = |index: u64| last.is_some_and(|last| last > index);
    let (mut lost, mut late, mut acknowledged, mut recovered) = (Vec::new(), 0, 0, 0);
    let mut dropped_ones = Vec::new();
    let mut tried = Members::default();
    let mut doubtful: Vec<Add> = Vec::new();
    for &add in &set.adds {
        let op = add.op(history);
        match op.outcome {
            Outcome::Fail => continue,
            Outcome::Ok => {
                acknowledged += 1;
                if anywhere.has(add.id) {
                    if !mode.takes_away() {
                        dropped_ones.extend(dropped(history, &set, &states, op, add.id));
                    }
                } else if asked_after(op.reply) {
                    lost.push(op);
                } else {
                    late += 1;
                }
            }
            Outcome::Info if anywhere.has(add.id) => recovered += 1,
            Outcome::Info => doubtful.push(add),
        }
        tried.insert(add.id);
    }
    let why_missing = if lost.is_empty() { String::new() } else { why_missing(history, &set, mode) };
    let (lost, mut missing) = if why_missing.is_empty() { (lost, Vec::new()) } else { (Vec::new(), lost) };
    if !mode.takes_away() {
        // What a node has shown at the end and lacks later is gone there, whatever others hold.
        missing.retain(|&add| {
            let gone = set.elements.find(add.input).and_then(|id| dropped(history, &set, &states, add, id));
            let stays = gone.is_none();
            dropped_ones.extend(gone);
            stays
        });
    }
    let mut seen: Vec<u64> = Vec::new();
    let (mut duplicated, mut redelivered) = (Vec::new(), Vec::new());
    let (mut twice, mut again) = (Members::default(), Members::default());
    let finals = set.finals.iter().map(|read| read.op);
    // The read in which each element was met last.
    let mut met: Vec<u32> = Vec::new();
    for (at, read) in finals.chain(set.reads.iter().copied()).enumerate() {
        for element in elements_of(&read) {
            let id = set.elements.number(element);
            let place = id as usize;
            if met.len() <= place {
                met.resize((place + 1).max(2 * met.len()), u32::MAX);
                seen.resize(met.len(), u64::MAX);
            }
            match std::mem::replace(&mut met[place], at as u32) {
                before if before == at as u32 && twice.insert(id) => duplicated.push((element, read)),
                before if before < at as u32 && mode.takes_away() && again.insert(id) => {
                    redelivered.push((element, read));
                }
                _ => {}
            }
            seen[place] = seen[place].min(read.reply);
        }
    }
    let known = |add: &&Add| seen.get(add.id as usize).is_some_and(|&index| index != u64::MAX && asked_after(index));
    let vanished = doubtful.iter().filter(known).map(|add| add.op(history)).collect();
    let unexpected = unexpected(&mut set, &tried);
    Judged {
        key,
        acknowledged,
        lost,
        missing,
        why_missing,
        dropped: dropped_ones,
        unread: late,
        vanished,
        recovered,
        unexpected,
        duplicated,
        redelivered,
        states,
        others,
        unheard,
        mode,
        set,
    }
}

/// A node whose last final reads lack what another node's have.
pub(super) struct Lacking<'h> {
    pub(super) state: usize,
    /// Numbers of the elements that it lacks, in the order of their first adds.
    pub(super) elements: Vec<u32>,
    /// How many of them were acknowledged before it was asked.
    pub(super) acknowledged: usize,
    /// The first of those to be acknowledged.
    pub(super) first: Option<Op<'h>>,
}

impl<'h> Judged<'h> {
    /// Nodes whose last final reads lack what another's have, although it may have been added before they were asked.
    pub(super) fn lacking(&self, history: &'h History) -> Vec<Lacking<'h>> {
        let all = || self.states.iter().chain(&self.others);
        if all().count() < 2 {
            return Vec::new();
        }
        let mut anywhere = Members::default();
        all().for_each(|state| anywhere.unite(&state.members));
        let mut found: Vec<Lacking<'h>> = Vec::new();
        for (at, state) in all().enumerate() {
            let mut lacking = Lacking { state: at, elements: Vec::new(), acknowledged: 0, first: None };
            let mut reported = Members::default();
            for add in self.set.adds.iter().filter(|add| anywhere.has(add.id) && !state.members.has(add.id)) {
                let op = add.op(history);
                let certain = op.outcome == Outcome::Ok && op.reply < state.last.call;
                // An add in doubt may have taken effect at any time after its call.
                let possible = op.outcome == Outcome::Info && op.call < state.last.reply;
                if !(certain || possible) {
                    continue;
                }
                if reported.insert(add.id) {
                    lacking.elements.push(add.id);
                }
                if certain {
                    lacking.acknowledged += 1;
                    lacking.first = Some(lacking.first.filter(|first| first.reply <= op.reply).unwrap_or(op));
                }
            }
            if !lacking.elements.is_empty() {
                found.push(lacking);
            }
        }
        found
    }

    /// Where this state was read.
    pub(super) fn place(&self, history: &'h History, state: usize) -> &'h str {
        let state = self.states.iter().chain(&self.others).nth(state);
        state.and_then(|state| state.node).map_or("clients without a node", |node| history.name(node))
    }
}
