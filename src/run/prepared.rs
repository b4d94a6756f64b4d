//! [`Prepared`]: the clients of a load, opened before its time begins, so that slowly starting clients do not shorten it.
use super::driver::{DriverOptions, connect_once, turned_true};
use crate::store::Readiness;
use dsfuzz_workloads::{BoxFuture, Client, Connect, ConnectError, Endpoint, Terms};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Longest wait of the load for its clients.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(60);
/// A client that waited longer for its first call is replaced: the server may have dropped it.
const WAITED_MAX: Duration = Duration::from_secs(10);
/// How long clients that follow the leader are not opened while no leader is known.
const LEADER_WITHIN: Duration = Duration::from_secs(3);
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Opens the clients of the plan, runs `load` with them, and closes the unused ones. None: the run was halted before, and no
/// client is left open.
pub(super) async fn through_ready<W: Future>(
    connect: Arc<dyn Connect>,
    options: &DriverOptions,
    longest: Duration,
    mut halt: watch::Receiver<bool>,
    load: impl FnOnce(Arc<dyn Connect>, Readiness) -> W,
) -> Option<W::Output> {
    let (prepared, readiness) = Prepared::open(connect, options, longest, &mut halt).await;
    if *halt.borrow() {
        prepared.close().await;
        return None;
    }
    let done = load(prepared.clone(), readiness).await;
    prepared.close().await;
    Some(done)
}

async fn close(client: Box<dyn Client>) {
    let _ = tokio::time::timeout(CLOSE_WITHIN, client.close()).await;
}

/// A client that waits for its first call.
struct Waiting {
    since: Instant,
    node: Arc<str>,
    client: Box<dyn Client>,
}

/// Hands out an open client once, to the process that it was opened for, and opens all others.
pub(super) struct Prepared {
    connect: Arc<dyn Connect>,
    ready: Mutex<HashMap<u64, Waiting>>,
}

impl Prepared {
    /// Opens all clients of the plan in parallel, each within its own deadline, and waits for them until `longest` or a halt.
    async fn open(
        connect: Arc<dyn Connect>,
        options: &DriverOptions,
        longest: Duration,
        halt: &mut watch::Receiver<bool>,
    ) -> (Arc<Prepared>, Readiness) {
        tokio::select! {
            () = options.on_leader.known() => {}
            () = tokio::time::sleep(LEADER_WITHIN) => {}
            () = turned_true(halt) => {}
        }
        let began = Instant::now();
        let mut opening = JoinSet::new();
        let nodes = options.nodes.len();
        let clients = if nodes == 0 { 0 } else { options.clients };
        for index in 0..clients {
            let (connect, terms) = (connect.clone(), Terms::load(options.deadline));
            let process = u64::from(index);
            // The same binding as in the driver.
            let node = &options.nodes[options.home(index, index as usize % nodes)];
            let endpoint = node.endpoint(process, &options.client_options, terms);
            let node = node.name.clone();
            opening.spawn(async move {
                let opened = connect_once(&*connect, endpoint, terms.deadline, longest).await;
                (process, opened.map(|client| Waiting { since: Instant::now(), node, client }))
            });
        }
        let mut ready = HashMap::new();
        let mut halted = false;
        loop {
            let opened = tokio::select! {
                opened = opening.join_next() => opened,
                () = turned_true(halt), if !halted => {
                    halted = true;
                    opening.abort_all();
                    continue;
                }
            };
            let Some(opened) = opened else { break };
            // The call that needs the client reports its error.
            if let Ok((process, Ok(client))) = opened {
                ready.insert(process, client);
            }
        }
        let readiness =
            Readiness { clients: clients as usize, ready: ready.len(), waited_ms: began.elapsed().as_millis() as u64 };
        (Arc::new(Prepared { connect, ready: Mutex::new(ready) }), readiness)
    }

    /// Closes the unused clients.
    async fn close(&self) {
        let left = std::mem::take(&mut *self.ready.lock().unwrap_or_else(PoisonError::into_inner));
        let mut closing: JoinSet<()> = left.into_values().map(|waiting| close(waiting.client)).collect();
        while closing.join_next().await.is_some() {}
    }
}

impl Connect for Prepared {
    fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).remove(&endpoint.process);
        match ready {
            // Leadership may have moved since a client that follows it was opened.
            Some(Waiting { since, node, client }) if since.elapsed() <= WAITED_MAX && node == endpoint.node => {
                Box::pin(async move { Ok(client) })
            }
            Some(waiting) => Box::pin(async move {
                tokio::spawn(close(waiting.client));
                self.connect.open(endpoint).await
            }),
            None => self.connect.open(endpoint),
        }
    }

    fn open_deadline(&self) -> Option<Duration> {
        self.connect.open_deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::super::driver::tests::options;
    use super::*;
    use dsfuzz_workloads::{Call, CallResponse, CallResult};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts closed clients.
    struct Idle(Arc<AtomicUsize>);

    impl Client for Idle {
        fn call<'a>(&'a mut self, _: &'a Call, _: Terms) -> BoxFuture<'a, CallResponse> {
            Box::pin(async { CallResult::info("idle").into() })
        }

        fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
            Box::pin(async move {
                self.0.fetch_add(1, Ordering::SeqCst);
            })
        }
    }

    /// Opens clients in 5 s, but never those of node n2, and lists the opened ones.
    #[derive(Default)]
    struct Opens(Mutex<Vec<(u64, String)>>, Arc<AtomicUsize>);

    const OPENING: Duration = Duration::from_secs(5);

    impl Connect for Opens {
        fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
            self.0.lock().expect("no panic").push((endpoint.process, endpoint.node.to_string()));
            Box::pin(async move {
                if &*endpoint.node == "n2" {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(OPENING).await;
                Ok(Box::new(Idle(self.1.clone())) as Box<dyn Client>)
            })
        }

        fn open_deadline(&self) -> Option<Duration> {
            Some(2 * OPENING)
        }
    }

    fn first_of(options: &DriverOptions, process: u64) -> Endpoint {
        options.nodes[0].endpoint(process, &options.client_options, Terms::load(options.deadline))
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_begins_when_its_clients_are_open_and_those_that_it_does_not_take_are_closed() {
        let (opens, options) = (Arc::new(Opens::default()), options(&["n1"], 3));
        let (_halt, halted) = watch::channel(false);
        let before = Instant::now();
        let load = |connect: Arc<dyn Connect>, readiness: Readiness| {
            let (began, endpoint) = (Instant::now(), first_of(&options, 1));
            async move {
                assert!(connect.open(endpoint).await.is_ok());
                (began, readiness)
            }
        };
        let done = through_ready(opens.clone(), &options, READY_WITHIN, halted, load).await;
        let (began, readiness) = done.expect("a load");
        assert!(began - before >= OPENING && readiness.ready == 3, "the opening is no part of the load");
        assert_eq!(opens.0.lock().expect("no panic").len(), 3, "the load was given clients that are open");
        assert_eq!(opens.1.load(Ordering::SeqCst), 2, "no worker took two of them");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_open_when_the_run_is_halted_is_closed_and_no_load_begins() {
        let (opens, options) = (Arc::new(Opens::default()), options(&["n1", "n2"], 4));
        let (halt, halted) = watch::channel(false);
        let halting = async {
            tokio::time::sleep(OPENING + Duration::from_secs(1)).await;
            halt.send_replace(true);
        };
        let load = |_: Arc<dyn Connect>, _: Readiness| std::future::ready(());
        let (done, ()) = tokio::join!(through_ready(opens.clone(), &options, READY_WITHIN, halted, load), halting);
        assert_eq!(done, None, "no load began");
        assert_eq!(opens.1.load(Ordering::SeqCst), 2, "those of n1 were open");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_waited_long_for_its_first_call_is_opened_again() {
        let (opens, options) = (Arc::new(Opens::default()), options(&["n1"], 2));
        let (_halt, mut halted) = watch::channel(false);
        let (prepared, _) = Prepared::open(opens.clone(), &options, READY_WITHIN, &mut halted).await;
        assert!(prepared.open(first_of(&options, 0)).await.is_ok());
        assert_eq!(opens.0.lock().expect("no panic").len(), 2);
        tokio::time::sleep(WAITED_MAX + Duration::from_secs(1)).await;
        assert!(prepared.open(first_of(&options, 1)).await.is_ok());
        assert_eq!(opens.0.lock().expect("no panic").len(), 3, "a new one");
        assert_eq!(opens.1.load(Ordering::SeqCst), 1, "the old one was closed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_open_before_the_load_and_handed_out_once() {
        let (opens, options) = (Arc::new(Opens::default()), options(&["n1", "n2"], 4));
        let (_halt, mut halted) = watch::channel(false);
        let (prepared, readiness) = Prepared::open(opens.clone(), &options, READY_WITHIN, &mut halted).await;
        assert_eq!((readiness.clients, readiness.ready), (4, 2), "those of n2 never open");
        assert!(readiness.to_string().starts_with("2 of 4 clients were ready"));
        let opened = || opens.0.lock().expect("no panic").len();
        assert_eq!(opened(), 4);
        let endpoint = first_of(&options, 2);
        assert!(prepared.open(endpoint.clone()).await.is_ok());
        assert_eq!(opened(), 4, "it was open already");
        assert!(prepared.open(endpoint).await.is_ok());
        assert_eq!(opened(), 5, "the second is a new one");
    }
}
