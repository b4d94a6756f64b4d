//! Checkers of a run as a whole, by its faults, roles and processes: leaders, members, the sides of cuts, recovery, crashes. And
//! [`evidence`]: what the faults of a run did to its calls.
pub(crate) mod availability;
pub(crate) mod crashes;
pub(crate) mod evidence;
pub(crate) mod leadership;
pub(crate) mod liveness;
pub(crate) mod membership;
pub(crate) mod sides;
pub(crate) mod split_brain;

pub use crashes::CRASHES;
