//! Registers with repeated values: a set of configurations carried forward over the events of the history.
//!
//! Just-in-time linearization (Lowe, "Testing for linearizability", 2017) with reductions for registers. A configuration
//! speaks only of open operations, so memory depends on the width of the history and not on its length:
//! 1. observations are done the moment the value fits: they never branch;
//! 2. *burying*: when a write takes effect, every other open write could have taken effect just before it. It becomes
//!    optional (done or not, decided at its return) instead of being branched over;
//! 3. an intermediate step is made only to a value for which some open operation waits;
//! 4. of operations that do the same, the one that must end first is taken first: the others can stand in for it later;
//! 5. indeterminate operations have no identity: they are counts for each (kind, from, to), taken when no other open
//!    operation does the same, dropped when nobody can observe them any more;
//! 6. a configuration that used fewer of them, and has done more, dominates.
//!
//! Says of a set that was cut so: see [`Machine::cut`].
use super::limits::{Limits, Stop};
use super::register::{Act, NIL};
use super::timeline::{Event, SLOTS, Timeline};
use std::cell::Cell;
use std::collections::HashSet;

/// What has happened so far, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Configuration<const N: usize> {
    pub(crate) value: u32,
    /// The last step that led here, for a witness; [`super::witness::Paths`].
    pub(crate) path: u32,
    /// Open operations that took effect.
    pub(crate) done: u128,
    /// Open writes that may have taken effect, buried by others.
    pub(crate) optional: u128,
    /// How many of each class of indeterminate operations took effect.
    pub(crate) used: [u8; N],
}

impl<const N: usize> Configuration<N> {
    fn used_in_all(&self) -> u32 {
        self.used.iter().map(|&count| u32::from(count)).sum()
    }

    /// Whether whatever can follow `other` can follow this one too. Both have the same value.
    fn dominates(&self, other: &Configuration<N>, observers: u128) -> bool {
        let (mine, theirs) = (self.done & !observers, other.done & !observers);
        other.done & observers & !self.done == 0
            && mine & !theirs == 0
            && theirs & !mine & !self.optional == 0
            && other.optional & !theirs & !self.optional == 0
            && self.used.iter().zip(&other.used).fold(true, |fewer, (mine, theirs)| fewer & (mine <= theirs))
    }
}

/// Configurations of which none dominates another, by value.
#[derive(Default)]
struct Frontier<const N: usize> {
    groups: Vec<(u32, Vec<Configuration<N>>)>,
    /// Groups in use; the others only keep their memory.
    live: usize,
    count: usize,
}

impl<const N: usize> Frontier<N> {
    fn clear(&mut self) {
        self.groups[..self.live].iter_mut().for_each(|(_, group)| group.clear());
        self.live = 0;
        self.count = 0;
    }

    fn insert(&mut self, new: Configuration<N>, observers: u128) -> bool {
        let at = match self.groups[..self.live].iter().position(|(value, _)| *value == new.value) {
            Some(at) => at,
            None => {
                if self.live == self.groups.len() {
                    self.groups.push((new.value, Vec::new()));
                }
                self.groups[self.live].0 = new.value;
                self.live += 1;
                self.live - 1
            }
        };
        let group = &mut self.groups[at].1;
        if group.iter().any(|old| old.dominates(&new, observers)) {
            return false;
        }
        let before = group.len();
        group.retain(|old| !new.dominates(old, observers));
        group.push(new);
        self.count = self.count + group.len() - before;
        true
    }

    fn holds(&self, one: &Configuration<N>) -> bool {
        let same =
            |old: &Configuration<N>| old.done == one.done && old.optional == one.optional && old.used == one.used;
        self.groups[..self.live].iter().any(|(value, group)| *value == one.value && group.iter().any(same))
    }

    fn bytes(&self) -> usize {
        self.groups.iter().map(|(_, group)| group.capacity()).sum::<usize>() * size_of::<Configuration<N>>()
    }
}

/// Open operations that concern one value, by slot.
#[derive(Clone, Copy, Default)]
struct Masks {
    reads: u128,
    writes: u128,
    /// Compare-and-sets that need it.
    cas: u128,
    differs: u128,
}

/// Indeterminate operations that do the same and may take effect from now on; none: `count` is 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    pub(crate) act: Act,
    pub(crate) count: u32,
    /// Position of one of them.
    example: u32,
}

/// Told of each step that was taken on purpose: the path before, the event, the position of the operation (of an
/// indeterminate one: of one that does the same). Returns the path after.
pub(crate) type Record<'r> = &'r mut dyn FnMut(u32, u32, u32) -> u32;

/// The set at one event of the history, and how it goes on.
pub(crate) struct Machine<'t, const N: usize> {
    pub(crate) time: &'t Timeline<'t>,
    /// An indeterminate operation may take effect any number of times: few configurations; refutes only.
    relaxed: bool,
    /// The next event.
    pub(crate) at: usize,
    open: u128,
    observers: u128,
    writes: u128,
    differs: u128,
    acts: [(Act, u64, u32); SLOTS],
    masks: Vec<Masks>,
    pub(crate) classes: Vec<Class>,
    pub(crate) configurations: Vec<Configuration<N>>,
    /// Whether something that is possible was left out: then an empty set refutes nothing.
    pub(crate) cut: bool,
    /// Whether something was used as often as can be counted.
    saturated: Cell<bool>,
    out: Frontier<N>,
    seen: Frontier<N>,
    work: Vec<Configuration<N>>,
}

impl<'t, const N: usize> Machine<'t, N> {
    /// At the beginning, where the register is empty.
    pub(crate) fn new(time: &'t Timeline<'t>, relaxed: bool) -> Machine<'t, N> {
        Machine {
            time,
            relaxed,
            at: 0,
            open: 0,
            observers: 0,
            writes: 0,
            differs: 0,
            acts: [(Act::Read(NIL), 0, 0); SLOTS],
            masks: vec![Masks::default(); time.values()],
            classes: Vec::new(),
            configurations: vec![Configuration { value: NIL, path: 0, done: 0, optional: 0, used: [0; N] }],
            cut: false,
            saturated: Cell::new(false),
            out: Frontier::default(),
            seen: Frontier::default(),
            work: Vec::new(),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        let configurations = self.configurations.capacity() + self.work.capacity();
        (self.masks.capacity() * size_of::<Masks>()
            + configurations * size_of::<Configuration<N>>()
            + self.out.bytes()
            + self.seen.bytes()) as u64
    }

    /// Passes the next event, keeping at most `width` configurations. False when no configuration can pass it; then, and
    /// on an error, everything is as before.
    pub(crate) fn pass(
        &mut self,
        width: usize,
        thrifty: bool,
        limits: &mut Limits<'_>,
        held: u64,
        record: Record<'_>,
    ) -> Result<bool, Stop> {
        match self.time.events[self.at] {
            Event::Possible(position) => self.possible(position),
            Event::Call(position) => self.call(position),
            Event::Return(position) => {
                if !self.give_back(position, width, thrifty, limits, held, record)? {
                    return Ok(false);
                }
            }
        }
        self.at += 1;
        Ok(true)
    }

    /// Goes to another event. The configurations and classes there are the caller's.
    pub(crate) fn wind(&mut self, to: usize) {
        while self.at > to {
            self.at -= 1;
            match self.time.events[self.at] {
                Event::Call(position) => self.close(position),
                Event::Return(position) => self.open(position),
                Event::Possible(_) => {}
            }
        }
        while self.at < to {
            match self.time.events[self.at] {
                Event::Call(position) => self.open(position),
                Event::Return(position) => self.close(position),
                Event::Possible(_) => {}
            }
            self.at += 1;
        }
    }

    /// Makes the set the largest that can be here: every value somebody may need, everything done that helps, every
    /// compare-and-set done or not. False when that would be too many.
    pub(crate) fn assume_anything(&mut self, at_most: usize) -> bool {
        self.configurations.clear();
        self.classes.clear();
        if self.at == 0 {
            self.configurations.push(Configuration { value: NIL, path: 0, done: 0, optional: 0, used: [0; N] });
            return true;
        }
        let mut values: Vec<u32> =
            (0..self.time.values() as u32).filter(|&value| self.time.needed_after(value, self.at)).collect();
        // One that nobody needs stands for all such.
        values.extend((0..self.time.values() as u32).find(|&value| !self.time.needed_after(value, self.at)));
        let cas = self.open & !self.observers & !self.writes;
        if cas.count_ones() > 6 || values.len() << cas.count_ones() > at_most {
            return false;
        }
        for value in values {
            let mut some = cas;
            loop {
                let done = self.observers & self.open | some;
                self.configurations.push(Configuration { value, path: 0, done, optional: self.writes, used: [0; N] });
                if some == 0 {
                    break;
                }
                some = (some - 1) & cas;
            }
        }
        let mut known: HashSet<Act> = HashSet::new();
        for event in &self.time.events[..self.at] {
            if let Event::Possible(position) = *event
                && known.insert(self.time.ops[position as usize].act)
            {
                let act = self.time.ops[position as usize].act;
                self.classes.push(Class { act, count: 1, example: position });
            }
        }
        true
    }

    fn possible(&mut self, position: u32) {
        let act = self.time.ops[position as usize].act;
        if let Some(class) = self.classes.iter_mut().find(|class| class.act == act && class.count > 0) {
            class.count += 1;
            return;
        }
        if !self.needed(act.writes().unwrap_or(NIL)) {
            return;
        }
        let new = Class { act, count: 1, example: position };
        match self.classes.iter().position(|class| class.count == 0) {
            Some(free) => self.classes[free] = new,
            None if self.relaxed || self.classes.len() < N => self.classes.push(new),
            None => self.cut = true,
        }
    }

    /// Whether somebody waits for this value now or later.
    fn needed(&self, value: u32) -> bool {
        let waits = |class: &Class| class.count > 0 && class.act.needs() == Some(value);
        self.time.needed_after(value, self.at) || self.classes.iter().any(waits)
    }

    fn masks_of(&mut self, act: Act, bit: u128) -> &mut u128 {
        match act {
            Act::Read(value) => {
                self.observers ^= bit;
                &mut self.masks[value as usize].reads
            }
            Act::Differs(value) => {
                self.observers ^= bit;
                self.differs ^= bit;
                &mut self.masks[value as usize].differs
            }
            Act::Write(value) => {
                self.writes ^= bit;
                &mut self.masks[value as usize].writes
            }
            Act::Cas(value, _) => &mut self.masks[value as usize].cas,
        }
    }

    fn open(&mut self, position: u32) {
        let slot = self.time.slot_of[position as usize];
        let op = &self.time.ops[position as usize];
        let bit = 1u128 << slot;
        self.acts[usize::from(slot)] = (op.act, op.end, position);
        self.open |= bit;
        *self.masks_of(op.act, bit) |= bit;
    }

    fn close(&mut self, position: u32) {
        let bit = 1u128 << self.time.slot_of[position as usize];
        self.open &= !bit;
        *self.masks_of(self.time.ops[position as usize].act, bit) &= !bit;
    }

    fn call(&mut self, position: u32) {
        self.open(position);
        let bit = 1u128 << self.time.slot_of[position as usize];
        let act = self.time.ops[position as usize].act;
        for one in &mut self.configurations {
            match act {
                Act::Read(value) if value == one.value => one.done |= bit,
                Act::Differs(value) if value != one.value => one.done |= bit,
                Act::Write(value) if value == one.value => one.optional |= bit,
                _ => {}
            }
        }
    }

    /// An operation returned: every configuration must have it done. False when none can.
    fn give_back(
        &mut self,
        position: u32,
        width: usize,
        thrifty: bool,
        limits: &mut Limits<'_>,
        held: u64,
        record: Record<'_>,
    ) -> Result<bool, Stop> {
        let slot = usize::from(self.time.slot_of[position as usize]);
        let bit = 1u128 << slot;
        let after = self.observers & !bit;
        let (mut out, mut seen, mut work) =
            (std::mem::take(&mut self.out), std::mem::take(&mut self.seen), std::mem::take(&mut self.work));
        out.clear();
        seen.clear();
        work.clear();
        limits.step(held)?;
        for one in &self.configurations {
            if (one.done | one.optional) & bit != 0 {
                out.insert(without(*one, bit), after);
            }
            if one.done & bit == 0 && seen.insert(*one, self.observers) {
                work.push(*one);
            }
        }
        let mut next = 0;
        let mut result = Ok(());
        let mut all = !thrifty || self.classes.iter().all(|class| class.count == 0);
        loop {
            if next == work.len() {
                if all {
                    break;
                }
                if out.count > 0 {
                    self.cut = true;
                    break;
                }
                (all, next) = (true, 0);
                continue;
            }
            let one = work[next];
            next += 1;
            // One that was put here earlier may be dominated by now.
            if !seen.holds(&one) {
                continue;
            }
            // A narrow pass looks no further once it has enough to choose from.
            if next > width.saturating_mul(4) && out.count >= width {
                self.cut = true;
                break;
            }
            let configurations = work.len() + out.count + seen.count;
            result = limits.step(held + (configurations * size_of::<Configuration<N>>()) as u64);
            if result.is_err() {
                break;
            }
            self.expand(&one, slot, all, record, &mut |reached| {
                if reached.done & bit != 0 {
                    out.insert(without(reached, bit), after);
                } else if seen.insert(reached, self.observers) {
                    work.push(reached);
                }
            });
        }
        self.cut |= self.saturated.get();
        let alive = out.count > 0;
        if result.is_ok() && alive {
            self.configurations.clear();
            for (_, group) in &mut out.groups[..out.live] {
                self.configurations.append(group);
            }
            self.close(position);
            self.narrow(width);
            self.forget();
        }
        (self.out, self.seen, self.work) = (out, seen, work);
        result.map(|()| alive)
    }

    /// Every single step from a configuration that may help to get the operation in `slot` done.
    fn expand(
        &self,
        from: &Configuration<N>,
        slot: usize,
        indeterminate: bool,
        record: Record<'_>,
        reach: &mut impl FnMut(Configuration<N>),
    ) {
        let pending = self.open & !from.done;
        let worth = if indeterminate { self.worth(from, pending) } else { 0 };
        let mut step = |value: u32, blind: bool, own: u128, position: u32| {
            let mut reached = self.arrive(from, value, blind, own);
            reached.path = record(from.path, self.at as u32, position);
            reached
        };
        let mut rest = pending & self.writes;
        while rest != 0 {
            let Act::Write(value) = self.acts[rest.trailing_zeros() as usize].0 else { break };
            let alike = rest & self.masks[value as usize].writes;
            rest &= !alike;
            if alike & (1 << slot) != 0 || self.useful(value, pending, worth) {
                let at = self.first_to_end(alike);
                reach(step(value, true, 1 << at, self.acts[at].2));
            }
        }
        let mut rest = pending & self.masks[from.value as usize].cas;
        while rest != 0 {
            let mut alike = rest & rest.wrapping_neg();
            let Act::Cas(_, value) = self.acts[rest.trailing_zeros() as usize].0 else { break };
            let mut others = rest & !alike;
            while others != 0 {
                if self.acts[others.trailing_zeros() as usize].0.writes() == Some(value) {
                    alike |= others & others.wrapping_neg();
                }
                others &= others - 1;
            }
            rest &= !alike;
            let at = self.first_to_end(alike);
            reach(step(value, false, 1 << at, self.acts[at].2));
        }
        for (at, class) in self.classes.iter().enumerate().filter(|_| indeterminate) {
            if !self.available(from, at) {
                continue;
            }
            let (value, blind) = match class.act {
                Act::Write(value) if self.masks[value as usize].writes & pending == 0 => (value, true),
                Act::Cas(needed, value) if needed == from.value && !self.open_cas(class.act, pending) => (value, false),
                _ => continue,
            };
            // Writing the value that is there already is useful when it buries something.
            let buries = blind && pending & self.writes & !from.optional != 0;
            if !self.useful(value, pending, worth) || (value == from.value && !buries) {
                continue;
            }
            let mut reached = step(value, blind, 0, class.example);
            if !self.relaxed {
                reached.used[at] += 1;
                self.saturated.set(self.saturated.get() | (reached.used[at] == u8::MAX));
            }
            reach(reached);
        }
    }

    fn open_cas(&self, act: Act, pending: u128) -> bool {
        let Act::Cas(needed, _) = act else { return false };
        let mut rest = pending & self.masks[needed as usize].cas;
        while rest != 0 {
            if self.acts[rest.trailing_zeros() as usize].0 == act {
                return true;
            }
            rest &= rest - 1;
        }
        false
    }

    fn first_to_end(&self, alike: u128) -> usize {
        let mut first = alike.trailing_zeros() as usize;
        let mut rest = alike & alike.wrapping_sub(1);
        while rest != 0 {
            let at = rest.trailing_zeros() as usize;
            if self.acts[at].1 < self.acts[first].1 {
                first = at;
            }
            rest &= rest - 1;
        }
        first
    }

    fn available(&self, from: &Configuration<N>, class: usize) -> bool {
        let count = self.classes[class].count;
        // One that was used as often as can be counted is used no more.
        count > 0 && (self.relaxed || (u32::from(from.used[class]) < count && from.used[class] < u8::MAX))
    }

    /// Indeterminate compare-and-sets that lead, perhaps by way of others, to a value that some open operation waits for.
    fn worth(&self, from: &Configuration<N>, pending: u128) -> u128 {
        let mut worth = 0u128;
        loop {
            let before = worth;
            for (at, class) in self.classes.iter().enumerate().take(128) {
                if let Act::Cas(_, value) = class.act
                    && worth & (1 << at) == 0
                    && self.available(from, at)
                    && self.useful(value, pending, worth)
                {
                    worth |= 1 << at;
                }
            }
            if worth == before {
                return worth;
            }
        }
    }

    /// Whether some operation waits for this value.
    fn useful(&self, value: u32, pending: u128, worth: u128) -> bool {
        let masks = &self.masks[value as usize];
        if pending & (masks.reads | masks.cas | (self.differs & !masks.differs)) != 0 {
            return true;
        }
        let mut rest = worth;
        while rest != 0 {
            if self.classes[rest.trailing_zeros() as usize].act.needs() == Some(value) {
                return true;
            }
            rest &= rest - 1;
        }
        self.classes.len() > 128 && self.classes[128..].iter().any(|class| class.act.needs() == Some(value))
    }

    /// The configuration after a write or compare-and-set brought `value`.
    fn arrive(&self, from: &Configuration<N>, value: u32, blind: bool, own: u128) -> Configuration<N> {
        let masks = &self.masks[value as usize];
        let mut reached = *from;
        reached.value = value;
        reached.done |= own | masks.reads | (self.differs & !masks.differs);
        reached.optional |= if blind { self.writes } else { masks.writes };
        reached.optional &= !reached.done;
        reached
    }

    /// Keeps the most promising configurations where the pass is a narrow one: one of each value first, then the cheapest.
    fn narrow(&mut self, width: usize) {
        if self.configurations.len() <= width {
            return;
        }
        self.cut = true;
        let open = self.open;
        self.configurations.sort_by_cached_key(|one| {
            let missing = open & !one.done & !one.optional;
            (one.used_in_all(), missing.count_ones(), one.value, one.done, one.optional)
        });
        let mut first: Vec<Configuration<N>> = Vec::with_capacity(width);
        let mut rest = Vec::with_capacity(self.configurations.len());
        for one in self.configurations.drain(..) {
            if first.len() < width && !first.iter().any(|other| other.value == one.value) {
                first.push(one);
            } else {
                rest.push(one);
            }
        }
        first.extend(rest.into_iter().take(width - first.len()));
        self.configurations = first;
    }

    /// Drops classes that nobody can observe any more, and uses that every configuration has made.
    fn forget(&mut self) {
        for at in 0..self.classes.len() {
            if self.classes[at].count == 0 {
                continue;
            }
            if !self.relaxed {
                let least = self.configurations.iter().map(|one| one.used[at]).min().unwrap_or(0);
                if least > 0 {
                    self.configurations.iter_mut().for_each(|one| one.used[at] -= least);
                    self.classes[at].count -= u32::from(least);
                }
            }
            let unseen = |value: u32| {
                let waits = |class: &Class| class.count > 0 && class.act.needs() == Some(value);
                !self.time.needed_after(value, self.at + 1) && !self.classes.iter().any(waits)
            };
            if self.classes[at].act.writes().is_some_and(unseen) {
                self.classes[at].count = 0;
            }
            if self.classes[at].count == 0 && !self.relaxed {
                self.configurations.iter_mut().for_each(|one| one.used[at] = 0);
            }
        }
    }
}

fn without<const N: usize>(mut one: Configuration<N>, bit: u128) -> Configuration<N> {
    one.done &= !bit;
    one.optional &= !bit;
    one
}
