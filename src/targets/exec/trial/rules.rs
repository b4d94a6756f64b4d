//! The rules of the protocol that a trial looks at, and [`TrialNotes`]: how a client keeps them.
use serde::Serialize;
use std::collections::BTreeMap;

/// Sentences kept of one rule.
const SENTENCES_MAX: usize = 3;

/// A rule of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// How it begins.
    Init,
    /// What it prints.
    Lines,
    /// The form of its replies.
    Replies,
    /// What its calls do.
    Effects,
    /// What its reads do.
    Reads,
    /// Functions that it does not know.
    Unknown,
    /// `setup`.
    Setup,
    /// Lost connections.
    Lost,
    /// Answers that do not come.
    Deadline,
    /// No server.
    Refused,
    /// How it ends.
    End,
    /// Several clients in one program.
    Several,
}

/// Every rule in words.
const RULES: &[(Rule, &str)] = &[
    (Rule::Init, "it answers `init` with one line, flushed, and names the functions that it carries out"),
    (Rule::Lines, "it prints one line for each answer, with the id of the call, and nothing else"),
    (Rule::Replies, "its replies have the form and the types of the protocol"),
    (Rule::Effects, "a call that is ok took effect once, and one that is fail never did"),
    (Rule::Reads, "a read changes nothing, and neither does connecting"),
    (Rule::Unknown, "a function that it does not know is fail, with the code not-supported"),
    (Rule::Setup, "a second setup of the same run finds the first one's work in order"),
    (
        Rule::Lost,
        "a connection that breaks within a call ends it: nothing is sent again, and without an answer it is not ok",
    ),
    (Rule::Deadline, "a call whose answer does not come is info before its deadline, or is not answered"),
    (Rule::Refused, "without a server it says so at init, or its calls are not ok"),
    (Rule::End, "it ends when its standard input ends"),
    (
        Rule::Several,
        "a program that serves several clients names the client in every answer, and lets none wait for another",
    ),
];

/// How a client keeps a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleState {
    /// Whether it was tried.
    pub tried: bool,
    /// How it is broken.
    pub broken: Vec<String>,
}

/// What a trial found: each rule in words, and how it is kept.
#[derive(Debug, Default)]
pub struct TrialNotes(BTreeMap<Rule, RuleState>);

impl TrialNotes {
    pub(super) fn kept(&mut self, rule: Rule) {
        self.0.entry(rule).or_default().tried = true;
    }

    pub(super) fn broken(&mut self, rule: Rule, sentence: String) {
        self.kept(rule);
        let broken = &mut self.0.entry(rule).or_default().broken;
        if broken.len() < SENTENCES_MAX && !broken.contains(&sentence) {
            broken.push(sentence);
        }
    }

    /// Every rule, its words and its state.
    pub fn rules(&self) -> impl Iterator<Item = (Rule, &'static str, RuleState)> {
        RULES.iter().map(|(rule, words)| (*rule, *words, self.0.get(rule).cloned().unwrap_or_default()))
    }

    /// Whether some rule is broken.
    pub fn has_broken(&self) -> bool {
        self.0.values().any(|state| !state.broken.is_empty())
    }
}
