//! Cgroup v2 folders of labs: found through mountinfo, removed depth-first.
//!
//! Never: cgroup v1, and never a folder that a lab did not make.
use anyhow::{Context, Result, bail};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Prefix of labs' folders, which end with the process id of the supervisor.
const PREFIX: &str = "dsfuzz-lab-";
/// The leaf cgroup for a node's init, sshd and agents, so that leaves beside it may have controllers.
pub(super) const INIT_LEAF: &str = "init";

/// The mount point of cgroup v2.
pub(super) fn mount_point() -> Result<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("reading /proc/self/mountinfo")?;
    match mounted_at(&text) {
        Some(path) => Ok(path),
        None => bail!("no cgroup v2 file system is mounted; try: mount -t cgroup2 cgroup2 /sys/fs/cgroup"),
    }
}

fn mounted_at(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let path = PathBuf::from(unescaped(before.split(' ').nth(4)?));
        (after.split(' ').next()? == "cgroup2").then_some(path)
    })
}

/// Mountinfo writes blanks as `\040`.
fn unescaped(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

/// The folder of a lab. Without root: in the cgroup of this process, if that was delegated to its user; else none.
pub(super) fn of_lab(name: &str, supervisor: u32, root: bool) -> Result<Option<PathBuf>> {
    let folder = format!("{PREFIX}{name}-{supervisor}");
    if root {
        return Ok(Some(mount_point()?.join(folder)));
    }
    Ok(delegated().map(|own| own.join(folder)))
}

/// The cgroup of this process, if its user may make others in it and move processes.
fn delegated() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?.trim_start_matches('/').to_owned();
    let folder = mount_point().ok()?.join(path);
    let writable = |path: &Path| nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok();
    (writable(&folder) && writable(&folder.join("cgroup.procs"))).then_some(folder)
}

/// The process on this host that is process 1 of a node of a lab with cgroups.
pub(super) fn node_init(lab: &Path, node: &str) -> Result<u32> {
    let file = lab.join(node).join(INIT_LEAF).join("cgroup.procs");
    let pids =
        fs::read_to_string(&file).with_context(|| format!("{node} is not running: reading {}", file.display()))?;
    let is_init = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default().to_owned();
        ids.split_whitespace().count() >= 3 && ids.split_whitespace().last() == Some("1")
    };
    match pids.lines().find(|pid| is_init(pid)) {
        Some(pid) => Ok(pid.parse()?),
        None => bail!("{node} is not running: no process in {} is its first", file.display()),
    }
}

/// Removes a lab's folder and all below it, and kills the processes in it.
pub(super) fn remove(lab: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        if !lab.exists() {
            return Ok(());
        }
        // Absent before kernel 5.14; then the end of the PID namespace kills them.
        let _ = fs::write(lab.join("cgroup.kill"), "1");
        match remove_below(lab) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("removing the cgroup {}", lab.display()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn remove_below(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_below(&entry.path())?;
        }
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Folders of root's labs without a supervisor and without a process.
pub(super) fn leftovers() -> Vec<PathBuf> {
    let Ok(entries) = mount_point().and_then(|mount| Ok(fs::read_dir(mount)?)) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path()).filter(|path| is_leftover(path)).collect()
}

fn is_leftover(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let supervisor = name.strip_prefix(PREFIX).and_then(|rest| rest.rsplit_once('-')?.1.parse::<u32>().ok());
    let empty = || fs::read_to_string(path.join("cgroup.events")).is_ok_and(|events| events.contains("populated 0"));
    supervisor.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) && empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup2_is_found_wherever_it_is_mounted() {
        let hybrid = "36 31 0:35 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mounted_at(hybrid), Some(PathBuf::from("/sys/fs/cgroup/uni fied")));
        assert_eq!(mounted_at("36 31 0:35 / /x rw - cgroup cgroup rw,pids\n"), None);
    }
}
