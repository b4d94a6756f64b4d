//! Ctrl-C and SIGTERM: each further signal ends the run sooner. Never: ends the process, or skips healing.
use crate::run::stop::StopRequest;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Listens from now on; must be called within a runtime. SIGINT, SIGTERM and SIGHUP count alike. Each signal also calls
/// `on_signal`, so that a person sees at once that it was received.
pub fn listen(on_signal: impl Fn(StopRequest) + Send + 'static) -> std::io::Result<watch::Receiver<StopRequest>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (sender, receiver) = watch::channel(StopRequest::default());
    tokio::spawn(async move {
        loop {
            let number = next(&mut interrupt, &mut terminate, &mut hangup).await;
            let stop = sender.borrow().next(number);
            on_signal(stop);
            // Without receivers the run is over, and a signal has nothing to stop.
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
    use crate::run::stop::Urgency;
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
