//! Queues: a row for each element, which is locked while it is taken.
use super::{column, int, key};
use crate::client::SqlClient;
use crate::driver::{Driver, Outcome};
use crate::render::Literal;
use dsfuzz_client::{Call, CallError};
use serde_json::{Value, json};

/// Most elements that one call of `drain` takes.
const DRAIN_MAX: i64 = 1000;

pub(super) async fn enqueue<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let values = [("key", key(call)?.into()), ("value", int(&call.value, "the element")?.into())];
    let statement = client.statement("enqueue", "", &values);
    client.change_some("enqueue", &statement).await.map(|_| Value::Null)
}

/// The first element that no other transaction is taking; null if there is none.
pub(super) async fn dequeue<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let taken = take(client, call, "next", 1).await?;
    Ok(taken.first().map_or(Value::Null, |element| json!(element)))
}

/// The next elements, and those that others are taking if they let go of them.
pub(super) async fn drain<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    take(client, call, "rest", DRAIN_MAX).await.map(|taken| json!(taken))
}

async fn take<D: Driver>(
    client: &mut SqlClient<D>,
    call: &Call,
    select: &str,
    count: i64,
) -> Result<Vec<i64>, CallError> {
    let key = key(call)?;
    client.begin().await?;
    let select = client.statement(select, "", &[("key", key.into()), ("count", count.into())]);
    let outcome = client.step(&select).await?;
    let (ids, elements) = match ids_and_elements(&outcome) {
        Ok(found) => found,
        Err(error) => {
            client.roll_back().await;
            return Err(error);
        }
    };
    if ids.is_empty() {
        client.roll_back().await;
        return Ok(Vec::new());
    }
    let (found, values) = (ids.len() as u64, [("ids", Literal::Ints(ids))]);
    let remove = client.statement("remove", "", &values);
    if client.step(&remove).await?.affected != found {
        client.roll_back().await;
        return Err(CallError::fail("conflict", "another transaction has taken an element that was locked"));
    }
    // What a commit without an answer has taken is known nevertheless.
    let known = if call.f == "drain" { json!(elements) } else { json!(elements.first()) };
    client.commit().await.map_err(|error| if error.certain { error } else { error.with_value(known) })?;
    Ok(elements)
}

fn ids_and_elements(outcome: &Outcome) -> Result<(Vec<i64>, Vec<i64>), CallError> {
    let (mut ids, mut elements) = (Vec::new(), Vec::new());
    for row in &outcome.rows {
        if let [Some(id), Some(element)] = [column(row, 0)?, column(row, 1)?] {
            ids.push(id);
            elements.push(element);
        }
    }
    Ok((ids, elements))
}
