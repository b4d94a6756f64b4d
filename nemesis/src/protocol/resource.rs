//! [`ResourceLimit`]: how much of a resource the processes of services may have, and what an agent found before it limited them.
use serde::{Deserialize, Serialize};

/// How much of a resource each process, or all processes of a service together, may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceLimit {
    /// Bytes of memory.
    Memory(u64),
    /// Bytes of memory beyond what is used before the injection.
    MemoryHeadroom(u64),
    /// A soft limit of open files.
    Descriptors(u64),
    /// Further files that a process can open.
    SpareDescriptors(u64),
}

impl ResourceLimit {
    /// Whether it limits memory; else it limits open files.
    pub fn is_of_memory(self) -> bool {
        matches!(self, ResourceLimit::Memory(_) | ResourceLimit::MemoryHeadroom(_))
    }

    /// Whether it leaves no more than the other does; not of limits in different terms.
    pub(super) fn is_at_most(self, other: ResourceLimit) -> bool {
        match (self, other) {
            (ResourceLimit::Memory(mine), ResourceLimit::Memory(its))
            | (ResourceLimit::MemoryHeadroom(mine), ResourceLimit::MemoryHeadroom(its))
            | (ResourceLimit::Descriptors(mine), ResourceLimit::Descriptors(its))
            | (ResourceLimit::SpareDescriptors(mine), ResourceLimit::SpareDescriptors(its)) => mine <= its,
            _ => false,
        }
    }
}

/// A process whose soft limit an agent lowers. Only id and start together name one process of a boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitedProcess {
    /// Its service.
    pub service: String,
    /// Its process id.
    pub pid: u32,
    /// Its start in clock ticks since boot.
    pub start: u64,
    /// The soft limit before; the largest number stands for none.
    pub before: u64,
    /// The soft limit in the fault.
    pub limit: u64,
}

/// A service whose control group is limited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitedGroup {
    /// The service.
    pub service: String,
    /// The limit in the fault.
    pub limit: u64,
}
