//! The calls of one register in the form in which the engines work on them: values as small numbers, order by index.
use crate::history::Op;
use crate::models::RegisterAction;
use crate::value::Value;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The initial value.
pub(crate) const NIL: u32 = 0;

/// An action on one register, values interned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RegAction {
    /// It held this value.
    Read(u32),
    /// It held another value than this.
    Differs(u32),
    /// It holds this value from now on.
    Write(u32),
    /// It held the first and holds the second from now on.
    Cas(u32, u32),
}

impl RegAction {
    /// The value that must be there for it.
    pub(crate) fn needs(self) -> Option<u32> {
        match self {
            RegAction::Read(value) | RegAction::Cas(value, _) => Some(value),
            RegAction::Write(_) | RegAction::Differs(_) => None,
        }
    }

    /// The value that it leaves behind, if it changes anything.
    pub(crate) fn writes(self) -> Option<u32> {
        match self {
            RegAction::Write(value) | RegAction::Cas(_, value) => Some(value),
            RegAction::Read(_) | RegAction::Differs(_) => None,
        }
    }

    /// The register's next value, or `None` when the action does not fit.
    pub(crate) fn step(self, state: u32) -> Option<u32> {
        match self {
            RegAction::Read(value) => (state == value).then_some(state),
            RegAction::Differs(value) => (state != value).then_some(state),
            RegAction::Write(value) => Some(value),
            RegAction::Cas(from, to) => (state == from).then_some(to),
        }
    }
}

/// One operation on one register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegOp {
    /// Index of the call.
    pub(crate) call: u64,
    /// Index of the reply; [`Op::OPEN`] for an operation that may take effect at any later time, or never.
    pub(crate) end: u64,
    /// What it did.
    pub(crate) action: RegAction,
    /// A compare-and-set that is taken for a write: nothing is said about the value it replaced.
    pub(crate) weakened: bool,
}

impl RegOp {
    /// Whether it certainly happened.
    pub(crate) fn definite(&self) -> bool {
        self.end != Op::OPEN
    }

    /// The same with a compare-and-set taken for a write. Whatever order explains the original explains this too.
    pub(crate) fn weaken(mut self) -> RegOp {
        if let RegAction::Cas(_, to) = self.action {
            self.action = RegAction::Write(to);
            self.weakened = true;
        }
        self
    }
}

/// Numbers for the values of one register, the initial one first.
#[derive(Debug, Default)]
pub(crate) struct Values {
    initial: Value,
    numbers: HashMap<i64, u32, BuildHasherDefault<Spread>>,
    others: HashMap<Value, u32>,
    count: u32,
}

/// Spreads a number over the bits of a hash: Fibonacci hashing (Knuth, TAOCP 3, 6.4).
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_i64(i64::from(*byte)));
    }
    fn write_i64(&mut self, number: i64) {
        self.0 = (self.0 ^ number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(26);
    }
}

impl Values {
    /// For a register that begins with this value.
    pub(crate) fn beginning(initial: Value) -> Values {
        Values { initial, ..Values::default() }
    }

    fn id(&mut self, value: &Value) -> u32 {
        let next = self.count + 1;
        let id = match value {
            value if *value == self.initial => return NIL,
            Value::Int(number) => *self.numbers.entry(*number).or_insert(next),
            other => match self.others.get(other) {
                Some(id) => *id,
                None => *self.others.entry(other.clone()).or_insert(next),
            },
        };
        self.count = self.count.max(id);
        id
    }

    /// The action with its values as numbers; `None` for a read without a reply, which says nothing.
    pub(crate) fn action(&mut self, action: &RegisterAction) -> Option<RegAction> {
        Some(match action {
            RegisterAction::Read(None) => return None,
            RegisterAction::Read(Some(value)) => RegAction::Read(self.id(value)),
            RegisterAction::Differs(value) => RegAction::Differs(self.id(value)),
            RegisterAction::Write(value) => RegAction::Write(self.id(value)),
            // Replacing a value by itself shows that it was there and changes nothing.
            RegisterAction::Cas(from, to) if from == to => RegAction::Read(self.id(from)),
            RegisterAction::Cas(from, to) => RegAction::Cas(self.id(from), self.id(to)),
        })
    }
}

/// One more than the largest number of a value.
pub(crate) fn value_count(ops: &[RegOp]) -> usize {
    let largest = |op: &RegOp| match op.action {
        RegAction::Read(value) | RegAction::Differs(value) | RegAction::Write(value) => value,
        RegAction::Cas(from, to) => from.max(to),
    };
    ops.iter().map(largest).max().unwrap_or(NIL) as usize + 1
}
