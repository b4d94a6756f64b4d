//! [`MultiClient`]: the clients of several workloads in one run, behind one process; [`MultiConnect`] opens them.
use dsfuzz_workloads::{BoxFuture, Call, CallResponse, CallResult, Client, Connect, ConnectError, Endpoint, Terms};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Opens, for one process, a client for each workload.
pub(super) struct MultiConnect {
    by_workload: BTreeMap<Arc<str>, Arc<dyn Connect>>,
}

impl MultiConnect {
    /// These clients. The client of a single workload is returned unchanged.
    pub(super) fn of(by_workload: BTreeMap<Arc<str>, Arc<dyn Connect>>) -> Arc<dyn Connect> {
        match by_workload.len() {
            1 => by_workload
                .into_values()
                .next()
                .unwrap_or_else(|| Arc::new(MultiConnect { by_workload: BTreeMap::new() })),
            _ => Arc::new(MultiConnect { by_workload }),
        }
    }
}

impl Connect for MultiConnect {
    fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        Box::pin(async move {
            let mut clients = BTreeMap::new();
            for (workload, connect) in &self.by_workload {
                clients.insert(workload.clone(), connect.open(endpoint.clone()).await?);
            }
            let client: Box<dyn Client> = Box::new(MultiClient { clients });
            Ok(client)
        })
    }

    /// Opens the clients one after the other.
    fn open_deadline(&self) -> Option<Duration> {
        self.by_workload.values().filter_map(|connect| connect.open_deadline()).reduce(|one, other| one + other)
    }
}

/// The clients of one process, by workload.
struct MultiClient {
    clients: BTreeMap<Arc<str>, Box<dyn Client>>,
}

impl Client for MultiClient {
    fn call<'a>(&'a mut self, call: &'a Call, terms: Terms) -> BoxFuture<'a, CallResponse> {
        match self.clients.get_mut(&call.workload) {
            Some(client) => client.call(call, terms),
            None => Box::pin(async { CallResult::fail("no client for this workload").into() }),
        }
    }

    fn setup(&mut self, terms: Terms) -> BoxFuture<'_, Option<CallResult>> {
        Box::pin(async move {
            let mut all = None;
            for client in self.clients.values_mut() {
                match client.setup(terms).await {
                    Some(CallResult::Ok(value)) => all = Some(CallResult::Ok(value)),
                    Some(failed) => return Some(failed),
                    None => {}
                }
            }
            all
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            for client in self.clients.into_values() {
                client.close().await;
            }
        })
    }
}
