//! [`Claim`]: the run that holds a node, and the file of the claim on the node.
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The folder of the claims on a node, if it is writable.
pub const CLAIMS_DIR: &str = "/run/dsfuzz";
/// Longest life of a claim whose control node is silent: a lease, and a little.
pub const SILENT_MAX: Duration = Duration::from_secs(12);
/// Longest time in which an ending agent heals.
pub const ENDING_MAX: Duration = Duration::from_secs(30);

/// The name of a claim's file: of the lock (`lock`), of its [`ClaimFile`] (`json`). `network`: the inode of the node's
/// network namespace.
pub fn claim_file_name(network: u64, ending: &str) -> String {
    format!("node-{network}.{ending}")
}

/// The holder of a node, or the one that asks for it: a run, `heal` or `doctor` of one control node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimant {
    /// Its name: plan and time.
    pub run: String,
    /// The control node's host name.
    pub host: String,
    /// Identifies the program, also if two runs have one name. Empty: nothing is claimed (tests only).
    pub token: String,
}

/// The kind of claim in [`Request::Hello`](super::Request::Hello).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimEntry {
    /// For the first time: refused while another run holds the node.
    #[default]
    First,
    /// After a lost connection: refused if another run held the node since.
    Again,
    /// For the first time, ending the run that holds it.
    TakeOver,
    /// No claim: an evicted run reports that its clients are closed, for which its successor waits.
    Gone,
}

/// The present or last holder of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The holder.
    pub by: Claimant,
    /// Begin of the claim, nanoseconds since 1970 by the node's clock.
    pub since_ns: i64,
    /// Time of the control node's last message, by the same clock.
    pub renewed_ns: i64,
    /// The faults that the node still undoes after the end of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undoing: Vec<String>,
}

/// The file beside the lock of a claim. The claim is in force as long as the lock is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimFile {
    /// The claim.
    pub claim: Claim,
    /// The agent that holds the lock: process id and start.
    pub agent: (u32, u64),
    /// The agent is healing and will end.
    pub ending: bool,
    /// The run ended properly, or never had clients: none of them will touch the target again.
    #[serde(default)]
    pub over: bool,
    /// Previous runs without a proper end, for whose clients no run has waited yet.
    #[serde(default)]
    pub earlier: Vec<Claim>,
}
