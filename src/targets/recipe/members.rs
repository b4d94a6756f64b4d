//! [`MembersProbe`]: how nodes are asked who the members of the cluster are, and which of them vote.
use super::super::probe::{Condition, Pick, Question};
use dsfuzz_nemesis::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How nodes are asked for the members of the cluster. The leader's answer counts, else that of the first node that answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MembersProbe {
    /// The question.
    pub ask: Question,
    /// Where the members stand in the answer, a JSON document: a JSON pointer in which `*` stands for every entry of a list or an
    /// object.
    #[serde(default)]
    pub each: Option<String>,
    /// Instead of `each`: a member is each line of the answer in which this regular expression is found.
    #[serde(default)]
    pub lines: Option<String>,
    /// The part of a member that is the name of its node, or its address.
    pub node: Pick,
    /// A member votes where all of these hold. None: every member votes.
    #[serde(default)]
    pub voter: Vec<Condition>,
    /// Time between two questions.
    #[serde(default = "default_every")]
    pub every: Span,
    /// Deadline of one question.
    #[serde(default = "default_every")]
    pub deadline: Span,
}

impl MembersProbe {
    /// A rule that the types do not express: the key and its mistake.
    pub(super) fn mistake(&self) -> Option<(&'static str, &'static str)> {
        match (&self.each, &self.lines) {
            (Some(each), None) if !each.starts_with('/') => Some(("members.each", "a JSON pointer begins with `/`")),
            (Some(_), None) | (None, Some(_)) => None,
            _ => Some(("members", "give exactly one of `each` and `lines`")),
        }
    }
}

fn default_every() -> Span {
    Span::seconds(1)
}
