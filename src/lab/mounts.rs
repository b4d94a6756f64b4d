//! The helper for mounts of a node: it lays file systems of our own (FUSE) over folders below [`DATA_DIR`] and takes them away, since
//! no process in a node may mount.
//!
//! Never: mounts anything else, or anywhere else. What it mounts has no devices and no set-user-ID programs, and is served by a
//! process in the node.
use super::DATA_DIR;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, getsockopt, recvmsg, sockopt::PeerCredentials};
use std::io::{IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

/// Its address in the node's network namespace; the agent knows it too.
const ADDRESS: &[u8] = b"dsfuzz-lab-mount";
/// The type of the mounts.
const KIND: &str = "fuse.dsfuzz";
/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest request.
const REQUEST_BYTES_MAX: usize = 4096;

/// Listens in the present network namespace.
pub(super) fn listen() -> std::io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(ADDRESS)?)
}

/// Answers requests, one after the other, until the node's first process has ended.
pub(super) fn serve_until_end(listener: &UnixListener, init: &OwnedFd) -> std::io::Result<()> {
    loop {
        let mut both = [PollFd::new(init.as_fd(), PollFlags::POLLIN), PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut both, PollTimeout::NONE) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [ended, asked] = both.map(|fd| fd.any().unwrap_or(false));
        if ended {
            return Ok(());
        }
        if asked {
            answer(listener);
        }
    }
}

fn answer(listener: &UnixListener) {
    let Ok((mut stream, _)) = listener.accept() else { return };
    if stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE))).is_ok() {
        let answer = act(&stream).map_or_else(|reason| reason, |()| "done".to_owned());
        drop(stream.write_all(answer.as_bytes()));
    }
}

fn act(stream: &UnixStream) -> Result<(), String> {
    let peer = getsockopt(stream, PeerCredentials).map_err(|error| error.to_string())?;
    if peer.uid() != 0 {
        return Err("only root may mount".to_owned());
    }
    let (request, device) = receive(stream)?;
    let (what, folder) = request.split_once(' ').ok_or("no folder")?;
    let inside = folder.strip_prefix(DATA_DIR).is_some_and(|rest| rest.starts_with('/'));
    if !inside || folder.split('/').any(|part| part == "..") {
        return Err(format!("{folder}: only folders below {DATA_DIR} are mounted"));
    }
    match (what, device) {
        ("mount", Some(device)) => {
            let options = format!(
                "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
                device.as_raw_fd()
            );
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
            mount(Some("dsfuzz"), folder, Some(KIND), flags, Some(options.as_str()))
        }
        // The node's own mount below it is no mount of ours, so that only ours can be asked for.
        ("unmount", None) => umount2(folder, MntFlags::empty()).or_else(|_| umount2(folder, MntFlags::MNT_DETACH)),
        _ => return Err("neither a mount with a device nor an unmount".to_owned()),
    }
    .map_err(|error| format!("{what} {folder}: {error}"))
}

#[expect(unsafe_code, reason = "a received descriptor is owned by its receiver alone")]
fn receive(stream: &UnixStream) -> Result<(String, Option<OwnedFd>), String> {
    let mut bytes = [0; REQUEST_BYTES_MAX];
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let mut room = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let got =
        recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut room), flags).map_err(|error| error.to_string())?;
    let mut device = None;
    for message in got.cmsgs().map_err(|error| error.to_string())? {
        if let ControlMessageOwned::ScmRights(descriptors) = message {
            // SAFETY: the kernel has just made these descriptors for this process.
            device = descriptors.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).next_back();
        }
    }
    let length = got.bytes;
    Ok((String::from_utf8_lossy(&bytes[..length]).into_owned(), device))
}
