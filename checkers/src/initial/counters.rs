//! What a counter may have begun with: a number with which every reply agrees.
use super::bounds::{Addition, Bounds};
use crate::history::{Op, Outcome};

/// An operation that shows the number of a counter before it, and by how much it changed the number itself.
#[derive(Clone, Copy)]
pub(crate) struct NumberSeen<'h> {
    pub(crate) op: Op<'h>,
    pub(crate) before: i128,
    pub(crate) by: i128,
}

/// The least and the greatest number with which every reply agrees if a counter began with it, by the bounds of its additions,
/// those that were refused among them. `None` where there is no such number, and where none above 0 is needed: a refused addition
/// that took effect all the same is a nearer reason, and less than was acknowledged is a loss.
pub(crate) fn beginnings<'h>(mut additions: Vec<Addition<'h>>, shows: &[NumberSeen<'h>]) -> Option<(i64, i64)> {
    additions.sort_by_key(|addition| addition.op.call);
    let refused = |addition: &Addition<'_>| addition.op.outcome == Outcome::Fail;
    if additions.iter().any(refused) && allowed(additions.clone(), shows).is_some_and(|(least, _)| least <= 0) {
        return None;
    }
    additions.retain(|addition| !refused(addition));
    let (least, most) = allowed(additions, shows)?;
    let least = i64::try_from(least).ok().filter(|least| *least > 0)?;
    Some((least, i64::try_from(most).unwrap_or(i64::MAX)))
}

/// The least and the greatest number with which every reply agrees, whatever they are. The additions are in the order of their
/// calls.
pub(crate) fn allowed<'h>(additions: Vec<Addition<'h>>, shows: &[NumberSeen<'h>]) -> Option<(i128, i128)> {
    let bounds = Bounds::new(0, additions);
    let mut allowed = (i128::MIN, i128::MAX);
    for show in shows {
        let (least, most) = before(&bounds, show);
        allowed = (allowed.0.max(show.before - most), allowed.1.min(show.before - least));
    }
    (!shows.is_empty() && allowed.0 <= allowed.1).then_some(allowed)
}

/// The least and the most that additions make before what the operation shows: its own change comes after it.
fn before(bounds: &Bounds<'_>, show: &NumberSeen<'_>) -> (i128, i128) {
    let (least, most) = bounds.of(&show.op);
    (least - show.by.min(0), most - show.by.max(0))
}

/// Two operations that contradict each other whatever the number was at first.
pub(crate) struct ContradictingPair<'h> {
    /// The other shows too many changes since this one, or too few.
    pub(crate) from: NumberSeen<'h>,
    pub(crate) to: NumberSeen<'h>,
    /// Whether `changes` is the most that can have come between them, or (false) the least that came between them.
    pub(crate) most: bool,
    pub(crate) changes: i128,
    /// Those changes.
    pub(crate) between: Vec<Op<'h>>,
}

/// The first two operations, by their replies, that contradict each other whatever the counter began with. All additions have to
/// be 1.
pub(crate) fn contradicting_pair<'h>(
    mut additions: Vec<Addition<'h>>,
    mut shows: Vec<NumberSeen<'h>>,
) -> Option<ContradictingPair<'h>> {
    additions.sort_by_key(|addition| addition.op.call);
    shows.sort_by_key(|show| show.op.reply);
    let bounds = Bounds::new(0, additions.clone());
    // The operations that need the largest number to begin with, and the smallest.
    let mut large: Option<(i128, NumberSeen<'h>)> = None;
    let mut small: Option<(i128, NumberSeen<'h>)> = None;
    for show in shows {
        let (least, most) = before(&bounds, &show);
        let (at_least, at_most) = (show.before - most, show.before - least);
        if large.is_none_or(|(number, _)| at_least > number) {
            large = Some((at_least, show));
        }
        if small.is_none_or(|(number, _)| at_most < number) {
            small = Some((at_most, show));
        }
        if let (Some((at_least, high)), Some((at_most, low))) = (large, small)
            && at_least > at_most
        {
            return Some(between(&bounds, &additions, low, high));
        }
    }
    None
}

/// The second shows more than the first although too few changes came between, or no fewer although some came after it.
fn between<'h>(
    bounds: &Bounds<'h>,
    additions: &[Addition<'h>],
    low: NumberSeen<'h>,
    high: NumberSeen<'h>,
) -> ContradictingPair<'h> {
    let changes = before(bounds, &high).1 - before(bounds, &low).0;
    let certain = |op: &Op<'h>| op.outcome == Outcome::Ok && op.reply < low.op.call;
    let possible = |op: &Op<'h>| op.call < high.op.reply && op.call != high.op.call;
    let all = additions.iter().map(|addition| addition.op);
    if changes >= 0 {
        let between = all.filter(|op| possible(op) && !certain(op)).collect();
        ContradictingPair { from: low, to: high, most: true, changes, between }
    } else {
        let between = all.filter(|op| certain(op) && !possible(op)).collect();
        ContradictingPair { from: high, to: low, most: false, changes: -changes, between }
    }
}
