//! [`Claim`]: which run has a node, and the file on the node in which that stands.
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The folder of the claims on a node, where it can be written.
pub const CLAIMS_DIR: &str = "/run/dsfuzz";
/// How long a claim whose control node is not heard of may still be there: a lease, and a little.
pub const SILENT_MAX: Duration = Duration::from_secs(12);
/// How long an agent that ends may take to heal.
pub const ENDING_MAX: Duration = Duration::from_secs(30);

/// The name of a claim's file: of the lock (`lock`), of its [`ClaimFile`] (`json`). `network`: the inode of the node's
/// network namespace.
pub fn claim_file_name(network: u64, ending: &str) -> String {
    format!("node-{network}.{ending}")
}

/// Who has, or asks for, a node: one run (or `heal`, `doctor`) of one control node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimant {
    /// Its name: plan and time.
    pub run: String,
    /// The control node's host name.
    pub host: String,
    /// Tells one program from another, also where two runs have one name. Empty: nothing is claimed (only tests).
    pub token: String,
}

/// How a node is asked for in [`Request::Hello`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimEntry {
    /// For the first time: refused while another has it.
    #[default]
    First,
    /// After a connection was lost: refused where another has had the node since.
    Again,
    /// For the first time, ending the run that has it.
    TakeOver,
    /// Not at all: the run that was evicted says that its clients are closed, which whoever evicted it waits for.
    Gone,
}

/// Who has a node, or had it last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Who.
    pub by: Claimant,
    /// Since when, nanoseconds since 1970 by the node's clock.
    pub since_ns: i64,
    /// When the control node was last heard of, by the same clock.
    pub renewed_ns: i64,
}

/// The file beside the lock of a claim. The claim is in force as long as the lock is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimFile {
    /// Who has the node.
    pub claim: Claim,
    /// The agent that holds the lock: process id and start.
    pub agent: (u32, u64),
    /// The agent is healing and will end.
    pub ending: bool,
    /// The run ended in order, or never had clients: none of them will touch the target again.
    #[serde(default)]
    pub over: bool,
    /// Runs that had the node before and did not end in order: nobody has waited for their clients yet.
    #[serde(default)]
    pub earlier: Vec<Claim>,
}
