//! The protocol between the control node and the agent on a node.
//!
//! The agent speaks on its standard input and output. After start it prints [`GREETING`] (what a login shell printed
//! before is skipped), then both sides send frames: two big-endian `u32` lengths (JSON, blob), the JSON, the blob. A
//! request has an id; replies come in any order. Blobs carry file content in chunks of at most [`BLOB_BYTES_MAX`].
//!
//! The agent holds a lease: every frame from the control node renews it. When it runs out, or the channel closes, the
//! agent heals everything it did and ends. Its guardian does so if the agent itself is killed.
pub mod ability;
mod claim;
mod disk_effect;
mod injection;
mod packets;
mod resource;
mod selection;

pub use ability::Ability;
pub use claim::{CLAIMS_DIR, Claim, ClaimEntry, ClaimFile, Claimant, ENDING_MAX, SILENT_MAX, claim_file_name};
pub use disk_effect::{DiskCall, DiskDamage, DiskEffect, DiskError};
pub use injection::{DROPPED, Injection, InjectionFacts, LEFT_BEHIND, Leftover, OwnCommands, OwnProcesses};
pub use packets::{CutHow, HeardVolley, PacketCounts, PacketEffect, PacketMatch, Volley};
pub use resource::{LimitedGroup, LimitedProcess, ResourceLimit};
pub use selection::{Only, PickedProcess, ProcessSelection};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::IpAddr;

/// Version of this protocol. Both sides must have the same.
pub const PROTOCOL_VERSION: u32 = 1;
/// The agent's output before its first frame.
pub const GREETING: &[u8] = b"\n<<dsfuzz-agent 1>>\n";
/// The port on which agents hear pings, UDP and TCP, unless the plan names another.
pub const PING_PORT: u16 = 17_077;
/// Largest JSON part of a frame.
pub const JSON_BYTES_MAX: usize = 8 << 20;
/// Largest blob of a frame.
pub const BLOB_BYTES_MAX: usize = 256 << 10;

/// From the control node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestFrame {
    /// Chosen by the control node; comes back in the reply.
    pub id: u64,
    /// The request.
    pub body: Request,
}

/// From the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResponseFrame {
    /// The request's id.
    pub id: u64,
    /// The response.
    pub body: Response,
}

/// A request of the control node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// First request. Answer: [`Response::Hello`].
    Hello {
        /// [`PROTOCOL_VERSION`].
        version: u32,
        /// The lease.
        lease_ms: u64,
        /// The run's name in the undo journal.
        run: String,
        /// The run that asks for the node. Answer [`Response::Taken`] if another run holds it.
        #[serde(default)]
        claim: Claimant,
        /// The kind of claim.
        #[serde(default)]
        entry: ClaimEntry,
    },
    /// Renews the lease. Answer: [`Response::Done`].
    Heartbeat,
    /// Runs a command to its end. Answer: [`Response::Ran`]. The whole process group is killed at the deadline.
    Run(Command),
    /// Defines a service (replacing one of the same name) without starting it. Answer: [`Response::Done`].
    Define(Service),
    /// Starts a defined service in its own session and cgroup; it outlives the agent. Answer: [`Response::Started`].
    Start {
        /// Its name.
        service: String,
        /// Use [`Service::restart`] where it has one.
        again: bool,
    },
    /// Signals a service's processes, waits, then kills those left. Answer: [`Response::Done`].
    Stop {
        /// Its name.
        service: String,
        /// The signal to begin with, e.g. 15.
        signal: i32,
        /// How long to wait before SIGKILL.
        grace_ms: u64,
    },
    /// The processes of every defined service. Answer: [`Response::Services`].
    Services,
    /// Deaths of services' processes since this run holds the node, with their traces. Answer: [`Response::Deaths`].
    Deaths {
        /// Also search the services' folders for core files, which reads folders.
        cores: bool,
    },
    /// Writes a chunk (the blob) of a file at an offset; offset 0 creates or truncates, folders are made.
    /// Answer: [`Response::Done`].
    Write {
        /// Absolute path.
        path: String,
        /// Offset.
        offset: u64,
        /// Permission bits, e.g. 0o644.
        mode: u32,
        /// Owner's name, or none to leave it.
        owner: Option<String>,
    },
    /// Reads a chunk of a file. Answer: [`Response::Chunk`] with the bytes as blob.
    Read {
        /// Absolute path.
        path: String,
        /// Offset.
        offset: u64,
        /// At most this many bytes.
        bytes: u32,
    },
    /// Files that match a path with `*` in its last part. Answer: [`Response::Files`].
    List {
        /// Absolute path, `*` allowed in the last part.
        pattern: String,
    },
    /// Waits for new lines of logs in which a regular expression is found. Answer: [`Response::Followed`], at the first such line
    /// or when the time is up.
    Follow {
        /// Absolute paths, `*` allowed in the last part.
        logs: Vec<String>,
        /// Regular expressions for a part of a line.
        patterns: Vec<String>,
        /// The positions of the earlier answer. None: nothing is awaited, and the answer has the present ends of the files.
        positions: Option<BTreeMap<String, u64>>,
        /// How long to wait; at most 10 s.
        wait_ms: u64,
    },
    /// Injects a fault. The undo is journalled first. Answer: [`Response::Injected`].
    #[serde(rename = "act")]
    Inject {
        /// The fault's id; several injections may share it.
        fault: u64,
        /// The injection.
        #[serde(rename = "act")]
        injection: Injection,
    },
    /// Is the fault in force here? Answer: [`Response::Proof`].
    Prove {
        /// The fault's id.
        fault: u64,
    },
    /// Undoes the fault here and proves it. Safe to repeat; an unknown id is proven gone. Answer: [`Response::Proof`].
    Undo {
        /// The fault's id.
        fault: u64,
    },
    /// Undoes everything in the journal, of this run and of others. Answer: [`Response::Proof`].
    UndoAll,
    /// Self-heals of the agent, its guardian or an earlier agent, and the faults left in the journal.
    /// Answer: [`Response::Undone`].
    Undone,
    /// The addresses of this node's interfaces. Answer: [`Response::Addresses`].
    Addresses,
    /// Sends datagrams to the agents of peers. Answer: [`Response::Pinged`] once they are sent.
    Ping {
        /// The round's number.
        round: u64,
        /// This node's name, carried in the datagrams.
        from: String,
        /// Targets, each with the sender's own address.
        to: Vec<PingTarget>,
        /// Datagrams to each.
        count: u32,
    },
    /// Number of a round's datagrams that arrived here, by sender and addresses. Answer: [`Response::Heard`].
    Heard {
        /// The round's number.
        round: u64,
    },
    /// Sends a volley of datagrams to the agents of peers. Answer: [`Response::Pinged`] once all are sent.
    Volley {
        /// The volley.
        volley: Volley,
        /// Targets, each with the sender's own address.
        to: Vec<PingTarget>,
    },
    /// The volleys of a round that arrived here. Answer: [`Response::HeardVolleys`].
    HeardVolleys {
        /// The round's number.
        round: u64,
    },
    /// Opens TCP connections and closes them at once. Answer: [`Response::Reached`] when all are open or the time is up.
    Reach {
        /// Targets, each with the sender's own address.
        to: Vec<PingTarget>,
        /// How long to wait for the handshakes.
        wait_ms: u64,
    },
    /// Lays layers over these folders, in which a target keeps its data, and takes those over others away. What is in the
    /// folders is safe from a power loss then. Answer: [`Response::Done`].
    DiskLayers {
        /// The folders. None: no layer is left.
        folders: Vec<DiskFolder>,
    },
    /// The services' clocks and the node's own. Answer: [`Response::Clocks`].
    Clocks,
    /// The abilities of this node, tested harmlessly. Answer: [`Response::Abilities`].
    Abilities,
    /// Waits until the clients of the node's previous run are gone, if that run did not end properly. Answer:
    /// [`Response::Clients`].
    AwaitClients,
    /// Ends the agent properly; services go on unless `stop_services`. Answer: [`Response::Done`].
    Bye {
        /// Stop all services first.
        stop_services: bool,
    },
}

/// The end of a service's process that the harness neither stopped nor killed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// The service.
    pub service: String,
    /// Its process id.
    pub pid: u32,
    /// The start of that process, in clock ticks since boot. Together with the id it is unique.
    pub start: u64,
    /// `exit 3`, `signal 6 (SIGABRT)`; empty if it was not seen.
    pub how: String,
    /// The kernel reports a core file.
    pub core: bool,
    /// The end lies between these, nanoseconds on the node's boot-time clock.
    pub earliest_ns: u64,
    /// Not after.
    pub latest_ns: u64,
    /// Its running time in milliseconds.
    pub ran_ms: u64,
    /// It was a restart, not the first start.
    pub again: bool,
    /// Out-of-memory kills of the service's processes while it ran, by the count of its cgroup or by a message of the kernel
    /// that names the process.
    pub oom_kills: u64,
    /// The count belongs to the whole machine and may include other processes.
    pub oom_of_machine: bool,
    /// The last lines of its log.
    pub log: Vec<String>,
}

/// A core file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreFile {
    /// The service in whose folder it is.
    pub service: String,
    /// Its path.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// The time of its last write, nanoseconds on the node's boot-time clock.
    pub written_ns: u64,
}

/// A command to run to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments; one element alone is a script for `/bin/sh`.
    pub argv: Vec<String>,
    /// Extra environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working folder; empty: `/`.
    #[serde(default)]
    pub cwd: String,
    /// User to run as; empty: the agent's.
    #[serde(default)]
    pub user: String,
    /// Deadline.
    pub deadline_ms: u64,
}

/// A process that the agent starts and that outlives it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name: letters, digits, `-`, `_`.
    pub name: String,
    /// Program and arguments; one element alone is a script for `/bin/sh` (which should `exec`).
    pub argv: Vec<String>,
    /// The command for a restart; empty: `argv`.
    #[serde(default)]
    pub restart: Vec<String>,
    /// Extra environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working folder; empty: `/`.
    #[serde(default)]
    pub cwd: String,
    /// User to run as; empty: the agent's.
    #[serde(default)]
    pub user: String,
    /// File to which its output is appended.
    pub log: String,
}

/// A folder under a layer: data that are not synced can be lost in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskFolder {
    /// Absolute path.
    pub path: String,
    /// Files in it that are always safe and never fail, such as logs that the harness reads; `*` allowed in the last part.
    pub exempt: Vec<String>,
    /// Keep a copy of its files as they are, for [`DiskDamage::OldCopy`].
    #[serde(default)]
    pub copy: bool,
}

/// A response of the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// Answer to Hello.
    Hello {
        /// [`PROTOCOL_VERSION`].
        version: u32,
        /// The kernel's boot id.
        boot_id: String,
        /// Kernel release.
        kernel: String,
        /// Machine architecture, e.g. `x86_64`.
        arch: String,
        /// UDP and TCP port on which it hears pings.
        ping_port: u16,
        /// Process id of the agent, and of its guardian.
        pids: (u32, u32),
    },
    /// Answer to Hello: another run holds the node, or held it since.
    Taken(Claim),
    /// Answer to Deaths.
    Deaths {
        /// Ended processes, oldest first; at most as many as an agent keeps.
        deaths: Vec<Death>,
        /// Out-of-memory kills since the start of each service, if its cgroup counts them.
        oom_kills: BTreeMap<String, u64>,
        /// Core files, if they were requested.
        cores: Vec<CoreFile>,
        /// Nanoseconds on the node's boot-time clock now.
        now_ns: u64,
    },
    /// Answer to AwaitClients: the run that has not reported in time that its clients are gone.
    Clients(Option<Claimant>),
    /// Done.
    Done,
    /// Refused or failed. Holds a sentence.
    Failed(String),
    /// Answer to Run.
    Ran {
        /// Exit status; none when killed by a signal or at the deadline.
        status: Option<i32>,
        /// First mebibyte of standard output.
        stdout: String,
        /// First mebibyte of standard error.
        stderr: String,
        /// It was killed at the deadline.
        late: bool,
    },
    /// Answer to Start: the first process.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// Answer to Services: names, process ids, and whether they are stopped or frozen.
    Services(Vec<ServiceState>),
    /// Answer to Read.
    Chunk {
        /// The file's whole size now.
        size: u64,
    },
    /// Answer to List: path and size.
    Files(Vec<(String, u64)>),
    /// Answer to Follow.
    Followed {
        /// The lines, once for each pattern that is found in them.
        lines: Vec<FollowedLine>,
        /// How far each file was read.
        positions: BTreeMap<String, u64>,
    },
    /// Answer to Inject.
    Injected {
        /// One sentence for each step.
        detail: Vec<String>,
    },
    /// Answer to Prove, Undo, UndoAll.
    Proof(Proof),
    /// Answer to Undone.
    Undone {
        /// The self-heals.
        by_itself: Vec<SelfHeal>,
        /// Faults still in the journal.
        left: Vec<u64>,
        /// Nanoseconds on the node's boot-time clock now.
        now_ns: u64,
    },
    /// Answer to Addresses: those of all interfaces that are up, in both families, without loopback addresses. A link-local IPv6
    /// address is included only if its interface has another address too.
    Addresses(Vec<IpAddr>),
    /// Answer to Ping: positions of the targets to which sending failed, with the error.
    Pinged {
        /// Position in the request, and the kernel's error.
        unsent: Vec<(usize, String)>,
    },
    /// Answer to Heard.
    Heard(Vec<HeardPing>),
    /// Answer to HeardVolleys.
    HeardVolleys(Vec<HeardVolley>),
    /// Answer to Reach.
    Reached {
        /// Positions with a completed handshake.
        open: Vec<usize>,
        /// Positions with a refused handshake: the address answers.
        refused: Vec<usize>,
    },
    /// Answer to Clocks.
    Clocks {
        /// The node's own wall clock, nanoseconds since 1970.
        node_ns: i64,
        /// Services: offset of their wall clock from the node's, nanoseconds.
        shifts_ns: BTreeMap<String, i64>,
    },
    /// Answer to Abilities.
    Abilities(Vec<Ability>),
}

/// One pair of addresses to try.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PingTarget {
    /// The sender's own address; none: the kernel chooses.
    #[serde(default)]
    pub source: Option<IpAddr>,
    /// The receiver's address.
    pub address: IpAddr,
    /// The receiver's port.
    pub port: u16,
}

/// Datagrams that arrived between one pair of addresses. The sender named the addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardPing {
    /// The sender's name.
    pub from: String,
    /// [`PingTarget::source`].
    #[serde(default)]
    pub source: Option<IpAddr>,
    /// [`PingTarget::address`].
    pub address: IpAddr,
    /// Number of datagrams.
    pub count: u32,
}

/// A line of a log in which a pattern is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowedLine {
    /// The file.
    pub log: String,
    /// The position of the pattern in the request.
    pub pattern: usize,
    /// Its first 500 characters.
    pub line: String,
}

/// The state of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Its name.
    pub name: String,
    /// Its processes.
    pub pids: Vec<u32>,
    /// Stopped or frozen.
    pub paused: bool,
    /// End of its first process, if known: `exit 1`, `signal 9`.
    pub ended: String,
}

/// A proof: whether it holds, and the observations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// For Prove: in force. For Undo: gone.
    pub holds: bool,
    /// The observations, one sentence each.
    pub detail: Vec<String>,
    /// Packets dropped so far by the fault's rule.
    pub dropped_packets: u64,
    /// The counts of its `packet` injections.
    #[serde(default)]
    pub counts: Vec<PacketCounts>,
}

/// An undo without a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfHeal {
    /// The fault.
    pub fault: u64,
    /// The run it belonged to.
    pub run: String,
    /// The reason: `channel closed`, `lease ran out`, `agent died`, `reboot`.
    pub why: String,
    /// Earliest time, on the node's boot-time clock (nanoseconds).
    pub earliest_ns: u64,
    /// Not after.
    pub latest_ns: u64,
    /// Whether it was proven gone.
    pub holds: bool,
}

/// The begin of the name under which `dsfuzz heal` claims a node.
pub const HEAL_RUN: &str = "heal/";

/// Writes one frame.
pub fn write_frame(writer: &mut impl Write, body: &impl Serialize, blob: &[u8]) -> io::Result<()> {
    let json = serde_json::to_vec(body)?;
    let lengths = [length(json.len(), JSON_BYTES_MAX)?, length(blob.len(), BLOB_BYTES_MAX)?];
    let mut frame = Vec::with_capacity(8 + json.len() + blob.len());
    lengths.iter().for_each(|length| frame.extend_from_slice(&length.to_be_bytes()));
    frame.extend_from_slice(&json);
    frame.extend_from_slice(blob);
    writer.write_all(&frame)?;
    writer.flush()
}

/// Reads one frame; none at a proper end between frames.
pub fn read_frame<T: for<'de> Deserialize<'de>>(reader: &mut impl Read) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut head = [0u8; 8];
    let mut got = 0;
    while got < head.len() {
        match reader.read(&mut head[got..])? {
            0 if got == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => got += more,
        }
    }
    let (json_bytes, blob_bytes) = frame_lengths(head)?;
    let mut json = vec![0u8; json_bytes];
    reader.read_exact(&mut json)?;
    let mut blob = vec![0u8; blob_bytes];
    reader.read_exact(&mut blob)?;
    Ok(Some((serde_json::from_slice(&json)?, blob)))
}

/// The two lengths in a frame's first 8 bytes; too large ones are refused.
pub fn frame_lengths(head: [u8; 8]) -> io::Result<(usize, usize)> {
    let json = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let blob = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
    length(json, JSON_BYTES_MAX)?;
    length(blob, BLOB_BYTES_MAX)?;
    Ok((json, blob))
}

fn length(bytes: usize, max: usize) -> io::Result<u32> {
    if bytes > max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame part of {bytes} bytes; at most {max}"),
        ));
    }
    u32::try_from(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_wire() {
        let mut wire = Vec::new();
        let request = RequestFrame {
            id: 7,
            body: Request::Inject { fault: 3, injection: Injection::Drop { from: vec![[10, 0, 0, 1].into()] } },
        };
        write_frame(&mut wire, &request, b"blob").expect("written");
        let mut reader = wire.as_slice();
        let (back, blob): (RequestFrame, _) = read_frame(&mut reader).expect("read").expect("a frame");
        assert_eq!((back, blob.as_slice()), (request, b"blob".as_slice()));
        assert!(read_frame::<RequestFrame>(&mut reader).expect("read").is_none());
    }

    #[test]
    fn oversized_and_torn_frames_are_errors() {
        let mut huge: &[u8] = &[0xff; 8];
        assert!(read_frame::<RequestFrame>(&mut huge).is_err());
        let mut torn: &[u8] = &[0, 0, 0];
        assert!(read_frame::<RequestFrame>(&mut torn).is_err());
    }
}
