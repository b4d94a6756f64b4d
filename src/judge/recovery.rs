//! Recovery: how soon calls were Ok again on each node after the last heal. Measured in every run; a plan may demand a time
//! (`nemesis.recovery`), which the checker `liveness` judges. Pure.
use crate::plan::LIVENESS;
use dsfuzz_checkers::{Fault, History, Options, Outcome, Value};
use dsfuzz_nemesis::options::RecoveryDemand;

/// The checker of a demanded recovery.
pub(super) fn judged(demand: RecoveryDemand) -> (String, Options) {
    let within = Value::text(&demand.within.to_string());
    (LIVENESS.to_owned(), Options([("recover".to_owned(), within)].into()))
}

/// The times from the last heal to the first Ok call on each node that was made after it, in milliseconds; none: no call was Ok.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recovery {
    /// The fault that was healed last.
    pub(super) fault: String,
    /// By node, in their order.
    pub(super) nodes: Vec<(String, Option<u64>)>,
}

/// The recovery after the last heal. None: no fault was healed, or one may still be in force.
pub(super) fn measure(history: &History) -> Option<Recovery> {
    let ends = history.faults.iter().filter_map(|fault| Some((fault, fault.possible()?.1)));
    let (last, healed): (&Fault, u64) = ends.max_by_key(|(_, end)| *end)?;
    if healed == u64::MAX {
        return None;
    }
    let since = history.ops().partition_point(|op| op.call_time < healed);
    let first_ok = |node: &String| {
        let ok = history.ops().skip(since).iter().filter(|op| !op.settle && op.outcome == Outcome::Ok);
        let times = ok.filter(|op| history.name(op.node) == node).map(|op| op.reply_time);
        times.min().map(|time| (time - healed) / 1_000_000)
    };
    let nodes = history.nodes.iter().map(|node| (node.clone(), first_ok(node))).collect();
    Some(Recovery { fault: last.label(), nodes })
}

impl Recovery {
    /// The longest time; none if some node had no Ok call.
    pub(super) fn slowest(&self) -> Option<u64> {
        self.nodes.iter().map(|(_, time)| *time).collect::<Option<Vec<u64>>>()?.into_iter().max()
    }

    /// Each node with its time.
    pub(super) fn words(&self) -> String {
        let one = |(node, time): &(String, Option<u64>)| match time {
            Some(time) => format!("{node} {time}"),
            None => format!("{node} never in the load"),
        };
        self.nodes.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}
