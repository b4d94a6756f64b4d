//! [`DiskEffect`]: how a disk that is not well answers its calls, and [`DiskDamage`]: what it does to files.
use serde::{Deserialize, Serialize};

/// How calls to files fail or wait while a fault of a disk is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskEffect {
    /// Writes that need room fail with ENOSPC, and so does making files. What is overwritten in place is written.
    Full,
    /// Changes fail with EROFS.
    ReadOnly,
    /// Reads and writes wait.
    Slow {
        /// Each read that the kernel does not answer from its memory.
        read_ms: u64,
        /// Each write.
        write_ms: u64,
    },
    /// Syncs wait.
    SlowSync {
        /// Each sync.
        by_ms: u64,
    },
    /// Calls of a kind fail by chance.
    Errors {
        /// The kind.
        on: DiskCall,
        /// Chance of each call, in percent.
        percent: u8,
        /// The error.
        code: DiskError,
    },
}

/// A kind of call to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiskCall {
    /// Reads that the kernel does not answer from its memory.
    Read,
    /// Writes.
    Write,
    /// `fsync` and its like. What it should have made safe never will be, unless it is written again.
    #[default]
    Fsync,
}

impl DiskCall {
    /// Its name in plans.
    pub fn name(self) -> &'static str {
        match self {
            DiskCall::Read => "read",
            DiskCall::Write => "write",
            DiskCall::Fsync => "fsync",
        }
    }
}

/// An error of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DiskError {
    /// Input/output error.
    #[default]
    Eio,
    /// No space left on device.
    Enospc,
    /// Disk quota exceeded.
    Edquot,
    /// Read-only file system.
    Erofs,
}

impl DiskError {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            DiskError::Eio => "EIO",
            DiskError::Enospc => "ENOSPC",
            DiskError::Edquot => "EDQUOT",
            DiskError::Erofs => "EROFS",
        }
    }

    /// Its number on Linux.
    pub fn number(self) -> i32 {
        match self {
            DiskError::Eio => 5,
            DiskError::Enospc => 28,
            DiskError::Erofs => 30,
            DiskError::Edquot => 122,
        }
    }
}

/// What is done to files of a target that is not running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskDamage {
    /// Bits are flipped, each anywhere in all files.
    BitFlip {
        /// How many.
        bits: u32,
    },
    /// A file, drawn from all, loses its end.
    Truncate {
        /// At most this many bytes.
        bytes: u64,
    },
    /// All files are as they were before the load.
    OldCopy,
}
