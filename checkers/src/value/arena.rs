//! [`Arena`]: the values of a whole history, eight bytes each. What is small (nil, booleans, integers) stands in the
//! [`Word`] itself; texts are kept once; lists and maps lie one after the other in one vector of words.
use super::Value;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

/// A value of one [`Arena`] in eight bytes.
///
/// Two words of one arena are equal exactly when their values are, unless both are lists or both are maps: those are
/// compared by content, through [`ValueRef`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Word(u64);

const TAG_BITS: u32 = 3;
const NIL: u64 = 0;
const BOOL: u64 = 1;
const INT: u64 = 2;
const TEXT: u64 = 3;
const WIDE: u64 = 4;
const LIST: u64 = 5;
const MAP: u64 = 6;

impl Word {
    /// Nothing.
    pub(crate) const NIL: Word = Word(NIL);

    const fn new(tag: u64, rest: u64) -> Word {
        Word(rest << TAG_BITS | tag)
    }
    const fn tag(self) -> u64 {
        self.0 & ((1 << TAG_BITS) - 1)
    }
    const fn rest(self) -> usize {
        (self.0 >> TAG_BITS) as usize
    }

    /// Whether equal words mean equal values and different words different ones: everything but lists and maps.
    pub(crate) fn is_atom(self) -> bool {
        self.tag() < LIST
    }

    /// Whether all are atoms. Without a branch for each, because lists that were read are most of what there is to read.
    pub(crate) fn all_atoms(words: &[Word]) -> bool {
        const { assert!(LIST == 0b101 && MAP == 0b110) };
        words.iter().fold(0, |found, word| found | ((word.0 >> 2) & (word.0 | (word.0 >> 1)))) & 1 == 0
    }

    /// Whether both are the same words, one after the other; faster than comparing slices, as nothing is decided before
    /// the end of some words.
    pub(crate) fn same(one: &[Word], other: &[Word]) -> bool {
        let differ = |(one, other): (&[Word], &[Word])| {
            one.iter().zip(other).fold(0, |found, (one, other)| found | (one.0 ^ other.0)) != 0
        };
        one.len() == other.len() && !one.chunks(32).zip(other.chunks(32)).any(differ)
    }

    /// The bits: a number that identifies an atom within its arena.
    pub(crate) fn bits(self) -> u64 {
        self.0
    }
}

/// The values of one history.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arena {
    texts: Vec<Arc<str>>,
    text_ids: HashMap<Arc<str>, u64>,
    /// Texts that were put in lately, by length and ends: the few words of a protocol come again and again, and
    /// comparing is faster than hashing.
    recent: Vec<u32>,
    /// Integers of more than 61 bits.
    wide: Vec<i64>,
    wide_ids: HashMap<i64, u64>,
    /// Lists and maps: a count, then that many words (of a map: text and value in turns).
    words: Vec<Word>,
}

impl Arena {
    /// Takes a value in.
    pub(crate) fn put(&mut self, value: &Value) -> Word {
        match value {
            Value::Nil => Word::NIL,
            Value::Bool(flag) => Word::new(BOOL, u64::from(*flag)),
            Value::Int(number) => self.put_int(*number),
            Value::Text(text) => self.put_text(text),
            Value::List(items) => {
                let words: Vec<Word> = items.iter().map(|item| self.put(item)).collect();
                self.put_list(&words)
            }
            Value::Map(entries) => {
                let mut words = Vec::with_capacity(2 * entries.len());
                for (name, value) in entries.iter() {
                    words.push(self.put_text(name));
                    words.push(self.put(value));
                }
                self.put_words(MAP, &words)
            }
        }
    }

    /// Takes a boolean in.
    pub(crate) fn put_bool(&mut self, flag: bool) -> Word {
        Word::new(BOOL, u64::from(flag))
    }

    /// Takes an integer in.
    pub(crate) fn put_int(&mut self, number: i64) -> Word {
        let shifted = number << TAG_BITS;
        if shifted >> TAG_BITS == number {
            return Word(shifted as u64 | INT);
        }
        let next = self.wide.len() as u64;
        let id = *self.wide_ids.entry(number).or_insert(next);
        if id == next {
            self.wide.push(number);
        }
        Word::new(WIDE, id)
    }

    /// Takes a text in.
    pub(crate) fn put_text(&mut self, text: &str) -> Word {
        let slot = recent_slot(text.as_bytes());
        if let Some(id) = self.recent.get(slot)
            && self.texts.get(*id as usize).is_some_and(|known| **known == *text)
        {
            return Word::new(TEXT, u64::from(*id));
        }
        let word = self.put_rare_text(text);
        if self.recent.is_empty() {
            self.recent.resize(RECENT, u32::MAX);
        }
        self.recent[slot] = u32::try_from(word.rest()).unwrap_or(u32::MAX);
        word
    }

    fn put_rare_text(&mut self, text: &str) -> Word {
        if let Some(id) = self.text_ids.get(text) {
            return Word::new(TEXT, *id);
        }
        let shared: Arc<str> = Arc::from(text);
        let id = self.texts.len() as u64;
        self.texts.push(shared.clone());
        self.text_ids.insert(shared, id);
        Word::new(TEXT, id)
    }

    /// Takes a list of words of this arena in.
    pub(crate) fn put_list(&mut self, items: &[Word]) -> Word {
        self.put_words(LIST, items)
    }

    /// Takes an object in: names, which are texts, and values in turns.
    pub(crate) fn put_map(&mut self, entries: &[Word]) -> Word {
        debug_assert!(entries.len().is_multiple_of(2));
        self.put_words(MAP, entries)
    }

    /// How much stands in lists and maps: for [`Arena::forget`].
    pub(crate) fn mark(&self) -> usize {
        self.words.len()
    }

    /// Forgets the lists and maps taken in since the mark. Texts and wide integers stay.
    pub(crate) fn forget(&mut self, mark: usize) {
        self.words.truncate(mark);
    }

    fn put_words(&mut self, tag: u64, words: &[Word]) -> Word {
        let at = self.words.len() as u64;
        self.words.push(Word(words.len() as u64));
        self.words.extend_from_slice(words);
        Word::new(tag, at)
    }

    /// The value of a word of this arena.
    pub(crate) fn get(&self, word: Word) -> ValueRef<'_> {
        ValueRef { arena: self, word }
    }

    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> usize {
        let texts: usize = self.texts.iter().map(|text| text.len() + 72).sum();
        texts + self.wide.len() * 40 + self.words.capacity() * 8
    }

    fn span(&self, at: usize) -> &[Word] {
        let count = self.words[at].0 as usize;
        &self.words[at + 1..at + 1 + count]
    }
}

/// How many texts are looked for before hashing.
const RECENT: usize = 64;

fn recent_slot(text: &[u8]) -> usize {
    let ends = text.first().map_or(0, |first| usize::from(*first) * 5 + usize::from(text[text.len() - 1]) * 3);
    (ends + text.len()) % RECENT
}

/// A value in an arena. Compared by content, also between arenas and with [`Value`].
#[derive(Clone, Copy)]
pub struct ValueRef<'h> {
    arena: &'h Arena,
    word: Word,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'h> {
    /// Nothing.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A text.
    Text(&'h str),
    /// A list.
    List(ListRef<'h>),
    /// An object, in the order in which it was written.
    Map(MapRef<'h>),
}

impl<'h> ValueRef<'h> {
    /// The word; see [`Word::is_atom`] for when words may be compared instead of values.
    pub(crate) fn word(self) -> Word {
        self.word
    }

    /// What it is.
    #[inline]
    pub(crate) fn kind(self) -> Kind<'h> {
        let arena = self.arena;
        match self.word.tag() {
            NIL => Kind::Nil,
            BOOL => Kind::Bool(self.word.rest() != 0),
            INT => Kind::Int((self.word.0 as i64) >> TAG_BITS),
            TEXT => Kind::Text(&arena.texts[self.word.rest()]),
            WIDE => Kind::Int(arena.wide[self.word.rest()]),
            LIST => Kind::List(ListRef { arena, words: arena.span(self.word.rest()) }),
            _ => Kind::Map(MapRef { arena, words: arena.span(self.word.rest()) }),
        }
    }

    /// Whether it is nil.
    pub fn is_nil(self) -> bool {
        self.word == Word::NIL
    }

    /// The boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        if let Kind::Bool(flag) = self.kind() { Some(flag) } else { None }
    }

    /// The integer, if it is one.
    pub fn as_int(self) -> Option<i64> {
        if let Kind::Int(number) = self.kind() { Some(number) } else { None }
    }

    /// The text, if it is one.
    pub fn as_text(self) -> Option<&'h str> {
        if let Kind::Text(text) = self.kind() { Some(text) } else { None }
    }

    /// The list, if it is one.
    #[inline]
    pub fn as_list(self) -> Option<ListRef<'h>> {
        if let Kind::List(list) = self.kind() { Some(list) } else { None }
    }

    /// The object, if it is one.
    pub fn as_map(self) -> Option<MapRef<'h>> {
        if let Kind::Map(map) = self.kind() { Some(map) } else { None }
    }

    /// A value of its own.
    pub fn to_value(self) -> Value {
        match self.kind() {
            Kind::Nil => Value::Nil,
            Kind::Bool(flag) => Value::Bool(flag),
            Kind::Int(number) => Value::Int(number),
            Kind::Text(_) => Value::Text(self.arena.texts[self.word.rest()].clone()),
            Kind::List(list) => Value::list(list.iter().map(ValueRef::to_value)),
            Kind::Map(map) => Value::Map(map.iter().map(|(name, value)| (Arc::from(name), value.to_value())).collect()),
        }
    }

    fn rank(self) -> u8 {
        match self.kind() {
            Kind::Nil => 0,
            Kind::Bool(_) => 1,
            Kind::Int(_) => 2,
            Kind::Text(_) => 3,
            Kind::List(_) => 4,
            Kind::Map(_) => 5,
        }
    }
}

/// A list in an arena.
#[derive(Clone, Copy)]
pub struct ListRef<'h> {
    arena: &'h Arena,
    words: &'h [Word],
}

/// The empty list.
impl Default for ListRef<'_> {
    fn default() -> Self {
        static NOTHING: LazyLock<Arena> = LazyLock::new(Arena::default);
        ListRef { arena: &NOTHING, words: &[] }
    }
}

impl<'h> ListRef<'h> {
    /// How many elements.
    pub fn len(self) -> usize {
        self.words.len()
    }
    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.words.is_empty()
    }
    /// The element at this place.
    ///
    /// # Panics
    /// If there is none.
    pub fn at(self, at: usize) -> ValueRef<'h> {
        self.arena.get(self.words[at])
    }
    /// The element at this place, if there is one.
    pub fn get(self, at: usize) -> Option<ValueRef<'h>> {
        self.words.get(at).map(|word| self.arena.get(*word))
    }
    /// The elements.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = ValueRef<'h>> + ExactSizeIterator + Clone + use<'h> {
        let arena = self.arena;
        self.words.iter().map(move |word| arena.get(*word))
    }
    /// The elements as words.
    pub(crate) fn words(self) -> &'h [Word] {
        self.words
    }
}

/// An object in an arena.
#[derive(Clone, Copy)]
pub struct MapRef<'h> {
    arena: &'h Arena,
    words: &'h [Word],
}

impl<'h> MapRef<'h> {
    /// How many entries.
    pub fn len(self) -> usize {
        self.words.len() / 2
    }
    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.words.is_empty()
    }
    /// The value of this name.
    pub fn get(self, name: &str) -> Option<ValueRef<'h>> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
    /// The entries by name: the order in which they were written says nothing.
    fn by_name(self) -> Vec<(&'h str, ValueRef<'h>)> {
        let mut entries: Vec<_> = self.iter().collect();
        entries.sort_by_key(|(name, _)| *name);
        entries
    }
    /// The entries in the order in which they were written.
    pub fn iter(self) -> impl Iterator<Item = (&'h str, ValueRef<'h>)> + Clone + use<'h> {
        let arena = self.arena;
        self.words
            .chunks_exact(2)
            .map(move |pair| (arena.get(pair[0]).as_text().unwrap_or_default(), arena.get(pair[1])))
    }
}

impl fmt::Debug for ListRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for MapRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for ValueRef<'_> {
    fn eq(&self, other: &ValueRef<'_>) -> bool {
        if std::ptr::eq(self.arena, other.arena) {
            if self.word == other.word {
                return true;
            }
            if self.word.is_atom() || other.word.is_atom() {
                return false;
            }
        }
        match (self.kind(), other.kind()) {
            (Kind::Nil, Kind::Nil) => true,
            (Kind::Bool(one), Kind::Bool(two)) => one == two,
            (Kind::Int(one), Kind::Int(two)) => one == two,
            (Kind::Text(one), Kind::Text(two)) => one == two,
            (Kind::List(one), Kind::List(two)) => one.len() == two.len() && one.iter().eq(two.iter()),
            (Kind::Map(one), Kind::Map(two)) => one.len() == two.len() && one.by_name() == two.by_name(),
            _ => false,
        }
    }
}

impl Eq for ValueRef<'_> {}

impl PartialEq<Value> for ValueRef<'_> {
    fn eq(&self, other: &Value) -> bool {
        match (self.kind(), other) {
            (Kind::Nil, Value::Nil) => true,
            (Kind::Bool(one), Value::Bool(two)) => one == *two,
            (Kind::Int(one), Value::Int(two)) => one == *two,
            (Kind::Text(one), Value::Text(two)) => one == &**two,
            (Kind::List(one), Value::List(two)) => {
                one.len() == two.len() && one.iter().zip(two.iter()).all(|(one, two)| one == *two)
            }
            (Kind::Map(one), Value::Map(two)) => {
                one.len() == two.len()
                    && one
                        .by_name()
                        .iter()
                        .zip(super::by_name(two))
                        .all(|(one, two)| one.0 == &*two.0 && one.1 == two.1)
            }
            _ => false,
        }
    }
}

impl Hash for ValueRef<'_> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        match self.kind() {
            // Texts by content: equal ones of two arenas must meet.
            Kind::Text(text) => text.hash(hasher),
            Kind::Int(number) => number.hash(hasher),
            Kind::Nil | Kind::Bool(_) => self.word.0.hash(hasher),
            Kind::List(list) => list.iter().for_each(|item| item.hash(hasher)),
            Kind::Map(map) => map.by_name().hash(hasher),
        }
    }
}

/// Nil, booleans, integers, texts, lists, maps; each kind by its own order, lists element by element.
impl Ord for ValueRef<'_> {
    fn cmp(&self, other: &ValueRef<'_>) -> Ordering {
        match (self.kind(), other.kind()) {
            (Kind::Bool(one), Kind::Bool(two)) => one.cmp(&two),
            (Kind::Int(one), Kind::Int(two)) => one.cmp(&two),
            (Kind::Text(one), Kind::Text(two)) => one.cmp(two),
            (Kind::List(one), Kind::List(two)) => one.iter().cmp(two.iter()),
            (Kind::Map(one), Kind::Map(two)) => one.by_name().cmp(&two.by_name()),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for ValueRef<'_> {
    fn partial_cmp(&self, other: &ValueRef<'_>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As [`Value`] shows itself.
impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_value(), f)
    }
}

impl fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.kind(), f)
    }
}

impl Serialize for ValueRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.kind() {
            Kind::Nil => serializer.serialize_unit(),
            Kind::Bool(flag) => serializer.serialize_bool(flag),
            Kind::Int(number) => serializer.serialize_i64(number),
            Kind::Text(text) => serializer.serialize_str(text),
            Kind::List(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                for item in list.iter() {
                    seq.serialize_element(&item)?;
                }
                seq.end()
            }
            Kind::Map(map) => {
                let mut object = serializer.serialize_map(Some(map.len()))?;
                for (name, value) in map.iter() {
                    object.serialize_entry(name, &value)?;
                }
                object.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, RandomState};

    fn values() -> Vec<Value> {
        let texts = [
            "null",
            "false",
            "true",
            "0",
            "-1",
            "1152921504606846975",
            "1152921504606846976",
            "-1152921504606846977",
            "9223372036854775807",
            "-9223372036854775808",
            "\"\"",
            "\"a\"",
            "[]",
            "[1]",
            "[1,2]",
            "[[1],2]",
            "{}",
            "{\"a\":1}",
            "{\"a\":[1,null]}",
        ];
        texts.iter().map(|text| serde_json::from_str(text).expect("valid JSON")).collect()
    }

    #[test]
    fn words_are_compared_to_their_end() {
        for length in [0, 1, 31, 32, 33, 63, 64, 65] {
            let words: Vec<Word> = (0..length).map(|number| Word::new(INT, number)).collect();
            assert!(Word::same(&words, &words) && !Word::same(&words, &[&words[..], &[Word::NIL]].concat()));
            for at in 0..words.len() {
                let mut other = words.clone();
                other[at] = Word::new(INT, 1_000);
                assert!(!Word::same(&words, &other), "{length} {at}");
                other[at] = Word::new(LIST, 0);
                assert!(Word::all_atoms(&words) && !Word::all_atoms(&other), "{length} {at}");
                other[at] = Word::new(MAP, 5);
                assert!(!Word::all_atoms(&other), "{length} {at}");
            }
        }
    }

    #[test]
    fn values_come_back_and_compare_by_content() {
        let values = values();
        let (mut one, mut two) = (Arena::default(), Arena::default());
        two.put_text("something else first");
        let state = RandomState::new();
        for (at, value) in values.iter().enumerate() {
            let (first, again) = (one.put(value), one.put(value));
            assert!(first == again || !first.is_atom());
            assert_eq!(Word::all_atoms(&[Word::NIL, first]), first.is_atom());
            let there = two.put(value);
            assert_eq!(one.get(first).to_value(), *value);
            assert_eq!(one.get(first), two.get(there));
            assert_eq!(state.hash_one(one.get(first)), state.hash_one(two.get(there)));
            assert_eq!(serde_json::to_string(&one.get(first)).ok(), serde_json::to_string(value).ok());
            for (other_at, other) in values.iter().enumerate() {
                let word = one.put(other);
                assert_eq!(one.get(first) == one.get(word), at == other_at, "{value} {other}");
                assert_eq!(one.get(first) == *other, at == other_at);
                assert_eq!(one.get(first).cmp(&one.get(word)), value.cmp(other), "{value} {other}");
            }
        }
    }
}
