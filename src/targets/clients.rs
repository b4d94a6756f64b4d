//! The built-in clients, by their names in recipes (`builtin: NAME`).
use super::etcd;
use dsfuzz_workloads::Connect;
use std::sync::Arc;

/// A client that is part of the program.
pub(super) struct BuiltInClient {
    /// Its name in recipes.
    name: &'static str,
    /// Opens it on a node.
    pub(super) connect: fn() -> Arc<dyn Connect>,
}

/// Every built-in client. A new one is its file and its entry here.
const BUILT_IN: &[BuiltInClient] = &[BuiltInClient { name: etcd::NAME, connect: || Arc::new(etcd::EtcdConnect) }];

/// The client of this name.
pub(super) fn find(name: &str) -> Result<&'static BuiltInClient, String> {
    let known = || BUILT_IN.iter().map(|client| client.name).collect::<Vec<_>>().join(", ");
    BUILT_IN.iter().find(|client| client.name == name).ok_or_else(|| format!("unknown; built in is: {}", known()))
}
