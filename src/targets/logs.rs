//! Role claims in a target's log: `8e9e became leader at term 2` claims leadership with its term for the node that wrote it.
//! Patterns are plain text with `{name}` holes; there are no regular expressions.
use super::recipe::LogPattern;
use std::sync::Arc;

/// A role that a node claimed in its own log. Term and role stand in one line, so the term is trustworthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogClaim {
    /// The node.
    pub node: Arc<str>,
    /// The role.
    pub role: Arc<str>,
    /// The term, if the pattern has one.
    pub term: Option<i64>,
    /// The file on the node.
    pub path: String,
    /// The line's number, counted from 1.
    pub line_number: u64,
    /// The node's own words.
    pub line: String,
    /// The line's wall-clock time by the node's clock, if the pattern has its position.
    pub at: Option<String>,
}

/// The claims in a log, in order.
pub fn claims(patterns: &[LogPattern], node: &Arc<str>, path: &str, text: &str) -> Vec<LogClaim> {
    let mut found = Vec::new();
    // An unfinished last line is still being written: its term may lack digits.
    for (position, line) in text.split_inclusive('\n').filter(|line| line.ends_with('\n')).enumerate() {
        let Some((pattern, term)) = patterns.iter().find_map(|pattern| Some((pattern, matches(&pattern.text, line)?)))
        else {
            continue;
        };
        found.push(LogClaim {
            node: node.clone(),
            role: Arc::from(pattern.role.as_str()),
            term,
            path: path.to_owned(),
            line_number: position as u64 + 1,
            line: line.trim().chars().take(500).collect(),
            at: pattern.at.as_ref().and_then(|part| part.of(line)),
        });
    }
    found
}

/// Whether the line has the pattern, and the number in its `{term}` hole.
pub(super) fn matches(pattern: &str, line: &str) -> Option<Option<i64>> {
    let first = pattern.split('{').next().unwrap_or_default();
    // Without text before the first hole, the hole may begin anywhere in the line.
    let starts = line.char_indices().map(|(at, _)| at).filter(|at| line[*at..].starts_with(first));
    starts.into_iter().find_map(|at| matches_here(pattern, &line[at..]))
}

fn matches_here(pattern: &str, line: &str) -> Option<Option<i64>> {
    let (mut pattern, mut line, mut term) = (pattern, line, None);
    while let Some(open) = pattern.find('{') {
        let close = open + pattern[open..].find('}')?;
        line = line.strip_prefix(&pattern[..open])?;
        let word_end = line.find(|letter: char| !is_word(letter)).unwrap_or(line.len());
        let word = &line[..word_end];
        match &pattern[open + 1..close] {
            "term" => {
                let digits = word.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(word.len());
                term = Some(word[..digits].parse().ok()?);
                line = &line[digits..];
            }
            _ if word.is_empty() => return None,
            _ => line = &line[word_end..],
        }
        pattern = &pattern[close + 1..];
    }
    line.starts_with(pattern).then_some(term)
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | ':' | '/')
}

#[cfg(test)]
mod tests {
    use super::super::probe::Pick;
    use super::*;

    #[test]
    fn a_line_becomes_a_claim() {
        let patterns = [LogPattern {
            text: "{any} became leader at term {term}".into(),
            role: "leader".into(),
            at: Some(Pick::Json("/ts".into())),
        }];
        let log = concat!(
            "{\"ts\":\"2026-11-20T10:00:00Z\",\"msg\":\"8e9e became follower at term 1\"}\n",
            "{\"ts\":\"2026-11-20T10:00:01Z\",\"msg\":\"8e9e became leader at term 12\"}\n",
            "became leader at term x\n",
        );
        let found = claims(&patterns, &Arc::from("n1"), "/d/etcd.log", log);
        assert_eq!(found.len(), 1, "{found:?}");
        let torn = super::claims(&patterns, &Arc::from("n1"), "/d/etcd.log", "x became leader at term 1");
        assert!(torn.is_empty(), "the next digit may still come: {torn:?}");
        let claim = &found[0];
        assert_eq!((claim.term, claim.line_number, claim.at.as_deref()), (Some(12), 2, Some("2026-11-20T10:00:01Z")));
    }

    #[test]
    fn holes_and_text() {
        let cases = [
            ("became leader at term {term}", "x became leader at term 7, ok", Some(Some(7))),
            ("term {term}.", "term 7.", Some(Some(7))),
            ("a {any} b {term}", "a a x b 3 a y b 4", Some(Some(3))),
            ("+switch-master", "# +switch-master m 1 2", Some(None)),
            ("term {term}", "term seven", None),
            ("{broken", "{broken", None),
        ];
        for (pattern, line, expected) in cases {
            assert_eq!(matches(pattern, line), expected, "{pattern} in {line}");
        }
    }
}
