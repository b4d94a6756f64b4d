//! [`ServerProcess`]: a real server on loopback.
use super::signal;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take until it serves.
const START: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);
const ATTEMPTS: usize = 5;

/// A server that is a child of the test. It is killed when it is dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    name: &'static str,
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.end();
    }
}

impl ServerProcess {
    /// Starts a server and throws its output away. Its name says what to install.
    ///
    /// # Panics
    /// If its program is missing.
    pub fn spawn(name: &'static str, command: &mut Command) -> ServerProcess {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        ServerProcess { child, name }
    }

    /// Waits until it serves; false if it has ended.
    ///
    /// # Panics
    /// If it runs, and does not serve in time.
    pub fn is_up(&mut self, mut serves: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + START;
        while self.child.try_wait().expect("a child").is_none() {
            if serves() {
                return true;
            }
            assert!(Instant::now() < end, "{} does not serve within {} s", self.name, START.as_secs());
            std::thread::sleep(PAUSE);
        }
        false
    }

    /// Sends it a [signal].
    ///
    /// # Panics
    /// If it is gone.
    pub fn signal(&self, signal_name: &str) {
        signal(self.child.id(), signal_name);
    }

    /// Kills it and waits for its end.
    pub fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first attempt that succeeds. A port that was free may be another's a moment later, and a server that cannot have it ends.
///
/// # Panics
/// If five attempts fail.
pub fn started<S>(name: &str, attempt: impl FnMut() -> Option<S>) -> S {
    let first = std::iter::repeat_with(attempt).take(ATTEMPTS).flatten().next();
    first.unwrap_or_else(|| panic!("{name} ended {ATTEMPTS} times at its start"))
}
