//! Tries one client for each node before the load, so that a program that cannot start ends the run early; and lets the
//! clients prepare the target.
use super::driver::{DriverOptions, connect_once, discard};
use crate::targets::exec::INIT_REFUSED;
use dsfuzz_workloads::{CallResult, Connect, Terms};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Attempts at a node that refuses connections.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Opens a client on each node, in parallel. Fails if a client does not start on some node, or if no node accepts one. A
/// single node that refuses connections is a matter of the target.
pub(super) async fn try_each(connect: Arc<dyn Connect>, options: &DriverOptions) -> Result<(), String> {
    let mut nodes = JoinSet::new();
    for (position, node) in options.nodes.iter().enumerate() {
        let (connect, terms) = (connect.clone(), Terms::load(options.deadline));
        // The process of the node's first client. This client makes no call.
        let endpoint = node.endpoint(position as u64, &options.client_options, terms);
        let name = node.name.clone();
        nodes.spawn(async move {
            let mut error = String::new();
            for attempt in 0..TRIES {
                if attempt > 0 {
                    tokio::time::sleep(PAUSE).await;
                }
                match connect_once(&*connect, endpoint.clone(), terms.deadline, Duration::MAX).await {
                    Ok(client) => {
                        let _ = tokio::time::timeout(CLOSE_WITHIN, client.close()).await;
                        return None;
                    }
                    Err(why) => error = why.to_string(),
                }
                if !refused(&error) {
                    break;
                }
            }
            Some(format!("{name}: {error}"))
        });
    }
    let mut errors = Vec::new();
    while let Some(node) = nodes.join_next().await {
        match node {
            Ok(error) => errors.extend(error),
            Err(error) => errors.push(format!("opening a client panicked: {error}")),
        }
    }
    errors.sort();
    let fatal = errors.iter().find(|error| !refused(error));
    match fatal.or(errors.first().filter(|_| errors.len() == options.nodes.len())) {
        None => Ok(()),
        Some(first) if errors.len() == 1 => Err(first.clone()),
        Some(first) if errors.len() == 2 => Err(format!("{first} (and on 1 more node)")),
        Some(first) => Err(format!("{first} (and on {} more nodes)", errors.len() - 1)),
    }
}

/// Codes with which another node may do what one could not.
const ELSEWHERE: [&str; 3] = ["not-leader", "read-only", "refused"];

/// Asks for `setup` on one node after another until it is Ok, within `deadline` each and `within` in all. An answer that
/// certainly had no effect ends it, unless another node may do it.
pub(super) async fn set_up(
    connect: Arc<dyn Connect>,
    options: &DriverOptions,
    deadline: Duration,
    within: Duration,
) -> Result<(), String> {
    let (terms, end) = (Terms::load(deadline), Instant::now() + within);
    let mut last = String::new();
    loop {
        for (position, node) in options.nodes.iter().enumerate() {
            let endpoint = node.endpoint(position as u64, &options.client_options, terms);
            // `try_each` has opened a client on a node: this one alone may be down.
            let mut client = match connect_once(&*connect, endpoint, deadline, Duration::MAX).await {
                Ok(client) => client,
                Err(why) => {
                    last = format!("{}: {why}", node.name);
                    continue;
                }
            };
            let why = match tokio::time::timeout(deadline, client.setup(terms)).await {
                Ok(None | Some(CallResult::Ok(_))) => {
                    let _ = tokio::time::timeout(CLOSE_WITHIN, client.close()).await;
                    return Ok(());
                }
                Ok(Some(CallResult::Fail(why))) if !ELSEWHERE.iter().any(|code| why.starts_with(code)) => {
                    return Err(format!("{}: {why}", node.name));
                }
                Ok(Some(CallResult::Fail(why) | CallResult::Info(why))) => why,
                Err(_) => Arc::from("timeout"),
            };
            discard(Some(client));
            last = format!("{}: {why}", node.name);
            tracing::info!("setup: {last}");
        }
        if Instant::now() > end {
            return Err(format!("no node did it within {} s; {last}", within.as_secs()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the client works but its node refused it.
fn refused(error: &str) -> bool {
    error.contains(INIT_REFUSED) || error.contains("refused: ")
}

#[cfg(test)]
mod tests {
    use super::super::driver::tests::options;
    use super::*;
    use dsfuzz_checkers::Value;
    use dsfuzz_workloads::{BoxFuture, Call, CallResponse, Client, ConnectError, Endpoint};
    use std::sync::Mutex;

    /// Nodes with their answers to `setup`, in order; and who was asked.
    struct Nodes {
        answers: Vec<(&'static str, Option<CallResult>)>,
        asked: Mutex<Vec<String>>,
    }

    struct One(Option<CallResult>);

    impl Connect for Nodes {
        fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
            self.asked.lock().expect("no panic").push(endpoint.node.to_string());
            let answer = self.answers.iter().find(|(node, _)| *node == &*endpoint.node).expect("a node").1.clone();
            Box::pin(async { Ok(Box::new(One(answer)) as Box<dyn Client>) })
        }
    }

    impl Client for One {
        fn call<'a>(&'a mut self, _: &'a Call, _: Terms) -> BoxFuture<'a, CallResponse> {
            Box::pin(async { CallResult::fail("no call is made").into() })
        }

        fn setup(&mut self, _: Terms) -> BoxFuture<'_, Option<CallResult>> {
            let answer = self.0.clone();
            Box::pin(async { answer })
        }

        fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    async fn prepared(answers: &[(&'static str, Option<CallResult>)]) -> (Result<(), String>, Vec<String>) {
        let nodes = Arc::new(Nodes { answers: answers.to_vec(), asked: Mutex::default() });
        let names: Vec<&str> = answers.iter().map(|(name, _)| *name).collect();
        let options = options(&names, 1);
        let (deadline, within) = (Duration::from_secs(1), Duration::from_secs(3));
        let done = set_up(nodes.clone(), &options, deadline, within).await;
        let asked = nodes.asked.lock().expect("no panic").clone();
        (done, asked)
    }

    #[tokio::test(start_paused = true)]
    async fn the_target_is_prepared_once_by_the_first_node_that_can() {
        let ok = || Some(CallResult::Ok(Value::Nil));
        let follower = || Some(CallResult::fail("not-leader: n2 leads"));
        let unknown = || Some(CallResult::info("timeout"));
        let exists = || Some(CallResult::fail("exists: table dsfuzz_set is there already"));
        assert_eq!(prepared(&[("n1", None), ("n2", ok())]).await, (Ok(()), vec!["n1".into()]));
        let asked = vec!["n1".to_owned(), "n2".to_owned()];
        assert_eq!(prepared(&[("n1", follower()), ("n2", ok()), ("n3", ok())]).await, (Ok(()), asked.clone()));
        assert_eq!(prepared(&[("n1", unknown()), ("n2", ok())]).await, (Ok(()), asked));
        let (refused, asked) = prepared(&[("n1", exists()), ("n2", ok())]).await;
        assert_eq!(refused, Err("n1: exists: table dsfuzz_set is there already".to_owned()));
        assert_eq!(asked, ["n1"], "no other node is asked");
        let (never, asked) = prepared(&[("n1", unknown()), ("n2", follower())]).await;
        assert_eq!(never, Err("no node did it within 3 s; n2: not-leader: n2 leads".to_owned()));
        assert!(asked.len() > 4, "{asked:?}");
    }
}
