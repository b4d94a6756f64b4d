//! [`Initial`]: what registers hold before anything is written. It is the option `initial` of every checker that reads
//! registers: a value, or an object of keys and values.
//!
//! Where it is not set, registers begin with nil (those of `kv` with an empty text, counters with 0), and a history that
//! contradicts only that is a question, not an accusation: a checker that finds a contradiction looks for values that were
//! certainly there before everything ([`shown`]), judges again as if registers had begun with them, and is unknown where that
//! contradicts nothing. A contradiction under both is a contradiction under every initial value.
pub(crate) mod bounds;
pub(crate) mod counters;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod search;
mod traces;

pub(crate) use search::{OBJECT_WAYS, Search, SearchResult, Supposition, Way};
pub(crate) use traces::{Trace, Undecided, shown};

use crate::history::{History, NameId};
use crate::options::OptionError;
use crate::value::{Value, ValueRef};
use crate::verdict;
use crate::verdict::certificate::{Begins, Certificate, Claim};
use crate::verdict::messages;
use crate::verdict::{Budget, Finding, Severity, Validity, Verdict, as_inner_checker};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use search::HISTORY_WAYS;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use traces::undecided;

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

/// Findings of values that no call wrote.
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

/// Why nothing is said where there are too many ways.
pub(crate) fn too_many(undecided: &[(Value, Vec<Value>)]) -> String {
    format!(
        "what {} began with{} may be any of several values, more than are tried: set initial",
        messages::count(undecided.len(), "key"),
        listed(undecided)
    )
}

/// Why nothing is said where the time was up.
fn out_of_time(undecided: &[(Value, Vec<Value>)]) -> String {
    format!(
        "this contradicts registers that began with nothing; the time was up before it was judged with what they may have begun \
         with{}: set initial, or allow more time",
        listed(undecided)
    )
}

/// ` (x, y, ..)`, with a space in front: the first keys. Nothing where there are none.
fn listed(undecided: &[(Value, Vec<Value>)]) -> String {
    let keys: Vec<String> = undecided.iter().take(NAMED).map(|(key, _)| key.to_string()).collect();
    let more = if undecided.len() > NAMED { ", .." } else { "" };
    if keys.is_empty() { String::new() } else { format!(" ({}{more})", keys.join(", ")) }
}

/// How it is known what a register began with, from the nearest reason to the farthest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Basis {
    /// It was read before anything was written.
    Read,
    /// Every reply agrees with it, and some reply with nothing smaller.
    Counted,
    /// A call that was never acknowledged replaced it, and nothing else explains what was read.
    Supposed,
}

/// What registers may have begun with, as far as replies show it.
#[derive(Debug, Default)]
pub(crate) struct Beginnings {
    /// Values that certainly were in registers before everything: see [`shown`].
    pub(crate) certain: Vec<(Value, Value, Basis)>,
    /// Registers that began with one of several values: see [`undecided`].
    pub(crate) undecided: Undecided,
}

impl Beginnings {
    /// Those of which only certain values are known, each read.
    pub(crate) fn read(certain: impl IntoIterator<Item = (Value, Value)>) -> Beginnings {
        let certain = certain.into_iter().map(|(key, value)| (key, value, Basis::Read)).collect();
        Beginnings { certain, undecided: Undecided::new() }
    }

    /// What these traces show; `default` says whether registers begin with a value.
    pub(crate) fn of<K: Clone + Eq + Hash, V: Clone + Eq + Hash>(
        traces: &[Trace<K, V>],
        default: impl Fn(&K, &V) -> bool,
        to_value: (impl Fn(&K) -> Value, impl Fn(&V) -> Value),
    ) -> Beginnings {
        let (key_of, value_of) = to_value;
        let first = shown(traces.iter().cloned());
        let undecided = undecided(traces, &first, default);
        let read: HashSet<(&K, &V)> = traces
            .iter()
            .filter_map(|trace| match trace {
                Trace::Seen(key, value, _) => Some((key, value)),
                _ => None,
            })
            .collect();
        let certain = first.iter().map(|(key, value)| {
            let basis = if read.contains(&(key, value)) { Basis::Read } else { Basis::Supposed };
            (key_of(key), value_of(value), basis)
        });
        let values = |(key, values): &(K, Vec<V>)| (key_of(key), values.iter().map(&value_of).collect());
        Beginnings { certain: certain.collect(), undecided: undecided.iter().map(values).collect() }
    }
}

/// The question that takes the place of an accusation, without its full stop.
pub(crate) fn question(begins: &[(Value, Value)], basis: Basis) -> String {
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
        return match basis {
            Basis::Read => {
                format!("{value} was read before anything was written{of}: if registers begin so, set {set}")
            }
            Basis::Counted => format!(
                "every reply agrees with a beginning of {value}{}, which is not the default: if it began so, set {set}; with \
                 the default the promise is broken",
                of.replacen(" to", " of", 1),
            ),
            Basis::Supposed => format!(
                "the replies agree if {value} was there before anything was written{of}, and not with the default: if registers \
                 begin so, set {set}"
            ),
        };
    }
    let (keys, set) = (messages::count(begins.len(), "key"), object(begins));
    match basis {
        Basis::Read => {
            format!("values were read of {keys} before anything was written: if registers begin so, set initial={set}")
        }
        Basis::Counted => format!(
            "every reply agrees with beginnings of {keys} that are not the default: if they began so, set initial={set}"
        ),
        Basis::Supposed => format!(
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

/// A checker that can judge as if registers had begun with certain values. Every one is a [`verdict::Checker`], too: there
/// registers begin with their default.
pub(crate) trait FromInitial: Send + Sync {
    /// Whether its certificates are about registers, so that they have to say what those began with.
    const CERTIFIES: bool = true;

    /// See [`verdict::Checker::name`].
    fn name(&self) -> &str;

    /// See [`verdict::Checker::needs_realtime`].
    fn needs_realtime(&self) -> bool {
        true
    }

    /// See [`verdict::Checker::measures_only`].
    fn measures_only(&self) -> bool {
        false
    }

    /// See [`verdict::Checker::workloads`].
    fn workloads(&self, history: &History) -> Vec<NameId>;

    /// Judges. Registers that the option does not name begin with nil.
    fn check_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict;

    /// What registers may have begun with.
    fn beginnings(&self, history: &History) -> Beginnings;

    /// Whether this first finding under what was read before anything was written is the nearer reason, where the default
    /// contradicts the history as well.
    fn prefers(&self, _finding: &Finding) -> bool {
        false
    }

    /// What registers begin with where nothing is said.
    fn default_value(&self) -> Value {
        Value::Nil
    }
}

impl<C: FromInitial> verdict::Checker for C {
    fn name(&self) -> &str {
        FromInitial::name(self)
    }

    fn needs_realtime(&self) -> bool {
        FromInitial::needs_realtime(self)
    }

    fn measures_only(&self) -> bool {
        FromInitial::measures_only(self)
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        FromInitial::workloads(self, history)
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        self.check_from(history, budget, &Initial::default())
    }
}

/// Such a checker with what the option `initial` says, which asks where nothing was said.
pub(crate) struct WithInitial<C> {
    pub(crate) checker: C,
    pub(crate) initial: Initial,
}

impl<C: FromInitial> WithInitial<C> {
    /// Registers of which this is said.
    pub(crate) fn new(checker: C, initial: Initial) -> WithInitial<C> {
        WithInitial { checker, initial }
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

impl<C: FromInitial> verdict::Checker for WithInitial<C> {
    as_inner_checker!();

    fn workloads(&self, history: &History) -> Vec<NameId> {
        self.checker.workloads(history)
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let said = self.judge_from(history, budget, &self.initial);
        // Without an order between sessions nothing is seen before everything; such a format says itself what keys begin with.
        if said.validity != Validity::Invalid || !history.realtime {
            return said;
        }
        let Beginnings { mut certain, mut undecided } = self.checker.beginnings(history);
        let mut known: HashSet<Value> = HashSet::new();
        certain
            .retain(|(key, value, _)| !value.is_nil() && self.initial.of(key).is_none() && known.insert(key.clone()));
        undecided.retain(|(key, _)| self.initial.of(key).is_none());
        let basis = certain.iter().map(|(.., basis)| *basis).max().unwrap_or(Basis::Read);
        let first: Way = certain.into_iter().map(|(key, value, _)| (key, value)).collect();
        let mut supposed = match (first.is_empty(), undecided.is_empty()) {
            (true, true) => return said,
            (true, false) => said.clone(),
            _ => self.judge_from(history, budget, &self.initial.supposing(&first)),
        };
        let judge = |way: &[(Value, Value)]| self.judge_from(history, budget, &self.initial.supposing(way));
        let meaning = |verdict: &Verdict, settled: &[Value]| match verdict.validity {
            Validity::Invalid => Supposition::Contradicted(conflict(history, verdict, &undecided, settled)),
            // Found out in time: it is no contradiction.
            Validity::Unknown if (budget.expired)() => Supposition::Expired,
            _ => Supposition::Holds,
        };
        match Search::new(&undecided, HISTORY_WAYS, judge, meaning).extend(supposed.clone(), &first) {
            SearchResult::Explained(verdict, way) => {
                let basis = if way == first { basis } else { Basis::Supposed };
                return asks(verdict, &question(&way, basis));
            }
            SearchResult::TooMany => return asks(supposed, &too_many(&undecided)),
            SearchResult::OutOfTime => return asks(supposed, &out_of_time(&undecided)),
            SearchResult::Contradicted(_) => {}
        }
        if first.is_empty() {
            return said;
        }
        supposed = supposed.reworded(&said, |finding| phantom(finding, &said, &first));
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
            if let Some(other) = other {
                *first = first.clone().because(other);
            }
            return supposed;
        }
        let of_both = |finding: &Finding| said.findings.iter().any(|other| other.kind == finding.kind);
        if supposed.findings.iter().any(of_both) { supposed } else { said }
    }
}

/// The undecided registers on which a violation of the verdict may depend: of the violation with the fewest that are not settled,
/// and then with the fewest.
fn conflict(
    history: &History,
    verdict: &Verdict,
    undecided: &[(Value, Vec<Value>)],
    settled: &[Value],
) -> HashSet<Value> {
    let violations = verdict.findings.iter().filter(|finding| finding.severity == Severity::Violation);
    let depends = |finding: &Finding| -> HashSet<Value> {
        let named = keys(history, finding);
        let may = |key: &&Value| named.as_ref().is_none_or(|named| named.contains(*key));
        undecided.iter().map(|(key, _)| key).filter(may).cloned().collect()
    };
    let open = |keys: &HashSet<Value>| keys.iter().filter(|key| !settled.contains(key)).count();
    let least = violations.map(depends).min_by_key(|keys| (open(keys), keys.len()));
    least.unwrap_or_else(|| undecided.iter().map(|(key, _)| key.clone()).collect())
}

/// The keys that a finding is about, as far as it says so.
fn keys(history: &History, finding: &Finding) -> Option<HashSet<Value>> {
    let certificate = finding.certificate.as_ref()?;
    let ops = finding.ops.iter().filter_map(|call| history.op(*call)).map(|op| op.key.to_value());
    Some(certificate.ops.iter().map(|op| op.key.clone()).chain(ops).chain([finding.key.clone()]).collect())
}

/// A verdict that holds only if registers began as supposed.
fn asks(supposed: Verdict, question: &str) -> Verdict {
    let why = match supposed.validity {
        Validity::Unknown => format!("{question}. Besides: {}", supposed.summary),
        _ => format!("{question}."),
    };
    supposed.doubted(why)
}

/// The finding that a value was never written, where this one says that the register cannot have begun with it either.
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
    let phantom = said.findings.iter().find(same)?.clone();
    Some(phantom.because(format!("Nor can the register have begun with {value}: {}.", finding.title)))
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
    fn a_question_names_the_option() {
        let of = |pairs: &[(&str, i64)]| {
            question(
                &pairs.iter().map(|(key, value)| (Value::text(key), Value::Int(*value))).collect::<Vec<_>>(),
                Basis::Read,
            )
        };
        assert_eq!(
            question(&[(Value::Nil, 0.into())], Basis::Read),
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
