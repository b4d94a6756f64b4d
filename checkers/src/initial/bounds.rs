//! [`Bounds`]: the least and the most that a read of a counter may return, by prefix sums over calls and replies.
use crate::history::{Op, Outcome};

/// An addition that may have happened.
#[derive(Clone, Copy)]
pub(crate) struct Addition<'h> {
    pub(crate) op: Op<'h>,
    pub(crate) amount: i128,
}

/// Sums of the positive and of the negative amounts up to an index, exclusive of it.
struct Sums {
    indices: Vec<u64>,
    positive: Vec<i128>,
    negative: Vec<i128>,
}

impl Sums {
    /// From pairs of an index and an amount, sorted by the index.
    fn new(amounts: &[(u64, i128)]) -> Sums {
        let mut sums = Sums { indices: Vec::new(), positive: vec![0], negative: vec![0] };
        let (mut positive, mut negative) = (0, 0);
        for &(index, amount) in amounts {
            positive += amount.max(0);
            negative += amount.min(0);
            sums.indices.push(index);
            sums.positive.push(positive);
            sums.negative.push(negative);
        }
        sums
    }

    fn before(&self, index: u64) -> (i128, i128) {
        let at = self.indices.partition_point(|&other| other < index);
        (self.positive[at], self.negative[at])
    }
}

/// What the additions allow.
pub(crate) struct Bounds<'h> {
    initial: i128,
    additions: Vec<Addition<'h>>,
    called: Sums,
    acknowledged: Sums,
}

impl<'h> Bounds<'h> {
    /// From the additions in the order of their calls.
    pub(crate) fn new(initial: i128, additions: Vec<Addition<'h>>) -> Bounds<'h> {
        let called: Vec<(u64, i128)> = additions.iter().map(|addition| (addition.op.call, addition.amount)).collect();
        let mut acknowledged: Vec<(u64, i128)> = additions
            .iter()
            .filter(|addition| addition.op.outcome == Outcome::Ok)
            .map(|addition| (addition.op.reply, addition.amount))
            .collect();
        acknowledged.sort_unstable();
        Bounds { initial, called: Sums::new(&called), acknowledged: Sums::new(&acknowledged), additions }
    }

    /// The least and the most that this read may return.
    pub(crate) fn of(&self, read: &Op<'_>) -> (i128, i128) {
        let (surely_more, surely_less) = self.acknowledged.before(read.call);
        let (maybe_more, maybe_less) = self.called.before(read.reply);
        (self.initial + surely_more + maybe_less, self.initial + surely_less + maybe_more)
    }

    /// Why a read cannot have returned this: as few as possible of the acknowledged additions that push it away from the
    /// value, largest first, and all that may pull it there.
    pub(crate) fn reasons(&self, read: &Op<'_>, value: i128, below: bool) -> (Vec<Op<'h>>, Vec<Op<'h>>) {
        let sign = if below { 1 } else { -1 };
        let pushes = |addition: &&Addition<'_>| sign * addition.amount > 0;
        let pulls: Vec<&Addition<'_>> = self
            .additions
            .iter()
            .filter(|addition| sign * addition.amount < 0 && addition.op.call < read.reply)
            .collect();
        let acknowledged =
            |addition: &&Addition<'_>| addition.op.outcome == Outcome::Ok && addition.op.reply < read.call;
        let mut certain: Vec<&Addition<'_>> = self.additions.iter().filter(pushes).filter(acknowledged).collect();
        certain.sort_by_key(|addition| (std::cmp::Reverse(sign * addition.amount), addition.op.call));
        let mut distance =
            sign * (self.initial - value) + pulls.iter().map(|addition| sign * addition.amount).sum::<i128>();
        let mut needed = Vec::new();
        for addition in certain {
            if distance > 0 {
                break;
            }
            distance += sign * addition.amount;
            needed.push(addition.op);
        }
        (needed, pulls.iter().map(|addition| addition.op).collect())
    }
}
