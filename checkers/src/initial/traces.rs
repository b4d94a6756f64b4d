//! What registers began with, as far as replies show it: [`shown`] where it is certain, [`undecided`] where it is one of
//! several values.
use super::search::OBJECT_WAYS;
use crate::value::Value;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// A value that was seen in a register, and when that reply came; or one that was left there, and when that call began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trace<K, V> {
    /// This value was there, as a reply of this index says.
    Seen(K, V, u64),
    /// This value may have been left there by a call of this index.
    Left(K, V, u64),
    /// A call of this index that, if it took effect, replaced the first by the second; the flag says whether it was
    /// acknowledged.
    Replaced(K, V, V, u64, bool),
    /// Whatever value: by a call of this index.
    LeftAny(K, u64),
}

impl<K, V> Trace<K, V> {
    fn key(&self) -> &K {
        match self {
            Trace::Seen(key, ..) | Trace::Left(key, ..) | Trace::Replaced(key, ..) | Trace::LeftAny(key, _) => key,
        }
    }
}

/// Keeps the least index of each.
fn keep_least<T: Eq + Hash>(least: &mut HashMap<T, u64>, of: T, index: u64) {
    let first = least.entry(of).or_insert(index);
    *first = index.min(*first);
}

/// What registers certainly began with: a value seen in a reply that came before everything was called that may have left it
/// there. Of each register all such values, those first that no call ever wrote, and else in the order in which they were seen; more
/// than one contradict each other.
pub(crate) fn shown<K: Clone + Eq + Hash, V: Clone + Eq + Hash>(
    traces: impl Iterator<Item = Trace<K, V>>,
) -> Vec<(K, V)> {
    let mut traces: Vec<Trace<K, V>> = traces.collect();
    happened(&mut traces);
    let mut left: HashMap<(K, V), u64> = HashMap::new();
    let mut any: HashMap<K, u64> = HashMap::new();
    for trace in traces.iter().cloned() {
        match trace {
            // A value that replaces itself was there before.
            Trace::Replaced(_, from, to, ..) if from == to => {}
            Trace::Left(key, value, call) | Trace::Replaced(key, _, value, call, _) => {
                keep_least(&mut left, (key, value), call);
            }
            Trace::LeftAny(key, call) => {
                keep_least(&mut any, key, call);
            }
            Trace::Seen(..) => {}
        }
    }
    let mut seen: Vec<((bool, u64), K, V)> = Vec::new();
    let mut known: HashSet<(K, V)> = HashSet::new();
    for trace in traces {
        let Trace::Seen(key, value, end) = trace else { continue };
        let both = (key, value);
        let first = left.get(&both).copied().unwrap_or(u64::MAX).min(any.get(&both.0).copied().unwrap_or(u64::MAX));
        if end < first && known.insert(both.clone()) {
            // A value that no call ever wrote leaves no other explanation.
            seen.push(((first < u64::MAX, end), both.0, both.1));
        }
    }
    seen.sort_by_key(|(order, ..)| *order);
    seen.into_iter().map(|(_, key, value)| (key, value)).collect()
}

/// Of calls that were never acknowledged, those took effect that alone can have left by then what was seen: they saw what
/// they replaced.
fn happened<K: Clone + Eq + Hash, V: Clone + Eq + Hash>(traces: &mut Vec<Trace<K, V>>) {
    if !traces.iter().any(|trace| matches!(trace, Trace::Replaced(..))) {
        return;
    }
    let mut writers: HashMap<(K, V), Vec<u64>> = HashMap::new();
    let mut seen: HashMap<(K, V), u64> = HashMap::new();
    for trace in traces.iter() {
        match trace {
            Trace::Replaced(_, from, to, ..) if from == to => {}
            Trace::Left(key, value, call) | Trace::Replaced(key, _, value, call, _) => {
                writers.entry((key.clone(), value.clone())).or_default().push(*call);
            }
            Trace::Seen(key, value, end) => {
                keep_least(&mut seen, (key.clone(), value.clone()), *end);
            }
            Trace::LeftAny(..) => {}
        }
    }
    loop {
        let mut more = Vec::new();
        for trace in traces.iter() {
            let Trace::Replaced(key, from, to, call, false) = trace else { continue };
            let (before, after) = ((key.clone(), from.clone()), (key.clone(), to.clone()));
            let Some(&end) = seen.get(&after) else { continue };
            let alone = writers.get(&after).is_some_and(|calls| calls.iter().filter(|&&one| one < end).eq([call]));
            if !alone {
                continue;
            }
            if seen.get(&before).is_none_or(|&known| known > end) {
                seen.insert(before, end);
                more.push(Trace::Seen(key.clone(), from.clone(), end));
            }
        }
        if more.is_empty() {
            return;
        }
        traces.extend(more);
    }
}

/// Registers and the values that each may have begun with.
pub(crate) type Undecided = Vec<(Value, Vec<Value>)>;

/// Registers that perhaps began with one of several values: something was seen in them that no writer explains which was called
/// by then, unless the register began with a value that one of these calls replaced. Only such values are named that nothing
/// explains either. Registers of [`shown`], given as it found them, are none of them. `default` says whether registers begin
/// with a value.
pub(crate) fn undecided<K: Clone + Eq + Hash, V: Clone + Eq + Hash>(
    traces: &[Trace<K, V>],
    shown: &[(K, V)],
    default: impl Fn(&K, &V) -> bool,
) -> Vec<(K, Vec<V>)> {
    let mut replaced: HashMap<&K, Vec<(&V, u64)>> = HashMap::new();
    for trace in traces {
        let Trace::Replaced(key, from, to, call, _) = trace else { continue };
        if from != to && !default(key, from) {
            replaced.entry(key).or_default().push((from, *call));
        }
    }
    if replaced.is_empty() {
        return Vec::new();
    }
    replaced.retain(|key, _| shown.iter().all(|(decided, _)| decided != *key));
    let explained = explained(traces.iter().filter(|trace| replaced.contains_key(trace.key())), &default);
    let by = |key: &K, value: &V, end: u64| {
        let since = |value: Option<&V>| explained.get(&(key, value)).is_some_and(|call| *call < end);
        default(key, value) || since(Some(value)) || since(None)
    };
    let mut undecided: Vec<(K, Vec<V>)> = Vec::new();
    for trace in traces {
        let Trace::Seen(key, value, end) = trace else { continue };
        let Some(replaced) = replaced.get(key).filter(|_| !by(key, value, *end)) else { continue };
        let at = undecided.iter().position(|(other, _)| other == key).unwrap_or_else(|| {
            undecided.push((key.clone(), Vec::new()));
            undecided.len() - 1
        });
        let values = &mut undecided[at].1;
        for (from, call) in replaced {
            // One more than are tried says that there are too many.
            if *call < *end && !by(key, from, *end) && !values.contains(from) && values.len() <= OBJECT_WAYS {
                values.push((*from).clone());
            }
        }
    }
    undecided.retain(|(_, values)| !values.is_empty());
    undecided
}

/// From when on a value may be in a register, or any value, if every call took effect that may have: where a call replaced a
/// value, that one has to be explained itself. A refused write explains, too: it is the nearest reason for what it would have
/// written.
fn explained<'t, K: Eq + Hash, V: Eq + Hash>(
    traces: impl Iterator<Item = &'t Trace<K, V>>,
    default: impl Fn(&K, &V) -> bool,
) -> HashMap<(&'t K, Option<&'t V>), u64> {
    let mut explained: HashMap<(&K, Option<&V>), u64> = HashMap::new();
    let mut swaps: Vec<(&K, &V, &V, u64)> = Vec::new();
    for trace in traces {
        let (place, call) = match trace {
            Trace::Left(key, value, call) => ((key, Some(value)), *call),
            Trace::LeftAny(key, call) => ((key, None), *call),
            Trace::Replaced(key, from, to, call, _) => {
                swaps.push((key, from, to, *call));
                continue;
            }
            Trace::Seen(..) => continue,
        };
        keep_least(&mut explained, place, call);
    }
    loop {
        let mut more = false;
        for (key, from, to, call) in &swaps {
            let before = if default(key, from) { Some(0) } else { explained.get(&(*key, Some(*from))).copied() };
            let Some(since) = before.map(|before| before.max(*call)) else { continue };
            let first = explained.entry((key, Some(to))).or_insert(u64::MAX);
            more |= since < *first;
            *first = since.min(*first);
        }
        if !more {
            return explained;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_have_left_by_then_was_there_first() {
        use Trace::{Left, LeftAny, Replaced, Seen};
        let traces = [Left("x", 1, 4), Seen("x", 1, 3), Seen("x", 2, 9), Seen("x", 1, 7), Left("y", 2, 0)];
        assert_eq!(shown(traces.into_iter()), [("x", 2), ("x", 1)]);
        let traces = [
            Replaced("x", 1, 2, 0, false),
            Replaced("x", 2, 3, 1, false),
            Seen("x", 3, 4),
            Replaced("x", 9, 8, 1, false),
        ];
        assert_eq!(shown(traces.into_iter()), [("x", 1)]);
        let traces = [LeftAny("x", 2), Seen("x", 1, 3), Seen("y", 1, 3), Seen("y", 1, 5)];
        assert_eq!(shown(traces.into_iter()), [("y", 1)]);
    }

    #[test]
    fn a_register_that_began_with_one_of_several_values_is_undecided() {
        use Trace::{Left, Replaced, Seen};
        let of = |traces: &[Trace<&'static str, u32>]| {
            undecided(traces, &shown(traces.iter().cloned()), |_, value| *value == 0)
        };
        let two = [Replaced("x", 4, 2, 0, false), Replaced("x", 7, 2, 1, false), Seen("x", 2, 4)];
        assert_eq!(of(&two), [("x", vec![4, 7])]);
        assert_eq!(shown(two.iter().cloned()), []);
        // What a plain write explains, or what is certain, is not.
        let [one, other, seen] = two;
        assert_eq!(of(&[one.clone(), other.clone(), seen.clone(), Left("x", 2, 3)]), []);
        assert_eq!(of(&[one.clone(), other.clone(), seen.clone(), Left("x", 2, 5), Seen("x", 9, 3)]), []);
        // A value that replaces itself explains nothing; two that replace each other began with either.
        assert_eq!(of(&[one, other, Replaced("x", 2, 2, 2, true), seen]), [("x", vec![4, 7])]);
        let swapped = [Replaced("x", 4, 5, 0, true), Seen("x", 4, 3), Replaced("x", 5, 4, 1, true), Seen("x", 5, 4)];
        assert_eq!(of(&swapped), [("x", vec![4, 5])]);
        let explained = [Replaced("x", 0, 5, 0, true), Seen("x", 5, 3), Replaced("x", 9, 5, 1, false)];
        assert_eq!(of(&explained), []);
        // What an unacknowledged call left is explained where its first value is; the others of the register are not asked.
        let read = [Left("x", 1, 0), Replaced("x", 1, 2, 1, false), Seen("x", 2, 3), Replaced("x", 7, 8, 4, true)];
        assert_eq!(of(&read), []);
        assert_eq!(shown([Replaced("x", 2, 2, 1, true), Seen("x", 2, 3)].into_iter()), [("x", 2)]);
    }
}
