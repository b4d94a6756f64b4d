//! A seccomp filter of the system calls that no process of a node may make: those whose effect no namespace confines. Keyrings
//! belong to a user of the whole machine, and a terminal to the caller of a command in the node.
//!
//! The filter lists forbidden calls. All others are left to the capabilities and namespaces of a node.
//!
//! A lab with one user cannot let its processes change their groups. sshd and other programs do that before they become a
//! user, and end if it fails. There the filter answers for the kernel that the groups were set.
use nix::libc::{self, sock_filter};

/// "Not supported", the answer of a kernel without keyrings.
const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
/// Not made, with 0 as its result.
const SUCCEEDED: u32 = libc::SECCOMP_RET_ERRNO;
const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
/// Pushes a character into a terminal's input. On a console it also pastes.
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
/// The bit of x32 calls, which otherwise have the numbers of x86-64.
const X32: u32 = 0x4000_0000;

/// Whether processes can change their groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Groups {
    /// The kernel decides.
    Real,
    /// They have one group only, and `setgroups` changes nothing and succeeds.
    Fixed,
}

/// The numbers of the calls on one architecture.
struct Numbers {
    /// `AUDIT_ARCH_...` of linux/audit.h.
    arch: u32,
    /// `add_key`, `request_key`, `keyctl`.
    keys: [u32; 3],
    /// `ioctl`, with both numbers if there are two.
    ioctl: [u32; 2],
    /// `setgroups`, with both numbers if there are two.
    groups: [u32; 2],
}

/// Also those of 32-bit programs that a 64-bit kernel runs. All are little-endian.
const ALL: [Numbers; 5] = [
    Numbers { arch: 0xc000_003e, keys: [248, 249, 250], ioctl: [16, 514], groups: [116, 116] }, // x86-64 and x32
    Numbers { arch: 0x4000_0003, keys: [286, 287, 288], ioctl: [54, 54], groups: [81, 206] },   // i386
    Numbers { arch: 0xc000_00b7, keys: [217, 218, 219], ioctl: [29, 29], groups: [159, 159] },  // arm64
    Numbers { arch: 0x4000_0028, keys: [309, 310, 311], ioctl: [54, 54], groups: [81, 206] },   // arm
    Numbers { arch: 0xc000_00f3, keys: [217, 218, 219], ioctl: [29, 29], groups: [159, 159] },  // riscv64
];

/// The filter, for the kernel's interpreter of classic BPF.
pub(crate) fn program(groups: Groups) -> Vec<sock_filter> {
    let mut program: Vec<sock_filter> = ALL.iter().flat_map(|numbers| block(numbers, groups)).collect();
    program.push(give(libc::SECCOMP_RET_ALLOW));
    program
}

fn block(numbers: &Numbers, groups: Groups) -> [sock_filter; 18] {
    // Positions of the answers in the block.
    const ALLOW: u8 = 14;
    const ABSENT: u8 = 15;
    const DENY: u8 = 16;
    const DONE: u8 = 17;
    let set = if groups == Groups::Fixed { DONE } else { ALLOW };
    let [add, request, control] = numbers.keys;
    let [ioctl, other] = numbers.ioctl;
    let [groups, groups32] = numbers.groups;
    [
        load(4),
        equals(1, numbers.arch, 2, 18),
        load(0),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, !X32),
        equals(4, add, ABSENT, 5),
        equals(5, request, ABSENT, 6),
        equals(6, control, ABSENT, 7),
        equals(7, groups, set, 8),
        equals(8, groups32, set, 9),
        equals(9, ioctl, 11, 10),
        equals(10, other, 11, ALLOW),
        load(24),
        equals(12, TIOCSTI, DENY, 13),
        equals(13, TIOCLINUX, DENY, ALLOW),
        give(libc::SECCOMP_RET_ALLOW),
        give(NO_SUCH_CALL),
        give(REFUSED),
        give(SUCCEEDED),
    ]
}

/// A word of `seccomp_data`: the call's number at 0, the architecture at 4, the second argument's low half at 24.
fn load(offset: u32) -> sock_filter {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

/// Compares; the positions are those in the block, `at` that of this step.
fn equals(at: u8, value: u32, then: u8, other: u8) -> sock_filter {
    step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, then - at - 1, other - at - 1, value)
}

fn give(answer: u32) -> sock_filter {
    step(libc::BPF_RET | libc::BPF_K, 0, 0, answer)
}

fn step(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}
