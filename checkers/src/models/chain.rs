//! [`Chain`]: a list that shares what it has in common with the lists it grew from, so that a state for each of many
//! appends takes little room.
use crate::value::Value;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A list that grows at its end.
#[derive(Clone, Default)]
pub(crate) struct Chain {
    last: Option<Arc<Link>>,
}

struct Link {
    value: Value,
    before: Chain,
    length: usize,
    /// Of all values up to here; equal chains have equal ones.
    hash: u64,
}

impl Chain {
    pub(super) fn len(&self) -> usize {
        self.last.as_ref().map_or(0, |link| link.length)
    }

    fn code(&self) -> u64 {
        self.last.as_ref().map_or(0, |link| link.hash)
    }

    /// The chain with one more value.
    pub(super) fn with(&self, value: Value) -> Chain {
        let mut hasher = DefaultHasher::new();
        self.code().hash(&mut hasher);
        value.hash(&mut hasher);
        let link = Link { value, before: self.clone(), length: self.len() + 1, hash: hasher.finish() };
        Chain { last: Some(Arc::new(link)) }
    }

    /// The values, the last one first.
    pub(super) fn backwards(&self) -> impl Iterator<Item = &Value> {
        let mut next = self.last.as_deref();
        std::iter::from_fn(move || {
            let link = next?;
            next = link.before.last.as_deref();
            Some(&link.value)
        })
    }

    /// The value at this place.
    pub(super) fn get(&self, at: usize) -> Option<&Value> {
        let back = self.len().checked_sub(at)?.checked_sub(1)?;
        self.backwards().nth(back)
    }
}

impl PartialEq for Chain {
    fn eq(&self, other: &Chain) -> bool {
        if (self.len(), self.code()) != (other.len(), other.code()) {
            return false;
        }
        let (mut one, mut two) = (self.last.as_ref(), other.last.as_ref());
        while let (Some(left), Some(right)) = (one, two) {
            if Arc::ptr_eq(left, right) {
                return true;
            }
            if left.value != right.value {
                return false;
            }
            (one, two) = (left.before.last.as_ref(), right.before.last.as_ref());
        }
        true
    }
}

impl Eq for Chain {}

impl Hash for Chain {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.code().hash(hasher);
    }
}

/// Link by link: a long chain must not take a deep stack.
impl Drop for Chain {
    fn drop(&mut self) {
        let mut next = self.last.take();
        while let Some(link) = next.and_then(Arc::into_inner) {
            let mut before = link.before;
            next = before.last.take();
        }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values: Vec<&Value> = self.backwards().collect();
        values.reverse();
        f.debug_list().entries(values).finish()
    }
}
