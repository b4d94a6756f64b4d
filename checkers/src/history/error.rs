//! Why a history cannot be used.
use std::fmt;
use std::io;

/// Why a history cannot be used. Lines and columns count from 1, columns in characters; both are 0 where the records
/// did not come from a text.
#[derive(Debug)]
pub enum HistoryError {
    /// Reading failed.
    Io(io::Error),
    /// The text is not what the format asks for.
    Malformed {
        /// Line.
        line: u64,
        /// Column.
        column: u64,
        /// What was expected, or what is wrong.
        message: String,
    },
    /// The records contradict each other: the recording itself is broken, and nothing may be judged from it.
    Broken {
        /// Line at which the record begins.
        line: u64,
        /// Column at which it begins.
        column: u64,
        /// Index of the record.
        index: u64,
        /// What is wrong.
        message: String,
    },
    /// The values look like keys with their values, as `jepsen.independent` makes them, and nobody said whether they
    /// are ([`ReadOptions::independent`](super::ReadOptions::independent)). In the wrong meaning they would be judged
    /// wrongly.
    Keys {
        /// Line at which the record begins that shows it.
        line: u64,
        /// Column at which it begins.
        column: u64,
        /// What was seen.
        seen: String,
    },
}

impl HistoryError {
    /// The same at this place, unless it already has one.
    pub(super) fn at(mut self, place: (u64, u64)) -> HistoryError {
        if let HistoryError::Broken { line, column, .. } | HistoryError::Keys { line, column, .. } = &mut self
            && *line == 0
        {
            (*line, *column) = place;
        }
        self
    }
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HistoryError::Io(error) => write!(f, "cannot read the history: {error}"),
            HistoryError::Malformed { line, column, message } => {
                // The parser counts a field that is missing to the end of its line, column 0.
                let column = if *column == 0 { String::new() } else { format!(", column {column}") };
                write!(f, "line {line}{column} of the history is not a record: {message}")
            }
            HistoryError::Broken { line: 0, index, message, .. } => {
                write!(f, "the recording is broken at record {index}: {message}")
            }
            HistoryError::Broken { line, column, index, message } => {
                write!(f, "line {line}, column {column}: the recording is broken at record {index}: {message}")
            }
            HistoryError::Keys { line, column, seen } => write!(
                f,
                "line {line}, column {column}: {seen}: so jepsen.independent writes a key with its value; say whether \
                 that is meant (ReadOptions::independent)"
            ),
        }
    }
}

impl std::error::Error for HistoryError {}

impl From<io::Error> for HistoryError {
    fn from(error: io::Error) -> HistoryError {
        HistoryError::Io(error)
    }
}
