//! A counter; initially 0, unless the option `initial` is set.
use super::{Counts, Model, ModelOptions, unknown_function};
use crate::initial::Initial;
use crate::options::OptionError;
use crate::value::Value;

pub(super) const FUNCTIONS: &[&str] = &["add", "increment", "decrement", "inc", "dec", "add-and-get", "read", "get"];

/// A counter: `add` a number (it may be negative), `increment` and `decrement` (or `inc` and `dec`; by 1, or by their argument), `add-and-get` returns the
/// new number, `read` (or `get`) the present one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    /// The number at first.
    pub initial: i64,
}

/// What can be done with a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CounterAction {
    /// By how much it grows.
    by: i64,
    /// The number afterwards, where the reply says it.
    seen: Option<i128>,
}

impl Counter {
    /// Whether counters can begin so: with integers.
    pub(super) fn sound(options: &ModelOptions) -> Result<(), OptionError> {
        options.initial.integers()
    }
}

fn number(function: &str, value: &Value) -> Result<i64, String> {
    value.as_int().ok_or_else(|| format!("{function} deals in integers, not {value}"))
}

impl Model for Counter {
    type State = i128;
    type Action = CounterAction;

    fn name(&self) -> &'static str {
        "counter"
    }
    fn specification(&self) -> String {
        if self.initial == 0 { self.name().to_owned() } else { format!("{}:{}", self.name(), self.initial) }
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> i128 {
        i128::from(self.initial)
    }
    fn beginning(&self, key: &Value, initial: &Initial) -> Option<Counter> {
        initial.of(key).and_then(Value::as_int).map(|initial| Counter { initial })
    }
    fn begins(&self, _: &Value) -> Value {
        Value::Int(self.initial)
    }
    fn counts(&self, action: &CounterAction) -> Option<Counts> {
        Some(Counts { by: action.by, before: action.seen.map(|seen| seen - i128::from(action.by)) })
    }
    fn seen(&self, action: &CounterAction) -> Vec<(Value, Value)> {
        let before = action.seen.and_then(|seen| i64::try_from(seen - i128::from(action.by)).ok());
        before.map(|before| (Value::Nil, Value::Int(before))).into_iter().collect()
    }
    fn left(&self, action: &CounterAction) -> Vec<(Value, Option<Value>)> {
        if action.by == 0 { Vec::new() } else { vec![(Value::Nil, None)] }
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<CounterAction, String> {
        let seen = || reply.map(|reply| number(function, reply)).transpose().map(|seen| seen.map(i128::from));
        let by = || if input.is_nil() { Ok(1) } else { number(function, input) };
        match function {
            "add" => Ok(CounterAction { by: number(function, input)?, seen: None }),
            "increment" | "inc" => Ok(CounterAction { by: by()?, seen: None }),
            "decrement" | "dec" => {
                let by = by()?.checked_neg().ok_or_else(|| format!("{function} by {input} is out of range"))?;
                Ok(CounterAction { by, seen: None })
            }
            "add-and-get" => Ok(CounterAction { by: number(function, input)?, seen: seen()? }),
            "read" | "get" => Ok(CounterAction { by: 0, seen: seen()? }),
            _ => Err(unknown_function("counter", FUNCTIONS, function)),
        }
    }
    fn step(&self, state: &i128, action: &CounterAction) -> Option<i128> {
        let next = state + i128::from(action.by);
        action.seen.is_none_or(|seen| seen == next).then_some(next)
    }
    fn observes_only(&self, action: &CounterAction) -> bool {
        action.by == 0
    }
    fn fits_always(&self, action: &CounterAction) -> bool {
        action.seen.is_none()
    }
}
