//! [`Value`]: the open data that calls and replies carry. Small values are held inline, large ones behind a shared
//! pointer, so that a history of a million calls stays small.
mod arena;

pub(crate) use arena::{Arena, Kind, Word};
pub use arena::{ListRef, MapRef, ValueRef};

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A key, an argument or a reply. Serialised as plain JSON (`null`, booleans, integers, strings, arrays, objects).
///
/// Objects are equal whatever the order in which their names were written: writers of JSON and EDN choose it freely.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing: an absent register, an argument that is not there.
    #[default]
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A text. Numbers that are not 64-bit integers arrive as text too, so that no digit is lost.
    Text(Arc<str>),
    /// A list, e.g. `[from, to]` of a compare-and-set or the elements of a set.
    List(Arc<[Value]>),
    /// An object, in the order in which it was written.
    Map(Arc<[(Arc<str>, Value)]>),
}

/// The entries of an object by name.
fn by_name(entries: &[(Arc<str>, Value)]) -> Vec<&(Arc<str>, Value)> {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by(|one, two| one.0.cmp(&two.0));
    sorted
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Bool(one), Value::Bool(two)) => one.cmp(two),
            (Value::Int(one), Value::Int(two)) => one.cmp(two),
            (Value::Text(one), Value::Text(two)) => one.cmp(two),
            (Value::List(one), Value::List(two)) => one.cmp(two),
            (Value::Map(one), Value::Map(two)) => by_name(one).cmp(&by_name(two)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Bool(one), Value::Bool(two)) => one == two,
            (Value::Int(one), Value::Int(two)) => one == two,
            (Value::Text(one), Value::Text(two)) => one == two,
            (Value::List(one), Value::List(two)) => one == two,
            (Value::Map(one), Value::Map(two)) => one.len() == two.len() && by_name(one) == by_name(two),
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.rank().hash(hasher);
        match self {
            Value::Nil => {}
            Value::Bool(flag) => flag.hash(hasher),
            Value::Int(number) => number.hash(hasher),
            Value::Text(text) => text.hash(hasher),
            Value::List(items) => items.hash(hasher),
            Value::Map(entries) => by_name(entries).hash(hasher),
        }
    }
}

impl Value {
    fn rank(&self) -> u8 {
        match self {
            Value::Nil => 0,
            Value::Bool(_) => 1,
            Value::Int(_) => 2,
            Value::Text(_) => 3,
            Value::List(_) => 4,
            Value::Map(_) => 5,
        }
    }

    /// A text value.
    pub fn text(text: &str) -> Value {
        Value::Text(Arc::from(text))
    }

    /// A list value.
    pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
        Value::List(items.into_iter().collect())
    }

    /// The integer, if this is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The elements, if this is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Whether this is [`Value::Nil`].
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Value {
        Value::Int(i64::from(number))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Bool(flag)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::text(text)
    }
}

/// Nothing, or the value.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Nil, Into::into)
    }
}

/// A list.
impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Value {
        Value::list(items.into_iter().map(Into::into))
    }
}

/// As JSON, but `nil` for nothing: what reports and sentences show.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("nil"),
            Value::Bool(flag) => write!(f, "{flag}"),
            Value::Int(number) => write!(f, "{number}"),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::List(items) => {
                f.write_str("[")?;
                for (position, item) in items.iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Value::Map(entries) => {
                f.write_str("{")?;
                for (position, (name, value)) in entries.iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    write!(f, "{comma}{name}: {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Nil => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items.iter() {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (name, value) in entries.iter() {
                    map.serialize_entry(&**name, value)?;
                }
                map.end()
            }
        }
    }
}

/// The first double of which the next whole number is none: from here on JSON readers that know doubles alone lose digits.
const DOUBLE_MAX: u128 = 1 << 53;

/// How a client may have made the one value of the other, where they look the same to people (`1` and `"1"`, `1.5` and `"1.50"`)
/// or are the same double.
pub(crate) fn likeness(written: &Value, seen: &Value) -> Option<String> {
    let shown = |value: &Value| match value {
        Value::Text(text) => text.to_string(),
        other => other.to_string(),
    };
    let (first, second) = (shown(written), shown(seen));
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    let same_number = number(&first).is_some_and(|first| Some(first) == number(&second));
    if written == seen || (first != second && !same_number) {
        return None;
    }
    let of_type =
        |one: &str, other: &str| format!("one is a {one} and the other a {other}: did the client change the type?");
    let (one, other) = (kind_of(written), kind_of(seen));
    let whole = |text: &str| text.parse::<i128>().ok().map(i128::unsigned_abs);
    let large = |text: &str| whole(text).is_none_or(|number| number >= DOUBLE_MAX);
    let differ = decimal(&first).zip(decimal(&second)).is_some_and(|(first, second)| first != second);
    let why = match (whole(&first), whole(&second)) {
        // Digits differ: that the doubles are the same is no sign unless one of them is a number.
        _ if differ && (large(&first) || large(&second)) => {
            if ![written, seen].iter().any(|value| matches!(value, Value::Int(_))) {
                return None;
            }
            "both are the same double, which loses digits from 2^53 on: does the client read numbers as doubles?"
                .to_owned()
        }
        _ if one != other => of_type(one, other),
        _ => format!("each is a {one} that is written in another form: did the client change it?"),
    };
    Some(format!("It reads like {written}, which was written, but {why}"))
}

/// The digits of a decimal number before and after its point, without zeros that mean nothing, behind its sign.
fn decimal(text: &str) -> Option<(bool, &str, &str)> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = [whole, part].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    (plain && !digits.is_empty())
        .then(|| (text.starts_with('-'), whole.trim_start_matches('0'), part.trim_end_matches('0')))
}

/// What kind of value this is, as people call it.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Bool(_) => "flag",
        Value::Int(_) => "number",
        Value::Text(_) => "text",
        Value::List(_) => "list",
        Value::Map(_) => "map",
    }
}

/// The integer that this number is, if it is one and fits: JSON has one kind of number, so `1.0` is `1`.
pub(crate) fn whole(number: f64) -> Option<i64> {
    // The first double that does not fit; its negative does.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    (number.fract() == 0.0 && (-BEYOND..BEYOND).contains(&number)).then_some(number as i64)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or_else(|_| Value::text(&number.to_string()), Value::Int))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(whole(number).map_or_else(|| Value::text(&number.to_string()), Value::Int))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items.into()))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(Arc<str>, Value)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            entries.push((name.into(), value));
        }
        Ok(Value::Map(entries.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_json() {
        for text in ["null", "true", "-7", "\"a\\\"b\"", "[1,[2,null]]", "{\"b\":1,\"a\":[\"x\"]}"] {
            let value: Value = serde_json::from_str(text).expect("valid JSON");
            assert_eq!(serde_json::to_string(&value).expect("writable"), text);
        }
    }

    #[test]
    fn the_order_of_names_in_an_object_says_nothing() {
        let value = |text: &str| serde_json::from_str::<Value>(text).expect("valid JSON");
        let (one, two) = (value(r#"{"a":1,"b":{"c":2,"d":3}}"#), value(r#"{"b":{"d":3,"c":2},"a":1}"#));
        let other = value(r#"{"a":1,"b":{"c":2,"d":4}}"#);
        let mut arena = Arena::default();
        let words = [&one, &two, &other].map(|value| arena.put(value));
        let [first, second, third] = words.map(|word| arena.get(word));
        assert_eq!((&one, first), (&two, second));
        assert!(first == two && first.cmp(&second).is_eq() && one.cmp(&two).is_eq());
        assert!(first != third && first != other && one != other && first.cmp(&third).is_lt() && one < other);
        assert_eq!(std::collections::HashSet::from([one, two, other]).len(), 2);
        assert_eq!(std::collections::HashSet::from([first, second, third]).len(), 2);
    }

    #[test]
    fn a_fraction_that_is_whole_is_the_integer() {
        for (text, number) in [("1.0", 1), ("1e3", 1000), ("-0.0", 0), ("-9223372036854775808.0", i64::MIN)] {
            assert_eq!(serde_json::from_str::<Value>(text).expect("valid JSON"), Value::Int(number), "{text}");
        }
        for (text, shown) in [("1.5", "1.5"), ("-2e-1", "-0.2")] {
            assert_eq!(serde_json::from_str::<Value>(text).expect("valid JSON"), Value::text(shown), "{text}");
        }
    }

    #[test]
    fn values_that_read_alike() {
        let like = |one: &str, other: Value| likeness(&Value::text(one), &other);
        for (one, other) in [("1", Value::Int(1)), ("1.0", Value::Int(1))] {
            let hint = like(one, other).expect("a likeness");
            assert!(hint.contains("one is a text and the other a number"), "{hint}");
        }
        assert!(like("1.50", Value::text("1.5")).is_some_and(|hint| hint.contains("in another form")));
        for (one, other) in
            [("1", Value::text("1")), ("2", Value::Int(1)), ("", Value::Nil), ("inf", Value::text("nan"))]
        {
            assert_eq!(like(one, other), None, "{one}");
        }
    }

    #[test]
    fn doubles_are_named_only_where_they_lose_digits() {
        let doubles = |one: i64, other: i64| likeness(&Value::Int(one), &Value::Int(other));
        let beyond = 1 << 53;
        let hint = doubles(beyond + 1, beyond).expect("the same double");
        assert!(hint.contains("2^53") && !hint.contains("one is a"), "{hint}");
        assert_eq!((doubles(beyond, beyond - 1), doubles(5, 6)), (None, None));
        // Texts of digits are no numbers: no reader takes them for doubles.
        let text = |number: i64| Value::text(&number.to_string());
        assert_eq!(likeness(&text(beyond + 1), &text(beyond)), None);
        let changed = likeness(&Value::Int(beyond), &text(beyond)).expect("another type");
        assert!(!changed.contains("2^53"), "{changed}");
    }

    #[test]
    fn numbers_beyond_64_bits_keep_their_digits() {
        let value: Value = serde_json::from_str("18446744073709551615").expect("valid JSON");
        assert_eq!(value, Value::text("18446744073709551615"));
    }
}
