//! [`DocumentError`]: a mistake in a YAML document, with its line and the cure. Never: a bare message of the parser.
use std::fmt;

/// A location in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters to underline.
    pub width: usize,
    /// The line itself.
    pub text: String,
}

impl SourceLocation {
    /// The location in `text`, underlining the word that begins there.
    pub(crate) fn new(text: &str, line: usize, column: usize) -> Option<SourceLocation> {
        let line_text = text.lines().nth(line.checked_sub(1)?)?;
        let rest: Vec<char> = line_text.chars().skip(column.saturating_sub(1)).collect();
        let width = match rest.first() {
            Some(quote @ ('"' | '\'')) => {
                rest.iter().skip(1).position(|c| c == quote).map_or(rest.len(), |end| end + 2)
            }
            Some('[' | '{') => 1,
            _ => {
                let ends = |(i, c): (usize, &char)| {
                    c.is_whitespace()
                        || matches!(c, ',' | '}' | ']')
                        || (*c == ':' && rest.get(i + 1).is_none_or(|next| next.is_whitespace()))
                };
                rest.iter().enumerate().position(ends).unwrap_or(rest.len())
            }
        };
        // A control character would move the terminal's cursor, and a very long line would push the caret off it.
        let shown = line_text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(160).collect();
        Some(SourceLocation { line, column: column.max(1), width: width.clamp(1, 60), text: shown })
    }
}

/// A mistake in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    /// One sentence without a full stop.
    pub message: String,
    /// The file, flag or environment variable with the mistake.
    pub origin: String,
    /// The location in the file; none for a whole file or a flag.
    pub place: Option<SourceLocation>,
    /// The cures, one a line.
    pub help: Vec<String>,
}

impl DocumentError {
    pub(crate) fn new(origin: impl Into<String>, message: impl Into<String>) -> DocumentError {
        DocumentError { message: message.into(), origin: origin.into(), place: None, help: Vec::new() }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> DocumentError {
        self.help.push(help.into());
        self
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        let margin = self.place.as_ref().map_or(0, |place| place.line.to_string().len());
        match &self.place {
            None => write!(f, "\n --> {}", self.origin)?,
            Some(place) => {
                let blank = " ".repeat(margin);
                write!(f, "\n{blank}--> {}:{}:{}", self.origin, place.line, place.column)?;
                write!(f, "\n{blank} |\n{} | {}", place.line, place.text.trim_end())?;
                write!(f, "\n{blank} | {}{}", " ".repeat(place.column - 1), "^".repeat(place.width))?;
            }
        }
        for help in &self.help {
            write!(f, "\n{} = {help}", " ".repeat(margin))?;
        }
        Ok(())
    }
}

impl std::error::Error for DocumentError {}

/// The name among `known` that `written` most likely meant.
pub fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('_', "-");
    let written = plain(written);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&written, &plain(name)), name))
        .filter(|(distance, name)| *distance <= (name.chars().count().max(written.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_neighbour_and_a_foreign_one_does_not() {
        let known = ["time", "rate", "clients", "quiet_start"];
        assert_eq!(did_you_mean("tiem", known), Some("time"));
        assert_eq!(did_you_mean("quiet-start", known), Some("quiet_start"));
        assert_eq!(did_you_mean("Clients", known), Some("clients"));
        assert_eq!(did_you_mean("zookeeper", known), None);
    }

    #[test]
    fn the_caret_stands_under_the_word_and_is_as_long() {
        let place = SourceLocation::new("a: 1\nload: {tiem: 60s}\n", 2, 8).unwrap();
        assert_eq!((place.column, place.width), (8, 4));
        let error = DocumentError { place: Some(place), ..DocumentError::new("p.yaml", "wrong") };
        assert_eq!(error.to_string(), "wrong\n --> p.yaml:2:8\n  |\n2 | load: {tiem: 60s}\n  |        ^^^^");
    }
}
