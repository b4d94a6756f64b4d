//! Transactions over participants, each with a table of decisions: one database transaction writes the decision of all.
//!
//! A participant that is asked about a transaction it has not decided aborts it, as one does that has not voted yet. So every
//! answer is a decision, and one that was lost is found when its participant is asked again.
use super::{finish, int, key};
use crate::client::SqlClient;
use crate::driver::Driver;
use crate::render::Literal;
use dsfuzz_client::{Call, CallError};
use serde_json::{Map, Value, json};

const COMMITTED: &str = "committed";
const ABORTED: &str = "aborted";

/// How many participants there are. Without parameters one: the node.
pub(crate) fn participants(params: &Value) -> i64 {
    params["participants"].as_array().map_or(1, |numbers| numbers.len().max(1) as i64)
}

/// The end of the name of a participant's table.
pub(crate) fn suffix(params: &Value, number: i64) -> String {
    if participants(params) == 1 { String::new() } else { format!("_{number}") }
}

/// Commits, unless some participant has aborted.
pub(super) async fn commit<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let transaction = key(call)?;
    client.begin().await?;
    for number in 0..participants(&client.init.params) {
        let found = match decide(client, transaction, number).await {
            Ok(found) => found,
            Err(error) => {
                client.roll_back().await;
                return Err(error);
            }
        };
        if found != COMMITTED {
            // What others of this transaction decided is not committed, and no other client asks for the commit.
            client.roll_back().await;
            return Ok(json!(found));
        }
    }
    finish(client, Ok(json!(COMMITTED))).await
}

/// The decision of a participant within the open transaction: committed, unless there is one already.
async fn decide<D: Driver>(client: &mut SqlClient<D>, transaction: i64, number: i64) -> Result<String, CallError> {
    let suffix = suffix(&client.init.params, number);
    let decide = client.statement("decide", &suffix, &values(transaction, COMMITTED));
    if client.step(&decide).await?.affected > 0 {
        return Ok(COMMITTED.to_owned());
    }
    let ask = client.statement("decision", &suffix, &[("key", transaction.into())]);
    let found = client.step(&ask).await?.rows.into_iter().flatten().next().flatten();
    found.ok_or_else(|| CallError::fail("conflict", "another decision is under way"))
}

fn values(transaction: i64, decision: &str) -> [(&'static str, Literal); 2] {
    [("key", transaction.into()), ("decision", Literal::Text(decision.to_owned()))]
}

/// What the participant decided; without a key all its decisions, by transaction.
pub(super) async fn status<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let number = if call.value.is_null() { 0 } else { int(&call.value, "the participant")? };
    let suffix = suffix(&client.init.params, number);
    if call.key.is_null() {
        let all = client.statement("decisions", &suffix, &[]);
        let rows = client.read(&all).await?.rows;
        let decided = rows.into_iter().filter_map(|row| {
            let mut columns = row.into_iter();
            Some((columns.next()??, json!(columns.next()?)))
        });
        return Ok(Value::Object(decided.collect::<Map<String, Value>>()));
    }
    let transaction = key(call)?;
    let ask = client.statement("decision", &suffix, &[("key", transaction.into())]);
    if let Some(found) = client.read(&ask).await?.rows.into_iter().flatten().next().flatten() {
        return Ok(json!(found));
    }
    let abort = client.statement("decide", &suffix, &values(transaction, ABORTED));
    if client.change(&abort).await?.affected > 0 {
        return Ok(json!(ABORTED));
    }
    Ok(json!(client.read(&ask).await?.rows.into_iter().flatten().next().flatten()))
}
