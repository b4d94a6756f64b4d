//! [`Prepared`]: the clients of a load, opened before its time begins, so that clients which start slowly take nothing of it.
use super::driver::{DriverOptions, connect_once};
use crate::store::Readiness;
use dsfuzz_workloads::{BoxFuture, Client, Connect, ConnectError, Endpoint, Terms};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The load waits for clients no longer than this.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(60);

/// Hands out a client that is open already, once, to the process that it was opened for; opens every other.
pub(super) struct Prepared {
    connect: Arc<dyn Connect>,
    ready: Mutex<HashMap<u64, Box<dyn Client>>>,
}

impl Prepared {
    /// Opens all clients of the plan at once, each within its own deadline, and waits for them, `longest` at the most.
    pub(super) async fn open(
        connect: Arc<dyn Connect>,
        options: &DriverOptions,
        longest: Duration,
    ) -> (Arc<Prepared>, Readiness) {
        let began = Instant::now();
        let mut opening = JoinSet::new();
        let nodes = options.nodes.len();
        let clients = if nodes == 0 { 0 } else { options.clients };
        for index in 0..clients {
            let (connect, terms) = (connect.clone(), Terms::load(options.deadline));
            let process = u64::from(index);
            // As the driver binds them.
            let endpoint = options.nodes[index as usize % nodes].endpoint(process, &options.client_options, terms);
            opening.spawn(async move { (process, connect_once(&*connect, endpoint, terms.deadline, longest).await) });
        }
        let mut ready = HashMap::new();
        while let Some(opened) = opening.join_next().await {
            // Why one cannot be opened is told by the call that needs it.
            if let Ok((process, Ok(client))) = opened {
                ready.insert(process, client);
            }
        }
        let readiness = Readiness { clients: clients as usize, ready: ready.len(), took: began.elapsed() };
        (Arc::new(Prepared { connect, ready: Mutex::new(ready) }), readiness)
    }
}

impl Connect for Prepared {
    fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).remove(&endpoint.process);
        match ready {
            Some(client) => Box::pin(async move { Ok(client) }),
            None => self.connect.open(endpoint),
        }
    }

    fn open_deadline(&self) -> Option<Duration> {
        self.connect.open_deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::driver::NodeEndpoint;
    use dsfuzz_workloads::{Answer, Call, Response};
    use std::collections::BTreeMap;

    struct Idle;

    impl Client for Idle {
        fn call<'a>(&'a mut self, _: &'a Call, _: Terms) -> BoxFuture<'a, Response> {
            Box::pin(async { Answer::info("idle").into() })
        }

        fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    /// Opens clients, but never those of node n2; and says whom it opened.
    #[derive(Default)]
    struct Opens(Mutex<Vec<(u64, String)>>);

    impl Connect for Opens {
        fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
            self.0.lock().expect("no panic").push((endpoint.process, endpoint.node.to_string()));
            Box::pin(async move {
                if &*endpoint.node == "n2" {
                    std::future::pending::<()>().await;
                }
                Ok(Box::new(Idle) as Box<dyn Client>)
            })
        }
    }

    fn options(nodes: &[&str], clients: u32) -> DriverOptions {
        let node =
            |name: &&str| NodeEndpoint { name: Arc::from(*name), address: String::new(), ports: BTreeMap::new() };
        DriverOptions {
            seed: 1,
            nodes: nodes.iter().map(node).collect(),
            clients,
            rate: None,
            time: Duration::from_secs(1),
            deadline: Duration::from_millis(50),
            ops_max: None,
            joining: 0,
            asked_per_node: 0.0,
            client_options: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn a_client_is_open_before_the_load_and_handed_out_once() {
        let (opens, options) = (Arc::new(Opens::default()), options(&["n1", "n2"], 4));
        let (prepared, readiness) = Prepared::open(opens.clone(), &options, READY_WITHIN).await;
        assert_eq!((readiness.clients, readiness.ready), (4, 2), "those of n2 never open");
        assert!(readiness.told().is_some_and(|told| told.starts_with("2 of 4 clients were ready")));
        let opened = || opens.0.lock().expect("no panic").len();
        assert_eq!(opened(), 4);
        let endpoint = options.nodes[0].endpoint(2, &options.client_options, Terms::load(options.deadline));
        assert!(prepared.open(endpoint.clone()).await.is_ok());
        assert_eq!(opened(), 4, "it was open already");
        assert!(prepared.open(endpoint).await.is_ok());
        assert_eq!(opened(), 5, "the second is a new one");
    }
}
