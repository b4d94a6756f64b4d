//! [`Ability`]: an ability of a node, and the names of all abilities that an agent tests.
use serde::{Deserialize, Serialize};

/// One ability of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ability {
    /// One of the names of this module.
    pub name: String,
    /// Whether the node can.
    pub able: bool,
    /// The reason why not, or the observation.
    pub detail: String,
}

/// The agent runs as root.
pub const ROOT: &str = "root";
/// Programs can run as another user than root.
pub const USERS: &str = "users";
/// `nft` makes, lists and deletes a table.
pub const NFT: &str = "nft";
/// Elements of sets in `nft` expire.
pub const NFT_TIMEOUT: &str = "nft-timeout";
/// Rules in `nft` reject packets on arrival.
pub const NFT_REJECT: &str = "nft-reject";
/// Rules in `nft` lose, double, damage, count and limit packets.
pub const NFT_PACKET: &str = "nft-packet";
/// The kernel has queues of packets that a program serves, and rules that fill them.
pub const NFQUEUE: &str = "nfqueue";
/// Services can have a cgroup of version 2.
pub const CGROUP2: &str = "cgroup2";
/// Such a cgroup can be frozen.
pub const FREEZE: &str = "freeze";
/// The vDSO of a process can be patched.
pub const VDSO_CLOCK: &str = "vdso-clock";
/// The kernel lets the clock be set.
pub const STEP_CLOCK: &str = "step-clock";
/// The program `tc` is there.
pub const TC: &str = "tc";
/// A file system of ours (FUSE) can be laid over a folder.
pub const DISK_LAYER: &str = "disk-layer";
/// The soft limits of a running process can be lowered and raised.
pub const LIMITS: &str = "limits";
/// A cgroup of version 2 can limit the CPU time of its processes.
pub const CPU_MAX: &str = "cpu-max";
/// A cgroup of version 2 can limit the memory of its processes.
pub const MEMORY_MAX: &str = "memory-max";
/// Bytes that are free in the agent's folder, as the detail.
pub const DISK_FREE_BYTES: &str = "disk-free-bytes";

/// All names, in the agent's order.
pub const ALL: [&str; 17] = [
    ROOT,
    USERS,
    NFT,
    NFT_TIMEOUT,
    NFT_REJECT,
    NFT_PACKET,
    NFQUEUE,
    CGROUP2,
    FREEZE,
    VDSO_CLOCK,
    STEP_CLOCK,
    TC,
    DISK_LAYER,
    LIMITS,
    CPU_MAX,
    MEMORY_MAX,
    DISK_FREE_BYTES,
];
