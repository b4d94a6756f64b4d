//! A register whose value has a version, as etcd's keys have: each write makes the next one; initially version 0 of nil.
use super::{Counts, Model, ModelOptions, unknown_function};
use crate::forms::without_version;
use crate::history::{History, NameId, Outcome};
use crate::initial::Initial;
use crate::options::OptionError;
use crate::value::{Value, ValueRef};
use std::collections::{HashMap, HashSet};

pub(super) const FUNCTIONS: &[&str] = &["read", "write", "cas"];

/// A register with versions, as in Jepsen's etcd test: `read` replies with `[version, value]`. `write` takes the value, or
/// `[null, value]`; `cas` takes `[from, to]`, or `[null, [from, to]]`. Both reply with nothing, with the version that they
/// made, or with `[version, value]` and `[version, [from, to]]`, or the argument as it stands in that place. A version or a read value that is nil says nothing, and neither does a version in
/// an argument.
#[derive(Clone, Debug, Default)]
pub struct VersionedRegister {
    /// Its version and value at first.
    pub initial: (i64, Value),
}

impl VersionedRegister {
    /// Whether registers can begin so: with nil, or with a version and a value.
    pub(super) fn sound(options: &ModelOptions) -> Result<(), OptionError> {
        options.initial.each("[version, value], or an object of keys and such pairs", |value| begins(value).is_some())
    }
}

/// What a value of the option `initial` means.
fn begins(value: &Value) -> Option<(i64, Value)> {
    match value {
        Value::Nil => Some((0, Value::Nil)),
        Value::List(pair) => match &pair[..] {
            [Value::Int(version), value] => Some((*version, value.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// What a call does: the version is the one that it found (of a read) or made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VersionedAction {
    /// It found this value.
    Read(Option<i64>, Value),
    /// It left this value.
    Write(Option<i64>, Value),
    /// It found the first value and left the second.
    Cas(Option<i64>, Value, Value),
    /// It did not find this value.
    Differs(Value),
}

/// What the argument of a write or of a compare-and-set says beside its version.
fn argument<'a>(function: &str, input: &'a Value) -> &'a Value {
    match versioned(input) {
        Some((_, pair @ Value::List(both))) if function == "cas" && both.len() == 2 => pair,
        Some((_, value)) if function == "write" => value,
        _ => input,
    }
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
    type Action = VersionedAction;

    fn name(&self) -> &'static str {
        "versioned-register"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn specification(&self) -> String {
        let (version, value) = &self.initial;
        match (version, value) {
            (0, Value::Nil) => self.name().to_owned(),
            _ => format!("{}:[{version},{}]", self.name(), serde_json::to_string(value).unwrap_or_default()),
        }
    }
    fn initial(&self) -> (i64, Value) {
        self.initial.clone()
    }
    fn beginning(&self, key: &Value, initial: &Initial) -> Option<Self> {
        initial.of(key).and_then(begins).map(|initial| VersionedRegister { initial })
    }
    fn counts(&self, action: &VersionedAction) -> Option<Counts> {
        Some(match action {
            VersionedAction::Read(version, _) => Counts { by: 0, before: version.map(i128::from) },
            VersionedAction::Differs(_) => Counts { by: 0, before: None },
            VersionedAction::Write(version, _) | VersionedAction::Cas(version, ..) => {
                Counts { by: 1, before: version.map(|version| i128::from(version) - 1) }
            }
        })
    }
    fn counted_from(&self, version: i64, actions: &[&VersionedAction]) -> Vec<Value> {
        let seen = actions.iter().find_map(|action| match action {
            VersionedAction::Read(Some(seen), value) if *seen == version && !value.is_nil() => Some(value),
            VersionedAction::Cas(Some(made), from, _) if made.checked_sub(1) == Some(version) => Some(from),
            _ => None,
        });
        let mut values: Vec<Value> = vec![seen.cloned().unwrap_or_default()];
        for action in actions.iter().filter(|_| seen.is_none()) {
            let (VersionedAction::Read(None, value) | VersionedAction::Cas(None, value, _)) = action else { continue };
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
        values.into_iter().map(|value| Value::List([Value::Int(version), value].into())).collect()
    }
    fn counts_alone(&self) -> bool {
        false
    }
    fn found<'a>(&self, action: &'a VersionedAction) -> Option<&'a Value> {
        match action {
            VersionedAction::Read(_, value) | VersionedAction::Cas(_, value, _) if !value.is_nil() => Some(value),
            _ => None,
        }
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<VersionedAction, String> {
        if !FUNCTIONS.contains(&function) {
            return Err(unknown_function("versioned-register", FUNCTIONS, function));
        }
        let shape = |value: &Value| format!("{function} replies with [version, value], not with {value}");
        let pair = |reply| versioned(reply).ok_or_else(|| shape(reply));
        if function == "read" {
            let answer = reply.filter(|reply| !reply.is_nil()).map(pair).transpose()?;
            let (version, value) = answer.unwrap_or((None, &Value::Nil));
            return Ok(VersionedAction::Read(version, value.clone()));
        }
        let asked = argument(function, input);
        let version = match reply {
            None | Some(Value::Nil | Value::Bool(_)) => None,
            // The argument again.
            Some(reply) if reply == input || reply == asked => None,
            Some(Value::Int(version)) => Some(*version),
            Some(reply) => {
                let (version, answered) = pair(reply)?;
                let set = asked.as_list().filter(|_| function == "cas").and_then(<[Value]>::last);
                if answered != asked && answered != input && Some(answered) != set {
                    return Err(format!("{function} of {asked} is answered with another value"));
                }
                version
            }
        };
        match (function, asked.as_list()) {
            ("write", _) => Ok(VersionedAction::Write(version, asked.clone())),
            (_, Some([from, _])) if reply == Some(&Value::Bool(false)) => Ok(VersionedAction::Differs(from.clone())),
            (_, Some([from, to])) => Ok(VersionedAction::Cas(version, from.clone(), to.clone())),
            _ => Err(format!("cas takes [from, to] or [version, [from, to]], not {input}")),
        }
    }
    fn step(&self, (version, held): &(i64, Value), action: &VersionedAction) -> Option<(i64, Value)> {
        let made = |told: &Option<i64>, value: &Value| {
            let next = version.saturating_add(1);
            told.is_none_or(|told| told == next).then(|| (next, value.clone()))
        };
        match action {
            VersionedAction::Read(told, value) => {
                let fits = told.is_none_or(|told| told == *version) && (value.is_nil() || value == held);
                fits.then(|| (*version, held.clone()))
            }
            VersionedAction::Write(told, value) => made(told, value),
            VersionedAction::Cas(told, from, to) => made(told, to).filter(|_| from == held),
            VersionedAction::Differs(from) => (from != held).then(|| (*version, held.clone())),
        }
    }
    fn observes_only(&self, action: &VersionedAction) -> bool {
        matches!(action, VersionedAction::Read(..) | VersionedAction::Differs(_))
    }
    fn fits_always(&self, action: &VersionedAction) -> bool {
        matches!(action, VersionedAction::Read(None, Value::Nil) | VersionedAction::Write(None, _))
    }
    fn describe(&self, action: &VersionedAction, acknowledged: bool) -> Option<String> {
        let made = |version: &Option<i64>| {
            version.map(|version| format!(", which made version {version}")).unwrap_or_default()
        };
        Some(match (action, acknowledged) {
            (VersionedAction::Read(..), false) => "tried to read".to_owned(),
            (VersionedAction::Read(Some(version), value), true) => format!("read value {value} with version {version}"),
            (VersionedAction::Read(None, value), true) => format!("read value {value} without its version"),
            (VersionedAction::Write(_, value), false) => format!("tried to write value {value}"),
            (VersionedAction::Write(version, value), true) => format!("wrote value {value}{}", made(version)),
            (VersionedAction::Cas(_, from, to), false) => format!("tried to replace value {from} by {to}"),
            (VersionedAction::Cas(version, from, to), true) => {
                format!("replaced value {from} by {to}{}", made(version))
            }
            (VersionedAction::Differs(from), _) => format!("saw another value than {from}"),
        })
    }
    fn show(&self, (version, value): &(i64, Value)) -> String {
        format!("version {version}: {value}")
    }
}

/// The workloads of registers with versions: the argument of every write is `[null, value]`, that of every compare-and-set
/// `[null, [from, to]]`, and some reply has the version that its call had not. No plain value looks so.
pub(crate) fn recognised(history: &History) -> HashSet<NameId> {
    fn parts(value: ValueRef<'_>) -> Option<(ValueRef<'_>, ValueRef<'_>)> {
        let both = value.as_list().filter(|list| list.len() == 2)?;
        (both.at(0).is_nil() || both.at(0).as_int().is_some()).then(|| (both.at(0), both.at(1)))
    }
    /// Of one workload: whether everything fits, whether something was written, and whether some reply shows a version.
    #[derive(Default)]
    struct Signs {
        strange: bool,
        written: bool,
        shown: bool,
    }
    let mut found: HashMap<NameId, Signs> = HashMap::new();
    for op in history.ops().iter() {
        let signs = found.entry(op.workload).or_default();
        let answer = Some(op.output).filter(|reply| op.outcome == Outcome::Ok && !reply.is_nil());
        let function = history.name(op.function);
        match function {
            "write" | "cas" => {
                let Some(asked) = without_version(function, op.input) else {
                    signs.strange = true;
                    continue;
                };
                signs.written = true;
                let Some(answer) = answer.filter(|answer| *answer != asked) else { continue };
                let set = asked.as_list().filter(|_| function == "cas").map(|pair| pair.at(1));
                match parts(answer) {
                    Some((version, value)) if value == asked || value == op.input || Some(value) == set => {
                        signs.shown |= !version.is_nil();
                    }
                    None if answer.as_int().is_some() => signs.shown = true,
                    None if answer.as_bool().is_some() => {}
                    _ => signs.strange = true,
                }
            }
            "read" => match answer.map(parts) {
                Some(Some((version, _))) => signs.shown |= !version.is_nil(),
                Some(None) => signs.strange = true,
                None => {}
            },
            _ => signs.strange = true,
        }
    }
    let versioned = found.into_iter().filter(|(_, signs)| !signs.strange && signs.written && signs.shown);
    versioned.map(|(workload, _)| workload).collect()
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
        Linearizable::new(VersionedRegister::default()).check(&history(text), &Budget::unlimited()).validity
    }

    #[test]
    fn findings_tell_versions_and_values_in_words() {
        let text = ETCD.replace("[0 [2 4]]", "[0 [3 4]]");
        let verdict = Linearizable::new(VersionedRegister::default()).check(&history(&text), &Budget::unlimited());
        let told = verdict.findings[0].sentences.join(" ");
        for words in ["replaced value 3 by 4, which made version 2", "read value 4 with version 3"] {
            assert!(told.contains(words), "{told}");
        }
        assert!(!told.contains("replaced nil"), "{told}");
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
        // Whatever writes answer.
        for (from, to) in
            [("[0 [1 3]]", "[0 1]"), ("[0 [1 3]]", "nil"), ("[2 [3 4]]", "[2 4]"), ("[1 3]", "[1 [nil 3]]")]
        {
            assert_eq!(recognised(&history(&ETCD.replace(from, to))).len(), 1, "{to}");
        }
        let reads_only = ETCD.replace("[1 3]", "[nil 3]").replace("[2 [3 4]]", "[nil [3 4]]");
        assert_eq!(recognised(&history(&reads_only)).len(), 1);
        assert_eq!(recognised(&history(&reads_only.replace("[2 4]", "[nil 4]"))).len(), 0);
    }
}
