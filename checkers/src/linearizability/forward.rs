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
//!    operation does the same, dropped when no operation can observe them any more;
//! 6. a configuration that used fewer of them, and has done more, dominates.
//!
//! Says of a set that was cut so: see [`Machine::cut`].
use super::configuration::{Configuration, Frontier, Used};
use super::limits::{Limits, Stop};
use super::register::{NIL, RegAction};
use super::timeline::{Event, SLOTS, Timeline};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};

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
    action: RegAction,
    count: u32,
    /// Position of one of them.
    example: u32,
}

impl Class {
    fn leaves(&self) -> u32 {
        self.action.writes().unwrap_or(NIL)
    }
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
    actions: [(RegAction, u64, u32); SLOTS],
    masks: Vec<Masks>,
    classes: Vec<Class>,
    /// Classes by the value that they leave.
    leaving: HashMap<u32, Vec<u16>>,
    pub(crate) configurations: Vec<Configuration<N>>,
    /// Whether something that is possible was left out: then an empty set refutes nothing.
    pub(crate) cut: bool,
    /// Whether something was used more often than can be counted.
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
            actions: [(RegAction::Read(NIL), 0, 0); SLOTS],
            masks: vec![Masks::default(); time.values()],
            classes: Vec::new(),
            leaving: HashMap::new(),
            configurations: vec![Configuration::START],
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

    /// Makes the set the largest that can be here: every value that an operation may need, everything done that helps, every
    /// compare-and-set done or not. False when that would be too many.
    pub(crate) fn assume_anything(&mut self, at_most: usize) -> bool {
        self.restore(&[], &[], false);
        if self.at == 0 {
            self.configurations.push(Configuration::START);
            return true;
        }
        let mut values: Vec<u32> =
            (0..self.time.values() as u32).filter(|&value| self.time.needed_after(value, self.at)).collect();
        // One value that no operation needs stands for all of them.
        values.extend((0..self.time.values() as u32).find(|&value| !self.time.needed_after(value, self.at)));
        let cas = self.open & !self.observers & !self.writes;
        if cas.count_ones() > 6 || values.len() << cas.count_ones() > at_most {
            return false;
        }
        for value in values {
            let mut some = cas;
            loop {
                let done = self.observers & self.open | some;
                let optional = self.writes;
                self.configurations.push(Configuration { value, done, optional, ..Configuration::START });
                if some == 0 {
                    break;
                }
                some = (some - 1) & cas;
            }
        }
        let time = self.time;
        let mut known: HashSet<RegAction> = HashSet::new();
        for event in &time.events[..self.at] {
            if let Event::Possible(position) = *event
                && known.insert(time.ops[position as usize].action)
            {
                self.add_class(Class { action: time.ops[position as usize].action, count: 1, example: position });
            }
        }
        !self.cut
    }

    /// The classes of indeterminate operations, to come back to.
    pub(crate) fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Takes configurations and classes over from an earlier time at this event.
    pub(crate) fn restore(&mut self, configurations: &[Configuration<N>], classes: &[Class], cut: bool) {
        self.configurations.clear();
        self.configurations.extend_from_slice(configurations);
        self.classes.clear();
        self.classes.extend_from_slice(classes);
        self.leaving.clear();
        for (at, class) in classes.iter().enumerate().filter(|(_, class)| class.count > 0) {
            self.leaving.entry(class.leaves()).or_default().push(at as u16);
        }
        self.cut = cut;
        self.saturated.set(false);
    }

    fn possible(&mut self, position: u32) {
        let action = self.time.ops[position as usize].action;
        let new = Class { action, count: 1, example: position };
        let alike = self.leaving(new.leaves()).iter().find(|&&class| self.classes[usize::from(class)].action == action);
        if let Some(&class) = alike {
            self.classes[usize::from(class)].count += 1;
        } else if self.needed(new.leaves()) {
            self.add_class(new);
        }
    }

    fn add_class(&mut self, new: Class) {
        let at = if self.relaxed { None } else { self.classes.iter().position(|class| class.count == 0) };
        let at = at.unwrap_or(self.classes.len());
        if at > usize::from(u16::MAX) || (N == 0 && !self.relaxed) {
            self.cut = true;
            return;
        }
        if at == self.classes.len() {
            self.classes.push(new);
        } else {
            self.classes[at] = new;
        }
        self.leaving.entry(new.leaves()).or_default().push(at as u16);
    }

    fn leaving(&self, value: u32) -> &[u16] {
        self.leaving.get(&value).map_or(&[], Vec::as_slice)
    }

    /// Whether an operation waits for this value now or later.
    fn needed(&self, value: u32) -> bool {
        let waits = |class: &Class| class.count > 0 && class.action.needs() == Some(value);
        self.time.needed_after(value, self.at) || self.classes.iter().any(waits)
    }

    fn masks_of(&mut self, action: RegAction, bit: u128) -> &mut u128 {
        match action {
            RegAction::Read(value) => {
                self.observers ^= bit;
                &mut self.masks[value as usize].reads
            }
            RegAction::Differs(value) => {
                self.observers ^= bit;
                self.differs ^= bit;
                &mut self.masks[value as usize].differs
            }
            RegAction::Write(value) => {
                self.writes ^= bit;
                &mut self.masks[value as usize].writes
            }
            RegAction::Cas(value, _) => &mut self.masks[value as usize].cas,
        }
    }

    fn open(&mut self, position: u32) {
        let slot = self.time.slot_of[position as usize];
        let op = &self.time.ops[position as usize];
        let bit = 1u128 << slot;
        self.actions[usize::from(slot)] = (op.action, op.end, position);
        self.open |= bit;
        *self.masks_of(op.action, bit) |= bit;
    }

    fn close(&mut self, position: u32) {
        let bit = 1u128 << self.time.slot_of[position as usize];
        self.open &= !bit;
        *self.masks_of(self.time.ops[position as usize].action, bit) &= !bit;
    }

    fn call(&mut self, position: u32) {
        self.open(position);
        let bit = 1u128 << self.time.slot_of[position as usize];
        let action = self.time.ops[position as usize].action;
        for one in &mut self.configurations {
            match action {
                RegAction::Read(value) if value == one.value => one.done |= bit,
                RegAction::Differs(value) if value != one.value => one.done |= bit,
                RegAction::Write(value) if value == one.value => one.optional |= bit,
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
                out.insert(one.without(bit), after);
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
                    out.insert(reached.without(bit), after);
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
        let wanted = if indeterminate { self.wanted(from, pending) } else { Vec::new() };
        let mut step = |value: u32, blind: bool, own: u128, position: u32| {
            let mut reached = self.arrive(from, value, blind, own);
            reached.path = record(from.path, self.at as u32, position);
            reached
        };
        let mut rest = pending & self.writes;
        while rest != 0 {
            let RegAction::Write(value) = self.actions[rest.trailing_zeros() as usize].0 else { break };
            let alike = rest & self.masks[value as usize].writes;
            rest &= !alike;
            if alike & (1 << slot) != 0 || self.useful(value, pending, &wanted) {
                let at = self.first_to_end(alike);
                reach(step(value, true, 1 << at, self.actions[at].2));
            }
        }
        let mut rest = pending & self.masks[from.value as usize].cas;
        while rest != 0 {
            let mut alike = rest & rest.wrapping_neg();
            let RegAction::Cas(_, value) = self.actions[rest.trailing_zeros() as usize].0 else { break };
            let mut others = rest & !alike;
            while others != 0 {
                if self.actions[others.trailing_zeros() as usize].0.writes() == Some(value) {
                    alike |= others & others.wrapping_neg();
                }
                others &= others - 1;
            }
            rest &= !alike;
            let at = self.first_to_end(alike);
            reach(step(value, false, 1 << at, self.actions[at].2));
        }
        for &value in &wanted {
            // Writing the value that is there already is useful when it buries something.
            let buries = pending & self.writes & !from.optional != 0;
            for &at in self.leaving(value) {
                let class = &self.classes[usize::from(at)];
                let blind = match class.action {
                    RegAction::Write(_) if self.masks[value as usize].writes & pending == 0 => true,
                    RegAction::Cas(needed, _) if needed == from.value && !self.open_cas(class.action, pending) => false,
                    _ => continue,
                };
                if !self.available(from, at) || (value == from.value && !(blind && buries)) {
                    continue;
                }
                let mut reached = step(value, blind, 0, class.example);
                if self.relaxed || reached.used.add(at) {
                    reach(reached);
                } else {
                    self.saturated.set(true);
                }
            }
        }
    }

    fn open_cas(&self, action: RegAction, pending: u128) -> bool {
        let RegAction::Cas(needed, _) = action else { return false };
        let mut rest = pending & self.masks[needed as usize].cas;
        while rest != 0 {
            if self.actions[rest.trailing_zeros() as usize].0 == action {
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
            if self.actions[at].1 < self.actions[first].1 {
                first = at;
            }
            rest &= rest - 1;
        }
        first
    }

    fn available(&self, from: &Configuration<N>, class: u16) -> bool {
        self.relaxed || u32::from(from.used.of(class)) < self.classes[usize::from(class)].count
    }

    /// Values that some open operation waits for, or from which indeterminate compare-and-sets lead to one.
    fn wanted(&self, from: &Configuration<N>, pending: u128) -> Vec<u32> {
        let mut wanted: Vec<u32> = Vec::new();
        let mut rest = pending & !self.writes & !self.differs;
        while rest != 0 {
            let needed = self.actions[rest.trailing_zeros() as usize].0.needs();
            wanted.extend(needed.filter(|value| !wanted.contains(value)));
            rest &= rest - 1;
        }
        if pending & self.differs != 0 {
            let live = self.classes.iter().filter(|class| class.count > 0).map(Class::leaves);
            for value in live {
                if !wanted.contains(&value) && self.useful(value, pending, &[]) {
                    wanted.push(value);
                }
            }
        }
        let mut next = 0;
        while next < wanted.len() {
            for &at in self.leaving(wanted[next]) {
                if let RegAction::Cas(needed, _) = self.classes[usize::from(at)].action
                    && self.available(from, at)
                    && !wanted.contains(&needed)
                {
                    wanted.push(needed);
                }
            }
            next += 1;
        }
        wanted
    }

    /// Whether some operation waits for this value.
    fn useful(&self, value: u32, pending: u128, wanted: &[u32]) -> bool {
        let masks = &self.masks[value as usize];
        pending & (masks.reads | masks.cas | (self.differs & !masks.differs)) != 0 || wanted.contains(&value)
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
            (one.used.in_all(), missing.count_ones(), one.value, one.done, one.optional)
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

    /// Drops uses that every configuration has made and, now and then, classes that no operation can observe any more.
    fn forget(&mut self) {
        let common = self.configurations.first().map_or(Used::NOTHING, |one| one.used);
        for &(class, _) in common.counts() {
            let least = self.configurations.iter().map(|one| one.used.of(class)).min().unwrap_or(0);
            if least > 0 {
                self.configurations.iter_mut().for_each(|one| one.used.take(class, least));
                self.classes[usize::from(class)].count -= u32::from(least);
                self.drop_if_idle(class);
            }
        }
        if self.at % 64 < 2 {
            (0..self.classes.len()).for_each(|class| self.drop_if_idle(class as u16));
        }
    }

    fn drop_if_idle(&mut self, at: u16) {
        let class = self.classes[usize::from(at)];
        let leaves = class.leaves();
        let gone = match class.count {
            0 => self.leaving(leaves).contains(&at),
            _ => {
                let waits = |class: &Class| class.count > 0 && class.action.needs() == Some(leaves);
                !self.time.needed_after(leaves, self.at + 1) && !self.classes.iter().any(waits)
            }
        };
        if gone {
            self.classes[usize::from(at)].count = 0;
            if let Some(others) = self.leaving.get_mut(&leaves) {
                others.retain(|other| *other != at);
            }
            self.configurations.iter_mut().for_each(|one| one.used.take(at, u16::MAX));
        }
    }
}
