//! Ctrl-C and SIGTERM: each further one asks for less ceremony. Never: ends the process, or skips healing.
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How urgently a run is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Urgency {
    /// Nobody asked.
    #[default]
    None,
    /// First signal: no new calls, heal, settle, collect, judge.
    Stop,
    /// Second: heal, collect and judge, without final reads and without waiting for recovery.
    Hurry,
    /// Third: leave at once; the agents heal by themselves when their channel closes.
    Leave,
}

/// What was asked so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stop {
    /// How urgently.
    pub urgency: Urgency,
    /// The number of the first signal, for the exit code; 0 before one came.
    pub signal: i32,
}

impl Stop {
    /// One signal more.
    fn next(self, signal: i32) -> Stop {
        let urgency = match self.urgency {
            Urgency::None => Urgency::Stop,
            Urgency::Stop => Urgency::Hurry,
            Urgency::Hurry | Urgency::Leave => Urgency::Leave,
        };
        Stop { urgency, signal: if self.signal == 0 { signal } else { self.signal } }
    }

    /// Whether to stop at all.
    pub fn asked(self) -> bool {
        self.urgency > Urgency::None
    }

    /// What the run does about it, for people.
    pub fn sentence(self) -> &'static str {
        match self.urgency {
            Urgency::None => "running",
            Urgency::Stop => "stopping: healing, then judging what there is (again: without final reads)",
            Urgency::Hurry => "hurrying: healing and judging without final reads (again: leave at once)",
            Urgency::Leave => "leaving: the agents on the nodes heal by themselves; `dsfuzz heal` makes sure",
        }
    }
}

/// Listens from now on; must be called within a runtime. SIGINT, SIGTERM and SIGHUP count alike. Each one is told to
/// `told` as well, so that a person sees at once that it was heard.
pub fn listen(told: impl Fn(Stop) + Send + 'static) -> std::io::Result<watch::Receiver<Stop>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (sender, receiver) = watch::channel(Stop::default());
    tokio::spawn(async move {
        loop {
            let number = next(&mut interrupt, &mut terminate, &mut hangup).await;
            let stop = sender.borrow().next(number);
            told(stop);
            // Without receivers the run is over, and a signal has nobody to stop.
            if sender.send(stop).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal, hangup: &mut Signal) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
        _ = hangup.recv() => SignalKind::hangup().as_raw_value(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn each_signal_is_more_urgent_and_the_first_names_the_exit() {
        let mut receiver = listen(|_| ()).unwrap();
        let mut seen = Vec::new();
        for number in [nix::sys::signal::SIGTERM, nix::sys::signal::SIGINT, nix::sys::signal::SIGINT] {
            nix::sys::signal::raise(number).unwrap();
            tokio::time::timeout(Duration::from_secs(30), receiver.changed()).await.unwrap().unwrap();
            seen.push(*receiver.borrow_and_update());
        }
        assert_eq!(
            seen.iter().map(|stop| stop.urgency).collect::<Vec<_>>(),
            [Urgency::Stop, Urgency::Hurry, Urgency::Leave]
        );
        assert!(seen.iter().all(|stop| stop.signal == 15 && stop.asked()));
    }
}
