//! [`Fan`]: several workloads in one run, each with a client of its own, behind one process.
use dsfuzz_workloads::{Answer, BoxFuture, Call, Client, Connect, ConnectError, Endpoint, Response, Terms};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Opens, for one process, a client for each workload.
pub(super) struct Fan {
    by_workload: BTreeMap<Arc<str>, Arc<dyn Connect>>,
}

impl Fan {
    /// These clients. One workload alone needs no fan: its own is returned.
    pub(super) fn of(by_workload: BTreeMap<Arc<str>, Arc<dyn Connect>>) -> Arc<dyn Connect> {
        match by_workload.len() {
            1 => by_workload.into_values().next().unwrap_or_else(|| Arc::new(Fan { by_workload: BTreeMap::new() })),
            _ => Arc::new(Fan { by_workload }),
        }
    }
}

impl Connect for Fan {
    fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        Box::pin(async move {
            let mut clients = BTreeMap::new();
            for (workload, connect) in &self.by_workload {
                clients.insert(workload.clone(), connect.open(endpoint.clone()).await?);
            }
            let client: Box<dyn Client> = Box::new(Blades { clients });
            Ok(client)
        })
    }

    /// They are opened one after the other.
    fn open_deadline(&self) -> Option<Duration> {
        self.by_workload.values().filter_map(|connect| connect.open_deadline()).reduce(|one, other| one + other)
    }
}

/// The clients of one process, by workload.
struct Blades {
    clients: BTreeMap<Arc<str>, Box<dyn Client>>,
}

impl Client for Blades {
    fn call<'a>(&'a mut self, call: &'a Call, terms: Terms) -> BoxFuture<'a, Response> {
        match self.clients.get_mut(&call.workload) {
            Some(client) => client.call(call, terms),
            None => Box::pin(async { Answer::fail("no client for this workload").into() }),
        }
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            for client in self.clients.into_values() {
                client.close().await;
            }
        })
    }
}
