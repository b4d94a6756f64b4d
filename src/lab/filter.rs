//! A seccomp filter of the system calls that no process of a node may make: those whose effect no namespace confines. Keyrings
//! belong to a user of the whole machine, and a terminal to the caller of a command in the node.
//!
//! The filter lists forbidden calls. All others are left to the capabilities and namespaces of a node.
use nix::libc::{self, sock_filter};

/// "Not supported", the answer of a kernel without keyrings.
const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
/// Pushes a character into a terminal's input. On a console it also pastes.
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
/// The bit of x32 calls, which otherwise have the numbers of x86-64.
const X32: u32 = 0x4000_0000;

/// The numbers of the calls on one architecture.
struct Numbers {
    /// `AUDIT_ARCH_...` of linux/audit.h.
    arch: u32,
    /// `add_key`, `request_key`, `keyctl`.
    keys: [u32; 3],
    /// `ioctl`, with both numbers if there are two.
    ioctl: [u32; 2],
}

/// Also those of 32-bit programs that a 64-bit kernel runs. All are little-endian.
const ALL: [Numbers; 5] = [
    Numbers { arch: 0xc000_003e, keys: [248, 249, 250], ioctl: [16, 514] }, // x86-64 and x32
    Numbers { arch: 0x4000_0003, keys: [286, 287, 288], ioctl: [54, 54] },  // i386
    Numbers { arch: 0xc000_00b7, keys: [217, 218, 219], ioctl: [29, 29] },  // arm64
    Numbers { arch: 0x4000_0028, keys: [309, 310, 311], ioctl: [54, 54] },  // arm
    Numbers { arch: 0xc000_00f3, keys: [217, 218, 219], ioctl: [29, 29] },  // riscv64
];

/// The filter, for the kernel's interpreter of classic BPF.
pub(crate) fn program() -> Vec<sock_filter> {
    let mut program: Vec<sock_filter> = ALL.iter().flat_map(block).collect();
    program.push(give(libc::SECCOMP_RET_ALLOW));
    program
}

fn block(numbers: &Numbers) -> [sock_filter; 15] {
    // Positions of the answers in the block.
    const ALLOW: u8 = 12;
    const ABSENT: u8 = 13;
    const DENY: u8 = 14;
    let [add, request, control] = numbers.keys;
    let [ioctl, other] = numbers.ioctl;
    [
        load(4),
        equals(1, numbers.arch, 2, 15),
        load(0),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, !X32),
        equals(4, add, ABSENT, 5),
        equals(5, request, ABSENT, 6),
        equals(6, control, ABSENT, 7),
        equals(7, ioctl, 9, 8),
        equals(8, other, 9, ALLOW),
        load(24),
        equals(10, TIOCSTI, DENY, 11),
        equals(11, TIOCLINUX, DENY, ALLOW),
        give(libc::SECCOMP_RET_ALLOW),
        give(NO_SUCH_CALL),
        give(REFUSED),
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
