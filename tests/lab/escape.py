"""Run as root inside a lab node: tries to change the machine below it, each way so that success would change nothing.

Arguments: the name of an abstract socket on which the host listens, then the host's namespaces (`ipc:[4026531839]`).
Prints one line a try: its name, then `refused` with the error, or `ALLOWED`.
"""
import ctypes
import errno
import fcntl
import glob
import os
import pty
import socket
import struct
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
SYSCALLS = {"reboot": 169, "init_module": 175, "delete_module": 176, "kexec_load": 246, "iopl": 172, "swapon": 167,
            "acct": 163, "syslog": 103, "settimeofday": 164, "open_by_handle_at": 304, "bpf": 321, "fsopen": 430,
            "quotactl": 179, "sethostname": 170, "umount2": 166, "pivot_root": 155, "setns": 308,
            "add_key": 248, "request_key": 249, "keyctl": 250, "perf_event_open": 298}
TIOCSTI = 0x5412


def call(name, *arguments):
    ctypes.set_errno(0)
    if libc.syscall(SYSCALLS[name], *arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source, target, kind, flags, data=None):
    ctypes.set_errno(0)
    encoded = [text.encode() if text is not None else None for text in (source, target, kind)]
    if libc.mount(*encoded, flags, data.encode() if data else None) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def rewrite(path):
    """Writes back what stands there."""
    with open(path) as file:
        value = file.read()
    with open(path, "w") as file:
        file.write(value)


def same_mode(path):
    os.chmod(path, os.stat(path).st_mode & 0o7777)


def same_owner(path):
    os.chown(path, os.stat(path).st_uid, os.stat(path).st_gid)


def shell(command):
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(errno.EPERM, (done.stderr.strip().splitlines() or ["failed"])[-1])


def sysrq():
    """Must be the null device: nothing is written."""
    found = os.stat("/proc/sysrq-trigger")
    if (os.major(found.st_rdev), os.minor(found.st_rdev)) == (1, 3):
        raise OSError(errno.EPERM, "it is the null device")


def tick():
    """A tick out of range: EINVAL for whoever might set the clock, EPERM for others; the clock stays as it is."""
    timex = ctypes.create_string_buffer(1024)
    ctypes.c_uint.from_buffer(timex, 0).value = 0x4000
    ctypes.set_errno(0)
    if libc.adjtimex(timex) == -1 and ctypes.get_errno() == errno.EPERM:
        raise OSError(errno.EPERM, "Operation not permitted")


def impossible(why):
    raise OSError(errno.EPERM, why)


def connect_to_the_host():
    """The host accepts and says nothing."""
    try:
        socket.socket(socket.AF_UNIX).connect("\0" + sys.argv[1])
    except ConnectionRefusedError:
        impossible("there is no such socket")


def share_a_namespace():
    own = {os.readlink(f"/proc/self/ns/{name}") for name in ("cgroup", "ipc", "mnt", "net", "pid", "uts")}
    shared = own & set(sys.argv[2:])
    if not shared:
        impossible("it has its own")


def see_other_processes():
    own = os.readlink("/proc/self/ns/pid")
    others = [path for path in glob.glob("/proc/[0-9]*/ns/pid") if os.path.exists(path) and os.readlink(path) != own]
    if not others:
        impossible("all processes are its own")


def leave_the_root():
    """As a process that may call chroot leaves one: ends in the node's own root."""
    script = ("import os; os.makedirs('/tmp/jail', exist_ok=True); root = os.open('/', os.O_RDONLY); os.chroot('/tmp/jail'); "
              "os.fchdir(root); [os.chdir('..') for _ in range(32)]; os.chroot('.'); "
              "raise SystemExit(os.path.exists('/etc/dsfuzz-lab/hostkey'))")
    if subprocess.run([sys.executable, "-c", script]).returncode == 1:
        impossible("the root that was reached is the node's")


def push_a_key():
    """Into a terminal of its own: what stands in its way stands before every terminal."""
    leader, follower = pty.openpty()
    child = os.fork()
    if child == 0:
        os.setsid()
        fcntl.ioctl(follower, 0x540E, 0)
        try:
            fcntl.ioctl(follower, TIOCSTI, b"x")
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(leader), os.close(follower)
    if code:
        raise OSError(code, os.strerror(code))


def watch_every_process():
    attributes = bytearray(128)
    struct.pack_into("IIQ", attributes, 0, 1, 128, 0)
    call("perf_event_open", bytes(attributes), ctypes.c_int(-1), 0, ctypes.c_int(-1), 0)


TRIES = {
    "remount the cgroup file system": lambda: mount(None, "/sys/fs/cgroup", None, MS_REMOUNT),
    "remount the cgroup mount": lambda: mount(None, "/sys/fs/cgroup", None, MS_REMOUNT | MS_BIND),
    "mount the cgroup file system anew": lambda: mount("x", "/mnt", "cgroup2", 0),
    "remount sysfs writable": lambda: mount(None, "/sys", None, MS_REMOUNT),
    "remount /proc/sys writable": lambda: mount(None, "/proc/sys", None, MS_REMOUNT | MS_BIND),
    "mount proc anew": lambda: mount("proc", "/mnt", "proc", 0),
    "mount a file system of memory": lambda: mount("x", "/mnt", "tmpfs", 0),
    "unmount /proc/sys": lambda: call("umount2", b"/proc/sys", 0),
    "unmount what hides sysrq-trigger": lambda: call("umount2", b"/proc/sysrq-trigger", 0),
    "open a file system": lambda: call("fsopen", b"cgroup2", 0),
    "change the root": lambda: call("pivot_root", b"/", b"/"),
    "make a mount namespace": lambda: shell("unshare -m true"),
    "write a sysctl": lambda: rewrite("/proc/sys/vm/swappiness"),
    "write the kernel's core pattern": lambda: rewrite("/proc/sys/kernel/core_pattern"),
    "trigger a sysrq": sysrq,
    "move an interrupt": lambda: rewrite("/proc/irq/default_smp_affinity"),
    "load a module": lambda: call("init_module", 0, 0, b""),
    "unload a module": lambda: call("delete_module", b"no_such_module", 0),
    "load another kernel": lambda: call("kexec_load", 0, 0, 0, 0xFFFF),
    "reboot": lambda: call("reboot", 0, 0, 0, 0),
    "step the clock": tick,
    "open the clock's device": lambda: os.close(os.open("/dev/rtc0", os.O_WRONLY)),
    "make a device node": lambda: os.mknod("/tmp/escape-node", 0o600 | 0o060000, os.makedev(7, 0)),
    "change the mode of the host's null device": lambda: same_mode("/dev/null"),
    "change the owner of the host's random device": lambda: same_owner("/dev/urandom"),
    "reach ports": lambda: call("iopl", 3),
    "swap onto a file": lambda: call("swapon", b"/no/such/file", 0),
    "account processes into a file": lambda: call("acct", b"/no/such/file"),
    "read the kernel's memory": lambda: open("/dev/mem").close(),
    "set the level of the kernel's console": lambda: call("syslog", 8, 0, 99),
    "open a file by its handle": lambda: call("open_by_handle_at", os.open("/", os.O_RDONLY), struct.pack("Ii8s", 8, 1, bytes(8)), 0),
    "list programs in the kernel": lambda: call("bpf", 11, bytes(128), 128),
    "name the machine": lambda: call("sethostname", os.uname().nodename.encode(), len(os.uname().nodename)),
    # A key without a type: looked at only by a kernel that lets this process add keys.
    "add a key to root's keyring": lambda: call("add_key", 0, 0, 0, 0, ctypes.c_int(-4)),
    "ask for a key of root's": lambda: call("request_key", 0, 0, 0, 0),
    "find root's keyring": lambda: call("keyctl", 0, ctypes.c_int(-4), 0),
    "push a key into a terminal": push_a_key,
    "watch every process": watch_every_process,
    "see processes of others": see_other_processes,
    "share a namespace": share_a_namespace,
    "connect to a socket of the host without a path": connect_to_the_host,
    "leave the root by chroot": leave_the_root,
    "register a kind of program": lambda: open("/proc/sys/fs/binfmt_misc/register", "w").close(),
    "set the helper of the kernel's events": lambda: open("/sys/kernel/uevent_helper", "w").close(),
    "write a setting in sysfs": lambda: rewrite("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs"),
    "a cgroup mount from a user namespace": lambda: shell("unshare -Urm mount -o remount,rw /sys/fs/cgroup"),
    "a sysctl from a user namespace": lambda: shell("unshare -Urm mount -o remount,bind,rw /proc/sys"),
}

for name, attempt in TRIES.items():
    try:
        attempt()
        print(f"{name}: ALLOWED")
    except OSError as error:
        # An argument that makes no sense is looked at only after the permission: then it would have been allowed.
        refused = error.errno in (errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOSYS, errno.ENOENT, errno.ENXIO)
        print(f"{name}: {'refused' if refused else 'ALLOWED'} ({error.strerror})")
