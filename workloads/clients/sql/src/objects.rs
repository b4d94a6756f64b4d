//! The functions of each object, made of statements.
use crate::client::SqlClient;
use crate::driver::{Driver, Outcome};
use dsfuzz_client::{Call, CallError};
use serde_json::Value;

pub(crate) mod bank;
pub(crate) mod commits;
mod locks;
mod queue;
mod rows;
mod sagas;
mod transactions;
mod values;

#[cfg(test)]
mod tests;

/// Carries out a call of the client's object.
pub(crate) async fn carry_out<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let object = client.init.object.clone();
    match (&*object, &*call.f) {
        ("register", "read") => values::read_register(client, call).await,
        ("register", "write") => values::write_register(client, call).await,
        ("register", "cas") => values::cas_register(client, call).await,
        ("set", "add") => values::add_to_set(client, call).await,
        ("set", "read") => values::read_set(client, call).await,
        ("counter", "add") => values::add_to_counter(client, call).await,
        ("counter", "read") => values::read_counter(client, call).await,
        ("ids", "generate") => values::generate(client).await,
        ("rows", "add") => rows::add(client, call).await,
        ("rows", "read") => rows::read(client).await,
        ("predicate", "insert") => rows::insert_guarded(client, call).await,
        ("transactions" | "table", "txn") => transactions::txn(client, call).await,
        ("table", "init") => transactions::fill(client, call).await,
        ("bank", "transfer") => bank::transfer(client, call).await,
        ("bank", "read") => bank::read(client).await,
        ("queue", "enqueue") => queue::enqueue(client, call).await,
        ("queue", "dequeue") => queue::dequeue(client, call).await,
        ("queue", "drain") => queue::drain(client, call).await,
        ("lock", "acquire") => locks::acquire(client, call).await,
        ("lock", "release") => locks::release(client, call).await,
        ("guarded", "acquire") => locks::acquire_guarded(client, call).await,
        ("guarded", "release") => locks::release(client, call).await,
        ("guarded", "add") => locks::add_guarded(client, call).await,
        ("guarded", "read") => locks::read_guarded(client, call).await,
        ("guarded", "write") => locks::write_guarded(client, call).await,
        ("guarded", "log") => locks::log(client, call).await,
        ("commit", "commit") => commits::commit(client, call).await,
        ("commit", "status") => commits::status(client, call).await,
        ("saga", "start") => sagas::start(client, call).await,
        ("saga", "log") => sagas::log(client, call).await,
        (object, function) => Err(CallError::fail("not-supported", format!("no function `{function}` on `{object}`"))),
    }
}

/// Whether a call may change something.
pub(crate) fn changes(call: &Call) -> bool {
    match &*call.f {
        "read" | "log" => false,
        "txn" => {
            call.value.as_array().is_none_or(|operations| operations.iter().any(|one| !transactions::is_read(one)))
        }
        _ => true,
    }
}

fn malformed(text: impl ToString) -> CallError {
    CallError::fail("malformed", text)
}

/// The key of a call: a number; 0 where the object has no name.
fn key(call: &Call) -> Result<i64, CallError> {
    match &call.key {
        Value::Null => Ok(0),
        key => int(key, "the key"),
    }
}

fn int(value: &Value, what: &str) -> Result<i64, CallError> {
    value.as_i64().ok_or_else(|| malformed(format!("{what} is {value}; SQL clients know numbers only")))
}

/// A column of a row as a number, if it is one.
fn column(row: &[Option<String>], place: usize) -> Result<Option<i64>, CallError> {
    match row.get(place) {
        None | Some(None) => Ok(None),
        Some(Some(text)) => number(text).map(Some),
    }
}

fn number(text: &str) -> Result<i64, CallError> {
    // Nothing was changed by a wrong answer to a read; a caller within a transaction rolls back.
    text.trim().parse().map_err(|_| malformed(format!("the server answered `{text}` where a number should be")))
}

/// All columns of this place, which must be numbers.
fn numbers(outcome: &Outcome, place: usize) -> Result<Vec<i64>, CallError> {
    outcome.rows.iter().filter_map(|row| column(row, place).transpose()).collect()
}

/// The number in the first column of the first row.
fn first_number(outcome: &Outcome) -> Result<Option<i64>, CallError> {
    outcome.rows.first().map_or(Ok(None), |row| column(row, 0))
}

/// A list as it stands in a text column.
fn list(text: &str) -> Result<Vec<i64>, CallError> {
    text.split(',').filter(|part| !part.is_empty()).map(number).collect()
}

fn list_text(list: &[i64]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Commits what a transaction did, or rolls it back if something was wrong with it.
async fn finish<D: Driver, T>(client: &mut SqlClient<D>, done: Result<T, CallError>) -> Result<T, CallError> {
    match done {
        Ok(value) => client.commit().await.map(|()| value),
        Err(error) => {
            client.roll_back().await;
            Err(error)
        }
    }
}
