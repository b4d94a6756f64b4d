//! Tries one client for each node before the load, so that a program that cannot start ends the run early.
use super::driver::{DriverOptions, connect_once};
use crate::targets::exec::INIT_REFUSED;
use dsfuzz_workloads::{Connect, Terms};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

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

/// Whether the client works but its node refused it.
fn refused(error: &str) -> bool {
    error.contains(INIT_REFUSED) || error.contains("refused: ")
}
