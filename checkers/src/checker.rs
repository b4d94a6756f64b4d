//! How a checker is listed ([`CheckerDoc`]) and what a user sets of it ([`Options`]). Knows no single checker.
use crate::value::Value;
use crate::verdict::Checker;
use std::collections::BTreeMap;

/// A checker in the list.
#[derive(Clone, Copy, Debug)]
pub struct CheckerDoc {
    /// Its name in plans.
    pub name: &'static str,
    /// What it promises, in a sentence.
    pub doc: &'static str,
    /// What can be set: name and meaning. Beside these every checker takes `workload`.
    pub options: &'static [(&'static str, &'static str)],
    /// Makes one. The error says what an option takes.
    pub build: fn(&Options) -> Result<Box<dyn Checker>, String>,
}

/// What a user sets of a checker, by name. Everything has a default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options(pub BTreeMap<String, Value>);

impl Options {
    /// A text, if it is set.
    pub fn text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(format!("{name} takes a text, not {other}")),
        }
    }

    /// An integer, if it is set.
    pub fn int(&self, name: &str) -> Result<Option<i64>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Int(number)) => Ok(Some(*number)),
            Some(other) => Err(format!("{name} takes an integer, not {other}")),
        }
    }

    /// An option that counts something, if it is set: an integer that is not negative.
    pub fn count(&self, name: &str) -> Result<Option<u64>, String> {
        let number = self.int(name)?;
        number
            .map(|number| u64::try_from(number).map_err(|_| format!("{name} takes 0 or more, not {number}")))
            .transpose()
    }

    /// A flag; false where it is not set.
    pub fn flag(&self, name: &str) -> Result<bool, String> {
        match self.0.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(format!("{name} takes true or false, not {other}")),
        }
    }
}

/// The option of checkers that look for one workload themselves. [`checker_with`] takes it for all others, too.
pub(crate) const WORKLOAD: (&str, &str) = ("workload", "a text: the one workload that is judged, all by default");

/// The checker, for the workload that the options name.
macro_rules! with_workload {
    ($checker:expr, $options:expr) => {
        match $options.text("workload")? {
            Some(name) => $checker.workload(name),
            None => $checker,
        }
    };
}
pub(crate) use with_workload;
