//! [`Progress`]: the observer of a run's progress.
use std::time::Duration;

/// Current numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Calls a second, lately.
    pub ops_per_s: f64,
    /// Calls that were Ok, so far.
    pub ok: u64,
    /// Fail calls.
    pub fail: u64,
    /// Info calls.
    pub info: u64,
    /// Faults in force, in words (`partition majority n1,n2`).
    pub faults: Vec<String>,
}

/// Shows the progress of a run. Shared by reference; every method may be called from any thread.
pub trait Progress: Send + Sync {
    /// A phase begins; it ends after `deadline` at the latest.
    fn phase(&self, name: &str, deadline: Option<Duration>);

    /// Current numbers; call it as often as you like.
    fn tick(&self, snapshot: &Snapshot);

    /// An event worth a line, such as a fault or a long wait.
    fn line(&self, text: &str);

    /// The run is over.
    fn finish(&self);
}
