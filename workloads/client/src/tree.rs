//! From a tree of JSON values to a type: plans, recipes, settings. Every mistake carries its path in the tree, and says what is allowed there.
//!
//! A variant is a one-key map (`kill: {nodes: leader}`); its bare name has every option at its default.
//! Never: knows of YAML, speaks of Rust's types.
use serde::de::{self, DeserializeSeed, IntoDeserializer, Unexpected, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::LazyLock;

/// One step of a path into a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// A key of a map.
    Key(String),
    /// A position in a list.
    Index(usize),
}

/// A path in the form `nemesis.faults[1].partition`.
pub fn show(path: &[PathStep]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            PathStep::Key(key) if text.is_empty() => text.push_str(key),
            PathStep::Key(key) => text.push_str(&format!(".{key}")),
            PathStep::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// The problem at one path of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A key that is not one of the known.
    UnknownKey {
        /// The key.
        key: String,
        /// The known ones.
        known: Vec<String>,
    },
    /// A variant's name that is not one of the known.
    UnknownName {
        /// The name.
        name: String,
        /// The known ones.
        known: Vec<&'static str>,
    },
    /// A missing key.
    Missing {
        /// The key.
        key: String,
    },
    /// Any other problem, with its cure.
    Other {
        /// One sentence.
        message: String,
        /// The cure.
        help: Option<String>,
    },
}

/// A mistake and its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub path: Vec<PathStep>,
    /// What is wrong there.
    pub what: Problem,
}

impl Mistake {
    /// A problem at this path; a number is a position in a list.
    pub fn at(path: &[&str], message: impl Into<String>, help: Option<&str>) -> Mistake {
        Mistake {
            path: path
                .iter()
                .map(|key| key.parse().map_or_else(|_| PathStep::Key((*key).into()), PathStep::Index))
                .collect(),
            what: Problem::Other { message: message.into(), help: help.map(Into::into) },
        }
    }

    /// A key of the map at this path that is not one of the known.
    pub fn unknown_key(path: &[&str], key: &str, known: Vec<String>) -> Mistake {
        Mistake { what: Problem::UnknownKey { key: key.into(), known }, ..Mistake::at(path, "", None) }
    }

    fn here(what: Problem) -> Mistake {
        Mistake { path: Vec::new(), what }
    }

    /// The same mistake, seen from one step further up.
    #[must_use]
    pub fn under(mut self, step: PathStep) -> Mistake {
        self.path.insert(0, step);
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = |f: &mut fmt::Formatter<'_>, before: &str, after: &str| match self.path.as_slice() {
            [] => Ok(()),
            path => write!(f, "{before}`{}`{after}", show(path)),
        };
        match &self.what {
            Problem::UnknownKey { key, known } => {
                write!(f, "unknown key `{key}`")?;
                here(f, " in ", "")?;
                write!(f, "; there are {}", known.join(", "))
            }
            Problem::UnknownName { name, known } => {
                here(f, "", ": ")?;
                write!(f, "unknown name `{name}`; there are {}", known.join(", "))
            }
            Problem::Missing { key } => {
                let path = [&self.path[..], &[PathStep::Key(key.clone())]].concat();
                write!(f, "`{}` is missing", show(&path))
            }
            Problem::Other { message, help } => {
                here(f, "", ": ")?;
                f.write_str(message)?;
                help.iter().try_for_each(|help| write!(f, "; {help}"))
            }
        }
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Mistake {
        Mistake::here(Problem::Other { message: message.to_string(), help: None })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Mistake {
        Mistake::unknown_key(&[], field, expected.iter().map(|name| (*name).to_owned()).collect())
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Mistake {
        Mistake::here(Problem::UnknownName { name: variant.into(), known: expected.to_vec() })
    }

    fn missing_field(field: &'static str) -> Mistake {
        Mistake::here(Problem::Missing { key: field.into() })
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Mistake {
        let expected = expected.to_string();
        let quote = expected == "a string" && matches!(found, Unexpected::Bool(_) | Unexpected::Unsigned(_));
        let help = quote.then(|| "write it in quotes".to_owned());
        let beyond =
            matches!(found, Unexpected::Float(number) if number.fract() == 0.0 && number.abs() >= u64::MAX as f64);
        let words = if beyond && expected == "u64" { WHOLE_NUMBER.to_owned() } else { expected_in_words(&expected) };
        let message = format!("{words} is expected, not {}", found_in_words(&found));
        Mistake::here(Problem::Other { message, help })
    }

    fn invalid_length(found: usize, expected: &dyn de::Expected) -> Mistake {
        let expected = expected.to_string();
        let number: String = expected.chars().filter(char::is_ascii_digit).collect();
        let words = match number.as_str() {
            "" => expected_in_words(&expected),
            "1" => "a list of one value".to_owned(),
            number => format!("a list of {number} values"),
        };
        let are = if found == 1 { "here is 1".to_owned() } else { format!("here are {found}") };
        Mistake::here(Problem::Other { message: format!("{words} is expected, {are}"), help: None })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Mistake {
        <Mistake as de::Error>::invalid_type(found, expected)
    }
}

/// The whole numbers that a plan can hold.
pub const WHOLE_NUMBER: &str = "a whole number from 0 to 18446744073709551615";

fn expected_in_words(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" => "a whole number from 0 to 4294967295".into(),
        "u64" | "usize" | "u128" => "a whole number from 0 up".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "path string" => "a path".into(),
        "unit" | "null" => "nothing".into(),
        _ if expected.starts_with("struct ") => "a map of keys and values".into(),
        _ if expected.starts_with("tuple ") || expected.starts_with("an array") => "a list of values".into(),
        _ if expected.starts_with("enum ") || expected.ends_with(" identifier") => "a name".into(),
        _ => expected.into(),
    }
}

fn found_in_words(found: &Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => number.to_string(),
        Unexpected::Str(text) => format!("the text \"{}\"", text.chars().take(60).collect::<String>()),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a map".into(),
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        other => other.to_string(),
    }
}

/// The type in the tree.
///
/// # Errors
/// The first mistake.
pub fn read<T: de::DeserializeOwned>(tree: &Value) -> Result<T, Mistake> {
    T::deserialize(Tree(tree))
}

#[derive(Clone, Copy)]
struct Tree<'a>(&'a Value);

static NOTHING: Value = Value::Null;
static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

impl<'de> de::Deserializer<'de> for Tree<'de> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => read_list(items, visitor),
            Value::Object(map) => visitor.visit_map(Entries { entries: map.iter(), value: None }),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, Some(number)) => visitor.visit_f64(number),
                _ => Err(de::Error::custom(format!("a number out of range: {number}"))),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    /// A key without a value (`load:`) is a map with everything left out; a list is never a map by position.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::Null => visitor.visit_map(Entries { entries: EMPTY.iter(), value: None }),
            Value::Array(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    /// A key without a value (`nodes:`) is an empty list or map.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::Null => read_list(&[], visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::Null => visitor.visit_map(Entries { entries: EMPTY.iter(), value: None }),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(Variant { name, options: &NOTHING, keyed: false }),
            Value::Object(map) => {
                let mut entries = map.iter();
                match (entries.next(), entries.next()) {
                    (Some((name, options)), None) => visitor.visit_enum(Variant { name, options, keyed: true }),
                    (None, _) => Err(one_key("here is none", known)),
                    _ => {
                        let keys: Vec<&str> = map.keys().map(String::as_str).collect();
                        Err(one_key(&format!("here are {}: {}", keys.len(), keys.join(", ")), known))
                    }
                }
            }
            Value::Null => Err(one_key("here is none", known)),
            other => {
                let found = Tree(other).deserialize_str(VariantExpectation).err();
                Err(found.unwrap_or_else(|| one_key("here is something else", known)))
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// Reads a list whole. Never: leaves values at its end unread.
fn read_list<'de, V: Visitor<'de>>(list: &'de [Value], visitor: V) -> Result<V::Value, Mistake> {
    let mut items = Items { items: list.iter(), next: 0 };
    let value = visitor.visit_seq(&mut items)?;
    if items.items.next().is_some() {
        let words = if items.next == 1 { "one value".to_owned() } else { format!("{} values", items.next) };
        return Err(de::Error::custom(format!("a list of {words} is expected, here are {}", list.len())));
    }
    Ok(value)
}

fn one_key(found: &str, known: &[&str]) -> Mistake {
    let message = format!("exactly one name with its options is expected, {found}");
    let help =
        Some(format!("known names: {} (mind the indentation: options stand under their name)", known.join(", ")));
    Mistake::here(Problem::Other { message, help })
}

/// Gives the message for a value that cannot be a variant.
struct VariantExpectation;

impl Visitor<'_> for VariantExpectation {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name with its options (`name: {option: value}`)")
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Value>,
    next: usize,
}

impl<'de> de::SeqAccess<'de> for &mut Items<'de> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        seed.deserialize(Tree(item)).map(Some).map_err(|mistake| mistake.under(PathStep::Index(index)))
    }
}

struct Entries<'a> {
    entries: serde_json::map::Iter<'a>,
    value: Option<(&'a String, &'a Value)>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        self.value = self.entries.next();
        let Some((key, _)) = self.value else { return Ok(None) };
        seed.deserialize(key.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        let Some((key, value)) = self.value.take() else { return Err(de::Error::custom("a value before its key")) };
        seed.deserialize(Tree(value)).map_err(|mistake| mistake.under(PathStep::Key(key.clone())))
    }
}

struct Variant<'a> {
    name: &'a str,
    options: &'a Value,
    /// A variant in the form of a map, so that its name is a step of the path.
    keyed: bool,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Mistake;
    type Variant = Variant<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Variant<'de>), Mistake> {
        let variant = seed.deserialize(self.name.into_deserializer())?;
        Ok((variant, self))
    }
}

impl Variant<'_> {
    fn step(&self, mistake: Mistake) -> Mistake {
        if self.keyed { mistake.under(PathStep::Key(self.name.into())) } else { mistake }
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = Mistake;

    fn unit_variant(self) -> Result<(), Mistake> {
        let empty = self.options.as_object().is_some_and(Map::is_empty);
        if self.options.is_null() || empty {
            return Ok(());
        }
        Err(self.step(de::Error::custom(format!("`{}` takes no options", self.name))))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mistake> {
        seed.deserialize(Tree(self.options)).map_err(|mistake| self.step(mistake))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Mistake> {
        de::Deserializer::deserialize_seq(Tree(self.options), visitor).map_err(|mistake| self.step(mistake))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Mistake> {
        de::Deserializer::deserialize_struct(Tree(self.options), "", fields, visitor)
            .map_err(|mistake| self.step(mistake))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Fault {
        Kill(Kill),
        Stop,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Kill {
        nodes: u8,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Plan {
        faults: Vec<Fault>,
    }

    fn mistake(tree: Value) -> Mistake {
        read::<Plan>(&tree).unwrap_err()
    }

    #[test]
    fn a_variant_is_a_one_key_map_or_its_bare_name() {
        let plan: Plan = read(&json!({"faults": [{"kill": {"nodes": 3}}, "kill", {"kill": null}, "stop"]})).unwrap();
        let kill = |nodes| Fault::Kill(Kill { nodes });
        assert_eq!(plan.faults, [kill(3), kill(0), kill(0), Fault::Stop]);
    }

    #[test]
    fn every_mistake_knows_its_path() {
        let wrong = mistake(json!({"faults": ["stop", {"kill": {"nodes": 300}}]}));
        assert_eq!(show(&wrong.path), "faults[1].kill.nodes");
        let wrong = mistake(json!({"faults": [{"kill": {"node": 1}}]}));
        assert_eq!(wrong.what, Problem::UnknownKey { key: "node".into(), known: vec!["nodes".into()] });
        assert_eq!(show(&wrong.path), "faults[0].kill");
        let wrong = mistake(json!({"faults": ["kil"]}));
        assert_eq!(wrong.what, Problem::UnknownName { name: "kil".into(), known: vec!["kill", "stop"] });
        assert_eq!(mistake(json!({})).what, Problem::Missing { key: "faults".into() });
    }

    #[test]
    fn two_variants_in_one_item_and_lists_for_maps_are_refused() {
        let wrong = mistake(json!({"faults": [{"kill": {}, "stop": {}}]}));
        assert!(matches!(wrong.what, Problem::Other { message, .. } if message.contains("here are 2: kill, stop")));
        let wrong = mistake(json!({"faults": [{"kill": [3]}]}));
        assert!(matches!(wrong.what, Problem::Other { message, .. } if message.contains("not a list")));
    }
}
