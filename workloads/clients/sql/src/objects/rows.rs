//! Rows with timestamps, and rows that are inserted if a predicate finds none.
use super::{finish, first_number, int, key, malformed};
use crate::client::SqlClient;
use crate::driver::Driver;
use dsfuzz_client::{Call, CallError};
use serde_json::{Value, json};

/// Adds a row with the database's timestamp. Without a value the transaction takes the largest one plus one.
pub(super) async fn add<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    client.begin().await?;
    let added = add_in(client, call).await;
    finish(client, added).await
}

async fn add_in<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let value = match &call.value {
        Value::Null => {
            let largest = client.statement("largest", "", &[]);
            let outcome = client.step(&largest).await?;
            first_number(&outcome)?.unwrap_or(0) + 1
        }
        value => int(value, "the value")?,
    };
    let statement = client.statement("add", "", &[("value", value.into())]);
    client.step(&statement).await?;
    Ok(json!(value))
}

/// All rows as `[value, timestamp]`.
pub(super) async fn read<D: Driver>(client: &mut SqlClient<D>) -> Result<Value, CallError> {
    let statement = client.statement("read", "", &[]);
    let rows = client.read(&statement).await?.rows;
    let row = |row: Vec<Option<String>>| {
        let [Some(value), Some(time)] = <[_; 2]>::try_from(row).map_err(|_| malformed("a row has other columns"))?
        else {
            return Err(malformed("a row has a null"));
        };
        let time = time.parse::<i64>().map_or_else(|_| json!(time), |time| json!(time));
        Ok(json!([super::number(&value)?, time]))
    };
    Ok(Value::Array(rows.into_iter().map(row).collect::<Result<_, _>>()?))
}

/// `[id, null]` or `[null, id]`: into the first or the second table, if neither has a row of the key.
pub(super) async fn insert_guarded<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let key = key(call)?;
    let (suffix, id) = match call.value.as_array().map(Vec::as_slice) {
        Some([id, Value::Null]) => ("_a", int(id, "the id")?),
        Some([Value::Null, id]) => ("_b", int(id, "the id")?),
        _ => return Err(malformed("insert needs [id, null] or [null, id]")),
    };
    client.begin().await?;
    for table in ["_a", "_b"] {
        let find = client.statement("find", table, &[("key", key.into())]);
        if !client.step(&find).await?.rows.is_empty() {
            client.roll_back().await;
            return Err(CallError::fail("exists", "a row of the key is there"));
        }
    }
    let insert = client.statement("insert", suffix, &[("key", key.into()), ("id", id.into())]);
    client.step(&insert).await?;
    client.commit().await?;
    Ok(Value::Null)
}
