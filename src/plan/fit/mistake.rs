//! [`FitMistake`]: why a plan cannot run on its target, with its place in the plan where it has one.
use crate::document::{DocumentError, PathStep, did_you_mean, locate, show};
use crate::plan::Overrides;
use dsfuzz_nemesis::mistake::FaultMistake;
use std::fmt;

/// A mistake that only a plan together with its target shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FitMistake {
    /// The part of the plan that the message names; empty: it names its place itself.
    part: Vec<PathStep>,
    /// The keys from there to the mistake.
    keys: Vec<PathStep>,
    message: String,
    help: Option<String>,
}

impl From<String> for FitMistake {
    fn from(message: String) -> FitMistake {
        FitMistake { part: Vec::new(), keys: Vec::new(), message, help: None }
    }
}

impl From<FaultMistake> for FitMistake {
    fn from(mistake: FaultMistake) -> FitMistake {
        let step = |key: String| key.parse().map_or_else(|_| PathStep::Key(key.clone()), PathStep::Index);
        let meant = mistake.unknown.and_then(|unknown| {
            let known = unknown.known.iter().map(String::as_str);
            did_you_mean(&unknown.written, known).map(|meant| format!("did you mean `{meant}`?"))
        });
        FitMistake {
            part: mistake.entry.into_iter().map(step).collect(),
            keys: mistake.keys.into_iter().map(step).collect(),
            message: mistake.message,
            help: meant,
        }
    }
}

impl FitMistake {
    /// The same with more words behind its message.
    #[must_use]
    pub(super) fn and(mut self, more: &str) -> FitMistake {
        self.message += more;
        self
    }

    /// In words, with the line of the plan's file, or the flag that wrote it.
    pub fn located(&self, origin: &str, text: &str, overrides: &Overrides) -> String {
        if self.part.is_empty() {
            return self.to_string();
        }
        let path: Vec<PathStep> = self.part.iter().chain(&self.keys).cloned().collect();
        let flag = overrides.origin(&path);
        let error = DocumentError {
            message: self.sentence(),
            origin: flag.unwrap_or(origin).to_owned(),
            place: if flag.is_some() { None } else { locate(text, &path, None) },
            help: self.help.iter().cloned().collect(),
        };
        error.to_string()
    }

    fn sentence(&self) -> String {
        match self.part.is_empty() {
            true => self.message.clone(),
            false => format!("`{}`: {}", show(&self.part), self.message),
        }
    }
}

impl fmt::Display for FitMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())?;
        self.help.iter().try_for_each(|help| write!(f, "\n = {help}"))
    }
}
