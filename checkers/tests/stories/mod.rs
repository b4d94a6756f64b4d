//! Small invalid histories, one of each kind of broken promise.
mod registers;
mod transactions;
mod workloads;

use dsfuzz_checkers::Value;

/// A history and what must be found in it.
pub(crate) struct Story {
    /// What happens, in a few words.
    pub(crate) name: &'static str,
    /// Who judges.
    pub(crate) checker: &'static str,
    /// With which options, as JSON.
    pub(crate) options: &'static [(&'static str, &'static str)],
    /// The finding's kind.
    pub(crate) kind: &'static str,
    /// The calls, in the language of [`dsfuzz_checkers::oracles::complete`].
    pub(crate) lines: &'static str,
}

/// All of them.
pub(crate) fn stories() -> impl Iterator<Item = &'static Story> {
    [registers::STORIES, transactions::STORIES, workloads::STORIES].into_iter().flatten()
}

/// A value written as JSON.
pub(crate) fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("valid JSON")
}
