//! [`Mysql`]: a connection with mysql_async, whose text protocol sends statements as text. Its pool is not used.
#![forbid(unsafe_code)]
use dsfuzz_client_sql::{Address, Dialect, Driver, Outcome, SqlError};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder, Row, Value};
use std::time::Duration;

/// How long a connection may be idle before TCP asks whether the other end is there.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How long the server may take to see that the client goes.
const GOODBYE: Duration = Duration::from_secs(1);

/// The largest statement and answer: what protocol and server take at most.
const PACKET_MAX: usize = 1 << 30;

/// Seconds for which the library takes an idle connection for alive; the server decides.
const IDLE: usize = 28_800;

/// The server ends the connection.
const SHUTDOWN: [u16; 4] = [
    1053, // shutdown in progress
    1152, // aborted connection
    1927, // the connection was killed
    4031, // idle for too long
];

/// Warnings of features that a later version will not have.
const DEPRECATED: [&str; 2] = ["1287", "1681"];

/// A connection to one server.
#[derive(Debug)]
pub struct Mysql {
    /// None once it is broken.
    connection: Option<Conn>,
}

fn classified(error: &Error) -> SqlError {
    match error {
        Error::Server(error) => SqlError::Server {
            code: error.code.to_string(),
            text: format!("{} ({})", error.message, error.state),
            fatal: SHUTDOWN.contains(&error.code),
        },
        other => SqlError::Lost(other.to_string()),
    }
}

/// A column as text. The text protocol has bytes and null only.
fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true)),
    }
}

fn columns(row: Row) -> Vec<Option<String>> {
    row.unwrap().into_iter().map(text).collect()
}

/// The answer to a statement, and how many warnings came with it.
async fn answered(connection: &mut Conn, statement: &str) -> Result<(Outcome, u16), Error> {
    let mut answer = connection.query_iter(statement).await?;
    let rows: Vec<Row> = answer.collect().await?;
    let (affected, warnings) = (answer.affected_rows(), answer.warnings());
    answer.drop_result().await?;
    Ok((Outcome { rows: rows.into_iter().map(columns).collect(), affected, warnings: Vec::new() }, warnings))
}

/// The texts of the warnings of the last statement, without notes and deprecations, which leave nothing in doubt.
async fn warnings(connection: &mut Conn) -> Result<Vec<String>, Error> {
    let rows: Vec<Row> = connection.query("show warnings").await?;
    // Level, number, message.
    let rows = rows.into_iter().map(|row| columns(row).into_iter().flatten().collect::<Vec<_>>());
    let doubtful = |row: &Vec<String>| match &row[..] {
        [level, number, ..] => level != "Note" && !DEPRECATED.contains(&&**number),
        _ => true,
    };
    Ok(rows.filter(doubtful).map(|row| row.join(" ")).collect())
}

impl Mysql {
    /// The error of a request. A connection that broke over it is forgotten.
    fn failed(&mut self, error: &Error) -> SqlError {
        let error = classified(error);
        if !matches!(error, SqlError::Server { fatal: false, .. }) {
            self.connection = None;
        }
        error
    }
}

impl Driver for Mysql {
    const DIALECTS: &'static [Dialect] = &[Dialect::Mysql, Dialect::Mariadb, Dialect::Tidb];

    async fn connect(address: &Address) -> Result<Mysql, SqlError> {
        let options = OptsBuilder::default()
            .ip_or_hostname(&address.host)
            .tcp_port(address.port)
            .user(Some(&address.user))
            .pass(Some(&address.password))
            .db_name(Some(&address.database))
            .tcp_keepalive(Some(KEEPALIVE))
            // Otherwise a server on this machine is asked for its socket, and the connection moves there.
            .prefer_socket(false)
            // An update that leaves a row as it was has found it.
            .client_found_rows(true)
            // With both given, the library asks the server nothing by itself.
            .max_allowed_packet(Some(PACKET_MAX))
            .wait_timeout(Some(IDLE))
            .stmt_cache_size(0);
        let connection = Conn::new(Opts::from(options)).await.map_err(|error| match classified(&error) {
            SqlError::Lost(text) => SqlError::Unreachable(text),
            other => other,
        })?;
        Ok(Mysql { connection: Some(connection) })
    }

    async fn run(&mut self, statement: &str) -> Result<Outcome, SqlError> {
        let Some(connection) = &mut self.connection else {
            return Err(SqlError::Unreachable("the connection has ended".to_owned()));
        };
        let (mut outcome, count) = match answered(connection, statement).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.failed(&error)),
        };
        if count > 0 && outcome.rows.is_empty() {
            // The statement itself has succeeded, whatever comes of this question.
            outcome.warnings = match warnings(connection).await {
                Ok(warnings) => warnings,
                Err(error) => {
                    vec![format!("{count} warnings, which the server does not show: {}", self.failed(&error))]
                }
            };
        }
        Ok(outcome)
    }

    fn is_closed(&self) -> bool {
        self.connection.is_none()
    }

    async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = tokio::time::timeout(GOODBYE, connection.disconnect()).await;
        }
    }
}
