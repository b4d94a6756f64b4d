//! [`SqlError`] and its class: whether the statement certainly had no effect, and the code of the client protocol.
use crate::settings::Dialect;
use dsfuzz_client::{CallError, settings};
use std::collections::BTreeMap;

/// What went wrong with a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlError {
    /// There was no connection, so nothing was sent.
    Unreachable(String),
    /// The connection broke, or the answer was no answer, after the statement was sent.
    Lost(String),
    /// The server's error.
    Server {
        /// SQLSTATE of PostgreSQL's family, the number of MySQL's.
        code: String,
        /// The message.
        text: String,
        /// Whether the server ended the connection with it.
        fatal: bool,
    },
}

impl std::fmt::Display for SqlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SqlError::Unreachable(text) | SqlError::Lost(text) => f.write_str(text),
            SqlError::Server { code, text, .. } => write!(f, "{code}: {text}"),
        }
    }
}

/// The codes of the client protocol that an error of a server may mean.
pub const CODES: [&str; 10] = [
    "conflict",
    "aborted",
    "exists",
    "precondition",
    "read-only",
    "denied",
    "refused",
    "malformed",
    "not-found",
    "not-supported",
];

/// PostgreSQL's errors with which a statement, even `commit`, certainly had no effect. A code of two characters is a class.
const POSTGRES: &[(&str, &str)] = &[
    ("40001", "conflict"),   // serialization failure
    ("40P01", "conflict"),   // deadlock
    ("55P03", "conflict"),   // lock not available (nowait, lock_timeout)
    ("25006", "read-only"),  // read-only transaction: a standby
    ("25P02", "aborted"),    // the transaction has failed before
    ("23505", "exists"),     // unique violation
    ("42P07", "exists"),     // duplicate table
    ("42P01", "not-found"),  // undefined table
    ("3D000", "not-found"),  // no such database
    ("3F000", "not-found"),  // no such schema
    ("42501", "denied"),     // insufficient privilege
    ("53300", "refused"),    // too many connections
    ("57P03", "refused"),    // cannot connect now: starting, shutting down, in recovery
    ("28", "denied"),        // invalid authorization
    ("23", "precondition"),  // integrity constraint
    ("22", "malformed"),     // data exception
    ("42", "malformed"),     // syntax error or access rule
    ("54", "malformed"),     // a limit of the program
    ("0A", "not-supported"), // feature not supported
    ("P0", "aborted"),       // raised by a function or trigger
];

/// The same of MySQL's family, by number.
const MYSQL: &[(&str, &str)] = &[
    ("1213", "conflict"), // deadlock, also by Galera's certification: the whole transaction is rolled back
    ("1205", "conflict"), // lock wait timeout: only the statement is rolled back
    ("1020", "conflict"), // the row has changed since the snapshot
    ("3572", "conflict"), // a lock could not be had at once (nowait)
    ("3101", "conflict"), // group replication rolled back
    ("9007", "conflict"), // TiDB: write conflict
    ("8002", "conflict"), // TiDB: write conflict of a pessimistic transaction
    ("8022", "conflict"), // TiDB: the commit failed and was rolled back
    ("8028", "conflict"), // TiDB: the schema has changed
    ("1290", "read-only"), // --read-only
    ("1792", "read-only"), // read-only transaction
    ("1836", "read-only"), // read-only mode
    ("1874", "read-only"), // InnoDB is read-only
    ("1062", "exists"),   // duplicate entry
    ("1586", "exists"),   // duplicate entry, with the key's name
    ("1050", "exists"),   // table exists
    ("1146", "not-found"), // no such table
    ("1049", "not-found"), // no such database
    ("1045", "denied"),   // wrong user or password
    ("1044", "denied"),   // no access to the database
    ("1142", "denied"),   // no access to the table
    ("1143", "denied"),   // no access to the column
    ("1227", "denied"),   // a privilege is missing
    ("1698", "denied"),   // the authentication plugin refuses
    ("1047", "refused"),  // wsrep: the node is not prepared (yet)
    ("1040", "refused"),  // too many connections
    ("1203", "refused"),  // too many connections of the user
    ("1226", "refused"),  // a limit of the user
    ("1129", "refused"),  // the host is blocked
    ("1451", "precondition"), // foreign key
    ("1452", "precondition"), // foreign key
    ("3819", "precondition"), // check constraint
    ("4025", "precondition"), // check constraint of MariaDB
    ("1048", "precondition"), // null where none is allowed
    ("1064", "malformed"), // syntax
    ("1054", "malformed"), // unknown column
    ("1136", "malformed"), // number of columns
    ("1264", "malformed"), // out of range
    ("1366", "malformed"), // incorrect value
    ("1406", "malformed"), // too long
    ("1690", "malformed"), // out of range
    ("1235", "not-supported"), // not yet supported
    ("1193", "not-supported"), // unknown system variable
];

/// The message with which a standby of PostgreSQL refuses the level serializable (0A000).
const HOT_STANDBY: &str = "hot standby";

/// The meaning of a server's errors: those of the dialect, and those that the recipe adds or changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorClasses {
    dialect: Dialect,
    /// By the server's code; none: its effect is unknown.
    given: BTreeMap<String, Option<&'static str>>,
}

/// Where a statement stands in its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It cannot have an effect: a read, or a statement of a transaction that is not committed.
    NoEffect,
    /// It commits: `commit`, or a statement that is a transaction of its own.
    Commits,
}

impl ErrorClasses {
    /// Those of a dialect, with the recipe's `errors`.
    pub fn new(dialect: Dialect, errors: &BTreeMap<String, String>) -> Result<ErrorClasses, CallError> {
        let mut given = BTreeMap::new();
        for (code, meaning) in errors {
            let known = CODES.iter().find(|known| *known == meaning).copied();
            if known.is_none() && meaning != "unknown" {
                let text = format!("`{meaning}` is none of {}, unknown", CODES.join(", "));
                return Err(settings::mistake(&["errors", code], text));
            }
            given.insert(code.clone(), known);
        }
        Ok(ErrorClasses { dialect, given })
    }

    /// The code of the client protocol, if an error with this code means that the statement certainly had no effect.
    pub fn definite(&self, code: &str, text: &str) -> Option<&'static str> {
        if let Some(given) = self.given.get(code) {
            return *given;
        }
        let find = |table: &[(&'static str, &'static str)], code: &str| {
            table.iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning)
        };
        if self.dialect.is_mysql() {
            return find(MYSQL, code);
        }
        if code == "0A000" && text.contains(HOT_STANDBY) {
            return Some("read-only");
        }
        find(POSTGRES, code).or_else(|| find(POSTGRES, code.get(..2)?))
    }

    /// How a call ends with this error.
    pub fn call_error(&self, error: &SqlError, stage: Stage) -> CallError {
        match (error, stage) {
            (SqlError::Unreachable(text), _) => CallError::fail("refused", text),
            (SqlError::Lost(text), Stage::NoEffect) => {
                CallError::fail("aborted", format!("the connection broke before anything was committed: {text}"))
            }
            (SqlError::Lost(text), Stage::Commits) => CallError::info("lost", text),
            (SqlError::Server { code, text, .. }, Stage::NoEffect) => {
                CallError::fail(self.definite(code, text).unwrap_or("aborted"), error)
            }
            // Whoever ends the connection may have committed before.
            (SqlError::Server { fatal: true, .. }, Stage::Commits) => CallError::info("lost", error),
            (SqlError::Server { code, text, .. }, Stage::Commits) => match self.definite(code, text) {
                Some(meaning) => CallError::fail(meaning, error),
                None => CallError::info("unknown", error),
            },
        }
    }

    /// Why no connection came about: nothing was sent.
    pub fn connect_error(&self, error: &SqlError) -> CallError {
        match error {
            SqlError::Server { code, text, .. } => {
                CallError::fail(self.definite(code, text).unwrap_or("refused"), error)
            }
            SqlError::Unreachable(text) | SqlError::Lost(text) => CallError::fail("refused", text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: &str, fatal: bool) -> SqlError {
        SqlError::Server { code: code.to_owned(), text: "text".to_owned(), fatal }
    }

    #[test]
    fn only_errors_that_certainly_mean_no_effect_fail_a_commit() {
        let none = BTreeMap::new();
        let postgres = ErrorClasses::new(Dialect::Postgresql, &none).expect("classes");
        let mysql = ErrorClasses::new(Dialect::Mariadb, &none).expect("classes");
        let cases = [
            (&postgres, "40001", true, "conflict"),
            (&postgres, "40P01", true, "conflict"),
            (&postgres, "23505", true, "exists"),
            (&postgres, "23514", true, "precondition"),
            (&postgres, "25006", true, "read-only"),
            (&postgres, "28P01", true, "denied"),
            (&postgres, "42601", true, "malformed"),
            (&postgres, "40003", false, "unknown"),
            (&postgres, "57014", false, "unknown"),
            (&postgres, "XX000", false, "unknown"),
            (&postgres, "58030", false, "unknown"),
            (&mysql, "1213", true, "conflict"),
            (&mysql, "1020", true, "conflict"),
            (&mysql, "1205", true, "conflict"),
            (&mysql, "1062", true, "exists"),
            (&mysql, "1047", true, "refused"),
            (&mysql, "1290", true, "read-only"),
            (&mysql, "1045", true, "denied"),
            (&mysql, "1180", false, "unknown"),
            (&mysql, "1317", false, "unknown"),
            (&mysql, "40001", false, "unknown"),
        ];
        for (classes, code, certain, meaning) in cases {
            let error = classes.call_error(&server(code, false), Stage::Commits);
            assert_eq!((error.certain, error.code), (certain, meaning), "{code}");
            // Before the commit nothing has an effect, whatever the error.
            assert!(classes.call_error(&server(code, false), Stage::NoEffect).certain, "{code}");
        }
        let lost = SqlError::Lost("reset".to_owned());
        assert!(!postgres.call_error(&lost, Stage::Commits).certain);
        assert!(postgres.call_error(&lost, Stage::NoEffect).certain);
        // Even a code that is definite, if the server ended the connection with it.
        assert!(!postgres.call_error(&server("57P03", true), Stage::Commits).certain);
        assert_eq!(postgres.definite("0A000", "cannot use serializable mode in a hot standby"), Some("read-only"));
        assert_eq!(postgres.definite("0A000", "cannot"), Some("not-supported"));
    }

    #[test]
    fn a_recipe_adds_and_changes_meanings() {
        let given = |meaning: &str| BTreeMap::from([("40001".to_owned(), meaning.to_owned())]);
        let classes = |meaning| ErrorClasses::new(Dialect::Postgresql, &given(meaning));
        assert_eq!(classes("aborted").expect("known").definite("40001", ""), Some("aborted"));
        assert_eq!(classes("unknown").expect("known").definite("40001", ""), None);
        let refused = classes("fail").expect_err("no code");
        assert!(refused.text.contains("`settings.errors.40001`: `fail` is none of conflict"), "{refused:?}");
    }

    #[test]
    fn a_code_stands_once_and_means_a_code_of_the_protocol() {
        for table in [POSTGRES, MYSQL] {
            let mut codes: Vec<&str> = table.iter().map(|(code, _)| *code).collect();
            assert!(table.iter().all(|(_, meaning)| CODES.contains(meaning)));
            let count = codes.len();
            codes.sort_unstable();
            codes.dedup();
            assert_eq!(codes.len(), count);
        }
    }
}
