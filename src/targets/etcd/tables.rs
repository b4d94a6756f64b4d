//! Bank accounts, rows behind a predicate, rows with timestamps, counters and ids: read at one revision, then written if nothing of
//! it has changed since.
use super::kvs::{Kv, Order, all, changed_at, key_of, nothing_under, one, put, range, range_of};
use super::{EtcdClient, not_supported, outcome};
use dsfuzz_checkers::Value;
use dsfuzz_workloads::{Call, CallResult};
use serde_json::{Value as Json, json};

/// The prefix of all accounts.
const ACCOUNTS: &str = "/dsfuzz/bank/accounts/";
/// The error of a transaction that another one came before.
const CONFLICT: &str = "conflict: a key has changed since it was read";

impl EtcdClient {
    pub(super) async fn table(&mut self, call: &Call) -> CallResult {
        match (&*self.object.clone(), &*call.f) {
            ("bank", "transfer") => self.transfer(call).await,
            ("bank", "read") => self.read_accounts(call).await,
            ("predicate", "insert") => self.insert(call).await,
            ("rows", "add") => self.add_row(call).await,
            ("rows", "read") => self.read_rows(call).await,
            ("counter", "add") => self.count(call).await,
            ("counter", "read") => match self.read_value(&key_of(call)).await {
                CallResult::Ok(Value::Nil) => CallResult::Ok(Value::Int(0)),
                read => read,
            },
            // Every change of the store has a revision of its own.
            ("ids", "generate") => {
                match self.txn(Vec::new(), vec![put(&key_of(call), &Value::Nil)], Vec::new()).await {
                    Ok(txn) => CallResult::Ok(Value::Int(txn.revision)),
                    Err(sent) => outcome::of_write(&sent),
                }
            }
            _ => not_supported(call),
        }
    }

    /// Keys at one revision.
    pub(super) async fn keys_at_once(&mut self, ranges: Vec<Json>) -> Result<Vec<Vec<Kv>>, CallResult> {
        let count = ranges.len();
        let local = |mut body: Json| {
            body["serializable"] = self.serializable.into();
            range(body)
        };
        let body = json!({"success": ranges.into_iter().map(local).collect::<Vec<Json>>()});
        let reply = self.post_first("/v3/kv/txn", &body).await.map_err(|sent| outcome::of_read(&sent))?;
        (0..count).map(|at| range_of(&reply, at).map_err(CallResult::fail)).collect()
    }

    /// Writes if each of these keys still is as it was read.
    pub(super) async fn write_if_unchanged(&mut self, read: Vec<(String, i64)>, writes: Vec<Json>) -> CallResult {
        let compare = read.iter().map(|(key, changed)| changed_at(key, *changed)).collect();
        match self.txn(compare, writes, Vec::new()).await {
            Ok(txn) if txn.succeeded => CallResult::Ok(Value::Nil),
            Ok(_) => CallResult::fail(CONFLICT),
            Err(sent) => outcome::of_write(&sent),
        }
    }

    pub(super) fn param(&self, name: &str) -> Option<&Value> {
        let Value::Map(entries) = &self.params else { return None };
        entries.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
    }

    /// The accounts with what they hold at the beginning, if they are not there yet.
    pub(super) async fn open_accounts(&mut self) -> CallResult {
        let Some(Value::Map(balances)) = self.param("balances").cloned() else {
            return CallResult::fail("malformed: the parameters of a bank have `balances`");
        };
        for (account, held) in balances.iter() {
            let key = format!("{ACCOUNTS}{account}");
            if let Err(sent) = self.txn(vec![changed_at(&key, 0)], vec![put(&key, held)], Vec::new()).await {
                return outcome::of_write(&sent);
            }
        }
        CallResult::Ok(Value::Nil)
    }

    async fn transfer(&mut self, call: &Call) -> CallResult {
        let Value::Map(entries) = &call.value else { return CallResult::fail("malformed: {from, to, amount}") };
        let entry =
            |name: &str| entries.iter().find(|(known, _)| &**known == name).and_then(|(_, value)| value.as_int());
        let (Some(from), Some(to), Some(amount)) = (entry("from"), entry("to"), entry("amount")) else {
            return CallResult::fail("malformed: {from, to, amount}");
        };
        let keys = [from, to].map(|account| format!("{ACCOUNTS}{account}"));
        let held = match self.keys_at_once(keys.iter().map(|key| one(key)).collect()).await {
            Ok(held) => held,
            Err(ended) => return ended,
        };
        let account = |at: usize| held.get(at).and_then(|kvs| kvs.first()).map(|kv| (kv.value.as_int(), kv.changed));
        let (Some((Some(has), since)), Some((Some(gets), also))) = (account(0), account(1)) else {
            return CallResult::fail("not-found: no such account");
        };
        if has < amount && self.param("negative_balances") != Some(&Value::Bool(true)) {
            return CallResult::fail("precondition: not enough money");
        }
        let puts = vec![put(&keys[0], &Value::Int(has - amount)), put(&keys[1], &Value::Int(gets + amount))];
        let [one, other] = keys;
        self.write_if_unchanged(vec![(one, since), (other, also)], puts).await
    }

    async fn read_accounts(&mut self, _: &Call) -> CallResult {
        let accounts = match self.keys_at_once(vec![all(ACCOUNTS, Order::Key, 0)]).await {
            Ok(accounts) => accounts,
            Err(ended) => return ended,
        };
        if accounts.iter().all(Vec::is_empty) {
            return CallResult::fail("not-found: there are no accounts on this node");
        }
        let name = |kv: &Kv| kv.key.strip_prefix(ACCOUNTS).unwrap_or_default().to_owned();
        CallResult::Ok(Value::Map(accounts.into_iter().flatten().map(|kv| (name(&kv).into(), kv.value)).collect()))
    }

    /// A row in one of two tables, if a predicate over both finds none of the key.
    async fn insert(&mut self, call: &Call) -> CallResult {
        let (table, id) = match call.value.as_list() {
            Some([id, Value::Nil]) => ("a", id),
            Some([Value::Nil, id]) => ("b", id),
            _ => {
                return CallResult::fail(format!(
                    "malformed: insert wants [id, null] or [null, id], not {}",
                    call.value
                ));
            }
        };
        let rows = format!("{}/", key_of(call));
        match self.txn(vec![nothing_under(&rows)], vec![put(&format!("{rows}{table}"), id)], Vec::new()).await {
            Ok(txn) if txn.succeeded => CallResult::Ok(Value::Nil),
            Ok(_) => CallResult::fail("exists"),
            Err(sent) => outcome::of_write(&sent),
        }
    }

    /// A row with this value, or with the largest one plus one. Its timestamp is the revision at which it was made.
    async fn add_row(&mut self, call: &Call) -> CallResult {
        let rows = format!("{}/", key_of(call));
        let value = match call.value.as_int() {
            Some(value) => value,
            None => match self.keys_at_once(vec![all(&rows, Order::KeyDown, 1)]).await {
                Ok(last) => last.iter().flatten().next().and_then(|kv| kv.value.as_int()).unwrap_or(0) + 1,
                Err(ended) => return ended,
            },
        };
        // Keys in the order of their values.
        let key = format!("{rows}{value:020}");
        match self.write_if_unchanged(vec![(key.clone(), 0)], vec![put(&key, &Value::Int(value))]).await {
            CallResult::Ok(_) => CallResult::Ok(Value::Int(value)),
            ended => ended,
        }
    }

    async fn read_rows(&mut self, call: &Call) -> CallResult {
        match self.keys_at_once(vec![all(&format!("{}/", key_of(call)), Order::Key, 0)]).await {
            Ok(rows) => {
                let row = |kv: Kv| Value::list([kv.value, Value::Int(kv.created)]);
                CallResult::Ok(Value::list(rows.into_iter().flatten().map(row)))
            }
            Err(ended) => ended,
        }
    }

    async fn count(&mut self, call: &Call) -> CallResult {
        let Some(amount) = call.value.as_int() else { return CallResult::fail("malformed: a counter adds integers") };
        let key = key_of(call);
        let held = match self.keys_at_once(vec![one(&key)]).await {
            Ok(held) => held.into_iter().flatten().next(),
            Err(ended) => return ended,
        };
        let (sum, changed) = held.map_or((0, 0), |kv| (kv.value.as_int().unwrap_or(0), kv.changed));
        self.write_if_unchanged(vec![(key.clone(), changed)], vec![put(&key, &Value::Int(sum + amount))]).await
    }
}
