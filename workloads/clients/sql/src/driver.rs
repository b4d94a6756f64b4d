//! [`Driver`]: one connection to one server, whatever its protocol.
use crate::errors::SqlError;
use crate::settings::Dialect;
use std::future::Future;
use std::time::Duration;

/// Where a driver connects, and as whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The database.
    pub database: String,
    /// How long a server may be silent while the connection is made. Afterwards: how long what was sent may stay without an
    /// acknowledgement of TCP.
    pub patience: Duration,
}

/// The answer to a statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The rows, each column as text; none: null.
    pub rows: Vec<Vec<Option<String>>>,
    /// How many rows the statement changed (an update: how many it found).
    pub affected: u64,
    /// What the server said beside the answer: warnings, and PostgreSQL's notices.
    pub warnings: Vec<String>,
}

/// A connection. It has no pool, makes no second attempt, and knows one server.
pub trait Driver: Sized + Send + 'static {
    /// The dialects whose servers speak its protocol; the first is that of a server which names no other.
    const DIALECTS: &'static [Dialect];

    /// Connects.
    fn connect(address: &Address) -> impl Future<Output = Result<Self, SqlError>> + Send;

    /// Sends a statement as text and returns the whole answer.
    fn run(&mut self, statement: &str) -> impl Future<Output = Result<Outcome, SqlError>> + Send;

    /// Whether the connection is known to have ended, so that nothing can be sent.
    fn is_closed(&self) -> bool;

    /// Closes the connection properly.
    fn close(self) -> impl Future<Output = ()> + Send;
}
