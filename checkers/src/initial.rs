//! [`Initial`]: what registers hold before anything is written. It is the option `initial` of every checker that reads
//! registers: a value, or an object of keys and values.
//!
//! Where it is not set, registers begin with nil (those of `kv` with an empty text, counters with 0), and a history that
//! contradicts only that is a question, not an accusation: a checker that finds a contradiction looks for values that were
//! certainly there before everything ([`shown`]), judges again as if registers had begun with them, and is unknown where that
//! contradicts nothing. A contradiction under both is a contradiction under every initial value.
pub(crate) mod bounds;
pub(crate) mod counters;
#[doc(hidden)]
pub mod fuzz;
mod search;
mod traces;

pub(crate) use traces::{Trace, Undecided, shown, undecided};

use crate::history::{History, NameId};
use crate::options::OptionError;
use crate::value::{Value, ValueRef};
use crate::verdict::certificate::{Begins, Certificate, Claim};
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Finding, Severity, Validity, Verdict};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use search::{Found, Search};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Options of checkers of registers that have no others.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct InitialOptions {
    pub(crate) initial: Initial,
}

impl JsonSchema for Initial {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Initial".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "a value, or an object of keys and values",
            "description": "What a key holds before anything is written. Left out: nil (an empty text in kv, 0 in counters)."
        })
    }
}

/// An object names keys and their values, everything else is the value of all keys.
impl<'de> Deserialize<'de> for Initial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Initial, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Map(entries) => {
                let named = entries.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
                Initial { named, ..Initial::default() }
            }
            value => Initial::everywhere(value),
        })
    }
}

/// Findings of values that nobody wrote.
const PHANTOMS: [&str; 2] = ["thin-air-read", "garbage-read"];

/// Keys that a question names at most.
const NAMED: usize = 5;

/// What registers hold before anything is written, as far as it was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Initial {
    everywhere: Option<Value>,
    /// By the key's name as a text.
    named: HashMap<String, Value>,
    /// By the key itself.
    exact: HashMap<Value, Value>,
}

impl Initial {
    /// Every key begins with this value.
    pub fn everywhere(value: Value) -> Initial {
        Initial { everywhere: Some(value), ..Initial::default() }
    }

    /// Whether all values are integers, as counters need; the error says which is not.
    pub(crate) fn integers(&self) -> Result<(), OptionError> {
        self.each("an integer, or an object of keys and integers", |value| value.as_int().is_some())
    }

    /// Whether all values are fit for it; the error says what the option takes and which value is not.
    pub(crate) fn each(&self, takes: &str, fits: impl Fn(&Value) -> bool) -> Result<(), OptionError> {
        let mut all = self.everywhere.iter().chain(self.named.values()).chain(self.exact.values());
        match all.find(|value| !fits(value)) {
            Some(other) => Err(OptionError::wrong("initial", format!("initial takes {takes}, not {other}"))),
            None => Ok(()),
        }
    }

    /// Whether nothing was said of any key.
    pub fn is_unsaid(&self) -> bool {
        self.everywhere.is_none() && self.named.is_empty() && self.exact.is_empty()
    }

    /// What the key begins with, where it was said.
    pub fn of(&self, key: &Value) -> Option<&Value> {
        let name = match key {
            Value::Text(text) => self.named.get(&**text),
            _ if self.named.is_empty() => None,
            other => self.named.get(&other.to_string()),
        };
        self.exact.get(key).or(name).or(self.everywhere.as_ref())
    }

    /// The same where these keys begin with these values, unless something was said of them.
    pub(crate) fn supposing(&self, begins: &[(Value, Value)]) -> Initial {
        let mut supposed = self.clone();
        for (key, value) in begins {
            if self.of(key).is_none() {
                supposed.exact.insert(key.clone(), value.clone());
            }
        }
        supposed
    }

    /// The certificate with what its keys began with, where that plays a role in it.
    pub(crate) fn certify(&self, certificate: &mut Certificate) {
        // The others have it in the name of their model.
        let settles = match &certificate.claim {
            Claim::Linearization { model, .. } | Claim::NoLinearization { model, .. } => {
                !["register", "cas-register", "multi-register"].contains(&model.as_str())
            }
            _ => false,
        };
        if self.is_unsaid() || settles {
            return;
        }
        for (key, seen) in certificate.seen() {
            let Some(value) = self.of(&key).filter(|value| !value.is_nil()) else { continue };
            let begins = Begins { key, value: value.clone() };
            if (seen.is_nil() || seen == *value) && certificate.initial.iter().all(|known| known.key != begins.key) {
                certificate.initial.push(begins);
            }
        }
    }
}

/// Ways in which the registers of one object may have begun that are tried at most.
const COMBINATIONS: usize = 16;

/// Ways in which registers may have begun: what is certain, and beside it a value or nothing for each undecided register.
pub(crate) struct Ways {
    pub(crate) ways: Vec<Vec<(Value, Value)>>,
    /// Whether there are more than are tried.
    pub(crate) more: bool,
}

/// All ways, the one with what is certain alone first.
pub(crate) fn ways(certain: &[(Value, Value)], undecided: &[(Value, Vec<Value>)]) -> Ways {
    let mut ways = vec![certain.to_vec()];
    let mut more = false;
    for (register, values) in undecided {
        for at in 0..ways.len() {
            for value in values {
                if ways.len() == COMBINATIONS {
                    more = true;
                    break;
                }
                let mut way = ways[at].clone();
                way.push((register.clone(), value.clone()));
                ways.push(way);
            }
        }
    }
    Ways { ways, more }
}

/// Why nothing is said where there are too many ways.
pub(crate) fn too_many(undecided: &[(Value, Vec<Value>)]) -> String {
    let keys: Vec<String> = undecided.iter().take(NAMED).map(|(key, _)| key.to_string()).collect();
    let more = if undecided.len() > NAMED { ", .." } else { "" };
    format!(
        "what {} began with ({}{more}) may be any of several values, more than are tried: set initial",
        messages::count(undecided.len(), "key"),
        keys.join(", ")
    )
}

/// Why nothing is said where the time was up.
fn out_of_time(undecided: &[(Value, Vec<Value>)]) -> String {
    let keys: Vec<String> = undecided.iter().take(NAMED).map(|(key, _)| key.to_string()).collect();
    let which = if keys.is_empty() { String::new() } else { format!(" ({})", keys.join(", ")) };
    format!(
        "this contradicts registers that began with nothing; the time was up before it was judged with what they may have begun \
         with{which}: set initial, or allow more time"
    )
}

/// How it is known what registers began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It was read before anything was written.
    Read,
    /// Every reply agrees with it, and some reply with nothing smaller.
    Counted,
    /// A call that was never acknowledged replaced it, and nothing else explains what was read.
    Supposed,
}

impl Shown {
    /// How the values of [`shown`] are known: read, unless no reply shows one of them.
    pub(crate) fn of<K: PartialEq, V: PartialEq>(traces: &[Trace<K, V>], first: &[(K, V)]) -> Shown {
        let read = |(key, value): &(K, V)| {
            traces.iter().any(|trace| matches!(trace, Trace::Seen(of, seen, _) if of == key && seen == value))
        };
        if first.iter().all(read) { Shown::Read } else { Shown::Supposed }
    }
}

/// The question that takes the place of an accusation, without its full stop.
pub(crate) fn question(begins: &[(Value, Value)], shown: Shown) -> String {
    let Some((key, value)) = begins.first() else { return String::new() };
    let same = begins.iter().all(|(_, other)| other == value);
    if same {
        let of = match begins {
            [_] if key.is_nil() => String::new(),
            [_] => format!(" to key {key}"),
            _ => format!(" to {}", messages::count(begins.len(), "key")),
        };
        let one = format!("initial={}", json(value));
        let set = match begins {
            [_] if key.is_nil() => one,
            _ if begins.len() <= NAMED => format!("initial={} (or {one} where all keys do)", object(begins)),
            _ => format!("{one} where all keys do, or else initial={}", object(begins)),
        };
        return match shown {
            Shown::Read => {
                format!("{value} was read before anything was written{of}: if registers begin so, set {set}")
            }
            Shown::Counted => format!(
                "every reply agrees with a beginning of {value}{}, which is not the default: if it began so, set {set}; with \
                 the default the promise is broken",
                of.replacen(" to", " of", 1),
            ),
            Shown::Supposed => format!(
                "the replies agree if {value} was there before anything was written{of}, and not with the default: if registers \
                 begin so, set {set}"
            ),
        };
    }
    let (keys, set) = (messages::count(begins.len(), "key"), object(begins));
    match shown {
        Shown::Read => {
            format!("values were read of {keys} before anything was written: if registers begin so, set initial={set}")
        }
        Shown::Counted => format!(
            "every reply agrees with beginnings of {keys} that are not the default: if they began so, set initial={set}"
        ),
        Shown::Supposed => format!(
            "the replies agree if values of {keys} were there before anything was written, and not with the default: if \
             registers begin so, set initial={set}"
        ),
    }
}

/// Keys and what they begin with, as the option takes them; of many keys the first.
fn object(begins: &[(Value, Value)]) -> String {
    let name = |key: &Value| match key {
        Value::Text(text) => json(&Value::Text(text.clone())),
        other => json(&Value::text(&other.to_string())),
    };
    let named: Vec<String> =
        begins.iter().take(NAMED).map(|(key, value)| format!("{}: {}", name(key), json(value))).collect();
    let more = if begins.len() > NAMED { ", .." } else { "" };
    format!("{{{}{more}}}", named.join(", "))
}

fn json(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| value.to_string())
}

/// A checker that can judge as if registers had begun with certain values.
pub(crate) trait Begun: Checker {
    /// Whether its certificates are about registers, so that they have to say what those began with.
    const CERTIFIES: bool = true;

    /// Judges. Registers of which nothing is said begin with nil.
    fn check_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict;

    /// Values that certainly were in registers before everything: see [`shown`].
    fn first(&self, history: &History) -> Vec<(Value, Value)>;

    /// Registers that began with one of several values: see [`undecided`].
    fn undecided(&self, _history: &History) -> Undecided {
        Vec::new()
    }

    /// Whether this first finding under what was read before anything was written is the nearer reason, where the default
    /// contradicts the history as well.
    fn prefers(&self, _finding: &Finding) -> bool {
        false
    }

    /// What registers begin with where nothing is said.
    fn default_value(&self) -> Value {
        Value::Nil
    }

    /// The question about these.
    fn question(&self, _history: &History, first: &[(Value, Value)]) -> String {
        question(first, Shown::Read)
    }
}

/// Such a checker with what the option `initial` says, which asks where nothing was said.
pub(crate) struct Beginning<C> {
    pub(crate) checker: C,
    pub(crate) initial: Initial,
}

impl<C: Begun> Beginning<C> {
    /// Registers of which this is said.
    pub(crate) fn new(checker: C, initial: Initial) -> Beginning<C> {
        Beginning { checker, initial }
    }

    fn judge_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict {
        let mut verdict = self.checker.check_from(history, budget, initial);
        if C::CERTIFIES {
            let told = verdict.findings.iter_mut().filter_map(|finding| finding.certificate.as_mut());
            told.chain(&mut verdict.certificates).for_each(|certificate| initial.certify(certificate));
        }
        verdict
    }
}

impl<C: Begun> Checker for Beginning<C> {
    fn name(&self) -> &str {
        self.checker.name()
    }

    fn needs_realtime(&self) -> bool {
        self.checker.needs_realtime()
    }

    fn measures_only(&self) -> bool {
        self.checker.measures_only()
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        self.checker.workloads(history)
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let said = self.judge_from(history, budget, &self.initial);
        // Without an order between sessions nothing is seen before everything; such a format says itself what keys begin with.
        if said.validity != Validity::Invalid || !history.realtime {
            return said;
        }
        let mut first = self.checker.first(history);
        first.retain(|(key, value)| !value.is_nil() && self.initial.of(key).is_none());
        let mut known: HashSet<Value> = HashSet::new();
        first.retain(|(key, _)| known.insert(key.clone()));
        let mut undecided = self.checker.undecided(history);
        undecided.retain(|(key, _)| self.initial.of(key).is_none());
        let mut search = Search::new(self, history, budget, &undecided);
        let mut supposed = match (first.is_empty(), undecided.is_empty()) {
            (true, true) => return said,
            (true, false) => said.clone(),
            _ => self.judge_from(history, budget, &self.initial.supposing(&first)),
        };
        match search.beginning(&supposed, &first, &mut Vec::new()) {
            Found::Way(verdict, way) if way == first => return asks(verdict, &self.checker.question(history, &first)),
            Found::Way(verdict, way) => return asks(verdict, &question(&way, Shown::Supposed)),
            Found::TooMany => return asks(supposed, &too_many(&undecided)),
            Found::OutOfTime => return asks(supposed, &out_of_time(&undecided)),
            Found::Conflict(_) => {}
        }
        if first.is_empty() {
            return said;
        }
        for finding in &mut supposed.findings {
            if let Some(phantom) = phantom(finding, &said, &first) {
                *finding = phantom;
                supposed.summary.clone_from(&said.summary);
            }
        }
        let begun: Vec<Value> = first.iter().map(|(key, _)| key.clone()).collect();
        // A contradiction of another kind may be owed to the supposition alone: the first one is shown then.
        if let Some(first) = supposed.findings.first_mut().filter(|finding| self.checker.prefers(finding)) {
            let other = said.findings.iter().find(|other| {
                let same = other.key == first.key && begun.contains(&first.key);
                same && other.severity == Severity::Violation && other.ops != first.ops
            });
            let other = other.map(|other| {
                format!(
                    "Or it began with {}, and another read is wrong: {}.",
                    self.checker.default_value(),
                    other.title
                )
            });
            first.sentences.extend(other);
            return supposed;
        }
        let of_both = |finding: &Finding| said.findings.iter().any(|other| other.kind == finding.kind);
        if supposed.findings.iter().any(of_both) { supposed } else { said }
    }
}

/// A verdict that holds only if registers began as supposed.
fn asks(mut supposed: Verdict, question: &str) -> Verdict {
    supposed.summary = match supposed.validity {
        Validity::Unknown => format!("{question}. Besides: {}", supposed.summary),
        _ => format!("{question}."),
    };
    supposed.validity = Validity::Unknown;
    supposed
}

/// Where a finding is that nothing explains what nobody wrote, not even that the register began with it: the finding that
/// says so.
fn phantom(finding: &Finding, said: &Verdict, first: &[(Value, Value)]) -> Option<Finding> {
    if PHANTOMS.contains(&finding.kind.as_str()) || finding.severity != Severity::Violation {
        return None;
    }
    let about = |key: &Value| {
        finding.key == *key || finding.certificate.as_ref().is_some_and(|certificate| certificate.begins(key))
    };
    let (key, value) = first.iter().find(|(key, _)| about(key))?;
    let same = |other: &&Finding| {
        let seen = other.certificate.as_ref().map(Certificate::seen).unwrap_or_default();
        PHANTOMS.contains(&other.kind.as_str()) && seen.iter().any(|(of, seen)| of == key && seen == value)
    };
    let mut phantom = said.findings.iter().find(same)?.clone();
    phantom.sentences.push(format!("Nor can the register have begun with {value}: {}.", finding.title));
    Some(phantom)
}

/// Keys of a history are values of its arena: what each begins with, looked up once.
pub(crate) fn of_key(initial: &Initial, key: ValueRef<'_>) -> Option<Value> {
    if initial.is_unsaid() { None } else { initial.of(&key.to_value()).cloned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn an_object_names_keys_and_anything_else_is_the_value_of_all() {
        let with = |value: Value| serde_json::from_value::<Initial>(serde_json::json!(value)).expect("any value");
        let named = with(map(r#"{"x":0,"1":5}"#));
        assert_eq!(named.of(&"x".into()), Some(&Value::Int(0)));
        assert_eq!((named.of(&Value::Int(1)), named.of(&"1".into())), (Some(&Value::Int(5)), Some(&Value::Int(5))));
        assert_eq!(named.of(&"y".into()), None);
        assert_eq!(with(Value::Int(7)).of(&"y".into()), Some(&Value::Int(7)));
        assert!(Initial::default().is_unsaid() && !with(Value::Nil).is_unsaid());
        assert_eq!(with(Value::Int(7)).supposing(&[("y".into(), 3.into())]).of(&"y".into()), Some(&Value::Int(7)));
        assert_eq!(named.supposing(&[("y".into(), 3.into())]).of(&"y".into()), Some(&Value::Int(3)));
    }

    #[test]
    fn ways_to_begin_are_bounded() {
        let values: Vec<Value> = (0..3).map(Value::Int).collect();
        let of = |keys: i64| ways(&[], &(0..keys).map(|key| (Value::Int(key), values.clone())).collect::<Vec<_>>());
        assert_eq!((of(2).ways.len(), of(2).more), (16, false));
        assert_eq!((of(3).ways.len(), of(3).more), (16, true));
        assert_eq!(of(1).ways[0], []);
    }

    #[test]
    fn a_question_names_the_option() {
        let of = |pairs: &[(&str, i64)]| {
            question(
                &pairs.iter().map(|(key, value)| (Value::text(key), Value::Int(*value))).collect::<Vec<_>>(),
                Shown::Read,
            )
        };
        assert_eq!(
            question(&[(Value::Nil, 0.into())], Shown::Read),
            "0 was read before anything was written: if registers begin so, set initial=0"
        );
        assert!(of(&[("x", 0), ("y", 0)]).ends_with(
            r#"to 2 keys: if registers begin so, set initial={"x": 0, "y": 0} (or initial=0 where all keys do)"#
        ));
        let many: Vec<(String, i64)> = (0..6).map(|key| (format!("k{key}"), 0)).collect();
        let many: Vec<(&str, i64)> = many.iter().map(|(key, value)| (&**key, *value)).collect();
        assert!(of(&many).contains("set initial=0 where all keys do, or else initial={\"k0\": 0"));
        assert!(of(&[("x", 0), ("y", 1)]).ends_with(r#"set initial={"x": 0, "y": 1}"#));
    }
}
