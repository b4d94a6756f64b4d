//! [`Signals`]: what faults of a schedule wait for, besides other faults.
use super::Views;
use dsfuzz_nemesis::schedule::Trigger;
use dsfuzz_workloads::BoxFuture;
use tokio::time::Instant;

/// What a fault waited for has happened.
#[derive(Clone, Debug)]
pub struct Fired {
    /// The node that took the role or logged the line.
    pub node: Option<String>,
    /// When it was seen here.
    pub seen: Instant,
    /// The observation in a sentence.
    pub detail: String,
    /// The node took a role that leads.
    pub leads: bool,
}

/// Observes the run for the triggers of a schedule.
pub trait Signals: Send + Sync {
    /// Ends when a trigger by role, log or calls has fired; never for one that is not observed here.
    fn fired(&self, trigger: Trigger, view: Views) -> BoxFuture<'static, Fired>;
}

/// No signals: triggers by other faults alone.
pub struct NoSignals;

impl Signals for NoSignals {
    fn fired(&self, _: Trigger, _: Views) -> BoxFuture<'static, Fired> {
        Box::pin(std::future::pending())
    }
}
