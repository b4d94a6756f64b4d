//! A configuration: what may have happened up to an event, as far as it matters later; and sets of which none dominates
//! another.
use super::register::NIL;

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
    pub(crate) used: Used<N>,
}

/// A few counts by class, in the order of the classes; all others are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used<const N: usize> {
    len: u8,
    counts: [(u16, u16); N],
}

impl<const N: usize> Used<N> {
    pub(crate) const NOTHING: Used<N> = Used { len: 0, counts: [(0, 0); N] };

    pub(crate) fn counts(&self) -> &[(u16, u16)] {
        &self.counts[..usize::from(self.len)]
    }

    pub(crate) fn of(&self, class: u16) -> u16 {
        self.counts().iter().find(|(known, _)| *known == class).map_or(0, |(_, count)| *count)
    }

    pub(crate) fn in_all(&self) -> u32 {
        self.counts().iter().map(|(_, count)| u32::from(*count)).sum()
    }

    /// Whether each count is at most the other's.
    fn at_most(&self, other: &Used<N>) -> bool {
        self.counts().iter().all(|(class, count)| *count <= other.of(*class))
    }

    /// Counts one more; false where that cannot be counted.
    pub(crate) fn add(&mut self, class: u16) -> bool {
        let len = usize::from(self.len);
        let at = self.counts().partition_point(|(known, _)| *known < class);
        match self.counts[..len].get_mut(at) {
            Some((known, count)) if *known == class => {
                *count = count.saturating_add(1);
                *count < u16::MAX
            }
            _ if len == N => false,
            _ => {
                self.counts.copy_within(at..len, at + 1);
                self.counts[at] = (class, 1);
                self.len += 1;
                true
            }
        }
    }

    pub(crate) fn take(&mut self, class: u16, taken: u16) {
        let Some(at) = self.counts().iter().position(|(known, _)| *known == class) else { return };
        self.counts[at].1 = self.counts[at].1.saturating_sub(taken);
        if self.counts[at].1 == 0 {
            let len = usize::from(self.len);
            self.counts.copy_within(at + 1..len, at);
            self.len -= 1;
            // Equal counts are equal data.
            self.counts[len - 1] = (0, 0);
        }
    }
}

impl<const N: usize> Configuration<N> {
    /// The register is empty and nothing has happened.
    pub(crate) const START: Configuration<N> =
        Configuration { value: NIL, path: 0, done: 0, optional: 0, used: Used::NOTHING };

    /// The same once the operation of this bit has returned.
    pub(crate) fn without(mut self, bit: u128) -> Configuration<N> {
        self.done &= !bit;
        self.optional &= !bit;
        self
    }

    /// Whether whatever can follow `other` can follow this one too. Both have the same value.
    pub(crate) fn dominates(&self, other: &Configuration<N>, observers: u128) -> bool {
        let (mine, theirs) = (self.done & !observers, other.done & !observers);
        other.done & observers & !self.done == 0
            && mine & !theirs == 0
            && theirs & !mine & !self.optional == 0
            && other.optional & !theirs & !self.optional == 0
            && self.used.at_most(&other.used)
    }
}

/// Configurations of which none dominates another, by value.
#[derive(Default)]
pub(crate) struct Frontier<const N: usize> {
    pub(crate) groups: Vec<(u32, Vec<Configuration<N>>)>,
    /// Groups in use; the others only keep their memory.
    pub(crate) live: usize,
    pub(crate) count: usize,
}

impl<const N: usize> Frontier<N> {
    pub(crate) fn clear(&mut self) {
        self.groups[..self.live].iter_mut().for_each(|(_, group)| group.clear());
        self.live = 0;
        self.count = 0;
    }

    pub(crate) fn insert(&mut self, new: Configuration<N>, observers: u128) -> bool {
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

    pub(crate) fn holds(&self, one: &Configuration<N>) -> bool {
        let same =
            |old: &Configuration<N>| old.done == one.done && old.optional == one.optional && old.used == one.used;
        self.groups[..self.live].iter().any(|(value, group)| *value == one.value && group.iter().any(same))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.groups.iter().map(|(_, group)| group.capacity()).sum::<usize>() * size_of::<Configuration<N>>()
    }
}
