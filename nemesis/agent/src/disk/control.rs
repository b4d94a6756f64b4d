//! The messages between an agent and the layer over a folder, and the socket that carries them.
use dsfuzz_nemesis::protocol::{DiskDamage, DiskEffect, read_frame, write_frame};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Deadline of an answer. A loss of much data reads and writes all of it.
const ANSWER: Duration = Duration::from_secs(20);

/// A request to a layer. Every answer is a [`LayerStatus`] or a sentence.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LayerRequest {
    /// Its state.
    Status,
    /// Makes everything safe from a power loss.
    SyncAll {
        /// Keep a copy of all files as they are.
        copy: bool,
    },
    /// Loses what is not synced, for this fault. A repeated one does nothing.
    LosePower(PowerLossOrder),
    /// Begins a fault. A repeated one does nothing.
    Disturb {
        /// The fault.
        fault: u64,
        /// What calls meet.
        effect: DiskEffect,
        /// Decides which calls fail.
        seed: u64,
    },
    /// Ends a fault.
    Calm {
        /// The fault.
        fault: u64,
    },
    /// Damages files. A repeated one does nothing.
    Damage(DamageOrder),
}

/// How files are damaged.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct DamageOrder {
    /// The fault.
    pub(crate) fault: u64,
    /// Decides which bytes.
    pub(crate) seed: u64,
    /// The damage.
    pub(crate) damage: DiskDamage,
}

/// What was done to files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct DamageRecord {
    /// The fault.
    pub(crate) fault: u64,
    /// In words.
    pub(crate) detail: String,
    /// How the damage shows.
    pub(crate) checks: Vec<DamageCheck>,
}

/// How damage to a file shows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct DamageCheck {
    /// The file, relative to the folder.
    pub(crate) name: String,
    /// Its size.
    pub(crate) size: u64,
    /// A byte of it, by its offset.
    pub(crate) byte: Option<(u64, u8)>,
}

/// How power is lost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct PowerLossOrder {
    /// The fault.
    pub(crate) fault: u64,
    /// Decides which sectors survive.
    pub(crate) seed: u64,
    /// Chance of each sector, in percent.
    pub(crate) torn: u8,
}

/// What one power loss took.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PowerLossRecord {
    /// The fault.
    pub(crate) fault: u64,
    /// Files that lost data.
    pub(crate) files: u64,
    /// Bytes they lost.
    pub(crate) bytes: u64,
    /// Bytes that were not synced and survived.
    pub(crate) kept_bytes: u64,
    /// Changes of names that were taken back.
    pub(crate) names: u64,
    /// Changes of names that were not synced and survived.
    pub(crate) kept_names: u64,
    /// Some of the files that lost data, with their sizes now.
    pub(crate) examples: Vec<(String, u64)>,
}

/// The state of a layer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct LayerStatus {
    /// Its process.
    pub(crate) pid: u32,
    /// Files with data that are not synced.
    pub(crate) unsynced_files: u64,
    /// Bytes of those.
    pub(crate) unsynced_bytes: u64,
    /// Changes of names that are not synced.
    pub(crate) unsynced_names: u64,
    /// The power losses so far, the last ones.
    pub(crate) losses: Vec<PowerLossRecord>,
    /// The faults that calls meet now.
    pub(crate) effects: Vec<u64>,
    /// The damages so far, the last ones.
    pub(crate) damages: Vec<DamageRecord>,
}

/// Asks the layer at a socket.
pub(super) fn ask(socket: &Path, request: &LayerRequest) -> Result<LayerStatus, String> {
    let say = |error: io::Error| format!("layer at {}: {error}", socket.display());
    let mut stream = UnixStream::connect(socket).map_err(say)?;
    stream.set_read_timeout(Some(ANSWER)).map_err(say)?;
    stream.set_write_timeout(Some(ANSWER)).map_err(say)?;
    write_frame(&mut stream, request, &[]).map_err(say)?;
    match read_frame::<Result<LayerStatus, String>>(&mut stream).map_err(say)? {
        Some((answer, _)) => answer,
        None => Err(format!("layer at {}: it closed the channel", socket.display())),
    }
}

/// Answers one connection.
pub(super) fn answer(mut stream: UnixStream, act: impl Fn(LayerRequest) -> Result<LayerStatus, String>) {
    drop(stream.set_read_timeout(Some(ANSWER)));
    if let Ok(Some((request, _))) = read_frame::<LayerRequest>(&mut stream) {
        drop(write_frame(&mut stream, &act(request), &[]));
    }
}
