//! [`Readiness`]: how long the load waited for its clients.
use serde::{Deserialize, Serialize};

/// How the clients of the plan became ready before the load, in `run.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// The plan's clients.
    pub clients: usize,
    /// The clients that were open in time.
    pub ready: usize,
    /// Milliseconds that the load waited for them.
    pub waited_ms: u64,
}

impl Readiness {
    /// A wait that is reported.
    const LONG_MS: u64 = 1000;

    /// Whether the wait is worth a note in the record: it was long, or a client is missing.
    pub fn is_notable(&self) -> bool {
        self.ready < self.clients || self.waited_ms >= Self::LONG_MS
    }
}

impl std::fmt::Display for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Readiness { clients, ready, waited_ms } = *self;
        if ready < clients {
            return write!(
                f,
                "{ready} of {clients} clients were ready when the load began, after {waited_ms} ms; the others open \
                 during it"
            );
        }
        write!(f, "the load began when all {clients} clients were ready, after {waited_ms} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_wait_or_a_missing_client_is_notable() {
        let quick = Readiness { clients: 3, ready: 3, waited_ms: 20 };
        assert!(!quick.is_notable());
        let slow = Readiness { waited_ms: 7000, ..quick };
        assert!(slow.is_notable());
        assert_eq!(slow.to_string(), "the load began when all 3 clients were ready, after 7000 ms");
        let missing = Readiness { ready: 2, ..quick };
        assert!(missing.is_notable());
        let sentence = "2 of 3 clients were ready when the load began, after 20 ms; the others open during it";
        assert_eq!(missing.to_string(), sentence);
    }
}
