//! [`Initial`]: what registers hold before anything is written. It is the option `initial` of every checker that reads
//! registers: a value, or an object of keys and values.
//!
//! Where it is not set, registers begin with nil (those of `kv` with an empty text, counters with 0), and a history that
//! contradicts only that is a question, not an accusation: a checker that finds a contradiction looks for values that were
//! certainly there before everything ([`shown`]), judges again as if registers had begun with them, and is unknown where that
//! contradicts nothing. A contradiction under both is a contradiction under every initial value.
#[doc(hidden)]
pub mod fuzz;

use crate::certificate::{Begins, Certificate, Claim};
use crate::history::History;
use crate::registry::Options;
use crate::value::{Value, ValueRef};
use crate::verdict::{Budget, Checker, Finding, Severity, Validity, Verdict};
use crate::wording;
use std::collections::{HashMap, HashSet};

/// The option, for checkers whose registers begin with nil.
pub(crate) const OPTION: (&str, &str) = (
    "initial",
    "what a key holds before anything is written: a value, or an object of keys and values (default nil; an empty text in kv, 0 \
     in counters)",
);

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

    /// The option `initial`: an object names keys and their values, everything else is the value of all keys.
    pub fn with(options: &Options) -> Initial {
        match options.0.get(OPTION.0) {
            None => Initial::default(),
            Some(Value::Map(entries)) => {
                let named = entries.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
                Initial { named, ..Initial::default() }
            }
            Some(value) => Initial::everywhere(value.clone()),
        }
    }

    /// Whether all values are integers, as counters need; the error says which is not.
    pub(crate) fn integers(&self) -> Result<(), String> {
        self.each("an integer, or an object of keys and integers", |value| value.as_int().is_some())
    }

    /// Whether all values are fit for it; the error says what the option takes and which value is not.
    pub(crate) fn each(&self, takes: &str, fits: impl Fn(&Value) -> bool) -> Result<(), String> {
        let mut all = self.everywhere.iter().chain(self.named.values()).chain(self.exact.values());
        match all.find(|value| !fits(value)) {
            Some(other) => Err(format!("initial takes {takes}, not {other}")),
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

/// A value that was seen in a register, and when that reply came; or one that was left there, and when that call began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trace<K, V> {
    /// This value was there, as a reply of this index says.
    Seen(K, V, u64),
    /// This value may have been left there by a call of this index.
    Left(K, V, u64),
    /// A call of this index that, if it took effect, replaced the first by the second; the flag says whether it was
    /// acknowledged.
    Replaced(K, V, V, u64, bool),
    /// Whatever value: by a call of this index.
    LeftAny(K, u64),
}

impl<K, V> Trace<K, V> {
    fn key(&self) -> &K {
        match self {
            Trace::Seen(key, ..) | Trace::Left(key, ..) | Trace::Replaced(key, ..) | Trace::LeftAny(key, _) => key,
        }
    }
}

/// What registers certainly began with: a value seen in a reply that came before everything was called that may have left it
/// there. Of each register all such values, those first that nobody ever wrote, and else in the order in which they were seen; more
/// than one contradict each other.
pub(crate) fn shown<K: Clone + Eq + std::hash::Hash, V: Clone + Eq + std::hash::Hash>(
    traces: impl Iterator<Item = Trace<K, V>>,
) -> Vec<(K, V)> {
    let mut traces: Vec<Trace<K, V>> = traces.collect();
    happened(&mut traces);
    let mut left: HashMap<(K, V), u64> = HashMap::new();
    let mut any: HashMap<K, u64> = HashMap::new();
    for trace in traces.iter().cloned() {
        match trace {
            // A value that replaces itself was there before.
            Trace::Replaced(_, from, to, ..) if from == to => {}
            Trace::Left(key, value, call) | Trace::Replaced(key, _, value, call, _) => {
                let first = left.entry((key, value)).or_insert(call);
                *first = call.min(*first);
            }
            Trace::LeftAny(key, call) => {
                let first = any.entry(key).or_insert(call);
                *first = call.min(*first);
            }
            Trace::Seen(..) => {}
        }
    }
    let mut seen: Vec<((bool, u64), K, V)> = Vec::new();
    let mut known: HashMap<(K, V), ()> = HashMap::new();
    for trace in traces {
        let Trace::Seen(key, value, end) = trace else { continue };
        let both = (key, value);
        let first = left.get(&both).copied().unwrap_or(u64::MAX).min(any.get(&both.0).copied().unwrap_or(u64::MAX));
        if end < first && known.insert(both.clone(), ()).is_none() {
            // What nobody ever wrote leaves no other explanation.
            seen.push(((first < u64::MAX, end), both.0, both.1));
        }
    }
    seen.sort_by_key(|(order, ..)| *order);
    seen.into_iter().map(|(_, key, value)| (key, value)).collect()
}

/// Of calls that were never acknowledged, those took effect that alone can have left by then what was seen: they saw what
/// they replaced.
fn happened<K: Clone + Eq + std::hash::Hash, V: Clone + Eq + std::hash::Hash>(traces: &mut Vec<Trace<K, V>>) {
    if !traces.iter().any(|trace| matches!(trace, Trace::Replaced(..))) {
        return;
    }
    let mut writers: HashMap<(K, V), Vec<u64>> = HashMap::new();
    let mut seen: HashMap<(K, V), u64> = HashMap::new();
    for trace in traces.iter() {
        match trace {
            Trace::Replaced(_, from, to, ..) if from == to => {}
            Trace::Left(key, value, call) | Trace::Replaced(key, _, value, call, _) => {
                writers.entry((key.clone(), value.clone())).or_default().push(*call);
            }
            Trace::Seen(key, value, end) => {
                let first = seen.entry((key.clone(), value.clone())).or_insert(*end);
                *first = (*end).min(*first);
            }
            Trace::LeftAny(..) => {}
        }
    }
    loop {
        let mut more = Vec::new();
        for trace in traces.iter() {
            let Trace::Replaced(key, from, to, call, false) = trace else { continue };
            let (before, after) = ((key.clone(), from.clone()), (key.clone(), to.clone()));
            let Some(&end) = seen.get(&after) else { continue };
            let alone = writers.get(&after).is_some_and(|calls| calls.iter().filter(|&&one| one < end).eq([call]));
            if !alone {
                continue;
            }
            if seen.get(&before).is_none_or(|&known| known > end) {
                seen.insert(before, end);
                more.push(Trace::Seen(key.clone(), from.clone(), end));
            }
        }
        if more.is_empty() {
            return;
        }
        traces.extend(more);
    }
}

/// Ways in which the registers of one object may have begun that are tried at most.
const COMBINATIONS: usize = 16;

/// How often a history is judged at most for the sake of registers that began with one of several values.
const JUDGED: usize = 64;

/// Registers and the values that each may have begun with.
pub(crate) type Undecided = Vec<(Value, Vec<Value>)>;

/// Registers that perhaps began with one of several values: something was seen in them that nothing explains which was called
/// by then, unless it was put there by a call that replaced one of these values. Registers of [`shown`] are none of them.
/// `default` says whether registers begin with a value.
pub(crate) fn undecided<K: Clone + Eq + std::hash::Hash, V: Clone + Eq + std::hash::Hash>(
    traces: &[Trace<K, V>],
    default: impl Fn(&K, &V) -> bool,
) -> Vec<(K, Vec<V>)> {
    let mut replaced: HashMap<&K, Vec<&V>> = HashMap::new();
    for trace in traces {
        let Trace::Replaced(key, from, to, ..) = trace else { continue };
        let values = replaced.entry(key).or_default();
        if from != to && !default(key, from) && values.len() <= COMBINATIONS && !values.contains(&from) {
            values.push(from);
        }
    }
    replaced.retain(|_, values| !values.is_empty());
    if replaced.is_empty() {
        return Vec::new();
    }
    let known = shown(traces.iter().cloned());
    replaced.retain(|key, _| known.iter().all(|(decided, _)| decided != *key));
    let explained = explained(traces.iter().filter(|trace| replaced.contains_key(trace.key())), &default);
    let mut undecided = Vec::new();
    for trace in traces {
        let Trace::Seen(key, value, end) = trace else { continue };
        if default(key, value) || explained.get(&(key, Some(value))).is_some_and(|call| call < end) {
            continue;
        }
        if explained.get(&(key, None)).is_some_and(|call| call < end) {
            continue;
        }
        // Taken out: every register once.
        let values = replaced.remove(key).map(|values| values.into_iter().cloned().collect());
        undecided.extend(values.map(|values| (key.clone(), values)));
    }
    undecided
}

/// From when on a value may be in a register, or any value, by acknowledged calls and plain ones that may have taken effect,
/// where registers begin with their default.
fn explained<'t, K: Eq + std::hash::Hash, V: Eq + std::hash::Hash>(
    traces: impl Iterator<Item = &'t Trace<K, V>>,
    default: impl Fn(&K, &V) -> bool,
) -> HashMap<(&'t K, Option<&'t V>), u64> {
    let mut explained: HashMap<(&K, Option<&V>), u64> = HashMap::new();
    let mut swaps: Vec<(&K, &V, &V, u64)> = Vec::new();
    for trace in traces {
        let (place, call) = match trace {
            Trace::Left(key, value, call) => ((key, Some(value)), *call),
            Trace::LeftAny(key, call) => ((key, None), *call),
            Trace::Replaced(key, from, to, call, true) => {
                swaps.push((key, from, to, *call));
                continue;
            }
            Trace::Replaced(..) | Trace::Seen(..) => continue,
        };
        let first = explained.entry(place).or_insert(call);
        *first = call.min(*first);
    }
    loop {
        let mut more = false;
        for (key, from, to, call) in &swaps {
            let before = if default(key, from) { Some(0) } else { explained.get(&(*key, Some(*from))).copied() };
            let Some(since) = before.map(|before| before.max(*call)) else { continue };
            let first = explained.entry((key, Some(to))).or_insert(u64::MAX);
            more |= since < *first;
            *first = since.min(*first);
        }
        if !more {
            return explained;
        }
    }
}

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
        wording::count(undecided.len(), "key"),
        keys.join(", ")
    )
}

/// How it is known what registers began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It was read before anything was written.
    Read,
    /// Every reply agrees with it, and some reply with nothing smaller.
    Counted,
}

/// The question that takes the place of an accusation, without its full stop.
pub(crate) fn question(begins: &[(Value, Value)], shown: Shown) -> String {
    let Some((key, value)) = begins.first() else { return String::new() };
    let same = begins.iter().all(|(_, other)| other == value);
    if same {
        let of = match begins {
            [_] if key.is_nil() => String::new(),
            [_] => format!(" to key {key}"),
            _ => format!(" to {}", wording::count(begins.len(), "key")),
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
        };
    }
    let (keys, set) = (wording::count(begins.len(), "key"), object(begins));
    match shown {
        Shown::Read => {
            format!("values were read of {keys} before anything was written: if registers begin so, set initial={set}")
        }
        Shown::Counted => format!(
            "every reply agrees with beginnings of {keys} that are not the default: if they began so, set initial={set}"
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
    /// With what the options say.
    pub(crate) fn with(checker: C, options: &Options) -> Beginning<C> {
        Beginning { checker, initial: Initial::with(options) }
    }

    fn judge(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict {
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

    fn check(&self, history: &History, budget: &Budget) -> Verdict {
        let said = self.judge(history, budget, &self.initial);
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
        let mut search = Search { checker: self, history, budget, undecided: &undecided, left: JUDGED };
        let mut supposed = match (first.is_empty(), undecided.is_empty()) {
            (true, true) => return said,
            (true, false) => said.clone(),
            _ => self.judge(history, budget, &self.initial.supposing(&first)),
        };
        match search.beginning(&supposed, &first, &mut Vec::new()) {
            Found::Way(verdict, way) => return asks(verdict, &self.checker.question(history, &way)),
            Found::TooMany => return asks(supposed, &too_many(&undecided)),
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
        // A contradiction of another kind may be owed to the supposition alone: the first one is shown then.
        if let Some(first) = supposed.findings.first_mut().filter(|finding| self.checker.prefers(finding)) {
            let other =
                said.findings.iter().find(|other| other.severity == Severity::Violation && other.ops != first.ops);
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

/// A search for a way in which registers may have begun that contradicts nothing.
struct Search<'a, C> {
    checker: &'a Beginning<C>,
    history: &'a History,
    budget: &'a Budget,
    undecided: &'a [(Value, Vec<Value>)],
    /// How often may still be judged.
    left: usize,
}

/// What such a search comes to.
enum Found {
    /// The verdict is not invalid where registers began so.
    Way(Verdict, Vec<(Value, Value)>),
    /// It is invalid whatever registers began with; it depends on what these undecided ones were supposed to begin with.
    Conflict(HashSet<Value>),
    TooMany,
}

impl<C: Begun> Search<'_, C> {
    /// Searches the ways to begin that extend this one, under which the verdict is this one. A branch ends where a violation
    /// depends on no register that may still begin otherwise. A register on which no contradiction of its branch depends is
    /// not tried with other values (conflict-directed backjumping: Prosser, Hybrid algorithms for the constraint satisfaction
    /// problem, section 3.3).
    fn beginning(&mut self, verdict: &Verdict, way: &[(Value, Value)], settled: &mut Vec<Value>) -> Found {
        if verdict.validity != Validity::Invalid {
            return Found::Way(verdict.clone(), way.to_vec());
        }
        let mut conflict = self.conflict(verdict, settled);
        let all = self.undecided;
        let Some((key, values)) = all.iter().find(|(key, _)| conflict.contains(key) && !settled.contains(key)) else {
            return Found::Conflict(conflict);
        };
        settled.push(key.clone());
        // First as it is: the register began with nothing else.
        let mut found = self.beginning(verdict, way, settled);
        for value in values {
            match found {
                Found::Conflict(of) if of.contains(key) => conflict.extend(of),
                _ => break,
            }
            let Some(left) = self.left.checked_sub(1) else { return Found::TooMany };
            self.left = left;
            let mut longer = way.to_vec();
            longer.push((key.clone(), value.clone()));
            let other = self.checker.judge(self.history, self.budget, &self.checker.initial.supposing(&longer));
            found = self.beginning(&other, &longer, settled);
        }
        settled.pop();
        match found {
            Found::Conflict(of) if of.contains(key) => {
                conflict.extend(of);
                conflict.remove(key);
                Found::Conflict(conflict)
            }
            found => found,
        }
    }

    /// The undecided registers on which a violation of the verdict may depend: the violation with the fewest that are not
    /// settled, and then with the fewest.
    fn conflict(&self, verdict: &Verdict, settled: &[Value]) -> HashSet<Value> {
        let violations = verdict.findings.iter().filter(|finding| finding.severity == Severity::Violation);
        let depends = |finding: &Finding| -> HashSet<Value> {
            let named = self.keys(finding);
            let may = |key: &&Value| named.as_ref().is_none_or(|named| named.contains(*key));
            self.undecided.iter().map(|(key, _)| key).filter(may).cloned().collect()
        };
        let open = |keys: &HashSet<Value>| keys.iter().filter(|key| !settled.contains(key)).count();
        let least = violations.map(depends).min_by_key(|keys| (open(keys), keys.len()));
        least.unwrap_or_else(|| self.undecided.iter().map(|(key, _)| key.clone()).collect())
    }

    /// The keys that a finding is about, as far as it says so.
    fn keys(&self, finding: &Finding) -> Option<HashSet<Value>> {
        let certificate = finding.certificate.as_ref()?;
        let ops = finding.ops.iter().filter_map(|call| self.history.op(*call)).map(|op| op.key.to_value());
        Some(certificate.ops.iter().map(|op| op.key.clone()).chain(ops).chain([finding.key.clone()]).collect())
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
        let with = |value: Value| Initial::with(&Options([("initial".to_owned(), value)].into()));
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
    fn what_nobody_can_have_left_by_then_was_there_first() {
        use Trace::{Left, LeftAny, Replaced, Seen};
        let traces = [Left("x", 1, 4), Seen("x", 1, 3), Seen("x", 2, 9), Seen("x", 1, 7), Left("y", 2, 0)];
        assert_eq!(shown(traces.into_iter()), [("x", 2), ("x", 1)]);
        let traces = [
            Replaced("x", 1, 2, 0, false),
            Replaced("x", 2, 3, 1, false),
            Seen("x", 3, 4),
            Replaced("x", 9, 8, 1, false),
        ];
        assert_eq!(shown(traces.into_iter()), [("x", 1)]);
        let traces = [LeftAny("x", 2), Seen("x", 1, 3), Seen("y", 1, 3), Seen("y", 1, 5)];
        assert_eq!(shown(traces.into_iter()), [("y", 1)]);
    }

    #[test]
    fn a_register_that_began_with_one_of_several_values_is_undecided() {
        use Trace::{Left, Replaced, Seen};
        let of = |traces: &[Trace<&'static str, u32>]| undecided(traces, |_, value| *value == 0);
        let two = [Replaced("x", 4, 2, 0, false), Replaced("x", 7, 2, 1, false), Seen("x", 2, 4)];
        assert_eq!(of(&two), [("x", vec![4, 7])]);
        assert_eq!(shown(two.iter().cloned()), []);
        // What a plain write explains, or what is certain, is not.
        let [one, other, seen] = two;
        assert_eq!(of(&[one.clone(), other.clone(), seen.clone(), Left("x", 2, 3)]), []);
        assert_eq!(of(&[one.clone(), other.clone(), seen.clone(), Left("x", 2, 5), Seen("x", 9, 3)]), []);
        // A value that replaces itself explains nothing; two that replace each other began with either.
        assert_eq!(of(&[one, other, Replaced("x", 2, 2, 2, true), seen]), [("x", vec![4, 7])]);
        let swapped = [Replaced("x", 4, 5, 0, true), Seen("x", 4, 3), Replaced("x", 5, 4, 1, true), Seen("x", 5, 4)];
        assert_eq!(of(&swapped), [("x", vec![4, 5])]);
        let explained = [Replaced("x", 0, 5, 0, true), Seen("x", 5, 3), Replaced("x", 9, 5, 1, false)];
        assert_eq!(of(&explained), []);
        assert_eq!(shown([Replaced("x", 2, 2, 1, true), Seen("x", 2, 3)].into_iter()), [("x", 2)]);
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
