//! [`Session`]: a lease that a task of its own keeps alive, as the sessions of etcd's clients do.
//!
//! A client that is dropped renews no more, so that its lease lapses: a crash of a holder. One that is closed revokes its lease.
use super::kvs::number;
use super::outcome::RequestProgress;
use super::{EtcdClient, connect, parsed};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::AbortHandle;

/// Renewals in the life of a lease, as etcd's clients have it.
const RENEWALS_PER_LIFE: u64 = 3;
/// Pause after a renewal that was not answered.
const PAUSE: Duration = Duration::from_millis(200);

/// A lease that is kept alive.
pub(super) struct Session {
    /// Its id, as the gateway writes it.
    pub(super) lease: String,
    over: Arc<AtomicBool>,
    renewing: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

impl Session {
    /// Whether etcd has said that the lease is over.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn keep_alive(authority: String, lease: String, ttl: u64) -> Session {
        let over = Arc::new(AtomicBool::new(false));
        let renewing = tokio::spawn(renew_for_ever(authority, lease.clone(), ttl, over.clone())).abort_handle();
        Session { lease, over, renewing }
    }
}

async fn renew_for_ever(authority: String, lease: String, ttl: u64, over: Arc<AtomicBool>) {
    let interval = Duration::from_secs(ttl) / RENEWALS_PER_LIFE as u32;
    let mut connection = None;
    loop {
        tokio::time::sleep(interval).await;
        // A renewal without an answer is asked again on another connection.
        loop {
            let usable = connection.take().filter(|open: &super::HttpConnection| !open.is_closed());
            let opened = match usable {
                Some(open) => Ok(open),
                None => connect(&authority).await,
            };
            if let Ok(mut open) = opened {
                let body = json!({"ID": lease}).to_string().into_bytes();
                let asked = open.send("POST", "/v3/lease/keepalive", body);
                if let Ok(Ok(reply)) = tokio::time::timeout(interval, asked).await
                    && let Ok(reply) = parsed(&reply)
                {
                    if renewed(&reply) == 0 {
                        over.store(true, Ordering::Release);
                        return;
                    }
                    connection = Some(open);
                    break;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// For how many seconds a renewal was granted; 0: the lease is over.
fn renewed(reply: &Json) -> i64 {
    reply.get("result").map_or(0, |result| number(result, "TTL"))
}

impl EtcdClient {
    /// A new lease of this time in seconds: its id and the time that was granted. Without an answer no client holds anything by it.
    pub(super) async fn grant(&mut self, ttl: u64) -> Result<(String, i64), RequestProgress> {
        let reply = self.post("/v3/lease/grant", &json!({"TTL": ttl.to_string()})).await?;
        match reply.get("ID").and_then(Json::as_str) {
            Some(lease) => Ok((lease.to_owned(), number(&reply, "TTL"))),
            None => Err(RequestProgress::Perhaps("malformed: a grant of a lease without its id".to_owned())),
        }
    }

    /// The lease of this client, a new one if there was none or if it is over.
    pub(super) async fn session(&mut self) -> Result<String, RequestProgress> {
        if let Some(session) = self.grants.session.as_ref().filter(|session| !session.is_over()) {
            return Ok(session.lease.clone());
        }
        let (lease, ttl) = self.grant(self.session_ttl).await?;
        let session =
            Session::keep_alive(self.authority.clone(), lease.clone(), u64::try_from(ttl).unwrap_or(1).max(1));
        self.grants.session = Some(session);
        Ok(lease)
    }

    /// Renews a lease once: for how many seconds; 0: it is over.
    pub(super) async fn renew_once(&mut self, lease: &str) -> Result<i64, RequestProgress> {
        self.post("/v3/lease/keepalive", &json!({"ID": lease})).await.map(|reply| renewed(&reply))
    }

    /// Revokes a lease; what was put with it goes with it.
    pub(super) async fn revoke(&mut self, lease: &str) -> Result<(), RequestProgress> {
        self.post("/v3/lease/revoke", &json!({"ID": lease})).await.map(drop)
    }

    /// Gives back all that is held.
    pub(super) async fn revoke_all(&mut self) {
        let grants = std::mem::take(&mut self.grants);
        let leases = grants.session.iter().map(|session| session.lease.clone()).chain(grants.leases());
        for lease in leases {
            // Whoever closes does not wait for the lease to lapse, if it can be helped.
            let _ = self.revoke(&lease).await;
        }
    }
}
