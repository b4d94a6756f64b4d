//! The code that is put into a process's vDSO, for x86-64: position-independent, with its parameters behind it. It is
//! assembled into read-only data of the agent and never runs there.
//!
//! Each entry makes the real system call and then, for CLOCK_REALTIME and its coarse form, adds the offset of the current
//! parameter block, and its rate times the time since the base, unless the block has expired (expiry 0: has always expired).
//! Changes go to the next block of four, then to the index: a reader that was interrupted in between finishes with the block it
//! began with.
#![expect(unsafe_code, reason = "reads the bytes of the assembled image between its symbols")]

/// Begins the image; names its version.
pub(super) const MAGIC: &[u8; 8] = b"DSFVDSO2";
/// Parameter blocks, each of 64-bit numbers: offset, period, base, expiry, rate.
pub(super) const BLOCKS: u64 = 4;
/// Bytes of a parameter block; a power of two, a cache line.
pub(super) const BLOCK_BYTES: u64 = 64;
/// Where the blocks begin, behind the index and the mask of clocks.
pub(super) const BLOCKS_AT: u64 = 16;

/// The image and its places, counted from its begin.
pub(super) struct Image {
    pub(super) bytes: &'static [u8],
    /// The new `clock_gettime`, `gettimeofday`, `time`.
    pub(super) entries: [u64; 3],
    /// Index, mask, blocks.
    pub(super) data: u64,
}

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    r#"
    .pushsection .rodata.dsfuzz_vdso, "a", @progbits
    .balign 16
    .globl dsfuzz_vdso_begin, dsfuzz_vdso_gettime, dsfuzz_vdso_timeofday, dsfuzz_vdso_time, dsfuzz_vdso_data, dsfuzz_vdso_end
dsfuzz_vdso_begin:
    .ascii "DSFVDSO2"
dsfuzz_vdso_gettime:                # int clock_gettime(clockid edi, timespec *rsi)
    mov   eax, 228
    syscall
    test  eax, eax
    jnz   3f
    cmp   edi, 63
    ja    3f
    mov   r8, [rip + dsfuzz_vdso_data + 8]
    bt    r8, rdi
    jnc   3f
    imul  rax, [rsi], 1000000000
    add   rax, [rsi + 8]
    call  4f
    xor   edx, edx
    mov   ecx, 1000000000
    div   rcx
    mov   [rsi], rax
    mov   [rsi + 8], rdx
    xor   eax, eax
3:  ret
    .balign 16
dsfuzz_vdso_timeofday:              # int gettimeofday(timeval *rdi, timezone *rsi)
    mov   eax, 96
    syscall
    test  eax, eax
    jnz   3f
    test  rdi, rdi
    jz    3f
    imul  rax, [rdi], 1000000
    add   rax, [rdi + 8]
    imul  rax, rax, 1000
    call  4f
    xor   edx, edx
    mov   ecx, 1000000000
    div   rcx
    mov   [rdi], rax
    mov   rax, rdx
    xor   edx, edx
    mov   ecx, 1000
    div   rcx
    mov   [rdi + 8], rax
    xor   eax, eax
3:  ret
    .balign 16
dsfuzz_vdso_time:                   # time_t time(time_t *rdi)
    sub   rsp, 24
    mov   r10, rdi
    xor   edi, edi
    mov   rsi, rsp
    mov   eax, 228
    syscall
    imul  rax, [rsp], 1000000000
    add   rax, [rsp + 8]
    call  4f
    add   rsp, 24
    xor   edx, edx
    mov   ecx, 1000000000
    div   rcx
    test  r10, r10
    jz    3f
    mov   [r10], rax
3:  ret
    .balign 16
4:                                  # rax: true ns in, shown ns out; uses rcx, rdx, r8, r9
    mov   rcx, [rip + dsfuzz_vdso_data]
    and   ecx, 3
    shl   ecx, 6
    lea   r8, [rip + dsfuzz_vdso_data + 16]
    add   r8, rcx
    cmp   rax, [r8 + 24]            # expired?
    jae   6f
    mov   rcx, [r8 + 8]             # a strobe's period
    test  rcx, rcx
    jz    5f
    mov   r9, rax
    xor   edx, edx
    sub   rax, [r8 + 16]
    div   rcx
    test  al, 1
    mov   rax, r9
    jnz   6f
5:  mov   r9, rax
    sub   rax, [r8 + 16]            # since the base
    imul  qword ptr [r8 + 32]       # times the rate, a signed 32.32 fixed-point number
    shrd  rax, rdx, 32
    add   rax, r9
    add   rax, [r8]
6:  ret
    .balign 16
dsfuzz_vdso_data:
    .quad 0                         # which block is current
    .quad 0x21                      # CLOCK_REALTIME and CLOCK_REALTIME_COARSE
    .fill 32, 8, 0
dsfuzz_vdso_end:
    .popsection
"#
);

/// The image for this architecture.
#[cfg(target_arch = "x86_64")]
pub(super) fn image() -> Option<Image> {
    unsafe extern "C" {
        static dsfuzz_vdso_begin: u8;
        static dsfuzz_vdso_gettime: u8;
        static dsfuzz_vdso_timeofday: u8;
        static dsfuzz_vdso_time: u8;
        static dsfuzz_vdso_data: u8;
        static dsfuzz_vdso_end: u8;
    }
    let begin = &raw const dsfuzz_vdso_begin;
    let from = |place: *const u8| (place as usize - begin as usize) as u64;
    let entries = [
        from(&raw const dsfuzz_vdso_gettime),
        from(&raw const dsfuzz_vdso_timeofday),
        from(&raw const dsfuzz_vdso_time),
    ];
    let length = from(&raw const dsfuzz_vdso_end) as usize;
    // SAFETY: the assembler put `length` bytes of read-only data there.
    let bytes = unsafe { std::slice::from_raw_parts(begin, length) };
    Some(Image { bytes, entries, data: from(&raw const dsfuzz_vdso_data) })
}

/// There is none for this architecture.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn image() -> Option<Image> {
    None
}
