//! [`SqlClient`]: a logical client of dsfuzz over one connection to one server.
//!
//! A connection that ended while no call was open, or before anything of a call was committed, is opened again, to the same
//! server, at the next call. Nothing is ever sent twice.
use crate::driver::{Address, Driver, Outcome};
use crate::errors::{ErrorClasses, SqlError, Stage};
use crate::objects;
use crate::render::{Literal, identifier, render};
use crate::settings::{Dialect, Settings};
use crate::setup;
use crate::statements::Statements;
use crate::version::Version;
use dsfuzz_client::lines::SETUP;
use dsfuzz_client::{Call, CallError, Client, Init, NodeAddress, ObjectFunctions, Reply};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

/// What SQL clients carry out.
pub const OBJECTS: &[ObjectFunctions] = &[
    ("register", &["read", "write", "cas", SETUP]),
    ("set", &["add", "read", SETUP]),
    ("rows", &["add", "read", SETUP]),
    ("transactions", &["txn", SETUP]),
    ("table", &["init", "txn", SETUP]),
    ("bank", &["transfer", "read", SETUP]),
    ("predicate", &["insert", SETUP]),
    ("queue", &["enqueue", "dequeue", "drain", SETUP]),
    ("counter", &["add", "read", SETUP]),
    ("ids", &["generate", SETUP]),
    ("lock", &["acquire", "release"]),
    ("guarded", &["acquire", "release", "add", "read", "write", "log", SETUP]),
    ("commit", &["commit", "status", SETUP]),
    ("saga", &["start", "log", SETUP]),
];

/// Least time for connecting, whatever the deadline of calls.
const CONNECT_LEAST: Duration = Duration::from_secs(2);

/// A logical client.
#[derive(Debug)]
pub struct SqlClient<D> {
    /// What it was told.
    pub(crate) init: Init,
    /// What the recipe says.
    pub(crate) settings: Settings,
    pub(crate) classes: ErrorClasses,
    pub(crate) statements: Statements,
    pub(crate) dialect: Dialect,
    address: Address,
    session: Option<Session<D>>,
    /// What holders of locks read when they had acquired them, by key. It ends with the connection, as the locks do.
    pub(crate) held: BTreeMap<i64, Vec<i64>>,
}

#[derive(Debug)]
struct Session<D> {
    driver: D,
    /// The node that answers, if it is not the client's own.
    node: Option<String>,
    /// Whether it has the isolation level of final reads.
    is_final: bool,
    /// Whether a transaction is open.
    in_transaction: bool,
}

impl<D: Driver> Client for SqlClient<D> {
    const OBJECTS: &'static [ObjectFunctions] = OBJECTS;
    const VERSIONS: bool = true;

    async fn open(init: Init) -> Result<SqlClient<D>, CallError> {
        let mut settings = Settings::parse(&init.settings)?;
        settings.versions |= init.versions();
        let first = D::DIALECTS.first().copied().unwrap_or_default();
        let address = address(&init, &settings, first)?;
        let classes = ErrorClasses::new(first, &settings.errors)?;
        let statements = Statements::new(&init.object, first, &settings.sql)?;
        let mut client = SqlClient {
            init,
            settings,
            classes,
            statements,
            dialect: first,
            address,
            session: None,
            held: BTreeMap::new(),
        };
        client.connected().await?;
        Ok(client)
    }

    async fn call(&mut self, call: &Call) -> Result<Reply, CallError> {
        self.roll_back().await;
        self.connected().await?;
        if call.is_final {
            self.for_final_reads().await?;
        }
        self.permitted(call).await?;
        let value = if call.f == SETUP { setup::set_up(self).await } else { objects::carry_out(self, call).await };
        let node = self.session.as_ref().and_then(|session| session.node.clone());
        Ok(Reply { value: value?, node })
    }

    async fn close(self) {
        if let Some(session) = self.session {
            session.driver.close().await;
        }
    }
}

/// Where and as whom to connect.
fn address(init: &Init, settings: &Settings, dialect: Dialect) -> Result<Address, CallError> {
    let port = dsfuzz_client::settings::port(init, &settings.port)?;
    let (user, database) = if dialect.is_mysql() { ("dsfuzz", "dsfuzz") } else { ("postgres", "postgres") };
    let or = |text: &Option<String>, default: &str| text.clone().unwrap_or_else(|| default.to_owned());
    Ok(Address {
        host: init.address.clone(),
        port,
        user: or(&settings.user, user),
        password: or(&settings.password, if dialect.is_mysql() && settings.user.is_none() { "dsfuzz" } else { "" }),
        database: or(&settings.database, database),
        patience: Duration::from_millis(init.deadline_ms).max(CONNECT_LEAST),
    })
}

impl<D: Driver> SqlClient<D> {
    /// Connects, unless there is a connection.
    async fn connected(&mut self) -> Result<(), CallError> {
        if self.session.as_ref().is_some_and(|session| !session.driver.is_closed()) {
            return Ok(());
        }
        self.end_session();
        let connecting = within(self.address.patience, D::connect(&self.address));
        let driver = connecting.await.map_err(|error| self.classes.connect_error(&error))?;
        self.session = Some(Session { driver, node: None, is_final: false, in_transaction: false });
        let prepared = self.prepare_session().await;
        if prepared.is_err() {
            self.end_session();
        }
        prepared
    }

    /// Forgets a connection that is no use any more. What it held is gone.
    pub(crate) fn end_session(&mut self) {
        self.session = None;
        self.held.clear();
    }

    /// Asks the server who it is, and says what the recipe wants of all transactions.
    async fn prepare_session(&mut self) -> Result<(), CallError> {
        let text = self.first_text("select version()").await?.unwrap_or_default();
        let Some(version) = Version::parse(&text, D::DIALECTS) else {
            return Err(CallError::fail("not-supported", format!("the server says that it is `{text}`")));
        };
        self.set_dialect(&version)?;
        let ask = self.settings.answered_by.clone().or_else(|| answered_by(self.dialect).map(str::to_owned));
        if let Some(ask) = ask {
            // MariaDB shows a variable's value in the second column.
            let answer = self.setting(&ask).await?.rows.into_iter().next();
            let other = answer.and_then(|row| row.into_iter().flatten().last());
            let node = other.and_then(|answer| other_node(&self.init, &answer));
            if let Some(session) = &mut self.session {
                session.node = node;
            }
        }
        // After the questions: a standby of PostgreSQL answers none at the level serializable.
        if let Some(level) = self.settings.isolation.clone() {
            self.setting(&isolation_statement(self.dialect, &level)).await?;
        }
        for statement in self.settings.each.clone() {
            self.setting(&statement).await?;
        }
        Ok(())
    }

    fn set_dialect(&mut self, version: &Version) -> Result<(), CallError> {
        let refused = |text: String| CallError::fail("not-supported", text);
        if let Some(wanted) = self.settings.dialect.filter(|wanted| *wanted != version.dialect) {
            return Err(refused(format!(
                "the dialect should be {}; the server's is {}",
                wanted.name(),
                version.dialect.name()
            )));
        }
        if let Some(refusal) = version.refusal(&self.init.object) {
            return Err(refused(refusal));
        }
        if version.dialect != self.dialect {
            self.dialect = version.dialect;
            self.classes = ErrorClasses::new(self.dialect, &self.settings.errors)?;
            self.statements = Statements::new(&self.init.object, self.dialect, &self.settings.sql)?;
        }
        Ok(())
    }

    /// Final reads have the strongest isolation level that the server has for them.
    async fn for_final_reads(&mut self) -> Result<(), CallError> {
        if self.session.as_ref().is_none_or(|session| session.is_final) {
            return Ok(());
        }
        self.setting(&isolation_statement(self.dialect, "repeatable read")).await?;
        let strongest = match self.dialect {
            // A standby refuses the level serializable, and answers nothing at it.
            Dialect::Postgresql => self.is_true("select pg_is_in_recovery()").await?,
            Dialect::Tidb => true,
            _ => false,
        };
        if !strongest {
            self.setting(&isolation_statement(self.dialect, "serializable")).await?;
        }
        for statement in self.settings.final_each.clone() {
            self.setting(&statement).await?;
        }
        if let Some(session) = &mut self.session {
            session.is_final = true;
        }
        Ok(())
    }

    /// Refuses what the recipe does not want on a node like this.
    async fn permitted(&mut self, call: &Call) -> Result<(), CallError> {
        let when = match &self.settings {
            // A final read shows what the node itself holds.
            Settings { refuse_when: Some(ask), .. } if !call.is_final => Some(ask.clone()),
            Settings { read_only_when: Some(ask), .. } if objects::changes(call) => Some(ask.clone()),
            _ => None,
        };
        match when {
            Some(ask) if self.is_true(&ask).await? => Err(CallError::fail("read-only", format!("true: {ask}"))),
            _ => Ok(()),
        }
    }

    async fn is_true(&mut self, ask: &str) -> Result<bool, CallError> {
        Ok(self.first_text(ask).await?.is_some_and(|text| is_true(&text)))
    }

    async fn first_text(&mut self, ask: &str) -> Result<Option<String>, CallError> {
        Ok(self.setting(ask).await?.rows.into_iter().flatten().next().flatten())
    }

    /// A statement that cannot be what a call commits.
    async fn setting(&mut self, statement: &str) -> Result<Outcome, CallError> {
        let classes = self.classes.clone();
        self.run(statement).await.map_err(|error| classes.call_error(&error, Stage::NoEffect))
    }

    /// Runs a statement; a connection that broke over it is forgotten.
    async fn run(&mut self, statement: &str) -> Result<Outcome, SqlError> {
        let Some(session) = &mut self.session else {
            return Err(SqlError::Unreachable("there is no connection".to_owned()));
        };
        let outcome = session.driver.run(statement).await;
        if matches!(outcome, Err(SqlError::Lost(_) | SqlError::Unreachable(_) | SqlError::Server { fatal: true, .. })) {
            self.end_session();
        }
        outcome
    }

    /// The name of a table of this workload, as it is.
    pub(crate) fn table_name(&self, suffix: &str) -> String {
        let workload = self.init.workload.replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_ascii_lowercase();
        format!("{}{workload}{suffix}", self.settings.prefix)
    }

    /// The name of a table, quoted and with its schema.
    pub(crate) fn table(&self, suffix: &str) -> String {
        let name = identifier(&self.table_name(suffix), self.dialect);
        match &self.settings.schema {
            Some(schema) => format!("{}.{name}", identifier(schema, self.dialect)),
            None => name,
        }
    }

    /// The statement of this name, on the table with this suffix.
    pub(crate) fn statement(&self, name: &str, suffix: &str, values: &[(&str, Literal)]) -> String {
        let mut all = vec![("table", Literal::Raw(self.table(suffix))), ("log", Literal::Raw(self.table("_log")))];
        all.extend_from_slice(values);
        render(self.statements.get(name), self.dialect, &all)
    }

    /// A read as a transaction of its own.
    pub(crate) async fn read(&mut self, statement: &str) -> Result<Outcome, CallError> {
        self.setting(statement).await
    }

    /// A change as a transaction of its own. A warning means the same as one of a commit, unless nothing was changed.
    pub(crate) async fn change(&mut self, statement: &str) -> Result<Outcome, CallError> {
        let outcome = self.run(statement).await.map_err(|error| self.classes.call_error(&error, Stage::Commits))?;
        if outcome.affected == 0 { Ok(outcome) } else { without_warnings(outcome) }
    }

    /// A statement on its own that must change a row. Where the server counts none, its effect is unknown: a trigger may have
    /// made the change. What counts no rows, such as a call of a procedure, is taken as it is.
    pub(crate) async fn change_some(&mut self, name: &str, statement: &str) -> Result<Outcome, CallError> {
        let outcome = self.change(statement).await?;
        let verb = statement.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        if outcome.affected == 0 && ["insert", "update", "replace", "upsert", "merge"].contains(&verb.as_str()) {
            let text = format!("the statement `{name}` of the recipe changed no row: {statement}");
            return Err(CallError::info("malformed", text));
        }
        Ok(outcome)
    }

    /// The release of a session's lock. PostgreSQL warns of one that is not held, which the answer says too.
    pub(crate) async fn run_release(&mut self, statement: &str) -> Result<Outcome, CallError> {
        self.run(statement).await.map_err(|error| self.classes.call_error(&error, Stage::Commits))
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&mut self) -> Result<(), CallError> {
        self.setting(if self.dialect.is_mysql() { "start transaction" } else { "begin" }).await?;
        self.set_in_transaction(true);
        Ok(())
    }

    /// A statement of the transaction. After an error the transaction is rolled back: no effect is certain.
    pub(crate) async fn step(&mut self, statement: &str) -> Result<Outcome, CallError> {
        match self.run(statement).await {
            Ok(outcome) => Ok(outcome),
            Err(error) => {
                let failed = self.classes.call_error(&error, Stage::NoEffect);
                self.roll_back().await;
                Err(failed)
            }
        }
    }

    /// Rolls the open transaction back, if there is one; if need be by ending the connection.
    pub(crate) async fn roll_back(&mut self) {
        let open = self.session.as_ref().is_some_and(|session| session.in_transaction);
        if open && self.run("rollback").await.is_err() {
            self.end_session();
        }
        self.set_in_transaction(false);
    }

    fn set_in_transaction(&mut self, open: bool) {
        if let Some(session) = &mut self.session {
            session.in_transaction = open;
        }
    }

    /// Commits. A warning means that not all that a commit promises is certain.
    pub(crate) async fn commit(&mut self) -> Result<(), CallError> {
        match self.run("commit").await {
            Ok(outcome) => {
                self.set_in_transaction(false);
                without_warnings(outcome).map(|_| ())
            }
            Err(error) => {
                let failed = self.classes.call_error(&error, Stage::Commits);
                // Some servers keep a transaction open whose commit they refused.
                self.roll_back().await;
                Err(failed)
            }
        }
    }
}

fn without_warnings(outcome: Outcome) -> Result<Outcome, CallError> {
    match outcome.warnings.is_empty() {
        true => Ok(outcome),
        false => Err(CallError::info("warning", outcome.warnings.join("; "))),
    }
}

/// True as the families write it.
pub(crate) fn is_true(text: &str) -> bool {
    matches!(&*text.to_ascii_lowercase(), "t" | "true" | "1" | "on" | "yes")
}

fn isolation_statement(dialect: Dialect, level: &str) -> String {
    if dialect.is_mysql() {
        format!("set session transaction isolation level {level}")
    } else {
        format!("set session characteristics as transaction isolation level {level}")
    }
}

/// The query for the node at the other end of the connection.
fn answered_by(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::Postgresql | Dialect::Yugabytedb => Some("select host(inet_server_addr())"),
        // Answered in every state of a node, and without waiting for others as a select may.
        Dialect::Mariadb | Dialect::Mysql => Some("show global variables like 'wsrep_node_address'"),
        Dialect::Cockroachdb | Dialect::Tidb => None,
    }
}

/// The node with this name or address, if it is not the client's own.
fn other_node(init: &Init, answer: &str) -> Option<String> {
    let host = answer.rsplit_once(':').filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()));
    let host = host.map_or(answer, |(host, _)| host);
    if host == init.address || host == init.node {
        return None;
    }
    let found = |node: &&NodeAddress| node.address == host || node.name == host;
    init.nodes.iter().find(found).map(|node| node.name.clone()).filter(|name| *name != init.node)
}

/// Connecting ends after this long.
async fn within<T>(patience: Duration, connecting: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
    let late = || SqlError::Unreachable(format!("no connection within {} s", patience.as_secs()));
    tokio::time::timeout(patience, connecting).await.unwrap_or_else(|_| Err(late()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{init_of, init_with};
    use serde_json::json;

    #[test]
    fn the_node_that_answers_is_named_if_it_is_another() {
        let init = init_of("register");
        let cases =
            [("10.0.0.1", None), ("10.0.0.2", Some("n2")), ("n2:3306", Some("n2")), ("10.9.9.9", None), ("n1", None)];
        for (answer, expected) in cases {
            assert_eq!(other_node(&init, answer).as_deref(), expected, "{answer}");
        }
    }

    #[test]
    fn an_address_needs_the_port_that_the_settings_name() {
        let settings = |value| Settings::parse(&value).expect("settings");
        let init = init_with("register", json!({}));
        let refused = address(&init, &settings(json!({"port": "sql"})), Dialect::Postgresql).expect_err("no port");
        assert!(refused.text.contains("no port of n1 is named sql; there are client"), "{refused:?}");
        let found = address(&init, &settings(json!({"user": "u"})), Dialect::Mariadb).expect("an address");
        assert_eq!((found.user, found.password, found.database), ("u".into(), String::new(), "dsfuzz".into()));
    }
}
