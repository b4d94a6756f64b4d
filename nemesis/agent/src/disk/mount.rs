//! Mounting and unmounting a layer: by this process where it may, else by the helper that a lab has for each node.
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::time::Duration;

/// The device of FUSE.
const DEVICE: &str = "/dev/fuse";
/// The type of our mounts.
pub(super) const KIND: &str = "fuse.dsfuzz";
/// The name of the lab's helper, in the network namespace of a node.
const HELPER: &[u8] = b"dsfuzz-lab-mount";
/// How long the helper may take.
const HELPING: Duration = Duration::from_secs(10);

/// Opens the device of a new layer.
pub(super) fn open_device() -> Result<File, String> {
    OpenOptions::new().read(true).write(true).open(DEVICE).map_err(|error| {
        let cure = if error.raw_os_error() == Some(libc::EACCES) {
            format!("in a lab without root, the machine's root must open it to users: chmod 666 {DEVICE}")
        } else {
            format!("a container must be given the device (docker and podman: --device {DEVICE})")
        };
        format!("{DEVICE}: {error}; {cure}")
    })
}

/// Mounts a layer over a folder.
pub(super) fn mount_over(folder: &Path, device: &File) -> Result<(), String> {
    let options =
        format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", device.as_raw_fd());
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    match mount(Some("dsfuzz"), folder, Some(KIND), flags, Some(options.as_str())) {
        Ok(()) => Ok(()),
        Err(nix::Error::EPERM) => help("mount", folder, Some(device)),
        Err(error) => Err(format!("mounting over {}: {error}", folder.display())),
    }
}

/// Unmounts the layer over a folder, also if it is in use: its users keep it, and new ones see the folder below.
pub(super) fn unmount(folder: &Path) -> Result<(), String> {
    while is_mounted(folder) {
        match umount2(folder, MntFlags::empty()).or_else(|_| umount2(folder, MntFlags::MNT_DETACH)) {
            Ok(()) => {}
            Err(nix::Error::EPERM) => help("unmount", folder, None)?,
            Err(error) => return Err(format!("unmounting {}: {error}", folder.display())),
        }
    }
    Ok(())
}

/// Whether the layer of this device and of this number is the topmost mount on a folder, and not one that was laid later.
pub(super) fn is_topmost(folder: &Path, device: &File, number: &str) -> bool {
    // While a device is connected, no other file system has its number.
    let mut polled = [PollFd::new(device.as_fd(), PollFlags::empty())];
    let connected = poll(&mut polled, PollTimeout::ZERO).is_ok()
        && polled[0].revents().is_some_and(|events| !events.contains(PollFlags::POLLERR));
    // The connection of one that is mounted may have been aborted.
    let fails = || std::fs::read_dir(folder).is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN));
    layer_number(folder).as_deref() == Some(number) && (connected || fails())
}

/// The number of the topmost mount's file system on a folder, if that is a layer.
pub(super) fn layer_number(folder: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    topmost(&mounts, folder).filter(|(_, kind)| *kind == KIND).map(|(number, _)| number.to_owned())
}

/// Whether the topmost mount on a folder is a layer.
pub(super) fn is_mounted(folder: &Path) -> bool {
    layer_number(folder).is_some()
}

/// Whether certainly no layer is the topmost mount on a folder.
pub(super) fn is_bare(folder: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo");
    mounts.is_ok_and(|mounts| topmost(&mounts, folder).is_none_or(|(_, kind)| kind != KIND))
}

/// The topmost mount on a folder: the number of its file system, and its type.
fn topmost<'a>(mounts: &'a str, folder: &Path) -> Option<(&'a str, &'a str)> {
    let folder = folder.to_string_lossy();
    let of = |line: &'a str| {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?.replace("\\040", " ");
        (point == folder).then(|| Some((left.split(' ').nth(2)?, right.split(' ').next()?))).flatten()
    };
    mounts.lines().filter_map(of).next_back()
}

/// Asks the lab's helper.
fn help(what: &str, folder: &Path, device: Option<&File>) -> Result<(), String> {
    let lacking = format!(
        "programs on this node may not mount (docker and podman: --cap-add SYS_ADMIN; a pod: securityContext.capabilities.add), \
         so no layer can be laid over {}",
        folder.display()
    );
    let address = SocketAddr::from_abstract_name(HELPER).map_err(|error| error.to_string())?;
    let mut stream = UnixStream::connect_addr(&address).map_err(|_| lacking)?;
    let say = |error: std::io::Error| format!("the lab's helper for mounts: {error}");
    stream.set_read_timeout(Some(HELPING)).map_err(say)?;
    let text = format!("{what} {}", folder.display());
    let descriptors: Vec<i32> = device.iter().map(|device| device.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let rights = if descriptors.is_empty() { &rights[..0] } else { &rights[..] };
    sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(text.as_bytes())], rights, MsgFlags::empty(), None)
        .map_err(|error| say(error.into()))?;
    stream.shutdown(std::net::Shutdown::Write).map_err(say)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(say)?;
    if answer == "done" { Ok(()) } else { Err(format!("the lab's helper for mounts: {answer}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topmost_mount_decides() {
        let below = "40 1 8:1 / /var/lib/a\\040b rw - ext4 /dev/x rw\n";
        let above = "41 40 0:9 / /var/lib/a\\040b rw - fuse.dsfuzz dsfuzz rw\n";
        let folder = Path::new("/var/lib/a b");
        assert_eq!(topmost(&format!("{below}{above}"), folder), Some(("0:9", KIND)));
        assert_eq!(topmost(&format!("{above}{below}"), folder), Some(("8:1", "ext4")));
        assert_eq!(topmost(above, Path::new("/var/lib/a")), None);
    }
}
