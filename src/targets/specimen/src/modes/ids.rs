//! Unique ids from time and node, as in Snowflake.
//!
//! **Promise.** No id is given twice.
//!
//! An id is the time in milliseconds, then the node, then a counter within the millisecond. The time may stand still and may be set
//! back; an id must not. So a node goes on from the greatest time that it has ever used, and before it uses a time, a later one is
//! on its disk.
//!
//! **Mistake.** `clock-steps-back`: the node takes the time as the clock shows it. A clock that is set back gives it again.
//!
//! **Source.** Twitter's Snowflake (2010) refuses to work until the clock has caught up.
use crate::call::{Call, Outcome, Ticket};
use crate::node::{Mode, Node, Status};

/// The file with the time up to which ids may have been given.
const RESERVED: &str = "reserved";
/// How far ahead times are reserved, so that not every id waits for the disk.
const AHEAD_MS: i64 = 1_000;
/// Ids of a node within a millisecond.
const PER_MS: i64 = 1 << 12;
/// Nodes.
const NODES: i64 = 1 << 10;

/// A node that gives ids.
pub struct Ids {
    /// The time of the last id.
    time: i64,
    /// Its number within the millisecond.
    sequence: i64,
    /// No later time is used before a later one is stored.
    reserved: i64,
}

impl Mode for Ids {
    type Message = ();
    const OBJECTS: &'static [&'static str] = &["ids"];
    const MISTAKES: &'static [&'static str] = &["clock-steps-back"];

    fn start(node: &mut Node<()>) -> Ids {
        let reserved = node.disk.load(RESERVED).unwrap_or(0);
        Ids { time: reserved, sequence: 0, reserved }
    }

    fn call(&mut self, node: &mut Node<()>, ticket: Ticket, _: Call) {
        let wall = node.wall_ms();
        let time = if node.mistake("clock-steps-back") {
            wall // MISTAKE: the same time comes again after the clock was set back.
        } else {
            wall.max(self.time)
        };
        self.sequence = if time == self.time { self.sequence + 1 } else { 0 };
        self.time = time + self.sequence / PER_MS;
        self.sequence %= PER_MS;
        if self.time >= self.reserved {
            self.reserved = self.time + AHEAD_MS;
            node.disk.store(RESERVED, &self.reserved);
        }
        let id = (self.time * NODES + node.me() as i64) * PER_MS + self.sequence;
        node.reply(ticket, Outcome::Ok(id.into()));
    }

    fn message(&mut self, _: &mut Node<()>, _: usize, (): ()) {}

    fn tick(&mut self, _: &mut Node<()>) {}

    fn status(&self, _: &Node<()>) -> Status {
        Status { role: "peer", term: None, holds: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::Simulation;
    use dsfuzz_checkers::Validity;
    use serde_json::Value as Json;

    /// The verdict after a clock was set back and a node started again.
    fn verdict(mistake: &str) -> Validity {
        let mut nodes: Simulation<Ids> = Simulation::new(3, mistake, &[], 1);
        for round in 0..40 {
            match round {
                20 => nodes.set_clock_back(1, 150),
                30 => nodes.restart(1),
                _ => {}
            }
            for node in 0..3 {
                nodes.call(node, "ids", "generate", Json::Null, Json::Null);
            }
            nodes.pass(10);
        }
        nodes.judge("unique-ids", &[]).validity
    }

    #[test]
    fn ids_are_unique_although_a_clock_is_set_back() {
        assert_eq!(verdict("none"), Validity::Valid);
        assert_eq!(verdict("clock-steps-back"), Validity::Invalid);
    }
}
