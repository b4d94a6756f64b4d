//! Accounts, in one table or spread over several. A transfer reads both balances and writes both back.
use super::{finish, first_number, int, malformed};
use crate::client::SqlClient;
use crate::driver::Driver;
use dsfuzz_client::{Call, CallError};
use serde_json::{Map, Value, json};

/// How many tables there are.
pub(crate) fn tables(params: &Value) -> u64 {
    params["tables"].as_u64().unwrap_or(1).max(1)
}

/// The end of the name of a table.
pub(crate) fn suffix(params: &Value, number: u64) -> String {
    if tables(params) == 1 { String::new() } else { format!("_{number}") }
}

/// The table of an account.
fn table_of(params: &Value, account: i64) -> String {
    suffix(params, account.unsigned_abs() % tables(params))
}

/// Opens the accounts that are not there, all at once.
pub(crate) async fn open_accounts<D: Driver>(client: &mut SqlClient<D>) -> Result<(), CallError> {
    let params = client.init.params.clone();
    let Some(balances) = params["balances"].as_object() else {
        return Err(malformed("bank: no `balances` among the parameters"));
    };
    client.begin().await?;
    let mut opened = Ok(());
    for (account, balance) in balances {
        opened = open_account(client, &params, account, balance).await;
        if opened.is_err() {
            break;
        }
    }
    finish(client, opened).await
}

async fn open_account<D: Driver>(
    client: &mut SqlClient<D>,
    params: &Value,
    account: &str,
    balance: &Value,
) -> Result<(), CallError> {
    let account: i64 = account.parse().map_err(|_| malformed(format!("the account `{account}` is no number")))?;
    let balance = int(balance, "the balance")?;
    let table = table_of(params, account);
    let find = client.statement("balance", &table, &[("account", account.into())]);
    if client.step(&find).await?.rows.is_empty() {
        let open = client.statement("open", &table, &[("account", account.into()), ("balance", balance.into())]);
        client.step(&open).await?;
    }
    Ok(())
}

/// `{from, to, amount}`.
pub(super) async fn transfer<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let [from, to, amount] = ["from", "to", "amount"].map(|name| int(&call.value[name], name));
    let (from, to, amount) = (from?, to?, amount?);
    client.begin().await?;
    let done = transfer_in(client, from, to, amount).await;
    finish(client, done).await
}

async fn transfer_in<D: Driver>(
    client: &mut SqlClient<D>,
    from: i64,
    to: i64,
    amount: i64,
) -> Result<Value, CallError> {
    let params = client.init.params.clone();
    let mut balances = [0; 2];
    for (balance, account) in balances.iter_mut().zip([from, to]) {
        let lock = client.settings.lock_reads.clone();
        let read = client.statement("balance", &table_of(&params, account), &[("account", account.into())]);
        let outcome = client.step(format!("{read} {lock}").trim_end()).await?;
        *balance = first_number(&outcome)?
            .ok_or_else(|| CallError::fail("not-found", format!("there is no account {account}")))?;
    }
    let [left, right] = [balances[0] - amount, balances[1] + amount];
    if left < 0 && params["negative_balances"] != json!(true) {
        return Err(CallError::fail("precondition", format!("account {from} has {} only", balances[0])));
    }
    for (account, balance) in [(from, left), (to, right)] {
        let values = [("account", account.into()), ("balance", balance.into())];
        let write = client.statement("set_balance", &table_of(&params, account), &values);
        client.step(&write).await?;
    }
    Ok(Value::Null)
}

/// All accounts with what they hold, in one transaction. A replica that has none yet shows none of setup's.
pub(super) async fn read<D: Driver>(client: &mut SqlClient<D>) -> Result<Value, CallError> {
    let params = client.init.params.clone();
    let mut balances = Map::new();
    let count = tables(&params);
    if count > 1 {
        client.begin().await?;
    }
    for number in 0..count {
        let read = client.statement("read", &suffix(&params, number), &[]);
        let outcome = if count > 1 { client.step(&read).await? } else { client.read(&read).await? };
        for row in outcome.rows {
            if let [Some(account), Some(balance)] = &row[..] {
                balances.insert(account.clone(), balance.parse::<i64>().map_or(Value::Null, |balance| json!(balance)));
            }
        }
    }
    if count > 1 {
        // A read that is not committed may have seen what never was.
        client.commit().await.map_err(|error| CallError { certain: true, code: "aborted", ..error })?;
    }
    if balances.is_empty() {
        return Err(CallError::fail("not-found", "there are no accounts on this node"));
    }
    Ok(Value::Object(balances))
}
