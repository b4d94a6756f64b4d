//! Registers that began with another value than nil: certificates and recordings are read as if that value were nil, and nil a
//! value like any other. The names of values mean nothing to a register, so what holds of one reading holds of the other.
use crate::certificate::{Begins, Certificate, Claim, Op};
use crate::{Refused, refuse};
use serde_json::{Value, json};

/// What nil is called in a register that began with something else.
fn absent() -> Value {
    json!({"nil": true})
}

/// The certificate with nil for what its registers began with. Each of them has to be of a register of which somebody that
/// is shown read that value or nil: what plays no role is not assumed.
pub(crate) fn read(certificate: &Certificate) -> Result<Certificate, Refused> {
    let initial = &certificate.initial;
    for (at, begins) in initial.iter().enumerate() {
        if begins.value.is_null() {
            return refuse(format!("that {} begins with nil is not claimed", begins.key));
        }
        if initial[..at].iter().any(|other| other.key == begins.key) {
            return refuse(format!("{} begins twice", begins.key));
        }
        let plays = |seen: &(Value, Value)| seen.0 == begins.key && (seen.1.is_null() || seen.1 == begins.value);
        if !certificate.ops.iter().flat_map(seen).any(|seen| plays(&seen)) {
            return refuse(format!("no operation shown read {} of {} or nil", begins.value, begins.key));
        }
    }
    let mut certificate = certificate.clone();
    certificate.ops = certificate.ops.iter().map(|op| renamed(op, initial)).collect();
    let first = |key: &Value, value: &Value| initial.iter().any(|begins| begins.key == *key && begins.value == *value);
    match &mut certificate.claim {
        Claim::Cycle { edges, .. } => {
            for edge in edges {
                for version in [&mut edge.before, &mut edge.after] {
                    if first(&edge.key, version) {
                        *version = Value::Null;
                    }
                }
            }
        }
        // A rule about transactions names a key and versions of it.
        Claim::Rule { subject: Value::Array(parts), .. } => {
            if let Some((key, versions)) = parts.split_first_mut() {
                versions.iter_mut().for_each(|version| *version = swapped(key, version, initial));
            }
        }
        _ => {}
    }
    Ok(certificate)
}

/// A value of a register as it is read here.
fn swapped(key: &Value, value: &Value, initial: &[Begins]) -> Value {
    match initial.iter().find(|begins| begins.key == *key) {
        Some(begins) if begins.value == *value => Value::Null,
        Some(_) if value.is_null() => absent(),
        _ => value.clone(),
    }
}

/// Micro-operations; of reads only those whose reply is known.
fn mops(list: &Value, known: bool, initial: &[Begins]) -> Value {
    let Some(list) = list.as_array() else { return list.clone() };
    let mop = |mop: &Value| match mop.as_array().map(Vec::as_slice) {
        Some([f, key, value]) => {
            let writes = matches!(f.as_str().map(|f| f.trim_start_matches(':')), Some("w" | "write"));
            let value = if writes || known { swapped(key, value, initial) } else { value.clone() };
            json!([f, key, value])
        }
        Some([f, key]) if known => json!([f, key, swapped(key, &Value::Null, initial)]),
        _ => mop.clone(),
    };
    Value::Array(list.iter().map(mop).collect())
}

/// An object of registers and values.
fn entries(object: &Value, initial: &[Begins]) -> Value {
    let Some(object) = object.as_object() else { return object.clone() };
    let entry =
        |(name, value): (&String, &Value)| (name.clone(), swapped(&Value::String(name.clone()), value, initial));
    Value::Object(object.iter().map(entry).collect())
}

/// The operation as it is read here.
pub(crate) fn renamed(op: &Op, initial: &[Begins]) -> Op {
    let mut op = op.clone();
    if initial.is_empty() {
        return op;
    }
    let value = |value: &Value| swapped(&op.key, value, initial);
    let (mut input, mut output) = (op.input.clone(), op.output.clone());
    match op.f.as_str() {
        "txn" => {
            input = mops(&op.input, false, initial);
            output = mops(&op.output, op.ok(), initial);
        }
        "write" | "put" | "w" if op.input.is_object() => input = entries(&op.input, initial),
        "write" | "put" | "w" => input = value(&op.input),
        "read" | "get" | "r" if op.output.is_object() => {
            let mut seen = op.output.clone();
            if let Some(seen) = seen.as_object_mut() {
                for asked in op.input.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    seen.entry(asked).or_insert(Value::Null);
                }
            }
            output = entries(&seen, initial);
        }
        "read" | "get" | "r" if op.ok() => {
            output = match op.output.as_array().map(Vec::as_slice) {
                // With its version.
                Some([version, seen]) if version.is_i64() => json!([version, value(seen)]),
                _ => value(&op.output),
            }
        }
        "cas" => {
            if let Some([from, to]) = op.input.as_array().map(Vec::as_slice) {
                input = json!([value(from), value(to)]);
            }
        }
        _ => {}
    }
    (op.input, op.output) = (input, output);
    op
}

/// What an operation read: key and value; a compare-and-set also where it is in doubt.
fn seen(op: &Op) -> Vec<(Value, Value)> {
    if !op.ok() && op.f != "cas" {
        return Vec::new();
    }
    match op.f.as_str() {
        "txn" => {
            let list = op.output.as_array().into_iter().flatten().filter_map(Value::as_array);
            let reads = list.filter(|mop| {
                !matches!(mop.first().and_then(Value::as_str).map(|f| f.trim_start_matches(':')), Some("w" | "write"))
            });
            reads.filter_map(|mop| Some((mop.get(1)?.clone(), mop.get(2).cloned().unwrap_or_default()))).collect()
        }
        "read" | "get" | "r" => match (&op.output, op.input.as_array()) {
            (Value::Object(seen), asked) => {
                let shown = seen.iter().map(|(name, value)| (Value::String(name.clone()), value.clone()));
                let asked = asked.into_iter().flatten().map(|key| (key.clone(), Value::Null));
                shown.chain(asked).collect()
            }
            (output, _) => {
                let inner = output.as_array().and_then(|pair| pair.get(1));
                std::iter::once(output).chain(inner).map(|value| (op.key.clone(), value.clone())).collect()
            }
        },
        "cas" => op.input.get(0).map(|from| (op.key.clone(), from.clone())).into_iter().collect(),
        _ => Vec::new(),
    }
}
