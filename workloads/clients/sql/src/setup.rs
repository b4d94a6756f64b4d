//! Setup: the tables of a workload. Each has a comment that names the run, so that a second setup of the run finds its tables and
//! those of others are left alone.
use crate::client::SqlClient;
use crate::driver::Driver;
use crate::objects::{bank, commits};
use crate::render::{Literal, identifier, render};
use dsfuzz_client::CallError;
use serde_json::Value;

/// A table: the end of its name and its columns for PostgreSQL's and MySQL's family.
struct Table {
    suffix: String,
    postgres: &'static str,
    mysql: &'static str,
    /// A column by which rows are found, beside the primary key (PostgreSQL's family; the other has it among the columns).
    index: Option<&'static str>,
}

fn table(suffix: &str, postgres: &'static str, mysql: &'static str) -> Table {
    Table { suffix: suffix.to_owned(), postgres, mysql, index: None }
}

fn same(suffix: &str, columns: &'static str) -> Table {
    table(suffix, columns, columns)
}

/// The tables of an object.
fn tables(object: &str, params: &Value) -> Vec<Table> {
    let keyed = "k bigint primary key, v bigint not null";
    let elements = |suffix: &str| Table {
        index: Some("k"),
        ..table(
            suffix,
            "id bigserial primary key, k bigint not null, v bigint not null",
            "id bigint auto_increment primary key, k bigint not null, v bigint not null, key (k)",
        )
    };
    match object {
        "register" => vec![same("", "k bigint primary key, v bigint, n bigint not null default 1")],
        "set" | "queue" => vec![elements("")],
        "rows" => vec![same("", "v bigint not null, t varchar(64) not null, primary key (v, t)")],
        "transactions" => {
            vec![table("", "k bigint primary key, v bigint, l text", "k bigint primary key, v bigint, l longtext")]
        }
        "table" | "counter" => vec![same("", keyed)],
        "bank" => (0..bank::tables(params)).map(|number| same(&bank::suffix(params, number), keyed)).collect(),
        "predicate" => ["_a", "_b"]
            .map(|suffix| Table {
                index: Some("k"),
                ..table(
                    suffix,
                    "id bigint primary key, k bigint not null",
                    "id bigint primary key, k bigint not null, key (k)",
                )
            })
            .into(),
        "ids" => vec![table("", "", "id bigint auto_increment primary key")],
        "guarded" => vec![
            table(
                "",
                "k bigint primary key, l text, granted bigint not null default 0, seen bigint not null default 0",
                "k bigint primary key, l longtext, granted bigint not null default 0, seen bigint not null default 0",
            ),
            Table {
                index: Some("k"),
                ..table(
                    "_log",
                    "id bigserial primary key, k bigint not null, n bigint not null, v bigint not null",
                    "id bigint auto_increment primary key, k bigint not null, n bigint not null, v bigint not null, key (k)",
                )
            },
        ],
        "commit" => (0..commits::participants(params))
            .map(|number| same(&commits::suffix(params, number), "k bigint primary key, d varchar(9) not null"))
            .collect(),
        "saga" => vec![
            same("", "k bigint primary key, n bigint not null"),
            same("_log", "k bigint, n bigint, w varchar(11) not null, s bigint, primary key (k, n)"),
        ],
        _ => Vec::new(),
    }
}

/// Makes what is not there.
pub(crate) async fn set_up<D: Driver>(client: &mut SqlClient<D>) -> Result<Value, CallError> {
    let params = client.init.params.clone();
    let object = client.init.object.clone();
    let comment = format!("dsfuzz run {}", client.init.run);
    for table in tables(&object, &params) {
        match comment_of(client, &table.suffix).await? {
            None => create(client, &table, &comment).await?,
            Some(found) if found == comment => {}
            Some(found) => {
                let name = client.table_name(&table.suffix);
                let says =
                    if found.is_empty() { "it has no comment".to_owned() } else { format!("its comment: {found}") };
                return Err(CallError::fail(
                    "exists",
                    format!(
                        "the table {name} exists and is not of this run ({says}). Drop it, or give the client another `prefix`"
                    ),
                ));
            }
        }
    }
    if object == "bank" {
        bank::open_accounts(client).await?;
    }
    for statement in client.settings.after_setup.clone() {
        let values = [("table", Literal::Raw(client.table("")))];
        let statement = render(&statement, client.dialect, &values);
        client.read(&statement).await?;
    }
    Ok(Value::Null)
}

/// The comment of a table; none if there is no such table.
async fn comment_of<D: Driver>(client: &mut SqlClient<D>, suffix: &str) -> Result<Option<String>, CallError> {
    let ask = if client.dialect.is_mysql() {
        "select table_comment from information_schema.tables where table_schema = database() and table_name = :name"
    } else {
        "select obj_description(c.oid, 'pg_class') from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where c.relname = :name and n.nspname = coalesce(:schema, current_schema())"
    };
    let schema = client.settings.schema.clone().map_or(Literal::Null, Literal::Text);
    let values = [("name", Literal::Text(client.table_name(suffix))), ("schema", schema)];
    let ask = render(ask, client.dialect, &values);
    let rows = client.read(&ask).await?.rows;
    Ok(rows.into_iter().next().map(|row| row.into_iter().next().flatten().unwrap_or_default()))
}

async fn create<D: Driver>(client: &mut SqlClient<D>, table: &Table, comment: &str) -> Result<(), CallError> {
    let name = client.table(&table.suffix);
    let quoted = Literal::Text(comment.to_owned());
    if client.dialect.is_mysql() {
        let create = format!("create table {name} ({}) comment = :comment", table.mysql);
        let create = render(&create, client.dialect, &[("comment", quoted)]);
        return client.change(&create).await.map(|_| ());
    }
    let sequence = table.postgres.is_empty();
    client.begin().await?;
    if sequence {
        client.step(&format!("create sequence {name}")).await?;
    } else {
        client.step(&format!("create table {name} ({})", table.postgres)).await?;
    }
    if let Some(column) = table.index {
        let index = identifier(&format!("{}_{column}", client.table_name(&table.suffix)), client.dialect);
        client.step(&format!("create index {index} on {name} ({column})")).await?;
    }
    let kind = if sequence { "sequence" } else { "table" };
    let comment = render(&format!("comment on {kind} {name} is :comment"), client.dialect, &[("comment", quoted)]);
    client.step(&comment).await?;
    client.commit().await
}
