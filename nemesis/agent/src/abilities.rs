//! The abilities of this node, found by harmless tests rather than by versions.
use crate::cgroup::{self, Cgroup};
use crate::disk::Disks;
use crate::state_dir::StateDir;
use crate::sys::{self, Settable};
use crate::{clock, launch, limits, memory, nft, packet_queue};
use dsfuzz_nemesis::protocol::ability::{self, Ability, NodeSize};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Tests everything.
pub(crate) fn abilities(state_dir: &StateDir, disks: &Disks) -> Vec<Ability> {
    let uid = sys::effective_uid();
    let root = if uid == 0 { Ok("user id 0".to_owned()) } else { Err(format!("user id {uid}")) };
    vec![
        able(ability::ROOT, root),
        able(ability::USERS, other_user()),
        able(ability::NFT, scratch_table(state_dir, "")),
        able(ability::NFT_TIMEOUT, scratch_table(state_dir, TIMED_SET)),
        able(ability::NFT_REJECT, scratch_table(state_dir, REJECTS)),
        able(ability::NFT_PACKET, packets(state_dir)),
        able(ability::NFQUEUE, queue(state_dir)),
        able(
            ability::CGROUP2,
            cgroup::root().map(|root| root.display().to_string()).ok_or("no cgroup2 is mounted".to_owned()),
        ),
        able(
            ability::FREEZE,
            freeze(state_dir).map_err(|reason| format!("{reason}; pauses stop processes with SIGSTOP instead")),
        ),
        able(ability::VDSO_CLOCK, clock::rehearse()),
        able(ability::STEP_CLOCK, step_clock()),
        able(ability::TC, program("tc")),
        able(ability::DISK_LAYER, disks.rehearse()),
        able(ability::LIMITS, limits::rehearse()),
        able(
            ability::CPU_MAX,
            controller(state_dir, "cpu", "cpu.max", "1000 100000")
                .map_err(|reason| format!("{reason}; CPU limits stop and continue processes in turns instead")),
        ),
        able(
            ability::MEMORY_MAX,
            controller(state_dir, "memory", "memory.max", "1048576")
                .map_err(|reason| format!("{reason}; memory limits are soft limits of each process instead")),
        ),
        able(ability::CPUS, Ok(cpus().to_string())),
        able(
            ability::MEMORY_BYTES,
            memory::node_bytes().map(|bytes| bytes.to_string()).ok_or("it cannot be read".to_owned()),
        ),
        able(
            ability::DISK_FREE_BYTES,
            sys::free_bytes(state_dir.dir()).map(|bytes| bytes.to_string()).map_err(|error| error.to_string()),
        ),
    ]
}

/// The size of this node.
pub(crate) fn size() -> NodeSize {
    NodeSize { cpus: Some(cpus()), memory_bytes: memory::node_bytes() }
}

fn cpus() -> u64 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u64)
}

fn able(name: &str, outcome: Result<String, String>) -> Ability {
    let able = outcome.is_ok();
    let detail = outcome.unwrap_or_else(|reason| reason);
    Ability { name: name.to_owned(), able, detail }
}

/// A set of expiring elements.
const TIMED_SET: &str = "add set {table} s { type ipv4_addr; flags timeout; }
add element {table} s { 192.0.2.1 timeout 300ms }
";
/// Rules that refuse packets of an address that only documentation has.
const REJECTS: &str = "add chain {table} c { type filter hook prerouting priority -300; }
add rule {table} c ip saddr 192.0.2.1 meta l4proto tcp reject with tcp reset
add rule {table} c ip saddr 192.0.2.1 reject
";

/// Rules of packet faults for packets of an address that only documentation has.
const PACKETS: &str = "add chain {table} c { type filter hook prerouting priority -310; }
add counter {table} n
add rule {table} c ip saddr 192.0.2.1 numgen random mod 1000 < 300 counter name n drop
add rule {table} c ip saddr 192.0.2.1 numgen inc mod 4 0 counter name n drop
add rule {table} c ip saddr 192.0.2.1 numgen random mod 1000 < 300 @th,320,8 set @th,320,8 ^ 0x55 counter name n
add rule {table} c ip saddr 192.0.2.1 limit rate over 1000 bytes/second burst 3000 bytes counter name n drop
add rule {table} c ip saddr 192.0.2.1 meta length > 1000 counter name n drop
";
/// A rule that duplicates packets of that address.
const DUPLICATES: &str = "add chain {table} c { type filter hook prerouting priority -310; }
add rule {table} c ip saddr 192.0.2.1 dup to ip daddr
";

/// The rules of packet faults.
fn packets(state_dir: &StateDir) -> Result<String, String> {
    scratch_table(state_dir, PACKETS)?;
    scratch("ip", state_dir, DUPLICATES, |_| Ok(()))
}

/// A queue of packets, and the rule that fills it.
fn queue(state_dir: &StateDir) -> Result<String, String> {
    scratch("inet", state_dir, "add chain {table} c\n", |table| packet_queue::rehearse(table, "c"))?;
    Ok("a queue was opened, filled by a rule, and closed".to_owned())
}

/// Makes a table with these objects, and removes it.
fn scratch_table(state_dir: &StateDir, objects: &str) -> Result<String, String> {
    scratch("inet", state_dir, objects, |_| Ok(()))
}

/// The same in this family, with a step while the table is there.
fn scratch(
    family: &str,
    state_dir: &StateDir,
    objects: &str,
    step: impl FnOnce(&str) -> Result<(), String>,
) -> Result<String, String> {
    let table = format!("{family} dsfuzz_probe_{}", state_dir.tag());
    let objects = objects.replace("{table}", &table);
    // The proof of a cut reads its table, which needs an nft with JSON output.
    let made = nft::script(&format!("add table {table}\n{objects}")).map_err(without_capability).and_then(|()| {
        match nft::list(&table) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(format!("nft: the table {table} was made and is not there")),
            Err(reason) => Err(format!(
                "{reason}; dsfuzz reads tables back with `nft -j`, which this nft cannot (was it built without JSON?)"
            )),
        }
    });
    let made = made.and_then(|()| step(&table));
    let removed = nft::script(&format!("add table {table}\ndelete table {table}\n"));
    made.and(removed).map(|()| "a scratch table was made and removed".to_owned())
}

/// Names the capability that a container must be given.
fn without_capability(reason: String) -> String {
    if reason.contains("Operation not permitted") {
        let how = "docker and podman: --cap-add NET_ADMIN; a pod: securityContext.capabilities.add";
        return format!("{reason}; programs on this node have no CAP_NET_ADMIN ({how})");
    }
    reason
}

/// Freezes and thaws a child in a scratch cgroup.
fn freeze(state_dir: &StateDir) -> Result<String, String> {
    let root = cgroup::root().ok_or("no cgroup2 is mounted")?;
    let cgroup = Cgroup::make(&root.join(state_dir.tag()).join("+probe"))?;
    let outcome = freeze_in(&cgroup);
    cgroup.remove();
    outcome
}

fn freeze_in(cgroup: &Cgroup) -> Result<String, String> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("witness").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    sys::set_up(&mut command, sys::ChildSetup { cgroup: Some(cgroup.entrance()?), ..sys::ChildSetup::default() });
    let mut child = command.spawn().map_err(|error| format!("a child to test with: {error}"))?;
    let outcome = cgroup.freeze(true).and_then(|()| cgroup.freeze(false));
    drop(child.kill());
    drop(child.wait());
    outcome.map(|()| "a child was frozen and thawed".to_owned())
}

/// Limits a scratch cgroup without processes.
fn controller(state_dir: &StateDir, controller: &str, file: &str, value: &str) -> Result<String, String> {
    let root = cgroup::root().ok_or("no cgroup2 is mounted")?;
    let cgroup = Cgroup::make(&root.join(state_dir.tag()).join("+limits"))?;
    let set = cgroup.enable(controller).and_then(|()| cgroup.set(file, value));
    let read = cgroup.get(file);
    cgroup.remove();
    set?;
    if read == value {
        return Ok(format!("{file} of a scratch cgroup was written and read back"));
    }
    Err(format!("{file} of a scratch cgroup was set to {value} and reads {read}"))
}

/// Runs a program as another user than root.
fn other_user() -> Result<String, String> {
    const OTHER: u32 = 1;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", ":"]).current_dir("/").uid(OTHER).gid(OTHER);
    match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(_) => Ok(format!("a program ran as user {OTHER}")),
        Err(error) => Err(format!(
            "no program runs as user {OTHER}: {error} (a lab without root with one user: install uidmap, and give yourself a range \
             in /etc/subuid and /etc/subgid)"
        )),
    }
}

fn step_clock() -> Result<String, String> {
    match sys::clock_settable() {
        Settable::Yes => Ok("the kernel would let the clock be set".to_owned()),
        Settable::Protected => Err("the kernel does not let the clock be set".to_owned()),
        Settable::Unknown(answer) => Err(answer),
    }
}

fn program(name: &str) -> Result<String, String> {
    let found = launch::PATH.split(':').map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
    found.map(|path| path.display().to_string()).ok_or_else(|| format!("{name} is not installed"))
}
