//! A workload that a plan declares, for an object that none of the others fits: functions with where their values come from, weights,
//! final functions and their mode, checkers.
use crate::client::{Call, CallResult};
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::keys::Keys;
use crate::objects::OBJECTS;
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{CHECKERS, FinalReads, Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "declared",
    object: "declared",
    doc: "A workload that the plan itself declares: functions with where their values come from, weights, final functions, checkers.",
    reads: Reads::Anything,
    checkers: &[],
};

/// Largest weight of a function.
const WEIGHT_MAX: u32 = 1_000_000;

/// Options of a declared workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "DeclaredOptions")]
pub struct DeclaredOptions {
    /// What the functions act on. A client that lists this object, or the workload `declared`, can carry it. Left out: `declared`.
    pub object: Option<String>,
    /// How many keys are in use; every call has one of them. Left out: calls have no key.
    pub keys: Option<u32>,
    /// The functions of the load, by name.
    pub functions: BTreeMap<String, DeclaredFunction>,
    /// The final calls after recovery, in this order, each once for each key.
    #[serde(rename = "final")]
    pub final_calls: Vec<DeclaredFinal>,
    /// The checkers, where the plan has no `check`.
    pub checkers: Vec<String>,
    /// What reads reply with. It says which checkers can judge them.
    pub reads: DeclaredReads,
}

/// A function of a declared workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeclaredFunction {
    /// How often it is chosen, relative to the others.
    pub weight: u32,
    /// Where its argument comes from.
    pub value: ValueSource,
}

impl Default for DeclaredFunction {
    fn default() -> DeclaredFunction {
        DeclaredFunction { weight: 1, value: ValueSource::Nothing }
    }
}

/// A final call of a declared workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredFinal {
    /// The function.
    pub f: String,
    /// Its argument. Left out: null.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    pub value: Value,
    /// Which nodes are asked, and how often. Left out: as the plan or the recipe has it.
    #[serde(default)]
    pub mode: Option<FinalReads>,
}

/// Where the argument of a call comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ValueSource {
    /// Null.
    #[default]
    Nothing,
    /// An integer that no other call of the run has.
    Unique,
    /// An integer from the first to the second, both included.
    Between(i64, i64),
    /// One of these values.
    #[schemars(with = "Vec<serde_json::Value>")]
    OneOf(Vec<Value>),
    /// A list with an element from each of these.
    List(Vec<ValueSource>),
    /// An object with a field from each of these.
    Object(BTreeMap<String, ValueSource>),
    /// What this worker's last call of a function with the same key replied; null before there is one.
    ReplyOf(String),
    /// The argument of this worker's last call of a function with the same key that was ok; null before there is one.
    ArgumentOf(String),
}

/// What reads of a declared workload reply with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeclaredReads {
    /// The value that was written last.
    Value,
    /// All elements that were added.
    Elements,
    /// A number that additions change.
    Number,
    /// What each account holds.
    Balances,
    /// Anything.
    #[default]
    Anything,
}

impl WorkloadSpec for DeclaredOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        Box::new(Declared::new(self))
    }

    fn blind(&self) -> Option<&'static str> {
        self.functions.is_empty().then_some("it declares no function")
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        if self.functions.is_empty() {
            return Some(("functions", "no function is declared; at least one is called".to_owned()));
        }
        if let Some((name, _)) =
            self.functions.iter().find(|(_, function)| !(1..=WEIGHT_MAX).contains(&function.weight))
        {
            return Some(("functions", format!("{name}: its weight is not between 1 and {WEIGHT_MAX}")));
        }
        if let Some((name, why)) = self.unknown_function() {
            return Some((name, why));
        }
        if let Some((name, why)) =
            self.functions.iter().find_map(|(name, function)| Some((name, self.source_mistake(&function.value)?)))
        {
            return Some(("functions", format!("{name}: {why}")));
        }
        if let Some(name) = self.checkers.iter().find(|name| dsfuzz_checkers::checker(name).is_none()) {
            let known: Vec<&str> = CHECKERS.iter().map(|doc| doc.name).collect();
            return Some(("checkers", format!("{name} is unknown; there are {}", known.join(", "))));
        }
        self.keys.and_then(|keys| keys_mistake("keys", keys))
    }

    fn object(&self) -> &str {
        self.object.as_deref().unwrap_or(DOC.object)
    }

    fn reads(&self) -> Reads {
        match self.reads {
            DeclaredReads::Value => Reads::Value,
            DeclaredReads::Elements => Reads::Elements,
            DeclaredReads::Number => Reads::Number,
            DeclaredReads::Balances => Reads::Balances,
            DeclaredReads::Anything => Reads::Anything,
        }
    }
}

impl DeclaredOptions {
    /// A function that the object does not have, where the object is one of those that clients know.
    fn unknown_function(&self) -> Option<(&'static str, String)> {
        let object = OBJECTS.iter().find(|object| Some(object.name) == self.object.as_deref())?;
        let known = object.functions.join(", ");
        let unknown = |name: &&String| !object.functions.contains(&name.as_str());
        let sentence = |name: &String| format!("{name} is no function of {}; there are {known}", object.name);
        if let Some(name) = self.functions.keys().find(unknown) {
            return Some(("functions", sentence(name)));
        }
        let last = self.final_calls.iter().map(|last| &last.f).find(unknown)?;
        Some(("final", sentence(last)))
    }

    fn source_mistake(&self, source: &ValueSource) -> Option<String> {
        match source {
            ValueSource::Between(from, to) if from > to => Some(format!("between {from} and {to} there is nothing")),
            ValueSource::OneOf(values) if values.is_empty() => Some("one-of names no value".to_owned()),
            ValueSource::List(parts) => parts.iter().find_map(|part| self.source_mistake(part)),
            ValueSource::Object(parts) => parts.values().find_map(|part| self.source_mistake(part)),
            ValueSource::ReplyOf(name) | ValueSource::ArgumentOf(name) if !self.functions.contains_key(name) => {
                Some(format!("{name} is no function of this workload"))
            }
            _ => None,
        }
    }
}

#[derive(Clone)]
struct Declared(Arc<DeclaredParts>);

struct DeclaredParts {
    workload: Arc<str>,
    options: DeclaredOptions,
    functions: Vec<(Arc<str>, DeclaredFunction)>,
    checkers: Vec<&'static str>,
}

impl Declared {
    fn new(options: &DeclaredOptions) -> Declared {
        let functions = options.functions.iter().map(|(name, function)| (Arc::from(name.as_str()), function.clone()));
        let checkers =
            options.checkers.iter().filter_map(|name| CHECKERS.iter().find(|doc| doc.name == name)).map(|doc| doc.name);
        Declared(Arc::new(DeclaredParts {
            workload: Arc::from(DOC.name),
            functions: functions.collect(),
            checkers: checkers.collect(),
            options: options.clone(),
        }))
    }

    fn keys(&self) -> Keys {
        Keys(self.0.options.keys)
    }
}

impl Workload for Declared {
    fn name(&self) -> Arc<str> {
        self.0.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        WorkloadSpec::object(&self.0.options).into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        let mut functions: Vec<Arc<str>> = self.0.functions.iter().map(|(name, _)| name.clone()).collect();
        functions.extend(self.0.options.final_calls.iter().map(|last| Arc::from(last.f.as_str())));
        functions.sort();
        functions.dedup();
        functions
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        Box::new(DeclaredCalls {
            rng: Rng::new(seed, "worker", u64::from(worker)),
            declared: self.clone(),
            fresh: i64::from(worker) + 1,
            step: i64::from(workers.max(1)),
            choice: None,
            replies: HashMap::new(),
            arguments: HashMap::new(),
        })
    }

    fn settle(&self) -> Vec<FinalCall> {
        let call = |last: &DeclaredFinal, number| Call {
            workload: self.0.workload.clone(),
            f: last.f.as_str().into(),
            key: self.keys().key(number),
            value: last.value.clone(),
        };
        let calls = self.0.options.final_calls.iter().flat_map(|last| {
            (0..self.keys().count())
                .map(move |number| FinalCall { mode: last.mode, ..FinalCall::from(call(last, number)) })
        });
        calls.collect()
    }

    fn checkers(&self) -> Vec<&'static str> {
        self.0.checkers.clone()
    }
}

/// What is drawn of a value; the rest is bound when the call is made.
#[derive(Clone, Debug)]
enum Drawn {
    Known(Value),
    /// The position of a fresh integer among those of the call.
    Unique(i64),
    List(Vec<Drawn>),
    Object(Vec<(Arc<str>, Drawn)>),
    ReplyOf(Arc<str>),
    ArgumentOf(Arc<str>),
}

/// The calls of one worker. Its fresh integers are worker + 1, worker + 1 + workers, and so on.
struct DeclaredCalls {
    rng: Rng,
    declared: Declared,
    fresh: i64,
    step: i64,
    /// The next function, key and argument, and how many fresh integers it takes.
    choice: Option<(usize, u64, Drawn, i64)>,
    replies: HashMap<(Arc<str>, Value), Value>,
    arguments: HashMap<(Arc<str>, Value), Value>,
}

impl DeclaredCalls {
    fn choose(&mut self) -> (usize, u64, Drawn, i64) {
        let parts = self.declared.0.clone();
        let sum: u64 = parts.functions.iter().map(|(_, function)| u64::from(function.weight)).sum();
        let mut left = self.rng.below(sum.max(1));
        let mut chosen = 0;
        for (at, (_, function)) in parts.functions.iter().enumerate() {
            chosen = at;
            match left.checked_sub(u64::from(function.weight)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        let key = self.rng.below(self.declared.keys().count());
        let mut uniques = 0;
        let drawn = match parts.functions.get(chosen) {
            Some((_, function)) => draw(&mut self.rng, &function.value, &mut uniques),
            None => Drawn::Known(Value::Nil),
        };
        (chosen, key, drawn, uniques)
    }

    fn bound(&self, drawn: &Drawn, key: &Value) -> Value {
        let last = |of: &HashMap<(Arc<str>, Value), Value>, name: &Arc<str>| {
            of.get(&(name.clone(), key.clone())).cloned().unwrap_or_default()
        };
        match drawn {
            Drawn::Known(value) => value.clone(),
            Drawn::Unique(position) => Value::Int(self.fresh + position * self.step),
            Drawn::List(parts) => Value::list(parts.iter().map(|part| self.bound(part, key))),
            Drawn::Object(parts) => {
                Value::Map(parts.iter().map(|(name, part)| (name.clone(), self.bound(part, key))).collect())
            }
            Drawn::ReplyOf(name) => last(&self.replies, name),
            Drawn::ArgumentOf(name) => last(&self.arguments, name),
        }
    }
}

fn draw(rng: &mut Rng, source: &ValueSource, uniques: &mut i64) -> Drawn {
    match source {
        ValueSource::Nothing => Drawn::Known(Value::Nil),
        ValueSource::Unique => {
            *uniques += 1;
            Drawn::Unique(*uniques - 1)
        }
        ValueSource::Between(from, to) => {
            let offset = rng.below(to.abs_diff(*from).saturating_add(1));
            Drawn::Known(Value::Int(from.wrapping_add_unsigned(offset)))
        }
        ValueSource::OneOf(values) => {
            let at = rng.below(values.len().max(1) as u64) as usize;
            Drawn::Known(values.get(at).cloned().unwrap_or_default())
        }
        ValueSource::List(parts) => Drawn::List(parts.iter().map(|part| draw(rng, part, uniques)).collect()),
        ValueSource::Object(parts) => Drawn::Object(
            parts.iter().map(|(name, part)| (Arc::from(name.as_str()), draw(rng, part, uniques))).collect(),
        ),
        ValueSource::ReplyOf(name) => Drawn::ReplyOf(Arc::from(name.as_str())),
        ValueSource::ArgumentOf(name) => Drawn::ArgumentOf(Arc::from(name.as_str())),
    }
}

impl Generator for DeclaredCalls {
    fn next(&mut self) -> Next {
        let choice = match self.choice.take() {
            Some(choice) => choice,
            None => self.choose(),
        };
        let (function, number, drawn, _) = &choice;
        let Some((f, _)) = self.declared.0.functions.get(*function) else { return Next::Done };
        let (f, key) = (f.clone(), self.declared.keys().key(*number));
        let value = self.bound(drawn, &key);
        self.choice = Some(choice);
        Next::Call(Call { workload: self.declared.0.workload.clone(), f, key, value })
    }

    fn taken(&mut self) {
        if let Some((.., uniques)) = self.choice.take() {
            self.fresh += uniques * self.step;
        }
    }

    fn observe(&mut self, call: &Call, answer: &CallResult) {
        if let CallResult::Ok(reply) = answer {
            let of = (call.f.clone(), call.key.clone());
            self.arguments.insert(of.clone(), call.value.clone());
            self.replies.insert(of, reply.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn declared(json: serde_json::Value) -> DeclaredOptions {
        serde_json::from_value(json).expect("options")
    }

    fn orders() -> DeclaredOptions {
        declared(serde_json::json!({
            "object": "orders", "keys": 2, "checkers": ["set"],
            "functions": {
                "place": {"weight": 3, "value": {"object": {"id": "unique", "count": {"between": [1, 9]}}}},
                "cancel": {"value": {"list": [{"argument-of": "place"}, {"one-of": ["late", "wrong"]}]}},
                "look": {"value": {"reply-of": "place"}},
            },
            "final": [{"f": "all", "mode": "each-node"}],
        }))
    }

    /// The first calls of worker 1 of 2, each answered by its number.
    fn calls(count: usize) -> Vec<String> {
        let mut generator = orders().build().generator(7, 1, 2);
        let mut calls = Vec::new();
        for number in 0..count {
            let Next::Call(call) = generator.next() else { panic!("a call") };
            assert_eq!(generator.next(), Next::Call(call.clone()), "asking consumes nothing");
            generator.taken();
            generator.observe(&call, &CallResult::Ok(Value::Int(number as i64)));
            calls.push(format!("{} {} {}", call.f, call.key, call.value));
        }
        calls
    }

    #[test]
    fn the_first_choices_of_seed_7_stay_as_they_are() {
        let golden: Vec<&str> = include_str!("../golden/declared-seed-7.txt").lines().collect();
        assert_eq!(calls(golden.len()), golden);
    }

    #[test]
    fn fresh_integers_are_unique_in_the_run() {
        let options = declared(serde_json::json!({"functions": {"add": {"value": {"list": ["unique", "unique"]}}}}));
        let workload = options.build();
        let mut seen = HashSet::new();
        for worker in 0..3 {
            let mut generator = workload.generator(7, worker, 3);
            for _ in 0..50 {
                let Next::Call(call) = generator.next() else { panic!("a call") };
                generator.taken();
                let both = call.value.as_list().expect("a list").to_vec();
                assert!(both.into_iter().all(|one| seen.insert(one)), "{}", call.value);
            }
        }
    }

    #[test]
    fn what_a_client_must_do_and_what_is_asked_at_the_end_follow_from_the_plan() {
        let workload = orders().build();
        let functions = workload.functions();
        assert_eq!(functions.iter().map(|f| &**f).collect::<Vec<_>>(), ["all", "cancel", "look", "place"]);
        assert_eq!((&*workload.object(), workload.checkers()), ("orders", vec!["set"]));
        let last = workload.settle();
        assert_eq!(last.len(), 2, "one for each key");
        assert_eq!((&*last[1].call.f, last[1].mode), ("all", Some(FinalReads::EachNode)));
    }

    #[test]
    fn what_would_silently_mean_something_else_is_refused() {
        let of = |json| declared(json).mistake().map(|(name, why)| format!("{name}: {why}")).unwrap_or_default();
        let cases = [
            (serde_json::json!({}), "functions: no function"),
            (serde_json::json!({"functions": {"a": {"weight": 0}}}), "functions: a: its weight"),
            (
                serde_json::json!({"object": "register", "functions": {"csa": {}}}),
                "functions: csa is no function of register; there are read, write, cas",
            ),
            (
                serde_json::json!({"object": "set", "functions": {"add": {}}, "final": [{"f": "raed"}]}),
                "final: raed is no function of set",
            ),
            (serde_json::json!({"functions": {"a": {"value": {"between": [2, 1]}}}}), "there is nothing"),
            (serde_json::json!({"functions": {"a": {"value": {"one-of": []}}}}), "one-of names no value"),
            (serde_json::json!({"functions": {"a": {"value": {"list": [{"reply-of": "b"}]}}}}), "b is no function"),
            (serde_json::json!({"functions": {"a": {}}, "checkers": ["sett"]}), "checkers: sett is unknown; there are"),
            (serde_json::json!({"functions": {"a": {}}, "keys": 0}), "keys: no key"),
        ];
        for (json, expected) in cases {
            let mistake = of(json);
            assert!(mistake.contains(expected), "{expected}: {mistake}");
        }
        assert_eq!(orders().mistake(), None);
    }
}
