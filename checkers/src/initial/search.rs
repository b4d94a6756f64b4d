//! [`Search`]: whether some way in which registers may have begun contradicts nothing. `initial` asks it for whole histories,
//! `linearizability` for single objects.
use crate::value::Value;
use std::collections::HashSet;

/// How often a history is judged at most for the sake of registers that began with one of several values.
pub(super) const HISTORY_WAYS: usize = 64;

/// How often an object is.
pub(crate) const OBJECT_WAYS: usize = 16;

/// Undecided registers at most on which the search goes down one after the other: far more than can be tried.
const DEPTH_MAX: usize = 1_000;

/// Registers, each with what it is supposed to have begun with.
pub(crate) type Way = Vec<(Value, Value)>;

/// What it means that registers began in one way.
pub(crate) enum Supposition {
    /// Nothing is contradicted.
    Holds,
    /// There is a contradiction, and it may depend on what these undecided registers began with.
    Contradicted(HashSet<Value>),
    /// The time was up.
    Expired,
}

/// What the search comes to.
pub(crate) enum SearchResult<A> {
    /// The answer where registers began in this way: it is no contradiction.
    Explained(A, Way),
    /// There is a contradiction whatever registers began with; it may depend on these undecided ones.
    Contradicted(HashSet<Value>),
    TooMany,
    /// The time was up before every way was tried.
    OutOfTime,
}

/// A search through the ways in which undecided registers may have begun.
pub(crate) struct Search<'a, J, M> {
    undecided: &'a [(Value, Vec<Value>)],
    /// How often may still be judged.
    left: usize,
    /// Judges as if registers had begun in a way.
    judge: J,
    /// What an answer means, where these registers are settled: it is not asked to blame one of them rather than others.
    meaning: M,
    settled: Vec<Value>,
}

impl<'a, A, J: FnMut(&[(Value, Value)]) -> A, M: Fn(&A, &[Value]) -> Supposition> Search<'a, J, M> {
    pub(crate) fn new(undecided: &'a [(Value, Vec<Value>)], left: usize, judge: J, meaning: M) -> Self {
        Search { undecided, left, judge, meaning, settled: Vec::new() }
    }

    /// Searches the ways to begin that extend this one, whose answer is this one. A branch ends where a contradiction depends on
    /// no register that may still begin otherwise. A register on which no contradiction of its branch depends is not tried with
    /// other values (conflict-directed backjumping: Prosser, Hybrid algorithms for the constraint satisfaction problem,
    /// section 3.3).
    pub(crate) fn extend(&mut self, answer: A, way: &[(Value, Value)]) -> SearchResult<A> {
        let mut conflict = match (self.meaning)(&answer, &self.settled) {
            Supposition::Holds => return SearchResult::Explained(answer, way.to_vec()),
            Supposition::Expired => return SearchResult::OutOfTime,
            Supposition::Contradicted(conflict) => conflict,
        };
        let all = self.undecided;
        let open = |(key, _): &&(Value, Vec<Value>)| conflict.contains(key) && !self.settled.contains(key);
        let Some((key, values)) = all.iter().find(open) else { return SearchResult::Contradicted(conflict) };
        if self.settled.len() == DEPTH_MAX {
            return SearchResult::TooMany;
        }
        self.settled.push(key.clone());
        // First as it is: the register began with nothing else.
        let mut result = self.extend(answer, way);
        for value in values {
            match result {
                SearchResult::Contradicted(of) if of.contains(key) => conflict.extend(of),
                _ => break,
            }
            let Some(left) = self.left.checked_sub(1) else { return SearchResult::TooMany };
            self.left = left;
            let mut longer = way.to_vec();
            longer.push((key.clone(), value.clone()));
            let other = (self.judge)(&longer);
            result = self.extend(other, &longer);
        }
        self.settled.pop();
        match result {
            SearchResult::Contradicted(of) if of.contains(key) => {
                conflict.extend(of);
                conflict.remove(key);
                SearchResult::Contradicted(conflict)
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches for the one way that holds; how often was judged.
    fn search(keys: i64, left: usize, holds: &[(Value, Value)]) -> (SearchResult<()>, usize) {
        let undecided: Vec<(Value, Vec<Value>)> =
            (0..keys).map(|key| (Value::Int(key), (0..3).map(Value::Int).collect())).collect();
        let all: HashSet<Value> = undecided.iter().map(|(key, _)| key.clone()).collect();
        let last = std::cell::RefCell::new(Vec::new());
        let mut judged = 0;
        let judge = |way: &[(Value, Value)]| {
            judged += 1;
            *last.borrow_mut() = way.to_vec();
        };
        let meaning = |(): &(), _: &[Value]| match *last.borrow() == holds {
            true => Supposition::Holds,
            false => Supposition::Contradicted(all.clone()),
        };
        let result = Search::new(&undecided, left, judge, meaning).extend((), &[]);
        (result, judged)
    }

    #[test]
    fn every_way_is_tried_once_and_no_more_than_allowed() {
        let none = [(Value::Int(9), Value::Int(9))];
        assert!(matches!(search(2, 15, &none), (SearchResult::Contradicted(_), 15)));
        assert!(matches!(search(3, 15, &none), (SearchResult::TooMany, 15)));
        let both = [(Value::Int(0), Value::Int(2)), (Value::Int(1), Value::Int(2))];
        assert!(matches!(search(2, 15, &both), (SearchResult::Explained((), way), _) if way == both));
    }

    #[test]
    fn more_undecided_registers_than_a_stack_holds_are_too_many() {
        let none = [(Value::Int(9), Value::Int(9))];
        assert!(matches!(search(3_000, 15, &none), (SearchResult::TooMany, _)));
    }
}
