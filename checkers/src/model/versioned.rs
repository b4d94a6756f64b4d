//! A register whose value has a version, as etcd's keys have: each write makes the next one; initially version 0 of nil.
use super::{Model, unknown_function};
use crate::history::{History, NameId, Outcome};
use crate::value::{Value, ValueRef};
use std::collections::{HashMap, HashSet};

pub(super) const FUNCTIONS: &[&str] = &["read", "write", "cas"];

/// A register with versions, as in Jepsen's etcd test: values are `[version, value]`. `write` takes `[null, value]` and
/// replies with the version that it made; `cas` takes `[null, [from, to]]`; `read` replies with both. A version or a
/// read value that is nil says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct VersionedRegister;

/// What a call does: the version is the one that it found (of a read) or made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VersionedAct {
    /// It found this value.
    Read(Option<i64>, Value),
    /// It left this value.
    Write(Option<i64>, Value),
    /// It found the first value and left the second.
    Cas(Option<i64>, Value, Value),
    /// It did not find this value.
    Differs(Value),
}

/// The version and the value of `[version, value]`.
fn versioned(value: &Value) -> Option<(Option<i64>, &Value)> {
    match value.as_list()? {
        [Value::Nil, value] => Some((None, value)),
        [Value::Int(version), value] => Some((Some(*version), value)),
        _ => None,
    }
}

impl Model for VersionedRegister {
    type State = (i64, Value);
    type Act = VersionedAct;

    fn name(&self) -> &'static str {
        "versioned-register"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> (i64, Value) {
        (0, Value::Nil)
    }
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<VersionedAct, String> {
        if !FUNCTIONS.contains(&function) {
            return Err(unknown_function("versioned-register", FUNCTIONS, function));
        }
        let shape = |value: &Value| format!("{function} is about [version, value], not {value}");
        let answer = match reply {
            None | Some(Value::Nil | Value::Bool(_)) => None,
            Some(reply) => Some(versioned(reply).ok_or_else(|| shape(reply))?),
        };
        let version = answer.and_then(|(version, _)| version);
        if function == "read" {
            return Ok(VersionedAct::Read(version, answer.map(|(_, value)| value.clone()).unwrap_or_default()));
        }
        let (_, asked) = versioned(input).ok_or_else(|| shape(input))?;
        if answer.is_some_and(|(_, answered)| answered != asked) {
            return Err(format!("{function} of {asked} is answered with another value"));
        }
        match (function, asked.as_list()) {
            ("write", _) => Ok(VersionedAct::Write(version, asked.clone())),
            (_, Some([from, _])) if reply == Some(&Value::Bool(false)) => Ok(VersionedAct::Differs(from.clone())),
            (_, Some([from, to])) => Ok(VersionedAct::Cas(version, from.clone(), to.clone())),
            _ => Err(format!("cas takes [version, [from, to]], not {input}")),
        }
    }
    fn step(&self, (version, held): &(i64, Value), act: &VersionedAct) -> Option<(i64, Value)> {
        let made = |told: &Option<i64>, value: &Value| {
            let next = version.saturating_add(1);
            told.is_none_or(|told| told == next).then(|| (next, value.clone()))
        };
        match act {
            VersionedAct::Read(told, value) => {
                let fits = told.is_none_or(|told| told == *version) && (value.is_nil() || value == held);
                fits.then(|| (*version, held.clone()))
            }
            VersionedAct::Write(told, value) => made(told, value),
            VersionedAct::Cas(told, from, to) => made(told, to).filter(|_| from == held),
            VersionedAct::Differs(from) => (from != held).then(|| (*version, held.clone())),
        }
    }
    fn observes_only(&self, act: &VersionedAct) -> bool {
        matches!(act, VersionedAct::Read(..) | VersionedAct::Differs(_))
    }
    fn fits_always(&self, act: &VersionedAct) -> bool {
        matches!(act, VersionedAct::Read(None, Value::Nil) | VersionedAct::Write(None, _))
    }
    fn show(&self, (version, value): &(i64, Value)) -> String {
        format!("version {version}: {value}")
    }
}

/// The workloads whose every write and read is about `[version, value]`, where some reply has a version that its call
/// had not: so no plain value looks.
pub(crate) fn recognised(history: &History) -> HashSet<NameId> {
    fn parts(value: ValueRef<'_>) -> Option<(ValueRef<'_>, ValueRef<'_>)> {
        let both = value.as_list().filter(|list| list.len() == 2)?;
        (both.at(0).is_nil() || both.at(0).as_int().is_some()).then(|| (both.at(0), both.at(1)))
    }
    let mut found: HashMap<NameId, (bool, bool)> = HashMap::new();
    for op in history.ops().iter() {
        let (fits, shown) = found.entry(op.workload).or_insert((true, false));
        let answer = Some(op.output).filter(|reply| op.outcome == Outcome::Ok && !reply.is_nil());
        match history.name(op.function) {
            "write" | "cas" => {
                let asked = parts(op.input).filter(|(version, _)| version.is_nil());
                *fits &= asked.is_some();
                let (Some((_, asked)), Some(answer)) = (asked, answer) else { continue };
                match parts(answer) {
                    Some((version, value)) if value == asked => *shown |= !version.is_nil(),
                    Some(_) => *fits = false,
                    None => *fits &= answer.as_bool().is_some(),
                }
            }
            "read" => *fits &= answer.is_none_or(|answer| parts(answer).is_some()),
            _ => *fits = false,
        }
    }
    found.into_iter().filter(|(_, (fits, shown))| *fits && *shown).map(|(workload, _)| workload).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Format, ReadOptions, read};
    use crate::{Budget, Checker, Linearizable, Validity};

    const ETCD: &str = r#"{:type :invoke, :f :write, :value [0 [nil 3]], :process 0}
{:type :ok, :f :write, :value [0 [1 3]], :process 0}
{:type :invoke, :f :cas, :value [0 [nil [3 4]]], :process 1}
{:type :ok, :f :cas, :value [0 [2 [3 4]]], :process 1}
{:type :invoke, :f :read, :value [0 [nil nil]], :process 1}
{:type :ok, :f :read, :value [0 [2 4]], :process 1}
"#;

    fn history(text: &str) -> History {
        let options = ReadOptions { independent: Some(true), ..ReadOptions::default() };
        read(Format::JepsenEdn, text.as_bytes(), &options).expect("readable")
    }

    fn judged(text: &str) -> Validity {
        Linearizable::new(VersionedRegister).check(&history(text), &Budget::unlimited()).validity
    }

    #[test]
    fn versions_count_the_writes() {
        assert_eq!(judged(ETCD), Validity::Valid);
        for (from, to) in [("[0 [2 4]]", "[0 [1 4]]"), ("[0 [2 4]]", "[0 [2 3]]"), ("[2 [3 4]]", "[1 [3 4]]")] {
            assert_eq!(judged(&ETCD.replace(from, to)), Validity::Invalid, "{to}");
        }
        assert_eq!(judged(&ETCD.replace("[0 [1 3]]", "[0 [1 5]]")), Validity::Unknown);
    }

    #[test]
    fn only_replies_that_bring_a_version_are_a_sign() {
        assert_eq!(recognised(&history(ETCD)).len(), 1);
        for (from, to) in [("[0 [1 3]]", "[0 [1 5]]"), ("[nil 3]", "[7 3]"), ("[0 [2 4]]", "[0 4]")] {
            assert_eq!(recognised(&history(&ETCD.replace(from, to))).len(), 0, "{to}");
        }
        let plain = ETCD.replace("[1 3]", "[nil 3]").replace("[2 [3 4]]", "[nil [3 4]]");
        assert_eq!(recognised(&history(&plain)).len(), 0);
    }
}
