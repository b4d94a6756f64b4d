//! Safe wrappers of system calls for which neither std nor nix has one.
//!
//! Never: policy.
#![expect(unsafe_code, reason = "fork, capabilities, pidfd, extended attributes and adjtimex have no safe wrapper")]
use super::filter;
use nix::libc;
use nix::sched::CloneFlags;
use nix::unistd::{ForkResult, Pid};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The capabilities that a node keeps, by their numbers in capability(7): files and their owners (0, 1, 3, 4, 9, 31), signals
/// (5), identities (6, 7, 8), its own network (10 to 13), memory and IPC (14, 15), chroot (18), ptrace (19), priorities
/// and limits (23, 24), leases (28), writing to the audit log (29). All others reach beyond a node, and those of
/// later kernels are not trusted: above all 21, CAP_SYS_ADMIN, with which a mount that is shared with the host could be
/// remounted for the whole machine.
const ALLOWED: [u32; 22] = [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 18, 19, 23, 24, 28, 29, 31];
/// `_LINUX_CAPABILITY_VERSION_3`.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// How many threads this process has.
pub(crate) fn threads() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Forks. Refused with several threads, because the child would inherit locks that are never released.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // A process in a fresh PID namespace may not see its own /proc. Such a process came here through `fork`.
    if threads().unwrap_or(1) > 1 {
        return Err(io::Error::other("a process with several threads cannot fork safely"));
    }
    // SAFETY: with one thread the child's memory is whole, so it may go on as ordinary Rust.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Marks a folder of an overlay's upper layer, with this attribute, so that the lower one does not shine through.
pub(crate) fn set_opaque(folder: &Path, attribute: &CStr) -> io::Result<()> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: both names are NUL-terminated and the value is one readable byte.
    let done = unsafe { libc::lsetxattr(path.as_ptr(), attribute.as_ptr(), c"y".as_ptr().cast(), 1, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Forbids for ever, for this process and all it starts, the system calls that reach beyond a node ([`filter`]). Needs
/// CAP_SYS_ADMIN, so it comes before the capabilities are dropped; without it, set-user-ID programs would no longer work.
fn forbid_calls(groups: filter::Groups) -> io::Result<()> {
    let mut steps = filter::program(groups);
    let len = u16::try_from(steps.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: steps.as_mut_ptr() };
    // SAFETY: the program points to `len` steps that outlive the call; the kernel copies and checks them.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Drops for ever, for this process and its children, the capabilities that reach beyond a node.
pub(crate) fn drop_capabilities(groups: filter::Groups) -> io::Result<()> {
    forbid_calls(groups)?;
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    // SAFETY: prctl with these numbers takes integers only; the structures have the kernel's layout for version 3,
    // which writes and reads exactly two `Data`.
    unsafe {
        for capability in (0..64).filter(|capability| !ALLOWED.contains(capability)) {
            if libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) != 0 {
                let error = io::Error::last_os_error();
                // The kernel has no capability of this number, nor any above it.
                if error.raw_os_error() == Some(libc::EINVAL) && capability > ALLOWED[ALLOWED.len() - 1] {
                    break;
                }
                return Err(error);
            }
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0, 0, 0);
        let mut header = Header { version: CAPABILITY_VERSION, pid: 0 };
        let mut data = [Data::default(); 2];
        if libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let keep = ALLOWED.iter().fold(0u32, |keep, capability| keep | (1 << capability));
        for (data, keep) in data.iter_mut().zip([keep, 0]) {
            data.effective &= keep;
            data.permitted &= keep;
            data.inheritable &= keep;
        }
        if libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Whether this process could set the real clock. Changes nothing: the tick asked for is out of range, and the kernel
/// refuses it with EINVAL only after it has found that the caller might set the clock (`timekeeping_validate_timex`).
pub(crate) fn could_set_clock() -> bool {
    // SAFETY: a zeroed timex is valid; adjtimex writes only into it.
    let (done, error) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        timex.modes = libc::ADJ_TICK;
        timex.tick = 1;
        (libc::adjtimex(&raw mut timex), io::Error::last_os_error())
    };
    done != -1 || error.raw_os_error() != Some(libc::EPERM)
}

/// A process by descriptor, which is never reused for another process.
pub(crate) fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes integers and returns a new descriptor, which is owned here alone.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(pid), 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Signals the process behind a descriptor.
pub(crate) fn pidfd_signal(pidfd: &OwnedFd, signal: i32) -> io::Result<()> {
    // SAFETY: a null siginfo is allowed and means an ordinary signal.
    let done = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes a mount and all mounts below it read-only, for this mount namespace alone.
pub(crate) fn read_only_tree(at: &Path) -> io::Result<()> {
    /// `struct mount_attr` of linux/mount.h.
    #[repr(C)]
    struct MountAttributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    const READ_ONLY: u64 = 1;
    const RECURSIVE: libc::c_uint = 0x8000;
    let path = CString::new(at.as_os_str().as_bytes())?;
    let wanted = MountAttributes { set: READ_ONLY, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: the path is NUL-terminated, and the structure has the size that is passed.
    let done = unsafe {
        let size = size_of::<MountAttributes>();
        libc::syscall(libc::SYS_mount_setattr, libc::AT_FDCWD, path.as_ptr(), RECURSIVE, &raw const wanted, size)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Enters a network namespace, before it the user namespace that owns it.
pub(crate) fn enter(user: Option<&OwnedFd>, network: &OwnedFd) -> nix::Result<()> {
    if let Some(user) = user {
        nix::sched::setns(user, CloneFlags::CLONE_NEWUSER)?;
    }
    nix::sched::setns(network, CloneFlags::CLONE_NEWNET)
}

/// Lets a command start in another network namespace, and in the user namespace that owns it.
pub(crate) fn start_in_network(command: &mut Command, user: Option<OwnedFd>, network: OwnedFd) {
    // SAFETY: setns is a system call; it neither allocates nor takes locks, and the descriptors live in the closure.
    unsafe {
        command.pre_exec(move || Ok(enter(user.as_ref(), &network)?));
    }
}
