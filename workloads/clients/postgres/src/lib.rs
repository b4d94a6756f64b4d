//! [`Postgres`]: a connection with tokio-postgres, whose simple protocol sends statements as text.
#![forbid(unsafe_code)]
use dsfuzz_client_sql::{Address, Dialect, Driver, Outcome, SqlError};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Config, SslMode};
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Client, Error, NoTls, SimpleQueryMessage};

/// How long a connection may be idle before TCP asks whether the other end is there, and between two questions.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How long the server may take to see that the client goes.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection to one server.
#[derive(Debug)]
pub struct Postgres {
    client: Client,
    task: Task,
    /// Notices and warnings since the last statement began.
    notices: Arc<Mutex<Vec<String>>>,
}

/// Moves bytes and collects notices until the connection ends.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn taken(notices: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut *notices.lock().unwrap_or_else(PoisonError::into_inner))
}

fn classified(error: &Error) -> SqlError {
    let Some(server) = error.as_db_error() else {
        // The library's own words are short; the cause is beneath.
        let cause = std::error::Error::source(error).map_or(String::new(), |cause| format!(": {cause}"));
        return SqlError::Lost(format!("{error}{cause}"));
    };
    let fatal = matches!(server.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    let detail = server.detail().map_or(String::new(), |detail| format!(" ({detail})"));
    SqlError::Server {
        code: server.code().code().to_owned(),
        text: format!("{}{detail}", server.message()),
        fatal: fatal || matches!(server.severity(), "FATAL" | "PANIC"),
    }
}

fn outcome(messages: Vec<SimpleQueryMessage>) -> Outcome {
    let mut outcome = Outcome::default();
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                outcome.rows.push((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect());
            }
            SimpleQueryMessage::CommandComplete(affected) => outcome.affected = affected,
            _ => {}
        }
    }
    outcome
}

impl Driver for Postgres {
    const DIALECTS: &'static [Dialect] = &[Dialect::Postgresql, Dialect::Cockroachdb, Dialect::Yugabytedb];

    async fn connect(address: &Address) -> Result<Postgres, SqlError> {
        let mut config = Config::new();
        config
            .host(&address.host)
            .port(address.port)
            .user(&address.user)
            .password(&address.password)
            .dbname(&address.database)
            .application_name("dsfuzz")
            .ssl_mode(SslMode::Disable)
            .connect_timeout(address.patience)
            .tcp_user_timeout(address.patience)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE);
        let (client, mut connection) = config.connect(NoTls).await.map_err(|error| match classified(&error) {
            SqlError::Lost(text) => SqlError::Unreachable(text),
            other => other,
        })?;
        let notices = Arc::new(Mutex::new(Vec::new()));
        let collected = notices.clone();
        let task = Task(tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = message {
                    let text = format!("{}: {}", notice.severity(), notice.message());
                    collected.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                }
            }
        }));
        Ok(Postgres { client, task, notices })
    }

    async fn run(&mut self, statement: &str) -> Result<Outcome, SqlError> {
        if self.client.is_closed() {
            return Err(SqlError::Unreachable("the connection has ended".to_owned()));
        }
        taken(&self.notices);
        let messages = self.client.simple_query(statement).await.map_err(|error| classified(&error))?;
        Ok(Outcome { warnings: taken(&self.notices), ..outcome(messages) })
    }

    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    async fn close(self) {
        let Postgres { client, mut task, .. } = self;
        // The task says goodbye once nobody can send any more.
        drop(client);
        let _ = tokio::time::timeout(GOODBYE, &mut task.0).await;
    }
}
