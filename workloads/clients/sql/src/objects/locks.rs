//! Locks of the session (advisory locks, `get_lock`), and what they guard.
use super::{first_number, int, key, list, list_text, malformed, number};
use crate::client::{SqlClient, is_true};
use crate::driver::{Driver, Outcome};
use crate::render::Literal;
use dsfuzz_client::{Call, CallError};
use serde_json::{Value, json};

/// What a statement needs to name a lock: the number of PostgreSQL's and the name of MySQL's.
fn lock<D: Driver>(client: &SqlClient<D>, key: i64) -> [(&'static str, Literal); 2] {
    let name = format!("{}.{key}", client.table_name(""));
    // FNV-1a: the same number in every version.
    let id = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    [("id", Literal::Int(id.cast_signed())), ("name", Literal::Text(name))]
}

/// The server's yes or no; none: null.
fn flag(outcome: &Outcome) -> Option<bool> {
    outcome.rows.first()?.first()?.as_deref().map(is_true)
}

/// Null, or false if another session holds it.
pub(super) async fn acquire<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let key = key(call)?;
    if client.held.contains_key(&key) {
        return Err(CallError::fail("precondition", "the session holds it"));
    }
    let statement = client.statement("acquire", "", &lock(client, key));
    match flag(&client.change(&statement).await?) {
        Some(true) => {
            client.held.insert(key, Vec::new());
            Ok(Value::Null)
        }
        Some(false) => Ok(Value::Bool(false)),
        None => Err(CallError::info("unknown", "the server answered neither yes nor no")),
    }
}

pub(super) async fn release<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let key = key(call)?;
    let statement = client.statement("release", "", &lock(client, key));
    let outcome = client.run_release(&statement).await?;
    client.held.remove(&key);
    match flag(&outcome) {
        Some(true) => Ok(Value::Null),
        Some(false) | None => Err(not_held()),
    }
}

fn not_held() -> CallError {
    CallError::fail("not-held", "the session does not hold it")
}

/// Acquires and reads what is guarded; with `tokens` the reply is a token that grows with each grant.
pub(super) async fn acquire_guarded<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let key = key(call)?;
    if acquire(client, call).await? == Value::Bool(false) {
        return Ok(Value::Bool(false));
    }
    let granted = match client.init.params["tokens"] == json!(true) {
        true => token(client, key).await.map(|token| json!(token)),
        false => stored(client, key).await.map(|read| {
            client.held.insert(key, read);
            Value::Null
        }),
    };
    if let Err(error) = granted {
        // A session that was not told of a grant must not hold it.
        if release(client, call).await.is_err() {
            client.end_session();
        }
        return Err(error);
    }
    granted
}

/// The next token of the lock.
async fn token<D: Driver>(client: &mut SqlClient<D>, key: i64) -> Result<i64, CallError> {
    client.begin().await?;
    let grant = client.statement("grant", "", &[("key", key.into())]);
    client.step(&grant).await?;
    let read = client.statement("token", "", &[("key", key.into())]);
    let outcome = client.step(&read).await?;
    let token = first_number(&outcome).and_then(|token| token.ok_or_else(|| malformed("the server has no token")));
    super::finish(client, token).await
}

/// The set under the lock.
async fn stored<D: Driver>(client: &mut SqlClient<D>, key: i64) -> Result<Vec<i64>, CallError> {
    let read = client.statement("read", "", &[("key", key.into())]);
    let outcome = client.read(&read).await?;
    let text = outcome.rows.into_iter().flatten().next().flatten().unwrap_or_default();
    list(&text)
}

/// Writes back what was read after the acquire, with the element.
pub(super) async fn add_guarded<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let (key, element) = (key(call)?, int(&call.value, "the element")?);
    let Some(copy) = client.held.get(&key) else { return Err(not_held()) };
    let new = [copy.as_slice(), &[element]].concat();
    let values = [("key", key.into()), ("value", Literal::Text(list_text(&new)))];
    let write = client.statement("set", "", &values);
    client.change(&write).await?;
    client.held.insert(key, new);
    Ok(Value::Null)
}

pub(super) async fn read_guarded<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    Ok(json!(stored(client, key(call)?).await?))
}

/// `{token, value}`: refused if a later token was here.
pub(super) async fn write_guarded<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let key = key(call)?;
    let [token, value] = ["token", "value"].map(|name| int(&call.value[name], name));
    let (token, value) = (token?, value?);
    client.begin().await?;
    let fence = client.statement("fence", "", &[("key", key.into())]);
    let seen = first_number(&client.step(&fence).await?);
    let allowed = match seen {
        Ok(seen) if seen.unwrap_or(0) > token => Err(CallError::fail("fenced", "a later token was here")),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = allowed {
        client.roll_back().await;
        return Err(error);
    }
    let mark = client.statement("mark", "", &[("key", key.into()), ("token", token.into())]);
    client.step(&mark).await?;
    let values = [("key", key.into()), ("token", token.into()), ("value", value.into())];
    let write = client.statement("write", "", &values);
    client.step(&write).await?;
    client.commit().await?;
    Ok(Value::Null)
}

/// The writes in their order, as `[token, value]`.
pub(super) async fn log<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let statement = client.statement("log", "", &[("key", key(call)?.into())]);
    let rows = client.read(&statement).await?.rows;
    let row = |row: &Vec<Option<String>>| match &row[..] {
        [Some(token), Some(value)] => Ok(json!([number(token)?, number(value)?])),
        _ => Err(malformed("a row of the log has other columns")),
    };
    Ok(Value::Array(rows.iter().map(row).collect::<Result<_, _>>()?))
}
