//! [`Elements`]: numbers for the elements of a set, from 0 without gaps, so that what is known of them lies in vectors.
use crate::value::ValueRef;
use std::collections::HashMap;

const NONE: u32 = u32::MAX;

/// The elements met so far.
#[derive(Default)]
pub(crate) struct Elements<'h> {
    /// Numbers of small integers, by the integer: no hashing for the usual element.
    small: Vec<u32>,
    other: HashMap<ValueRef<'h>, u32>,
    values: Vec<ValueRef<'h>>,
}

impl<'h> Elements<'h> {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The element of this number.
    pub(crate) fn value(&self, id: u32) -> ValueRef<'h> {
        self.values[id as usize]
    }

    /// The number of an element that was met before.
    pub(crate) fn find(&self, value: ValueRef<'h>) -> Option<u32> {
        let small = value.as_int().and_then(|number| usize::try_from(number).ok());
        match small.and_then(|at| self.small.get(at)) {
            Some(&id) if id != NONE => Some(id),
            _ if self.other.is_empty() => None,
            _ => self.other.get(&value).copied(),
        }
    }

    /// The number of an element, which is new or was met before.
    pub(crate) fn number(&mut self, value: ValueRef<'h>) -> u32 {
        if let Some(id) = self.find(value) {
            return id;
        }
        let id = self.values.len() as u32;
        self.values.push(value);
        // The vector stays in proportion to the elements, whatever their values are.
        let limit = 4 * self.values.len() + 64;
        match value.as_int().and_then(|number| usize::try_from(number).ok()).filter(|&at| at < limit) {
            Some(at) => {
                if self.small.len() <= at {
                    self.small.resize((at + 1).max(2 * self.small.len()).min(limit), NONE);
                }
                self.small[at] = id;
            }
            None => {
                self.other.insert(value, id);
            }
        }
        id
    }
}
