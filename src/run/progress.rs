//! [`Progress`]: whom a run tells what it is doing.
use std::time::Duration;

/// Numbers of this moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Calls a second, lately.
    pub ops_per_s: f64,
    /// Calls that were Ok, so far.
    pub ok: u64,
    /// Calls that certainly had no effect.
    pub fail: u64,
    /// Calls in doubt.
    pub info: u64,
    /// Faults in force, in words (`partition majority n1,n2`).
    pub faults: Vec<String>,
}

/// Shows what a run is doing. Shared by reference; every method may be called from any thread.
pub trait Progress: Send + Sync {
    /// A phase begins, and ends at the latest after `deadline`.
    fn phase(&self, name: &str, deadline: Option<Duration>);

    /// Numbers of this moment; call it as often as you like.
    fn tick(&self, snapshot: &Snapshot);

    /// Something worth a line of its own, such as a fault or a wait that became long.
    fn line(&self, text: &str);

    /// The run is over.
    fn finish(&self);
}
