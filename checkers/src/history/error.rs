//! [`HistoryError`]: why a history cannot be used. The readers in `import` and the builder make it; `dsfuzz check` shows it.
use std::fmt;
use std::io;

/// Why a history cannot be used. Lines and columns count from 1, columns in characters; both are 0 where the records
/// did not come from a text. A reason that readers treat differently is a variant; other reasons are messages of `Malformed` (one
/// record cannot be read) or `Broken` (records contradict each other).
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
    /// The values look like pairs of a key and a value, as `jepsen.independent` writes them, and
    /// [`ReadOptions::independent`](super::ReadOptions::independent) does not say whether they are. A wrong guess could give a
    /// wrong verdict, so the history is refused.
    AmbiguousKeys {
        /// Line at which the first such record begins.
        line: u64,
        /// Column at which it begins.
        column: u64,
        /// The call that looks so, in words.
        seen: String,
    },
}

impl HistoryError {
    /// The error with this line and column, unless it has a line. `Malformed` is made with its own.
    pub(super) fn at(mut self, position: (u64, u64)) -> HistoryError {
        if let HistoryError::Broken { line, column, .. } | HistoryError::AmbiguousKeys { line, column, .. } = &mut self
            && *line == 0
        {
            (*line, *column) = position;
        }
        self
    }
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HistoryError::Io(error) => write!(f, "cannot read the history: {error}"),
            HistoryError::Malformed { line, column, message } => {
                // The JSON parser reports a missing field at column 0.
                let column = if *column == 0 { String::new() } else { format!(", column {column}") };
                write!(f, "line {line}{column} of the history is not a record: {message}")
            }
            HistoryError::Broken { line: 0, index, message, .. } => {
                write!(f, "the recording is broken at record {index}: {message}")
            }
            HistoryError::Broken { line, column, index, message } => {
                write!(f, "line {line}, column {column}: the recording is broken at record {index}: {message}")
            }
            HistoryError::AmbiguousKeys { line, column, seen } => write!(
                f,
                "line {line}, column {column}: {seen}: jepsen.independent writes a key with its value like this; set \
                 ReadOptions::independent to say whether these are keys with values"
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
