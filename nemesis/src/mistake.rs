//! [`FaultMistake`]: what is wrong with a fault of a plan, and its place there.
use crate::options::{FaultOptions, NemesisOptions, SymbolicFault};
use crate::schedule::ScheduledKind;
use dsfuzz_span::Span;
use std::fmt;

/// What is wrong with a fault of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultMistake {
    /// The entry: `nemesis`, `faults` or `schedule`, and its position.
    pub entry: Vec<String>,
    /// The keys in it that lead to the mistake, as far as the sentence names them.
    pub keys: Vec<String>,
    /// One sentence, which begins with the fault.
    pub message: String,
    /// A name that nothing has, and the names that there are.
    pub unknown: Option<UnknownName>,
}

/// A name that nothing has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// The name.
    pub written: String,
    /// The names that there are.
    pub known: Vec<String>,
}

impl FaultMistake {
    /// With a name that nothing has.
    #[must_use]
    pub fn unknown(self, written: &str, known: impl IntoIterator<Item = impl Into<String>>) -> FaultMistake {
        let known = known.into_iter().map(Into::into).collect();
        FaultMistake { unknown: Some(UnknownName { written: written.to_owned(), known }), ..self }
    }
}

/// The place of a fault in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPlace<'a> {
    list: &'static str,
    position: usize,
    /// Its id in a schedule.
    id: Option<&'a str>,
    /// The key of its options: the kind, or `exactly`.
    key: &'a str,
}

impl fmt::Display for FaultPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nemesis.{}[{}]", self.list, self.position)
    }
}

impl FaultPlace<'_> {
    /// Whether it is a fault of a schedule.
    pub fn is_scheduled(&self) -> bool {
        self.id.is_some()
    }

    /// A mistake of its options. Keys at the begin of the sentence (`nodes: n9 is no node`) lead to its place.
    pub fn mistake(&self, sentence: impl AsRef<str>) -> FaultMistake {
        let sentence = sentence.as_ref();
        self.entry_mistake(format!("{}: {sentence}", self.key))
    }

    /// A mistake of the whole entry.
    pub fn entry_mistake(&self, sentence: impl AsRef<str>) -> FaultMistake {
        let sentence = sentence.as_ref();
        let mut keys = Vec::new();
        let mut left = sentence;
        let plain = |word: &str| word.chars().all(|letter| letter.is_ascii_lowercase() || "-_".contains(letter));
        while let Some((word, after)) = left.split_once(": ").filter(|(word, _)| plain(word)) {
            keys.push(word.to_owned());
            left = after;
        }
        let message = match self.id {
            Some(id) => format!("fault {id}: {sentence}"),
            None => sentence.to_owned(),
        };
        let entry = vec!["nemesis".to_owned(), self.list.to_owned(), self.position.to_string()];
        FaultMistake { entry, keys, message, unknown: None }
    }
}

/// A fault of a plan: its place, its options, and its duration.
pub struct PlacedFault<'a> {
    /// Its place.
    pub place: FaultPlace<'a>,
    /// Its options.
    pub options: &'a FaultOptions,
    /// Its duration.
    pub lasts: Span,
}

impl NemesisOptions {
    /// Every fault with options, drawn or scheduled.
    pub fn placed(&self) -> impl Iterator<Item = PlacedFault<'_>> {
        let drawn = self.faults.iter().enumerate().map(|(position, options)| {
            let place = FaultPlace { list: "faults", position, id: None, key: options.facts().name };
            PlacedFault { place, options, lasts: options.lasts().unwrap_or(self.lasts) }
        });
        let scheduled = self.schedule.iter().enumerate().filter_map(|(position, entry)| {
            let options = entry.fault.options()?;
            Some(PlacedFault { place: self.entry_place(position), options, lasts: entry.duration(self.lasts) })
        });
        drawn.chain(scheduled)
    }

    /// The place of an entry of the schedule.
    pub fn entry_place(&self, position: usize) -> FaultPlace<'_> {
        let entry = &self.schedule[position];
        let key = match &entry.fault {
            ScheduledKind::Options(options) => options.facts().name,
            ScheduledKind::Exactly(_) => "exactly",
        };
        FaultPlace { list: "schedule", position, id: Some(&entry.id), key }
    }

    /// The faults that stand `exactly` in the schedule, each with its duration.
    pub(crate) fn placed_exactly(&self) -> impl Iterator<Item = (FaultPlace<'_>, &SymbolicFault, Span)> {
        self.schedule.iter().enumerate().filter_map(|(position, entry)| match &entry.fault {
            ScheduledKind::Exactly(fault) => Some((self.entry_place(position), fault, entry.duration(self.lasts))),
            ScheduledKind::Options(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_at_the_begin_of_a_sentence_lead_to_its_place() {
        let place = FaultPlace { list: "schedule", position: 2, id: Some("b"), key: "power-loss" };
        let mistake = place.mistake("torn: 200: a chance in percent is at most 100");
        assert_eq!(mistake.entry, ["nemesis", "schedule", "2"]);
        assert_eq!(mistake.keys, ["power-loss", "torn"]);
        assert_eq!(mistake.message, "fault b: power-loss: torn: 200: a chance in percent is at most 100");
        assert_eq!(place.entry_mistake("it waits for itself").keys, [""; 0]);
        assert_eq!(place.to_string(), "nemesis.schedule[2]");
    }
}
