//! Registers, sets, counters, ids: one statement each.
use super::{column, first_number, int, key, malformed, numbers};
use crate::client::SqlClient;
use crate::driver::Driver;
use crate::render::Literal;
use dsfuzz_client::{Call, CallError};
use serde_json::{Value, json};

/// The value; with `versions` as `[version, value]`.
pub(super) async fn read_register<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let statement = client.statement("read", "", &[("key", key(call)?.into())]);
    let outcome = client.read(&statement).await?;
    let row = outcome.rows.first().map_or(&[][..], Vec::as_slice);
    let value = column(row, 0)?;
    if !client.settings.versions {
        return Ok(json!(value));
    }
    Ok(json!([column(row, 1)?.unwrap_or(0), value]))
}

/// Writes; with `versions` the reply is the version that the value got.
pub(super) async fn write_register<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let values = [("key", key(call)?.into()), ("value", int(&call.value, "the value")?.into())];
    let statement = client.statement("write", "", &values);
    if !client.settings.versions {
        return client.change_some("write", &statement).await.map(|_| Value::Null);
    }
    client.begin().await?;
    client.step(&statement).await?;
    let version = version(client, call).await?;
    client.commit().await?;
    Ok(json!(version))
}

/// The version of a register, within a transaction that has changed it.
async fn version<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Option<i64>, CallError> {
    let read = client.statement("read", "", &[("key", key(call)?.into())]);
    let outcome = client.step(&read).await?;
    match outcome.rows.first().map_or(Ok(None), |row| column(row, 1)) {
        Ok(version) => Ok(version),
        Err(error) => {
            client.roll_back().await;
            Err(error)
        }
    }
}

/// `[from, to]`; `from` is null for a register that was never written.
pub(super) async fn cas_register<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let key = key(call)?;
    let Some([from, to]) = call.value.as_array().map(Vec::as_slice) else {
        return Err(malformed("cas needs [from, to]"));
    };
    let to = ("to", int(to, "the new value")?.into());
    // A reader of versions may name what it has read.
    let from = match from.as_array().map(Vec::as_slice) {
        Some([_, value]) => value,
        _ => from,
    };
    let statement = match from {
        Value::Null => client.statement("create", "", &[("key", key.into()), to]),
        from => client.statement("cas", "", &[("key", key.into()), ("from", int(from, "the old value")?.into()), to]),
    };
    let other = || CallError::fail("precondition", "no row with the old value");
    if !client.settings.versions {
        let outcome = client.change(&statement).await?;
        return if outcome.affected == 0 { Err(other()) } else { Ok(Value::Null) };
    }
    client.begin().await?;
    if client.step(&statement).await?.affected == 0 {
        client.roll_back().await;
        return Err(other());
    }
    let version = version(client, call).await?;
    client.commit().await?;
    Ok(json!(version))
}

pub(super) async fn add_to_set<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let values = [("key", key(call)?.into()), ("value", int(&call.value, "the element")?.into())];
    let statement = client.statement("add", "", &values);
    client.change_some("add", &statement).await.map(|_| Value::Null)
}

pub(super) async fn read_set<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let statement = client.statement("read", "", &[("key", key(call)?.into())]);
    Ok(json!(numbers(&client.read(&statement).await?, 0)?))
}

pub(super) async fn add_to_counter<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let values = [("key", key(call)?.into()), ("value", int(&call.value, "the number")?.into())];
    let statement = client.statement("add", "", &values);
    client.change_some("add", &statement).await.map(|_| Value::Null)
}

pub(super) async fn read_counter<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let statement = client.statement("read", "", &[("key", key(call)?.into())]);
    Ok(json!(first_number(&client.read(&statement).await?)?.unwrap_or(0)))
}

/// The id that the statement answers with, or that the next one asks for.
pub(super) async fn generate<D: Driver>(client: &mut SqlClient<D>) -> Result<Value, CallError> {
    let values = [("name", Literal::Text(client.table("")))];
    let statement = client.statement("generate", "", &values);
    let mut outcome = client.change(&statement).await?;
    if outcome.rows.is_empty() {
        let statement = client.statement("generated", "", &values);
        outcome = client.read(&statement).await?;
    }
    let Some(id) = outcome.rows.into_iter().flatten().next().flatten() else {
        return Err(CallError::info("unknown", "the server answered with no id"));
    };
    Ok(id.parse::<i64>().map_or_else(|_| json!(id), |id| json!(id)))
}
