//! Checkers of a run as a whole, by its faults, roles and processes: leaders, the sides of cuts, recovery, crashes. And
//! [`evidence`]: what the faults of a run did to its calls.
pub mod availability;
pub(crate) mod crashes;
pub mod evidence;
pub mod leadership;
pub mod liveness;
pub mod sides;
pub mod split_brain;

pub use crashes::CRASHES;
