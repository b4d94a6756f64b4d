//! Transactions of micro-operations on lists and registers, and on rows with predicates.
use super::{column, finish, int, list, list_text, malformed};
use crate::client::SqlClient;
use crate::driver::Driver;
use crate::render::Literal;
use crate::settings::Lists;
use dsfuzz_client::{Call, CallError};
use serde_json::{Map, Value, json};

/// A micro-operation and its parts.
type Parts<'a> = (&'a str, &'a Value, &'a Value);

fn parts(operation: &Value) -> Result<Parts<'_>, CallError> {
    match operation.as_array().map(Vec::as_slice) {
        Some([Value::String(name), key, value]) => Ok((name, key, value)),
        _ => Err(malformed(format!("no micro-operation: {operation}"))),
    }
}

/// Whether a micro-operation only reads.
pub(super) fn is_read(operation: &Value) -> bool {
    matches!(parts(operation), Ok(("r" | "rp", ..)))
}

/// The same list with the reads filled in.
pub(super) async fn txn<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let Some(operations) = call.value.as_array() else { return Err(malformed("txn needs a list of micro-operations")) };
    if let [only] = &operations[..]
        && (is_read(only) || client.settings.lists == Lists::Concat)
    {
        // One statement is a transaction by itself.
        let alone = if is_read(only) { Within::Read } else { Within::Change };
        return Ok(json!([carry_out(client, only, alone).await?]));
    }
    client.begin().await?;
    let mut replies = Vec::with_capacity(operations.len());
    for operation in operations {
        match carry_out(client, operation, Within::Transaction).await {
            Ok(reply) => replies.push(reply),
            Err(error) => {
                // A micro-operation may be wrong without the server having been asked.
                client.roll_back().await;
                return Err(error);
            }
        }
    }
    client.commit().await?;
    Ok(Value::Array(replies))
}

/// What a statement belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    /// A transaction that was begun.
    Transaction,
    /// A read by itself.
    Read,
    /// A change by itself.
    Change,
}

async fn run<D: Driver>(
    client: &mut SqlClient<D>,
    statement: &str,
    within: Within,
) -> Result<Vec<Vec<Option<String>>>, CallError> {
    let outcome = match within {
        Within::Transaction => client.step(statement).await?,
        Within::Read => client.read(statement).await?,
        Within::Change => client.change(statement).await?,
    };
    Ok(outcome.rows)
}

/// The micro-operation with its reply.
async fn carry_out<D: Driver>(
    client: &mut SqlClient<D>,
    operation: &Value,
    within: Within,
) -> Result<Value, CallError> {
    let (name, key, value) = parts(operation)?;
    if name == "rp" {
        return Ok(json!([name, key, select(client, key, within).await?]));
    }
    let key_value = || -> Result<[(&str, Literal); 2], CallError> {
        Ok([("key", int(key, "the key")?.into()), ("value", int(value, "the value")?.into())])
    };
    match name {
        "r" => {
            let found = read(client, int(key, "the key")?, within).await?;
            return Ok(json!([name, key, found]));
        }
        "append" if client.settings.lists == Lists::Rewrite => {
            let (key, element) = (int(key, "the key")?, int(value, "the element")?);
            let found = read(client, key, within).await?;
            let old: Vec<i64> = found.as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
            let new = Literal::Text(list_text(&[old, vec![element]].concat()));
            let statement = client.statement("rewrite", "", &[("key", key.into()), ("value", new)]);
            run(client, &statement, within).await?;
        }
        "append" => {
            let [key, _] = key_value()?;
            let element = Literal::Text(int(value, "the element")?.to_string());
            let statement = client.statement("append", "", &[key, ("value", element)]);
            run(client, &statement, within).await?;
        }
        "w" | "insert" => {
            let statement = client.statement(name, "", &key_value()?);
            run(client, &statement, within).await?;
        }
        "delete" => {
            let statement = client.statement(name, "", &[("key", int(key, "the key")?.into())]);
            run(client, &statement, within).await?;
        }
        _ => return Err(malformed(format!("no micro-operation `{name}`"))),
    }
    Ok(operation.clone())
}

/// A list if something was appended to the key, else its value.
async fn read<D: Driver>(client: &mut SqlClient<D>, key: i64, within: Within) -> Result<Value, CallError> {
    let statement = client.statement("r", "", &[("key", key.into())]);
    let rows = run(client, &statement, within).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(Value::Null) };
    if client.init.object == "table" {
        return Ok(json!(column(&row, 0)?));
    }
    match row.first() {
        Some(Some(text)) => Ok(json!(list(text)?)),
        _ => Ok(json!(column(&row, 1)?)),
    }
}

/// The rows that match `true`, `["=", value]` or `["mod", divisor, rest]`, as an object.
async fn select<D: Driver>(client: &mut SqlClient<D>, predicate: &Value, within: Within) -> Result<Value, CallError> {
    let statement = match predicate.as_array().map(Vec::as_slice) {
        None if *predicate == Value::Bool(true) => client.statement("all", "", &[]),
        Some([Value::String(equal), value]) if equal == "=" => {
            client.statement("equal", "", &[("value", int(value, "the value")?.into())])
        }
        Some([Value::String(modulo), divisor, rest]) if modulo == "mod" => {
            let divisor = ("divisor", int(divisor, "the divisor")?.into());
            client.statement("mod", "", &[divisor, ("rest", int(rest, "the rest")?.into())])
        }
        _ => return Err(malformed(format!("no predicate: {predicate}"))),
    };
    let mut found = Map::new();
    for row in run(client, &statement, within).await? {
        if let [Some(key), value] = [column(&row, 0)?, column(&row, 1)?] {
            found.insert(key.to_string(), json!(value));
        }
    }
    Ok(Value::Object(found))
}

/// Sets the first rows: `{key: value}`.
pub(super) async fn fill<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let Some(rows) = call.value.as_object() else { return Err(malformed("init needs {key: value}")) };
    let number = |key: &str| key.parse::<i64>().map_err(|_| malformed(format!("the key is `{key}`, no number")));
    client.begin().await?;
    let mut done = Ok(Value::Null);
    for (key, value) in rows {
        let values = number(key).and_then(|key| Ok([("key", key.into()), ("value", int(value, "the value")?.into())]));
        done = match values {
            Ok(values) => {
                let statement = client.statement("w", "", &values);
                client.step(&statement).await.map(|_| Value::Null)
            }
            Err(error) => Err(error),
        };
        if done.is_err() {
            break;
        }
    }
    finish(client, done).await
}
