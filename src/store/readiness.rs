//! [`Readiness`]: how long the load waited for its clients, as a note in the record says it.
use std::time::Duration;

/// How the clients of the plan became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// The plan's clients.
    pub(crate) clients: usize,
    /// Those that were open in time.
    pub(crate) ready: usize,
    /// How long the load waited for them.
    pub(crate) took: Duration,
}

impl Readiness {
    /// The clients that were ready, all of them, and the milliseconds that the load waited: of a note that [`Readiness::told`] made.
    pub(crate) fn read(note: &str) -> Option<(usize, usize, u64)> {
        let number = |text: &str| text.parse::<u64>().ok();
        let (head, tail) = note.split_once(" ms").filter(|_| note.contains(" clients were ready"))?;
        let (clients, took) = head.rsplit_once("after ")?;
        let known = tail.is_empty() || tail.starts_with("; the others");
        let mut counts = clients.split_whitespace().filter_map(number).map(|count| count as usize);
        let (first, second) = (counts.next()?, counts.next());
        known.then_some((first, second.unwrap_or(first), number(took)?))
    }

    /// One sentence for the record, where it took long enough to matter, or where a client is missing.
    pub(crate) fn told(&self) -> Option<String> {
        let Readiness { clients, ready, took } = *self;
        let took_ms = took.as_millis();
        if ready < clients {
            return Some(format!(
                "{ready} of {clients} clients were ready when the load began, after {took_ms} ms; the others open during it"
            ));
        }
        (took >= Duration::from_secs(1))
            .then(|| format!("the load began when all {clients} clients were ready, after {took_ms} ms"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_read_back() {
        let of = |clients, ready| Readiness { clients, ready, took: Duration::from_secs(7) }.told().unwrap_or_default();
        assert_eq!(Readiness::read(&of(3, 3)), Some((3, 3, 7000)));
        assert_eq!(Readiness::read(&of(30, 4)), Some((4, 30, 7000)));
        assert_eq!(Readiness::read("clock offset -12.5 ms"), None);
    }

    #[test]
    fn what_takes_no_time_is_not_told() {
        let readiness = Readiness { clients: 3, ready: 3, took: Duration::from_millis(20) };
        assert_eq!(readiness.told(), None);
        let slow = Readiness { took: Duration::from_secs(7), ..readiness };
        assert_eq!(slow.told().as_deref(), Some("the load began when all 3 clients were ready, after 7000 ms"));
    }
}
