//! [`most_at_once`]: whether anything was contended. Where no more was ever wanted at once than there is, no system could fail.
use std::collections::HashMap;

/// A wish for permits, from its call until nothing of it is held any more.
pub(super) struct Want {
    pub(super) session: u32,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) permits: u64,
}

/// The most permits that are wanted at one moment; none if only one session ever wants any. `exclusive`: each session wants one at
/// the most, however often it asks.
pub(super) fn most_at_once(wants: impl Iterator<Item = Want>, exclusive: bool) -> Option<u64> {
    let wants: Vec<Want> = wants.collect();
    let first = wants.first()?.session;
    wants.iter().find(|want| want.session != first)?;
    // At one moment an end comes before a begin.
    let mut steps: Vec<(u64, bool, u32, u64)> = wants
        .iter()
        .filter(|want| want.from < want.to)
        .flat_map(|want| [(want.from, true, want.session, want.permits), (want.to, false, want.session, want.permits)])
        .collect();
    steps.sort_unstable();
    let mut of_session: HashMap<u32, u64> = HashMap::new();
    let (mut wanted, mut most) = (0u64, 0);
    for (_, begins, session, permits) in steps {
        let own = of_session.entry(session).or_default();
        let before = if exclusive { (*own).min(1) } else { *own };
        *own = if begins { own.saturating_add(permits) } else { own.saturating_sub(permits) };
        let after = if exclusive { (*own).min(1) } else { *own };
        wanted = wanted.saturating_sub(before).saturating_add(after);
        most = most.max(wanted);
    }
    Some(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(wants: &[(u32, u64, u64, u64)], exclusive: bool) -> Option<u64> {
        let want = |&(session, from, to, permits): &(u32, u64, u64, u64)| Want { session, from, to, permits };
        most_at_once(wants.iter().map(want), exclusive)
    }

    #[test]
    fn what_one_session_alone_wants_is_not_contended() {
        assert_eq!(most(&[], true), None);
        assert_eq!(most(&[(1, 0, 5, 1), (1, 2, 9, 1)], true), None);
    }

    #[test]
    fn wishes_that_do_not_meet_do_not_add_up() {
        assert_eq!(most(&[(1, 0, 5, 1), (2, 5, 9, 1)], true), Some(1));
        assert_eq!(most(&[(1, 0, 6, 1), (2, 5, 9, 1)], true), Some(2));
        // A session that asks again wants the same lock.
        assert_eq!(most(&[(1, 0, 6, 1), (1, 1, 7, 1), (2, 8, 9, 1)], true), Some(1));
        assert_eq!(most(&[(1, 0, 6, 2), (1, 1, 7, 1), (2, 8, 9, 1)], false), Some(3));
        assert_eq!(most(&[(1, 0, u64::MAX, u64::MAX), (2, 3, 4, 7)], false), Some(u64::MAX));
    }
}
