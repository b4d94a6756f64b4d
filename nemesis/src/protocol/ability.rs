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
/// The number of CPUs, as the detail.
pub const CPUS: &str = "cpus";
/// Bytes of memory that the node's processes can have together, as the detail.
pub const MEMORY_BYTES: &str = "memory-bytes";
/// Bytes that are free in the agent's folder, as the detail.
pub const DISK_FREE_BYTES: &str = "disk-free-bytes";

/// All names, in the agent's order.
pub const ALL: [&str; 19] = [
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
    CPUS,
    MEMORY_BYTES,
    DISK_FREE_BYTES,
];

/// Busy processes for each CPU, at most.
const BUSY_EACH_CPU: u64 = 4;

/// The size of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeSize {
    /// CPUs; none if the number is not known.
    pub cpus: Option<u64>,
    /// Bytes of memory that its processes can have together; none if that is not known.
    pub memory_bytes: Option<u64>,
}

impl NodeSize {
    /// The size that an agent reports.
    pub fn of(abilities: &[Ability]) -> NodeSize {
        let number = |name: &str| abilities.iter().find(|ability| ability.name == name)?.detail.parse().ok();
        // A soft limit is of virtual memory, which may be more than the node has.
        let soft = abilities.iter().any(|ability| ability.name == MEMORY_MAX && !ability.able);
        NodeSize { cpus: number(CPUS), memory_bytes: number(MEMORY_BYTES).filter(|_| !soft) }
    }

    /// The reason why so few CPUs cannot have this number of busy processes.
    pub fn too_busy(&self, processes: u32) -> Option<String> {
        let cpus = self.cpus?;
        let most = cpus.saturating_mul(BUSY_EACH_CPU);
        let sentence = format!("{processes} busy processes on a node with {cpus} CPUs: at most {most}, four for each");
        (u64::from(processes) > most).then_some(sentence)
    }

    /// The reason why nothing feels a limit of this number of bytes.
    pub fn too_roomy(&self, bytes: u64) -> Option<String> {
        let memory = self.memory_bytes.filter(|memory| bytes >= *memory)?;
        Some(format!("{bytes} bytes are no limit on a node with {memory} bytes of memory: name fewer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_says_what_is_beyond_it() {
        let ability =
            |name: &str, detail: &str| Ability { name: name.to_owned(), able: true, detail: detail.to_owned() };
        let size = NodeSize::of(&[ability(CPUS, "2"), ability(MEMORY_BYTES, "1000"), ability(ROOT, "user id 0")]);
        assert_eq!(size, NodeSize { cpus: Some(2), memory_bytes: Some(1000) });
        assert_eq!((size.too_busy(8), size.too_roomy(999)), (None, None));
        let why = "9 busy processes on a node with 2 CPUs: at most 8, four for each";
        assert_eq!(size.too_busy(9).as_deref(), Some(why));
        let why = "1000 bytes are no limit on a node with 1000 bytes of memory: name fewer";
        assert_eq!(size.too_roomy(1000).as_deref(), Some(why));
        let unknown = NodeSize::of(&[ability(MEMORY_BYTES, "not known")]);
        assert_eq!((unknown.too_busy(u32::MAX), unknown.too_roomy(u64::MAX)), (None, None));
    }
}
