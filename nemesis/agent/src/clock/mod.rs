//! The wall clock of single processes: their copy of the vDSO is patched. Never: touches the machine's clock.
//!
//! A patch does not change raw system calls, the kernel's absolute deadlines and file times.
mod image;
mod patch;
mod vdso;

use crate::sys;
pub(crate) use patch::{PatchedProcess, follow_start};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::process::{Command, Stdio};

/// Largest shift: beyond it 64-bit nanoseconds or the target's own arithmetic could overflow.
const OFFSET_NS_MAX: u64 = 20 * 365 * 86_400 * 1_000_000_000;

/// The shift of a clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shift {
    /// By how much, negative for the past.
    pub(crate) offset_ns: i64,
    /// 0: always. Else shifted and true in turn, each for this long.
    pub(crate) period_ns: u64,
    /// Wall clock at which the first turn began.
    pub(crate) base_ns: i64,
}

impl Shift {
    /// The offset at a moment of the true wall clock.
    pub(crate) fn at(&self, real_ns: i64) -> i64 {
        let turn = match self.period_ns {
            0 => 0,
            period => real_ns.wrapping_sub(self.base_ns).cast_unsigned() / period,
        };
        if turn % 2 == 0 { self.offset_ns } else { 0 }
    }

    /// Refuses shifts that programs would not understand or that overflow in the image.
    pub(crate) fn sane(&self) -> Result<(), String> {
        if self.offset_ns.unsigned_abs() > OFFSET_NS_MAX {
            return Err(format!("a clock shift of {} s is more than 20 years", self.offset_ns / 1_000_000_000));
        }
        Ok(())
    }
}

/// Keeps shifts in force: finds processes that are new or have called exec, and renews before the patches expire.
#[derive(Default)]
pub(crate) struct ClockKeeper {
    targets: BTreeMap<u32, PatchedProcess>,
}

impl ClockKeeper {
    /// Shifts the clock of these processes until `hold_ns` from now. `fresh` also rewrites known processes. Returns the
    /// failures.
    pub(crate) fn keep(&mut self, pids: &[u32], shift: Shift, hold_ns: u64, fresh: bool) -> Vec<String> {
        let mut failed = Vec::new();
        for &pid in pids {
            let known = self.targets.get(&pid).is_some_and(|target| target.still_there() && target.installed());
            if known && !fresh {
                continue;
            }
            if !known {
                match PatchedProcess::open(pid).and_then(|mut target| target.install().map(|()| target)) {
                    Ok(target) => self.targets.insert(pid, target),
                    Err(reason) => {
                        self.targets.remove(&pid);
                        if crate::process::stat(pid).is_some_and(|stat| stat.lives()) {
                            failed.push(format!("process {pid}: {reason}"));
                        }
                        continue;
                    }
                };
            }
            if let Some(target) = self.targets.get(&pid)
                && let Err(reason) = target.set(shift, sys::realtime_ns().saturating_add_unsigned(hold_ns))
            {
                self.targets.remove(&pid);
                failed.push(format!("process {pid}: {reason}"));
            }
        }
        failed
    }

    /// Forgets ended processes.
    pub(crate) fn sweep(&mut self) {
        self.targets.retain(|_, target| target.still_there());
    }
}

/// The process that `abilities` shifts and asks for the time: one line in, the wall clock in nanoseconds out.
pub(crate) fn witness() -> Result<(), String> {
    for line in std::io::stdin().lock().lines() {
        line.map_err(|error| error.to_string())?;
        println!("{}", sys::realtime_ns());
        std::io::stdout().flush().map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Shifts the clock of a child by an hour, asks it for the time, and undoes the shift.
pub(crate) fn rehearse() -> Result<String, String> {
    let say = |error: std::io::Error| format!("a child to test with: {error}");
    let mut child = Command::new("/proc/self/exe")
        .arg("witness")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(say)?;
    let outcome = rehearse_with(&mut child);
    drop(child.stdin.take());
    drop(child.kill());
    child.wait().map_err(say)?;
    outcome
}

fn rehearse_with(child: &mut std::process::Child) -> Result<String, String> {
    let (Some(mut ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("a child without pipes".to_owned());
    };
    let mut answers = std::io::BufReader::new(answers);
    let mut off_by = || -> Result<i64, String> {
        ask.write_all(b"\n").map_err(|error| error.to_string())?;
        let mut line = String::new();
        answers.read_line(&mut line).map_err(|error| error.to_string())?;
        let shown: i64 = line.trim().parse().map_err(|_| "the child did not answer".to_owned())?;
        Ok((shown - sys::realtime_ns()) / 1_000_000_000)
    };
    off_by()?;
    let shift = Shift { offset_ns: 3600 * 1_000_000_000, period_ns: 0, base_ns: 0 };
    let mut target = PatchedProcess::open(child.id())?;
    target.install()?;
    target.set(shift, sys::realtime_ns() + 10_000_000_000)?;
    let shifted = off_by()?;
    target.remove()?;
    let healed = off_by()?;
    if (3500..=3600).contains(&shifted) && healed.abs() < 100 {
        Ok("a child's clock was shifted by an hour and put right".to_owned())
    } else {
        Err(format!("a child's clock showed {shifted} s instead of 3600, then {healed} s instead of 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strobe_takes_turns() {
        let strobe = Shift { offset_ns: 60, period_ns: 10, base_ns: 1000 };
        assert_eq!([1000, 1009, 1010, 1019, 1020].map(|now| strobe.at(now)), [60, 60, 0, 0, 60]);
        let jump = Shift { offset_ns: -5, period_ns: 0, base_ns: 1000 };
        assert_eq!(jump.at(1015), -5);
    }

    #[test]
    fn absurd_shifts_are_refused() {
        let shift = |offset_ns| Shift { offset_ns, period_ns: 0, base_ns: 0 };
        assert!(shift(i64::MIN).sane().is_err());
        assert!(shift(-86_400_000_000_000).sane().is_ok());
    }
}
