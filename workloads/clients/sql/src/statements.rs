//! [`STATEMENTS`]: every statement on an object, by name, for both families of dialects. A recipe may replace each by its name.
use crate::render::parameters;
use crate::settings::Dialect;
use dsfuzz_client::{CallError, settings};
use std::collections::BTreeMap;

/// A statement.
#[derive(Clone, Copy, Debug)]
pub struct StatementDoc {
    /// The object.
    pub object: &'static str,
    /// Its name in `sql` of the settings.
    pub name: &'static str,
    /// The parameters it may use, beside `:table`.
    pub parameters: &'static [&'static str],
    /// For PostgreSQL's family.
    pub postgres: &'static str,
    /// For MySQL's family.
    pub mysql: &'static str,
}

const fn both(
    object: &'static str,
    name: &'static str,
    parameters: &'static [&'static str],
    text: &'static str,
) -> StatementDoc {
    StatementDoc { object, name, parameters, postgres: text, mysql: text }
}

const fn each(
    object: &'static str,
    name: &'static str,
    parameters: &'static [&'static str],
    postgres: &'static str,
    mysql: &'static str,
) -> StatementDoc {
    StatementDoc { object, name, parameters, postgres, mysql }
}

const KEY: &[&str] = &["key"];
const KEY_VALUE: &[&str] = &["key", "value"];

/// Every statement.
pub const STATEMENTS: &[StatementDoc] = &[
    both("register", "read", KEY, "select v, n from :table where k = :key"),
    each(
        "register",
        "write",
        KEY_VALUE,
        "insert into :table as r (k, v) values (:key, :value) on conflict (k) do update set v = excluded.v, n = r.n + 1",
        "insert into :table (k, v) values (:key, :value) on duplicate key update v = :value, n = n + 1",
    ),
    both(
        "register",
        "cas",
        &["key", "from", "to"],
        "update :table set v = :to, n = n + 1 where k = :key and v = :from",
    ),
    each(
        "register",
        "create",
        &["key", "to"],
        "insert into :table (k, v) values (:key, :to) on conflict do nothing",
        "insert ignore into :table (k, v) values (:key, :to)",
    ),
    both("set", "add", KEY_VALUE, "insert into :table (k, v) values (:key, :value)"),
    both("set", "read", KEY, "select v from :table where k = :key"),
    each(
        "rows",
        "add",
        &["value"],
        "insert into :table (v, t) values (:value, (extract(epoch from clock_timestamp()) * 1000000)::bigint::text)",
        "insert into :table (v, t) values (:value, cast(unix_timestamp(sysdate(6)) * 1000000 as signed))",
    ),
    both("rows", "largest", &[], "select coalesce(max(v), 0) from :table"),
    both("rows", "read", &[], "select v, t from :table"),
    both("transactions", "r", KEY, "select l, v from :table where k = :key"),
    each(
        "transactions",
        "w",
        KEY_VALUE,
        "insert into :table (k, v) values (:key, :value) on conflict (k) do update set v = excluded.v",
        "insert into :table (k, v) values (:key, :value) on duplicate key update v = :value",
    ),
    each(
        "transactions",
        "append",
        KEY_VALUE,
        "insert into :table as r (k, l) values (:key, :value) on conflict (k) do update set l = coalesce(r.l || ',', '') || excluded.l",
        "insert into :table (k, l) values (:key, :value) on duplicate key update l = concat(coalesce(concat(l, ','), ''), :value)",
    ),
    each(
        "transactions",
        "rewrite",
        KEY_VALUE,
        "insert into :table (k, l) values (:key, :value) on conflict (k) do update set l = excluded.l",
        "insert into :table (k, l) values (:key, :value) on duplicate key update l = :value",
    ),
    both("table", "r", KEY, "select v from :table where k = :key"),
    both("table", "insert", KEY_VALUE, "insert into :table (k, v) values (:key, :value)"),
    each(
        "table",
        "w",
        KEY_VALUE,
        "insert into :table (k, v) values (:key, :value) on conflict (k) do update set v = excluded.v",
        "insert into :table (k, v) values (:key, :value) on duplicate key update v = :value",
    ),
    both("table", "delete", KEY, "delete from :table where k = :key"),
    both("table", "all", &[], "select k, v from :table"),
    both("table", "equal", &["value"], "select k, v from :table where v = :value"),
    both("table", "mod", &["divisor", "rest"], "select k, v from :table where mod(v, :divisor) = :rest"),
    both("bank", "open", &["account", "balance"], "insert into :table (k, v) values (:account, :balance)"),
    both("bank", "balance", &["account"], "select v from :table where k = :account"),
    both("bank", "set_balance", &["account", "balance"], "update :table set v = :balance where k = :account"),
    both("bank", "read", &[], "select k, v from :table"),
    both("predicate", "find", KEY, "select id from :table where k = :key"),
    both("predicate", "insert", &["key", "id"], "insert into :table (id, k) values (:id, :key)"),
    both("queue", "enqueue", KEY_VALUE, "insert into :table (k, v) values (:key, :value)"),
    both(
        "queue",
        "next",
        &["key", "count"],
        "select id, v from :table where k = :key order by id limit :count for update skip locked",
    ),
    both(
        "queue",
        "rest",
        &["key", "count"],
        "select id, v from :table where k = :key order by id limit :count for update",
    ),
    both("queue", "remove", &["ids"], "delete from :table where id in (:ids)"),
    each(
        "counter",
        "add",
        KEY_VALUE,
        "insert into :table as c (k, v) values (:key, :value) on conflict (k) do update set v = c.v + excluded.v",
        "insert into :table (k, v) values (:key, :value) on duplicate key update v = v + :value",
    ),
    both("counter", "read", KEY, "select v from :table where k = :key"),
    each("ids", "generate", &["name"], "select nextval(:name)", "insert into :table () values ()"),
    each("ids", "generated", &["name"], "select currval(:name)", "select last_insert_id()"),
    each("lock", "acquire", &["id", "name"], "select pg_try_advisory_lock(:id)", "select get_lock(:name, 0)"),
    each("lock", "release", &["id", "name"], "select pg_advisory_unlock(:id)", "select release_lock(:name)"),
    each("guarded", "acquire", &["id", "name"], "select pg_try_advisory_lock(:id)", "select get_lock(:name, 0)"),
    each("guarded", "release", &["id", "name"], "select pg_advisory_unlock(:id)", "select release_lock(:name)"),
    both("guarded", "read", KEY, "select l from :table where k = :key"),
    each(
        "guarded",
        "set",
        KEY_VALUE,
        "insert into :table (k, l) values (:key, :value) on conflict (k) do update set l = excluded.l",
        "insert into :table (k, l) values (:key, :value) on duplicate key update l = :value",
    ),
    each(
        "guarded",
        "grant",
        KEY,
        "insert into :table as g (k, granted) values (:key, 1) on conflict (k) do update set granted = g.granted + 1",
        "insert into :table (k, granted) values (:key, 1) on duplicate key update granted = granted + 1",
    ),
    both("guarded", "token", KEY, "select granted from :table where k = :key"),
    both("guarded", "fence", KEY, "select seen from :table where k = :key for update"),
    both("guarded", "mark", &["key", "token"], "update :table set seen = :token where k = :key"),
    both("guarded", "write", &["key", "token", "value"], "insert into :log (k, n, v) values (:key, :token, :value)"),
    both("guarded", "log", KEY, "select n, v from :log where k = :key order by id"),
    each(
        "commit",
        "decide",
        &["key", "decision"],
        "insert into :table (k, d) values (:key, :decision) on conflict do nothing",
        "insert ignore into :table (k, d) values (:key, :decision)",
    ),
    both("commit", "decision", KEY, "select d from :table where k = :key"),
    both("commit", "decisions", &[], "select k, d from :table"),
    both("saga", "start", KEY, "insert into :table (k, n) values (:key, 0)"),
    both("saga", "turn", &["key", "entry"], "update :table set n = :entry where k = :key and n = :entry - 1"),
    both(
        "saga",
        "enter",
        &["key", "entry", "word", "step"],
        "insert into :log (k, n, w, s) values (:key, :entry, :word, :step)",
    ),
    both("saga", "entries", KEY, "select n from :table where k = :key"),
    both("saga", "log", KEY, "select w, s from :log where k = :key order by n"),
];

/// CockroachDB's and TiDB's own timestamps of transactions.
const ROWS_COCKROACH: &str = "insert into :table (v, t) values (:value, cluster_logical_timestamp()::string)";
const ROWS_TIDB: &str = "insert into :table (v, t) values (:value, @@tidb_current_ts)";

/// The statements on one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Statements(BTreeMap<&'static str, String>);

impl Statements {
    /// Those of the dialect, with the recipe's in place of some.
    pub fn new(object: &str, dialect: Dialect, given: &BTreeMap<String, String>) -> Result<Statements, CallError> {
        let docs = || STATEMENTS.iter().filter(|doc| doc.object == object);
        let mut statements: BTreeMap<&'static str, String> = docs()
            .map(|doc| (doc.name, if dialect.is_mysql() { doc.mysql } else { doc.postgres }.to_owned()))
            .collect();
        match (object, dialect) {
            ("rows", Dialect::Cockroachdb) => statements.insert("add", ROWS_COCKROACH.to_owned()),
            ("rows", Dialect::Tidb) => statements.insert("add", ROWS_TIDB.to_owned()),
            _ => None,
        };
        // An empty one is left out: templates of a recipe write texts.
        for (name, text) in given.iter().filter(|(_, text)| !text.trim().is_empty()) {
            // One recipe carries several objects, so that a name of another object is no mistake.
            let Some(doc) = docs().find(|doc| doc.name == name) else {
                if STATEMENTS.iter().any(|doc| doc.name == name) {
                    continue;
                }
                let known: Vec<&str> = docs().map(|doc| doc.name).collect();
                let text = format!("no statement `{name}`; {object} has {}", known.join(", "));
                return Err(settings::mistake(&["sql"], text));
            };
            let fits = |name: &&str| *name == "table" || *name == "log" || doc.parameters.contains(name);
            if let Some(odd) = parameters(text).into_iter().find(|name| !fits(name)) {
                let known: Vec<String> =
                    ["table"].iter().chain(doc.parameters).map(|name| format!(":{name}")).collect();
                let text = format!("no parameter :{odd}; there are {}", known.join(", "));
                return Err(settings::mistake(&["sql", name], text));
            }
            statements.insert(doc.name, text.clone());
        }
        Ok(Statements(statements))
    }

    /// The statement of this name.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_uses_the_parameters_it_names() {
        for doc in STATEMENTS {
            for text in [doc.postgres, doc.mysql] {
                for name in parameters(text) {
                    assert!(
                        ["table", "log"].contains(&name) || doc.parameters.contains(&name),
                        "{} {}: {name}",
                        doc.object,
                        doc.name
                    );
                }
            }
        }
    }

    /// The first line of the table of statements.
    const HEAD: &str = "| object | statement | parameters | PostgreSQL | MySQL |";

    fn table() -> String {
        let code = |text: &str| format!("`{}`", text.replace('|', "\\|"));
        let mut lines = vec![HEAD.to_owned(), "|---|---|---|---|---|".to_owned()];
        for doc in STATEMENTS {
            let parameters: Vec<String> = doc.parameters.iter().map(|name| format!("`:{name}`")).collect();
            let mysql = if doc.mysql == doc.postgres { "the same".to_owned() } else { code(doc.mysql) };
            let (object, name, postgres) = (doc.object, doc.name, code(doc.postgres));
            lines.push(format!("| {object} | `{name}` | {} | {postgres} | {mysql} |", parameters.join(", ")));
        }
        lines.join("\n")
    }

    #[test]
    fn the_documentation_has_every_statement() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/sql-client.md");
        let page = std::fs::read_to_string(path).expect("docs/sql-client.md");
        let (before, rest) = page.split_once(HEAD).expect("the table of statements");
        let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
        let written = format!("{before}{}\n\n{after}", table());
        if std::env::var_os("DSFUZZ_BLESS").is_some() {
            std::fs::write(path, &written).expect("docs/sql-client.md");
        } else {
            assert_eq!(page, written, "DSFUZZ_BLESS=1 cargo test -p dsfuzz-client-sql writes it");
        }
    }

    #[test]
    fn a_recipe_replaces_statements_by_name() {
        let given = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), text.to_owned())]);
        let new = |name, text| Statements::new("register", Dialect::Postgresql, &given(name, text));
        assert_eq!(new("write", "call put(:key, :value)").expect("fits").get("write"), "call put(:key, :value)");
        // `enqueue` is a statement of another object.
        assert_eq!(new("enqueue", "x"), Statements::new("register", Dialect::Postgresql, &BTreeMap::new()));
        assert!(new("wirte", "x").expect_err("unknown").text.contains("register has read, write, cas, create"));
        assert!(
            new("read", "select :value")
                .expect_err("unknown")
                .text
                .contains("no parameter :value; there are :table, :key")
        );
    }
}
