//! [`Settings`]: what a recipe says to a SQL client (`settings`).
use dsfuzz_client::{CallError, settings};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A kind of server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// PostgreSQL.
    #[default]
    Postgresql,
    /// CockroachDB.
    Cockroachdb,
    /// YugabyteDB (YSQL).
    Yugabytedb,
    /// MySQL.
    Mysql,
    /// MariaDB, also with Galera.
    Mariadb,
    /// TiDB.
    Tidb,
}

impl Dialect {
    /// Its name in settings and messages.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Postgresql => "postgresql",
            Dialect::Cockroachdb => "cockroachdb",
            Dialect::Yugabytedb => "yugabytedb",
            Dialect::Mysql => "mysql",
            Dialect::Mariadb => "mariadb",
            Dialect::Tidb => "tidb",
        }
    }

    /// Whether it is of MySQL's family; else of PostgreSQL's.
    pub fn is_mysql(self) -> bool {
        matches!(self, Dialect::Mysql | Dialect::Mariadb | Dialect::Tidb)
    }
}

/// How an element gets onto a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lists {
    /// One statement adds it to what the row holds.
    #[default]
    Concat,
    /// The client reads the list and writes it back with the element.
    Rewrite,
}

/// The settings. Each text may come from a template, so that an empty one counts as left out.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The dialect that the server must speak; left out: whatever it speaks.
    pub dialect: Option<Dialect>,
    /// The role of the port.
    pub port: String,
    /// The database.
    pub database: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The isolation level of all transactions.
    pub isolation: Option<String>,
    /// The schema of the tables (PostgreSQL's family).
    pub schema: Option<String>,
    /// What the names of tables begin with.
    pub prefix: String,
    /// Statements after each connect.
    pub each: Vec<String>,
    /// Statements before the final reads.
    pub final_each: Vec<String>,
    /// A query: if it answers true, calls that change something are refused.
    pub read_only_when: Option<String>,
    /// A query: if it answers true, all calls but final reads are refused.
    pub refuse_when: Option<String>,
    /// A query that answers with the address or the name of the node at the other end of the connection.
    pub answered_by: Option<String>,
    /// Registers have versions.
    #[serde(deserialize_with = "settings::truth")]
    pub versions: bool,
    /// How an element gets onto a list.
    pub lists: Lists,
    /// What is added to selects of rows that the same transaction changes: `for update`, `for share`.
    pub lock_reads: String,
    /// Statements in place of the built-in ones, by name.
    pub sql: BTreeMap<String, String>,
    /// Meanings of the server's errors.
    pub errors: BTreeMap<String, String>,
    /// Statements after the tables were made.
    pub after_setup: Vec<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            dialect: None,
            port: "client".to_owned(),
            database: None,
            user: None,
            password: None,
            isolation: None,
            schema: None,
            prefix: "dsfuzz_".to_owned(),
            each: Vec::new(),
            final_each: Vec::new(),
            read_only_when: None,
            refuse_when: None,
            answered_by: None,
            versions: false,
            lists: Lists::default(),
            lock_reads: String::new(),
            sql: BTreeMap::new(),
            errors: BTreeMap::new(),
            after_setup: Vec::new(),
        }
    }
}

/// The isolation levels of the standard.
const LEVELS: [&str; 4] = ["read uncommitted", "read committed", "repeatable read", "serializable"];

impl Settings {
    /// From the settings of `init`, checked.
    pub fn parse(said: &serde_json::Value) -> Result<Settings, CallError> {
        let mut settings: Settings = settings::of(said)?;
        for list in [&mut settings.each, &mut settings.final_each, &mut settings.after_setup] {
            list.retain(|statement| !statement.trim().is_empty());
        }
        if let Some(level) = &settings.isolation {
            let plain = level.to_ascii_lowercase().replace(['-', '_'], " ");
            if !LEVELS.contains(&&*plain) {
                let text = format!("`{level}` is none of {}", LEVELS.join(", "));
                return Err(settings::mistake(&["isolation"], text));
            }
            settings.isolation = Some(plain);
        }
        for (name, text) in [("prefix", Some(&settings.prefix)), ("schema", settings.schema.as_ref())] {
            let odd = text.and_then(|text| text.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '_'));
            if let Some(odd) = odd {
                return Err(settings::mistake(&[name], format!("`{odd}` is no letter, digit or underscore")));
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_checked_and_empty_texts_count_as_left_out() {
        let parsed = Settings::parse(&json!({"isolation": "REPEATABLE-READ", "each": ["", "set a = 1"], "schema": "",
            "versions": "true", "dialect": "mariadb", "lists": "rewrite"}))
        .expect("settings");
        assert_eq!(parsed.isolation.as_deref(), Some("repeatable read"));
        assert_eq!((parsed.each, parsed.schema), (vec!["set a = 1".to_owned()], None));
        assert_eq!((parsed.versions, parsed.dialect, parsed.lists), (true, Some(Dialect::Mariadb), Lists::Rewrite));
        assert_eq!(Settings::parse(&serde_json::Value::Null), Ok(Settings::default()));
        for (wrong, expected) in [
            (json!({"isolation": "weak"}), "`weak` is none of read uncommitted"),
            (json!({"prefix": "a;b"}), "`settings.prefix`: `;` is no letter"),
            (json!({"isolatoin": "serializable"}), "unknown key `isolatoin` in `settings`; there are dialect,"),
            (json!({"versions": "yes"}), "`settings.versions`: \"yes\" is not true or false"),
            (
                json!({"dialect": "oracle"}),
                "`settings.dialect`: unknown name `oracle`; there are postgresql, cockroachdb,",
            ),
        ] {
            let error = Settings::parse(&wrong).expect_err("a mistake");
            assert!(error.text.contains(expected), "{error:?}");
        }
    }
}
