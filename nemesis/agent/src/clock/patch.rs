//! [`PatchedProcess`]: one process with a patched vDSO. All its threads are stopped (seized, not signalled) while the entries
//! change; later changes of the parameters stop no thread. No memory is mapped and no call is made in the target.
#![expect(unsafe_code, reason = "ptrace and waitpid have no safe wrapper in std")]
use super::Shift;
use super::image::{self, Image, image};
use super::vdso::{VdsoLayout, layout};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// How long a thread may take to stop. One that hangs in the kernel (a v1 freezer) does not stop at all.
const STOPPING: Duration = Duration::from_secs(2);
/// How long a start script or wrapper may take until it executes the program. The keeper catches a slower one.
const FOLLOWING: Duration = Duration::from_millis(250);
/// How long a process without a vDSO is given to end its exec.
const EXECUTING: Duration = Duration::from_millis(500);
const NOTHING: usize = 0;

/// A process and the place of its vDSO.
pub(crate) struct PatchedProcess {
    pid: u32,
    memory: File,
    base: u64,
    layout: VdsoLayout,
    image: Image,
    /// The offset of the image in the mapping.
    at: u64,
}

impl PatchedProcess {
    /// Finds the vDSO of a process and checks that it can be patched.
    pub(crate) fn open(pid: u32) -> Result<PatchedProcess, String> {
        let image = image().ok_or("single processes' clocks can be shifted on x86_64 only")?;
        let (base, end) = find(pid)?;
        let memory = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/{pid}/mem"))
            .map_err(|error| format!("its memory: {error}"))?;
        let mut bytes = vec![0; usize::try_from(end - base).map_err(|error| error.to_string())?];
        memory.read_exact_at(&mut bytes, base).map_err(|error| format!("its vDSO: {error}"))?;
        let layout = layout(&bytes)?;
        let at = (layout.used + 15) & !15;
        let tail = bytes.get(at as usize..).unwrap_or_default();
        let room = image.bytes.len() + 8 * layout.functions.len();
        let ours = tail.starts_with(image::MAGIC);
        if tail.len() < room || !(ours || tail.iter().all(|byte| *byte == 0)) {
            return Err(format!("its vDSO has no {room} unused bytes behind its code"));
        }
        Ok(PatchedProcess { pid, memory, base, layout, image, at })
    }

    /// Whether the process still runs the program it ran when it was opened, and holds the image.
    pub(crate) fn still_there(&self) -> bool {
        self.read(self.at).is_ok_and(|magic| magic == *image::MAGIC)
    }

    /// Whether calls go through the image now.
    pub(crate) fn installed(&self) -> bool {
        self.hooks().all(|(place, jump, _)| self.read(place).is_ok_and(|bytes| bytes[..5] == jump))
    }

    /// The shift in force: the current block, unless it has expired.
    pub(crate) fn shift(&self, real_ns: i64) -> Option<Shift> {
        if !self.still_there() || !self.installed() {
            return None;
        }
        let number = |place| self.read(place).map(i64::from_le_bytes).ok();
        let data = self.at + self.image.data;
        let index = number(data)?.cast_unsigned() % image::BLOCKS;
        let block = data + image::BLOCKS_AT + index * image::BLOCK_BYTES;
        let shift = Shift {
            offset_ns: number(block)?,
            period_ns: number(block + 8)?.cast_unsigned(),
            base_ns: number(block + 16)?,
            rate_q32: number(block + 32)?,
        };
        (number(block + 24)? > real_ns).then_some(shift)
    }

    /// Changes the shift until the true wall clock shows `expiry_ns`. Stops no process.
    pub(crate) fn set(&self, shift: Shift, expiry_ns: i64) -> Result<(), String> {
        let data = self.at + self.image.data;
        let index = self.read(data).map(u64::from_le_bytes)?;
        let next = (index + 1) % image::BLOCKS;
        let numbers = [shift.offset_ns, shift.period_ns.cast_signed(), shift.base_ns, expiry_ns, shift.rate_q32];
        let block: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.write(data + image::BLOCKS_AT + next * image::BLOCK_BYTES, &block)?;
        self.write(data, &next.to_le_bytes())
    }

    /// Makes calls go through the image, which gives the true time until [`PatchedProcess::set`].
    pub(crate) fn install(&mut self) -> Result<(), String> {
        if self.still_there() && self.installed() {
            return Ok(());
        }
        self.stopped(|| self.install_now())
    }

    /// The same for a stopped process.
    fn install_now(&self) -> Result<(), String> {
        if !self.still_there() {
            self.write(self.at, self.image.bytes)?;
        } else {
            self.set(Shift::default(), 0)?;
        }
        for (place, jump, saved) in self.hooks() {
            let mut code = self.read(place)?;
            if code[..5] == jump {
                continue;
            }
            self.write(saved, &code)?;
            code[..5].copy_from_slice(&jump);
            self.write(place, &code)?;
        }
        Ok(())
    }

    /// The clock is true at once, then the entries are as the kernel made them. The image stays: a thread may be in it.
    pub(crate) fn remove(&mut self) -> Result<(), String> {
        if !self.still_there() {
            return Ok(());
        }
        self.set(Shift::default(), 0)?;
        self.stopped(|| {
            for (place, jump, saved) in self.hooks() {
                if self.read(place)?[..5] == jump {
                    self.write(place, &self.read(saved)?)?;
                }
            }
            Ok(())
        })
    }

    /// Whether no call goes through the image.
    pub(crate) fn removed(&self) -> bool {
        !self.still_there()
            || self.hooks().all(|(place, jump, _)| self.read(place).is_ok_and(|bytes| bytes[..5] != jump))
    }

    /// For each function: its place, the jump to the image, and the place of its original bytes.
    fn hooks(&self) -> impl Iterator<Item = (u64, [u8; 5], u64)> {
        let saved = self.at + self.image.bytes.len() as u64;
        let hooks = self.layout.functions.iter().zip(self.image.entries).zip(0u64..);
        hooks.filter_map(move |((function, entry), index)| {
            let place = (*function)?;
            // Both lie in one mapping of a few pages: the distance fits.
            let distance = (self.at + entry).cast_signed() - (place + 5).cast_signed();
            let mut jump = [0xe9, 0, 0, 0, 0];
            jump[1..].copy_from_slice(&(distance as i32).to_le_bytes());
            Some((place, jump, saved + 8 * index))
        })
    }

    fn read(&self, place: u64) -> Result<[u8; 8], String> {
        let mut bytes = [0; 8];
        self.memory
            .read_exact_at(&mut bytes, self.base + place)
            .map_err(|error| format!("its vDSO cannot be read: {error}"))?;
        Ok(bytes)
    }

    fn write(&self, place: u64, bytes: &[u8]) -> Result<(), String> {
        self.memory.write_all_at(bytes, self.base + place).map_err(|error| {
            format!("its vDSO cannot be written: {error} (kernels with proc_mem.force_override=never refuse it)")
        })
    }

    /// Acts while all threads are stopped, none of them inside the bytes that change.
    fn stopped(&self, step: impl FnOnce() -> Result<(), String> + Send) -> Result<(), String> {
        let places: Vec<u64> = self.hooks().map(|(place, _, _)| self.base + place).collect();
        // In a separate thread: at its end the kernel releases all that it traces.
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let mut stopped = StoppedThreads { pid: self.pid, threads: Vec::new() };
                stopped.stop_all()?;
                stopped.leave(&places)?;
                step()
            });
            worker.join().unwrap_or_else(|_| Err("a bug while it was stopped".to_owned()))
        })
    }
}

/// Threads that are stopped, each with the signal that it was about to get.
struct StoppedThreads {
    pid: u32,
    threads: Vec<(i32, i32)>,
}

impl Drop for StoppedThreads {
    fn drop(&mut self) {
        for (thread, signal) in &self.threads {
            // SAFETY: no memory is involved. A thread that was killed meanwhile is no concern.
            unsafe { libc::ptrace(libc::PTRACE_DETACH, *thread, NOTHING, *signal as usize) };
        }
    }
}

impl StoppedThreads {
    /// Repeats until no thread is new: a thread that is not stopped yet can make others.
    fn stop_all(&mut self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        loop {
            let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).map_err(|error| format!("gone: {error}"))?;
            let threads: Vec<i32> =
                tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok()).collect();
            let fresh: Vec<i32> = threads.into_iter().filter(|thread| seen.insert(*thread)).collect();
            if fresh.is_empty() {
                return Ok(());
            }
            for thread in fresh {
                self.stop(thread)?;
            }
        }
    }

    fn stop(&mut self, thread: i32) -> Result<(), String> {
        // SAFETY: no memory is involved.
        if unsafe { libc::ptrace(libc::PTRACE_SEIZE, thread, NOTHING, NOTHING) } != 0 {
            let error = std::io::Error::last_os_error();
            if error.raw_os_error() == Some(libc::ESRCH) {
                return Ok(());
            }
            return Err(format!("thread {thread} cannot be traced: {error} (is a debugger attached?)"));
        }
        // SAFETY: no memory is involved.
        unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, thread, NOTHING, NOTHING) };
        match wait(thread, STOPPING) {
            Some(status) if libc::WIFSTOPPED(status) => {
                // A stop without an event is a signal on its way in: it is handed on when the thread is let go.
                let signal = if status >> 16 == 0 { libc::WSTOPSIG(status) } else { 0 };
                self.threads.push((thread, signal));
                Ok(())
            }
            Some(_) => Ok(()),
            None => Err(format!("thread {thread} does not stop; is it in a version 1 freezer?")),
        }
    }

    /// Steps threads out of the first bytes of the functions.
    fn leave(&self, places: &[u64]) -> Result<(), String> {
        for (thread, _) in &self.threads {
            for _ in 0..16 {
                let Some(counter) = program_counter(*thread) else { break };
                if !places.iter().any(|place| (place + 1..place + 5).contains(&counter)) {
                    break;
                }
                // SAFETY: no memory is involved.
                unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, *thread, NOTHING, NOTHING) };
                wait(*thread, STOPPING).ok_or_else(|| format!("thread {thread} does not step"))?;
            }
        }
        Ok(())
    }
}

#[cfg(target_arch = "x86_64")]
fn program_counter(thread: i32) -> Option<u64> {
    // SAFETY: plain data for which zeros are valid.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: `registers` is valid for the length of the call.
    let failed = unsafe { libc::ptrace(libc::PTRACE_GETREGS, thread, NOTHING, &raw mut registers) };
    (failed == 0).then_some(registers.rip)
}

#[cfg(not(target_arch = "x86_64"))]
fn program_counter(_: i32) -> Option<u64> {
    None
}

/// Waits for a traced thread to stop or end.
fn wait(thread: i32, patience: Duration) -> Option<i32> {
    let end = Instant::now() + patience;
    loop {
        let mut status = 0;
        // SAFETY: `status` is valid for the length of the call.
        let got = unsafe { libc::waitpid(thread, &raw mut status, libc::WNOHANG | libc::__WALL) };
        if got == thread {
            return Some(status);
        }
        if got < 0 || Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// The mapping of a process's vDSO. A process in the middle of an exec has none for a moment.
fn find(pid: u32) -> Result<(u64, u64), String> {
    let give_up = Instant::now() + EXECUTING;
    loop {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(|error| format!("its maps: {error}"))?;
        let range = maps.lines().find(|line| line.ends_with("[vdso]")).and_then(|line| line.split(' ').next());
        let ends = range.and_then(|range| range.split_once('-'));
        let number = |text| u64::from_str_radix(text, 16).ok();
        match ends.and_then(|(from, to)| Some((number(from)?, number(to)?))) {
            Some(found) => return Ok(found),
            None if Instant::now() < give_up && crate::process::stat(pid).is_some_and(|stat| stat.lives()) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            None => return Err("it has no vDSO".to_owned()),
        }
    }
}

/// A child of this thread has stopped at its exec (it asked to be traced): shifts its clock and lets it run. It is followed
/// for a moment, so that the program that a script or wrapper executes is shifted from its first instruction, too.
pub(crate) fn follow_start(pid: u32, shift: Shift, expiry_ns: i64) -> Result<(), String> {
    let child = i32::try_from(pid).map_err(|error| error.to_string())?;
    let shift_now = || {
        PatchedProcess::open(pid).and_then(|target| target.install_now().and_then(|()| target.set(shift, expiry_ns)))
    };
    let status = wait(child, STOPPING).ok_or("the child did not stop at its exec")?;
    if !libc::WIFSTOPPED(status) {
        return Err("the child ended at its exec".to_owned());
    }
    let mut outcome = shift_now();
    // SAFETY: no memory is involved.
    unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, child, NOTHING, libc::PTRACE_O_TRACEEXEC as usize) };
    let end = Instant::now() + FOLLOWING;
    let (mut signal, mut called) = (0, false);
    loop {
        // SAFETY: no memory is involved.
        unsafe { libc::ptrace(libc::PTRACE_CONT, child, NOTHING, signal as usize) };
        signal = 0;
        let patience = if called { STOPPING } else { end.saturating_duration_since(Instant::now()) };
        let Some(status) = wait(child, patience) else {
            if called {
                return Err("the child does not stop to be let go".to_owned());
            }
            // Only a stopped process can be let go. The signal itself never reaches it.
            called = true;
            drop(crate::sys::kill(pid, libc::SIGSTOP));
            continue;
        };
        if !libc::WIFSTOPPED(status) {
            return Err("the child has ended".to_owned());
        }
        if status >> 16 == libc::PTRACE_EVENT_EXEC {
            outcome = shift_now();
        } else if called && libc::WSTOPSIG(status) == libc::SIGSTOP {
            break;
        } else {
            signal = libc::WSTOPSIG(status);
        }
    }
    // SAFETY: no memory is involved.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, child, NOTHING, NOTHING) };
    outcome
}
