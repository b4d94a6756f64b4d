//! [`StopRequest`]: how urgently a run is asked to end.
use tokio::sync::watch;

/// How urgently a run is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Urgency {
    /// No signal came.
    #[default]
    None,
    /// First signal: no new calls, heal, settle, collect, judge.
    Stop,
    /// Second: heal, collect and judge, without final reads and without waiting for recovery.
    Hurry,
    /// Third: leave at once; the agents heal by themselves when their channel closes.
    Leave,
}

/// The signals so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StopRequest {
    /// The urgency.
    pub urgency: Urgency,
    /// The number of the first signal, for the exit code; 0 before one came.
    pub signal: i32,
}

impl StopRequest {
    /// After one more signal.
    pub fn next(self, signal: i32) -> StopRequest {
        let urgency = match self.urgency {
            Urgency::None => Urgency::Stop,
            Urgency::Stop => Urgency::Hurry,
            Urgency::Hurry | Urgency::Leave => Urgency::Leave,
        };
        StopRequest { urgency, signal: if self.signal == 0 { signal } else { self.signal } }
    }

    /// Whether to stop at all.
    pub fn asked(self) -> bool {
        self.urgency > Urgency::None
    }

    /// The run's reaction, for people.
    pub fn sentence(self) -> &'static str {
        match self.urgency {
            Urgency::None => "running",
            Urgency::Stop => "stopping: healing, then judging what there is (again: without final reads)",
            Urgency::Hurry => "hurrying: healing and judging without final reads (again: leave at once)",
            Urgency::Leave => "leaving: the agents on the nodes heal by themselves",
        }
    }
}

/// Waits for the request to leave at once, and returns the first signal; for ever if none can come.
pub(super) async fn left(stop: &mut watch::Receiver<StopRequest>) -> i32 {
    match stop.wait_for(|stop| stop.urgency >= Urgency::Leave).await {
        Ok(stop) => stop.signal,
        Err(_) => std::future::pending().await,
    }
}
