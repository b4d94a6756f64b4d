//! Takes that found nothing: each needs an instant at which no value is certainly inside.
use super::ContainerDecision;
use super::spans::{Spans, chain};

/// A conflict, if some take found nothing although values were inside all the time.
///
/// Sufficient, whatever the order in which the container gives back: the instants chosen cut the history; each value
/// belongs to the stretch in which its put ends, which its take reaches too, or the value would be inside at the cut after it.
pub(super) fn conflict(spans: &Spans) -> Option<ContainerDecision> {
    let mut inside: Vec<(u64, u64)> = spans.values.iter().map(|span| (span.put_to, span.take_from)).collect();
    inside.retain(|(from, to)| from < to);
    inside.sort_unstable();
    // Stretches in which at all times some value is inside, the ends not included.
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    for (from, to) in inside {
        match stretches.last_mut() {
            Some((_, end)) if from < *end => *end = to.max(*end),
            _ => stretches.push((from, to)),
        }
    }
    for empty in &spans.empties {
        let at = stretches.partition_point(|(from, _)| *from <= empty.from);
        let Some(&(from, to)) = at.checked_sub(1).and_then(|at| stretches.get(at)) else { continue };
        if from <= empty.from && empty.to <= to {
            let mut places = spans.places(&chain(spans.values.iter(), empty.from, empty.to));
            places.push(empty.place);
            return Some(ContainerDecision::Conflict(places));
        }
    }
    None
}
