//! [`State`]: registers, sets and counters that operations change one after the other. Replicas that apply the same operations in
//! the same order hold the same.
use crate::call::{Call, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The objects that [`State`] has.
pub const OBJECTS: &[&str] = &["register", "set", "counter"];

/// What a call does to an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The object: its workload, its kind and its key.
    pub object: String,
    /// The function.
    pub f: String,
    /// The argument.
    pub value: Json,
}

impl Operation {
    /// What a call does.
    pub fn of(call: &Call) -> Operation {
        let object = format!("{}/{}/{}", call.workload, call.object, call.key);
        Operation { object, f: call.f.clone(), value: call.value.clone() }
    }

    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        self.f == "read"
    }
}

/// All objects of a replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State(BTreeMap<String, Json>);

impl State {
    /// Carries out an operation.
    pub fn apply(&mut self, operation: &Operation) -> Outcome {
        let Operation { object, f, value } = operation;
        let kind = object.split('/').nth(1).unwrap_or_default();
        match (kind, f.as_str()) {
            (_, "read") => return Outcome::Ok(self.read(object)),
            ("register", "write") => {
                self.0.insert(object.clone(), value.clone());
            }
            ("register", "cas") => {
                let found = self.read(object);
                if found != value[0] {
                    return Outcome::fail("precondition", format!("it was {found}"));
                }
                self.0.insert(object.clone(), value[1].clone());
            }
            ("set", "add") => {
                let elements = self.0.entry(object.clone()).or_insert_with(|| Json::Array(Vec::new()));
                if let Some(elements) = elements.as_array_mut().filter(|elements| !elements.contains(value)) {
                    elements.push(value.clone());
                }
            }
            ("counter", "add") => {
                let sum = self.read(object).as_i64().unwrap_or(0) + value.as_i64().unwrap_or(0);
                self.0.insert(object.clone(), sum.into());
            }
            _ => return Outcome::fail("not-supported", format!("no function {f} of a {kind}")),
        }
        Outcome::done()
    }

    /// What an object holds.
    pub fn read(&self, object: &str) -> Json {
        let empty = match object.split('/').nth(1) {
            Some("set") => Json::Array(Vec::new()),
            Some("counter") => 0.into(),
            _ => Json::Null,
        };
        self.0.get(object).cloned().unwrap_or(empty)
    }

    /// A text that is equal for equal states.
    pub fn digest(&self) -> String {
        digest(&serde_json::to_string(&self.0).expect("JSON"))
    }
}

/// A short text that is equal for equal texts: FNV-1a, 64 bits.
pub fn digest(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}
