//! What is held by a lease: locks, semaphores, leases, sets under a lock and offices.
//!
//! As in etcd's own clients, a candidate puts a key of its own under the prefix of the lock; the oldest keys hold it. A candidate that
//! does not hold it takes its key away: no client waits. The token of a grant, or the term of a leader, is the revision of its key.
use super::kvs::{
    Kv, Order, all, created_at, delete, encoded, json_text, key_of, one, put, put_leased, range, range_of,
};
use super::outcome::{self, RequestProgress};
use super::session::Session;
use super::{EtcdClient, not_supported};
use dsfuzz_checkers::Value;
use dsfuzz_workloads::{Call, CallResult};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

/// What a client holds.
#[derive(Default)]
pub(super) struct Grants {
    /// The lease of locks and offices.
    pub(super) session: Option<Session>,
    held: HashMap<Value, Grant>,
}

impl Grants {
    /// Leases of single grants.
    pub(super) fn leases(&self) -> Vec<String> {
        self.held.values().filter_map(|grant| grant.lease.clone()).collect()
    }
}

/// One grant, by the key of the call.
#[derive(Clone)]
struct Grant {
    /// The key that holds it, and the revision at which it was made.
    key: String,
    token: i64,
    /// Its own lease, if it is not that of the session.
    lease: Option<String>,
    /// The elements of the set that it guards, as they were read with the grant.
    elements: Vec<Value>,
}

/// How an attempt to hold something ended.
enum Attempt {
    Granted(Grant),
    /// Others hold it: the oldest key.
    Refused(Option<Kv>),
}

impl EtcdClient {
    pub(super) async fn holding(&mut self, call: &Call) -> CallResult {
        match (&*self.object.clone(), &*call.f) {
            ("lease", "acquire") => self.acquire_lease(call).await,
            ("lease", "renew") => self.renew_lease(call).await,
            ("lease" | "lock" | "semaphore" | "guarded", "release") | ("election", "resign") => {
                self.give_back(call).await
            }
            ("lock" | "semaphore", "acquire") => self.acquire(call).await,
            ("guarded", "acquire") => self.acquire(call).await,
            ("guarded", "add") => self.write_back(call).await,
            ("guarded", "read") => match self.read_value(&guarded_set(call)).await {
                CallResult::Ok(Value::Nil) => CallResult::Ok(Value::list([])),
                read => read,
            },
            ("guarded" | "election", "write") => self.write_with_token(call).await,
            ("guarded" | "election", "log") => self.read_log(call).await,
            ("election", "elect") => self.elect(call).await,
            ("election", "leader") => self.leader(call).await,
            _ => not_supported(call),
        }
    }

    /// How many may hold it at once.
    fn permits(&self) -> usize {
        let Value::Map(entries) = &self.params else { return 1 };
        let permits = entries.iter().find(|(name, _)| &**name == "permits").and_then(|(_, permits)| permits.as_int());
        permits.and_then(|permits| usize::try_from(permits).ok()).unwrap_or(1)
    }

    /// Tries to hold what the call names, by this lease. `owner` is shown to those who look.
    async fn try_to_hold(&mut self, call: &Call, lease: &str, owner: &Value) -> Result<Attempt, CallResult> {
        let prefix = holders(call);
        let (key, permits) = (format!("{prefix}{lease}"), self.permits());
        let look = vec![range(all(&prefix, Order::Created, permits)), range(one(&guarded_set(call)))];
        let success = [vec![put_leased(&key, owner, lease)], look.clone()].concat();
        let txn = match self.txn(vec![created_at(&key, 0)], success, look).await {
            Ok(txn) => txn,
            Err(RequestProgress::Refused(why)) if why == outcome::LEASE_NOT_FOUND => {
                // The next attempt gets a new one.
                self.grants.session = None;
                return Err(CallResult::fail(format!("not-held: {why}")));
            }
            Err(sent) => return Err(outcome::of_write(&sent)),
        };
        let position = usize::from(txn.succeeded);
        let read = |at: usize| range_of(&txn.reply, at).map_err(|why| CallResult::info(&why));
        let (oldest, set) = (read(position)?, read(position + 1)?);
        if let Some(own) = oldest.iter().find(|kv| kv.key == key) {
            let elements = set.first().and_then(|kv| kv.value.as_list()).unwrap_or_default().to_vec();
            return Ok(Attempt::Granted(Grant { token: own.created, key, lease: None, elements }));
        }
        // A key that stays would hold the lock one day, and no client would know.
        match self.post("/v3/kv/deleterange", &json!({"key": encoded(&key)})).await {
            Ok(_) => Ok(Attempt::Refused(oldest.into_iter().next())),
            Err(RequestProgress::No(why) | RequestProgress::Perhaps(why) | RequestProgress::Refused(why)) => {
                Err(CallResult::info(format!("the attempt was not taken back: {why}")))
            }
        }
    }

    async fn acquire(&mut self, call: &Call) -> CallResult {
        let lease = match self.session().await {
            Ok(lease) => lease,
            Err(sent) => return outcome::of_read(&sent),
        };
        match self.try_to_hold(call, &lease, &Value::Nil).await {
            Ok(Attempt::Granted(grant)) => {
                let token = Value::Int(grant.token);
                self.grants.held.insert(call.key.clone(), grant);
                CallResult::Ok(token)
            }
            Ok(Attempt::Refused(_)) => CallResult::Ok(Value::Bool(false)),
            Err(ended) => ended,
        }
    }

    /// A lease of its own for each grant, for the time that the call asks for, in whole seconds.
    async fn acquire_lease(&mut self, call: &Call) -> CallResult {
        let Value::Map(entries) = &call.value else { return CallResult::fail("malformed: acquire wants {ttl_ms}") };
        let asked = entries.iter().find(|(name, _)| &**name == "ttl_ms").and_then(|(_, time)| time.as_int());
        let seconds = asked.and_then(|time| u64::try_from(time).ok()).unwrap_or(1).div_ceil(1000).max(1);
        let (lease, granted) = match self.grant(seconds).await {
            Ok(granted) => granted,
            Err(sent) => return outcome::of_read(&sent),
        };
        match self.try_to_hold(call, &lease, &Value::Nil).await {
            Ok(Attempt::Granted(grant)) => {
                self.grants.held.insert(call.key.clone(), Grant { lease: Some(lease), ..grant });
                CallResult::Ok(time_to_live(granted))
            }
            Ok(Attempt::Refused(_)) => {
                // Its key is gone already; the lease would lapse by itself.
                let _ = self.revoke(&lease).await;
                CallResult::Ok(Value::Bool(false))
            }
            Err(ended) => ended,
        }
    }

    async fn renew_lease(&mut self, call: &Call) -> CallResult {
        let Some(lease) = self.grants.held.get(&call.key).and_then(|grant| grant.lease.clone()) else {
            return CallResult::fail("not-held");
        };
        match self.renew_once(&lease).await {
            Ok(0) => CallResult::fail("not-held: the lease has expired"),
            Ok(granted) => CallResult::Ok(time_to_live(granted)),
            Err(sent) => outcome::of_write(&sent),
        }
    }

    /// A release or a resignation: deletes the own key, if it is still there.
    async fn give_back(&mut self, call: &Call) -> CallResult {
        let Some(grant) = self.grants.held.get(&call.key).cloned() else { return CallResult::fail("not-held") };
        let mine = created_at(&grant.key, grant.token);
        match self.txn(vec![mine], vec![delete(&grant.key)], Vec::new()).await {
            Ok(txn) => {
                self.grants.held.remove(&call.key);
                if let Some(lease) = &grant.lease {
                    let _ = self.revoke(lease).await;
                }
                if txn.succeeded {
                    CallResult::Ok(Value::Nil)
                } else {
                    CallResult::fail("not-held: the lease has expired")
                }
            }
            Err(sent) => outcome::of_write(&sent),
        }
    }

    /// A transaction that writes; guarded, only while the grant's key is there.
    async fn write_as_holder(&mut self, grant: &Grant, written: serde_json::Value) -> Result<bool, CallResult> {
        let compare = if self.guarded { vec![created_at(&grant.key, grant.token)] } else { Vec::new() };
        let txn = self.txn(compare, vec![written], Vec::new()).await.map_err(|sent| outcome::of_write(&sent))?;
        Ok(txn.succeeded)
    }

    /// Writes the set as it was read with the grant, and one element more.
    async fn write_back(&mut self, call: &Call) -> CallResult {
        let Some(grant) = self.grants.held.get(&call.key).cloned() else { return CallResult::fail("not-held") };
        let elements: Vec<Value> = grant.elements.iter().chain([&call.value]).cloned().collect();
        let written = put(&guarded_set(call), &Value::list(elements.clone()));
        match self.write_as_holder(&grant, written).await {
            Ok(true) => {
                self.grants.held.insert(call.key.clone(), Grant { elements, ..grant });
                CallResult::Ok(Value::Nil)
            }
            Ok(false) => CallResult::fail("not-held: the lease has expired"),
            Err(ended) => ended,
        }
    }

    async fn write_with_token(&mut self, call: &Call) -> CallResult {
        let Value::Map(entries) = &call.value else { return CallResult::fail("malformed: write wants {token, value}") };
        let entry = |name: &str| entries.iter().find(|(known, _)| &**known == name).map(|(_, value)| value.clone());
        let (Some(token), Some(value)) = (entry("token"), entry("value")) else {
            return CallResult::fail("malformed: write wants {token, value}");
        };
        let Some(grant) = self.grants.held.get(&call.key).cloned().filter(|grant| Value::Int(grant.token) == token)
        else {
            return CallResult::fail("not-held");
        };
        let key = format!("{}{}", accepted(call), json_text(&value));
        match self.write_as_holder(&grant, put(&key, &Value::list([token, value]))).await {
            Ok(true) => CallResult::Ok(Value::Nil),
            Ok(false) => CallResult::fail("fenced: the lease has expired"),
            Err(ended) => ended,
        }
    }

    /// All writes with tokens, in the order in which they were accepted.
    async fn read_log(&mut self, call: &Call) -> CallResult {
        let mut body = all(&accepted(call), Order::Created, 0);
        body["serializable"] = self.serializable.into();
        match self.post("/v3/kv/range", &body).await.map(|reply| super::kvs::kvs(&reply)) {
            Ok(Ok(writes)) => CallResult::Ok(Value::list(writes.into_iter().map(|kv| kv.value))),
            Ok(Err(why)) => CallResult::fail(why),
            Err(sent) => outcome::of_read(&sent),
        }
    }

    async fn elect(&mut self, call: &Call) -> CallResult {
        let lease = match self.session().await {
            Ok(lease) => lease,
            Err(sent) => return outcome::of_read(&sent),
        };
        match self.try_to_hold(call, &lease, &call.value).await {
            Ok(Attempt::Granted(grant)) => {
                let reply = leads(&call.value, grant.token);
                self.grants.held.insert(call.key.clone(), grant);
                CallResult::Ok(reply)
            }
            Ok(Attempt::Refused(leader)) => CallResult::Ok(shown(leader.as_ref())),
            Err(ended) => ended,
        }
    }

    async fn leader(&mut self, call: &Call) -> CallResult {
        let mut body = all(&holders(call), Order::Created, 1);
        body["serializable"] = self.serializable.into();
        match self.post("/v3/kv/range", &body).await.map(|reply| super::kvs::kvs(&reply)) {
            Ok(Ok(oldest)) => CallResult::Ok(shown(oldest.first())),
            Ok(Err(why)) => CallResult::fail(why),
            Err(sent) => outcome::of_read(&sent),
        }
    }
}

/// The prefix of the keys of those who hold or want to hold.
fn holders(call: &Call) -> String {
    format!("{}/holders/", key_of(call))
}

/// The key of the set that a lock guards.
fn guarded_set(call: &Call) -> String {
    format!("{}/set", key_of(call))
}

/// The prefix of writes with tokens.
fn accepted(call: &Call) -> String {
    format!("{}/log/", key_of(call))
}

fn time_to_live(seconds: i64) -> Value {
    Value::Map([(Arc::from("ttl_ms"), Value::Int(seconds.saturating_mul(1000)))].into())
}

fn leads(leader: &Value, term: i64) -> Value {
    Value::Map([(Arc::from("leader"), leader.clone()), (Arc::from("term"), Value::Int(term))].into())
}

/// The leader whose key is the oldest; nil if there is none.
fn shown(oldest: Option<&Kv>) -> Value {
    oldest.map_or(Value::Nil, |kv| leads(&kv.value, kv.created))
}
