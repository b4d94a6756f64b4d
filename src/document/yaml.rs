//! YAML text into a tree of values, and locations in the text. The only module that knows the YAML library.
//!
//! Size, depth and the number of values are bounded, with aliases expanded. Never: types, defaults, files.
use super::problem::{DocumentError, SourceLocation};
use dsfuzz_client::tree::{PathStep, WHOLE_NUMBER, show};
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::{Cell, RefCell};
use std::fmt;

/// Bytes of a plan. Plans are written by hand.
pub(crate) const BYTES_MAX: usize = 1 << 20;
/// Values in one plan, with its aliases expanded.
const VALUES_MAX: usize = 20_000;
/// Maps and lists within each other.
const DEPTH_MAX: usize = 40;

/// The tree in `text`, which came from `origin` (a file or a flag).
pub(crate) fn parse(origin: &str, text: &str) -> Result<Value, DocumentError> {
    if text.len() > BYTES_MAX {
        let message = format!("the file has {} bytes; at most {BYTES_MAX} are read", text.len());
        return Err(DocumentError::new(origin, message).help("plans are small; is this the right file?"));
    }
    if let Some(line) = too_deep(text) {
        return Err(DocumentError { place: SourceLocation::new(text, line, 1), ..deep(origin) });
    }
    let bounds = Bounds { left: Cell::new(VALUES_MAX), said: RefCell::new(None), path: RefCell::default() };
    let grown = Grow { bounds: &bounds, depth: 0 }.deserialize(serde_yaml::Deserializer::from_str(text));
    grown.map_err(|error| {
        let place = error.location().and_then(|at| SourceLocation::new(text, at.line(), at.column()));
        let said = bounds.said.borrow_mut().take();
        DocumentError { place, ..explain(origin, said, &error.to_string()) }
    })
}

fn deep(origin: &str) -> DocumentError {
    DocumentError::new(origin, format!("the file nests deeper than {DEPTH_MAX} maps and lists"))
        .help("a plan needs less than ten; is this the right file?")
}

fn bomb(origin: &str) -> DocumentError {
    DocumentError::new(origin, format!("the file holds more than {VALUES_MAX} values once its aliases are written out"))
        .help("an alias (`*name`) repeats all that its anchor (`&name`) holds; write the file without them")
}

fn explain(origin: &str, said: Option<LimitExceeded>, library: &str) -> DocumentError {
    match said {
        Some(LimitExceeded::Bomb) => bomb(origin),
        Some(LimitExceeded::Deep) => deep(origin),
        Some(LimitExceeded::Other(message)) => DocumentError::new(origin, message),
        None if library.contains("repetition limit") => bomb(origin),
        None if library.contains("recursion limit") => deep(origin),
        None if library.contains("more than one document") => {
            DocumentError::new(origin, "the file holds more than one YAML document (`---`); a plan is one")
        }
        None if library.contains("cannot start any token") => {
            DocumentError::new(origin, format!("not YAML: {library}"))
                .help("YAML is indented with spaces, never tabs; a text that begins with @, ` or % stands in quotes")
        }
        None => DocumentError::new(origin, format!("not YAML: {library}")),
    }
}

/// The first line on which brackets or list dashes nest absurdly, found before the YAML parser, whose work grows
/// with the square of the depth. An over-estimate, far above what a plan needs.
fn too_deep(text: &str) -> Option<usize> {
    let mut open: i64 = 0;
    for (number, line) in text.lines().enumerate() {
        let dashes = line.split_whitespace().take_while(|word| matches!(*word, "-" | "?")).count();
        for c in line.chars() {
            match c {
                '[' | '{' => open += 1,
                ']' | '}' => open = (open - 1).max(0),
                _ => {}
            }
            if open > 4 * DEPTH_MAX as i64 {
                return Some(number + 1);
            }
        }
        if dashes > DEPTH_MAX || line.len() - line.trim_start_matches(' ').len() > 50 * DEPTH_MAX {
            return Some(number + 1);
        }
    }
    None
}

/// Line and column of the value at `path`, or of `key` in it. If the text lacks it, those of its parent.
pub(crate) fn locate(text: &str, path: &[PathStep], key: Option<&str>) -> Option<SourceLocation> {
    let probe = |path: &[PathStep], key: Option<&str>| {
        let found = PathLocator { path, key }.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
        found.to_string().contains(FOUND).then_some(())?;
        found.location().and_then(|at| SourceLocation::new(text, at.line(), at.column()))
    };
    let shorter = || (1..=path.len()).rev().find_map(|length| probe(&path[..length], None));
    key.and_then(|key| probe(path, Some(key))).or_else(shorter)
}

enum LimitExceeded {
    Bomb,
    Deep,
    Other(String),
}

struct Bounds {
    left: Cell<usize>,
    said: RefCell<Option<LimitExceeded>>,
    /// The keys that lead to the value being read.
    path: RefCell<Vec<PathStep>>,
}

impl Bounds {
    fn refuse<E: Error>(&self, trouble: LimitExceeded) -> E {
        self.said.borrow_mut().get_or_insert(trouble);
        E::custom("refused")
    }

    /// A whole number too large for any field: as a float it would silently change.
    fn beyond<E: Error>(&self, number: impl fmt::Display) -> E {
        let path = show(&self.path.borrow());
        let key = if path.is_empty() { path } else { format!("`{path}`: ") };
        self.other(format!("{key}{WHOLE_NUMBER} is expected, not {number}"))
    }

    fn other<E: Error>(&self, message: impl Into<String>) -> E {
        self.refuse(LimitExceeded::Other(message.into()))
    }
}

/// Grows a tree, counting.
#[derive(Clone, Copy)]
struct Grow<'b> {
    bounds: &'b Bounds,
    depth: usize,
}

impl<'b> Grow<'b> {
    fn deeper<E: Error>(self) -> Result<Grow<'b>, E> {
        if self.depth >= DEPTH_MAX {
            return Err(self.bounds.refuse(LimitExceeded::Deep));
        }
        Ok(Grow { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Grow<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.bounds.left.get().checked_sub(1) else {
            return Err(self.bounds.refuse(LimitExceeded::Bomb));
        };
        self.bounds.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Grow<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Value, E> {
        Err(self.bounds.beyond(number))
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Value, E> {
        Err(self.bounds.beyond(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| self.bounds.other("infinity and not-a-number have no place in a plan"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut list = Vec::new();
        let step = |index: usize| self.bounds.path.borrow_mut().push(PathStep::Index(index));
        step(0);
        while let Some(item) = items.next_element_seed(deeper)? {
            list.push(item);
            self.bounds.path.borrow_mut().pop();
            step(list.len());
        }
        self.bounds.path.borrow_mut().pop();
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key_seed(Key { bounds: self.bounds, known: &map })? {
            self.bounds.path.borrow_mut().push(PathStep::Key(key.clone()));
            let value = entries.next_value_seed(deeper)?;
            self.bounds.path.borrow_mut().pop();
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(self.bounds.other("a YAML tag (`!name`) has no meaning in a plan: write `name: {..}`"))
    }
}

/// A key of a map, not yet in it.
struct Key<'b> {
    bounds: &'b Bounds,
    known: &'b Map<String, Value>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        match key {
            "<<" => Err(self.bounds.other("merge keys (`<<`) are not part of plans; write the keys out")),
            _ if self.known.contains_key(key) => Err(self.bounds.other(format!("the key `{key}` is there twice"))),
            _ => Ok(key.into()),
        }
    }

    fn visit_u64<E: Error>(self, key: u64) -> Result<String, E> {
        self.visit_str(&key.to_string())
    }

    fn visit_i64<E: Error>(self, key: i64) -> Result<String, E> {
        self.visit_str(&key.to_string())
    }

    fn visit_bool<E: Error>(self, key: bool) -> Result<String, E> {
        self.visit_str(&key.to_string())
    }
}

const FOUND: &str = "dsfuzz: found";

/// Walks to a path and fails there, because the library gives locations of errors only.
struct PathLocator<'a> {
    path: &'a [PathStep],
    key: Option<&'a str>,
}

impl PathLocator<'_> {
    /// An error only where the walk has ended.
    fn leaf<E: Error>(&self) -> Result<(), E> {
        if self.path.is_empty() && self.key.is_none() { Err(E::custom(FOUND)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for PathLocator<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PathLocator<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.leaf()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.leaf()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.leaf()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.leaf()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.leaf()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.leaf()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.leaf()?;
        let mut index = 0;
        let wanted = match self.path.first() {
            Some(PathStep::Index(wanted)) => Some(*wanted),
            _ => None,
        };
        loop {
            let more = if wanted == Some(index) {
                items.next_element_seed(PathLocator { path: &self.path[1..], key: self.key })?.is_some()
            } else {
                items.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.leaf()?;
        let sought = if self.path.is_empty() { self.key } else { None };
        while let Some(key) = entries.next_key_seed(KeyLocator { sought })? {
            match self.path.first() {
                Some(PathStep::Key(wanted)) if *wanted == key => {
                    entries.next_value_seed(PathLocator { path: &self.path[1..], key: self.key })?;
                }
                _ => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct KeyLocator<'a> {
    sought: Option<&'a str>,
}

impl<'de> DeserializeSeed<'de> for KeyLocator<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyLocator<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        if self.sought == Some(key) { Err(E::custom(FOUND)) } else { Ok(key.into()) }
    }
}

/// Whether readers of YAML 1.1 and 1.2 take this plain scalar for the same text.
pub(crate) fn reads_back(text: &str) -> bool {
    let value = serde_yaml::Deserializer::from_str(text).deserialize_any(PlainScalar);
    value.is_ok_and(|read| read == text)
}

struct PlainScalar;

impl Visitor<'_> for PlainScalar {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bare text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_values_become_a_tree() {
        let tree = parse("p", "a: 1\nb: [x, 2.5, null, no]\nc: {d: true}\n").unwrap();
        assert_eq!(tree, json!({"a": 1, "b": ["x", 2.5, null, "no"], "c": {"d": true}}));
    }

    #[test]
    fn places_are_found_by_path() {
        let text = "load:\n  time: 5s\nnemesis:\n  faults:\n    - kill: {}\n    - pause: {for: 3s}\n";
        let key = |name: &str| PathStep::Key(name.into());
        let place = locate(text, &[key("nemesis"), key("faults"), PathStep::Index(1), key("pause"), key("for")], None);
        assert_eq!(place.map(|place| (place.line, place.column, place.width)), Some((6, 20, 2)));
        let place = locate(text, &[key("load")], Some("time"));
        assert_eq!(place.map(|place| (place.line, place.column, place.width)), Some((2, 3, 4)));
        let nearest = locate(text, &[key("load"), key("absent"), key("deeper")], None);
        assert_eq!(nearest.map(|place| place.line), Some(2));
    }

    #[test]
    fn bombs_are_refused_with_their_own_message() {
        let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for level in 1..10 {
            let before = level - 1;
            let aliases = vec![format!("*a{before}"); 10].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let error = parse("p", &laughs).unwrap_err();
        assert!(error.message.contains("aliases are written out"), "{error}");
        for deep in ["[".repeat(500_000), "- ".repeat(500_000), "a: &a [*a]".into()] {
            let error = parse("p", &deep).unwrap_err();
            assert!(error.message.contains("nests deeper") || error.message.contains("alias"), "{error}");
        }
        assert!(parse("p", &" ".repeat(BYTES_MAX + 1)).unwrap_err().message.contains("bytes"));
    }

    #[test]
    fn a_key_twice_a_tag_a_merge_and_two_documents_are_named() {
        let said = |text: &str| parse("p", text).unwrap_err();
        let twice = said("a: 1\nb: 2\na: 3\n");
        assert!(twice.message.contains("`a` is there twice"), "{twice}");
        assert_eq!(twice.place.map(|place| place.line), Some(3));
        assert!(said("a: !kill {}").message.contains("tag"));
        assert!(said("a: &x {b: 1}\nc: {<<: *x}").message.contains("merge keys"));
        assert!(said("a: 1\n---\nb: 2\n").message.contains("more than one YAML document"));
        assert!(said("a:\n\t- 1\n").help[0].contains("tabs"));
    }
}
