//! Registers with repeated values: a set of configurations carried forward over the events of the history.
//!
//! Just-in-time linearization (Lowe, "Testing for linearizability", 2017) with reductions for registers. A configuration
//! speaks only of open operations, so memory depends on the width of the history and not on its length:
//! 1. observations are done the moment the value fits: they never branch;
//! 2. *burying*: when a write takes effect, every other open write could have taken effect just before it. It becomes
//!    optional (done or not, decided at its return) instead of being branched over;
//! 3. an intermediate step is made only to a value for which some open operation waits;
//! 4. indeterminate operations have no identity: they are counts for each (kind, from, to), dropped when nobody can
//!    observe them any more;
//! 5. a configuration that used fewer of them, and has done more, dominates.
//!
//! Never answers from a set that was cut: narrow passes can only prove, the relaxed pass can only refute.
use super::limits::{Limits, Stop};
use super::register::{Act, NIL, RegOp, value_count};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// How many operations may be open at once.
const SLOTS: usize = 128;

/// What one decision came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Some order explains everything.
    Linearizable,
    /// No order explains the returns up to this index.
    Refuted(u64),
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Call(usize),
    Return(usize),
    /// From here on, this indeterminate operation may take effect.
    Possible(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Configuration {
    value: u32,
    /// Open operations that took effect.
    done: u128,
    /// Open writes that may have taken effect, buried by others.
    optional: u128,
    /// How many of each class of indeterminate operations took effect.
    used: Vec<u16>,
}

impl Configuration {
    fn used(&self, class: usize) -> u16 {
        self.used.get(class).copied().unwrap_or(0)
    }
    fn used_in_all(&self) -> u32 {
        self.used.iter().map(|&count| u32::from(count)).sum()
    }
    /// Whether whatever can follow `other` can follow this one too.
    fn dominates(&self, other: &Configuration, observers: u128) -> bool {
        let (mine, theirs) = (self.done & !observers, other.done & !observers);
        (other.done & observers) & !(self.done & observers) == 0
            && mine & !theirs == 0
            && (theirs & !mine) & !self.optional == 0
            && (other.optional & !theirs) & !self.optional == 0
            && self.used.iter().enumerate().all(|(class, &count)| count <= other.used(class))
    }
}

/// Spreads small numbers over the bits of a hash. Values are our own counting numbers, so nobody can aim at it.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }
    fn write_u32(&mut self, number: u32) {
        // Fibonacci hashing (Knuth, TAOCP 3, 6.4).
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(26);
    }
}

/// Configurations of which none dominates another.
#[derive(Default)]
struct Frontier {
    by_value: HashMap<u32, Vec<Configuration>, BuildHasherDefault<Spread>>,
    count: usize,
    /// More than 0: at most so many choices of indeterminate operations for otherwise equal configurations.
    beam: usize,
    cut: bool,
}

impl Frontier {
    fn new(beam: usize) -> Frontier {
        Frontier { beam, ..Frontier::default() }
    }

    fn insert(&mut self, new: Configuration, observers: u128) -> bool {
        let group = self.by_value.entry(new.value).or_default();
        if group.iter().any(|old| old.dominates(&new, observers)) {
            return false;
        }
        let before = group.len();
        group.retain(|old| !new.dominates(old, observers));
        if self.beam > 0 {
            let alike = |old: &&Configuration| old.done == new.done && old.optional == new.optional;
            if group.iter().filter(alike).count() >= self.beam {
                self.cut = true;
                let dearest = (0..group.len())
                    .filter(|&at| alike(&&group[at]))
                    .max_by_key(|&at| group[at].used_in_all())
                    .filter(|&at| group[at].used_in_all() > new.used_in_all());
                let Some(at) = dearest else {
                    self.count = self.count + group.len() - before;
                    return false;
                };
                group.swap_remove(at);
            }
        }
        group.push(new);
        self.count = self.count + group.len() - before;
        true
    }

    fn holds(&self, configuration: &Configuration) -> bool {
        self.by_value.get(&configuration.value).is_some_and(|group| group.contains(configuration))
    }
}

/// How one pass over the history is made.
#[derive(Clone, Copy)]
struct Pass {
    /// An indeterminate operation may take effect any number of times: few configurations; refutes only.
    relaxed: bool,
    /// See [`Frontier::beam`]; 0: no limit.
    beam: usize,
    /// How many configurations are kept after each return; 0: no limit.
    width: usize,
}

/// Decides by passes of growing effort, until one may answer.
pub(crate) fn decide(ops: &[RegOp], limits: &mut Limits<'_>) -> Result<Answer, Stop> {
    let events = events(ops);
    let indeterminate = events.iter().any(|(_, event)| matches!(event, Event::Possible(_)));
    let run = |pass: Pass, limits: &mut Limits<'_>| Forward::new(ops, pass).run(&events, limits);
    let mut width = 16;
    while width <= 4096 {
        let (answer, cut) = run(Pass { relaxed: false, beam: 1, width }, limits)?;
        if answer == Answer::Linearizable || !cut {
            return Ok(answer);
        }
        if width == 16 {
            let (answer, _) = run(Pass { relaxed: true, beam: 0, width: 0 }, limits)?;
            if answer != Answer::Linearizable || !indeterminate {
                return Ok(answer);
            }
        }
        width *= 4;
    }
    let mut beam = 1;
    loop {
        let (answer, cut) = run(Pass { relaxed: false, beam, width: 0 }, limits)?;
        if answer == Answer::Linearizable || !cut {
            return Ok(answer);
        }
        beam *= 4;
    }
}

fn events(ops: &[RegOp]) -> Vec<(u64, Event)> {
    let mut events = Vec::with_capacity(ops.len() * 2);
    for (position, op) in ops.iter().enumerate() {
        if op.definite() {
            events.push((op.call, Event::Call(position)));
            events.push((op.end, Event::Return(position)));
        } else if op.act.writes().is_some() {
            events.push((op.call, Event::Possible(position)));
        }
    }
    events.sort_unstable_by_key(|(index, _)| *index);
    events
}

struct Forward<'a> {
    ops: &'a [RegOp],
    pass: Pass,
    /// How many operations that may still happen wait for each value.
    waiting: Vec<i64>,
    /// How many operations may still observe "another value".
    differs: i64,
    /// Slots of open operations, by position.
    slot_of: Vec<u8>,
    slots: [Option<Act>; SLOTS],
    open: u128,
    observers: u128,
    writes: u128,
    /// Classes of indeterminate operations: what they do, how many there are.
    classes: Vec<Option<(Act, u16)>>,
    configurations: Vec<Configuration>,
    cut: bool,
}

impl<'a> Forward<'a> {
    fn new(ops: &'a [RegOp], pass: Pass) -> Forward<'a> {
        let mut waiting = vec![0; value_count(ops)];
        let mut differs = 0;
        for op in ops {
            match op.act {
                Act::Read(value) | Act::Cas(value, _) => waiting[value as usize] += 1,
                Act::Differs(_) => differs += 1,
                Act::Write(_) => {}
            }
        }
        let start = Configuration { value: NIL, done: 0, optional: 0, used: Vec::new() };
        Forward {
            ops,
            pass,
            waiting,
            differs,
            slot_of: vec![0; ops.len()],
            slots: [None; SLOTS],
            open: 0,
            observers: 0,
            writes: 0,
            classes: Vec::new(),
            configurations: vec![start],
            cut: false,
        }
    }

    fn run(mut self, events: &[(u64, Event)], limits: &mut Limits<'_>) -> Result<(Answer, bool), Stop> {
        for &(index, event) in events {
            match event {
                Event::Possible(position) => self.possible(self.ops[position].act)?,
                Event::Call(position) => self.call(position)?,
                Event::Return(position) => {
                    if !self.give_back(position, limits)? {
                        return Ok((Answer::Refuted(index), self.cut));
                    }
                    limits.reached(index);
                }
            }
        }
        Ok((Answer::Linearizable, self.cut))
    }

    fn possible(&mut self, act: Act) -> Result<(), Stop> {
        let leaves = act.writes().unwrap_or(NIL);
        if self.waiting[leaves as usize] <= 0 && self.differs == 0 {
            if let Some(needed) = act.needs() {
                self.waiting[needed as usize] -= 1;
            }
            return Ok(());
        }
        let same = |class: &Option<(Act, u16)>| class.is_some_and(|(known, _)| known == act);
        match self.classes.iter().position(same) {
            Some(class) => {
                if let Some((_, count)) = &mut self.classes[class] {
                    *count = count.checked_add(1).ok_or(Stop::Width)?;
                }
            }
            None => match self.classes.iter().position(Option::is_none) {
                Some(free) => self.classes[free] = Some((act, 1)),
                None => self.classes.push(Some((act, 1))),
            },
        }
        Ok(())
    }

    fn call(&mut self, position: usize) -> Result<(), Stop> {
        let slot = (!self.open).trailing_zeros() as usize;
        if slot >= SLOTS {
            return Err(Stop::Width);
        }
        let act = self.ops[position].act;
        let bit = 1 << slot;
        self.open |= bit;
        self.slot_of[position] = slot as u8;
        self.slots[slot] = Some(act);
        match act {
            Act::Read(_) | Act::Differs(_) => self.observers |= bit,
            Act::Write(_) => self.writes |= bit,
            Act::Cas(..) => {}
        }
        for configuration in &mut self.configurations {
            settle_slot(configuration, act, bit);
        }
        Ok(())
    }

    /// An operation returned: every configuration must have it done. False when none can.
    fn give_back(&mut self, position: usize, limits: &mut Limits<'_>) -> Result<bool, Stop> {
        let slot = usize::from(self.slot_of[position]);
        let bit = 1u128 << slot;
        let after = self.observers & !bit;
        let mut out = Frontier::new(self.pass.beam);
        let mut seen = Frontier::new(self.pass.beam);
        let mut work = Vec::new();
        for configuration in std::mem::take(&mut self.configurations) {
            if configuration.done & bit != 0 {
                out.insert(without(configuration, bit), after);
                continue;
            }
            if configuration.optional & bit != 0 {
                out.insert(without(configuration.clone(), bit), after);
            }
            if seen.insert(configuration.clone(), self.observers) {
                work.push(configuration);
            }
        }
        let mut next = 0;
        while next < work.len() {
            let configuration = work[next].clone();
            next += 1;
            // One that was put here earlier may be dominated by now.
            if !seen.holds(&configuration) {
                continue;
            }
            let bytes = (work.len() + out.count + seen.count) * (80 + 2 * self.classes.len());
            limits.step(bytes as u64)?;
            self.expand(&configuration, slot, &mut |reached| {
                if reached.done & bit != 0 {
                    out.insert(without(reached, bit), after);
                } else if seen.insert(reached.clone(), self.observers) {
                    work.push(reached);
                }
            });
        }
        self.cut |= out.cut | seen.cut;
        self.configurations = out.by_value.into_values().flatten().collect();
        if self.configurations.is_empty() {
            return Ok(false);
        }
        self.narrow(bit);
        let act = self.slots[slot].take();
        self.open &= !bit;
        self.observers &= !bit;
        self.writes &= !bit;
        self.forget(act);
        Ok(true)
    }

    /// Every single step from a configuration that may help to get the operation in `slot` done.
    fn expand(&self, from: &Configuration, slot: usize, reach: &mut impl FnMut(Configuration)) {
        let pending = self.open & !from.done;
        let useful = |value: u32| self.useful(value, pending, from);
        let mut rest = pending & !self.observers;
        while rest != 0 {
            let at = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            match self.slots[at] {
                Some(Act::Write(value)) if at == slot || useful(value) => {
                    reach(self.arrive(from, value, true, 1 << at))
                }
                Some(Act::Cas(needed, value)) if needed == from.value => {
                    reach(self.arrive(from, value, false, 1 << at));
                }
                _ => {}
            }
        }
        for (class, known) in self.classes.iter().enumerate() {
            let Some((act, count)) = *known else { continue };
            if from.used(class) >= count {
                continue;
            }
            let (value, blind) = match act {
                Act::Write(value) => (value, true),
                Act::Cas(needed, value) if needed == from.value => (value, false),
                _ => continue,
            };
            // Writing the value that is there already is useful when it buries something.
            let buries = blind && pending & self.writes & !from.optional != 0;
            if !useful(value) || (value == from.value && !buries) {
                continue;
            }
            let mut reached = self.arrive(from, value, blind, 0);
            if !self.pass.relaxed {
                if reached.used.len() <= class {
                    reached.used.resize(class + 1, 0);
                }
                reached.used[class] += 1;
            }
            reach(reached);
        }
    }

    /// Whether some operation waits for this value.
    fn useful(&self, value: u32, pending: u128, from: &Configuration) -> bool {
        let mut rest = pending & !self.writes;
        while rest != 0 {
            let at = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            match self.slots[at] {
                Some(Act::Read(needed) | Act::Cas(needed, _)) if needed == value => return true,
                Some(Act::Differs(other)) if other != value => return true,
                _ => {}
            }
        }
        self.classes.iter().enumerate().any(|(class, known)| match known {
            Some((Act::Cas(needed, _), count)) => *needed == value && from.used(class) < *count,
            _ => false,
        })
    }

    /// The configuration after a write or compare-and-set brought `value`.
    fn arrive(&self, from: &Configuration, value: u32, blind: bool, own: u128) -> Configuration {
        let mut reached = from.clone();
        reached.value = value;
        reached.done |= own;
        reached.optional &= !own;
        let pending = self.open & !reached.done;
        if blind {
            reached.optional |= pending & self.writes;
        }
        let mut rest = pending & (self.observers | self.writes);
        while rest != 0 {
            let at = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if let Some(act) = self.slots[at] {
                settle_slot(&mut reached, act, 1 << at);
            }
        }
        reached
    }

    /// Keeps the most promising configurations where the pass is a narrow one: one of each value first, then the cheapest.
    fn narrow(&mut self, bit: u128) {
        let width = self.pass.width;
        if width == 0 || self.configurations.len() <= width {
            return;
        }
        self.cut = true;
        let open = self.open & !bit;
        self.configurations.sort_by_key(|one| {
            let missing = (open & !one.done & !one.optional).count_ones();
            (one.used_in_all(), missing, one.value, one.done, one.optional)
        });
        let mut values: Vec<u32> = Vec::new();
        let (mut first, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.configurations).into_iter().partition(|one| {
                let new = !values.contains(&one.value);
                if new {
                    values.push(one.value);
                }
                new
            });
        first.extend(rest);
        first.truncate(width);
        self.configurations = first;
    }

    /// Drops classes that nobody can observe any more, and uses that every configuration has made.
    fn forget(&mut self, returned: Option<Act>) {
        match returned {
            Some(Act::Read(value) | Act::Cas(value, _)) => self.waiting[value as usize] -= 1,
            Some(Act::Differs(_)) => self.differs -= 1,
            Some(Act::Write(_)) | None => {}
        }
        if self.classes.is_empty() {
            return;
        }
        for class in 0..self.classes.len() {
            let least = self.configurations.iter().map(|one| one.used(class)).min().unwrap_or(0);
            if least > 0 {
                for configuration in &mut self.configurations {
                    configuration.used[class] -= least;
                }
                self.take_from_class(class, least);
            }
        }
        while self.differs == 0 {
            let unseen = |known: &Option<(Act, u16)>| {
                known.is_some_and(|(act, _)| act.writes().is_some_and(|value| self.waiting[value as usize] <= 0))
            };
            let Some(class) = self.classes.iter().position(unseen) else { break };
            let count = self.classes[class].map_or(0, |(_, count)| count);
            self.take_from_class(class, count);
            for configuration in &mut self.configurations {
                if let Some(used) = configuration.used.get_mut(class) {
                    *used = 0;
                }
            }
        }
    }

    fn take_from_class(&mut self, class: usize, taken: u16) {
        let Some((act, count)) = self.classes[class] else { return };
        if let Some(needed) = act.needs() {
            self.waiting[needed as usize] -= i64::from(taken);
        }
        self.classes[class] = (count > taken).then_some((act, count - taken));
    }
}

/// Does an open observation that fits, and marks an open write whose value is there already as optional.
fn settle_slot(configuration: &mut Configuration, act: Act, bit: u128) {
    match act {
        Act::Read(value) if value == configuration.value => configuration.done |= bit,
        Act::Differs(value) if value != configuration.value => configuration.done |= bit,
        Act::Write(value) if value == configuration.value => configuration.optional |= bit,
        _ => {}
    }
}

fn without(mut configuration: Configuration, bit: u128) -> Configuration {
    configuration.done &= !bit;
    configuration.optional &= !bit;
    configuration
}
