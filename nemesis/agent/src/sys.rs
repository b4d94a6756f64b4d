//! Safe functions for system calls that the standard library lacks. Never: keeps state.
#![expect(unsafe_code, reason = "clocks, signals, sessions and locks are system calls without a safe wrapper in std")]
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Nanoseconds since boot, also while suspended.
pub(crate) fn boottime_ns() -> u64 {
    clock_ns(libc::CLOCK_BOOTTIME).unsigned_abs()
}

/// Nanoseconds since 1970 on the node's wall clock.
pub(crate) fn realtime_ns() -> i64 {
    clock_ns(libc::CLOCK_REALTIME)
}

fn clock_ns(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the length of the call.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// Sets the node's wall clock. Only `injections::step` may call this, after its refusals.
pub(crate) fn set_realtime_ns(ns: i64) -> io::Result<()> {
    let time = libc::timespec { tv_sec: ns.div_euclid(1_000_000_000), tv_nsec: ns.rem_euclid(1_000_000_000) };
    // SAFETY: `time` is a valid timespec for the length of the call.
    check(unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) }).map(drop)
}

/// Whether this process could set the wall clock.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Settable {
    /// The kernel would obey.
    Yes,
    /// The kernel refuses: no right to set the clock.
    Protected,
    /// Something else was answered.
    Unknown(String),
}

/// Asks the kernel to set an impossible tick: it checks the right first, then refuses the value, so nothing changes.
pub(crate) fn clock_settable() -> Settable {
    // SAFETY: timex is plain data for which zeros are valid.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    timex.modes = libc::ADJ_TICK;
    timex.tick = 1;
    // SAFETY: `timex` is valid; a tick of 1 is outside what any kernel accepts (900000/HZ at least).
    match check(unsafe { libc::adjtimex(&raw mut timex) }) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Settable::Protected,
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Settable::Yes,
        Err(error) => Settable::Unknown(error.to_string()),
        Ok(_) => Settable::Unknown("an impossible tick was accepted".to_owned()),
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Sends a signal to a process.
pub(crate) fn kill(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    if pid <= 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "process 1 and groups are never signalled"));
    }
    // SAFETY: no memory is involved.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Sends a signal to the process group that a child leads.
pub(crate) fn kill_group(leader: u32, signal: i32) -> io::Result<()> {
    let leader = i32::try_from(leader).map_err(|_| io::ErrorKind::InvalidInput)?;
    if leader <= 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: no memory is involved.
    check(unsafe { libc::kill(-leader, signal) }).map(drop)
}

/// Effective user id.
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: never fails, no memory is involved.
    unsafe { libc::geteuid() }
}

/// A resource whose use by a process the kernel limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limited {
    /// Private memory that can be written.
    Data,
    /// Open files.
    Files,
}

impl Limited {
    /// Its row in `/proc/PID/limits`.
    pub(crate) fn row(self) -> &'static str {
        match self {
            Limited::Data => "Max data size",
            Limited::Files => "Max open files",
        }
    }

    fn number(self) -> libc::c_long {
        match self {
            Limited::Data => libc::c_long::from(libc::RLIMIT_DATA),
            Limited::Files => libc::c_long::from(libc::RLIMIT_NOFILE),
        }
    }
}

/// Sets the soft and the hard limit of a process. Without CAP_SYS_RESOURCE it must be of the same user, and the hard limit can only
/// stay or fall.
pub(crate) fn set_limits(pid: u32, what: Limited, (soft, hard): (u64, u64)) -> io::Result<()> {
    let new = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let nothing: *mut libc::rlimit64 = std::ptr::null_mut();
    // SAFETY: `new` is valid for the length of the call.
    let result =
        unsafe { libc::syscall(libc::SYS_prlimit64, libc::c_long::from(pid), what.number(), &raw const new, nothing) };
    check(i32::try_from(result).unwrap_or(-1)).map(drop)
}

/// Has a child, which becomes another user, set the limits of a process before its exec.
pub(crate) fn set_limits_as(ids: Ids, pid: u32, what: Limited, limits: (u64, u64)) -> io::Result<()> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", ":"]).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    set_up(&mut command, ChildSetup { ids: Some(ids), ..ChildSetup::default() });
    // SAFETY: two system calls on memory of the child.
    unsafe { command.pre_exec(move || set_limits(pid, what, limits)) };
    command.spawn()?.wait().map(drop)
}

/// Nanoseconds of CPU time that all threads of a process have used; none if it is gone.
pub(crate) fn cpu_ns(pid: u32) -> Option<u64> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: `clock` is a valid place for the answer.
    let failed = unsafe { libc::clock_getcpuclockid(libc::pid_t::try_from(pid).ok()?, &raw mut clock) };
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the length of the call.
    let read = failed == 0 && unsafe { libc::clock_gettime(clock, &raw mut time) } == 0;
    let (seconds, part) = (u64::try_from(time.tv_sec).ok()?, u64::try_from(time.tv_nsec).ok()?);
    read.then(|| seconds.saturating_mul(1_000_000_000).saturating_add(part))
}

/// Starts a new session, so that the death of a terminal or channel does not end this process. Harmless for a leader.
pub(crate) fn new_session() {
    // SAFETY: no memory is involved; failure means that it is a group leader already, which serves as well.
    unsafe { libc::setsid() };
}

/// Takes the lock of an open file without waiting; false if another process has it.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: the descriptor is open for the length of the call.
    match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EWOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

fn ending_signals() -> libc::sigset_t {
    // SAFETY: sigset_t is plain data, initialised by sigemptyset before use.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// Blocks the signals that end a program, in this thread and those it starts, so that [`wait_ending_signal`] gets them.
pub(crate) fn block_ending_signals() {
    let set = ending_signals();
    // SAFETY: `set` is initialised; the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Starts the child with no signal blocked. It would inherit this program's mask, and SIGTERM would never reach a target.
pub(crate) fn unblock_signals(command: &mut Command) {
    let steps = || {
        // SAFETY: async-signal-safe calls on memory of the child; sigset_t is plain data, initialised before use.
        unsafe {
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        }
        Ok(())
    };
    // SAFETY: the steps keep to what is allowed between fork and exec.
    unsafe { command.pre_exec(steps) };
}

/// Waits for a signal that ends a program.
pub(crate) fn wait_ending_signal() -> i32 {
    let set = ending_signals();
    let mut signal = 0;
    // SAFETY: both pointers are valid for the length of the call.
    unsafe { libc::sigwait(&raw const set, &raw mut signal) };
    signal
}

/// Waits until one of the descriptors can be read (or is at its end), at most until the timeout.
pub(crate) fn wait_readable(descriptors: &[RawFd], timeout: Duration) {
    let mut polled: Vec<libc::pollfd> =
        descriptors.iter().map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the array is valid for the length of the call.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds) };
}

/// Makes reads of a descriptor return at once.
pub(crate) fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: no memory is involved.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    // SAFETY: no memory is involved.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(drop)
}

/// Makes reads and writes of a descriptor wait.
pub(crate) fn set_blocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: no memory is involved.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    // SAFETY: no memory is involved.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK) }).map(drop)
}

/// A descriptor that becomes readable when a process ends (Linux 5.3).
pub(crate) fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(pid), 0) };
    let fd = check(i32::try_from(fd).unwrap_or(-1))?;
    // SAFETY: the descriptor is new and owned here alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Free bytes, for an unprivileged writer, of the file system of a path.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: statvfs is plain data for which zeros are valid.
    let mut space: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the length of the call.
    check(unsafe { libc::statvfs(path.as_ptr(), &raw mut space) })?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Opens a name within an open folder.
pub(crate) fn open_at(folder: &File, name: &std::ffi::CStr, flags: i32, mode: u32) -> io::Result<File> {
    // SAFETY: the descriptor is open and `name` valid for the length of the call.
    let fd = check(unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), flags | libc::O_CLOEXEC, mode) })?;
    // SAFETY: the descriptor is new and owned here alone.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Makes a folder within an open one.
pub(crate) fn make_folder_at(folder: &File, name: &std::ffi::CStr, mode: u32) -> io::Result<()> {
    // SAFETY: the descriptor is open and `name` valid for the length of the call.
    check(unsafe { libc::mkdirat(folder.as_raw_fd(), name.as_ptr(), mode) }).map(drop)
}

/// Releases the room of the first bytes of a file, which then read as zeros. The size stays.
pub(crate) fn punch_hole(file: &File, bytes: i64) -> io::Result<()> {
    let how = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: the descriptor is open for the length of the call.
    check(unsafe { libc::fallocate(file.as_raw_fd(), how, 0, bytes) }).map(drop)
}

/// Whether this process may write to a folder.
pub(crate) fn writable(path: &Path) -> bool {
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()) else { return false };
    // SAFETY: `path` is a valid text that ends with a zero.
    unsafe { libc::access(path.as_ptr(), libc::W_OK) == 0 }
}

/// An IPv6 socket on a port that leaves the same port of IPv4 free, whatever the node's default.
pub(crate) fn udp6(port: u16) -> io::Result<UdpSocket> {
    // SAFETY: no memory is involved.
    let fd = check(unsafe { libc::socket(libc::AF_INET6, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor is new and owned here alone.
    let socket = unsafe { UdpSocket::from_raw_fd(fd) };
    let only: libc::c_int = 1;
    // SAFETY: `only` is valid and of the given size.
    check(unsafe {
        libc::setsockopt(
            fd,
            libc::IPPROTO_IPV6,
            libc::IPV6_V6ONLY,
            (&raw const only).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })?;
    // SAFETY: sockaddr_in6 is plain data for which zeros are valid.
    let mut address: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    address.sin6_port = port.to_be();
    // SAFETY: `address` is valid and of the given size.
    check(unsafe { libc::bind(fd, (&raw const address).cast(), size_of::<libc::sockaddr_in6>() as libc::socklen_t) })?;
    Ok(socket)
}

/// The machine's clock as its oscillator counts, which no time server slews. Only differences mean anything.
pub(crate) fn raw_monotonic_ns() -> i64 {
    clock_ns(libc::CLOCK_MONOTONIC_RAW)
}

/// Gives this thread a share of the processors before ordinary ones, if this process may.
pub(crate) fn hurry_thread() {
    // SAFETY: no memory is involved; without the right, nothing changes.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid);
        libc::setpriority(libc::PRIO_PROCESS, libc::id_t::try_from(thread).unwrap_or(0), -15);
    }
}

/// Waits until a descriptor can be read, at most until the timeout, which is kept to the microsecond.
pub(crate) fn wait_readable_exactly(fd: RawFd, timeout: Duration) {
    let mut polled = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
    };
    // SAFETY: both structures are valid for the length of the call, and no signal mask is given.
    unsafe { libc::ppoll(&raw mut polled, 1, &raw const timeout, std::ptr::null()) };
}

/// A socket to the kernel's packet filter that never waits, with this room for what the kernel sends.
pub(crate) fn netfilter_socket(room: usize) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is involved.
    let fd = check(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_NETFILTER) })?;
    // SAFETY: the descriptor is new and owned here alone.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    widen(fd, room);
    Ok(socket)
}

/// Gives a socket this room for what arrives, if this process may.
pub(crate) fn widen(fd: RawFd, room: usize) {
    let room = libc::c_int::try_from(room).unwrap_or(libc::c_int::MAX);
    // SAFETY: `room` is valid and of the given size.
    unsafe {
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, (&raw const room).cast(), size);
    }
}

/// Sends bytes on a socket.
pub(crate) fn send(fd: RawFd, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the buffer is valid for the length of the call.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What a socket has received; none if there is nothing yet.
pub(crate) fn receive(fd: RawFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    // SAFETY: the buffer is valid for the length of the call.
    let received = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    match usize::try_from(received) {
        Ok(length) => Ok(Some(length)),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            error => Err(error),
        },
    }
}

/// A user to become.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// The steps of a child between fork and exec.
#[derive(Default)]
pub(crate) struct ChildSetup {
    /// Starts a new session.
    pub(crate) session: bool,
    /// Its cgroup's `cgroup.procs`, open for writing.
    pub(crate) cgroup: Option<File>,
    /// The user it becomes.
    pub(crate) ids: Option<Ids>,
    /// Is killed when the thread that started it ends.
    pub(crate) dies_with_parent: bool,
    /// Stops at its exec, traced by the thread that started it.
    pub(crate) traced: bool,
}

/// Adds these steps to a command.
pub(crate) fn set_up(command: &mut Command, setup: ChildSetup) {
    let steps = move || {
        // SAFETY: only async-signal-safe calls, on memory that was prepared before the fork.
        unsafe {
            if setup.session {
                check(libc::setsid())?;
            }
            if let Some(cgroup) = &setup.cgroup {
                // A child that cannot enter its cgroup still starts; its parent checks where it is.
                libc::write(cgroup.as_raw_fd(), b"0".as_ptr().cast(), 1);
            }
            if let Some(ids) = &setup.ids {
                check(libc::setgroups(ids.groups.len(), ids.groups.as_ptr()))?;
                check(libc::setgid(ids.gid))?;
                check(libc::setuid(ids.uid))?;
            }
            if setup.dies_with_parent {
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            }
            if setup.traced {
                let nothing: usize = 0;
                check(libc::ptrace(libc::PTRACE_TRACEME, 0, nothing, nothing) as i32)?;
            }
        }
        Ok(())
    };
    // SAFETY: the steps keep to what is allowed between fork and exec.
    unsafe { command.pre_exec(steps) };
}

/// Repeats a question until it is true or the time is up.
pub(crate) fn await_true(deadline: Duration, mut question: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_micros(100);
    loop {
        if question() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InterfaceAddress {
    pub(crate) interface: String,
    pub(crate) address: IpAddr,
    /// The interface's number for a link-local IPv6 address; else 0.
    pub(crate) scope: u32,
    pub(crate) up: bool,
}

/// The addresses of all interfaces.
pub(crate) fn interface_addresses() -> io::Result<Vec<InterfaceAddress>> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `first` is a valid place for the list's head.
    check(unsafe { libc::getifaddrs(&raw mut first) })?;
    let mut found = Vec::new();
    let mut next = first;
    // SAFETY: the list is valid until it is freed below; addresses are read only as what their family says they are.
    unsafe {
        while let Some(entry) = next.as_ref() {
            next = entry.ifa_next;
            let Some(address) = entry.ifa_addr.as_ref() else { continue };
            let (address, scope) = match i32::from(address.sa_family) {
                libc::AF_INET => {
                    let four = entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned();
                    (IpAddr::from(four.sin_addr.s_addr.to_ne_bytes()), 0)
                }
                libc::AF_INET6 => {
                    let six = entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                    (IpAddr::from(six.sin6_addr.s6_addr), six.sin6_scope_id)
                }
                _ => continue,
            };
            let interface = std::ffi::CStr::from_ptr(entry.ifa_name).to_string_lossy().into_owned();
            let up = entry.ifa_flags & libc::IFF_UP as u32 != 0;
            found.push(InterfaceAddress { interface, address, scope, up });
        }
        libc::freeifaddrs(first);
    }
    Ok(found)
}

/// A socket address in the kernel's form, and its length.
fn raw_address(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: sockaddr_storage is plain data for which zeros are valid.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let length = match address {
        SocketAddr::V4(four) => {
            // SAFETY: sockaddr_in is plain data for which zeros are valid.
            let mut raw: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            raw.sin_family = libc::AF_INET as libc::sa_family_t;
            raw.sin_port = four.port().to_be();
            raw.sin_addr.s_addr = u32::from_ne_bytes(four.ip().octets());
            // SAFETY: the storage is larger than, and aligned for, every socket address.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(raw) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(six) => {
            // SAFETY: sockaddr_in6 is plain data for which zeros are valid.
            let mut raw: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            raw.sin6_port = six.port().to_be();
            raw.sin6_addr.s6_addr = six.ip().octets();
            raw.sin6_scope_id = six.scope_id();
            // SAFETY: as above.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(raw) };
            size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, length as libc::socklen_t)
}

/// Begins a TCP connection without waiting for it; [`wait_written`] says when its handshake has ended.
pub(crate) fn begin_connect(from: Option<SocketAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is involved.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the descriptor is new and owned here alone.
    let stream = unsafe { TcpStream::from_raw_fd(fd) };
    if let Some(from) = from {
        let (address, length) = raw_address(from);
        // SAFETY: `address` is valid and of the given length.
        check(unsafe { libc::bind(fd, (&raw const address).cast(), length) })?;
    }
    let (address, length) = raw_address(to);
    // SAFETY: `address` is valid and of the given length.
    match check(unsafe { libc::connect(fd, (&raw const address).cast(), length) }) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(stream),
        Err(error) => Err(error),
        Ok(_) => Ok(stream),
    }
}

/// Waits until one of the descriptors can be written (or has failed), at most until the timeout. Returns the ready ones.
pub(crate) fn wait_written(descriptors: &[RawFd], timeout: Duration) -> Vec<bool> {
    let mut polled: Vec<libc::pollfd> =
        descriptors.iter().map(|&fd| libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }).collect();
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the array is valid for the length of the call.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds) };
    polled.iter().map(|polled| polled.revents != 0).collect()
}
