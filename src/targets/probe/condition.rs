//! [`Condition`] and [`Pick`]: what an answer must look like, and its parts.
use super::super::recipe::word;
use regex_lite::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// JSON pointer (RFC 6901), e.g. `/header/member_id`.
    Json(String),
    /// A line, counted from 1.
    Line(u32),
    /// The rest of the first line that begins so.
    After(String),
    /// What this regular expression finds first in the answer: its first group, or all of it. `^` and `$` stand for the ends
    /// of a line.
    Regex(String),
    /// The same, read as a hexadecimal number: `ff` comes as `255`.
    Hex(String),
}

/// What an answer must look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Both parts are there and the same.
    Same(Pick, Pick),
    /// The part is there and is this text.
    Is {
        /// The part.
        of: Pick,
        /// The text.
        #[serde(deserialize_with = "word")]
        value: String,
    },
    /// The part is there and is a number of at least this.
    AtLeast(Bound),
    /// The part is there and is a number of at most this.
    AtMost(Bound),
    /// The part is not there.
    Absent(Pick),
    /// The answer contains this text.
    Contains(String),
    /// This regular expression fits somewhere in the answer. `^` and `$` stand for the ends of a line.
    Matches(String),
}

/// A part of an answer and a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// The part.
    pub of: Pick,
    /// The number; it may use options.
    #[serde(deserialize_with = "word")]
    pub value: String,
}

impl Pick {
    /// The part of the answer, if it is there. JSON numbers and booleans come as text, null is not there.
    pub fn of(&self, answer: &str) -> Option<String> {
        match self {
            Pick::Json(pointer) => {
                let document: serde_json::Value = serde_json::from_str(answer).ok()?;
                match document.pointer(pointer)? {
                    serde_json::Value::Null => None,
                    serde_json::Value::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                }
            }
            Pick::Line(number) => {
                answer.lines().nth(number.checked_sub(1)? as usize).map(|line| line.trim().to_owned())
            }
            Pick::After(start) => {
                answer.lines().find_map(|line| line.strip_prefix(start.as_str())).map(|rest| rest.trim().to_owned())
            }
            Pick::Regex(pattern) => found(pattern, answer),
            Pick::Hex(pattern) => {
                let digits = found(pattern, answer)?;
                u128::from_str_radix(digits.trim_start_matches("0x"), 16).ok().map(|number| number.to_string())
            }
        }
    }

    /// The same part with its texts filled in by `text`. Refuses what is no regular expression.
    pub(in crate::targets) fn fill<E>(
        &self,
        text: &dyn Fn(&str) -> Result<String, E>,
        wrong: &dyn Fn(String) -> E,
    ) -> Result<Pick, E> {
        let pattern = |pattern: &str| valid(text(pattern)?, wrong);
        Ok(match self {
            Pick::After(start) => Pick::After(text(start)?),
            Pick::Json(pointer) => Pick::Json(text(pointer)?),
            Pick::Regex(regex) => Pick::Regex(pattern(regex)?),
            Pick::Hex(regex) => Pick::Hex(pattern(regex)?),
            Pick::Line(number) => Pick::Line(*number),
        })
    }
}

fn compiled(pattern: &str) -> Result<Regex, regex_lite::Error> {
    RegexBuilder::new(pattern).multi_line(true).crlf(true).build()
}

fn valid<E>(pattern: String, wrong: &dyn Fn(String) -> E) -> Result<String, E> {
    match compiled(&pattern) {
        Ok(_) => Ok(pattern),
        Err(error) => Err(wrong(format!("{pattern:?} is no regular expression: {error}"))),
    }
}

/// The first group of the first match, or the whole match if there is no group. A pattern was checked with the recipe.
fn found(pattern: &str, answer: &str) -> Option<String> {
    let groups = compiled(pattern).ok()?.captures(answer)?;
    groups.get(1).or_else(|| groups.get(0)).map(|text| text.as_str().to_owned())
}

impl std::fmt::Display for Pick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pick::Json(pointer) => write!(f, "{pointer}"),
            Pick::Line(number) => write!(f, "line {number}"),
            Pick::After(start) => write!(f, "what follows {start:?}"),
            Pick::Regex(pattern) => write!(f, "what /{pattern}/ finds"),
            Pick::Hex(pattern) => write!(f, "the hexadecimal number that /{pattern}/ finds"),
        }
    }
}

impl Condition {
    /// Whether the answer is so.
    pub fn holds(&self, answer: &str) -> bool {
        match self {
            Condition::Same(one, other) => one.of(answer).is_some_and(|text| other.of(answer) == Some(text)),
            Condition::Is { of, value } => of.of(answer).is_some_and(|text| text == *value),
            Condition::Absent(part) => part.of(answer).is_none(),
            Condition::AtLeast(bound) => bound.compare(answer).is_some_and(Ordering::is_ge),
            Condition::AtMost(bound) => bound.compare(answer).is_some_and(Ordering::is_le),
            Condition::Contains(text) => answer.contains(text.as_str()),
            Condition::Matches(pattern) => compiled(pattern).is_ok_and(|regex| regex.is_match(answer)),
        }
    }

    /// The same condition with its texts filled in by `text`. Refuses what is no regular expression or no number.
    pub(in crate::targets) fn fill<E>(
        &self,
        text: &dyn Fn(&str) -> Result<String, E>,
        wrong: &dyn Fn(String) -> E,
    ) -> Result<Condition, E> {
        let pick = |pick: &Pick| pick.fill(text, wrong);
        let bound = |bound: &Bound| {
            let value = text(&bound.value)?;
            match number(&value) {
                Some(_) => Ok(Bound { of: pick(&bound.of)?, value }),
                None => Err(wrong(format!("{value:?} is no number"))),
            }
        };
        Ok(match self {
            Condition::Same(one, other) => Condition::Same(pick(one)?, pick(other)?),
            Condition::Is { of, value } => Condition::Is { of: pick(of)?, value: text(value)? },
            Condition::AtLeast(least) => Condition::AtLeast(bound(least)?),
            Condition::AtMost(most) => Condition::AtMost(bound(most)?),
            Condition::Absent(part) => Condition::Absent(pick(part)?),
            Condition::Contains(part) => Condition::Contains(text(part)?),
            Condition::Matches(regex) => Condition::Matches(valid(text(regex)?, wrong)?),
        })
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Condition::Same(one, other) => write!(f, "{one} is the same as {other}"),
            Condition::Is { of, value } => write!(f, "{of} is {value:?}"),
            Condition::Absent(part) => write!(f, "{part} is absent"),
            Condition::AtLeast(bound) => write!(f, "{} is at least {}", bound.of, bound.value),
            Condition::AtMost(bound) => write!(f, "{} is at most {}", bound.of, bound.value),
            Condition::Contains(text) => write!(f, "the answer contains {text:?}"),
            Condition::Matches(pattern) => write!(f, "the answer matches /{pattern}/"),
        }
    }
}

impl Bound {
    /// The part compared with the number; none if it is absent or no number.
    fn compare(&self, answer: &str) -> Option<Ordering> {
        number(&self.of.of(answer)?)?.partial_cmp(&number(&self.value)?)
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_answers() {
        let json = r#"{"header":{"member_id":"7"},"leader":"7","n":5,"none":null}"#;
        let text = "role:master\r\nmaster_repl_offset:12\n";
        let cases = [
            (Pick::Json("/leader".into()), json, Some("7")),
            (Pick::Json("/n".into()), json, Some("5")),
            (Pick::Json("/none".into()), json, None),
            (Pick::Json("/n".into()), "not json", None),
            (Pick::Line(1), text, Some("role:master")),
            (Pick::Line(0), text, None),
            (Pick::Line(9), text, None),
            (Pick::After("master_repl_offset:".into()), text, Some("12")),
            (Pick::After("offset:".into()), text, None),
        ];
        for (pick, answer, expected) in cases {
            assert_eq!(pick.of(answer).as_deref(), expected, "{pick}");
        }
        let same = |one: &str, other: &str| Condition::Same(Pick::Json(one.into()), Pick::Json(other.into()));
        assert!(same("/leader", "/header/member_id").holds(json));
        assert!(!same("/leader", "/n").holds(json));
        assert!(!same("/nothing", "/nothing").holds(json), "two absent parts are not the same");
    }

    #[test]
    fn numbers_and_patterns() {
        let answer = "Zxid: 0x50000001a\r\nMode: leader\r\nlag: 12\r\n";
        let regex = |pattern: &str| Pick::Regex(pattern.to_owned());
        assert_eq!(regex("^Mode: (.*)$").of(answer).as_deref(), Some("leader"), "a line may end with CRLF");
        assert_eq!(regex("Mode").of(answer).as_deref(), Some("Mode"), "without a group, all of the match");
        assert_eq!(regex("^mode").of(answer), None);
        let hex = |pattern: &str| Pick::Hex(pattern.to_owned()).of(answer);
        assert_eq!(hex("^Zxid: 0x([0-9a-f]+)[0-9a-f]{8}$").as_deref(), Some("5"), "the epoch of a zxid");
        assert_eq!(hex("^Zxid: (0x1?[0-9a-f]+)").as_deref(), Some("21474836506"));
        assert_eq!(hex("^Mode: (.*)$"), None);
        let lag = |value: &str| Bound { of: Pick::After("lag:".into()), value: value.into() };
        let mode = Bound { of: Pick::After("Mode:".into()), value: "1".into() };
        for (condition, holds) in [
            (Condition::AtLeast(lag("12")), true),
            (Condition::AtLeast(lag("12.5")), false),
            (Condition::AtMost(lag("12")), true),
            (Condition::AtMost(lag("9")), false), // As texts "12" would be less than "9".
            (Condition::AtLeast(mode.clone()), false),
            (Condition::AtMost(mode), false),
            (Condition::Matches("^Mode: (leader|follower)$".into()), true),
            (Condition::Matches("^leader".into()), false),
        ] {
            assert_eq!(condition.holds(answer), holds, "{condition}");
        }
    }
}
