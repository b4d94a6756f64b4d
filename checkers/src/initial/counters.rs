//! What a counter may have begun with: a number with which every reply agrees.
use super::bounds::{Addition, Bounds};
use crate::history::{Op, Outcome};

/// An operation that shows the number before it, and by how much it changed that itself.
#[derive(Clone, Copy)]
pub(crate) struct Shows<'h> {
    pub(crate) op: Op<'h>,
    pub(crate) before: i128,
    pub(crate) by: i128,
}

/// The least and the greatest number with which every reply agrees if a counter began with it, by the bounds of its additions,
/// those that were refused among them. `None` where there is no such number, and where none above 0 is needed: a refused addition
/// that took effect all the same is a nearer reason, and less than was acknowledged is a loss.
pub(crate) fn beginnings<'h>(mut additions: Vec<Addition<'h>>, shows: &[Shows<'h>]) -> Option<(i64, i64)> {
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

fn allowed<'h>(additions: Vec<Addition<'h>>, shows: &[Shows<'h>]) -> Option<(i128, i128)> {
    let bounds = Bounds::new(0, additions);
    let mut allowed = (i128::MIN, i128::MAX);
    for show in shows {
        let (least, most) = bounds.of(&show.op);
        // Its own change comes after what it shows.
        let (least, most) = (least - show.by.min(0), most - show.by.max(0));
        allowed = (allowed.0.max(show.before - most), allowed.1.min(show.before - least));
    }
    (!shows.is_empty() && allowed.0 <= allowed.1).then_some(allowed)
}
